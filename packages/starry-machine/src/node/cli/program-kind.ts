/**
 * Why the kernel refuses a program: execve's errno says little, the file's first bytes say more.
 *
 * ELF: System V ABI, "ELF Header"; `#!`: man 2 execve.
 */
import { S_IFMT, S_IFREG } from "linux-abi";
import type { GuestFiles } from "../../guest-files.ts";

/** Enough for a #! line, and for the program headers of every linker's output. */
const HEAD_BYTES = 4096;
/** Longest interpreter name that Linux takes. */
const PATH_MAX = 4096;
const EHDR_BYTES = 64;
const EM_RISCV = 243;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PHDR_BYTES = 56;
/** e_machine of what people have lying about. */
const MACHINES: Readonly<Record<number, string>> = {
  3: "x86 (32 bits)",
  8: "MIPS",
  20: "PowerPC",
  21: "PowerPC",
  22: "S/390",
  40: "ARM",
  62: "x86-64",
  183: "AArch64",
  258: "LoongArch",
};

/** A sentence without its subject, or undefined when nothing about the file is odd. */
export function whyNotExecutable(path: string, files: GuestFiles): string | undefined {
  if (!files.exists(path)) return undefined;
  const { mode, size } = files.stat(path);
  if ((mode & S_IFMT) !== S_IFREG || (mode & 0o111) === 0) return undefined;
  const head = files.readPart(path, 0, HEAD_BYTES);
  if (head.length === 0) return "is empty";
  if (head[0] === 0x23 && head[1] === 0x21) {
    const interpreter = /^#!\s*(\S*)/.exec(new TextDecoder().decode(head))?.[1] ?? "";
    return files.exists(interpreter)
      ? undefined
      : `needs the interpreter ${interpreter}, which the guest does not have`;
  }
  if (head[0] !== 0x7f || head[1] !== 0x45 || head[2] !== 0x4c || head[3] !== 0x46)
    return "is neither an ELF program nor a script with #!";
  if (head.length < EHDR_BYTES) return "is a truncated ELF program";
  return elf(path, head, size, files);
}

function elf(path: string, head: Uint8Array<ArrayBuffer>, size: number, files: GuestFiles): string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const machine = view.getUint16(18, true);
  if (machine !== EM_RISCV) return `is a program for ${MACHINES[machine] ?? `ELF machine ${machine}`}, not for riscv64`;
  if (head[4] !== 2 || head[5] !== 1) return "is not a 64-bit little-endian RISC-V program";
  const table = Number(view.getBigUint64(32, true));
  const count = view.getUint16(56, true);
  if (table + count * PHDR_BYTES > size) return "is a truncated ELF program";
  for (let i = 0; i < count && table + (i + 1) * PHDR_BYTES <= head.length; i++) {
    const at = table + i * PHDR_BYTES;
    const type = view.getUint32(at, true);
    const offset = Number(view.getBigUint64(at + 8, true));
    const byteLength = Number(view.getBigUint64(at + 32, true));
    if ((type === PT_LOAD || type === PT_INTERP) && offset + byteLength > size) return "is a truncated ELF program";
    if (type === PT_INTERP && byteLength <= PATH_MAX) {
      const interpreter = new TextDecoder().decode(files.readPart(path, offset, byteLength - 1));
      if (!files.exists(interpreter)) return `needs the interpreter ${interpreter}, which the guest does not have`;
    }
  }
  return undefined;
}
