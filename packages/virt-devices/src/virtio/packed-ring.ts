/**
 * Packed virtqueue, device side: one ring of descriptors that driver and device both write.
 *
 *   descriptor      addr u64 | len u32 | id u16 | flags u16      AVAIL ≠ USED = wrap: available; AVAIL = USED = wrap: used
 *   event (twice)   position u15, wrap u1 | flags u16            driver's: when to interrupt; device's: when to notify
 *
 * A chain is a run of descriptors linked by NEXT; its id stands in the last one. It is marked used in the place of its first
 * descriptor, and the device skips as many places as the chain had. A position in the ring together with its wrap counter is
 * taken as a number in [0, 2 * size), so that distances come out right across the end of the ring.
 *
 * Spec: virtio 1.2 §2.8.
 */
import { APPENDED, type DescriptorChain, mapRange } from "./chain.ts";
import { type DeviceRing, POP_BROKEN, POP_CHAIN, POP_EMPTY, type RingSetup } from "./ring.ts";
import {
  DESC_ADDR_HI,
  DESC_ADDR_LO,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESC_SIZE,
  EVENT_DESC,
  EVENT_FLAGS,
  EVENT_FLAGS_DESC,
  EVENT_FLAGS_DISABLE,
  EVENT_SIZE,
  PACKED_F_AVAIL,
  PACKED_F_USED,
  PACKED_FLAGS,
  PACKED_ID,
  PACKED_LEN,
} from "./spec.ts";

const WRAP_BIT = 0x8000;
const IDS = 0x1_0000;

export const PACKED_ALIGNMENTS: readonly [number, number, number] = [16, 4, 4];
export function packedSizes(size: number): [number, number, number] {
  return [size * DESC_SIZE, EVENT_SIZE, EVENT_SIZE];
}

export class PackedRing implements DeviceRing {
  fault = "";
  readonly #setup: RingSetup;
  readonly #view: DataView;
  readonly #chain: DescriptorChain;
  readonly #size: number;
  readonly #ring: number;
  readonly #driverEvent: number;
  readonly #deviceEvent: number;
  readonly #hasIndirect: boolean;
  readonly #hasEventIdx: boolean;
  /** Places in the ring that the chain with an id took, 0 if it is not in flight; ids are the driver's choice among 2^16. */
  readonly #places: Uint16Array = new Uint16Array(IDS);
  // Positions in [0, 2 * size): below `size` the wrap counter is 1, from there on 0.
  #avail = 0;
  #used = 0;
  /** Places marked used since the driver was last asked whether it wants an interrupt. */
  #unsignalled = 0;

  constructor(setup: RingSetup) {
    this.#setup = setup;
    this.#view = setup.view;
    this.#chain = setup.chain;
    this.#size = setup.size;
    this.#ring = setup.areas.descriptors;
    this.#driverEvent = setup.areas.driver;
    this.#deviceEvent = setup.areas.device;
    this.#hasIndirect = setup.features.indirect;
    this.#hasEventIdx = setup.features.eventIdx;
  }

  hasMore(): boolean {
    const isFirstLap = this.#avail < this.#size;
    const flags = this.#view.getUint16(this.#descriptor(this.#avail) + PACKED_FLAGS, true);
    return ((flags & PACKED_F_AVAIL) !== 0) === isFirstLap && ((flags & PACKED_F_USED) !== 0) !== isFirstLap;
  }

  pop(): number {
    if (!this.hasMore()) return POP_EMPTY;
    const view = this.#view;
    const chain = this.#chain;
    const size = this.#size;
    chain.clear(0);
    let places = 0;
    for (;;) {
      const at = this.#descriptor(this.#advance(this.#avail, places));
      const flags = view.getUint16(at + PACKED_FLAGS, true);
      const low = view.getUint32(at + DESC_ADDR_LO, true);
      const high = view.getUint32(at + DESC_ADDR_HI, true);
      const length = view.getUint32(at + PACKED_LEN, true);
      if (places === size) return this.#broken("descriptor chain is longer than the queue, or loops");
      places++;
      const problem =
        (flags & DESC_F_INDIRECT) === 0
          ? chain.append(low, high, length, (flags & DESC_F_WRITE) !== 0, size)
          : this.#indirect(low, high, length, flags);
      if (problem !== APPENDED) return this.#broken(problem);
      if ((flags & DESC_F_NEXT) !== 0) continue;
      chain.head = view.getUint16(at + PACKED_ID, true);
      this.#places[chain.head] = places;
      this.#avail = this.#advance(this.#avail, places);
      return POP_CHAIN;
    }
  }

  mark(): number {
    return this.#avail;
  }

  /** The ids that are forgotten here come again with their chains. */
  rewind(mark: number): void {
    this.#avail = mark;
  }

  push(head: number, written: number): void {
    const view = this.#view;
    const places = this.#places[head];
    this.#places[head] = 0;
    const at = this.#descriptor(this.#used);
    view.setUint16(at + PACKED_ID, head, true);
    view.setUint32(at + PACKED_LEN, written, true);
    // §2.8.21: the flags are written last; WRITE says that the length means something.
    const mark = this.#used < this.#size ? PACKED_F_AVAIL | PACKED_F_USED : 0;
    view.setUint16(at + PACKED_FLAGS, mark | (written > 0 ? DESC_F_WRITE : 0), true);
    this.#used = this.#advance(this.#used, places);
    this.#unsignalled += places;
  }

  requestNotification(): void {
    if (!this.#hasEventIdx) return;
    const isFirstLap = this.#avail < this.#size;
    const place = isFirstLap ? this.#avail | WRAP_BIT : this.#avail - this.#size;
    this.#view.setUint16(this.#deviceEvent + EVENT_DESC, place, true);
    this.#view.setUint16(this.#deviceEvent + EVENT_FLAGS, EVENT_FLAGS_DESC, true);
  }

  /** §2.8.10. A driver that asks for an event without the feature, or with the reserved value, gets every interrupt. */
  wantsInterrupt(): boolean {
    const places = this.#unsignalled;
    this.#unsignalled = 0;
    if (places === 0) return false;
    const flags = this.#view.getUint16(this.#driverEvent + EVENT_FLAGS, true) & 3;
    if (flags === EVENT_FLAGS_DISABLE) return false;
    if (flags !== EVENT_FLAGS_DESC || !this.#hasEventIdx || places > this.#size) return true;
    const event = this.#view.getUint16(this.#driverEvent + EVENT_DESC, true);
    const position = (event & WRAP_BIT) !== 0 ? event & ~WRAP_BIT : event + this.#size;
    const laps = 2 * this.#size;
    // Is `position` one of the last `places`?
    return (this.#used - position - 1 + 2 * laps) % laps < places;
  }

  save(): number[] {
    const state = [this.#avail, this.#used, this.#unsignalled];
    for (let id = 0; id < IDS; id++) if (this.#places[id] !== 0) state.push(id, this.#places[id]);
    return state;
  }

  restore(state: readonly number[]): void {
    [this.#avail, this.#used, this.#unsignalled] = state;
    for (let i = 3; i + 1 < state.length; i += 2) this.#places[state[i]] = state[i + 1];
  }

  /** §2.8.8: all descriptors of the table, in order; of their flags only WRITE counts, and their ids mean nothing. */
  #indirect(low: number, high: number, byteLength: number, flags: number): string {
    if (!this.#hasIndirect) return "indirect descriptor, feature not negotiated";
    if ((flags & DESC_F_NEXT) !== 0) return "indirect descriptor with a next descriptor";
    if (byteLength === 0 || byteLength % DESC_SIZE !== 0) return `indirect table of ${byteLength} bytes`;
    const table = mapRange(this.#setup.memory, low, high, byteLength, 1);
    if (table < 0) return "indirect table outside RAM";
    const view = this.#view;
    for (let at = table; at < table + byteLength; at += DESC_SIZE) {
      const problem = this.#chain.append(
        view.getUint32(at + DESC_ADDR_LO, true),
        view.getUint32(at + DESC_ADDR_HI, true),
        view.getUint32(at + PACKED_LEN, true),
        (view.getUint16(at + PACKED_FLAGS, true) & DESC_F_WRITE) !== 0,
        this.#size,
      );
      if (problem !== APPENDED) return problem;
    }
    return APPENDED;
  }

  /** RAM index of the descriptor at a position. */
  #descriptor(position: number): number {
    return this.#ring + DESC_SIZE * (position < this.#size ? position : position - this.#size);
  }

  #advance(position: number, places: number): number {
    const next = position + places;
    return next < 2 * this.#size ? next : next - 2 * this.#size;
  }

  #broken(reason: string): number {
    this.fault = reason;
    return POP_BROKEN;
  }
}
