/** An empty qcow2 image (version 3, 16-bit reference counts), as `qemu-img create` makes it. */
import type { ByteFile } from "../byte-file.ts";
import {
  EXTENSION_BACKING_FORMAT,
  H_BACKING_OFFSET,
  H_BACKING_SIZE,
  H_CLUSTER_BITS,
  H_HEADER_LENGTH,
  H_L1_OFFSET,
  H_L1_SIZE,
  H_MAGIC,
  H_REFCOUNT_CLUSTERS,
  H_REFCOUNT_OFFSET,
  H_REFCOUNT_ORDER,
  H_SIZE,
  H_VERSION,
  HEADER_V3_SIZE,
  MAX_CLUSTER_BITS,
  MIN_CLUSTER_BITS,
  QCOW2_MAGIC,
} from "./header.ts";

export interface Qcow2CreateOptions {
  /** Of the disk, in bytes; a multiple of 512. With a backing device usually its size. */
  readonly size: number;
  /** log2 of the cluster size, 9..21. Default 16 (64 KiB). */
  readonly clusterBits?: number;
  /** The image's unwritten parts come from here. `file` is what other programs will look for, relative to the image. */
  readonly backing?: { readonly file: string; readonly format: "raw" | "qcow2" };
}

/** Writes the image to `file`, which should be empty: 0 or -errno. @throws RangeError on a bad option. */
export function createQcow2(file: ByteFile, options: Qcow2CreateOptions): number {
  const { size, clusterBits = 16, backing } = options;
  if (!Number.isSafeInteger(size) || size <= 0 || size % 512 !== 0)
    throw new RangeError(`"size" expected positive multiple of 512, got ${size}`);
  if (!(clusterBits >= MIN_CLUSTER_BITS && clusterBits <= MAX_CLUSTER_BITS))
    throw new RangeError(`"clusterBits" expected ${MIN_CLUSTER_BITS}..${MAX_CLUSTER_BITS}, got ${clusterBits}`);
  const cluster = 2 ** clusterBits;
  // Layout: header · refcount table · refcount blocks · L1 table. The refcount blocks count all of these.
  const l1Size = Math.ceil(size / (cluster * (cluster / 8)));
  const l1Clusters = Math.max(1, Math.ceil((l1Size * 8) / cluster));
  const perBlock = cluster / 2;
  let blocks = 1;
  while (2 + blocks + l1Clusters > blocks * perBlock) blocks++;
  if (blocks > cluster / 8) throw new RangeError(`a disk of ${size} bytes needs larger clusters than ${cluster}`);
  const total = 2 + blocks + l1Clusters;
  const out = new Uint8Array(total * cluster);
  const view = new DataView(out.buffer);
  view.setUint32(H_MAGIC, QCOW2_MAGIC);
  view.setUint32(H_VERSION, 3);
  view.setUint32(H_CLUSTER_BITS, clusterBits);
  view.setBigUint64(H_SIZE, BigInt(size));
  view.setUint32(H_L1_SIZE, l1Size);
  view.setBigUint64(H_L1_OFFSET, BigInt((2 + blocks) * cluster));
  view.setBigUint64(H_REFCOUNT_OFFSET, BigInt(cluster));
  view.setUint32(H_REFCOUNT_CLUSTERS, 1);
  view.setUint32(H_REFCOUNT_ORDER, 4);
  view.setUint32(H_HEADER_LENGTH, HEADER_V3_SIZE);
  if (backing !== undefined) putBacking(out, view, backing, cluster);
  for (let i = 0; i < blocks; i++) view.setBigUint64(cluster + i * 8, BigInt((2 + i) * cluster));
  for (let i = 0; i < total; i++) view.setUint16(2 * cluster + i * 2, 1);
  const error = file.writeAt(0, out);
  return error < 0 ? error : file.flush();
}

function putBacking(
  out: Uint8Array,
  view: DataView,
  backing: { readonly file: string; readonly format: string },
  cluster: number,
): void {
  const encoder = new TextEncoder();
  const format = encoder.encode(backing.format);
  const name = encoder.encode(backing.file);
  const nameAt = HEADER_V3_SIZE + 8 + Math.ceil(format.length / 8) * 8 + 8;
  if (name.length === 0 || name.length > 1023 || nameAt + name.length > cluster)
    throw new RangeError(`"backing.file" expected 1..${Math.min(1023, cluster - nameAt)} bytes, got ${name.length}`);
  view.setUint32(HEADER_V3_SIZE, EXTENSION_BACKING_FORMAT);
  view.setUint32(HEADER_V3_SIZE + 4, format.length);
  out.set(format, HEADER_V3_SIZE + 8);
  view.setBigUint64(H_BACKING_OFFSET, BigInt(nameAt));
  view.setUint32(H_BACKING_SIZE, name.length);
  out.set(name, nameAt);
}
