/**
 * The kernel's access to a program's memory: copy_from_user and friends.
 *
 * Implemented by mm/address-space.ts. Every access walks the program's own page table and faults pages in (demand
 * zero, file pages, copy-on-write) as the hart's access would; a bad address is -EFAULT, a value.
 *
 * Numbers: unsigned reads return ≥ 0, so any negative result is an errno. Signed and 64-bit fields of a struct are
 * read with `load(va, n)`, which copies the struct to a scratch area, and then `scratch.getInt32(0, true)` etc.;
 * the other way round with `store(va, n)`. The scratch area is shared by the whole kernel: use it before the next call.
 */

/** Size of the scratch area in bytes. */
export const SCRATCH_BYTES = 4096;

export interface UserMemory {
  /** All of guest RAM; index = physical address − ram base. */
  readonly ram: Uint8Array;
  /** Where `load` puts and `store` takes bytes. */
  readonly scratch: DataView;
  readonly scratchBytes: Uint8Array;

  /**
   * Index in `ram` of the byte at `va`, valid to the end of its page, or -EFAULT.
   * Faults the page in; for writing also breaks copy-on-write.
   */
  resolve(va: number, forWriting: boolean): number;
  /** The kernel stored into `byteLength` bytes of RAM at `index`: decoded code there is stale. */
  stored(index: number, byteLength: number): void;

  /** 0..255 or -EFAULT. */
  readU8(va: number): number;
  readU16(va: number): number;
  readU32(va: number): number;
  /** Exact below 2^53, or -EFAULT. Values ≥ 2^63 come out huge, never negative. */
  readU64(va: number): number;
  writeU8(va: number, value: number): number;
  writeU16(va: number, value: number): number;
  /** 0 or -EFAULT. Signed values are fine. */
  writeU32(va: number, value: number): number;
  /** Signed 64 bits from a number. 0 or -EFAULT. */
  writeI64(va: number, value: number): number;

  /** Program → kernel: 0 or -EFAULT. */
  copyIn(va: number, dst: Uint8Array, start: number, byteLength: number): number;
  /** Kernel → program: 0 or -EFAULT. */
  copyOut(va: number, src: Uint8Array, start: number, byteLength: number): number;
  /** Stores zeros. 0 or -EFAULT. */
  clear(va: number, byteLength: number): number;

  /** Copies at most SCRATCH_BYTES into the scratch area. 0 or -EFAULT. */
  load(va: number, byteLength: number): number;
  /** Copies from the scratch area. 0 or -EFAULT. */
  store(va: number, byteLength: number): number;

  /** Bytes before the NUL, or -EFAULT, or -ENAMETOOLONG if there is none within `maxBytes`. */
  readCString(va: number, maxBytes: number): Uint8Array | number;
  /** A path (PATH_MAX), decoded losslessly. -EFAULT, -ENAMETOOLONG; an empty path is "" (the caller decides on ENOENT). */
  readPath(va: number): string | number;
}
