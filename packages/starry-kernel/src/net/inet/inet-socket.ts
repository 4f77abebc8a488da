/**
 * What TCP and UDP sockets share: binding, names, and the options of the IP level, which are remembered and given back.
 */
import {
  AF_INET,
  AF_INET6,
  CAP_NET_BIND_SERVICE,
  EACCES,
  EADDRNOTAVAIL,
  EINVAL,
  ENETUNREACH,
  ENOPROTOOPT,
  ENOTCONN,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_UNICAST_HOPS,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
} from "linux-abi";
import type { Maker } from "../../io/anonymous-inode.ts";
import type { Task } from "../../task/task.ts";
import { LOOPBACK } from "../loopback.ts";
import { Socket } from "../socket.ts";
import { intOption } from "../socket-options.ts";
import {
  anyOf,
  decodeEndpoint,
  destinationOf,
  encodeEndpoint,
  type Endpoint,
  isAny,
  isIp4,
  isLoopback,
} from "./address.ts";
import type { PortTable, PortUser } from "./ports.ts";

/** net.ipv4.ip_unprivileged_port_start */
const FIRST_UNPRIVILEGED_PORT = 1024;

/** linux/in6.h */
const IPV6_V6ONLY = 26;

/** Values of options nobody has set, by level × 65536 + name. */
const DEFAULTS: ReadonlyMap<number, number> = new Map([
  [optionKey(IPPROTO_IP, IP_TTL), 64],
  [optionKey(IPPROTO_IP, IP_MULTICAST_TTL), 1],
  [optionKey(IPPROTO_IP, IP_MULTICAST_LOOP), 1],
  [optionKey(IPPROTO_IP, IP_MTU_DISCOVER), 1],
  [optionKey(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 64],
]);

/** IP-level options end here; larger names are other subsystems' (netfilter). */
const LAST_IP_OPTION = 60;
const LAST_IPV6_OPTION = 80;

export function optionKey(level: number, name: number): number {
  return level * 65536 + name;
}

export abstract class InetSocket extends Socket implements PortUser {
  /** Port 0: not bound. */
  local: Endpoint;
  /** null: not connected. */
  remote: Endpoint | null = null;
  v6only = false;
  protected readonly remembered: Map<number, number> = new Map();

  constructor(maker: Maker, family: number, type: number, protocol: number) {
    super(maker, family, type, protocol, 0);
    this.local = { ip: anyOf(family), port: 0 };
  }

  /** The protocol's table; the socket is of the table's kind. */
  protected abstract get ports(): PortTable<never>;

  override bind(task: Task, address: Uint8Array): number {
    const endpoint = decodeEndpoint(address, this.family);
    if (typeof endpoint === "number") return endpoint;
    const { ip, port } = endpoint;
    if (!isAny(ip) && !isLoopback(ip)) return -EADDRNOTAVAIL;
    if (this.v6only && this.family === AF_INET6 && isIp4(ip)) return -EINVAL;
    if (port !== 0 && port < FIRST_UNPRIVILEGED_PORT && !task.cred.hasCapability(CAP_NET_BIND_SERVICE)) return -EACCES;
    if (this.local.port !== 0) return -EINVAL;
    return this.bindTo(ip, port);
  }

  /** 0 or -EADDRINUSE. */
  protected bindTo(ip: number, port: number): number {
    const got = this.ports.bind(this as never, ip, port);
    if (got < 0) return got;
    this.local = { ip, port: got };
    return 0;
  }

  /** Binds to a port of the kernel's choice if not bound yet. */
  protected autobind(): number {
    return this.local.port !== 0 ? 0 : this.bindTo(this.local.ip, 0);
  }

  /** The destination in a sockaddr: an address of this machine, or -ENETUNREACH and errors of the address itself. */
  protected destination(address: Uint8Array): Endpoint | number {
    const endpoint = decodeEndpoint(address, this.family);
    if (typeof endpoint === "number") return endpoint;
    const ip = destinationOf(endpoint.ip);
    if (!isLoopback(ip) || (isIp4(ip) && this.v6only && this.family === AF_INET6)) return -ENETUNREACH;
    return { ip, port: endpoint.port };
  }

  /** The source address for packets to `destination`. */
  protected sourceFor(destination: number): number {
    return isAny(this.local.ip) ? destination : this.local.ip;
  }

  override name(): Uint8Array {
    return encodeEndpoint(this.local, this.family);
  }

  override peerName(): Uint8Array | number {
    return this.remote === null ? -ENOTCONN : encodeEndpoint(this.remote, this.family);
  }

  override setProtocolOption(_task: Task, level: number, name: number, value: Uint8Array): number {
    if (!this.#isIpOption(level, name)) return -ENOPROTOOPT;
    // IP_TOS and its like may be given as one byte; structures (group membership) have no effect on one interface.
    const given = value.length >= 4 ? new DataView(value.buffer, value.byteOffset).getInt32(0, true) : (value[0] ?? 0);
    if (level === IPPROTO_IPV6 && name === IPV6_V6ONLY) {
      if (value.length < 4 || this.local.port !== 0) return -EINVAL;
      this.v6only = given !== 0;
      return 0;
    }
    this.remembered.set(optionKey(level, name), given);
    return 0;
  }

  override getProtocolOption(_task: Task, level: number, name: number): Uint8Array | number {
    if (!this.#isIpOption(level, name)) return -ENOPROTOOPT;
    if (level === IPPROTO_IPV6 && name === IPV6_V6ONLY) return intOption(this.v6only ? 1 : 0);
    if (level === IPPROTO_IP && name === IP_MTU) return this.remote === null ? -ENOTCONN : intOption(LOOPBACK.mtu);
    const key = optionKey(level, name);
    return intOption(this.remembered.get(key) ?? DEFAULTS.get(key) ?? 0);
  }

  #isIpOption(level: number, name: number): boolean {
    if (level === IPPROTO_IP) return name > 0 && name <= LAST_IP_OPTION;
    return level === IPPROTO_IPV6 && this.family === AF_INET6 && name > 0 && name <= LAST_IPV6_OPTION;
  }

  override release(): void {
    if (this.local.port !== 0) this.ports.release(this as never);
  }
}

/** An address as /proc/net/tcp shows it: hex of the little-endian word, port in hex. */
export function procAddress(endpoint: Endpoint, family: number): string {
  const port = endpoint.port.toString(16).toUpperCase().padStart(4, "0");
  const bytes = encodeEndpoint(endpoint, family);
  const view = new DataView(bytes.buffer);
  const words = family === AF_INET ? [4] : [8, 12, 16, 20];
  return `${words.map((at) => view.getUint32(at, true).toString(16).toUpperCase().padStart(8, "0")).join("")}:${port}`;
}
