/** The short files of /proc/PID: comm wchan syscall io sched ... and the ones that only exist to be found. */
import { CAP_SYS_RESOURCE, EACCES, EINVAL } from "linux-abi";
import type { Task } from "../../../task/task.ts";
import { processUsage } from "../format.ts";
import type { TaskFile } from "../proc-file.ts";

const comm: TaskFile = {
  name: "comm",
  mode: 0o644,
  text: (task) => `${task.comm}\n`,
  write(task, text) {
    const caller = task.kernel.scheduler.current;
    if (caller !== null && caller.process !== task.process) return -EINVAL;
    task.comm = text.replace(/\n$/, "").slice(0, 15);
    return 0;
  },
};

const cgroup: TaskFile = { name: "cgroup", text: () => "0::/\n" };
const wchan: TaskFile = { name: "wchan", text: (task) => task.wait?.channel ?? "0" };
const loginuid: TaskFile = { name: "loginuid", mode: 0o644, text: () => "4294967295", write: () => 0 };
const sessionid: TaskFile = { name: "sessionid", text: () => "4294967295" };
const personality: TaskFile = {
  name: "personality",
  mode: 0o400,
  guarded: true,
  text: (task) => `${task.personality.toString(16).padStart(8, "0")}\n`,
};
const coredumpFilter: TaskFile = { name: "coredump_filter", mode: 0o644, text: () => "00000033\n", write: () => 0 };
const setgroups: TaskFile = { name: "setgroups", mode: 0o644, text: () => "allow\n" };
const uidMap: TaskFile = { name: "uid_map", mode: 0o644, text: () => "         0          0 4294967295\n" };
const gidMap: TaskFile = { name: "gid_map", mode: 0o644, text: () => "         0          0 4294967295\n" };
const schedstat: TaskFile = {
  name: "schedstat",
  text: ({ usage }) => `${usage.userNs + usage.systemNs} 0 ${usage.voluntarySwitches + usage.involuntarySwitches}\n`,
};

const io: TaskFile = {
  name: "io",
  mode: 0o400,
  guarded: true,
  text(task) {
    const usage = task === task.process.leader ? processUsage(task.process) : task.usage;
    return (
      `rchar: ${usage.bytesRead}\nwchar: ${usage.bytesWritten}\nsyscr: ${usage.readCalls}\nsyscw: ${usage.writeCalls}\n` +
      `read_bytes: ${usage.blocksIn * 512}\nwrite_bytes: ${usage.blocksOut * 512}\ncancelled_write_bytes: 0\n`
    );
  },
};

const syscall: TaskFile = {
  name: "syscall",
  mode: 0o400,
  guarded: true,
  text(task) {
    if (task.wait === null) return "running\n";
    const registers: string[] = [];
    for (let n = 10; n <= 15; n++) registers.push(`0x${word(task, n)}`);
    return `${task.syscall} ${registers.join(" ")} 0x${word(task, 2)} 0x${task.pc.toString(16)}\n`;
  },
};

function word(task: Task, register: number): string {
  const lo = (task.x[2 * register] as number) >>> 0;
  const hi = (task.x[2 * register + 1] as number) >>> 0;
  return (hi * 4294967296 + lo).toString(16);
}

/** −17..15 of the old oom_adj is derived from −1000..1000. */
function setOom(task: Task, score: number): number {
  if (!Number.isInteger(score) || score < -1000 || score > 1000) return -EINVAL;
  const { cred } = task.kernel.scheduler.current ?? task;
  if (score < task.process.oomScoreAdj && !cred.hasCapability(CAP_SYS_RESOURCE)) return -EACCES;
  task.process.oomScoreAdj = score;
  return 0;
}

const oomScoreAdj: TaskFile = {
  name: "oom_score_adj",
  mode: 0o644,
  text: (task) => `${task.process.oomScoreAdj}\n`,
  write: (task, text) => setOom(task, Number(text.trim())),
};

const oomScore: TaskFile = {
  name: "oom_score",
  text(task) {
    const share = task.process.zombie ? 0 : task.memory.residentPages / task.kernel.frames.total;
    return `${Math.max(0, Math.round(666 + share * 333 + task.process.oomScoreAdj / 1.5))}\n`;
  },
};

const oomAdj: TaskFile = {
  name: "oom_adj",
  mode: 0o644,
  text: (task) => `${task.process.oomScoreAdj === 1000 ? 15 : Math.trunc((task.process.oomScoreAdj * 17) / 1000)}\n`,
  write: (task, text) => setOom(task, Math.trunc((Number(text.trim()) * 1000) / 17)),
};

export const SMALL_TASK_FILES: readonly TaskFile[] = [
  comm,
  cgroup,
  wchan,
  loginuid,
  sessionid,
  personality,
  coredumpFilter,
  setgroups,
  uidMap,
  gidMap,
  schedstat,
  io,
  syscall,
  oomScoreAdj,
  oomScore,
  oomAdj,
];
