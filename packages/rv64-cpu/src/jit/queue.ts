/**
 * What is to be compiled, the hottest first, and how much of it at a time: compiling is paid for by executing, so that it
 * stays a small part of the work.
 */
import type { Mmu } from "../mmu.ts";
import type { Entry } from "./entries.ts";

/** Instructions executed between two looks at what is hot: a module has its price. */
const LOOK_INTERVAL = 4_000_000;
/** Executing so many instructions earns the compilation of one, which takes about as long as executing 7,000. */
const EXECUTED_PER_COMPILED = 50_000;
/** As much may be compiled at once, at the start too. */
const MAX_CREDIT = 3000;
/** Times an entry may go stale before it is left to the interpreter. */
const MAX_STALE = 8;

export class CompileQueue {
  readonly #mmu: Mmu;
  readonly #eager: boolean;
  #entries: Entry[] = [];
  /** Instructions that may be compiled now. */
  #credit = MAX_CREDIT;
  /** Retired instructions when the queue was looked at last, and when it will be next. */
  #lastLook = 0;
  #nextLook = 0;

  /** `eager`: everything is due at once, whatever it costs. */
  constructor(mmu: Mmu, eager: boolean) {
    this.#mmu = mmu;
    this.#eager = eager;
  }

  /** Reports `entry`, which is at `pc` now: `heat` more reasons to compile it. */
  want(entry: Entry, pc: number, heat: number): void {
    entry.pc = pc;
    if (!entry.queued) {
      if (entry.staleCount > MAX_STALE) return;
      entry.queued = true;
      entry.heat = 0;
      this.#entries.push(entry);
    }
    entry.heat += heat;
  }

  /** What is to be compiled now, the hottest first. What another address space wants waits until that runs. */
  due(instret: number): readonly Entry[] {
    if (instret < this.#lastLook) this.#lastLook = this.#nextLook = instret; // a restored state
    if (this.#entries.length === 0 || (instret < this.#nextLook && !this.#eager)) return [];
    this.#credit = Math.min(this.#credit + (instret - this.#lastLook) / EXECUTED_PER_COMPILED, MAX_CREDIT);
    this.#lastLook = instret;
    this.#nextLook = instret + LOOK_INTERVAL;
    if (!this.hasCredit) return [];
    const here = this.#entries.filter(
      ({ released, pc, frame }) =>
        released || this.#mmu.codeFrame(pc | 0, Math.floor(pc / 0x1_0000_0000) | 0) === frame,
    );
    return here.sort((a, b) => b.heat - a.heat);
  }

  get hasCredit(): boolean {
    return this.#credit > 0 || this.#eager;
  }

  /** So many instructions were compiled. */
  spend(instructions: number): void {
    this.#credit -= instructions;
  }

  /** Forgets the entries that are no longer `queued`. */
  sweep(): void {
    this.#entries = this.#entries.filter((entry) => entry.queued);
  }

  /** Nothing is due any more. */
  close(): void {
    this.#nextLook = Infinity;
  }

  /** The interpreter keeps `entry`. */
  decline(entry: Entry): void {
    entry.staleCount = MAX_STALE + 1;
  }
}
