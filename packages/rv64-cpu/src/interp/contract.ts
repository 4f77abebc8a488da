/** What the interpreters of records, compiled regions and the hart agree on: exit codes, and calls of the host. */

// Exit codes of run().
export const EXIT_FUEL = 0;
export const EXIT_TRAP = 1;
/** A system instruction or device access wants the host to look at the hart's state before going on. */
export const EXIT_HOST = 2;

/** What run() calls. Numbers are int32; a 64-bit address is two of them. */
export interface InterpreterImports {
  /** Fills the EXEC TLB entry for the pc. 0, or 1 with a trap set. */
  fetch(pcLo: number, pcHi: number): number;
  /** Decodes at a record. 0, or 1 if its page was dropped meanwhile. */
  decode(record: number, pageRecords: number): number;
  /** Decodes the page-crossing instruction at pc into CROSS_PAGE. 0, or 1 with a trap set. */
  cross(pcLo: number, pcHi: number): number;
  /** A load that missed the TLB; the value goes to STATE_RESULT. 0, 1 with a trap set, 2 done but leave soon. */
  load(vaLo: number, vaHi: number, mode: number): number;
  /** A store of STATE_RESULT that missed the TLB; results as for load. */
  store(vaLo: number, vaHi: number, mode: number): number;
  /** A floating-point helper. 0, or 1 with a trap set. */
  fp(id: number, bits: number): number;
  /** A CSR or privileged instruction. 0 go on, 1 trap set, 2 leave: STATE_PC says where to go on. */
  system(bits: number): number;
  /** Sets the illegal-instruction trap for the instruction at pc. */
  off(pcLo: number, pcHi: number): void;
  /** A jump target is hot. 1: leave soon, so that it can be compiled. */
  hot(pcLo: number, pcHi: number): number;
}

// What a compiled region returns.
/** Go on at STATE_PC. */
export const REGION_NEXT = 0;
/** A trap is set; STATE_PC is the instruction. */
export const REGION_TRAP = 1;
/** Go on at STATE_PC, but let the host look first. */
export const REGION_LEAVE = 2;
/** Nothing was done: fuel too low, pages not as compiled, or not compiled at all. */
export const REGION_DECLINED = 3;
