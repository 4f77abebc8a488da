/**
 * ext4 as a file system of the VFS.
 *
 *   const fs = Ext4FileSystem.mount(device, { now });   // or Ext4Error, for a kernel's mount(2)
 *   const fs = new Ext4FileSystem(disk);                // throws the Ext4Error, as the seed's constructor panics
 */
import { type BlockDevice, Disk } from "blockdev-disk";
import { EINVAL, EIO } from "linux-abi";
import type { FileSystem, FileSystemStatus } from "vfs-inode";
import { Ext4Error } from "../errors.ts";
import { closeVolume, openVolume, setReadOnly } from "../mount.ts";
import { mountOptionsText } from "../mount-options.ts";
import { PathInode } from "../path-inode.ts";
import { QuotaControl } from "../quota/control.ts";
import { QUOTA_KINDS, type QuotaKind } from "../quota/quota.ts";
import { volumeStatus } from "../statfs.ts";
import { type GrowOptions, growVolume } from "../resize/online.ts";
import type { ResizeReport } from "../resize/plan.ts";
import { EXT4_ROOT_INO } from "../superblock.ts";
import { trimVolume } from "../trim.ts";
import { Volume, type VolumeOptions } from "../volume.ts";
import { Ext4Inode } from "./inode.ts";

export interface Ext4Options extends VolumeOptions {
  /** st_dev of the files, in new_encode_dev form. Default 0. */
  readonly deviceNumber?: number;
}

export class Ext4FileSystem implements FileSystem {
  readonly type: string = "ext4";
  readonly deviceNumber: number;
  readonly cacheable: boolean = true;
  readonly usesPageCache: boolean = true;
  /** The state below, for the tools of this package. */
  readonly volume: Volume;
  readonly #root: Ext4Inode;

  /** @throws Ext4Error when the volume cannot be mounted. */
  constructor(source: Disk | BlockDevice | Volume, options: Ext4Options = {}) {
    const volume =
      source instanceof Volume ? source : openVolume(source instanceof Disk ? source.device : source, options);
    if (volume instanceof Ext4Error) throw volume;
    const root = volume.inode(EXT4_ROOT_INO);
    if (typeof root === "number")
      throw new Ext4Error("corrupt", "the root inode cannot be read", { inode: EXT4_ROOT_INO });
    this.volume = volume;
    this.deviceNumber = options.deviceNumber ?? 0;
    volume.ref(root); // the mount itself uses it
    this.#root = Ext4Inode.of(this, volume, root);
  }

  /** Mounts without throwing: the error as a value. */
  static mount(device: BlockDevice, options: Ext4Options = {}): Ext4FileSystem | Ext4Error {
    const volume = openVolume(device, options);
    return volume instanceof Ext4Error ? volume : new Ext4FileSystem(volume, options);
  }

  get readOnly(): boolean {
    return this.volume.readOnly;
  }

  root(): Ext4Inode {
    return this.#root;
  }

  /** The seed's face of the root directory, which takes paths. */
  rootDir(): PathInode {
    return new PathInode(this, "/");
  }

  statfs(): FileSystemStatus {
    return volumeStatus(this.volume);
  }

  /** Commits and writes everything to its home. 0 or -errno. */
  sync(): number {
    return this.volume.mounted ? this.volume.sync(true) : -EIO;
  }

  mountOptions(): string {
    return mountOptionsText(this.volume.options);
  }

  /** fstrim(8): discards free space in runs of at least `minByteLength` bytes. Bytes discarded, or -errno. */
  trim(start: number = 0, byteLength: number = Number.MAX_SAFE_INTEGER, minByteLength: number = 0): number {
    return this.volume.mounted ? trimVolume(this.volume, start, byteLength, minByteLength) : -EIO;
  }

  /**
   * Grows the mounted volume to the size of its device, or to `blocks`, as resize2fs does: see `growVolume`.
   * @throws RangeError, Ext4Error
   */
  grow(options: GrowOptions = {}): ResizeReport {
    return growVolume(this.volume, options);
  }

  /** EXT4_IOC_RESIZE_FS: as `grow`. 0 or -errno, and the reason in the log. */
  resize(blocks: number): number {
    try {
      growVolume(this.volume, { blocks });
      return 0;
    } catch (error) {
      if (!(error instanceof Ext4Error)) return -EINVAL; // no number of blocks
      this.volume.log(`resize: ${error.message}`);
      return -error.errno;
    }
  }

  /** Quotas of users, groups or projects; undefined where the volume keeps none, or is not written to. */
  quotas(kind: QuotaKind): QuotaControl | undefined {
    const file = this.volume.quota?.file(QUOTA_KINDS.indexOf(kind)) ?? null;
    return file === null ? undefined : new QuotaControl(this.volume, kind);
  }

  remount(readOnly: boolean): number {
    return this.volume.mounted ? setReadOnly(this.volume, readOnly) : -EIO;
  }

  unmount(): number {
    return closeVolume(this.volume);
  }

  [Symbol.dispose](): void {
    this.unmount();
  }
}
