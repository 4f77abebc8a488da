/**
 * A task that makes system calls through the kernel's own table without running any program: its arguments are put into
 * real pages of its address space.
 */
import { SIGCHLD } from "linux-abi";
import { FdTable } from "../src/fd-table.ts";
import { AddressSpace } from "../src/mm/address-space.ts";
import { mapRegion } from "../src/mm/mapping.ts";
import { VM_READ, VM_WRITE } from "../src/mm/vma.ts";
import { SignalHandlers } from "../src/signal/handlers.ts";
import { Credentials } from "../src/task/credentials.ts";
import { ResourceLimits } from "../src/task/limits.ts";
import { Process } from "../src/task/process.ts";
import { Task } from "../src/task/task.ts";
import { Wait, WAKE_EVENT, WAKE_SIGNAL } from "../src/wait.ts";
import type { Guest } from "./guest.ts";

const MEMORY_BASE = 0x100000;
const MEMORY_BYTES = 4 << 20;

export class Caller {
  readonly task: Task;
  #next = MEMORY_BASE;
  /** What the last call waits for, if it does. */
  waiting: Wait | null = null;

  constructor(guest: Guest, options: { uid?: number; gid?: number; groups?: readonly number[]; files?: FdTable } = {}) {
    const { kernel } = guest;
    const limits = ResourceLimits.forInit(100);
    const memory = AddressSpace.create(kernel.memory, limits) as AddressSpace;
    const process = new Process(kernel, kernel.tasks.allocatePid(), limits, SIGCHLD, 0);
    const uid = options.uid ?? 0;
    this.task = new Task(
      kernel,
      process.pid,
      process,
      {
        comm: "caller",
        cred: Credentials.forUser(uid, options.gid ?? uid, options.groups ?? []),
        memory,
        files: options.files ?? new FdTable(),
        fs: guest.fs.initialContext(),
        handlers: new SignalHandlers(),
      },
      0,
    );
    process.leader = this.task;
    process.threads.push(this.task);
    kernel.tasks.startSession(process);
    kernel.tasks.addProcess(process);
    kernel.tasks.addTask(this.task);
    mapRegion(memory, {
      address: MEMORY_BASE,
      byteLength: MEMORY_BYTES,
      flags: VM_READ | VM_WRITE,
      fixed: true,
      source: null,
      file: null,
      pageOffset: 0,
    });
  }

  /** An address with room for `byteLength` bytes, 8-byte aligned, zeroed. */
  room(byteLength: number): number {
    const at = this.#next;
    this.#next += (byteLength + 15) & ~7;
    if (this.#next > MEMORY_BASE + MEMORY_BYTES) this.#next = MEMORY_BASE + byteLength;
    this.task.memory.clear(at, byteLength);
    return at;
  }

  /** Puts bytes, or text with a NUL, into memory. */
  put(value: string | Uint8Array): number {
    const bytes = typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
    const at = this.room(bytes.length);
    this.task.memory.copyOut(at, bytes, 0, bytes.length);
    return at;
  }

  bytes(address: number, byteLength: number): Uint8Array {
    const out = new Uint8Array(byteLength);
    if (this.task.memory.copyIn(address, out, 0, byteLength) !== 0) throw new Error("bad address");
    return out;
  }

  text(address: number, byteLength: number): string {
    return new TextDecoder().decode(this.bytes(address, byteLength));
  }

  view(address: number, byteLength: number): DataView {
    return new DataView(this.bytes(address, byteLength).buffer);
  }

  /** Makes a call by name; strings become paths in memory. A call that waits gives NaN; see `waiting` and `resume`. */
  call(name: string, ...args: (number | string)[]): number {
    const { kernel } = this.task;
    const found = kernel.syscalls.rows.find((row) => row?.name === name);
    if (found === undefined) throw new Error(`no call ${name}`);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args.map((arg) =>
      typeof arg === "string" ? this.put(arg) : arg,
    );
    kernel.scheduler.current = this.task;
    return this.#settle(found.handler(this.task, a, b, c, d, e, f));
  }

  /** Something has happened to what the last call waits for: its result, or NaN if it goes on waiting. */
  resume(reason: number = WAKE_EVENT): number {
    if (this.waiting === null) throw new Error("nothing waits");
    return this.#settle(this.waiting.resume(this.task, reason));
  }

  interrupt(): number {
    return this.resume(WAKE_SIGNAL);
  }

  #settle(result: number | Wait): number {
    this.waiting = result instanceof Wait ? result : null;
    return result instanceof Wait ? Number.NaN : result;
  }

  // Shorthands.

  open(path: string, flags: number, mode = 0o644): number {
    return this.call("openat", -100, path, flags, mode);
  }

  write(fd: number, text: string): number {
    const bytes = new TextEncoder().encode(text);
    return this.call("write", fd, this.put(bytes), bytes.length);
  }

  read(fd: number, count = 4096): string | number {
    const at = this.room(count);
    const n = this.call("read", fd, at, count);
    return n < 0 || Number.isNaN(n) ? n : this.text(at, n);
  }

  close(fd: number): number {
    return this.call("close", fd);
  }
}
