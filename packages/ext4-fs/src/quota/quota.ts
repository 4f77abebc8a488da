/**
 * Keeping the quota files true (feature quota): for each user, group and project how many inodes and bytes they have.
 *
 * Each inode in memory remembers for whom and for how much it is booked. Before the running transaction commits, the difference to
 * what it is now goes into the quota files, as part of the same transaction: after a crash files and quota agree.
 *
 * Limits are in force for the kinds that the mount options name (as in Linux: usrquota, grpquota, prjquota), or that `enforce` turns
 * on. Then every new inode, run of blocks and change of owner is asked for (`admit`, `allowance`, `admitMove`). What is asked is booked
 * before the next question, so that the answer is exact to the cluster; only a map's own blocks are let through unasked, since a
 * change that is half done could not do without.
 */
import { EDQUOT, ENOSPC, EUCLEAN } from "linux-abi";
import { EXT4_FEATURE_INCOMPAT_EA_INODE, EXT4_FEATURE_RO_COMPAT_QUOTA } from "../features.ts";
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
import { valueInodesOf } from "../xattr/store.ts";
import { QuotaFile, type QuotaRoom } from "./quota-file.ts";

/** What quotas are kept for; by number, as in the superblock and in quotactl(2). */
export type QuotaKind = "user" | "group" | "project";
export const QUOTA_KINDS: readonly QuotaKind[] = ["user", "group", "project"];

/** For whom an inode counts: ids by kind. */
interface Booking {
  readonly ids: readonly number[];
  /** 1, and one for each attribute value that is in an inode of its own. */
  readonly inodes: number;
  readonly bytes: number;
}

const INUMS: readonly number[] = [S_USR_QUOTA_INUM, S_GRP_QUOTA_INUM, S_PRJ_QUOTA_INUM];
const $room: QuotaRoom = { inodes: 0, bytes: 0 }; // scratch

export class Quota {
  readonly #volume: Volume;
  /** By kind; null where the volume has no such file. */
  readonly #files: readonly (QuotaFile | null)[];
  readonly #exempt: ReadonlySet<number>;
  readonly #booked = new WeakMap<CoreInode, Booking>();
  /** By kind: limits are in force. */
  readonly #enforced: boolean[];
  readonly #hasValueInodes: boolean;
  /** For what was asked last: what it got is not booked yet. */
  #asked: CoreInode | undefined = undefined;

  constructor(volume: Volume, files: readonly (QuotaFile | null)[], enforced: readonly QuotaKind[]) {
    this.#volume = volume;
    this.#files = files;
    const exempt = files.flatMap((file) => (file === null ? [] : [file.inode.ino]));
    this.#exempt = new Set([...exempt, volume.superblock.u32(S_ORPHAN_FILE_INUM)]);
    this.#enforced = QUOTA_KINDS.map((kind, i) => files[i] !== null && enforced.includes(kind));
    this.#hasValueInodes = volume.superblock.hasIncompat(EXT4_FEATURE_INCOMPAT_EA_INODE);
  }

  /** The file of a kind (0 user, 1 group, 2 project). */
  file(kind: number): QuotaFile | null {
    return this.#files[kind] ?? null;
  }

  /** Whether limits of a kind are in force. */
  isEnforced(kind: number): boolean {
    return this.#enforced[kind] === true;
  }

  /** Puts limits of a kind in force, or out of it. False where the volume has no quotas of this kind. */
  enforce(kind: number, on: boolean): boolean {
    if (this.file(kind) === null) return false;
    this.#enforced[kind] = on;
    return true;
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

  #counts(inode: CoreInode): boolean {
    const reserved = inode.ino < this.#volume.geometry.firstInode && inode.ino !== EXT4_ROOT_INO;
    if (reserved || inode.deleted || this.#exempt.has(inode.ino) || inode.hasFlag(EXT4_EA_INODE_FL)) return false;
    return inode.mode !== 0;
  }

  #current(inode: CoreInode): Booking | undefined {
    if (!this.#counts(inode)) return undefined;
    return {
      ids: this.#idsOf(inode),
      inodes: 1 + (this.#hasValueInodes ? valueInodesOf(this.#volume, inode) : 0),
      bytes: inode.blocks512(this.#volume.blockSize) * 512,
    };
  }

  #idsOf(inode: CoreInode): readonly [number, number, number] {
    return [inode.uid, inode.gid, projectOf(this.#volume, inode)];
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

  // ---- limits ----

  #limits(): boolean {
    const [users, groups, projects] = this.#enforced;
    return (users || groups || projects) && this.#volume.options.mayExceedQuota?.() !== true;
  }

  /** Whether `ids` may have so much more: 0, -EDQUOT, -EUCLEAN, -EIO. Within an operation. */
  admit(ids: readonly number[], inodes: number, bytes: number): number {
    if (!this.#limits()) return 0;
    let error = this.#bookAsked();
    if (error === 0) error = this.#fits(ids, inodes, bytes);
    if (error !== -EDQUOT) return error;
    // What was freed may not be booked yet.
    error = this.#volume.bookQuota();
    return error < 0 ? error : this.#fits(ids, inodes, bytes);
  }

  #fits(ids: readonly number[], inodes: number, bytes: number): number {
    const error = this.#roomFor(ids);
    if (error < 0) return error;
    return $room.inodes < inodes || $room.bytes < bytes ? -EDQUOT : 0;
  }

  /** As `admit`, for something that the owners of `inode` are to have. */
  admitTo(inode: CoreInode, inodes: number, bytes: number): number {
    const error = this.#counts(inode) ? this.admit(this.#idsOf(inode), inodes, bytes) : 0;
    this.asked(inode);
    return error;
  }

  /** Whether `inode` may go over to other ids: 0, -EDQUOT, -EUCLEAN, -EIO. Within an operation. */
  admitMove(inode: CoreInode, ids: readonly number[]): number {
    const now = this.#current(inode);
    if (now === undefined) return 0;
    const gained = ids.map((id, kind) => (id === now.ids[kind] ? -1 : id));
    const error = this.admit(gained, now.inodes, now.bytes);
    this.asked(inode);
    return error;
  }

  /** Notes that `inode` is about to have more, or is new: it is booked before the next question. */
  asked(inode: CoreInode): void {
    this.#asked = inode;
  }

  /** Of `wanted` blocks those that `inode` may be given, in whole clusters: 0 when there is no room for any; or -errno. Within an operation. */
  allowance(inode: CoreInode, wanted: number): number {
    if (!this.#limits() || !this.#counts(inode)) return wanted;
    const ids = this.#idsOf(inode);
    let error = this.#bookAsked();
    if (error === 0) error = this.#roomFor(ids);
    if (error === 0 && $room.bytes < wanted * this.#volume.blockSize) {
      error = this.#volume.bookQuota();
      if (error === 0) error = this.#roomFor(ids);
    }
    if (error < 0) return error;
    this.asked(inode);
    const { clusterSize } = this.#volume.geometry;
    return Math.min(wanted, Math.floor($room.bytes / clusterSize) * this.#volume.clusterBlocks);
  }

  #bookAsked(): number {
    const asked = this.#asked;
    this.#asked = undefined;
    return asked === undefined ? 0 : this.settle([asked], 0);
  }

  /** The least room that any of `ids` (-1: not that kind) has, into `$room`. */
  #roomFor(ids: readonly number[]): number {
    let inodes = Number.POSITIVE_INFINITY;
    let bytes = Number.POSITIVE_INFINITY;
    for (const [kind, file] of this.#files.entries()) {
      if (file === null || !this.#enforced[kind] || ids[kind] < 0) continue;
      const error = file.room(ids[kind], this.#volume.time.sec, $room);
      if (error < 0) return error;
      inodes = Math.min(inodes, $room.inodes);
      bytes = Math.min(bytes, $room.bytes);
    }
    $room.inodes = inodes;
    $room.bytes = bytes;
    return 0;
  }

  // ---- booking ----

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
        const error = book(file, kind, before, after, this.#enforced[kind] ? this.#volume.time.sec : -1);
        if (error === -ENOSPC) return this.#volume.corrupt("no room to note the use of quota", file.inode.ino, 0);
        if (error < 0) return error;
      }
    }
    return 0;
  }
}

function book(
  file: QuotaFile,
  kind: number,
  before: Booking | undefined,
  after: Booking | undefined,
  now: number,
): number {
  if (before !== undefined && after !== undefined && before.ids[kind] === after.ids[kind]) {
    const inodes = after.inodes - before.inodes;
    const bytes = after.bytes - before.bytes;
    return inodes === 0 && bytes === 0 ? 0 : file.add(after.ids[kind], inodes, bytes, now);
  }
  const error = before === undefined ? 0 : file.add(before.ids[kind], -before.inodes, -before.bytes, now);
  return error < 0 || after === undefined ? error : file.add(after.ids[kind], after.inodes, after.bytes, now);
}

/** The quota files of a volume that is about to be written; undefined without the feature; or -EUCLEAN, -EIO. */
export function openQuota(volume: Volume, enforced: readonly QuotaKind[]): Quota | undefined | number {
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
  const quota = new Quota(volume, files, enforced);
  for (const inode of volume.inodes.all()) quota.loaded(inode);
  return quota;
}
