/** AF_INET and AF_INET6 for socket(2), and /proc/net/{tcp,udp}{,6}. */
import {
  AF_INET,
  AF_INET6,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
  IPPROTO_IP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "linux-abi";
import type { SocketFamily } from "../../registries.ts";
import type { Task } from "../../task/task.ts";
import type { Socket } from "../socket.ts";
import { anyOf } from "./address.ts";
import { type InetSocket, procAddress } from "./inet-socket.ts";
import { PortTable } from "./ports.ts";
import { TCP_CLOSE, TcpSocket } from "./tcp.ts";
import { UdpSocket } from "./udp.ts";

/** The transport protocols of a kernel; both families share them. */
export class Inet {
  readonly tcp: PortTable<TcpSocket> = new PortTable<TcpSocket>({ listenersExclude: true });
  readonly udp: PortTable<UdpSocket> = new PortTable<UdpSocket>({ listenersExclude: false });

  tcpText(family: number): string {
    return socketText(this.tcp.sockets, family, (socket) => (socket as TcpSocket).state);
  }

  udpText(family: number): string {
    return socketText(this.udp.sockets, family, () => TCP_CLOSE);
  }
}

export class InetFamily implements SocketFamily {
  readonly family: number;
  readonly #inet: Inet;

  /** `family`: AF_INET or AF_INET6. */
  constructor(inet: Inet, family: number) {
    this.#inet = inet;
    this.family = family;
  }

  create(task: Task, type: number, protocol: number): Socket | number {
    if (type === SOCK_STREAM) {
      const known = protocol === IPPROTO_IP || protocol === IPPROTO_TCP;
      return known ? new TcpSocket(task, this.#inet.tcp, this.family) : -EPROTONOSUPPORT;
    }
    if (type === SOCK_DGRAM) {
      const known = protocol === IPPROTO_IP || protocol === IPPROTO_UDP;
      return known ? new UdpSocket(task, this.#inet.udp, this.family) : -EPROTONOSUPPORT;
    }
    return -ESOCKTNOSUPPORT;
  }

  createPair(): number {
    return -EOPNOTSUPP;
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

function socketText(sockets: Iterable<InetSocket>, family: number, stateOf: (socket: InetSocket) => number): string {
  const width = family === AF_INET6 ? 37 : 13;
  const title = (text: string): string => text.padEnd(width);
  let text = `  sl  ${title("local_address")} ${title(family === AF_INET ? "rem_address" : "remote_address")} st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n`;
  let line = 0;
  for (const socket of sockets) {
    if (socket.family !== family || socket.local.port === 0) continue;
    const remote = socket.remote ?? { ip: anyOf(family), port: 0 };
    text += `${String(line++).padStart(4)}: ${procAddress(socket.local, family)} ${procAddress(remote, family)} ${hex(stateOf(socket), 2)} `;
    text += `${hex(socket.unsentBytes, 8)}:${hex(socket.queuedBytes, 8)} 00:00000000 00000000 ${String(socket.inode.uid).padStart(5)}        0 ${socket.ino} 1 0000000000000000 100 0 0 10 0\n`;
  }
  return text;
}
