/**
 * Split virtqueue, device side: takes descriptor chains out of the available ring and puts them into the used ring.
 *
 *   driver area (avail)  flags u16 | idx u16 | ring[size] u16      | used_event u16
 *   device area (used)   flags u16 | idx u16 | ring[size] {id,len} | avail_event u16
 *
 * Everything in these areas is written by the guest. `pop` checks it all and answers POP_BROKEN with a reason in
 * `fault` instead of following a loop or leaving RAM; the device then asks for a reset. A popped chain lives in
 * `chain` until the next `pop`.
 *
 * Typical sequence:  while (queue.pop() === POP_CHAIN) queue.push(queue.chain.head, serve(queue.chain));
 *
 * Spec: virtio 1.2 §2.7.
 */
import type { GuestMemory } from "../seams.ts";
import {
  AVAIL_F_NO_INTERRUPT,
  DESC_ADDR_HI,
  DESC_ADDR_LO,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESC_FLAGS,
  DESC_LEN,
  DESC_NEXT,
  DESC_SIZE,
  RING_ENTRIES,
  RING_FLAGS,
  RING_IDX,
  USED_ELEM_SIZE,
} from "./spec.ts";

export const POP_EMPTY = 0;
export const POP_CHAIN = 1;
export const POP_BROKEN = -1;

const TWO_POW_32 = 0x1_0000_0000;
/** Up to this many bytes a loop beats `set(subarray())`, which allocates a view. */
const SMALL_COPY = 64;

/** The buffers of one request: driver-readable segments first, device-writable ones after them. */
export class DescriptorChain {
  /** Index of the first descriptor: the value that identifies the chain in the used ring. */
  head = 0;
  /** Segments in total; the first `readableCount` are driver-readable. */
  count = 0;
  readableCount = 0;
  readableBytes = 0;
  writableBytes = 0;
  /** Index of each segment's first byte in `GuestMemory.bytes`, already range-checked. */
  readonly start: Float64Array;
  readonly byteLength: Float64Array;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, capacity: number) {
    this.#memory = memory;
    this.start = new Float64Array(capacity);
    this.byteLength = new Float64Array(capacity);
  }

  clear(head: number): void {
    this.head = head;
    this.count = 0;
    this.readableCount = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
  }

  /** Copies from the readable part at `offset`; returns the bytes copied, fewer if the part ends. */
  read(offset: number, target: Uint8Array, byteLength: number): number {
    const ram = this.#memory.bytes;
    let done = 0;
    for (let i = 0; i < this.readableCount && done < byteLength; i++) {
      const length = this.byteLength[i];
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const n = Math.min(length - offset, byteLength - done);
      const from = this.start[i] + offset;
      if (n > SMALL_COPY) target.set(ram.subarray(from, from + n), done);
      else for (let k = 0; k < n; k++) target[done + k] = ram[from + k];
      done += n;
      offset = 0;
    }
    return done;
  }

  /** Copies into the writable part at `offset`; returns the bytes copied, fewer if the part ends. */
  write(offset: number, source: Uint8Array, byteLength: number): number {
    const memory = this.#memory;
    const ram = memory.bytes;
    let done = 0;
    for (let i = this.readableCount; i < this.count && done < byteLength; i++) {
      const length = this.byteLength[i];
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const n = Math.min(length - offset, byteLength - done);
      const to = this.start[i] + offset;
      if (n > SMALL_COPY) ram.set(source.subarray(done, done + n), to);
      else for (let k = 0; k < n; k++) ram[to + k] = source[done + k];
      memory.didWrite?.(memory.base + to, n);
      done += n;
      offset = 0;
    }
    return done;
  }
}

export class DeviceQueue {
  /** Largest size a driver may choose, a power of two. */
  readonly maxSize: number;
  readonly chain: DescriptorChain;
  /** Why the last `pop` or `start` found the queue broken. */
  fault = "";

  // As written by the driver through the transport.
  size = 0;
  ready = false;
  descLow = 0;
  descHigh = 0;
  driverLow = 0;
  driverHigh = 0;
  deviceLow = 0;
  deviceHigh = 0;

  // Negotiated.
  #hasIndirect = false;
  #hasEventIdx = false;

  // RAM indices of the three areas, valid while #mapped.
  #mapped = false;
  #desc = 0;
  #driver = 0;
  #device = 0;
  #lastAvail = 0;
  #usedIdx = 0;
  #signalledIdx = 0;

  readonly #memory: GuestMemory;
  readonly #view: DataView;

  constructor(memory: GuestMemory, maxSize: number) {
    this.#memory = memory;
    this.#view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
    this.maxSize = maxSize;
    this.size = maxSize;
    this.chain = new DescriptorChain(memory, maxSize);
  }

  /** Back to the state after power-on. */
  reset(): void {
    this.size = this.maxSize;
    this.ready = false;
    this.descLow = this.descHigh = 0;
    this.driverLow = this.driverHigh = 0;
    this.deviceLow = this.deviceHigh = 0;
    this.#hasIndirect = false;
    this.#hasEventIdx = false;
    this.#mapped = false;
    this.#lastAvail = 0;
    this.#usedIdx = 0;
    this.#signalledIdx = 0;
    this.fault = "";
  }

  /** Maps the three areas. False, with `fault` set, if they cannot be a split virtqueue in RAM. */
  start(hasIndirect: boolean, hasEventIdx: boolean): boolean {
    const size = this.size;
    this.#mapped = false;
    this.#hasIndirect = hasIndirect;
    this.#hasEventIdx = hasEventIdx;
    if (size === 0 || size > this.maxSize || (size & (size - 1)) !== 0) return this.#broken(`queue size ${size}`);
    this.#desc = this.#map(this.descLow, this.descHigh, size * DESC_SIZE, 16);
    this.#driver = this.#map(this.driverLow, this.driverHigh, RING_ENTRIES + 2 * size + 2, 2);
    this.#device = this.#map(this.deviceLow, this.deviceHigh, RING_ENTRIES + USED_ELEM_SIZE * size + 2, 4);
    if (this.#desc < 0 || this.#driver < 0 || this.#device < 0)
      return this.#broken("queue areas are not in RAM or not aligned");
    this.#lastAvail = 0;
    this.#usedIdx = 0;
    this.#signalledIdx = 0;
    this.#mapped = true;
    this.ready = true;
    this.fault = "";
    return true;
  }

  /** Forgets the areas; the addresses written by the driver stay readable to a snapshot. */
  stop(): void {
    this.ready = false;
    this.#mapped = false;
  }

  /** Can chains be popped? */
  get running(): boolean {
    return this.#mapped;
  }

  /** Has the driver made chains available that were not popped yet? */
  hasMore(): boolean {
    return this.#mapped && this.#view.getUint16(this.#driver + RING_IDX, true) !== this.#lastAvail;
  }

  /** Takes the next available chain into `chain`. */
  pop(): number {
    if (!this.#mapped) return POP_EMPTY;
    const view = this.#view;
    const size = this.size;
    const availIdx = view.getUint16(this.#driver + RING_IDX, true);
    const pending = (availIdx - this.#lastAvail) & 0xffff;
    if (pending === 0) return POP_EMPTY;
    if (pending > size) return this.#popBroken(`available index moved by ${pending}, queue size ${size}`);
    const head = view.getUint16(this.#driver + RING_ENTRIES + 2 * (this.#lastAvail & (size - 1)), true);
    if (head >= size) return this.#popBroken(`head ${head}, queue size ${size}`);
    this.#lastAvail = (this.#lastAvail + 1) & 0xffff;
    return this.#walk(head);
  }

  /** Marks chain `head` used; `written` bytes from the start of its writable part hold data. */
  push(head: number, written: number): void {
    if (!this.#mapped) return;
    const view = this.#view;
    const element = this.#device + RING_ENTRIES + USED_ELEM_SIZE * (this.#usedIdx & (this.size - 1));
    view.setUint32(element, head, true);
    view.setUint32(element + 4, written, true);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    view.setUint16(this.#device + RING_IDX, this.#usedIdx, true);
  }

  /**
   * Tells the driver to notify again for what it adds from here on. Call when the ring was found empty; look once
   * more afterwards (§2.7.10).
   */
  requestNotification(): void {
    if (!this.#mapped || !this.#hasEventIdx) return;
    this.#view.setUint16(this.#device + RING_ENTRIES + USED_ELEM_SIZE * this.size, this.#lastAvail, true);
  }

  /** Does the driver want an interrupt for what was pushed since the last call? §2.7.7 */
  wantsInterrupt(): boolean {
    if (!this.#mapped) return false;
    const old = this.#signalledIdx;
    const now = this.#usedIdx;
    this.#signalledIdx = now;
    if (old === now) return false;
    if (!this.#hasEventIdx) return (this.#view.getUint16(this.#driver + RING_FLAGS, true) & AVAIL_F_NO_INTERRUPT) === 0;
    const usedEvent = this.#view.getUint16(this.#driver + RING_ENTRIES + 2 * this.size, true);
    return ((now - usedEvent - 1) & 0xffff) < ((now - old) & 0xffff);
  }

  /** Numbers that describe the queue completely, for a snapshot. */
  save(): number[] {
    return [
      this.size,
      this.ready ? 1 : 0,
      this.descLow,
      this.descHigh,
      this.driverLow,
      this.driverHigh,
      this.deviceLow,
      this.deviceHigh,
      this.#hasIndirect ? 1 : 0,
      this.#hasEventIdx ? 1 : 0,
      this.#mapped ? 1 : 0,
      this.#lastAvail,
      this.#usedIdx,
      this.#signalledIdx,
    ];
  }

  restore(state: readonly number[]): void {
    [this.size, , this.descLow, this.descHigh, this.driverLow, this.driverHigh, this.deviceLow, this.deviceHigh] =
      state;
    if (state[10] !== 0) this.start(state[8] !== 0, state[9] !== 0);
    this.ready = state[1] !== 0;
    this.#lastAvail = state[11];
    this.#usedIdx = state[12];
    this.#signalledIdx = state[13];
  }

  #walk(head: number): number {
    const view = this.#view;
    const chain = this.chain;
    const size = this.size;
    chain.clear(head);
    let table = this.#desc;
    let tableCount = size;
    let inIndirect = false;
    let i = head;
    for (;;) {
      const at = table + DESC_SIZE * i;
      const low = view.getUint32(at + DESC_ADDR_LO, true);
      const high = view.getUint32(at + DESC_ADDR_HI, true);
      const length = view.getUint32(at + DESC_LEN, true);
      const flags = view.getUint16(at + DESC_FLAGS, true);
      if ((flags & DESC_F_INDIRECT) !== 0) {
        if (!this.#hasIndirect) return this.#popBroken("indirect descriptor, feature not negotiated");
        if (inIndirect) return this.#popBroken("indirect descriptor inside an indirect table");
        if ((flags & DESC_F_NEXT) !== 0) return this.#popBroken("indirect descriptor with a next descriptor");
        if (length === 0 || length % DESC_SIZE !== 0) return this.#popBroken(`indirect table of ${length} bytes`);
        table = this.#map(low, high, length, 1);
        if (table < 0) return this.#popBroken("indirect table outside RAM");
        tableCount = length / DESC_SIZE;
        inIndirect = true;
        i = 0;
        continue;
      }
      // A loop visits more descriptors than a chain may have.
      if (chain.count >= size) return this.#popBroken("descriptor chain is longer than the queue, or loops");
      if (length === 0) return this.#popBroken("zero-sized buffer");
      const start = this.#map(low, high, length, 1);
      if (start < 0) return this.#popBroken("buffer outside RAM");
      chain.start[chain.count] = start;
      chain.byteLength[chain.count] = length;
      chain.count++;
      if ((flags & DESC_F_WRITE) !== 0) {
        chain.writableBytes += length;
      } else {
        if (chain.writableBytes !== 0) return this.#popBroken("readable buffer after a writable one");
        chain.readableCount++;
        chain.readableBytes += length;
      }
      if (chain.readableBytes + chain.writableBytes > TWO_POW_32)
        return this.#popBroken("chain of more than 2^32 bytes");
      if ((flags & DESC_F_NEXT) === 0) return POP_CHAIN;
      i = view.getUint16(at + DESC_NEXT, true);
      if (i >= tableCount) return this.#popBroken(`next descriptor ${i} of ${tableCount}`);
    }
  }

  /** RAM index of a guest-physical range, or -1. `low` and `high` may be signed or unsigned words. */
  #map(low: number, high: number, byteLength: number, alignment: number): number {
    const start = (high >>> 0) * TWO_POW_32 + (low >>> 0) - this.#memory.base;
    if (start < 0 || start + byteLength > this.#memory.size) return -1;
    return (low & (alignment - 1)) === 0 ? start : -1;
  }

  #broken(reason: string): boolean {
    this.fault = reason;
    return false;
  }

  /** The areas stay mapped: chains pushed before are still to be notified. */
  #popBroken(reason: string): number {
    this.fault = reason;
    return POP_BROKEN;
  }
}
