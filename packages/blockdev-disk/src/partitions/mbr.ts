/**
 * Master boot record: four primary entries at 0x1BE, and logical drives as a chain of extended boot records.
 *
 * An entry: [0] active 0x80 · [4] type · [8] u32 first sector · [12] u32 sector count. In an EBR the first entry is the
 * logical drive, relative to that EBR; the second points to the next EBR, relative to the extended partition's start.
 */
import type { BlockDevice } from "../block-device.ts";
import type { Partition } from "./table.ts";

const ENTRIES = 0x1be;
const ENTRY_SIZE = 16;
const SIGNATURE = 0x1fe;
const TYPE_GPT_PROTECTIVE = 0xee;
const MAX_LOGICAL = 128;

export interface MbrResult {
  readonly protective: boolean;
  readonly partitions: Partition[];
}

interface Entry {
  readonly active: number;
  readonly type: number;
  readonly first: number;
  readonly count: number;
}

/** `undefined` when `sector` holds no MBR; -errno on a device error. */
export function readMbr(device: BlockDevice, sector: Uint8Array, problems: string[]): MbrResult | undefined | number {
  if (!looksLikeMbr(sector)) return undefined;
  const blockCount = device.size / device.blockSize;
  const partitions: Partition[] = [];
  let protective = false;
  let extended: Entry | undefined;
  for (let i = 0; i < 4; i++) {
    const entry = readEntry(sector, i);
    if (entry.type === 0 || entry.count === 0) continue;
    if (entry.type === TYPE_GPT_PROTECTIVE) protective = true;
    else if (isExtended(entry.type)) extended ??= entry;
    addPartition(partitions, entry, i + 1, 0, blockCount, problems);
  }
  if (extended !== undefined && !protective) {
    const error = readLogical(device, extended, partitions, problems);
    if (error < 0) return error;
  }
  return { protective, partitions };
}

function readLogical(device: BlockDevice, extended: Entry, partitions: Partition[], problems: string[]): number {
  const blockCount = device.size / device.blockSize;
  const sector = new Uint8Array(device.blockSize);
  let at = extended.first;
  for (let number = 5; number < 5 + MAX_LOGICAL; number++) {
    if (at >= blockCount) {
      problems.push(`extended boot record ${number} lies beyond the disk`);
      return 0;
    }
    const error = device.readBlock(at, sector);
    if (error < 0) return error;
    if (sector[SIGNATURE] !== 0x55 || sector[SIGNATURE + 1] !== 0xaa) {
      problems.push(`extended boot record at ${at} has no signature`);
      return 0;
    }
    const drive = readEntry(sector, 0);
    if (drive.type !== 0 && drive.count !== 0) addPartition(partitions, drive, number, at, blockCount, problems);
    const next = readEntry(sector, 1);
    if (!isExtended(next.type) || next.count === 0) return 0;
    at = extended.first + next.first;
  }
  problems.push("chain of extended boot records does not end");
  return 0;
}

function addPartition(
  out: Partition[],
  entry: Entry,
  number: number,
  base: number,
  blockCount: number,
  problems: string[],
): void {
  const firstBlock = base + entry.first;
  if (firstBlock + entry.count > blockCount) {
    if (entry.type !== TYPE_GPT_PROTECTIVE) problems.push(`partition ${number} reaches beyond the disk`);
    return;
  }
  const type = `0x${entry.type.toString(16).padStart(2, "0")}`;
  out.push({ number, firstBlock, blockCount: entry.count, type, name: "", guid: "", bootable: entry.active === 0x80 });
}

/** A boot sector of a FAT or NTFS file system has the signature too, but no valid active flags. */
function looksLikeMbr(sector: Uint8Array): boolean {
  if (sector[SIGNATURE] !== 0x55 || sector[SIGNATURE + 1] !== 0xaa) return false;
  for (let i = 0; i < 4; i++) if ((sector[ENTRIES + i * ENTRY_SIZE] & 0x7f) !== 0) return false;
  return true;
}

function readEntry(sector: Uint8Array, index: number): Entry {
  const view = new DataView(sector.buffer, sector.byteOffset + ENTRIES + index * ENTRY_SIZE, ENTRY_SIZE);
  return {
    active: view.getUint8(0),
    type: view.getUint8(4),
    first: view.getUint32(8, true),
    count: view.getUint32(12, true),
  };
}

function isExtended(type: number): boolean {
  return type === 0x05 || type === 0x0f || type === 0x85;
}
