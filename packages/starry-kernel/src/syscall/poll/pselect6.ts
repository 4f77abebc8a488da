/** pselect6(2): descriptor sets as bit maps of 64-bit words. */
import {
  EBADF,
  EFAULT,
  EINVAL,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
  SYS_pselect6,
} from "linux-abi";
import type { OpenFile } from "../../file.ts";
import { setTemporaryMask } from "../../io/temporary-mask.ts";
import { deadlineAfter, readTimespecNs } from "../../io/timespec.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, type Wait } from "../../wait.ts";
import { full, row, type SyscallRow } from "../row.ts";
import { type FileScan, finishPoll, WatchedFiles, waitForFiles } from "./wait-for-files.ts";

// What makes a descriptor readable, writable, exceptional (Linux: fs/select.c POLLIN_SET ...).
const EVENTS = [
  POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
  POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR,
  POLLPRI,
] as const;
const SETS = 3;

class Selection implements FileScan {
  readonly #addresses: readonly number[];
  readonly #bytesPerSet: number;
  /** Asked and found: three bit maps each, one behind the other. */
  readonly #asked: Uint8Array;
  readonly #found: Uint8Array;
  // Descriptors in any set, their files, and which sets (bit s for set s).
  readonly #fds: number[] = [];
  readonly #files: OpenFile[] = [];
  readonly #wanted: number[] = [];

  constructor(count: number, addresses: readonly number[]) {
    this.#addresses = addresses;
    this.#bytesPerSet = Math.ceil(count / 64) * 8;
    this.#asked = new Uint8Array(this.#bytesPerSet * SETS);
    this.#found = new Uint8Array(this.#bytesPerSet * SETS);
  }

  /** Reads the sets and finds the files. 0, -EFAULT, -EBADF. */
  load(task: Task, count: number): number {
    const size = this.#bytesPerSet;
    for (let s = 0; s < SETS; s++) {
      const va = this.#addresses[s] as number;
      if (va !== 0 && size > 0 && task.memory.copyIn(va, this.#asked, s * size, size) !== 0) return -EFAULT;
    }
    for (let fd = 0; fd < count; fd++) {
      let wanted = 0;
      for (let s = 0; s < SETS; s++) wanted |= (((this.#asked[s * size + (fd >> 3)] as number) >> (fd & 7)) & 1) << s;
      if (wanted === 0) continue;
      const file = task.files.get(fd);
      if (file === undefined) return -EBADF;
      this.#fds.push(fd);
      this.#files.push(file);
      this.#wanted.push(wanted);
    }
    return 0;
  }

  watch(): WatchedFiles {
    const watched = new WatchedFiles();
    for (let i = 0; i < this.#files.length; i++) {
      let events = 0;
      for (let s = 0; s < SETS; s++) if (((this.#wanted[i] as number) >> s) & 1) events |= EVENTS[s] as number;
      watched.add(this.#files[i] as OpenFile, events);
    }
    return watched;
  }

  scan(task: Task): number {
    const size = this.#bytesPerSet;
    this.#found.fill(0);
    let ready = 0;
    for (let i = 0; i < this.#files.length; i++) {
      const fd = this.#fds[i] as number;
      const events = (this.#files[i] as OpenFile).poll(task);
      for (let s = 0; s < SETS; s++) {
        if ((((this.#wanted[i] as number) >> s) & 1) === 0 || (events & (EVENTS[s] as number)) === 0) continue;
        const at = s * size + (fd >> 3);
        this.#found[at] = (this.#found[at] as number) | (1 << (fd & 7));
        ready++;
      }
    }
    return ready;
  }

  report(task: Task, ready: number): number {
    const size = this.#bytesPerSet;
    for (let s = 0; s < SETS; s++) {
      const va = this.#addresses[s] as number;
      if (va !== 0 && size > 0 && task.memory.copyOut(va, this.#found, s * size, size) !== 0) return -EFAULT;
    }
    return ready;
  }
}

function sys_pselect6(
  task: Task,
  givenCount: number,
  readAddr: number,
  writeAddr: number,
  exceptAddr: number,
  timeoutAddr: number,
  sigAddr: number,
): number | Wait {
  let maskAddr = 0;
  let maskBytes = 0;
  if (sigAddr !== 0) {
    // struct { const sigset_t *ss; size_t ss_len; }
    maskAddr = task.memory.readU64(sigAddr);
    maskBytes = task.memory.readU64(sigAddr + 8);
    if (maskAddr < 0 || maskBytes < 0) return -EFAULT;
  }
  let timeoutNs = NO_DEADLINE;
  if (timeoutAddr !== 0) {
    timeoutNs = readTimespecNs(task.memory, timeoutAddr);
    if (timeoutNs < 0) return timeoutNs;
  }
  if (givenCount < 0) return -EINVAL;
  // Bits beyond the descriptor table are ignored, as Linux does (its table holds at least 64).
  const count = Math.min(givenCount, Math.max(64, Math.ceil(task.files.length / 64) * 64));
  const selection = new Selection(count, [readAddr, writeAddr, exceptAddr]);
  let error = setTemporaryMask(task, maskAddr, maskBytes);
  if (error !== 0) return error;
  error = selection.load(task, count);
  if (error !== 0) return finishPoll(task, error, 0, 0);
  const ready = selection.scan(task);
  const deadlineNs = timeoutNs === 0 ? 0 : deadlineAfter(task, timeoutNs);
  if (ready > 0 || timeoutNs === 0) {
    return finishPoll(task, selection.report(task, ready), timeoutAddr, deadlineNs);
  }
  return waitForFiles("select", selection, selection.watch(), timeoutAddr, deadlineNs);
}

export const PSELECT_CALLS: readonly SyscallRow[] = [
  row(
    SYS_pselect6,
    "pselect6",
    "nfds:int readfds:fd_set writefds:fd_set exceptfds:fd_set timeout:timespec sigmask:ptr",
    full,
    sys_pselect6,
  ),
];
