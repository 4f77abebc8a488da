/** An RV64GC hart. See README.md for a first program. */
export {
  Hart,
  type HartOptions,
  STOP_FUEL,
  STOP_INTERRUPT,
  STOP_TRAP,
  STOP_TRAP_LOOP,
  STOP_WFI,
  TRAP_LOOP_LIMIT,
} from "./hart.ts";
export type { DeviceBus } from "./mmu.ts";
export { createGuestRam, type GuestRam, type GuestRamOptions, type HartRam, PAGE_SIZE } from "./ram.ts";
export { explain, type ExplainOptions } from "./explain.ts";
