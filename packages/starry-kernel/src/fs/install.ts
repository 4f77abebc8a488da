/**
 * Plugs the file systems into a kernel: the VFS, its system calls, the file system types and the memory devices.
 *
 *     const fs = installFileSystems(kernel);
 *     fs.mountRoot(ext4, "/dev/vda", MS_RDONLY);
 *     mountStandard(fs);                          // /dev /proc /sys /dev/pts ..., where the directories exist
 */
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RELATIME } from "linux-abi";
import { type FileSystem, LOOKUP_DIRECTORY, LOOKUP_FOLLOW, type Mount, ROOT_CREDENTIALS } from "vfs-inode";
import type { Kernel } from "../kernel.ts";
import { FS_CALLS } from "../syscall/fs/index.ts";
import { MEM_MAJOR, MemoryDevices } from "./devfs/memory-devices.ts";
import { RTC_MAJOR, RealTimeClock } from "./devfs/real-time-clock.ts";
import { FileSystems, type FileSystemsOptions } from "./file-systems.ts";
import { createProcfs } from "./proc/procfs.ts";
import { createSysfs } from "./sys/sysfs.ts";
import { tmpfsOptions } from "./tmpfs-options.ts";

/** Mount points, sources, types, flags and options of a running system. */
const STANDARD: readonly (readonly [string, string, string, number, string])[] = [
  ["/dev", "udev", "devtmpfs", MS_NOSUID, ""],
  ["/proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["/sys", "sysfs", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["/sys/kernel/debug", "debugfs", "debugfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["/sys/kernel/tracing", "tracefs", "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""],
  ["/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC, ""],
  ["/dev/shm", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, ""],
  ["/run", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"],
  ["/tmp", "tmpfs", "tmpfs", MS_NOSUID | MS_NODEV, ""],
];

/** Makes the kernel's VFS and registers everything that belongs to it. */
export function installFileSystems(kernel: Kernel, options: FileSystemsOptions = {}): FileSystems {
  const system = new FileSystems(kernel, options);
  kernel.fs = system;
  kernel.addSyscalls(FS_CALLS);
  kernel.charDevices.register(MEM_MAJOR, 0, 256, new MemoryDevices(kernel));
  kernel.charDevices.register(RTC_MAJOR, 0, 1, new RealTimeClock(kernel));
  const procfs = createProcfs(system);
  const sysfs = createSysfs(system);
  const singletons: readonly FileSystem[] = [procfs, sysfs, system.devpts.fs];
  for (const fs of singletons) {
    kernel.fileSystemTypes.set(fs.type, { name: fs.type, requiresDevice: false, mount: () => fs });
  }
  kernel.fileSystemTypes.set("devtmpfs", {
    name: "devtmpfs",
    requiresDevice: false,
    mount: () => system.devtmpfs.refresh().fs,
  });
  for (const name of ["tmpfs", "ramfs"]) {
    kernel.fileSystemTypes.set(name, {
      name,
      requiresDevice: false,
      mount(_kernel, _device, _flags, data) {
        const parsed = tmpfsOptions(data, kernel.memory.totalBytes);
        return typeof parsed === "number" ? parsed : system.createTmpfs({ ...parsed, type: name });
      },
    });
  }
  return system;
}

/** Mounts what a running system has at its usual places, in the initial namespace; places without a directory are left out. */
export function mountStandard(system: FileSystems, without: readonly string[] = []): void {
  const root = (system.namespace.root as Mount).rootPath;
  const context = { root, cwd: root, umask: 0, credentials: ROOT_CREDENTIALS };
  for (const [point, source, type, flags, data] of STANDARD) {
    if (without.includes(point)) continue;
    const at = system.vfs.lookup(context, null, point, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
    if (typeof at === "number") continue;
    const made = system.kernel.fileSystemTypes.get(type)?.mount(system.kernel, null, flags, data);
    if (made === undefined || typeof made === "number") continue;
    system.vfs.mount(system.namespace, at, made, source, flags | MS_RELATIME);
  }
}
