/**
 * A System V semaphore set (semget(2)).
 *
 * The operations of one semop take effect together or not at all. SEM_UNDO adjustments belong to the process and are applied when it ends
 * (`Process.exitEvents`).
 *
 * Woken (`events`): by every change of a value, by the set's removal.
 */
import { EAGAIN, EFBIG, ERANGE } from "linux-abi";
import { type PollListener, PollSet } from "../poll-set.ts";
import type { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";
import { IPC_NOWAIT, IpcObject } from "./ids.ts";

/** SEMVMX */
export const SEMAPHORE_MAX = 32767;
export const SEM_UNDO = 0x1000;

/** One struct sembuf. */
export interface SemaphoreOperation {
  readonly index: number;
  readonly change: number;
  readonly flags: number;
}

/** The operation would have to wait. */
export const MUST_WAIT = 1;

export class SemaphoreSet extends IpcObject {
  readonly values: Int32Array;
  /** Process that last operated on each. */
  readonly lastPids: Int32Array;
  readonly events: PollSet = new PollSet();
  /** Waiting operations: [index, waits for zero]. */
  readonly waiting: Set<readonly [number, boolean]> = new Set();
  operatedSec = 0;
  readonly #undo: Map<Process, UndoOnExit> = new Map();

  constructor(task: Task, key: number, count: number, flags: number) {
    super(task, key, flags);
    this.values = new Int32Array(count);
    this.lastPids = new Int32Array(count);
  }

  /** All or nothing. 0, MUST_WAIT (`blocker` names the operation), -EAGAIN, -EFBIG, -ERANGE. */
  operate(task: Task, operations: readonly SemaphoreOperation[]): number {
    const before = this.values.slice();
    for (let i = 0; i < operations.length; i++) {
      const { index, change, flags } = operations[i] as SemaphoreOperation;
      if (index >= this.values.length) return this.#revert(before, -EFBIG);
      const value = (this.values[index] as number) + change;
      if (change === 0 ? value !== 0 : value < 0) {
        this.blocker = i;
        return this.#revert(before, (flags & IPC_NOWAIT) !== 0 ? -EAGAIN : MUST_WAIT);
      }
      if (value > SEMAPHORE_MAX) return this.#revert(before, -ERANGE);
      this.values[index] = value;
    }
    this.#commit(task, operations);
    return 0;
  }

  /** Which operation made the last `operate` wait. */
  blocker = 0;

  #revert(before: Int32Array, result: number): number {
    this.values.set(before);
    return result;
  }

  #commit(task: Task, operations: readonly SemaphoreOperation[]): void {
    let changed = false;
    for (const { index, change, flags } of operations) {
      this.lastPids[index] = task.process.pid;
      if (change !== 0) changed = true;
      if ((flags & SEM_UNDO) !== 0) this.#undoFor(task.process).adjust(index, -change);
    }
    this.operatedSec = task.kernel.clock.realtimeSec();
    if (changed) this.changed();
  }

  /** A value has changed. */
  changed(): void {
    this.events.wake(0xffff);
  }

  /** SETVAL and SETALL cancel adjustments. */
  forgetUndo(index: number): void {
    for (const undo of this.#undo.values()) undo.adjustments[index] = 0;
  }

  #undoFor(process: Process): UndoOnExit {
    let undo = this.#undo.get(process);
    if (undo === undefined) {
      undo = new UndoOnExit(this, process);
      this.#undo.set(process, undo);
      process.exitEvents.add(undo);
    }
    return undo;
  }

  /** The process has ended. */
  applyUndo(undo: UndoOnExit): void {
    this.#undo.delete(undo.process);
    if (this.removed) return;
    for (let i = 0; i < this.values.length; i++) {
      const value = (this.values[i] as number) + (undo.adjustments[i] as number);
      if (undo.adjustments[i] !== 0) this.lastPids[i] = undo.process.pid;
      this.values[i] = Math.max(0, Math.min(SEMAPHORE_MAX, value));
    }
    this.changed();
  }

  /** How many wait for semaphore `index` to grow, or to become zero. */
  waiters(index: number, forZero: boolean): number {
    let count = 0;
    for (const [i, zero] of this.waiting) if (i === index && zero === forZero) count++;
    return count;
  }
}

class UndoOnExit implements PollListener {
  readonly set: SemaphoreSet;
  readonly process: Process;
  readonly adjustments: Int32Array;

  constructor(set: SemaphoreSet, process: Process) {
    this.set = set;
    this.process = process;
    this.adjustments = new Int32Array(set.values.length);
  }

  adjust(index: number, by: number): void {
    this.adjustments[index] = (this.adjustments[index] as number) + by;
  }

  pollWake(): void {
    this.process.exitEvents.remove(this);
    this.set.applyUndo(this);
  }
}
