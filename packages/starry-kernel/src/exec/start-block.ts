/**
 * What a new program finds at its stack pointer (RISC-V psABI, "Program start"; Linux fs/binfmt_elf.c):
 *
 *   sp → argc · argv[0..argc-1] · NULL · envp[...] · NULL · auxv pairs ... AT_NULL · padding
 *        16 random bytes · argument strings · environment strings · file name · 8 zero bytes    ← stack top
 *
 * sp is 16-byte aligned and the whole block lies inside the stack mapping.
 */
import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_MINSIGSTKSZ,
  AT_NULL,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO_EHDR,
  AT_UID,
  E2BIG,
  PHDR_SIZE,
  RLIMIT_STACK,
} from "linux-abi";
import type { AddressSpace } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import type { Credentials } from "../task/credentials.ts";
import type { LoadedElf } from "./load.ts";

/** Bits by ISA letter: IMAFDC. */
export const HWCAP: number = [..."IMAFDC"].reduce((bits, letter) => bits | (1 << (letter.charCodeAt(0) - 65)), 0);
/** USER_HZ */
const CLOCK_TICKS = 100;
/** Room a signal frame needs, with some for the handler (AT_MINSIGSTKSZ). */
const MIN_SIGNAL_STACK = 2048;

export interface ProgramStart {
  readonly argv: readonly Uint8Array[];
  readonly envp: readonly Uint8Array[];
  /** Path as execve was given it. */
  readonly execFn: Uint8Array;
  readonly program: LoadedElf;
  /** Where the interpreter is mapped, 0 if there is none. */
  readonly interpreterBase: number;
  readonly cred: Credentials;
  /** Privileges were gained: the C library must not trust the environment. */
  readonly secure: boolean;
  /** 16 bytes. */
  readonly random: Uint8Array;
  /** Bytes left free below the strings, a multiple of 16: nobody shall know the stack pointer. */
  readonly shift: number;
}

/** Writes the block below `space.stackTop`; returns sp or -E2BIG, -EFAULT. Fills in the space's arg and env ranges and auxv. */
export function writeStartBlock(space: AddressSpace, start: ProgramStart): number {
  const { argv, envp, execFn } = start;
  let at = space.stackTop - 8;
  const stringBytes = (list: readonly Uint8Array[]): number => list.reduce((sum, s) => sum + s.length + 1, 0);

  at -= execFn.length + 1;
  const execFnAt = at;
  let error = writeStrings(space, at, [execFn]);
  at -= stringBytes(envp);
  space.envStart = at;
  space.envEnd = execFnAt;
  error ||= writeStrings(space, at, envp);
  at -= stringBytes(argv);
  space.argStart = at;
  space.argEnd = space.envStart;
  error ||= writeStrings(space, at, argv);
  at = Math.floor((at - start.shift - 16) / 16) * 16;
  const randomAt = at;
  error ||= space.copyOut(at, start.random, 0, 16);
  if (error !== 0) return error;

  const auxv = auxiliaryVector(space, start, execFnAt, randomAt);
  const words = 1 + argv.length + 1 + envp.length + 1 + auxv.length;
  const sp = Math.floor((at - words * 8) / 16) * 16;
  if (sp < space.stackTop - stackLimit(space)) return -E2BIG;
  const block = new Uint8Array(words * 8);
  const view = new DataView(block.buffer);
  let word = 0;
  const put = (value: number): void => {
    view.setInt32(word * 8, value, true);
    view.setInt32(word * 8 + 4, Math.floor(value / 4294967296), true);
    word++;
  };
  put(argv.length);
  putPointers(put, argv, space.argStart);
  putPointers(put, envp, space.envStart);
  const auxvAt = word * 8;
  for (const value of auxv) put(value);
  space.auxv = block.slice(auxvAt);
  error = space.copyOut(sp, block, 0, block.length);
  return error !== 0 ? error : sp;
}

function putPointers(put: (value: number) => void, strings: readonly Uint8Array[], start: number): void {
  let at = start;
  for (const s of strings) {
    put(at);
    at += s.length + 1;
  }
  put(0);
}

function writeStrings(space: AddressSpace, va: number, strings: readonly Uint8Array[]): number {
  let at = va;
  for (const s of strings) {
    const error = space.copyOut(at, s, 0, s.length) || space.writeU8(at + s.length, 0);
    if (error !== 0) return error;
    at += s.length + 1;
  }
  return 0;
}

function auxiliaryVector(space: AddressSpace, start: ProgramStart, execFnAt: number, randomAt: number): number[] {
  const { program, cred } = start;
  return [
    ...[AT_SYSINFO_EHDR, space.vdso],
    ...[AT_HWCAP, HWCAP],
    ...[AT_PAGESZ, PAGE_SIZE],
    ...[AT_CLKTCK, CLOCK_TICKS],
    ...[AT_PHDR, program.phdr],
    ...[AT_PHENT, PHDR_SIZE],
    ...[AT_PHNUM, program.phnum],
    ...[AT_BASE, start.interpreterBase],
    ...[AT_FLAGS, 0],
    ...[AT_ENTRY, program.entry],
    ...[AT_UID, cred.uid],
    ...[AT_EUID, cred.euid],
    ...[AT_GID, cred.gid],
    ...[AT_EGID, cred.egid],
    ...[AT_SECURE, start.secure ? 1 : 0],
    ...[AT_RANDOM, randomAt],
    ...[AT_MINSIGSTKSZ, MIN_SIGNAL_STACK],
    ...[AT_EXECFN, execFnAt],
    ...[AT_NULL, 0],
  ];
}

/** Bytes that the stack may have. */
export function stackLimit(space: AddressSpace): number {
  return Math.min(space.limits.soft[RLIMIT_STACK] as number, space.stackTop);
}
