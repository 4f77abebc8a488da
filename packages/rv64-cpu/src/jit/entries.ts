/**
 * The entries of compiled code, and what has to be undone when code changes.
 *
 * An entry is keyed by the RAM frame and offset of its first instruction, so every address space shares it. The interpreter
 * reaches it through the predecoded record there (DISPATCH_COMPILED), other regions through its slot in the function table,
 * which exists as soon as somebody wants to call it and first holds a stub. Code on further pages is checked once per
 * mapping epoch (`validate`).
 *
 * Life of an entry: wanted (slot with stub) -> compiled (record patched) -> stale or evicted (record cleared, slot back to the
 * stub). A slot gets another owner when nothing compiled can know the old one: its frame's entries, and the regions that
 * depend on the frame, go all together.
 */
import type { CompiledCode } from "../code-cache.ts";
import type { CompilerHost } from "../hart.ts";
import { DISPATCH_COMPILED, DISPATCH_PAGE_END, RecordWriter } from "../interp/dispatch.ts";
import {
  ENTRY_BYTES,
  ENTRY_COUNT,
  ENTRY_EPOCH,
  ENTRY_SLOT,
  ENTRY_CALLED,
  ENTRY_STRAYS,
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_OP,
  STATE_EPOCH,
  STATE_PC,
} from "../state.ts";
import { realDelta } from "./blocks.ts";
import { callSiteOf, hasCalls, type Region } from "./region.ts";

/** A compiled module: the engine can free its code once no slot of the table has one of its functions. */
export interface CodeModule {
  /** Of the WebAssembly. */
  readonly byteLength: number;
  /** Those whose slots have functions of it. */
  readonly entries: Set<Entry>;
  /** Retired instructions when it was made, or seen running last. */
  lastSeen: number;
}

export interface Entry {
  readonly frame: number;
  readonly offset: number;
  /** Memory offset of the descriptor, which is also its identity for compiled code. */
  readonly pointer: number;
  readonly slot: number;
  compiled: boolean;
  /** That its code is in, while compiled. */
  module: CodeModule | null;
  /** Number of its code: changes with each compilation. */
  generation: number;
  /** Compiled, or in the batch that is being compiled: regions end where it starts. */
  linked: boolean;
  /** Really hot: its region may be large, and overlap others. */
  wide: boolean;
  /** Its groups of memory accesses often straddle pages. */
  straddles: boolean;
  /** Its pointers often leave the pages that its loops remember. */
  strays: boolean;
  queued: boolean;
  /** Of its code. */
  instructions: number;
  /** Its code calls: it gains nothing by being wide, since registers have to be in memory at calls. */
  calls: boolean;
  /** Distance of its only indirect call, whose target it notes. */
  callSite: number | undefined;
  /** It is to be made wide if copies of callees can take the place of all its calls. */
  copiesCallees: boolean;
  /** They can not. */
  hasToCall: boolean;
  /** How often its code was running when somebody looked, looks in longer intervals counting more; until it is wide weighted by its length, too. */
  samples: number;
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
  /** By frame: the region's code in it, as first byte, end, first byte, end and so on. */
  ranges: ReadonlyMap<number, readonly number[]>;
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
  /** Those with entries. */
  readonly #modules = new Set<CodeModule>();
  /** An entry could not be made. */
  isFull = false;
  /** Bytes of WebAssembly in modules that are in use. */
  codeBytes = 0;
  /** Entries that went stale, and that were compiled and had to make room, so far. */
  invalidated = 0;
  evicted = 0;

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

  /** The entries whose code has byte `offset` of a frame: which of them ran there is not known. */
  around(frame: number, offset: number): readonly Entry[] {
    const found: Entry[] = [];
    for (const entry of this.#byFrame.get(frame) ?? [])
      if (hasCode(entry, frame, offset, offset + 1)) found.push(entry);
    return found;
  }

  /** How far the target of the indirect call at this place was from it when compiled code went there last. */
  called(frame: number, offset: number): number | undefined {
    for (const { callSite, pointer, offset: start, pages } of this.around(frame, offset)) {
      if (callSite === undefined) continue;
      const at = start + callSite;
      const page = Math.floor(at / 4096);
      const distance = this.#i32[(pointer + ENTRY_CALLED) >>> 2];
      if (distance !== 0 && at - page * 4096 === offset && pages.get(page) === frame) return distance - callSite;
    }
    return undefined;
  }

  /** The entry at this place, made if need be; undefined if all slots are in use. */
  make(frame: number, offset: number): Entry | undefined {
    const known = this.find(frame, offset);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.#slots++;
    if (slot >= this.#tableSize) {
      this.#slots = slot;
      this.isFull = true;
      return undefined;
    }
    const pointer = this.#host.ram.entriesOffset + slot * ENTRY_BYTES;
    const entry: Entry = {
      frame,
      offset,
      pointer,
      slot,
      compiled: false,
      module: null,
      generation: 0,
      linked: false,
      wide: false,
      straddles: false,
      strays: false,
      queued: false,
      instructions: 0,
      calls: false,
      callSite: undefined,
      copiesCallees: false,
      hasToCall: false,
      samples: 0,
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

  /** A module whose functions are about to be installed. */
  addModule(byteLength: number, instret: number): CodeModule {
    const module = { byteLength, entries: new Set<Entry>(), lastSeen: instret };
    this.#modules.add(module);
    this.codeBytes += byteLength;
    return module;
  }

  /** From now on `entry` is `compiled`, the code of `region`, a function of `module`. */
  install(entry: Entry, region: Region, module: CodeModule, compiled: unknown): void {
    const { code, ram, table } = this.#host;
    this.#leaveModule(entry);
    for (const frame of entry.pages.values()) this.#byFrame.get(frame)?.delete(entry);
    entry.module = module;
    module.entries.add(entry);
    entry.generation++;
    entry.instructions = region.instructions;
    entry.calls = hasCalls(region);
    entry.callSite = callSiteOf(region);
    entry.samples = 0;
    table.set(entry.slot, compiled);
    entry.compiled = true;
    entry.pages = region.pages;
    entry.ranges = codeRanges(entry, region);
    const { pointer } = entry;
    this.#i32[(pointer + ENTRY_STRAYS) >>> 2] = 0;
    this.#i32[(pointer + ENTRY_EPOCH) >>> 2] = region.pages.size > 1 ? -1 : 0;
    // The first instruction in a form that the interpreter can run from the descriptor.
    const start = ram.offset + entry.frame * 4096 + entry.offset;
    const low = this.#u16[start >>> 1];
    const next = entry.offset === 4094 ? (region.pages.get(1) as number) * 4096 + ram.offset : start + 2;
    this.#writer.write(pointer, (low & 3) === 3 ? low | (this.#u16[next >>> 1] << 16) : low, -1);
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
    this.#i32[(pointer + ENTRY_STRAYS) >>> 2] = 0;
    this.#i32[(pointer + ENTRY_EPOCH) >>> 2] = this.#i32[STATE_EPOCH >> 2];
    return 1;
  }

  // --- invalidation --------------------------------------------------------------------------------------------------------
  written(frame: number, offset: number, byteLength: number): boolean {
    let stale = false;
    for (const entry of [...(this.#byFrame.get(frame) ?? [])]) {
      if (!hasCode(entry, frame, offset, offset + byteLength)) continue;
      this.#discard(entry);
      stale = true;
    }
    if (byteLength >= 4096) {
      // The frame gets another use: nobody depends on it any more.
      for (const entry of [...(this.#byFrame.get(frame) ?? [])]) this.#discard(entry);
      this.#forget(frame);
    }
    return stale;
  }

  /** Nobody depends on this frame any more: gives back the slots of the entries in it, which no compiled code knows. */
  #forget(frame: number): void {
    this.#byFrame.delete(frame);
    this.frames[frame] = 0;
    for (const entry of this.#inFrame.get(frame) ?? []) {
      entry.released = true;
      entry.before.clear();
      this.#entries.delete(frame * 4096 + entry.offset);
      this.#host.table.set(entry.slot, this.#host.exports.stub);
      this.#freeSlots.push(entry.slot);
    }
    if (this.#inFrame.delete(frame)) this.#host.mmu.newEpochs();
  }

  #discard(entry: Entry): void {
    if (!entry.compiled) return;
    entry.staleCount++;
    this.invalidated++;
    this.#drop(entry);
  }

  /** Back to the interpreter. */
  #drop(entry: Entry): void {
    for (const frame of entry.pages.values()) this.#byFrame.get(frame)?.delete(entry);
    this.#leaveModule(entry);
    entry.compiled = false;
    entry.linked = false;
    entry.before.clear();
    entry.targets = new Map();
    this.#host.table.set(entry.slot, this.#host.exports.stub);
    const record = this.#host.code.recordAt(entry.frame, entry.offset);
    if (record !== 0 && this.#u16[(record + RECORD_OP) >>> 1] === DISPATCH_COMPILED)
      this.#u16[(record + RECORD_OP) >>> 1] = 0;
  }

  #leaveModule(entry: Entry): void {
    const { module } = entry;
    if (module === null) return;
    entry.module = null;
    module.entries.delete(entry);
    if (module.entries.size > 0) return;
    this.#modules.delete(module);
    this.codeBytes -= module.byteLength;
  }

  // --- making room -----------------------------------------------------------------------------------------------------------
  // Only between slices, when nothing compiled is on the stack.

  /** Drops the modules that were not seen running for longest, until the others have at most `codeBytes`. */
  evictModules(codeBytes: number): void {
    const coldest = [...this.#modules].sort((a, b) => a.lastSeen - b.lastSeen);
    for (const module of coldest) {
      if (this.codeBytes <= codeBytes) return;
      for (const entry of [...module.entries]) this.#evict(entry);
    }
  }

  /** Gives back slots until `wanted` are free: those in frames without compiled code first, then in the coldest frames. */
  freeSlots(wanted: number): void {
    this.isFull = false;
    const heat = new Map<number, number>();
    for (const frame of this.#inFrame.keys()) {
      let lastSeen = -1;
      for (const { module } of this.#byFrame.get(frame) ?? [])
        lastSeen = Math.max(lastSeen, module === null ? -1 : module.lastSeen);
      heat.set(frame, lastSeen);
    }
    for (const [frame] of [...heat].sort((a, b) => a[1] - b[1])) {
      if (this.#freeSlots.length >= wanted) return;
      for (const entry of [...(this.#byFrame.get(frame) ?? [])]) this.#evict(entry);
      this.#forget(frame);
    }
  }

  #evict(entry: Entry): void {
    this.evicted++;
    entry.wide = false;
    this.#drop(entry);
  }
}

/** True if the code of `entry` has some of these bytes of a frame. */
function hasCode({ ranges }: Entry, frame: number, start: number, end: number): boolean {
  const list = ranges.get(frame) ?? [];
  for (let n = 0; n < list.length; n += 2) if (list[n] < end && list[n + 1] > start) return true;
  return false;
}

function codeRanges(entry: Entry, region: Region): Map<number, number[]> {
  const ranges = new Map<number, number[]>();
  const add = (page: number, start: number, end: number): void => {
    const frame = region.pages.get(page) as number;
    const list = ranges.get(frame);
    if (list === undefined) ranges.set(frame, [start, end]);
    else if (list[list.length - 1] === start) list[list.length - 1] = end;
    else list.push(start, end);
  };
  for (const { insns } of region.blocks) {
    for (const { delta, length } of insns) {
      const at = entry.offset + realDelta(delta);
      const page = Math.floor(at / 4096);
      const start = at - page * 4096;
      add(page, start, Math.min(start + length, 4096));
      if (start + length > 4096) add(page + 1, 0, start + length - 4096);
    }
  }
  return ranges;
}
