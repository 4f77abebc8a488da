/**
 * File locks: record locks of processes (fcntl F_SETLK) and of open files (F_OFD_SETLK), and flock(2). All advisory.
 *
 * Record locks of an owner form ranges that do not overlap; setting one carves its range out of the owner's others. The two families
 * do not see each other, as on Linux. Waiters retry whenever `released` is woken.
 */
import { F_RDLCK, F_UNLCK, F_WRLCK, LOCK_EX, LOCK_SH, POLLIN } from "linux-abi";
import type { VfsNode } from "vfs-inode";
import type { OpenFile } from "../file.ts";
import { PollSet } from "../poll-set.ts";

/** A process's descriptor table for F_SETLK, the open file for F_OFD_SETLK. */
export type LockOwner = object;

export interface RecordLock {
  /** F_RDLCK or F_WRLCK. */
  readonly type: number;
  /** Bytes [start, end); end may be Infinity. */
  readonly start: number;
  readonly end: number;
  readonly owner: LockOwner;
  /** For F_GETLK: the process, or −1 for an open file's lock. */
  readonly pid: number;
}

export class NodeLocks {
  /** Woken when a lock goes. */
  readonly released: PollSet = new PollSet();
  #records: RecordLock[] = [];
  readonly #flocks: Map<OpenFile, number> = new Map();

  get records(): readonly RecordLock[] {
    return this.#records;
  }

  get flocks(): ReadonlyMap<OpenFile, number> {
    return this.#flocks;
  }

  /** The first lock of somebody else that `wanted` conflicts with. */
  conflict(wanted: RecordLock): RecordLock | undefined {
    return this.#records.find(
      (held) =>
        held.owner !== wanted.owner &&
        held.start < wanted.end &&
        wanted.start < held.end &&
        (held.type === F_WRLCK || wanted.type === F_WRLCK),
    );
  }

  /** Sets (or with F_UNLCK clears) a range for its owner. The caller has looked for conflicts. */
  set(wanted: RecordLock): void {
    const kept: RecordLock[] = [];
    let { start, end } = wanted;
    for (const held of this.#records) {
      const sameOwner = held.owner === wanted.owner;
      // Neighbours of the same type merge.
      if (sameOwner && held.type === wanted.type && held.start <= end && start <= held.end) {
        start = Math.min(start, held.start);
        end = Math.max(end, held.end);
        continue;
      }
      if (!sameOwner || held.end <= wanted.start || held.start >= wanted.end) {
        kept.push(held);
        continue;
      }
      if (held.start < wanted.start) kept.push({ ...held, end: wanted.start });
      if (held.end > wanted.end) kept.push({ ...held, start: wanted.end });
    }
    if (wanted.type !== F_UNLCK) kept.push({ ...wanted, start, end });
    this.#records = kept;
    if (wanted.type !== F_WRLCK) this.released.wake(POLLIN);
  }

  /** flock(2): true if `file` now holds LOCK_SH or LOCK_EX. Changing the kind gives up the old lock first, as on Linux. */
  tryFlock(file: OpenFile, operation: number): boolean {
    const held = this.#flocks.get(file);
    if (held === operation) return true;
    if (held !== undefined) this.unlockFlock(file);
    for (const other of this.#flocks.values()) if (operation === LOCK_EX || other !== LOCK_SH) return false;
    this.#flocks.set(file, operation);
    return true;
  }

  unlockFlock(file: OpenFile): void {
    if (this.#flocks.delete(file)) this.released.wake(POLLIN);
  }

  #drop(owner: LockOwner): void {
    const before = this.#records.length;
    if (before === 0) return;
    this.#records = this.#records.filter((held) => held.owner !== owner);
    if (this.#records.length < before) this.released.wake(POLLIN);
  }

  /** A process closed a descriptor of the file: all its record locks go (fcntl(2)). */
  closePosix(owner: LockOwner): void {
    this.#drop(owner);
  }

  /** The open file is gone: its flock and its OFD locks go. */
  releaseFile(file: OpenFile): void {
    this.#drop(file);
    this.unlockFlock(file);
  }
}

/** The locks of a node if there ever were any. */
export function locksOf(node: VfsNode): NodeLocks | undefined {
  return (node.locks as NodeLocks | null) ?? undefined;
}

export function ensureLocks(node: VfsNode): NodeLocks {
  node.locks ??= new NodeLocks();
  return node.locks as NodeLocks;
}

/** l_type values that fcntl accepts. */
export function isLockType(type: number): boolean {
  return type === F_RDLCK || type === F_WRLCK || type === F_UNLCK;
}
