/** setsockopt(2), getsockopt(2). */
import { EFAULT, EINVAL, SYS_getsockopt, SYS_setsockopt } from "linux-abi";
import type { Task } from "../../task/task.ts";
import { partial, row, type SyscallRow } from "../row.ts";
import { socketAt } from "./common.ts";

/** No option here is longer. */
const MAX_OPTION_BYTES = 4096;

function sys_setsockopt(
  task: Task,
  fd: number,
  level: number,
  name: number,
  valueAddr: number,
  byteLength: number,
): number {
  if (byteLength < 0) return -EINVAL;
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const value = new Uint8Array(Math.min(byteLength, MAX_OPTION_BYTES));
  if (task.memory.copyIn(valueAddr, value, 0, value.length) !== 0) return -EFAULT;
  return socket.setOption(task, level, name, value);
}

function sys_getsockopt(
  task: Task,
  fd: number,
  level: number,
  name: number,
  valueAddr: number,
  lengthAddr: number,
): number {
  const socket = socketAt(task, fd);
  if (typeof socket === "number") return socket;
  const room = task.memory.readU32(lengthAddr);
  if (room < 0) return room;
  if (room > 0x7fff_ffff) return -EINVAL;
  const value = socket.getOption(task, level, name);
  if (typeof value === "number") return value;
  const count = Math.min(room, value.length);
  if (task.memory.copyOut(valueAddr, value, 0, count) !== 0) return -EFAULT;
  return task.memory.writeU32(lengthAddr, count);
}

const OPTIONS_NOTE = "IP and TCP options without an effect on the loopback are remembered and given back";

export const SOCKET_OPTION_CALLS: readonly SyscallRow[] = [
  row(
    SYS_setsockopt,
    "setsockopt",
    "fd:fd level:int name:int value:in_buf length:int",
    partial(OPTIONS_NOTE),
    sys_setsockopt,
  ),
  row(
    SYS_getsockopt,
    "getsockopt",
    "fd:fd level:int name:int value:ptr length:int_ptr",
    partial(OPTIONS_NOTE),
    sys_getsockopt,
  ),
];
