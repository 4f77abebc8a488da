/**
 * Page cache: the contents of regular files in page frames that processes can map.
 *
 * Frames come from an injected `PageAllocator`; in a machine they are frames of guest RAM, so that read(2), mmap(2) and
 * DMA see the same bytes. write(2) goes through to the file system at once and updates cached pages, so only pages written
 * by way of shared mappings are ever dirty; they reach the file system on msync, fsync, sync and eviction.
 *
 * Invariants: bytes of a cached page beyond the end of the file are zero when it is filled; a page is in its file's map if and only
 * if it is in the ring; a dirty, pinned or shared frame is never evicted without being written, respectively not at all.
 *
 * Eviction is a clock (second chance). A hit sets one flag and allocates nothing.
 */
import { EFAULT, EIO, ENODEV, ENOMEM } from "linux-abi";
import type { VfsNode } from "./dentry.ts";

export const PAGE_SIZE = 4096;
const PAGE_SHIFT = 12;
/** Read-ahead window, in pages: first guess and upper bound. */
const READ_AHEAD_MIN = 4;
const READ_AHEAD_MAX = 32;

/** Where page frames come from. Frame numbers are opaque non-negative integers. */
export interface PageAllocator {
  /** A frame with one reference, contents arbitrary, or -1. */
  alloc(): number;
  /** Drops one reference. */
  free(frame: number): void;
  /** The frame's 4096 bytes. The view must stay valid until the frame is freed. */
  bytes(frame: number): Uint8Array;
  /** True while somebody besides the cache (a mapping) holds the frame: it is not evicted. */
  isShared?(frame: number): boolean;
  /** `count` frames whose bytes follow each other; first frame, or -1. They are freed one by one. Saves a copy per read. */
  allocRun?(count: number): number;
  /** The cache stored into a frame that programs may have mapped: `from` and `byteLength` within the page. */
  modified?(frame: number, from: number, byteLength: number): void;
  /** The bytes of a run from `allocRun`. */
  runBytes?(frame: number, count: number): Uint8Array;
}

/** Frames in ordinary memory, for use without a machine. `limit`: number of frames. */
export function createPlainAllocator(limit = 16384): PageAllocator {
  const frames: (Uint8Array | null)[] = [];
  const unused: number[] = [];
  return {
    alloc(): number {
      const frame = unused.pop() ?? (frames.length < limit ? frames.length : -1);
      if (frame >= 0) frames[frame] = new Uint8Array(PAGE_SIZE);
      return frame;
    },
    free(frame: number): void {
      frames[frame] = null;
      unused.push(frame);
    },
    bytes(frame: number): Uint8Array {
      const bytes = frames[frame];
      if (bytes === null || bytes === undefined)
        throw new RangeError(`"frame" expected an allocated frame, got ${frame}`);
      return bytes;
    },
  };
}

export class CachedPage {
  readonly file: CachedFile;
  readonly index: number;
  readonly frame: number;
  readonly bytes: Uint8Array;
  dirty = false;
  referenced = true;
  /** Held by an operation in progress. */
  pins = 0;
  next: CachedPage = this;
  previous: CachedPage = this;

  constructor(file: CachedFile, index: number, frame: number, bytes: Uint8Array) {
    this.file = file;
    this.index = index;
    this.frame = frame;
    this.bytes = bytes;
  }
}

/** The cached pages of one file. */
export class CachedFile {
  readonly node: VfsNode;
  readonly pages: Map<number, CachedPage> = new Map();
  dirtyPages = 0;
  /** The page index that a sequential reader asks for next, and the window for it. */
  nextSequential = 0;
  window: number = READ_AHEAD_MIN;

  constructor(node: VfsNode) {
    this.node = node;
  }
}

export interface PageCacheOptions {
  /** Default: 16384 frames of plain memory. */
  readonly allocator?: PageAllocator;
  /** Upper bound of cached pages. Default: 65536 (256 MiB). */
  readonly maxPages?: number;
  /** Before a dirty page is written: make every mapping of it read-only, so that the next store marks it dirty again. */
  readonly writeProtect?: (page: CachedPage) => void;
  /** Pages `first` and above are leaving the file (truncate, hole): remove them from all mappings. */
  readonly unmap?: (node: VfsNode, first: number, last: number) => void;
}

export class PageCache {
  readonly allocator: PageAllocator;
  readonly #maxPages: number;
  readonly #writeProtect: (page: CachedPage) => void;
  readonly #unmap: (node: VfsNode, first: number, last: number) => void;
  readonly #scratch = new Uint8Array(READ_AHEAD_MAX * PAGE_SIZE);
  #hand: CachedPage | null = null;
  #count = 0;
  #dirty = 0;

  constructor(options: PageCacheOptions = {}) {
    this.allocator = options.allocator ?? createPlainAllocator();
    this.#maxPages = options.maxPages ?? 65536;
    this.#writeProtect = options.writeProtect ?? (() => {});
    this.#unmap = options.unmap ?? (() => {});
  }

  /** Cached pages. */
  get count(): number {
    return this.#count;
  }

  /** Pages written by mappings and not yet by us. */
  get dirtyCount(): number {
    return this.#dirty;
  }

  fileOf(node: VfsNode): CachedFile {
    if (node.pages === null) node.pages = new CachedFile(node);
    return node.pages as CachedFile;
  }

  /** Page `index` of the file, read in if need be. -EIO and the like from the medium, -ENOMEM, -EFAULT beyond the end. */
  page(node: VfsNode, index: number): CachedPage | number {
    const file = this.fileOf(node);
    const page = file.pages.get(index);
    if (page !== undefined) {
      page.referenced = true;
      return page;
    }
    return this.#fill(file, index);
  }

  /** The page if it is cached. */
  peek(node: VfsNode, index: number): CachedPage | undefined {
    return node.pages === null ? undefined : (node.pages as CachedFile).pages.get(index);
  }

  /**
   * The frame a mapping of page `index` shows. `write`: it is about to be stored to through a shared mapping.
   * -EFAULT beyond the end of the file (SIGBUS), -ENODEV for files that cannot be mapped.
   */
  frameForMapping(node: VfsNode, index: number, write: boolean): number {
    const inode = node.inode;
    if (index * PAGE_SIZE >= inode.size) return -EFAULT;
    if (inode.pageFrame !== undefined) return inode.pageFrame(index, true);
    if (!inode.fs.usesPageCache) return -ENODEV;
    const page = this.page(node, index);
    if (typeof page === "number") return page;
    if (write) this.markDirty(page);
    return page.frame;
  }

  markDirty(page: CachedPage): void {
    if (page.dirty) return;
    page.dirty = true;
    page.file.dirtyPages++;
    this.#dirty++;
  }

  #markClean(page: CachedPage): void {
    if (!page.dirty) return;
    page.dirty = false;
    page.file.dirtyPages--;
    this.#dirty--;
  }

  #fill(file: CachedFile, index: number): CachedPage | number {
    const inode = file.node.inode;
    const endPage = Math.ceil(inode.size / PAGE_SIZE);
    if (index >= endPage) return -EFAULT;
    file.window = index === file.nextSequential ? Math.min(file.window * 2, READ_AHEAD_MAX) : READ_AHEAD_MIN;
    let wanted = Math.min(file.window, endPage - index);
    for (let i = 1; i < wanted; i++) {
      if (file.pages.has(index + i)) {
        wanted = i;
        break;
      }
    }
    file.nextSequential = index + wanted;
    this.#makeRoom(wanted);
    const run = wanted > 1 ? this.#fillRun(file, index, wanted) : 0;
    if (run < 0) return run;
    if (run === 0) {
      const error = this.#fillSingly(file, index, wanted);
      if (error !== 0) return error;
    }
    return file.pages.get(index) ?? -ENOMEM; // evicted at once: memory is all but gone
  }

  /** Reads straight into contiguous frames. 0: not possible here; 1: done; -errno. */
  #fillRun(file: CachedFile, index: number, count: number): number {
    const allocator = this.allocator;
    if (allocator.allocRun === undefined || allocator.runBytes === undefined) return 0;
    const first = allocator.allocRun(count);
    if (first < 0) return 0;
    const bytes = allocator.runBytes(first, count);
    const n = file.node.inode.readAt(index * PAGE_SIZE, bytes);
    if (n < 0) {
      for (let i = 0; i < count; i++) allocator.free(first + i);
      return n;
    }
    if (n < bytes.length) bytes.fill(0, n);
    for (let i = 0; i < count; i++) this.#insert(file, index + i, first + i);
    return 1;
  }

  #fillSingly(file: CachedFile, index: number, count: number): number {
    const inode = file.node.inode;
    if (count === 1) {
      const page = this.#newPage(file, index);
      if (page === undefined) return -ENOMEM;
      const n = inode.readAt(index * PAGE_SIZE, page.bytes);
      if (n < 0) {
        this.#remove(page);
        return n;
      }
      if (n < PAGE_SIZE) page.bytes.fill(0, n);
      return 0;
    }
    const scratch = this.#scratch.subarray(0, count * PAGE_SIZE);
    const n = inode.readAt(index * PAGE_SIZE, scratch);
    if (n < 0) return n;
    if (n < scratch.length) scratch.fill(0, n);
    for (let i = 0; i < count; i++) {
      const page = this.#newPage(file, index + i);
      if (page === undefined) return i > 0 ? 0 : -ENOMEM;
      page.bytes.set(scratch.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    }
    return 0;
  }

  #newPage(file: CachedFile, index: number): CachedPage | undefined {
    let frame = this.allocator.alloc();
    if (frame < 0 && this.shrink(READ_AHEAD_MAX) > 0) frame = this.allocator.alloc();
    return frame < 0 ? undefined : this.#insert(file, index, frame);
  }

  #insert(file: CachedFile, index: number, frame: number): CachedPage {
    const page = new CachedPage(file, index, frame, this.allocator.bytes(frame));
    file.pages.set(index, page);
    const hand = this.#hand;
    if (hand === null) this.#hand = page;
    else {
      page.next = hand;
      page.previous = hand.previous;
      hand.previous.next = page;
      hand.previous = page;
    }
    this.#count++;
    return page;
  }

  #remove(page: CachedPage): void {
    this.#markClean(page);
    page.file.pages.delete(page.index);
    if (page.next === page) this.#hand = null;
    else {
      page.previous.next = page.next;
      page.next.previous = page.previous;
      if (this.#hand === page) this.#hand = page.next;
    }
    page.next = page;
    page.previous = page;
    this.#count--;
    this.allocator.free(page.frame);
  }

  #makeRoom(wanted: number): void {
    const excess = this.#count + wanted - this.#maxPages;
    if (excess > 0) this.shrink(Math.max(excess, READ_AHEAD_MAX));
  }

  /** Frees up to `wanted` pages nobody uses, writing dirty ones first; returns how many went. For memory pressure. */
  shrink(wanted: number): number {
    const allocator = this.allocator;
    let freed = 0;
    let steps = this.#count * 2;
    while (freed < wanted && steps-- > 0) {
      const page = this.#hand;
      if (page === null) break;
      this.#hand = page.next;
      if (page.pins > 0 || allocator.isShared?.(page.frame) === true) continue;
      if (page.referenced) {
        page.referenced = false;
        continue;
      }
      if (page.dirty && this.#writePage(page) < 0) continue;
      this.#remove(page);
      freed++;
    }
    return freed;
  }

  /** Copies cached bytes of the file into `buf`; count, 0 at the end, or -errno if nothing could be read. */
  read(node: VfsNode, offset: number, buf: Uint8Array): number {
    const inode = node.inode;
    const size = inode.size;
    const length = Math.min(buf.length, size - offset);
    if (length <= 0) return 0;
    let done = 0;
    while (done < length) {
      const position = offset + done;
      const index = Math.floor(position / PAGE_SIZE);
      const from = position - index * PAGE_SIZE;
      const count = Math.min(PAGE_SIZE - from, length - done);
      const page = this.page(node, index);
      if (typeof page === "number") {
        if (page === -ENOMEM) {
          // No frame to be had: read past the cache.
          const n = inode.readAt(position, buf.subarray(done, done + count));
          if (n > 0) {
            done += n;
            continue;
          }
          return done > 0 ? done : n;
        }
        return done > 0 ? done : page;
      }
      if (count === PAGE_SIZE) buf.set(page.bytes, done);
      else buf.set(page.bytes.subarray(from, from + count), done);
      done += count;
    }
    return done;
  }

  /** Writes through to the file and updates cached pages; returns the file system's count or -errno. */
  write(node: VfsNode, offset: number, buf: Uint8Array): number {
    const inode = node.inode;
    const oldSize = inode.size;
    const written = inode.writeAt(offset, buf);
    if (written <= 0) return written;
    const file = this.fileOf(node);
    if (offset > oldSize) this.#zeroTail(file, oldSize);
    const end = offset + written;
    const lastIndex = Math.floor((end - 1) / PAGE_SIZE);
    for (let index = Math.floor(offset / PAGE_SIZE); index <= lastIndex; index++) {
      const start = index * PAGE_SIZE;
      const from = Math.max(offset, start);
      const to = Math.min(end, start + PAGE_SIZE);
      let page = file.pages.get(index);
      if (page === undefined) {
        // A page that this write covers as far as the file goes is worth keeping: no read is needed for it.
        if (from !== start || (to < start + PAGE_SIZE && to < inode.size)) continue;
        this.#makeRoom(1);
        page = this.#newPage(file, index);
        if (page === undefined) continue;
        if (to < start + PAGE_SIZE) page.bytes.fill(0, to - start);
      }
      page.bytes.set(buf.subarray(from - offset, to - offset), from - start);
      this.allocator.modified?.(page.frame, from - start, to - from);
      page.referenced = true;
    }
    return written;
  }

  /** Bytes beyond the old end in its last page become part of the file: they must read as zero. */
  #zeroTail(file: CachedFile, size: number): void {
    const tail = size & (PAGE_SIZE - 1);
    if (tail === 0) return;
    file.pages.get(size >= 2 ** 31 ? Math.floor(size / PAGE_SIZE) : size >> PAGE_SHIFT)?.bytes.fill(0, tail);
  }

  /** The file's size is about to change to `size`: drops pages beyond it and clears the rest of the last one. */
  resize(node: VfsNode, size: number): void {
    const file = node.pages as CachedFile | null;
    const oldSize = node.inode.size;
    if (size < oldSize) this.#unmap(node, Math.ceil(size / PAGE_SIZE), Math.ceil(oldSize / PAGE_SIZE));
    if (file === null) return;
    if (size >= oldSize) {
      this.#zeroTail(file, oldSize);
      return;
    }
    const firstGone = Math.ceil(size / PAGE_SIZE);
    for (const page of [...file.pages.values()]) if (page.index >= firstGone) this.#remove(page);
    this.#zeroTail(file, size);
  }

  /** Bytes `offset`.. change below the cache (hole punching, collapse): writes back, unmaps and forgets the pages. */
  invalidate(node: VfsNode, offset: number, byteLength: number): number {
    const file = node.pages as CachedFile | null;
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.ceil((offset + byteLength) / PAGE_SIZE);
    let error = 0;
    if (file !== null) {
      error = this.writeback(node, offset, byteLength);
      for (const page of [...file.pages.values()]) if (page.index >= first && page.index < last) this.#remove(page);
    }
    this.#unmap(node, first, last);
    return error;
  }

  /** Drops clean unshared pages in a range (POSIX_FADV_DONTNEED). */
  forget(node: VfsNode, offset: number, byteLength: number): void {
    const file = node.pages as CachedFile | null;
    if (file === null) return;
    const first = Math.ceil(offset / PAGE_SIZE);
    const last = byteLength === 0 ? Number.POSITIVE_INFINITY : Math.floor((offset + byteLength) / PAGE_SIZE);
    for (const page of [...file.pages.values()]) {
      if (page.index < first || page.index >= last || page.dirty || page.pins > 0) continue;
      if (this.allocator.isShared?.(page.frame) !== true) this.#remove(page);
    }
  }

  /** Reads a range in (readahead(2), POSIX_FADV_WILLNEED). */
  prefetch(node: VfsNode, offset: number, byteLength: number): void {
    if (!node.inode.fs.usesPageCache) return;
    const last = Math.min(Math.ceil((offset + byteLength) / PAGE_SIZE), Math.ceil(node.inode.size / PAGE_SIZE));
    for (let index = Math.floor(offset / PAGE_SIZE); index < last; index++)
      if (typeof this.page(node, index) === "number") return;
  }

  #writePage(page: CachedPage): number {
    const inode = page.file.node.inode;
    const start = page.index * PAGE_SIZE;
    const length = Math.min(PAGE_SIZE, inode.size - start);
    this.#writeProtect(page);
    this.#markClean(page);
    if (length <= 0) return 0;
    const n = inode.writeAt(start, length === PAGE_SIZE ? page.bytes : page.bytes.subarray(0, length));
    if (n === length) return 0;
    this.markDirty(page);
    return n < 0 ? n : -EIO;
  }

  /** Writes dirty pages in a range (default: all) to the file. 0 or the first error. */
  writeback(node: VfsNode, offset = 0, byteLength: number = Number.POSITIVE_INFINITY): number {
    const file = node.pages as CachedFile | null;
    if (file === null || file.dirtyPages === 0) return 0;
    const first = Math.floor(offset / PAGE_SIZE);
    const last = Math.ceil((offset + byteLength) / PAGE_SIZE);
    let error = 0;
    for (const page of file.pages.values()) {
      if (!page.dirty || page.index < first || page.index >= last) continue;
      const result = this.#writePage(page);
      if (error === 0) error = result;
    }
    return error;
  }

  /** The node leaves memory: writes what is dirty, unless the file is gone anyway, and frees its pages. */
  release(node: VfsNode): number {
    const file = node.pages as CachedFile | null;
    if (file === null) return 0;
    const error = node.inode.nlink > 0 ? this.writeback(node) : 0;
    for (const page of [...file.pages.values()]) this.#remove(page);
    node.pages = null;
    return error;
  }
}
