/** /proc/PID/status (proc_pid_status(5)). */
import { RLIMIT_SIGPENDING } from "linux-abi";
import { PAGE_SIZE } from "../../../mm/frame-allocator.ts";
import { dataPages } from "../../../mm/mapping.ts";
import { VM_EXEC, VM_GROWSDOWN } from "../../../mm/vma.ts";
import type { Task } from "../../../task/task.ts";
import { hex64, stateOf } from "../format.ts";
import type { TaskFile } from "../proc-file.ts";

function memoryLines(task: Task): string {
  const { memory } = task;
  let stack = 0;
  let libraries = 0;
  const code = Math.ceil((memory.codeEnd - memory.codeStart) / PAGE_SIZE);
  for (const vma of memory.vmas.all) {
    if ((vma.flags & VM_GROWSDOWN) !== 0) stack += vma.pageCount;
    if ((vma.flags & VM_EXEC) !== 0 && vma.file !== null) libraries += vma.pageCount;
  }
  const total = memory.totalPages;
  const figures: readonly (readonly [string, number])[] = [
    ["VmPeak", total],
    ["VmSize", total],
    ["VmLck", memory.lockedPages],
    ["VmPin", 0],
    ["VmHWM", Math.max(memory.peakPages, memory.residentPages)],
    ["VmRSS", memory.residentPages],
    ["RssAnon", memory.anonPages],
    ["RssFile", memory.filePages],
    ["RssShmem", memory.sharedPages],
    ["VmData", dataPages(memory) - stack],
    ["VmStk", stack],
    ["VmExe", code],
    ["VmLib", Math.max(0, libraries - code)],
    ["VmPTE", memory.table.tableCount],
    ["VmSwap", 0],
  ];
  let text = "";
  for (const [name, pages] of figures) text += `${name}:\t${String(pages * 4).padStart(8)} kB\n`;
  return text;
}

function signalLines(task: Task): string {
  const { process } = task;
  let ignoredLo = 0;
  let ignoredHi = 0;
  let caughtLo = 0;
  let caughtHi = 0;
  for (let signal = 1; signal <= 64; signal++) {
    const { handler } = task.handlers.get(signal);
    if (handler === 0) continue;
    const bit = 1 << ((signal - 1) & 31);
    if (handler === 1) {
      if (signal <= 32) ignoredLo |= bit;
      else ignoredHi |= bit;
    } else if (signal <= 32) caughtLo |= bit;
    else caughtHi |= bit;
  }
  const queued = task.pending.length + process.pending.length;
  return (
    `SigQ:\t${queued}/${process.limits.soft[RLIMIT_SIGPENDING]}\n` +
    `SigPnd:\t${hex64(task.pending.lo, task.pending.hi)}\nShdPnd:\t${hex64(process.pending.lo, process.pending.hi)}\n` +
    `SigBlk:\t${hex64(task.blockedLo, task.blockedHi)}\nSigIgn:\t${hex64(ignoredLo, ignoredHi)}\n` +
    `SigCgt:\t${hex64(caughtLo, caughtHi)}\n`
  );
}

export const status: TaskFile = {
  name: "status",
  text(task) {
    const { process, cred } = task;
    const [letter, word] = stateOf(task);
    const gone = process.zombie;
    const { inheritable, permitted, effective, bounding, ambient } = cred;
    const umask = gone ? 0 : task.fs.umask;
    return (
      `Name:\t${escapeName(task.comm)}\nUmask:\t${umask.toString(8).padStart(4, "0")}\n` +
      `State:\t${letter} (${word})\nTgid:\t${process.pid}\nNgid:\t0\nPid:\t${task.tid}\nPPid:\t${process.parent?.pid ?? 0}\n` +
      `TracerPid:\t${task.tracing?.tracer.process.pid ?? 0}\nUid:\t${cred.uid}\t${cred.euid}\t${cred.suid}\t${cred.fsuid}\n` +
      `Gid:\t${cred.gid}\t${cred.egid}\t${cred.sgid}\t${cred.fsgid}\n` +
      `FDSize:\t${Math.max(64, gone ? 0 : task.files.length)}\nGroups:\t${cred.groups.map((gid) => `${gid} `).join("")}\n` +
      `NStgid:\t${process.pid}\nNSpid:\t${task.tid}\nNSpgid:\t${process.group.pgid}\nNSsid:\t${process.session.sid}\nKthread:\t0\n` +
      (gone ? "" : memoryLines(task)) +
      `CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t${Math.max(1, process.threads.length)}\n${signalLines(task)}` +
      `CapInh:\t${hex64(inheritable.lo, inheritable.hi)}\nCapPrm:\t${hex64(permitted.lo, permitted.hi)}\n` +
      `CapEff:\t${hex64(effective.lo, effective.hi)}\nCapBnd:\t${hex64(bounding.lo, bounding.hi)}\n` +
      `CapAmb:\t${hex64(ambient.lo, ambient.hi)}\nNoNewPrivs:\t${task.noNewPrivileges ? 1 : 0}\nSeccomp:\t0\nSeccomp_filters:\t0\n` +
      "Speculation_Store_Bypass:\tunknown\nCpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n" +
      `voluntary_ctxt_switches:\t${task.usage.voluntarySwitches}\nnonvoluntary_ctxt_switches:\t${task.usage.involuntarySwitches}\n`
    );
  },
};

function escapeName(name: string): string {
  return name.replace(/[\n\\]/g, (c) => (c === "\n" ? "\\n" : "\\\\"));
}
