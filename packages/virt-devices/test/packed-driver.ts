/** A driver without scruples on packed rings: like RawDriver, but chains are runs of descriptors in the one ring. */
import type { VirtioModel, VirtioMmioOptions } from "../src/index.ts";
import * as spec from "../src/virtio/spec.ts";
import { type Descriptor, RAM_BASE, RawDriver } from "./raw-driver.ts";

export const FEATURES_HI: number = spec.F_VERSION_1_HI | spec.F_RING_PACKED_HI;

export class PackedDriver extends RawDriver {
  /** Next place and wrap counter of each queue: of what is made available, and of what was used. */
  readonly next: { place: number; wrap: number }[] = [];
  readonly seen: { place: number; wrap: number }[] = [];

  constructor(model: VirtioModel, options: Partial<VirtioMmioOptions> = {}) {
    super(model, { packed: true, ...options });
  }

  override start(low: number = 0, high: number = FEATURES_HI): this {
    for (let queue = 0; queue < this.device.queues.length; queue++) {
      this.next[queue] = { place: 0, wrap: 1 };
      this.seen[queue] = { place: 0, wrap: 1 };
    }
    return super.start(low, high);
  }

  /** Writes the descriptor of a place: its flags with the marks of the driver's wrap counter. */
  place(queue: number, place: number, at: number, length: number, flags: number, id: number, wrap: number): void {
    const entry = this.areas(queue).desc + 16 * place;
    this.view.setUint32(entry, RAM_BASE + at, true);
    this.view.setUint32(entry + 4, 0, true);
    this.view.setUint32(entry + 8, length, true);
    this.view.setUint16(entry + 12, id, true);
    this.view.setUint16(entry + 14, flags | (wrap === 1 ? spec.PACKED_F_AVAIL : spec.PACKED_F_USED), true);
  }

  /** Makes a chain available, without a notification. */
  add(queue: number, descriptors: readonly Descriptor[], id: number = 0): void {
    const next = this.next[queue];
    descriptors.forEach(({ at, length, writable }, i) => {
      const isLast = i === descriptors.length - 1;
      const flags = (writable ? spec.DESC_F_WRITE : 0) | (isLast ? 0 : spec.DESC_F_NEXT);
      this.place(queue, next.place, at, length, flags, id, next.wrap);
      step(next, 1, this.queueSize);
    });
  }

  override submit(queue: number, descriptors: readonly Descriptor[], id: number = 0): void {
    this.add(queue, descriptors, id);
    this.notify(queue);
  }

  /** Takes the next used descriptor, of a chain of `places` places; null if there is none. */
  take(queue: number, places: number): { id: number; length: number; flags: number } | null {
    const seen = this.seen[queue];
    const entry = this.areas(queue).desc + 16 * seen.place;
    const flags = this.view.getUint16(entry + 14, true);
    const mark = flags & (spec.PACKED_F_AVAIL | spec.PACKED_F_USED);
    if (mark !== (seen.wrap === 1 ? spec.PACKED_F_AVAIL | spec.PACKED_F_USED : 0)) return null;
    step(seen, places, this.queueSize);
    return { id: this.view.getUint16(entry + 12, true), length: this.view.getUint32(entry + 8, true), flags };
  }

  /** The driver's event: when it wants to be interrupted. */
  setEvent(queue: number, flags: number, place: number = 0, wrap: number = 0): void {
    const { avail } = this.areas(queue);
    this.view.setUint16(avail, place | (wrap << 15), true);
    this.view.setUint16(avail + 2, flags, true);
  }
}

function step(position: { place: number; wrap: number }, places: number, size: number): void {
  position.place += places;
  if (position.place < size) return;
  position.place -= size;
  position.wrap ^= 1;
}
