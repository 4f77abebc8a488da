import {
  EAGAIN,
  ECHO,
  EIO,
  ENOTTY,
  ENXIO,
  FIONREAD,
  ICANON,
  IXON,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  SIGHUP,
  SIGINT,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGWINCH,
  SIG_IGN,
  TCGETS,
  TCSETS,
  TCSETSW,
  TCXONC,
  TIOCGPGRP,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCGSID,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCPKT,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_NOSTOP,
  TIOCSCTTY,
  TIOCSPGRP,
  TIOCSPTLCK,
  TIOCSWINSZ,
  TOSTOP,
  VMIN,
  VTIME,
  makedev,
} from "linux-abi";
import { beforeEach, describe, expect, test } from "vitest";
import type { OpenFile } from "../file.ts";
import { IoBuffer } from "../io-buffer.ts";
import { AT_POSITION, readFile, writeFile } from "../io-wait.ts";
import type { Task } from "../task/task.ts";
import { type Call, MEMORY_BASE, TestKernel } from "../testing/test-kernel.ts";
import { ERESTARTSYS, type Wait } from "../wait.ts";
import { installTerminals } from "./install.ts";
import { type PtyMasterFile, ptyTable } from "./pty.ts";
import type { TtyFile } from "./tty-file.ts";

const BUF = MEMORY_BASE + 0x1000;
const ARG = MEMORY_BASE + 0x4000;
const TENTH = 100_000_000;

let k: TestKernel;
let shell: Task;
let typist: Task;
let master: PtyMasterFile;
let slave: TtyFile;

function open(task: Task, major: number, minor: number, flags = O_RDWR): OpenFile | number {
  return k.kernel.charDevices.find(major, minor)?.open(task, makedev(major, minor), flags) ?? -ENXIO;
}
function read(task: Task, file: OpenFile, n = 4096): Call {
  return k.start(task, readFile(task, file, new IoBuffer().setUser(task.memory, BUF, n), AT_POSITION, false));
}
function write(task: Task, file: OpenFile, text: string): Call {
  const n = k.memory(task).setText(BUF, text);
  return k.start(task, writeFile(task, file, new IoBuffer().setUser(task.memory, BUF, n), AT_POSITION, false));
}
/** What a finished read brought. */
function got(task: Task, call: Call): string | number | undefined {
  return typeof call.result === "number" && call.result > 0 ? k.memory(task).text(BUF, call.result) : call.result;
}
const type = (text: string): unknown => write(typist, master, text).result;
const screen = (): string | number | undefined => got(typist, read(typist, master, 8192));
const line = (n?: number): string | number | undefined => got(shell, read(shell, slave, n));
const ioctl = (task: Task, file: OpenFile, request: number, argument: number): Call =>
  k.start(task, file.ioctl(task, request, argument) as number | Wait);
function stty(change: (t: TtyFile["tty"]["termios"]) => void): void {
  const next = slave.tty.termios.copy();
  change(next);
  slave.tty.setTermios(next);
}

beforeEach(() => {
  k = new TestKernel();
  installTerminals(k.kernel);
  typist = k.task();
  shell = k.task();
  master = open(typist, 5, 2, O_RDWR | O_NONBLOCK) as PtyMasterFile;
  k.memory(typist).writeU32(ARG, 0);
  master.ioctl(typist, TIOCSPTLCK, ARG);
  slave = open(shell, 136, 0) as TtyFile;
});

describe("canonical input", () => {
  test("a line is handed over when it is finished, and echoed as typed", () => {
    const call = read(shell, slave);
    type("hel");
    expect(call.result).toBeUndefined();
    type("lo\r");
    expect(got(shell, call)).toBe("hello\n");
    expect(screen()).toBe("hello\r\n");
  });

  test("erase, word erase and kill edit the line on the screen too", () => {
    type("ab\x7fc one two\x17\x17x\ty\x7f\x7f\r");
    expect(line()).toBe("ac x\n");
    expect(screen()).toBe("ab\b \bc one two\b \b\b \b\b \b\b \b\b \b\b \b\b \bx\ty\b \b" + "\b\b\b\b" + "\r\n");
    type("junk\x15ok\n");
    expect(line()).toBe("ok\n");
    expect(screen()).toBe("junk\b \b\b \b\b \b\b \bok\r\n");
  });

  test("control characters show as ^X and are rubbed out as two columns", () => {
    type("a\x01\x7fb\n");
    expect(line()).toBe("ab\n");
    expect(screen()).toBe("a^A\b \b\b \bb\r\n");
  });

  test("UTF-8 characters go as a whole", () => {
    stty((t) => (t.iflag |= 0x4000));
    type("aé€\x7f\x7fb\n");
    expect(line()).toBe("ab\n");
    expect(screen()).toBe("aé€\b \b\b \bb\r\n");
  });

  test("^D ends the file at the start of a line and the read elsewhere", () => {
    type("abc\x04");
    expect(line()).toBe("abc");
    type("\x04");
    expect(line()).toBe(0);
    type("12345\x04next\n");
    expect(line(5)).toBe("12345"); // the mark does not become an end of file
    expect(line()).toBe("next\n");
  });

  test("^V takes the next character literally, ^R shows the line again", () => {
    type("a\x16\x03b\x12c\n");
    expect(line()).toBe("a\x03bc\n");
    expect(screen()).toBe("a^\b^Cb^R\r\na^Cbc\r\n");
  });

  test("several lines come one by one, and a short read leaves the rest", () => {
    type("one\ntwo\n");
    expect([line(2), line(), line()]).toEqual(["on", "e\n", "two\n"]);
    slave.flags |= O_NONBLOCK;
    expect(line()).toBe(-EAGAIN);
  });

  test("a line that is too long keeps its first 4095 characters and its end", () => {
    stty((t) => (t.lflag &= ~ECHO));
    type("x".repeat(5000));
    type("\n");
    expect((line() as string).length).toBe(4096);
  });

  test("switching to raw mode hands over what was typed", () => {
    type("part");
    stty((t) => (t.lflag &= ~ICANON));
    expect(line()).toBe("part");
  });
});

describe("raw input", () => {
  beforeEach(() => {
    stty((t) => {
      t.lflag &= ~(ICANON | ECHO);
      t.iflag = 0;
    });
  });
  const timing = (min: number, time: number): void =>
    stty((t) => {
      t.cc[VMIN] = min;
      t.cc[VTIME] = time;
    });

  test("MIN bytes end a read, or as many as it asked for", () => {
    timing(3, 0);
    const call = read(shell, slave);
    type("ab");
    expect(call.result).toBeUndefined();
    expect(slave.poll(shell) & POLLIN).toBe(0);
    type("c");
    expect(got(shell, call)).toBe("abc");
    type("de");
    expect(line(2)).toBe("de");
  });

  test("MIN 0 TIME 0 never waits", () => {
    timing(0, 0);
    expect(line()).toBe(0);
  });

  test("MIN 0 TIME n waits n tenths for the first byte", () => {
    timing(0, 5);
    const call = read(shell, slave);
    k.advance(4 * TENTH);
    expect(call.result).toBeUndefined();
    k.advance(TENTH);
    expect(call.result).toBe(0);
    const second = read(shell, slave);
    k.advance(TENTH);
    type("x");
    expect(got(shell, second)).toBe("x");
  });

  test("MIN m TIME n ends n tenths after the last byte", () => {
    timing(10, 2);
    const call = read(shell, slave);
    k.advance(50 * TENTH);
    expect(call.result).toBeUndefined();
    type("a");
    k.advance(TENTH);
    type("b");
    k.advance(TENTH);
    expect(call.result).toBeUndefined();
    k.advance(TENTH);
    expect(got(shell, call)).toBe("ab");
  });
});

describe("output", () => {
  test("newlines become CR NL, tabs stay or become blanks", () => {
    write(shell, slave, "a\tb\n");
    expect(screen()).toBe("a\tb\r\n");
    stty((t) => (t.oflag |= 0x1800));
    write(shell, slave, "a\tb\nc\n");
    expect(screen()).toBe("a       b\r\nc\r\n");
  });

  test("^S stops it and ^Q lets it go on; a writer waits when the queue is full", () => {
    type("\x13");
    const call = write(shell, slave, "y".repeat(20000));
    expect(call.result).toBeUndefined();
    expect(screen()).toBe(-EAGAIN);
    type("\x11");
    let seen = 0;
    for (let text = screen(); typeof text === "string"; text = screen()) seen += text.length;
    expect([call.result, seen]).toEqual([20000, 20000]);
  });

  test("tcdrain and TCSETSW wait until the output has been taken", () => {
    write(shell, slave, "abc");
    slave.ioctl(shell, TCGETS, ARG);
    const drained = ioctl(shell, slave, TCSETSW, ARG);
    expect(drained.result).toBeUndefined();
    expect(screen()).toBe("abc");
    k.settle();
    expect(drained.result).toBe(0);
  });

  test("tcflow stops and starts output", () => {
    ioctl(typist, slave, TCXONC, 0);
    write(shell, slave, "z");
    expect(screen()).toBe(-EAGAIN);
    ioctl(typist, slave, TCXONC, 1);
    expect(screen()).toBe("z");
  });
});

describe("jobs", () => {
  test("a session leader's open makes the terminal its own; /dev/tty leads to it", () => {
    expect(slave.tty.session).toBe(shell.process.session);
    expect(slave.tty.foregroundGroup).toBe(shell.process.pid);
    const own = open(shell, 5, 0) as TtyFile;
    expect(own.tty).toBe(slave.tty);
    expect(open(k.task(), 5, 0)).toBe(-ENXIO);
    expect([slave.ioctl(shell, TIOCGPGRP, ARG), k.memory(shell).i32(ARG)]).toEqual([0, shell.process.pid]);
    expect([slave.ioctl(shell, TIOCGSID, ARG), k.memory(shell).i32(ARG)]).toEqual([0, shell.process.pid]);
  });

  test("O_NOCTTY leaves it alone, TIOCSCTTY takes it, and only a leader may", () => {
    const other = k.task();
    (open(typist, 5, 2) as PtyMasterFile).pty.locked = false;
    const second = open(other, 136, 1, O_RDWR | O_NOCTTY) as TtyFile;
    expect(second.tty.session).toBe(null);
    expect(second.ioctl(other, TIOCGPGRP, ARG)).toBe(-ENOTTY);
    expect(second.ioctl(k.task({ parent: other }), TIOCSCTTY, 0)).toBe(-1);
    expect(second.ioctl(other, TIOCSCTTY, 0)).toBe(0);
    expect(second.tty.session).toBe(other.process.session);
    expect(second.ioctl(shell, TIOCSCTTY, 0)).toBe(-1);
  });

  test("^C and ^Z signal the foreground group and throw the queues away", () => {
    const job = k.task({ parent: shell, group: 0 });
    slave.tty.foregroundGroup = job.process.pid;
    type("half\x03");
    expect([job.process.pending.has(SIGINT), shell.process.pending.has(SIGINT)]).toEqual([true, false]);
    expect(screen()).toBe("^C");
    type("\x1a");
    expect(job.process.pending.has(SIGTSTP)).toBe(true);
    expect(slave.tty.input.queued).toBe(0);
  });

  test("a background reader is stopped by SIGTTIN, or gets EIO if it ignores it or nobody can continue it", () => {
    const job = k.task({ parent: shell, group: 0 });
    expect(read(job, slave).result).toBe(-ERESTARTSYS);
    expect(job.process.pending.has(SIGTTIN)).toBe(true);
    job.process.pending.clear();
    job.handlers.set(SIGTTIN, { handler: SIG_IGN, flags: 0, maskLo: 0, maskHi: 0 });
    expect(read(job, slave).result).toBe(-EIO);
    const orphan = k.task({ parent: k.task({ parent: shell, group: 0 }) });
    orphan.process.group.members.delete(orphan.process.parent as never);
    orphan.process.parent = null;
    expect(read(orphan, slave).result).toBe(-EIO);
  });

  test("a background writer may write, unless TOSTOP; changing settings stops it", () => {
    const job = k.task({ parent: shell, group: 0 });
    expect(write(job, slave, "x").result).toBe(1);
    stty((t) => (t.lflag |= TOSTOP));
    expect(write(job, slave, "x").result).toBe(-ERESTARTSYS);
    expect(job.process.pending.has(SIGTTOU)).toBe(true);
    expect(ioctl(job, slave, TCSETS, ARG).result).toBe(-ERESTARTSYS);
  });

  test("tcsetpgrp moves the foreground within the session only", () => {
    const job = k.task({ parent: shell, group: 0 });
    k.memory(shell).writeU32(ARG, job.process.pid);
    expect(slave.ioctl(shell, TIOCSPGRP, ARG)).toBe(0);
    expect(slave.tty.foregroundGroup).toBe(job.process.pid);
    slave.tty.foregroundGroup = shell.process.pid;
    k.memory(shell).writeU32(ARG, typist.process.pid);
    expect(slave.ioctl(shell, TIOCSPGRP, ARG)).toBe(-1);
    k.memory(shell).writeU32(ARG, 9999);
    expect(slave.ioctl(shell, TIOCSPGRP, ARG)).toBe(-3);
  });

  test("a new window size is announced once", () => {
    shell.handlers.set(SIGWINCH, { handler: 0x1000, flags: 0, maskLo: 0, maskHi: 0 });
    const memory = k.memory(typist);
    memory.writeU16(ARG, 40);
    memory.writeU16(ARG + 2, 132);
    expect(master.ioctl(typist, TIOCSWINSZ, ARG)).toBe(0);
    expect(shell.process.pending.has(SIGWINCH)).toBe(true);
    expect(slave.ioctl(shell, TIOCGWINSZ, BUF)).toBe(0);
    expect([k.memory(shell).readU16(BUF), k.memory(shell).readU16(BUF + 2)]).toEqual([40, 132]);
    shell.process.pending.clear();
    master.ioctl(typist, TIOCSWINSZ, ARG);
    expect(shell.process.pending.empty).toBe(true);
  });

  test("TIOCNOTTY by the leader frees the terminal", () => {
    expect(slave.ioctl(shell, TIOCNOTTY, 0)).toBe(0);
    expect([slave.tty.session, shell.process.session.terminal]).toEqual([null, null]);
    expect(slave.ioctl(shell, TIOCNOTTY, 0)).toBe(-ENOTTY);
  });
});

describe("pty pairs", () => {
  test("have numbers, a lock and an entry in the table", () => {
    const second = open(typist, 5, 2) as PtyMasterFile;
    expect([second.ioctl(typist, TIOCGPTN, ARG), k.memory(typist).i32(ARG)]).toEqual([0, 1]);
    expect(open(shell, 136, 1)).toBe(-EIO);
    expect(open(shell, 136, 2)).toBe(-ENXIO);
    expect(
      ptyTable(k.kernel)
        .list()
        .map((pty) => pty.index),
    ).toEqual([0, 1]);
    second.put();
    expect(
      ptyTable(k.kernel)
        .list()
        .map((pty) => pty.index),
    ).toEqual([0]);
  });

  test("TIOCGPTPEER opens the slave without a path", () => {
    const fd = master.ioctl(typist, TIOCGPTPEER, O_RDWR | O_NOCTTY) as number;
    expect((typist.files.get(fd) as TtyFile).tty).toBe(slave.tty);
  });

  test("the master reads EIO after the slave's last close, and works again when it is reopened", () => {
    write(shell, slave, "bye\n");
    slave.put();
    expect(master.poll(typist) & POLLHUP).toBe(POLLHUP);
    expect(screen()).toBe("bye\r\n");
    expect(screen()).toBe(-EIO);
    slave = open(shell, 136, 0) as TtyFile;
    expect(screen()).toBe(-EAGAIN);
  });

  test("the master's close hangs the slave up: end of file, EIO, SIGHUP", () => {
    const job = k.task({ parent: shell, group: 0 });
    slave.tty.foregroundGroup = job.process.pid;
    shell.handlers.set(SIGHUP, { handler: 0x1000, flags: 0, maskLo: 0, maskHi: 0 });
    const other = k.task();
    const reader = read(other, slave);
    master.put();
    k.settle();
    expect(reader.result).toBe(0);
    expect(write(other, slave, "x").result).toBe(-EIO);
    expect(slave.ioctl(other, TCGETS, ARG)).toBe(-EIO);
    expect(slave.poll(other) & (POLLHUP | POLLIN | POLLOUT)).toBe(POLLHUP | POLLIN | POLLOUT);
    expect([shell.process.pending.has(SIGHUP), job.process.pending.has(SIGHUP)]).toEqual([true, true]);
    expect(shell.process.session.terminal).toBe(null);
  });

  test("packet mode puts a status byte in front and reports flushes and flow control", () => {
    k.memory(typist).writeU32(ARG, 1);
    master.ioctl(typist, TIOCPKT, ARG);
    write(shell, slave, "hi");
    expect(screen()).toBe("\0hi");
    type("\x03");
    expect(master.poll(typist) & POLLPRI).toBe(POLLPRI);
    expect(screen()).toBe(String.fromCharCode(TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE));
    expect(screen()).toBe("\0^C");
    stty((t) => (t.iflag &= ~IXON));
    expect(screen()).toBe(String.fromCharCode(TIOCPKT_NOSTOP));
  });

  test("a full slave makes the master wait; reading lets it go on", () => {
    stty((t) => (t.lflag &= ~(ICANON | ECHO)));
    master.flags &= ~O_NONBLOCK;
    const call = write(typist, master, "d".repeat(6000));
    expect(call.result).toBeUndefined();
    expect(slave.ioctl(shell, FIONREAD, ARG)).toBe(0);
    expect(k.memory(shell).i32(ARG)).toBe(4095);
    expect((line() as string).length).toBe(4095);
    k.settle();
    expect(call.result).toBe(6000);
  });
});
