/**
 * The entries of compiled code, and what has to be undone when code changes.
 *
 * An entry is keyed by the RAM frame and offset of its first instruction, so every address space shares it. The interpreter
 * reaches it through the predecoded record there (DISPATCH_COMPILED), other regions through its slot in the function table,
 * which exists as soon as somebody wants to call it and first holds a stub. Code on further pages is checked once per
 * mapping epoch (`validate`).
 *
 * Life of an entry: wanted (slot with stub) -> compiled (record patched) -> stale (record cleared, slot back to the stub).
 */
import type { CompiledCode } from "../code-cache.ts";
import type { CompilerHost } from "../hart.ts";
import { DISPATCH_COMPILED, DISPATCH_PAGE_END, RecordWriter } from "../interp/dispatch.ts";
import {
  ENTRY_BYTES,
  ENTRY_COUNT,
  ENTRY_EPOCH,
  ENTRY_SLOT,
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_OP,
  STATE_EPOCH,
  STATE_PC,
} from "../state.ts";
import { realDelta, type Region } from "./region.ts";

export interface Entry {
  readonly frame: number;
  readonly offset: number;
  /** Memory offset of the descriptor, which is also its identity for compiled code. */
  readonly pointer: number;
  readonly slot: number;
  compiled: boolean;
  /** Compiled, or in the batch that is being compiled: regions end where it starts. */
  linked: boolean;
  /** Really hot: its region may be large, and overlap others. */
  wide: boolean;
  queued: boolean;
  /** How often it was reported since it is queued. */
  heat: number;
  /** Where it was when it was reported last. */
  pc: number;
  /** Narrow regions that end where this one starts. */
  readonly before: Set<Entry>;
  /** Its frame got another use, and its slot another owner. */
  released: boolean;
  staleCount: number;
  recompiles: number;
  /** Frames of the code on other pages, by page distance from the entry's page. */
  pages: ReadonlyMap<number, number>;
  /** By frame: first byte and end of the region's code in it. */
  ranges: ReadonlyMap<number, readonly [number, number]>;
  /** Seen targets of indirect jumps, by distance of the jump. */
  targets: Map<number, number[]>;
}

export class EntryTable implements CompiledCode {
  readonly frames: Uint8Array;
  readonly #host: CompilerHost;
  readonly #tableSize: number;
  readonly #i32: Int32Array;
  readonly #u16: Uint16Array;
  readonly #writer: RecordWriter;
  /** By frame * 4096 + offset. */
  readonly #entries = new Map<number, Entry>();
  readonly #byPointer = new Map<number, Entry>();
  /** Entries whose code depends on a frame. */
  readonly #byFrame = new Map<number, Set<Entry>>();
  /** Entries that start in a frame. */
  readonly #inFrame = new Map<number, Entry[]>();
  readonly #freeSlots: number[] = [];
  #slots = 0;
  /** Entries that went stale so far. */
  invalidated = 0;

  constructor(host: CompilerHost, tableSize: number) {
    const { memory, size, compiledFramesOffset } = host.ram;
    this.#host = host;
    this.#tableSize = Math.min(tableSize, ENTRY_COUNT);
    this.#i32 = new Int32Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    this.#writer = new RecordWriter(memory.buffer);
    this.frames = new Uint8Array(memory.buffer, compiledFramesOffset, size / 4096);
  }

  /** The entry at this place, if there is one. */
  find(frame: number, offset: number): Entry | undefined {
    return this.#entries.get(frame * 4096 + offset);
  }

  /** The entry with this descriptor. */
  byPointer(pointer: number): Entry | undefined {
    return this.#byPointer.get(pointer);
  }

  /** The entry at this place, made if need be; undefined if all slots are in use. */
  make(frame: number, offset: number): Entry | undefined {
    const known = this.find(frame, offset);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.#slots++;
    if (slot >= this.#tableSize) {
      this.#slots = slot; // full
      return undefined;
    }
    const pointer = this.#host.ram.entriesOffset + slot * ENTRY_BYTES;
    const entry: Entry = {
      frame,
      offset,
      pointer,
      slot,
      compiled: false,
      linked: false,
      wide: false,
      queued: false,
      heat: 0,
      pc: 0,
      before: new Set(),
      released: false,
      staleCount: 0,
      recompiles: 0,
      pages: new Map(),
      ranges: new Map(),
      targets: new Map(),
    };
    this.#i32[(pointer + ENTRY_SLOT) >>> 2] = slot;
    this.#host.table.set(slot, this.#host.exports.stub);
    this.#entries.set(frame * 4096 + offset, entry);
    this.#byPointer.set(pointer, entry);
    let inFrame = this.#inFrame.get(frame);
    if (inFrame === undefined) this.#inFrame.set(frame, (inFrame = []));
    inFrame.push(entry);
    return entry;
  }

  /** From now on `entry` is `compiled`, the code of `region`. */
  install(entry: Entry, region: Region, compiled: unknown): void {
    const { code, ram, table } = this.#host;
    table.set(entry.slot, compiled);
    entry.compiled = true;
    entry.pages = region.pages;
    entry.ranges = codeRanges(entry, region);
    const { pointer } = entry;
    this.#i32[(pointer + ENTRY_EPOCH) >>> 2] = region.pages.size > 1 ? -1 : 0;
    // The first instruction in a form that the interpreter can run from the descriptor.
    const first = region.blocks[0].insns[0];
    const start = ram.offset + entry.frame * 4096 + entry.offset;
    const low = this.#u16[start >>> 1];
    const next = entry.offset === 4094 ? (region.pages.get(1) as number) * 4096 + ram.offset : start + 2;
    this.#writer.write(pointer, first.length === 4 ? low | (this.#u16[next >>> 1] << 16) : low, -1);
    this.#writer.special(pointer + RECORD_BYTES, DISPATCH_PAGE_END, 0);
    this.#writer.special(pointer + 2 * RECORD_BYTES, DISPATCH_PAGE_END, 0);
    for (const frame of region.pages.values()) {
      let dependents = this.#byFrame.get(frame);
      if (dependents === undefined) this.#byFrame.set(frame, (dependents = new Set()));
      dependents.add(entry);
      if (this.frames[frame] === 0) {
        this.frames[frame] = 1;
        code.revokeWrites(frame);
      }
    }
    this.#patch(entry);
  }

  #patch(entry: Entry): void {
    const record = this.#host.code.recordAt(entry.frame, entry.offset);
    if (record === 0) return;
    this.#u16[(record + RECORD_OP) >>> 1] = DISPATCH_COMPILED;
    this.#i32[(record + RECORD_IMM) >>> 2] = entry.pointer;
  }

  restoreEntries(frame: number): void {
    for (const entry of this.#byFrame.get(frame) ?? []) if (entry.compiled && entry.frame === frame) this.#patch(entry);
  }

  /** The wasm import: are the pages of the region mapped as when it was compiled? */
  validate(pointer: number): number {
    const entry = this.#byPointer.get(pointer) as Entry;
    const lo = this.#i32[STATE_PC >> 2];
    const hi = this.#i32[(STATE_PC >> 2) + 1];
    const pc = hi * 0x1_0000_0000 + (lo >>> 0);
    const page = pc - (lo & 0xfff);
    for (const [delta, frame] of entry.pages) {
      const va = page + delta * 4096;
      if (this.#host.mmu.codeFrame(va | 0, Math.floor(va / 0x1_0000_0000) | 0) !== frame) return 0;
    }
    this.#i32[(pointer + ENTRY_EPOCH) >>> 2] = this.#i32[STATE_EPOCH >> 2];
    return 1;
  }

  // --- invalidation --------------------------------------------------------------------------------------------------------
  written(frame: number, offset: number, byteLength: number): boolean {
    let stale = false;
    for (const entry of [...(this.#byFrame.get(frame) ?? [])]) {
      const range = entry.ranges.get(frame);
      if (range === undefined || range[0] >= offset + byteLength || range[1] <= offset) continue;
      this.#discard(entry);
      stale = true;
    }
    if (byteLength >= 4096) {
      // The frame gets another use: nobody depends on it any more.
      for (const entry of [...(this.#byFrame.get(frame) ?? [])]) this.#discard(entry);
      this.#byFrame.delete(frame);
      this.frames[frame] = 0;
      this.#release(frame);
    }
    return stale;
  }

  /**
   * Gives back the slots of the entries in a frame. Their callers depended on the frame and are gone.
   */
  #release(frame: number): void {
    for (const entry of this.#inFrame.get(frame) ?? []) {
      entry.released = true;
      this.#entries.delete(frame * 4096 + entry.offset);
      this.#host.table.set(entry.slot, this.#host.exports.stub);
      this.#freeSlots.push(entry.slot);
    }
    if (this.#inFrame.delete(frame)) this.#host.mmu.newEpochs();
  }

  #discard(entry: Entry): void {
    for (const frame of entry.pages.values()) this.#byFrame.get(frame)?.delete(entry);
    if (!entry.compiled) return;
    entry.compiled = false;
    entry.linked = false;
    entry.staleCount++;
    entry.targets = new Map();
    this.invalidated++;
    this.#host.table.set(entry.slot, this.#host.exports.stub);
    const record = this.#host.code.recordAt(entry.frame, entry.offset);
    if (record !== 0 && this.#u16[(record + RECORD_OP) >>> 1] === DISPATCH_COMPILED)
      this.#u16[(record + RECORD_OP) >>> 1] = 0;
  }
}

function codeRanges(entry: Entry, region: Region): Map<number, readonly [number, number]> {
  const ranges = new Map<number, readonly [number, number]>();
  for (const { insns } of region.blocks) {
    for (const { delta, length } of insns) {
      const start = entry.offset + realDelta(delta);
      for (const at of [start, start + length - 1]) {
        const page = Math.floor(at / 4096);
        const frame = region.pages.get(page) as number;
        const offset = at - page * 4096;
        const [low, high] = ranges.get(frame) ?? [offset, offset + 1];
        ranges.set(frame, [Math.min(low, offset), Math.max(high, offset + 1)]);
      }
    }
  }
  return ranges;
}
