/**
 * Platform-level interrupt controller (PLIC), device side.
 *
 * Place: between the devices' lines and the harts' external interrupt pins. Needs one `IrqLine` per context (a
 * privilege mode of a hart); knows no hart, bus or address.
 *
 * Invariant: a source is never both pending and claimed. One claim serves all contexts, as in hardware.
 *
 * A typical sequence:
 *   device   line(10).raise()            pending |= 10, context line.raise()
 *   guest    read  CLAIM_COMPLETE → 10   pending → claimed, line.lower()
 *   guest    write CLAIM_COMPLETE ← 10   claimed &= ~10; still high? pending again
 * A request, once pending, stays so until claimed, even if its source drops.
 *
 * Spec: RISC-V PLIC 1.0.0, "Memory Map" and "Interrupt Claim Process". Sizes as on QEMU's virt board.
 */
import type { AccessLength, IrqLine, MmioDevice } from "./seams.ts";

// Register offsets from the device base
export const PLIC_PRIORITY = 0x00_0000; // + 4 * source
export const PLIC_PENDING = 0x00_1000; // + 4 * (source / 32)
export const PLIC_ENABLE = 0x00_2000; // + 0x80 * context + 4 * (source / 32)
export const PLIC_ENABLE_STRIDE = 0x80;
export const PLIC_CONTEXT = 0x20_0000; // + 0x1000 * context
export const PLIC_CONTEXT_STRIDE = 0x1000;
export const PLIC_THRESHOLD = 0x0; // in a context
export const PLIC_CLAIM_COMPLETE = 0x4; // in a context
export const PLIC_SIZE = 0x60_0000;

/** Sources 1..95; 0 does not exist. */
export const PLIC_SOURCES = 96;
/** Priorities 0 (never interrupts) to 7. */
export const PLIC_MAX_PRIORITY = 7;

const WORDS = PLIC_SOURCES / 32;

export class Plic implements MmioDevice {
  // Bit n % 32 of word n / 32 = source n.
  readonly #level: Int32Array = new Int32Array(WORDS);
  readonly #pending: Int32Array = new Int32Array(WORDS);
  readonly #claimed: Int32Array = new Int32Array(WORDS);
  readonly #priority: Uint8Array = new Uint8Array(PLIC_SOURCES);
  readonly #enabled: Int32Array; // WORDS words a context
  readonly #threshold: Uint8Array; // of each context
  readonly #lines: readonly IrqLine[];
  readonly #sources: IrqLine[];

  /** `lines[c]` is driven by context c. */
  constructor(lines: readonly IrqLine[]) {
    this.#lines = lines;
    this.#enabled = new Int32Array(WORDS * lines.length);
    this.#threshold = new Uint8Array(lines.length);
    this.#sources = Array.from({ length: PLIC_SOURCES }, (_, source) => ({
      raise: () => this.setLevel(source, true),
      lower: () => this.setLevel(source, false),
    }));
  }

  /** The wire of `source` (1..95). */
  line(source: number): IrqLine {
    if (!Number.isInteger(source) || source < 1 || source >= PLIC_SOURCES) {
      throw new RangeError(`"source" expected 1..${PLIC_SOURCES - 1}, got ${source}`);
    }
    return this.#sources[source];
  }

  /** Drives the level-triggered input of `source` (1..95). */
  setLevel(source: number, high: boolean): void {
    const word = source >> 5;
    const bit = 1 << (source & 31);
    const level = this.#level[word];
    const next = high ? level | bit : level & ~bit;
    if (next === level) return;
    this.#level[word] = next;
    if (high) this.#update();
  }

  read(offset: number, byteLength: AccessLength): number {
    if (byteLength !== 4 || (offset & 3) !== 0 || offset < 0) return 0;
    if (offset < PLIC_PENDING) return offset >> 2 < PLIC_SOURCES ? this.#priority[offset >> 2] : 0;
    if (offset < PLIC_ENABLE) {
      const word = (offset - PLIC_PENDING) >> 2;
      return word < WORDS ? this.#pending[word] >>> 0 : 0;
    }
    if (offset < PLIC_CONTEXT) {
      const index = this.#enableIndex(offset);
      return index < 0 ? 0 : this.#enabled[index] >>> 0;
    }
    const context = Math.floor((offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE);
    if (context >= this.#lines.length) return 0;
    const register = (offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;
    if (register === PLIC_THRESHOLD) return this.#threshold[context];
    return register === PLIC_CLAIM_COMPLETE ? this.#claim(context) : 0;
  }

  write(offset: number, byteLength: AccessLength, value: number): void {
    if (byteLength !== 4 || (offset & 3) !== 0 || offset < 0) return;
    if (offset < PLIC_PENDING) {
      const source = offset >> 2;
      if (source === 0 || source >= PLIC_SOURCES) return;
      this.#priority[source] = value & PLIC_MAX_PRIORITY;
    } else if (offset < PLIC_ENABLE) {
      return; // pending bits are read-only
    } else if (offset < PLIC_CONTEXT) {
      const index = this.#enableIndex(offset);
      if (index < 0) return;
      this.#enabled[index] = index % WORDS === 0 ? value & ~1 : value;
    } else {
      const context = Math.floor((offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE);
      if (context >= this.#lines.length) return;
      const register = (offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;
      if (register === PLIC_THRESHOLD) this.#threshold[context] = value & PLIC_MAX_PRIORITY;
      else if (register === PLIC_CLAIM_COMPLETE) this.#complete(context, value >>> 0);
    }
    this.#update();
  }

  save(): readonly number[] {
    return [
      ...this.#level,
      ...this.#pending,
      ...this.#claimed,
      ...this.#priority,
      ...this.#enabled,
      ...this.#threshold,
    ];
  }

  restore(state: readonly number[]): void {
    let at = 0;
    for (const part of [this.#level, this.#pending, this.#claimed, this.#priority, this.#enabled, this.#threshold]) {
      for (let i = 0; i < part.length; i++) part[i] = state[at++];
    }
    this.#update();
  }

  /** Index into #enabled, or -1 for a word that does not exist. */
  #enableIndex(offset: number): number {
    const context = Math.floor((offset - PLIC_ENABLE) / PLIC_ENABLE_STRIDE);
    const word = ((offset - PLIC_ENABLE) % PLIC_ENABLE_STRIDE) >> 2;
    return context < this.#lines.length && word < WORDS ? context * WORDS + word : -1;
  }

  /** The pending, enabled source of highest priority, the lowest number first; the threshold plays no part. */
  #claim(context: number): number {
    const source = this.#best(context, 0);
    if (source === 0) return 0;
    const bit = 1 << (source & 31);
    this.#pending[source >> 5] &= ~bit;
    this.#claimed[source >> 5] |= bit;
    this.#update();
    return source;
  }

  /** A completion of a source that is not enabled for the context is ignored. */
  #complete(context: number, source: number): void {
    if (source === 0 || source >= PLIC_SOURCES) return;
    const bit = 1 << (source & 31);
    if ((this.#enabled[context * WORDS + (source >> 5)] & bit) !== 0) this.#claimed[source >> 5] &= ~bit;
  }

  /** Source with the highest priority above `threshold` that is pending and enabled; 0 = none. */
  #best(context: number, threshold: number): number {
    let best = 0;
    let bestPriority = threshold;
    for (let word = 0; word < WORDS; word++) {
      let ready = this.#pending[word] & this.#enabled[context * WORDS + word];
      while (ready !== 0) {
        const bit = ready & -ready;
        const source = (word << 5) + 31 - Math.clz32(bit);
        ready &= ~bit;
        if (this.#priority[source] > bestPriority) {
          best = source;
          bestPriority = this.#priority[source];
        }
      }
    }
    return best;
  }

  #update(): void {
    for (let word = 0; word < WORDS; word++) this.#pending[word] |= this.#level[word] & ~this.#claimed[word];
    for (let context = 0; context < this.#lines.length; context++) {
      if (this.#best(context, this.#threshold[context]) !== 0) this.#lines[context].raise();
      else this.#lines[context].lower();
    }
  }
}
