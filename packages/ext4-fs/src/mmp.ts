/**
 * Multiple mount protection (feature mmp): a block whose sequence number moves while somebody has the volume open for writing.
 *
 *   0 magic u32 · 4 seq u32 · 8 time u64 · 16 node name, 64 bytes · 80 device name, 32 bytes · 112 check_interval u16 · 1020 checksum u32
 *
 * Linux waits at mount to see whether the number moves; nothing here waits, so a number that does not say "clean" refuses. While
 * mounted, the number is moved by operations (`Volume.begin`) and not by a timer: the longest interval is announced, so that
 * others wait long enough. (Documentation/filesystems/ext4/mmp.rst)
 */
import { EBUSY, EUCLEAN } from "linux-abi";
import { allocateBlocks, type Run } from "./allocator/blocks.ts";
import { crc32c } from "./checksum/crc32c.ts";
import { Ext4Error } from "./errors.ts";
import { EXT4_FEATURE_INCOMPAT_MMP } from "./features.ts";
import { S_MMP_BLOCK, S_MMP_INTERVAL } from "./superblock.ts";
import type { Volume } from "./volume.ts";

const MMP_MAGIC = 0x004d4d50;
const MMP_SEQ_CLEAN = 0xff4d4d50;
const MMP_SEQ_FSCK = 0xe24d4d50;
const MMP_SEQ_MAX = 0xe24d4d4f;
const M_SEQ = 4;
const M_TIME = 8;
const M_NODENAME = 16;
const M_BDEVNAME = 80;
const M_CHECK_INTERVAL = 112;
const M_CHECKSUM = 1020;
/** EXT4_MMP_MAX_CHECK_INTERVAL, seconds. */
const MAX_CHECK_INTERVAL = 300;
const DEFAULT_INTERVAL = 5;

/** The protection of a volume that is open for writing. */
export class MountProtection {
  readonly #volume: Volume;
  readonly #block: number;
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #written: number; // seconds

  constructor(volume: Volume, block: number, data: Uint8Array) {
    this.#volume = volume;
    this.#block = block;
    this.#data = data;
    this.#view = new DataView(data.buffer);
    this.#written = 0;
  }

  /** Takes the volume: 0 or -errno. */
  take(): number {
    const { sec, nsec } = this.#volume.now();
    this.#data.fill(0, M_NODENAME, M_CHECK_INTERVAL);
    this.#data.set(new TextEncoder().encode("ext4-fs"), M_NODENAME);
    this.#view.setUint16(M_CHECK_INTERVAL, MAX_CHECK_INTERVAL, true);
    return this.#write(1 + (((sec ^ nsec) >>> 0) % (MMP_SEQ_MAX - 1)), sec);
  }

  /** Moves the number when it is time to. 0 or -errno. */
  refresh(sec: number): number {
    const interval = this.#volume.superblock.u16(S_MMP_INTERVAL) || DEFAULT_INTERVAL;
    if (sec - this.#written < interval) return 0;
    const seq = this.#view.getUint32(M_SEQ, true);
    return this.#write(seq >= MMP_SEQ_MAX ? 1 : seq + 1, sec);
  }

  /** Leaves the volume. */
  release(): number {
    return this.#write(MMP_SEQ_CLEAN, this.#volume.now().sec);
  }

  #write(seq: number, sec: number): number {
    this.#view.setUint32(M_SEQ, seq, true);
    this.#view.setUint32(M_TIME, sec >>> 0, true);
    this.#view.setUint32(M_TIME + 4, Math.floor(sec / 0x1_0000_0000), true);
    if (this.#volume.hasMetadataCsum)
      this.#view.setUint32(M_CHECKSUM, crc32c(this.#volume.csumSeed, this.#data, 0, M_CHECKSUM), true);
    this.#written = sec;
    const error = this.#volume.writeBlocks(this.#block, this.#data);
    return error < 0 ? error : this.#volume.flushDevice();
  }
}

/** The protection, if the volume has it and nobody else has the volume. */
export function openProtection(volume: Volume): MountProtection | undefined | Ext4Error {
  const sb = volume.superblock;
  if (!sb.hasIncompat(EXT4_FEATURE_INCOMPAT_MMP)) return undefined;
  const block = sb.u32(S_MMP_BLOCK) + sb.u32(S_MMP_BLOCK + 4) * 0x1_0000_0000;
  const corrupt = (what: string): Ext4Error => new Ext4Error("corrupt", `mmp: ${what}`, { errno: EUCLEAN, block });
  if (block <= volume.geometry.firstDataBlock || block >= volume.geometry.blocksCount)
    return corrupt("its block is not on the volume");
  const data = new Uint8Array(volume.blockSize);
  const error = volume.readBlocks(block, data);
  if (error < 0) return new Ext4Error("io", "mmp: its block cannot be read", { errno: -error, block });
  const view = new DataView(data.buffer);
  if (view.getUint32(0, true) !== MMP_MAGIC) return corrupt("wrong magic number");
  const checksum = volume.hasMetadataCsum ? crc32c(volume.csumSeed, data, 0, M_CHECKSUM) : 0;
  if (volume.hasMetadataCsum && view.getUint32(M_CHECKSUM, true) !== checksum) return corrupt("wrong checksum");
  const seq = view.getUint32(M_SEQ, true);
  if (seq === MMP_SEQ_CLEAN) return new MountProtection(volume, block, data);
  const node = text(data.subarray(M_NODENAME, M_BDEVNAME));
  const device = text(data.subarray(M_BDEVNAME, M_CHECK_INTERVAL));
  const who = seq === MMP_SEQ_FSCK ? "being checked" : "in use";
  return new Ext4Error(
    "invalid",
    `mmp: the volume is ${who}${node === "" ? "" : ` on ${node}`}${device === "" ? "" : ` (${device})`}; if it is not, tune2fs -f -E clear_mmp says so`,
    { errno: EBUSY, block },
  );
}

/** Gives a new volume its block. Within an operation. */
export function makeProtection(volume: Volume): number {
  const run: Run = { start: 0, count: 0, charged: 0 };
  const error = allocateBlocks(volume, volume.geometry.firstDataBlock + 1, 1, run);
  if (error < 0) return error;
  volume.superblock.setU32(S_MMP_BLOCK, run.start);
  volume.superblock.setU32(S_MMP_BLOCK + 4, Math.floor(run.start / 0x1_0000_0000));
  volume.superblock.setU16(S_MMP_INTERVAL, DEFAULT_INTERVAL);
  const data = new Uint8Array(volume.blockSize);
  const view = new DataView(data.buffer);
  view.setUint32(0, MMP_MAGIC, true);
  view.setUint16(M_CHECK_INTERVAL, DEFAULT_INTERVAL, true);
  return new MountProtection(volume, run.start, data).release();
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}
