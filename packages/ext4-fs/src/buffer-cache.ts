/**
 * Metadata blocks in memory.
 *
 * File data never passes through here; it moves directly between the device and the caller's buffer. A buffer is
 *  - dirty: changed by the running transaction, which holds it until commit;
 *  - pending: committed to the journal, not yet written to its home (checkpointed).
 * Neither may be evicted. Clean buffers are evicted oldest first, unless touched since the last trim (second chance), and
 * only between operations (`trim`), so an operation can keep a Buffer in a local variable until it ends.
 */

// What a block holds decides how its checksum is computed.
export const KIND_PLAIN = 0;
export const KIND_SUPERBLOCK = 1;
export const KIND_DESCRIPTORS = 2;
export const KIND_BLOCK_BITMAP = 3;
export const KIND_INODE_BITMAP = 4;
export const KIND_INODE_TABLE = 5;
export const KIND_EXTENTS = 6;
export const KIND_DIRECTORY = 7;
export const KIND_HTREE = 8;
export const KIND_XATTR = 9;
export const KIND_ORPHANS = 10;

export class Buffer {
  /** File system block number. */
  readonly block: number;
  readonly data: Uint8Array;
  readonly view: DataView;
  /** KIND_*. */
  kind: number = KIND_PLAIN;
  /** Checksum seed of the owning inode (extents, directories), or the group number (bitmaps). */
  seed = 0;
  dirty = false;
  pending = false;
  touched = true;
  /** The KIND_* for which content and checksum were found good; KIND_PLAIN = not yet looked at. */
  verifiedAs: number = KIND_PLAIN;

  constructor(block: number, data: Uint8Array) {
    this.block = block;
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
}

export class BufferCache {
  readonly #blocks = new Map<number, Buffer>();
  readonly #blockSize: number;
  readonly #limit: number;
  #trimAt: number; // size at which the next trim is worth its walk
  readonly #read: (block: number, data: Uint8Array) => number;

  /** @param limit number of clean blocks to keep. @param read fills `data` from the device: 0 or -errno. */
  constructor(blockSize: number, limit: number, read: (block: number, data: Uint8Array) => number) {
    this.#blockSize = blockSize;
    this.#limit = limit;
    this.#trimAt = limit;
    this.#read = read;
  }

  get size(): number {
    return this.#blocks.size;
  }

  /** The block as it is on the medium (or as changed since), or -errno. */
  get(block: number): Buffer | number {
    const found = this.#blocks.get(block);
    if (found !== undefined) {
      found.touched = true;
      return found;
    }
    const data = new Uint8Array(this.#blockSize);
    const error = this.#read(block, data);
    if (error < 0) return error;
    const buffer = new Buffer(block, data);
    this.#blocks.set(block, buffer);
    return buffer;
  }

  /** The block if it is in memory. */
  peek(block: number): Buffer | undefined {
    return this.#blocks.get(block);
  }

  /** A block whose old content does not matter: zeroed, not read. */
  create(block: number): Buffer {
    const found = this.#blocks.get(block);
    if (found !== undefined) {
      found.data.fill(0);
      found.touched = true;
      found.verifiedAs = KIND_PLAIN;
      return found;
    }
    const buffer = new Buffer(block, new Uint8Array(this.#blockSize));
    this.#blocks.set(block, buffer);
    return buffer;
  }

  drop(block: number): void {
    this.#blocks.delete(block);
  }

  /** Evicts clean blocks beyond the limit. Only between operations. */
  trim(): void {
    if (this.#blocks.size <= this.#trimAt) return;
    const slack = this.#limit >> 3; // so that trims are rare
    for (const [block, buffer] of this.#blocks) {
      if (this.#blocks.size <= this.#limit - slack) break;
      if (buffer.dirty || buffer.pending) continue;
      this.#blocks.delete(block);
      if (!buffer.touched) continue;
      buffer.touched = false;
      this.#blocks.set(block, buffer); // to the young end; met again in this walk, then without its chance
    }
    // What is left beyond the limit is held by the journal: look again when there is something new.
    this.#trimAt = Math.max(this.#limit, this.#blocks.size + slack);
  }

  /** Forgets every clean block. */
  clear(): void {
    for (const [block, buffer] of this.#blocks) if (!buffer.dirty && !buffer.pending) this.#blocks.delete(block);
  }
}
