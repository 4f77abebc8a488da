/**
 * What the hart advertises: in the device tree, /proc/cpuinfo and riscv_hwprobe(2). A name stands here only if everything that it
 * promises works; a test holds the list against the instruction table.
 *
 * Order: single letters, then Z extensions by their second letter in the order "imafdc…b", then S ("ISA Extension Naming
 * Conventions", RISC-V Volume I, chapter 27).
 */

/** For programs in any mode. */
export const USER_EXTENSIONS: readonly string[] = [
  ..."imafdc",
  "zicbom",
  "zicboz",
  "zicntr",
  "zicond",
  "zicsr",
  "zifencei",
  "zihintpause",
  "zba",
  "zbb",
  "zbs",
];

/** For supervisors, in addition. */
export const SUPERVISOR_EXTENSIONS: readonly string[] = ["sstc", "svadu"];

/** Bytes of the block that cbo.* works on. */
export const CACHE_BLOCK_BYTES = 64;

/** As in `riscv,isa` and /proc/cpuinfo: `rv64imafdc_zicbom_…`. */
export function isaString(extensions: readonly string[]): string {
  const letters = extensions.filter((name) => name.length === 1).join("");
  const names = extensions.filter((name) => name.length > 1).map((name) => `_${name}`);
  return `rv64${letters}${names.join("")}`;
}
