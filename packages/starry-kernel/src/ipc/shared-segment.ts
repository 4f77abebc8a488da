/**
 * A System V shared memory segment (shmget(2)): shared pages that outlive their mappings until they are removed.
 *
 * Every mapping (also one that fork copied or mprotect split) counts as an attachment, as in Linux.
 */
import type { Kernel } from "../kernel.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { SharedMemory } from "../mm/shared-memory.ts";
import type { Task } from "../task/task.ts";
import { IpcObject, type IpcTable } from "./ids.ts";

/** The segment goes when the last mapping does. */
export const SHM_DEST = 0o1000;
export const SHM_LOCKED = 0o2000;

export class SharedSegment extends IpcObject {
  readonly byteLength: number;
  readonly memory: SegmentMemory;
  readonly #table: IpcTable<SharedSegment>;
  readonly #kernel: Kernel;
  attachments = 0;
  readonly creatorPid: number;
  lastPid = 0;
  attachedSec = 0;
  detachedSec = 0;

  constructor(task: Task, table: IpcTable<SharedSegment>, key: number, byteLength: number, flags: number) {
    super(task, key, flags);
    this.byteLength = byteLength;
    this.#table = table;
    this.#kernel = task.kernel;
    this.creatorPid = task.process.pid;
    this.memory = new SegmentMemory(this, task.kernel, Math.ceil(byteLength / PAGE_SIZE));
  }

  #touch(): number {
    this.lastPid = this.#kernel.scheduler.current?.process.pid ?? this.lastPid;
    return this.#kernel.clock.realtimeSec();
  }

  attached(): void {
    this.attachments++;
    this.attachedSec = this.#touch();
  }

  detached(): void {
    this.attachments--;
    this.detachedSec = this.#touch();
    if (this.attachments === 0 && (this.mode & SHM_DEST) !== 0) this.#destroy();
  }

  /** IPC_RMID. */
  markRemoved(): void {
    if ((this.mode & SHM_DEST) !== 0) return;
    this.mode |= SHM_DEST;
    this.#table.forgetKey(this);
    if (this.attachments === 0) this.#destroy();
  }

  #destroy(): void {
    this.#table.remove(this);
    this.memory.giveUp();
  }
}

/** The pages, and whom to tell about mappings. */
export class SegmentMemory extends SharedMemory {
  readonly segment: SharedSegment;

  constructor(segment: SharedSegment, kernel: Kernel, pageCount: number) {
    super(kernel.memory, kernel.nextObjectId(), pageCount);
    this.segment = segment;
    super.retain(); // the segment's own, until it is removed
  }

  override retain(): void {
    super.retain();
    this.segment.attached();
  }

  override release(): void {
    super.release();
    this.segment.detached();
  }

  giveUp(): void {
    super.release();
  }
}
