/** ppoll(2). */
import {
  EFAULT,
  EINVAL,
  POLLERR,
  POLLFD_EVENTS,
  POLLFD_FD,
  POLLFD_REVENTS,
  POLLFD_SIZE,
  POLLHUP,
  POLLNVAL,
  RLIMIT_NOFILE,
  SYS_ppoll,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { setTemporaryMask } from "../../io/temporary-mask.ts";
import { deadlineAfter, readTimespecNs } from "../../io/timespec.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, type Wait } from "../../wait.ts";
import { full, row, type SyscallRow } from "../row.ts";
import { type FileScan, finishPoll, WatchedFiles, waitForFiles } from "./wait-for-files.ts";

/** Calls with few descriptors that do not wait share these bytes: two views fewer to allocate. */
const SHARED_COUNT = 64;
const $bytes = new Uint8Array(SHARED_COUNT * POLLFD_SIZE);
const $view = new DataView($bytes.buffer);

/** One call's `struct pollfd` array. */
class PollFds implements FileScan {
  readonly #va: number;
  #bytes: Uint8Array = $bytes;
  #view: DataView = $view;
  readonly #count: number;
  // Per entry, while waiting; null until then: the descriptors are looked up afresh.
  #files: (OpenFile | undefined)[] | null = null;

  constructor(va: number, count: number) {
    this.#va = va;
    this.#count = count;
    if (count > SHARED_COUNT) this.#own(new Uint8Array(count * POLLFD_SIZE));
  }

  #own(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  load(task: Task): number {
    return this.#count === 0 ? 0 : task.memory.copyIn(this.#va, this.#bytes, 0, this.#count * POLLFD_SIZE);
  }

  scan(task: Task): number {
    const view = this.#view;
    let ready = 0;
    for (let i = 0; i < this.#count; i++) {
      const at = i * POLLFD_SIZE;
      const fd = view.getInt32(at + POLLFD_FD, true);
      let revents = 0;
      if (fd >= 0) {
        const file = this.#files === null ? task.files.get(fd) : this.#files[i];
        if (file === undefined) revents = POLLNVAL;
        else revents = file.poll(task) & (view.getUint16(at + POLLFD_EVENTS, true) | POLLERR | POLLHUP);
      }
      view.setUint16(at + POLLFD_REVENTS, revents, true);
      if (revents !== 0) ready++;
    }
    return ready;
  }

  /** Keeps the files for the wait: the descriptors may be closed meanwhile. */
  watch(task: Task): WatchedFiles {
    if (this.#bytes === $bytes) this.#own($bytes.slice(0, this.#count * POLLFD_SIZE));
    const watched = new WatchedFiles();
    const files: (OpenFile | undefined)[] = [];
    for (let i = 0; i < this.#count; i++) {
      const fd = this.#view.getInt32(i * POLLFD_SIZE + POLLFD_FD, true);
      const file = fd < 0 ? undefined : task.files.get(fd);
      files.push(file);
      if (file !== undefined) watched.add(file, this.#view.getUint16(i * POLLFD_SIZE + POLLFD_EVENTS, true));
    }
    this.#files = files;
    return watched;
  }

  report(task: Task, ready: number): number {
    for (let i = 0; i < this.#count; i++) {
      const at = i * POLLFD_SIZE + POLLFD_REVENTS;
      if (task.memory.writeU16(this.#va + at, this.#view.getUint16(at, true)) !== 0) return -EFAULT;
    }
    return ready;
  }
}

function sys_ppoll(
  task: Task,
  fdsAddr: number,
  count: number,
  timeoutAddr: number,
  maskAddr: number,
  maskBytes: number,
): number | Wait {
  let timeoutNs = NO_DEADLINE;
  if (timeoutAddr !== 0) {
    timeoutNs = readTimespecNs(task.memory, timeoutAddr);
    if (timeoutNs < 0) return timeoutNs;
  }
  if (count > (task.process.limits.soft[RLIMIT_NOFILE] as number)) return -EINVAL;
  const fds = new PollFds(fdsAddr, count);
  let error = fds.load(task);
  if (error !== 0) return error;
  error = setTemporaryMask(task, maskAddr, maskBytes);
  if (error !== 0) return error;
  const ready = fds.scan(task);
  const deadlineNs = timeoutNs === 0 ? 0 : deadlineAfter(task, timeoutNs);
  if (ready > 0 || timeoutNs === 0) return finishPoll(task, fds.report(task, ready), timeoutAddr, deadlineNs);
  return waitForFiles("poll", fds, fds.watch(task), timeoutAddr, deadlineNs);
}

export const PPOLL_CALLS: readonly SyscallRow[] = [
  row(SYS_ppoll, "ppoll", "fds:pollfds nfds:uint timeout:timespec sigmask:sigset sigsetsize:size", full, sys_ppoll),
];
