/**
 * What all address spaces of one kernel share: frames, the zero page, translation cache control, reclaim, overcommit.
 */
import type { UserCpu } from "../platform.ts";
import { type FrameAllocator, PAGE_SIZE } from "./frame-allocator.ts";
import type { AddressSpace } from "./address-space.ts";
import { ReverseMap } from "./reverse-map.ts";

/** Frees up to `wantedPages` pages that can be had back (page cache); returns how many. */
export type Reclaim = (wantedPages: number) => number;

/** Pages asked of the caches at a time when memory is short. */
const RECLAIM_BATCH = 128;
const MAX_ASID = 0xffff;

export class MemoryManager {
  readonly frames: FrameAllocator;
  readonly cpu: UserCpu;
  readonly reverseMap: ReverseMap = new ReverseMap();
  /** A frame of zeros, mapped read-only wherever memory was only read so far. */
  readonly zeroFrame: number;
  readonly #reclaimers: Reclaim[] = [];
  /** Last resort; returns true if a process was made to give up its memory. */
  outOfMemory: () => boolean = () => false;
  /** Pages of private writable memory promised (Committed_AS). */
  committedPages = 0;
  #lastAsid = 0;
  #generation = 1;
  #lastSpaceId = 0;
  /** What the hart translates with. */
  #active: AddressSpace | null = null;
  // Event counts for /proc/vmstat.
  faults = 0;
  majorFaults = 0;

  constructor(frames: FrameAllocator, cpu: UserCpu) {
    this.frames = frames;
    this.cpu = cpu;
    this.zeroFrame = frames.alloc();
    if (this.zeroFrame < 0) throw new RangeError("guest RAM is too small for the kernel");
  }

  /** `space` is about to lose its tables. */
  deactivate(space: AddressSpace): void {
    if (this.#active === space) this.#active = null;
  }

  nextSpaceId(): number {
    return ++this.#lastSpaceId;
  }

  addReclaimer(reclaim: Reclaim): void {
    this.#reclaimers.push(reclaim);
  }

  /** A frame with one reference, `wanted` if that is free, making room if need be; −1 when nothing helps. */
  allocFrame(zero: boolean, wanted = -1): number {
    const frame = this.frames.alloc(zero, wanted);
    if (frame >= 0) return frame;
    for (let round = 0; round < 8; round++) {
      if (!this.reclaim(RECLAIM_BATCH) && !this.outOfMemory()) return -1;
      const again = this.frames.alloc(zero);
      if (again >= 0) return again;
    }
    return -1;
  }

  reclaim(wantedPages: number): boolean {
    let got = 0;
    for (const reclaim of this.#reclaimers) {
      got += reclaim(wantedPages - got);
      if (got >= wantedPages) break;
    }
    return got > 0;
  }

  /**
   * Makes the hart run in `space`. Identifiers (ASIDs) are handed out as spaces come to run; when they are used up, all
   * translations are dropped and every space gets a new one the next time it runs.
   */
  activate(space: AddressSpace): void {
    if (space === this.#active && space.asidGeneration === this.#generation) return;
    this.#active = space;
    if (space.asidGeneration !== this.#generation) {
      if (this.#lastAsid === MAX_ASID) {
        this.#lastAsid = 0;
        this.#generation++;
        this.cpu.flushTlb();
      }
      space.asid = ++this.#lastAsid;
      space.asidGeneration = this.#generation;
    }
    this.cpu.setAddressSpace(space.table.root, space.asid);
  }

  /** vm.overcommit_memory = 0: only a request that could never be met is refused. */
  mayCommit(pageCount: number): boolean {
    return pageCount <= this.frames.total;
  }

  get totalBytes(): number {
    return this.frames.total * PAGE_SIZE;
  }
}
