/** The device's half of the requirements on network devices and consoles with ports, and on ring features beyond `conformance.ts`. */
import { expect } from "vitest";
import { BlockDevice, ConsoleDevice, NetDevice, type NetDeviceOptions } from "../src/index.ts";
import * as blk from "../src/virtio/blk.ts";
import { BLK_FEATURES } from "../src/virtio/blk.ts";
import { CONSOLE_FEATURES } from "../src/virtio/console.ts";
import { RING_FEATURES } from "../src/virtio/features.ts";
import { NET_FEATURES } from "../src/virtio/net.ts";
import * as spec from "../src/virtio/spec.ts";
import { type Requirement, row } from "./conformance.ts";
import { PackedDriver } from "./packed-driver.ts";
import { BUFFERS, MemoryDisk, RawDriver } from "./raw-driver.ts";

const DATA = BUFFERS + 0x2000;
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const OTHER = Uint8Array.of(2, 0, 0, 0, 0, 9);
const [F_CSUM, F_MTU, F_MRG, F_CTRL, F_CTRL_RX, F_VLAN, F_EXTRA, F_ADDR] = [0, 3, 15, 17, 18, 19, 20, 23].map(
  (bit) => 1 << bit,
);
const ALL = F_CSUM | F_MRG | F_CTRL | F_CTRL_RX | F_VLAN | F_EXTRA | F_ADDR | (1 << 5) | (1 << 16);
const ALL_RING_OPTIONS = { packed: true, inOrder: true, notificationData: true };

/** A device of each kind with everything that it can offer. */
const everything = (): [RawDriver, readonly { name: string; bit: number; isOffered: boolean }[]][] => {
  const disk = Object.assign(new MemoryDisk(), { secureErase: () => 0 });
  const geometry = { cylinders: 1, heads: 1, sectors: 1 };
  return [
    [
      new RawDriver(new BlockDevice({ backend: disk, queueCount: 2, sizeMax: 4096, geometry }), ALL_RING_OPTIONS),
      BLK_FEATURES,
    ],
    [
      new RawDriver(new ConsoleDevice({ onOutput: () => {}, ports: [{ onOutput: () => {} }] }), ALL_RING_OPTIONS),
      CONSOLE_FEATURES,
    ],
    [
      new RawDriver(new NetDevice({ backend: { send: () => {} }, mac: MAC, mtu: 1500 }), ALL_RING_OPTIONS),
      NET_FEATURES,
    ],
  ];
};

// biome-ignore format: a table
export const MORE_CORE: readonly Requirement[] = [
  row("features-only-supported", "2.2.2", "MUST NOT", "no feature is offered that is not in the tables, and what is offered is accepted", () => {
    for (const [driver, table] of everything()) {
      const known = [...table, ...RING_FEATURES].filter(({ isOffered }) => isOffered).map(({ bit }) => bit);
      for (let bit = 0; bit < 64; bit++) if ((driver.offered(bit >> 5) & (1 << (bit & 31))) !== 0) expect(known).toContain(bit);
      expect(driver.negotiate(driver.offered(0), driver.offered(1))).toBe(true);
    }
  }),
  row("features-no-sr-iov", "6.2", "MUST NOT", "SR_IOV is not offered: this is not PCI", () => {
    for (const [driver] of everything()) expect(driver.offered(1) & (1 << 5)).toBe(0);
  }),
  row("features-in-order", "6.2", "MUST", "with IN_ORDER buffers are used in the order in which they became available", () => {
    for (const packed of [false, true]) {
      const model = new BlockDevice({ backend: new MemoryDisk() });
      const driver = packed ? new PackedDriver(model, { inOrder: true }) : new RawDriver(model, { inOrder: true });
      const high = spec.F_VERSION_1_HI | spec.F_IN_ORDER_HI | (packed ? spec.F_RING_PACKED_HI : 0);
      driver.start(0, high);
      driver.blkHeader(blk.BLK_T_FLUSH, 0);
      const chain = [{ at: BUFFERS, length: 16 }, { at: BUFFERS + 0x800, length: 1, writable: true }];
      for (const head of [4, 0, 8, 2]) {
        if (driver instanceof PackedDriver) driver.add(0, chain, head);
        else {
          driver.chain(0, head, chain);
          driver.makeAvailable(0, head);
        }
      }
      driver.notify();
      const order = [0, 1, 2, 3].map((i) => (driver instanceof PackedDriver ? driver.take(0, 2)?.id : driver.used(0, i).id));
      expect(order).toEqual([4, 0, 8, 2]);
    }
  }),
  row("queue-reset-config", "2.6.1.2.1", "MUST", "a queue that is enabled again after its reset has the size and the areas that were written then", () => {
    const driver = new RawDriver(new BlockDevice({ backend: new MemoryDisk() })).start(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    driver.blk(blk.BLK_T_IN, 0, 512, true);
    driver.write(spec.MMIO_QUEUE_RESET, 1);
    driver.queueSize = 4;
    driver.setUpQueue(0, 4);
    for (let i = 0; i < 10; i++) expect(driver.blk(blk.BLK_T_IN, i, 512, true)).toBe(0);
    expect(driver.usedIdx()).toBe(10);
    expect(driver.used(0, 9)).toEqual({ id: 0, length: 513 });
  }),
  row("notification-data", "2.9", "layout", "with NOTIFICATION_DATA the lower half of QueueNotify is the queue", () => {
    const driver = new RawDriver(new BlockDevice({ backend: new MemoryDisk(), queueCount: 2 }), { notificationData: true });
    driver.start(0, spec.F_VERSION_1_HI | spec.F_NOTIFICATION_DATA_HI);
    driver.blkHeader(blk.BLK_T_FLUSH, 0);
    driver.chain(1, 0, [{ at: BUFFERS, length: 16 }, { at: BUFFERS + 0x800, length: 1, writable: true }]);
    driver.makeAvailable(1, 0);
    driver.write(spec.MMIO_QUEUE_NOTIFY, 0x0001_0001);
    expect([driver.usedIdx(1), driver.guestErrors]).toEqual([1, []]);
  }),
];

interface Wire {
  readonly driver: RawDriver;
  readonly device: NetDevice;
  readonly sent: Uint8Array[];
  /** Offers receive buffer `n` of `length` bytes in two descriptors. */
  offer(n: number, length: number): void;
  /** Bytes of receive buffer `n`. */
  buffer(n: number, length: number): Uint8Array;
  /** Sends a frame behind a header; `header` holds its first bytes. */
  send(frame: Uint8Array, header?: readonly number[]): void;
  /** Runs a command; the ack. */
  control(...bytes: number[]): number;
}

function wire(features: number = ALL, options: Partial<NetDeviceOptions> = {}): Wire {
  const sent: Uint8Array[] = [];
  const device = new NetDevice({ backend: { send: (frame) => sent.push(frame.slice()) }, mac: MAC, ...options });
  const driver = new RawDriver(device).start(features);
  const at = (n: number): number => DATA + n * 0x1000;
  return {
    driver,
    device,
    sent,
    offer: (n, length) =>
      driver.submit(
        0,
        [
          { at: at(n), length: 6, writable: true },
          { at: at(n) + 6, length: length - 6, writable: true },
        ],
        2 * n,
      ),
    buffer: (n, length) => driver.ram.slice(at(n), at(n) + length),
    send: (frame, header = []) => {
      driver.ram.fill(0, BUFFERS, BUFFERS + 12);
      driver.ram.set(header, BUFFERS);
      driver.ram.set(frame, BUFFERS + 12);
      driver.submit(1, [
        { at: BUFFERS, length: 5 },
        { at: BUFFERS + 5, length: 7 + frame.length },
      ]);
    },
    control: (...bytes) => {
      driver.ram.set(bytes, BUFFERS);
      driver.ram[BUFFERS + 0xfff] = 0xee;
      driver.submit(2, [
        { at: BUFFERS, length: bytes.length },
        { at: BUFFERS + 0xfff, length: 1, writable: true },
      ]);
      return driver.ram[BUFFERS + 0xfff];
    },
  };
}

const frameTo = (to: Uint8Array, length: number = 60): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i < 6 ? to[i] : i * 7));
/** A frame with a VLAN tag. */
const tagged = (id: number): Uint8Array =>
  frameTo(MAC).map((byte, i) => [0x81, 0x00, id >> 8, id & 0xff][i - 12] ?? byte);

// biome-ignore format: a table
export const NET: readonly Requirement[] = [
  row("net-mtu-range", "5.1.4.1", "MUST", "mtu is between 68 and 65535", () => {
    for (const mtu of [67, 65_536, 100.5]) expect(() => new NetDevice({ backend: { send: () => {} }, mac: MAC, mtu })).toThrow(RangeError);
    expect(wire(ALL | F_MTU, { mtu: 68 }).driver.device.read(spec.MMIO_CONFIG + 10, 2)).toBe(68);
    expect(wire().driver.offered(0) & F_MTU).toBe(0);
  }),
  row("net-mtu-fixed", "5.1.4.1", "MUST NOT", "mtu does not change once it was set", () => {
    const { driver } = wire(ALL | F_MTU, { mtu: 1280 });
    for (let i = 0; i < 12; i++) driver.device.write(spec.MMIO_CONFIG + i, 1, 0xff);
    expect(driver.device.read(spec.MMIO_CONFIG + 10, 2)).toBe(1280);
    driver.write(spec.MMIO_STATUS, 0);
    expect(driver.device.read(spec.MMIO_CONFIG + 10, 2)).toBe(1280);
  }),
  row("net-mtu-receive", "5.1.4.1", "MUST NOT", "with MTU no larger frame is passed to the driver", () => {
    const { device, offer } = wire(ALL | F_MTU, { mtu: 100 });
    offer(0, 2000);
    expect([device.receive(frameTo(MAC, 115)), device.receive(frameTo(MAC, 114))]).toEqual([false, true]);
  }),
  row("net-mtu-send", "5.1.4.1", "MUST", "with MTU frames up to its size are forwarded", () => {
    const { send, sent } = wire(ALL | F_MTU, { mtu: 3000 });
    send(frameTo(OTHER, 3014));
    expect(sent).toEqual([frameTo(OTHER, 3014)]);
  }),
  row("net-send-flags", "5.1.6.2.2", "MUST", "unknown flags of a header are ignored", () => {
    const { send, sent } = wire();
    send(frameTo(OTHER), [0xfe, 0]);
    expect(sent).toEqual([frameTo(OTHER)]);
  }),
  row("net-send-csum", "5.1.6.2.2", "MUST NOT", "without NEEDS_CSUM csum_start and csum_offset are not used, and with it the checksum is completed", () => {
    const { send, sent } = wire();
    send(frameTo(OTHER), [0, 0, 0, 0, 0, 0, 20, 0, 16, 0]);
    expect(sent[0]).toEqual(frameTo(OTHER));
    const frame = new Uint8Array(24).fill(1);
    frame.set([0, 0], 22);
    send(frame, [1, 0, 0, 0, 0, 0, 20, 0, 2, 0]); // 0x0101 + 0x0000
    expect(Array.from(sent[1].subarray(20))).toEqual([1, 1, 0xfe, 0xfe]);
    send(frame, [1, 0, 0, 0, 0, 0, 20, 0, 3, 0]); // the field ends beyond the frame
    expect(sent.length).toBe(2);
  }),
  row("net-send-hdr-len", "5.1.6.2.2", "MUST NOT", "hdr_len is not relied on", () => {
    const { send, sent, driver } = wire();
    for (const length of [0, 1, 0xff]) send(frameTo(OTHER), [0, 0, length, length]);
    expect([sent.length, driver.needsReset]).toEqual([3, false]);
  }),
  row("net-send-trust", "5.1.6.2.2", "MUST NOT", "the checksum of a frame is not relied on: frames are passed on as they are", () => {
    const { send, sent } = wire();
    const frame = frameTo(OTHER).fill(0xff, 14);
    send(frame);
    expect(sent).toEqual([frame]);
  }),
  row("net-num-buffers", "5.1.6.3.2", "MUST", "num_buffers is the number of buffers that hold the frame", () => {
    const { device, offer, buffer } = wire();
    for (const n of [0, 1, 2, 3]) offer(n, 100);
    device.receive(frameTo(MAC, 250)); // 88 + 100 + 62
    expect(buffer(0, 12)[10]).toBe(3);
    device.receive(frameTo(MAC, 60));
    expect(buffer(3, 12)[10]).toBe(1);
  }),
  row("net-single-buffer", "5.1.6.3.2", "MUST", "without MRG_RXBUF a frame takes one buffer, or none", () => {
    const { device, offer, driver, buffer } = wire(ALL & ~F_MRG);
    for (const n of [0, 1, 2]) offer(n, 100);
    device.receive(frameTo(MAC, 250));
    expect([driver.usedIdx(0), driver.used(0, 0)]).toEqual([1, { id: 0, length: 0 }]);
    device.receive(frameTo(MAC, 88));
    expect([driver.used(0, 1), buffer(1, 100)]).toEqual([{ id: 2, length: 100 }, Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, ...frameTo(MAC, 88)])]);
  }),
  row("net-one", "5.1.6.4.1", "MUST", "without MRG_RXBUF num_buffers is 1", () => {
    const { device, offer, buffer } = wire(ALL & ~F_MRG);
    offer(0, 1526);
    device.receive(frameTo(MAC, 60));
    expect(Array.from(buffer(0, 12).subarray(10))).toEqual([1, 0]);
  }),
  row("net-spread", "5.1.6.4.1", "MUST", "all buffers but the last are filled, and become used together or not at all", () => {
    const { device, offer, driver, buffer } = wire();
    offer(0, 100);
    offer(1, 200);
    expect(device.receive(frameTo(MAC, 400))).toBe(true); // waits for a third buffer
    expect(driver.usedIdx(0)).toBe(0);
    offer(2, 300);
    expect([0, 1, 2].map((i) => driver.used(0, i))).toEqual([{ id: 0, length: 100 }, { id: 2, length: 200 }, { id: 4, length: 112 }]);
    expect(Uint8Array.from([...buffer(0, 100).subarray(12), ...buffer(1, 200), ...buffer(2, 112)])).toEqual(frameTo(MAC, 400));
  }),
  row("net-receive-header", "5.1.6.4.1", "MUST", "flags and gso_type of a received header are 0: no partial checksums, no segments, no coalescing", () => {
    for (const features of [ALL, ALL & ~F_MRG, 0]) {
      const { device, offer, buffer, driver } = wire(features);
      driver.ram.fill(0xff, DATA, DATA + 2000);
      offer(0, 1526);
      device.receive(frameTo(MAC));
      expect(Array.from(buffer(0, 12))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    }
  }),
  row("net-control-rx", "5.1.6.5.1.1", "MUST", "with CTRL_RX the commands PROMISC and ALLMULTI are supported", () => {
    const { control, device, offer } = wire();
    offer(0, 2000);
    const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
    expect([control(0, 0, 0), device.receive(frameTo(OTHER)), device.receive(frameTo(group))]).toEqual([0, false, false]);
    expect([control(0, 1, 1), device.receive(frameTo(group))]).toEqual([0, true]);
    expect([control(0, 0, 1), device.receive(frameTo(OTHER))]).toEqual([0, true]);
  }),
  row("net-control-rx-extra", "5.1.6.5.1.1", "MUST", "with CTRL_RX_EXTRA the commands ALLUNI, NOMULTI, NOUNI and NOBCAST are supported", () => {
    const { control, device } = wire();
    const broadcast = new Uint8Array(6).fill(0xff);
    const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
    control(0, 0, 0);
    expect([control(0, 2, 1), device.receive(frameTo(OTHER))]).toEqual([0, true]);
    expect([control(0, 4, 1), device.receive(frameTo(OTHER)), device.receive(frameTo(MAC))]).toEqual([0, false, false]);
    expect([control(0, 1, 1), control(0, 3, 1), device.receive(frameTo(group)), device.receive(frameTo(broadcast))]).toEqual([0, 0, false, true]);
    expect([control(0, 5, 1), device.receive(frameTo(broadcast))]).toEqual([0, false]);
    expect([control(0, 6, 1), control(9, 0, 0), control(0, 0), control(0, 0, 0, 0)]).toEqual([1, 1, 1, 1]);
  }),
  row("net-mac-reset", "5.1.6.5.2.1", "MUST", "the table of addresses is empty after a reset", () => {
    const { control, device, driver } = wire();
    expect(control(1, 0, 1, 0, 0, 0, ...OTHER, 0, 0, 0, 0)).toBe(0);
    driver.start(ALL);
    control(0, 0, 0);
    expect([device.receive(frameTo(OTHER)), device.receive(frameTo(MAC))]).toEqual([false, true]);
  }),
  row("net-mac-table", "5.1.6.5.2.1", "MUST", "the table is in force when MAC_TABLE_SET is used; a malformed one is refused", () => {
    const { control, device } = wire();
    control(0, 0, 0);
    expect([control(1, 0, 1, 0, 0, 0, ...OTHER, 0, 0, 0, 0), device.receive(frameTo(OTHER))]).toEqual([0, true]);
    expect([control(1, 0, 2, 0, 0, 0, ...OTHER, 0, 0, 0, 0), control(1, 0, 0xff, 0xff, 0xff, 0xff), control(1, 0)]).toEqual([1, 1, 1]);
  }),
  row("net-mac-address", "5.1.6.5.2.1", "MUST", "mac in the configuration is the new one when MAC_ADDR_SET is used", () => {
    const { control, driver } = wire();
    expect(control(1, 1, ...OTHER)).toBe(0);
    expect([0, 1, 2, 3, 4, 5].map((i) => driver.device.read(spec.MMIO_CONFIG + i, 1))).toEqual([...OTHER]);
  }),
  row("net-vlan-off", "5.1.6.5.3.1", "MUST", "without CTRL_VLAN all tagged frames are accepted", () => {
    const { control, device } = wire(ALL & ~F_VLAN);
    control(0, 0, 0);
    for (const id of [0, 1, 4095]) expect(device.receive(tagged(id))).toBe(true);
  }),
  row("net-vlan", "5.1.6.5.3.1", "MUST", "with CTRL_VLAN tagged frames of the table are accepted, others are not", () => {
    const { control, device } = wire();
    control(0, 0, 0);
    expect(device.receive(tagged(5))).toBe(false); // the table starts empty
    expect([control(2, 0, 5, 0), device.receive(tagged(5)), device.receive(tagged(6))]).toEqual([0, true, false]);
    expect([control(2, 1, 5, 0), device.receive(tagged(5)), control(2, 0, 0, 0x10)]).toEqual([0, false, 1]);
  }),
];

function ports(): { driver: RawDriver; messages(): number[][]; say(...bytes: number[]): void } {
  const model = new ConsoleDevice({
    onOutput: () => {},
    ports: [{ name: "p", onOutput: () => {} }, { onOutput: () => {} }],
  });
  const driver = new RawDriver(model).start(3);
  const list: number[][] = [];
  const at = (i: number): number => DATA + 32 * i;
  for (let i = 0; i < 16; i++) {
    driver.chain(2, i, [{ at: at(i), length: 32, writable: true }]);
    driver.makeAvailable(2, i);
  }
  const messages = (): number[][] => {
    for (; list.length < driver.usedIdx(2); ) {
      const { id, length } = driver.used(2, list.length);
      list.push([...driver.ram.subarray(at(id), at(id) + length)]);
    }
    return list;
  };
  const say = (...bytes: number[]): void => {
    driver.ram.set(bytes, BUFFERS);
    driver.submit(3, [{ at: BUFFERS, length: 8 }]);
  };
  return { driver, messages, say };
}

// biome-ignore format: a table
export const CONSOLE_PORTS: readonly Requirement[] = [
  row("console-add", "5.3.6.2.1", "MUST NOT", "no port is added twice, nor one beyond max_nr_ports", () => {
    const { driver, messages, say } = ports();
    say(0, 0, 0, 0, 0, 0, 1, 0);
    say(0, 0, 0, 0, 0, 0, 1, 0);
    const added = messages().filter((message) => message[4] === 1).map((message) => message[0]);
    expect(added).toEqual([0, 1, 2]);
    expect(driver.read(spec.MMIO_CONFIG + 4)).toBe(3);
  }),
  row("console-remove", "5.3.6.2.1", "MUST NOT", "no port is removed that was not added: none is ever removed", () => {
    const { messages, say } = ports();
    say(0, 0, 0, 0, 0, 0, 1, 0);
    for (const id of [0, 1, 2, 3, 255]) for (const event of [3, 6, 2, 9]) say(id, 0, 0, 0, event, 0, 1, 0);
    expect(messages().some((message) => message[4] === 2)).toBe(false);
  }),
  row("console-introduce", "5.3.6.2", "layout", "a ready port is told its name, whether it is a console, its size, and that the host has it open", () => {
    const { messages, say } = ports();
    say(0, 0, 0, 0, 0, 0, 1, 0);
    say(0, 0, 0, 0, 3, 0, 1, 0);
    say(1, 0, 0, 0, 3, 0, 1, 0);
    expect(messages().slice(3)).toEqual([
      [0, 0, 0, 0, 4, 0, 1, 0], [0, 0, 0, 0, 5, 0, 0, 0, 80, 0, 24, 0], [0, 0, 0, 0, 6, 0, 1, 0],
      [1, 0, 0, 0, 7, 0, 1, 0, 0x70], [1, 0, 0, 0, 6, 0, 1, 0],
    ]);
  }),
];
