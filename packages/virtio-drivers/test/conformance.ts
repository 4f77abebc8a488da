/**
 * What the virtio specification (1.2 and the 1.4 draft) requires of a driver, as a table: one row a requirement, each
 * with the check that proves it of the drivers here. The device's half is in virt-devices. The sentences are ours;
 * `section` says where the specification's own words are.
 */
import { BlockDevice, ConsoleDevice, EntropyDevice } from "virt-devices";
import { expect } from "vitest";
import {
  ERR_DEVICE_FAULT,
  ERR_FEATURES_REFUSED,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NO_DEVICE,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  MmioTransport,
  VirtIOBlk,
  type VirtIOBlkOptions,
  VirtIOConsole,
  VirtIORng,
} from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { ok, TestDisk } from "./rig.ts";
import { type SeenChain, Spy } from "./spy.ts";

export interface Requirement {
  /** Unique in this table; `must-count.ts` refers to it. */
  readonly id: string;
  readonly section: string;
  readonly strength: "MUST" | "MUST NOT" | "SHOULD" | "SHOULD NOT";
  readonly requirement: string;
  readonly check: () => void;
}

export const row = (
  id: string,
  section: string,
  strength: Requirement["strength"],
  requirement: string,
  check: () => void,
): Requirement => ({ id, section, strength, requirement, check });

export interface Watched {
  readonly spy: Spy;
  readonly disk: TestDisk;
  readonly blk: VirtIOBlk;
}

export function watchBlk(
  mmio: object = {},
  driver: VirtIOBlkOptions = {},
  disk: TestDisk = new TestDisk(4096),
): Watched {
  const spy = new Spy(new BlockDevice({ backend: disk }), mmio);
  return { spy, disk, blk: ok(VirtIOBlk.create(spy.hal, spy.transport(), driver)) };
}

/** A driver that has done a bit of everything, on a device with or without the optional ring features. */
export function busy(mmio: object = {}): Watched {
  const watched = watchBlk(mmio);
  const { blk } = watched;
  blk.readBlocks(0, new Uint8Array(512));
  blk.writeBlocks(3, new Uint8Array(8192));
  blk.readBlocks(5, new Uint8Array(300 * 1024));
  blk.flush();
  blk.discard(8, 8);
  blk.writeZeroes(8, 8);
  blk.deviceId();
  const tokens = [1, 2, 3].map((id) => blk.readBlocksNb(id, new Uint8Array(512)));
  for (const token of tokens.reverse()) blk.completeReadBlocks(token);
  blk.enableInterrupts();
  blk.completeReadBlocks(blk.readBlocksNb(1, new Uint8Array(1024)));
  blk.handleInterrupt();
  blk.disableInterrupts();
  return watched;
}

const VARIANTS: readonly object[] = [
  {},
  { indirect: false },
  { eventIdx: false },
  { indirect: false, eventIdx: false },
];
const requestType = (chain: SeenChain): number => chain.bytes[0];
export const ofType = (spy: Spy, type: number): SeenChain[] =>
  spy.chains.filter((chain) => requestType(chain) === type);

const READABLE = new Set([0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x44, 0x60, 0x70, 0xfc]);
const WRITABLE = new Set([0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4]);

/** A block driver on a device whose reads `filter` changes. Returns what `create` said. */
export function createFiltered(filter: Spy["filter"]): { spy: Spy; result: unknown } {
  const spy = new Spy(new BlockDevice({ backend: new TestDisk(64) }));
  spy.filter = filter;
  const transport = MmioTransport.create(spy.region);
  return { spy, result: typeof transport === "number" ? transport : VirtIOBlk.create(spy.hal, transport) };
}

// biome-ignore format: a table
export const MMIO: readonly Requirement[] = [
  row("mmio-described-registers", "4.2.2.2", "MUST NOT", "no register outside the table is accessed", () => {
    for (const { isWrite, offset } of busy().spy.accesses) if (offset < 0x100) expect(READABLE.has(offset) || (isWrite && WRITABLE.has(offset))).toBe(true);
  }),
  row("mmio-read-only", "4.2.2.2", "MUST NOT", "read-only registers are not written", () => {
    for (const { isWrite, offset } of busy().spy.accesses) if (isWrite && offset < 0x100) expect(WRITABLE).toContain(offset);
  }),
  row("mmio-write-only", "4.2.2.2", "MUST NOT", "write-only registers are not read", () => {
    for (const { isWrite, offset } of busy().spy.accesses) if (!isWrite && offset < 0x100) expect(READABLE).toContain(offset);
  }),
  row("mmio-width", "4.2.2.2", "MUST", "control registers are accessed with aligned 32-bit accesses", () => {
    for (const { offset, byteLength } of busy().spy.accesses) if (offset < 0x100) expect([byteLength, offset % 4]).toEqual([4, 0]);
  }),
  row("mmio-config-width", "4.2.2.2", "MUST", "configuration fields are accessed with their own width, 64-bit ones as 32-bit words", () => {
    const widths: Record<number, number> = { 0: 4, 4: 4, 8: 4, 12: 4, 16: 2, 18: 1, 19: 1, 20: 4, 24: 1, 25: 1, 26: 2, 28: 4, 32: 1, 34: 2, 36: 4, 44: 4, 48: 4, 60: 4 };
    for (const { offset, byteLength } of busy().spy.accesses) if (offset >= 0x100) expect(byteLength).toBe(widths[offset - 0x100]);
    const spy = new Spy(new ConsoleDevice({ onOutput: () => {} }));
    ok(VirtIOConsole.create(spy.hal, spy.transport())).size();
    expect(spy.accesses.filter((access) => access.offset >= 0x100).map((access) => [access.offset, access.byteLength])).toEqual([[0x100, 2], [0x102, 2]]);
  }),
  row("mmio-magic", "4.2.2.2", "MUST", "a device with another magic is ignored", () => {
    expect(createFiltered((access) => (access.offset === 0 ? 0x7472_6977 : access.value)).result).toBe(ERR_NO_DEVICE);
  }),
  row("mmio-version", "4.2.2.2", "MUST", "a device of another version is ignored (version 1 unless asked for)", () => {
    for (const version of [0, 1, 3]) expect(createFiltered((access) => (access.offset === 4 ? version : access.value)).result).toBe(ERR_NO_DEVICE);
  }),
  row("mmio-placeholder", "4.2.2.2", "MUST", "a device with DeviceID 0 is ignored without an error, and no other register is accessed", () => {
    const { spy, result } = createFiltered((access) => (access.offset === 8 ? 0 : access.value));
    expect([result, spy.accesses.map((access) => access.offset)]).toEqual([ERR_NO_DEVICE, [0, 4, 8]]);
  }),
  row("mmio-start", "4.2.3.1.1", "MUST", "initialisation starts with MagicValue and Version, then DeviceID, and goes on as for every transport", () => {
    expect(busy().spy.accesses.slice(0, 3).map((access) => access.offset)).toEqual([0, 4, 8]);
  }),
  row("mmio-device-features-sel", "4.2.2.2", "MUST", "DeviceFeaturesSel is written before DeviceFeatures is read", () => {
    const { accesses } = busy().spy;
    accesses.forEach((access, i) => {
      if (!access.isWrite && access.offset === 0x10) expect([accesses[i - 1].isWrite, accesses[i - 1].offset]).toEqual([true, 0x14]);
    });
  }),
  row("mmio-driver-features-sel", "4.2.2.2", "MUST", "DriverFeaturesSel is written before DriverFeatures", () => {
    const { accesses } = busy().spy;
    accesses.forEach((access, i) => {
      if (access.isWrite && access.offset === 0x20) expect([accesses[i - 1].isWrite, accesses[i - 1].offset]).toEqual([true, 0x24]);
    });
  }),
  row("mmio-queue-size", "4.2.2.2", "MUST", "the queue size written does not exceed the maximum, whatever that is", () => {
    for (const max of [4, 7, 16, 100, 128]) {
      const { spy, result } = createFiltered((access) => (access.offset === 0x34 ? max : access.value));
      ok(result);
      const size = spy.written(spec.MMIO_QUEUE_SIZE)[0];
      expect(size).toBeLessThanOrEqual(max);
      expect(Math.log2(size) % 1).toBe(0);
    }
  }),
  row("mmio-ready-untouched", "4.2.2.2", "MUST NOT", "size and addresses of a queue are not accessed while it is ready", () => {
    const { accesses } = busy().spy;
    const ready = accesses.findIndex((access) => access.isWrite && access.offset === 0x44 && access.value === 1);
    const later = accesses.slice(ready + 1).map((access) => access.offset);
    for (const offset of [0x38, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4]) expect(later).not.toContain(offset);
  }),
  row("mmio-queue-stop", "4.2.2.2", "MUST", "to stop a queue 0 is written to QueueReady and read back", () => {
    const { spy } = watchBlk();
    spy.accesses.length = 0;
    spy.transport().queueUnset(0);
    expect(spy.accesses.slice(-3).map((access) => [access.isWrite, access.offset, access.value])).toEqual([[true, 0x30, 0], [true, 0x44, 0], [false, 0x44, 0]]);
  }),
  row("mmio-isr-undefined", "4.2.2.2", "MUST", "undefined bits of InterruptStatus are ignored", () => {
    const { spy, blk } = watchBlk();
    spy.filter = (access) => (access.offset === 0x60 ? 0xffff_fff0 : access.value);
    expect(blk.handleInterrupt()).toBe(0);
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
  }),
  row("mmio-ack", "4.2.2.2", "MUST", "handled events are acknowledged, undefined bits never", () => {
    const { spy, blk } = watchBlk();
    spy.filter = (access) => (access.offset === 0x60 ? 0xffff_ffff : access.value);
    blk.handleInterrupt();
    expect(spy.written(0x64)).toEqual([3]);
  }),
  row("mmio-isr-read", "4.2.3.4.1", "MUST", "an interrupt is looked up in InterruptStatus and acknowledged", () => {
    const { spy, blk } = watchBlk();
    blk.enableInterrupts();
    blk.readBlocksNb(0, new Uint8Array(512));
    spy.accesses.length = 0;
    expect([blk.handleInterrupt(), spy.irq]).toEqual([1, false]);
    expect(spy.accesses.slice(0, 2).map((access) => [access.isWrite, access.offset, access.value])).toEqual([[false, 0x60, 1], [true, 0x64, 1]]);
  }),
  row("mmio-no-shm", "4.2.3.1.1", "MUST NOT", "shared memory registers are not used", () => {
    for (const { offset } of busy().spy.accesses) expect(offset >= 0xac && offset <= 0xbc).toBe(false);
  }),
];

// biome-ignore format: a table
export const CORE: readonly Requirement[] = [
  row("init-sequence", "3.1.1", "MUST", "reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK and its read-back, set-up, DRIVER_OK, in this order", () => {
    const { spy } = watchBlk();
    expect(spy.written(spec.MMIO_STATUS)).toEqual([0, 1, 3, 11, 15]);
    const order = [
      spy.firstAccess(true, spec.MMIO_STATUS, 0), spy.firstAccess(true, spec.MMIO_STATUS, 1), spy.firstAccess(true, spec.MMIO_STATUS, 3),
      spy.firstAccess(false, spec.MMIO_DEVICE_FEATURES), spy.firstAccess(true, spec.MMIO_DRIVER_FEATURES), spy.firstAccess(true, spec.MMIO_STATUS, 11),
      spy.accesses.findIndex((access, i) => i > spy.firstAccess(true, spec.MMIO_STATUS, 11) && !access.isWrite && access.offset === spec.MMIO_STATUS),
      spy.firstAccess(true, spec.MMIO_QUEUE_READY, 1), spy.firstAccess(true, spec.MMIO_STATUS, 15),
    ];
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order).not.toContain(-1);
  }),
  row("status-not-cleared", "2.1.1", "MUST NOT", "status bits are only added, except by a reset", () => {
    const { spy, blk } = busy();
    blk.release();
    let status = 0;
    for (const value of spy.written(spec.MMIO_STATUS)) {
      if (value !== 0) expect(value & status).toBe(status);
      status = value;
    }
  }),
  row("status-failed", "2.1.1", "MUST", "a driver that gives up sets FAILED, and goes no further", () => {
    const { spy, result } = createFiltered((access) => (access.offset === spec.MMIO_STATUS ? access.value & ~8 : access.value));
    expect(result).toBe(ERR_FEATURES_REFUSED);
    expect(spy.written(spec.MMIO_STATUS).at(-1)! & 128).toBe(128);
    expect(spy.written(spec.MMIO_QUEUE_READY)).toEqual([]);
  }),
  row("status-reset-first", "2.1.1", "MUST", "a device that has FAILED set is reset before it is used again", () => {
    const { spy } = watchBlk();
    spy.transport().setStatus(143);
    ok(VirtIOBlk.create(spy.hal, spy.transport())).readBlocks(0, new Uint8Array(512));
    expect(spy.written(spec.MMIO_STATUS)).toEqual([0, 1, 3, 11, 15, 143, 0, 1, 3, 11, 15]);
  }),
  row("status-reset-wait", "2.4.2", "SHOULD", "a reset is complete when the status reads 0", () => {
    let busyReads = 3;
    const { spy, result } = createFiltered((access) => (access.offset === spec.MMIO_STATUS && busyReads-- > 0 ? 1 : access.value));
    ok(result);
    expect(spy.accesses.slice(4, 10).map((access) => [access.isWrite, access.offset])).toEqual([[true, 0x70], [false, 0x70], [false, 0x70], [false, 0x70], [false, 0x70], [true, 0x70]]);
  }),
  row("features-subset", "2.2.1", "MUST NOT", "no feature is accepted that was not offered", () => {
    for (const offered of [0, 1 << 9, 1 << 28, 0x2000_0246]) {
      const { spy } = createFiltered((access) => (access.offset === 0x10 && spy0(access) ? offered & access.value : access.value));
      expect(spy.written(spec.MMIO_DRIVER_FEATURES)[0] & ~offered).toBe(0);
    }
  }),
  row("features-version-1", "6.1", "MUST", "VIRTIO_F_VERSION_1 is accepted when offered; without it the driver stops", () => {
    expect(watchBlk().spy.written(spec.MMIO_DRIVER_FEATURES)[1] & 1).toBe(1);
    const { spy, result } = createFiltered((access) => (access.offset === 0x10 && !spy0(access) ? 0 : access.value));
    expect([result, spy.written(spec.MMIO_STATUS).at(-1)! & 128]).toEqual([ERR_UNSUPPORTED, 128]);
  }),
  row("features-fixed", "3.1.1", "MUST NOT", "no features are written after FEATURES_OK", () => {
    const { spy } = busy();
    const after = spy.accesses.slice(spy.firstAccess(true, spec.MMIO_STATUS, 11) + 1);
    expect(after.some((access) => access.isWrite && access.offset === spec.MMIO_DRIVER_FEATURES)).toBe(false);
  }),
  row("config-no-early-write", "3.1.1", "MUST NOT", "configuration fields are not written during feature negotiation", () => {
    const { spy } = busy();
    expect(spy.accesses.some((access) => access.isWrite && access.offset >= 0x100)).toBe(false);
  }),
  row("notify-after-driver-ok", "3.1.1", "MUST NOT", "no available buffer notification is sent before DRIVER_OK", () => {
    for (const create of [VirtIOBlk, VirtIOConsole, VirtIORng]) {
      const spy = new Spy(create === VirtIOBlk ? new BlockDevice({ backend: new TestDisk(8) }) : create === VirtIOConsole ? new ConsoleDevice({ onOutput: () => {} }) : new EntropyDevice({ fillRandom: () => {} }));
      ok<unknown>(create.create(spy.hal, spy.transport()));
      const first = spy.firstAccess(true, spec.MMIO_QUEUE_NOTIFY);
      if (first >= 0) expect(first).toBeGreaterThan(spy.firstAccess(true, spec.MMIO_STATUS, 15));
    }
  }),
  row("config-atomic", "2.5.1", "MUST NOT", "64-bit and multiple fields are not assumed to be read atomically", () => {
    const { spy } = watchBlk();
    const capacity = spy.firstAccess(false, 0x100);
    expect(spy.accesses.slice(capacity - 1, capacity + 3).map((access) => access.offset)).toEqual([0xfc, 0x100, 0x104, 0xfc]);
  }),
  row("config-optional", "2.5.1", "MUST", "an optional field is read only if its feature was offered", () => {
    const { spy } = createFiltered((access) => (access.offset === 0x10 && spy0(access) ? 0 : access.value));
    expect(new Set(spy.accesses.filter((access) => access.offset >= 0x100).map((access) => access.offset))).toEqual(new Set([0x100, 0x104]));
  }),
  row("config-size", "2.5.1", "MUST NOT", "a larger configuration space is accepted; only one too small is not", () => {
    for (const size of [0x104, 0x108, 0x200, 0x1_0000]) {
      const spy = new Spy(new BlockDevice({ backend: new TestDisk(8) }));
      const result = VirtIOBlk.create(spy.hal, ok(MmioTransport.create(spy.region, { byteLength: size })));
      expect(typeof result).toBe(size === 0x104 ? "number" : "object");
    }
  }),
  row("needs-reset", "2.1.1", "SHOULD NOT", "completions are not relied on once DEVICE_NEEDS_RESET is set; the device is reset", () => {
    const { spy, blk } = watchBlk({}, { maxPolls: 10_000 });
    spy.onNotify = () => {};
    spy.filter = (access) => (access.offset === spec.MMIO_STATUS ? access.value | 64 : access.value);
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_DEVICE_FAULT);
    expect(spy.written(spec.MMIO_STATUS).at(-1)).toBe(0);
  }),
  row("cleanup", "3.3.1", "MUST", "a queue is made dead by a reset before buffers still exposed are taken back", () => {
    const { spy, blk } = watchBlk({}, { maxPolls: 100 });
    spy.onNotify = () => {};
    const buffer = spy.ram.subarray(0x10_0000, 0x10_0200);
    expect(blk.readBlocks(0, buffer)).toBe(ERR_TIMED_OUT);
    expect(spy.device.read(spec.MMIO_STATUS, 4)).toBe(0);
  }),
];

/** Is this read of DeviceFeatures of word 0? The block device's word 0 has bit 6 (BLK_SIZE) set, word 1 has not. */
export function spy0(access: { readonly value: number }): boolean {
  return (access.value & 0x40) !== 0;
}

// biome-ignore format: a table
export const SPLIT_RING: readonly Requirement[] = [
  row("ring-alignment", "2.7.2", "MUST", "the areas of a queue are aligned to 16, 2 and 4 bytes", () => {
    for (const queueSize of [4, 8, 128, 512]) {
      const { spy } = watchBlk({}, { queueSize });
      const { desc, avail, used } = spy.queues[0];
      expect([desc % 16, avail % 2, used % 4]).toEqual([0, 0, 0]);
    }
  }),
  row("ring-order", "2.7.4.2", "MUST", "writable buffers come after readable ones", () => {
    for (const variant of VARIANTS) {
      for (const { segments } of busy(variant).spy.chains) {
        const firstWritable = segments.findIndex((segment) => segment.writable);
        expect(segments.slice(firstWritable).every((segment) => segment.writable)).toBe(true);
      }
    }
  }),
  row("ring-total", "2.7.5.2", "MUST NOT", "a chain has at most 2^32 bytes, and no loop", () => {
    for (const { segments } of busy().spy.chains) {
      expect(segments.length).toBeLessThan(200);
      expect(segments.reduce((sum, segment) => sum + segment.length, 0)).toBeLessThan(2 ** 32);
    }
  }),
  row("ring-no-indirect", "2.7.5.3.1", "MUST NOT", "indirect descriptors are not used without their feature", () => {
    for (const { flags } of busy({ indirect: false }).spy.chains) for (const [flag] of flags) expect(flag & spec.DESC_F_INDIRECT).toBe(0);
    expect(busy().spy.chains.some(({ flags }) => (flags[0][0] & spec.DESC_F_INDIRECT) !== 0)).toBe(true);
  }),
  row("ring-no-nested-indirect", "2.7.5.3.1", "MUST NOT", "an indirect table holds no indirect descriptor", () => {
    for (const { flags } of busy().spy.chains) for (const [flag, isInside] of flags) if (isInside) expect(flag & spec.DESC_F_INDIRECT).toBe(0);
  }),
  row("ring-chain-length", "2.7.5.3.1", "MUST NOT", "no chain is longer than the queue, indirect ones included", () => {
    for (const queueSize of [4, 8, 16, 64]) {
      for (const variant of VARIANTS) {
        const { spy, blk } = watchBlk(variant, { queueSize });
        expect(blk.readBlocks(0, new Uint8Array(256 * 1024))).toBe(0);
        for (const { segments } of spy.chains) expect(segments.length).toBeLessThanOrEqual(queueSize);
      }
    }
  }),
  row("ring-indirect-next", "2.7.5.3.1", "MUST NOT", "INDIRECT and NEXT are not set together", () => {
    for (const { flags } of busy().spy.chains) for (const [flag] of flags) expect(flag & 5).not.toBe(5);
  }),
  row("ring-avail-idx", "2.7.6.1", "MUST NOT", "the available index is never decremented", () => {
    const { spy, blk } = watchBlk();
    let last = 0;
    spy.onNotify = (_, pass) => {
      const idx = spy.view.getUint16(spy.queues[0].avail + 2, true);
      expect((idx - last) & 0xffff).toBe(1);
      last = idx;
      pass();
    };
    for (let i = 0; i < 66_000; i++) blk.flush();
    expect(last).toBe(66_000 & 0xffff);
  }),
  row("ring-flags", "2.7.7.1", "MUST", "without EVENT_IDX the flags of the available ring are 0 or 1", () => {
    const { spy, blk } = busy({ eventIdx: false });
    expect(spy.view.getUint16(spy.queues[0].avail, true)).toBe(1);
    blk.enableInterrupts();
    expect(spy.view.getUint16(spy.queues[0].avail, true)).toBe(0);
  }),
  row("ring-flags-event", "2.7.7.1", "MUST", "with EVENT_IDX the flags of the available ring are 0", () => {
    const { spy, blk } = busy();
    for (const set of [blk.enableInterrupts, blk.disableInterrupts]) {
      set.call(blk);
      expect(spy.view.getUint16(spy.queues[0].avail, true)).toBe(0);
    }
  }),
  row("ring-spurious", "2.7.7.1", "MUST", "spurious interrupts are harmless", () => {
    const { blk } = watchBlk();
    for (let i = 0; i < 10; i++) expect(blk.handleInterrupt()).toBe(0);
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
  }),
  row("ring-used-len", "2.7.8.3", "MUST NOT", "data beyond the used length is not believed", () => {
    const { spy, blk } = watchBlk();
    spy.onNotify = (_, pass) => {
      pass();
      const { used, size } = spy.queues[0];
      const last = (spy.view.getUint16(used + 2, true) - 1) & (size - 1);
      spy.view.setUint32(used + 4 + 8 * last + 4, 512, true); // one byte short of the status
    };
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_IO);
  }),
  row("ring-used-flags-zero", "2.7.10.1", "MUST", "the flags of the used ring are 0 at the start, even in memory used before", () => {
    const spy = new Spy(new BlockDevice({ backend: new TestDisk(8) }));
    spy.ram.fill(0xff);
    ok(VirtIOBlk.create(spy.hal, spy.transport()));
    expect(spy.view.getUint16(spy.queues[0].used, true)).toBe(0);
  }),
  row("ring-ignore-avail-event", "2.7.10.1", "MUST", "without EVENT_IDX avail_event is ignored", () => {
    const { spy, blk } = watchBlk({ eventIdx: false });
    spy.view.setUint16(spy.queues[0].used + 4 + 8 * spy.queues[0].size, 1000, true);
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
    expect(spy.notifications).toBe(1);
  }),
  row("ring-notify", "2.7.10.1", "MUST", "without EVENT_IDX and with flags 0 each new chain is notified", () => {
    const { spy, blk } = watchBlk({ eventIdx: false });
    for (let i = 1; i <= 5; i++) {
      blk.readBlocks(0, new Uint8Array(512));
      expect(spy.notifications).toBe(i);
    }
  }),
  row("ring-no-notify", "2.7.10.1", "SHOULD NOT", "without EVENT_IDX and with flags 1 nothing is notified", () => {
    const { spy, blk } = watchBlk({ eventIdx: false });
    spy.view.setUint16(spy.queues[0].used, 1, true);
    blk.readBlocksNb(0, new Uint8Array(512));
    expect(spy.notifications).toBe(0);
  }),
  row("ring-event-ignores-flags", "2.7.10.1", "MUST", "with EVENT_IDX bit 0 of the used ring's flags is ignored", () => {
    const { spy, blk } = watchBlk();
    spy.view.setUint16(spy.queues[0].used, 1, true);
    expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
    expect(spy.notifications).toBe(1);
  }),
  row("ring-event-notify", "2.7.10.1", "MUST", "with EVENT_IDX the chain at index avail_event is notified, others are not", () => {
    const { spy, blk } = watchBlk();
    spy.view.setUint16(spy.queues[0].used + 4 + 8 * spy.queues[0].size, 2, true);
    const sent: number[] = [];
    for (let i = 0; i < 5; i++) {
      blk.readBlocksNb(0, new Uint8Array(512));
      sent.push(spy.notifications);
      if (i === 2) spy.view.setUint16(spy.queues[0].used + 4 + 8 * spy.queues[0].size, 2, true);
    }
    expect(sent).toEqual([0, 0, 1, 1, 1]);
  }),
  row("ring-exposed", "3.3.1", "MUST NOT", "descriptors of chains in flight are not altered", () => {
    const { spy, blk } = watchBlk({ indirect: false });
    spy.onNotify = () => {};
    const { desc } = spy.queues[0];
    blk.readBlocksNb(0, new Uint8Array(512));
    const before = spy.ram.slice(desc, desc + 48);
    for (let i = 0; i < 30; i++) blk.readBlocksNb(i, new Uint8Array(512));
    expect(spy.ram.subarray(desc, desc + 48)).toEqual(before);
  }),
];

// biome-ignore format: a table
export const DEVICES: readonly Requirement[] = [
  row("blk-writeback-early", "5.2.5.1", "MUST NOT", "writeback is not read before FEATURES_OK", () => {
    expect(busy().spy.accesses.some((access) => access.offset === 0x100 + 32)).toBe(false);
  }),
  row("blk-capacity", "5.2.6.1", "MUST NOT", "no request beyond the capacity is submitted", () => {
    const { spy, blk } = watchBlk();
    const results = [blk.readBlocks(4096, new Uint8Array(512)), blk.writeBlocks(4090, new Uint8Array(4096)), blk.readBlocksNb(4096, new Uint8Array(512)), blk.discard(4096, 1), blk.writeZeroes(0, 4097), blk.readBlocks(0, new Uint8Array(4097 * 512))];
    expect(results).toEqual(results.map(() => ERR_INVALID_PARAM));
    expect(spy.chains).toEqual([]);
  }),
  row("blk-flush-sector", "5.2.6.1", "MUST", "a flush has sector 0 and no data", () => {
    const [flush] = ofType(busy().spy, 4);
    expect(flush.bytes.slice(8, 16)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(flush.segments.map((segment) => segment.length)).toEqual([16, 1]);
  }),
  row("blk-data-length", "5.2.6.1", "MUST", "the data of reads and writes is a multiple of 512 bytes", () => {
    const { spy, blk } = busy();
    expect([blk.readBlocks(0, new Uint8Array(513)), blk.writeBlocksNb(0, new Uint8Array(511))]).toEqual([ERR_INVALID_PARAM, ERR_INVALID_PARAM]);
    for (const chain of spy.chains.filter((each) => requestType(each) <= 1)) {
      expect((chain.segments.reduce((sum, segment) => sum + segment.length, 0) - 17) % 512).toBe(0);
    }
  }),
  row("blk-range-length", "5.2.6.1", "MUST", "the data of discard and write zeroes is a multiple of 16 bytes", () => {
    const { spy } = busy();
    for (const type of [11, 13]) expect(ofType(spy, type)[0].segments.map((segment) => [segment.length, segment.writable])).toEqual([[16, false], [16, false], [1, true]]);
  }),
  row("blk-id-length", "5.2.6.1", "MUST", "the data of GET_ID is 20 bytes", () => {
    expect(ofType(busy().spy, 8)[0].segments.map((segment) => segment.length)).toEqual([16, 20, 1]);
  }),
  row("blk-range-segments", "5.2.6.1", "MUST NOT", "discard, secure erase and write zeroes have at most as many ranges as the device takes, each within its limit", () => {
    const disk = Object.assign(new TestDisk(200_000), { secureErase: () => 0 });
    const { spy, blk } = watchBlk({}, {}, disk);
    expect([blk.discard(0, 150_000), blk.secureErase(0, 150_000), blk.writeZeroes(0, 150_000)]).toEqual([0, 0, 0]);
    for (const type of [11, 14, 13]) {
      const sectors = ofType(spy, type).map(({ bytes }) => bytes[24] + bytes[25] * 256 + bytes[26] * 65_536);
      expect(sectors).toEqual([65_536, 65_536, 18_928]);
    }
  }),
  row("blk-discard-unmap", "5.2.6.1", "MUST", "the unmap flag of a discard is 0", () => {
    expect(ofType(busy().spy, 11)[0].bytes.slice(28, 32)).toEqual([0, 0, 0, 0]);
  }),
  row("blk-no-zoned", "5.2.5.1", "MUST NOT", "ZONED is not negotiated, nor anything else the driver cannot do", () => {
    const features = createFiltered((access) => (access.offset === 0x10 && spy0(access) ? 0xffff_ffff : access.value)).spy.written(spec.MMIO_DRIVER_FEATURES)[0];
    expect(features >>> 0).toBe(0x3001_7e76);
  }),
  row("blk-read-only", "5.2.6.1", "SHOULD", "RO is accepted when offered, and no write is sent then", () => {
    const { spy, blk } = watchBlk({}, {}, new TestDisk(64, true));
    expect(spy.written(spec.MMIO_DRIVER_FEATURES)[0] & 0x20).toBe(0x20);
    blk.writeBlocks(0, new Uint8Array(512));
    blk.writeZeroes(0, 1);
    blk.discard(0, 1);
    expect(spy.chains).toEqual([]);
  }),
  row("blk-capacity-change", "5.2.6.1", "SHOULD", "the capacity is read again after a configuration change notification", () => {
    const disk = new TestDisk(64);
    const model = new BlockDevice({ backend: disk });
    const spy = new Spy(model);
    const blk = ok(VirtIOBlk.create(spy.hal, spy.transport()));
    Object.defineProperty(disk, "bytes", { value: new Uint8Array(32 * 512) });
    model.resized();
    blk.handleInterrupt();
    expect([blk.capacity(), blk.readBlocks(40, new Uint8Array(512))]).toEqual([32, ERR_INVALID_PARAM]);
  }),
  row("console-receive", "5.3.6.1", "MUST NOT", "no readable buffer is put into the receive queue", () => {
    const { spy, console } = watchConsole();
    console.read(new Uint8Array(10));
    const received = spy.chains.filter((chain) => chain.queue === 0);
    expect(received.length).toBe(8);
    for (const { segments } of received) expect(segments.every((segment) => segment.writable)).toBe(true);
  }),
  row("console-transmit", "5.3.6.1", "MUST NOT", "no writable buffer is put into the transmit queue", () => {
    const { spy, console } = watchConsole();
    console.write(new Uint8Array(5000));
    const sent = spy.chains.filter((chain) => chain.queue === 1);
    expect(sent.map(({ segments }) => segments.map((segment) => [segment.length, segment.writable]))).toEqual([[[4096, false]], [[904, false]]]);
  }),
  row("entropy-writable", "5.4.6.1", "MUST NOT", "no readable buffer is put into the entropy queue", () => {
    const spy = new Spy(new EntropyDevice({ fillRandom: (target) => target.fill(1) }));
    ok(VirtIORng.create(spy.hal, spy.transport())).fill(new Uint8Array(5000));
    for (const { segments } of spy.chains) expect(segments.every((segment) => segment.writable)).toBe(true);
  }),
  row("entropy-length", "5.4.6.1", "MUST", "the used length decides how many random bytes were received", () => {
    const spy = new Spy(new EntropyDevice({ fillRandom: (target) => target.fill(1) }));
    const rng = ok(VirtIORng.create(spy.hal, spy.transport()));
    spy.onNotify = (_, pass) => {
      pass();
      const { used, size } = spy.queues[0];
      spy.view.setUint32(used + 4 + 8 * ((spy.view.getUint16(used + 2, true) - 1) & (size - 1)) + 4, 3, true);
    };
    const target = new Uint8Array(8);
    expect([rng.requestEntropy(target), Array.from(target)]).toEqual([3, [1, 1, 1, 0, 0, 0, 0, 0]]);
  }),
];

export function watchConsole(): { spy: Spy; console: VirtIOConsole } {
  const spy = new Spy(new ConsoleDevice({ onOutput: () => {} }));
  return { spy, console: ok(VirtIOConsole.create(spy.hal, spy.transport())) };
}
