/**
 * Attribute values in inodes of their own (feature ea_inode): what is too large for the inode and its attribute block, up to 64 KiB.
 *
 * Such an inode has EXT4_EA_INODE_FL, no name, a reference count (i_ctime and l_i_version) and, in i_atime, the checksum of its
 * content. An entry names it in e_value_inum. Nothing is shared by us, but what was shared by others is counted.
 */
import { ENOSPC, S_IFREG } from "linux-abi";
import { allocateInode } from "../allocator/inodes.ts";
import { crc32c } from "../checksum/crc32c.ts";
import { initFileMap } from "../file-map.ts";
import { readData } from "../file-read.ts";
import { writeData } from "../file-write.ts";
import { type CoreInode, EXT4_EA_INODE_FL, I_ATIME, I_CTIME, I_VERSION_LO } from "../inode.ts";
import { addOrphan, deleteInode, removeOrphan } from "../orphan.ts";
import type { Volume } from "../volume.ts";

function open(volume: Volume, ino: number): CoreInode | number {
  const inode = ino < volume.geometry.firstInode ? -1 : volume.inode(ino);
  const usable = typeof inode !== "number" && inode.isRegular && inode.hasFlag(EXT4_EA_INODE_FL);
  return usable ? inode : volume.corrupt(`inode ${ino} is no attribute value`, ino, 0);
}

/** The value in inode `ino`, `size` bytes; or -EUCLEAN, -EIO. */
export function readValueInode(volume: Volume, ino: number, size: number): Uint8Array | number {
  const inode = open(volume, ino);
  if (typeof inode === "number") return inode;
  if (inode.size !== size || size > 65536)
    return volume.corrupt(`attribute value of ${inode.size} bytes instead of ${size}`, ino, 0);
  const value = new Uint8Array(size);
  const count = readData(volume, inode, 0, value);
  if (count < 0) return count;
  return count === size && valueHash(volume, value) === inode.view.getUint32(I_ATIME, true)
    ? value
    : volume.corrupt("attribute value has a wrong checksum", ino, 0);
}

/** The word that stands for such a value in the hash of its entry. */
export function valueHash(volume: Volume, value: Uint8Array): number {
  return crc32c(volume.csumSeed, value);
}

/** Puts a value into a new inode, with one reference. Within an operation. Its number, or -ENOSPC, -EIO, -EUCLEAN. */
export function createValueInode(volume: Volume, owner: CoreInode, value: Uint8Array): number {
  const inode = allocateInode(volume, owner, false);
  if (typeof inode === "number") return inode;
  inode.mode = S_IFREG | 0o600;
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  inode.flags = EXT4_EA_INODE_FL;
  initFileMap(volume, inode);
  for (const which of ["mtime", "crtime"] as const) inode.writeTime(which, volume.time.sec, volume.time.nsec);
  // Its blocks may take more than one transaction: until they are all there, a crash must free it.
  let error = addOrphan(volume, inode);
  const written = error < 0 ? error : writeData(volume, inode, 0, value);
  error = written < 0 ? written : written < value.length ? -ENOSPC : removeOrphan(volume, inode);
  if (error < 0) {
    const undone = deleteInode(volume, inode);
    return undone < 0 ? undone : error;
  }
  inode.links = 1;
  inode.view.setUint32(I_ATIME, valueHash(volume, value), true);
  inode.view.setUint32(I_CTIME, 0, true);
  inode.view.setUint32(I_VERSION_LO, 1, true);
  error = volume.dirtyInode(inode);
  return error < 0 ? error : inode.ino;
}

/** Counts a reference more (`by` 1) or less (-1); the last one frees the inode. Within an operation. */
export function countValueInode(volume: Volume, ino: number, by: 1 | -1): number {
  const inode = open(volume, ino);
  if (typeof inode === "number") return inode;
  const count = inode.view.getUint32(I_VERSION_LO, true) + by;
  inode.view.setUint32(I_VERSION_LO, Math.max(0, count), true);
  if (count > 0) return volume.dirtyInode(inode);
  inode.links = 0;
  const error = volume.dirtyInode(inode);
  return error < 0 ? error : deleteInode(volume, inode);
}
