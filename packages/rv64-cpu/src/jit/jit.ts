/**
 * Tier 1: finds hot code, and compiles it in batches between two slices of the hart.
 *
 *   queue.ts     what is to be compiled, and how much of it at a time
 *   profile.ts   what was seen of running code
 *   compile.ts   regions into modules; support.ts is what they share
 *   region.ts    finds a region's code; strips.ts gives its inner loops over arrays copies without page checks
 *   lowering.ts  lowers a region to WebAssembly: control flow on top of exit-, instruction-, page- and operand-lowering.ts;
 *                flow.ts says which registers are in locals, groups.ts which accesses share a check; runs.ts remembers pages for them
 *   entries.ts   where compiled code starts, and what undoes it when code changes
 */
import type { CompilerHost, HartCompiler } from "../hart.ts";
import { ENTRY_COUNT, STATE_COMPILED } from "../state.ts";
import { RegionCompiler } from "./compile.ts";
import { EntryTable } from "./entries.ts";
import { MAX_REGION } from "./instruction-lowering.ts";
import { Profile } from "./profile.ts";
import { CompileQueue } from "./queue.ts";

export interface JitOptions {
  /** Entries of the function table: one per compiled or called entry, at most 16384. Default 16384. */
  readonly tableSize?: number;
  /** Compile what is hot at once, whatever it costs. Default false: in batches, as executing earns it. */
  readonly eager?: boolean;
  /** Times that a jump is taken before its target is compiled: a power of two from 2 to 32768. Default 4096. */
  readonly hotCount?: number;
  /** Instructions of a region at most, 1..500. Default 240. */
  readonly maxInstructions?: number;
  /**
   * Bytes of WebAssembly that compiled code may have, at least 65536. For each the host has about 25 bytes in use (V8: 8 of
   * machine code). What was not seen running for longest makes room. Default 8 MiB.
   */
  readonly codeBytes?: number;
}

export interface JitStatistics {
  readonly regions: number;
  readonly modules: number;
  readonly instructions: number;
  readonly invalidated: number;
  readonly declined: number;
  /** Regions that had to make room, see {@link JitOptions.codeBytes}. */
  readonly evicted: number;
  /** Bytes of WebAssembly in use. */
  readonly codeBytes: number;
  /** Guest instructions that compiled code has retired. */
  readonly retired: number;
}

const NOTHING_DONE: JitStatistics = {
  regions: 0,
  modules: 0,
  instructions: 0,
  invalidated: 0,
  declined: 0,
  evicted: 0,
  codeBytes: 0,
  retired: 0,
};

/**
 * Instructions between two looks at where the hart is: primes, or of some loops always the same place would be seen. Where
 * nothing is left to be made better, the next look is later.
 */
const SAMPLE_INTERVALS: readonly number[] = [199_999, 400_009, 800_011];
const EAGER_SAMPLE_INTERVALS: readonly number[] = [997];

/** Regions per module. */
const BATCH = 32;

const DEFAULT_CODE_BYTES: number = 8 * 2 ** 20;
const MIN_CODE_BYTES = 65536;

/** The parts, once there is a hart. */
interface Attached {
  readonly host: CompilerHost;
  readonly entries: EntryTable;
  readonly queue: CompileQueue;
  readonly profile: Profile;
  readonly compiler: RegionCompiler;
  readonly i32: Int32Array;
}

class Jit implements HartCompiler {
  readonly tableSize: number;
  readonly hotCount: number;
  readonly #intervals: readonly number[];
  /** Which of them is the current one. */
  #patience = 0;
  readonly #maxInstructions: number;
  readonly #eager: boolean;
  #codeBytes: number;
  #attached: Attached | null = null;

  constructor(options: JitOptions) {
    this.tableSize = options.tableSize ?? ENTRY_COUNT;
    this.#maxInstructions = options.maxInstructions ?? 240;
    this.#eager = options.eager ?? false;
    this.hotCount = options.hotCount ?? 4096;
    this.#intervals = this.#eager ? EAGER_SAMPLE_INTERVALS : SAMPLE_INTERVALS;
    this.#codeBytes = options.codeBytes ?? DEFAULT_CODE_BYTES;
    if (!(this.hotCount >= 2 && this.hotCount <= 32768) || (this.hotCount & (this.hotCount - 1)) !== 0)
      throw new RangeError(`"hotCount" expected power of two from 2 to 32768, got ${options.hotCount}`);
    if (!(this.#maxInstructions >= 1 && this.#maxInstructions <= MAX_REGION))
      throw new RangeError(`"maxInstructions" expected 1..${MAX_REGION}, got ${options.maxInstructions}`);
    if (!(this.#codeBytes >= MIN_CODE_BYTES))
      throw new RangeError(`"codeBytes" expected at least ${MIN_CODE_BYTES}, got ${options.codeBytes}`);
  }

  get statistics(): JitStatistics {
    if (this.#attached === null) return NOTHING_DONE;
    const { compiler, entries, i32 } = this.#attached;
    const { regions, modules, instructions, declined } = compiler;
    const { invalidated, evicted, codeBytes } = entries;
    const at = STATE_COMPILED >> 2;
    const retired = i32[at + 1] * 0x1_0000_0000 + (i32[at] >>> 0);
    return { regions, modules, instructions, invalidated, declined, evicted, codeBytes, retired };
  }

  get sampleInterval(): number {
    return this.#intervals[this.#patience];
  }

  attach(host: CompilerHost): void {
    const { buffer } = host.ram.memory;
    const entries = new EntryTable(host, this.tableSize);
    const queue = new CompileQueue(host.mmu, this.#eager);
    const profile = new Profile(buffer, entries, queue, this.hotCount >> 2, this.#intervals[0], this.#eager);
    const compiler = new RegionCompiler(host, entries, queue, profile, this.#maxInstructions);
    host.code.compiled = entries;
    this.#attached = { host, entries, queue, profile, compiler, i32: new Int32Array(buffer) };
  }

  hot(pcLo: number, pcHi: number): number {
    const { host, entries, queue } = this.#attached as Attached;
    const frame = host.mmu.codeFrame(pcLo, pcHi);
    if (frame < 0) return 0;
    const entry = entries.make(frame, pcLo & 0xfff);
    // Compiled code reports itself, too, when it was left where it starts.
    if (entry === undefined || entry.compiled) return 0;
    queue.want(entry, pcHi * 0x1_0000_0000 + (pcLo >>> 0), 1);
    return this.#eager ? 1 : 0;
  }

  sample(pcLo: number, pcHi: number, instret: number): void {
    if (this.#attached === null) return;
    const { host, profile } = this.#attached;
    const frame = host.mmu.codeFrame(pcLo, pcHi);
    if (frame < 0) return;
    const weight = this.sampleInterval / this.#intervals[0];
    const isSettled = profile.sample(frame, pcLo & 0xfff, pcHi * 0x1_0000_0000 + (pcLo >>> 0), instret, weight);
    this.#patience = isSettled ? Math.min(this.#patience + 1, this.#intervals.length - 1) : 0;
  }

  compilePending(instret: number): void {
    if (this.#attached === null) return;
    const { queue, compiler, entries } = this.#attached;
    if (entries.isFull) entries.freeSlots(this.tableSize >> 2);
    const due = queue.due(instret);
    if (due.length === 0) return;
    for (let n = 0; n < due.length && queue.hasCredit; n += BATCH) {
      const batch = due.slice(n, n + BATCH);
      try {
        queue.spend(compiler.compile(batch, instret));
      } catch (error) {
        // The host has no memory for more code: half of what there is has to do. If that is little, the rest is interpreted.
        if (!(error instanceof RangeError)) throw error;
        for (const entry of batch) entry.linked = entry.compiled;
        this.#codeBytes = entries.codeBytes >> 1;
        if (this.#codeBytes < MIN_CODE_BYTES) queue.close();
        break;
      }
    }
    queue.sweep();
    // A quarter more than need be, so that it is not needed soon again.
    if (entries.codeBytes > this.#codeBytes) entries.evictModules(this.#codeBytes * 0.75);
  }
}

/** A compiler of hot code for one hart: `new Hart({ ram, compiler: createJit() })`. */
export function createJit(options: JitOptions = {}): HartCompiler & { readonly statistics: JitStatistics } {
  return new Jit(options);
}
