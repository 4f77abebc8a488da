/**
 * Finds the partitions of a disk: GPT where there is a valid one, else MBR with its logical drives, else none.
 *
 * What is on the disk is never trusted: a table that is damaged yields the entries that can be read plus a line in
 * `problems`, entries outside the disk are left out, and chains end after 128 links.
 */
import type { BlockDevice } from "../block-device.ts";
import { readGpt } from "./gpt.ts";
import { readMbr } from "./mbr.ts";
import { PartitionDevice } from "./partition-device.ts";

export interface Partition {
  /** As Linux numbers them: GPT slot + 1; MBR 1..4 primary, 5.. logical. */
  readonly number: number;
  /** In blocks of the device. */
  readonly firstBlock: number;
  readonly blockCount: number;
  /** MBR type byte as "0x83", or the GPT type GUID in lower case. */
  readonly type: string;
  /** GPT partition name, else "". */
  readonly name: string;
  /** GPT unique GUID, else "". */
  readonly guid: string;
  /** MBR active flag, or GPT's legacy-boot attribute. */
  readonly bootable: boolean;
}

export interface PartitionTable {
  readonly kind: "gpt" | "mbr" | "none";
  readonly partitions: readonly Partition[];
  /** What was wrong with the table, one line each. */
  readonly problems: readonly string[];
}

/** Reads the partition table; a device error is -errno. */
export function readPartitionTable(device: BlockDevice): PartitionTable | number {
  const first = new Uint8Array(device.blockSize);
  const error = device.readBlock(0, first);
  if (error < 0) return error;
  const problems: string[] = [];
  const mbr = readMbr(device, first, problems);
  if (typeof mbr === "number") return mbr;
  if (mbr === undefined || mbr.protective) {
    const gpt = readGpt(device, problems);
    if (typeof gpt === "number") return gpt;
    if (gpt !== undefined) return { kind: "gpt", partitions: gpt, problems };
    if (mbr === undefined) return { kind: "none", partitions: [], problems: [] };
  }
  return { kind: "mbr", partitions: mbr.partitions, problems };
}

/** The partition as a device. */
export function openPartition(device: BlockDevice, partition: Partition): PartitionDevice {
  return new PartitionDevice(device, partition.firstBlock, partition.blockCount);
}
