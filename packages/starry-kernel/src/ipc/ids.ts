/**
 * What System V shared memory, semaphores and message queues have in common (sysvipc(7)): keys, identifiers, owners.
 *
 * An identifier is slot + 32768 × sequence number, so that one left over from a removed object finds nothing.
 */
import { CAP_IPC_OWNER, CAP_SYS_ADMIN, EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOSPC, EPERM } from "linux-abi";
import type { Task } from "../task/task.ts";
import type { UserMemory } from "../user-memory.ts";

export const IPC_PRIVATE = 0;
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
export const IPC_NOWAIT = 0o4000;

export const IPC_RMID = 0;
export const IPC_SET = 1;
export const IPC_STAT = 2;
export const IPC_INFO = 3;

/** Slots of a table (IPCMNI). */
const SLOTS = 32768;
const SEQUENCES = 65536;
/** Fewer objects than slots may exist: SHMMNI, SEMMNI, MSGMNI. */
export const MAX_OBJECTS = 4096;

// struct ipc64_perm (asm-generic/ipcbuf.h)
const PERM_KEY = 0;
const PERM_UID = 4;
const PERM_GID = 8;
const PERM_CUID = 12;
const PERM_CGID = 16;
const PERM_MODE = 20;
const PERM_SEQ = 24;
/** sizeof(struct ipc64_perm) */
export const IPC_PERM_SIZE = 48;

export abstract class IpcObject {
  /** Set by the table. */
  id = 0;
  key: number;
  uid: number;
  gid: number;
  readonly creatorUid: number;
  readonly creatorGid: number;
  /** Permission bits and SHM_DEST. */
  mode: number;
  removed = false;
  /** Seconds since 1970 of the last change. */
  changedSec: number;

  constructor(task: Task, key: number, flags: number) {
    this.key = key;
    this.uid = task.cred.euid;
    this.gid = task.cred.egid;
    this.creatorUid = task.cred.euid;
    this.creatorGid = task.cred.egid;
    this.mode = flags & 0o777;
    this.changedSec = task.kernel.clock.realtimeSec();
  }

  get seq(): number {
    return Math.floor(this.id / SLOTS);
  }

  /** May `task` do what `wanted` says (permission bits, in any of the three places)? 0 or -EACCES. */
  permits(task: Task, wanted: number): number {
    const { cred } = task;
    const requested = ((wanted >> 6) | (wanted >> 3) | wanted) & 7;
    let granted = this.mode;
    if (cred.euid === this.uid || cred.euid === this.creatorUid) granted >>= 6;
    else if (inGroup(task, this.gid) || inGroup(task, this.creatorGid)) granted >>= 3;
    return (requested & ~granted) === 0 || cred.hasCapability(CAP_IPC_OWNER) ? 0 : -EACCES;
  }

  /** IPC_SET and IPC_RMID: the owner, the creator, or CAP_SYS_ADMIN. */
  mayControl(task: Task): number {
    const { euid } = task.cred;
    return euid === this.uid || euid === this.creatorUid || task.cred.hasCapability(CAP_SYS_ADMIN) ? 0 : -EPERM;
  }

  /** Owner and mode from the perm structure at the start of the scratch area. */
  setOwner(task: Task): void {
    const view = task.memory.scratch;
    this.uid = view.getUint32(PERM_UID, true);
    this.gid = view.getUint32(PERM_GID, true);
    this.mode = (this.mode & ~0o777) | (view.getUint32(PERM_MODE, true) & 0o777);
    this.changedSec = task.kernel.clock.realtimeSec();
  }

  /** The perm structure at the start of the scratch area. */
  putPermissions(memory: UserMemory): void {
    const view = memory.scratch;
    memory.scratchBytes.fill(0, 0, 128);
    view.setInt32(PERM_KEY, this.key, true);
    view.setUint32(PERM_UID, this.uid, true);
    view.setUint32(PERM_GID, this.gid, true);
    view.setUint32(PERM_CUID, this.creatorUid, true);
    view.setUint32(PERM_CGID, this.creatorGid, true);
    view.setUint32(PERM_MODE, this.mode, true);
    view.setUint16(PERM_SEQ, this.seq, true);
  }
}

function inGroup(task: Task, gid: number): boolean {
  return gid === task.cred.egid || task.cred.groups.includes(gid);
}

export class IpcTable<T extends IpcObject> {
  readonly #slots: (T | undefined)[] = [];
  readonly #keys: Map<number, T> = new Map();
  #sequence = 0;
  count = 0;

  /** shmget, semget, msgget. `fits` checks a found object: 0 or -errno. */
  open(task: Task, key: number, flags: number, make: () => T | number, fits: (found: T) => number): number {
    const found = key === IPC_PRIVATE ? undefined : this.#keys.get(key);
    if (found === undefined) {
      if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) return -ENOENT;
      const made = make();
      return typeof made === "number" ? made : this.#add(made);
    }
    if ((flags & (IPC_CREAT | IPC_EXCL)) === (IPC_CREAT | IPC_EXCL)) return -EEXIST;
    return found.permits(task, flags & 0o777) || fits(found) || found.id;
  }

  #add(object: T): number {
    if (this.count >= MAX_OBJECTS) return -ENOSPC;
    let slot = 0;
    while (this.#slots[slot] !== undefined) slot++;
    object.id = slot + SLOTS * this.#sequence;
    this.#sequence = (this.#sequence + 1) % (SEQUENCES / 2);
    this.#slots[slot] = object;
    if (object.key !== IPC_PRIVATE) this.#keys.set(object.key, object);
    this.count++;
    return object.id;
  }

  /** -EINVAL for an identifier that names nothing, -EIDRM for one that did. */
  find(id: number): T | number {
    if (id < 0) return -EINVAL;
    const object = this.#slots[id % SLOTS];
    if (object === undefined) return -EINVAL;
    return object.id === id ? object : -EIDRM;
  }

  /** SHM_STAT and its like: by slot. */
  at(slot: number): T | number {
    return this.#slots[slot] ?? -EINVAL;
  }

  /** The highest slot in use; 0 if there is none. */
  get highest(): number {
    for (let slot = this.#slots.length - 1; slot > 0; slot--) if (this.#slots[slot] !== undefined) return slot;
    return 0;
  }

  /** In order of slot. */
  all(): readonly T[] {
    return this.#slots.filter((object) => object !== undefined);
  }

  /** The key can be used again; the identifier still works (shared memory in use). */
  forgetKey(object: T): void {
    if (this.#keys.get(object.key) === object) this.#keys.delete(object.key);
    object.key = IPC_PRIVATE;
  }

  remove(object: T): void {
    const slot = object.id % SLOTS;
    if (this.#slots[slot] !== object) return;
    this.#slots[slot] = undefined;
    this.count--;
    if (this.#keys.get(object.key) === object) this.#keys.delete(object.key);
    object.removed = true;
  }
}

/** Writes a signed 64-bit number below 2^53 into the scratch area. */
export function putLong(memory: UserMemory, offset: number, value: number): void {
  memory.scratch.setUint32(offset, (value % 2 ** 32) >>> 0, true);
  memory.scratch.setInt32(offset + 4, Math.floor(value / 2 ** 32), true);
}
