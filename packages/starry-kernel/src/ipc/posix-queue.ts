/**
 * POSIX message queues (mq_overview(7)): named queues ordered by priority, with descriptors that can be polled.
 *
 * Woken (each open file's poll set, `#wake`): readers by a message, writers by room.
 */
import {
  EAGAIN,
  EINVAL,
  EMSGSIZE,
  O_ACCMODE,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "linux-abi";
import type { Inode } from "vfs-inode";
import { OpenFile } from "../file.ts";
import type { AnonymousInode } from "../io/anonymous-inode.ts";
import type { IoBuffer } from "../io-buffer.ts";
import { PollSet } from "../poll-set.ts";
import { sendToProcess } from "../signal/send.ts";
import { SI_MESGQ, signalInfo } from "../signal/siginfo.ts";
import type { Process } from "../task/process.ts";
import type { Task } from "../task/task.ts";

export const DEFAULT_MAX_MESSAGES = 10;
export const DEFAULT_MESSAGE_BYTES = 8192;
export const PRIORITY_MAX = 32768;

interface QueuedMessage {
  readonly priority: number;
  readonly bytes: Uint8Array;
}

/** Who is told when a message comes to the empty queue (mq_notify(2)). */
export interface Notification {
  readonly process: Process;
  /** 0: registered, but nothing is sent. */
  readonly signo: number;
  readonly valueLo: number;
  readonly valueHi: number;
}

export class PosixQueue {
  readonly maxMessages: number;
  readonly messageBytes: number;
  readonly inode: AnonymousInode;
  readonly events: PollSet = new PollSet();
  /** Highest priority first, oldest first within one. */
  readonly #messages: QueuedMessage[] = [];
  notification: Notification | null = null;
  /** Receivers asleep: then nobody is notified. */
  receivers = 0;

  constructor(inode: AnonymousInode, maxMessages: number, messageBytes: number) {
    this.inode = inode;
    this.maxMessages = maxMessages;
    this.messageBytes = messageBytes;
  }

  get length(): number {
    return this.#messages.length;
  }

  get full(): boolean {
    return this.#messages.length >= this.maxMessages;
  }

  /** The queue is not full. */
  push(task: Task, priority: number, bytes: Uint8Array): void {
    let at = this.#messages.length;
    while (at > 0 && (this.#messages[at - 1] as QueuedMessage).priority < priority) at--;
    this.#messages.splice(at, 0, { priority, bytes });
    if (this.#messages.length === 1 && this.receivers === 0) this.#notify(task);
    this.events.wake(POLLIN | POLLRDNORM);
  }

  /** The queue is not empty. */
  shift(): QueuedMessage {
    const message = this.#messages.shift() as QueuedMessage;
    this.events.wake(POLLOUT | POLLWRNORM);
    return message;
  }

  #notify(sender: Task): void {
    const { notification } = this;
    this.notification = null;
    if (notification === null || notification.signo === 0) return;
    const { signo, valueLo, valueHi } = notification;
    const fields = { pid: sender.process.pid, uid: sender.cred.uid, valueLo, valueHi };
    sendToProcess(notification.process, signalInfo(signo, SI_MESGQ, fields));
  }

  /** Total bytes queued. */
  get bytes(): number {
    return this.#messages.reduce((sum, message) => sum + message.bytes.length, 0);
  }
}

export class PosixQueueFile extends OpenFile {
  readonly queue: PosixQueue;
  readonly #name: string;

  constructor(queue: PosixQueue, name: string, flags: number) {
    super(flags, queue.events);
    this.queue = queue;
    this.#name = name;
  }

  override get inode(): Inode {
    return this.queue.inode;
  }

  override get anonymousName(): string {
    return `/${this.#name}`;
  }

  /** read(2) shows the queue's state (mq_overview(7), "Mounting the message queue file system"). */
  override read(_task: Task, buffer: IoBuffer, offset: number): number {
    const { queue } = this;
    const pid = queue.notification?.process.pid ?? 0;
    const signo = queue.notification?.signo ?? 0;
    const field = (value: number, width: number): string => String(value).padEnd(width);
    const text = `QSIZE:${field(queue.bytes, 10)} NOTIFY:${field(0, 5)} SIGNO:${field(signo, 5)} NOTIFY_PID:${field(pid, 6)}\n`;
    const bytes = new TextEncoder().encode(text).subarray(offset);
    return buffer.result(buffer.put(bytes, 0, Math.min(bytes.length, buffer.remaining)));
  }

  override get seekable(): boolean {
    return true;
  }

  override poll(_task: Task): number {
    const mode = this.flags & O_ACCMODE;
    let events = 0;
    if (mode !== O_WRONLY && this.queue.length > 0) events |= POLLIN | POLLRDNORM;
    if (mode !== O_RDONLY && !this.queue.full) events |= POLLOUT | POLLWRNORM;
    return events;
  }

  /** Closing any descriptor takes the process's notification back. */
  override flush(task: Task): number {
    if (this.queue.notification?.process === task.process) this.queue.notification = null;
    return 0;
  }

  get nonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** 0, -EAGAIN, -EMSGSIZE, -EINVAL. */
  sendMessage(task: Task, priority: number, bytes: Uint8Array): number {
    if (priority >= PRIORITY_MAX) return -EINVAL;
    if (bytes.length > this.queue.messageBytes) return -EMSGSIZE;
    if (this.queue.full) return -EAGAIN;
    this.queue.push(task, priority, bytes);
    return 0;
  }
}
