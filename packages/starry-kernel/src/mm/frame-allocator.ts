/**
 * Physical page frames of guest RAM, reference counted.
 *
 * A frame is named by its physical page number (paddr / 4096). Everyone who holds a frame (a page table entry, the page
 * cache, a driver's DMA buffer) owns one reference. Contiguous runs serve DMA.
 */
export interface FrameAllocator {
  /** Frame number with one reference, zeroed unless `zero` is false, or −1 when memory is exhausted. */
  alloc(zero?: boolean): number;
  /** First of `count` contiguous frames (zeroed, one reference each), or −1. */
  allocContiguous(count: number): number;
  get(frame: number): void;
  /** Drops a reference; the last one frees the frame. */
  put(frame: number): void;
  refs(frame: number): number;
  /** The frame's 4096 bytes. */
  bytes(frame: number): Uint8Array;
  /** Index of the frame's first byte in guest RAM's `bytes`. */
  index(frame: number): number;
  readonly total: number;
  readonly free: number;
}
