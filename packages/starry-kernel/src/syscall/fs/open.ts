/** openat(2), openat2(2), memfd_create(2). */
import {
  E2BIG,
  EFAULT,
  EINVAL,
  F_SEAL_SEAL,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_LARGEFILE,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  SYS_memfd_create,
  SYS_openat,
  SYS_openat2,
  decodeName,
} from "linux-abi";
import { LOOKUP_BENEATH, LOOKUP_IN_ROOT, LOOKUP_NO_MAGICLINKS, LOOKUP_NO_SYMLINKS, LOOKUP_NO_XDEV } from "vfs-inode";
import type { OpenFile } from "../../file.ts";
import { whenFifoOpen } from "../../io/fifo.ts";
import { installFile } from "../../io/install-file.ts";
import { PipeFile } from "../../io/pipe.ts";
import type { Task } from "../../task/task.ts";
import type { Wait } from "../../wait.ts";
import { type SyscallRow, full, partial, row } from "../row.ts";

/** struct open_how: flags, mode, resolve; u64 each. */
const OPEN_HOW_SIZE = 24;
/** O_* that openat(2) knows; others are ignored there and refused by openat2. */
const KNOWN_OPEN_FLAGS = O_ACCMODE | 0x7fffc0 | O_PATH | O_TMPFILE;
/** MFD_NOEXEC_SEAL | MFD_EXEC: accepted, files are executable by mode alone. */
const MFD_EXEC_FLAGS = 0x18;
const MFD_NAME_MAX = 249;

const RESOLVE_TABLE: readonly (readonly [number, number])[] = [
  [RESOLVE_NO_XDEV, LOOKUP_NO_XDEV],
  [RESOLVE_NO_MAGICLINKS, LOOKUP_NO_MAGICLINKS],
  [RESOLVE_NO_SYMLINKS, LOOKUP_NO_SYMLINKS],
  [RESOLVE_BENEATH, LOOKUP_BENEATH],
  [RESOLVE_IN_ROOT, LOOKUP_IN_ROOT],
  [RESOLVE_CACHED, 0],
];

/** Gives an opened file a descriptor; opening a FIFO may have to wait for the other side first. */
function finishOpen(task: Task, opened: OpenFile | number, flags: number): number | Wait {
  if (typeof opened === "number") return opened;
  const closeOnExec = (flags & O_CLOEXEC) !== 0;
  // A pipe opened again by way of /proc/PID/fd does not wait for anybody.
  const isFifo = opened instanceof PipeFile && opened.inode !== null && !task.kernel.fs.anonymous.has(opened.inode);
  if (!isFifo) return installFile(task, opened, closeOnExec);
  return whenFifoOpen(task, opened, (self, error) => {
    if (error === 0) return installFile(self, opened, closeOnExec);
    opened.put();
    return error;
  });
}

function sys_openat(task: Task, dirfd: number, pathname: number, rawFlags: number, mode: number): number | Wait {
  const path = task.memory.readPath(pathname);
  if (typeof path === "number") return path;
  const flags = rawFlags & KNOWN_OPEN_FLAGS;
  return finishOpen(task, task.kernel.fs.open(task, dirfd, path, flags | O_LARGEFILE, mode & 0o7777), flags);
}

function sys_openat2(task: Task, dirfd: number, pathname: number, how: number, size: number): number | Wait {
  if (size < OPEN_HOW_SIZE) return -EINVAL;
  if (size > 4096) return -E2BIG;
  const { memory } = task;
  if (memory.load(how, size) !== 0) return -EFAULT;
  for (let i = OPEN_HOW_SIZE; i < size; i++) if (memory.scratchBytes[i] !== 0) return -E2BIG;
  const view = memory.scratch;
  const flags = view.getUint32(0, true);
  const mode = view.getUint32(8, true);
  const resolve = view.getUint32(16, true);
  if (view.getUint32(4, true) !== 0 || view.getUint32(12, true) !== 0 || view.getUint32(20, true) !== 0) return -EINVAL;
  const creates = (flags & O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE;
  if ((flags & ~KNOWN_OPEN_FLAGS) !== 0 || (creates ? (mode & ~0o7777) !== 0 : mode !== 0)) return -EINVAL;
  let lookup = 0;
  let known = 0;
  for (const [bit, lookupBit] of RESOLVE_TABLE) {
    known |= bit;
    if ((resolve & bit) !== 0) lookup |= lookupBit;
  }
  if ((resolve & ~known) !== 0) return -EINVAL;
  if ((resolve & RESOLVE_BENEATH) !== 0 && (resolve & RESOLVE_IN_ROOT) !== 0) return -EINVAL;
  const path = memory.readPath(pathname);
  if (typeof path === "number") return path;
  return finishOpen(task, task.kernel.fs.open(task, dirfd, path, flags | O_LARGEFILE, mode, lookup), flags);
}

function sys_memfd_create(task: Task, nameAddress: number, flags: number): number {
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC_FLAGS)) !== 0) return -EINVAL;
  const name = task.memory.readCString(nameAddress, MFD_NAME_MAX + 1);
  if (typeof name === "number") return name === -EFAULT ? name : -EINVAL;
  const seals = (flags & MFD_ALLOW_SEALING) !== 0 ? 0 : F_SEAL_SEAL;
  const file = task.kernel.fs.anonymous.createMemoryFile(task, decodeName(name), seals);
  if (typeof file === "number") return file;
  file.flags = O_RDWR | O_LARGEFILE;
  return installFile(task, file, (flags & MFD_CLOEXEC) !== 0);
}

export const OPEN_CALLS: readonly SyscallRow[] = [
  row(SYS_openat, "openat", "dirfd:dirfd pathname:path flags:open_flags mode:mode", full, sys_openat),
  row(SYS_openat2, "openat2", "dirfd:dirfd pathname:path how:ptr size:size", full, sys_openat2),
  row(SYS_memfd_create, "memfd_create", "name:str flags:flags", partial("no huge pages"), sys_memfd_create),
];
