/** getdents64(2), lseek(2). */
import {
  DIRENT64_D_INO,
  DIRENT64_D_NAME,
  DIRENT64_D_OFF,
  DIRENT64_D_RECLEN,
  DIRENT64_D_TYPE,
  EBADF,
  EFAULT,
  EINVAL,
  SYS_getdents64,
  SYS_lseek,
  encodeName,
} from "linux-abi";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { putI64 } from "./fields.ts";

/** Entries are collected here and copied out at once. */
const BUFFER_BYTES = 32768;
const $entries = new Uint8Array(BUFFER_BYTES);
const $view = new DataView($entries.buffer);

function sys_getdents64(task: Task, fd: number, dirp: number, count: number): number {
  const file = task.files.get(fd);
  if (file === undefined) return -EBADF;
  const room = Math.min(count, BUFFER_BYTES);
  let used = 0;
  let refused = false;
  let position = file.position;
  let lastEntry = -1;
  const result = file.readdir(file.position, (name, ino, type, nextCookie) => {
    const nameLength = isPlainAscii(name) ? name.length : -1;
    const bytes = nameLength < 0 ? encodeName(name) : null;
    const length = bytes === null ? nameLength : bytes.length;
    const recordLength = (DIRENT64_D_NAME + length + 1 + 7) & ~7;
    if (used + recordLength > room) {
      refused = true;
      return false;
    }
    putI64($view, used + DIRENT64_D_INO, ino);
    putI64($view, used + DIRENT64_D_OFF, nextCookie);
    $view.setUint16(used + DIRENT64_D_RECLEN, recordLength, true);
    $entries[used + DIRENT64_D_TYPE] = type;
    const at = used + DIRENT64_D_NAME;
    if (bytes === null) for (let i = 0; i < length; i++) $entries[at + i] = name.charCodeAt(i);
    else $entries.set(bytes, at);
    $entries.fill(0, at + length, used + recordLength);
    lastEntry = used;
    used += recordLength;
    position = nextCookie;
    return true;
  });
  if (result < 0) return result;
  if (lastEntry < 0) return refused ? -EINVAL : 0;
  if (task.memory.copyOut(dirp, $entries, 0, used) !== 0) return -EFAULT;
  file.position = position;
  return used;
}

function isPlainAscii(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0x7f) return false;
  return true;
}

function sys_lseek(task: Task, fd: number, offset: number, whence: number): number {
  const file = task.files.get(fd);
  return file === undefined ? -EBADF : file.seek(offset, whence);
}

export const DIRECTORY_CALLS: readonly SyscallRow[] = [
  row(SYS_getdents64, "getdents64", "fd:fd dirp:out_buf count:uint", full, sys_getdents64),
  row(SYS_lseek, "lseek", "fd:fd offset:off whence:whence", full, sys_lseek),
];
