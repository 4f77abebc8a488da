/** What gdb's command `monitor` can ask of the machine. */
import { explain } from "rv64-cpu";
import type { Board } from "virt-machine";
import type { DebugTarget } from "./target.ts";

interface MonitorCommand {
  readonly help: string;
  run(target: DebugTarget, board: Board, tid: number): string;
}

const COMMANDS: Readonly<Record<string, MonitorCommand>> = {
  help: { help: "this list", run: () => helpText() },
  ps: { help: "processes of the machine", run: (target) => processList(target) },
  maps: { help: "memory mappings of the debugged process", run: (target) => mappings(target) },
  explain: { help: "registers, code and backtrace of the selected thread", run: explainThread },
  exit: {
    help: "power the machine off",
    run: (target) => {
      target.kernel.halt("stopped", 137, "stopped by the debugger");
      target.onResume();
      return "";
    },
  },
};

/** Text for the user, lines ended. */
export function monitor(command: string, target: DebugTarget, board: Board, tid: number): string {
  const name = command.trim();
  if (!Object.hasOwn(COMMANDS, name)) return `unknown command "${name}"\n${helpText()}`;
  return COMMANDS[name].run(target, board, tid);
}

function helpText(): string {
  return Object.entries(COMMANDS)
    .map(([name, { help }]) => `monitor ${name.padEnd(8)} ${help}\n`)
    .join("");
}

function processList(target: DebugTarget): string {
  const lines = ["  PID  PPID THREADS COMMAND\n"];
  for (const process of target.kernel.tasks.processes()) {
    const [pid, parent, threads] = [process.pid, process.parent?.pid ?? 0, process.zombie ? 0 : process.threads.length];
    const mark = process === target.process ? "*" : " ";
    lines.push(
      `${mark}${String(pid).padStart(4)} ${String(parent).padStart(5)} ${String(threads).padStart(7)} ${process.leader.comm}\n`,
    );
  }
  return lines.join("");
}

function mappings(target: DebugTarget): string {
  const lines: string[] = [];
  for (const vma of target.threads[0]?.memory.vmas.all ?? []) {
    const rights = ["r", "w", "x"].map((letter, bit) => ((vma.flags >> bit) & 1 ? letter : "-")).join("");
    const name = vma.file === null ? vma.name : target.kernel.fs.pathText(target.threads[0], vma.file);
    lines.push(`${vma.start.toString(16)}-${vma.end.toString(16)} ${rights}${vma.shared ? "s" : "p"} ${name}\n`);
  }
  return lines.join("");
}

/** The hart is free between steps: the thread's registers are put into it for the report. */
function explainThread(target: DebugTarget, board: Board, tid: number): string {
  const task = target.thread(tid);
  if (task === undefined) return "no such thread\n";
  const { kernel } = target;
  kernel.unloadHart();
  board.hart.x.set(task.x);
  board.hart.f.set(task.f);
  board.hart.fcsr = task.fcsr;
  board.hart.pc = task.pc;
  kernel.memory.activate(task.memory);
  return `${explain(board.hart)}\n`;
}
