/** Device side of virtio-mmio and of the other devices of a QEMU `virt`-like RISC-V board. */
export * from "./seams.ts";
export type { VirtioModel, VirtioPort } from "./virtio/device.ts";
export { BlockDevice, type BlockDeviceOptions } from "./virtio/blk.ts";
export { ConsoleDevice, type ConsoleDeviceOptions } from "./virtio/console.ts";
export { EntropyDevice, type EntropyDeviceOptions } from "./virtio/rng.ts";
export { EmptyVirtioSlot, VirtioMmio, type VirtioMmioOptions, type VirtioMmioState } from "./virtio/mmio.ts";
export { DescriptorChain, DeviceQueue } from "./virtio/queue.ts";
