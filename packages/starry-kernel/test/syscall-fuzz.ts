/**
 * System calls with arbitrary arguments: whatever a program passes, a call ends in a result or a wait, never in a host exception.
 *
 * A real process is started and then its calls are made for it: registers are filled with numbers that tend to matter (small
 * ones, addresses of mapped, unmapped and read-only memory, extreme values), and the dispatcher is entered directly.
 */
import { SYS_exit, SYS_exit_group, SYS_reboot, SYS_rt_sigreturn, SYSCALL_NAMES } from "linux-abi";
import { installIpc } from "../src/ipc/install.ts";
import { mapRegion } from "../src/mm/mapping.ts";
import { VM_READ, VM_WRITE } from "../src/mm/vma.ts";
import { installSockets } from "../src/net/install.ts";
import { deliverSignals } from "../src/signal/deliver.ts";
import { enterSyscall, resumeSyscall } from "../src/syscall/dispatch.ts";
import { type Task, TASK_RUNNING } from "../src/task/task.ts";
import { WAKE_SIGNAL } from "../src/wait.ts";
import { TestMachine } from "./test-machine.ts";

const DATA = 0x7000_0000;
const DATA_BYTES = 64 * 4096;
/** Calls that end the process or the machine, as they should. */
const SKIPPED: ReadonlySet<number> = new Set([SYS_exit, SYS_exit_group, SYS_reboot, SYS_rt_sigreturn]);

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) % below;
  };
}

/** A machine whose process 1 never gets to run by itself. */
function start(): { machine: TestMachine; task: Task } {
  const machine = new TestMachine({ ramBytes: 32 * 2 ** 20 });
  installIpc(machine.kernel);
  installSockets(machine.kernel);
  machine.addFile("/bin/prog", loopForever(), 0o755);
  machine.addFile("/tmp/file", "some text\n");
  const { terminal } = machine;
  const files = [terminal.get(), terminal.get(), terminal.get()];
  machine.kernel.spawnInit({ path: "/bin/prog", argv: ["prog"], envp: [], files });
  machine.kernel.step(1000); // puts it on the hart
  const task = machine.kernel.scheduler.current as Task;
  mapRegion(task.memory, {
    address: DATA,
    byteLength: DATA_BYTES,
    flags: VM_READ | VM_WRITE,
    fixed: true,
    source: null,
    file: null,
    pageOffset: 0,
  });
  return { machine, task };
}

/** A static ELF file with one instruction, `j .`. */
function loopForever(): Uint8Array {
  const image = new Uint8Array(124);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint32(16, 2 | (243 << 16), true);
  view.setUint32(24, 0x10078, true);
  view.setUint32(32, 64, true);
  view.setUint32(54, 56 | (1 << 16), true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 5, true);
  view.setUint32(80, 0x10000, true);
  view.setUint32(96, image.length, true);
  view.setUint32(104, image.length, true);
  view.setUint32(120, 0x0000006f, true);
  return image;
}

const STRINGS = ["/tmp/file", "/", "/proc/self/maps", "/dev/null", "a", "/tmp/new", "/proc/1/fd/3", "", "tmpfs", "."];

function fillData(task: Task, next: (below: number) => number): void {
  const bytes = new Uint8Array(512);
  for (let i = 0; i < bytes.length; i += next(2) === 0 ? 8 : 1) bytes[i] = next(3) === 0 ? next(256) : next(12);
  task.memory.copyOut(DATA + next(DATA_BYTES - 512), bytes, 0, bytes.length);
  const text = new TextEncoder().encode(`${STRINGS[next(STRINGS.length)]}\0`);
  task.memory.copyOut(DATA + 4096 * next(16), text, 0, text.length);
}

type Pair = readonly [lo: number, hi: number];

/** (lo, hi) of an argument that need not make sense. */
function anything(next: (below: number) => number): Pair {
  switch (next(8)) {
    case 0:
      return [-1, -1];
    case 1:
      return [0, 0];
    case 2:
      return [-100, -1]; // AT_FDCWD
    case 3:
      return [next(0x10000) * 0x10000 + next(0x10000), next(2) === 0 ? 0 : next(0x10000) * 0x10000];
    case 4:
      return [1 << next(32), 0];
    case 5:
      return [DATA + 4096 * next(16) + (next(4) === 0 ? next(4096) : 0), 0];
    case 6:
      return [0x10000 + next(200), 0]; // the program's own read-only page
    default:
      return [next(40), 0];
  }
}

/** One that its declared type suggests. */
function plausible(type: string, next: (below: number) => number): Pair {
  switch (type) {
    case "fd":
      return [next(12), 0];
    case "dirfd":
      return next(2) === 0 ? [-100, -1] : [next(12), 0];
    case "path":
    case "str":
      return [DATA + 4096 * next(16), 0];
    case "size":
    case "ulong":
    case "uint":
      return [next(4) === 0 ? next(5000) : next(64), 0];
    case "off":
      return [next(2) === 0 ? 4096 * next(4) : next(64), 0];
    case "socket_type":
      return [1 + next(5), 0];
    case "pid":
      return [next(3), 0];
    case "signal":
      return [next(66), 0];
    case "int":
    case "flags":
    case "at_flags":
    case "clockid":
    case "whence":
    case "family":
      return next(3) === 0 ? [1 << next(20), 0] : [next(8), 0];
    case "open_flags":
      return [next(3) | (next(2) === 0 ? 0 : 1 << (6 + next(18))), 0];
    case "prot":
      return [next(8), 0];
    case "mmap_flags":
      return [1 + next(2) + 16 * next(3) + (next(3) === 0 ? 1 << (8 + next(14)) : 0), 0];
    case "mode":
      return [next(0o10000), 0];
    default: // an address
      return next(5) === 0 ? [0, 0] : [DATA + 4096 * next(20) + 8 * next(64), 0];
  }
}

function call(machine: TestMachine, task: Task, nr: number, next: (below: number) => number): void {
  const { kernel } = machine;
  const { x } = kernel.cpu;
  x[34] = nr;
  x[35] = 0;
  const row = kernel.syscalls.rows[nr];
  for (let i = 0; i < 6; i++) {
    const type = row?.args[i]?.type;
    const [lo, hi] = type === undefined || next(6) === 0 ? anything(next) : plausible(type, next);
    x[20 + 2 * i] = lo;
    x[21 + 2 * i] = hi;
  }
  enterSyscall(kernel, task);
  // A wait is broken off as a signal would.
  for (let rounds = 0; task.wait !== null && rounds < 3; rounds++) {
    kernel.scheduler.wake(task, WAKE_SIGNAL);
    kernel.scheduler.dequeue(task);
    if (task.wait !== null) resumeSyscall(kernel, task);
  }
  task.restartCode = 0;
  task.restoreMask = false;
  if (task.attention && task.state === TASK_RUNNING) deliverSignals(task);
  kernel.timers.runDue(Number.MAX_VALUE / 2);
}

/** Makes `calls` calls, starting over on a new machine whenever the process has ended. Throws an Error that names the call of a host exception. */
export function fuzzSyscalls(
  seed: number,
  calls: number,
  onResult: (nr: number, result: number) => void = () => {},
): void {
  const next = random(seed * 7919);
  const numbers = Object.keys(SYSCALL_NAMES)
    .map(Number)
    .filter((nr) => !SKIPPED.has(nr));
  let { machine, task } = start();
  for (let i = 0; i < calls; i++) {
    if (machine.kernel.halted !== null || task.state !== TASK_RUNNING || task.wait !== null)
      ({ machine, task } = start());
    fillData(task, next);
    const nr = numbers[next(numbers.length)] as number;
    try {
      call(machine, task, nr, next);
    } catch (error) {
      throw new Error(`${SYSCALL_NAMES[nr]} (seed ${seed}, call ${i}): ${(error as Error).stack}`);
    }
    const { x } = machine.kernel.cpu;
    onResult(nr, (x[21] as number) * 2 ** 32 + ((x[20] as number) >>> 0));
  }
}
