/** /proc/meminfo (proc_meminfo(5)). */
import { PAGE_SIZE } from "../../../mm/frame-allocator.ts";
import { kilobytes } from "../format.ts";
import type { ProcFile } from "../proc-file.ts";

/** vmalloc space of Sv39: nothing uses it here, tools only divide by it. */
const VMALLOC_TOTAL = 67108864 * 1024;

export const meminfo: ProcFile = {
  name: "meminfo",
  text(system) {
    const { frames, memory, tasks } = system.kernel;
    const total = frames.total * PAGE_SIZE;
    const free = frames.free * PAGE_SIZE;
    const cached = system.vfs.pageCache.count * PAGE_SIZE;
    const shmem = system.storagePages * PAGE_SIZE;
    let anonymous = 0;
    let mapped = 0;
    const seen = new Set<object>();
    for (const process of tasks.processes()) {
      const space = process.leader.memory;
      if (process.zombie || seen.has(space)) continue;
      seen.add(space);
      anonymous += space.anonPages * PAGE_SIZE;
      mapped += space.filePages * PAGE_SIZE;
    }
    mapped = Math.min(mapped, cached + shmem);
    const figures: readonly (readonly [string, number])[] = [
      ["MemTotal", total],
      ["MemFree", free],
      ["MemAvailable", free + cached],
      ["Buffers", 0],
      ["Cached", cached + shmem],
      ["SwapCached", 0],
      ["Active", anonymous + mapped],
      ["Inactive", cached + shmem - mapped],
      ["Active(anon)", anonymous],
      ["Inactive(anon)", shmem],
      ["Active(file)", mapped],
      ["Inactive(file)", Math.max(0, cached - mapped)],
      ["Unevictable", 0],
      ["Mlocked", 0],
      ["SwapTotal", 0],
      ["SwapFree", 0],
      ["Dirty", system.vfs.pageCache.dirtyCount * PAGE_SIZE],
      ["Writeback", 0],
      ["AnonPages", anonymous],
      ["Mapped", mapped],
      ["Shmem", shmem],
      ["KReclaimable", 0],
      ["Slab", 0],
      ["SReclaimable", 0],
      ["SUnreclaim", 0],
      ["KernelStack", 0],
      ["PageTables", Math.max(0, total - free - cached - shmem - anonymous)],
      ["CommitLimit", total / 2],
      ["Committed_AS", memory.committedPages * PAGE_SIZE],
      ["VmallocTotal", VMALLOC_TOTAL],
      ["VmallocUsed", 0],
      ["VmallocChunk", 0],
    ];
    let text = "";
    for (const [name, bytes] of figures) text += kilobytes(name, bytes);
    return `${text}HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n`;
  },
};
