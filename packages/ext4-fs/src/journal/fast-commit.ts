/**
 * Fast commits (feature fast_commit): behind the last full transaction the journal's tail may hold records of what changed since,
 * each fsync's worth closed by a checksum. Here they are found and checked; fast-commit-replay.ts carries them out.
 *
 *   tag u16 · len u16 · value         HEAD {features u32, tid u32} begins, TAIL {tid u32, crc u32} ends a commit and fills its block
 *
 * All little endian, unlike the rest of the journal. (fs/ext4/fast_commit.h)
 */
import { crc32c } from "../checksum/crc32c.ts";
import type { JournalLog } from "./log.ts";

export const FC_TAG_ADD_RANGE = 1;
export const FC_TAG_DEL_RANGE = 2;
export const FC_TAG_CREAT = 3;
export const FC_TAG_LINK = 4;
export const FC_TAG_UNLINK = 5;
export const FC_TAG_INODE = 6;
export const FC_TAG_PAD = 7;
export const FC_TAG_TAIL = 8;
export const FC_TAG_HEAD = 9;
const TAG_HEADER = 4;

/** One change to carry out. */
export interface FastRecord {
  readonly tag: number;
  readonly value: Uint8Array;
}

/** The records of all complete fast commits behind transaction `sequence` − 1; none when there are none, or the first is damaged. */
export function readFastCommits(log: JournalLog, sequence: number): FastRecord[] | number {
  const blocks = log.fastCommitBlocks;
  const found: FastRecord[] = [];
  if (blocks === 0) return found;
  const pending: FastRecord[] = []; // of a commit whose tail has not come yet
  const data = new Uint8Array(log.volume.blockSize);
  const view = new DataView(data.buffer);
  let crc = 0;
  for (let block = log.end + 1; block < log.end + blocks; block++) {
    const error = log.read(block, data);
    if (error < 0) return error;
    for (let at = 0; at + TAG_HEADER < data.length; ) {
      const tag = view.getUint16(at, true);
      const length = view.getUint16(at + 2, true);
      const value = at + TAG_HEADER;
      const end = value + length;
      if (end > data.length) return found;
      if (tag === FC_TAG_HEAD) {
        const fits = length >= 8 && view.getUint32(value, true) === 0 && view.getUint32(value + 4, true) === sequence;
        if (!fits) return found;
        crc = crc32c(crc, data, at, end);
      } else if (tag === FC_TAG_TAIL) {
        const sum = crc32c(crc, data, at, value + 4);
        if (length < 8 || view.getUint32(value, true) !== sequence || view.getUint32(value + 4, true) !== sum)
          return found;
        found.push(...pending);
        pending.length = 0;
        crc = 0;
      } else if (tag >= FC_TAG_ADD_RANGE && tag <= FC_TAG_PAD) {
        crc = crc32c(crc, data, at, end);
        if (tag !== FC_TAG_PAD) pending.push({ tag, value: data.slice(value, end) });
      } else {
        return found;
      }
      at = end;
    }
  }
  return found;
}
