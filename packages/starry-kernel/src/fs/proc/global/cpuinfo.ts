/** /proc/cpuinfo as Linux prints it for riscv (arch/riscv/kernel/cpu.c). */
import { isaString, USER_EXTENSIONS } from "rv64-cpu/isa";
import type { ProcFile } from "../proc-file.ts";

export const cpuinfo: ProcFile = {
  name: "cpuinfo",
  text: () =>
    `processor\t: 0\nhart\t\t: 0\nisa\t\t: ${isaString(USER_EXTENSIONS)}\nmmu\t\t: sv39\nuarch\t\t: starry,hart\n\n`,
};
