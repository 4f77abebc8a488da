/** virtio drivers: implement `Hal`, make a `Transport`, make a driver. */
export * from "./error.ts";
export { VirtIOConsole, type VirtIOConsoleOptions } from "./console.ts";
export { VirtIORng, type VirtIORngOptions } from "./rng.ts";
export { BlockDeviceAdapter } from "./block-device-adapter.ts";
export { type BlkTopology, VirtIOBlk, type VirtIOBlkOptions } from "./blk.ts";
export {
  type BufferDirection,
  type DmaRegion,
  type Hal,
  type MmioRegion,
  PAGE_SIZE,
  type SharedBuffer,
} from "./hal.ts";
export { MmioTransport, type MmioTransportOptions } from "./mmio-transport.ts";
export { DescriptorList, ringOptions, VirtQueue, type VirtQueueOptions, vringNeedEvent } from "./queue.ts";
export { type Feature, RING_FEATURES } from "./features.ts";
export type { DriverOptions } from "./driver-core.ts";
export type { ConsolePort } from "./console-port.ts";
export { RamHal, type RamHalOptions } from "./ram-hal.ts";
export {
  beginInit,
  type Features,
  finishInit,
  readConfig64,
  readConsistent,
  resetDevice,
  type Transport,
} from "./transport.ts";
export {
  DEVICE_TYPE_BLOCK,
  DEVICE_TYPE_CONSOLE,
  DEVICE_TYPE_ENTROPY,
  DEVICE_TYPE_NETWORK,
  INTERRUPT_CONFIG_CHANGE,
  INTERRUPT_USED_BUFFER,
} from "./spec.ts";
