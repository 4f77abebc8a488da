/** Tables of the instruction set: instructions, compressed forms, CSRs, trap causes. Free of any execution machinery. */
export * from "./causes.ts";
export * from "./csrs.ts";
export { expandCompressed } from "./compressed.ts";
export { disassemble } from "./disassemble.ts";
export * from "./extensions.ts";
export * from "./instructions.ts";
export { F_NAMES, RM_NAMES, X_NAMES } from "./registers.ts";
