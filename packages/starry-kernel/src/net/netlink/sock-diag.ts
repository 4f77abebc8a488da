/**
 * sock_diag(7): the sockets of the machine, as `ss` asks for them (linux/sock_diag.h, inet_diag.h, unix_diag.h).
 *
 * Dumps only: TCP, UDP and AF_UNIX. Questions about other families and single sockets are answered with ENOENT.
 */
import { AF_INET, AF_INET6, AF_UNIX, ENOENT, IPPROTO_TCP, IPPROTO_UDP } from "linux-abi";
import { anyOf, encodeEndpoint, type Endpoint } from "../inet/address.ts";
import type { Inet } from "../inet/family.ts";
import type { InetSocket } from "../inet/inet-socket.ts";
import { TcpSocket } from "../inet/tcp.ts";
import type { UnixFamily } from "../unix/family.ts";
import { UnixStreamSocket } from "../unix/stream.ts";
import type { UnixSocket } from "../unix/unix-socket.ts";
import { NLM_F_DUMP, NLM_F_MULTI, NLMSG_DONE, NLMSG_HEADER } from "./constants.ts";
import { MessageWriter } from "./message-writer.ts";
import type { RouteRequest } from "./route.ts";

export const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;

// TCP states (net/tcp_states.h), which sock_diag uses for all protocols.
const TCP_ESTABLISHED = 1;
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;

// struct inet_diag_req_v2 and unix_diag_req
const REQUEST_PROTOCOL = 1;
const REQUEST_STATES = 4;
const REQUEST_BYTES = 8;

// struct inet_diag_msg; struct inet_diag_sockid lies at 4.
const INET_STATE = 1;
const INET_SOURCE_PORT = 4;
const INET_DESTINATION_PORT = 6;
const INET_SOURCE = 8;
const INET_DESTINATION = 24;
const INET_COOKIE = 44;
const INET_RQUEUE = 56;
const INET_WQUEUE = 60;
const INET_UID = 64;
const INET_INODE = 68;
const INET_BYTES = 72;

// struct unix_diag_msg
const UNIX_TYPE = 1;
const UNIX_STATE = 2;
const UNIX_INODE = 4;
const UNIX_COOKIE = 8;
const UNIX_BYTES = 16;
const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;
const UNIX_DIAG_UID = 7;

/** Where the address begins in sockaddr_in and sockaddr_in6, and its bytes. */
const ADDRESS: Readonly<Record<number, readonly [start: number, byteLength: number]>> = {
  [AF_INET]: [4, 4],
  [AF_INET6]: [8, 16],
};

export interface SocketLists {
  readonly inet: Inet;
  readonly unix: UnixFamily;
}

/** The answers in order, or an errno. */
export function answerSockDiag(lists: SocketLists, request: RouteRequest, pid: number): Uint8Array[] | number {
  const { body, flags, seq, type } = request;
  if (type !== SOCK_DIAG_BY_FAMILY || body.length < REQUEST_BYTES) return -ENOENT;
  if ((flags & NLM_F_DUMP) !== NLM_F_DUMP) return -ENOENT;
  const family = body[0] as number;
  const states = new DataView(body.buffer, body.byteOffset).getUint32(REQUEST_STATES, true);
  const messages: Uint8Array[] = [];
  const wanted = (state: number): boolean => ((states >>> state) & 1) === 1;
  if (family === AF_UNIX) {
    for (const socket of lists.unix.names.all)
      if (wanted(unixState(socket))) messages.push(unixMessage(socket, seq, pid));
  } else if (family === AF_INET || family === AF_INET6) {
    for (const socket of inetSockets(lists.inet, body[REQUEST_PROTOCOL] as number))
      if (socket.family === family && socket.local.port !== 0 && wanted(inetState(socket)))
        messages.push(inetMessage(socket, seq, pid));
  } else return -ENOENT;
  messages.push(new MessageWriter(NLMSG_DONE, NLM_F_MULTI, seq, pid, 4).finish());
  return messages;
}

function inetSockets(inet: Inet, protocol: number): Iterable<InetSocket> {
  return protocol === IPPROTO_TCP ? inet.tcp.sockets : protocol === IPPROTO_UDP ? inet.udp.sockets : [];
}

function inetState(socket: InetSocket): number {
  if (socket instanceof TcpSocket) return socket.state;
  return socket.remote === null ? TCP_CLOSE : TCP_ESTABLISHED;
}

function inetMessage(socket: InetSocket, seq: number, pid: number): Uint8Array {
  const writer = new MessageWriter(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, seq, pid, INET_BYTES);
  const { view } = writer;
  const at = NLMSG_HEADER;
  view.setUint8(at, socket.family);
  view.setUint8(at + INET_STATE, inetState(socket));
  const remote = socket.remote ?? { ip: anyOf(socket.family), port: 0 };
  view.setUint16(at + INET_SOURCE_PORT, socket.local.port, false);
  view.setUint16(at + INET_DESTINATION_PORT, remote.port, false);
  putAddress(view, at + INET_SOURCE, socket.local, socket.family);
  putAddress(view, at + INET_DESTINATION, remote, socket.family);
  view.setUint32(at + INET_COOKIE, socket.ino, true);
  view.setUint32(at + INET_RQUEUE, socket.queuedBytes, true);
  view.setUint32(at + INET_WQUEUE, socket.unsentBytes, true);
  view.setUint32(at + INET_UID, socket.inode.uid, true);
  view.setUint32(at + INET_INODE, socket.ino, true);
  return writer.finish();
}

function putAddress(view: DataView, at: number, endpoint: Endpoint, family: number): void {
  const [start, byteLength] = ADDRESS[family] as readonly [number, number];
  const bytes = encodeEndpoint(endpoint, family);
  for (let i = 0; i < byteLength; i++) view.setUint8(at + i, bytes[start + i] as number);
}

function unixState(socket: UnixSocket): number {
  if (socket.listening) return TCP_LISTEN;
  return socket instanceof UnixStreamSocket && socket.connected ? TCP_ESTABLISHED : TCP_CLOSE;
}

function unixMessage(socket: UnixSocket, seq: number, pid: number): Uint8Array {
  const writer = new MessageWriter(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, seq, pid, UNIX_BYTES);
  const { view } = writer;
  const at = NLMSG_HEADER;
  view.setUint8(at, AF_UNIX);
  view.setUint8(at + UNIX_TYPE, socket.type);
  view.setUint8(at + UNIX_STATE, unixState(socket));
  view.setUint32(at + UNIX_INODE, socket.ino, true);
  view.setUint32(at + UNIX_COOKIE, socket.ino, true);
  const name = socket.name().subarray(2);
  // A path without its NUL; an abstract name with the one in front.
  const end = name[0] !== 0 && name[name.length - 1] === 0 ? name.length - 1 : name.length;
  if (end > 0) writer.attribute(UNIX_DIAG_NAME, name.subarray(0, end));
  if (socket instanceof UnixStreamSocket && socket.peer !== null) writer.u32(UNIX_DIAG_PEER, socket.peer.ino);
  const queues = new Uint8Array(8);
  new DataView(queues.buffer).setUint32(0, socket.queuedBytes, true);
  return writer.attribute(UNIX_DIAG_RQLEN, queues).u32(UNIX_DIAG_UID, socket.inode.uid).finish();
}
