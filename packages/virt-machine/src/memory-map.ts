/**
 * The memory map of the board: QEMU's `virt`, the parts that this board has. One table; bus, device tree and
 * documentation follow it.
 */

export interface MemoryMapEntry {
  readonly name: string;
  readonly base: number;
  /** Bytes. */
  readonly size: number;
  /** Source number at the PLIC; 0 = none. */
  readonly irq: number;
}

export const TEST_FINISHER_BASE = 0x10_0000;
export const RTC_BASE = 0x10_1000;
export const RTC_IRQ = 11;
export const CLINT_BASE = 0x200_0000;
export const PLIC_BASE = 0xc00_0000;
export const UART0_BASE = 0x1000_0000;
export const UART0_IRQ = 10;
export const VIRTIO_BASE = 0x1000_1000;
/** Bytes from one virtio-mmio slot to the next. */
export const VIRTIO_STRIDE = 0x1000;
/** Slot n interrupts on source VIRTIO_IRQ + n. */
export const VIRTIO_IRQ = 1;
export const VIRTIO_SLOTS = 8;
export const RAM_BASE = 0x8000_0000;

const slots: readonly MemoryMapEntry[] = Array.from({ length: VIRTIO_SLOTS }, (_, slot) => ({
  name: `virtio${slot}`,
  base: VIRTIO_BASE + slot * VIRTIO_STRIDE,
  size: VIRTIO_STRIDE,
  irq: VIRTIO_IRQ + slot,
}));

/** All device regions, in ascending order. RAM starts at RAM_BASE. */
export const MEMORY_MAP: readonly MemoryMapEntry[] = [
  { name: "test", base: TEST_FINISHER_BASE, size: 0x1000, irq: 0 },
  { name: "rtc", base: RTC_BASE, size: 0x1000, irq: RTC_IRQ },
  { name: "clint", base: CLINT_BASE, size: 0x1_0000, irq: 0 },
  { name: "plic", base: PLIC_BASE, size: 0x60_0000, irq: 0 },
  { name: "uart0", base: UART0_BASE, size: 0x100, irq: UART0_IRQ },
  ...slots,
];
