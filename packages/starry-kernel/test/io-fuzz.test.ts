/**
 * Random arguments for every call of pipes, polling, sockets and IPC: the kernel answers with a number or a wait, never with an
 * exception, and afterwards everything can be closed.
 */
import { expect, test } from "vitest";
import { sharedMemoryCalls } from "../src/syscall/ipc/shared-memory.ts";
import { messageQueueCalls } from "../src/syscall/ipc/message-queues.ts";
import { posixQueueCalls } from "../src/syscall/ipc/posix-queues.ts";
import { semaphoreCalls } from "../src/syscall/ipc/semaphores.ts";
import { EVENT_FILE_CALLS } from "../src/syscall/io/event-files.ts";
import { PIPE_CALLS } from "../src/syscall/io/pipe.ts";
import { MESSAGE_CALLS } from "../src/syscall/net/messages.ts";
import { SOCKET_OPTION_CALLS } from "../src/syscall/net/options.ts";
import { SOCKET_CALLS } from "../src/syscall/net/socket.ts";
import { EPOLL_CALLS } from "../src/syscall/poll/epoll.ts";
import { PPOLL_CALLS } from "../src/syscall/poll/ppoll.ts";
import { PSELECT_CALLS } from "../src/syscall/poll/pselect6.ts";
import { ARGUMENT_TYPES, WIDTH_I32, WIDTH_I64, WIDTH_U32 } from "../src/syscall/argument-types.ts";
import { installSockets } from "../src/net/install.ts";
import type { Task } from "../src/task/task.ts";
import { MEMORY_BASE, TestKernel } from "../src/testing/test-kernel.ts";
import { installTerminals } from "../src/tty/install.ts";
import { Wait, WAKE_SIGNAL } from "../src/wait.ts";
import { O_NONBLOCK, makedev } from "linux-abi";

const ROUNDS = 40_000;

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

for (const seed of [1, 2, 3]) {
  test(`random calls, seed ${seed}`, { timeout: 60_000 }, () => {
    const random = randomFrom(seed);
    const int = (n: number): number => Math.floor(random() * n);
    const k = new TestKernel();
    (k.kernel as { fs: unknown }).fs = {
      addProcNet: () => {},
      bindSocket: () => -13,
      findSocket: () => -2,
      lookup: () => -2,
      devpts: { add: () => {}, remove: () => {} },
    };
    (k.kernel as { addSyscalls: unknown }).addSyscalls = () => {};
    (k.kernel as { memory: unknown }).memory = { mayCommit: () => false };
    installSockets(k.kernel);
    installTerminals(k.kernel);
    const rows = [PIPE_CALLS, EVENT_FILE_CALLS, PPOLL_CALLS, PSELECT_CALLS, EPOLL_CALLS, SOCKET_CALLS, MESSAGE_CALLS]
      .concat([SOCKET_OPTION_CALLS, sharedMemoryCalls(), semaphoreCalls(), messageQueueCalls(), posixQueueCalls()])
      .flat()
      .filter(({ name }) => name !== "shmat" && name !== "shmdt"); // they need a real address space
    const tasks = [k.task(), k.task({ uid: 1000 })];
    const wild = [0, 1, 2, 8, 16, 64, 100, 4096, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 47, 2 ** 63, 2 ** 64];
    const argument = (type: string): number => {
      const width = ARGUMENT_TYPES[type] as number;
      if (type === "fd" && random() < 0.9) return int(30);
      if (type === "family") return [1, 2, 10, 16, 17][int(5)] as number;
      if (width === WIDTH_I32)
        return random() < 0.6 ? int(20) : random() < 0.5 ? int(0x1_0000) - 32768 : (wild[int(12)] as number) | 0;
      if (width === WIDTH_U32) return random() < 0.7 ? int(100) : ((wild[int(12)] as number) % 2 ** 32) >>> 0;
      if (width === WIDTH_I64) return random() < 0.7 ? int(100) - 50 : -(wild[int(14)] as number);
      return random() < 0.8 ? MEMORY_BASE + int(0x4000) : (wild[int(wild.length)] as number);
    };
    const scribble = (task: Task): void => {
      const { ram } = k.memory(task);
      for (let i = 0; i < 64; i++) ram[int(0x4100)] = random() < 0.7 ? int(12) : int(256);
    };
    for (let round = 0; round < ROUNDS; round++) {
      const task = tasks[int(2)] as Task;
      if (round % 50 === 0) scribble(task);
      if (round % 1000 === 0) {
        const tty = k.kernel.charDevices.find(5, 2)?.open(task, makedev(5, 2), 2 | O_NONBLOCK);
        if (typeof tty === "object") task.files.install(tty, false, 1024);
      }
      const row = rows[int(rows.length)] as (typeof rows)[number];
      const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = row.args.map(({ type }) => argument(type));
      let answer = row.handler(task, a, b, c, d, e, f);
      for (let tries = 0; answer instanceof Wait && tries < 3; tries++) answer = answer.resume(task, WAKE_SIGNAL);
      if (answer instanceof Wait) throw new Error(`${row.name} goes on waiting after a signal`);
      if (!Number.isFinite(answer)) throw new Error(`${row.name} returns ${answer}`);
      if (task.restoreMask) task.restoreMask = false;
      const fd = int(40);
      const also = random();
      if (also < 0.25) task.files.close(task, fd);
      else if (also < 0.5) void task.files.get(fd)?.poll(task);
      else if (also < 0.7) {
        const answered = task.files.get(fd)?.ioctl(task, argument("ioctl") | 0x5400, argument("ptr"));
        if (answered instanceof Wait) answered.resume(task, WAKE_SIGNAL);
      }
      if (round % 100 === 0) k.advance(1_000_000);
    }
    for (const task of tasks) for (let fd = 0; fd < task.files.length; fd++) task.files.close(task, fd);
    k.advance(1e9);
    expect(tasks.every((task) => task.files.get(0) === undefined)).toBe(true);
  });
}
