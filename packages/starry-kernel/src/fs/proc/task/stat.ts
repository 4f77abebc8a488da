/** /proc/PID/stat (proc_pid_stat(5)), 52 fields, and statm. */
import { PAGE_SIZE } from "../../../mm/frame-allocator.ts";
import { dataPages } from "../../../mm/mapping.ts";
import type { Task } from "../../../task/task.ts";
import { nsToTicks, processUsage, stateOf } from "../format.ts";
import type { TaskFile } from "../proc-file.ts";

/** PF_FORKNOEXEC (include/linux/sched.h): has not called execve since it was forked. */
const PF_FORKNOEXEC = 0x40;
const RSS_UNLIMITED = "18446744073709551615";

function statText(task: Task, whole: boolean): string {
  const { process, memory } = task;
  const usage = whole ? processUsage(process) : task.usage;
  const children = process.childUsage;
  const terminal = process.session.terminal;
  const gone = process.zombie;
  let ignored = 0;
  let caught = 0;
  for (let signal = 1; signal <= 31; signal++) {
    const { handler } = task.handlers.get(signal);
    if (handler === 1) ignored |= 1 << (signal - 1);
    else if (handler !== 0) caught |= 1 << (signal - 1);
  }
  const fields: (number | string)[] = [
    whole ? process.pid : task.tid,
    `(${task.comm})`,
    stateOf(task)[0],
    process.parent?.pid ?? 0,
    process.group.pgid,
    process.session.sid,
    terminal?.deviceNumber ?? 0,
    terminal === null ? -1 : terminal.foregroundGroup,
    process.didExec ? 0 : PF_FORKNOEXEC,
    usage.minorFaults,
    children.minorFaults,
    usage.majorFaults,
    children.majorFaults,
    nsToTicks(usage.userNs),
    nsToTicks(usage.systemNs),
    nsToTicks(children.userNs),
    nsToTicks(children.systemNs),
    task.realtimePriority > 0 ? -1 - task.realtimePriority : 20 + task.nice,
    task.nice,
    Math.max(1, process.threads.length),
    0, // itrealvalue
    nsToTicks(process.startNs),
    gone ? 0 : memory.totalPages * PAGE_SIZE,
    gone ? 0 : memory.residentPages,
    RSS_UNLIMITED,
    gone ? 0 : memory.codeStart,
    gone ? 0 : memory.codeEnd,
    gone ? 0 : memory.stackTop,
    0, // kstkesp
    0, // kstkeip
    (task.pending.lo | process.pending.lo) & 0x7fffffff,
    task.blockedLo & 0x7fffffff,
    ignored & 0x7fffffff,
    caught & 0x7fffffff,
    task.wait === null ? 0 : 1, // wchan
    0, // nswap
    0, // cnswap
    process.exitSignal,
    0, // processor
    task.realtimePriority,
    task.policy,
    0, // delayacct_blkio_ticks
    0, // guest_time
    0, // cguest_time
    gone ? 0 : memory.dataStart,
    gone ? 0 : memory.dataEnd,
    gone ? 0 : memory.brkStart,
    gone ? 0 : memory.argStart,
    gone ? 0 : memory.argEnd,
    gone ? 0 : memory.envStart,
    gone ? 0 : memory.envEnd,
    process.exitStatus,
  ];
  return `${fields.join(" ")}\n`;
}

export const stat: TaskFile = {
  name: "stat",
  text: (task) => statText(task, task === task.process.leader),
};

export const statm: TaskFile = {
  name: "statm",
  text(task) {
    const { memory } = task;
    if (task.process.zombie) return "0 0 0 0 0 0 0\n";
    const shared = memory.filePages + memory.sharedPages;
    const code = Math.ceil((memory.codeEnd - memory.codeStart) / PAGE_SIZE);
    return `${memory.totalPages} ${memory.residentPages} ${shared} ${code} 0 ${dataPages(memory)} 0\n`;
  },
};
