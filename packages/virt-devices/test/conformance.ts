/**
 * What the virtio specification (1.2 and the 1.4 draft) requires of a device, as a table: one row a requirement, each
 * with the check that proves it here. `must-count.ts` puts the tables together, `conformance.test.ts` runs every row; the driver's
 * half is in virtio-drivers. The sentences are ours; `section` says where the specification's own words are.
 */
import { expect } from "vitest";
import { BlockDevice, ConsoleDevice, EmptyVirtioSlot, EntropyDevice } from "../src/index.ts";
import * as blk from "../src/virtio/blk.ts";
import * as spec from "../src/virtio/spec.ts";
import { BUFFERS, MemoryDisk, RawDriver } from "./raw-driver.ts";

export type Strength = "MUST" | "MUST NOT" | "SHOULD" | "SHOULD NOT" | "layout";

export interface Requirement {
  readonly id: string;
  /** Chapter of the specification. */
  readonly section: string;
  readonly strength: Strength;
  readonly requirement: string;
  readonly check: () => void;
}

export const row = (
  id: string,
  section: string,
  strength: Strength,
  requirement: string,
  check: () => void,
): Requirement => ({
  id,
  section,
  strength,
  requirement,
  check,
});

const blkDriver = (disk: MemoryDisk = new MemoryDisk(), options: object = {}): RawDriver =>
  new RawDriver(new BlockDevice({ backend: disk, serial: "0123456789abcdefghij", ...options }));
const readOne = (driver: RawDriver): number => driver.blk(blk.BLK_T_IN, 0, 512, true);
const DATA = BUFFERS + 0x1000;

// biome-ignore format: a table
export const MMIO: readonly Requirement[] = [
  row("mmio-magic", "4.2.2.1", "MUST", "MagicValue reads 0x74726976", () => {
    expect(blkDriver().read(spec.MMIO_MAGIC_VALUE)).toBe(0x7472_6976);
  }),
  row("mmio-version", "4.2.2.1", "MUST", "Version reads 2", () => {
    expect(blkDriver().read(spec.MMIO_VERSION)).toBe(2);
  }),
  row("mmio-isr-until-ack", "4.2.2.1", "MUST", "an event stays in InterruptStatus until its bit is acknowledged", () => {
    const driver = blkDriver().start();
    readOne(driver);
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS), driver.read(spec.MMIO_INTERRUPT_STATUS)]).toEqual([1, 1]);
    driver.write(spec.MMIO_INTERRUPT_ACK, 2);
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS), driver.irq]).toEqual([1, true]);
    driver.write(spec.MMIO_INTERRUPT_ACK, 1);
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS), driver.irq]).toEqual([0, false]);
  }),
  row("mmio-isr-other-bits", "4.2.2.1", "MUST", "InterruptStatus bits without an event are zero", () => {
    const driver = blkDriver();
    expect(driver.read(spec.MMIO_INTERRUPT_STATUS)).toBe(0);
    driver.start();
    readOne(driver);
    expect(driver.read(spec.MMIO_INTERRUPT_STATUS)).toBe(1);
  }),
  row("mmio-reset-isr", "4.2.2.1", "MUST", "a reset clears InterruptStatus", () => {
    const driver = blkDriver().start();
    readOne(driver);
    driver.write(spec.MMIO_STATUS, 0);
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS), driver.irq]).toEqual([0, false]);
  }),
  row("mmio-reset-ready", "4.2.2.1", "MUST", "a reset clears QueueReady of every queue", () => {
    const driver = blkDriver(new MemoryDisk(), { queueCount: 4 }).start();
    driver.write(spec.MMIO_STATUS, 0);
    for (let queue = 0; queue < 4; queue++) {
      driver.write(spec.MMIO_QUEUE_SEL, queue);
      expect(driver.read(spec.MMIO_QUEUE_READY)).toBe(0);
    }
  }),
  row("mmio-generation", "4.2.2.1", "MUST", "ConfigGeneration changes when the configuration does", () => {
    const model = new ConsoleDevice({ onOutput: () => {} });
    const driver = new RawDriver(model).start();
    const before = driver.read(spec.MMIO_CONFIG_GENERATION);
    expect(driver.read(spec.MMIO_CONFIG_GENERATION)).toBe(before);
    model.resize(100, 50);
    expect(driver.read(spec.MMIO_CONFIG_GENERATION)).not.toBe(before);
  }),
  row("mmio-not-ready", "4.2.2.1", "MUST NOT", "a queue with QueueReady 0 is not accessed", () => {
    const driver = blkDriver().start();
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    driver.write(spec.MMIO_QUEUE_READY, 0);
    expect(driver.read(spec.MMIO_QUEUE_READY)).toBe(0);
    readOne(driver);
    expect([driver.usedIdx(), driver.writes]).toEqual([0, []]);
  }),
  row("mmio-queue-reset-idle", "4.2.2.1", "MUST", "QueueReset reads 0 after a device reset", () => {
    const driver = blkDriver();
    driver.negotiate(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    expect(driver.read(spec.MMIO_QUEUE_RESET)).toBe(0);
  }),
  row("mmio-queue-reset-enabled", "4.2.2.1", "MUST", "QueueReset reads 0 after the queue is enabled", () => {
    const driver = blkDriver().start(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    expect(driver.read(spec.MMIO_QUEUE_RESET)).toBe(0);
  }),
  row("mmio-queue-reset", "4.2.2.1", "MUST", "writing 1 to QueueReset resets the queue; QueueReset and QueueReady read 0 then", () => {
    const driver = blkDriver().start(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    expect(readOne(driver)).toBe(0);
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    driver.write(spec.MMIO_QUEUE_RESET, 1);
    expect([driver.read(spec.MMIO_QUEUE_RESET), driver.read(spec.MMIO_QUEUE_READY)]).toEqual([0, 0]);
    driver.setUpQueue(0, 8);
    driver.queueSize = 8;
    expect([readOne(driver), driver.usedIdx()]).toEqual([0, 1]);
  }),
  row("mmio-no-such-queue", "4.2.2", "layout", "QueueSizeMax of a queue that does not exist reads 0", () => {
    const driver = blkDriver();
    driver.write(spec.MMIO_QUEUE_SEL, 1);
    expect(driver.read(spec.MMIO_QUEUE_SIZE_MAX)).toBe(0);
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    expect(driver.read(spec.MMIO_QUEUE_SIZE_MAX)).toBe(128);
  }),
  row("mmio-queue-ready-reads-back", "4.2.2", "layout", "QueueReady reads the value last written", () => {
    const driver = blkDriver().start();
    expect(driver.read(spec.MMIO_QUEUE_READY)).toBe(1);
    driver.write(spec.MMIO_QUEUE_READY, 0);
    expect(driver.read(spec.MMIO_QUEUE_READY)).toBe(0);
  }),
  row("mmio-shm-none", "4.2.2", "layout", "a shared memory region that does not exist has length and base of all ones", () => {
    const driver = blkDriver();
    for (const id of [0, 5]) {
      driver.write(spec.MMIO_SHM_SEL, id);
      const registers = [spec.MMIO_SHM_LEN_LOW, spec.MMIO_SHM_LEN_HIGH, spec.MMIO_SHM_BASE_LOW, spec.MMIO_SHM_BASE_HIGH];
      expect(registers.map((register) => driver.read(register))).toEqual([1, 1, 1, 1].map(() => 0xffff_ffff));
    }
  }),
  row("mmio-placeholder", "4.2.2", "layout", "a slot without a device has DeviceID 0", () => {
    const slot = new EmptyVirtioSlot();
    slot.write();
    expect([0, 4, 8, 0x70].map((register) => slot.read(register, 4))).toEqual([0x7472_6976, 2, 0, 0]);
  }),
  row("mmio-config-bytes", "4.2.2", "layout", "configuration space can be read with byte alignment", () => {
    const driver = blkDriver(new MemoryDisk(0x123));
    const bytes = Array.from({ length: 8 }, (_, i) => driver.device.read(spec.MMIO_CONFIG + i, 1));
    expect(bytes).toEqual([0x23, 1, 0, 0, 0, 0, 0, 0]);
    expect(driver.device.read(spec.MMIO_CONFIG, 2)).toBe(0x123);
    expect(driver.device.read(spec.MMIO_CONFIG, 8)).toBe(0x123);
    expect(driver.device.read(spec.MMIO_CONFIG + 0xef0, 4)).toBe(0);
  }),
];

// biome-ignore format: a table
export const CORE: readonly Requirement[] = [
  row("status-reset", "2.4.1", "MUST", "a reset makes the status 0", () => {
    const driver = blkDriver().start();
    driver.write(spec.MMIO_STATUS, 0);
    expect(driver.status).toBe(0);
  }),
  row("status-no-consume", "2.1.2", "MUST NOT", "no buffers are consumed before DRIVER_OK", () => {
    const driver = blkDriver();
    driver.negotiate(0);
    driver.setUpQueue(0);
    readOne(driver);
    expect([driver.usedIdx(), driver.writes]).toEqual([0, []]);
    driver.write(spec.MMIO_STATUS, 15);
    expect(driver.usedIdx()).toBe(1);
  }),
  row("status-no-notify", "2.1.2", "MUST NOT", "no used buffer notification is sent before DRIVER_OK", () => {
    const driver = blkDriver();
    driver.negotiate(0);
    driver.setUpQueue(0);
    readOne(driver);
    expect(driver.irq).toBe(false);
  }),
  row("status-needs-reset", "2.1.2", "SHOULD", "an error that only a reset cures sets DEVICE_NEEDS_RESET", () => {
    const driver = blkDriver().start();
    driver.makeAvailable(0, 99);
    driver.notify();
    expect(driver.needsReset).toBe(true);
  }),
  row("status-needs-reset-notify", "2.1.2", "MUST", "DEVICE_NEEDS_RESET while DRIVER_OK comes with a configuration change notification", () => {
    const driver = blkDriver().start();
    driver.makeAvailable(0, 99);
    driver.notify();
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS) & 2, driver.irq]).toEqual([2, true]);
  }),
  row("features-dependencies", "2.2.2", "MUST NOT", "a feature is not offered without the features it requires", () => {
    for (const disk of [new MemoryDisk(), new MemoryDisk(8, true)]) {
      const offered = blkDriver(disk).offered(0);
      if ((offered & blk.BLK_F_CONFIG_WCE) !== 0) expect(offered & blk.BLK_F_FLUSH).not.toBe(0);
    }
  }),
  row("features-subset", "2.2.2", "SHOULD", "any valid subset of the offered features is accepted", () => {
    const bits = [1, 2, 5, 6, 9, 10, 13, 14, 28, 29];
    for (let mask = 0; mask < 1 << bits.length; mask += 7) {
      const driver = blkDriver();
      const wanted = bits.reduce((sum, bit, i) => ((mask >> i) & 1 ? sum | (1 << bit) : sum), 0);
      expect(driver.negotiate(wanted & driver.offered(0))).toBe(true);
    }
  }),
  row("features-refused", "2.2.2", "MUST", "FEATURES_OK does not stay set for features that were not offered", () => {
    for (const bit of [0, 4, 7, 15, 16, 17, 27, 31]) expect(blkDriver().negotiate(1 << bit)).toBe(false);
    for (const bit of [1, 2, 3, 6, 9]) expect(blkDriver().negotiate(0, spec.F_VERSION_1_HI | (1 << bit))).toBe(false);
  }),
  row("features-version-1", "6.2", "MUST", "VIRTIO_F_VERSION_1 is offered", () => {
    expect(blkDriver().offered(1) & 1).toBe(1);
    expect(blkDriver().offered(2)).toBe(0);
  }),
  row("features-version-1-needed", "6.2", "SHOULD", "a driver without VERSION_1 gets no further on a device without a legacy interface", () => {
    const driver = blkDriver();
    expect(driver.negotiate(0, 0)).toBe(false);
    driver.write(spec.MMIO_STATUS, 15);
    expect(driver.status & spec.STATUS_DRIVER_OK).toBe(0);
  }),
  row("features-fixed", "2.2", "layout", "features cannot change after FEATURES_OK", () => {
    const driver = blkDriver();
    driver.negotiate(0);
    driver.write(spec.MMIO_DRIVER_FEATURES_SEL, 0);
    driver.write(spec.MMIO_DRIVER_FEATURES, spec.F_INDIRECT_DESC_LO);
    driver.setUpQueue(0);
    driver.write(spec.MMIO_STATUS, 15);
    driver.descriptor(driver.areas(0).desc, 0, driver.areas(0).table, 16, spec.DESC_F_INDIRECT);
    driver.makeAvailable(0, 0);
    driver.notify();
    expect(driver.needsReset).toBe(true);
  }),
  row("config-early", "2.5.2", "MUST", "configuration fields of offered features can be read before FEATURES_OK", () => {
    const driver = blkDriver();
    expect(driver.read(spec.MMIO_CONFIG)).toBe(64);
    expect(driver.read(spec.MMIO_CONFIG + blk.BLK_CONFIG_SEG_MAX)).toBe(126);
    expect(driver.read(spec.MMIO_CONFIG + blk.BLK_CONFIG_MAX_DISCARD_SECTORS)).toBeGreaterThan(0);
  }),
  row("reset-quiet", "2.4.1", "MUST NOT", "after a reset no queue is touched and nothing is notified until set up again", () => {
    const model = new ConsoleDevice({ onOutput: () => {} });
    const driver = new RawDriver(model).start();
    driver.submit(0, [{ at: BUFFERS, length: 64, writable: true }]);
    driver.write(spec.MMIO_STATUS, 0);
    model.input(new Uint8Array(10));
    model.resize(10, 10);
    driver.notify(0);
    expect([driver.usedIdx(), driver.irq, driver.writes]).toEqual([0, false, []]);
  }),
  row("queue-reset-state", "2.6.1.1", "MUST", "a queue reset brings the queue's state back to its default", () => {
    const driver = blkDriver().start(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    for (let i = 0; i < 5; i++) readOne(driver);
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    driver.write(spec.MMIO_QUEUE_RESET, 1);
    driver.setUpQueue(0);
    readOne(driver);
    expect(driver.used(0, 0).id).toBe(0);
    expect(driver.usedIdx()).toBe(1);
  }),
  row("queue-reset-quiet", "2.6.1.1", "MUST NOT", "a reset queue executes no requests until it is enabled again", () => {
    const driver = blkDriver().start(0, spec.F_VERSION_1_HI | spec.F_RING_RESET_HI);
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    driver.write(spec.MMIO_QUEUE_RESET, 1);
    readOne(driver);
    expect(driver.usedIdx()).toBe(0);
  }),
];

/** A read request with indirect descriptors from table index `from` on. */
function indirectRead(driver: RawDriver, flags: number): void {
  const { desc, table } = driver.areas(0);
  driver.blkHeader(blk.BLK_T_IN, 3);
  driver.chain(
    0,
    0,
    [
      { at: BUFFERS, length: 16 },
      { at: DATA, length: 512, writable: true },
      { at: BUFFERS + 0x800, length: 1, writable: true },
    ],
    table,
  );
  driver.descriptor(desc, 4, table, 48, spec.DESC_F_INDIRECT | flags);
  driver.makeAvailable(0, 4);
  driver.notify();
}

// biome-ignore format: a table
export const SPLIT_RING: readonly Requirement[] = [
  row("ring-framing", "2.7.4.1", "MUST NOT", "no assumption is made about where descriptors end", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start();
    driver.blkHeader(blk.BLK_T_IN, 5);
    const pieces = [1, 511, 700, 300, 24];
    let at = DATA;
    const data = pieces.map((length) => ({ at: (at += length + 64) - length, length, writable: true }));
    driver.submit(0, [{ at: BUFFERS, length: 3 }, { at: BUFFERS + 3, length: 13 }, ...data, { at: BUFFERS + 0x800, length: 1, writable: true }]);
    const read = data.flatMap((piece) => Array.from(driver.ram.subarray(piece.at, piece.at + piece.length)));
    expect(read).toEqual(Array.from(disk.bytes.subarray(5 * 512, 8 * 512)));
    driver.blkHeader(blk.BLK_T_OUT, 20);
    driver.submit(0, [{ at: BUFFERS, length: 16 }, ...data.map(({ at, length }) => ({ at, length })), { at: BUFFERS + 0x800, length: 1, writable: true }]);
    expect(disk.bytes.subarray(20 * 512, 23 * 512)).toEqual(disk.bytes.subarray(5 * 512, 8 * 512));
    // Header and data in one descriptor; data and status in one descriptor.
    driver.blkHeader(blk.BLK_T_IN, 6);
    driver.submit(0, [{ at: BUFFERS, length: 16 }, { at: DATA, length: 513, writable: true }]);
    expect(driver.ram.subarray(DATA, DATA + 512)).toEqual(disk.bytes.subarray(6 * 512, 7 * 512));
    expect(driver.ram[DATA + 512]).toBe(0);
  }),
  row("ring-readable", "2.7.5.1", "MUST NOT", "device-readable buffers are not written", () => {
    const driver = blkDriver().start();
    driver.blkHeader(blk.BLK_T_OUT, 1);
    driver.ram.fill(0xab, DATA, DATA + 512);
    driver.writes.length = 0;
    expect(driver.blk(blk.BLK_T_OUT, 1, 512, false)).toBe(0);
    expect(driver.writes).toEqual([[BUFFERS + 0x800, BUFFERS + 0x801]]);
  }),
  row("ring-indirect-write-flag", "2.7.5.3.2", "MUST", "the write flag of a descriptor that refers to an indirect table is ignored", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start(spec.F_INDIRECT_DESC_LO);
    indirectRead(driver, spec.DESC_F_WRITE);
    expect(driver.used()).toEqual({ id: 4, length: 513 });
    expect(driver.ram.subarray(DATA, DATA + 512)).toEqual(disk.bytes.subarray(3 * 512, 4 * 512));
  }),
  row("ring-indirect-after-direct", "2.7.5.3.2", "MUST", "direct descriptors followed by one indirect descriptor are handled", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start(spec.F_INDIRECT_DESC_LO);
    const { desc, table } = driver.areas(0);
    driver.blkHeader(blk.BLK_T_IN, 7);
    driver.chain(0, 0, [{ at: DATA, length: 512, writable: true }, { at: BUFFERS + 0x800, length: 1, writable: true }], table);
    driver.descriptor(desc, 0, BUFFERS, 16, spec.DESC_F_NEXT, 1);
    driver.descriptor(desc, 1, table, 32, spec.DESC_F_INDIRECT);
    driver.makeAvailable(0, 0);
    driver.notify();
    expect(driver.used()).toEqual({ id: 0, length: 513 });
    expect(driver.ram.subarray(DATA, DATA + 512)).toEqual(disk.bytes.subarray(7 * 512, 8 * 512));
  }),
  row("ring-ignore-used-event", "2.7.7.2", "MUST", "without EVENT_IDX used_event is ignored", () => {
    const driver = blkDriver().start();
    driver.setUsedEvent(0, 1000);
    readOne(driver);
    expect(driver.irq).toBe(true);
  }),
  row("ring-notify", "2.7.7.2", "MUST", "without EVENT_IDX and with flags 0 each used buffer is notified", () => {
    const driver = blkDriver().start();
    for (let i = 0; i < 3; i++) {
      readOne(driver);
      expect(driver.read(spec.MMIO_INTERRUPT_STATUS)).toBe(1);
      driver.write(spec.MMIO_INTERRUPT_ACK, 1);
    }
  }),
  row("ring-no-notify", "2.7.7.2", "SHOULD NOT", "without EVENT_IDX and with flags 1 nothing is notified", () => {
    const driver = blkDriver().start();
    driver.view.setUint16(driver.areas(0).avail, 1, true);
    readOne(driver);
    expect([driver.usedIdx(), driver.irq]).toEqual([1, false]);
  }),
  row("ring-event-ignores-flags", "2.7.7.2", "MUST", "with EVENT_IDX bit 0 of flags is ignored", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    driver.view.setUint16(driver.areas(0).avail, 1, true);
    readOne(driver);
    expect(driver.irq).toBe(true);
  }),
  row("ring-event-notify", "2.7.7.2", "MUST", "with EVENT_IDX the buffer at index used_event is notified, across the 16-bit wrap", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    driver.blkHeader(blk.BLK_T_FLUSH, 0);
    driver.chain(0, 0, [{ at: BUFFERS, length: 16 }, { at: BUFFERS + 0x800, length: 1, writable: true }]);
    for (let i = 0; i < 65_540; i++) {
      const idx = i & 0xffff;
      const due = idx % 7 === 0 || idx === 65_535;
      driver.setUsedEvent(0, due ? idx : (idx + 1) & 0xffff);
      driver.makeAvailable(0, 0);
      driver.notify();
      if (driver.irq !== due) throw new Error(`used index ${idx}: interrupt ${driver.irq}`);
      driver.write(spec.MMIO_INTERRUPT_ACK, 1);
    }
  }),
  row("ring-event-no-notify", "2.7.7.2", "SHOULD NOT", "with EVENT_IDX other buffers are not notified", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    driver.setUsedEvent(0, 5);
    for (let i = 0; i < 5; i++) readOne(driver);
    expect(driver.irq).toBe(false);
    readOne(driver);
    expect(driver.irq).toBe(true);
  }),
  row("ring-event-batch", "2.7.7.2", "MUST", "with EVENT_IDX a batch that passes used_event is notified", () => {
    const driver = blkDriver();
    driver.negotiate(spec.F_EVENT_IDX_LO);
    driver.setUpQueue(0);
    driver.setUsedEvent(0, 1);
    driver.blkHeader(blk.BLK_T_FLUSH, 0);
    for (let head = 0; head < 8; head += 2) {
      driver.chain(0, head, [{ at: BUFFERS, length: 16 }, { at: BUFFERS + 0x800, length: 1, writable: true }]);
      driver.makeAvailable(0, head);
    }
    driver.write(spec.MMIO_STATUS, 15);
    expect([driver.usedIdx(), driver.irq]).toEqual([4, true]);
  }),
  row("ring-used-len", "2.7.8.2", "MUST", "the used length counts bytes written from the start of the writable part", () => {
    const driver = blkDriver().start();
    driver.ram.fill(0xcc, DATA, DATA + 1024);
    driver.blk(blk.BLK_T_IN, 1, 1024, true);
    expect(driver.used()).toEqual({ id: 0, length: 1025 });
    // An error writes the data part too: zeroes, not what was there.
    driver.ram.fill(0xcc, DATA, DATA + 1024);
    expect(driver.blk(blk.BLK_T_IN, 64, 1024, true)).toBe(1);
    expect([driver.used().length, driver.ram.subarray(DATA, DATA + 1024).every((byte) => byte === 0)]).toEqual([1025, true]);
    driver.blk(blk.BLK_T_OUT, 1, 512, false);
    expect(driver.used().length).toBe(1);
  }),
  row("ring-used-flags", "2.7.10.2", "MUST", "without EVENT_IDX the flags of the used ring are 0 or 1", () => {
    const driver = blkDriver().start();
    readOne(driver);
    expect(driver.view.getUint16(driver.areas(0).used, true)).toBeLessThanOrEqual(1);
  }),
  row("ring-used-flags-event", "2.7.10.2", "MUST", "with EVENT_IDX the flags of the used ring are 0", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    readOne(driver);
    expect(driver.view.getUint16(driver.areas(0).used, true)).toBe(0);
  }),
  row("ring-avail-event", "2.7.10.2", "layout", "with EVENT_IDX avail_event asks for the next buffer", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    for (let i = 1; i < 4; i++) {
      readOne(driver);
      expect(driver.view.getUint16(driver.areas(0).used + 4 + 8 * driver.queueSize, true)).toBe(i);
    }
  }),
  row("ring-spurious", "2.7.10.2", "MUST", "spurious notifications are harmless", () => {
    const driver = blkDriver().start();
    driver.notify();
    driver.notify();
    readOne(driver);
    driver.notify();
    driver.notify(7);
    driver.notify(0xffff_ffff);
    expect([driver.usedIdx(), driver.needsReset]).toEqual([1, false]);
  }),
  row("ring-driver-areas", "2.7.6", "layout", "descriptor table and available ring are never written by the device", () => {
    const driver = blkDriver().start(spec.F_EVENT_IDX_LO);
    driver.blkHeader(blk.BLK_T_IN, 0);
    driver.chain(0, 0, [{ at: BUFFERS, length: 16 }, { at: DATA, length: 512, writable: true }, { at: BUFFERS + 0x800, length: 1, writable: true }]);
    driver.makeAvailable(0, 0);
    const { desc, used } = driver.areas(0);
    const before = driver.ram.slice(desc, used);
    driver.notify();
    expect(driver.ram.subarray(desc, used)).toEqual(before);
  }),
];

// biome-ignore format: a table
export const BLOCK: readonly Requirement[] = [
  row("blk-wce-flush", "5.2.5.2", "MUST", "FLUSH is offered if CONFIG_WCE is", () => {
    const offered = blkDriver().offered(0);
    expect([offered & blk.BLK_F_CONFIG_WCE, offered & blk.BLK_F_FLUSH]).toEqual([blk.BLK_F_CONFIG_WCE, blk.BLK_F_FLUSH]);
  }),
  row("blk-wce-without-flush", "5.2.5.2", "MUST", "with CONFIG_WCE but not FLUSH negotiated writeback is 0", () => {
    const driver = blkDriver();
    driver.negotiate(blk.BLK_F_CONFIG_WCE);
    expect(driver.device.read(spec.MMIO_CONFIG + blk.BLK_CONFIG_WRITEBACK, 1)).toBe(0);
    driver.negotiate(blk.BLK_F_CONFIG_WCE | blk.BLK_F_FLUSH);
    expect(driver.device.read(spec.MMIO_CONFIG + blk.BLK_CONFIG_WRITEBACK, 1)).toBe(1);
  }),
  row("blk-padding", "5.2.5.2", "MUST", "padding bytes of the configuration are 0", () => {
    const driver = blkDriver();
    expect([33, 57, 58, 59].map((offset) => driver.device.read(spec.MMIO_CONFIG + offset, 1))).toEqual([0, 0, 0, 0]);
  }),
  row("blk-no-zoned", "5.2.5.2", "SHOULD NOT", "a device that is not zoned does not offer ZONED", () => {
    expect(blkDriver().offered(0) & (1 << 17)).toBe(0);
  }),
  row("blk-read-only", "5.2.6.2", "MUST", "a write to a read-only device fails with IOERR and writes nothing", () => {
    const disk = new MemoryDisk(64, true);
    const driver = blkDriver(disk).start(blk.BLK_F_RO);
    for (const status of [driver.blk(blk.BLK_T_OUT, 0, 512, false), driver.blkRange(blk.BLK_T_WRITE_ZEROES, 0, 1, 0)]) expect(status).toBe(blk.BLK_S_IOERR);
    expect(disk.writes).toBe(0);
  }),
  row("blk-unknown-flags", "5.2.6.2", "MUST", "discard and write zeroes with unknown flags are UNSUPP", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start();
    for (let bit = 1; bit < 32; bit++) {
      expect(driver.blkRange(blk.BLK_T_DISCARD, 0, 1, 1 << bit)).toBe(blk.BLK_S_UNSUPP);
      expect(driver.blkRange(blk.BLK_T_WRITE_ZEROES, 0, 1, 1 << bit)).toBe(blk.BLK_S_UNSUPP);
    }
    expect([disk.writes, disk.discards]).toEqual([0, []]);
  }),
  row("blk-discard-unmap", "5.2.6.2", "MUST", "discard with the unmap flag is UNSUPP", () => {
    expect(blkDriver().start().blkRange(blk.BLK_T_DISCARD, 0, 1, 1)).toBe(blk.BLK_S_UNSUPP);
  }),
  row("blk-write-zeroes", "5.2.6.2", "MUST", "after write zeroes the range reads as zero, unmap set or clear", () => {
    for (const flags of [0, 1]) {
      const disk = new MemoryDisk(300);
      const driver = blkDriver(disk).start();
      const before = disk.bytes.slice();
      expect(driver.blkRange(blk.BLK_T_WRITE_ZEROES, 2, 290, flags)).toBe(blk.BLK_S_OK);
      expect(disk.bytes.subarray(0, 1024)).toEqual(before.subarray(0, 1024));
      expect(disk.bytes.subarray(1024, 292 * 512).every((byte) => byte === 0)).toBe(true);
      expect(disk.bytes.subarray(292 * 512)).toEqual(before.subarray(292 * 512));
    }
  }),
  row("blk-write-through-default", "5.2.6.2", "MUST", "writes are durable at completion if neither FLUSH nor CONFIG_WCE was negotiated", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start();
    driver.blk(blk.BLK_T_OUT, 0, 512, false);
    expect(disk.flushes).toBe(1);
    driver.blkRange(blk.BLK_T_WRITE_ZEROES, 0, 1, 0);
    expect(disk.flushes).toBe(2);
  }),
  row("blk-write-through-config", "5.2.6.2", "MUST", "writes are durable at completion while writeback is 0", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start(blk.BLK_F_FLUSH | blk.BLK_F_CONFIG_WCE);
    driver.blk(blk.BLK_T_OUT, 0, 512, false);
    expect(disk.flushes).toBe(0);
    driver.device.write(spec.MMIO_CONFIG + blk.BLK_CONFIG_WRITEBACK, 1, 0);
    driver.blk(blk.BLK_T_OUT, 0, 512, false);
    expect(disk.flushes).toBe(1);
  }),
  row("blk-flush", "5.2.6.2", "MUST", "a flush reaches the storage before it completes", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start(blk.BLK_F_FLUSH);
    driver.blk(blk.BLK_T_OUT, 0, 512, false);
    expect(disk.flushes).toBe(0);
    expect([driver.blk(blk.BLK_T_FLUSH, 0, 0, false), disk.flushes]).toEqual([blk.BLK_S_OK, 1]);
  }),
  row("blk-zone-requests", "5.2.6.2", "MUST", "zone requests without ZONED are UNSUPP", () => {
    const driver = blkDriver().start();
    for (const type of [15, 16, 18, 20, 22, 24, 26]) expect(driver.blk(type, 0, 512, true)).toBe(blk.BLK_S_UNSUPP);
  }),
  row("blk-lifetime", "5.2.6.2", "MUST NOT", "LIFETIME is not offered without such metrics", () => {
    expect(blkDriver().offered(0) & (1 << 15)).toBe(0);
    expect(blkDriver().start().blk(10, 0, 6, true)).toBe(blk.BLK_S_UNSUPP);
  }),
  row("blk-unknown-type", "5.2.6", "layout", "an unknown request type is UNSUPP", () => {
    const driver = blkDriver().start();
    for (const type of [2, 3, 5, 7, 9, 12, 14, 17, 0x8000_0000, 0xffff_ffff]) expect(driver.blk(type, 0, 0, true)).toBe(blk.BLK_S_UNSUPP);
  }),
  row("blk-capacity-change", "5.2.6.2", "SHOULD", "a changed capacity is announced", () => {
    const disk = new MemoryDisk();
    const model = new BlockDevice({ backend: disk });
    const driver = new RawDriver(model).start();
    Object.defineProperty(disk, "bytes", { value: new Uint8Array(100 * 512) });
    model.resized();
    expect([driver.read(spec.MMIO_INTERRUPT_STATUS), driver.read(spec.MMIO_CONFIG)]).toEqual([2, 100]);
  }),
  row("blk-range", "5.2.6.1", "layout", "requests beyond the capacity fail with IOERR, also where sums wrap", () => {
    const driver = blkDriver().start();
    for (const sector of [64, 63.5 * 2, 2 ** 32, 2 ** 55, 2 ** 64 - 2048]) expect(driver.blk(blk.BLK_T_IN, sector, 1024, true)).toBe(blk.BLK_S_IOERR);
    expect(driver.blk(blk.BLK_T_IN, 63, 1024, true)).toBe(blk.BLK_S_IOERR);
    expect(driver.blk(blk.BLK_T_IN, 62, 1024, true)).toBe(blk.BLK_S_OK);
    expect(driver.blkRange(blk.BLK_T_DISCARD, 63, 2, 0)).toBe(blk.BLK_S_IOERR);
    expect(driver.blkRange(blk.BLK_T_DISCARD, 0, 0xffff_ffff, 0)).toBe(blk.BLK_S_IOERR);
  }),
  row("blk-sector-multiple", "5.2.6.1", "layout", "data that is no multiple of 512 bytes fails with IOERR", () => {
    const driver = blkDriver().start();
    for (const length of [1, 511, 513]) {
      expect(driver.blk(blk.BLK_T_IN, 0, length, true)).toBe(blk.BLK_S_IOERR);
      expect(driver.blk(blk.BLK_T_OUT, 0, length, false)).toBe(blk.BLK_S_IOERR);
    }
    expect(driver.blk(blk.BLK_T_DISCARD, 0, 15, false)).toBe(blk.BLK_S_IOERR);
  }),
  row("blk-id", "5.2.6", "layout", "GET_ID fills 20 bytes; a full-length string has no NUL", () => {
    const driver = blkDriver().start();
    expect(driver.blk(blk.BLK_T_GET_ID, 0, 20, true)).toBe(blk.BLK_S_OK);
    expect(String.fromCharCode(...driver.ram.subarray(DATA, DATA + 20))).toBe("0123456789abcdefghij");
    expect(driver.blk(blk.BLK_T_GET_ID, 0, 19, true)).toBe(blk.BLK_S_IOERR);
  }),
  row("blk-all-ranges-checked", "5.2.6", "layout", "a bad range in a multi-range request stops it before the first range", () => {
    const disk = new MemoryDisk();
    const driver = blkDriver(disk).start();
    const ranges = [[0, 1], [1000, 1]];
    ranges.forEach(([sector, count], i) => {
      driver.view.setUint32(DATA + 16 * i, sector, true);
      driver.view.setUint32(DATA + 16 * i + 4, 0, true);
      driver.view.setUint32(DATA + 16 * i + 8, count, true);
      driver.view.setUint32(DATA + 16 * i + 12, 0, true);
    });
    expect(driver.blk(blk.BLK_T_DISCARD, 0, 32, false)).toBe(blk.BLK_S_IOERR);
    expect(disk.discards).toEqual([]);
  }),
  row("blk-segment-limit", "5.2.6.1", "layout", "more ranges than max_discard_seg fail with IOERR", () => {
    expect(blkDriver().start().blk(blk.BLK_T_DISCARD, 0, 65 * 16, false)).toBe(blk.BLK_S_IOERR);
  }),
  row("blk-limits-nonzero", "5.2.4", "layout", "limits of offered features are not zero (U-Boot divides by them)", () => {
    const driver = blkDriver(new MemoryDisk(), { sizeMax: 4096, queueCount: 2 });
    for (const offset of [blk.BLK_CONFIG_SIZE_MAX, blk.BLK_CONFIG_SEG_MAX, blk.BLK_CONFIG_BLK_SIZE, blk.BLK_CONFIG_MAX_DISCARD_SECTORS, blk.BLK_CONFIG_MAX_DISCARD_SEG, blk.BLK_CONFIG_DISCARD_SECTOR_ALIGNMENT, blk.BLK_CONFIG_MAX_WRITE_ZEROES_SECTORS, blk.BLK_CONFIG_MAX_WRITE_ZEROES_SEG]) {
      expect(driver.read(spec.MMIO_CONFIG + offset)).toBeGreaterThan(0);
    }
    expect(driver.device.read(spec.MMIO_CONFIG + blk.BLK_CONFIG_NUM_QUEUES, 2)).toBe(2);
  }),
];

function consoleDriver(): { driver: RawDriver; model: ConsoleDevice; output: number[] } {
  const output: number[] = [];
  const model = new ConsoleDevice({ onOutput: (bytes) => output.push(...bytes), columns: 81, rows: 25 });
  return { driver: new RawDriver(model), model, output };
}

function entropyDriver(fillRandom: (target: Uint8Array) => unknown): RawDriver {
  const driver = new RawDriver(new EntropyDevice({ fillRandom }));
  driver.queueSize = 8;
  return driver.start();
}

// biome-ignore format: a table
export const CONSOLE_AND_ENTROPY: readonly Requirement[] = [
  row("console-emergency", "5.3.5.1", "MUST", "emerg_wr can be written on a device that is not set up", () => {
    const { driver, output } = consoleDriver();
    driver.write(spec.MMIO_CONFIG + 8, 0x41);
    expect(output).toEqual([0x41]);
  }),
  row("console-emergency-byte", "5.3.5.1", "SHOULD", "emerg_wr prints its lower byte, once", () => {
    const { driver, output } = consoleDriver();
    driver.start();
    driver.write(spec.MMIO_CONFIG + 8, 0x1234_5642);
    expect(output).toEqual([0x42]);
  }),
  row("console-size", "5.3.6", "layout", "a new size is in the configuration and announced", () => {
    const { driver, model } = consoleDriver();
    driver.start(1);
    expect([driver.device.read(spec.MMIO_CONFIG, 2), driver.device.read(spec.MMIO_CONFIG + 2, 2)]).toEqual([81, 25]);
    model.resize(300, 100);
    expect([driver.device.read(spec.MMIO_CONFIG, 2), driver.device.read(spec.MMIO_CONFIG + 2, 2)]).toEqual([300, 100]);
    expect(driver.read(spec.MMIO_INTERRUPT_STATUS)).toBe(2);
  }),
  row("console-input-framing", "5.3.6", "layout", "input fills buffers of any framing; the used length is what was put in", () => {
    const { driver, model } = consoleDriver();
    driver.start();
    driver.submit(0, [{ at: BUFFERS, length: 2, writable: true }, { at: BUFFERS + 100, length: 3, writable: true }]);
    model.input(Uint8Array.of(1, 2, 3, 4));
    expect(driver.used(0)).toEqual({ id: 0, length: 4 });
    expect([...driver.ram.subarray(BUFFERS, BUFFERS + 2), ...driver.ram.subarray(BUFFERS + 100, BUFFERS + 103)]).toEqual([1, 2, 3, 4, 0]);
  }),
  row("console-output", "5.3.6", "layout", "a transmit chain is printed in order and nothing is written to it", () => {
    const { driver, output } = consoleDriver();
    driver.start();
    driver.ram.set([9, 8, 7], BUFFERS);
    driver.submit(1, [{ at: BUFFERS, length: 1 }, { at: BUFFERS + 1, length: 2 }]);
    expect([output, driver.used(1).length, driver.writes]).toEqual([[9, 8, 7], 0, []]);
  }),
  row("entropy-bytes", "5.4.6.2", "MUST", "a request gets one random byte or more, and the used length tells how many", () => {
    const driver = entropyDriver((target) => target.fill(0x5a));
    driver.submit(0, [{ at: BUFFERS, length: 3, writable: true }, { at: BUFFERS + 8, length: 2, writable: true }]);
    expect(driver.used().length).toBe(5);
    expect(Array.from(driver.ram.subarray(BUFFERS, BUFFERS + 11))).toEqual([90, 90, 90, 0, 0, 0, 0, 0, 90, 90, 0]);
  }),
  row("entropy-bounded", "5.4.6.2", "layout", "a huge request is served in part, so that it does not hold the host", () => {
    let asked = 0;
    const driver = entropyDriver((target) => (asked += target.length));
    driver.submit(0, [{ at: BUFFERS, length: 0x2_0000, writable: true }]);
    expect([asked, driver.used().length]).toEqual([65_536, 65_536]);
  }),
];
