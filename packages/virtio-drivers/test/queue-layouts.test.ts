/** One queue interface, two layouts: what `VirtQueue` promises, checked on both, with every set of ring features. */
import { BlockDevice } from "virt-devices";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DescriptorList,
  ERR_CANCELLED,
  ERR_DEVICE_FAULT,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_UNSUPPORTED,
  ERR_WRONG_TOKEN,
  MmioTransport,
  VirtIOBlk,
  VirtQueue,
  type VirtQueueOptions,
} from "../src/index.ts";
import { LooseDevice } from "./loose-device.ts";
import { createRig, ok, pattern, RAM_BASE, TestDisk } from "./rig.ts";

const BOOLEANS = [false, true];
const ALL_OPTIONS: VirtQueueOptions[] = BOOLEANS.flatMap((packed) =>
  BOOLEANS.flatMap((inOrder) =>
    BOOLEANS.flatMap((eventIdx) => BOOLEANS.map((indirect) => ({ packed, inOrder, eventIdx, indirect }))),
  ),
);
const nameOf = (options: VirtQueueOptions): string =>
  Object.entries(options)
    .filter(([, isSet]) => isSet)
    .map(([name]) => name)
    .join(" ") || "none";
const cases = ALL_OPTIONS.map((options) => [nameOf(options), options] as const);

function create(options: VirtQueueOptions, size: number = 16): { device: LooseDevice; queue: VirtQueue } {
  const device = new LooseDevice(size, options.packed ?? false);
  return { device, queue: ok(VirtQueue.create(device.hal(), device, 0, size, options)) };
}

function listOf(readable: number, writable: number, byteLength: number = 8): DescriptorList {
  const list = new DescriptorList(64);
  for (let i = 0; i < readable; i++) list.pushReadable(RAM_BASE + 0x4_0000 + 16 * i, byteLength);
  for (let i = 0; i < writable; i++) list.pushWritable(RAM_BASE + 0x5_0000 + 16 * i, byteLength);
  return list;
}

describe.each(cases)("features: %s", (_, options) => {
  test("the device sees the chains that were added, in order; what it used comes back with its length", () => {
    const { device, queue } = create(options);
    const shapes = [
      [1, 0],
      [0, 1],
      [2, 3],
      [3, 6],
    ];
    for (let round = 0; round < 40; round++) {
      const [readable, writable] = shapes[round % shapes.length];
      const token = queue.add(listOf(readable, writable));
      const chain = device.take();
      expect([chain?.readable.length, chain?.writable.length]).toEqual([readable, writable]);
      expect(queue.popUsed(token)).toBe(ERR_NOT_READY);
      device.use(chain!, writable * 8);
      expect(queue.canPop()).toBe(true);
      expect(queue.popUsed(token)).toBe(writable * 8);
      expect(queue.canPop()).toBe(false);
      expect(queue.availableDescriptors).toBe(16);
    }
    expect(device.take()).toBeNull();
  });

  test("it fills up, empties and fills again, around the 16-bit wrap", () => {
    const { device, queue } = create(options, options.packed ? 7 : 8);
    const tokens: number[] = [];
    let added = 0;
    for (let round = 0; added < 67_000; round++) {
      let token = queue.add(listOf(1, round % 3));
      for (; token >= 0; token = queue.add(listOf(1, round % 3))) {
        tokens.push(token);
        added++;
      }
      if (token !== ERR_QUEUE_FULL) throw new Error(`add: ${token}`);
      for (let i = 0; i < tokens.length; i++) device.use(device.take()!, 0);
      for (const each of tokens) if (queue.popUsed(each) !== 0) throw new Error(`round ${round}: not popped`);
      tokens.length = 0;
    }
    expect(queue.availableDescriptors).toBe(queue.size);
  });

  test("interrupts are asked for and refused, exactly, also in batches and around the ring", () => {
    const { device, queue } = create(options);
    const list = listOf(0, 1);
    let wrong = 0;
    for (let round = 0; round < 9000; round++) {
      const isEnabled = round % 3 !== 0;
      queue.setDevNotify(isEnabled);
      const count = 1 + (round % 5);
      const tokens = Array.from({ length: count }, () => queue.add(list));
      for (const _ of tokens) device.use(device.take()!, 1);
      if (device.wantsInterrupt(options.eventIdx ?? false) !== isEnabled) wrong++;
      for (const token of tokens) queue.popUsed(token);
    }
    expect(wrong).toBe(0);
  });

  test("the device is notified when it asked to be, also in batches and around the ring", () => {
    const { device, queue } = create(options);
    const list = listOf(1, 0);
    let wrong = 0;
    for (let round = 0; round < 9000; round++) {
      const count = 1 + (round % 4);
      // With event index the device asks for the chain `ahead` places from here; otherwise for all or none.
      const ahead = round % 5;
      device.askForNotification(options.eventIdx ?? false, ahead);
      const tokens = Array.from({ length: count }, () => queue.add(list));
      const expected = options.eventIdx ? ahead < count : ahead % 2 === 0;
      if (queue.shouldNotify() !== expected) wrong++;
      for (const token of tokens) {
        device.use(device.take()!, 0);
        queue.popUsed(token);
      }
    }
    expect(wrong).toBe(0);
  });

  test("a chain that is not next, a report of nothing in flight, a length beyond the buffers", () => {
    const { device, queue } = create(options);
    const first = queue.add(listOf(1, 1));
    const second = queue.add(listOf(1, 1));
    device.use(device.take()!, 8);
    expect(queue.popUsed(second)).toBe(ERR_WRONG_TOKEN);
    expect(queue.popUsed(first)).toBe(8);
    device.use(device.take()!, 9);
    expect(queue.popUsed(second)).toBe(ERR_DEVICE_FAULT);
    expect([queue.broken, queue.add(listOf(1, 0))]).toEqual([true, ERR_DEVICE_FAULT]);
    for (const id of [5, 16, 0xffff]) {
      const other = create(options);
      other.queue.add(listOf(1, 1));
      other.device.use({ ...other.device.take()!, id }, 0);
      expect(other.queue.peekUsed()).toBe(ERR_DEVICE_FAULT);
    }
  });
});

describe.each(BOOLEANS)("in order, packed: %s", (packed) => {
  test("a batch is reported by its last chain; the others count as used completely", () => {
    const { device, queue } = create({ packed, inOrder: true });
    for (let round = 0; round < 200; round++) {
      const tokens = [listOf(1, 1), listOf(0, 2), listOf(2, 1)].map((list) => queue.add(list));
      const chains = tokens.map(() => device.take()!);
      device.useBatch(chains, 3);
      expect(tokens.map((token) => queue.popUsed(token))).toEqual([8, 16, 3]);
      expect([queue.canPop(), queue.availableDescriptors]).toEqual([false, 16]);
    }
  });

  test("descriptors of chains follow each other around the ring", () => {
    const { device, queue } = create({ packed, inOrder: true });
    let expected = 0;
    for (let round = 0; round < 100; round++) {
      const token = queue.add(listOf(1, 1 + (round % 2)));
      const chain = device.take()!;
      expect(chain.places).toEqual(chain.places.map((_, i) => (expected + i) % 16));
      expected = (expected + chain.places.length) % 16;
      device.use(chain, 0);
      queue.popUsed(token);
    }
  });

  test("a report out of order is a fault", () => {
    const { device, queue } = create({ packed, inOrder: true });
    queue.add(listOf(1, 0));
    queue.add(listOf(1, 0));
    const [first, second] = [device.take()!, device.take()!];
    device.use(second, 0); // one place moved on, but it says two chains
    expect(packed ? 0 : queue.peekUsed()).toBe(packed ? 0 : ERR_DEVICE_FAULT);
    const other = create({ packed, inOrder: true });
    other.queue.add(listOf(1, 0));
    other.device.use({ ...other.device.take()!, id: (first.id + 3) % 16 }, 0);
    expect(other.queue.peekUsed()).toBe(ERR_DEVICE_FAULT);
  });
});

test("out of order, chains of any length come back to the right owners", () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.boolean(),
      fc.array(fc.record({ readable: fc.nat(3), writable: fc.nat(3), pick: fc.nat(100), use: fc.boolean() }), {
        minLength: 50,
        maxLength: 150,
      }),
      (packed, indirect, steps) => {
        const { device, queue } = create({ packed, indirect });
        const inFlight = new Map<number, number>(); // token → writable bytes
        const taken: ReturnType<LooseDevice["take"]>[] = [];
        for (const { readable, writable, pick, use } of steps) {
          if (readable + writable > 0) {
            const token = queue.add(listOf(readable, writable));
            if (token >= 0) {
              expect(inFlight.has(token)).toBe(false);
              inFlight.set(token, 8 * writable);
            } else expect(token).toBe(ERR_QUEUE_FULL);
          }
          for (let chain = device.take(); chain !== null; chain = device.take()) taken.push(chain);
          if (!use || taken.length === 0) continue;
          const [chain] = taken.splice(pick % taken.length, 1);
          device.use(chain!, 8 * chain!.writable.length);
          const token = queue.peekUsed();
          expect(token).toBe(chain!.id);
          expect(queue.popUsed(token)).toBe(inFlight.get(token));
          inFlight.delete(token);
        }
      },
    ),
    { numRuns: 200 },
  );
});

describe.each(BOOLEANS)("a ring reset, packed: %s", (packed) => {
  test("takes requests back and leaves a device that works", () => {
    const disk = new TestDisk(64);
    disk.bytes.set(pattern(64 * 512, 3));
    const rig = createRig(new BlockDevice({ backend: disk, queueCount: 2 }), { mmio: { packed } });
    let isDeaf = false;
    const region = { ...rig.region };
    region.write32 = (offset, value) => {
      if (offset !== 0x50 || !isDeaf) rig.region.write32(offset, value);
    };
    const transport = ok(MmioTransport.create(region));
    const blk = ok(VirtIOBlk.create(rig.hal, transport, { queueCount: 2 }));
    for (let round = 0; round < 5; round++) {
      isDeaf = true;
      const buffers = Array.from({ length: 10 }, () => new Uint8Array(512));
      const tokens = buffers.map((buffer, i) => blk.readBlocksNb(i, buffer));
      expect(tokens.map((token) => blk.completeReadBlocks(token))).toEqual(tokens.map(() => ERR_NOT_READY));
      expect(blk.cancelRequests()).toBe(0);
      expect(tokens.map((token) => blk.completeReadBlocks(token))).toEqual(tokens.map(() => ERR_CANCELLED));
      isDeaf = false;
      const buffer = new Uint8Array(512);
      for (let i = 0; i < 4; i++) expect(blk.completeReadBlocks(blk.readBlocksNb(i, buffer))).toBe(0);
      expect(buffer).toEqual(disk.bytes.subarray(3 * 512, 4 * 512));
    }
    expect(rig.guestErrors).toEqual([]);
    blk.release();
    rig.hal.trim();
    expect(rig.frames.usedCount).toBe(0);
  });

  test("needs the feature", () => {
    const rig = createRig(new BlockDevice({ backend: new TestDisk(8) }), { mmio: { packed, ringReset: false } });
    expect(ok(VirtIOBlk.create(rig.hal, rig.transport)).cancelRequests()).toBe(ERR_UNSUPPORTED);
  });
});

test.each([
  [{ packed: false }, 0x0003_0000],
  [{ packed: true }, 0x8003_0000 + 6 * 0x1_0000],
])("NOTIFICATION_DATA says where the next chain will go: %o", (mmio, expected) => {
  const rig = createRig(new BlockDevice({ backend: new TestDisk(8) }), {
    mmio: { ...mmio, notificationData: true, indirect: false, eventIdx: false },
  });
  const notified: number[] = [];
  const region = { ...rig.region };
  region.write32 = (offset, value) => {
    if (offset === 0x50) notified.push(value);
    rig.region.write32(offset, value);
  };
  const blk = ok(VirtIOBlk.create(rig.hal, ok(MmioTransport.create(region))));
  for (let i = 0; i < 3; i++) expect(blk.readBlocks(i, new Uint8Array(512))).toBe(0);
  expect(notified.at(-1)).toBe(expected);
});
