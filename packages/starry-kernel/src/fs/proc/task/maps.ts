/** /proc/PID/maps, smaps and smaps_rollup (proc_pid_maps(5), proc_pid_smaps(5)). */
import { major, minor } from "linux-abi";
import { pathText } from "vfs-inode";
import { PAGE_SIZE } from "../../../mm/frame-allocator.ts";
import { PTE_ANON, pteFrame } from "../../../mm/page-table.ts";
import { VM_EXEC, VM_READ, VM_WRITE, type Vma } from "../../../mm/vma.ts";
import type { Task } from "../../../task/task.ts";
import type { TaskFile } from "../proc-file.ts";

function hex(address: number): string {
  return address.toString(16).padStart(8, "0");
}

/** "start-end rwxp offset major:minor inode   path". */
function mapLine(task: Task, vma: Vma): string {
  const { flags, source, file } = vma;
  const rights =
    ((flags & VM_READ) !== 0 ? "r" : "-") +
    ((flags & VM_WRITE) !== 0 ? "w" : "-") +
    ((flags & VM_EXEC) !== 0 ? "x" : "-") +
    (vma.shared ? "s" : "p");
  const offset = source === null ? 0 : vma.pageOffset * PAGE_SIZE;
  const device = source?.deviceNumber ?? 0;
  const where = `${major(device).toString(16).padStart(2, "0")}:${minor(device).toString(16).padStart(2, "0")} ${source?.ino ?? 0}`;
  let name = vma.name;
  if (file !== null) {
    // Newlines are the one thing the format cannot hold.
    const text = file.path === null ? file.anonymousName : pathText(file.path, task.fs.root);
    name = text.replaceAll("\n", "\\012");
  }
  const head = `${hex(vma.start)}-${hex(vma.end)} ${rights} ${hex(offset)} ${where}`;
  return name === "" ? `${head} \n` : `${head.padEnd(72)} ${name}\n`;
}

export const maps: TaskFile = {
  name: "maps",
  guarded: true,
  text: (task) => task.memory.vmas.all.map((vma) => mapLine(task, vma)).join(""),
};

interface Resident {
  pages: number;
  anonymous: number;
  shared: number;
  /** Pages divided by the number of users of each. */
  proportional: number;
}

function residentOf(task: Task, vma: Vma): Resident {
  const { memory } = task;
  const resident: Resident = { pages: 0, anonymous: 0, shared: 0, proportional: 0 };
  memory.table.forEach(vma.start / PAGE_SIZE, vma.end / PAGE_SIZE, (_vpn, slot) => {
    const pte = memory.table.get(slot);
    const frame = pteFrame(pte);
    if (frame === memory.manager.zeroFrame) return;
    const isAnonymous = (pte & PTE_ANON) !== 0;
    const users = memory.frames.refs(frame) - (isAnonymous ? 0 : 1); // the cache holds one, too
    resident.pages++;
    if (isAnonymous) resident.anonymous++;
    if (users > 1) resident.shared++;
    resident.proportional += 1 / Math.max(1, users);
  });
  return resident;
}

function usageLines(resident: Resident, writable: boolean): string {
  const line = (name: string, pages: number): string =>
    `${`${name}:`.padEnd(16)}${String(Math.floor(pages * 4)).padStart(8)} kB\n`;
  const own = resident.pages - resident.shared;
  return (
    line("Rss", resident.pages) +
    line("Pss", resident.proportional) +
    line("Shared_Clean", resident.shared) +
    line("Shared_Dirty", 0) +
    line("Private_Clean", writable ? 0 : own) +
    line("Private_Dirty", writable ? own : 0) +
    line("Referenced", resident.pages) +
    line("Anonymous", resident.anonymous) +
    line("Swap", 0) +
    line("SwapPss", 0) +
    line("Locked", 0)
  );
}

export const smaps: TaskFile = {
  name: "smaps",
  guarded: true,
  text: (task) =>
    task.memory.vmas.all
      .map((vma) => {
        const size = `${"Size:".padEnd(16)}${String(vma.pageCount * 4).padStart(8)} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n`;
        return mapLine(task, vma) + size + usageLines(residentOf(task, vma), (vma.flags & VM_WRITE) !== 0);
      })
      .join(""),
};

export const smapsRollup: TaskFile = {
  name: "smaps_rollup",
  guarded: true,
  text(task) {
    const sum: Resident = { pages: 0, anonymous: 0, shared: 0, proportional: 0 };
    const all = task.memory.vmas.all;
    for (const vma of all) {
      const one = residentOf(task, vma);
      sum.pages += one.pages;
      sum.anonymous += one.anonymous;
      sum.shared += one.shared;
      sum.proportional += one.proportional;
    }
    const range = all.length === 0 ? "0-0" : `${hex((all[0] as Vma).start)}-${hex((all.at(-1) as Vma).end)}`;
    return `${`${range} ---p 00000000 00:00 0`.padEnd(72)} [rollup]\n${usageLines(sum, true)}`;
  },
};
