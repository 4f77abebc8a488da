/** Device side of virtio-mmio and of the other devices of a QEMU `virt`-like RISC-V board. */
export * from "./seams.ts";
export type { VirtioModel, VirtioPort } from "./virtio/device.ts";
export { BlockDevice, type BlockDeviceOptions } from "./virtio/blk.ts";
export { ConsoleDevice, type ConsoleDeviceOptions } from "./virtio/console.ts";
export { EntropyDevice, type EntropyDeviceOptions } from "./virtio/rng.ts";
export { EmptyVirtioSlot, VirtioMmio, type VirtioMmioOptions, type VirtioMmioState } from "./virtio/mmio.ts";
export { DescriptorChain, DeviceQueue } from "./virtio/queue.ts";
export { Clint, CLINT_SIZE, CLINT_TIMEBASE_HZ, type ClintHart, type ClintOptions } from "./clint.ts";
export { GoldfishRtc, type GoldfishRtcOptions, RTC_SIZE } from "./goldfish-rtc.ts";
export { Plic, PLIC_SIZE, PLIC_SOURCES } from "./plic.ts";
export { type Finish, FINISHER_SIZE, TestFinisher } from "./test-finisher.ts";
export { Uart16550, UART_SIZE, type Uart16550Options } from "./uart16550.ts";
