/**
 * A volume in dumpe2fs's words, for people.
 */
import { featureNames } from "./features.ts";
import {
  EXT4_VALID_FS,
  S_FEATURE_COMPAT,
  S_FEATURE_INCOMPAT,
  S_FEATURE_RO_COMPAT,
  S_INODE_SIZE,
  S_LAST_MOUNTED,
  S_MKFS_TIME,
  S_MNT_COUNT,
  S_STATE,
} from "./superblock.ts";
import { volumeStatus } from "./statfs.ts";
import type { Volume } from "./volume.ts";

/** (name, value) rows as `dumpe2fs -h` orders them. */
export function describeVolume(volume: Volume): readonly (readonly [name: string, value: string])[] {
  const sb = volume.superblock;
  const status = volumeStatus(volume);
  const features = [
    ...featureNames("compat", sb.u32(S_FEATURE_COMPAT)),
    ...featureNames("incompat", sb.u32(S_FEATURE_INCOMPAT)),
    ...featureNames("roCompat", sb.u32(S_FEATURE_RO_COMPAT)),
  ];
  return [
    ["Filesystem volume name", sb.volumeName || "<none>"],
    ["Last mounted on", text(sb.bytes.subarray(S_LAST_MOUNTED, S_LAST_MOUNTED + 64)) || "<not available>"],
    ["Filesystem UUID", uuidText(sb.uuid)],
    ["Filesystem features", features.join(" ")],
    ["Filesystem state", (sb.u16(S_STATE) & EXT4_VALID_FS) !== 0 ? "clean" : "not clean"],
    ["Inode count", `${status.files}`],
    ["Block count", `${sb.blocksCount}`],
    ["Reserved block count", `${sb.reservedBlocksCount}`],
    ["Free blocks", `${status.blocksFree}`],
    ["Free inodes", `${status.filesFree}`],
    ["Block size", `${sb.blockSize}`],
    ["Inode size", `${sb.u16(S_INODE_SIZE)}`],
    ["Mount count", `${sb.u16(S_MNT_COUNT)}`],
    ["Filesystem created", new Date(sb.u32(S_MKFS_TIME) * 1000).toISOString()],
  ];
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

function uuidText(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
