/** VirtIOBlk against the block device model: real rings in RAM on both sides. */
import { expect, test } from "vitest";
import { BlockDevice, type BlockDeviceOptions } from "virt-devices";
import {
  ERR_DEVICE_FAULT,
  ERR_INVALID_PARAM,
  ERR_IO,
  ERR_NOT_READY,
  ERR_QUEUE_FULL,
  ERR_READ_ONLY,
  ERR_TIMED_OUT,
  ERR_WRONG_TOKEN,
  MmioTransport,
  VirtIOBlk,
  type VirtIOBlkOptions,
} from "../src/index.ts";
import { createRig, firstDifference, ok, pattern, type Rig, type RigOptions, TestDisk } from "./rig.ts";

interface BlkRig extends Rig {
  readonly disk: TestDisk;
  readonly blk: VirtIOBlk;
  readonly model: BlockDevice;
}

function createBlkRig(
  options: Partial<BlockDeviceOptions> & { disk?: TestDisk; rig?: RigOptions; driver?: VirtIOBlkOptions } = {},
): BlkRig {
  const disk = options.disk ?? new TestDisk(4096);
  const model = new BlockDevice({ backend: disk, serial: "disk-0001", ...options });
  const rig = createRig(model, options.rig);
  return { ...rig, disk, model, blk: ok(VirtIOBlk.create(rig.hal, rig.transport, options.driver)) };
}

test("capacity is in sectors of 512 bytes", () => {
  expect(createBlkRig().blk.capacity()).toBe(4096);
});

test("what is written can be read back, from the host's heap and from guest RAM", () => {
  const { blk, disk, ram } = createBlkRig();
  const data = pattern(4096, 1);
  expect(blk.writeBlocks(8, data)).toBe(0);
  expect(disk.bytes.subarray(8 * 512, 16 * 512)).toEqual(data);
  const heap = new Uint8Array(4096);
  expect(blk.readBlocks(8, heap)).toBe(0);
  expect(heap).toEqual(data);
  const frame = ram.subarray(0x10_0000, 0x10_1000);
  expect(blk.readBlocks(8, frame)).toBe(0);
  expect(frame).toEqual(data);
});

test.each([
  ["everything", {}],
  ["no indirect descriptors", { indirect: false }],
  ["no event index", { eventIdx: false }],
  ["neither", { indirect: false, eventIdx: false }],
])("a transfer larger than one request is split; features: %s", (_, mmio) => {
  const { blk, disk } = createBlkRig({ rig: { scattered: true, pages: 1024, mmio } });
  const data = pattern(3 * 512 * 1024 + 512, 3);
  expect(blk.writeBlocks(1, data)).toBe(0);
  expect(firstDifference(disk.bytes.subarray(512, 512 + data.length), data)).toBe(-1);
  const back = new Uint8Array(data.length);
  expect(blk.readBlocks(1, back)).toBe(0);
  expect(firstDifference(back, data)).toBe(-1);
});

test("SEG_MAX and SIZE_MAX are honoured, whatever they are", () => {
  for (const queueSize of [4, 8, 16]) {
    for (const sizeMax of [512, 1000, 4096, 0]) {
      const { blk, disk, guestErrors } = createBlkRig({ queueSize, sizeMax, rig: { scattered: true } });
      const data = pattern(64 * 512, queueSize + sizeMax);
      expect(blk.writeBlocks(0, data)).toBe(0);
      expect(disk.bytes.subarray(0, data.length)).toEqual(data);
      expect(guestErrors).toEqual([]);
    }
  }
});

test("requests outside the disk or not in whole sectors are refused before they reach the device", () => {
  const { blk } = createBlkRig();
  expect(blk.readBlocks(4095, new Uint8Array(1024))).toBe(ERR_INVALID_PARAM);
  expect(blk.readBlocks(-1, new Uint8Array(512))).toBe(ERR_INVALID_PARAM);
  expect(blk.readBlocks(0.5, new Uint8Array(512))).toBe(ERR_INVALID_PARAM);
  expect(blk.readBlocks(0, new Uint8Array(100))).toBe(ERR_INVALID_PARAM);
  expect(blk.readBlocks(0, new Uint8Array(0))).toBe(0);
});

test("non-blocking requests complete in any order, and a token works once", () => {
  const { blk, disk } = createBlkRig();
  disk.bytes.set(pattern(8192, 9));
  const first = new Uint8Array(512);
  const second = new Uint8Array(1024);
  const a = blk.readBlocksNb(0, first);
  const b = blk.readBlocksNb(1, second);
  expect(a).toBeGreaterThan(0);
  expect(blk.isComplete(b)).toBe(true);
  expect(blk.completeWriteBlocks(b)).toBe(ERR_WRONG_TOKEN);
  expect(blk.completeReadBlocks(b)).toBe(0);
  expect(blk.completeReadBlocks(b)).toBe(ERR_WRONG_TOKEN);
  expect(blk.completeReadBlocks(a)).toBe(0);
  expect(first).toEqual(disk.bytes.subarray(0, 512));
  expect(second).toEqual(disk.bytes.subarray(512, 1536));
});

test("more requests than the queue holds answer QueueFull, and nothing is lost", () => {
  const { blk } = createBlkRig({ driver: { queueSize: 16 }, rig: { mmio: { indirect: false } } });
  const tokens: number[] = [];
  let token = blk.readBlocksNb(0, new Uint8Array(512));
  // The device answers at once, but slots stay taken until the tokens are completed.
  while (token >= 0) {
    tokens.push(token);
    token = blk.readBlocksNb(0, new Uint8Array(512));
  }
  expect(token).toBe(ERR_QUEUE_FULL);
  for (const each of tokens) expect(blk.completeReadBlocks(each)).toBe(0);
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
});

test("a failing backend gives IoError, and the next request works", () => {
  const { blk, disk } = createBlkRig();
  disk.failWith = -5;
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_IO);
  expect(blk.writeBlocks(0, new Uint8Array(512))).toBe(ERR_IO);
  expect(blk.flush()).toBe(ERR_IO);
  disk.failWith = 0;
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
});

test("a read-only disk refuses writes", () => {
  const { blk } = createBlkRig({ disk: new TestDisk(64, true) });
  expect(blk.readOnly).toBe(true);
  expect(blk.writeBlocks(0, new Uint8Array(512))).toBe(ERR_READ_ONLY);
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
});

test("flush, discard, write zeroes and the serial number reach the device", () => {
  const { blk, disk } = createBlkRig({ disk: new TestDisk(200_000) });
  disk.bytes.fill(7);
  expect(blk.flush()).toBe(0);
  expect(blk.discard(16, 8)).toBe(0);
  expect(disk.log).toEqual(["flush", "discard 16 8"]);
  expect(blk.writeZeroes(100, 150_000, { unmap: true })).toBe(0);
  expect(disk.bytes[100 * 512 - 1]).toBe(7);
  expect(disk.bytes.subarray(100 * 512, 150_100 * 512).every((byte) => byte === 0)).toBe(true);
  expect(disk.bytes[150_100 * 512]).toBe(7);
  expect(blk.deviceId()).toBe("disk-0001");
});

test("blocking requests cause no interrupts unless they are enabled", () => {
  const { blk, irq } = createBlkRig();
  for (let i = 0; i < 100; i++) blk.readBlocks(i, new Uint8Array(512));
  expect(irq.raises).toBe(0);
  blk.enableInterrupts();
  const token = blk.readBlocksNb(0, new Uint8Array(512));
  expect(irq.high).toBe(true);
  expect(blk.handleInterrupt()).toBe(1);
  expect(irq.high).toBe(false);
  expect(blk.handleInterrupt()).toBe(0); // spurious
  expect(blk.completeReadBlocks(token)).toBe(0);
});

test("a grown disk is seen after its configuration interrupt", () => {
  const disk = new TestDisk(64);
  const { blk, model, irq } = createBlkRig({ disk });
  Object.defineProperty(disk, "bytes", { value: new Uint8Array(128 * 512) });
  model.resized();
  expect(irq.high).toBe(true);
  expect(blk.capacity()).toBe(64);
  blk.handleInterrupt();
  expect(blk.capacity()).toBe(128);
  expect(blk.readBlocks(127, new Uint8Array(512))).toBe(0);
});

test("rings keep working across the 16-bit wrap of their indices", () => {
  for (const eventIdx of [true, false]) {
    const { blk, disk, ram } = createBlkRig({ rig: { mmio: { eventIdx } } });
    const frame = ram.subarray(0x10_0000, 0x10_0200);
    for (let i = 0; i < 66_000; i++) {
      disk.bytes[0] = i & 0xff;
      if (blk.readBlocks(0, frame) !== 0 || frame[0] !== (i & 0xff)) throw new Error(`request ${i} failed`);
    }
  }
});

test("release gives every frame back", () => {
  const { blk, frames, hal } = createBlkRig();
  blk.readBlocks(0, new Uint8Array(8192));
  blk.release();
  hal.trim();
  expect(frames.usedCount).toBe(0);
});

test("the block device adapter speaks errno", () => {
  const { blk, disk } = createBlkRig({ disk: new TestDisk(64, true) });
  const device = blk.asBlockDevice();
  expect([device.size, device.blockSize, device.readOnly]).toEqual([64 * 512, 512, true]);
  expect(device.readBlock(0, new Uint8Array(512))).toBe(0);
  expect(device.writeBlock(0, new Uint8Array(512))).toBe(-30); // EROFS
  expect(device.readBlock(64, new Uint8Array(512))).toBe(-22); // EINVAL
  disk.failWith = -5;
  expect(device.readBlock(0, new Uint8Array(512))).toBe(-5); // EIO
});

test("a request that the device does not answer is NotReady, and a blocking one times out", () => {
  const rig = createRig(new BlockDevice({ backend: new TestDisk(64) }));
  const deaf = {
    ...rig.region,
    write32: (offset: number, value: number) => offset !== 0x50 && rig.region.write32(offset, value),
  };
  const transport = ok(MmioTransport.create(deaf as typeof rig.region));
  const blk = ok(VirtIOBlk.create(rig.hal, transport, { maxPolls: 100 }));
  const token = blk.readBlocksNb(0, new Uint8Array(512));
  expect(blk.completeReadBlocks(token)).toBe(ERR_NOT_READY);
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_TIMED_OUT);
  expect(blk.completeReadBlocks(token)).toBe(ERR_DEVICE_FAULT); // the reset ended it
  expect(rig.transport.getStatus()).toBe(0);
});

test("a host buffer is bounced through one stretch of memory, and what is kept is given back in the pieces it came in", () => {
  const rig = createRig(new BlockDevice({ backend: new TestDisk(2048) }));
  const before = rig.frames.usedCount;
  const large = rig.hal.share(new Uint8Array(20 * 4096), "driverToDevice");
  if (typeof large === "number") throw new Error(`share: ${large}`);
  expect(Array.from(large.byteLengths).slice(0, large.runCount)).toEqual([20 * 4096]);
  const small = rig.hal.share(new Uint8Array(100), "driverToDevice");
  if (typeof small === "number") throw new Error(`share: ${small}`);
  rig.hal.unshare(large, new Uint8Array(20 * 4096), "driverToDevice");
  expect(rig.frames.usedCount).toBe(before + 21);
  rig.hal.trim();
  expect(rig.frames.usedCount).toBe(before + 1);
  rig.hal.unshare(small, new Uint8Array(100), "driverToDevice");
  rig.hal.trim();
  expect(rig.frames.usedCount).toBe(before);
});
