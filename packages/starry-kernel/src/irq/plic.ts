/**
 * Platform-level interrupt controller, driver side: finds out which device wants attention and calls its handler.
 *
 * The board wires the PLIC's context 1 (supervisor mode of hart 0) to the line that `platform.irqPending()` reports.
 * `dispatch` claims and completes sources until none is pending; a source without a handler is never enabled.
 *
 *   device raises its line → irqPending() → kernel main step → Plic.dispatch: claim → handler() → complete
 *
 * Spec: RISC-V PLIC 1.0.0, "Memory Map".
 */
import type { MmioRegion, Platform } from "../platform.ts";

/** QEMU `virt`. */
export const PLIC_BASE = 0x0c00_0000;
const PLIC_BYTES = 0x60_0000;
const SUPERVISOR_CONTEXT = 1;

const PRIORITY = 0x0;
const ENABLE = 0x2000;
const ENABLE_STRIDE = 0x80;
const CONTEXT = 0x20_0000;
const CONTEXT_STRIDE = 0x1000;
const THRESHOLD = 0;
const CLAIM_COMPLETE = 4;

const MAX_SOURCE = 1023;
/** A source whose handler does not silence it must not keep the kernel here. */
const CLAIMS_PER_DISPATCH = 256;

export class Plic {
  readonly #registers: MmioRegion;
  readonly #enable: number;
  readonly #claim: number;
  readonly #handlers: ((() => void) | undefined)[] = [];
  /** Interrupts taken, by source: /proc/interrupts. */
  readonly counts: number[] = [];

  /** `context`: which of the PLIC's targets is wired to this hart. */
  constructor(registers: MmioRegion, context: number = SUPERVISOR_CONTEXT) {
    this.#registers = registers;
    this.#enable = ENABLE + context * ENABLE_STRIDE;
    this.#claim = CONTEXT + context * CONTEXT_STRIDE + CLAIM_COMPLETE;
    registers.write32(CONTEXT + context * CONTEXT_STRIDE + THRESHOLD, 0);
  }

  static at(platform: Platform, base: number = PLIC_BASE): Plic {
    return new Plic(platform.mmio(base, PLIC_BYTES));
  }

  /** Calls `handler` when `source` (1..1023) interrupts, and enables the source. */
  attach(source: number, handler: () => void): void {
    if (source < 1 || source > MAX_SOURCE) throw new RangeError(`"source" expected 1..${MAX_SOURCE}, got ${source}`);
    this.#handlers[source] = handler;
    this.counts[source] = 0;
    this.#registers.write32(PRIORITY + 4 * source, 1);
    const word = this.#enable + 4 * (source >>> 5);
    this.#registers.write32(word, (this.#registers.read32(word) | (1 << (source & 31))) >>> 0);
  }

  /** Handles what is pending. The kernel calls it while `platform.irqPending()`. */
  dispatch(): void {
    for (let i = 0; i < CLAIMS_PER_DISPATCH; i++) {
      const source = this.#registers.read32(this.#claim);
      if (source === 0) return;
      const handler = this.#handlers[source];
      if (handler !== undefined) {
        this.counts[source] = (this.counts[source] as number) + 1;
        handler();
      }
      this.#registers.write32(this.#claim, source);
    }
  }
}
