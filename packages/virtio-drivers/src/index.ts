/** virtio drivers: implement `Hal`, make a `Transport`, make a driver. */
export * from "./error.ts";
export { VirtIOConsole, type VirtIOConsoleOptions } from "./console.ts";
export { VirtIORng, type VirtIORngOptions } from "./rng.ts";
export { type BalloonStat, BALLOON_STAT_TAGS, VirtIOBalloon } from "./balloon.ts";
export { CURSOR_SIDE, type GpuDisplay, VirtIOGpu } from "./gpu.ts";
export { type InputEvent, type InputIds, type InputRange, VirtIOInput } from "./input.ts";
export { type ReceiveMode, VirtIONet, type VirtIONetOptions } from "./net.ts";
export { VirtIO9p, type VirtIO9pOptions } from "./p9.ts";
export { P9_ROOT, type P9Change, P9Client, type P9Entry, type P9Stat, type TextCodec } from "./p9-client.ts";
export { VirtIOSocket, VMADDR_CID_HOST } from "./vsock.ts";
export { VsockConnection, type VsockState } from "./vsock-connection.ts";
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
  DEVICE_TYPE_9P,
  DEVICE_TYPE_BALLOON,
  DEVICE_TYPE_BLOCK,
  DEVICE_TYPE_CONSOLE,
  DEVICE_TYPE_ENTROPY,
  DEVICE_TYPE_GPU,
  DEVICE_TYPE_INPUT,
  DEVICE_TYPE_NETWORK,
  DEVICE_TYPE_VSOCK,
  INTERRUPT_CONFIG_CHANGE,
  INTERRUPT_USED_BUFFER,
} from "./spec.ts";
