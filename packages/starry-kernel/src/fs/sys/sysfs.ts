/**
 * sysfs (sysfs(5)): the part of it that programs look at, CPUs, block devices, network interfaces, and mount points for others.
 */
import { SYSFS_MAGIC } from "linux-abi";
import { DirMapping, SimpleDir, SimpleFs } from "vfs-inode/pseudofs";
import type { FileSystems } from "../file-systems.ts";
import { blockDevicesDir, blockLinksDir, valueFile } from "./block.ts";

/** One-line files by path. */
const VALUES: Readonly<Record<string, string | number>> = {
  "devices/system/cpu/possible": "0",
  "devices/system/cpu/present": "0",
  "devices/system/cpu/online": "0",
  "devices/system/cpu/offline": "",
  "devices/system/cpu/isolated": "",
  "devices/system/cpu/kernel_max": 0,
  "devices/system/cpu/cpu0/topology/core_id": 0,
  "devices/system/cpu/cpu0/topology/physical_package_id": 0,
  "devices/system/cpu/cpu0/topology/core_cpus": 1,
  "devices/system/cpu/cpu0/topology/core_cpus_list": 0,
  "devices/system/cpu/cpu0/topology/package_cpus": 1,
  "devices/system/cpu/cpu0/topology/package_cpus_list": 0,
  "devices/system/cpu/cpu0/topology/thread_siblings": 1,
  "devices/system/cpu/cpu0/topology/thread_siblings_list": 0,
  "devices/system/cpu/cpu0/topology/core_siblings": 1,
  "devices/system/cpu/cpu0/topology/core_siblings_list": 0,
  "kernel/mm/transparent_hugepage/enabled": "always madvise [never]",
  "kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise madvise [never]",
  "kernel/mm/transparent_hugepage/hpage_pmd_size": 2097152,
  "kernel/fscaps": 1,
  "kernel/uevent_seqnum": 0,
  "kernel/profiling": 0,
  "power/state": "",
};

/** Directories that are empty, or that other file systems are mounted on. */
const DIRECTORIES = [
  "bus",
  "class/tty",
  "dev/char",
  "firmware",
  "fs/cgroup",
  "fs/ext4",
  "fs/pstore",
  "hypervisor",
  "kernel/config",
  "kernel/debug",
  "kernel/security",
  "kernel/tracing",
  "module",
];

/** The directory at `path`, made with all its parents. */
function makePath(fs: SimpleFs, top: SimpleDir, path: string): SimpleDir {
  let dir = top;
  for (const part of path.split("/")) {
    let below = dir.mapping.get(part);
    if (!(below instanceof SimpleDir)) {
      below = new SimpleDir(fs, new DirMapping(), { permission: 0o755 });
      dir.mapping.add(part, below);
    }
    dir = below as SimpleDir;
  }
  return dir;
}

/** One per kernel: all mounts of "sysfs" show it. */
export function createSysfs(system: FileSystems): SimpleFs {
  const fs = new SimpleFs({
    type: "sysfs",
    magic: SYSFS_MAGIC,
    deviceNumber: system.nextDevice(),
    now: (out) => system.now(out),
  });
  const top = new SimpleDir(fs, new DirMapping(), { permission: 0o555 });
  for (const path of DIRECTORIES) makePath(fs, top, path);
  for (const [path, value] of Object.entries(VALUES)) {
    const slash = path.lastIndexOf("/");
    makePath(fs, top, path.slice(0, slash)).mapping.add(path.slice(slash + 1), valueFile(fs, value));
  }
  makePath(fs, top, "devices/virtual").mapping.add("block", blockDevicesDir(fs, system));
  top.mapping.add("block", blockLinksDir(fs, system, "../", "disks"));
  makePath(fs, top, "class").mapping.add("block", blockLinksDir(fs, system, "../../", "all"));
  makePath(fs, top, "dev").mapping.add("block", blockLinksDir(fs, system, "../../", "numbers"));
  system.sysClassNet = makePath(fs, top, "class/net");
  return fs.setRoot(top);
}
