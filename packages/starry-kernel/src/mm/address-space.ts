/**
 * A program's memory: its mappings (VMAs) and the Sv39 page table that the hart walks (Linux: mm_struct).
 *
 * Pages come in on first use (`fault`): zero pages, pages of a file or shared object, private copies on the first store.
 *
 * Invariants:
 *  - a page table entry that is not 0 lies inside a VMA and holds one reference to its frame;
 *  - an entry without PTE_V but with a frame belongs to a PROT_NONE mapping that keeps its contents;
 *  - PTE_W is set only on frames that this space may store into as they are: its own (PTE_ANON, one reference) or
 *    pages of a shared mapping whose source was asked for writing;
 *  - the hart's TLB and the software cache never hold more rights than the entry (`setPte` flushes both).
 */
import { EFAULT } from "linux-abi";
import type { ResourceLimits } from "../task/limits.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import type { MemoryManager } from "./memory-manager.ts";
import type { PageSource } from "./page-source.ts";
import { PTE_ANON, PTE_V, PTE_W, PageTable, pteFrame, TABLE_PAGES } from "./page-table.ts";
import { USER_TOP, UserAccess } from "./user-access.ts";
import { growStack } from "./stack-growth.ts";
import { VM_ACCESS, VM_DONTFORK, VM_HAS_ANON, VM_READ, VM_SHARED, VM_WIPEONFORK, VM_WRITE, type Vma } from "./vma.ts";
import { VmaList } from "./vma-list.ts";

export { USER_TOP } from "./user-access.ts";

// Results of `fault`.
export const FAULT_OK = 0;
/** No mapping there: SIGSEGV, SEGV_MAPERR. */
export const FAULT_MAPERR = 1;
/** A mapping that does not allow it: SIGSEGV, SEGV_ACCERR. */
export const FAULT_ACCERR = 2;
/** Beyond the end of the file, or an I/O error: SIGBUS, BUS_ADRERR. */
export const FAULT_BUS = 3;
/** No memory; somebody has been chosen to die. */
export const FAULT_OOM = 4;

/** Pages mapped with one fault: of a file around a read, if they are in memory anyway, and behind memory that is used in order. */
const FAULT_AROUND = 16;

export class AddressSpace extends UserAccess {
  readonly manager: MemoryManager;
  readonly vmas: VmaList = new VmaList();
  /** Unique among all address spaces so far: part of private futex keys. */
  readonly id: number;
  /** Tasks that run in it. */
  count = 1;
  /** Of the process that made it (execve, fork). */
  limits: ResourceLimits;
  asid = 0;
  asidGeneration = 0;

  // Layout, set by execve.
  /** mmap searches downwards from here. */
  mmapTop: number = USER_TOP;
  brkStart = 0;
  brk = 0;
  stackTop = 0;
  codeStart = 0;
  codeEnd = 0;
  dataStart = 0;
  dataEnd = 0;
  argStart = 0;
  argEnd = 0;
  envStart = 0;
  envEnd = 0;
  /** Address of the vDSO's ELF image, 0 if none. */
  vdso = 0;
  /** Where signal handlers return to: in the vDSO. */
  signalReturn = 0;
  /** As /proc/PID/auxv shows it. */
  auxv: Uint8Array = new Uint8Array(0);

  // Pages mapped.
  anonPages = 0;
  filePages = 0;
  sharedPages = 0;
  peakPages = 0;
  lockedPages = 0;
  /** mlockall(MCL_FUTURE) */
  lockFuture = false;

  private constructor(manager: MemoryManager, table: PageTable, limits: ResourceLimits) {
    super(manager.frames, table);
    this.manager = manager;
    this.limits = limits;
    this.id = manager.nextSpaceId();
  }

  /** An empty address space, or undefined when memory is exhausted. */
  static create(manager: MemoryManager, limits: ResourceLimits): AddressSpace | undefined {
    let table = PageTable.create(manager.frames);
    if (table === undefined && manager.reclaim(16)) table = PageTable.create(manager.frames);
    return table === undefined ? undefined : new AddressSpace(manager, table, limits);
  }

  /** Pages in memory (RSS). */
  get residentPages(): number {
    return this.anonPages + this.filePages + this.sharedPages;
  }

  /** Pages of all mappings (VmSize). */
  get totalPages(): number {
    let pages = 0;
    for (const vma of this.vmas.all) pages += vma.pageCount;
    return pages;
  }

  stored(index: number, byteLength: number): void {
    this.manager.cpu.invalidateCode(this.frames.firstFrame * PAGE_SIZE + index, byteLength);
  }

  addVma(vma: Vma): void {
    this.vmas.insert(vma);
    if (vma.source !== null) this.manager.reverseMap.add(vma.source, vma);
  }

  /** Takes the mapping out of the list; its pages must be gone or owned by a successor. */
  removeVma(vma: Vma): void {
    this.vmas.remove(vma);
    this.forgetVma(vma);
  }

  forgetVma(vma: Vma): void {
    if (vma.source !== null) this.manager.reverseMap.remove(vma.source, vma);
    vma.drop();
  }

  /** Changes a page table entry and drops what is cached of it. Does not touch references. */
  setPte(vpn: number, slot: number, pte: number): void {
    const old = this.table.get(slot);
    this.table.set(slot, pte);
    if ((old & PTE_V) === 0) return;
    this.forget(vpn);
    this.manager.cpu.flushTlb(vpn * PAGE_SIZE, this.asid);
  }

  flushAll(): void {
    this.forgetAll();
    this.manager.cpu.flushTlb(undefined, this.asid);
  }

  fault(va: number, access: number): number {
    const vma = this.vmas.find(va) ?? growStack(this, va);
    if (vma === undefined) return FAULT_MAPERR;
    // Any accessible page is readable: Sv39 has no write-only pages, and pteBits grants R with X.
    const allowed = (vma.flags & access) !== 0 || (access === VM_READ && (vma.flags & VM_ACCESS) !== 0);
    if (!allowed) return FAULT_ACCERR;
    const vpn = Math.floor(va / PAGE_SIZE);
    const slot = this.#slot(vpn);
    if (slot < 0) return FAULT_OOM;
    const pte = this.table.get(slot);
    const write = access === VM_WRITE;
    this.manager.faults++;
    if ((pte & PTE_V) !== 0) {
      if (write && (pte & PTE_W) === 0) return this.#storeToReadOnly(vma, vpn, slot, pte);
      this.manager.cpu.flushTlb(va, this.asid); // the hart knew an older entry
      return FAULT_OK;
    }
    if (vma.source === null) return this.#zeroPage(vma, vpn, slot, write);
    return this.#sourcePage(vma, vma.source, vpn, slot, write);
  }

  #slot(vpn: number): number {
    for (let round = 0; round < 4; round++) {
      const slot = this.table.findOrCreate(vpn);
      if (slot >= 0) return slot;
      if (!this.manager.reclaim(16) && !this.manager.outOfMemory()) break;
    }
    return -1;
  }

  #zeroPage(vma: Vma, vpn: number, slot: number, write: boolean): number {
    if (!write) {
      this.frames.get(this.manager.zeroFrame);
      this.setPte(vpn, slot, (this.manager.zeroFrame << 10) | vma.pteBits(false));
      return FAULT_OK;
    }
    const frame = this.manager.allocFrame(true, this.#besideNeighbours(slot));
    if (frame < 0) return FAULT_OOM;
    this.#installAnon(vma, vpn, slot, frame);
    this.#zeroAhead(vma, vpn, slot, frame);
    return FAULT_OK;
  }

  /** Memory that is used page after page: as many pages behind this one as there are in front of it, if their frames are free. */
  #zeroAhead(vma: Vma, vpn: number, slot: number, frame: number): void {
    const { table, frames } = this;
    const page = vpn % TABLE_PAGES;
    const most = Math.min(FAULT_AROUND, page, TABLE_PAGES - 1 - page, vma.end / PAGE_SIZE - 1 - vpn);
    for (let n = 1; n <= most; n++) {
      if ((table.get(slot - 2 * n) & PTE_ANON) === 0 || table.get(slot + 2 * n) !== 0) return;
      if (!frames.isAvailable(frame + n)) return;
      this.#installAnon(vma, vpn + n, slot + 2 * n, frames.alloc(true, frame + n));
    }
  }

  /**
   * The frame that makes the page at `slot` a neighbour in RAM, too, of the one in front of it or behind it, or −1: the hart walks
   * over neighbours without looking their pages up.
   */
  #besideNeighbours(slot: number): number {
    const page = (slot >>> 1) % TABLE_PAGES;
    const before = page > 0 ? this.table.get(slot - 2) : 0;
    if ((before & PTE_ANON) !== 0) return pteFrame(before) + 1;
    const behind = page < TABLE_PAGES - 1 ? this.table.get(slot + 2) : 0;
    return (behind & PTE_ANON) !== 0 ? pteFrame(behind) - 1 : -1;
  }

  #installAnon(vma: Vma, vpn: number, slot: number, frame: number): void {
    vma.flags |= VM_HAS_ANON;
    this.setPte(vpn, slot, (frame << 10) | PTE_ANON | vma.pteBits(true));
    this.anonPages++;
    this.#notePeak();
  }

  #sourcePage(vma: Vma, source: PageSource, vpn: number, slot: number, write: boolean): number {
    const index = vpn - vma.start / PAGE_SIZE + vma.pageOffset;
    const shared = (vma.flags & VM_SHARED) !== 0;
    const frame = source.page(index, write && shared);
    if (frame < 0) return this.#sourceFailure(frame);
    if (write && !shared) return this.#privateCopy(vma, vpn, slot, frame);
    this.setPte(vpn, slot, (frame << 10) | vma.pteBits(write));
    this.#countSourcePage(vma, 1);
    this.#notePeak();
    if (!write) this.#mapNeighbours(vma, source, vpn);
    return FAULT_OK;
  }

  #sourceFailure(error: number): number {
    return error === -EFAULT || !this.manager.outOfMemory() ? FAULT_BUS : FAULT_OOM;
  }

  /** Replaces a page of the source, whose reference is given up, by a copy of its own. */
  #privateCopy(vma: Vma, vpn: number, slot: number, from: number): number {
    const frame = this.manager.allocFrame(false, this.#besideNeighbours(slot));
    if (frame < 0) {
      this.frames.put(from);
      return FAULT_OOM;
    }
    this.frames.copy(from, frame);
    this.frames.put(from);
    this.#installAnon(vma, vpn, slot, frame);
    return FAULT_OK;
  }

  #storeToReadOnly(vma: Vma, vpn: number, slot: number, pte: number): number {
    const frame = pteFrame(pte);
    if ((vma.flags & VM_SHARED) !== 0 && vma.source !== null) {
      const index = vpn - vma.start / PAGE_SIZE + vma.pageOffset;
      const again = vma.source.page(index, true);
      if (again < 0) return this.#sourceFailure(again);
      this.setPte(vpn, slot, (again << 10) | vma.pteBits(true));
      this.frames.put(frame);
      return FAULT_OK;
    }
    if ((pte & PTE_ANON) !== 0 && this.frames.refs(frame) === 1) {
      this.setPte(vpn, slot, pte | vma.pteBits(true));
      return FAULT_OK;
    }
    if (frame === this.manager.zeroFrame) {
      const fresh = this.manager.allocFrame(true, this.#besideNeighbours(slot));
      if (fresh < 0) return FAULT_OOM;
      this.frames.put(frame);
      this.#installAnon(vma, vpn, slot, fresh);
      return FAULT_OK;
    }
    return this.#copyShared(vma, vpn, slot, pte, frame);
  }

  #copyShared(vma: Vma, vpn: number, slot: number, pte: number, frame: number): number {
    const copy = this.manager.allocFrame(false, this.#besideNeighbours(slot));
    if (copy < 0) return FAULT_OOM;
    this.frames.copy(frame, copy);
    this.#uncount(vma, pte);
    this.#installAnon(vma, vpn, slot, copy);
    this.frames.put(frame);
    return FAULT_OK;
  }

  /** Pages next to a read fault that the source has at hand: saves the faults they would cause. */
  #mapNeighbours(vma: Vma, source: PageSource, vpn: number): void {
    if (source.peek === undefined) return;
    const firstVpn = vma.start / PAGE_SIZE;
    const from = Math.max(vpn & ~(FAULT_AROUND - 1), firstVpn);
    const to = Math.min((vpn | (FAULT_AROUND - 1)) + 1, vma.end / PAGE_SIZE);
    let slot = this.table.find(from); // the window lies within one table
    for (let page = from; page < to; page++, slot += 2) {
      if (this.table.get(slot) !== 0) continue;
      const frame = source.peek(page - firstVpn + vma.pageOffset);
      if (frame < 0) continue;
      this.table.set(slot, (frame << 10) | vma.pteBits(false));
      this.#countSourcePage(vma, 1);
    }
  }

  #countSourcePage(vma: Vma, by: number): void {
    if (vma.file !== null) this.filePages += by;
    else this.sharedPages += by;
  }

  #uncount(vma: Vma, pte: number): void {
    if ((pte & PTE_ANON) !== 0) this.anonPages--;
    else if (pteFrame(pte) !== this.manager.zeroFrame) this.#countSourcePage(vma, -1);
  }

  #notePeak(): void {
    const resident = this.residentPages;
    if (resident > this.peakPages) this.peakPages = resident;
  }

  /** Removes the pages [from, to) (page numbers) from the table and drops their frames. The mappings stay. */
  zap(from: number, to: number, privateCopies = true): void {
    const frames: number[] = [];
    this.table.forEach(from, to, (vpn, slot) => {
      const pte = this.table.get(slot);
      if (!privateCopies && (pte & PTE_ANON) !== 0) return;
      const vma = this.vmas.find(vpn * PAGE_SIZE);
      if (vma !== undefined) this.#uncount(vma, pte);
      this.table.set(slot, 0);
      this.forget(vpn);
      if (frames.push(pteFrame(pte)) <= 16) this.manager.cpu.flushTlb(vpn * PAGE_SIZE, this.asid);
    });
    if (frames.length > 16) this.flushAll();
    // The first one on top: who gets that finds the next one free.
    for (const frame of frames.reverse()) this.frames.put(frame);
  }

  /** fork(2): the same mappings; private pages are shared until one side stores into them. undefined: out of memory. */
  fork(limits: ResourceLimits): AddressSpace | undefined {
    const child = AddressSpace.create(this.manager, limits);
    if (child === undefined) return undefined;
    child.copyLayout(this);
    for (const vma of this.vmas.all) {
      if ((vma.flags & VM_DONTFORK) !== 0) continue;
      const copy = vma.copy(child, vma.start, vma.end, vma.pageOffset);
      child.addVma(copy);
      if ((vma.flags & VM_WIPEONFORK) !== 0 || (vma.flags & VM_SHARED) !== 0) continue;
      if (vma.source !== null && (vma.flags & VM_HAS_ANON) === 0) continue;
      if (!this.#sharePages(vma, child)) {
        this.flushAll();
        child.release();
        return undefined;
      }
    }
    this.flushAll();
    return child;
  }

  #sharePages(vma: Vma, child: AddressSpace): boolean {
    const { table, frames } = this;
    let complete = true;
    let childSlot = -1;
    let childTable = -1;
    table.forEach(vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (vpn, slot) => {
      if (!complete) return;
      if (vpn >>> 9 !== childTable) {
        childSlot = child.#slot(vpn);
        childTable = vpn >>> 9;
        if (childSlot < 0) {
          complete = false;
          return;
        }
        childSlot -= (vpn & 511) << 1;
      }
      const pte = table.get(slot) & ~PTE_W;
      table.set(slot, pte);
      frames.get(pteFrame(pte));
      child.table.set(childSlot + ((vpn & 511) << 1), pte);
      if ((pte & PTE_ANON) !== 0) child.anonPages++;
      else if (pteFrame(pte) !== this.manager.zeroFrame) child.#countSourcePage(vma, 1);
    });
    return complete;
  }

  copyLayout(from: AddressSpace): void {
    this.mmapTop = from.mmapTop;
    this.brkStart = from.brkStart;
    this.brk = from.brk;
    this.stackTop = from.stackTop;
    this.codeStart = from.codeStart;
    this.codeEnd = from.codeEnd;
    this.dataStart = from.dataStart;
    this.dataEnd = from.dataEnd;
    this.argStart = from.argStart;
    this.argEnd = from.argEnd;
    this.envStart = from.envStart;
    this.envEnd = from.envEnd;
    this.vdso = from.vdso;
    this.signalReturn = from.signalReturn;
    this.auxv = from.auxv;
  }

  get(): this {
    this.count++;
    return this;
  }

  /** A task leaves; the last one frees everything. */
  put(): void {
    if (--this.count === 0) this.release();
  }

  /** Frees all pages and mappings; the tables too. */
  release(): void {
    this.releasePages();
    for (const vma of this.vmas.all) this.forgetVma(vma);
    this.vmas.clear();
    this.manager.deactivate(this);
    this.table.release();
  }

  /** Frees all pages; the mappings stay. Also what the OOM killer does to its victim. */
  releasePages(): void {
    const { table, frames } = this;
    for (const vma of this.vmas.all) {
      table.forEach(vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (_vpn, slot) => {
        const pte = table.get(slot);
        table.set(slot, 0);
        frames.put(pteFrame(pte));
      });
    }
    this.anonPages = 0;
    this.filePages = 0;
    this.sharedPages = 0;
    this.flushAll();
  }
}
