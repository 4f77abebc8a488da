/** /proc/loadavg (proc_loadavg(5)). */
import { stateOf } from "../format.ts";
import type { ProcFile } from "../proc-file.ts";

export const loadavg: ProcFile = {
  name: "loadavg",
  text(system) {
    const { tasks } = system.kernel;
    let running = 0;
    let total = 0;
    for (const task of tasks.tasks()) {
      total++;
      if (stateOf(task)[0] === "R") running++;
    }
    const averages = system.kernel.scheduler.loadAverages().map((load) => load.toFixed(2));
    return `${averages.join(" ")} ${running}/${total} ${tasks.lastPid}\n`;
  },
};
