/** The text of /proc/PID/fdinfo/N (proc_pid_fdinfo(5)). */
import { F_WRLCK, LOCK_EX, O_CLOEXEC, major, minor } from "linux-abi";
import type { OpenFile } from "../../file.ts";
import type { Task } from "../../task/task.ts";
import { locksOf } from "../locks.ts";
import { VfsFile } from "../vfs-file.ts";

export function describeDescriptor(task: Task, fd: number, file: OpenFile): string {
  const flags = file.flags | (task.files.closeOnExec(fd) ? O_CLOEXEC : 0);
  const mount = file.path?.mount.id ?? 0;
  let text = `pos:\t${file.position}\nflags:\t0${(flags >>> 0).toString(8)}\nmnt_id:\t${mount}\nino:\t${file.inode?.ino ?? 0}\n`;
  if (file instanceof VfsFile) text += lockLines(file);
  return text;
}

/** "lock:" lines, one per lock that this open file holds. */
function lockLines(file: VfsFile): string {
  const locks = locksOf(file.node);
  if (locks === undefined) return "";
  const device = file.file.inode.fs.deviceNumber;
  const where = `${major(device).toString(16).padStart(2, "0")}:${minor(device).toString(16).padStart(2, "0")}:${file.file.inode.ino}`;
  let text = "";
  let number = 1;
  const held = locks.flocks.get(file);
  if (held !== undefined)
    text += `lock:\t${number++}: FLOCK  ADVISORY  ${held === LOCK_EX ? "WRITE" : "READ"} 0 ${where} 0 EOF\n`;
  for (const record of locks.records) {
    if (record.owner !== file) continue;
    const end = record.end === Number.POSITIVE_INFINITY ? "EOF" : record.end - 1;
    text += `lock:\t${number++}: OFDLCK ADVISORY  ${record.type === F_WRLCK ? "WRITE" : "READ"} -1 ${where} ${record.start} ${end}\n`;
  }
  return text;
}
