/**
 * Pseudo terminals (pty(7)): /dev/ptmx makes a pair, /dev/pts/N is its terminal side.
 *
 *   program on the slave ◄── LineDiscipline ◄── write ─ master file      what the user types
 *   program on the slave ──► Output ring ─────► read ── master file      what the user sees
 *
 * The slave's output ring is the master's input: nothing is copied between them. What a stopped slave (^S)
 * writes stays out of the master's sight (`visible`) until it goes on.
 *
 * Lifetime: an entry of the table lives from the open of /dev/ptmx to the master's last close, which hangs the slave up. The slave may be
 * opened any number of times in between; while it is closed again the master reads EIO and polls POLLHUP.
 *
 * Woken: the master's poll set by output, by room for input, by the slave's last close and by packet-mode events; the slave's by Tty.
 */
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  EIO,
  ENOTTY,
  ENXIO,
  FIONREAD,
  NSIG,
  O_ACCMODE,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
  TCFLSH,
  TCIFLUSH,
  TCIOFLUSH,
  TCOFLUSH,
  TIOCGDEV,
  TIOCGPKT,
  TIOCGPTLCK,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCNOTTY,
  TIOCOUTQ,
  TIOCPKT,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_NOSTOP,
  TIOCPKT_DOSTOP,
  TIOCPKT_START,
  TIOCPKT_STOP,
  TIOCSCTTY,
  TIOCSIG,
  TIOCSPTLCK,
  makedev,
  minor,
} from "linux-abi";
import { OpenFile } from "../file.ts";
import { installFile } from "../io/install-file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Kernel } from "../kernel.ts";
import type { CharDevice } from "../registries.ts";
import type { Task } from "../task/task.ts";
import type { Wait } from "../wait.ts";
import { openTty } from "./open-tty.ts";
import { Termios } from "./termios.ts";
import { Tty, TtyDriver } from "./tty.ts";
import { ttyIoctl } from "./tty-ioctl.ts";

/** Major of /dev/pts/N, minor N. */
export const UNIX98_PTY_SLAVE_MAJOR = 136;
/** /proc/sys/kernel/pty/max */
export const MAX_PTYS = 4096;

const PAIRS: readonly (readonly [number, number])[] = [
  [TIOCPKT_STOP, TIOCPKT_START],
  [TIOCPKT_START, TIOCPKT_STOP],
  [TIOCPKT_NOSTOP, TIOCPKT_DOSTOP],
  [TIOCPKT_DOSTOP, TIOCPKT_NOSTOP],
  [TIOCPKT_FLUSHREAD, 0],
  [TIOCPKT_FLUSHWRITE, 0],
];

/** One pair: what devpts lists. */
export class Pty extends TtyDriver {
  readonly name = "pty_slave";
  readonly index: number;
  readonly slave: Tty;
  /** TIOCSPTLCK: the slave cannot be opened yet. */
  locked = true;
  master: PtyMasterFile | null = null;
  /** Bytes of the output ring that left the slave before it was stopped, if it is: the master may read them. */
  visible = 0;
  /** The slave has been opened and closed again. */
  slaveClosed = false;

  constructor(task: Task, index: number) {
    super();
    this.index = index;
    const device = makedev(UNIX98_PTY_SLAVE_MAJOR, index);
    this.slave = new Tty(task.kernel, this, `pts/${index}`, device, new Termios());
  }

  // TtyDriver: events of the slave

  override transmit(tty: Tty): void {
    this.visible = tty.output.ring.length;
    this.master?.pollSet.wake(POLLIN | POLLRDNORM);
  }

  /** What the master could have read stays; what ^S held back goes. */
  override discardOutput(tty: Tty): void {
    tty.output.ring.truncate(this.visible);
  }

  override unthrottle(): void {
    this.master?.pollSet.wake(POLLOUT | POLLWRNORM);
  }

  override flushed(_tty: Tty, input: boolean): void {
    if (input) this.unthrottle();
  }

  override packetEvent(_tty: Tty, bits: number): void {
    this.master?.notePacket(bits);
  }

  override opened(): void {
    this.slaveClosed = false;
  }

  override closed(): void {
    this.slaveClosed = true;
    this.master?.pollSet.wake(POLLHUP | POLLIN);
  }
}

/** Group of terminals: the distributions' "tty" (devpts is mounted with gid=5,mode=620). */
const TTY_GID = 5;
const SLAVE_PERMISSIONS = 0o620;

/** Where /dev/pts/N appears and disappears; fs/devfs/devpts.ts. */
export interface PtyNodes {
  add(index: number, rdev: number, uid: number, gid: number, mode: number): void;
  remove(index: number): void;
}

/** All pairs of a kernel. */
export class PtyTable {
  readonly #ptys: (Pty | undefined)[] = [];
  readonly #nodes: () => PtyNodes | undefined;

  /** `nodes`: devpts, or undefined while there is none. */
  constructor(nodes: () => PtyNodes | undefined) {
    this.#nodes = nodes;
  }

  get(index: number): Pty | undefined {
    return this.#ptys[index];
  }

  /** In order of number. */
  list(): readonly Pty[] {
    return this.#ptys.filter((pty) => pty !== undefined);
  }

  create(task: Task): Pty | undefined {
    let index = 0;
    while (this.#ptys[index] !== undefined) index++;
    if (index >= MAX_PTYS) return undefined;
    const pty = new Pty(task, index);
    this.#ptys[index] = pty;
    this.#nodes()?.add(index, pty.slave.deviceNumber, task.cred.fsuid, TTY_GID, SLAVE_PERMISSIONS);
    return pty;
  }

  remove(pty: Pty): void {
    this.#ptys[pty.index] = undefined;
    this.#nodes()?.remove(pty.index);
  }
}

const $tables = new WeakMap<Kernel, PtyTable>();

export function ptyTable(kernel: Kernel): PtyTable {
  let table = $tables.get(kernel);
  if (table === undefined) {
    table = new PtyTable(() => (kernel.fs as Kernel["fs"] | undefined)?.devpts);
    $tables.set(kernel, table);
  }
  return table;
}

const $byte = new Uint8Array(1);

export class PtyMasterFile extends OpenFile {
  readonly pty: Pty;
  readonly #table: PtyTable;
  /** TIOCPKT: reads begin with a status byte. */
  #packetMode = false;
  // TIOCPKT_* events not reported yet.
  #status = 0;

  constructor(pty: Pty, table: PtyTable, flags: number) {
    super(flags);
    this.pty = pty;
    this.#table = table;
    pty.master = this;
  }

  override get completesWrites(): boolean {
    return true;
  }

  notePacket(bits: number): void {
    if (!this.#packetMode) return;
    for (const [bit, opposite] of PAIRS) if ((bits & bit) !== 0) this.#status = (this.#status & ~opposite) | bit;
    this.pollSet.wake(POLLPRI | POLLIN | POLLRDNORM);
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    if (buffer.remaining === 0) return 0;
    const { slave } = this.pty;
    if (this.#packetMode && this.#status !== 0) {
      $byte[0] = this.#status;
      if (buffer.put($byte, 0, 1) === 0) return -EFAULT;
      this.#status = 0;
      return 1;
    }
    if (this.pty.visible === 0) return this.pty.slaveClosed ? -EIO : -EAGAIN;
    let count = 0;
    if (this.#packetMode) {
      $byte[0] = 0; // TIOCPKT_DATA
      count = buffer.put($byte, 0, 1);
      if (count === 0) return -EFAULT;
    }
    const taken = slave.output.ring.readTo(buffer, Math.min(buffer.remaining, this.pty.visible));
    this.pty.visible -= taken;
    count += taken;
    slave.outputTaken();
    return buffer.result(count);
  }

  override write(_task: Task, buffer: IoBuffer, _offset: number): number {
    const { slave } = this.pty;
    let done = 0;
    while (buffer.remaining > 0) {
      const run = buffer.run(buffer.remaining, false);
      if (run.length === 0) break;
      const taken = slave.receive(run, 0, run.length);
      buffer.advance(taken);
      done += taken;
      if (taken < run.length) break;
    }
    return done === 0 && buffer.remaining > 0 && !buffer.faulted ? -EAGAIN : buffer.result(done);
  }

  override poll(_task: Task): number {
    const { slave } = this.pty;
    let events = 0;
    if (this.pty.visible > 0) events |= POLLIN | POLLRDNORM;
    if (this.#status !== 0) events |= POLLPRI | POLLIN | POLLRDNORM;
    if (slave.input.room > 0) events |= POLLOUT | POLLWRNORM;
    if (this.pty.slaveClosed) events |= POLLHUP;
    return events;
  }

  override ioctl(task: Task, request: number, argument: number): number | Wait {
    const { memory } = task;
    const { pty } = this;
    const { slave } = pty;
    switch (request) {
      case TIOCGPTN:
        return memory.writeU32(argument, pty.index);
      case TIOCSPTLCK: {
        const lock = memory.readU32(argument);
        if (lock < 0) return lock;
        pty.locked = lock !== 0;
        return 0;
      }
      case TIOCGPTLCK:
        return memory.writeU32(argument, pty.locked ? 1 : 0);
      case TIOCGPTPEER:
        return this.#openPeer(task, argument);
      case TIOCPKT: {
        const on = memory.readU32(argument);
        if (on < 0) return on;
        if (on !== 0 && !this.#packetMode) this.#status = 0;
        this.#packetMode = on !== 0;
        return 0;
      }
      case TIOCGPKT:
        return memory.writeU32(argument, this.#packetMode ? 1 : 0);
      case TIOCSIG:
        if (argument < 1 || argument > NSIG) return -EINVAL;
        slave.signalForeground(argument);
        return 0;
      // Queues as the master sees them.
      case FIONREAD:
        return memory.writeU32(argument, this.pty.visible);
      case TIOCOUTQ:
        return memory.writeU32(argument, slave.input.queued);
      case TCFLSH:
        if (argument !== TCIFLUSH && argument !== TCOFLUSH && argument !== TCIOFLUSH) return -EINVAL;
        if (argument !== TCOFLUSH) {
          pty.visible = 0;
          slave.flushOutput();
        }
        if (argument !== TCIFLUSH) slave.flushInput();
        return 0;
      case TIOCGDEV:
        return memory.writeU32(argument, makedev(5, 2));
      case TIOCSCTTY:
      case TIOCNOTTY:
        return -ENOTTY;
      default:
        return ttyIoctl(task, this, slave, request, argument);
    }
  }

  /** TIOCGPTPEER: a descriptor for the slave, whatever /dev/pts is to the caller. It is named after the mount, if there is one. */
  #openPeer(task: Task, flags: number): number {
    if ((flags & ~(O_ACCMODE | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) !== 0) return -EINVAL;
    const file = openSlave(task, this.pty, flags);
    if (typeof file === "number") return file;
    const fs = task.kernel.fs as Kernel["fs"] | undefined;
    file.path = fs?.terminalPath(task, this.pty.index)?.pin() ?? null;
    return installFile(task, file, (flags & O_CLOEXEC) !== 0);
  }

  override release(): void {
    this.pty.master = null;
    this.#table.remove(this.pty);
    this.pty.slave.hangup();
  }
}

function openSlave(task: Task, pty: Pty, flags: number): OpenFile | number {
  if (pty.locked || pty.master === null) return -EIO;
  return openTty(task, pty.slave, flags & ~O_CLOEXEC, true);
}

/** /dev/ptmx, 5:2. */
export class PtmxDevice implements CharDevice {
  readonly name = "ptmx";

  open(task: Task, _rdev: number, flags: number): OpenFile | number {
    const table = ptyTable(task.kernel);
    const pty = table.create(task);
    if (pty === undefined) return -EIO;
    return new PtyMasterFile(pty, table, (flags & ~O_ACCMODE) | O_RDWR);
  }
}

/** /dev/pts/N, 136:N. */
export class PtsDevice implements CharDevice {
  readonly name = "pts";

  open(task: Task, rdev: number, flags: number): OpenFile | number {
    const pty = ptyTable(task.kernel).get(minor(rdev));
    return pty === undefined ? -ENXIO : openSlave(task, pty, flags);
  }
}
