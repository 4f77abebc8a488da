/**
 * Guest RAM: one WebAssembly.Memory of fixed size that holds the hart's own area (`state.ts`) and, behind it, the RAM.
 *
 * The memory is reserved once and never grown: growing detaches every view. Untouched pages cost the host nothing.
 */
import {
  DECODED_BASE,
  DECODED_STRIDE,
  ENTRY_BYTES,
  ENTRY_COUNT,
  EXIT_COUNTERS,
  JUMP_CACHE_ENTRIES,
  RUNS_SET_BYTES,
  RUNS_SETS,
} from "./state.ts";

/** 4 KiB, the page of Sv39. */
export const PAGE_SIZE = 4096;
const WASM_PAGE = 65536;

/** RAM as the rest of the machine sees it; structurally the same interface is declared by every consumer. */
export interface GuestRam {
  /** Of fixed size; contains more than the RAM. */
  readonly memory: WebAssembly.Memory;
  /** Physical address of the first byte. */
  readonly base: number;
  /** Bytes, a multiple of 4096. */
  readonly size: number;
  /** Where the RAM starts in `memory.buffer`. */
  readonly offset: number;
  /** The RAM alone: index = physical address - base. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A {@link GuestRam} whose memory also has room for a hart. */
export interface HartRam extends GuestRam {
  /** Number of code pages that can be predecoded at a time. */
  readonly decodedPages: number;
  /** Memory offset of the table that maps a RAM frame to its decoded page. */
  readonly codeMapOffset: number;
  /** Memory offset of one byte per RAM frame: 1 if compiled code was made from it. */
  readonly compiledFramesOffset: number;
  /** Memory offset of the entry descriptors of compiled code. */
  readonly entriesOffset: number;
  /** Memory offset of the counters of exits from compiled code. */
  readonly exitCountersOffset: number;
  /** Memory offset of the cache of jumps between compiled entries. */
  readonly jumpCacheOffset: number;
  /** Memory offset of the runs of pages that compiled loops remember. */
  readonly runsOffset: number;
}

export interface GuestRamOptions {
  /** Bytes of RAM: a multiple of 4096, at most 3 GiB. */
  readonly size: number;
  /** Physical address of the RAM, a multiple of 4096. Default 0x8000_0000. */
  readonly base?: number;
  /** Code pages kept predecoded, 33 KiB of host memory each once used. Default 4096. */
  readonly decodedPages?: number;
}

/**
 * Reserves a memory for one hart and its RAM.
 * @throws RangeError if an option is out of range, or if the host cannot reserve the memory.
 */
export function createGuestRam(options: GuestRamOptions): HartRam {
  const { size, base = 0x8000_0000, decodedPages = 4096 } = options;
  if (!Number.isInteger(size) || size <= 0 || size % PAGE_SIZE !== 0 || size > 3 * 2 ** 30)
    throw new RangeError(`"size" expected multiple of 4096 up to 3 GiB, got ${size}`);
  if (!Number.isSafeInteger(base) || base < 0 || base % PAGE_SIZE !== 0)
    throw new RangeError(`"base" expected multiple of 4096, got ${base}`);
  if (!Number.isInteger(decodedPages) || decodedPages < 4 || decodedPages > 65535)
    throw new RangeError(`"decodedPages" expected 4..65535, got ${decodedPages}`);
  const codeMapOffset = DECODED_BASE + decodedPages * DECODED_STRIDE;
  const compiledFramesOffset = codeMapOffset + (size / PAGE_SIZE) * 2;
  const entriesOffset = Math.ceil((compiledFramesOffset + size / PAGE_SIZE) / ENTRY_BYTES) * ENTRY_BYTES;
  const exitCountersOffset = entriesOffset + ENTRY_COUNT * ENTRY_BYTES;
  const jumpCacheOffset = exitCountersOffset + EXIT_COUNTERS * 2;
  const runsOffset = jumpCacheOffset + JUMP_CACHE_ENTRIES * 16;
  const offset = Math.ceil((runsOffset + RUNS_SETS * RUNS_SET_BYTES) / WASM_PAGE) * WASM_PAGE;
  const pages = Math.ceil((offset + size) / WASM_PAGE);
  if (pages > 65536) throw new RangeError(`"size" and "decodedPages" need ${pages} pages of 64 KiB, more than 65536`);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return {
    memory,
    base,
    size,
    offset,
    decodedPages,
    codeMapOffset,
    compiledFramesOffset,
    entriesOffset,
    exitCountersOffset,
    jumpCacheOffset,
    runsOffset,
    bytes: new Uint8Array(memory.buffer, offset, size),
    view: new DataView(memory.buffer, offset, size),
  };
}
