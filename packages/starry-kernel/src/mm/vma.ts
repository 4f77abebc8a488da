/**
 * One mapping of an address space: a range of pages with the same rights and the same source (Linux: vm_area_struct).
 */
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "linux-abi";
import type { OpenFile } from "../file.ts";
import type { AddressSpace } from "./address-space.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import type { PageSource } from "./page-source.ts";
import { PTE_R, PTE_USER, PTE_W, PTE_X } from "./page-table.ts";

export const VM_READ: number = PROT_READ;
export const VM_WRITE: number = PROT_WRITE;
export const VM_EXEC: number = PROT_EXEC;
export const VM_ACCESS: number = VM_READ | VM_WRITE | VM_EXEC;
/** MAP_SHARED: stores reach the source. */
export const VM_SHARED: number = 1 << 3;
/** mprotect may not add PROT_WRITE: a shared mapping of a file that is not open for writing. */
export const VM_DENY_WRITE: number = 1 << 4;
export const VM_GROWSDOWN: number = 1 << 8;
export const VM_NORESERVE: number = 1 << 9;
export const VM_DONTFORK: number = 1 << 10;
export const VM_WIPEONFORK: number = 1 << 11;
export const VM_LOCKED: number = 1 << 12;
export const VM_DONTDUMP: number = 1 << 13;
/** Made by the kernel: stays as it is through mremap and madvise. */
export const VM_SPECIAL: number = 1 << 14;
/** Holds, or may hold, private copies: fork must copy its page table entries. */
export const VM_HAS_ANON: number = 1 << 15;

/** Flags that do not keep neighbours from merging. */
const MERGE_IGNORES = VM_HAS_ANON;

export class Vma {
  readonly space: AddressSpace;
  /** First byte; page aligned. */
  start: number;
  /** One past the last byte; page aligned. */
  end: number;
  /** VM_* */
  flags: number;
  /** Where pages come from; null: private zero pages. */
  readonly source: PageSource | null;
  /** The mapped file (a reference), for /proc/PID/maps; null for anonymous memory. */
  readonly file: OpenFile | null;
  /** Page of `source` that `start` shows. For anonymous memory start / 4096, so that neighbours merge after a move back. */
  pageOffset: number;
  /** "[heap]", "[stack]", "[vdso]", "[anon:NAME]" or "". */
  name: string;

  /** Takes over a reference to `file`; adds one to `source`. */
  constructor(
    space: AddressSpace,
    start: number,
    end: number,
    flags: number,
    source: PageSource | null,
    file: OpenFile | null,
    pageOffset: number,
    name: string,
  ) {
    this.space = space;
    this.start = start;
    this.end = end;
    this.flags = flags;
    this.source = source;
    this.file = file;
    this.pageOffset = pageOffset;
    this.name = name;
    source?.retain?.();
  }

  get shared(): boolean {
    return (this.flags & VM_SHARED) !== 0;
  }

  get pageCount(): number {
    return (this.end - this.start) / PAGE_SIZE;
  }

  /** Page of the source that address `va` shows. */
  pageIndex(va: number): number {
    return this.pageOffset + Math.floor((va - this.start) / PAGE_SIZE);
  }

  /** Page table bits for a page that may be used as the VMA allows; `writable` false leaves PTE_W out. */
  pteBits(writable: boolean): number {
    const flags = this.flags;
    let bits = PTE_USER;
    // W without R is reserved in Sv39, and Linux makes executable and writable pages readable.
    if ((flags & VM_ACCESS) !== 0) bits |= PTE_R;
    if ((flags & VM_EXEC) !== 0) bits |= PTE_X;
    if (writable && (flags & VM_WRITE) !== 0) bits |= PTE_W;
    return bits;
  }

  /** A copy for another range (split, fork, move) with its own references. */
  copy(space: AddressSpace, start: number, end: number, pageOffset: number): Vma {
    return new Vma(space, start, end, this.flags, this.source, this.file?.get() ?? null, pageOffset, this.name);
  }

  /** Gives up file and source. */
  drop(): void {
    this.source?.release?.();
    this.file?.put();
  }

  /** `next` begins where this ends and differs in nothing else. */
  mergesWith(next: Vma): boolean {
    return (
      this.end === next.start &&
      (this.flags | MERGE_IGNORES) === (next.flags | MERGE_IGNORES) &&
      this.source === next.source &&
      this.file === next.file &&
      this.name === next.name &&
      (this.source === null || this.pageOffset + this.pageCount === next.pageOffset) &&
      (this.flags & VM_SPECIAL) === 0
    );
  }
}
