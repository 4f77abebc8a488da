/**
 * Page cache and tmpfs in guest RAM: the VFS's `PageAllocator` over the kernel's frames, and the `PageSource` by which
 * mmap shows a file's pages.
 *
 * A cached page holds one reference of its frame; each mapping of it holds another, so a frame with more than one reference is in use.
 */
import { ENODEV } from "linux-abi";
import type { PageAllocator, Vfs, VfsNode } from "vfs-inode";
import { type FrameAllocator, PAGE_SIZE } from "../mm/frame-allocator.ts";
import type { MemoryManager } from "../mm/memory-manager.ts";
import type { PageSource } from "../mm/page-source.ts";

/** Runs that could not be had in a row before contiguous frames are given up for a while. */
const RUN_RETRY = 256;

/** Frames for file pages. Fails rather than reclaims: the cache itself is what would be reclaimed. */
export function cacheAllocator(manager: MemoryManager): PageAllocator {
  const frames = manager.frames;
  let skipRuns = 0;
  return {
    alloc: () => frames.alloc(false),
    free: (frame) => frames.put(frame),
    bytes: (frame) => frames.bytes(frame),
    isShared: (frame) => frames.refs(frame) > 1,
    modified: (frame, from, byteLength) => manager.cpu.invalidateCode(frame * PAGE_SIZE + from, byteLength),
    allocRun(count) {
      if (skipRuns > 0) {
        skipRuns--;
        return -1;
      }
      const first = frames.free < count ? -1 : frames.allocContiguous(count, false);
      if (first < 0) skipRuns = RUN_RETRY;
      return first;
    },
    runBytes: (frame, count) => frames.bytes(frame, count),
  };
}

/** Frames for tmpfs: they are the data, so other caches are asked to make room. */
export class StorageFrames implements PageAllocator {
  readonly #manager: MemoryManager;
  /** Frames handed out. */
  held = 0;

  constructor(manager: MemoryManager) {
    this.#manager = manager;
  }

  alloc(): number {
    const frame = this.#manager.allocFrame(false);
    if (frame >= 0) this.held++;
    return frame;
  }

  free(frame: number): void {
    this.held--;
    this.#manager.frames.put(frame);
  }

  bytes(frame: number): Uint8Array {
    return this.#manager.frames.bytes(frame);
  }

  modified(frame: number, from: number, byteLength: number): void {
    this.#manager.cpu.invalidateCode(frame * PAGE_SIZE + from, byteLength);
  }
}

/** The pages of one file as mappings see them. One object per node (`sourceOf`). */
class NodePages implements PageSource {
  readonly #vfs: Vfs;
  readonly #node: VfsNode;
  readonly #frames: FrameAllocator;

  constructor(vfs: Vfs, node: VfsNode, frames: FrameAllocator) {
    this.#vfs = vfs;
    this.#node = node;
    this.#frames = frames;
  }

  get ino(): number {
    return this.#node.inode.ino;
  }

  get deviceNumber(): number {
    return this.#node.inode.fs.deviceNumber;
  }

  page(index: number, forWriting: boolean): number {
    const frame = this.#vfs.pageCache.frameForMapping(this.#node, index, forWriting);
    if (frame >= 0) this.#frames.get(frame);
    return frame;
  }

  peek(index: number): number {
    const inode = this.#node.inode;
    if (index * PAGE_SIZE >= inode.size) return -1;
    let frame = -1;
    if (inode.pageFrame !== undefined) frame = inode.pageFrame(index, false);
    else frame = this.#vfs.pageCache.peek(this.#node, index)?.frame ?? -1;
    if (frame >= 0) this.#frames.get(frame);
    return frame < 0 ? -1 : frame;
  }

  sync(offset: number, byteLength: number): number {
    const error = this.#vfs.pageCache.writeback(this.#node, offset, byteLength);
    return error !== 0 ? error : this.#node.inode.sync(true);
  }
}

/** The page source of a regular file, or -ENODEV if its bytes are not in pages. */
export function sourceOf(vfs: Vfs, node: VfsNode, frames: FrameAllocator): PageSource | number {
  const inode = node.inode;
  if (inode.pageFrame === undefined && !inode.fs.usesPageCache) return -ENODEV;
  node.mapping ??= new NodePages(vfs, node, frames);
  return node.mapping as NodePages;
}
