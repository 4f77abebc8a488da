/** System V IPC and POSIX message queues for a kernel: each kernel has its own tables. */
import type { Kernel } from "../kernel.ts";
import { messageQueueCalls } from "../syscall/ipc/message-queues.ts";
import { posixQueueCalls } from "../syscall/ipc/posix-queues.ts";
import { semaphoreCalls } from "../syscall/ipc/semaphores.ts";
import { sharedMemoryCalls } from "../syscall/ipc/shared-memory.ts";

export function installIpc(kernel: Kernel): void {
  for (const calls of [sharedMemoryCalls, semaphoreCalls, messageQueueCalls, posixQueueCalls])
    kernel.addSyscalls(calls());
}
