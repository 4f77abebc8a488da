/**
 * A kernel without a hart, for tests of what lies below the dispatcher: real scheduler queue, timers, signals and tasks over
 * a fake memory, and a dispatcher of twenty lines that parks and resumes calls.
 *
 *     const k = new TestKernel();
 *     const task = k.task();
 *     const call = k.start(task, readFile(task, file, k.buffer(task, BUF, 10), AT_POSITION, false));
 *     expect(call.result).toBeUndefined();        // waits
 *     ...
 *     k.settle();
 *     expect(call.result).toBe(3);
 *
 * Exported nowhere.
 */
import { EFAULT, ENAMETOOLONG, decodeName } from "linux-abi";
import { FdTable } from "../fd-table.ts";
import type { Kernel } from "../kernel.ts";
import type { AddressSpace } from "../mm/address-space.ts";
import { PollSet } from "../poll-set.ts";
import { CharDevices } from "../registries.ts";
import { Scheduler } from "../sched/scheduler.ts";
import { SignalHandlers } from "../signal/handlers.ts";
import type { SyscallRow } from "../syscall/row.ts";
import { Credentials } from "../task/credentials.ts";
import type { FsContext } from "../task/fs-context.ts";
import { ResourceLimits } from "../task/limits.ts";
import { Process } from "../task/process.ts";
import type { Session } from "../task/session.ts";
import { TaskTable } from "../task/table.ts";
import { Task } from "../task/task.ts";
import { Clock } from "../time/clock.ts";
import { TimerQueue } from "../timer-queue.ts";
import { TraceHooks } from "../trace/hooks.ts";
import type { UserMemory } from "../user-memory.ts";
import { Wait, WAKE_SIGNAL } from "../wait.ts";

/** First valid address of the fake memory. */
export const MEMORY_BASE = 0x10000;
const MEMORY_BYTES = 1 << 20;

/** One flat mapped range; everything else faults. */
export class FakeMemory implements UserMemory {
  readonly ram: Uint8Array = new Uint8Array(MEMORY_BYTES);
  readonly view: DataView = new DataView(this.ram.buffer);
  readonly scratchBytes: Uint8Array = new Uint8Array(4096);
  readonly scratch: DataView = new DataView(this.scratchBytes.buffer);

  resolve(va: number, _forWriting: boolean): number {
    return va >= MEMORY_BASE && va < MEMORY_BASE + MEMORY_BYTES ? va - MEMORY_BASE : -EFAULT;
  }

  #range(va: number, byteLength: number): number {
    return va >= MEMORY_BASE && va + byteLength <= MEMORY_BASE + MEMORY_BYTES ? va - MEMORY_BASE : -EFAULT;
  }

  stored(): void {}

  readU8(va: number): number {
    const at = this.#range(va, 1);
    return at < 0 ? at : this.view.getUint8(at);
  }
  readU16(va: number): number {
    const at = this.#range(va, 2);
    return at < 0 ? at : this.view.getUint16(at, true);
  }
  readU32(va: number): number {
    const at = this.#range(va, 4);
    return at < 0 ? at : this.view.getUint32(at, true);
  }
  readU64(va: number): number {
    const at = this.#range(va, 8);
    return at < 0 ? at : this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
  }
  writeU8(va: number, value: number): number {
    const at = this.#range(va, 1);
    if (at < 0) return at;
    this.view.setUint8(at, value);
    return 0;
  }
  writeU16(va: number, value: number): number {
    const at = this.#range(va, 2);
    if (at < 0) return at;
    this.view.setUint16(at, value, true);
    return 0;
  }
  writeU32(va: number, value: number): number {
    const at = this.#range(va, 4);
    if (at < 0) return at;
    this.view.setUint32(at, value, true);
    return 0;
  }
  writeI64(va: number, value: number): number {
    const at = this.#range(va, 8);
    if (at < 0) return at;
    this.view.setBigInt64(at, BigInt(value), true);
    return 0;
  }
  copyIn(va: number, dst: Uint8Array, start: number, byteLength: number): number {
    const at = this.#range(va, byteLength);
    if (at < 0) return at;
    dst.set(this.ram.subarray(at, at + byteLength), start);
    return 0;
  }
  copyOut(va: number, src: Uint8Array, start: number, byteLength: number): number {
    const at = this.#range(va, byteLength);
    if (at < 0) return at;
    this.ram.set(src.subarray(start, start + byteLength), at);
    return 0;
  }
  clear(va: number, byteLength: number): number {
    const at = this.#range(va, byteLength);
    if (at < 0) return at;
    this.ram.fill(0, at, at + byteLength);
    return 0;
  }
  load(va: number, byteLength: number): number {
    return this.copyIn(va, this.scratchBytes, 0, byteLength);
  }
  store(va: number, byteLength: number): number {
    return this.copyOut(va, this.scratchBytes, 0, byteLength);
  }
  readCString(va: number, maxBytes: number): Uint8Array | number {
    const at = this.#range(va, 1);
    if (at < 0) return at;
    const end = this.ram.indexOf(0, at);
    return end < 0 || end - at >= maxBytes ? -ENAMETOOLONG : this.ram.slice(at, end);
  }
  readPath(va: number): string | number {
    const bytes = this.readCString(va, 4096);
    return typeof bytes === "number" ? bytes : decodeName(bytes);
  }

  // For tests.
  setText(va: number, text: string): number {
    const bytes = new TextEncoder().encode(text);
    this.ram.set(bytes, va - MEMORY_BASE);
    return bytes.length;
  }
  text(va: number, byteLength: number): string {
    return new TextDecoder().decode(this.ram.slice(va - MEMORY_BASE, va - MEMORY_BASE + byteLength));
  }
  i32(va: number): number {
    return this.view.getInt32(va - MEMORY_BASE, true);
  }
  u64(va: number): bigint {
    return this.view.getBigUint64(va - MEMORY_BASE, true);
  }
  setU64(va: number, value: bigint): void {
    this.view.setBigUint64(va - MEMORY_BASE, value, true);
  }
}

/** A system call under way. */
export class Call {
  result: number | undefined = undefined;
}

export class TestKernel {
  nowNs = 0;
  readonly kernel: Kernel;
  readonly scheduler: Scheduler;
  readonly timers: TimerQueue = new TimerQueue();
  readonly tasks: TaskTable = new TaskTable();
  readonly #calls: Map<Task, Call> = new Map();

  constructor() {
    const platform = {
      monotonicNs: () => this.nowNs,
      realtimeNs: () => 1_700_000_000e9 + this.nowNs,
      fillRandom: (buf: Uint8Array) => void buf.fill(7),
      log: () => {},
    };
    this.tasks.allocatePid(); // 1 is init, which signals cannot hurt
    const trace = new TraceHooks();
    this.scheduler = new Scheduler(this.timers, trace);
    this.kernel = {
      platform,
      scheduler: this.scheduler,
      tasks: this.tasks,
      timers: this.timers,
      clock: new Clock(platform as never),
      trace,
      charDevices: new CharDevices(),
      blockDevices: new Map(),
      fileSystemTypes: new Map(),
      socketFamilies: new Map(),
      signalEvents: new PollSet(),
      hostName: "starry",
      log: () => {},
    } as unknown as Kernel;
  }

  /** A process of its own with one thread. `parent` gives it its session and group; without one it leads its own. */
  task(options: { uid?: number; parent?: Task; group?: number } = {}): Task {
    const pid = this.tasks.allocatePid();
    const process = new Process(this.kernel, pid, ResourceLimits.forInit(100), 17, this.nowNs);
    const parent = options.parent?.process;
    if (parent === undefined) this.tasks.startSession(process);
    else {
      process.parent = parent;
      parent.children.add(process);
      this.tasks.joinGroup(
        process,
        options.group === 0 ? pid : (options.group ?? parent.group.pgid),
        parent.session as Session,
      );
    }
    const uid = options.uid ?? 0;
    const task = new Task(
      this.kernel,
      pid,
      process,
      {
        comm: "test",
        cred: Credentials.forUser(uid, uid),
        memory: new FakeMemory() as unknown as AddressSpace,
        files: new FdTable(),
        fs: { umask: 0o022 } as FsContext,
        handlers: new SignalHandlers(),
      },
      this.nowNs,
    );
    process.leader = task;
    process.threads.push(task);
    this.tasks.addTask(task);
    this.tasks.addProcess(process);
    return task;
  }

  memory(task: Task): FakeMemory {
    return task.memory as unknown as FakeMemory;
  }

  /** Begins a call with a handler's answer. */
  start(task: Task, answer: number | Wait): Call {
    const call = new Call();
    this.#calls.set(task, call);
    this.#proceed(task, answer);
    this.settle();
    return call;
  }

  /** Begins the call `name` of `rows`. */
  call(task: Task, rows: readonly SyscallRow[], name: string, ...args: number[]): Call {
    const found = rows.find((r) => r.name === name);
    if (found === undefined) throw new Error(`no call ${name}`);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
    return this.start(task, found.handler(task, a, b, c, d, e, f));
  }

  #proceed(task: Task, answer: number | Wait): void {
    let now = answer;
    // Signals that are already there end the wait at once, as in the dispatcher.
    if (now instanceof Wait && task.attention && this.#interrupted(task)) now = now.resume(task, WAKE_SIGNAL);
    if (now instanceof Wait) this.scheduler.park(task, now);
    else {
      const call = this.#calls.get(task);
      if (call !== undefined) call.result = now;
    }
  }

  #interrupted(task: Task): boolean {
    return (
      task.pending.next(task.blockedLo, task.blockedHi) !== 0 ||
      task.process.pending.next(task.blockedLo, task.blockedHi) !== 0
    );
  }

  /** Runs resumed calls until nobody is runnable. */
  settle(): void {
    for (let task = this.scheduler.take(); task !== null; task = this.scheduler.take()) {
      const wait = task.wait;
      task.wait = null;
      if (wait !== null) this.#proceed(task, wait.resume(task, task.wakeReason));
    }
  }

  /** Lets time pass. */
  advance(ns: number): void {
    const end = this.nowNs + ns;
    while (this.timers.nextNs <= end) {
      this.nowNs = Math.max(this.nowNs, this.timers.nextNs);
      this.timers.runDue(this.nowNs);
      this.settle();
    }
    this.nowNs = end;
  }
}
