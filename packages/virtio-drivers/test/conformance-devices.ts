/** The driver's half of the requirements on network and console devices, and what block devices need beyond `conformance.ts`. */
import { BlockDevice, ConsoleDevice, NetDevice, type NetDeviceOptions } from "virt-devices";
import { expect } from "vitest";
import { ofType, type Requirement, row, watchBlk } from "./conformance.ts";
import { ERR_INVALID_PARAM, ERR_IO, ERR_UNSUPPORTED, VirtIOBlk, VirtIOConsole, VirtIONet } from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { ok, pattern, RAM_BASE, TestDisk } from "./rig.ts";
import { Spy } from "./spy.ts";

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const CTRL_FEATURES = (1 << 17) | (1 << 18) | (1 << 19) | (1 << 20) | (1 << 23);

// biome-ignore format: a table
export const MORE_BLK: readonly Requirement[] = [
  row("blk-writeback-off", "5.2.6.1", "MUST NOT", "after writeback was set to 0 earlier writes are not taken for durable: a flush is still sent", () => {
    const { spy, blk } = watchBlk();
    blk.writeBlocks(0, new Uint8Array(512));
    expect([blk.setWriteCache(false), blk.flush()]).toEqual([0, 0]);
    expect(ofType(spy, 4).length).toBe(1);
  }),
  row("blk-undefined", "5.2.6.1", "MUST NOT", "nothing is assumed of sectors that were discarded, or of ranges whose request failed", () => {
    const disk = new TestDisk(64);
    const spy = new Spy(new BlockDevice({ backend: disk }));
    const blk = ok(VirtIOBlk.create(spy.hal, spy.transport()));
    const buffer = new Uint8Array(512);
    blk.discard(0, 8);
    disk.bytes.set(pattern(512, 1)); // what reads as what is the device's matter
    expect([blk.readBlocks(0, buffer), buffer]).toEqual([0, disk.bytes.subarray(0, 512)]);
    disk.failWith = -5;
    expect([blk.discard(0, 8), blk.writeZeroes(0, 8)]).toEqual([ERR_IO, ERR_IO]);
    disk.failWith = 0;
    expect([blk.readBlocks(0, buffer), ofType(spy, 0).length]).toEqual([0, 2]);
  }),
];

function watchPorts(): { spy: Spy; console: VirtIOConsole; sent: number[][] } {
  const spy = new Spy(
    new ConsoleDevice({ onOutput: () => {}, ports: [{ name: "p", isConsole: true, onOutput: () => {} }] }),
  );
  const console = ok(VirtIOConsole.create(spy.hal, spy.transport()));
  return { spy, console, sent: spy.chains.filter(({ queue }) => queue === 3).map(({ bytes }) => [...bytes]) };
}

// biome-ignore format: a table
export const CONSOLE: readonly Requirement[] = [
  row("console-ready", "5.3.6.2.2", "MUST", "with MULTIPORT a DEVICE_READY message is sent", () => {
    expect(watchPorts().sent[0].slice(4)).toEqual([0, 0, 1, 0]);
    const single = new Spy(new ConsoleDevice({ onOutput: () => {} }));
    ok(VirtIOConsole.create(single.hal, single.transport()));
    expect(single.chains.some(({ queue }) => queue > 1)).toBe(false);
  }),
  row("console-open", "5.3.6.2.2", "MUST", "a CONSOLE_PORT message is answered by PORT_OPEN with value 1", () => {
    const { sent } = watchPorts();
    for (const port of [0, 1]) expect(sent).toContainEqual([port, 0, 0, 0, 6, 0, 1, 0]);
  }),
  row("console-port-ready", "5.3.5", "SHOULD", "every port that was added is answered by PORT_READY", () => {
    const { sent } = watchPorts();
    for (const port of [0, 1]) expect(sent).toContainEqual([port, 0, 0, 0, 3, 0, 1, 0]);
  }),
];

interface WatchedNet {
  readonly spy: Spy;
  readonly device: NetDevice;
  readonly net: VirtIONet;
  /** Frames that were sent, each with its header. */
  frames(): Uint8Array[];
}

/** `without`: features of word 0 that the device does not offer. */
function watchNet(options: Partial<NetDeviceOptions> = {}, without: number = 0): WatchedNet {
  const device = new NetDevice({ backend: { send: () => {} }, mac: MAC, ...options });
  const spy = new Spy(device);
  spy.filter = (access) =>
    access.offset === 0x10 && (access.value & (1 << 5)) !== 0 ? access.value & ~without : access.value;
  const net = ok(VirtIONet.create(spy.hal, spy.transport()));
  const frames = (): Uint8Array[] =>
    spy.chains
      .filter(({ queue }) => queue === 1)
      .map(({ segments }) => {
        const pieces = segments.flatMap(({ paddr, length }) => [
          ...spy.ram.subarray(paddr - RAM_BASE, paddr - RAM_BASE + length),
        ]);
        return Uint8Array.from(pieces);
      });
  return { spy, device, net, frames };
}

/** Sends frames of several lengths. */
function sendSome({ net }: WatchedNet): void {
  for (const length of [14, 60, 1000, 1514]) expect(net.send(pattern(length, 3))).toBe(0);
}

// biome-ignore format: a table
export const NET: readonly Requirement[] = [
  row("net-config", "5.1.4.2", "MUST NOT", "no configuration field is written", () => {
    const watched = watchNet();
    sendSome(watched);
    watched.net.macAddress();
    watched.net.setMacAddress(MAC);
    expect(watched.spy.accesses.some(({ isWrite, offset }) => isWrite && offset >= 0x100)).toBe(false);
  }),
  row("net-mac", "5.1.4.2", "MUST", "with MAC the address is the one in the configuration", () => {
    expect(watchNet().net.macAddress()).toEqual(MAC);
    expect(watchNet({}, 1 << 5).net.macAddress()).toEqual(ERR_UNSUPPORTED);
  }),
  row("net-mtu", "5.1.4.2", "MUST", "there are buffers for a frame of MTU size, and none larger is sent", () => {
    for (const mergeable of [true, false]) {
      for (const mtu of [68, 1500, 9000]) {
        const { net, device } = watchNet({ mtu, mergeable });
        expect(device.receive(new Uint8Array(mtu + 14))).toBe(true);
        expect(net.receive(new Uint8Array(10_000))).toBe(mtu + 14);
        expect([net.send(new Uint8Array(mtu + 14)), net.send(new Uint8Array(mtu + 15))]).toEqual([0, ERR_INVALID_PARAM]);
      }
    }
  }),
  row("net-header", "5.1.6.2.1", "MUST", "the header has 12 bytes in both directions, and num_buffers is 0 in what is sent", () => {
    for (const mergeable of [true, false]) {
      const watched = watchNet({ mergeable });
      sendSome(watched);
      for (const [i, length] of [14, 60, 1000, 1514].entries()) {
        const frame = watched.frames()[i];
        expect([frame.length, frame[10], frame[11]]).toEqual([12 + length, 0, 0]);
        expect(frame.subarray(12)).toEqual(pattern(length, 3));
      }
      watched.device.receive(pattern(60, 7));
      const target = new Uint8Array(60);
      expect([watched.net.receive(target), target]).toEqual([60, pattern(60, 7)]);
    }
  }),
  row("net-flags", "5.1.6.2.1", "MUST", "without CSUM the flags are 0", () => {
    const watched = watchNet();
    expect(watched.spy.written(spec.MMIO_DRIVER_FEATURES)[0] & 1).toBe(0);
    sendSome(watched);
    for (const frame of watched.frames()) expect(frame[0]).toBe(0);
  }),
  row("net-no-gso", "5.1.6.2.1", "MUST NOT", "no segmentation is asked for: gso_type is NONE", () => {
    const watched = watchNet();
    sendSome(watched);
    for (const frame of watched.frames()) expect(Array.from(frame.subarray(1, 10))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  }),
  row("net-buffer-size", "5.1.6.3.1", "MUST", "a receive buffer is never smaller than a header", () => {
    for (const mergeable of [true, false]) {
      const received = watchNet({ mergeable }).spy.chains.filter(({ queue }) => queue === 0);
      expect(received.length).toBe(64);
      for (const { segments } of received) expect(segments.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(1526);
    }
  }),
  row("net-header-trust", "5.1.6.4.2", "MUST", "flags, csum_start and hdr_len of a received header are not relied on, nor a frame's checksum", () => {
    const { spy, device, net } = watchNet({ mergeable: false });
    device.receive(pattern(100, 5));
    const first = spy.chains.find(({ queue }) => queue === 0)!.segments[0].paddr - RAM_BASE;
    spy.ram.fill(0xff, first, first + 12); // every field, num_buffers too
    const target = new Uint8Array(100);
    expect([net.receive(target), target]).toEqual([100, pattern(100, 5)]);
  }),
  row("net-control-features", "5.1.6.5.1.2", "MUST NOT", "no command is sent whose feature was not negotiated", () => {
    const commands = (net: VirtIONet): number[] => [net.setReceiveMode("promiscuous", true), net.setReceiveMode("noUnicast", true), net.setMacAddress(MAC), net.setMacTables([], []), net.setVlan(1, true)];
    const none = watchNet({}, CTRL_FEATURES);
    expect(commands(none.net)).toEqual([1, 2, 3, 4, 5].map(() => ERR_UNSUPPORTED));
    const noRx = watchNet({}, 1 << 18);
    expect(commands(noRx.net)).toEqual([ERR_UNSUPPORTED, 0, ERR_UNSUPPORTED, ERR_UNSUPPORTED, 0]);
    const noExtra = watchNet({}, 1 << 20);
    expect(commands(noExtra.net)).toEqual([0, ERR_UNSUPPORTED, 0, 0, 0]);
    for (const { spy } of [none]) expect(spy.chains.some(({ queue }) => queue === 2)).toBe(false);
  }),
  row("net-mac-table", "5.1.6.5.2.2", "MUST", "MAC_TABLE_SET carries two counted tables, unicast first", () => {
    const { spy, net } = watchNet();
    expect(net.setMacTables([MAC], [Uint8Array.of(1, 0, 0x5e, 0, 0, 1), Uint8Array.of(1, 0, 0x5e, 0, 0, 2)])).toBe(0);
    const { bytes } = spy.chains.find(({ queue }) => queue === 2)!;
    expect(bytes).toEqual([1, 0, 1, 0, 0, 0, ...MAC, 2, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1, 1, 0, 0x5e, 0, 0, 2]);
  }),
];
