/**
 * Tier 1: keeps track of hot code, compiles regions in batches, and throws them away when their code changes.
 *
 * A region is keyed by the RAM frame and offset of its entry, so every address space shares it. The interpreter reaches it
 * through the predecoded record at the entry (DISPATCH_COMPILED), other regions through its slot in the function table,
 * which exists as soon as somebody wants to call it and first holds a stub. Code on further pages is checked once per
 * mapping epoch (`validate`).
 *
 * Life of an entry: wanted (slot with stub) -> compiled (record patched) -> stale (record cleared, slot back to the stub).
 */
import type { CompiledCode } from "../code-cache.ts";
import type { CompilerHost, HartCompiler } from "../hart.ts";
import {
  DISPATCH_COMPILED,
  DISPATCH_DECODE,
  DISPATCH_PAGE_END,
  EDGE_NOT_TAKEN,
  EDGE_TAKEN,
  RecordWriter,
} from "../interp/dispatch.ts";
import { I32, I64 } from "../isa/ir.ts";
import {
  ENTRY_BYTES,
  ENTRY_COUNT,
  ENTRY_EPOCH,
  ENTRY_LINKS,
  ENTRY_SLOT,
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_OP,
  STATE_COMPILED,
  STATE_EPOCH,
  STATE_MISSES,
  STATE_PC,
} from "../state.ts";
import { REGION_FP_PARAMETERS } from "../interp/region-fp.ts";
import { FLOAT_SIGNATURES } from "../wasm/float.ts";
import { Code, ModuleBuilder } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { FOLLOW_ELSEWHERE, MAX_REGION, type RegionImports } from "./instruction-lowering.ts";
import { REGION_PARAMETERS } from "./operand-lowering.ts";
import { RegionLowering } from "./lowering.ts";
import {
  type CodeReader,
  EDGE_NOT_TAKEN_HOT,
  EDGE_TAKEN_HOT,
  END_CALL,
  END_INDIRECT,
  findRegion,
  realDelta,
  type Region,
} from "./region.ts";
import { REGION_DECLINED, REGION_NEXT } from "../interp/wasm-interpreter.ts";

export interface JitOptions {
  /** Entries of the function table: one per compiled or called entry, at most 16384. Default 16384. */
  readonly tableSize?: number;
  /** Compile what is hot at once, whatever it costs. Default false: in batches, as executing earns it. */
  readonly eager?: boolean;
  /** Times that a jump is taken before its target is compiled: a power of two from 2 to 32768. Default 4096. */
  readonly hotCount?: number;
  /** Instructions of a region at most, 1..500. Default 240. */
  readonly maxInstructions?: number;
}

export interface JitStatistics {
  readonly regions: number;
  readonly modules: number;
  readonly instructions: number;
  readonly invalidated: number;
  readonly declined: number;
  /** Guest instructions that compiled code has retired. */
  readonly retired: number;
}

/** One of so many indirect jumps out of compiled code is looked at. */
const MISS_SAMPLE = 64;
/** Jumps of one site to be looked at before its region is compiled again with their targets inside. */
const RECOMPILE_SAMPLES: number = 2 ** 12;
/** Recompilations for newly seen targets of indirect jumps, per region. */
const MAX_RECOMPILES = 3;
/**
 * Times that compiled code goes on at an entry before its region is made wide: with what it leads to inside, although
 * that is compiled elsewhere. A step from region to region costs some 10 ns, compiling an instruction 70 µs.
 */
const WIDE_LINKS: number = 2 ** 18;
const MAX_TARGETS = 64;
/** Regions per module. */
const BATCH = 32;
/** Instructions executed between two looks at what is hot: a module has its price. */
const LOOK_INTERVAL = 4_000_000;
/** Executing so many instructions earns the compilation of one; compiling takes about as long as executing 10,000. */
const EXECUTED_PER_COMPILED = 80_000;
/** As much may be compiled at once, at the start too. */
const MAX_CREDIT = 3000;
/** Regions made wide together with the one that they lead to. */
const MAX_WIDENED = 4;
/** Counts of these kinds for an eager compiler, whose users want to see everything happen. */
const EAGER_COUNT = 16;
/** Heat of an entry that is compiled again: its reports took longer. */
const WIDE_HEAT = 16;
/** Times an entry may go stale before it is left to the interpreter. */
const MAX_STALE = 8;

interface Entry {
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

interface Site {
  readonly entry: Entry;
  readonly delta: number;
  count: number;
}

class Jit implements HartCompiler, CompiledCode {
  readonly tableSize: number;
  readonly hotCount: number;
  frames: Uint8Array = new Uint8Array(0);
  readonly #maxInstructions: number;
  readonly #eager: boolean;
  readonly #warmCount: number;
  #hasTailCalls = false;
  #host: CompilerHost = null as unknown as CompilerHost;
  #i32: Int32Array = new Int32Array(0);
  #u16: Uint16Array = new Uint16Array(0);
  #writer: RecordWriter = null as unknown as RecordWriter;
  /** By frame * 4096 + offset. */
  readonly #entries = new Map<number, Entry>();
  readonly #byPointer = new Map<number, Entry>();
  /** Entries whose code depends on a frame. */
  readonly #byFrame = new Map<number, Set<Entry>>();
  /** Entries that start in a frame. */
  readonly #inFrame = new Map<number, Entry[]>();
  readonly #freeSlots: number[] = [];
  #queue: Entry[] = [];
  readonly #sites: Site[] = [];
  /** Built when something is compiled first: most programs end before that. */
  #support: WebAssembly.Exports | null = null;
  #slots = 0;
  /** Instructions that may be compiled now: earned by executing, so that compiling stays a small part of the work. */
  #credit = MAX_CREDIT;
  /** Retired instructions when the queue was looked at last, and when it will be next. */
  #lastLook = 0;
  #nextLook = 0;
  #modules = 0;
  #regions = 0;
  #instructions = 0;
  #invalidated = 0;
  #declined = 0;

  constructor(options: JitOptions) {
    this.tableSize = options.tableSize ?? ENTRY_COUNT;
    this.#maxInstructions = options.maxInstructions ?? 240;
    this.#eager = options.eager ?? false;
    this.hotCount = options.hotCount ?? 4096;
    this.#warmCount = this.hotCount >> 2;
    if (!(this.hotCount >= 2 && this.hotCount <= 32768) || (this.hotCount & (this.hotCount - 1)) !== 0)
      throw new RangeError(`"hotCount" expected power of two from 2 to 32768, got ${options.hotCount}`);
    if (!(this.#maxInstructions >= 1 && this.#maxInstructions <= MAX_REGION))
      throw new RangeError(`"maxInstructions" expected 1..${MAX_REGION}, got ${options.maxInstructions}`);
  }

  get statistics(): JitStatistics {
    const at = STATE_COMPILED >> 2;
    const retired = this.#i32.length === 0 ? 0 : this.#i32[at + 1] * 0x1_0000_0000 + (this.#i32[at] >>> 0);
    return {
      regions: this.#regions,
      modules: this.#modules,
      instructions: this.#instructions,
      invalidated: this.#invalidated,
      declined: this.#declined,
      retired,
    };
  }

  attach(host: CompilerHost): void {
    this.#host = host;
    const { memory, size, compiledFramesOffset } = host.ram;
    this.#i32 = new Int32Array(memory.buffer);
    this.#u16 = new Uint16Array(memory.buffer);
    this.#writer = new RecordWriter(memory.buffer);
    this.frames = new Uint8Array(memory.buffer, compiledFramesOffset, size / 4096);
    host.code.compiled = this;
  }

  /** `follow`: goes on after a callee that did not return where it should, as long as there is compiled code. */
  #buildSupport(): WebAssembly.Exports {
    const { ram, table, exports } = this.#host;
    const { entriesOffset } = ram;
    const builder = new ModuleBuilder();
    const lookup = builder.importFunction("lookup", [I64], [I32]);
    const sample = builder.importFunction("sample", [I32, I32], []);
    const often = builder.importFunction("often", [I32], []);
    builder.importMemory(this.#host.ram.memory.buffer.byteLength / 65536);
    builder.importTable();
    const region = builder.type(REGION_PARAMETERS, [I32]);
    const code = new Code();
    const [returnPc, status, depth, slot] = [0, 1, 2, 3];
    const giveUp = (): void => {
      code.i32Const(FOLLOW_ELSEWHERE);
      code.byte(w.RETURN);
      code.byte(w.END);
    };
    code.byte(w.LOOP);
    code.byte(w.VOID);
    code.get(status);
    code.i32Const(REGION_DECLINED);
    code.byte(w.I32_EQ);
    code.byte(w.IF);
    code.byte(w.VOID);
    giveUp();
    code.get(status);
    code.byte(w.IF);
    code.byte(w.VOID);
    code.get(status);
    code.byte(w.RETURN);
    code.byte(w.END);
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    code.get(returnPc);
    code.byte(w.I64_EQ);
    code.byte(w.IF);
    code.byte(w.VOID);
    code.i32Const(0);
    code.byte(w.RETURN);
    code.byte(w.END);
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    code.call(lookup);
    code.tee(slot);
    code.i32Const(0);
    code.byte(w.I32_LT_S);
    code.byte(w.IF);
    code.byte(w.VOID);
    giveUp();
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    code.get(depth);
    code.get(slot);
    code.byte(w.CALL_INDIRECT);
    code.u32(region);
    code.u32(0);
    code.set(status);
    code.br(0);
    code.byte(w.END);
    code.byte(w.UNREACHABLE);
    builder.addFunction([I64, I32, I32], [I32], [I32], code, "follow");
    builder.addFunction([I32, I32], [], [I32], missCode(sample, this.#eager ? 1 : MISS_SAMPLE), "miss");
    if (this.#hasTailCalls)
      builder.addFunction(
        REGION_PARAMETERS,
        [I32],
        [I32, I32, I32],
        chainCode(lookup, region, often, entriesOffset, this.#eager ? EAGER_COUNT : WIDE_LINKS),
        "chain",
      );
    const module = new WebAssembly.Module(builder.build());
    return new WebAssembly.Instance(module, {
      e: {
        lookup: exports.lookup,
        sample: (site: number, delta: number) => this.#miss(site, delta),
        often: (pointer: number) => this.#linkedOften(pointer),
        memory: ram.memory,
        table,
      },
    }).exports;
  }

  // --- finding hot code --------------------------------------------------------------------------------------------------
  hot(pcLo: number, pcHi: number): number {
    const frame = this.#host.mmu.codeFrame(pcLo, pcHi);
    if (frame < 0) return 0;
    const entry = this.#entryAt(frame, pcLo & 0xfff);
    if (entry === undefined) return 0;
    this.#want(entry, pcHi * 0x1_0000_0000 + (pcLo >>> 0), 1);
    return this.#eager ? 1 : 0;
  }

  #want(entry: Entry, pc: number, heat: number): void {
    entry.pc = pc;
    if (!entry.queued) {
      if ((entry.compiled && !entry.wide) || entry.staleCount > MAX_STALE) return;
      entry.queued = true;
      entry.heat = 0;
      this.#queue.push(entry);
    }
    entry.heat += heat;
  }

  #entryAt(frame: number, offset: number): Entry | undefined {
    const key = frame * 4096 + offset;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.#slots++;
    if (slot >= this.tableSize || slot >= ENTRY_COUNT) {
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
    this.#entries.set(key, entry);
    this.#byPointer.set(pointer, entry);
    let inFrame = this.#inFrame.get(frame);
    if (inFrame === undefined) this.#inFrame.set(frame, (inFrame = []));
    inFrame.push(entry);
    return entry;
  }

  #miss(site: number, delta: number): void {
    const { entry, delta: jump } = this.#sites[site];
    const known = entry.targets.get(jump) ?? [];
    if (!known.includes(delta) && known.length < MAX_TARGETS && Math.abs(delta) < 0x4000 && (delta & 1) === 0) {
      known.push(delta);
      entry.targets.set(jump, known);
    }
    if (
      ++this.#sites[site].count % (this.#eager ? EAGER_COUNT : RECOMPILE_SAMPLES) !== 0 ||
      entry.recompiles >= MAX_RECOMPILES ||
      entry.queued ||
      !entry.compiled
    )
      return;
    entry.recompiles++;
    this.#again(entry);
  }

  /** Compiles `entry`, which is at STATE_PC, once more; its code stays in the table until then. */
  #again(entry: Entry): void {
    const pc = STATE_PC >> 2;
    entry.wide = true;
    this.#want(entry, this.#i32[pc + 1] * 0x1_0000_0000 + (this.#i32[pc] >>> 0), WIDE_HEAT);
  }

  /** Compiled code has gone on at this entry, which is at STATE_PC, very often. */
  #linkedOften(pointer: number): void {
    const entry = this.#byPointer.get(pointer);
    if (!entry?.compiled || entry.queued || entry.wide) return;
    this.#again(entry);
    // One of the regions that end here, to go on here, is as hot: a caller whose call returns to here, or an outer loop.
    let widened = 0;
    for (const before of entry.before) {
      if (!before.compiled || before.wide || before === entry || ++widened > MAX_WIDENED) continue;
      before.wide = true;
      this.#want(before, before.pc, WIDE_HEAT);
    }
    entry.before.clear();
  }

  // --- compiling -----------------------------------------------------------------------------------------------------------
  compilePending(instret: number): void {
    const eager = this.#eager;
    if (this.#queue.length === 0 || (instret < this.#nextLook && !eager)) return;
    this.#credit = Math.min(this.#credit + (instret - this.#lastLook) / EXECUTED_PER_COMPILED, MAX_CREDIT);
    this.#lastLook = instret;
    this.#nextLook = instret + LOOK_INTERVAL;
    if (this.#credit <= 0 && !eager) return;
    // The hottest first. What another address space wants waits until that runs.
    const here = this.#queue.filter(
      (entry) =>
        entry.released ||
        this.#host.mmu.codeFrame(entry.pc | 0, Math.floor(entry.pc / 0x1_0000_0000) | 0) === entry.frame,
    );
    here.sort((a, b) => b.heat - a.heat);
    for (let n = 0; n < here.length && (this.#credit > 0 || eager); n += BATCH) {
      try {
        this.#credit -= this.#compile(here.slice(n, n + BATCH));
      } catch (error) {
        // The host has no memory for more code: what is compiled goes on, the rest is interpreted.
        if (!(error instanceof RangeError)) throw error;
        this.#nextLook = Infinity;
        break;
      }
    }
    this.#queue = this.#queue.filter((entry) => entry.queued);
  }

  /** Makes one module of the regions of these entries. Returns how many instructions they have. */
  #compile(batch: readonly Entry[]): number {
    const { ram, table, exports, imports } = this.#host;
    if (this.#support === null) {
      this.#hasTailCalls = hasTailCalls();
      this.#support = this.#buildSupport();
    }
    const support = this.#support;
    const found: { entry: Entry; region: Region; pc: number }[] = [];
    for (const entry of batch) {
      entry.queued = false;
      entry.linked = !entry.released;
    }
    for (const entry of batch) {
      if (entry.released) continue;
      const { pc } = entry;
      const region = findRegion(this.#reader(entry, pc), entry.offset, this.#maxInstructions, entry.targets);
      if (region === undefined) {
        this.#declined++;
        entry.staleCount = MAX_STALE + 1;
        entry.linked = false;
      } else found.push({ entry, region, pc });
    }
    if (found.length === 0) return 0;

    const builder = new ModuleBuilder();
    const indices: RegionImports = {
      load: builder.importFunction("regionLoad", [I64, I32, I32], [I64, I32]),
      store: builder.importFunction("regionStore", [I64, I64, I32, I32], [I32]),
      pageRead: builder.importFunction("pageRead", [I64, I32], [I32]),
      pageWrite: builder.importFunction("pageWrite", [I64, I32], [I32]),
      storeResult: builder.importFunction("store", [I64, I32], [I32]),
      system: builder.importFunction("system", [I32], [I32]),
      fp: builder.importFunction("regionFp", REGION_FP_PARAMETERS, [I64, I32]),
      validate: builder.importFunction("validate", [I32], [I32]),
      lookup: builder.importFunction("lookup", [I64], [I32]),
      follow: builder.importFunction("follow", [I64, I32, I32], [I32]),
      chain: this.#hasTailCalls ? builder.importFunction("chain", REGION_PARAMETERS, [I32]) : -1,
      miss: builder.importFunction("miss", [I32, I32], []),
      internal: FLOAT_SIGNATURES.map(({ count, type }, n) =>
        builder.importFunction(`fn${n}`, new Array<number>(count).fill(type), [type]),
      ),
    };
    builder.importMemory(ram.memory.buffer.byteLength / 65536);
    builder.importTable();
    const regionType = builder.type(REGION_PARAMETERS, [I32]);
    found.forEach(({ entry, region, pc }, n) => {
      // Callees first: their pages become pages that the region depends on.
      const slots = new Map<number, number>();
      for (const block of region.blocks)
        if (block.end === END_CALL)
          slots.set(realDelta(block.target), this.#calleeSlot(entry, region, pc, realDelta(block.target)));
      const lowering = new RegionLowering(
        {
          region,
          entry: entry.pointer,
          checksPages: region.pages.size > 1,
          slotOf: (delta) => slots.get(delta) ?? -1,
          siteOf: (delta) => this.#siteFor(entry, region, delta),
        },
        indices,
        regionType,
      );
      lowering.emit();
      builder.addFunction(REGION_PARAMETERS, [I32], lowering.localTypes, lowering.code, `r${n}`);
    });
    const functions: Record<string, unknown> = {
      regionLoad: exports.regionLoad,
      regionStore: exports.regionStore,
      pageRead: exports.pageRead,
      pageWrite: exports.pageWrite,
      store: exports.store,
      regionFp: exports.regionFp,
      system: imports.system,
      lookup: exports.lookup,
      follow: support.follow,
      chain: support.chain,
      miss: support.miss,
      validate: (pointer: number) => this.#validate(pointer),
    };
    for (let n = 0; n < FLOAT_SIGNATURES.length; n++) functions[`fn${n}`] = exports[`fn${n}`];
    const module = new WebAssembly.Module(builder.build());
    const instance = new WebAssembly.Instance(module, { e: { ...functions, memory: ram.memory, table } });
    this.#modules++;
    found.forEach(({ entry, region }, n) => {
      table.set(entry.slot, instance.exports[`r${n}`]);
      this.#install(entry, region);
    });
    return found.reduce((sum, { region }) => sum + region.instructions, 0);
  }

  /** Reads code as seen from the address space in which `entry` is at `pc`. */
  #reader(entry: Entry, pc: number): CodeReader {
    const { mmu, ram } = this.#host;
    const page = pc - (((pc % 4096) + 4096) % 4096);
    return {
      frame: (delta) => {
        if (delta === 0) return entry.frame;
        const va = page + delta * 4096;
        return mmu.codeFrame(va | 0, Math.floor(va / 0x1_0000_0000) | 0);
      },
      half: (frame, offset) => this.#u16[(ram.offset + frame * 4096 + offset) >>> 1],
      wide: entry.wide,
      isEntry: (frame, offset) => {
        const other = entry.wide ? undefined : this.#entries.get(frame * 4096 + offset);
        if (!other?.linked) return false;
        other.before.add(entry);
        return true;
      },
      edges: (frame, offset) => this.#hotEdges(this.#host.code.recordAt(frame, offset), entry.wide),
    };
  }

  /**
   * By the counts of tier 0, which are modulo 65536: a way that is wrongly taken for cold is an exit that gets hot.
   * `widely`: only what is rare beside the other way is left out.
   */
  #hotEdges(record: number, widely: boolean): number {
    if (record === 0) return EDGE_TAKEN_HOT | EDGE_NOT_TAKEN_HOT; // no longer known
    if (this.#u16[(record + RECORD_OP) >>> 1] === DISPATCH_DECODE) return 0;
    const taken = this.#u16[(record + EDGE_TAKEN) >>> 1];
    const notTaken = this.#u16[(record + EDGE_NOT_TAKEN) >>> 1];
    const most = Math.max(taken, notTaken);
    const enough = widely
      ? Math.min(this.#warmCount, most >> 5)
      : Math.min(this.#warmCount, Math.max(most >> 3, this.#warmCount >> 5));
    return (taken > enough ? EDGE_TAKEN_HOT : 0) | (notTaken > enough ? EDGE_NOT_TAKEN_HOT : 0);
  }

  /** The slot of the callee at distance `delta`, if its page is part of what the region depends on. */
  #calleeSlot(entry: Entry, region: Region, pc: number, delta: number): number {
    const at = entry.offset + delta;
    const page = Math.floor(at / 4096);
    let frame = region.pages.get(page);
    if (frame === undefined) {
      frame = this.#reader(entry, pc).frame(page);
      if (frame < 0) return -1;
      (region.pages as Map<number, number>).set(page, frame);
    }
    return this.#entryAt(frame, at - page * 4096)?.slot ?? -1;
  }

  #siteFor(entry: Entry, region: Region, delta: number): number {
    const block = region.blocks.find((b) => b.end === END_INDIRECT && b.insns[b.insns.length - 1].delta === delta);
    const jump = block?.insns[block.insns.length - 1];
    // Returns have no targets worth knowing: the caller checks them.
    if (
      jump === undefined ||
      (jump.rd === 0 && (jump.rs1 === 1 || jump.rs1 === 5)) ||
      entry.recompiles >= MAX_RECOMPILES
    )
      return -1;
    return this.#sites.push({ entry, delta, count: 0 }) - 1;
  }

  #install(entry: Entry, region: Region): void {
    const { code } = this.#host;
    entry.compiled = true;
    entry.pages = region.pages;
    entry.ranges = codeRanges(entry, region);
    this.#regions++;
    this.#instructions += region.instructions;
    const { pointer } = entry;
    this.#i32[(pointer + ENTRY_EPOCH) >>> 2] = region.pages.size > 1 ? -1 : 0;
    // The first instruction in a form that the interpreter can run from the descriptor.
    const first = region.blocks[0].insns[0];
    const start = this.#host.ram.offset + entry.frame * 4096 + entry.offset;
    const low = this.#u16[start >>> 1];
    const next = entry.offset === 4094 ? (region.pages.get(1) as number) * 4096 + this.#host.ram.offset : start + 2;
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
  #validate(pointer: number): number {
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
    this.#invalidated++;
    this.#host.table.set(entry.slot, this.#host.exports.stub);
    const record = this.#host.code.recordAt(entry.frame, entry.offset);
    if (record !== 0 && this.#u16[(record + RECORD_OP) >>> 1] === DISPATCH_COMPILED)
      this.#u16[(record + RECORD_OP) >>> 1] = 0;
  }
}

/** `chain(pc, depth)`: on to the compiled code at pc, if there is any; everything is in memory. */
function chainCode(lookup: number, region: number, often: number, entriesOffset: number, every: number): Code {
  const code = new Code();
  const [pc, depth, slot, pointer, count] = [0, 1, 2, 3, 4];
  code.get(pc);
  code.call(lookup);
  code.tee(slot);
  code.i32Const(0);
  code.byte(w.I32_LT_S);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(REGION_NEXT);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.get(slot);
  code.i32Const(Math.log2(ENTRY_BYTES));
  code.byte(w.I32_SHL);
  code.tee(pointer);
  code.get(pointer);
  code.memory(w.I32_LOAD, entriesOffset + ENTRY_LINKS);
  code.i32Const(1);
  code.byte(w.I32_ADD);
  code.tee(count);
  code.memory(w.I32_STORE, entriesOffset + ENTRY_LINKS);
  code.get(count);
  code.i32Const(every - 1);
  code.byte(w.I32_AND);
  code.byte(w.I32_EQZ);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(pointer);
  code.i32Const(entriesOffset);
  code.byte(w.I32_ADD);
  code.call(often);
  code.byte(w.END);
  code.get(pc);
  code.get(depth);
  code.get(slot);
  code.byte(w.RETURN_CALL_INDIRECT);
  code.u32(region);
  code.u32(0);
  return code;
}

/** `miss(site, distance)`: every MISS_SAMPLE-th indirect jump out of compiled code is looked at. */
function missCode(sample: number, every: number): Code {
  const code = new Code();
  const [site, distance, count] = [0, 1, 2];
  code.i32Const(0);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_MISSES);
  code.i32Const(1);
  code.byte(w.I32_ADD);
  code.tee(count);
  code.memory(w.I32_STORE, STATE_MISSES);
  code.get(count);
  code.i32Const(every - 1);
  code.byte(w.I32_AND);
  code.byte(w.I32_EQZ);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(site);
  code.get(distance);
  code.call(sample);
  code.byte(w.END);
  return code;
}

/** Tail calls came with Chrome 112, Firefox 121 and Safari 18.2; without them every exit goes through the interpreter. */
function hasTailCalls(): boolean {
  const builder = new ModuleBuilder();
  const code = new Code();
  code.byte(w.RETURN_CALL);
  code.u32(0);
  builder.addFunction([], [], [], code, "f");
  return WebAssembly.validate(builder.build());
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

/** A compiler of hot code for one hart: `new Hart({ ram, compiler: createJit() })`. */
export function createJit(options: JitOptions = {}): HartCompiler & { readonly statistics: JitStatistics } {
  return new Jit(options);
}
