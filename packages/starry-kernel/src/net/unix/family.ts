/** AF_UNIX for socket(2) and socketpair(2), and /proc/net/unix. */
import {
  AF_UNIX,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  decodeName,
} from "linux-abi";
import type { SocketFamily } from "../../registries.ts";
import type { Task } from "../../task/task.ts";
import type { Socket } from "../socket.ts";
import { UnixDatagramSocket, unixDatagramPair } from "./datagram.ts";
import { UnixNames } from "./names.ts";
import { UnixStreamSocket, unixStreamPair } from "./stream.ts";

export class UnixFamily implements SocketFamily {
  readonly family: number = AF_UNIX;
  readonly names: UnixNames = new UnixNames();

  create(task: Task, type: number, protocol: number): Socket | number {
    if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
    switch (type) {
      case SOCK_STREAM:
      case SOCK_SEQPACKET:
        return new UnixStreamSocket(task, this.names, type, 0);
      case SOCK_DGRAM:
      case SOCK_RAW: // Linux: the same as a datagram socket
        return new UnixDatagramSocket(task, this.names, SOCK_DGRAM, 0);
      default:
        return -ESOCKTNOSUPPORT;
    }
  }

  createPair(task: Task, type: number, protocol: number): readonly [Socket, Socket] | number {
    if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
    switch (type) {
      case SOCK_STREAM:
      case SOCK_SEQPACKET:
        return unixStreamPair(task, this.names, type, 0);
      case SOCK_DGRAM:
      case SOCK_RAW:
        return unixDatagramPair(task, this.names, 0);
      default:
        return -ESOCKTNOSUPPORT;
    }
  }

  /** /proc/net/unix. */
  text(): string {
    let text = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    for (const socket of this.names.all) {
      const accepts = socket.listening ? "00010000" : "00000000";
      const connected = socket instanceof UnixStreamSocket && socket.connected;
      const type = socket.type.toString(16).padStart(4, "0");
      const name = pathText(socket.name());
      text += `${"0".repeat(16)}: 00000002 00000000 ${accepts} ${type} ${connected ? "03" : "01"} ${String(socket.ino).padStart(5)}${name === "" ? "" : ` ${name}`}\n`;
    }
    return text;
  }
}

/** Abstract names begin with "@". */
function pathText(address: Uint8Array): string {
  const name = address.subarray(2);
  if (name.length === 0) return "";
  if (name[0] === 0) return `@${decodeName(name.subarray(1)).replaceAll("\0", "@")}`;
  return decodeName(name[name.length - 1] === 0 ? name.subarray(0, -1) : name);
}
