/**
 * The embedded root file system: an ext4 image that this package carries, built from the workspace's own programs.
 *
 * It is kept as a saved overlay over an empty disk (blockdev-disk's OverlayDisk), so only blocks in use take space.
 */
import { type BlockDevice, MemoryDisk, OverlayDisk } from "blockdev-disk";

/** Offset of the disk's size in a saved overlay. */
const SIZE_OFFSET = 16;

/** A disk with the content of `image` (the file `starry-machine/root.img`); what the guest writes stays in memory. */
export function embeddedRoot(image: Uint8Array): BlockDevice {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const size = Number(view.getBigUint64(SIZE_OFFSET, true));
  // Two layers, so that `image` itself stays as it is.
  return new OverlayDisk(OverlayDisk.load(new MemoryDisk(size), image));
}
