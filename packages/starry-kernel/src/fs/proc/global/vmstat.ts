/** /proc/vmstat (proc_vmstat(5)): the counters that exist here. */
import type { ProcFile } from "../proc-file.ts";

export const vmstat: ProcFile = {
  name: "vmstat",
  text(system) {
    const { frames, memory } = system.kernel;
    const figures: readonly (readonly [string, number])[] = [
      ["nr_free_pages", frames.free],
      ["nr_file_pages", system.vfs.pageCache.count],
      ["nr_dirty", system.vfs.pageCache.dirtyCount],
      ["nr_writeback", 0],
      ["nr_shmem", system.storagePages],
      ["pgpgin", 0],
      ["pgpgout", 0],
      ["pswpin", 0],
      ["pswpout", 0],
      ["pgfault", memory.faults],
      ["pgmajfault", memory.majorFaults],
      ["oom_kill", 0],
    ];
    return figures.map(([name, value]) => `${name} ${value}\n`).join("");
  },
};
