/**
 * From a path to a loaded program: interpreters of scripts and ELF files are followed, and a new address space is filled.
 * Nothing of the caller changes, so every failure can still be reported to it.
 */
import {
  AT_FDCWD,
  decodeName,
  E2BIG,
  ELIBBAD,
  ELOOP,
  encodeName,
  ENOEXEC,
  ENOMEM,
  MS_NOSUID,
  ET_DYN,
  PF_X,
  PT_GNU_STACK,
  PT_LOAD,
  RLIMIT_STACK,
  S_ISGID,
  S_ISUID,
  S_IXGRP,
} from "linux-abi";
import type { OpenFile } from "../file.ts";
import { AddressSpace, USER_TOP } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { findFree, mapRegion } from "../mm/mapping.ts";
import { STACK_GUARD_GAP } from "../mm/stack-growth.ts";
import { VM_EXEC, VM_GROWSDOWN, VM_READ, VM_WRITE } from "../mm/vma.ts";
import { ALL_CAPABILITIES, type Credentials, NO_CAPABILITIES } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import { isElf } from "./elf.ts";
import { type ElfImage, type LoadedElf, mapElf, readElf } from "./load.ts";
import { chooseLayout, type LayoutOffsets } from "./randomize.ts";
import { readFileBytes } from "./read-file.ts";
import { HEAD_BYTES, isScript, parseScript } from "./script.ts";
import { writeStartBlock } from "./start-block.ts";

/** Where position-independent programs go: two thirds up, as on Linux. */
export const PROGRAM_BASE: number = Math.floor(((USER_TOP / 3) * 2) / PAGE_SIZE) * PAGE_SIZE;
/** Scripts that are interpreters of scripts. */
const MAX_SCRIPT_DEPTH = 5;
/** Bytes below the start block that are mapped from the beginning. */
const INITIAL_STACK = 128 * 1024;
/** mmap keeps at least this distance from the top of the stack. */
const MIN_MMAP_GAP = 128 * 2 ** 20;
/** Longest single argument (MAX_ARG_STRLEN). */
const MAX_STRING = 131072;
/** Arguments and environment may use a quarter of the stack limit, at most this. */
const MAX_ARGUMENTS = 6 * 2 ** 20;

export interface ProgramRequest {
  readonly dirfd: number;
  readonly path: string;
  /** AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW */
  readonly atFlags: number;
  readonly argv: readonly Uint8Array[];
  readonly envp: readonly Uint8Array[];
}

/** Ready to run. The caller owns `file` (one reference, writing denied) and `space`. */
export interface Program {
  readonly file: OpenFile;
  readonly space: AddressSpace;
  readonly cred: Credentials;
  readonly entry: number;
  readonly sp: number;
  /** Base name of the file that was asked for. */
  readonly comm: string;
}

export function loadProgram(task: Task, request: ProgramRequest): Program | number {
  const resolved = resolveScripts(task, request);
  if (typeof resolved === "number") return resolved;
  const { file, argv } = resolved;
  const denied = task.kernel.fs.denyWrite(file);
  if (denied !== 0) {
    file.put();
    return denied;
  }
  const result = loadElf(task, file, resolved.head, request, argv);
  if (typeof result === "number") {
    task.kernel.fs.allowWrite(file);
    file.put();
  }
  return result;
}

interface Resolved {
  readonly file: OpenFile;
  readonly head: Uint8Array;
  readonly argv: readonly Uint8Array[];
}

function resolveScripts(task: Task, request: ProgramRequest): Resolved | number {
  const { fs } = task.kernel;
  let { dirfd, path, atFlags } = request;
  let argv = request.argv.length === 0 ? [new Uint8Array(0)] : request.argv;
  for (let depth = 0; ; depth++) {
    const file = fs.openExecutable(task, dirfd, path, atFlags);
    if (typeof file === "number") return file;
    const head = readFileBytes(task, file, 0, HEAD_BYTES);
    if (typeof head === "number" || !isScript(head)) {
      if (typeof head !== "number") return { file, head, argv };
      file.put();
      return head;
    }
    file.put();
    if (depth >= MAX_SCRIPT_DEPTH) return -ELOOP;
    const line = parseScript(head);
    if (line === undefined) return -ENOEXEC;
    // interpreter [argument] path-of-the-script the-rest-of-the-arguments
    const script =
      dirfd === AT_FDCWD || path.startsWith("/") ? path : `/dev/fd/${dirfd}${path === "" ? "" : `/${path}`}`;
    argv = [line.interpreter, ...(line.argument === null ? [] : [line.argument]), encodeName(script), ...argv.slice(1)];
    path = decodeName(line.interpreter);
    dirfd = AT_FDCWD;
    atFlags = 0;
  }
}

function loadElf(
  task: Task,
  file: OpenFile,
  head: Uint8Array,
  request: ProgramRequest,
  argv: readonly Uint8Array[],
): Program | number {
  if (!isElf(head)) return -ENOEXEC;
  const log = (reason: string): void => task.kernel.log("info", `execve ${request.path}: ${reason}`);
  const image = readElf(task, file, head, log);
  if (typeof image === "number") return image;
  const interpreter = image.interpreter === null ? null : openInterpreter(task, image.interpreter, log);
  if (typeof interpreter === "number") return interpreter;
  const space = AddressSpace.create(task.kernel.memory, task.process.limits);
  const result = space === undefined ? -ENOMEM : fill(task, space, image, interpreter, request, argv);
  interpreter?.file.put();
  if (typeof result === "number") space?.release();
  return result;
}

function openInterpreter(task: Task, path: string, log: (reason: string) => void): ElfImage | number {
  const file = task.kernel.fs.openExecutable(task, AT_FDCWD, path, 0);
  if (typeof file === "number") {
    log(`cannot open the interpreter ${path}`);
    return file;
  }
  const head = readFileBytes(task, file, 0, HEAD_BYTES);
  const image = typeof head === "number" ? head : readElf(task, file, head, log);
  if (typeof image !== "number") return image;
  file.put();
  return image === -ENOEXEC ? -ELIBBAD : image;
}

function fill(
  task: Task,
  space: AddressSpace,
  image: ElfImage,
  interpreter: ElfImage | null,
  request: ProgramRequest,
  argv: readonly Uint8Array[],
): Program | number {
  const strings = checkStrings(task, argv, request.envp);
  if (strings < 0) return strings;
  const offsets = chooseLayout(task);
  layOut(space, strings, image, offsets);
  const program = mapElf(space, image, PROGRAM_BASE + offsets.program * PAGE_SIZE);
  if (typeof program === "number") return program;
  setLayoutOf(space, program, offsets);
  let entry = program.entry;
  let interpreterBase = 0;
  if (interpreter !== null) {
    const loaded = mapElf(
      space,
      interpreter,
      interpreter.header.type === ET_DYN ? findFree(space, spanOf(interpreter)) : 0,
    );
    if (typeof loaded === "number") return loaded;
    entry = loaded.entry;
    interpreterBase = loaded.start;
  }
  const vdso = task.kernel.vdso.map(space);
  if (vdso < 0) return vdso;
  const cred = credentialsFor(task, image.file);
  const sp = writeStartBlock(space, {
    argv,
    envp: request.envp,
    execFn: encodeName(request.path),
    program,
    interpreterBase,
    cred,
    secure: cred.uid !== cred.euid || cred.gid !== cred.egid,
    random: offsets.random,
    shift: offsets.stackBytes,
  });
  if (sp < 0) return sp;
  return { file: image.file, space, cred, entry, sp, comm: commOf(request.path) };
}

/** Bytes of all argument strings, or -E2BIG. */
function checkStrings(task: Task, argv: readonly Uint8Array[], envp: readonly Uint8Array[]): number {
  let total = 0;
  for (const list of [argv, envp]) {
    for (const s of list) {
      if (s.length >= MAX_STRING) return -E2BIG;
      total += s.length + 1 + 8;
    }
  }
  const limit = Math.min((task.process.limits.soft[RLIMIT_STACK] as number) / 4, MAX_ARGUMENTS);
  return total > Math.max(limit, MAX_STRING) ? -E2BIG : total;
}

/** Stack at the top, mmap area below it. */
function layOut(space: AddressSpace, stringBytes: number, image: ElfImage, offsets: LayoutOffsets): void {
  space.stackTop = USER_TOP - PAGE_SIZE * (1 + offsets.stack);
  const limit = space.limits.soft[RLIMIT_STACK] as number;
  const gap = Math.min(
    Math.max(limit + STACK_GUARD_GAP, MIN_MMAP_GAP),
    Math.floor(USER_TOP / 6 / PAGE_SIZE) * 5 * PAGE_SIZE,
  );
  space.mmapTop = space.stackTop - (Math.ceil(gap / PAGE_SIZE) + offsets.mmap) * PAGE_SIZE;
  const stackHeader = image.segments.find((s) => s.type === PT_GNU_STACK);
  const executable = stackHeader !== undefined && (stackHeader.flags & PF_X) !== 0 ? VM_EXEC : 0;
  const byteLength = Math.ceil((stringBytes + INITIAL_STACK) / PAGE_SIZE) * PAGE_SIZE;
  mapRegion(space, {
    address: space.stackTop - byteLength,
    byteLength,
    flags: VM_READ | VM_WRITE | VM_GROWSDOWN | executable,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
    name: "[stack]",
  });
}

function setLayoutOf(space: AddressSpace, program: LoadedElf, offsets: LayoutOffsets): void {
  space.codeStart = program.codeStart;
  space.codeEnd = program.codeEnd;
  space.dataStart = program.dataStart;
  space.dataEnd = program.dataEnd;
  space.brkStart = (Math.ceil(program.end / PAGE_SIZE) + offsets.heap) * PAGE_SIZE;
  space.brk = space.brkStart;
}

function spanOf(image: ElfImage): number {
  let end = 0;
  let start = Number.POSITIVE_INFINITY;
  for (const s of image.segments) {
    if (s.type !== PT_LOAD) continue;
    start = Math.min(start, s.vaddr - (s.vaddr % PAGE_SIZE));
    end = Math.max(end, s.vaddr + s.memorySize);
  }
  return Math.ceil((end - start) / PAGE_SIZE) * PAGE_SIZE;
}

/** execve(2), "Effect on user and group IDs"; capabilities(7), "Transformation during execve". */
function credentialsFor(task: Task, file: OpenFile): Credentials {
  const old = task.cred;
  let { euid, egid } = old;
  const { inode } = file;
  if (inode !== null && !task.noNewPrivileges && !isNosuid(file)) {
    if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
    if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
  }
  const privileged = euid === 0 || old.uid === 0;
  const bounded = { lo: ALL_CAPABILITIES.lo & old.bounding.lo, hi: ALL_CAPABILITIES.hi & old.bounding.hi };
  const gained = euid !== old.euid || egid !== old.egid;
  const ambient = gained ? NO_CAPABILITIES : old.ambient;
  const permitted = privileged ? bounded : ambient;
  return old.with({
    euid,
    suid: euid,
    fsuid: euid,
    egid,
    sgid: egid,
    fsgid: egid,
    permitted,
    effective: euid === 0 ? permitted : ambient,
    ambient,
  });
}

function isNosuid(file: OpenFile): boolean {
  return file.path !== null && (file.path.mount.flags & MS_NOSUID) !== 0;
}

function commOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
