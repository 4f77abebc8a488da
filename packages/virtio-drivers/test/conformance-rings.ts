/**
 * The driver's half of the requirements on packed virtqueues, and what the other tables need beyond `conformance.ts`: IN_ORDER,
 * NOTIFICATION_DATA, RING_RESET, features that no driver takes.
 */
import { BlockDevice, NetDevice } from "virt-devices";
import { expect } from "vitest";
import { createFiltered, type Requirement, row, spy0, watchBlk } from "./conformance.ts";
import {
  DescriptorList,
  ERR_INVALID_PARAM,
  ERR_QUEUE_FULL,
  ERR_TIMED_OUT,
  VirtIOBlk,
  VirtIONet,
  VirtQueue,
  type VirtQueueOptions,
} from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { LooseDevice } from "./loose-device.ts";
import { createRig, ok, RAM_BASE, TestDisk } from "./rig.ts";
import { Spy } from "./spy.ts";

interface Ring {
  readonly device: LooseDevice;
  readonly queue: VirtQueue;
  add(readable: number, writable: number): number;
}

function ring(options: VirtQueueOptions, size: number = 16): Ring {
  const device = new LooseDevice(size, options.packed ?? false);
  const queue = ok(VirtQueue.create(device.hal(), device, 0, size, options));
  const add = (readable: number, writable: number): number => {
    const list = new DescriptorList(64);
    for (let i = 0; i < readable; i++) list.pushReadable(RAM_BASE + 0x4_0000 + 16 * i, 16);
    for (let i = 0; i < writable; i++) list.pushWritable(RAM_BASE + 0x5_0000 + 16 * i, 16);
    return queue.add(list);
  };
  return { device, queue, add };
}

/** Words of the packed ring: what the device sees of every descriptor. */
function snapshot(device: LooseDevice): Uint8Array {
  return device.ram.slice(device.desc, device.desc + 16 * device.size);
}

/** Flags of the descriptors in an indirect table of a packed ring. */
function tableFlags(device: LooseDevice, place: number): number[] {
  const at = device.desc + 16 * place;
  const table = device.view.getUint32(at, true) - RAM_BASE;
  return Array.from({ length: device.view.getUint32(at + 8, true) / 16 }, (_, i) =>
    device.view.getUint16(table + 16 * i + 14, true),
  );
}

/** A block driver on a packed ring, with a device that keeps `limit` segments a request. */
function packedBlk(queueSize: number, mmio: object = {}): { rig: ReturnType<typeof createRig>; blk: VirtIOBlk } {
  const rig = createRig(new BlockDevice({ backend: new TestDisk(4096), queueSize }), {
    scattered: true,
    pages: 1024,
    mmio: { packed: true, ...mmio },
  });
  return { rig, blk: ok(VirtIOBlk.create(rig.hal, rig.transport)) };
}

// biome-ignore format: a table
export const MORE_MMIO: readonly Requirement[] = [
  row("mmio-queue-reset-wait", "4.2.2.2", "MUST NOT", "a queue reset is not taken for complete before QueueReset reads 0", () => {
    const spy = new Spy(new BlockDevice({ backend: new TestDisk(8) }));
    const transport = spy.transport();
    let left = 3;
    spy.filter = (access) => (access.offset === spec.MMIO_QUEUE_RESET && left-- > 0 ? 1 : access.value);
    spy.accesses.length = 0;
    expect(transport.queueReset(0)).toBe(0);
    expect(spy.accesses.map(({ isWrite, offset }) => [isWrite, offset])).toEqual([[true, 0x30], [true, 0xc0], [false, 0xc0], [false, 0xc0], [false, 0xc0], [false, 0xc0]]);
    spy.filter = () => 1;
    expect(transport.queueReset(0)).toBe(ERR_TIMED_OUT);
  }),
];

// biome-ignore format: a table
export const MORE_CORE: readonly Requirement[] = [
  row("features-unknown", "2.2.1", "MUST", "feature bits that are unknown, reserved, of another transport or another device are looked at, not accepted, and no reason to fail", () => {
    for (const word of [0, 1]) {
      // Block: 1, 2, 4..6, 9..14, 16. Rings: 28, 29; 32, 34, 35, 38, 40. All others are offered.
      const known = word === 0 ? 0x3001_7e76 : 0x14d;
      const { spy, result } = createFiltered((access) => (access.offset === 0x10 && spy0(access) === (word === 0) ? (access.value | ~known) >>> 0 : access.value));
      ok(result);
      expect(spy.written(spec.MMIO_DRIVER_FEATURES)[word] & ~known).toBe(0);
    }
  }),
  row("features-required", "2.2.1", "MUST NOT", "a feature is not accepted without the one that it requires", () => {
    const spy = new Spy(new NetDevice({ backend: { send: () => {} }, mac: Uint8Array.of(2, 0, 0, 0, 0, 1) }));
    const isNet = (value: number): boolean => (value & (1 << 5)) !== 0;
    spy.filter = (access) => (access.offset === 0x10 && isNet(access.value) ? access.value & ~(1 << 17) : access.value); // no CTRL_VQ
    ok(VirtIONet.create(spy.hal, spy.transport()));
    expect(spy.written(spec.MMIO_DRIVER_FEATURES)[0] & ((1 << 17) | (1 << 18) | (1 << 19) | (1 << 20) | (1 << 23))).toBe(0);
  }),
  row("features-platform", "6.1", "MUST", "ACCESS_PLATFORM, ORDER_PLATFORM and SR_IOV, which this transport and Hal do not have, are never accepted", () => {
    const { spy } = createFiltered((access) => (access.offset === 0x10 && !spy0(access) ? 0xffff_ffff : access.value));
    expect(spy.written(spec.MMIO_DRIVER_FEATURES)[1] & ((1 << 1) | (1 << 4) | (1 << 5))).toBe(0);
  }),
  row("addresses-physical", "6.1", "MUST", "without ACCESS_PLATFORM only physical addresses are given to the device", () => {
    const { spy, blk } = watchBlk();
    blk.writeBlocks(0, new Uint8Array(5000 * 512).subarray(0, 4096 * 512));
    for (const { segments } of spy.chains) for (const { paddr, length } of segments) expect(paddr >= RAM_BASE && paddr + length <= RAM_BASE + spy.ram.length).toBe(true);
  }),
  row("queue-reset", "2.6.1.1.2", "MUST", "a queue reset is verified, and the queue then configured as at the beginning", () => {
    const spy = new Spy(new BlockDevice({ backend: new TestDisk(8) }));
    const blk = ok(VirtIOBlk.create(spy.hal, spy.transport()));
    const first = spy.accesses.filter(({ isWrite, offset }) => isWrite && offset >= 0x38 && offset <= 0xa4 && offset !== 0x70);
    spy.accesses.length = 0;
    expect(blk.cancelRequests()).toBe(0);
    const again = spy.accesses.filter(({ isWrite, offset }) => isWrite && offset >= 0x38 && offset <= 0xa4);
    expect(again).toEqual(first.filter(({ offset }) => offset !== spec.MMIO_QUEUE_NOTIFY));
    expect(spy.firstAccess(false, spec.MMIO_QUEUE_RESET, 0)).toBeLessThan(spy.firstAccess(true, spec.MMIO_QUEUE_SIZE));
  }),
];

// biome-ignore format: a table
export const MORE_SPLIT_RING: readonly Requirement[] = [
  row("ring-in-order-next", "2.7.5.2", "MUST", "with IN_ORDER the next of descriptor x is x + 1, and 0 at the end of the table", () => {
    const { device, queue, add } = ring({ inOrder: true });
    for (let round = 0; round < 50; round++) {
      const token = add(2, 1);
      const { places } = device.take()!;
      for (let i = 0; i < 2; i++) expect(device.view.getUint16(device.desc + 16 * places[i] + 14, true)).toBe((places[i] + 1) % 16);
      device.use({ id: token, readable: [], writable: [], places }, 0);
      queue.popUsed(token);
    }
  }),
  row("ring-in-order-indirect", "2.7.5.3.1", "MUST", "with IN_ORDER the descriptors of an indirect table follow each other", () => {
    const { device, add } = ring({ inOrder: true, indirect: true });
    const token = add(3, 5);
    const table = device.view.getUint32(device.desc + 16 * token, true) - RAM_BASE;
    expect([0, 1, 2, 3, 4, 5, 6].map((i) => device.view.getUint16(table + 16 * i + 14, true))).toEqual([1, 2, 3, 4, 5, 6, 7]);
  }),
  row("ring-barriers", "2.7.13.3.1", "MUST", "when a device looks at idx it finds the chain complete, and flags are read after idx was written (driver and device share one thread)", () => {
    const { device, queue, add } = ring({});
    for (let i = 0; i < 100; i++) {
      const token = add(1, 2);
      const chain = device.take()!;
      expect([chain.readable.length, chain.writable.length]).toEqual([1, 2]);
      device.askForNotification(false, i % 2); // after the index: the driver must see it
      expect(queue.shouldNotify()).toBe(i % 2 === 0);
      device.use(chain, 0);
      queue.popUsed(token);
    }
  }),
];

// biome-ignore format: a table
export const PACKED_RING: readonly Requirement[] = [
  row("packed-alignment", "2.8.10.1", "MUST", "ring and event areas are aligned to 16, 4 and 4 bytes", () => {
    for (const size of [1, 7, 16, 100]) {
      const { device } = ring({ packed: true }, size);
      expect([device.desc % 16, device.driver % 4, device.device % 4]).toEqual([0, 0, 0]);
    }
  }),
  row("packed-not-changed", "2.8.13", "MUST NOT", "a descriptor is not changed before it is seen used", () => {
    const { device, queue, add } = ring({ packed: true });
    while (add(1, 1) >= 0) {}
    const before = snapshot(device);
    for (let i = 0; i < 20; i++) expect([add(1, 0), queue.canPop()]).toEqual([ERR_QUEUE_FULL, false]);
    expect(snapshot(device)).toEqual(before);
  }),
  row("packed-not-changed-after", "2.8.13", "MUST NOT", "a descriptor is not changed after it was made available", () => {
    const { device, queue, add } = ring({ packed: true });
    add(2, 1);
    const before = snapshot(device).slice(0, 48);
    add(1, 1);
    queue.setDevNotify(false);
    queue.shouldNotify();
    queue.canPop();
    expect(snapshot(device).slice(0, 48)).toEqual(before);
  }),
  row("packed-notification-data", "2.8.13", "MUST", "with NOTIFICATION_DATA next_off and next_wrap are those of the next descriptor", () => {
    const { rig, blk } = packedBlk(16, { notificationData: true, eventIdx: false, indirect: false });
    const values: number[] = [];
    rig.transport.notify = (queue, position = 0) => {
      values.push(position);
      rig.region.write32(0x50, (queue | (position << 16)) >>> 0);
    };
    for (let i = 0; i < 12; i++) expect(blk.readBlocks(0, rig.ram.subarray(0x10_0000, 0x10_0200))).toBe(0);
    // Three places a request, sixteen in the ring: the wrap counter starts as 1.
    expect(values).toEqual(Array.from({ length: 12 }, (_, i) => ((3 * (i + 1)) % 16) | (Math.floor((3 * (i + 1)) / 16) % 2 === 0 ? 0x8000 : 0)));
  }),
  row("packed-length", "2.8.16", "MUST NOT", "no list is longer than the queue, nor than the device allows, in an indirect table either", () => {
    const { queue, add } = ring({ packed: true, indirect: true }, 8);
    expect([queue.maxChainLength, add(5, 4)]).toEqual([8, ERR_INVALID_PARAM]);
    for (const mmio of [{}, { indirect: false }]) {
      const { rig, blk } = packedBlk(8, mmio);
      expect(blk.readBlocks(0, new Uint8Array(300 * 512))).toBe(0); // seg_max is 6
      expect(rig.guestErrors).toEqual([]);
    }
  }),
  row("packed-order", "2.8.16", "MUST", "writable elements come after readable ones", () => {
    const { device, add } = ring({ packed: true });
    add(2, 3);
    expect([0, 1, 2, 3, 4].map((i) => device.view.getUint16(device.desc + 16 * i + 14, true) & 2)).toEqual([0, 0, 2, 2, 2]);
    expect(() => {
      const list = new DescriptorList(2);
      list.pushWritable(RAM_BASE, 1);
      list.pushReadable(RAM_BASE, 1);
    }).toThrow(RangeError);
  }),
  row("packed-space", "2.8.16", "MUST", "a list is begun only if the ring has room for all of it now", () => {
    const { device, queue, add } = ring({ packed: true });
    for (let i = 0; i < 5; i++) add(1, 2);
    const before = snapshot(device);
    expect([queue.availableDescriptors, add(1, 1)]).toEqual([1, ERR_QUEUE_FULL]);
    expect(snapshot(device)).toEqual(before);
    expect(add(1, 0)).toBeGreaterThanOrEqual(0);
  }),
  row("packed-first-last", "2.8.16", "MUST NOT", "the first descriptor of a list is not made available before the others", () => {
    // LooseDevice throws at a list that is available in part; here every prefix of the driver's stores is looked at.
    const { device, add } = ring({ packed: true });
    const stores: [at: number, value: number][] = [];
    const set = DataView.prototype.setUint16;
    DataView.prototype.setUint16 = function (at: number, value: number, little?: boolean): void {
      if (this.buffer === device.ram.buffer && at % 16 === 14) stores.push([at, value]);
      set.call(this, at, value, little);
    };
    try {
      add(2, 2);
    } finally {
      DataView.prototype.setUint16 = set;
    }
    expect(stores.map(([at]) => at / 16 - 0.875)).toEqual([3, 2, 1, 0]);
  }),
  row("packed-no-indirect", "2.8.19", "MUST NOT", "INDIRECT is not set without its feature", () => {
    const { device, add } = ring({ packed: true });
    add(4, 6);
    for (let i = 0; i < 10; i++) expect(device.view.getUint16(device.desc + 16 * i + 14, true) & 4).toBe(0);
    const other = ring({ packed: true, indirect: true });
    other.add(4, 6);
    expect(other.device.view.getUint16(other.device.desc + 14, true) & 4).toBe(4);
  }),
  row("packed-table-flags", "2.8.19", "MUST NOT", "no flag but WRITE is set in an indirect table", () => {
    const { device, add } = ring({ packed: true, indirect: true });
    add(3, 4);
    expect(tableFlags(device, 0)).toEqual([0, 0, 0, 2, 2, 2, 2]);
  }),
  row("packed-no-indirect-next", "2.8.19", "MUST NOT", "an indirect descriptor is not part of a list", () => {
    const { device, add } = ring({ packed: true, indirect: true });
    add(1, 1);
    add(4, 4);
    add(2, 0);
    for (let i = 0; i < 16; i++) expect(device.view.getUint16(device.desc + 16 * i + 14, true) & 5).not.toBe(5);
    expect([0, 1, 2, 3, 4].map((i) => device.view.getUint16(device.desc + 16 * i + 14, true) & 5)).toEqual([1, 0, 4, 1, 0]);
  }),
  row("packed-barriers", "2.8.21.1.1", "MUST", "a device that sees flags finds the list complete, and the event is read after flags were written (driver and device share one thread)", () => {
    const { device, queue, add } = ring({ packed: true });
    for (let i = 0; i < 100; i++) {
      const token = add(1 + (i % 3), i % 2);
      const chain = device.take()!;
      expect(chain.places.length).toBe(1 + (i % 3) + (i % 2));
      device.askForNotification(false, i % 2);
      expect(queue.shouldNotify()).toBe(i % 2 === 0);
      device.use(chain, 0);
      queue.popUsed(token);
    }
  }),
  row("packed-driver-event", "2.8.14", "SHOULD", "the event's reserved value is not used, and DESC only with EVENT_IDX", () => {
    for (const eventIdx of [false, true]) {
      const { device, queue } = ring({ packed: true, eventIdx });
      const flags = [true, false].map((isOn) => {
        queue.setDevNotify(isOn);
        return device.view.getUint16(device.driver + 2, true);
      });
      expect(flags).toEqual([eventIdx ? 2 : 0, 1]);
    }
  }),
];
