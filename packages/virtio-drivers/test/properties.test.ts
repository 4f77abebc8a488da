/** Driver and device against a model: random requests, features, queue sizes, orders of completion. */
import { BlockDevice } from "virt-devices";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ERR_INVALID_PARAM, ERR_NOT_READY, ERR_QUEUE_FULL, MmioTransport, VirtIOBlk } from "../src/index.ts";
import { createRig, firstDifference, ok, pattern, TestDisk } from "./rig.ts";

const SECTORS = 512;

const configuration = fc.record({
  indirect: fc.boolean(),
  eventIdx: fc.boolean(),
  packed: fc.boolean(),
  inOrder: fc.boolean(),
  notificationData: fc.boolean(),
  queueCount: fc.constantFrom(1, 1, 3),
  scattered: fc.boolean(),
  deviceQueue: fc.constantFrom(4, 8, 16, 128),
  driverQueue: fc.constantFrom(4, 7, 16, 64, 256),
  sizeMax: fc.constantFrom(0, 512, 1536, 4096, 65_536),
});

const operation = fc.record({
  kind: fc.constantFrom("read", "write", "readNb", "writeNb", "complete", "flush", "discard", "zero"),
  sector: fc.nat(SECTORS + 8),
  count: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 300 })),
  /** Buffers in guest RAM start here; -1 = on the host's heap. */
  ramOffset: fc.oneof(fc.constant(-1), fc.nat(8192)),
  seed: fc.nat(255),
});

test("any requests do to the disk what they do to an array", () => {
  fc.assert(
    fc.property(configuration, fc.array(operation, { maxLength: 40 }), (config, operations) => {
      const disk = new TestDisk(SECTORS);
      const expected = new Uint8Array(SECTORS * 512);
      const rig = createRig(
        new BlockDevice({
          backend: disk,
          queueSize: config.deviceQueue,
          sizeMax: config.sizeMax,
          queueCount: config.queueCount,
        }),
        {
          pages: 2048,
          scattered: config.scattered,
          mmio: config,
        },
      );
      const { driverQueue: queueSize, queueCount } = config;
      const blk = ok(VirtIOBlk.create(rig.hal, rig.transport, { queueSize, queueCount }));
      /** `wanted`: what the disk held when a read was started; the device answers at once. */
      const pending: { token: number; isRead: boolean; buffer: Uint8Array; wanted: Uint8Array }[] = [];
      const buffer = (byteLength: number, ramOffset: number): Uint8Array =>
        ramOffset < 0
          ? new Uint8Array(byteLength)
          : rig.ram.subarray(0x60_0000 + ramOffset, 0x60_0000 + ramOffset + byteLength);
      const completeOne = (index: number): void => {
        const [{ token, isRead, buffer: data, wanted }] = pending.splice(index % pending.length, 1);
        expect(isRead ? blk.completeReadBlocks(token) : blk.completeWriteBlocks(token)).toBe(0);
        if (isRead) expect(firstDifference(data, wanted)).toBe(-1);
      };
      for (const { kind, sector, count, ramOffset, seed } of operations) {
        const byteLength = count * 512;
        const isInside = sector + count <= SECTORS;
        if (kind === "complete") {
          if (pending.length > 0) completeOne(seed);
        } else if (kind === "flush") {
          expect(blk.flush()).toBe(0);
        } else if (kind === "discard" || kind === "zero") {
          while (pending.length > 0) completeOne(seed);
          const result = kind === "discard" ? blk.discard(sector, count) : blk.writeZeroes(sector, count);
          expect(result).toBe(isInside ? 0 : ERR_INVALID_PARAM);
          if (isInside) expected.fill(kind === "discard" ? 0xdd : 0, sector * 512, (sector + count) * 512);
        } else if (kind === "read" || kind === "write") {
          const data = buffer(byteLength, ramOffset);
          if (kind === "write") data.set(pattern(byteLength, seed));
          const result = kind === "read" ? blk.readBlocks(sector, data) : blk.writeBlocks(sector, data);
          expect(result).toBe(isInside ? 0 : ERR_INVALID_PARAM);
          if (!isInside) continue;
          if (kind === "write") expected.set(data, sector * 512);
          else expect(firstDifference(data, expected.subarray(sector * 512, sector * 512 + byteLength))).toBe(-1);
        } else {
          const isRead = kind === "readNb";
          const data = buffer(byteLength, -1);
          if (!isRead) data.set(pattern(byteLength, seed));
          const token = isRead ? blk.readBlocksNb(sector, data) : blk.writeBlocksNb(sector, data);
          if (!isInside || byteLength > blk.maxRequestBytes) {
            expect(token).toBe(ERR_INVALID_PARAM);
          } else if (token >= 0) {
            pending.push({
              token,
              isRead,
              buffer: data,
              wanted: expected.slice(sector * 512, sector * 512 + byteLength),
            });
            if (!isRead) expected.set(data, sector * 512);
          } else {
            expect(token).toBe(ERR_QUEUE_FULL);
          }
        }
      }
      while (pending.length > 0) completeOne(0);
      expect(firstDifference(disk.bytes, expected)).toBe(-1);
      expect(rig.guestErrors).toEqual([]);
      blk.release();
      rig.hal.trim();
      expect(rig.frames.usedCount).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("a device that answers late and in any order loses nothing", () => {
  const late = fc.record({
    delays: fc.array(fc.nat(3), { minLength: 30, maxLength: 30 }),
    completions: fc.array(fc.nat(29), { minLength: 60, maxLength: 60 }),
    eventIdx: fc.boolean(),
    packed: fc.boolean(),
    inOrder: fc.boolean(),
    queueCount: fc.constantFrom(1, 2),
  });
  fc.assert(
    fc.property(late, ({ delays, completions, eventIdx, packed, inOrder, queueCount }) => {
      const disk = new TestDisk(64);
      disk.bytes.set(pattern(64 * 512, 4));
      const rig = createRig(new BlockDevice({ backend: disk, queueCount }), { mmio: { eventIdx, packed, inOrder } });
      // Notifications reach the device only when the test says so.
      const held = new Set<number>();
      const region = { ...rig.region };
      region.write32 = (offset, value) => {
        if (offset === 0x50) held.add(value);
        else rig.region.write32(offset, value);
      };
      const deliver = (): void => {
        for (const queue of held) rig.region.write32(0x50, queue);
        held.clear();
      };
      const blk = ok(VirtIOBlk.create(rig.hal, ok(MmioTransport.create(region)), { queueCount }));
      const buffers = delays.map(() => new Uint8Array(512));
      const tokens = delays.map((delay, i) => {
        const token = blk.readBlocksNb(i, buffers[i]);
        if (delay === 0) deliver();
        return token;
      });
      expect(tokens.every((token) => token > 0)).toBe(true);
      const done = new Set<number>();
      const complete = (i: number): void => {
        if (done.has(i)) return;
        const result = blk.completeReadBlocks(tokens[i]);
        if (result === ERR_NOT_READY) return;
        expect(result).toBe(0);
        expect(firstDifference(buffers[i], disk.bytes.subarray(i * 512, (i + 1) * 512))).toBe(-1);
        done.add(i);
      };
      completions.forEach(complete);
      deliver();
      for (let i = tokens.length - 1; i >= 0; i--) complete(i);
      expect(done.size).toBe(30);
    }),
    { numRuns: 100 },
  );
});
