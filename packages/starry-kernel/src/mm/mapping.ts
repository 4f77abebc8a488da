/**
 * Changing the list of mappings: map, unmap, protect, move, brk. Addresses and lengths are checked by the callers
 * (syscall/memory.ts, exec) to be page multiples below USER_TOP.
 *
 * Every operation first splits the mappings at its borders, works on whole mappings, and merges neighbours afterwards.
 */
import { EACCES, EEXIST, EFAULT, EINVAL, ENOMEM, RLIMIT_AS, RLIMIT_DATA } from "linux-abi";
import type { OpenFile } from "../file.ts";
import { type AddressSpace, USER_TOP } from "./address-space.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import type { PageSource } from "./page-source.ts";
import { PTE_ANON, PTE_R, PTE_V, PTE_W, PTE_X, pteFrame } from "./page-table.ts";
import { STACK_GUARD_GAP } from "./stack-growth.ts";
import {
  VM_ACCESS,
  VM_DENY_WRITE,
  VM_HAS_ANON,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_SPECIAL,
  VM_WRITE,
  Vma,
} from "./vma.ts";

/** vm.mmap_min_addr */
export const MMAP_MIN_ADDR = 65536;
/** vm.max_map_count */
export const MAX_MAP_COUNT = 65530;

export interface MapRequest {
  /** Wanted address, page aligned; 0: anywhere. */
  readonly address: number;
  /** Multiple of the page size. */
  readonly byteLength: number;
  /** VM_* */
  readonly flags: number;
  /** Replace whatever is there. */
  readonly fixed: boolean;
  /** With `fixed`: fail with -EEXIST instead of replacing. */
  readonly noReplace?: boolean;
  readonly source: PageSource | null;
  /** The caller's reference is taken over, also on failure. */
  readonly file: OpenFile | null;
  readonly pageOffset: number;
  readonly name?: string;
}

/** Adds a mapping; returns its address or -errno. */
export function mapRegion(space: AddressSpace, request: MapRequest): number {
  const address = tryMap(space, request);
  if (address < 0) request.file?.put();
  return address;
}

function tryMap(space: AddressSpace, request: MapRequest): number {
  const { byteLength, flags, source, file } = request;
  const start = chooseAddress(space, request);
  if (start < 0) return start;
  const end = start + byteLength;
  const pages = byteLength / PAGE_SIZE;
  if (space.vmas.all.length >= MAX_MAP_COUNT) return -ENOMEM;
  if (!withinLimits(space, pages, flags, request.fixed ? overlapPages(space, start, end) : 0)) return -ENOMEM;
  if (request.fixed) unmapRegion(space, start, end);
  const offset = source === null ? start / PAGE_SIZE : request.pageOffset;
  space.addVma(new Vma(space, start, end, flags, source, file, offset, request.name ?? ""));
  mergeAround(space, start, end);
  return start;
}

function chooseAddress(space: AddressSpace, request: MapRequest): number {
  const { address, byteLength, fixed } = request;
  if (byteLength > USER_TOP) return -ENOMEM;
  if (fixed) {
    if (address + byteLength > USER_TOP) return -ENOMEM;
    if (request.noReplace === true && space.vmas.overlaps(address, address + byteLength)) return -EEXIST;
    return address;
  }
  const hint = Math.max(address, MMAP_MIN_ADDR);
  if (address !== 0 && hint + byteLength <= USER_TOP && !space.vmas.overlaps(hint, hint + byteLength)) return hint;
  return findFree(space, byteLength);
}

/** A free range for mmap, or -ENOMEM. */
export function findFree(space: AddressSpace, byteLength: number): number {
  const below = space.vmas.findGapBelow(byteLength, MMAP_MIN_ADDR, space.mmapTop, STACK_GUARD_GAP);
  if (below >= 0) return below;
  const anywhere = space.vmas.findGapBelow(byteLength, MMAP_MIN_ADDR, USER_TOP, STACK_GUARD_GAP);
  return anywhere >= 0 ? anywhere : -ENOMEM;
}

function overlapPages(space: AddressSpace, start: number, end: number): number {
  let bytes = 0;
  for (let i = space.vmas.indexAfter(start); ; i++) {
    const vma = space.vmas.all[i];
    if (vma === undefined || vma.start >= end) return bytes / PAGE_SIZE;
    bytes += Math.min(vma.end, end) - Math.max(vma.start, start);
  }
}

function withinLimits(space: AddressSpace, pages: number, flags: number, replaced: number): boolean {
  const limits = space.limits.soft;
  if ((space.totalPages + pages - replaced) * PAGE_SIZE > (limits[RLIMIT_AS] as number)) return false;
  const accountable = (flags & (VM_WRITE | VM_SHARED | VM_NORESERVE)) === VM_WRITE;
  if (!accountable) return true;
  const dataLimit = limits[RLIMIT_DATA] as number;
  if (dataLimit !== Number.POSITIVE_INFINITY && (dataPages(space) + pages) * PAGE_SIZE > dataLimit) return false;
  return space.manager.mayCommit(pages);
}

/** Private writable pages (VmData). */
export function dataPages(space: AddressSpace): number {
  let pages = 0;
  for (const vma of space.vmas.all) if ((vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE) pages += vma.pageCount;
  return pages;
}

/** munmap: removes everything in [start, end). 0 or -ENOMEM when a split would exceed the number of mappings. */
export function unmapRegion(space: AddressSpace, start: number, end: number): number {
  if (!space.vmas.overlaps(start, end)) return 0;
  splitAt(space, start);
  splitAt(space, end);
  space.zap(start / PAGE_SIZE, end / PAGE_SIZE);
  const all = space.vmas.all;
  const first = space.vmas.indexAfter(start);
  let last = first;
  while (last < all.length && (all[last] as Vma).start < end) last++;
  const gone = all.slice(first, last);
  for (const vma of gone) space.removeVma(vma);
  return 0;
}

/** Makes `va` a border between mappings. */
export function splitAt(space: AddressSpace, va: number): void {
  const vma = space.vmas.find(va);
  if (vma === undefined || vma.start === va) return;
  const upper = vma.copy(space, va, vma.end, vma.pageIndex(va));
  vma.end = va;
  space.addVma(upper);
}

/** Joins equal neighbours from the mapping before `start` to the one after `end`. */
export function mergeAround(space: AddressSpace, start: number, end: number): void {
  const all = space.vmas.all;
  let index = Math.max(0, space.vmas.indexAfter(start - 1) - 1);
  while (index + 1 < all.length) {
    const vma = all[index] as Vma;
    const next = all[index + 1] as Vma;
    if (vma.start > end) return;
    if (vma.mergesWith(next)) {
      vma.flags |= next.flags & VM_HAS_ANON;
      const newEnd = next.end;
      space.removeVma(next);
      vma.end = newEnd;
    } else index++;
  }
}

/** Calls `change` for each whole mapping in [start, end) after splitting at the borders, then merges. -ENOMEM if there are holes. */
export function changeRegion(space: AddressSpace, start: number, end: number, change: (vma: Vma) => number): number {
  splitAt(space, start);
  splitAt(space, end);
  let expected = start;
  let result = 0;
  let index = space.vmas.indexAfter(start);
  for (;;) {
    const vma = space.vmas.all[index];
    if (vma === undefined || vma.start >= end) break;
    if (vma.start !== expected) result = -ENOMEM;
    expected = vma.end;
    const error = change(vma);
    if (error !== 0) {
      mergeAround(space, start, end);
      return error;
    }
    index++;
  }
  if (expected < end) result = -ENOMEM;
  mergeAround(space, start, end);
  return result;
}

/** mprotect: new access rights VM_READ | VM_WRITE | VM_EXEC. 0, -ENOMEM (holes), -EACCES. */
export function protectRegion(space: AddressSpace, start: number, end: number, access: number): number {
  if (overlapPages(space, start, end) * PAGE_SIZE < end - start) {
    // Linux changes the mappings before the first hole; programs only see ENOMEM.
    return -ENOMEM;
  }
  let changed = 0;
  const result = changeRegion(space, start, end, (vma) => {
    if ((access & VM_WRITE) !== 0 && (vma.flags & VM_DENY_WRITE) !== 0) return -EACCES;
    const old = vma.flags;
    vma.flags = (old & ~VM_ACCESS) | access;
    if (vma.flags !== old) changed += applyProtection(space, vma);
    return 0;
  });
  if (changed > 0) space.flushAll();
  return result;
}

/** Rewrites the entries of a mapping for its new rights; stores still fault first where the page is not the space's own. */
function applyProtection(space: AddressSpace, vma: Vma): number {
  const { table, frames } = space;
  const readable = vma.pteBits(false);
  const writable = vma.pteBits(true);
  const none = (vma.flags & VM_ACCESS) === 0;
  let changed = 0;
  table.forEach(vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (_vpn, slot) => {
    const pte = table.get(slot);
    const own = (pte & PTE_ANON) !== 0 && frames.refs(pteFrame(pte)) === 1;
    let bits = own || ((pte & PTE_W) !== 0 && vma.shared) ? writable : readable;
    if (none) bits &= ~(PTE_V | PTE_R | PTE_W | PTE_X);
    table.set(slot, (pte & ~0xff) | bits);
    changed++;
  });
  return changed;
}

/** Moves the pages of [from, from + byteLength) to `to`; the entries take their references along. false: out of memory. */
function movePages(space: AddressSpace, from: number, to: number, byteLength: number): boolean {
  const { table } = space;
  const shift = (to - from) / PAGE_SIZE;
  let complete = true;
  table.forEach(from / PAGE_SIZE, (from + byteLength) / PAGE_SIZE, (vpn, slot) => {
    const target = table.findOrCreate(vpn + shift);
    if (target < 0) {
      complete = false;
      return;
    }
    table.set(target, table.get(slot));
    table.set(slot, 0);
  });
  space.flushAll();
  return complete;
}

export interface RemapRequest {
  readonly oldStart: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly mayMove: boolean;
  /** Fixed new address, or −1. */
  readonly newAddress: number;
  /** Keep the old range mapped, empty. */
  readonly dontUnmap: boolean;
}

/** mremap(2) with lengths rounded up to pages. New address or -errno. */
export function remapRegion(space: AddressSpace, request: RemapRequest): number {
  const { oldStart, oldLength, newLength, newAddress } = request;
  const vma = space.vmas.find(oldStart);
  if (vma === undefined) return -EFAULT;
  if (oldLength === 0) return duplicateShared(space, vma, request);
  if (oldStart + oldLength > vma.end) return -EFAULT;
  if ((vma.flags & VM_SPECIAL) !== 0) return -EINVAL;
  if (newAddress < 0 && !request.dontUnmap) {
    if (newLength <= oldLength) {
      unmapRegion(space, oldStart + newLength, oldStart + oldLength);
      return oldStart;
    }
    if (extendInPlace(space, vma, oldStart, oldLength, newLength)) return oldStart;
    if (!request.mayMove) return -ENOMEM;
  }
  return moveRegion(space, vma, request);
}

function extendInPlace(space: AddressSpace, vma: Vma, oldStart: number, oldLength: number, newLength: number): boolean {
  const grow = newLength - oldLength;
  if (vma.end !== oldStart + oldLength || vma.end + grow > USER_TOP) return false;
  if (space.vmas.overlaps(vma.end, vma.end + grow)) return false;
  if (!withinLimits(space, grow / PAGE_SIZE, vma.flags, 0)) return false;
  const oldEnd = vma.end;
  vma.end += grow;
  mergeAround(space, vma.start, oldEnd + grow);
  return true;
}

/** mremap with old size 0: a second mapping of the same shared pages. */
function duplicateShared(space: AddressSpace, vma: Vma, request: RemapRequest): number {
  if (!vma.shared || !request.mayMove) return -EINVAL;
  return mapRegion(space, {
    address: Math.max(request.newAddress, 0),
    byteLength: request.newLength,
    flags: vma.flags,
    fixed: request.newAddress >= 0,
    source: vma.source,
    file: vma.file?.get() ?? null,
    pageOffset: vma.pageIndex(request.oldStart),
    name: vma.name,
  });
}

function moveRegion(space: AddressSpace, vma: Vma, request: RemapRequest): number {
  const { oldStart, oldLength, newLength, newAddress, dontUnmap } = request;
  if (dontUnmap && (vma.source !== null || newLength !== oldLength)) return -EINVAL;
  if (newAddress >= 0) {
    if (newAddress + newLength > USER_TOP) return -EINVAL;
    if (newAddress < oldStart + oldLength && oldStart < newAddress + newLength) return -EINVAL;
    unmapRegion(space, newAddress, newAddress + newLength);
  }
  if (newLength < oldLength) unmapRegion(space, oldStart + newLength, oldStart + oldLength);
  const moved = Math.min(oldLength, newLength);
  const to = newAddress >= 0 ? newAddress : findFree(space, newLength);
  if (to < 0) return to;
  if (!withinLimits(space, (newLength - (dontUnmap ? 0 : moved)) / PAGE_SIZE, vma.flags, 0)) return -ENOMEM;
  const current = space.vmas.find(oldStart) as Vma;
  const offset = current.source === null ? to / PAGE_SIZE : current.pageIndex(oldStart);
  const target = current.copy(space, to, to + newLength, offset);
  space.addVma(target);
  if (!movePages(space, oldStart, to, moved)) {
    movePages(space, to, oldStart, moved);
    space.removeVma(target);
    return -ENOMEM;
  }
  if (!dontUnmap) unmapRegion(space, oldStart, oldStart + moved);
  mergeAround(space, to, to + newLength);
  return to;
}

/** brk(2): the new break, or the old one if it cannot be. */
export function setBreak(space: AddressSpace, wanted: number): number {
  if (wanted < space.brkStart || wanted >= USER_TOP) return space.brk;
  const oldEnd = Math.ceil(space.brk / PAGE_SIZE) * PAGE_SIZE;
  const newEnd = Math.ceil(wanted / PAGE_SIZE) * PAGE_SIZE;
  if (newEnd < oldEnd) unmapRegion(space, newEnd, oldEnd);
  if (newEnd > oldEnd) {
    if (wanted - space.brkStart > (space.limits.soft[RLIMIT_DATA] as number)) return space.brk;
    if (space.vmas.overlaps(oldEnd, newEnd + PAGE_SIZE)) return space.brk;
    const heap = mapRegion(space, {
      address: oldEnd,
      byteLength: newEnd - oldEnd,
      flags: VM_READ | VM_WRITE,
      fixed: true,
      source: null,
      file: null,
      pageOffset: 0,
      name: "[heap]",
    });
    if (heap < 0) return space.brk;
  }
  space.brk = wanted;
  return wanted;
}
