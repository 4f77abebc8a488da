/**
 * The system bus: which device answers at a physical address outside RAM.
 *
 * `read` and `write` have the shape that rv64-cpu's hart asks for: `undefined` and `false` mean that nobody is there,
 * which the hart turns into an access fault. `window` is what a hosted kernel gets for its drivers.
 */
import type { AccessLength, MmioDevice } from "virt-devices";

/** Registers of one device as a driver uses them. Offsets are relative to the window; values read are unsigned. */
export interface MmioWindow {
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
}

interface Region {
  readonly name: string;
  readonly base: number;
  readonly end: number;
  readonly device: MmioDevice;
}

export class Bus {
  #regions: Region[] = []; // ascending, disjoint
  /** The region of the last access: drivers stay with one device for a while. */
  #last: Region | undefined;

  /** Throws RangeError if the region is empty or overlaps another. */
  add(name: string, base: number, size: number, device: MmioDevice): void {
    if (!Number.isInteger(base) || base < 0 || !Number.isInteger(size) || size < 1) {
      throw new RangeError(`"${name}" expected a region of at least one byte, got base ${base}, size ${size}`);
    }
    const end = base + size;
    const clash = this.#regions.find((region) => base < region.end && region.base < end);
    if (clash !== undefined) throw new RangeError(`"${name}" overlaps "${clash.name}"`);
    this.#regions.push({ name, base, end, device });
    this.#regions.sort((a, b) => a.base - b.base);
  }

  /** Reads at physical address `paddr`; undefined if no device is there. 8 bytes are read as two words. */
  read(paddr: number, byteLength: AccessLength): number | undefined {
    const region = this.#find(paddr, byteLength);
    if (region === undefined) return undefined;
    const offset = paddr - region.base;
    if (byteLength !== 8) return region.device.read(offset, byteLength);
    const low = region.device.read(offset, 4) >>> 0;
    return (region.device.read(offset + 4, 4) >>> 0) * 0x1_0000_0000 + low;
  }

  /** Writes at `paddr`; false if no device is there. 8 bytes are written as two words, the low one first. */
  write(paddr: number, byteLength: AccessLength, value: number): boolean {
    const region = this.#find(paddr, byteLength);
    if (region === undefined) return false;
    const offset = paddr - region.base;
    if (byteLength !== 8) {
      region.device.write(offset, byteLength, value);
      return true;
    }
    region.device.write(offset, 4, value % 0x1_0000_0000);
    region.device.write(offset + 4, 4, Math.floor(value / 0x1_0000_0000));
    return true;
  }

  /**
   * Registers at `[paddr, paddr + byteLength)`. Where no device is, reads give 0 and writes go nowhere, so that a driver
   * may probe.
   */
  window(paddr: number, byteLength: number): MmioWindow {
    const region = this.#find(paddr, byteLength);
    return region === undefined ? NOTHING : new DeviceWindow(region.device, paddr - region.base);
  }

  /** Name of the device at `paddr`, for messages. */
  nameAt(paddr: number): string | undefined {
    return this.#find(paddr, 1)?.name;
  }

  #find(paddr: number, byteLength: number): Region | undefined {
    const last = this.#last;
    if (last !== undefined && paddr >= last.base && paddr + byteLength <= last.end) return last;
    const found = this.#regions.find((region) => paddr >= region.base && paddr + byteLength <= region.end);
    if (found !== undefined) this.#last = found;
    return found;
  }
}

class DeviceWindow implements MmioWindow {
  readonly #device: MmioDevice;
  readonly #base: number;

  constructor(device: MmioDevice, base: number) {
    this.#device = device;
    this.#base = base;
  }

  read8(offset: number): number {
    return this.#device.read(this.#base + offset, 1) & 0xff;
  }
  read16(offset: number): number {
    return this.#device.read(this.#base + offset, 2) & 0xffff;
  }
  read32(offset: number): number {
    return this.#device.read(this.#base + offset, 4) >>> 0;
  }
  write8(offset: number, value: number): void {
    this.#device.write(this.#base + offset, 1, value);
  }
  write16(offset: number, value: number): void {
    this.#device.write(this.#base + offset, 2, value);
  }
  write32(offset: number, value: number): void {
    this.#device.write(this.#base + offset, 4, value);
  }
}

const NOTHING: MmioWindow = {
  read8: () => 0,
  read16: () => 0,
  read32: () => 0,
  write8(): void {},
  write16(): void {},
  write32(): void {},
};
