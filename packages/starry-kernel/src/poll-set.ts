/**
 * Readiness list of a pollable kernel object: who wants to hear that something changed.
 *
 * Place: every object that can make somebody wait (pipe, tty, socket, eventfd, futex queue, child list ...) owns a
 * PollSet and calls `wake(events)` whenever it may have become ready. Waiting tasks and epoll instances are listeners.
 *
 * Rules:
 *  - A wake-up is a hint: the listener looks again (`file.poll()`, retry the operation). Spurious wakes are harmless.
 *  - Listeners may add or remove themselves and others from within `pollWake`.
 *  - An object that nobody waits on costs one null test per `wake` and holds no memory.
 */

/** Someone to tell. Tasks and epoll items implement it. */
export interface PollListener {
  /** `events` is a mask of POLL* bits that may now be set. */
  pollWake(events: number): void;
}

export class PollSet {
  // The oldest listener, and those that came later. Nearly all sets have one listener at most: then nothing is allocated.
  #first: PollListener | null = null;
  // A removed listener leaves null while a wake is in progress; compacted afterwards.
  #rest: (PollListener | null)[] | null = null;
  #waking = 0;

  /** Somebody listens. */
  get active(): boolean {
    return this.#first !== null || this.#rest !== null;
  }

  /** Adds a listener. A listener added twice is told twice and must be removed twice. */
  add(listener: PollListener): void {
    if (this.#rest !== null) this.#rest.push(listener);
    else if (this.#first === null) this.#first = listener;
    else this.#rest = [listener];
  }

  /** Removes one registration of `listener`; unknown listeners are ignored. */
  remove(listener: PollListener): void {
    if (this.#first === listener) {
      this.#first = null;
      return;
    }
    const list = this.#rest;
    if (list === null) return;
    const index = list.indexOf(listener);
    if (index < 0) return;
    if (this.#waking > 0) list[index] = null;
    else if (list.length === 1) this.#rest = null;
    else list.splice(index, 1);
  }

  /** Tells everyone who listens now, in order of arrival. Listeners added meanwhile are not told. */
  wake(events: number): void {
    const first = this.#first;
    const rest = this.#rest;
    if (rest === null) {
      if (first !== null) first.pollWake(events);
      return;
    }
    this.#waking++;
    const count = rest.length;
    if (first !== null) first.pollWake(events);
    for (let i = 0; i < count; i++) rest[i]?.pollWake(events);
    if (--this.#waking === 0) this.#compact(rest);
  }

  #compact(list: (PollListener | null)[]): void {
    let kept = 0;
    for (let i = 0; i < list.length; i++) {
      const listener = list[i] as PollListener | null;
      if (listener !== null) list[kept++] = listener;
    }
    list.length = kept;
    if (kept === 0) this.#rest = null;
  }
}
