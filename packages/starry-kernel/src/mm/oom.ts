/**
 * Out of memory: one process is chosen, killed and gives up its pages at once, so that everybody else can go on.
 *
 * Linux's choice: the largest resident size, shifted by oom_score_adj (−1000 never, 1000 first). Init goes last: Linux panics
 * then, but here process 1 may well be the one program that the user runs.
 */
import type { Kernel } from "../kernel.ts";
import { isDead } from "../task/exit.ts";
import { forceKill } from "../signal/send.ts";
import type { Process } from "../task/process.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";

const SCORE_ADJ_NEVER = -1000;

/** True if memory has been freed. False: the running task is the victim (SIGKILL is pending), or there is none. */
export function killForMemory(kernel: Kernel): boolean {
  const victim = chooseVictim(kernel);
  if (victim === undefined) return false;
  const task = victim.leader;
  const kib = (pages: number): number => (pages * PAGE_SIZE) / 1024;
  const { memory } = task;
  kernel.log(
    "error",
    `Out of memory: Killed process ${victim.pid} (${task.comm}) total-vm:${kib(memory.totalPages)}kB, ` +
      `anon-rss:${kib(memory.anonPages)}kB, file-rss:${kib(memory.filePages)}kB, shmem-rss:${kib(memory.sharedPages)}kB, ` +
      `UID:${task.cred.uid} oom_score_adj:${victim.oomScoreAdj}`,
  );
  forceKill(victim);
  const current = kernel.scheduler.current;
  if (current !== null && current.memory === memory) return false;
  memory.releasePages();
  return true;
}

function chooseVictim(kernel: Kernel): Process | undefined {
  const init = kernel.tasks.process(1);
  let victim: Process | undefined = init === undefined || init.exiting ? undefined : init;
  let worst = 0;
  for (const process of kernel.tasks.processes()) {
    if (process.pid === 1 || process.exiting || isDead(process.leader) || process.oomScoreAdj === SCORE_ADJ_NEVER)
      continue;
    const memory = process.leader.memory;
    const points = memory.residentPages + memory.table.tableCount + (process.oomScoreAdj * kernel.frames.total) / 1000;
    if (points > worst) {
      worst = points;
      victim = process;
    }
  }
  return victim;
}
