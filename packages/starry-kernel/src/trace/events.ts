/**
 * The kernel's events: Linux's names, fields, C types and print fmts (include/trace/events/*.h of 6.6), so that scripts and
 * tools written for Linux read them.
 *
 * One set per kernel, because the gates in it are the kernel's own.
 */
import { defineEvent, type EntryWriter, type TracePoint } from "ktracepoint";
import { SCHED_FIFO, SCHED_RR } from "linux-abi";
import type { Task } from "../task/task.ts";

/** Idle task as events show it. */
export const IDLE_COMM = "swapper/0";
const DEFAULT_PRIO = 120;

/** Priority on Linux's scale: 0..98 real-time (99 − rt priority), 100..139 normal (120 + nice). */
export function prioOf(task: Task | null): number {
  if (task === null) return DEFAULT_PRIO;
  const realtime = task.policy === SCHED_FIFO || task.policy === SCHED_RR;
  return realtime ? 99 - task.realtimePriority : DEFAULT_PRIO + task.nice;
}

const commOf = (task: Task | null): string => (task === null ? IDLE_COMM : task.comm);
const tidOf = (task: Task | null): number => (task === null ? 0 : task.tid);

// TASK_REPORT's states and the bit above them, as the kernel's macro spells them out in sched_switch's print fmt.
const REPORT =
  "(((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | 0x00000010 | 0x00000020 | 0x00000040) + 1) << 1)";

const WAKEUP_FIELDS = ["char comm[16]", "pid_t pid", "int prio", "int target_cpu"] as const;
const WAKEUP_PRINT = '"comm=%s pid=%d prio=%d target_cpu=%03d", REC->comm, REC->pid, REC->prio, REC->target_cpu';

function wakeupEvent(name: string): TracePoint<[task: Task]> {
  return defineEvent({
    system: "sched",
    name,
    fields: WAKEUP_FIELDS,
    print: WAKEUP_PRINT,
    pidFields: ["pid"],
    assign(entry: EntryWriter, task: Task) {
      entry.string(task.comm);
      entry.number(task.tid);
      entry.number(prioOf(task));
      entry.number(0);
    },
  });
}

/** An event that names one task. */
function processEvent(name: string): TracePoint<[task: Task]> {
  return defineEvent({
    system: "sched",
    name,
    fields: ["char comm[16]", "pid_t pid", "int prio"],
    print: '"comm=%s pid=%d prio=%d", REC->comm, REC->pid, REC->prio',
    assign(entry: EntryWriter, task: Task) {
      entry.string(task.comm);
      entry.number(task.tid);
      entry.number(prioOf(task));
    },
  });
}

// Block device numbers in records are the kernel's own dev_t: major << 20 | minor.
const DEVICE = "((unsigned int) ((REC->dev) >> 20)), ((unsigned int) ((REC->dev) & ((1U << 20) - 1)))";

/** What block events need to know of a request. Sectors are 512 bytes. */
export interface BlockRequest {
  major: number;
  minor: number;
  sector512: number;
  sectorCount: number;
  /** "R", "W", "FF" (flush), "D" (discard). */
  operation: string;
  /** Task on whose behalf it is made. */
  comm: string;
}

export class KernelEvents {
  readonly schedSwitch: TracePoint<[previous: Task | null, next: Task | null, state: number]> = defineEvent({
    system: "sched",
    name: "sched_switch",
    fields: [
      "char prev_comm[16]",
      "pid_t prev_pid",
      "int prev_prio",
      "long prev_state",
      "char next_comm[16]",
      "pid_t next_pid",
      "int next_prio",
    ],
    print:
      '"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s%s ==> next_comm=%s next_pid=%d next_prio=%d", REC->prev_comm, ' +
      `REC->prev_pid, REC->prev_prio, (REC->prev_state & (${REPORT} - 1)) ? __print_flags(REC->prev_state & (${REPORT} - 1), "|", ` +
      '{ 0x00000001, "S" }, { 0x00000002, "D" }, { 0x00000004, "T" }, { 0x00000008, "t" }, { 0x00000010, "X" }, { 0x00000020, "Z" }, ' +
      `{ 0x00000040, "P" }, { 0x00000080, "I" }) : "R", REC->prev_state & ${REPORT} ? "+" : "", REC->next_comm, REC->next_pid, REC->next_prio`,
    pidFields: ["prev_pid", "next_pid"],
    assign(entry: EntryWriter, previous: Task | null, next: Task | null, state: number) {
      entry.string(commOf(previous));
      entry.number(tidOf(previous));
      entry.number(prioOf(previous));
      entry.number(state);
      entry.string(commOf(next));
      entry.number(tidOf(next));
      entry.number(prioOf(next));
    },
  });

  readonly schedWaking: TracePoint<[task: Task]> = wakeupEvent("sched_waking");
  readonly schedWakeup: TracePoint<[task: Task]> = wakeupEvent("sched_wakeup");
  readonly schedWakeupNew: TracePoint<[task: Task]> = wakeupEvent("sched_wakeup_new");

  readonly schedProcessFork: TracePoint<[parent: Task, child: Task]> = defineEvent({
    system: "sched",
    name: "sched_process_fork",
    fields: ["char parent_comm[16]", "pid_t parent_pid", "char child_comm[16]", "pid_t child_pid"],
    print:
      '"comm=%s pid=%d child_comm=%s child_pid=%d", REC->parent_comm, REC->parent_pid, REC->child_comm, REC->child_pid',
    assign(entry: EntryWriter, parent: Task, child: Task) {
      entry.string(parent.comm);
      entry.number(parent.tid);
      entry.string(child.comm);
      entry.number(child.tid);
    },
  });

  readonly schedProcessExec: TracePoint<[task: Task, filename: string, oldPid: number]> = defineEvent({
    system: "sched",
    name: "sched_process_exec",
    fields: ["__data_loc char[] filename", "pid_t pid", "pid_t old_pid"],
    print: '"filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid',
    assign(entry: EntryWriter, task: Task, filename: string, oldPid: number) {
      entry.string(filename);
      entry.number(task.tid);
      entry.number(oldPid);
    },
  });

  readonly schedProcessExit: TracePoint<[task: Task]> = processEvent("sched_process_exit");
  readonly schedProcessFree: TracePoint<[task: Task]> = processEvent("sched_process_free");

  readonly sysEnter: TracePoint<[registers: Int32Array, nr: number]> = defineEvent({
    system: "raw_syscalls",
    name: "sys_enter",
    fields: ["long id", "unsigned long args[6]"],
    print:
      '"NR %ld (%lx, %lx, %lx, %lx, %lx, %lx)", REC->id, REC->args[0], REC->args[1], REC->args[2], REC->args[3], REC->args[4], REC->args[5]',
    assign(entry: EntryWriter, registers: Int32Array, nr: number) {
      entry.number(nr);
      entry.pairs(registers, A0, 6);
    },
  });

  readonly sysExit: TracePoint<[nr: number, result: number]> = defineEvent({
    system: "raw_syscalls",
    name: "sys_exit",
    fields: ["long id", "long ret"],
    print: '"NR %ld = %ld", REC->id, REC->ret',
    assign(entry: EntryWriter, nr: number, result: number) {
      entry.number(nr);
      entry.number(result);
    },
  });

  readonly signalGenerate: TracePoint<[signal: number, code: number, target: Task, group: boolean, result: number]> =
    defineEvent({
      system: "signal",
      name: "signal_generate",
      fields: ["int sig", "int errno", "int code", "char comm[16]", "pid_t pid", "int group", "int result"],
      print:
        '"sig=%d errno=%d code=%d comm=%s pid=%d grp=%d res=%d", REC->sig, REC->errno, REC->code, REC->comm, REC->pid, REC->group, REC->result',
      assign(entry: EntryWriter, signal: number, code: number, target: Task, group: boolean, result: number) {
        entry.number(signal);
        entry.number(0);
        entry.number(code);
        entry.string(target.comm);
        entry.number(target.tid);
        entry.number(group ? 1 : 0);
        entry.number(result);
      },
    });

  readonly signalDeliver: TracePoint<[signal: number, code: number, handler: number, flags: number]> = defineEvent({
    system: "signal",
    name: "signal_deliver",
    fields: ["int sig", "int errno", "int code", "unsigned long sa_handler", "unsigned long sa_flags"],
    print:
      '"sig=%d errno=%d code=%d sa_handler=%lx sa_flags=%lx", REC->sig, REC->errno, REC->code, REC->sa_handler, REC->sa_flags',
    assign(entry: EntryWriter, signal: number, code: number, handler: number, flags: number) {
      entry.number(signal);
      entry.number(0);
      entry.number(code);
      entry.number(handler);
      entry.number(flags);
    },
  });

  readonly pageFaultUser: TracePoint<[address: number, ip: number, cause: number]> = defineEvent({
    system: "exceptions",
    name: "page_fault_user",
    fields: ["unsigned long address", "unsigned long ip", "unsigned long error_code"],
    print: '"address=%ps ip=%ps error_code=0x%lx", (void *)REC->address, (void *)REC->ip, REC->error_code',
    assign(entry: EntryWriter, address: number, ip: number, cause: number) {
      entry.number(address);
      entry.number(ip);
      entry.number(cause);
    },
  });

  readonly blockRqIssue: TracePoint<[request: BlockRequest]> = defineEvent({
    system: "block",
    name: "block_rq_issue",
    fields: [
      "dev_t dev",
      "sector_t sector",
      "unsigned int nr_sector",
      "unsigned int bytes",
      "char rwbs[8]",
      "char comm[16]",
      "__data_loc char[] cmd",
    ],
    print: `"%d,%d %s %u (%s) %llu + %u [%s]", ${DEVICE}, REC->rwbs, REC->bytes, __get_str(cmd), (unsigned long long)REC->sector, REC->nr_sector, REC->comm`,
    assign(entry: EntryWriter, request: BlockRequest) {
      entry.number((request.major << 20) | request.minor);
      entry.number(request.sector512);
      entry.number(request.sectorCount);
      entry.number(request.sectorCount * 512);
      entry.string(request.operation);
      entry.string(request.comm);
      entry.string("");
    },
  });

  readonly blockRqComplete: TracePoint<[request: BlockRequest, error: number]> = defineEvent({
    system: "block",
    name: "block_rq_complete",
    fields: [
      "dev_t dev",
      "sector_t sector",
      "unsigned int nr_sector",
      "int error",
      "char rwbs[8]",
      "__data_loc char[] cmd",
    ],
    print: `"%d,%d %s (%s) %llu + %u [%d]", ${DEVICE}, REC->rwbs, __get_str(cmd), (unsigned long long)REC->sector, REC->nr_sector, REC->error`,
    assign(entry: EntryWriter, request: BlockRequest, error: number) {
      entry.number((request.major << 20) | request.minor);
      entry.number(request.sector512);
      entry.number(request.sectorCount);
      entry.number(error);
      entry.string(request.operation);
      entry.string("");
    },
  });
}

/** Index of a0's low word in the register file. */
export const A0 = 20;
