/**
 * The end of a machine: what still runs is killed, so that files are closed and deleted ones freed, and every file system
 * is unmounted clean.
 */
import { SIGKILL } from "linux-abi";
import type { Kernel } from "./kernel.ts";
import { exitThread, isDead } from "./task/exit.ts";

/** After `kernel.halted` is set; the kernel cannot run afterwards. 0, or the first -errno of writing back. */
export function shutDown(kernel: Kernel): number {
  kernel.unloadHart();
  kernel.scheduler.current = null;
  for (const process of [...kernel.tasks.processes()]) {
    process.exiting = true;
    process.exitStatus = SIGKILL;
    for (const task of [...process.threads]) {
      if (isDead(task)) continue;
      kernel.scheduler.unhook(task);
      kernel.scheduler.dequeue(task);
      exitThread(task, SIGKILL);
    }
  }
  const { vfs, namespace } = kernel.fs;
  let error = vfs.sync();
  vfs.mountTable.unmountAll(namespace);
  // Mounts that something still holds (the host's own look at the root) have outlived that; their media shall be clean too.
  for (const { fs } of [...vfs.mountTable.superblocks]) {
    const result = fs.unmount();
    if (error === 0) error = result;
  }
  return error;
}
