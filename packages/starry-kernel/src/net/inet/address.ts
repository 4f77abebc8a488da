/**
 * Internet addresses as numbers, and sockaddr_in / sockaddr_in6 (ip(7), ipv6(7)).
 *
 *   0 .. 2^32 − 1    IPv4, most significant byte first (0x7f000001 = 127.0.0.1); in an AF_INET6 socket: v4-mapped
 *   IP6_ANY          ::
 *   IP6_LOOPBACK     ::1
 *   IP6_OTHER        any other IPv6 address: nothing here can reach it
 */
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  EAFNOSUPPORT,
  EINVAL,
  SOCKADDR_IN6_SIN6_ADDR,
  SOCKADDR_IN6_SIN6_PORT,
  SOCKADDR_IN6_SIZE,
  SOCKADDR_IN_SIN_ADDR,
  SOCKADDR_IN_SIN_PORT,
  SOCKADDR_IN_SIZE,
} from "linux-abi";
import { familyOf } from "../socket.ts";

export const IP4_ANY = 0;
export const IP4_LOOPBACK = 0x7f00_0001;
export const IP6_ANY: number = 2 ** 32;
export const IP6_LOOPBACK: number = 2 ** 32 + 1;
export const IP6_OTHER: number = 2 ** 32 + 2;

/** struct sockaddr_in6 before scope ids existed. */
const SOCKADDR_IN6_OLD_SIZE = 24;

/** An address and port. */
export interface Endpoint {
  readonly ip: number;
  readonly port: number;
}

export const NOWHERE: Endpoint = { ip: IP4_ANY, port: 0 };

export function isIp4(ip: number): boolean {
  return ip < IP6_ANY;
}

export function isAny(ip: number): boolean {
  return ip === IP4_ANY || ip === IP6_ANY;
}

/** An address of this machine: 127.0.0.0/8 or ::1. */
export function isLoopback(ip: number): boolean {
  return ip === IP6_LOOPBACK || (isIp4(ip) && Math.floor(ip / 2 ** 24) === 127);
}

/** Where a datagram or connection to `ip` goes: the unspecified address means this machine. */
export function destinationOf(ip: number): number {
  return ip === IP4_ANY ? IP4_LOOPBACK : ip === IP6_ANY ? IP6_LOOPBACK : ip;
}

/** The address of `family` in a sockaddr, or -EINVAL (too short), -EAFNOSUPPORT. AF_INET6 sockets take only AF_INET6 addresses. */
export function decodeEndpoint(address: Uint8Array, family: number): Endpoint | number {
  const given = familyOf(address);
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  if (family === AF_INET) {
    if (address.length < SOCKADDR_IN_SIZE) return -EINVAL;
    const ip = view.getUint32(SOCKADDR_IN_SIN_ADDR, false);
    // bind of an AF_UNSPEC wildcard is a habit of old programs (Linux: inet_bind).
    if (given !== AF_INET && !(given === AF_UNSPEC && ip === IP4_ANY)) return -EAFNOSUPPORT;
    return { ip, port: view.getUint16(SOCKADDR_IN_SIN_PORT, false) };
  }
  if (address.length < SOCKADDR_IN6_OLD_SIZE) return -EINVAL;
  if (given !== AF_INET6) return -EAFNOSUPPORT;
  return { ip: ip6At(view, SOCKADDR_IN6_SIN6_ADDR), port: view.getUint16(SOCKADDR_IN6_SIN6_PORT, false) };
}

function ip6At(view: DataView, at: number): number {
  const [a, b, c, d] = [0, 4, 8, 12].map((i) => view.getUint32(at + i, false));
  if (a !== 0 || b !== 0) return IP6_OTHER;
  if (c === 0xffff) return d as number;
  if (c !== 0) return IP6_OTHER;
  return d === 0 ? IP6_ANY : d === 1 ? IP6_LOOPBACK : IP6_OTHER;
}

/** sockaddr bytes for a socket of `family`. */
export function encodeEndpoint(endpoint: Endpoint, family: number): Uint8Array {
  const bytes = new Uint8Array(family === AF_INET ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(SOCKADDR_IN_SIN_PORT, endpoint.port, false);
  if (family === AF_INET) view.setUint32(SOCKADDR_IN_SIN_ADDR, isIp4(endpoint.ip) ? endpoint.ip : 0, false);
  else if (endpoint.ip === IP6_LOOPBACK) bytes[SOCKADDR_IN6_SIN6_ADDR + 15] = 1;
  else if (isIp4(endpoint.ip)) {
    view.setUint16(SOCKADDR_IN6_SIN6_ADDR + 10, 0xffff, false);
    view.setUint32(SOCKADDR_IN6_SIN6_ADDR + 12, endpoint.ip, false);
  }
  return bytes;
}

/** The unspecified address in the form of `family`. */
export function anyOf(family: number): number {
  return family === AF_INET ? IP4_ANY : IP6_ANY;
}
