/**
 * The file system type "ext4" (and "ext3", "ext2" as names of the same driver) for a kernel's mount(2).
 */
import { Ext4Error, Ext4FileSystem, type ParsedMountOptions, parseMountOptions } from "ext4-fs";
import { CAP_SYS_RESOURCE, EINVAL, MS_LAZYTIME, MS_RDONLY } from "linux-abi";
import type { BlockDeviceEntry, FileSystemType, Kernel } from "starry-kernel";
import type { FileSystem } from "vfs-inode";

const NAMES = ["ext4", "ext3", "ext2"];

/** Makes the names mountable. */
export function installExt4(kernel: Kernel): void {
  for (const name of NAMES) {
    const type: FileSystemType = {
      name,
      requiresDevice: true,
      mount: (self, device, flags, data) => {
        const entry = device as BlockDeviceEntry;
        const { options, unknown } = parseMountOptions(data);
        if (unknown !== undefined) {
          self.log("error", `EXT4-fs (${entry.name}): Unrecognized mount option "${unknown}" or missing value`);
          return -EINVAL;
        }
        const mounted = mountExt4(self, entry, (flags & MS_RDONLY) !== 0, {
          ...options,
          ...((flags & MS_LAZYTIME) === 0 ? {} : { lazyTime: true }), // mount(8) gives it as a flag
        });
        if (!(mounted instanceof Ext4Error)) return mounted;
        self.log("error", `EXT4-fs (${entry.name}): ${mounted.message}`);
        return -mounted.errno;
      },
    };
    kernel.fileSystemTypes.set(name, type);
  }
}

/** Mounts a kernel's block device; times and messages are the kernel's. */
export function mountExt4(
  kernel: Kernel,
  entry: BlockDeviceEntry,
  readOnly: boolean,
  options: ParsedMountOptions["options"] = {},
): FileSystem | Ext4Error {
  const { clock } = kernel;
  return Ext4FileSystem.mount(entry.device, {
    ...options,
    readOnly: readOnly || entry.device.readOnly,
    deviceNumber: entry.rdev,
    now: () => {
      const monotonic = clock.monotonicNs();
      return { sec: clock.realtimeSec(monotonic), nsec: clock.realtimeNsec(monotonic) };
    },
    mayExceedQuota: () => kernel.scheduler.current?.cred.hasCapability(CAP_SYS_RESOURCE) ?? true,
    log: (text) => kernel.log("info", `EXT4-fs (${entry.name}): ${text}`),
  });
}
