/**
 * What a mapping gets its pages from: a file's page cache, a shared anonymous object, a device's memory.
 *
 * Place: declared by mm, implemented by the VFS adapter (src/fs) and by mm/shared-memory.ts. Frames are physical page
 * numbers (paddr / 4096) of the kernel's frame allocator and are reference counted: `page` hands out a reference that the
 * mapping drops with FrameAllocator.put. MAP_SHARED mappings map the very frame; private ones copy it on write.
 *
 * One object per file: its identity is the key of the reverse map (mm/reverse-map.ts), by which truncate and write-back reach
 * all mappings of the file.
 */
export interface PageSource {
  /**
   * Physical page number of page `index` (file offset / 4096), with a reference for the caller, or
   * -EFAULT beyond the end (SIGBUS), -EIO, -ENOMEM, -ENOSPC.
   * `forWriting`: a shared mapping is about to store into it (allocate the block, make it dirty). Called again for
   * the first store after the page was write-protected (ReverseMap.writeProtect).
   */
  page(index: number, forWriting: boolean): number;
  /** As `page` for reading, but −1 unless the page is at hand without I/O: used to map neighbours of a fault. Optional. */
  peek?(index: number): number;
  /** msync(MS_SYNC) of a byte range. 0 or -errno. */
  sync(offset: number, byteLength: number): number;
  /** Inode number for /proc/PID/maps, 0 if there is none. */
  readonly ino: number;
  /** st_dev, `new_encode_dev` form. */
  readonly deviceNumber: number;
  /** One more mapping / one less, for sources that nothing else keeps alive. */
  retain?(): void;
  release?(): void;
}
