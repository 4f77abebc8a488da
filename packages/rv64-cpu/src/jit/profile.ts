/**
 * What was seen of running code, as far as it decides how code is compiled: which ways branches go (counted by tier 0), where
 * indirect jumps of compiled code lead, and in which regions the time goes (looked at every so many instructions).
 */
import { DISPATCH_DECODE, EDGE_NOT_TAKEN, EDGE_TAKEN } from "../interp/dispatch.ts";
import { ENTRY_STRAYS, RECORD_OP, STATE_PC } from "../state.ts";
import type { CodeModule, Entry, EntryTable } from "./entries.ts";
import type { CompileQueue } from "./queue.ts";
import { MAX_REGION } from "./instruction-lowering.ts";
import { END_INDIRECT } from "./blocks.ts";
import { CALL_REACH, EDGE_BALANCED, EDGE_NOT_TAKEN_HOT, EDGE_TAKEN_HOT, type Region } from "./region.ts";

/** One of so many indirect jumps out of compiled code is looked at. */
const MISS_SAMPLE = 64;
/** Jumps of one site to be looked at before its region is compiled again with their targets inside. */
const RECOMPILE_SAMPLES: number = 2 ** 12;
/** Recompilations for newly seen targets of indirect jumps, per region. */
const MAX_RECOMPILES = 3;
/**
 * Samples in a region before it is made wide: with what it leads to inside, although that is compiled elsewhere. A sample in a
 * region of n instructions counts 1 / (1 + n / SHORT_REGION): the shorter it is, the more of the time goes into getting
 * from region to region.
 */
const WIDE_SAMPLES = 32;
const SHORT_REGION = 20;
const MAX_TARGETS = 64;
/** Bytes from an entry to the targets of indirect jumps that are looked at. */
const JUMP_REACH = 0x4000;
/** Times that a region is left for memory accesses across pages before it is compiled to bear them: 0.3 µs each. */
const STRADDLE_DECLINES: number = 2 ** 11;
/** Samples in a wide region between two looks at how often its pointers stray, and instructions that a stray one costs. */
const STRAY_SAMPLES = 4;
const EXECUTED_PER_STRAY = 64;
/** Regions made wide together with the one that they lead to: a caller whose call returns to there, or an outer loop. */
const MAX_WIDENED = 4;
/** Counts of these kinds for an eager compiler, whose users want to see everything happen. */
const EAGER_COUNT = 16;
/** Heat of an entry that is compiled again: its reports took longer. */
const WIDE_HEAT = 16;

/** A branch that goes one way so many times as often as the other is foretold by the processor. */
const UNBALANCED = 8;
/** Sites that are looked through for dead ones at least. */
const MIN_SITES = 1024;

/** An indirect jump of compiled code. */
interface Site {
  readonly entry: Entry;
  /** Of the entry's code that has it. */
  readonly generation: number;
  readonly delta: number;
  readonly isCall: boolean;
  count: number;
}

export class Profile {
  readonly missSample: number;
  readonly declineSample: number;
  readonly #entries: EntryTable;
  readonly #queue: CompileQueue;
  readonly #recompileSamples: number;
  readonly #wideSamples: number;
  readonly #warmCount: number;
  readonly #sampleInterval: number;
  readonly #i32: Int32Array;
  readonly #u16: Uint16Array;
  /** By number. */
  readonly #sites = new Map<number, Site>();
  #nextSite = 0;
  #sweepAt = MIN_SITES;

  /**
   * `warmCount`: times that a branch goes a way which is certainly worth compiling; `sampleInterval`: instructions between
   * two calls of {@link sample}.
   */
  constructor(
    buffer: ArrayBuffer,
    entries: EntryTable,
    queue: CompileQueue,
    warmCount: number,
    sampleInterval: number,
    eager: boolean,
  ) {
    this.#i32 = new Int32Array(buffer);
    this.#u16 = new Uint16Array(buffer);
    this.#entries = entries;
    this.#queue = queue;
    this.#warmCount = warmCount;
    this.#sampleInterval = sampleInterval;
    this.missSample = eager ? 1 : MISS_SAMPLE;
    this.declineSample = eager ? EAGER_COUNT : STRADDLE_DECLINES;
    this.#wideSamples = eager ? 1 / MAX_REGION : WIDE_SAMPLES;
    this.#recompileSamples = eager ? EAGER_COUNT : RECOMPILE_SAMPLES;
  }

  /**
   * The ways of the branch with this record that are worth compiling. The counts of tier 0 are modulo 65536: a way that is
   * wrongly taken for cold is an exit that gets hot. `widely`: only what is rare beside the other way is left out.
   */
  hotEdges(record: number, widely: boolean): number {
    if (record === 0) return EDGE_TAKEN_HOT | EDGE_NOT_TAKEN_HOT; // no longer known
    if (this.#u16[(record + RECORD_OP) >>> 1] === DISPATCH_DECODE) return 0;
    const taken = this.#u16[(record + EDGE_TAKEN) >>> 1];
    const notTaken = this.#u16[(record + EDGE_NOT_TAKEN) >>> 1];
    const most = Math.max(taken, notTaken);
    const enough = widely
      ? Math.min(this.#warmCount, most >> 5)
      : Math.min(this.#warmCount, Math.max(most >> 3, this.#warmCount >> 5));
    const balanced = Math.min(taken, notTaken) * UNBALANCED > most;
    return (
      (taken > enough ? EDGE_TAKEN_HOT : 0) |
      (notTaken > enough ? EDGE_NOT_TAKEN_HOT : 0) |
      (balanced ? EDGE_BALANCED : 0)
    );
  }

  /** The number of the indirect jump at distance `delta`, by which `miss` reports it; -1: of no interest. */
  siteFor(entry: Entry, region: Region, delta: number): number {
    const block = region.blocks.find((b) => b.end === END_INDIRECT && b.insns[b.insns.length - 1].delta === delta);
    const jump = block?.insns[block.insns.length - 1];
    // Returns have no targets worth knowing: the caller checks them.
    if (
      jump === undefined ||
      (jump.rd === 0 && (jump.rs1 === 1 || jump.rs1 === 5)) ||
      entry.recompiles >= MAX_RECOMPILES
    )
      return -1;
    const isCall = jump.rd !== 0;
    this.#sites.set(this.#nextSite, { entry, generation: entry.generation + 1, delta, isCall, count: 0 });
    return this.#nextSite++;
  }

  /** Forgets the sites of code that is gone. Not while code is being made. */
  sweep(): void {
    if (this.#sites.size < this.#sweepAt) return;
    for (const [site, { entry, generation }] of this.#sites)
      if (!entry.compiled || entry.generation !== generation) this.#sites.delete(site);
    this.#sweepAt = Math.max(MIN_SITES, this.#sites.size * 2);
  }

  /** An indirect jump left the region at STATE_PC for the place at distance `delta` from its entry. */
  miss(site: number, delta: number): void {
    const seen = this.#sites.get(site);
    if (seen === undefined) return;
    const { entry, delta: jump, isCall } = seen;
    const known = entry.targets.get(jump) ?? [];
    const reach = isCall ? CALL_REACH : JUMP_REACH;
    if (!known.includes(delta) && known.length < MAX_TARGETS && Math.abs(delta) < reach && (delta & 1) === 0) {
      known.push(delta);
      entry.targets.set(jump, known);
    }
    if (
      ++seen.count % this.#recompileSamples !== 0 ||
      entry.recompiles >= MAX_RECOMPILES ||
      entry.queued ||
      !entry.compiled
    )
      return;
    entry.recompiles++;
    entry.wide = true;
    this.#again(entry);
  }

  /**
   * The hart is at `pc`, which is byte `offset` of a frame. `weight`: this look stands for so many.
   * @returns true if the code there is as good as it gets, as far as is known
   */
  sample(frame: number, offset: number, pc: number, instret: number, weight: number): boolean {
    let isSettled = true;
    const around = this.#entries.around(frame, offset);
    for (const entry of around) {
      (entry.module as CodeModule).lastSeen = instret;
      if (entry.queued || entry.strays || (entry.calls && (entry.callSite === undefined || entry.hasToCall))) continue;
      if (entry.wide) {
        entry.samples += weight;
        if (entry.samples < STRAY_SAMPLES * weight || !this.#strays(entry)) continue;
        entry.strays = true;
      } else {
        isSettled = false;
        entry.samples += weight / (1 + entry.instructions / SHORT_REGION);
        if (entry.samples < this.#wideSamples) continue;
      }
      if (entry.calls) entry.copiesCallees = true;
      for (const [page, other] of entry.pages) if (other === frame) entry.pc = pc - offset - page * 4096 + entry.offset;
      this.#widen(entry);
      let widened = 0;
      for (const before of entry.before)
        if (before.compiled && !before.wide && !before.calls && ++widened <= MAX_WIDENED) this.#widen(before);
      entry.before.clear();
    }
    return isSettled && around.length > 0;
  }

  /** True if the loops of this entry guess wrong so often that they had better not guess. */
  #strays(entry: Entry): boolean {
    const at = (entry.pointer + ENTRY_STRAYS) >>> 2;
    const often = this.#i32[at] * EXECUTED_PER_STRAY > entry.samples * this.#sampleInterval;
    this.#i32[at] = 0;
    entry.samples = 0;
    return often;
  }

  #widen(entry: Entry): void {
    entry.wide = true;
    this.#queue.want(entry, entry.pc, WIDE_HEAT);
  }

  /** The region of this entry, which is at STATE_PC, was left very often since accesses that share a check straddled pages. */
  declinedOften(pointer: number): void {
    const entry = this.#entries.byPointer(pointer);
    if (!entry?.compiled || entry.queued || entry.straddles) return;
    entry.straddles = true;
    this.#again(entry);
  }

  /** Compiles `entry`, which is at STATE_PC, once more; its code stays in the table until then. */
  #again(entry: Entry): void {
    const pc = STATE_PC >> 2;
    this.#queue.want(entry, this.#i32[pc + 1] * 0x1_0000_0000 + (this.#i32[pc] >>> 0), WIDE_HEAT);
  }
}
