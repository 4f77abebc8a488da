import {
  EAGAIN,
  EBADF,
  EEXIST,
  EINTR,
  EINVAL,
  ELOOP,
  ENOENT,
  EPOLLET,
  EPOLLONESHOT,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  O_NONBLOCK,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  SIGUSR1,
} from "linux-abi";
import { beforeEach, describe, expect, test } from "vitest";
import { anonymousInode } from "../../io/anonymous-inode.ts";
import { createPipe, type PipeFile } from "../../io/pipe.ts";
import { IoBuffer } from "../../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../../io-wait.ts";
import { sendToTask } from "../../signal/send.ts";
import { kernelSignal, signalInfo } from "../../signal/siginfo.ts";
import type { Task } from "../../task/task.ts";
import { type Call, MEMORY_BASE, TestKernel } from "../../testing/test-kernel.ts";
import { ERESTARTNOHAND } from "../../wait.ts";
import { EVENT_FILE_CALLS } from "../io/event-files.ts";
import { EPOLL_CALLS } from "./epoll.ts";
import { PPOLL_CALLS } from "./ppoll.ts";
import { PSELECT_CALLS } from "./pselect6.ts";

const FDS = MEMORY_BASE + 0x1000;
const TIME = MEMORY_BASE + 0x2000;
const MASK = MEMORY_BASE + 0x2100;
const SIG = MEMORY_BASE + 0x2200;
const BUF = MEMORY_BASE + 0x3000;
const MS = 1_000_000;

let k: TestKernel;
let task: Task;
let other: Task;
let reader: PipeFile;
let writer: PipeFile;
let readFd: number;
let writeFd: number;

beforeEach(() => {
  k = new TestKernel();
  task = k.task();
  other = k.task();
  [reader, writer] = createPipe(anonymousInode(task, 0o10600), 0);
  readFd = task.files.install(reader, false, 1024, 3);
  writeFd = task.files.install(writer, false, 1024, 3);
});

function put(n = 1): void {
  k.start(other, writeFile(other, writer, new IoBuffer().setUser(other.memory, BUF, n), AT_POSITION, false));
}
function drain(): void {
  k.start(other, readFile(other, reader, new IoBuffer().setUser(other.memory, BUF, 65536), AT_POSITION, true));
}
function setFds(...entries: readonly (readonly [number, number])[]): void {
  const memory = k.memory(task);
  entries.forEach(([fd, events], i) => {
    memory.writeU32(FDS + 8 * i, fd);
    memory.writeU16(FDS + 8 * i + 4, events);
    memory.writeU16(FDS + 8 * i + 6, 0xdead);
  });
}
const revents = (i: number): number => k.memory(task).readU16(FDS + 8 * i + 6);
function setTime(ns: number | bigint, va = TIME): number {
  k.memory(task).setU64(va, BigInt(ns) / 1_000_000_000n);
  k.memory(task).setU64(va + 8, BigInt(ns) % 1_000_000_000n);
  return va;
}
const timeNs = (va = TIME): number => Number(k.memory(task).u64(va)) * 1e9 + Number(k.memory(task).u64(va + 8));
function catchSignal(signo: number): void {
  task.handlers.set(signo, { handler: 0x1000, flags: 0, maskLo: 0, maskHi: 0 });
}

describe("ppoll", () => {
  const ppoll = (n: number, timeout: number, mask = 0): Call =>
    k.call(task, PPOLL_CALLS, "ppoll", FDS, n, timeout, mask, mask === 0 ? 0 : 8);

  test("reports what is ready, ignores negative descriptors and flags closed ones", () => {
    setFds([readFd, POLLIN], [writeFd, POLLIN | POLLOUT], [-1, POLLIN], [77, POLLIN]);
    expect(ppoll(4, setTime(0)).result).toBe(2);
    expect([0, 1, 2, 3].map(revents)).toEqual([0, POLLOUT, 0, POLLNVAL]);
  });

  test("sleeps until a file becomes ready and gives the remaining time back", () => {
    setFds([readFd, POLLIN]);
    const call = ppoll(1, setTime(100 * MS));
    k.advance(30 * MS);
    expect(call.result).toBeUndefined();
    put();
    expect(call.result).toBe(1);
    expect(revents(0)).toBe(POLLIN);
    expect(timeNs()).toBe(70 * MS);
    expect(reader.pollSet.active).toBe(false);
    expect(reader.count).toBe(1);
  });

  test("gives 0 when the time is up", () => {
    setFds([readFd, POLLIN]);
    const call = ppoll(1, setTime(10 * MS));
    k.advance(10 * MS);
    expect(call.result).toBe(0);
    expect([timeNs(), revents(0)]).toEqual([0, 0]);
  });

  test("hears of a hang-up it did not ask for, also after its own descriptor was closed", () => {
    setFds([readFd, 0]);
    const call = ppoll(1, 0);
    task.files.close(task, writeFd);
    k.settle();
    expect(call.result).toBe(1);
    expect(revents(0)).toBe(POLLHUP);
  });

  test("a signal allowed by the temporary mask ends the wait, and the mask stays for its handler", () => {
    catchSignal(SIGUSR1);
    task.blockedLo = 1 << (SIGUSR1 - 1);
    k.memory(task).setU64(MASK, 0n);
    sendToTask(task, kernelSignal(SIGUSR1));
    const call = ppoll(0, 0, MASK);
    expect(call.result).toBe(-ERESTARTNOHAND);
    expect([task.restoreMask, task.savedMaskLo, task.blockedLo]).toEqual([true, 1 << (SIGUSR1 - 1), 0]);
  });

  test("a ready file wins over a signal, and the mask is restored", () => {
    catchSignal(SIGUSR1);
    k.memory(task).setU64(MASK, BigInt(1 << (SIGUSR1 - 1)));
    setFds([readFd, POLLIN]);
    const call = ppoll(1, 0, MASK);
    put();
    expect(call.result).toBe(1);
    expect([task.restoreMask, task.blockedLo]).toEqual([false, 0]);
  });

  test("refuses a wrong time, mask size and too many descriptors", () => {
    k.memory(task).setU64(TIME + 8, 1_000_000_000n);
    expect(ppoll(0, TIME).result).toBe(-EINVAL);
    expect(k.call(task, PPOLL_CALLS, "ppoll", FDS, 0, 0, MASK, 4).result).toBe(-EINVAL);
    expect(ppoll(2000, 0).result).toBe(-EINVAL);
  });
});

describe("pselect6", () => {
  const R = MEMORY_BASE + 0x4000;
  const W = R + 128;
  const E = W + 128;

  test("finds readable and writable descriptors and clears the rest", () => {
    const memory = k.memory(task);
    put();
    for (const va of [R, W, E]) memory.setU64(va, (1n << BigInt(readFd)) | (1n << BigInt(writeFd)));
    expect(k.call(task, PSELECT_CALLS, "pselect6", writeFd + 1, R, W, E, setTime(0), 0).result).toBe(2);
    expect([R, W, E].map((va) => memory.u64(va))).toEqual([1n << BigInt(readFd), 1n << BigInt(writeFd), 0n]);
  });

  test("sleeps, wakes, times out; a closed descriptor is EBADF, a descriptor beyond the table is ignored", () => {
    const memory = k.memory(task);
    memory.setU64(R, 1n << BigInt(readFd));
    const call = k.call(task, PSELECT_CALLS, "pselect6", 64, R, 0, 0, setTime(5 * MS), 0);
    k.advance(5 * MS);
    expect(call.result).toBe(0);
    expect(memory.u64(R)).toBe(0n);
    memory.setU64(R, 1n << 40n);
    expect(k.call(task, PSELECT_CALLS, "pselect6", 64, R, 0, 0, 0, 0).result).toBe(-EBADF);
    memory.setU64(R, 0n);
    memory.setU64(R + 8, 1n);
    expect(k.call(task, PSELECT_CALLS, "pselect6", 1024, R, 0, 0, setTime(0), 0).result).toBe(0);
    expect(k.call(task, PSELECT_CALLS, "pselect6", -1, 0, 0, 0, 0, 0).result).toBe(-EINVAL);
  });

  test("takes its mask through the pair of pointer and size", () => {
    catchSignal(SIGUSR1);
    task.blockedLo = 1 << (SIGUSR1 - 1);
    const memory = k.memory(task);
    memory.setU64(SIG, BigInt(MASK));
    memory.setU64(SIG + 8, 8n);
    memory.setU64(MASK, 0n);
    const call = k.call(task, PSELECT_CALLS, "pselect6", 0, 0, 0, 0, 0, SIG);
    expect(call.result).toBeUndefined();
    sendToTask(task, kernelSignal(SIGUSR1));
    k.settle();
    expect(call.result).toBe(-ERESTARTNOHAND);
  });
});

describe("epoll", () => {
  let epfd: number;
  const EV = MEMORY_BASE + 0x5000;
  const OUT = MEMORY_BASE + 0x6000;
  const create = (): number => k.call(task, EPOLL_CALLS, "epoll_create1", 0).result as number;
  function ctl(op: number, fd: number, events: number, data = BigInt(fd), ep = epfd): number {
    k.memory(task).writeU32(EV, events);
    k.memory(task).setU64(EV + 8, data);
    return k.call(task, EPOLL_CALLS, "epoll_ctl", ep, op, fd, EV).result as number;
  }
  const wait = (timeoutMs: number, max = 8, ep = epfd): Call =>
    k.call(task, EPOLL_CALLS, "epoll_pwait", ep, OUT, max, timeoutMs, 0, 8);
  const event = (i: number): [number, bigint] => [
    k.memory(task).readU32(OUT + 16 * i),
    k.memory(task).u64(OUT + 16 * i + 8),
  ];

  beforeEach(() => {
    epfd = create();
  });

  test("level triggered: reports as long as it holds, with the data given", () => {
    expect(ctl(EPOLL_CTL_ADD, readFd, POLLIN, 0x1234_5678_9abc_def0n)).toBe(0);
    expect(wait(0).result).toBe(0);
    put();
    expect(wait(0).result).toBe(1);
    expect(event(0)).toEqual([POLLIN, 0x1234_5678_9abc_def0n]);
    expect(wait(0).result).toBe(1);
    drain();
    expect(wait(0).result).toBe(0);
  });

  test("edge triggered: once for each arrival", () => {
    ctl(EPOLL_CTL_ADD, readFd, POLLIN | EPOLLET);
    put();
    expect([wait(0).result, wait(0).result]).toEqual([1, 0]);
    put();
    expect([wait(0).result, wait(0).result]).toEqual([1, 0]);
  });

  test("one shot: silent until modified", () => {
    ctl(EPOLL_CTL_ADD, readFd, POLLIN | EPOLLONESHOT);
    put();
    expect([wait(0).result, wait(0).result]).toEqual([1, 0]);
    put();
    expect(wait(0).result).toBe(0);
    expect(ctl(EPOLL_CTL_MOD, readFd, POLLIN | EPOLLONESHOT)).toBe(0);
    expect(wait(0).result).toBe(1);
  });

  test("sleeps with and without a limit; a signal gives EINTR", () => {
    ctl(EPOLL_CTL_ADD, readFd, POLLIN);
    const timed = wait(20);
    k.advance(20 * MS);
    expect(timed.result).toBe(0);
    const woken = wait(-1);
    put();
    expect(woken.result).toBe(1);
    drain();
    const interrupted = wait(-1);
    catchSignal(SIGUSR1);
    sendToTask(task, kernelSignal(SIGUSR1));
    k.settle();
    expect(interrupted.result).toBe(-EINTR);
    task.pending.clear();
    task.attention = false;
    const second = k.call(task, EPOLL_CALLS, "epoll_pwait2", epfd, OUT, 8, setTime(1500), 0, 8);
    k.advance(1500);
    expect(second.result).toBe(0);
  });

  test("several ready files take turns when only some fit", () => {
    const [r2, w2] = createPipe(anonymousInode(task, 0o10600), O_NONBLOCK);
    const fd2 = task.files.install(r2, false, 1024);
    w2.write(task, new IoBuffer().setKernel(new Uint8Array(1)), 0);
    put();
    ctl(EPOLL_CTL_ADD, readFd, POLLIN);
    ctl(EPOLL_CTL_ADD, fd2, POLLIN);
    const seen: bigint[] = [];
    for (let i = 0; i < 4; i++) {
      expect(wait(0, 1).result).toBe(1);
      seen.push(event(0)[1]);
    }
    expect(seen).toEqual([BigInt(readFd), BigInt(fd2), BigInt(readFd), BigInt(fd2)]);
  });

  test("a file whose last descriptor is closed leaves by itself; a duplicate keeps it", () => {
    ctl(EPOLL_CTL_ADD, readFd, POLLIN);
    put();
    reader.get(); // as dup would
    const duplicate = task.files.install(reader, false, 1024);
    task.files.close(task, readFd);
    expect(wait(0).result).toBe(1);
    task.files.close(task, duplicate);
    expect(wait(0).result).toBe(0);
  });

  test("errors: wrong descriptor, itself, twice, unknown, not an epoll, no room", () => {
    expect(ctl(EPOLL_CTL_ADD, 99, POLLIN)).toBe(-EBADF);
    expect(ctl(EPOLL_CTL_ADD, epfd, POLLIN)).toBe(-EINVAL);
    expect(ctl(EPOLL_CTL_ADD, readFd, POLLIN)).toBe(0);
    expect(ctl(EPOLL_CTL_ADD, readFd, POLLIN)).toBe(-EEXIST);
    expect(ctl(EPOLL_CTL_MOD, writeFd, POLLIN)).toBe(-ENOENT);
    expect(ctl(EPOLL_CTL_DEL, writeFd, POLLIN)).toBe(-ENOENT);
    expect(ctl(EPOLL_CTL_ADD, readFd, POLLIN, 0n, readFd)).toBe(-EINVAL);
    expect(wait(0, 0).result).toBe(-EINVAL);
  });

  test("an epoll can watch an epoll, five deep, and never in a circle", () => {
    ctl(EPOLL_CTL_ADD, readFd, POLLIN);
    const chain = [epfd];
    const results: number[] = [];
    for (let i = 0; i < 6; i++) {
      const outer = create();
      results.push(ctl(EPOLL_CTL_ADD, chain[chain.length - 1] as number, POLLIN, 1n, outer));
      chain.push(outer);
    }
    expect(results).toEqual([0, 0, 0, 0, -ELOOP, 0]);
    expect(ctl(EPOLL_CTL_ADD, chain[2] as number, POLLIN)).toBe(-ELOOP);
    const call = wait(-1, 8, chain[4] as number);
    expect(call.result).toBeUndefined();
    put();
    expect(call.result).toBe(1);
    drain();
    expect(wait(0, 8, chain[4] as number).result).toBe(0);
  });
});

describe("eventfd", () => {
  const read = (file: number): Call => {
    const open = task.files.get(file);
    return k.start(
      task,
      readFile(task, open as never, new IoBuffer().setUser(task.memory, BUF, 8), AT_POSITION, false),
    );
  };
  const write = (file: number, value: bigint): Call => {
    k.memory(other).setU64(BUF, value);
    const open = task.files.get(file);
    return k.start(
      other,
      writeFile(other, open as never, new IoBuffer().setUser(other.memory, BUF, 8), AT_POSITION, false),
    );
  };
  const make = (initial: number, flags: number): number =>
    k.call(task, EVENT_FILE_CALLS, "eventfd2", initial, flags).result as number;

  test("reading takes the sum and waits at zero", () => {
    const fd = make(2, 0);
    write(fd, 40n);
    expect(read(fd).result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(42n);
    const call = read(fd);
    expect(call.result).toBeUndefined();
    write(fd, 0x1_0000_0001n);
    expect(call.result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(0x1_0000_0001n);
  });

  test("as a semaphore it counts down by one", () => {
    const fd = make(2, 1 | O_NONBLOCK);
    expect([read(fd).result, read(fd).result, read(fd).result]).toEqual([8, 8, -EAGAIN]);
  });

  test("a write that would overflow waits with its value intact", () => {
    const fd = make(1, 0);
    expect(write(fd, 0xffff_ffff_ffff_fffdn).result).toBe(8);
    const blocked = write(fd, 5n);
    expect(blocked.result).toBeUndefined();
    expect(read(fd).result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(0xffff_ffff_ffff_fffen);
    expect(blocked.result).toBe(8);
    expect(read(fd).result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(5n);
    expect(write(fd, 0xffff_ffff_ffff_ffffn).result).toBe(-EINVAL);
  });
});

describe("timerfd", () => {
  const NEW = MEMORY_BASE + 0x7000;
  const OLD = MEMORY_BASE + 0x7100;
  const make = (clock: number): number => k.call(task, EVENT_FILE_CALLS, "timerfd_create", clock, 0).result as number;
  function settime(fd: number, valueNs: number | bigint, intervalNs: number, flags = 0): number {
    setTime(intervalNs, NEW);
    setTime(valueNs, NEW + 16);
    return k.call(task, EVENT_FILE_CALLS, "timerfd_settime", fd, flags, NEW, OLD).result as number;
  }
  const read = (fd: number): Call =>
    k.start(
      task,
      readFile(task, task.files.get(fd) as never, new IoBuffer().setUser(task.memory, BUF, 8), AT_POSITION, false),
    );

  test("counts the periods that passed, also those nobody was woken for", () => {
    const fd = make(1);
    expect(settime(fd, 10 * MS, 10 * MS)).toBe(0);
    const call = read(fd);
    k.advance(10 * MS);
    expect(call.result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(1n);
    k.advance(55 * MS);
    expect(read(fd).result).toBe(8);
    expect(k.memory(task).u64(BUF)).toBe(5n);
    expect(k.call(task, EVENT_FILE_CALLS, "timerfd_gettime", fd, OLD).result).toBe(0);
    expect([timeNs(OLD), timeNs(OLD + 16)]).toEqual([10 * MS, 5 * MS]);
  });

  test("an absolute wall-clock time is honoured, and settime reports the old setting", () => {
    const fd = make(0);
    expect(settime(fd, 1_700_000_000_030_000_000n, 0, 1)).toBe(0);
    expect(settime(fd, 1_700_000_000_040_000_000n, 0, 1)).toBe(0);
    expect(timeNs(OLD + 16)).toBe(30 * MS);
    k.advance(39 * MS);
    const call = read(fd);
    expect(call.result).toBeUndefined();
    k.advance(1 * MS);
    expect(call.result).toBe(8);
    expect(settime(fd, 0, 0)).toBe(0);
    expect(k.timers.nextNs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("signalfd", () => {
  test("delivers blocked pending signals of the reader as records", () => {
    catchSignal(SIGUSR1);
    task.blockedLo = 1 << (SIGUSR1 - 1);
    k.memory(task).setU64(MASK, BigInt(1 << (SIGUSR1 - 1)));
    const fd = k.call(task, EVENT_FILE_CALLS, "signalfd4", -1, MASK, 8, 0).result as number;
    const file = task.files.get(fd) as never;
    const call = k.start(task, readFile(task, file, new IoBuffer().setUser(task.memory, BUF, 256), AT_POSITION, false));
    expect(call.result).toBeUndefined();
    sendToTask(task, signalInfo(SIGUSR1, 0, { pid: 42, uid: 7 }));
    k.settle();
    expect(call.result).toBe(128);
    const memory = k.memory(task);
    expect([memory.readU32(BUF), memory.readU32(BUF + 12), memory.readU32(BUF + 16)]).toEqual([SIGUSR1, 42, 7]);
    expect(task.pending.empty).toBe(true);
  });
});
