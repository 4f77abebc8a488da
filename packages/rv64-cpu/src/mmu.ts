/**
 * Sv39 translation and the slow path of memory accesses: page walk, TLB fill, accesses that cross a page, stores to
 * code, and physical addresses outside RAM.
 *
 * The TLBs are in the hart's memory (`state.ts`), where compiled code looks them up; this class only fills and empties
 * them. Addresses come as int32 halves, so that nothing is allocated.
 *
 * Source: RISC-V Volume II (20240411), 11.3-11.4 (Sv32 walk, Sv39), 3.1.6.3 (MPRV, MXR, SUM).
 */
import type { CodeCache } from "./code-cache.ts";
import {
  CAUSE_FETCH_ACCESS,
  CAUSE_FETCH_PAGE_FAULT,
  CAUSE_LOAD_ACCESS,
  CAUSE_LOAD_MISALIGNED,
  CAUSE_LOAD_PAGE_FAULT,
  CAUSE_STORE_ACCESS,
  CAUSE_STORE_MISALIGNED,
  CAUSE_STORE_PAGE_FAULT,
} from "./isa/causes.ts";
import { MEM_ATOMIC, MEM_RESERVE, MEM_SIGNED, MEM_SIZE } from "./isa/ir.ts";
import type { Pmp } from "./pmp.ts";
import type { HartRam } from "./ram.ts";
import {
  STATE_EPOCH,
  STATE_RESULT,
  STATE_RUNS_EPOCH,
  STATE_TLB,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  STATE_WALK_READ_CARE,
  STATE_WALK_READ_VALUE,
  STATE_WALK_ROOT,
  STATE_WALK_WRITE_CARE,
  STATE_WALK_WRITE_VALUE,
  TLB_BANK_BYTES,
  TLB_BANKS,
  TLB_BASE,
  TLB_ENTRIES,
  TLB_EXEC,
  TLB_READ,
  TLB_WRITE,
} from "./state.ts";

// Page table entry (Volume II, 11.4.1).
export const PTE_V: number = 1 << 0;
export const PTE_R: number = 1 << 1;
export const PTE_W: number = 1 << 2;
export const PTE_X: number = 1 << 3;
export const PTE_U: number = 1 << 4;
export const PTE_G: number = 1 << 5;
export const PTE_A: number = 1 << 6;
export const PTE_D: number = 1 << 7;

export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_FETCH = 2;

const PAGE_FAULT = [CAUSE_LOAD_PAGE_FAULT, CAUSE_STORE_PAGE_FAULT, CAUSE_FETCH_PAGE_FAULT];
const ACCESS_FAULT = [CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS];

/** Results of {@link Mmu.translate} that are not memory offsets. */
const FAULT = -1;
const DEVICE = -2;

/** Of {@link Mmu.neighbours}. */
const MAX_NEIGHBOURS = 1024;

/** What answers at physical addresses outside RAM. */
export interface DeviceBus {
  /** Reads 1, 2 or 4 bytes; the value as an unsigned or signed 32-bit integer. undefined: nobody is there. */
  read(paddr: number, byteLength: 1 | 2 | 4): number | undefined;
  /** Writes 1, 2 or 4 bytes. False: nobody is there. */
  write(paddr: number, byteLength: 1 | 2 | 4, value: number): boolean;
}

export class Mmu {
  readonly #ram: HartRam;
  readonly #code: CodeCache;
  readonly #bus: DeviceBus | null;
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #view: DataView;
  /** Physical page number of the root table, or -1 for bare (no translation). */
  #root = -1;
  /** The access rights of the current bank: user mode; S-mode reads of user pages; reads of executable pages. */
  #user = true;
  #sum = false;
  #mxr = false;
  /** Data is translated, code is not (MPRV). */
  #fetchBare = false;
  /** True once a superpage was cached, whose entries lie anywhere in the TLB. */
  #superpages = false;
  /** Physical memory protection; null: everything is allowed. Flush after a change. */
  pmp: Pmp | null = null;
  /** Effective privilege of loads and stores, and of fetches, for `pmp`. Set before select(). */
  dataPrivilege = 0;
  fetchPrivilege = 0;
  /** Translations that the TLB (and the page walk in wasm) left to this class, and flushes. */
  misses = 0;
  flushes = 0;
  /** Levels of the page table: 3 for Sv39, 4 for Sv48. */
  levels = 3;
  /** Svadu: the hart sets A and D itself; otherwise it faults (Svade). */
  hardwareAd = true;
  /** The epoch of each bank: a new one after every flush. */
  readonly #bankEpochs = new Int32Array(TLB_BANKS);
  #epoch = 0;
  #bank = 0;
  /** What each bank holds: a key made by the caller. */
  readonly #bankKeys: number[] = new Array<number>(TLB_BANKS).fill(-1);
  /** Physical address of the last DEVICE translation. */
  #devicePaddr = 0;

  constructor(ram: HartRam, code: CodeCache, bus: DeviceBus | null) {
    this.#ram = ram;
    this.#code = code;
    this.#bus = bus;
    const { buffer } = ram.memory;
    this.#i32 = new Int32Array(buffer);
    this.#u8 = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.flushAll();
    this.#i32[STATE_TLB >> 2] = TLB_BASE;
  }

  /**
   * Selects the translation: root page number (-1 for bare), and the rights. `bank` is where its entries are cached;
   * the bank is emptied if it held another `key`.
   */
  select(bank: number, key: number, root: number, user: boolean, sum: boolean, mxr: boolean): void {
    this.#root = root;
    this.#fetchBare = false;
    this.#user = user;
    this.#sum = sum;
    this.#mxr = mxr;
    this.#bank = bank;
    this.#i32[STATE_TLB >> 2] = TLB_BASE + bank * TLB_BANK_BYTES;
    if (this.#bankKeys[bank] !== key) {
      this.#bankKeys[bank] = key;
      this.#flushBank(bank);
    }
    this.#i32[STATE_EPOCH >> 2] = this.#bankEpochs[bank];
    this.#i32[STATE_RUNS_EPOCH >> 2]++;
    this.#prepareWalk();
  }

  /** What the page walk in wasm needs to know; it leaves to the host what is not plain Sv39. */
  #prepareWalk(): void {
    const { base, size, offset } = this.#ram;
    const i32 = this.#i32;
    const root = this.#root * 4096 - base;
    const isPlain = this.levels === 3 && (this.pmp === null || this.pmp.isOpen(base, base + size));
    i32[STATE_WALK_ROOT >> 2] = this.#root >= 0 && isPlain && root >= 0 && root < size ? offset + root : 0;
    const read = PTE_V | PTE_R | PTE_A | (this.#user ? PTE_U : 0);
    const care = this.#user || !this.#sum ? PTE_U : 0;
    i32[STATE_WALK_READ_CARE >> 2] = read | care;
    i32[STATE_WALK_READ_VALUE >> 2] = read;
    i32[STATE_WALK_WRITE_CARE >> 2] = read | care | PTE_W | PTE_D;
    i32[STATE_WALK_WRITE_VALUE >> 2] = read | PTE_W | PTE_D;
  }

  /** Gives every bank a new epoch: what was checked about any mapping must be checked again. */
  newEpochs(): void {
    this.flushes++;
    for (let bank = 0; bank < TLB_BANKS; bank++) this.#bankEpochs[bank] = this.#nextEpoch();
    this.#i32[STATE_EPOCH >> 2] = this.#bankEpochs[this.#bank];
    this.#i32[STATE_RUNS_EPOCH >> 2]++;
  }
  #nextEpoch(): number {
    this.#epoch = (this.#epoch + 1) | 0;
    if (this.#epoch === 0) this.#epoch = 1; // 0 means: no check needed
    return this.#epoch;
  }

  /** RAM frame that code at this virtual address is fetched from, or -1. Leaves no trap behind. */
  codeFrame(vaLo: number, vaHi: number): number {
    const cause = this.#i32[STATE_TRAP_CAUSE >> 2];
    const lo = this.#i32[STATE_TRAP_VALUE >> 2];
    const hi = this.#i32[(STATE_TRAP_VALUE >> 2) + 1];
    const host = this.translate(vaLo, vaHi, ACCESS_FETCH);
    this.#trap(cause, lo, hi);
    return host < 0 ? -1 : Math.floor((host - this.#ram.offset) / 4096);
  }

  /**
   * How many pages behind a mapped one, or in front of it if `step` is -1, have the neighbouring frames, and may be read or written
   * without any change of the page table: 0 to MAX_NEIGHBOURS. Plain Sv39 only, otherwise 0.
   */
  neighbours(vaLo: number, vaHi: number, writes: boolean, step: 1 | -1): number {
    const i32 = this.#i32;
    const care = i32[(writes ? STATE_WALK_WRITE_CARE : STATE_WALK_READ_CARE) >> 2];
    const value = i32[(writes ? STATE_WALK_WRITE_VALUE : STATE_WALK_READ_VALUE) >> 2];
    const page = vaHi * 0x10_0000 + (vaLo >>> 12);
    let at = this.#leafEntry(page);
    if (at < 0) return 0;
    const high = i32[at + 1];
    let ppn = i32[at] >>> 10;
    let frame = ppn + (high & 0x3f_ffff) * 0x40_0000 - this.#ram.base / 4096;
    for (let n = 0; n < MAX_NEIGHBOURS; n++) {
      const next = page + (n + 1) * step;
      at = (next & 511) === (step > 0 ? 0 : 511) ? this.#leafEntry(next) : at + 2 * step;
      ppn += step;
      frame += step;
      if (at < 0 || (i32[at] & care) !== value || i32[at] >>> 10 !== ppn || i32[at + 1] !== high) return n;
      if (frame < 0 || frame >= this.#ram.size / 4096 || (writes && this.#code.hasCode(frame))) return n;
    }
    return MAX_NEIGHBOURS;
  }

  /** Index of a page's entry in its table of the lowest level, if it is there by plain Sv39, or -1. */
  #leafEntry(page: number): number {
    const { base, size, offset } = this.#ram;
    const i32 = this.#i32;
    let table = i32[STATE_WALK_ROOT >> 2];
    const sign = page >> 26;
    if (table === 0 || (sign !== 0 && sign !== -1)) return -1;
    for (const shift of [18, 9]) {
      const at = (table >> 2) + ((page >> shift) & 511) * 2;
      const inRam = ((i32[at] >>> 10) + (i32[at + 1] & 0x3f_ffff) * 0x40_0000) * 4096 - base;
      if ((i32[at] & (PTE_V | PTE_R | PTE_W | PTE_X)) !== PTE_V || inRam < 0 || inRam >= size) return -1;
      table = offset + inRam;
    }
    return (table >> 2) + (page & 511) * 2;
  }

  /** Until the next select(), code is fetched untranslated. */
  fetchBare(): void {
    this.#fetchBare = true;
  }

  flushAll(): void {
    this.#superpages = false;
    this.newEpochs();
    this.#i32.fill(-1, TLB_BASE >> 2, (TLB_BASE + TLB_BANKS * TLB_BANK_BYTES) >> 2);
  }

  #flushBank(bank: number): void {
    this.#bankEpochs[bank] = this.#nextEpoch();
    const start = TLB_BASE + bank * TLB_BANK_BYTES;
    this.#i32.fill(-1, start >> 2, (start + TLB_BANK_BYTES) >> 2);
  }

  /** Empties the entries for one page, in every bank. */
  flushPage(vaLo: number): void {
    if (this.#superpages) return this.flushAll();
    this.newEpochs();
    for (let bank = 0; bank < TLB_BANKS; bank++) {
      const entry = (TLB_BASE + bank * TLB_BANK_BYTES + ((vaLo >>> 8) & ((TLB_ENTRIES - 1) << 4))) >> 2;
      for (let array = 0; array < 3; array++) {
        const at = entry + ((array * TLB_WRITE) >> 2);
        this.#i32[at] = -1;
        this.#i32[at + 1] = -1;
      }
    }
  }

  #trap(cause: number, vaLo: number, vaHi: number): number {
    this.#i32[STATE_TRAP_CAUSE >> 2] = cause;
    this.#i32[STATE_TRAP_VALUE >> 2] = vaLo;
    this.#i32[(STATE_TRAP_VALUE >> 2) + 1] = vaHi;
    return FAULT;
  }

  /** Memory offset of a virtual address, FAULT (trap set) or DEVICE. Fills the TLB for RAM. */
  translate(vaLo: number, vaHi: number, access: number): number {
    const { base, size, offset } = this.#ram;
    this.misses++;
    let paddr: number;
    if (this.#root < 0 || (this.#fetchBare && access === ACCESS_FETCH)) {
      paddr = (vaHi >>> 0) * 0x1_0000_0000 + (vaLo >>> 0);
    } else {
      paddr = this.#walk(vaLo, vaHi, access);
      if (paddr < 0) return FAULT;
    }
    if (this.pmp !== null) {
      const privilege = access === ACCESS_FETCH ? this.fetchPrivilege : this.dataPrivilege;
      if (!this.pmp.allows(paddr, access, privilege)) return this.#trap(ACCESS_FAULT[access], vaLo, vaHi);
    }
    const inRam = paddr - base;
    if (inRam < 0 || inRam >= size) {
      if (this.#bus === null || access === ACCESS_FETCH) return this.#trap(ACCESS_FAULT[access], vaLo, vaHi);
      this.#devicePaddr = paddr;
      return DEVICE;
    }
    const host = offset + inRam;
    const page = host - (vaLo & 0xfff);
    if (access === ACCESS_FETCH) {
      this.#fill(TLB_EXEC, vaLo, vaHi, this.#code.pageFor((page - offset) / 4096), page);
    } else if (access === ACCESS_READ || !this.#code.hasCode((page - offset) / 4096)) {
      this.#fill(access === ACCESS_READ ? TLB_READ : TLB_WRITE, vaLo, vaHi, page - (vaLo & ~0xfff), page);
    }
    return host;
  }

  #fill(array: number, vaLo: number, vaHi: number, value: number, page: number): void {
    const i32 = this.#i32;
    const entry = (i32[STATE_TLB >> 2] + array + ((vaLo >>> 8) & ((TLB_ENTRIES - 1) << 4))) >> 2;
    i32[entry] = vaLo & ~0xfff;
    i32[entry + 1] = vaHi;
    i32[entry + 2] = value;
    i32[entry + 3] = page;
  }

  /** Physical address by Sv39, or FAULT with the trap set. */
  #walk(vaLo: number, vaHi: number, access: number): number {
    // Volume II 11.4: bits 63:39 must equal bit 38; 11.5: 63:48 and bit 47.
    const extension = vaHi >> (this.levels === 4 ? 15 : 6);
    if (extension !== 0 && extension !== -1) return this.#trap(PAGE_FAULT[access], vaLo, vaHi);
    const { base, size, offset } = this.#ram;
    const i32 = this.#i32;
    let table = this.#root * 4096;
    for (let level = this.levels - 1; level >= 0; level--) {
      const vpn =
        level === 3
          ? (vaHi >>> 7) & 511
          : level === 2
            ? ((vaHi & 0x7f) << 2) | (vaLo >>> 30)
            : level === 1
              ? (vaLo >>> 21) & 511
              : (vaLo >>> 12) & 511;
      const address = table + vpn * 8 - base;
      if (address < 0 || address >= size || !this.#mayWalk(table, ACCESS_READ))
        return this.#trap(ACCESS_FAULT[access], vaLo, vaHi);
      const at = (offset + address) >>> 2;
      const lo = i32[at];
      const hi = i32[at + 1];
      // V clear, W without R, or reserved high bits (no Svnapot, no Svpbmt).
      if ((lo & PTE_V) === 0 || (lo & (PTE_R | PTE_W)) === PTE_W || hi >>> 22 !== 0) break;
      const ppn = (lo >>> 10) + (hi & 0x3f_ffff) * 0x40_0000;
      if ((lo & (PTE_R | PTE_X)) === 0) {
        if ((lo & (PTE_A | PTE_D | PTE_U)) !== 0) break; // reserved in a pointer
        table = ppn * 4096;
        continue;
      }
      const span = level === 3 ? 0x7ff_ffff : level === 2 ? 0x3ffff : level === 1 ? 0x1ff : 0;
      if ((ppn & span) !== 0) break; // misaligned superpage
      if (!this.#allowed(lo, access)) break;
      if (level > 0) this.#superpages = true;
      const want = access === ACCESS_WRITE ? lo | PTE_A | PTE_D : lo | PTE_A;
      if (want !== lo) {
        if (!this.hardwareAd) break;
        if (!this.#mayWalk(table, ACCESS_WRITE)) return this.#trap(ACCESS_FAULT[access], vaLo, vaHi);
        i32[at] = want;
      }
      // A clean page must take the slow path at its first write, so only a write fills the WRITE TLB.
      return (ppn + (((vaLo >>> 12) | (vaHi << 20)) & span)) * 4096 + (vaLo & 0xfff);
    }
    return this.#trap(PAGE_FAULT[access], vaLo, vaHi);
  }

  /** Accesses to page tables count as supervisor mode's (Volume II, 3.7.1). */
  #mayWalk(table: number, access: number): boolean {
    return this.pmp === null || this.pmp.allows(table, access, 1);
  }

  #allowed(pte: number, access: number): boolean {
    if ((pte & PTE_U) !== 0) {
      if (!this.#user && (!this.#sum || access === ACCESS_FETCH)) return false;
    } else if (this.#user) return false;
    if (access === ACCESS_FETCH) return (pte & PTE_X) !== 0;
    if (access === ACCESS_WRITE) return (pte & PTE_W) !== 0;
    return (pte & PTE_R) !== 0 || (this.#mxr && (pte & PTE_X) !== 0);
  }

  /** The wasm import: a load that missed the TLB. */
  load(vaLo: number, vaHi: number, mode: number): number {
    const byteLength = 1 << (mode & MEM_SIZE);
    if ((mode & (MEM_ATOMIC | MEM_RESERVE)) !== 0 && (vaLo & (byteLength - 1)) !== 0) {
      this.#trap((mode & MEM_ATOMIC) !== 0 ? CAUSE_STORE_MISALIGNED : CAUSE_LOAD_MISALIGNED, vaLo, vaHi);
      return 1;
    }
    const access = (mode & MEM_ATOMIC) !== 0 ? ACCESS_WRITE : ACCESS_READ;
    const host = this.translate(vaLo, vaHi, access);
    if (host === FAULT) return 1;
    if (host === DEVICE) return this.#loadDevice(vaLo, vaHi, mode, access);
    const crossing = (vaLo & 0xfff) + byteLength - 4096;
    if (crossing > 0) return this.#loadCrossing(host, byteLength - crossing, vaLo, vaHi, mode);
    const view = this.#view;
    switch (mode & (MEM_SIZE | MEM_SIGNED)) {
      case 0:
        return this.#result(view.getUint8(host), 0);
      case 1:
        return this.#result(view.getUint16(host, true), 0);
      case 2:
        return this.#result(view.getInt32(host, true), 0);
      case 3:
      case 7:
        return this.#result(view.getInt32(host, true), view.getInt32(host + 4, true));
      case 4:
        return this.#resultSigned(view.getInt8(host));
      case 5:
        return this.#resultSigned(view.getInt16(host, true));
      default:
        return this.#resultSigned(view.getInt32(host, true));
    }
  }

  #result(lo: number, hi: number): number {
    this.#i32[STATE_RESULT >> 2] = lo;
    this.#i32[(STATE_RESULT >> 2) + 1] = hi;
    return 0;
  }
  #resultSigned(value: number): number {
    return this.#result(value, value >> 31);
  }
  /** Extends the raw little-endian value in the result slot as `mode` says. */
  #extendResult(mode: number): number {
    const at = STATE_RESULT >> 2;
    const lo = this.#i32[at];
    switch (mode & (MEM_SIZE | MEM_SIGNED)) {
      case 0:
        return this.#result(lo & 0xff, 0);
      case 1:
        return this.#result(lo & 0xffff, 0);
      case 2:
        return this.#result(lo, 0);
      case 4:
        return this.#resultSigned((lo << 24) >> 24);
      case 5:
        return this.#resultSigned((lo << 16) >> 16);
      case 6:
        return this.#resultSigned(lo);
      default:
        return 0;
    }
  }

  /** `first` bytes at `host`, the rest on the next virtual page. */
  #loadCrossing(host: number, first: number, vaLo: number, vaHi: number, mode: number): number {
    const nextLo = ((vaLo & ~0xfff) + 0x1000) | 0;
    const nextHi = nextLo === 0 ? (vaHi + 1) | 0 : vaHi;
    const next = this.translate(nextLo, nextHi, ACCESS_READ);
    if (next === FAULT) return 1;
    if (next === DEVICE) {
      this.#trap(CAUSE_LOAD_ACCESS, vaLo, vaHi);
      return 1;
    }
    const byteLength = 1 << (mode & MEM_SIZE);
    for (let n = 0; n < 8; n++) {
      this.#u8[STATE_RESULT + n] = n >= byteLength ? 0 : n < first ? this.#u8[host + n] : this.#u8[next + n - first];
    }
    return this.#extendResult(mode);
  }

  #loadDevice(vaLo: number, vaHi: number, mode: number, access: number): number {
    const byteLength = 1 << (mode & MEM_SIZE);
    const bus = this.#bus as DeviceBus;
    const paddr = this.#devicePaddr;
    if ((vaLo & (byteLength - 1)) !== 0) {
      this.#trap(access === ACCESS_WRITE ? CAUSE_STORE_MISALIGNED : CAUSE_LOAD_MISALIGNED, vaLo, vaHi);
      return 1;
    }
    const lo = bus.read(paddr, byteLength === 8 ? 4 : (byteLength as 1 | 2 | 4));
    const hi = byteLength === 8 ? bus.read(paddr + 4, 4) : 0;
    if (lo === undefined || hi === undefined) {
      this.#trap(ACCESS_FAULT[access], vaLo, vaHi);
      return 1;
    }
    this.#result(lo, hi);
    this.#extendResult(mode);
    return 2;
  }

  /** The wasm import: a store of the result slot that missed the TLB. */
  store(vaLo: number, vaHi: number, mode: number): number {
    const byteLength = 1 << (mode & MEM_SIZE);
    if ((mode & MEM_ATOMIC) !== 0 && (vaLo & (byteLength - 1)) !== 0) {
      this.#trap(CAUSE_STORE_MISALIGNED, vaLo, vaHi);
      return 1;
    }
    const host = this.translate(vaLo, vaHi, ACCESS_WRITE);
    if (host === FAULT) return 1;
    if (host === DEVICE) return this.#storeDevice(vaLo, vaHi, byteLength);
    const crossing = (vaLo & 0xfff) + byteLength - 4096;
    const u8 = this.#u8;
    if (crossing > 0) {
      const nextLo = ((vaLo & ~0xfff) + 0x1000) | 0;
      const next = this.translate(nextLo, nextLo === 0 ? (vaHi + 1) | 0 : vaHi, ACCESS_WRITE);
      if (next === FAULT) return 1;
      if (next === DEVICE) {
        this.#trap(CAUSE_STORE_ACCESS, vaLo, vaHi);
        return 1;
      }
      const first = byteLength - crossing;
      for (let n = 0; n < first; n++) u8[host + n] = u8[STATE_RESULT + n];
      for (let n = 0; n < crossing; n++) u8[next + n] = u8[STATE_RESULT + first + n];
      const stale = this.#stored(host, first);
      return this.#stored(next, crossing) || stale ? 2 : 0;
    }
    for (let n = 0; n < byteLength; n++) u8[host + n] = u8[STATE_RESULT + n];
    return this.#stored(host, byteLength) ? 2 : 0;
  }

  /** Keeps decoded code in step with a store that did not cross a page. True if running code may have changed. */
  #stored(host: number, byteLength: number): boolean {
    const at = host - this.#ram.offset;
    return this.#code.clear(Math.floor(at / 4096), at % 4096, byteLength);
  }

  #storeDevice(vaLo: number, vaHi: number, byteLength: number): number {
    const bus = this.#bus as DeviceBus;
    const paddr = this.#devicePaddr;
    if ((vaLo & (byteLength - 1)) !== 0) {
      this.#trap(CAUSE_STORE_MISALIGNED, vaLo, vaHi);
      return 1;
    }
    const lo = this.#i32[STATE_RESULT >> 2];
    const hi = this.#i32[(STATE_RESULT >> 2) + 1];
    const done =
      byteLength === 8
        ? bus.write(paddr, 4, lo) && bus.write(paddr + 4, 4, hi)
        : bus.write(paddr, byteLength as 1 | 2 | 4, lo);
    if (done) return 2;
    this.#trap(CAUSE_STORE_ACCESS, vaLo, vaHi);
    return 1;
  }

  /** The wasm import: makes the EXEC TLB map the pc. */
  fetch(pcLo: number, pcHi: number): number {
    return this.translate(pcLo, pcHi, ACCESS_FETCH) < 0 ? 1 : 0;
  }

  /** The wasm import: decodes the 4-byte instruction whose halves lie in two pages. */
  cross(pcLo: number, pcHi: number): number {
    const first = this.translate(pcLo, pcHi, ACCESS_FETCH);
    if (first < 0) return 1;
    const nextLo = (pcLo + 2) | 0;
    const second = this.translate(nextLo, nextLo === 0 ? (pcHi + 1) | 0 : pcHi, ACCESS_FETCH);
    if (second < 0) return 1;
    this.#code.decodeCross(this.#view.getUint16(first, true) | (this.#view.getUint16(second, true) << 16));
    return 0;
  }

  /** Memory offset of a virtual address in RAM, for a debugger: no rights, no side effects. -1 if not mapped to RAM. */
  peek(vaLo: number, vaHi: number): number {
    const { base, size, offset } = this.#ram;
    let paddr = (vaHi >>> 0) * 0x1_0000_0000 + (vaLo >>> 0);
    if (this.#root >= 0) {
      let table = this.#root * 4096;
      let level = this.levels - 1;
      for (; level >= 0; level--) {
        const vpn =
          level === 3
            ? (vaHi >>> 7) & 511
            : level === 2
              ? ((vaHi & 0x7f) << 2) | (vaLo >>> 30)
              : (vaLo >>> (12 + 9 * level)) & 511;
        const address = table + vpn * 8 - base;
        if (address < 0 || address >= size) return -1;
        const lo = this.#i32[(offset + address) >>> 2];
        if ((lo & PTE_V) === 0) return -1;
        table = ((lo >>> 10) + (this.#i32[(offset + address + 4) >>> 2] & 0x3f_ffff) * 0x40_0000) * 4096;
        if ((lo & (PTE_R | PTE_X)) !== 0) break;
      }
      if (level < 0) return -1;
      const span = 4096 * 512 ** level;
      paddr = table + (((vaHi & 0xffff) * 0x1_0000_0000 + (vaLo >>> 0)) % span);
    }
    const inRam = paddr - base;
    return inRam >= 0 && inRam < size ? offset + inRam : -1;
  }

  /** The bits of the instruction at pc, which has been fetched before; 16 of them if it is compressed. */
  instructionBits(pcLo: number, pcHi: number): number {
    const first = this.translate(pcLo, pcHi, ACCESS_FETCH);
    if (first < 0) return 0;
    const low = this.#view.getUint16(first, true);
    if ((low & 3) !== 3) return low;
    const nextLo = (pcLo + 2) | 0;
    const second = this.translate(nextLo, nextLo === 0 ? (pcHi + 1) | 0 : pcHi, ACCESS_FETCH);
    return second < 0 ? low : low | (this.#view.getUint16(second, true) << 16);
  }
}
