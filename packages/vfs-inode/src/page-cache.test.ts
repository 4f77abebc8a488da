/// <reference types="node" />
import { EFAULT, EIO } from "linux-abi";
import { beforeEach, expect, test } from "vitest";
import {
  DentryCache,
  InodeBase,
  PAGE_SIZE,
  PageCache,
  type PageAllocator,
  type VfsNode,
  createPlainAllocator,
} from "./index.ts";
import type { FileSystem } from "./inode.ts";

/** A file on a slow medium that counts how it is asked. */
class MediumFile extends InodeBase {
  readonly fs = { usesPageCache: true } as FileSystem;
  readonly ino = 1;
  readonly mode = 0o100644;
  readonly uid = 0;
  readonly gid = 0;
  nlink = 1;
  bytes: Uint8Array;
  reads: [number, number][] = [];
  writes: [number, number][] = [];
  broken = false;
  constructor(size: number) {
    super();
    this.bytes = Uint8Array.from({ length: size }, (_, i) => (i >> 12) + i);
  }
  override get size(): number {
    return this.bytes.length;
  }
  getattr(): void {}
  override readAt(offset: number, buf: Uint8Array): number {
    if (this.broken) return -EIO;
    this.reads.push([offset, buf.length]);
    const part = this.bytes.subarray(offset, offset + buf.length);
    buf.set(part);
    return part.length;
  }
  override writeAt(offset: number, buf: Uint8Array): number {
    if (this.broken) return -EIO;
    this.writes.push([offset, buf.length]);
    if (offset + buf.length > this.bytes.length) {
      const grown = new Uint8Array(offset + buf.length);
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes.set(buf, offset);
    return buf.length;
  }
  override truncate(size: number): number {
    const cut = new Uint8Array(size);
    cut.set(this.bytes.subarray(0, size));
    this.bytes = cut;
    return 0;
  }
}

let medium: MediumFile;
let node: VfsNode;
let cache: PageCache;

function setUp(size: number, options: ConstructorParameters<typeof PageCache>[0] = {}): void {
  medium = new MediumFile(size);
  node = new DentryCache().nodeOf(medium);
  cache = new PageCache(options);
}
beforeEach(() => setUp(100 * PAGE_SIZE + 10));

test("sequential reads come in growing batches and hits ask nothing", () => {
  const buf = new Uint8Array(1000);
  for (let at = 0; at < medium.size; at += 1000) {
    const n = cache.read(node, at, buf);
    expect(buf.subarray(0, n)).toEqual(medium.bytes.subarray(at, at + n));
  }
  expect(medium.reads.length).toBeLessThanOrEqual(6);
  expect(Math.max(...medium.reads.map(([, n]) => n))).toBe(32 * PAGE_SIZE);
  const before = medium.reads.length;
  cache.read(node, 50 * PAGE_SIZE, buf);
  expect(medium.reads.length).toBe(before);
});

test("reads stop at the end of the file", () => {
  const buf = new Uint8Array(100);
  expect(cache.read(node, medium.size - 4, buf)).toBe(4);
  expect(cache.read(node, medium.size, buf)).toBe(0);
  expect(cache.read(node, medium.size + 5000, buf)).toBe(0);
});

test("write goes through at once and cached pages show it", () => {
  const buf = new Uint8Array(8);
  cache.read(node, 0, buf);
  expect(cache.write(node, 4090, new Uint8Array(12).fill(7))).toBe(12);
  expect(medium.bytes[4095]).toBe(7);
  cache.read(node, 4090, buf);
  expect([...buf]).toEqual([7, 7, 7, 7, 7, 7, 7, 7]);
});

test("a file written from start to end is read back without the medium", () => {
  setUp(0);
  for (let at = 0; at < 20000; at += 1000) cache.write(node, at, new Uint8Array(1000).fill(at / 1000));
  const buf = new Uint8Array(20000);
  expect(cache.read(node, 0, buf)).toBe(20000);
  expect(buf).toEqual(medium.bytes);
  expect(medium.reads.length).toBe(0);
});

test("the gap that a write beyond the end leaves reads as zero", () => {
  setUp(10);
  const buf = new Uint8Array(20);
  cache.read(node, 0, buf);
  (cache.page(node, 0) as { bytes: Uint8Array }).bytes[12] = 99; // a mapping wrote behind the end
  cache.write(node, 15, new Uint8Array(1));
  cache.read(node, 0, buf);
  expect(buf[12]).toBe(0);
});

test("pages dirtied by a mapping reach the medium on writeback, clipped to the file", () => {
  setUp(PAGE_SIZE + 10);
  expect(cache.frameForMapping(node, 1, true)).toBeGreaterThanOrEqual(0);
  const page = cache.peek(node, 1) as { bytes: Uint8Array };
  page.bytes.fill(5);
  expect(cache.dirtyCount).toBe(1);
  expect(cache.writeback(node)).toBe(0);
  expect(medium.writes).toEqual([[PAGE_SIZE, 10]]);
  expect(cache.dirtyCount).toBe(0);
  expect(cache.frameForMapping(node, 2, false)).toBe(-EFAULT);
});

test("truncation drops pages, clears the rest of the last one and unmaps", () => {
  const unmapped: number[][] = [];
  setUp(4 * PAGE_SIZE, { unmap: (_node, first, last) => unmapped.push([first, last]) });
  const buf = new Uint8Array(10);
  cache.read(node, 0, buf);
  const resize = (size: number): void => {
    cache.resize(node, size);
    medium.truncate(size);
  };
  resize(PAGE_SIZE + 5);
  expect(unmapped).toEqual([[2, 4]]);
  resize(3 * PAGE_SIZE);
  expect(cache.read(node, PAGE_SIZE, buf)).toBe(10);
  expect(buf[5]).toBe(0);
  expect(cache.count).toBe(2);
});

test("the cache stays within its bound and spares frames in use", () => {
  const shared = new Set<number>();
  const plain = createPlainAllocator(1000);
  const allocator: PageAllocator = { ...plain, isShared: (frame) => shared.has(frame) };
  setUp(500 * PAGE_SIZE, { maxPages: 64, allocator });
  shared.add(cache.frameForMapping(node, 0, false));
  const buf = new Uint8Array(PAGE_SIZE);
  for (let i = 0; i < 500; i++) {
    cache.read(node, i * PAGE_SIZE, buf);
    expect(buf).toEqual(medium.bytes.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
  }
  expect(cache.count).toBeLessThanOrEqual(64);
  expect(cache.peek(node, 0)).toBeDefined();
  expect(cache.shrink(1000)).toBeGreaterThan(30);
  expect(cache.count).toBe(1);
});

test("eviction writes dirty pages first", () => {
  setUp(8 * PAGE_SIZE);
  cache.frameForMapping(node, 3, true);
  (cache.peek(node, 3) as { bytes: Uint8Array }).bytes.fill(42);
  cache.shrink(100);
  expect(cache.count).toBe(0);
  expect(medium.bytes[3 * PAGE_SIZE + 5]).toBe(42);
});

test("a medium error is reported and nothing stale stays", () => {
  medium.broken = true;
  expect(cache.read(node, 0, new Uint8Array(10))).toBe(-EIO);
  expect(cache.count).toBe(0);
  medium.broken = false;
  expect(cache.read(node, 0, new Uint8Array(10))).toBe(10);
});

test("without frames reads still work, past the cache", () => {
  setUp(10 * PAGE_SIZE, { allocator: createPlainAllocator(0) });
  const buf = new Uint8Array(3 * PAGE_SIZE);
  expect(cache.read(node, 100, buf)).toBe(buf.length);
  expect(buf).toEqual(medium.bytes.subarray(100, 100 + buf.length));
});

test("contiguous frames are filled by one read straight from the file", () => {
  const memory = new Uint8Array(256 * PAGE_SIZE);
  let next = 0;
  const allocator: PageAllocator = {
    alloc: () => next++,
    free: () => {},
    bytes: (frame) => memory.subarray(frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE),
    allocRun: (count) => (next += count) - count,
    runBytes: (frame, count) => memory.subarray(frame * PAGE_SIZE, (frame + count) * PAGE_SIZE),
  };
  setUp(50 * PAGE_SIZE + 3, { allocator });
  const buf = new Uint8Array(medium.size);
  expect(cache.read(node, 0, buf)).toBe(medium.size);
  expect(buf).toEqual(medium.bytes);
});

test("a released node writes what is dirty unless the file is gone", () => {
  cache.frameForMapping(node, 0, true);
  cache.release(node);
  expect(medium.writes.length).toBe(1);
  expect(cache.count).toBe(0);
  cache.frameForMapping(node, 0, true);
  medium.nlink = 0;
  cache.release(node);
  expect(medium.writes.length).toBe(1);
});

test("any mixture of reads, writes, stores by mappings, truncations and evictions leaves the bytes a plain array has", () => {
  let state = 12345;
  const random = (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  setUp(0, { maxPages: 24 });
  let model = new Uint8Array(0);
  const resizeModel = (size: number): void => {
    const next = new Uint8Array(size);
    next.set(model.subarray(0, size));
    model = next;
  };
  for (let step = 0; step < 5000; step++) {
    const offset = random(60 * PAGE_SIZE);
    const length = 1 + random(random(4) === 0 ? 5 * PAGE_SIZE : 300);
    switch (random(6)) {
      case 0:
      case 1: {
        const data = new Uint8Array(length).fill(step & 255);
        expect(cache.write(node, offset, data)).toBe(length);
        if (offset + length > model.length) resizeModel(offset + length);
        model.set(data, offset);
        break;
      }
      case 2: {
        const size = random(3) === 0 ? random(60 * PAGE_SIZE) : Math.max(0, model.length - random(2 * PAGE_SIZE));
        cache.resize(node, size);
        medium.truncate(size);
        resizeModel(size);
        break;
      }
      case 3: {
        if (offset >= model.length) break;
        const index = Math.floor(offset / PAGE_SIZE);
        cache.frameForMapping(node, index, true);
        const page = cache.peek(node, index) as { bytes: Uint8Array };
        page.bytes[offset % PAGE_SIZE] = step & 255;
        model[offset] = step & 255;
        break;
      }
      case 4:
        if (random(2) === 0) cache.shrink(1 + random(10));
        else expect(cache.writeback(node)).toBe(0);
        break;
      default: {
        const buf = new Uint8Array(length);
        const n = cache.read(node, offset, buf);
        expect(Buffer.compare(buf.subarray(0, n), model.subarray(offset, offset + length))).toBe(0);
      }
    }
    expect(medium.size).toBe(model.length);
  }
  cache.writeback(node);
  expect(Buffer.compare(medium.bytes, model)).toBe(0);
});
