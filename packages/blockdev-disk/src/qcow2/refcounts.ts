/**
 * Reference counts of a qcow2 image: which clusters of the file are in use. 16-bit counts, as nearly every image has them.
 *
 * Changed refcount blocks stay in memory until `write`, which must come before anything that points to the clusters they count.
 */
import type { ByteFile } from "../byte-file.ts";
import { EIO } from "../errno.ts";
import { H_REFCOUNT_CLUSTERS, H_REFCOUNT_OFFSET } from "./header.ts";

export class Refcounts {
  readonly #file: ByteFile;
  readonly #clusterSize: number;
  readonly #perBlock: number;
  #tableOffset: number;
  #table: DataView;
  #tableDirty = false;
  #tableMoved = false;
  readonly #blocks = new Map<number, DataView>(); // by index into the table
  readonly #dirty = new Set<number>();
  readonly #free: number[] = []; // clusters that lost their last reference since the last write
  readonly #reusable: number[] = []; // and those of which the medium knows it
  /** First cluster behind everything in use. */
  #end: number;

  private constructor(file: ByteFile, clusterSize: number, tableOffset: number, table: Uint8Array) {
    this.#file = file;
    this.#clusterSize = clusterSize;
    this.#perBlock = clusterSize / 2;
    this.#tableOffset = tableOffset;
    this.#table = new DataView(table.buffer);
    this.#end = Math.ceil(file.size / clusterSize);
  }

  static load(file: ByteFile, clusterSize: number, offset: number, clusters: number): Refcounts | number {
    const table = new Uint8Array(Math.max(1, clusters) * clusterSize);
    const count = file.readAt(offset, table);
    if (count < 0) return count;
    return new Refcounts(file, clusterSize, offset, table);
  }

  /** Byte offset of a cluster with count 1, content unspecified; or -errno. */
  allocate(): number {
    const cluster = this.#reusable.pop() ?? this.#end++;
    const error = this.#add(cluster, 1);
    return error < 0 ? error : cluster * this.#clusterSize;
  }

  /** Takes one reference from each cluster that [offset, offset + byteLength) touches. 0 or -errno. */
  release(offset: number, byteLength: number): number {
    const last = Math.floor((offset + byteLength - 1) / this.#clusterSize);
    for (let cluster = Math.floor(offset / this.#clusterSize); cluster <= last; cluster++) {
      const error = this.#add(cluster, -1);
      if (error < 0) return error;
    }
    return 0;
  }

  get hasChanges(): boolean {
    return this.#dirty.size > 0 || this.#tableDirty;
  }

  /** Writes what has changed; the caller flushes, then calls `written`. */
  write(): number {
    for (const index of this.#dirty) {
      const block = this.#blocks.get(index) as DataView;
      const error = this.#file.writeAt(this.#blockOffset(index), new Uint8Array(block.buffer));
      if (error < 0) return error;
    }
    this.#dirty.clear();
    if (this.#tableDirty) {
      const error = this.#file.writeAt(this.#tableOffset, new Uint8Array(this.#table.buffer));
      if (error < 0) return error;
      this.#tableDirty = false;
    }
    if (this.#tableMoved) {
      const header = new DataView(new ArrayBuffer(H_REFCOUNT_CLUSTERS + 4 - H_REFCOUNT_OFFSET));
      header.setBigUint64(0, BigInt(this.#tableOffset));
      header.setUint32(H_REFCOUNT_CLUSTERS - H_REFCOUNT_OFFSET, this.#table.byteLength / this.#clusterSize);
      const failed = this.#file.flush();
      const error = failed < 0 ? failed : this.#file.writeAt(H_REFCOUNT_OFFSET, new Uint8Array(header.buffer));
      if (error < 0) return error;
      this.#tableMoved = false;
    }
    return 0;
  }

  /** Everything that pointed to released clusters has reached the medium without them: they may be used again. */
  written(): void {
    this.#reusable.push(...this.#free.splice(0));
  }

  #blockOffset(index: number): number {
    const offset = Number(this.#table.getBigUint64(index * 8));
    return offset - (offset % 512); // the low 9 bits are reserved
  }

  #add(cluster: number, by: number): number {
    const index = Math.floor(cluster / this.#perBlock);
    const block = this.#block(index);
    if (typeof block === "number") return block;
    const at = (cluster % this.#perBlock) * 2;
    const count = block.getUint16(at) + by;
    if (count < 0 || count > 0xffff) return -EIO; // the counts contradict the tables
    block.setUint16(at, count);
    this.#dirty.add(index);
    if (count === 0) this.#free.push(cluster);
    return 0;
  }

  #block(index: number): DataView | number {
    const known = this.#blocks.get(index);
    if (known !== undefined) return known;
    if (index * 8 >= this.#table.byteLength) {
      const error = this.#growTable(index);
      if (error < 0) return error;
      const made = this.#blocks.get(index); // to count the new table
      if (made !== undefined) return made;
    }
    const offset = this.#blockOffset(index);
    if (offset === 0) return this.#newBlock(index);
    if (offset >= this.#file.size) return -EIO;
    const bytes = new Uint8Array(this.#clusterSize);
    const count = this.#file.readAt(offset, bytes);
    if (count < 0) return count;
    const view = new DataView(bytes.buffer);
    this.#blocks.set(index, view);
    return view;
  }

  /** A refcount block of its own for the clusters around; it may have to count itself. */
  #newBlock(index: number): DataView | number {
    const view = new DataView(new ArrayBuffer(this.#clusterSize));
    const cluster = this.#end++;
    this.#blocks.set(index, view);
    this.#table.setBigUint64(index * 8, BigInt(cluster * this.#clusterSize));
    this.#tableDirty = true;
    this.#dirty.add(index);
    const error = this.#add(cluster, 1);
    return error < 0 ? error : view;
  }

  /** Moves the table to a larger place at the end of the file. */
  #growTable(index: number): number {
    const oldClusters = this.#table.byteLength / this.#clusterSize;
    const clusters = Math.max(oldClusters * 2, Math.ceil(((index + 1) * 8) / this.#clusterSize));
    const bytes = new Uint8Array(clusters * this.#clusterSize);
    bytes.set(new Uint8Array(this.#table.buffer));
    const oldOffset = this.#tableOffset;
    const first = this.#end;
    this.#end += clusters;
    this.#table = new DataView(bytes.buffer);
    this.#tableOffset = first * this.#clusterSize;
    this.#tableDirty = true;
    this.#tableMoved = true;
    for (let cluster = first; cluster < first + clusters; cluster++) {
      const error = this.#add(cluster, 1);
      if (error < 0) return error;
    }
    return this.release(oldOffset, oldClusters * this.#clusterSize);
  }
}
