/**
 * Robust futexes: what a dying thread still held is marked FUTEX_OWNER_DIED and one waiter is woken (man 2 get_robust_list).
 *
 * The list is in the program's memory, so it may be nonsense: at most ROBUST_LIST_LIMIT entries are followed, a bad address ends it.
 */
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, ROBUST_LIST_LIMIT } from "linux-abi";
import type { Task } from "../task/task.ts";
import { futexKey } from "./key.ts";

// struct robust_list_head: list.next, futex_offset, list_op_pending
const HEAD_FUTEX_OFFSET = 8;
const HEAD_PENDING = 16;

export function releaseRobustList(task: Task): void {
  const head = task.robustList;
  task.robustList = 0;
  if (head === 0) return;
  const memory = task.memory;
  const offset = readSigned(task, head + HEAD_FUTEX_OFFSET);
  const pending = memory.readU64(head + HEAD_PENDING);
  let entry = memory.readU64(head);
  if (offset === undefined || pending < 0 || entry < 0) return;
  const pendingEntry = clearLowBit(pending);
  for (let count = 0; count < ROBUST_LIST_LIMIT && clearLowBit(entry) !== head; count++) {
    const at = clearLowBit(entry);
    const next = memory.readU64(at);
    if (at !== pendingEntry && !release(task, at + offset, false)) return;
    if (next < 0) return;
    entry = next;
  }
  if (pendingEntry !== 0) release(task, pendingEntry + offset, true);
}

/** Bit 0 marks a PI futex, which we treat like any other. */
function clearLowBit(entry: number): number {
  return entry - (entry % 2);
}

function readSigned(task: Task, va: number): number | undefined {
  if (task.memory.load(va, 8) !== 0) return undefined;
  const view = task.memory.scratch;
  return view.getInt32(4, true) * 4294967296 + view.getUint32(0, true);
}

function release(task: Task, va: number, pending: boolean): boolean {
  const word = task.memory.readU32(va);
  if (word < 0) return false;
  // An unlock that was cut short after the word was cleared: the wake-up is still owed.
  const owed = pending && word === 0;
  if (!owed && (word & FUTEX_TID_MASK) !== task.tid) return true;
  if (!owed) {
    const died = ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0;
    if (task.memory.writeU32(va, died) !== 0) return false;
    if ((word & FUTEX_WAITERS) === 0) return true;
  }
  for (const shared of [false, true]) {
    const key = futexKey(task.memory, va, shared);
    if (typeof key === "string" && task.kernel.futexes.wake(key, 1, -1) > 0) break;
  }
  return true;
}
