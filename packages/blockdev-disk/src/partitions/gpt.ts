/**
 * GUID partition table (UEFI 2.10 §5.3): header in block 1 with a CRC-32 of itself and of the entry array, and a backup
 * of both at the end of the disk, used when the first one does not check out.
 */
import type { BlockDevice } from "../block-device.ts";
import { crc32 } from "./crc32.ts";
import { readGuid, ZERO_GUID } from "./guid.ts";
import type { Partition } from "./table.ts";

const SIGNATURE = "EFI PART";
const MIN_HEADER_SIZE = 92;
const MAX_ENTRIES_BYTES = 1 << 20;

/** `undefined` when neither header is valid; -errno on a device error. */
export function readGpt(device: BlockDevice, problems: string[]): Partition[] | undefined | number {
  const last = device.size / device.blockSize - 1;
  const primary = readCopy(device, 1, "primary", problems);
  if (primary !== undefined) return primary;
  const backup = readCopy(device, last, "backup", problems);
  if (Array.isArray(backup)) problems.push("primary GPT is damaged, using the backup");
  return backup;
}

function readCopy(
  device: BlockDevice,
  at: number,
  which: string,
  problems: string[],
): Partition[] | undefined | number {
  const blockSize = device.blockSize;
  if (at < 1 || (at + 1) * blockSize > device.size) return undefined;
  const block = new Uint8Array(blockSize);
  let error = device.readBlock(at, block);
  if (error < 0) return error;
  const view = new DataView(block.buffer);
  if (String.fromCharCode(...block.subarray(0, 8)) !== SIGNATURE) return undefined;
  const headerSize = view.getUint32(12, true);
  if (headerSize < MIN_HEADER_SIZE || headerSize > blockSize) {
    problems.push(`${which} GPT header has size ${headerSize}`);
    return undefined;
  }
  const storedCrc = view.getUint32(16, true);
  view.setUint32(16, 0, true);
  if (crc32(block.subarray(0, headerSize)) !== storedCrc || Number(view.getBigUint64(24, true)) !== at) {
    problems.push(`${which} GPT header checksum is wrong`);
    return undefined;
  }
  const entriesAt = Number(view.getBigUint64(72, true));
  const count = view.getUint32(80, true);
  const entrySize = view.getUint32(84, true);
  const byteLength = count * entrySize;
  const readLength = Math.ceil(byteLength / blockSize) * blockSize;
  if (
    entrySize < 128 ||
    byteLength === 0 ||
    byteLength > MAX_ENTRIES_BYTES ||
    entriesAt * blockSize + readLength > device.size
  ) {
    problems.push(`${which} GPT entry array is out of bounds`);
    return undefined;
  }
  const entries = new Uint8Array(readLength);
  error = device.readBlock(entriesAt, entries);
  if (error < 0) return error;
  if (crc32(entries.subarray(0, byteLength)) !== view.getUint32(88, true)) {
    problems.push(`${which} GPT entry array checksum is wrong`);
    return undefined;
  }
  const partitions: Partition[] = [];
  for (let i = 0; i < count; i++) {
    const partition = readEntry(new DataView(entries.buffer, i * entrySize, entrySize), i + 1);
    if (partition === undefined) continue;
    if (partition.blockCount > 0 && (partition.firstBlock + partition.blockCount) * blockSize <= device.size)
      partitions.push(partition);
    else problems.push(`partition ${partition.number} reaches beyond the disk`);
  }
  return partitions;
}

function readEntry(view: DataView, number: number): Partition | undefined {
  const type = readGuid(view, 0);
  if (type === ZERO_GUID) return undefined;
  const firstBlock = Number(view.getBigUint64(32, true));
  const lastBlock = Number(view.getBigUint64(40, true));
  let name = "";
  for (let at = 56; at < 128; at += 2) {
    const unit = view.getUint16(at, true);
    if (unit === 0) break;
    name += String.fromCharCode(unit);
  }
  const bootable = (view.getUint8(48) & 4) !== 0;
  return { number, firstBlock, blockCount: lastBlock - firstBlock + 1, type, name, guid: readGuid(view, 16), bootable };
}
