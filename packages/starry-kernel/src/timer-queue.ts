/**
 * Everything in the kernel that happens at a time: one binary heap on the monotonic clock.
 *
 * Sleeping tasks, timerfds, POSIX timers and TCP retransmission all use it. A Timer object belongs to its owner and can
 * be armed again and again without allocation. Callbacks run from the kernel's main step, never from within `arm`.
 */

export class Timer {
  /** Absolute, monotonic ns; meaningful while armed. */
  deadlineNs = 0;
  /** Position in the heap, −1 when not armed. Kept by TimerQueue. */
  index = -1;
  readonly expire: (nowNs: number) => void;

  /** `expire` runs once per arming, with the current monotonic time, when the deadline has passed. */
  constructor(expire: (nowNs: number) => void) {
    this.expire = expire;
  }

  get armed(): boolean {
    return this.index >= 0;
  }
}

export class TimerQueue {
  #heap: Timer[] = [];

  /** Earliest deadline in ns, or Infinity. */
  get nextNs(): number {
    const first = this.#heap[0];
    return first === undefined ? Number.POSITIVE_INFINITY : first.deadlineNs;
  }

  /** (Re)arms. Infinity disarms. */
  arm(timer: Timer, deadlineNs: number): void {
    if (deadlineNs === Number.POSITIVE_INFINITY) {
      this.disarm(timer);
      return;
    }
    const wasAt = timer.index;
    timer.deadlineNs = deadlineNs;
    if (wasAt < 0) {
      timer.index = this.#heap.length;
      this.#heap.push(timer);
      this.#up(timer.index);
    } else {
      this.#up(wasAt);
      this.#down(timer.index);
    }
  }

  disarm(timer: Timer): void {
    const at = timer.index;
    if (at < 0) return;
    timer.index = -1;
    const last = this.#heap.pop() as Timer;
    if (last === timer) return;
    this.#heap[at] = last;
    last.index = at;
    this.#up(at);
    this.#down(last.index);
  }

  /** Runs every timer whose deadline is ≤ nowNs. Timers armed meanwhile run too if they are due. */
  runDue(nowNs: number): void {
    // A timer that re-arms itself in the past must not keep the kernel here for ever.
    for (let budget = 10_000; budget > 0; budget--) {
      const first = this.#heap[0];
      if (first === undefined || first.deadlineNs > nowNs) return;
      this.disarm(first);
      first.expire(nowNs);
    }
  }

  #up(index: number): void {
    const heap = this.#heap;
    const timer = heap[index] as Timer;
    let at = index;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Timer;
      if (parent.deadlineNs <= timer.deadlineNs) break;
      heap[at] = parent;
      parent.index = at;
      at = above;
    }
    heap[at] = timer;
    timer.index = at;
  }

  #down(index: number): void {
    const heap = this.#heap;
    const timer = heap[index] as Timer;
    let at = index;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.deadlineNs < (heap[child] as Timer).deadlineNs) child++;
      const lower = heap[child] as Timer;
      if (lower.deadlineNs >= timer.deadlineNs) break;
      heap[at] = lower;
      lower.index = at;
      at = child;
    }
    heap[at] = timer;
    timer.index = at;
  }
}
