/**
 * A Hal for the usual case: guest RAM is one Uint8Array, and somebody else hands out its frames.
 *
 *   const hal = new RamHal({ bytes: ram.bytes, base: ram.base, allocFrames, freeFrames, mapMmio });
 *
 * Buffers inside `bytes` are shared in place as one run. Buffers elsewhere (host heap) are copied through bounce pages:
 * one run per physically contiguous stretch of them, and what a request lacks is allocated in one stretch: a device moves a long
 * run with one call to its storage, 16 scattered pages with 16. Bounce pages and share records are kept for the next request, so a
 * steady load allocates nothing.
 */
import { ERR_DMA, type VirtioError } from "./error.ts";
import {
  type BufferDirection,
  type DmaRegion,
  type Hal,
  type MmioRegion,
  PAGE_SIZE,
  type SharedBuffer,
} from "./hal.ts";

export interface RamHalOptions {
  /** Guest RAM; index = physical address - `base`. */
  readonly bytes: Uint8Array;
  /** Physical address of `bytes[0]`, a multiple of 4096. */
  readonly base: number;
  /** Physical address of `count` contiguous free frames of 4096 bytes, or a negative number if there are none. */
  readonly allocFrames: (count: number) => number;
  /** Takes back what `allocFrames(count)` returned. */
  readonly freeFrames: (paddr: number, count: number) => void;
  /** Registers at a physical address. */
  readonly mapMmio: (paddr: number, byteLength: number) => MmioRegion;
  /** Bounce pages kept for reuse. Default 128 (512 KiB). */
  readonly keepBouncePages?: number;
}

const SECTOR_SIZE = 512;

/** Bounce frames that were allocated together, and are given back together. */
interface BounceChunk {
  readonly paddr: number;
  readonly count: number;
  /** Frames of it in the pool. */
  freeCount: number;
}

/** One bounce frame with views on its parts, so that copying whole sectors needs no new view. */
class BouncePage {
  readonly chunk: BounceChunk;
  readonly paddr: number;
  readonly view: Uint8Array;
  readonly sectors: readonly Uint8Array[];

  constructor(chunk: BounceChunk, paddr: number, view: Uint8Array) {
    this.chunk = chunk;
    this.paddr = paddr;
    this.view = view;
    this.sectors = Array.from({ length: PAGE_SIZE / SECTOR_SIZE }, (_, i) =>
      view.subarray(i * SECTOR_SIZE, (i + 1) * SECTOR_SIZE),
    );
  }
}

class ShareRecord implements SharedBuffer {
  runCount = 0;
  readonly paddrs: number[] = [0];
  readonly byteLengths: number[] = [0];
  /** Empty for a buffer shared in place. */
  readonly pages: BouncePage[] = [];
}

export class RamHal implements Hal {
  readonly #bytes: Uint8Array;
  readonly #base: number;
  readonly #allocFrames: (count: number) => number;
  readonly #freeFrames: (paddr: number, count: number) => void;
  readonly #mapMmio: (paddr: number, byteLength: number) => MmioRegion;
  readonly #keepBouncePages: number;
  #bouncePages: BouncePage[] = []; // free ones; the next one to use is the last
  readonly #records: ShareRecord[] = []; // free ones

  constructor(options: RamHalOptions) {
    if (options.base % PAGE_SIZE !== 0)
      throw new RangeError(`"base" expected a multiple of ${PAGE_SIZE}, got ${options.base}`);
    this.#bytes = options.bytes;
    this.#base = options.base;
    this.#allocFrames = options.allocFrames;
    this.#freeFrames = options.freeFrames;
    this.#mapMmio = options.mapMmio;
    this.#keepBouncePages = options.keepBouncePages ?? 128;
  }

  dmaAlloc(pages: number, _direction: BufferDirection): DmaRegion | VirtioError {
    if (!Number.isInteger(pages) || pages < 1) throw new RangeError(`"pages" expected an integer >= 1, got ${pages}`);
    const paddr = this.#allocFrames(pages);
    const start = paddr - this.#base;
    const byteLength = pages * PAGE_SIZE;
    if (paddr < 0 || start < 0 || start + byteLength > this.#bytes.length) return ERR_DMA;
    const view = this.#bytes.subarray(start, start + byteLength);
    view.fill(0);
    return { paddr, view };
  }

  dmaDealloc(paddr: number, pages: number): void {
    this.#freeFrames(paddr, pages);
  }

  mmioPhysToVirt(paddr: number, byteLength: number): MmioRegion {
    return this.#mapMmio(paddr, byteLength);
  }

  share(buffer: Uint8Array, direction: BufferDirection): SharedBuffer | VirtioError {
    const record = this.#records.pop() ?? new ShareRecord();
    if (buffer.buffer === this.#bytes.buffer) {
      const start = buffer.byteOffset - this.#bytes.byteOffset;
      if (start >= 0 && start + buffer.length <= this.#bytes.length) {
        record.runCount = buffer.length === 0 ? 0 : 1;
        record.paddrs[0] = this.#base + start;
        record.byteLengths[0] = buffer.length;
        return record;
      }
    }
    if (!this.#bounce(record, buffer.length)) {
      this.#release(record);
      return ERR_DMA;
    }
    if (direction !== "deviceToDriver") copyIn(record.pages, buffer);
    return record;
  }

  unshare(shared: SharedBuffer, buffer: Uint8Array, direction: BufferDirection): void {
    const record = shared as ShareRecord;
    if (record.pages.length > 0 && direction !== "driverToDevice") copyOut(record.pages, buffer);
    this.#release(record);
  }

  /** Gives all cached bounce pages back to the frame allocator. */
  trim(): void {
    this.#free(0);
  }

  /** Fills `record` with bounce pages for `byteLength` bytes. */
  #bounce(record: ShareRecord, byteLength: number): boolean {
    record.runCount = 0;
    const missing = Math.ceil(byteLength / PAGE_SIZE) - this.#bouncePages.length;
    if (missing > 0 && !this.#allocBouncePages(missing)) return false;
    for (let rest = byteLength; rest > 0; rest -= PAGE_SIZE) {
      const page = this.#bouncePages.pop() as BouncePage;
      page.chunk.freeCount--;
      record.pages.push(page);
      const length = Math.min(rest, PAGE_SIZE);
      const last = record.runCount - 1;
      if (last >= 0 && record.paddrs[last] + record.byteLengths[last] === page.paddr) {
        record.byteLengths[last] += length;
      } else {
        record.paddrs[record.runCount] = page.paddr;
        record.byteLengths[record.runCount] = length;
        record.runCount++;
      }
    }
    return true;
  }

  /** Adds `count` pages to the pool, in as few stretches as there are. */
  #allocBouncePages(count: number): boolean {
    for (let piece = count; count > 0; piece = Math.min(piece, count)) {
      const paddr = this.#allocFrames(piece);
      const start = paddr - this.#base;
      if (paddr < 0 || start < 0 || start + piece * PAGE_SIZE > this.#bytes.length) {
        if (piece === 1) return false;
        piece = Math.ceil(piece / 2);
        continue;
      }
      const chunk: BounceChunk = { paddr, count: piece, freeCount: piece };
      // Highest first: they are taken from the end, in ascending order.
      for (let at = (piece - 1) * PAGE_SIZE; at >= 0; at -= PAGE_SIZE) {
        const view = this.#bytes.subarray(start + at, start + at + PAGE_SIZE);
        this.#bouncePages.push(new BouncePage(chunk, paddr + at, view));
      }
      count -= piece;
    }
    return true;
  }

  /** Gives chunks that are wholly in the pool back, until it holds `keep` pages or there are no more such chunks. */
  #free(keep: number): void {
    const freed = new Set<BounceChunk>();
    let left = this.#bouncePages.length;
    for (const { chunk } of this.#bouncePages) {
      if (left <= keep || chunk.freeCount < chunk.count || freed.has(chunk)) continue;
      freed.add(chunk);
      left -= chunk.count;
      this.#freeFrames(chunk.paddr, chunk.count);
    }
    if (freed.size > 0) this.#bouncePages = this.#bouncePages.filter(({ chunk }) => !freed.has(chunk));
  }

  #release(record: ShareRecord): void {
    // Last page first: the next request gets them back in ascending order.
    for (let page = record.pages.pop(); page !== undefined; page = record.pages.pop()) {
      page.chunk.freeCount++;
      this.#bouncePages.push(page);
    }
    if (this.#bouncePages.length > this.#keepBouncePages) this.#free(this.#keepBouncePages);
    record.runCount = 0;
    this.#records.push(record);
  }
}

function copyIn(pages: readonly BouncePage[], buffer: Uint8Array): void {
  if (buffer.length <= PAGE_SIZE) {
    if (pages.length > 0) pages[0].view.set(buffer);
    return;
  }
  for (let i = 0, at = 0; at < buffer.length; i++, at += PAGE_SIZE)
    pages[i].view.set(buffer.subarray(at, at + PAGE_SIZE));
}

function copyOut(pages: readonly BouncePage[], buffer: Uint8Array): void {
  for (let i = 0, at = 0; at < buffer.length; i++) {
    const page = pages[i];
    if (buffer.length - at >= PAGE_SIZE) {
      buffer.set(page.view, at);
      at += PAGE_SIZE;
      continue;
    }
    for (let sector = 0; buffer.length - at >= SECTOR_SIZE; sector++, at += SECTOR_SIZE)
      buffer.set(page.sectors[sector], at);
    for (let from = at % PAGE_SIZE; at < buffer.length; from++, at++) buffer[at] = page.view[from];
  }
}
