/**
 * A disk in the browser's origin-private file system, through a sync access handle, which only a dedicated Worker can have:
 *
 *   const root = await navigator.storage.getDirectory();
 *   const file = await root.getFileHandle("disk.img", { create: true });
 *   const disk = new OpfsDisk(await file.createSyncAccessHandle());
 */
import { type BlockDevice, checkTransfer, checkWrite, SECTOR_SIZE } from "../block-device.ts";
import { EIO, ENOSPC } from "../errno.ts";

/** What this backend uses of the platform's FileSystemSyncAccessHandle. */
export interface SyncAccessHandle {
  read(buffer: Uint8Array, options: { at: number }): number;
  write(buffer: Uint8Array, options: { at: number }): number;
  getSize(): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

export interface OpfsDiskOptions {
  /** Writes answer -EROFS. Default false. */
  readonly readOnly?: boolean;
  /** Grow the file to this many bytes (multiple of 512). Default: its size, rounded down to 512. */
  readonly size?: number;
}

export class OpfsDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number = SECTOR_SIZE;
  readonly readOnly: boolean;
  readonly #handle: SyncAccessHandle;

  constructor(handle: SyncAccessHandle, options: OpfsDiskOptions = {}) {
    const { readOnly = false, size } = options;
    if (size !== undefined && (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_SIZE !== 0)) {
      throw new RangeError(`"size" expected positive multiple of ${SECTOR_SIZE}, got ${size}`);
    }
    const current = handle.getSize();
    if (size !== undefined && size > current && !readOnly) handle.truncate(size);
    this.#handle = handle;
    this.readOnly = readOnly;
    this.size = size ?? current - (current % SECTOR_SIZE);
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = checkTransfer(this, blockId, buf.length);
    if (error !== 0) return error;
    try {
      const count = this.#handle.read(buf, { at: blockId * SECTOR_SIZE });
      if (count < buf.length) buf.fill(0, count);
      return 0;
    } catch {
      return -EIO;
    }
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const error = checkWrite(this, blockId, buf.length);
    if (error !== 0) return error;
    try {
      return this.#handle.write(buf, { at: blockId * SECTOR_SIZE }) === buf.length ? 0 : -ENOSPC;
    } catch (reason) {
      return (reason as { name?: string }).name === "QuotaExceededError" ? -ENOSPC : -EIO;
    }
  }

  flush(): number {
    try {
      this.#handle.flush();
      return 0;
    } catch {
      return -EIO;
    }
  }

  /** Closes the handle; later transfers answer -EIO. */
  close(): void {
    this.#handle.close();
  }
}
