/**
 * Physical page frames of guest RAM, reference counted.
 *
 * A frame is named by its physical page number (paddr / 4096). Everyone who holds a frame (a page table entry, the page
 * cache, a driver's DMA buffer) owns one reference. Contiguous runs serve DMA and read-ahead.
 *
 * Free frames are kept on a stack, the most recently freed on top (its bytes are warm); frames never used so far lie
 * above a watermark. A contiguous run is taken from above the watermark, or, when that is used up, found by a scan; frames
 * that such a scan takes out of the middle of the stack stay there and are skipped when popped.
 *
 * Also here, because every frame passes through: code decoded from a frame is dropped when the frame is freed.
 */
import type { GuestRam } from "../platform.ts";

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

export interface FrameAllocatorOptions {
  readonly ram: GuestRam;
  /** Bytes at the start of RAM that are not handed out (firmware, device tree). Default 0. */
  readonly reservedBytes?: number;
  /** A frame's bytes are about to change hands. */
  readonly onFree?: (paddr: number) => void;
}

export class FrameAllocator {
  /** Guest RAM as 32-bit words, for page tables. Little-endian hosts only, checked at construction. */
  readonly words: Int32Array;
  readonly ramBytes: Uint8Array;
  /** Number of the first frame of RAM. */
  readonly firstFrame: number;
  /** Frames handed out and to be handed out. */
  readonly total: number;

  readonly #refs: Int32Array;
  readonly #stack: Int32Array;
  readonly #onStack: Uint8Array;
  #stackLength = 0;
  // Slots (frame − firstFrame) from here on have never been used.
  #watermark: number;
  readonly #slots: number;
  #free: number;
  readonly #onFree: (paddr: number) => void;

  constructor(options: FrameAllocatorOptions) {
    const { ram } = options;
    if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) throw new TypeError("a little-endian host is required");
    if (ram.base % PAGE_SIZE !== 0 || ram.size % PAGE_SIZE !== 0 || ram.bytes.byteOffset % 4 !== 0) {
      throw new RangeError(`"ram" expected page-aligned base and size, got ${ram.base} and ${ram.size}`);
    }
    this.ramBytes = ram.bytes;
    this.words = new Int32Array(ram.bytes.buffer, ram.bytes.byteOffset, ram.size / 4);
    this.firstFrame = ram.base / PAGE_SIZE;
    this.#slots = ram.size / PAGE_SIZE;
    this.#watermark = Math.ceil((options.reservedBytes ?? 0) / PAGE_SIZE);
    this.total = this.#slots - this.#watermark;
    this.#free = this.total;
    this.#refs = new Int32Array(this.#slots);
    this.#refs.fill(1, 0, this.#watermark);
    this.#stack = new Int32Array(this.#slots);
    this.#onStack = new Uint8Array(this.#slots);
    this.#onFree = options.onFree ?? (() => {});
  }

  /** Frames without a holder. */
  get free(): number {
    return this.#free;
  }

  /** A frame with one reference, `wanted` if that is free, or −1 when memory is exhausted. Zeroed unless `zero` is false. */
  alloc(zero = true, wanted = -1): number {
    let slot = this.isAvailable(wanted) ? wanted - this.firstFrame : -1;
    if (slot === this.#watermark) this.#watermark++;
    while (slot < 0 && this.#stackLength > 0) {
      const candidate = this.#stack[--this.#stackLength] as number;
      this.#onStack[candidate] = 0;
      if (this.#refs[candidate] === 0) slot = candidate;
    }
    if (slot < 0) {
      if (this.#watermark >= this.#slots) return -1;
      slot = this.#watermark++;
    }
    this.#refs[slot] = 1;
    this.#free--;
    if (zero) this.words.fill(0, slot << 10, (slot + 1) << 10);
    return this.firstFrame + slot;
  }

  /** True if `alloc` can hand out just this frame: it is free, and none below it has never been used. */
  isAvailable(frame: number): boolean {
    const slot = frame - this.firstFrame;
    return slot >= 0 && slot <= this.#watermark && slot < this.#slots && this.#refs[slot] === 0;
  }

  /** First of `count` contiguous frames, each with one reference, or −1. Zeroed unless `zero` is false. */
  allocContiguous(count: number, zero = true): number {
    if (count === 1) return this.alloc(zero);
    let slot = -1;
    if (this.#watermark + count <= this.#slots) {
      slot = this.#watermark;
      this.#watermark += count;
    } else {
      slot = this.#findRun(count);
      if (slot < 0) return -1;
      if (slot + count > this.#watermark) {
        // The run reaches into never-used frames: those below it join the stack's invariant by being free already.
        this.#watermark = slot + count;
      }
    }
    this.#refs.fill(1, slot, slot + count);
    this.#free -= count;
    if (zero) this.words.fill(0, slot << 10, (slot + count) << 10);
    return this.firstFrame + slot;
  }

  #findRun(count: number): number {
    let length = 0;
    for (let slot = this.#slots - 1; slot >= 0; slot--) {
      if (this.#refs[slot] !== 0) length = 0;
      else if (++length === count) return slot;
    }
    return -1;
  }

  get(frame: number): void {
    this.#refs[frame - this.firstFrame]++;
  }

  /** Drops a reference; the last one frees the frame. */
  put(frame: number): void {
    const slot = frame - this.firstFrame;
    const refs = --this.#refs[slot];
    if (refs > 0) return;
    if (refs < 0) throw new RangeError(`bug: frame 0x${frame.toString(16)} freed twice`);
    this.#free++;
    this.#onFree(frame * PAGE_SIZE);
    if (this.#onStack[slot] === 0) {
      this.#onStack[slot] = 1;
      this.#stack[this.#stackLength++] = slot;
    }
  }

  refs(frame: number): number {
    return this.#refs[frame - this.firstFrame] as number;
  }

  /** Index of the frame's first byte in `ramBytes`. */
  index(frame: number): number {
    return (frame - this.firstFrame) * PAGE_SIZE;
  }

  /** Index of the frame's first word in `words`. */
  wordIndex(frame: number): number {
    return (frame - this.firstFrame) << 10;
  }

  /** The bytes of `count` contiguous frames. */
  bytes(frame: number, count = 1): Uint8Array {
    const at = this.index(frame);
    return this.ramBytes.subarray(at, at + count * PAGE_SIZE);
  }

  zero(frame: number): void {
    const at = this.wordIndex(frame);
    this.words.fill(0, at, at + 1024);
  }

  copy(from: number, to: number): void {
    const at = this.wordIndex(from);
    this.words.copyWithin(this.wordIndex(to), at, at + 1024);
  }
}
