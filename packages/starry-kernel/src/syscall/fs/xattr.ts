/** Extended attributes: {,l,f}{get,set,list,remove}xattr(2). */
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ERANGE,
  O_PATH,
  SYS_fgetxattr,
  SYS_flistxattr,
  SYS_fremovexattr,
  SYS_fsetxattr,
  SYS_getxattr,
  SYS_lgetxattr,
  SYS_listxattr,
  SYS_llistxattr,
  SYS_lremovexattr,
  SYS_lsetxattr,
  SYS_removexattr,
  SYS_setxattr,
  XATTR_CREATE,
  XATTR_REPLACE,
  decodeName,
  encodeName,
} from "linux-abi";
import type { Path } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { type SyscallRow, full, row } from "../row.ts";
import { placeAt, placeOfFd } from "./place.ts";

const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65536;
const XATTR_LIST_MAX = 65536;

type Find = (task: Task, where: number) => Path | number;

const followed: Find = (task, address) => placeAt(task, AT_FDCWD, address, 0);
const linkItself: Find = (task, address) => placeAt(task, AT_FDCWD, address, AT_SYMLINK_NOFOLLOW);
const ofDescriptor: Find = (task, fd) => {
  const file = task.files.peek(fd);
  return file === undefined || (file.flags & O_PATH) !== 0 ? -EBADF : placeOfFd(task, fd);
};

function readName(task: Task, address: number): string | number {
  const bytes = task.memory.readCString(address, XATTR_NAME_MAX + 1);
  if (typeof bytes === "number") return bytes === -EFAULT ? bytes : -ERANGE;
  return bytes.length === 0 ? -ERANGE : decodeName(bytes);
}

function get(find: Find) {
  return (task: Task, where: number, nameAddress: number, value: number, size: number): number => {
    const name = readName(task, nameAddress);
    if (typeof name === "number") return name;
    const path = find(task, where);
    if (typeof path === "number") return path;
    const { fs } = task.kernel;
    const bytes = fs.vfs.getxattr(fs.contextOf(task), path, name);
    if (typeof bytes === "number") return bytes;
    if (size === 0) return bytes.length;
    if (bytes.length > size) return -ERANGE;
    return task.memory.copyOut(value, bytes, 0, bytes.length) || bytes.length;
  };
}

function set(find: Find) {
  return (task: Task, where: number, nameAddress: number, value: number, size: number, flags: number): number => {
    if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
    const name = readName(task, nameAddress);
    if (typeof name === "number") return name;
    if (size > XATTR_SIZE_MAX) return -E2BIG;
    const bytes = new Uint8Array(size);
    const error = task.memory.copyIn(value, bytes, 0, size);
    if (error !== 0) return error;
    const path = find(task, where);
    if (typeof path === "number") return path;
    const { fs } = task.kernel;
    return fs.vfs.setxattr(fs.contextOf(task), path, name, bytes, flags);
  };
}

function list(find: Find) {
  return (task: Task, where: number, listAddress: number, size: number): number => {
    const path = find(task, where);
    if (typeof path === "number") return path;
    const { fs } = task.kernel;
    const names = fs.vfs.listxattr(fs.contextOf(task), path);
    if (typeof names === "number") return names;
    const bytes = encodeName(names.map((name) => `${name}\0`).join(""));
    if (size === 0) return bytes.length;
    if (bytes.length > XATTR_LIST_MAX) return -E2BIG;
    if (bytes.length > size) return -ERANGE;
    return task.memory.copyOut(listAddress, bytes, 0, bytes.length) || bytes.length;
  };
}

function remove(find: Find) {
  return (task: Task, where: number, nameAddress: number): number => {
    const name = readName(task, nameAddress);
    if (typeof name === "number") return name;
    const path = find(task, where);
    if (typeof path === "number") return path;
    const { fs } = task.kernel;
    return fs.vfs.removexattr(fs.contextOf(task), path, name);
  };
}

const GET = "name:str value:out_buf size:size";
const SET = "name:str value:in_buf size:size flags:flags";
const LIST = "list:out_buf size:size";

export const XATTR_CALLS: readonly SyscallRow[] = [
  row(SYS_getxattr, "getxattr", `pathname:path ${GET}`, full, get(followed)),
  row(SYS_lgetxattr, "lgetxattr", `pathname:path ${GET}`, full, get(linkItself)),
  row(SYS_fgetxattr, "fgetxattr", `fd:fd ${GET}`, full, get(ofDescriptor)),
  row(SYS_setxattr, "setxattr", `pathname:path ${SET}`, full, set(followed)),
  row(SYS_lsetxattr, "lsetxattr", `pathname:path ${SET}`, full, set(linkItself)),
  row(SYS_fsetxattr, "fsetxattr", `fd:fd ${SET}`, full, set(ofDescriptor)),
  row(SYS_listxattr, "listxattr", `pathname:path ${LIST}`, full, list(followed)),
  row(SYS_llistxattr, "llistxattr", `pathname:path ${LIST}`, full, list(linkItself)),
  row(SYS_flistxattr, "flistxattr", `fd:fd ${LIST}`, full, list(ofDescriptor)),
  row(SYS_removexattr, "removexattr", "pathname:path name:str", full, remove(followed)),
  row(SYS_lremovexattr, "lremovexattr", "pathname:path name:str", full, remove(linkItself)),
  row(SYS_fremovexattr, "fremovexattr", "fd:fd name:str", full, remove(ofDescriptor)),
];
