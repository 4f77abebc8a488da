/**
 * A virtqueue, device side: what the driver wrote through the transport, and the ring that it set up with it.
 *
 * The layout of the ring, split or packed, is the driver's choice and known only here: models see chains.
 *
 * Typical sequence:  while (queue.pop() === POP_CHAIN) queue.push(queue.chain.head, serve(queue.chain));
 *
 * A popped chain lives in `chain` until the next `pop`. POP_BROKEN comes with a reason in `fault`; the device then asks for a
 * reset. Spec: virtio 1.2 §2.6.
 */
import type { GuestMemory } from "../seams.ts";
import { DescriptorChain, mapRange } from "./chain.ts";
import { PACKED_ALIGNMENTS, PackedRing, packedSizes } from "./packed-ring.ts";
import { type DeviceRing, POP_EMPTY, type RingFeatures } from "./ring.ts";
import { SPLIT_ALIGNMENTS, SplitRing, splitSizes } from "./split-ring.ts";

export { DescriptorChain } from "./chain.ts";
export { POP_BROKEN, POP_CHAIN, POP_EMPTY, type RingFeatures } from "./ring.ts";

const NO_FEATURES: RingFeatures = { indirect: false, eventIdx: false, packed: false };

export class DeviceQueue {
  /** Largest size a driver may choose, a power of two. */
  readonly maxSize: number;
  readonly chain: DescriptorChain;

  // As written by the driver through the transport.
  size = 0;
  ready = false;
  descLow = 0;
  descHigh = 0;
  driverLow = 0;
  driverHigh = 0;
  deviceLow = 0;
  deviceHigh = 0;

  readonly #memory: GuestMemory;
  readonly #view: DataView;
  #features: RingFeatures = NO_FEATURES;
  #ring: DeviceRing | null = null;
  #fault = "";

  constructor(memory: GuestMemory, maxSize: number) {
    this.#memory = memory;
    this.#view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset, memory.bytes.byteLength);
    this.maxSize = maxSize;
    this.size = maxSize;
    this.chain = new DescriptorChain(memory, maxSize);
  }

  /** Why the last `pop` or `start` found the queue broken. */
  get fault(): string {
    return this.#ring === null ? this.#fault : this.#ring.fault;
  }

  /** Back to the state after power-on. */
  reset(): void {
    this.size = this.maxSize;
    this.ready = false;
    this.descLow = this.descHigh = 0;
    this.driverLow = this.driverHigh = 0;
    this.deviceLow = this.deviceHigh = 0;
    this.#features = NO_FEATURES;
    this.#ring = null;
    this.#fault = "";
  }

  /** Maps the three areas. False, with `fault` set, if they cannot be such a ring in RAM. */
  start(features: RingFeatures): boolean {
    const { size } = this;
    this.#ring = null;
    this.#features = features;
    // §2.8: the size of a packed ring need not be a power of two.
    const isSize = size > 0 && size <= this.maxSize && (features.packed || (size & (size - 1)) === 0);
    if (!isSize) return this.#broken(`queue size ${size}`);
    const sizes = features.packed ? packedSizes(size) : splitSizes(size);
    const alignments = features.packed ? PACKED_ALIGNMENTS : SPLIT_ALIGNMENTS;
    const memory = this.#memory;
    const descriptors = mapRange(memory, this.descLow, this.descHigh, sizes[0], alignments[0]);
    const driver = mapRange(memory, this.driverLow, this.driverHigh, sizes[1], alignments[1]);
    const device = mapRange(memory, this.deviceLow, this.deviceHigh, sizes[2], alignments[2]);
    if (descriptors < 0 || driver < 0 || device < 0) return this.#broken("queue areas are not in RAM or not aligned");
    const areas = { descriptors, driver, device };
    const setup = { memory, view: this.#view, size, areas, features, chain: this.chain };
    this.#ring = features.packed ? new PackedRing(setup) : new SplitRing(setup);
    this.ready = true;
    return true;
  }

  /** Forgets the areas; the addresses written by the driver stay readable to a snapshot. */
  stop(): void {
    this.ready = false;
    this.#ring = null;
  }

  /** Can chains be popped? */
  get running(): boolean {
    return this.#ring !== null;
  }

  /** Has the driver made chains available that were not popped yet? */
  hasMore(): boolean {
    return this.#ring?.hasMore() ?? false;
  }

  /** Takes the next available chain into `chain`. */
  pop(): number {
    return this.#ring === null ? POP_EMPTY : this.#ring.pop();
  }

  /** Where the next chain will be taken, for `rewind`. */
  mark(): number {
    return this.#ring?.mark() ?? 0;
  }

  /** Takes back all `pop`s since `mark`; none of their chains was pushed. */
  rewind(mark: number): void {
    this.#ring?.rewind(mark);
  }

  /** Marks chain `head` used; `written` bytes from the start of its writable part hold data. */
  push(head: number, written: number): void {
    this.#ring?.push(head, written);
  }

  /**
   * Tells the driver to notify again for what it adds from here on. Call when the ring was found empty; look once
   * more afterwards (§2.7.10, §2.8.10).
   */
  requestNotification(): void {
    this.#ring?.requestNotification();
  }

  /** Does the driver want an interrupt for what was pushed since the last call? */
  wantsInterrupt(): boolean {
    return this.#ring?.wantsInterrupt() ?? false;
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
      this.#features.indirect ? 1 : 0,
      this.#features.eventIdx ? 1 : 0,
      this.#features.packed ? 1 : 0,
      ...(this.#ring?.save() ?? []),
    ];
  }

  restore(state: readonly number[]): void {
    [this.size, , this.descLow, this.descHigh, this.driverLow, this.driverHigh, this.deviceLow, this.deviceHigh] =
      state;
    this.#ring = null;
    const features = { indirect: state[8] !== 0, eventIdx: state[9] !== 0, packed: state[10] !== 0 };
    if (state.length > 11 && this.start(features)) this.#restoreRing(state.slice(11));
    this.ready = state[1] !== 0;
  }

  #restoreRing(state: readonly number[]): void {
    this.#ring?.restore(state);
  }

  #broken(reason: string): boolean {
    this.#fault = reason;
    return false;
  }
}
