/**
 * SOL_SOCKET options (socket(7)) and the numbers that stand for options which are only remembered.
 *
 * `value` options are integers that programs read back; those that change behaviour here are fields.
 */
import {
  CAP_NET_ADMIN,
  EDOM,
  EINVAL,
  ENOPROTOOPT,
  EPERM,
  SO_ACCEPTCONN,
  SO_BINDTODEVICE,
  SO_BROADCAST,
  SO_BSDCOMPAT,
  SO_BUSY_POLL,
  SO_DEBUG,
  SO_DETACH_FILTER,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_INCOMING_CPU,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_NO_CHECK,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_RCVTIMEO_NEW,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_SNDLOWAT,
  SO_SNDTIMEO,
  SO_SNDTIMEO_NEW,
  SO_TIMESTAMP,
  SO_TIMESTAMPNS,
  SO_TYPE,
} from "linux-abi";
import type { Task } from "../task/task.ts";
import { NO_DEADLINE } from "../wait.ts";

/** net.core.wmem_default and rmem_default; also the maxima that SO_SNDBUF and SO_RCVBUF are cut to. */
export const DEFAULT_BUFFER_BYTES = 212992;
/** Even with CAP_NET_ADMIN a buffer is the host's memory: Linux stops at 2 GiB, we here. */
const FORCED_MAX_BYTES = 32 << 20;
const MIN_SEND_BYTES = 4608;
const MIN_RECEIVE_BYTES = 2304;

const NS_PER_SEC = 1_000_000_000;
const NS_PER_USEC = 1000;
const MAX_TIMEOUT_SEC = 1_000_000_000;

/** Integers that are kept and given back, nothing more. Booleans are stored as 0 or 1. */
const REMEMBERED = new Set([
  SO_DEBUG,
  SO_DONTROUTE,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_OOBINLINE,
  SO_NO_CHECK,
  SO_PRIORITY,
  SO_TIMESTAMP,
  SO_TIMESTAMPNS,
  SO_BUSY_POLL,
  SO_INCOMING_CPU,
  SO_LOCK_FILTER,
]);

/** What `get` needs to know of the socket. */
export interface OptionOwner {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
  readonly listening: boolean;
  /** Takes the pending error (SO_ERROR). */
  takeError(): number;
  sendBufferChanged(): void;
}

const $int = new Uint8Array(4);
const $intView = new DataView($int.buffer);

/** An int option's bytes, valid until the next call. */
export function intOption(value: number): Uint8Array {
  $intView.setInt32(0, value, true);
  return $int;
}

export class SocketOptions {
  reuseAddress = false;
  reusePort = false;
  passCredentials = false;
  /** As getsockopt reports them: twice what was asked, as in Linux. */
  sendBytes: number = DEFAULT_BUFFER_BYTES;
  receiveBytes: number = DEFAULT_BUFFER_BYTES;
  receiveLowWater = 1;
  /** NO_DEADLINE: wait for ever. */
  receiveTimeoutNs: number = NO_DEADLINE;
  sendTimeoutNs: number = NO_DEADLINE;
  lingerOn = false;
  lingerSec = 0;
  readonly #remembered: Map<number, number> = new Map();

  /** setsockopt(SOL_SOCKET). `value`: the option's bytes. */
  set(task: Task, owner: OptionOwner, name: number, value: Uint8Array): number {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    if (name === SO_LINGER) return this.#setLinger(view);
    if (name === SO_RCVTIMEO || name === SO_RCVTIMEO_NEW || name === SO_SNDTIMEO || name === SO_SNDTIMEO_NEW) {
      return this.#setTimeout(name === SO_RCVTIMEO || name === SO_RCVTIMEO_NEW, view);
    }
    if (name === SO_BINDTODEVICE || name === SO_DETACH_FILTER) return 0;
    if (value.length < 4) return -EINVAL;
    const given = view.getInt32(0, true);
    switch (name) {
      case SO_REUSEADDR:
        this.reuseAddress = given !== 0;
        return 0;
      case SO_REUSEPORT:
        this.reusePort = given !== 0;
        return 0;
      case SO_PASSCRED:
        this.passCredentials = given !== 0;
        return 0;
      case SO_SNDBUF:
        this.sendBytes = Math.max(MIN_SEND_BYTES, 2 * Math.min(given >>> 0, DEFAULT_BUFFER_BYTES));
        owner.sendBufferChanged();
        return 0;
      case SO_RCVBUF:
        this.receiveBytes = Math.max(MIN_RECEIVE_BYTES, 2 * Math.min(given >>> 0, DEFAULT_BUFFER_BYTES));
        return 0;
      case SO_SNDBUFFORCE:
      case SO_RCVBUFFORCE:
        if (!task.cred.hasCapability(CAP_NET_ADMIN)) return -EPERM;
        if (name === SO_SNDBUFFORCE) this.sendBytes = forced(given, MIN_SEND_BYTES);
        else this.receiveBytes = forced(given, MIN_RECEIVE_BYTES);
        owner.sendBufferChanged();
        return 0;
      case SO_RCVLOWAT:
        this.receiveLowWater = given <= 0 ? 1 : given;
        return 0;
      case SO_MARK:
        if (!task.cred.hasCapability(CAP_NET_ADMIN)) return -EPERM;
        this.#remembered.set(name, given);
        return 0;
      case SO_TYPE:
      case SO_PROTOCOL:
      case SO_DOMAIN:
      case SO_ERROR:
      case SO_SNDLOWAT:
      case SO_ACCEPTCONN:
        return -ENOPROTOOPT;
      default:
        if (!REMEMBERED.has(name)) return -ENOPROTOOPT;
        this.#remembered.set(name, name === SO_PRIORITY || name === SO_INCOMING_CPU ? given : given !== 0 ? 1 : 0);
        return 0;
    }
  }

  /** getsockopt(SOL_SOCKET): the option's bytes, or -ENOPROTOOPT. */
  get(owner: OptionOwner, name: number): Uint8Array | number {
    switch (name) {
      case SO_TYPE:
        return intOption(owner.type);
      case SO_PROTOCOL:
        return intOption(owner.protocol);
      case SO_DOMAIN:
        return intOption(owner.family);
      case SO_ERROR:
        return intOption(owner.takeError());
      case SO_ACCEPTCONN:
        return intOption(owner.listening ? 1 : 0);
      case SO_REUSEADDR:
        return intOption(this.reuseAddress ? 1 : 0);
      case SO_REUSEPORT:
        return intOption(this.reusePort ? 1 : 0);
      case SO_PASSCRED:
        return intOption(this.passCredentials ? 1 : 0);
      case SO_SNDBUF:
        return intOption(this.sendBytes);
      case SO_RCVBUF:
        return intOption(this.receiveBytes);
      case SO_RCVLOWAT:
        return intOption(this.receiveLowWater);
      case SO_SNDLOWAT:
        return intOption(1);
      case SO_BSDCOMPAT:
        return intOption(0);
      case SO_LINGER:
        return pairBytes(4, this.lingerOn ? 1 : 0, this.lingerSec);
      case SO_RCVTIMEO:
      case SO_RCVTIMEO_NEW:
        return timevalBytes(this.receiveTimeoutNs);
      case SO_SNDTIMEO:
      case SO_SNDTIMEO_NEW:
        return timevalBytes(this.sendTimeoutNs);
      case SO_BINDTODEVICE:
        return new Uint8Array(0);
      case SO_MARK:
        return intOption(this.#remembered.get(name) ?? 0);
      default:
        return REMEMBERED.has(name) ? intOption(this.#remembered.get(name) ?? 0) : -ENOPROTOOPT;
    }
  }

  #setLinger(view: DataView): number {
    if (view.byteLength < 8) return -EINVAL;
    this.lingerOn = view.getInt32(0, true) !== 0;
    this.lingerSec = view.getInt32(4, true);
    return 0;
  }

  #setTimeout(receive: boolean, view: DataView): number {
    if (view.byteLength < 16) return -EINVAL;
    const sec = view.getUint32(0, true) + view.getInt32(4, true) * 2 ** 32;
    const usec = view.getUint32(8, true) + view.getInt32(12, true) * 2 ** 32;
    if (usec < 0 || usec >= 1_000_000) return -EDOM;
    // Negative: do not wait at all; zero: for ever.
    const ns = sec < 0 ? 0 : sec === 0 && usec === 0 ? NO_DEADLINE : sec * NS_PER_SEC + usec * NS_PER_USEC;
    const limited = sec > MAX_TIMEOUT_SEC ? NO_DEADLINE : ns;
    if (receive) this.receiveTimeoutNs = limited;
    else this.sendTimeoutNs = limited;
    return 0;
  }
}

function forced(given: number, least: number): number {
  return Math.max(least, 2 * Math.min(Math.max(0, given), FORCED_MAX_BYTES));
}

function pairBytes(width: number, first: number, second: number): Uint8Array {
  const bytes = new Uint8Array(2 * width);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, first, true);
  view.setInt32(width, second, true);
  return bytes;
}

function timevalBytes(ns: number): Uint8Array {
  const usec = ns === NO_DEADLINE ? 0 : Math.floor(ns / NS_PER_USEC);
  return pairBytes(8, Math.floor(usec / 1_000_000), usec % 1_000_000);
}
