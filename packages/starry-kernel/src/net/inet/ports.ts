/**
 * Local ports of one transport protocol: who is bound where, conflicts, and ports of the kernel's choice (ip(7)).
 */
import { AF_INET6, EADDRINUSE, EADDRNOTAVAIL } from "linux-abi";
import { type Endpoint, IP6_ANY, isAny, isIp4 } from "./address.ts";

/** net.ipv4.ip_local_port_range */
const FIRST_EPHEMERAL = 32768;
const LAST_EPHEMERAL = 60999;

/** What the table needs to know of a socket. */
export interface PortUser {
  readonly family: number;
  readonly local: Endpoint;
  /** IPV6_V6ONLY. */
  readonly v6only: boolean;
  readonly options: { readonly reuseAddress: boolean; readonly reusePort: boolean };
  readonly listening: boolean;
}

export class PortTable<Socket extends PortUser> {
  readonly #users: Map<number, Socket[]> = new Map();
  /** Every socket of the protocol, bound or not, for /proc/net. */
  readonly sockets: Set<Socket> = new Set();
  #nextEphemeral = FIRST_EPHEMERAL;
  /** A listening socket keeps its port to itself even with SO_REUSEADDR (TCP). */
  readonly #listenersExclude: boolean;

  constructor(options: { readonly listenersExclude: boolean }) {
    this.#listenersExclude = options.listenersExclude;
  }

  /** Registers `socket` under `ip`:`port` (0: any free one). The port, or -EADDRINUSE. The caller sets `socket.local` to match. */
  bind(socket: Socket, ip: number, port: number): number {
    if (port !== 0) {
      if (this.#conflicts(socket, ip, port)) return -EADDRINUSE;
      this.#add(port, socket);
      return port;
    }
    for (let tries = FIRST_EPHEMERAL; tries <= LAST_EPHEMERAL; tries++) {
      const candidate = this.#nextEphemeral++;
      if (this.#nextEphemeral > LAST_EPHEMERAL) this.#nextEphemeral = FIRST_EPHEMERAL;
      if (this.#users.has(candidate)) continue;
      this.#add(candidate, socket);
      return candidate;
    }
    return -EADDRNOTAVAIL;
  }

  #add(port: number, socket: Socket): void {
    const users = this.#users.get(port);
    if (users === undefined) this.#users.set(port, [socket]);
    else users.push(socket);
  }

  release(socket: Socket): void {
    const users = this.#users.get(socket.local.port);
    const index = users?.indexOf(socket) ?? -1;
    if (users === undefined || index < 0) return;
    users.splice(index, 1);
    if (users.length === 0) this.#users.delete(socket.local.port);
  }

  #conflicts(socket: Socket, ip: number, port: number): boolean {
    return (this.#users.get(port) ?? []).some(
      (other) => other !== socket && overlap(socket, ip, other) && !this.#mayShare(socket, other),
    );
  }

  /** listen(2) on a port that somebody else listens on. */
  hasOtherListener(socket: Socket): boolean {
    return (this.#users.get(socket.local.port) ?? []).some(
      (other) =>
        other !== socket &&
        other.listening &&
        overlap(socket, socket.local.ip, other) &&
        !(socket.options.reusePort && other.options.reusePort),
    );
  }

  #mayShare(socket: Socket, other: Socket): boolean {
    if (socket.options.reusePort && other.options.reusePort) return true;
    return socket.options.reuseAddress && other.options.reuseAddress && !(this.#listenersExclude && other.listening);
  }

  /** The socket that gets what arrives at `ip`:`port`: bound to the address itself rather than to all, later binders first. */
  find(ip: number, port: number, accepts: (socket: Socket) => boolean): Socket | undefined {
    let best: Socket | undefined;
    for (const socket of this.#users.get(port) ?? []) {
      if (!accepts(socket) || !hears(socket, ip)) continue;
      if (best === undefined || isAny(best.local.ip) || !isAny(socket.local.ip)) best = socket;
    }
    return best;
  }
}

/** A packet to `ip` reaches a socket bound like this. */
function hears(socket: PortUser, ip: number): boolean {
  const own = socket.local.ip;
  if (own === ip) return true;
  if (!isAny(own)) return false;
  if (own === IP6_ANY) return isIp4(ip) ? !socket.v6only : true;
  return isIp4(ip) && (socket.family !== AF_INET6 || !socket.v6only);
}

/** Two bindings to one port would both hear some packets. */
function overlap(socket: PortUser, ip: number, other: PortUser): boolean {
  const theirs = other.local.ip;
  if (ip === theirs) return true;
  const mine4 = isIp4(ip) || (ip === IP6_ANY && !socket.v6only);
  const theirs4 = isIp4(theirs) || (theirs === IP6_ANY && !other.v6only);
  const mine6 = !isIp4(ip);
  const theirs6 = !isIp4(theirs);
  if (!(mine4 && theirs4) && !(mine6 && theirs6)) return false;
  return isAny(ip) || isAny(theirs);
}
