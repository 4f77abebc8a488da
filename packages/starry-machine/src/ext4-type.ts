/**
 * The file system type "ext4" (and "ext3", "ext2" as names of the same driver) for a kernel's mount(2).
 */
import { Ext4Error, Ext4FileSystem } from "ext4-fs";
import { MS_RDONLY } from "linux-abi";
import type { BlockDeviceEntry, FileSystemType, Kernel } from "starry-kernel";
import type { FileSystem } from "vfs-inode";

const NAMES = ["ext4", "ext3", "ext2"];

/** Makes the names mountable. */
export function installExt4(kernel: Kernel): void {
  for (const name of NAMES) {
    const type: FileSystemType = {
      name,
      requiresDevice: true,
      mount: (self, device, flags) => {
        const mounted = mountExt4(self, device as BlockDeviceEntry, (flags & MS_RDONLY) !== 0);
        if (!(mounted instanceof Ext4Error)) return mounted;
        self.log("error", `EXT4-fs (${(device as BlockDeviceEntry).name}): ${mounted.message}`);
        return -mounted.errno;
      },
    };
    kernel.fileSystemTypes.set(name, type);
  }
}

/** Mounts a kernel's block device; times and messages are the kernel's. */
export function mountExt4(kernel: Kernel, entry: BlockDeviceEntry, readOnly: boolean): FileSystem | Ext4Error {
  const { clock } = kernel;
  return Ext4FileSystem.mount(entry.device, {
    readOnly: readOnly || entry.device.readOnly,
    deviceNumber: entry.rdev,
    now: () => {
      const monotonic = clock.monotonicNs();
      return { sec: clock.realtimeSec(monotonic), nsec: clock.realtimeNsec(monotonic) };
    },
    log: (text) => kernel.log("info", `EXT4-fs (${entry.name}): ${text}`),
  });
}
