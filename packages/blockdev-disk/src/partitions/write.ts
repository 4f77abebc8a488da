/**
 * Writing partition tables: GPT with its protective MBR and backup, or MBR with logical drives.
 *
 *   writeGpt(disk, { guid: "…", partitions: [
 *     { type: "uefi", blockCount: 204800, name: "EFI", guid: "…" },
 *     { type: "linux", name: "root", guid: "…" },          // the rest
 *   ] });
 */
import type { BlockDevice } from "../block-device.ts";
import { crc32 } from "./crc32.ts";
import { GPT_TYPES, writeGuid } from "./guid.ts";
import { type NewPartition, type Placed, placePartitions } from "./layout.ts";
import { type PartitionTable, readPartitionTable } from "./table.ts";

export interface GptOptions {
  /** Of the disk. */
  readonly guid: string;
  /** At most 128. */
  readonly partitions: readonly NewPartition[];
}

export interface MbrOptions {
  /** Disk signature, 32 bits. Default 0. */
  readonly signature?: number;
  /** At most four that are not logical, or three and any number of logical ones. */
  readonly partitions: readonly NewPartition[];
}

const GPT_ENTRIES = 128;
const GPT_ENTRY_SIZE = 128;
const GPT_HEADER_SIZE = 92;
const GPT_LEGACY_BOOT = 4;
const MBR_ENTRIES = 0x1be;
const MBR_SIGNATURE = 0x1fe;
const TYPE_EXTENDED_LBA = 0x0f;
const MBR_TYPES: Readonly<Record<string, number>> = {
  linux: 0x83,
  swap: 0x82,
  uefi: 0xef,
  lvm: 0x8e,
  raid: 0xfd,
  fat32: 0x0c,
  windows: 0x07,
};

/** Writes a GPT, the backup first, and gives the table as it is now; or -errno. @throws RangeError when the partitions do not fit. */
export function writeGpt(device: BlockDevice, options: GptOptions): PartitionTable | number {
  const { blockSize } = device;
  const blocks = Math.floor(device.size / blockSize);
  const tableBlocks = Math.ceil((GPT_ENTRIES * GPT_ENTRY_SIZE) / blockSize);
  const first = 2 + tableBlocks;
  const end = blocks - 1 - tableBlocks;
  if (options.partitions.length > GPT_ENTRIES) throw new RangeError(`at most ${GPT_ENTRIES} partitions`);
  const placed = placePartitions(options.partitions, first, end, blockSize);
  const table = new Uint8Array(tableBlocks * blockSize);
  const view = new DataView(table.buffer);
  placed.forEach((partition, i) => {
    putGptEntry(view, i * GPT_ENTRY_SIZE, partition);
  });
  const header = (at: number, other: number, tableAt: number): Uint8Array =>
    gptHeader(blockSize, {
      at,
      other,
      tableAt,
      first,
      last: end - 1,
      guid: options.guid,
      tableCrc: crc32(table.subarray(0, GPT_ENTRIES * GPT_ENTRY_SIZE)),
    });
  const writes: readonly [number, Uint8Array][] = [
    [end, table],
    [blocks - 1, header(blocks - 1, 1, end)],
    [2, table],
    [1, header(1, blocks - 1, 2)],
    [0, protectiveMbr(blockSize, blocks)],
  ];
  for (const [block, bytes] of writes) {
    const error = device.writeBlock(block, bytes);
    if (error < 0) return error;
  }
  const error = device.flush();
  return error < 0 ? error : readPartitionTable(device);
}

function putGptEntry(view: DataView, at: number, { entry, firstBlock, blockCount }: Placed): void {
  const { type = "linux", name = "", guid, bootable = false } = entry;
  if (guid === undefined) throw new RangeError(`"guid" expected for the partition at ${firstBlock}`);
  if (name.length > 36) throw new RangeError(`"name" expected at most 36 characters, got "${name}"`);
  writeGuid(view, at, GPT_TYPES[type] ?? type);
  writeGuid(view, at + 16, guid);
  view.setBigUint64(at + 32, BigInt(firstBlock), true);
  view.setBigUint64(at + 40, BigInt(firstBlock + blockCount - 1), true);
  view.setUint8(at + 48, bootable ? GPT_LEGACY_BOOT : 0);
  for (let i = 0; i < name.length; i++) view.setUint16(at + 56 + i * 2, name.charCodeAt(i), true);
}

interface GptHeaderFields {
  readonly at: number;
  readonly other: number;
  readonly tableAt: number;
  readonly first: number;
  readonly last: number;
  readonly guid: string;
  readonly tableCrc: number;
}

function gptHeader(blockSize: number, h: GptHeaderFields): Uint8Array {
  const bytes = new Uint8Array(blockSize);
  const view = new DataView(bytes.buffer);
  for (const [i, letter] of [..."EFI PART"].entries()) bytes[i] = letter.charCodeAt(0);
  view.setUint32(8, 0x10000, true); // revision 1.0
  view.setUint32(12, GPT_HEADER_SIZE, true);
  view.setBigUint64(24, BigInt(h.at), true);
  view.setBigUint64(32, BigInt(h.other), true);
  view.setBigUint64(40, BigInt(h.first), true);
  view.setBigUint64(48, BigInt(h.last), true);
  writeGuid(view, 56, h.guid);
  view.setBigUint64(72, BigInt(h.tableAt), true);
  view.setUint32(80, GPT_ENTRIES, true);
  view.setUint32(84, GPT_ENTRY_SIZE, true);
  view.setUint32(88, h.tableCrc, true);
  view.setUint32(16, crc32(bytes.subarray(0, GPT_HEADER_SIZE)), true);
  return bytes;
}

function protectiveMbr(blockSize: number, blocks: number): Uint8Array {
  const bytes = new Uint8Array(blockSize);
  putMbrEntry(bytes, 0, 0xee, 1, Math.min(blocks - 1, 0xffffffff), false);
  return bytes;
}

/** Writes an MBR and the boot records of logical drives, and gives the table as it is now; or -errno. @throws RangeError when the partitions do not fit. */
export function writeMbr(device: BlockDevice, options: MbrOptions): PartitionTable | number {
  const { blockSize } = device;
  const blocks = Math.min(Math.floor(device.size / blockSize), 2 ** 32);
  const primaries = options.partitions.filter((entry) => entry.logical !== true);
  const logicals = options.partitions.filter((entry) => entry.logical === true);
  const slots = primaries.length + (logicals.length > 0 ? 1 : 0);
  for (const { type } of options.partitions) mbrType(type);
  if (slots > 4) throw new RangeError(`at most four primary and extended partitions, got ${slots}`);
  // A logical drive needs a block before it for its boot record; all of them lie behind the last primary without a place of its own.
  const placed = placeMbr(options.partitions, primaries, logicals, blocks, blockSize);
  const first = new Uint8Array(blockSize);
  let error = device.readBlock(0, first); // boot code stays
  if (error < 0) return error;
  first.fill(0, MBR_ENTRIES, MBR_SIGNATURE);
  new DataView(first.buffer).setUint32(0x1b8, options.signature ?? 0, true);
  placed.primaries.forEach((partition, i) => {
    putMbrEntry(
      first,
      i,
      mbrType(partition.entry.type),
      partition.firstBlock,
      partition.blockCount,
      partition.entry.bootable === true,
    );
  });
  if (placed.extended !== undefined) {
    const { firstBlock, blockCount } = placed.extended;
    putMbrEntry(first, primaries.length, TYPE_EXTENDED_LBA, firstBlock, blockCount, false);
    error = writeLogical(device, firstBlock, placed.logicals);
    if (error < 0) return error;
  } else {
    putSignature(first);
  }
  error = device.writeBlock(0, first);
  if (error === 0) error = device.flush();
  return error < 0 ? error : readPartitionTable(device);
}

interface PlacedMbr {
  readonly primaries: Placed[];
  readonly logicals: Placed[];
  readonly extended: { readonly firstBlock: number; readonly blockCount: number } | undefined;
}

function placeMbr(
  all: readonly NewPartition[],
  primaries: readonly NewPartition[],
  logicals: readonly NewPartition[],
  blocks: number,
  blockSize: number,
): PlacedMbr {
  if (logicals.length === 0)
    return { primaries: placePartitions(primaries, 1, blocks, blockSize), logicals: [], extended: undefined };
  if (all.slice(all.findIndex((entry) => entry.logical === true)).some((entry) => entry.logical !== true))
    throw new RangeError("logical drives come behind the primary partitions");
  // The extended partition begins a block before its first drive, or aligned where that has no place given.
  const stop = logicals[0].firstBlock === undefined ? blocks : logicals[0].firstBlock - 1;
  const placedPrimaries = placePartitions(primaries, 1, stop, blockSize);
  const after = placedPrimaries.reduce((end, p) => Math.max(end, p.firstBlock + p.blockCount), 1);
  const unit = Math.max(1, (1 << 20) / blockSize);
  const firstBlock = logicals[0].firstBlock === undefined ? Math.ceil(after / unit) * unit : logicals[0].firstBlock - 1;
  const placedLogicals = placePartitions(logicals, firstBlock, blocks, blockSize, 1);
  const last = placedLogicals.reduce((end, p) => Math.max(end, p.firstBlock + p.blockCount), 0);
  return {
    primaries: placedPrimaries,
    logicals: placedLogicals,
    extended: { firstBlock, blockCount: last - firstBlock },
  };
}

/** The chain of extended boot records: each lies right before its drive, the first one at the start of the extended partition. */
function writeLogical(device: BlockDevice, extendedStart: number, drives: readonly Placed[]): number {
  const recordOf = (i: number): number => (i === 0 ? extendedStart : drives[i].firstBlock - 1);
  for (let i = drives.length - 1; i >= 0; i--) {
    const record = new Uint8Array(device.blockSize);
    const { entry, firstBlock, blockCount } = drives[i];
    putMbrEntry(record, 0, mbrType(entry.type), firstBlock - recordOf(i), blockCount, entry.bootable === true);
    if (i + 1 < drives.length) {
      const next = drives[i + 1];
      const length = next.firstBlock + next.blockCount - recordOf(i + 1);
      putMbrEntry(record, 1, 0x05, recordOf(i + 1) - extendedStart, length, false);
    }
    const error = device.writeBlock(recordOf(i), record);
    if (error < 0) return error;
  }
  return 0;
}

function mbrType(type: string = "linux"): number {
  const value = MBR_TYPES[type] ?? (/^0x[0-9a-f]{1,2}$/i.test(type) ? Number.parseInt(type, 16) : 0);
  if (value === 0)
    throw new RangeError(`"type" expected "0x83" or one of ${Object.keys(MBR_TYPES).join(", ")}, got "${type}"`);
  return value;
}

/** CHS addresses say "use LBA" (1023/254/63), as for everything beyond 8 GB. */
function putMbrEntry(
  sector: Uint8Array,
  index: number,
  type: number,
  first: number,
  count: number,
  active: boolean,
): void {
  const at = MBR_ENTRIES + index * 16;
  const view = new DataView(sector.buffer);
  sector.set([active ? 0x80 : 0, 0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff], at);
  view.setUint32(at + 8, first, true);
  view.setUint32(at + 12, count, true);
  putSignature(sector);
}

function putSignature(sector: Uint8Array): void {
  sector[MBR_SIGNATURE] = 0x55;
  sector[MBR_SIGNATURE + 1] = 0xaa;
}
