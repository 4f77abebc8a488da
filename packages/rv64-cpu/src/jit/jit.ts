/**
 * Tier 1: finds hot code, and compiles it in batches between two slices of the hart.
 *
 *   queue.ts     what is to be compiled, and how much of it at a time
 *   profile.ts   what was seen of running code
 *   compile.ts   regions into modules (region.ts finds them, lowering.ts lowers them); support.ts is what they share
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

/** Regions per module. */
const BATCH = 32;

/** The parts, once there is a hart. */
interface Attached {
  readonly host: CompilerHost;
  readonly entries: EntryTable;
  readonly queue: CompileQueue;
  readonly compiler: RegionCompiler;
  readonly i32: Int32Array;
}

class Jit implements HartCompiler {
  readonly tableSize: number;
  readonly hotCount: number;
  readonly #maxInstructions: number;
  readonly #eager: boolean;
  #attached: Attached | null = null;

  constructor(options: JitOptions) {
    this.tableSize = options.tableSize ?? ENTRY_COUNT;
    this.#maxInstructions = options.maxInstructions ?? 240;
    this.#eager = options.eager ?? false;
    this.hotCount = options.hotCount ?? 4096;
    if (!(this.hotCount >= 2 && this.hotCount <= 32768) || (this.hotCount & (this.hotCount - 1)) !== 0)
      throw new RangeError(`"hotCount" expected power of two from 2 to 32768, got ${options.hotCount}`);
    if (!(this.#maxInstructions >= 1 && this.#maxInstructions <= MAX_REGION))
      throw new RangeError(`"maxInstructions" expected 1..${MAX_REGION}, got ${options.maxInstructions}`);
  }

  get statistics(): JitStatistics {
    if (this.#attached === null)
      return { regions: 0, modules: 0, instructions: 0, invalidated: 0, declined: 0, retired: 0 };
    const { compiler, entries, i32 } = this.#attached;
    const { regions, modules, instructions, declined } = compiler;
    const at = STATE_COMPILED >> 2;
    const retired = i32[at + 1] * 0x1_0000_0000 + (i32[at] >>> 0);
    return { regions, modules, instructions, invalidated: entries.invalidated, declined, retired };
  }

  attach(host: CompilerHost): void {
    const { buffer } = host.ram.memory;
    const entries = new EntryTable(host, this.tableSize);
    const queue = new CompileQueue(host.mmu, this.#eager);
    const profile = new Profile(buffer, entries, queue, this.hotCount >> 2, this.#eager);
    const compiler = new RegionCompiler(host, entries, queue, profile, this.#maxInstructions);
    host.code.compiled = entries;
    this.#attached = { host, entries, queue, compiler, i32: new Int32Array(buffer) };
  }

  hot(pcLo: number, pcHi: number): number {
    const { host, entries, queue } = this.#attached as Attached;
    const frame = host.mmu.codeFrame(pcLo, pcHi);
    if (frame < 0) return 0;
    const entry = entries.make(frame, pcLo & 0xfff);
    if (entry === undefined) return 0;
    queue.want(entry, pcHi * 0x1_0000_0000 + (pcLo >>> 0), 1);
    return this.#eager ? 1 : 0;
  }

  compilePending(instret: number): void {
    if (this.#attached === null) return;
    const { queue, compiler } = this.#attached;
    const due = queue.due(instret);
    if (due.length === 0) return;
    for (let n = 0; n < due.length && queue.hasCredit; n += BATCH) {
      try {
        queue.spend(compiler.compile(due.slice(n, n + BATCH)));
      } catch (error) {
        // The host has no memory for more code: what is compiled goes on, the rest is interpreted.
        if (!(error instanceof RangeError)) throw error;
        queue.close();
        break;
      }
    }
    queue.sweep();
  }
}

/** A compiler of hot code for one hart: `new Hart({ ram, compiler: createJit() })`. */
export function createJit(options: JitOptions = {}): HartCompiler & { readonly statistics: JitStatistics } {
  return new Jit(options);
}
