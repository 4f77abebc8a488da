/** Pipes, poll, epoll, eventfd, timerfd and signalfd for a kernel. */
import type { Kernel } from "../kernel.ts";
import { EVENT_FILE_CALLS } from "../syscall/io/event-files.ts";
import { PIPE_CALLS } from "../syscall/io/pipe.ts";
import { EPOLL_CALLS } from "../syscall/poll/epoll.ts";
import { PPOLL_CALLS } from "../syscall/poll/ppoll.ts";
import { PSELECT_CALLS } from "../syscall/poll/pselect6.ts";

export function installIo(kernel: Kernel): void {
  for (const calls of [PIPE_CALLS, EVENT_FILE_CALLS, PPOLL_CALLS, PSELECT_CALLS, EPOLL_CALLS])
    kernel.addSyscalls(calls);
}
