/** A machine without a hart for tests: RAM, a frame allocator, one virtio-mmio device and a Hal, all in this process. */
import { type BlockBackend, type MmioDevice, type VirtioModel, VirtioMmio, type VirtioMmioOptions } from "virt-devices";
import { type MmioRegion, MmioTransport, PAGE_SIZE, RamHal, type VirtioError } from "../src/index.ts";

export const RAM_BASE = 0x8000_0000;

export interface Rig {
  readonly ram: Uint8Array;
  readonly hal: RamHal;
  readonly device: VirtioMmio;
  readonly region: MmioRegion;
  readonly transport: MmioTransport;
  /** Level of the interrupt line. */
  readonly irq: { high: boolean; raises: number };
  readonly guestErrors: string[];
  readonly frames: FrameAllocator;
}

export interface RigOptions {
  readonly pages?: number;
  /** Hand out frames in an order in which no two are neighbours. */
  readonly scattered?: boolean;
  readonly mmio?: Partial<VirtioMmioOptions>;
}

export function createRig(model: VirtioModel, options: RigOptions = {}): Rig {
  const pages = options.pages ?? 512;
  const ram = new Uint8Array(pages * PAGE_SIZE);
  const frames = new FrameAllocator(pages, options.scattered ?? false);
  const irq = { high: false, raises: 0 };
  const guestErrors: string[] = [];
  const device = new VirtioMmio(model, {
    memory: { bytes: ram, base: RAM_BASE, size: ram.length },
    irq: {
      raise(): void {
        if (!irq.high) irq.raises++;
        irq.high = true;
      },
      lower(): void {
        irq.high = false;
      },
    },
    onGuestError: (message) => guestErrors.push(message),
    ...options.mmio,
  });
  const region = regionOf(device);
  const hal = new RamHal({
    bytes: ram,
    base: RAM_BASE,
    allocFrames: (count) => frames.alloc(count),
    freeFrames: (paddr, count) => frames.free(paddr, count),
    mapMmio: () => region,
  });
  const transport = ok(MmioTransport.create(region));
  return { ram, hal, device, region, transport, irq, guestErrors, frames };
}

/** The result of a function that must not fail here. */
export function ok<T>(result: T | VirtioError): T {
  if (typeof result === "number" && result < 0) throw new Error(`unexpected error ${result}`);
  return result as T;
}

/** A device as a driver's registers. */
export function regionOf(device: MmioDevice): MmioRegion {
  return {
    read8: (offset) => device.read(offset, 1),
    read16: (offset) => device.read(offset, 2),
    read32: (offset) => device.read(offset, 4),
    write8: (offset, value) => device.write(offset, 1, value),
    write16: (offset, value) => device.write(offset, 2, value),
    write32: (offset, value) => device.write(offset, 4, value),
  };
}

export class FrameAllocator {
  readonly #used: Uint8Array;
  readonly #scattered: boolean;
  #next = 0;

  constructor(pages: number, scattered: boolean) {
    this.#used = new Uint8Array(pages);
    this.#scattered = scattered;
  }

  get usedCount(): number {
    return this.#used.reduce((sum, used) => sum + used, 0);
  }

  alloc(count: number): number {
    const pages = this.#used.length;
    for (let tried = 0; tried < pages; tried++) {
      const start = (this.#next + tried) % pages;
      if (start + count > pages || this.#used.subarray(start, start + count).some((used) => used !== 0)) continue;
      this.#used.fill(1, start, start + count);
      this.#next = (start + count + (this.#scattered ? 2 : 0)) % pages;
      return RAM_BASE + start * PAGE_SIZE;
    }
    return -1;
  }

  free(paddr: number, count: number): void {
    const start = (paddr - RAM_BASE) / PAGE_SIZE;
    for (let i = start; i < start + count; i++) {
      if (this.#used[i] !== 1) throw new Error(`frame ${i} freed twice`);
      this.#used[i] = 0;
    }
  }
}

/** A disk in memory that remembers what was asked of it. */
export class TestDisk implements BlockBackend {
  readonly bytes: Uint8Array;
  readonly blockSize = 512;
  readonly readOnly: boolean;
  readonly log: string[] = [];
  /** Result of the next operations instead of doing them: a negative errno. */
  failWith = 0;

  constructor(sectors: number, readOnly: boolean = false) {
    this.bytes = new Uint8Array(sectors * 512);
    this.readOnly = readOnly;
  }

  get size(): number {
    return this.bytes.length;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    if (this.failWith !== 0) return this.failWith;
    buf.set(this.bytes.subarray(blockId * 512, blockId * 512 + buf.length));
    return 0;
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    if (this.failWith !== 0) return this.failWith;
    this.bytes.set(buf, blockId * 512);
    return 0;
  }

  flush(): number {
    this.log.push("flush");
    return this.failWith;
  }

  discard(blockId: number, count: number): number {
    this.log.push(`discard ${blockId} ${count}`);
    this.bytes.fill(0xdd, blockId * 512, (blockId + count) * 512);
    return this.failWith;
  }
}

/** Bytes that differ from sector to sector and inside each. */
export function pattern(byteLength: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  for (let i = 0; i < byteLength; i++) bytes[i] = (i * 31 + (i >> 9) * 7 + seed) & 0xff;
  return bytes;
}

/** Index of the first difference, or -1. Quicker than `toEqual` on megabytes. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  return a.findIndex((byte, i) => byte !== b[i]);
}
