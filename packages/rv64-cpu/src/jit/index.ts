/** Tier 1: a compiler of hot guest code to WebAssembly. */
export { createJit, type JitOptions, type JitStatistics } from "./jit.ts";
