/**
 * Mapping an ELF file into an address space: segments, zero fill, the interpreter.
 */
import { EACCES, EIO, ENOEXEC, ENOMEM, ET_DYN, PF_R, PF_W, PF_X, PHDR_SIZE, PT_INTERP } from "linux-abi";
import type { OpenFile } from "../file.ts";
import { type AddressSpace, USER_TOP } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { mapRegion } from "../mm/mapping.ts";
import { VM_EXEC, VM_READ, VM_WRITE } from "../mm/vma.ts";
import type { Task } from "../task/task.ts";
import { checkLoads, type ElfHeader, isLoad, parseHeader, parseSegments, type Segment } from "./elf.ts";
import { readFileBytes } from "./read-file.ts";

/** Longest interpreter path (PATH_MAX). */
const MAX_INTERPRETER = 4096;

/** A parsed ELF file, nothing mapped yet. */
export interface ElfImage {
  readonly file: OpenFile;
  readonly header: ElfHeader;
  readonly segments: readonly Segment[];
  /** PT_INTERP, or null. */
  readonly interpreter: string | null;
}

/** A mapped ELF file. */
export interface LoadedElf {
  /** Added to every address in the file. */
  readonly bias: number;
  readonly entry: number;
  /** Address of the program headers in memory, 0 if no segment holds them. */
  readonly phdr: number;
  readonly phnum: number;
  /** Lowest and one past the highest address. */
  readonly start: number;
  readonly end: number;
  readonly codeStart: number;
  readonly codeEnd: number;
  readonly dataStart: number;
  readonly dataEnd: number;
}

/** Reads and checks the headers. -errno; `log` gets the reason of a refusal. */
export function readElf(
  task: Task,
  file: OpenFile,
  head: Uint8Array,
  log: (reason: string) => void,
): ElfImage | number {
  const header = parseHeader(head);
  if ("reason" in header) {
    log(header.reason);
    return header.error;
  }
  const bytes = readFileBytes(task, file, header.phoff, header.phnum * PHDR_SIZE);
  if (typeof bytes === "number") return bytes;
  if (bytes.length < header.phnum * PHDR_SIZE) {
    log("truncated ELF program headers");
    return -ENOEXEC;
  }
  const segments = parseSegments(bytes);
  const refusal = checkLoads(segments.filter(isLoad), file.inode?.size ?? 0);
  if (refusal !== undefined) {
    log(refusal.reason);
    return refusal.error;
  }
  const interp = segments.find((s) => s.type === PT_INTERP);
  if (interp === undefined) return { file, header, segments, interpreter: null };
  if (interp.fileSize < 2 || interp.fileSize > MAX_INTERPRETER) return -ENOEXEC;
  const name = readFileBytes(task, file, interp.offset, interp.fileSize);
  if (typeof name === "number") return name;
  if (name.length < interp.fileSize || name[name.length - 1] !== 0) return -ENOEXEC;
  return { file, header, segments, interpreter: new TextDecoder().decode(name.subarray(0, name.indexOf(0))) };
}

/** Maps the segments. `base`: where a position-independent file goes; ignored for ET_EXEC. -errno. */
export function mapElf(space: AddressSpace, image: ElfImage, base: number): LoadedElf | number {
  const loads = image.segments.filter(isLoad);
  const first = loads[0] as Segment;
  const last = loads[loads.length - 1] as Segment;
  const bias = image.header.type === ET_DYN ? base - pageDown(first.vaddr) : 0;
  const start = pageDown(first.vaddr) + bias;
  const end = last.vaddr + last.memorySize + bias;
  if (start < 0 || end > USER_TOP) return -ENOMEM;
  let codeStart = Number.POSITIVE_INFINITY;
  let codeEnd = 0;
  let dataStart = 0;
  let dataEnd = 0;
  for (const segment of loads) {
    const error = mapSegment(space, image.file, segment, bias);
    if (error < 0) return error;
    const from = segment.vaddr + bias;
    if ((segment.flags & PF_X) !== 0) {
      codeStart = Math.min(codeStart, from);
      codeEnd = Math.max(codeEnd, from + segment.fileSize);
    }
    if (from >= dataStart) dataStart = from;
    dataEnd = Math.max(dataEnd, from + segment.fileSize);
  }
  return {
    bias,
    entry: image.header.entry + bias,
    phdr: headersAt(image, loads, bias),
    phnum: image.header.phnum,
    start,
    end,
    codeStart: codeStart === Number.POSITIVE_INFINITY ? start : codeStart,
    codeEnd,
    dataStart,
    dataEnd,
  };
}

function headersAt(image: ElfImage, loads: readonly Segment[], bias: number): number {
  const { phoff, phnum } = image.header;
  for (const s of loads) {
    if (phoff >= s.offset && phoff + phnum * PHDR_SIZE <= s.offset + s.fileSize)
      return phoff - s.offset + s.vaddr + bias;
  }
  return 0;
}

function mapSegment(space: AddressSpace, file: OpenFile, segment: Segment, bias: number): number {
  let flags = 0;
  if ((segment.flags & PF_R) !== 0) flags |= VM_READ;
  if ((segment.flags & PF_W) !== 0) flags |= VM_WRITE;
  if ((segment.flags & PF_X) !== 0) flags |= VM_EXEC;
  const from = segment.vaddr + bias;
  const fileEnd = from + segment.fileSize;
  const memoryEnd = from + segment.memorySize;
  const start = pageDown(from);
  const mapped = segment.fileSize === 0 ? start : pageUp(fileEnd);
  if (mapped > start) {
    const source = file.mapping();
    if (typeof source === "number") return -EACCES;
    const at = mapRegion(space, {
      address: start,
      byteLength: mapped - start,
      flags,
      fixed: true,
      source,
      file: file.get(),
      pageOffset: pageDown(segment.offset) / PAGE_SIZE,
    });
    if (at < 0) return at;
    // The file's bytes behind the segment in its last page are not the program's.
    if (memoryEnd > fileEnd && fileEnd % PAGE_SIZE !== 0) {
      const error = space.clear(fileEnd, pageUp(fileEnd) - fileEnd);
      if (error !== 0) return -EIO;
    }
  }
  const zeroEnd = pageUp(memoryEnd);
  if (zeroEnd <= mapped) return 0;
  const zeros = mapRegion(space, {
    address: mapped,
    byteLength: zeroEnd - mapped,
    flags,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
  });
  return Math.min(zeros, 0);
}

function pageDown(address: number): number {
  return address - (address % PAGE_SIZE);
}

function pageUp(address: number): number {
  return Math.ceil(address / PAGE_SIZE) * PAGE_SIZE;
}
