/** /proc/stat (proc_stat(5)). */
import { stateOf, nsToTicks, totalCpu } from "../format.ts";
import type { ProcFile } from "../proc-file.ts";

export const stat: ProcFile = {
  name: "stat",
  text(system) {
    const { kernel } = system;
    const { userNs, niceNs, systemNs, idleNs } = totalCpu(kernel);
    const times = `${nsToTicks(userNs)} ${nsToTicks(niceNs)} ${nsToTicks(systemNs)} ${nsToTicks(idleNs)} 0 0 0 0 0 0`;
    let running = 0;
    for (const task of kernel.tasks.tasks()) if (stateOf(task)[0] === "R") running++;
    return (
      `cpu  ${times}\ncpu0 ${times}\nintr 0\nctxt ${kernel.scheduler.switches}\nbtime ${kernel.clock.bootSec}\n` +
      `processes ${kernel.tasks.lastPid}\nprocs_running ${running}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n`
    );
  },
};
