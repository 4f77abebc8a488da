/**
 * Copy-on-write over a base device that is never written: a machine can run on a shared image and throw its changes
 * away, save them as a small file, merge them into the base, or move them to another base.
 *
 * Changes are kept per 4 KiB cluster; clusters live in 1 MiB slabs, so memory grows with what was written, not with the disk.
 *
 * Saved form, little endian: "STARCOW1", u32 cluster size, u32 cluster count, u64 disk size, then `count` u32 cluster
 * numbers in ascending order, padded to a multiple of 512 bytes, then the clusters' bytes.
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "./block-device.ts";

const CLUSTER_SIZE = 4096;
const SLAB_CLUSTERS = 256;
const MAGIC = "STARCOW1";
const HEADER_SIZE = 24;

export class OverlayDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean = false;
  #base: BlockDevice;
  readonly #slots = new Map<number, number>(); // cluster number → slot
  readonly #slabs: Uint8Array[] = [];
  #nextSlot = 0;

  /** @throws RangeError when the base's block size does not divide a cluster (4096 bytes). */
  constructor(base: BlockDevice) {
    if (CLUSTER_SIZE % base.blockSize !== 0) {
      throw new RangeError(`"base.blockSize" expected divisor of ${CLUSTER_SIZE}, got ${base.blockSize}`);
    }
    this.#base = base;
    this.size = base.size;
  }

  /** Re-opens saved changes over the same base, in place: `saved` is kept, and later writes change it. @throws RangeError when the bytes are not a saved overlay for a disk of this size. */
  static load(base: BlockDevice, saved: Uint8Array): OverlayDisk {
    const overlay = new OverlayDisk(base);
    const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
    const magic = saved.length >= HEADER_SIZE ? String.fromCharCode(...saved.subarray(0, 8)) : "";
    if (magic !== MAGIC || view.getUint32(8, true) !== CLUSTER_SIZE) throw new RangeError("not a saved overlay");
    const count = view.getUint32(12, true);
    if (Number(view.getBigUint64(16, true)) !== base.size)
      throw new RangeError("saved overlay belongs to a disk of another size");
    const dataStart = savedDataStart(count);
    if (saved.length !== dataStart + count * CLUSTER_SIZE) throw new RangeError("saved overlay is truncated");
    for (let i = 0; i < count; i++) {
      const cluster = view.getUint32(HEADER_SIZE + i * 4, true);
      if (cluster * CLUSTER_SIZE >= base.size) throw new RangeError("saved overlay names a cluster beyond the disk");
      overlay.#slots.set(cluster, i);
    }
    const slabBytes = SLAB_CLUSTERS * CLUSTER_SIZE;
    for (let at = dataStart; at < saved.length; at += slabBytes)
      overlay.#slabs.push(saved.subarray(at, at + slabBytes));
    overlay.#nextSlot = overlay.#slabs.length * SLAB_CLUSTERS; // the last slab may be short: new slots begin after it
    return overlay;
  }

  /** Number of changed bytes held, a multiple of 4096. */
  get changedBytes(): number {
    return this.#slots.size * CLUSTER_SIZE;
  }

  /** The changes as one byte array, for `OverlayDisk.load`. */
  save(): Uint8Array {
    const clusters = this.#sortedClusters();
    const dataStart = savedDataStart(clusters.length);
    const out = new Uint8Array(dataStart + clusters.length * CLUSTER_SIZE);
    const view = new DataView(out.buffer);
    for (let i = 0; i < MAGIC.length; i++) out[i] = MAGIC.charCodeAt(i);
    view.setUint32(8, CLUSTER_SIZE, true);
    view.setUint32(12, clusters.length, true);
    view.setBigUint64(16, BigInt(this.size), true);
    clusters.forEach((cluster, i) => {
      view.setUint32(HEADER_SIZE + i * 4, cluster, true);
      out.set(this.#bytes(this.#slots.get(cluster) as number), dataStart + i * CLUSTER_SIZE);
    });
    return out;
  }

  /** Writes the changes into `target` (default: the base), flushes it and forgets them. 0 or -errno; on failure they are kept. */
  merge(target: BlockDevice = this.#base): number {
    for (const cluster of this.#sortedClusters()) {
      const start = cluster * CLUSTER_SIZE;
      const bytes = this.#bytes(this.#slots.get(cluster) as number);
      const error = target.writeBlock(
        start / target.blockSize,
        bytes.subarray(0, Math.min(CLUSTER_SIZE, this.size - start)),
      );
      if (error < 0) return error;
    }
    const error = target.flush();
    if (error < 0) return error;
    this.reset();
    return 0;
  }

  /**
   * Moves the changes to another base of the same size without changing what is seen: where the bases differ, the old base's clusters become
   * changes, and changes that the new base has already are dropped. Reads both bases. 0 or -errno (then nothing has changed).
   * @throws RangeError when the sizes differ or the block size does not divide a cluster.
   */
  rebase(base: BlockDevice): number {
    if (base.size !== this.size) throw new RangeError(`"base.size" expected ${this.size}, got ${base.size}`);
    const moved = new OverlayDisk(base);
    const piece = 1 << 20;
    const [mine, theirs] = [new Uint8Array(piece), new Uint8Array(piece)];
    for (let start = 0; start < this.size; start += piece) {
      const length = Math.min(piece, this.size - start);
      let error = this.readBlock(start / SECTOR_SIZE, mine.subarray(0, length));
      if (error === 0) error = moved.readBlock(start / SECTOR_SIZE, theirs.subarray(0, length));
      if (error < 0) return error;
      for (let at = 0; at < length; at += CLUSTER_SIZE) {
        const end = Math.min(length, at + CLUSTER_SIZE);
        if (!isEqual(mine, theirs, at, end)) moved.writeBlock((start + at) / SECTOR_SIZE, mine.subarray(at, end));
      }
    }
    this.reset();
    this.#base = base;
    for (const [cluster, slot] of moved.#slots) this.#slots.set(cluster, slot);
    this.#slabs.push(...moved.#slabs);
    this.#nextSlot = moved.#nextSlot;
    return 0;
  }

  /** Forgets all changes. */
  reset(): void {
    this.#slots.clear();
    this.#slabs.length = 0;
    this.#nextSlot = 0;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const outside = checkTransfer(this, blockId, buf.length);
    if (outside !== 0) return outside;
    const start = blockId * SECTOR_SIZE;
    let baseRun = 0; // bytes before `done` that are still to come from the base
    let done = 0;
    while (done < buf.length) {
      const within = (start + done) % CLUSTER_SIZE;
      const count = Math.min(buf.length - done, CLUSTER_SIZE - within);
      const slot = this.#slots.get((start + done - within) / CLUSTER_SIZE);
      if (slot === undefined) {
        baseRun += count;
      } else {
        const error = this.#readBase(start, buf, done - baseRun, done);
        if (error < 0) return error;
        baseRun = 0;
        buf.set(this.#bytes(slot).subarray(within, within + count), done);
      }
      done += count;
    }
    return this.#readBase(start, buf, done - baseRun, done);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const refused = checkWrite(this, blockId, buf.length);
    if (refused !== 0) return refused;
    const start = blockId * SECTOR_SIZE;
    for (let done = 0; done < buf.length; ) {
      const within = (start + done) % CLUSTER_SIZE;
      const count = Math.min(buf.length - done, CLUSTER_SIZE - within);
      const cluster = (start + done - within) / CLUSTER_SIZE;
      let slot = this.#slots.get(cluster);
      if (slot === undefined) {
        const clusterBytes = Math.min(CLUSTER_SIZE, this.size - cluster * CLUSTER_SIZE);
        slot = this.#newSlot(cluster);
        if (count < clusterBytes) {
          const error = this.#base.readBlock(
            (cluster * CLUSTER_SIZE) / this.#base.blockSize,
            this.#bytes(slot).subarray(0, clusterBytes),
          );
          if (error < 0) {
            this.#slots.delete(cluster); // the slot itself is lost until reset: rare and harmless
            return error;
          }
        }
      }
      this.#bytes(slot).set(buf.subarray(done, done + count), within);
      done += count;
    }
    return 0;
  }

  /** The changes live in memory: nothing to make durable. */
  flush(): number {
    return 0;
  }

  #readBase(start: number, buf: Uint8Array, from: number, to: number): number {
    if (from === to) return 0;
    const unit = this.#base.blockSize;
    const target = from === 0 && to === buf.length ? buf : buf.subarray(from, to);
    if ((start + from) % unit === 0 && (to - from) % unit === 0)
      return this.#base.readBlock((start + from) / unit, target);
    // A base with larger blocks than ours: read the blocks around and copy the part.
    const first = Math.floor((start + from) / unit);
    const around = new Uint8Array(Math.ceil((start + to) / unit) * unit - first * unit);
    const error = this.#base.readBlock(first, around);
    if (error === 0) target.set(around.subarray(start + from - first * unit, start + to - first * unit));
    return error;
  }

  #newSlot(cluster: number): number {
    const slot = this.#nextSlot++;
    if (slot >= this.#slabs.length * SLAB_CLUSTERS) this.#slabs.push(new Uint8Array(SLAB_CLUSTERS * CLUSTER_SIZE));
    this.#slots.set(cluster, slot);
    return slot;
  }

  #bytes(slot: number): Uint8Array {
    const at = (slot % SLAB_CLUSTERS) * CLUSTER_SIZE;
    return this.#slabs[Math.floor(slot / SLAB_CLUSTERS)].subarray(at, at + CLUSTER_SIZE);
  }

  #sortedClusters(): number[] {
    return [...this.#slots.keys()].sort((a, b) => a - b);
  }
}

function isEqual(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}

function savedDataStart(count: number): number {
  return Math.ceil((HEADER_SIZE + count * 4) / SECTOR_SIZE) * SECTOR_SIZE;
}
