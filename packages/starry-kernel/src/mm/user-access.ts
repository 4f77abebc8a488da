/**
 * UserMemory over a page table: the software walk with a small direct-mapped cache of translations.
 *
 * The cache holds what the page table says; whoever changes a valid entry calls `forget` (AddressSpace.setPte does).
 */
import { decodeName, EFAULT, ENAMETOOLONG } from "linux-abi";
import { SCRATCH_BYTES, type UserMemory } from "../user-memory.ts";
import { type FrameAllocator, PAGE_SIZE } from "./frame-allocator.ts";
import { PTE_V, PTE_W, type PageTable, pteFrame } from "./page-table.ts";
import { VM_READ, VM_WRITE } from "./vma.ts";

/** First address beyond a program's reach (Sv39). */
export const USER_TOP: number = 2 ** 38;
/** PATH_MAX: with the NUL. */
const PATH_MAX = 4096;

const CACHE_ENTRIES = 64;
const PAGE_OFFSET = PAGE_SIZE - 1;

// One scratch area for the whole program: used and read within one call.
const $scratchBytes = new Uint8Array(SCRATCH_BYTES);
const $scratch = new DataView($scratchBytes.buffer);

export abstract class UserAccess implements UserMemory {
  readonly ram: Uint8Array;
  readonly scratch: DataView = $scratch;
  readonly scratchBytes: Uint8Array = $scratchBytes;
  readonly table: PageTable;
  readonly frames: FrameAllocator;
  readonly #view: DataView;
  // Page number and frame slot per cache line; the second half is for writing. −1: empty.
  readonly #tags: Int32Array = new Int32Array(2 * CACHE_ENTRIES).fill(-1);
  readonly #slots: Int32Array = new Int32Array(2 * CACHE_ENTRIES);

  constructor(frames: FrameAllocator, table: PageTable) {
    this.frames = frames;
    this.table = table;
    this.ram = frames.ramBytes;
    this.#view = new DataView(this.ram.buffer, this.ram.byteOffset, this.ram.length);
  }

  /** Makes the page at `va` accessible, or says why not: 0 or FAULT_*. `access` is VM_READ, VM_WRITE or VM_EXEC. */
  abstract fault(va: number, access: number): number;
  abstract stored(index: number, byteLength: number): void;

  /** The entry of page `vpn` has changed. */
  protected forget(vpn: number): void {
    const line = vpn & (CACHE_ENTRIES - 1);
    if (this.#tags[line] === vpn) this.#tags[line] = -1;
    if (this.#tags[line + CACHE_ENTRIES] === vpn) this.#tags[line + CACHE_ENTRIES] = -1;
  }

  protected forgetAll(): void {
    this.#tags.fill(-1);
  }

  resolve(va: number, forWriting: boolean): number {
    if (!(va >= 0 && va < USER_TOP)) return -EFAULT;
    const vpn = (va / PAGE_SIZE) | 0;
    const line = (vpn & (CACHE_ENTRIES - 1)) + (forWriting ? CACHE_ENTRIES : 0);
    if (this.#tags[line] !== vpn) {
      const slot = this.#walk(va, vpn, forWriting);
      if (slot < 0) return -EFAULT;
      this.#tags[line] = vpn;
      this.#slots[line] = slot;
    }
    return (this.#slots[line] as number) * PAGE_SIZE + (va - vpn * PAGE_SIZE);
  }

  #walk(va: number, vpn: number, forWriting: boolean): number {
    const wanted = forWriting ? PTE_V | PTE_W : PTE_V;
    // A fault may need two rounds: the page comes in read-only first, then its copy is made.
    for (let round = 0; round < 3; round++) {
      const at = this.table.find(vpn);
      if (at >= 0) {
        const pte = this.table.get(at);
        if ((pte & wanted) === wanted) return pteFrame(pte) - this.frames.firstFrame;
      }
      if (this.fault(va, forWriting ? VM_WRITE : VM_READ) !== 0) return -1;
    }
    return -1;
  }

  readU8(va: number): number {
    const index = this.resolve(va, false);
    return index < 0 ? index : (this.ram[index] as number);
  }

  readU16(va: number): number {
    if ((va & PAGE_OFFSET) > PAGE_SIZE - 2) return this.load(va, 2) || $scratch.getUint16(0, true);
    const index = this.resolve(va, false);
    return index < 0 ? index : this.#view.getUint16(index, true);
  }

  readU32(va: number): number {
    if ((va & PAGE_OFFSET) > PAGE_SIZE - 4) return this.load(va, 4) || $scratch.getUint32(0, true);
    const index = this.resolve(va, false);
    return index < 0 ? index : this.#view.getUint32(index, true);
  }

  readU64(va: number): number {
    if ((va & PAGE_OFFSET) > PAGE_SIZE - 8) {
      return this.load(va, 8) || $scratch.getUint32(4, true) * 4294967296 + $scratch.getUint32(0, true);
    }
    const index = this.resolve(va, false);
    if (index < 0) return index;
    return this.#view.getUint32(index + 4, true) * 4294967296 + this.#view.getUint32(index, true);
  }

  writeU8(va: number, value: number): number {
    const index = this.resolve(va, true);
    if (index < 0) return index;
    this.ram[index] = value;
    this.stored(index, 1);
    return 0;
  }

  writeU16(va: number, value: number): number {
    $scratch.setUint16(0, value, true);
    return this.store(va, 2);
  }

  writeU32(va: number, value: number): number {
    if ((va & PAGE_OFFSET) > PAGE_SIZE - 4) {
      $scratch.setInt32(0, value, true);
      return this.store(va, 4);
    }
    const index = this.resolve(va, true);
    if (index < 0) return index;
    this.#view.setInt32(index, value, true);
    this.stored(index, 4);
    return 0;
  }

  writeI64(va: number, value: number): number {
    $scratch.setInt32(0, value, true);
    $scratch.setInt32(4, Math.floor(value / 4294967296), true);
    return this.store(va, 8);
  }

  copyIn(va: number, dst: Uint8Array, start: number, byteLength: number): number {
    let done = 0;
    while (done < byteLength) {
      const at = va + done;
      const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
      const index = this.resolve(at, false);
      if (index < 0) return index;
      if (count <= 64) for (let i = 0; i < count; i++) dst[start + done + i] = this.ram[index + i] as number;
      else dst.set(this.ram.subarray(index, index + count), start + done);
      done += count;
    }
    return 0;
  }

  copyOut(va: number, src: Uint8Array, start: number, byteLength: number): number {
    let done = 0;
    while (done < byteLength) {
      const at = va + done;
      const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
      const index = this.resolve(at, true);
      if (index < 0) return index;
      if (count <= 64) for (let i = 0; i < count; i++) this.ram[index + i] = src[start + done + i] as number;
      else this.ram.set(src.subarray(start + done, start + done + count), index);
      this.stored(index, count);
      done += count;
    }
    return 0;
  }

  clear(va: number, byteLength: number): number {
    let done = 0;
    while (done < byteLength) {
      const at = va + done;
      const count = Math.min(byteLength - done, PAGE_SIZE - (at % PAGE_SIZE));
      const index = this.resolve(at, true);
      if (index < 0) return index;
      this.ram.fill(0, index, index + count);
      this.stored(index, count);
      done += count;
    }
    return 0;
  }

  load(va: number, byteLength: number): number {
    return this.copyIn(va, $scratchBytes, 0, byteLength);
  }

  store(va: number, byteLength: number): number {
    return this.copyOut(va, $scratchBytes, 0, byteLength);
  }

  readCString(va: number, maxBytes: number): Uint8Array | number {
    let length = 0;
    while (length < maxBytes) {
      const at = va + length;
      const index = this.resolve(at, false);
      if (index < 0) return index;
      const end = index + Math.min(maxBytes - length, PAGE_SIZE - (at % PAGE_SIZE));
      let nul = index;
      while (nul < end && this.ram[nul] !== 0) nul++;
      length += nul - index;
      if (nul < end) {
        const bytes = new Uint8Array(length);
        const error = this.copyIn(va, bytes, 0, length);
        return error !== 0 ? error : bytes;
      }
    }
    return -ENAMETOOLONG;
  }

  readPath(va: number): string | number {
    const bytes = this.readCString(va, PATH_MAX);
    return typeof bytes === "number" ? bytes : decodeName(bytes);
  }
}
