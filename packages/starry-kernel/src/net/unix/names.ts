/**
 * Names of AF_UNIX sockets (unix(7)): a node in the file system, or an abstract name (first byte NUL) that lives in this table.
 *
 *   sockaddr_un: family (2 bytes), then the name; `addrlen` tells where it ends
 *     2 bytes only         unnamed; bind then chooses an abstract name of five hex digits ("autobind")
 *     first name byte 0    abstract: all further bytes count
 *     else                 a path up to the first NUL
 */
import {
  AF_UNIX,
  AT_FDCWD,
  EADDRINUSE,
  ECONNREFUSED,
  EEXIST,
  EINVAL,
  SOCKADDR_UN_SIZE,
  SOCKADDR_UN_SUN_PATH,
  decodeName,
} from "linux-abi";
import type { Path, VfsNode } from "vfs-inode";
import type { Task } from "../../task/task.ts";
import { familyOf } from "../socket.ts";
import type { UnixSocket } from "./unix-socket.ts";

const AUTOBIND_NAMES = 0x10_0000;

/** What getsockname gives for an unnamed socket: the family alone. */
export const UNNAMED: Uint8Array = new Uint8Array([AF_UNIX, 0]);

/** A name in use. */
export interface BoundName {
  /** sockaddr bytes. */
  readonly address: Uint8Array;
  /** Key of an abstract name, or null. */
  readonly abstract: string | null;
  readonly node: VfsNode | null;
  /** Pinned, so that the node stays the same object while the socket lives. */
  readonly place: Path | null;
}

/** 0, or -EINVAL for anything but an AF_UNIX address of a sensible length. */
export function checkAddress(address: Uint8Array): number {
  return familyOf(address) === AF_UNIX && address.length <= SOCKADDR_UN_SIZE ? 0 : -EINVAL;
}

function isAbstract(address: Uint8Array): boolean {
  return address[SOCKADDR_UN_SUN_PATH] === 0;
}

function abstractKey(address: Uint8Array): string {
  return String.fromCharCode(...address.subarray(SOCKADDR_UN_SUN_PATH));
}

function pathIn(address: Uint8Array): string {
  const end = address.indexOf(0, SOCKADDR_UN_SUN_PATH);
  return decodeName(address.subarray(SOCKADDR_UN_SUN_PATH, end < 0 ? address.length : end));
}

/** All bound sockets of a kernel. */
export class UnixNames {
  readonly #abstract: Map<string, UnixSocket> = new Map();
  readonly #nodes: Map<VfsNode, UnixSocket> = new Map();
  readonly #autobound = { next: 0 };
  /** Sockets of /proc/net/unix, bound or not. */
  readonly all: Set<UnixSocket> = new Set();

  /** bind(2). The address has been checked. -EADDRINUSE, or what making the node gives. */
  bind(task: Task, socket: UnixSocket, address: Uint8Array): BoundName | number {
    if (address.length === SOCKADDR_UN_SUN_PATH) return this.autobind(socket);
    return isAbstract(address) ? this.#bindAbstract(socket, address.slice()) : this.#bindPath(task, socket, address);
  }

  #bindAbstract(socket: UnixSocket, address: Uint8Array): BoundName | number {
    const key = abstractKey(address);
    if (this.#abstract.has(key)) return -EADDRINUSE;
    this.#abstract.set(key, socket);
    return { address, abstract: key, node: null, place: null };
  }

  #bindPath(task: Task, socket: UnixSocket, given: Uint8Array): BoundName | number {
    const { fs } = task.kernel;
    const path = pathIn(given);
    const made = fs.bindSocket(task, path, socket.inode.mode & 0o777);
    if (typeof made === "number") return made === -EEXIST ? -EADDRINUSE : made;
    // bindSocket has pinned the place it made; looked up again it is the same one.
    const place = fs.lookup(task, AT_FDCWD, path, 0);
    const end = given.indexOf(0, SOCKADDR_UN_SUN_PATH);
    const address = new Uint8Array((end < 0 ? given.length : end) + 1);
    address.set(given.subarray(0, address.length - 1));
    this.#nodes.set(made, socket);
    return { address, abstract: null, node: made, place: typeof place === "number" ? null : place };
  }

  /** An abstract name of the kernel's choice. */
  autobind(socket: UnixSocket): BoundName | number {
    for (let tries = 0; tries < AUTOBIND_NAMES; tries++) {
      const text = (this.#autobound.next++ % AUTOBIND_NAMES).toString(16).padStart(5, "0");
      const address = new Uint8Array(SOCKADDR_UN_SUN_PATH + 6);
      address[0] = AF_UNIX;
      for (let i = 0; i < 5; i++) address[SOCKADDR_UN_SUN_PATH + 1 + i] = text.charCodeAt(i);
      const bound = this.#bindAbstract(socket, address);
      if (typeof bound !== "number") return bound;
    }
    return -EADDRINUSE;
  }

  /** The socket bound to an address, or -ECONNREFUSED, -ENOENT, -EACCES ... */
  find(task: Task, address: Uint8Array): UnixSocket | number {
    if (address.length <= SOCKADDR_UN_SUN_PATH) return -EINVAL;
    if (isAbstract(address)) return this.#abstract.get(abstractKey(address)) ?? -ECONNREFUSED;
    const node = task.kernel.fs.findSocket(task, pathIn(address));
    return typeof node === "number" ? node : (this.#nodes.get(node) ?? -ECONNREFUSED);
  }

  /** The socket is gone. A node in the file system stays, as in Linux. */
  release(bound: BoundName): void {
    if (bound.abstract !== null) this.#abstract.delete(bound.abstract);
    if (bound.node !== null) this.#nodes.delete(bound.node);
    bound.place?.unpin();
  }
}
