/** The host's end of a virtio socket connection. */

/** What a socket calls. `onData`'s bytes are reused: copy what you keep. */
export interface VsockEvents {
  readonly onOpen?: () => void;
  readonly onData?: (bytes: Uint8Array) => void;
  /** The guest sends no more. */
  readonly onEnd?: () => void;
  /** The connection is gone. */
  readonly onClose?: () => void;
}

/** What a socket asks of its device. */
interface VsockWire {
  written(): void;
  shutdown(flags: number): void;
}

// §5.10.6.5, flags of a shutdown
export const VSOCK_SHUTDOWN_F_RECEIVE = 1;
export const VSOCK_SHUTDOWN_F_SEND = 2;
const SHUTDOWN_BOTH = 3;
/** Room that is announced; received bytes go to `onData` at once. */
const BUFFER_SIZE = 262_144;

export class VsockSocket {
  readonly hostPort: number;
  readonly guestPort: number;
  events: VsockEvents;
  readonly bufferSize: number = BUFFER_SIZE;
  /** Bytes received in all, modulo 2^32. */
  receivedCount = 0;
  isOpen = false;
  readonly #wire: VsockWire;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #sentCount = 0;
  #peerBuffer = 0;
  #peerForwarded = 0;
  #guestFlags = 0;
  #isClosed = false;

  constructor(hostPort: number, guestPort: number, events: VsockEvents, wire: VsockWire) {
    this.hostPort = hostPort;
    this.guestPort = guestPort;
    this.events = events;
    this.#wire = wire;
  }

  /** Bytes that were written and that the guest has no room for yet. */
  get bufferedBytes(): number {
    return this.#waitingBytes;
  }

  /** Sends `bytes` as the guest has room; they are copied. Nothing happens on a closed socket. */
  write(bytes: Uint8Array): void {
    if (this.#isClosed || bytes.length === 0) return;
    this.#waiting.push(bytes.slice());
    this.#waitingBytes += bytes.length;
    this.#wire.written();
  }

  /** Says that no more is sent or taken; the guest answers by closing. */
  close(): void {
    if (!this.#isClosed) this.#wire.shutdown(SHUTDOWN_BOTH);
  }

  // For the device.

  /** §5.10.6.3: what the guest announced about its side. */
  setCredit(bufferSize: number, forwarded: number): void {
    this.#peerBuffer = bufferSize;
    this.#peerForwarded = forwarded;
  }

  /** Bytes that may be sent now. A guest that announces nonsense gets nothing. */
  get sendable(): number {
    if (!this.isOpen) return 0;
    const inFlight = (this.#sentCount - this.#peerForwarded) >>> 0;
    return Math.max(Math.min(this.#peerBuffer - inFlight, this.#waitingBytes), 0);
  }

  /** Moves up to `room` sendable bytes to `target` at `at`. */
  take(target: Uint8Array, at: number, room: number): number {
    const wanted = Math.min(this.sendable, room);
    let done = 0;
    while (done < wanted) {
      const first = this.#waiting[0];
      const length = Math.min(first.length, wanted - done);
      target.set(first.subarray(0, length), at + done);
      if (length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(length);
      done += length;
    }
    this.#waitingBytes -= done;
    this.#sentCount = (this.#sentCount + done) >>> 0;
    return done;
  }

  opened(): void {
    if (this.isOpen || this.#isClosed) return;
    this.isOpen = true;
    this.events.onOpen?.();
  }

  received(bytes: Uint8Array): void {
    this.receivedCount = (this.receivedCount + bytes.length) >>> 0;
    if ((this.#guestFlags & VSOCK_SHUTDOWN_F_SEND) === 0) this.events.onData?.(bytes);
  }

  /** True if the guest neither sends nor takes any more: the connection is to be reset. */
  guestShutdown(flags: number): boolean {
    const added = flags & ~this.#guestFlags;
    this.#guestFlags |= flags & SHUTDOWN_BOTH;
    if ((added & VSOCK_SHUTDOWN_F_SEND) !== 0) this.events.onEnd?.();
    return this.#guestFlags === SHUTDOWN_BOTH;
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.isOpen = false;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.events.onClose?.();
  }
}
