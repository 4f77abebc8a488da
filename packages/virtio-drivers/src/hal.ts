/**
 * What a driver needs from the kernel or program it runs in: DMA memory, sharing of buffers, access to registers.
 *
 * A Hal is an instance, so several machines can live in one process. Its functions never throw for lack of memory;
 * they return ERR_DMA.
 */
import type { VirtioError } from "./error.ts";

export const PAGE_SIZE = 4096;

/** Who writes a buffer. "both" is for `dmaAlloc` only: a descriptor has one direction. */
export type BufferDirection = "driverToDevice" | "deviceToDriver" | "both";

/** Pages that driver and device may both access until `dmaDealloc`. */
export interface DmaRegion {
  /** Physical address as the device knows it, a multiple of 4096. */
  readonly paddr: number;
  /** The same bytes as the driver sees them; `pages * 4096` long. */
  readonly view: Uint8Array;
}

/** A buffer as the device sees it: physically contiguous runs, in order. Valid until `unshare`. */
export interface SharedBuffer {
  readonly runCount: number;
  /** Physical address of run i, for i < runCount. */
  readonly paddrs: ArrayLike<number>;
  /** Byte length of run i, never 0. */
  readonly byteLengths: ArrayLike<number>;
}

/** Registers of a device. Offsets are in bytes, naturally aligned; values are unsigned. */
export interface MmioRegion {
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
}

export interface Hal {
  /**
   * `pages` physically contiguous, zeroed pages, or ERR_DMA if there are none. The device may access them at any time
   * until the matching `dmaDealloc`.
   */
  dmaAlloc(pages: number, direction: BufferDirection): DmaRegion | VirtioError;

  /** Gives back what `dmaAlloc(pages)` returned at `paddr`. Called once, after the device has stopped using it. */
  dmaDealloc(paddr: number, pages: number): void;

  /** Registers at physical address `paddr`. */
  mmioPhysToVirt(paddr: number, byteLength: number): MmioRegion;

  /**
   * Makes `buffer` accessible to the device in `direction`. A buffer that already lies in memory the device can reach
   * is shared in place; any other is copied to a bounce buffer (now, if the device reads it; in `unshare`, if the
   * device writes it). The caller must not touch `buffer` until `unshare`.
   */
  share(buffer: Uint8Array, direction: BufferDirection): SharedBuffer | VirtioError;

  /** Ends `share(buffer, direction)`; the device no longer uses the buffer. `shared` must not be used afterwards. */
  unshare(shared: SharedBuffer, buffer: Uint8Array, direction: BufferDirection): void;
}
