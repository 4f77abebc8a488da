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
  // A removed listener leaves null while a wake is in progress; compacted afterwards.
  #listeners: (PollListener | null)[] | null = null;
  #waking = 0;

  /** Somebody listens. */
  get active(): boolean {
    return this.#listeners !== null;
  }

  /** Adds a listener. A listener added twice is told twice and must be removed twice. */
  add(listener: PollListener): void {
    if (this.#listeners === null) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  /** Removes one registration of `listener`; unknown listeners are ignored. */
  remove(listener: PollListener): void {
    const list = this.#listeners;
    if (list === null) return;
    const index = list.indexOf(listener);
    if (index < 0) return;
    if (this.#waking > 0) list[index] = null;
    else if (list.length === 1) this.#listeners = null;
    else list.splice(index, 1);
  }

  /** Tells everyone who listens now, in order of arrival. Listeners added meanwhile are not told. */
  wake(events: number): void {
    const list = this.#listeners;
    if (list === null) return;
    this.#waking++;
    const count = list.length;
    for (let i = 0; i < count; i++) list[i]?.pollWake(events);
    if (--this.#waking === 0) this.#compact(list);
  }

  #compact(list: (PollListener | null)[]): void {
    let kept = 0;
    for (let i = 0; i < list.length; i++) {
      const listener = list[i] as PollListener | null;
      if (listener !== null) list[kept++] = listener;
    }
    list.length = kept;
    if (kept === 0) this.#listeners = null;
  }
}
