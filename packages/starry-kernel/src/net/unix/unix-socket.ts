/** What AF_UNIX sockets of all types share: names, credentials, and who the peer is. */
import { AF_UNIX, EINVAL, SOL_SOCKET, SO_PEERCRED, ENODATA, ENOPROTOOPT, SO_PEERSEC, SO_PEERGROUPS } from "linux-abi";
import type { Task } from "../../task/task.ts";
import { credentialsOf, type Message, type PeerCredentials } from "../message.ts";
import { Socket } from "../socket.ts";
import { type BoundName, checkAddress, UNNAMED, type UnixNames } from "./names.ts";

export abstract class UnixSocket extends Socket {
  readonly names: UnixNames;
  bound: BoundName | null = null;
  /** SO_PEERCRED. */
  peerCredentials: PeerCredentials = { pid: 0, uid: 0xffff_ffff, gid: 0xffff_ffff };

  constructor(task: Task, names: UnixNames, type: number, flags: number) {
    super(task, AF_UNIX, type, 0, flags);
    this.names = names;
    names.all.add(this);
  }

  override bind(task: Task, address: Uint8Array): number {
    const error = checkAddress(address);
    if (error !== 0) return error;
    if (this.bound !== null) return -EINVAL;
    const bound = this.names.bind(task, this, address);
    if (typeof bound === "number") return bound;
    this.bound = bound;
    return 0;
  }

  override name(): Uint8Array {
    return this.bound?.address ?? UNNAMED;
  }

  /** For messages: null if unnamed. */
  get sendingAddress(): Uint8Array | null {
    return this.bound?.address ?? null;
  }

  /** What goes with a message: given explicitly, or because either side asked for it (SO_PASSCRED). */
  protected credentialsToSend(task: Task, message: Message, receiver: UnixSocket): PeerCredentials | null {
    if (message.credentials !== null) return message.credentials;
    return this.options.passCredentials || receiver.options.passCredentials ? credentialsOf(task) : null;
  }

  override getProtocolOption(_task: Task, level: number, name: number): Uint8Array | number {
    if (level !== SOL_SOCKET) return -ENOPROTOOPT;
    if (name === SO_PEERSEC) return -ENOPROTOOPT;
    if (name === SO_PEERGROUPS) return -ENODATA;
    if (name !== SO_PEERCRED) return -ENOPROTOOPT;
    const bytes = new Uint8Array(12);
    const view = new DataView(bytes.buffer);
    view.setInt32(0, this.peerCredentials.pid, true);
    view.setUint32(4, this.peerCredentials.uid, true);
    view.setUint32(8, this.peerCredentials.gid, true);
    return bytes;
  }

  override release(): void {
    this.names.all.delete(this);
    if (this.bound !== null) this.names.release(this.bound);
    this.bound = null;
  }
}
