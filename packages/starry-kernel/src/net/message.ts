/**
 * One sendmsg or recvmsg on its way through a socket: bytes, address, and what travels beside the bytes.
 *
 * Sending: the caller fills `buffer`, `flags`, `address`, `files`, `credentials`. A socket that keeps `files` takes over their references
 * and sets the field to null; the caller drops what is left.
 * Receiving: the socket fills `address`, `files` (references pass to the caller), `credentials`, `resultFlags`.
 */
import type { OpenFile } from "../file.ts";
import { IoBuffer } from "../io-buffer.ts";
import type { Task } from "../task/task.ts";

/** Who sent: SCM_CREDENTIALS, SO_PEERCRED. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Of a message without them (Linux: overflowuid). */
export const NO_CREDENTIALS: PeerCredentials = { pid: 0, uid: 65534, gid: 65534 };

export function credentialsOf(task: Task): PeerCredentials {
  return { pid: task.process.pid, uid: task.cred.euid, gid: task.cred.egid };
}

export class Message {
  buffer: IoBuffer;
  /** MSG_* of the call. */
  flags = 0;
  /** A sockaddr's bytes; null: none given, or the sender has none. */
  address: Uint8Array | null = null;
  files: OpenFile[] | null = null;
  credentials: PeerCredentials | null = null;
  /** MSG_TRUNC and its like, for msg_flags. */
  resultFlags = 0;

  constructor(buffer: IoBuffer, flags = 0) {
    this.buffer = buffer;
    this.flags = flags;
  }

  /** Drops what nobody has taken. */
  dropFiles(): void {
    if (this.files !== null) for (const file of this.files) file.put();
    this.files = null;
  }
}

const NOTHING = new IoBuffer();
const $plain = new Message(NOTHING);

/** The shared message of read(2) and write(2): used up before the next one is asked for. */
export function plainMessage(buffer: IoBuffer): Message {
  $plain.buffer = buffer;
  $plain.flags = 0;
  $plain.address = null;
  $plain.files = null;
  $plain.credentials = null;
  $plain.resultFlags = 0;
  return $plain;
}
