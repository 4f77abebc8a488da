/** An assembler for tests, examples and firmware stubs. */
export { type AssembleOptions, type Assembly, AssemblyError, assemble } from "./assembler.ts";
