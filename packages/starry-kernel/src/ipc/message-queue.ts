/**
 * A System V message queue (msgget(2)).
 *
 * Woken (`events`): receivers by a new message, senders by a removed one, both by the queue's removal.
 */
import { PollSet } from "../poll-set.ts";
import type { Task } from "../task/task.ts";
import { IpcObject } from "./ids.ts";

/** MSGMNB: bytes a queue holds; MSGMAX: the longest message. */
export const QUEUE_BYTES = 16384;
export const MESSAGE_BYTES = 8192;

export const MSG_NOERROR = 0o10000;
export const MSG_EXCEPT = 0o20000;
export const MSG_COPY = 0o40000;

export interface SysvMessage {
  /** ≥ 1 */
  readonly type: number;
  readonly bytes: Uint8Array;
}

export class SysvMessageQueue extends IpcObject {
  readonly messages: SysvMessage[] = [];
  /** Payload bytes queued. */
  bytes = 0;
  maxBytes: number = QUEUE_BYTES;
  readonly events: PollSet = new PollSet();
  sentSec = 0;
  receivedSec = 0;
  lastSender = 0;
  lastReceiver = 0;

  constructor(task: Task, key: number, flags: number) {
    super(task, key, flags);
  }

  /** False: full. Empty messages count too, so that they cannot be queued without end. */
  send(task: Task, message: SysvMessage): boolean {
    if (this.bytes + message.bytes.length > this.maxBytes || this.messages.length >= this.maxBytes) return false;
    this.messages.push(message);
    this.bytes += message.bytes.length;
    this.lastSender = task.process.pid;
    this.sentSec = task.kernel.clock.realtimeSec();
    this.events.wake(0xffff);
    return true;
  }

  /** Index of the message that msgrcv(2) with this `type` takes, or −1. */
  find(type: number, flags: number): number {
    const { messages } = this;
    if (type === 0) return messages.length > 0 ? 0 : -1;
    if (type > 0) {
      const except = (flags & MSG_EXCEPT) !== 0;
      return messages.findIndex((message) => (message.type === type) !== except);
    }
    let best = -1;
    for (let i = 0; i < messages.length; i++) {
      const candidate = (messages[i] as SysvMessage).type;
      if (candidate <= -type && (best < 0 || candidate < (messages[best] as SysvMessage).type)) best = i;
    }
    return best;
  }

  take(task: Task, index: number): SysvMessage {
    const message = this.messages.splice(index, 1)[0] as SysvMessage;
    this.bytes -= message.bytes.length;
    this.lastReceiver = task.process.pid;
    this.receivedSec = task.kernel.clock.realtimeSec();
    this.events.wake(0xffff);
    return message;
  }
}
