/**
 * Datagrams waiting to be received: whole messages with their sender, in order.
 */
import { MSG_TRUNC } from "linux-abi";
import type { OpenFile } from "../file.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Message, PeerCredentials } from "./message.ts";

export interface QueuedMessage {
  readonly bytes: Uint8Array;
  /** The sender's sockaddr, or null if it has no name. */
  readonly address: Uint8Array | null;
  files: OpenFile[] | null;
  readonly credentials: PeerCredentials | null;
}

export class MessageQueue {
  readonly #messages: QueuedMessage[] = [];
  /** Payload bytes in the queue. */
  bytes = 0;

  get length(): number {
    return this.#messages.length;
  }

  get first(): QueuedMessage | undefined {
    return this.#messages[0];
  }

  push(message: QueuedMessage): void {
    this.#messages.push(message);
    this.bytes += message.bytes.length;
  }

  /**
   * Gives the first message to the receiver and drops it (with `peek`, keeps it; files are then given as new references).
   * Returns the count copied, or with MSG_TRUNC the message's length. The queue is not empty.
   */
  take(message: Message, peek: boolean): number {
    const queued = this.#messages[0] as QueuedMessage;
    const { buffer } = message;
    const wanted = Math.min(queued.bytes.length, buffer.remaining);
    const count = buffer.put(queued.bytes, 0, wanted);
    if (count < wanted) return buffer.result(0);
    message.address = queued.address;
    message.credentials = queued.credentials;
    if (wanted < queued.bytes.length) message.resultFlags |= MSG_TRUNC;
    if (peek) message.files = queued.files === null ? null : queued.files.map((file) => file.get());
    else {
      message.files = queued.files;
      queued.files = null;
      this.#messages.shift();
      this.bytes -= queued.bytes.length;
    }
    return (message.flags & MSG_TRUNC) !== 0 ? queued.bytes.length : count;
  }

  clear(): void {
    for (const queued of this.#messages) if (queued.files !== null) for (const file of queued.files) file.put();
    this.#messages.length = 0;
    this.bytes = 0;
  }
}

/** The payload of a message being sent, or -EFAULT. */
export function takePayload(buffer: IoBuffer): Uint8Array | number {
  const bytes = new Uint8Array(buffer.remaining);
  return buffer.take(bytes, 0, bytes.length) < bytes.length ? buffer.result(0) : bytes;
}
