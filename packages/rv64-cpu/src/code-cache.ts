/**
 * The pool of predecoded code pages, keyed by physical frame, so that all address spaces share one decoding.
 *
 * Invariants: a frame with decoded records is mapped writable by no TLB entry, so every guest store to it takes the
 * slow path and clears the records it hits; a page that leaves the pool is referenced by no EXEC TLB entry.
 */
import { DISPATCH_CROSS, DISPATCH_PAGE_END, RecordWriter } from "./interp/dispatch.ts";
import type { HartRam } from "./ram.ts";
import {
  CROSS_PAGE,
  DECODED_BASE,
  DECODED_STRIDE,
  RECORD_BYTES,
  STATE_END,
  STATE_RUNS_EPOCH,
  STATE_USED,
  TLB_ARRAY_BYTES,
  TLB_BANK_BYTES,
  TLB_BANKS,
  TLB_BASE,
  TLB_EXEC,
  TLB_WRITE,
} from "./state.ts";

/** Straight-line instructions decoded per call: callers come back for the rest. */
const DECODE_RUN = 32;

/** What the cache tells the owner of compiled code, if there is one. */
export interface CompiledCode {
  /** By RAM frame: 1 if compiled code was made from it. */
  readonly frames: Uint8Array;
  /** These bytes of a frame changed. True if that made compiled code invalid. */
  written(frame: number, offset: number, byteLength: number): boolean;
  /** The frame was decoded afresh at `pageRecords`: put its entries back. */
  restoreEntries(frame: number, pageRecords: number): void;
}

export class CodeCache {
  compiled: CompiledCode | null = null;
  readonly #ram: HartRam;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #i32: Int32Array;
  /** RAM frame of each pool page, or -1. */
  readonly #frameOf: Int32Array;
  readonly #writer: RecordWriter;
  readonly #map: number; // index of the frame map in #u16
  #next = 0;
  #used = 0;

  constructor(ram: HartRam) {
    this.#ram = ram;
    const { buffer } = ram.memory;
    this.#u8 = new Uint8Array(buffer);
    this.#u16 = new Uint16Array(buffer);
    this.#i32 = new Int32Array(buffer);
    this.#writer = new RecordWriter(buffer);
    this.#map = ram.codeMapOffset >>> 1;
    this.#frameOf = new Int32Array(ram.decodedPages).fill(-1);
    if (this.#i32[STATE_USED >> 2] !== 0) {
      // An earlier hart on this memory: nothing of it may be believed. Fresh memory is zero, and is not touched.
      this.#u8.fill(0, 0, STATE_END);
      this.#u8.fill(0, ram.codeMapOffset, ram.offset);
      this.#used = ram.decodedPages;
    }
    this.#i32[STATE_USED >> 2] = 1;
    this.#writer.special(CROSS_PAGE + 2 * RECORD_BYTES, DISPATCH_PAGE_END, 0);
  }

  /** True if RAM frame `frame` (index, not address) has decoded records or compiled code. */
  hasCode(frame: number): boolean {
    return this.#u16[this.#map + frame] !== 0 || (this.compiled !== null && this.compiled.frames[frame] !== 0);
  }

  /** Memory offset of the decoded page of RAM frame `frame`, allocated if need be. */
  pageFor(frame: number): number {
    const known = this.#u16[this.#map + frame];
    if (known !== 0) return DECODED_BASE + (known - 1) * DECODED_STRIDE;
    const slot = this.#next;
    this.#next = (slot + 1) % this.#frameOf.length;
    const base = DECODED_BASE + slot * DECODED_STRIDE;
    if (this.#frameOf[slot] >= 0) this.#drop(slot);
    if (slot < this.#used) this.#u8.fill(0, base, base + 2048 * RECORD_BYTES);
    else this.#used = slot + 1;
    this.#writer.special(base + 2048 * RECORD_BYTES, DISPATCH_PAGE_END, 0);
    this.#writer.special(base + 2049 * RECORD_BYTES, DISPATCH_PAGE_END, 0);
    this.#frameOf[slot] = frame;
    this.#u16[this.#map + frame] = slot + 1;
    this.revokeWrites(frame);
    this.compiled?.restoreEntries(frame, base);
    return base;
  }

  /** Decodes from `record` to the end of straight-line code. 0, or 1 if the page has left the pool. */
  decode(record: number, pageRecords: number): number {
    const frame = this.#frameOf[(pageRecords - DECODED_BASE) / DECODED_STRIDE];
    if (frame < 0) return 1;
    const code = this.#ram.offset + frame * 4096;
    let offset = (record - pageRecords) >> 3;
    for (let n = 0; n < DECODE_RUN && offset < 4096; n++) {
      const at = pageRecords + offset * 8;
      if (this.#u16[at >> 1] !== 0) break;
      const low = this.#u16[(code + offset) >>> 1];
      if ((low & 3) !== 3) {
        this.#writer.write(at, low, offset);
        offset += 2;
        continue;
      }
      if (offset === 4094) {
        this.#writer.special(at, DISPATCH_CROSS, 0);
        break;
      }
      const row = this.#writer.write(at, low | (this.#u16[(code + offset + 2) >>> 1] << 16), offset);
      if (row === undefined) break;
      offset += 4;
    }
    return 0;
  }

  /** Decodes an instruction that crosses a page into the scratch page. */
  decodeCross(bits: number): void {
    this.#writer.write(CROSS_PAGE, bits, -1);
  }

  /**
   * Forgets what was decoded from these bytes of RAM frame `frame`; the page stays in the pool. True if compiled code
   * became invalid as well, which may be running.
   */
  clear(frame: number, offset: number, byteLength: number): boolean {
    const stale =
      this.compiled !== null && this.compiled.frames[frame] !== 0 && this.compiled.written(frame, offset, byteLength);
    const known = this.#u16[this.#map + frame];
    if (known === 0) return stale;
    const base = DECODED_BASE + (known - 1) * DECODED_STRIDE;
    // An instruction that starts two bytes earlier can reach into the range.
    const from = Math.max(0, (offset & ~1) - 2);
    const to = Math.min(4096, offset + byteLength + 1) & ~1;
    for (let at = base + from * 8; at < base + to * 8; at += RECORD_BYTES) this.#u16[at >> 1] = 0;
    return stale;
  }

  /** Drops all code of a RAM frame. */
  dropFrame(frame: number): void {
    this.compiled?.written(frame, 0, 4096);
    const known = this.#u16[this.#map + frame];
    if (known !== 0) this.#drop(known - 1);
  }

  dropAll(): void {
    if (this.compiled !== null) {
      const { frames } = this.compiled;
      for (let frame = 0; frame < frames.length; frame++)
        if (frames[frame] !== 0) this.compiled.written(frame, 0, 4096);
    }
    for (let slot = 0; slot < this.#used; slot++) if (this.#frameOf[slot] >= 0) this.#drop(slot);
  }

  #drop(slot: number): void {
    const base = DECODED_BASE + slot * DECODED_STRIDE;
    this.#u16[this.#map + this.#frameOf[slot]] = 0;
    this.#frameOf[slot] = -1;
    this.#dropEntries(TLB_EXEC, 2, base);
    // The hart may be executing in this very page: leave nothing that it could run.
    this.#u8.fill(0, base, base + 2048 * RECORD_BYTES);
  }

  /** The record of byte `offset` of RAM frame `frame`, or 0 if the frame is not decoded. */
  recordAt(frame: number, offset: number): number {
    const known = this.#u16[this.#map + frame];
    return known === 0 ? 0 : DECODED_BASE + (known - 1) * DECODED_STRIDE + offset * 8;
  }

  /** From now on every store to the frame takes the slow path. */
  revokeWrites(frame: number): void {
    this.#dropEntries(TLB_WRITE, 3, this.#ram.offset + frame * 4096);
    this.#i32[STATE_RUNS_EPOCH >> 2]++;
  }

  /** Empties the entries of one TLB array whose word `word` (2 value, 3 page) is `value`. */
  #dropEntries(array: number, word: number, value: number): void {
    const i32 = this.#i32;
    for (let bank = 0; bank < TLB_BANKS; bank++) {
      const start = (TLB_BASE + bank * TLB_BANK_BYTES + array) >> 2;
      for (let at = start; at < start + (TLB_ARRAY_BYTES >> 2); at += 4) {
        if (i32[at + word] === (value | 0)) {
          i32[at] = -1;
          i32[at + 1] = -1;
        }
      }
    }
  }
}
