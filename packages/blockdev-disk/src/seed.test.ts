/** Walks through the seed's block layer by name: BlockDevice, Disk with its cursor, KernelDevOp, and their tricky cases. */
import { expect, test } from "vitest";
import {
  Disk,
  EINVAL,
  EIO,
  ENOSPC,
  FaultyDisk,
  type KernelDevOp,
  MemoryDisk,
  RecordingDisk,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "./index.ts";

const BLOCK_SIZE = 512;

function patterned(blocks: number): MemoryDisk {
  const device = new MemoryDisk(blocks * BLOCK_SIZE);
  for (let i = 0; i < blocks; i++) device.writeBlock(i, new Uint8Array(BLOCK_SIZE).fill(i + 1));
  return device;
}

test("size and block_size are in bytes", () => {
  const device = new MemoryDisk(8 * BLOCK_SIZE);
  expect(device.size).toBe(4096);
  expect(device.blockSize).toBe(512);
  expect(new Disk(device).size).toBe(4096);
});

test("set_position splits into block and offset, position puts them together", () => {
  const disk = new Disk(patterned(8));
  disk.setPosition(1300);
  expect(disk.position).toBe(1300);
  const buf = new Uint8Array(1);
  expect(disk.readOne(buf)).toBe(1);
  expect(buf[0]).toBe(3);
  expect(() => disk.setPosition(-1)).toThrow(RangeError);
});

test("read_one reads a whole block when aligned and large enough", () => {
  const disk = new Disk(patterned(4));
  const buf = new Uint8Array(1000);
  expect(disk.readOne(buf)).toBe(512);
  expect(disk.position).toBe(512);
  expect(buf[511]).toBe(1);
  expect(buf[512]).toBe(0);
});

test("read_one stops at the block's end when it starts inside, and the next one continues in the next block", () => {
  const disk = new Disk(patterned(4));
  disk.setPosition(500);
  const buf = new Uint8Array(100);
  expect(disk.readOne(buf)).toBe(12);
  expect(disk.position).toBe(512);
  expect(disk.readOne(buf.subarray(12))).toBe(88);
  expect([buf[11], buf[12]]).toEqual([1, 2]);
});

test("write_one of part of a block keeps the rest of it (read-modify-write)", () => {
  const device = patterned(4);
  const disk = new Disk(device);
  disk.setPosition(512 + 10);
  expect(disk.writeOne(new Uint8Array([9, 9]))).toBe(2);
  const block = new Uint8Array(512);
  device.readBlock(1, block);
  expect([...block.subarray(9, 13)]).toEqual([2, 9, 9, 2]);
  expect(disk.position).toBe(524);
});

test("write_one of a whole block does not read it first", () => {
  const disk = new Disk(new FaultyDisk(new MemoryDisk(1024), (operation) => operation === "read"));
  expect(disk.writeOne(new Uint8Array(512).fill(7))).toBe(512);
  expect(disk.writeOne(new Uint8Array(511))).toBe(-EIO);
});

test("read and write move any number of bytes at any position", () => {
  const disk = new Disk(new MemoryDisk(16 * BLOCK_SIZE));
  const data = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);
  disk.setPosition(700);
  expect(disk.write(data)).toBe(3000);
  expect(disk.position).toBe(3700);
  disk.setPosition(700);
  const back = new Uint8Array(3000);
  expect(disk.read(back)).toBe(3000);
  expect(back).toEqual(data);
});

test("whole blocks in the middle go to the device in one call", () => {
  const recorder = new RecordingDisk(new MemoryDisk(16 * BLOCK_SIZE));
  const disk = new Disk(recorder);
  disk.setPosition(100);
  disk.write(new Uint8Array(412 + 5 * 512 + 3));
  const lengths = recorder.events.map((event) => (event.kind === "write" ? event.data.length : 0));
  expect(lengths).toEqual([512, 5 * 512, 512]);
});

test("reading at the end is 0, across the end is short", () => {
  const disk = new Disk(patterned(2));
  disk.setPosition(1000);
  expect(disk.read(new Uint8Array(100))).toBe(24);
  expect(disk.read(new Uint8Array(100))).toBe(0);
  disk.setPosition(5000);
  expect(disk.readOne(new Uint8Array(1))).toBe(0);
});

test("writing across the end is short, at the end ENOSPC", () => {
  const disk = new Disk(patterned(2));
  disk.setPosition(1000);
  expect(disk.write(new Uint8Array(100))).toBe(24);
  expect(disk.write(new Uint8Array(100))).toBe(-ENOSPC);
});

test("a device error surfaces from read, write and flush instead of being swallowed", () => {
  const disk = new Disk(new FaultyDisk(new MemoryDisk(4096), () => true));
  expect(disk.read(new Uint8Array(512))).toBe(-EIO);
  expect(disk.read(new Uint8Array(5))).toBe(-EIO);
  expect(disk.write(new Uint8Array(512))).toBe(-EIO);
  expect(disk.flush()).toBe(-EIO);
  expect(disk.position).toBe(0);
});

test("flush reaches the device", () => {
  const recorder = new RecordingDisk(new MemoryDisk(4096));
  expect(new Disk(recorder).flush()).toBe(0);
  expect(recorder.events).toEqual([{ kind: "flush" }]);
});

test("seek counts from the start, the cursor or the end", () => {
  const disk: KernelDevOp = new Disk(patterned(2));
  expect(disk.seek(100, SEEK_SET)).toBe(100);
  expect(disk.seek(-40, SEEK_CUR)).toBe(60);
  expect(disk.seek(-24, SEEK_END)).toBe(1000);
});

test("seek to a negative position or with an unknown whence is EINVAL and moves nothing", () => {
  const disk = new Disk(patterned(2));
  disk.seek(100, SEEK_SET);
  expect(disk.seek(-101, SEEK_CUR)).toBe(-EINVAL);
  expect(disk.seek(-1, SEEK_SET)).toBe(-EINVAL);
  expect(disk.seek(-1025, SEEK_END)).toBe(-EINVAL);
  expect(disk.seek(0, 3)).toBe(-EINVAL);
  expect(disk.seek(0.5, SEEK_SET)).toBe(-EINVAL);
  expect(disk.position).toBe(100);
});

test("seek beyond the end is allowed and warned about", () => {
  const warnings: string[] = [];
  const disk = new Disk(patterned(2), { warn: (message) => warnings.push(message) });
  expect(disk.seek(1, SEEK_END)).toBe(1025);
  expect(disk.seek(0, SEEK_END)).toBe(1024);
  expect(warnings).toEqual(["seek to 1025 lies beyond the end of the disk (1024 bytes)"]);
});
