/**
 * What quotactl(2) does with the quotas of one kind (users, groups or projects) of a mounted volume.
 *
 *   const users = fs.quotas("user");                     // undefined where the volume keeps none
 *   users?.set(1000, { byteLimit: { soft: 100 << 20, hard: 120 << 20 } });
 *   users?.enforce(true);
 */
import { EINVAL, EIO, ERANGE, EROFS } from "linux-abi";
import type { QuotaChanges, QuotaEntry, QuotaSource } from "vfs-inode";
import type { Volume } from "../volume.ts";
import { type Quota, QUOTA_KINDS, type QuotaKind } from "./quota.ts";
import type { QuotaFile, QuotaGrace } from "./quota-file.ts";

const MOST_GRACE = 2 ** 32 - 1;

export class QuotaControl implements QuotaSource {
  readonly kind: QuotaKind;
  readonly #volume: Volume;

  constructor(volume: Volume, kind: QuotaKind) {
    this.#volume = volume;
    this.kind = kind;
  }

  /** Whether limits are in force. */
  get enforced(): boolean {
    return this.#volume.quota?.isEnforced(QUOTA_KINDS.indexOf(this.kind)) === true;
  }

  /** Puts limits in force or out of it, until the volume is unmounted. 0, -EROFS, -EIO. */
  enforce(on: boolean): number {
    return this.#change((_file, quota) => (quota.enforce(QUOTA_KINDS.indexOf(this.kind), on) ? 0 : -EINVAL));
  }

  /** What an id has and may have, as of now; or -EROFS, -EUCLEAN, -EIO. */
  get(id: number): QuotaEntry | number {
    return this.#change((file) => file.entry(id) ?? emptyEntry(id));
  }

  /** As `get`, of the lowest id from `from` on that has an entry; -ENOENT behind the last one. */
  next(from: number): QuotaEntry | number {
    return this.#change((file) => {
      const id = file.next(from);
      return id < 0 ? id : (file.entry(id) ?? id);
    });
  }

  /** Sets limits and deadlines of an id. 0, -ERANGE for numbers that are none, -ENOSPC, -EROFS, -EUCLEAN, -EIO. */
  set(id: number, changes: QuotaChanges): number {
    const { inodeLimit, byteLimit, inodeDeadline, byteDeadline } = changes;
    const numbers = [inodeLimit?.soft, inodeLimit?.hard, byteLimit?.soft, byteLimit?.hard, inodeDeadline, byteDeadline];
    if (numbers.some((number) => number !== undefined && !(Number.isSafeInteger(number) && number >= 0)))
      return -ERANGE;
    return this.#change((file) => file.setLimits(id, changes, this.#volume.time.sec));
  }

  /** For how long soft limits may be exceeded; or -EROFS, -EIO. */
  grace(): QuotaGrace | number {
    return this.#change((file) => file.grace());
  }

  /** Sets times of grace. 0, -ERANGE, -EROFS, -EIO. */
  setGrace(grace: Partial<QuotaGrace>): number {
    for (const seconds of [grace.inodes, grace.bytes])
      if (seconds !== undefined && !(Number.isInteger(seconds) && seconds >= 0 && seconds <= MOST_GRACE))
        return -ERANGE;
    return this.#change((file) => file.setGrace(grace));
  }

  /** Runs something on the file, with everything booked. */
  #change<T>(work: (file: QuotaFile, quota: Quota) => T | number): T | number {
    const volume = this.#volume;
    const started = volume.begin();
    if (started < 0) return started;
    const { quota } = volume;
    const file = quota?.file(QUOTA_KINDS.indexOf(this.kind));
    if (quota === undefined || file === null || file === undefined) return volume.end(volume.readOnly ? -EROFS : -EIO);
    const booked = volume.bookQuota();
    return volume.end(booked < 0 ? booked : work(file, quota));
  }
}

function emptyEntry(id: number): QuotaEntry {
  const none = { soft: 0, hard: 0 };
  return { id, inodes: 0, bytes: 0, inodeLimit: none, byteLimit: none, inodeDeadline: 0, byteDeadline: 0 };
}
