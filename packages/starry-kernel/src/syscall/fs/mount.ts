/** mount(2), umount2(2), and the file handle calls that no file system here supports. */
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  CAP_SYS_ADMIN,
  EBUSY,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOTBLK,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  MNT_DETACH,
  MNT_EXPIRE,
  MNT_FORCE,
  MS_BIND,
  MS_MGC_MSK,
  MS_MGC_VAL,
  MS_MOVE,
  MS_NOATIME,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_UNBINDABLE,
  S_IFBLK,
  S_IFMT,
  SYS_mount,
  SYS_name_to_handle_at,
  SYS_open_by_handle_at,
  SYS_umount2,
  UMOUNT_NOFOLLOW,
  decodeName,
} from "linux-abi";
import { LOOKUP_FOLLOW, type Mount, type Path } from "vfs-inode";
import type { BlockDeviceEntry, FileSystemType } from "../../registries.ts";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, partial, row, stub } from "../row.ts";
import { placeAt } from "./place.ts";

const PROPAGATION = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
const PAGE = 4096;

/** Text argument that may be null. */
function readText(task: Task, address: number): string | number {
  if (address === 0) return "";
  const bytes = task.memory.readCString(address, PAGE);
  return typeof bytes === "number" ? bytes : decodeName(bytes);
}

/** Reading is relatime unless the caller asks otherwise, as since Linux 2.6.30. */
function atimeDefault(flags: number): number {
  return (flags & (MS_NOATIME | MS_STRICTATIME)) !== 0 ? flags : flags | MS_RELATIME;
}

function sys_mount(task: Task, source: number, target: number, type: number, mountflags: number, data: number): number {
  let flags = mountflags | 0;
  if ((flags & MS_MGC_MSK) === (MS_MGC_VAL | 0)) flags &= ~MS_MGC_MSK;
  const sourceText = readText(task, source);
  if (typeof sourceText === "number") return sourceText;
  const typeName = readText(task, type);
  if (typeof typeName === "number") return typeName;
  const dataText = readText(task, data);
  if (typeof dataText === "number" && dataText === -EFAULT) return dataText;
  const at = placeAt(task, AT_FDCWD, target, 0);
  if (typeof at === "number") return at;
  if (!task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  at.pin();
  const result = mountAt(task, at, sourceText, typeName, flags, typeof dataText === "number" ? "" : dataText);
  at.unpin();
  return result;
}

function mountAt(task: Task, at: Path, source: string, typeName: string, flags: number, data: string): number {
  const { fs } = task.kernel;
  const { namespace } = task.fs;
  const { mountTable } = fs.vfs;
  if ((flags & MS_REMOUNT) !== 0) {
    return mountTable.remount(namespace, at, atimeDefault(flags), (flags & MS_BIND) !== 0);
  }
  if ((flags & MS_BIND) !== 0) {
    const from = fs.lookup(task, AT_FDCWD, source, LOOKUP_FOLLOW);
    return statusOf(typeof from === "number" ? from : mountTable.bind(namespace, from, at, (flags & MS_REC) !== 0));
  }
  if ((flags & PROPAGATION) !== 0) return setPropagation(at, flags);
  if ((flags & MS_MOVE) !== 0) {
    const from = fs.lookup(task, AT_FDCWD, source, LOOKUP_FOLLOW);
    return typeof from === "number" ? from : mountTable.move(namespace, from, at);
  }
  const fsType = task.kernel.fileSystemTypes.get(typeName);
  if (fsType === undefined) return -ENODEV;
  const device = fsType.requiresDevice ? findDevice(task, source) : null;
  if (typeof device === "number") return device;
  if (device !== null && isMounted(task, device)) {
    // The same file system, shown once more.
    for (const superblock of mountTable.superblocks) {
      if (superblock.fs.deviceNumber !== device.rdev) continue;
      return statusOf(mountTable.mount(namespace, at, superblock.fs, source, atimeDefault(flags)));
    }
  }
  return mountNew(task, fsType, device, at, source === "" ? "none" : source, flags, data);
}

function mountNew(
  task: Task,
  type: FileSystemType,
  device: BlockDeviceEntry | null,
  at: Path,
  source: string,
  flags: number,
  data: string,
): number {
  const made = type.mount(task.kernel, device, flags, data);
  if (typeof made === "number") return made;
  const superblocks = [...task.kernel.fs.vfs.mountTable.superblocks];
  const mounted = task.kernel.fs.vfs.mountTable.mount(task.fs.namespace, at, made, source, atimeDefault(flags));
  if (typeof mounted === "number" && !superblocks.some((superblock) => superblock.fs === made)) made.unmount();
  return statusOf(mounted);
}

function statusOf(mounted: Mount | number): number {
  return typeof mounted === "number" ? mounted : 0;
}

function isMounted(task: Task, device: BlockDeviceEntry): boolean {
  for (const superblock of task.kernel.fs.vfs.mountTable.superblocks) {
    if (superblock.fs.deviceNumber === device.rdev) return true;
  }
  return false;
}

function findDevice(task: Task, source: string): BlockDeviceEntry | number {
  const path = task.kernel.fs.lookup(task, AT_FDCWD, source, LOOKUP_FOLLOW);
  if (typeof path === "number") return path;
  if ((path.inode.mode & S_IFMT) !== S_IFBLK) return -ENOTBLK;
  for (const entry of task.kernel.blockDevices.values()) if (entry.rdev === path.inode.rdev) return entry;
  return -ENXIO;
}

/** All mounts are private; MS_SHARED is remembered for mountinfo. */
function setPropagation(at: Path, flags: number): number {
  if (at.dentry !== at.mount.root) return -EINVAL;
  const kind = flags & PROPAGATION;
  if ((kind & (kind - 1)) !== 0) return -EINVAL;
  const stack: Mount[] = [at.mount];
  for (let mount = stack.pop(); mount !== undefined; mount = stack.pop()) {
    mount.shared = kind === MS_SHARED;
    if ((flags & MS_REC) !== 0) stack.push(...mount.children.values());
  }
  return 0;
}

function sys_umount2(task: Task, target: number, flags: number): number {
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) !== 0) return -EINVAL;
  if ((flags & MNT_EXPIRE) !== 0 && (flags & (MNT_FORCE | MNT_DETACH)) !== 0) return -EINVAL;
  const at = placeAt(task, AT_FDCWD, target, (flags & UMOUNT_NOFOLLOW) !== 0 ? AT_SYMLINK_NOFOLLOW : 0);
  if (typeof at === "number") return at;
  if (!task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  const { vfs } = task.kernel.fs;
  if (at.mount === task.fs.namespace.root) {
    // umount of the root, as shutdown scripts do: it stays, read-only and clean.
    if ((flags & MNT_DETACH) !== 0 || at.dentry !== at.mount.root) return -EINVAL;
    return vfs.mountTable.remount(task.fs.namespace, at, at.mount.flags | MS_RDONLY, false) || -EBUSY;
  }
  return vfs.unmount(task.fs.namespace, at, {
    lazy: (flags & MNT_DETACH) !== 0,
    expire: (flags & MNT_EXPIRE) !== 0,
  });
}

export const MOUNT_CALLS: readonly SyscallRow[] = [
  row(
    SYS_mount,
    "mount",
    "source:str target:path filesystemtype:str mountflags:ulong data:ptr",
    partial("all mounts are private"),
    sys_mount,
  ),
  row(SYS_umount2, "umount2", "target:path flags:flags", partial("MNT_FORCE is a plain umount"), sys_umount2),
  stub(
    SYS_name_to_handle_at,
    "name_to_handle_at",
    "dirfd:dirfd pathname:path handle:ptr mount_id:int_ptr flags:at_flags",
    -EOPNOTSUPP,
    "no file handles",
  ),
  stub(
    SYS_open_by_handle_at,
    "open_by_handle_at",
    "mount_fd:fd handle:ptr flags:open_flags",
    -EOPNOTSUPP,
    "no file handles",
  ),
];
