/**
 * Sending and receiving one message, with the waits: what sendto, sendmsg, sendmmsg and their counterparts do for each.
 */
import {
  EAGAIN,
  EPIPE,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_WAITALL,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  SIGPIPE,
} from "linux-abi";
import type { Message } from "../../net/message.ts";
import type { Socket } from "../../net/socket.ts";
import { sendToTask } from "../../signal/send.ts";
import { kernelSignal } from "../../signal/siginfo.ts";
import type { Task } from "../../task/task.ts";
import { NO_DEADLINE, Wait, WAKE_SIGNAL, WAKE_TIMEOUT } from "../../wait.ts";
import { interrupted } from "./common.ts";

/** What follows a transfer: stores results and returns the call's value, or goes on. */
export type Then = (task: Task, result: number) => number | Wait;

function mayWait(socket: Socket, message: Message): boolean {
  return (message.flags & MSG_DONTWAIT) === 0 && (socket.flags & O_NONBLOCK) === 0;
}

/** Sends `message` whole (streams: unless a signal or error comes in between). The message must outlive the call. */
export function sendMessage(task: Task, socket: Socket, message: Message, then: Then): number | Wait {
  const { buffer } = message;
  let done = 0;
  // Returns the result, or undefined to wait.
  const attempt = (self: Task): number | undefined => {
    const result = socket.send(self, message);
    if (result > 0) done += result;
    const incomplete = result > 0 && socket.isStream && buffer.remaining > 0 && !buffer.faulted;
    if ((result === -EAGAIN || incomplete) && mayWait(socket, message)) return undefined;
    if (done > 0) return done;
    if (result === -EPIPE && socket.isStream && (message.flags & MSG_NOSIGNAL) === 0) {
      sendToTask(self, kernelSignal(SIGPIPE));
    }
    return result;
  };
  const finish = (self: Task, result: number): number | Wait => {
    message.dropFiles();
    return then(self, result);
  };
  const first = attempt(task);
  if (first !== undefined) return finish(task, first);
  socket.get();
  const deadlineNs = socket.writeDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait(
    "sock_alloc_send",
    socket.pollSet,
    (self, reason) => {
      let result: number | undefined;
      if (reason === WAKE_SIGNAL) result = done > 0 ? done : interrupted(deadlineNs);
      else result = attempt(self);
      if (result === undefined) {
        if (reason !== WAKE_TIMEOUT) return wait;
        result = done > 0 ? done : -EAGAIN;
      }
      socket.put();
      return finish(self, result);
    },
    deadlineNs,
    POLLOUT | POLLHUP | POLLERR,
  );
  return wait;
}

/** Receives one message or a piece of a stream; MSG_WAITALL waits for all that was asked. The message must outlive the call. */
export function receiveMessage(task: Task, socket: Socket, message: Message, then: Then): number | Wait {
  const { buffer } = message;
  const waitAll = socket.isStream && (message.flags & (MSG_WAITALL | MSG_PEEK)) === MSG_WAITALL;
  let done = 0;
  const attempt = (self: Task): number | undefined => {
    const result = socket.receive(self, message);
    if (result > 0) done += result;
    const wantsMore = waitAll && result > 0 && buffer.remaining > 0 && !buffer.faulted && message.files === null;
    if ((result === -EAGAIN || wantsMore) && mayWait(socket, message)) return undefined;
    return done > 0 ? done : result;
  };
  const first = attempt(task);
  if (first !== undefined) return then(task, first);
  socket.get();
  const deadlineNs = socket.readDeadlineNs(task, NO_DEADLINE);
  const wait = new Wait(
    "sk_wait_data",
    socket.pollSet,
    (self, reason) => {
      let result: number | undefined;
      if (reason === WAKE_SIGNAL) result = done > 0 ? done : interrupted(deadlineNs);
      else result = attempt(self);
      if (result === undefined) {
        if (reason !== WAKE_TIMEOUT) return wait;
        result = done > 0 ? done : -EAGAIN;
      }
      socket.put();
      return then(self, result);
    },
    deadlineNs,
    POLLIN | POLLHUP | POLLERR,
  );
  return wait;
}
