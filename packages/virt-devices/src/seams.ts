/**
 * What the devices of this package ask from whoever assembles a machine, and what they offer to its bus.
 *
 * All of it is structural: no device knows a hart, a bus or an address map. Everything guest-controlled that
 * arrives here is untrusted; no value that a guest can write may make a device throw or loop.
 */

/** Guest RAM as a device sees it by DMA. Never moved or resized while a device holds it. */
export interface GuestMemory {
  /** RAM bytes; index = physical address - `base`. */
  readonly bytes: Uint8Array;
  /** Physical address of `bytes[0]`. */
  readonly base: number;
  /** Byte length of RAM. */
  readonly size: number;
  /** Called after a device wrote `[paddr, paddr + byteLength)`, so that a hart can drop decoded code. */
  didWrite?(paddr: number, byteLength: number): void;
}

/** A wire into an interrupt controller or a hart. Calls are idempotent. */
export interface IrqLine {
  raise(): void;
  lower(): void;
}

export type AccessLength = 1 | 2 | 4 | 8;

/**
 * A block of device registers. Offsets are relative to the block. An access that the device does not define reads
 * as 0 and writes nothing. 8-byte reads give the low 53 bits.
 */
export interface MmioDevice {
  read(offset: number, byteLength: AccessLength): number;
  write(offset: number, byteLength: AccessLength, value: number): void;
}

/** Storage behind a virtio-blk device. Results are 0 or a negative errno; `blockSize` must be 512. */
export interface BlockBackend {
  /** Bytes; a trailing partial block is not reachable. */
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  /** `buf.length` is a multiple of `blockSize`. `buf` may be guest RAM itself: it must not be kept. */
  readBlock(blockId: number, buf: Uint8Array): number;
  writeBlock(blockId: number, buf: Uint8Array): number;
  flush(): number;
  /** Contents of the range become undefined. */
  discard?(blockId: number, count: number): number;
  /** Contents of the range become zero; without it the device writes zeroes itself. */
  writeZeroes?(blockId: number, count: number): number;
  /** Contents of the range, and copies of it, become unreadable for good. */
  secureErase?(blockId: number, count: number): number;
}

/** Receives one line about something a guest did against a device's specification. */
export type GuestErrorLog = (message: string) => void;

/** A wire that is connected to nothing. */
export const NO_IRQ: IrqLine = { raise(): void {}, lower(): void {} };
