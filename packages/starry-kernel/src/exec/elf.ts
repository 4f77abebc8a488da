/**
 * ELF64 headers: what execve needs of them, checked once. The bytes are untrusted.
 */
import {
  EHDR_E_ENTRY,
  EHDR_E_FLAGS,
  EHDR_E_MACHINE,
  EHDR_E_PHENTSIZE,
  EHDR_E_PHNUM,
  EHDR_E_PHOFF,
  EHDR_E_TYPE,
  EHDR_SIZE,
  EI_CLASS,
  EI_DATA,
  ELFCLASS64,
  ELFDATA2LSB,
  EM_RISCV,
  ENOEXEC,
  ET_DYN,
  ET_EXEC,
  PF_W,
  PHDR_P_ALIGN,
  PHDR_P_FILESZ,
  PHDR_P_FLAGS,
  PHDR_P_MEMSZ,
  PHDR_P_OFFSET,
  PHDR_P_TYPE,
  PHDR_P_VADDR,
  PHDR_SIZE,
  PT_LOAD,
} from "linux-abi";
import { USER_TOP } from "../mm/address-space.ts";

/** Program headers beyond this many bytes are refused, as Linux does (64 KiB). */
const MAX_HEADER_BYTES = 65536;

export interface Segment {
  readonly type: number;
  /** PF_* */
  readonly flags: number;
  /** Bytes. */
  readonly offset: number;
  readonly vaddr: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly align: number;
}

export interface ElfHeader {
  /** ET_EXEC or ET_DYN. */
  readonly type: number;
  readonly entry: number;
  readonly flags: number;
  /** Where program headers are in the file, and how many. */
  readonly phoff: number;
  readonly phnum: number;
}

/** Why a file is no program for this machine: shown once in the log, ENOEXEC for the caller. */
export interface ElfRefusal {
  readonly reason: string;
  readonly error: number;
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

const MACHINES: Readonly<Record<number, string>> = { 3: "i386", 40: "ARM", 62: "x86-64", 183: "AArch64" };

/** `bytes`: the beginning of the file, at least EHDR_SIZE if the file has that many. */
export function parseHeader(bytes: Uint8Array): ElfHeader | ElfRefusal {
  if (bytes.length < EHDR_SIZE) return refuse("truncated ELF header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes[EI_CLASS] !== ELFCLASS64 || bytes[EI_DATA] !== ELFDATA2LSB)
    return refuse("not a 64-bit little-endian ELF file");
  const machine = view.getUint16(EHDR_E_MACHINE, true);
  if (machine !== EM_RISCV) return refuse(`ELF file for ${MACHINES[machine] ?? `machine ${machine}`}, not riscv64`);
  const type = view.getUint16(EHDR_E_TYPE, true);
  if (type !== ET_EXEC && type !== ET_DYN) return refuse(`ELF file of type ${type} is not executable`);
  const phnum = view.getUint16(EHDR_E_PHNUM, true);
  if (view.getUint16(EHDR_E_PHENTSIZE, true) !== PHDR_SIZE || phnum === 0 || phnum * PHDR_SIZE > MAX_HEADER_BYTES) {
    return refuse("bad ELF program headers");
  }
  return {
    type,
    entry: readU64(view, EHDR_E_ENTRY),
    flags: view.getUint32(EHDR_E_FLAGS, true),
    phoff: readU64(view, EHDR_E_PHOFF),
    phnum,
  };
}

/** `bytes`: all program headers. */
export function parseSegments(bytes: Uint8Array): readonly Segment[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const segments: Segment[] = [];
  for (let at = 0; at + PHDR_SIZE <= bytes.length; at += PHDR_SIZE) {
    segments.push({
      type: view.getUint32(at + PHDR_P_TYPE, true),
      flags: view.getUint32(at + PHDR_P_FLAGS, true),
      offset: readU64(view, at + PHDR_P_OFFSET),
      vaddr: readU64(view, at + PHDR_P_VADDR),
      fileSize: readU64(view, at + PHDR_P_FILESZ),
      memorySize: readU64(view, at + PHDR_P_MEMSZ),
      align: readU64(view, at + PHDR_P_ALIGN),
    });
  }
  return segments;
}

/** Checks that the PT_LOAD segments can be mapped from a file of `fileBytes` bytes. */
export function checkLoads(loads: readonly Segment[], fileBytes: number): ElfRefusal | undefined {
  if (loads.length === 0) return refuse("ELF file without loadable segments");
  let end = 0;
  for (const s of loads) {
    if (s.fileSize > s.memorySize || s.vaddr + s.memorySize > USER_TOP) return refuse("ELF segment out of range");
    if (s.offset % 4096 !== s.vaddr % 4096) return refuse("ELF segment is not page aligned");
    if (s.offset + s.fileSize > fileBytes) return refuse("truncated ELF file");
    if (s.vaddr < end) return refuse("ELF segments overlap or are out of order");
    end = s.vaddr + s.memorySize;
    if (s.memorySize > s.fileSize && s.fileSize > 0 && (s.flags & PF_W) === 0 && (s.vaddr + s.fileSize) % 4096 !== 0) {
      return refuse("ELF segment with zero fill is not writable");
    }
  }
  return undefined;
}

export function isLoad(segment: Segment): boolean {
  return segment.type === PT_LOAD && segment.memorySize > 0;
}

function refuse(reason: string): ElfRefusal {
  return { reason, error: -ENOEXEC };
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}
