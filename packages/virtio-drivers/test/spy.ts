/** Watches a driver: every register access, and every chain it makes available, as the device would see it. */
import { type VirtioModel, VirtioMmio, type VirtioMmioOptions } from "virt-devices";
import { type MmioRegion, MmioTransport, PAGE_SIZE, RamHal } from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { FrameAllocator, ok, RAM_BASE, regionOf } from "./rig.ts";

export interface Access {
  readonly isWrite: boolean;
  readonly offset: number;
  readonly byteLength: number;
  readonly value: number;
}

export interface ChainSegment {
  readonly paddr: number;
  readonly length: number;
  readonly writable: boolean;
}

export interface SeenChain {
  readonly queue: number;
  readonly head: number;
  readonly segments: readonly ChainSegment[];
  /** Descriptors with flags, in the order walked: [flags, inIndirectTable]. */
  readonly flags: readonly (readonly [number, boolean])[];
  readonly bytes: readonly number[];
}

interface QueueAreas {
  size: number;
  desc: number;
  avail: number;
  used: number;
  /** Available index up to which chains were recorded. */
  seen: number;
}

export class Spy {
  readonly ram: Uint8Array = new Uint8Array(512 * PAGE_SIZE);
  readonly view: DataView = new DataView(this.ram.buffer);
  readonly device: VirtioMmio;
  readonly hal: RamHal;
  readonly region: MmioRegion;
  readonly accesses: Access[] = [];
  readonly chains: SeenChain[] = [];
  readonly queues: QueueAreas[] = [];
  /** Notifications that the driver sent. */
  notifications = 0;
  irq = false;
  /** Called instead of the device when the driver notifies; default: pass on. */
  onNotify: (queue: number, pass: () => void) => void = (_, pass) => pass();
  /** Changes what a read returns. */
  filter: (access: Access) => number = (access) => access.value;

  constructor(model: VirtioModel, options: Partial<VirtioMmioOptions> = {}) {
    const frames = new FrameAllocator(512, true);
    this.device = new VirtioMmio(model, {
      memory: { bytes: this.ram, base: RAM_BASE, size: this.ram.length },
      irq: {
        raise: () => {
          this.irq = true;
        },
        lower: () => {
          this.irq = false;
        },
      },
      ...options,
    });
    const inner = regionOf(this.device);
    const read = (byteLength: number, offset: number, value: number): number => {
      const access = { isWrite: false, offset, byteLength, value };
      this.accesses.push(access);
      return this.filter(access);
    };
    const write = (byteLength: number, offset: number, value: number, pass: () => void): void => {
      this.accesses.push({ isWrite: true, offset, byteLength, value });
      if (offset === spec.MMIO_QUEUE_NOTIFY) {
        this.notifications++;
        this.#record();
        return this.onNotify(value, pass);
      }
      pass();
      if (offset === spec.MMIO_QUEUE_READY && value === 1) this.#learnQueue();
    };
    this.region = {
      read8: (offset) => read(1, offset, inner.read8(offset)),
      read16: (offset) => read(2, offset, inner.read16(offset)),
      read32: (offset) => read(4, offset, inner.read32(offset)),
      write8: (offset, value) => write(1, offset, value, () => inner.write8(offset, value)),
      write16: (offset, value) => write(2, offset, value, () => inner.write16(offset, value)),
      write32: (offset, value) => write(4, offset, value, () => inner.write32(offset, value)),
    };
    this.hal = new RamHal({
      bytes: this.ram,
      base: RAM_BASE,
      allocFrames: (count) => frames.alloc(count),
      freeFrames: (paddr, count) => frames.free(paddr, count),
      mapMmio: () => this.region,
    });
  }

  transport(): MmioTransport {
    return ok(MmioTransport.create(this.region));
  }

  /** Values written to register `offset`, in order. */
  written(offset: number): number[] {
    return this.accesses.filter((access) => access.isWrite && access.offset === offset).map((access) => access.value);
  }

  /** Position of the first access that fits, or -1. */
  firstAccess(isWrite: boolean, offset: number, value?: number): number {
    return this.accesses.findIndex(
      (access) =>
        access.isWrite === isWrite && access.offset === offset && (value === undefined || access.value === value),
    );
  }

  #learnQueue(): void {
    const last = (offset: number): number => this.written(offset).at(-1) ?? 0;
    this.queues[last(spec.MMIO_QUEUE_SEL)] = {
      size: last(spec.MMIO_QUEUE_SIZE),
      desc: last(spec.MMIO_QUEUE_DESC_LOW) - RAM_BASE,
      avail: last(spec.MMIO_QUEUE_DRIVER_LOW) - RAM_BASE,
      used: last(spec.MMIO_QUEUE_DEVICE_LOW) - RAM_BASE,
      seen: 0,
    };
  }

  /** Records the chains that are new in the available rings. */
  #record(): void {
    for (const [index, queue] of this.queues.entries()) {
      const idx = this.view.getUint16(queue.avail + 2, true);
      for (; queue.seen !== idx; queue.seen = (queue.seen + 1) & 0xffff) {
        const head = this.view.getUint16(queue.avail + 4 + 2 * (queue.seen % queue.size), true);
        this.chains.push(this.#walk(index, queue, head));
      }
    }
  }

  #walk(queueIndex: number, queue: QueueAreas, head: number): SeenChain {
    const segments: ChainSegment[] = [];
    const flagsSeen: [number, boolean][] = [];
    const bytes: number[] = [];
    let table = queue.desc;
    let isIndirect = false;
    let i = head;
    for (let count = 0; count < 2000; count++) {
      const at = table + 16 * i;
      const paddr = this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
      const length = this.view.getUint32(at + 8, true);
      const flags = this.view.getUint16(at + 12, true);
      flagsSeen.push([flags, isIndirect]);
      if ((flags & spec.DESC_F_INDIRECT) !== 0) {
        table = paddr - RAM_BASE;
        isIndirect = true;
        i = 0;
        continue;
      }
      const writable = (flags & spec.DESC_F_WRITE) !== 0;
      segments.push({ paddr, length, writable });
      if (!writable && length <= 64) bytes.push(...this.ram.subarray(paddr - RAM_BASE, paddr - RAM_BASE + length));
      if ((flags & spec.DESC_F_NEXT) === 0) break;
      i = this.view.getUint16(at + 14, true);
    }
    return { queue: queueIndex, head, segments, flags: flagsSeen, bytes };
  }
}
