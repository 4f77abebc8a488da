/**
 * What ppoll(2) and pselect6(2) share: look at a set of files, sleep until one of them is ready, the time is up or a signal comes.
 */
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { endTemporaryMask } from "../../io/temporary-mask.ts";
import { putTimespecNs } from "../../io/timespec.ts";
import type { PollSet } from "../../poll-set.ts";
import type { Task } from "../../task/task.ts";
import { ERESTARTNOHAND, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";

/** One call that may wait. */
export interface FileScan {
  /** Looks at all files again and returns how many are ready; remembers what it saw. */
  scan(task: Task): number;
  /** Stores what the last scan saw. Returns `ready` or -EFAULT. */
  report(task: Task, ready: number): number;
}

/** Files and the POLL* bits asked of each, gathered while scanning. */
export class WatchedFiles {
  readonly files: OpenFile[] = [];
  events: number = POLLERR | POLLHUP;

  /** Takes a reference. */
  add(file: OpenFile, events: number): void {
    this.files.push(file.get());
    // Whoever wakes may name only one of the twins.
    if ((events & (POLLIN | POLLRDNORM)) !== 0) this.events |= POLLIN | POLLRDNORM;
    if ((events & (POLLOUT | POLLWRNORM)) !== 0) this.events |= POLLOUT | POLLWRNORM;
    this.events |= events;
  }

  drop(): void {
    for (const file of this.files) file.put();
  }
}

/** The end of a call: gives the remaining time back and the signal mask. `timeoutAddr` 0: none was given. */
export function finishPoll(task: Task, result: number, timeoutAddr: number, deadlineNs: number): number {
  if (timeoutAddr !== 0 && deadlineNs > 0 && deadlineNs !== Number.POSITIVE_INFINITY) {
    putTimespecNs(task.memory, 0, Math.max(0, deadlineNs - task.kernel.clock.monotonicNs()));
    task.memory.store(timeoutAddr, 16); // a read-only timeout is not an error (Linux: poll_select_finish)
  }
  endTemporaryMask(task, result === -ERESTARTNOHAND);
  return result;
}

/** Sleeps. The first scan has found nothing. Woken by any of the files' poll sets. */
export function waitForFiles(
  channel: string,
  scan: FileScan,
  watched: WatchedFiles,
  timeoutAddr: number,
  deadlineNs: number,
): Wait {
  const sets: PollSet[] = watched.files.map((file) => file.pollSet);
  const wait = new Wait(
    channel,
    sets,
    (task, reason) => {
      const ready = scan.scan(task);
      if (ready === 0 && reason !== WAKE_TIMEOUT && reason !== WAKE_SIGNAL) return wait;
      let result = scan.report(task, ready);
      if (result === 0 && reason === WAKE_SIGNAL) result = -ERESTARTNOHAND;
      watched.drop();
      return finishPoll(task, result, timeoutAddr, deadlineNs);
    },
    deadlineNs,
    watched.events,
  );
  return wait;
}
