/**
 * Reading file data: each contiguous run of blocks is one device call, straight into the caller's buffer.
 */
import { EINVAL, EISDIR, ENOKEY, ENXIO } from "linux-abi";
import { readInline } from "./inline/inline-data.ts";
import { type CoreInode, EXT4_ENCRYPT_FL, EXT4_INLINE_DATA_FL } from "./inode.ts";
import { mapBlocks } from "./extents/map.ts";
import type { Volume } from "./volume.ts";

/**
 * Reads up to buf.length bytes at `offset`: the count, 0 at or beyond the end, -EISDIR, -ENOKEY (encrypted), -EUCLEAN, -EIO.
 *
 * Where the file ends inside a block and the buffer has room for the whole block, the block is read into the buffer
 * and the bytes behind the end are zeroed: a page-sized buffer never needs a copy.
 */
export function readFile(volume: Volume, inode: CoreInode, offset: number, buf: Uint8Array): number {
  if (inode.isDirectory) return -EISDIR;
  if (inode.hasFlag(EXT4_ENCRYPT_FL)) return -ENOKEY;
  volume.enter();
  return readData(volume, inode, offset, buf);
}

/** As `readFile`, for any inode that has data blocks. */
export function readData(volume: Volume, inode: CoreInode, offset: number, buf: Uint8Array): number {
  const map = volume.work.readMap;
  const size = inode.size;
  if (offset >= size || buf.length === 0) return 0;
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) return readSmall(volume, inode, offset, buf);
  const blockSize = volume.blockSize;
  const wanted = Math.min(buf.length, size - offset);
  let done = 0;
  while (done < wanted) {
    const position = offset + done;
    const within = position % blockSize;
    const fileBlock = (position - within) / blockSize;
    const error = mapBlocks(volume, inode, fileBlock, Math.ceil((within + wanted - done) / blockSize), map);
    if (error < 0) return done > 0 ? done : error;
    const available = map.count * blockSize - within;
    const count = Math.min(wanted - done, available);
    const moved =
      map.block === 0 || map.unwritten ? zero(buf, done, count) : readRun(volume, map.block, within, buf, done, count);
    if (moved < 0) return done > 0 ? done : moved;
    done += moved;
  }
  return done;
}

/** From the inode itself; the content may be shorter than the size. */
function readSmall(volume: Volume, inode: CoreInode, offset: number, buf: Uint8Array): number {
  const content = readInline(volume, inode);
  if (typeof content === "number") return content;
  const count = Math.min(buf.length, inode.size - offset);
  const part = content.subarray(offset, offset + count);
  buf.set(part);
  buf.fill(0, part.length, count);
  return count;
}

function zero(buf: Uint8Array, at: number, count: number): number {
  buf.fill(0, at, at + count);
  return count;
}

/** Reads bytes of one contiguous run; may give less than `count` (the caller comes back for the rest). */
function readRun(volume: Volume, block: number, within: number, buf: Uint8Array, at: number, count: number): number {
  const scratch = volume.work.block;
  const blockSize = volume.blockSize;
  if (within === 0) {
    const whole = count - (count % blockSize);
    const room = buf.length - at;
    const tail = count - whole; // the file ends in the next block
    const direct = tail > 0 && room >= whole + blockSize ? whole + blockSize : whole;
    if (direct > 0) {
      const error = volume.readFileBlocks(
        block,
        at === 0 && direct === buf.length ? buf : buf.subarray(at, at + direct),
      );
      if (error < 0) return error;
      if (direct > whole) buf.fill(0, at + count, at + direct);
      return Math.min(direct, count);
    }
  }
  const error = volume.readFileBlocks(block, scratch);
  if (error < 0) return error;
  const part = Math.min(count, blockSize - within);
  buf.set(scratch.subarray(within, within + part), at);
  return part;
}

/**
 * lseek's SEEK_DATA (`data`) and SEEK_HOLE: the first position at or behind `offset` that is data, or a hole (the end counts as
 * one). -ENXIO beyond the end or when there is no more data.
 */
export function seekData(volume: Volume, inode: CoreInode, offset: number, data: boolean): number {
  const map = volume.work.readMap;
  const size = inode.size;
  if (offset < 0) return -EINVAL;
  if (offset >= size) return -ENXIO;
  volume.enter();
  if (inode.hasFlag(EXT4_INLINE_DATA_FL)) return data ? offset : size;
  const blockSize = volume.blockSize;
  let position = offset;
  while (position < size) {
    const fileBlock = Math.floor(position / blockSize);
    const error = mapBlocks(volume, inode, fileBlock, Math.ceil(size / blockSize) - fileBlock, map);
    if (error < 0) return error;
    const isData = map.block !== 0 && !map.unwritten;
    if (isData === data) return position;
    position = (fileBlock + map.count) * blockSize;
  }
  return data ? -ENXIO : size;
}
