/**
 * procfs (proc(5)): what the kernel knows about processes and itself, as text.
 */
import { PROC_SUPER_MAGIC } from "linux-abi";
import { DirMapping, SimpleDir, SimpleFs, SimpleSymlink } from "vfs-inode/pseudofs";
import type { FileSystems } from "../file-systems.ts";
import { cpuinfo } from "./global/cpuinfo.ts";
import { loadavg } from "./global/loadavg.ts";
import { meminfo } from "./global/meminfo.ts";
import { stat } from "./global/stat.ts";
import { SYSTEM_FILES } from "./global/system.ts";
import { vmstat } from "./global/vmstat.ts";
import { type ProcFile, procNode } from "./proc-file.ts";
import { sysctlDir } from "./sysctl.ts";
import { ProcessSource } from "./task-source.ts";

const TOP_FILES: readonly ProcFile[] = [cpuinfo, meminfo, stat, loadavg, vmstat, ...SYSTEM_FILES];

/** Directories that exist to be looked into. */
const EMPTY_DIRECTORIES = ["bus", "driver", "fs", "irq", "sysvipc", "tty"];

/** One per kernel: all mounts of "proc" show it. */
export function createProcfs(system: FileSystems): SimpleFs {
  const { kernel } = system;
  const fs = new SimpleFs({
    type: "proc",
    magic: PROC_SUPER_MAGIC,
    deviceNumber: system.nextDevice(),
    now: (out) => system.now(out),
  });
  const top = new DirMapping();
  const self = (): number => kernel.scheduler.current?.process.pid ?? 1;
  const thread = (): number => kernel.scheduler.current?.tid ?? 1;
  top.add("self", new SimpleSymlink(fs, () => String(self())));
  top.add("thread-self", new SimpleSymlink(fs, () => `${self()}/task/${thread()}`));
  top.add("mounts", new SimpleSymlink(fs, "self/mounts"));
  top.add("net", new SimpleSymlink(fs, "self/net"));
  for (const file of TOP_FILES) top.add(file.name, procNode(fs, system, file));
  for (const name of EMPTY_DIRECTORIES) top.add(name, new SimpleDir(fs));
  top.add("sys", sysctlDir(fs, system));
  system.procNetDir = new SimpleDir(fs, new DirMapping());
  fs.setRoot(new SimpleDir(fs, top, { source: new ProcessSource(fs, system), ino: 1 }));
  return fs;
}
