/**
 * A device side written straight from the specification, of either layout, that does what the test tells it: takes chains, and
 * reports any of them in any order. It shares no code with virt-devices.
 */
import { RAM_BASE } from "./rig.ts";
import { StubTransport } from "./stub-transport.ts";

export interface TakenChain {
  readonly id: number;
  readonly readable: readonly number[];
  readonly writable: readonly number[];
  /** Indices in the ring or table that the chain took. */
  readonly places: readonly number[];
}

export class LooseDevice extends StubTransport {
  readonly maxSize: number;
  readonly isPacked: boolean;
  size = 0;
  desc = 0;
  driver = 0;
  device = 0;
  // Split: 16-bit counts. Packed: place and wrap counter.
  availIdx = 0;
  usedIdx = 0;
  availWrap = 1;
  usedWrap = 1;
  /** Places or entries used since `wantsInterrupt` was asked. */
  #used: [place: number, wrap: number][] = [];

  constructor(maxSize: number, isPacked: boolean) {
    super(2);
    this.maxSize = maxSize;
    this.isPacked = isPacked;
  }

  override maxQueueSize(): number {
    return this.maxSize;
  }
  override queueSet(_queue: number, size: number, desc: number, driver: number, device: number): void {
    this.size = size;
    this.desc = desc - RAM_BASE;
    this.driver = driver - RAM_BASE;
    this.device = device - RAM_BASE;
  }

  /** The next available chain, or null. */
  take(): TakenChain | null {
    return this.isPacked ? this.#takePacked() : this.#takeSplit();
  }

  /** Reports `chain` as used. */
  use(chain: TakenChain, length: number): void {
    this.useBatch([chain], length);
  }

  /** Reports `chains` by a single entry with the id of the last one. */
  useBatch(chains: readonly TakenChain[], length: number): void {
    const { view } = this;
    const last = chains[chains.length - 1];
    if (!this.isPacked) {
      const at = this.device + 4 + 8 * (this.usedIdx % this.size);
      view.setUint32(at, last.id, true);
      view.setUint32(at + 4, length, true);
      for (const _ of chains) {
        this.#used.push([this.usedIdx, 0]);
        this.usedIdx = (this.usedIdx + 1) & 0xffff;
      }
      view.setUint16(this.device + 2, this.usedIdx, true);
      return;
    }
    const at = this.desc + 16 * this.usedIdx;
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, last.id, true);
    view.setUint16(at + 14, (this.usedWrap === 1 ? 0x8080 : 0) | (length > 0 ? 2 : 0), true);
    for (const chain of chains) {
      for (const _ of chain.places) {
        this.#used.push([this.usedIdx, this.usedWrap]);
        if (++this.usedIdx < this.size) continue;
        this.usedIdx = 0;
        this.usedWrap ^= 1;
      }
    }
  }

  /** By the rule of §2.7.7.2 or §2.8.10: does the driver want to hear of what was used since this was last asked? */
  wantsInterrupt(eventIdx: boolean): boolean {
    const used = this.#used;
    this.#used = [];
    const { view } = this;
    if (!this.isPacked) {
      if (!eventIdx) return view.getUint16(this.driver, true) === 0;
      const event = view.getUint16(this.driver + 4 + 2 * this.size, true);
      return used.some(([index]) => index === event);
    }
    const flags = view.getUint16(this.driver + 2, true);
    if (flags !== 2) return flags === 0;
    const event = view.getUint16(this.driver, true);
    return used.some(([place, wrap]) => place === (event & 0x7fff) && wrap === event >> 15);
  }

  /** Asks for a notification when the place `ahead` places from here becomes available; without events: all if even. */
  askForNotification(eventIdx: boolean, ahead: number): void {
    const { view } = this;
    if (!this.isPacked) {
      if (eventIdx) view.setUint16(this.device + 4 + 8 * this.size, (this.availIdx + ahead) & 0xffff, true);
      else view.setUint16(this.device, ahead % 2, true);
      return;
    }
    if (!eventIdx) return view.setUint16(this.device + 2, ahead % 2, true);
    const place = this.availIdx + ahead;
    const wrap = place >= this.size ? this.availWrap ^ 1 : this.availWrap;
    view.setUint16(this.device, (place % this.size) | (wrap << 15), true);
    view.setUint16(this.device + 2, 2, true);
  }

  #takeSplit(): TakenChain | null {
    const { view } = this;
    if (view.getUint16(this.driver + 2, true) === this.availIdx) return null;
    const id = view.getUint16(this.driver + 4 + 2 * (this.availIdx % this.size), true);
    this.availIdx = (this.availIdx + 1) & 0xffff;
    const chain = { id, readable: [] as number[], writable: [] as number[], places: [] as number[] };
    let table = this.desc;
    for (let i = id; ; ) {
      const at = table + 16 * i;
      const flags = view.getUint16(at + 12, true);
      if (table === this.desc) chain.places.push(i);
      if ((flags & 4) !== 0) {
        table = view.getUint32(at, true) - RAM_BASE;
        i = 0;
        continue;
      }
      ((flags & 2) !== 0 ? chain.writable : chain.readable).push(view.getUint32(at, true));
      if ((flags & 1) === 0) return chain;
      i = view.getUint16(at + 14, true);
    }
  }

  #takePacked(): TakenChain | null {
    const { view } = this;
    const chain = { id: -1, readable: [] as number[], writable: [] as number[], places: [] as number[] };
    for (;;) {
      const at = this.desc + 16 * this.availIdx;
      const flags = view.getUint16(at + 14, true);
      if (((flags >> 7) & 1) !== this.availWrap || flags >> 15 === this.availWrap) {
        if (chain.places.length > 0) throw new Error("a chain that is available in part only");
        return null;
      }
      chain.places.push(this.availIdx);
      if (++this.availIdx === this.size) {
        this.availIdx = 0;
        this.availWrap ^= 1;
      }
      if ((flags & 4) !== 0) this.#indirect(at, chain);
      else ((flags & 2) !== 0 ? chain.writable : chain.readable).push(view.getUint32(at, true));
      chain.id = view.getUint16(at + 12, true);
      if ((flags & 1) === 0) return chain;
    }
  }

  #indirect(at: number, chain: { readable: number[]; writable: number[] }): void {
    const { view } = this;
    const table = view.getUint32(at, true) - RAM_BASE;
    for (let entry = table; entry < table + view.getUint32(at + 8, true); entry += 16) {
      const isWritable = (view.getUint16(entry + 14, true) & 2) !== 0;
      (isWritable ? chain.writable : chain.readable).push(view.getUint32(entry, true));
    }
  }
}
