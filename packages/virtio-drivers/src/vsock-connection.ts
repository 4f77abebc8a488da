/**
 * One stream of the virtio socket driver: bytes that came and were not read, and the credit of both sides (§5.10.6.3).
 *
 * `VirtIOSocket` makes, feeds and ends it.
 */
import { ERR_DEVICE_FAULT, ERR_NOT_READY } from "./error.ts";

export const CONNECTING = "connecting";
export const CONNECTED = "connected";
export const CLOSED = "closed";
export type VsockState = typeof CONNECTING | typeof CONNECTED | typeof CLOSED;

/** Bytes that the other side may send ahead of `read`. */
export const BUFFER_SIZE = 65536;

/** What a connection asks of its socket. */
export interface VsockSender {
  /** Sends bytes; the connection has the credit for them. 0 or an error. */
  sendData(connection: VsockConnection, bytes: Uint8Array): number;
  sendCredit(connection: VsockConnection): void;
  requestCredit(connection: VsockConnection): void;
  sendShutdown(connection: VsockConnection, flags: number): void;
}

export const SHUTDOWN_RECEIVE = 1;
export const SHUTDOWN_SEND = 2;

export class VsockConnection {
  readonly localPort: number;
  readonly peerPort: number;
  state: VsockState = CONNECTING;
  /** The peer sends no more. */
  hasEnded = false;
  /** Bytes taken out by `read`, modulo 2^32: told to the peer. */
  forwardedCount = 0;
  readonly #sender: VsockSender;
  readonly #buffer: Uint8Array = new Uint8Array(BUFFER_SIZE);
  #start = 0;
  #count = 0;
  /** `forwardedCount` as the peer knows it. */
  #announced = 0;
  #sentCount = 0;
  #peerBuffer = 0;
  #peerForwarded = 0;
  #hasShutDown = false;

  constructor(localPort: number, peerPort: number, sender: VsockSender) {
    this.localPort = localPort;
    this.peerPort = peerPort;
    this.#sender = sender;
  }

  /** Bytes that `read` would give. */
  get readableBytes(): number {
    return this.#count;
  }

  /** Bytes that `write` would take now. */
  get writableBytes(): number {
    if (this.state !== CONNECTED || this.#hasShutDown) return 0;
    // A peer that announces nonsense gets nothing.
    return Math.max(this.#peerBuffer - ((this.#sentCount - this.#peerForwarded) >>> 0), 0);
  }

  /** Takes received bytes: how many; 0 at the end of the stream; ERR_NOT_READY if there are none yet. */
  read(target: Uint8Array): number {
    const count = Math.min(target.length, this.#count);
    for (let i = 0; i < count; i++) target[i] = this.#buffer[(this.#start + i) % BUFFER_SIZE];
    this.#start = (this.#start + count) % BUFFER_SIZE;
    this.#count -= count;
    this.forwardedCount = (this.forwardedCount + count) >>> 0;
    const unannounced = (this.forwardedCount - this.#announced) >>> 0;
    if (this.state === CONNECTED && unannounced >= BUFFER_SIZE / 2) this.#sender.sendCredit(this);
    if (count > 0 || target.length === 0) return count;
    return this.hasEnded || this.state === CLOSED ? 0 : ERR_NOT_READY;
  }

  /** Sends as many of `bytes` as the peer has room for: how many; ERR_NOT_READY if none; an error if there is no stream. */
  write(bytes: Uint8Array): number {
    if (this.state === CLOSED || this.#hasShutDown) return ERR_DEVICE_FAULT;
    const count = Math.min(this.writableBytes, bytes.length);
    if (count === 0 && bytes.length > 0) {
      if (this.state === CONNECTED) this.#sender.requestCredit(this);
      return ERR_NOT_READY;
    }
    const error = this.#sender.sendData(this, count === bytes.length ? bytes : bytes.subarray(0, count));
    return error < 0 ? error : count;
  }

  /** Says that no more is sent, nor read if `flags` say so. The peer ends the connection when it is done too. */
  shutdown(flags: number = SHUTDOWN_SEND | SHUTDOWN_RECEIVE): void {
    if (this.state !== CONNECTED) return;
    if ((flags & SHUTDOWN_SEND) !== 0) this.#hasShutDown = true;
    this.#sender.sendShutdown(this, flags);
  }

  // For VirtIOSocket.

  setCredit(bufferSize: number, forwarded: number): void {
    this.#peerBuffer = bufferSize;
    this.#peerForwarded = forwarded;
  }

  /** Keeps received bytes. False if the peer sends more than it was allowed to. */
  receive(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#count + end - start > BUFFER_SIZE) return false;
    let at = (this.#start + this.#count) % BUFFER_SIZE;
    for (let i = start; i < end; i++) {
      this.#buffer[at] = bytes[i];
      at = at + 1 === BUFFER_SIZE ? 0 : at + 1;
    }
    this.#count += end - start;
    return true;
  }

  sent(byteLength: number): void {
    this.#sentCount = (this.#sentCount + byteLength) >>> 0;
  }

  /** A packet told the peer how much was read. */
  announced(): void {
    this.#announced = this.forwardedCount;
  }
}
