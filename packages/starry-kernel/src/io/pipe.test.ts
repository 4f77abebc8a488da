import {
  EAGAIN,
  EPIPE,
  FIONREAD,
  O_DIRECT,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  SIGPIPE,
} from "linux-abi";
import { describe, expect, test } from "vitest";
import { IoBuffer } from "../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../io-wait.ts";
import { PIPE_CALLS } from "../syscall/io/pipe.ts";
import type { Task } from "../task/task.ts";
import { type Call, MEMORY_BASE, TestKernel } from "../testing/test-kernel.ts";
import { ERESTARTSYS } from "../wait.ts";
import { openFifo, whenFifoOpen } from "./fifo.ts";
import { createPipe, type PipeFile } from "./pipe.ts";
import { anonymousInode } from "./anonymous-inode.ts";
import { sendToTask } from "../signal/send.ts";
import { kernelSignal } from "../signal/siginfo.ts";

const BUF = MEMORY_BASE + 0x1000;
const BIG = MEMORY_BASE + 0x10000;

function setup(flags = 0): { k: TestKernel; task: Task; other: Task; reader: PipeFile; writer: PipeFile } {
  const k = new TestKernel();
  const task = k.task();
  const other = k.task();
  const [reader, writer] = createPipe(anonymousInode(task, 0o10600), flags);
  return { k, task, other, reader, writer };
}

function read(k: TestKernel, task: Task, file: PipeFile, n: number, va = BUF): Call {
  return k.start(task, readFile(task, file, new IoBuffer().setUser(task.memory, va, n), AT_POSITION, false));
}
function write(k: TestKernel, task: Task, file: PipeFile, n: number, va = BUF): Call {
  return k.start(task, writeFile(task, file, new IoBuffer().setUser(task.memory, va, n), AT_POSITION, false));
}

describe("pipe", () => {
  test("pipe2 stores two descriptors, and what is written comes out", () => {
    const k = new TestKernel();
    const task = k.task();
    expect(k.call(task, PIPE_CALLS, "pipe2", BUF, 0).result).toBe(0);
    expect([k.memory(task).i32(BUF), k.memory(task).i32(BUF + 4)]).toEqual([0, 1]);
    k.memory(task).setText(BUF, "hello");
    expect(write(k, task, task.files.get(1) as PipeFile, 5).result).toBe(5);
    expect(read(k, task, task.files.get(0) as PipeFile, 100, BIG).result).toBe(5);
    expect(k.memory(task).text(BIG, 5)).toBe("hello");
  });

  test("a bad address for pipe2 leaves no descriptor open", () => {
    const k = new TestKernel();
    const task = k.task();
    expect(k.call(task, PIPE_CALLS, "pipe2", 8, 0).result).toBe(-14);
    expect(task.files.get(0)).toBeUndefined();
  });

  test("a reader sleeps until data comes, and sees end of file when the last writer goes", () => {
    const { k, task, other, reader, writer } = setup();
    const call = read(k, task, reader, 10);
    expect(call.result).toBeUndefined();
    write(k, other, writer, 3);
    expect(call.result).toBe(3);
    const eof = read(k, task, reader, 10);
    writer.put();
    k.settle();
    expect(eof.result).toBe(0);
    expect(reader.poll(task)).toBe(POLLHUP);
  });

  test("writes of at most PIPE_BUF bytes are never split; larger ones are, when O_NONBLOCK", () => {
    const { k, task, reader, writer } = setup(O_NONBLOCK);
    expect(write(k, task, writer, 65000).result).toBe(65000);
    expect(write(k, task, writer, 4096).result).toBe(-EAGAIN);
    expect(write(k, task, writer, 536).result).toBe(536);
    expect(writer.poll(task) & POLLOUT).toBe(0);
    expect(read(k, task, reader, 4096).result).toBe(4096);
    expect(writer.poll(task)).toBe(POLLOUT | POLLWRNORM);
    expect(write(k, task, writer, 10000).result).toBe(4096);
  });

  test("a blocking write goes on until everything is written", () => {
    const { k, task, other, reader, writer } = setup();
    const call = write(k, other, writer, 200000, BIG);
    expect(call.result).toBeUndefined();
    let total = 0;
    while (total < 200000) {
      const n = read(k, task, reader, 30000, BIG).result as number;
      expect(n).toBeGreaterThan(0);
      total += n;
    }
    expect(call.result).toBe(200000);
  });

  test("an interrupted blocking write returns what was written", () => {
    const { k, other, writer } = setup();
    const call = write(k, other, writer, 100000, BIG);
    other.handlers.set(10, { handler: 0x1000, flags: 0, maskLo: 0, maskHi: 0 });
    sendToTask(other, kernelSignal(10));
    k.settle();
    expect(call.result).toBe(65536);
  });

  test("an interrupted read asks to be restarted", () => {
    const { k, task, reader } = setup();
    const call = read(k, task, reader, 1);
    task.handlers.set(10, { handler: 0x1000, flags: 0, maskLo: 0, maskHi: 0 });
    sendToTask(task, kernelSignal(10));
    k.settle();
    expect(call.result).toBe(-ERESTARTSYS);
    expect(reader.count).toBe(1);
  });

  test("writing without a reader gives EPIPE and SIGPIPE, and POLLERR", () => {
    const { k, task, reader, writer } = setup();
    reader.put();
    expect(write(k, task, writer, 1).result).toBe(-EPIPE);
    expect(task.pending.has(SIGPIPE)).toBe(true);
    expect(writer.poll(task) & POLLERR).toBe(POLLERR);
  });

  test("the readers' departure wakes a blocked writer", () => {
    const { k, other, reader, writer } = setup();
    const call = write(k, other, writer, 65537, BIG);
    reader.put();
    k.settle();
    expect(call.result).toBe(65536); // what was written counts
  });

  test("packets of a pipe opened with O_DIRECT keep their borders", () => {
    const { k, task, reader, writer } = setup(O_DIRECT | O_NONBLOCK);
    k.memory(task).setText(BUF, "abcdef");
    write(k, task, writer, 4);
    write(k, task, writer, 2);
    expect(read(k, task, reader, 2, BIG).result).toBe(2); // the rest of the packet is lost
    expect(read(k, task, reader, 10, BIG).result).toBe(2);
    expect(read(k, task, reader, 10, BIG).result).toBe(-EAGAIN);
    expect(write(k, task, writer, 5000).result).toBe(5000);
    expect(read(k, task, reader, 9000, BIG).result).toBe(4096);
    expect(read(k, task, reader, 9000, BIG).result).toBe(904);
  });

  test("the capacity follows F_SETPIPE_SZ, rounded up to a power of two pages", () => {
    const { k, task, reader, writer } = setup(O_NONBLOCK);
    expect(writer.pipe.resize(task, 5000)).toBe(8192);
    expect(write(k, task, writer, 10000).result).toBe(8192);
    expect(writer.pipe.resize(task, 4096)).toBe(-16);
    expect(reader.ioctl(task, FIONREAD, BUF)).toBe(0);
    expect(k.memory(task).i32(BUF)).toBe(8192);
    const user = k.task({ uid: 1000 });
    expect(writer.pipe.resize(user, 2 << 20)).toBe(-1);
  });

  test("bytes survive wrapping around and growing", () => {
    const { k, task, reader, writer } = setup(O_NONBLOCK);
    const memory = k.memory(task);
    let next = 0;
    let expected = 0;
    for (let round = 0; round < 200; round++) {
      const n = 1 + ((round * 977) % 5000);
      for (let i = 0; i < n; i++) memory.ram[i] = (next + i) & 0xff;
      const written = write(k, task, writer, n, MEMORY_BASE).result as number;
      if (written > 0) next = (next + written) & 0xff;
      const m = 1 + ((round * 1301) % 4500);
      const got = read(k, task, reader, m, BIG).result as number;
      for (let i = 0; i < got; i++) {
        if (memory.ram[BIG - MEMORY_BASE + i] !== ((expected + i) & 0xff)) throw new Error(`round ${round} byte ${i}`);
      }
      if (got > 0) expected = (expected + got) & 0xff;
    }
  });
});

describe("FIFO", () => {
  const inode = (task: Task) => anonymousInode(task, 0o10644);

  test("two blocking opens wait for each other", () => {
    const { k, task, other } = setup();
    const node = inode(task);
    const reader = openFifo(node, O_RDONLY) as PipeFile;
    const opening = k.start(
      task,
      whenFifoOpen(task, reader, (_t, error) => error),
    );
    expect(opening.result).toBeUndefined();
    const writer = openFifo(node, O_WRONLY) as PipeFile;
    expect(
      k.start(
        other,
        whenFifoOpen(other, writer, (_t, error) => error),
      ).result,
    ).toBe(0);
    k.settle();
    expect(opening.result).toBe(0);
  });

  test("a partner that came and went still ends the wait", () => {
    const { k, task } = setup();
    const node = inode(task);
    const reader = openFifo(node, O_RDONLY) as PipeFile;
    const opening = k.start(
      task,
      whenFifoOpen(task, reader, (_t, error) => error),
    );
    (openFifo(node, O_WRONLY) as PipeFile).put();
    k.settle();
    expect(opening.result).toBe(0);
  });

  test("O_NONBLOCK: a writer needs a reader, a reader needs nobody and sees no hang-up yet", () => {
    const { task } = setup();
    const node = inode(task);
    expect(openFifo(node, O_WRONLY | O_NONBLOCK)).toBe(-6);
    const reader = openFifo(node, O_RDONLY | O_NONBLOCK) as PipeFile;
    expect(reader.poll(task)).toBe(0);
    const writer = openFifo(node, O_WRONLY | O_NONBLOCK) as PipeFile;
    writer.put();
    expect(reader.poll(task)).toBe(POLLHUP);
  });

  test("a file opened O_RDWR is its own partner", () => {
    const { k, task } = setup();
    const file = openFifo(inode(task), O_RDWR) as PipeFile;
    expect(
      k.start(
        task,
        whenFifoOpen(task, file, (_t, error) => error),
      ).result,
    ).toBe(0);
    expect(write(k, task, file, 4).result).toBe(4);
    expect(file.poll(task)).toBe(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
  });
});
