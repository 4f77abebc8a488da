/**
 * Costs of pipes, sockets and polling from the handler on, in ns per call; the trap, the dispatcher and the switch between two
 * programs come on top (userland's pipe-bench measures those: a round trip between two processes costs about 3.5 µs, of which these
 * handlers are a fifth).
 *
 * Run: node -C source --expose-gc packages/starry-kernel/bench/io.bench.ts
 */
/// <reference types="node" />
import { AF_UNIX, EPOLL_CTL_ADD, POLLIN, SOCK_STREAM } from "linux-abi";
import { IoBuffer } from "../src/io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../src/io-wait.ts";
import { installSockets } from "../src/net/install.ts";
import { PIPE_CALLS } from "../src/syscall/io/pipe.ts";
import { MESSAGE_CALLS } from "../src/syscall/net/messages.ts";
import { SOCKET_CALLS } from "../src/syscall/net/socket.ts";
import { EPOLL_CALLS } from "../src/syscall/poll/epoll.ts";
import { PPOLL_CALLS } from "../src/syscall/poll/ppoll.ts";
import type { SyscallRow } from "../src/syscall/row.ts";
import { MEMORY_BASE, TestKernel } from "../src/testing/test-kernel.ts";

const FDS = MEMORY_BASE + 0x1000;
const BUF = MEMORY_BASE + 0x2000;
const CALLS = 300_000;

const k = new TestKernel();
(k.kernel as { fs: unknown }).fs = { addProcNet: () => {} };
(k.kernel as { addSyscalls: unknown }).addSyscalls = () => {};
installSockets(k.kernel);
const task = k.task();
const memory = k.memory(task);

function handler(rows: readonly SyscallRow[], name: string): (...args: number[]) => number {
  const row = rows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new Error(`no call ${name}`);
  return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) => row.handler(task, a, b, c, d, e, f) as number;
}

function measure(name: string, max: number, run: () => void): void {
  for (let i = 0; i < CALLS / 2; i++) run();
  globalThis.gc?.();
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) run();
  const value = Math.round(Number(process.hrtime.bigint() - start) / CALLS);
  console.log(JSON.stringify({ name, value, unit: "ns", max }));
}

handler(PIPE_CALLS, "pipe2")(FDS, 0);
const reader = task.files.get(memory.i32(FDS)) as never;
const writer = task.files.get(memory.i32(FDS + 4)) as never;
const buffer = new IoBuffer();
measure("pipe: write and read 1 byte", 3000, () => {
  writeFile(task, writer, buffer.setUser(task.memory, BUF, 1), AT_POSITION, false);
  readFile(task, reader, buffer.setUser(task.memory, BUF, 1), AT_POSITION, false);
});
measure("pipe: write and read 4 KiB", 8000, () => {
  writeFile(task, writer, buffer.setUser(task.memory, BUF, 4096), AT_POSITION, false);
  readFile(task, reader, buffer.setUser(task.memory, BUF, 4096), AT_POSITION, false);
});

const pollFds = MEMORY_BASE + 0x1100;
memory.writeU32(pollFds, memory.i32(FDS));
memory.writeU16(pollFds + 4, POLLIN);
const time = MEMORY_BASE + 0x1200; // a timespec of zero
const ppoll = handler(PPOLL_CALLS, "ppoll");
measure("ppoll: one pipe, not ready", 5000, () => void ppoll(pollFds, 1, time, 0, 0));

const epoll = handler(EPOLL_CALLS, "epoll_create1")(0);
memory.writeU32(pollFds, POLLIN);
handler(EPOLL_CALLS, "epoll_ctl")(epoll, EPOLL_CTL_ADD, memory.i32(FDS), pollFds);
writeFile(task, writer, buffer.setUser(task.memory, BUF, 1), AT_POSITION, false);
const wait = handler(EPOLL_CALLS, "epoll_pwait");
measure("epoll_pwait: one ready", 3000, () => void wait(epoll, BUF, 8, 0, 0, 8));

handler(SOCKET_CALLS, "socketpair")(AF_UNIX, SOCK_STREAM, 0, FDS);
const a = memory.i32(FDS);
const b = memory.i32(FDS + 4);
const send = handler(MESSAGE_CALLS, "sendto");
const receive = handler(MESSAGE_CALLS, "recvfrom");
measure("AF_UNIX: send and receive 100 bytes", 6000, () => {
  send(a, BUF, 100, 0, 0, 0);
  receive(b, BUF, 100, 0, 0, 0);
});
