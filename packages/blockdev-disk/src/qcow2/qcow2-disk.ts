/**
 * A disk in a qcow2 image, versions 2 and 3: backing files, zero clusters, clusters compressed with zlib or zstd. Written too,
 * where the image has 16-bit reference counts, no internal snapshots and consistent counts; else it opens read-only.
 *
 * A guest offset is split into an L1 index, an L2 index and a place in the cluster. An L1 entry points to an L2 table, an L2 entry
 * to a cluster, to compressed data, or says "zeros"; 0 is "ask the backing device".
 *
 * Writing: data goes to its cluster at once, changed tables stay in memory (bounded) until `flush`, which writes reference counts
 * and flushes, then L2 tables and flushes, then L1. So after a crash clusters may be lost from use (`qemu-img check -r leaks`
 * finds them) but nothing points to what is not there, and what a completed flush covered is intact.
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "../block-device.ts";
import type { ByteFile } from "../byte-file.ts";
import { inflateRaw } from "../compressed/inflate.ts";
import { decompressZstd } from "../compressed/zstd.ts";
import { EIO } from "../errno.ts";
import {
  COMPRESSION_ZSTD,
  INCOMPAT_CORRUPT,
  INCOMPAT_DIRTY,
  type Qcow2Header,
  Qcow2Error,
  readHeader,
} from "./header.ts";
import { Refcounts } from "./refcounts.ts";

export interface Qcow2Options {
  /** Writes answer -EROFS. Default false. */
  readonly readOnly?: boolean;
  /** Opens what the header names as backing file. Needed for images that have one; it is never written. */
  readonly openBacking?: (file: string, format: string) => BlockDevice;
  /** L2 tables to keep in memory. Default 64. */
  readonly cachedTables?: number;
}

// L2 entry, high and low word.
const HI_COPIED = 0x8000_0000;
const HI_COMPRESSED = 0x4000_0000;
const HI_OFFSET = 0x00ff_ffff;
const LO_ZERO = 1;
const TWO_32 = 2 ** 32;

/** One L2 table in memory. */
class L2Table {
  readonly view: DataView;
  /** Where it lies in the file. */
  readonly offset: number;
  dirty = false;

  constructor(bytes: Uint8Array, offset: number) {
    this.view = new DataView(bytes.buffer);
    this.offset = offset;
  }
}

export class Qcow2Disk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly header: Qcow2Header;
  readonly #file: ByteFile;
  readonly #backing: BlockDevice | undefined;
  readonly #clusterSize: number;
  readonly #l2Entries: number;
  readonly #l1: DataView;
  readonly #refcounts: Refcounts | undefined;
  readonly #tables = new Map<number, L2Table>(); // by L1 index, least recently used first
  readonly #tableLimit: number;
  #l1Dirty = false;
  #unpackedAt = -1; // file offset of the compressed cluster in #unpacked
  readonly #unpacked: Uint8Array;

  /** @throws Qcow2Error when the image cannot be opened. */
  constructor(file: ByteFile, options: Qcow2Options = {}) {
    const header = readHeader(file);
    this.header = header;
    this.#file = file;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#l2Entries = this.#clusterSize / 8;
    this.#tableLimit = Math.max(2, options.cachedTables ?? 64);
    this.#unpacked = new Uint8Array(this.#clusterSize);
    if (header.size % SECTOR_SIZE !== 0)
      throw new Qcow2Error("incompatible", `size ${header.size} is no multiple of 512`);
    this.size = header.size;
    this.#backing = openBacking(header, options);
    const l1 = new Uint8Array(Math.max(1, header.l1Size) * 8);
    if (file.readAt(header.l1Offset, l1) < header.l1Size * 8) throw new Qcow2Error("io", "cannot read the L1 table");
    this.#l1 = new DataView(l1.buffer);
    const writable =
      options.readOnly !== true &&
      !file.readOnly &&
      header.snapshotCount === 0 &&
      header.refcountOrder === 4 &&
      (header.incompatible & (INCOMPAT_DIRTY | INCOMPAT_CORRUPT)) === 0;
    this.readOnly = !writable;
    if (writable) {
      const counts = Refcounts.load(file, this.#clusterSize, header.refcountOffset, header.refcountClusters);
      if (typeof counts === "number") throw new Qcow2Error("io", "cannot read the refcount table");
      this.#refcounts = counts;
    }
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const outside = checkTransfer(this, blockId, buf.length);
    if (outside !== 0) return outside;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % this.#clusterSize;
      const count = Math.min(buf.length - done, this.#clusterSize - within);
      const part = count === buf.length ? buf : buf.subarray(done, done + count);
      const error = this.#readCluster(start + done - within, within, part);
      if (error < 0) return error;
      done += count;
    }
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const refused = checkWrite(this, blockId, buf.length);
    if (refused !== 0) return refused;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % this.#clusterSize;
      const count = Math.min(buf.length - done, this.#clusterSize - within);
      const part = count === buf.length ? buf : buf.subarray(done, done + count);
      const error = this.#writeCluster(start + done - within, within, part);
      if (error < 0) return error;
      done += count;
    }
    return 0;
  }

  flush(): number {
    if (this.readOnly) return 0;
    const error = this.#writeTables();
    return error < 0 ? error : this.#file.flush();
  }

  /** Whole clusters in the range read as zeros from now on (version 3), and their place in the file is given back. */
  discard(blockId: number, count: number): number {
    if (count <= 0) return 0;
    const refused = checkWrite(this, blockId, count * SECTOR_SIZE);
    if (refused !== 0) return refused;
    if (this.header.version < 3) return 0;
    const size = this.#clusterSize;
    const end = (blockId + count) * SECTOR_SIZE;
    for (let at = Math.ceil((blockId * SECTOR_SIZE) / size) * size; at + size <= end; at += size) {
      const table = this.#table(at, true);
      if (typeof table === "number") return table;
      const entry = this.#entryAt(at);
      const error = this.#releaseEntry(table as L2Table, entry);
      if (error < 0) return error;
      setEntry(table as L2Table, entry, 0, LO_ZERO);
    }
    return 0;
  }

  // ---- reading ----

  #entryAt(guest: number): number {
    return (Math.floor(guest / this.#clusterSize) % this.#l2Entries) * 8;
  }

  /** Reads from the cluster at guest offset `guest`, `within` bytes into it. */
  #readCluster(guest: number, within: number, out: Uint8Array): number {
    const table = this.#table(guest, false);
    if (typeof table === "number") return table;
    if (table === undefined) return this.#readBacking(guest + within, out);
    const at = this.#entryAt(guest);
    const hi = table.view.getUint32(at);
    const lo = table.view.getUint32(at + 4);
    if ((hi & HI_COMPRESSED) !== 0) {
      const error = this.#unpack(hi, lo);
      if (error < 0) return error;
      out.set(this.#unpacked.subarray(within, within + out.length));
      return 0;
    }
    if ((lo & LO_ZERO) !== 0 && this.header.version >= 3) {
      out.fill(0);
      return 0;
    }
    const offset = hostOffset(hi, lo);
    if (offset === 0) return this.#readBacking(guest + within, out);
    if (offset % this.#clusterSize !== 0) return -EIO;
    const count = this.#file.readAt(offset + within, out);
    if (count < 0) return count;
    out.fill(0, count); // a file that ends inside its last cluster
    return 0;
  }

  #readBacking(position: number, out: Uint8Array): number {
    const backing = this.#backing;
    const there = backing === undefined ? 0 : Math.max(0, Math.min(out.length, backing.size - position));
    out.fill(0, there); // the backing device may be shorter
    if (backing === undefined || there === 0) return 0;
    if (position % backing.blockSize === 0 && there % backing.blockSize === 0)
      return backing.readBlock(position / backing.blockSize, out.subarray(0, there));
    const unit = backing.blockSize;
    const first = Math.floor(position / unit);
    const around = new Uint8Array(Math.ceil((position + there) / unit) * unit - first * unit);
    const error = backing.readBlock(first, around);
    if (error < 0) return error;
    out.set(around.subarray(position - first * unit, position - first * unit + there));
    return 0;
  }

  /** Decompresses the cluster that an L2 entry describes into #unpacked. */
  #unpack(hi: number, lo: number): number {
    const { offset, byteLength } = this.#compressedRange(hi, lo);
    if (offset === this.#unpackedAt) return 0;
    this.#unpackedAt = -1;
    const input = new Uint8Array(byteLength);
    const count = this.#file.readAt(offset, input);
    if (count < 0) return count;
    const unpack = this.header.compressionType === COMPRESSION_ZSTD ? decompressZstd : inflateRaw;
    if (unpack(input.subarray(0, count), this.#unpacked) !== this.#clusterSize) return -EIO;
    this.#unpackedAt = offset;
    return 0;
  }

  /** Offset in bits 0..x, then the number of further 512-byte sectors it touches, up to bit 61. */
  #compressedRange(hi: number, lo: number): { offset: number; byteLength: number } {
    const offsetBits = 62 - (this.header.clusterBits - 8); // 32 < offsetBits < 62
    const hiBits = offsetBits - 32;
    const offset = (hi & (2 ** hiBits - 1)) * TWO_32 + lo;
    const sectors = (hi & 0x3fff_ffff) >>> hiBits;
    return { offset, byteLength: (sectors + 1) * 512 - (offset % 512) };
  }

  // ---- tables ----

  /** The L2 table for a guest offset; undefined when there is none and it is not to be made. */
  #table(guest: number, create: boolean): L2Table | undefined | number {
    const index = Math.floor(guest / (this.#clusterSize * this.#l2Entries));
    const known = this.#tables.get(index);
    if (known !== undefined) {
      if (this.#tables.size > 1) {
        this.#tables.delete(index);
        this.#tables.set(index, known);
      }
      return known;
    }
    const offset = hostOffset(this.#l1.getUint32(index * 8), this.#l1.getUint32(index * 8 + 4));
    if (offset === 0 && !create) return undefined;
    if (offset % this.#clusterSize !== 0 || (offset !== 0 && offset >= this.#file.size)) return -EIO;
    const room = this.#makeRoom();
    if (room < 0) return room;
    const bytes = new Uint8Array(this.#clusterSize);
    let table: L2Table;
    if (offset !== 0) {
      const count = this.#file.readAt(offset, bytes);
      if (count < 0) return count;
      table = new L2Table(bytes, offset);
    } else {
      const made = (this.#refcounts as Refcounts).allocate();
      if (made < 0) return made;
      table = new L2Table(bytes, made);
      table.dirty = true;
      this.#l1.setUint32(index * 8, (HI_COPIED | Math.floor(made / TWO_32)) >>> 0);
      this.#l1.setUint32(index * 8 + 4, made % TWO_32);
      this.#l1Dirty = true;
    }
    this.#tables.set(index, table);
    return table;
  }

  #makeRoom(): number {
    if (this.#tables.size < this.#tableLimit) return 0;
    for (const [index, table] of this.#tables) {
      if (table.dirty) {
        const error = this.#writeTables();
        if (error < 0) return error;
      }
      this.#tables.delete(index);
      return 0;
    }
    return 0;
  }

  #writeTables(): number {
    const counts = this.#refcounts as Refcounts;
    const changed = [...this.#tables.values()].filter((table) => table.dirty);
    if (counts.hasChanges) {
      let error = counts.write();
      if (error === 0 && (changed.length > 0 || this.#l1Dirty)) error = this.#file.flush();
      if (error < 0) return error;
    }
    for (const table of changed) {
      const error = this.#file.writeAt(table.offset, new Uint8Array(table.view.buffer));
      if (error < 0) return error;
      table.dirty = false;
    }
    if (this.#l1Dirty) {
      let error = this.#file.flush();
      if (error === 0) error = this.#file.writeAt(this.header.l1Offset, new Uint8Array(this.#l1.buffer));
      if (error < 0) return error;
      this.#l1Dirty = false;
    }
    counts.written();
    return 0;
  }

  // ---- writing ----

  #writeCluster(guest: number, within: number, part: Uint8Array): number {
    const table = this.#table(guest, true) as L2Table | number;
    if (typeof table === "number") return table;
    const at = this.#entryAt(guest);
    const hi = table.view.getUint32(at);
    const lo = table.view.getUint32(at + 4);
    const offset = hostOffset(hi, lo);
    if ((hi & HI_COMPRESSED) === 0 && (lo & LO_ZERO) === 0 && offset !== 0) {
      if (offset % this.#clusterSize !== 0 || offset >= this.#file.size) return -EIO;
      return this.#file.writeAt(offset + within, part);
    }
    const size = Math.min(this.#clusterSize, this.size - guest);
    let whole = part;
    if (part.length < size) {
      whole = new Uint8Array(this.#clusterSize);
      const error = this.#readCluster(guest, 0, whole.subarray(0, size));
      if (error < 0) return error;
      whole.set(part, within);
    }
    const made = (this.#refcounts as Refcounts).allocate();
    if (made < 0) return made;
    let error = this.#file.writeAt(made, whole);
    if (error === 0) error = this.#releaseEntry(table, at);
    if (error < 0) return error;
    setEntry(table, at, (HI_COPIED | Math.floor(made / TWO_32)) >>> 0, made % TWO_32);
    return 0;
  }

  /** What an entry pointed to is no longer used by it. */
  #releaseEntry(table: L2Table, at: number): number {
    const hi = table.view.getUint32(at);
    const lo = table.view.getUint32(at + 4);
    const counts = this.#refcounts as Refcounts;
    if ((hi & HI_COMPRESSED) !== 0) {
      const { offset, byteLength } = this.#compressedRange(hi, lo);
      if (offset === this.#unpackedAt) this.#unpackedAt = -1;
      return counts.release(offset, byteLength);
    }
    const offset = hostOffset(hi, lo);
    return offset === 0 ? 0 : counts.release(offset, this.#clusterSize);
  }
}

function setEntry(table: L2Table, at: number, hi: number, lo: number): void {
  table.view.setUint32(at, hi);
  table.view.setUint32(at + 4, lo);
  table.dirty = true;
}

/** Bits 9..55. */
function hostOffset(hi: number, lo: number): number {
  return (hi & HI_OFFSET) * TWO_32 + (lo - (lo % 512));
}

function openBacking(header: Qcow2Header, options: Qcow2Options): BlockDevice | undefined {
  if (header.backingFile === "") return undefined;
  if (options.openBacking === undefined)
    throw new Qcow2Error(
      "backing",
      `the image needs its backing file ${header.backingFile}: pass the "openBacking" option`,
    );
  return options.openBacking(header.backingFile, header.backingFormat);
}
