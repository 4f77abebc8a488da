/**
 * The header of a qcow2 image, versions 2 and 3 (qemu docs/interop/qcow2.txt). All numbers are big endian.
 */
import type { ByteFile } from "../byte-file.ts";

export const QCOW2_MAGIC = 0x514649fb; // "QFI\xfb"
export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;

// Header fields, byte offsets.
export const H_MAGIC = 0;
export const H_VERSION = 4;
export const H_BACKING_OFFSET = 8;
export const H_BACKING_SIZE = 16;
export const H_CLUSTER_BITS = 20;
export const H_SIZE = 24;
export const H_CRYPT_METHOD = 32;
export const H_L1_SIZE = 36;
export const H_L1_OFFSET = 40;
export const H_REFCOUNT_OFFSET = 48;
export const H_REFCOUNT_CLUSTERS = 56;
export const H_NB_SNAPSHOTS = 60;
export const H_INCOMPATIBLE = 72;
export const H_COMPATIBLE = 80;
export const H_AUTOCLEAR = 88;
export const H_REFCOUNT_ORDER = 96;
export const H_HEADER_LENGTH = 100;
export const H_COMPRESSION_TYPE = 104;
export const HEADER_V2_SIZE = 72;
export const HEADER_V3_SIZE = 112;

export const INCOMPAT_DIRTY: number = 1 << 0;
export const INCOMPAT_CORRUPT: number = 1 << 1;
export const INCOMPAT_DATA_FILE: number = 1 << 2;
export const INCOMPAT_COMPRESSION: number = 1 << 3;
export const INCOMPAT_EXTENDED_L2: number = 1 << 4;
const INCOMPAT_NAMES = ["dirty refcounts", "corrupt", "external data file", "compression type", "extended L2 entries"];

/** Bytes; qemu's limit too. */
const MAX_REFCOUNT_TABLE = 8 << 20;

/** Header extension: format name of the backing file. */
export const EXTENSION_BACKING_FORMAT = 0xe2792aca;
export const COMPRESSION_ZLIB = 0;
export const COMPRESSION_ZSTD = 1;

/** Why an image cannot be opened; `message` says it in words. */
export class Qcow2Error extends Error {
  override readonly name: string = "Qcow2Error";
  /** "io": the file cannot be read; "incompatible": a feature is missing here; "corrupt": not what the format says; "backing": no backing device. */
  readonly kind: "io" | "incompatible" | "corrupt" | "backing";

  constructor(kind: Qcow2Error["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface Qcow2Header {
  readonly version: number;
  readonly clusterBits: number;
  /** Of the disk, in bytes. */
  readonly size: number;
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountOffset: number;
  readonly refcountClusters: number;
  /** Bits per reference count: 1 << this. */
  readonly refcountOrder: number;
  readonly snapshotCount: number;
  readonly incompatible: number;
  readonly compressionType: number;
  /** As stored: usually relative to the image's own place. "" = none. */
  readonly backingFile: string;
  /** "raw", "qcow2", or "" when the image does not say. */
  readonly backingFormat: string;
}

/** Reads and checks the header. @throws Qcow2Error. */
export function readHeader(file: ByteFile): Qcow2Header {
  const bytes = new Uint8Array(4096);
  const count = file.readAt(0, bytes);
  if (count < 0) throw new Qcow2Error("io", `cannot read the header: error ${-count}`);
  const view = new DataView(bytes.buffer);
  if (count < HEADER_V2_SIZE || view.getUint32(H_MAGIC) !== QCOW2_MAGIC)
    throw new Qcow2Error("corrupt", "not a qcow2 image");
  const version = view.getUint32(H_VERSION);
  if (version !== 2 && version !== 3) throw new Qcow2Error("incompatible", `qcow2 version ${version}`);
  const isV3 = version === 3;
  const headerLength = isV3 ? view.getUint32(H_HEADER_LENGTH) : HEADER_V2_SIZE;
  const header = {
    version,
    clusterBits: view.getUint32(H_CLUSTER_BITS),
    size: Number(view.getBigUint64(H_SIZE)),
    l1Size: view.getUint32(H_L1_SIZE),
    l1Offset: Number(view.getBigUint64(H_L1_OFFSET)),
    refcountOffset: Number(view.getBigUint64(H_REFCOUNT_OFFSET)),
    refcountClusters: view.getUint32(H_REFCOUNT_CLUSTERS),
    refcountOrder: isV3 ? view.getUint32(H_REFCOUNT_ORDER) : 4,
    snapshotCount: view.getUint32(H_NB_SNAPSHOTS),
    incompatible: isV3 ? view.getUint32(H_INCOMPATIBLE + 4) : 0,
    compressionType: isV3 && headerLength > H_COMPRESSION_TYPE ? bytes[H_COMPRESSION_TYPE] : COMPRESSION_ZLIB,
  };
  if (isV3 && view.getUint32(H_INCOMPATIBLE) !== 0)
    throw new Qcow2Error("incompatible", "unknown incompatible features");
  const refused = header.incompatible & ~(INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_COMPRESSION);
  if (refused !== 0) throw new Qcow2Error("incompatible", `unsupported features: ${featureNames(refused)}`);
  if (view.getUint32(H_CRYPT_METHOD) !== 0) throw new Qcow2Error("incompatible", "the image is encrypted");
  if (header.compressionType > COMPRESSION_ZSTD)
    throw new Qcow2Error("incompatible", `compression type ${header.compressionType}`);
  checkHeader(header, headerLength);
  return { ...header, ...readBacking(bytes, view, headerLength) };
}

function checkHeader(h: Omit<Qcow2Header, "backingFile" | "backingFormat">, headerLength: number): void {
  const corrupt = (what: string): never => {
    throw new Qcow2Error("corrupt", `header: ${what}`);
  };
  if (h.clusterBits < MIN_CLUSTER_BITS || h.clusterBits > MAX_CLUSTER_BITS)
    corrupt(`clusters of 2^${h.clusterBits} bytes`);
  const clusterSize = 2 ** h.clusterBits;
  if (h.version === 3 && (headerLength < H_COMPRESSION_TYPE || headerLength > clusterSize))
    corrupt(`length ${headerLength}`);
  if (!Number.isSafeInteger(h.size)) corrupt(`size ${h.size}`);
  if (h.refcountOrder > 6) corrupt(`refcount order ${h.refcountOrder}`);
  // One L1 entry covers a cluster of 8-byte L2 entries. qemu allows 32 MiB of them.
  const needed = Math.ceil(h.size / (clusterSize * (clusterSize / 8)));
  if (h.l1Size < needed || h.l1Size > 4 << 20) corrupt(`an L1 table of ${h.l1Size} entries, expected ${needed}`);
  if (h.l1Offset % clusterSize !== 0 || !Number.isSafeInteger(h.l1Offset)) corrupt("the L1 table is not aligned");
  if (h.refcountClusters * clusterSize > MAX_REFCOUNT_TABLE)
    corrupt(`a refcount table of ${h.refcountClusters} clusters`);
  if (h.refcountOffset % clusterSize !== 0 || !Number.isSafeInteger(h.refcountOffset))
    corrupt("the refcount table is not aligned");
}

function readBacking(
  bytes: Uint8Array,
  view: DataView,
  headerLength: number,
): { backingFile: string; backingFormat: string } {
  const offset = Number(view.getBigUint64(H_BACKING_OFFSET));
  const length = view.getUint32(H_BACKING_SIZE);
  if (offset === 0 || length === 0) return { backingFile: "", backingFormat: "" };
  if (length > 1023 || offset + length > bytes.length)
    throw new Qcow2Error("corrupt", "header: name of the backing file");
  const decoder = new TextDecoder();
  let backingFormat = "";
  for (let at = headerLength; at + 8 <= offset; ) {
    const type = view.getUint32(at);
    const size = view.getUint32(at + 4);
    if (type === 0 || at + 8 + size > offset) break;
    if (type === EXTENSION_BACKING_FORMAT) backingFormat = decoder.decode(bytes.subarray(at + 8, at + 8 + size));
    at += 8 + Math.ceil(size / 8) * 8;
  }
  return { backingFile: decoder.decode(bytes.subarray(offset, offset + length)), backingFormat };
}

function featureNames(bits: number): string {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) if ((bits & (1 << bit)) !== 0) names.push(INCOMPAT_NAMES[bit] ?? `bit ${bit}`);
  return names.join(", ");
}
