/**
 * A driver without scruples: writes registers, descriptors and rings directly, right or wrong. The counterpart of the
 * device models in the conformance and robustness tests.
 */
import { type VirtioModel, VirtioMmio, type VirtioMmioOptions } from "../src/index.ts";
import * as spec from "../src/virtio/spec.ts";

export const RAM_BASE = 0x8000_0000;
export const RAM_SIZE = 0x8_0000;
/** Where buffers may be put: the areas of the queues lie below. */
export const BUFFERS = 0x1_0000;

export interface Descriptor {
  /** RAM offset of the buffer. */
  readonly at: number;
  readonly length: number;
  readonly writable?: boolean;
}

export class RawDriver {
  readonly ram: Uint8Array = new Uint8Array(RAM_SIZE);
  readonly view: DataView = new DataView(this.ram.buffer);
  readonly device: VirtioMmio;
  readonly guestErrors: string[] = [];
  /** Ranges that the device announced it wrote, as RAM offsets. */
  readonly writes: [start: number, end: number][] = [];
  irq = false;
  raises = 0;
  queueSize = 16;

  constructor(model: VirtioModel, options: Partial<VirtioMmioOptions> = {}) {
    this.device = new VirtioMmio(model, {
      memory: {
        bytes: this.ram,
        base: RAM_BASE,
        size: RAM_SIZE,
        didWrite: (paddr, byteLength) => this.writes.push([paddr - RAM_BASE, paddr - RAM_BASE + byteLength]),
      },
      irq: {
        raise: () => {
          if (!this.irq) this.raises++;
          this.irq = true;
        },
        lower: () => {
          this.irq = false;
        },
      },
      onGuestError: (message) => this.guestErrors.push(message),
      ...options,
    });
  }

  read(register: number): number {
    return this.device.read(register, 4);
  }

  write(register: number, value: number): void {
    this.device.write(register, 4, value);
  }

  get status(): number {
    return this.read(spec.MMIO_STATUS);
  }

  get needsReset(): boolean {
    return (this.status & spec.STATUS_DEVICE_NEEDS_RESET) !== 0;
  }

  offered(word: number): number {
    this.write(spec.MMIO_DEVICE_FEATURES_SEL, word);
    return this.read(spec.MMIO_DEVICE_FEATURES);
  }

  /** Steps 1 to 6; returns whether FEATURES_OK stayed set. */
  negotiate(low: number, high: number = spec.F_VERSION_1_HI): boolean {
    this.write(spec.MMIO_STATUS, 0);
    this.write(spec.MMIO_STATUS, 1);
    this.write(spec.MMIO_STATUS, 3);
    this.write(spec.MMIO_DRIVER_FEATURES_SEL, 0);
    this.write(spec.MMIO_DRIVER_FEATURES, low >>> 0);
    this.write(spec.MMIO_DRIVER_FEATURES_SEL, 1);
    this.write(spec.MMIO_DRIVER_FEATURES, high >>> 0);
    this.write(spec.MMIO_STATUS, 11);
    return (this.status & spec.STATUS_FEATURES_OK) !== 0;
  }

  /** RAM offsets of queue `queue`'s areas. */
  areas(queue: number): { desc: number; avail: number; used: number; table: number } {
    const base = 0x1000 + queue * 0x4000;
    return { desc: base, avail: base + 0x1000, used: base + 0x2000, table: base + 0x3000 };
  }

  setUpQueue(queue: number, size: number = this.queueSize): void {
    const { desc, avail, used } = this.areas(queue);
    this.ram.fill(0, desc, desc + 0x4000);
    this.write(spec.MMIO_QUEUE_SEL, queue);
    this.write(spec.MMIO_QUEUE_SIZE, size);
    this.write(spec.MMIO_QUEUE_DESC_LOW, RAM_BASE + desc);
    this.write(spec.MMIO_QUEUE_DESC_HIGH, 0);
    this.write(spec.MMIO_QUEUE_DRIVER_LOW, RAM_BASE + avail);
    this.write(spec.MMIO_QUEUE_DRIVER_HIGH, 0);
    this.write(spec.MMIO_QUEUE_DEVICE_LOW, RAM_BASE + used);
    this.write(spec.MMIO_QUEUE_DEVICE_HIGH, 0);
    this.write(spec.MMIO_QUEUE_READY, 1);
  }

  /** Everything up to DRIVER_OK, with features `low` and all queues. */
  start(low: number = 0, high: number = spec.F_VERSION_1_HI): this {
    this.negotiate(low, high);
    for (let queue = 0; queue < this.device.queues.length; queue++) this.setUpQueue(queue);
    this.write(spec.MMIO_STATUS, 15);
    return this;
  }

  notify(queue: number = 0): void {
    this.write(spec.MMIO_QUEUE_NOTIFY, queue);
  }

  /** Writes one descriptor into the table at RAM offset `table`. */
  descriptor(table: number, index: number, at: number, length: number, flags: number, next: number = 0): void {
    const entry = table + index * 16;
    this.view.setUint32(entry, RAM_BASE + at, true);
    this.view.setUint32(entry + 4, 0, true);
    this.view.setUint32(entry + 8, length, true);
    this.view.setUint16(entry + 12, flags, true);
    this.view.setUint16(entry + 14, next, true);
  }

  /** Writes a chain from index `head` on, in the queue's table or in the table at `table`. */
  chain(queue: number, head: number, descriptors: readonly Descriptor[], table: number = this.areas(queue).desc): void {
    descriptors.forEach(({ at, length, writable }, i) => {
      const isLast = i === descriptors.length - 1;
      const flags = (writable ? spec.DESC_F_WRITE : 0) | (isLast ? 0 : spec.DESC_F_NEXT);
      this.descriptor(table, head + i, at, length, flags, isLast ? 0 : head + i + 1);
    });
  }

  /** Makes `head` available. */
  makeAvailable(queue: number, head: number): void {
    const { avail } = this.areas(queue);
    const idx = this.view.getUint16(avail + 2, true);
    this.view.setUint16(avail + 4 + 2 * (idx % this.queueSize), head, true);
    this.view.setUint16(avail + 2, (idx + 1) & 0xffff, true);
  }

  /** Chain, available ring, notification. */
  submit(queue: number, descriptors: readonly Descriptor[], head: number = 0): void {
    this.chain(queue, head, descriptors);
    this.makeAvailable(queue, head);
    this.notify(queue);
  }

  usedIdx(queue: number = 0): number {
    return this.view.getUint16(this.areas(queue).used + 2, true);
  }

  /** Used element `index`, by default the last. */
  used(queue: number = 0, index: number = this.usedIdx(queue) - 1): { id: number; length: number } {
    const at = this.areas(queue).used + 4 + 8 * (index % this.queueSize);
    return { id: this.view.getUint32(at, true), length: this.view.getUint32(at + 4, true) };
  }

  setUsedEvent(queue: number, value: number): void {
    this.view.setUint16(this.areas(queue).avail + 4 + 2 * this.queueSize, value, true);
  }

  // Block requests.

  /** Puts a request header at BUFFERS. */
  blkHeader(type: number, sector: number, at: number = BUFFERS): void {
    this.view.setUint32(at, type, true);
    this.view.setUint32(at + 4, 0, true);
    this.view.setUint32(at + 8, sector % 2 ** 32, true);
    this.view.setUint32(at + 12, Math.floor(sector / 2 ** 32), true);
  }

  /** One block request in the usual three descriptors; returns the status byte. Data is at BUFFERS + 0x1000. */
  blk(type: number, sector: number, dataLength: number, writable: boolean): number {
    this.blkHeader(type, sector);
    const status = BUFFERS + 0x800;
    this.ram[status] = 0xee;
    const data = dataLength === 0 ? [] : [{ at: BUFFERS + 0x1000, length: dataLength, writable }];
    this.submit(0, [{ at: BUFFERS, length: 16 }, ...data, { at: status, length: 1, writable: true }]);
    return this.ram[status];
  }

  /** A discard or write-zeroes request with one range. */
  blkRange(type: number, sector: number, sectors: number, flags: number): number {
    const at = BUFFERS + 0x1000;
    this.view.setUint32(at, sector, true);
    this.view.setUint32(at + 4, 0, true);
    this.view.setUint32(at + 8, sectors, true);
    this.view.setUint32(at + 12, flags, true);
    return this.blk(type, 0, 16, false);
  }
}

/** A disk in memory that counts. */
export class MemoryDisk {
  readonly bytes: Uint8Array;
  readonly blockSize = 512;
  readonly readOnly: boolean;
  flushes = 0;
  writes = 0;
  discards: [number, number][] = [];

  constructor(sectors: number = 64, readOnly: boolean = false) {
    this.bytes = new Uint8Array(sectors * 512).map((_, i) => (i * 7 + (i >> 9)) & 0xff);
    this.readOnly = readOnly;
  }

  get size(): number {
    return this.bytes.length;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    if (blockId * 512 + buf.length > this.bytes.length) throw new Error("the device let a read beyond the end through");
    buf.set(this.bytes.subarray(blockId * 512, blockId * 512 + buf.length));
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    if (blockId * 512 + buf.length > this.bytes.length)
      throw new Error("the device let a write beyond the end through");
    this.bytes.set(buf, blockId * 512);
    this.writes++;
    return 0;
  }

  flush(): number {
    this.flushes++;
    return 0;
  }

  discard(blockId: number, count: number): number {
    this.discards.push([blockId, count]);
    return 0;
  }
}
