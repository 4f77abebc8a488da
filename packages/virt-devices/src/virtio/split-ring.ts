/**
 * Split virtqueue, device side: takes descriptor chains out of the available ring and puts them into the used ring.
 *
 *   driver area (avail)  flags u16 | idx u16 | ring[size] u16      | used_event u16
 *   device area (used)   flags u16 | idx u16 | ring[size] {id,len} | avail_event u16
 *
 * Everything in these areas is written by the guest. `pop` checks it all and answers POP_BROKEN instead of following a loop or
 * leaving RAM. Spec: virtio 1.2 §2.7.
 */
import { APPENDED, type DescriptorChain, mapRange } from "./chain.ts";
import { type DeviceRing, POP_BROKEN, POP_CHAIN, POP_EMPTY, type RingSetup } from "./ring.ts";
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

/** Bytes of the areas of a split ring, in the order descriptors, driver, device, and their alignments. */
export const SPLIT_ALIGNMENTS: readonly [number, number, number] = [16, 2, 4];
export function splitSizes(size: number): [number, number, number] {
  return [size * DESC_SIZE, RING_ENTRIES + 2 * size + 2, RING_ENTRIES + USED_ELEM_SIZE * size + 2];
}

export class SplitRing implements DeviceRing {
  fault = "";
  readonly #setup: RingSetup;
  readonly #view: DataView;
  readonly #chain: DescriptorChain;
  readonly #size: number;
  readonly #desc: number;
  readonly #driver: number;
  readonly #device: number;
  readonly #hasIndirect: boolean;
  readonly #hasEventIdx: boolean;
  #lastAvail = 0;
  #usedIdx = 0;
  #signalledIdx = 0;

  constructor(setup: RingSetup) {
    this.#setup = setup;
    this.#view = setup.view;
    this.#chain = setup.chain;
    this.#size = setup.size;
    this.#desc = setup.areas.descriptors;
    this.#driver = setup.areas.driver;
    this.#device = setup.areas.device;
    this.#hasIndirect = setup.features.indirect;
    this.#hasEventIdx = setup.features.eventIdx;
  }

  hasMore(): boolean {
    return this.#view.getUint16(this.#driver + RING_IDX, true) !== this.#lastAvail;
  }

  pop(): number {
    const view = this.#view;
    const size = this.#size;
    const availIdx = view.getUint16(this.#driver + RING_IDX, true);
    const pending = (availIdx - this.#lastAvail) & 0xffff;
    if (pending === 0) return POP_EMPTY;
    if (pending > size) return this.#broken(`available index moved by ${pending}, queue size ${size}`);
    const head = view.getUint16(this.#driver + RING_ENTRIES + 2 * (this.#lastAvail & (size - 1)), true);
    if (head >= size) return this.#broken(`head ${head}, queue size ${size}`);
    this.#lastAvail = (this.#lastAvail + 1) & 0xffff;
    return this.#walk(head);
  }

  mark(): number {
    return this.#lastAvail;
  }

  rewind(mark: number): void {
    this.#lastAvail = mark;
  }

  push(head: number, written: number): void {
    const view = this.#view;
    const element = this.#device + RING_ENTRIES + USED_ELEM_SIZE * (this.#usedIdx & (this.#size - 1));
    view.setUint32(element, head, true);
    view.setUint32(element + 4, written, true);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    view.setUint16(this.#device + RING_IDX, this.#usedIdx, true);
  }

  requestNotification(): void {
    if (!this.#hasEventIdx) return;
    this.#view.setUint16(this.#device + RING_ENTRIES + USED_ELEM_SIZE * this.#size, this.#lastAvail, true);
  }

  /** §2.7.7 */
  wantsInterrupt(): boolean {
    const old = this.#signalledIdx;
    const now = this.#usedIdx;
    this.#signalledIdx = now;
    if (old === now) return false;
    if (!this.#hasEventIdx) return (this.#view.getUint16(this.#driver + RING_FLAGS, true) & AVAIL_F_NO_INTERRUPT) === 0;
    const usedEvent = this.#view.getUint16(this.#driver + RING_ENTRIES + 2 * this.#size, true);
    return ((now - usedEvent - 1) & 0xffff) < ((now - old) & 0xffff);
  }

  save(): number[] {
    return [this.#lastAvail, this.#usedIdx, this.#signalledIdx];
  }

  restore(state: readonly number[]): void {
    [this.#lastAvail, this.#usedIdx, this.#signalledIdx] = state;
  }

  #walk(head: number): number {
    const view = this.#view;
    const chain = this.#chain;
    chain.clear(head);
    let table = this.#desc;
    let tableCount = this.#size;
    let inIndirect = false;
    let i = head;
    for (;;) {
      const at = table + DESC_SIZE * i;
      const low = view.getUint32(at + DESC_ADDR_LO, true);
      const high = view.getUint32(at + DESC_ADDR_HI, true);
      const length = view.getUint32(at + DESC_LEN, true);
      const flags = view.getUint16(at + DESC_FLAGS, true);
      if ((flags & DESC_F_INDIRECT) !== 0) {
        if (!this.#hasIndirect) return this.#broken("indirect descriptor, feature not negotiated");
        if (inIndirect) return this.#broken("indirect descriptor inside an indirect table");
        if ((flags & DESC_F_NEXT) !== 0) return this.#broken("indirect descriptor with a next descriptor");
        if (length === 0 || length % DESC_SIZE !== 0) return this.#broken(`indirect table of ${length} bytes`);
        table = mapRange(this.#setup.memory, low, high, length, 1);
        if (table < 0) return this.#broken("indirect table outside RAM");
        tableCount = length / DESC_SIZE;
        inIndirect = true;
        i = 0;
        continue;
      }
      const problem = chain.append(low, high, length, (flags & DESC_F_WRITE) !== 0, this.#size);
      if (problem !== APPENDED) return this.#broken(problem);
      if ((flags & DESC_F_NEXT) === 0) return POP_CHAIN;
      i = view.getUint16(at + DESC_NEXT, true);
      if (i >= tableCount) return this.#broken(`next descriptor ${i} of ${tableCount}`);
    }
  }

  /** Chains pushed before are still to be notified. */
  #broken(reason: string): number {
    this.fault = reason;
    return POP_BROKEN;
  }
}
