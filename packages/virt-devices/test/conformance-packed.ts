/** The device's half of the requirements on packed virtqueues, and what hostile drivers make of such a ring. */
import { expect } from "vitest";
import { BlockDevice } from "../src/index.ts";
import * as blk from "../src/virtio/blk.ts";
import * as spec from "../src/virtio/spec.ts";
import { type Requirement, row } from "./conformance.ts";
import { PackedDriver } from "./packed-driver.ts";
import { BUFFERS, type Descriptor, MemoryDisk } from "./raw-driver.ts";

const DATA = BUFFERS + 0x2000;
const STATUS = BUFFERS + 0x1000;

function create(low: number = 0, disk: MemoryDisk = new MemoryDisk()): PackedDriver {
  return new PackedDriver(new BlockDevice({ backend: disk, queueSize: 16 })).start(low);
}

/** Header, data and status of request `n`, whose buffers overlap with no other's. */
function read(driver: PackedDriver, n: number, sector: number): Descriptor[] {
  driver.blkHeader(blk.BLK_T_IN, sector, BUFFERS + 16 * n);
  return [
    { at: BUFFERS + 16 * n, length: 16 },
    { at: DATA + 512 * n, length: 512, writable: true },
    { at: STATUS + n, length: 1, writable: true },
  ];
}

const isRead = (driver: PackedDriver, disk: MemoryDisk, n: number, sector: number): boolean =>
  driver.ram.subarray(DATA + 512 * n, DATA + 512 * n + 512).every((byte, i) => byte === disk.bytes[512 * sector + i]);

// biome-ignore format: a table
export const PACKED_RING: readonly Requirement[] = [
  row("packed-start-order", "2.8.11", "MUST", "available descriptors are processed in the order of the ring", () => {
    const disk = new MemoryDisk();
    const order: number[] = [];
    const inner = disk.readBlock.bind(disk);
    disk.readBlock = (id, buf) => {
      order.push(id);
      return inner(id, buf);
    };
    const driver = create(0, disk);
    for (const [n, sector] of [9, 2, 7, 4].entries()) driver.add(0, read(driver, n, sector), n);
    driver.notify();
    expect(order).toEqual([9, 2, 7, 4]);
  }),
  row("packed-used-order", "2.8.11", "MUST", "used descriptors are written in the order in which requests complete, each in the next place", () => {
    const driver = create();
    const ids = [700, 3, 65_535];
    for (let round = 0; round < 40; round++) {
      for (const [n, id] of ids.entries()) driver.add(0, read(driver, n, n), id);
      driver.notify();
      expect(ids.map(() => driver.take(0, 3)?.id)).toEqual(ids);
      expect(driver.take(0, 3)).toBeNull();
    }
  }),
  row("packed-readable", "2.8.12", "MUST NOT", "device-readable buffers are not written", () => {
    const driver = create();
    driver.blkHeader(blk.BLK_T_OUT, 1);
    driver.writes.length = 0;
    driver.submit(0, [{ at: BUFFERS, length: 16 }, { at: DATA, length: 512 }, { at: STATUS, length: 1, writable: true }]);
    expect([driver.take(0, 3)?.length, driver.writes]).toEqual([1, [[STATUS, STATUS + 1]]]);
  }),
  row("packed-not-available", "2.8.12", "MUST NOT", "a descriptor is not used before its AVAIL bit changed, in any lap", () => {
    const driver = create();
    driver.notify(); // zeroes
    for (let lap = 0; lap < 5; lap++) {
      for (let i = 0; i < 4; i++) {
        driver.submit(0, [...read(driver, 0, i), ].slice(0, 3));
        const { wrap, place } = driver.next[0];
        expect(driver.take(0, 3)?.length).toBe(513);
        // What lies ahead is marked as in the lap before, or looks used.
        driver.place(0, place, BUFFERS, 16, 0, 9, wrap ^ 1);
        driver.notify();
        const entry = driver.areas(0).desc + 16 * place;
        driver.view.setUint16(entry + 14, wrap === 1 ? 0 : 0x8080, true);
        driver.notify();
        expect([driver.take(0, 3), driver.needsReset]).toEqual([null, false]);
      }
    }
  }),
  row("packed-not-changed", "2.8.12", "MUST NOT", "a descriptor is not changed after its USED bit was", () => {
    const driver = create();
    driver.submit(0, read(driver, 0, 0), 5);
    const { desc } = driver.areas(0);
    const before = driver.ram.slice(desc, desc + 16);
    driver.submit(0, read(driver, 1, 1), 6);
    driver.notify();
    expect(driver.ram.subarray(desc, desc + 16)).toEqual(before);
  }),
  row("packed-list-order", "2.8.17", "MUST", "the descriptors of a list are used in their order, around the end of the ring too", () => {
    const disk = new MemoryDisk();
    const driver = create(0, disk);
    for (let round = 0; round < 30; round++) {
      driver.blkHeader(blk.BLK_T_IN, round);
      const pieces = [1, 511, 700, 300, 24];
      let at = DATA;
      const data = pieces.map((length) => ({ at: (at += length + 64) - length, length, writable: true }));
      driver.submit(0, [{ at: BUFFERS, length: 3 }, { at: BUFFERS + 3, length: 13 }, ...data, { at: STATUS, length: 1, writable: true }], round);
      expect(driver.take(0, 8)).toMatchObject({ id: round, length: 1537 });
      const bytes = data.flatMap((piece) => Array.from(driver.ram.subarray(piece.at, piece.at + piece.length)));
      expect(bytes).toEqual(Array.from(disk.bytes.subarray(round * 512, (round + 3) * 512)));
    }
  }),
  row("packed-indirect", "2.8.8", "layout", "an indirect table is used in order; of its flags only WRITE counts, ids and WRITE of its own descriptor do not", () => {
    const disk = new MemoryDisk();
    const driver = create(spec.F_INDIRECT_DESC_LO, disk);
    const { table } = driver.areas(0);
    for (const [i, { at, length, writable }] of read(driver, 0, 3).entries()) driver.descriptor(table, i, at, length, 999, (writable ? 2 : 0) | 0x8085);
    driver.place(0, 0, table, 48, spec.DESC_F_INDIRECT | spec.DESC_F_WRITE, 4, 1);
    driver.notify();
    expect(driver.take(0, 1)).toEqual({ id: 4, length: 513, flags: 0x8082 });
    expect(isRead(driver, disk, 0, 3)).toBe(true);
  }),
  row("packed-interrupts", "2.8.14", "layout", "the driver's event decides about interrupts: all, none, or at one place of one lap", () => {
    const driver = create(spec.F_EVENT_IDX_LO);
    const interrupted = (): boolean => {
      driver.submit(0, read(driver, 0, 0));
      driver.take(0, 3);
      const { irq } = driver;
      driver.write(spec.MMIO_INTERRUPT_ACK, 3);
      return irq;
    };
    expect([interrupted(), interrupted()]).toEqual([true, true]);
    driver.setEvent(0, spec.EVENT_FLAGS_DISABLE);
    expect([interrupted(), interrupted()]).toEqual([false, false]);
    for (let round = 0; round < 200; round++) {
      const { place, wrap } = driver.next[0];
      const ahead = (place + (round % 7)) % 16;
      driver.setEvent(0, spec.EVENT_FLAGS_DESC, ahead, place + (round % 7) >= 16 ? wrap ^ 1 : wrap);
      expect(interrupted()).toBe(round % 7 < 3);
    }
    driver.setEvent(0, 3); // reserved: nothing is missed
    expect(interrupted()).toBe(true);
  }),
  row("packed-notifications", "2.8.14", "layout", "with EVENT_IDX the device's event asks for the next descriptor, without it for all", () => {
    for (const [low, flags] of [[spec.F_EVENT_IDX_LO, 2], [0, 0]]) {
      const driver = create(low);
      for (let i = 0; i < 20; i++) {
        driver.submit(0, read(driver, 0, 0));
        const { used } = driver.areas(0);
        const { place, wrap } = driver.next[0];
        expect(driver.view.getUint16(used + 2, true)).toBe(flags);
        if (flags === 2) expect(driver.view.getUint16(used, true)).toBe(place | (wrap << 15));
      }
    }
  }),
  row("packed-size", "2.8.10.1", "layout", "the size of a packed ring need not be a power of two", () => {
    for (const size of [3, 5, 13]) {
      const disk = new MemoryDisk();
      const driver = new PackedDriver(new BlockDevice({ backend: disk, queueSize: 16 }));
      driver.queueSize = size;
      driver.start();
      for (let i = 0; i < 40; i++) {
        driver.submit(0, read(driver, 0, i));
        expect([driver.take(0, 3)?.length, isRead(driver, disk, 0, i)]).toEqual([513, true]);
      }
    }
  }),
  row("packed-malformed", "2.8", "layout", "a list that never ends, a wrong table, a readable element after a writable one need a reset", () => {
    const broken: [RegExp, (driver: PackedDriver) => void][] = [
      [/loops/, (driver) => { for (let place = 0; place < 16; place++) driver.place(0, place, BUFFERS, 16, spec.DESC_F_NEXT, 0, 1); }],
      [/not negotiated/, (driver) => driver.place(0, 0, BUFFERS, 16, spec.DESC_F_INDIRECT, 0, 1)],
      [/readable buffer after/, (driver) => { driver.place(0, 1, BUFFERS, 16, 0, 0, 1); driver.place(0, 0, BUFFERS, 16, spec.DESC_F_NEXT | spec.DESC_F_WRITE, 0, 1); }],
      [/outside RAM/, (driver) => driver.place(0, 0, -4096, 16, 0, 0, 1)],
      [/zero-sized/, (driver) => driver.place(0, 0, BUFFERS, 0, 0, 0, 1)],
      [/malformed/, (driver) => driver.place(0, 0, BUFFERS, 16, 0, 0, 1)],
    ];
    for (const [reason, build] of broken) {
      const driver = create();
      build(driver);
      driver.notify();
      expect([driver.needsReset, driver.guestErrors.at(-1)]).toEqual([true, expect.stringMatching(reason)]);
    }
    for (const length of [0, 17]) {
      const driver = create(spec.F_INDIRECT_DESC_LO);
      driver.place(0, 0, BUFFERS, length, spec.DESC_F_INDIRECT, 0, 1);
      driver.notify();
      expect(driver.guestErrors.at(-1)).toMatch(/indirect table of/);
    }
  }),
];
