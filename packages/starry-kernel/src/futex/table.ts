/**
 * Futexes: queues of tasks by the address of a word (man 2 futex).
 *
 * A private futex is keyed by (address space, address), a shared one by the frame that holds the word, which all processes that
 * map it agree on. Keys are strings of numbers: cheap enough, since a futex call means somebody waits or is about to.
 *
 * Waiters are plain objects in arrival order; waking marks them and wakes their task through its own PollSet.
 */
import { PollSet } from "../poll-set.ts";

export class FutexWaiter {
  key: string;
  readonly bitset: number;
  readonly wakeup: PollSet = new PollSet();
  /** Set by `wake`: the wait is over. */
  woken = false;

  constructor(key: string, bitset: number) {
    this.key = key;
    this.bitset = bitset;
  }
}

export class FutexTable {
  readonly #queues: Map<string, FutexWaiter[]> = new Map();

  enqueue(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key);
    if (queue === undefined) this.#queues.set(waiter.key, [waiter]);
    else queue.push(waiter);
  }

  /** A waiter gives up (timeout, signal). */
  remove(waiter: FutexWaiter): void {
    const queue = this.#queues.get(waiter.key);
    if (queue === undefined) return;
    const index = queue.indexOf(waiter);
    if (index >= 0) queue.splice(index, 1);
    if (queue.length === 0) this.#queues.delete(waiter.key);
  }

  /** Wakes up to `count` waiters whose bit set meets `bitset`; returns how many. */
  wake(key: string, count: number, bitset: number): number {
    const queue = this.#queues.get(key);
    if (queue === undefined) return 0;
    let woken = 0;
    for (let i = 0; i < queue.length && woken < count; ) {
      const waiter = queue[i] as FutexWaiter;
      if ((waiter.bitset & bitset) === 0) {
        i++;
        continue;
      }
      queue.splice(i, 1);
      waiter.woken = true;
      waiter.wakeup.wake(1);
      woken++;
    }
    if (queue.length === 0) this.#queues.delete(key);
    return woken;
  }

  /** Moves up to `count` waiters from one key to another without waking them; returns how many. */
  requeue(from: string, to: string, count: number): number {
    const queue = this.#queues.get(from);
    if (queue === undefined || from === to) return 0;
    const moved = queue.splice(0, count);
    if (queue.length === 0) this.#queues.delete(from);
    for (const waiter of moved) {
      waiter.key = to;
      this.enqueue(waiter);
    }
    return moved.length;
  }

  /** Tasks waiting anywhere. */
  get waiting(): number {
    let count = 0;
    for (const queue of this.#queues.values()) count += queue.length;
    return count;
  }
}
