/**
 * Keeping the quota files true (feature quota): for each user, group and project how many inodes and bytes they have.
 *
 * Each inode in memory remembers for whom and for how much it is booked. Before the running transaction commits, the difference to
 * what it is now goes into the quota files, as part of the same transaction: after a crash files and quota agree. Limits are kept
 * but not enforced, as on Linux without the mount options usrquota, grpquota, prjquota.
 */
import { ENOSPC, EUCLEAN } from "linux-abi";
import { EXT4_FEATURE_RO_COMPAT_QUOTA } from "../features.ts";
import { type CoreInode, EXT4_EA_INODE_FL } from "../inode.ts";
import { projectOf } from "../inode-flags.ts";
import {
  EXT4_ROOT_INO,
  S_GRP_QUOTA_INUM,
  S_ORPHAN_FILE_INUM,
  S_PRJ_QUOTA_INUM,
  S_USR_QUOTA_INUM,
} from "../superblock.ts";
import type { Volume } from "../volume.ts";
import { QuotaFile } from "./quota-file.ts";

/** For whom an inode counts: ids by kind (user, group, project). */
interface Booking {
  readonly ids: readonly number[];
  readonly bytes: number;
}

const INUMS: readonly number[] = [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM];

export class Quota {
  readonly #volume: Volume;
  /** By kind; null where the volume has no such file. */
  readonly #files: readonly (QuotaFile | null)[];
  readonly #exempt: ReadonlySet<number>;
  readonly #booked = new WeakMap<CoreInode, Booking>();

  constructor(volume: Volume, files: readonly (QuotaFile | null)[]) {
    this.#volume = volume;
    this.#files = files;
    const exempt = files.flatMap((file) => (file === null ? [] : [file.inode.ino]));
    this.#exempt = new Set([...exempt, volume.superblock.u32(S_ORPHAN_FILE_INUM)]);
  }

  file(kind: 0 | 1 | 2): QuotaFile | null {
    return this.#files[kind];
  }

  /** Notes an inode as it comes from the medium: what it is now is booked already. */
  loaded(inode: CoreInode): void {
    const booking = this.#current(inode);
    if (booking !== undefined) this.#booked.set(inode, booking);
  }

  /** Takes inodes for new ones: nothing of them is booked. */
  forget(inodes: readonly CoreInode[]): void {
    for (const inode of inodes) this.#booked.delete(inode);
  }

  #current(inode: CoreInode): Booking | undefined {
    const reserved = inode.ino < this.#volume.geometry.firstInode && inode.ino !== EXT4_ROOT_INO;
    if (reserved || inode.deleted || this.#exempt.has(inode.ino) || inode.hasFlag(EXT4_EA_INODE_FL)) return undefined;
    if (inode.mode === 0) return undefined;
    return {
      ids: [inode.uid, inode.gid, projectOf(this.#volume, inode)],
      bytes: inode.blocks512(this.#volume.blockSize) * 512,
    };
  }

  /**
   * Makes sure that whom something is about to count for has an entry, so that booking it later cannot fail for want of space.
   * `ids`: user, group, project. Within an operation. 0, -ENOSPC, -EUCLEAN, -EIO.
   */
  prepare(ids: readonly number[]): number {
    for (const [kind, file] of this.#files.entries()) {
      const error = file === null ? 0 : file.add(ids[kind], 0, 0);
      if (error < 0) return error;
    }
    return 0;
  }

  /** Books what has changed in `inodes` from index `from` on. Within a transaction. 0, -EUCLEAN, -EIO. */
  settle(inodes: readonly CoreInode[], from: number): number {
    const count = inodes.length; // the quota files' own inodes may join the list
    for (let i = from; i < count; i++) {
      const inode = inodes[i];
      const before = this.#booked.get(inode);
      const after = this.#current(inode);
      if (before === undefined && after === undefined) continue;
      if (after === undefined) this.#booked.delete(inode);
      else this.#booked.set(inode, after);
      for (const [kind, file] of this.#files.entries()) {
        if (file === null) continue;
        const error = book(file, before?.ids[kind], before?.bytes ?? 0, after?.ids[kind], after?.bytes ?? 0);
        if (error === -ENOSPC) return this.#volume.corrupt("no room to note the use of quota", file.inode.ino, 0);
        if (error < 0) return error;
      }
    }
    return 0;
  }
}

function book(
  file: QuotaFile,
  oldId: number | undefined,
  oldBytes: number,
  newId: number | undefined,
  newBytes: number,
): number {
  if (oldId === newId) return oldBytes === newBytes ? 0 : file.add(oldId as number, 0, newBytes - oldBytes);
  const error = oldId === undefined ? 0 : file.add(oldId, -1, -oldBytes);
  return error < 0 || newId === undefined ? error : file.add(newId, 1, newBytes);
}

/** The quota files of a volume that is about to be written; undefined without the feature; or -EUCLEAN, -EIO. */
export function openQuota(volume: Volume): Quota | undefined | number {
  const sb = volume.superblock;
  if (!sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_QUOTA)) return undefined;
  const files: (QuotaFile | null)[] = [];
  for (const [kind, field] of INUMS.entries()) {
    const ino = sb.u32(field);
    if (ino === 0) {
      files.push(null);
      continue;
    }
    const inode = volume.inode(ino);
    if (typeof inode === "number") return -EUCLEAN;
    volume.ref(inode);
    const file = new QuotaFile(volume, inode);
    const error = file.check(kind);
    if (error < 0) return error;
    files.push(file);
  }
  const quota = new Quota(volume, files);
  for (const inode of volume.inodes.all()) quota.loaded(inode);
  return quota;
}
