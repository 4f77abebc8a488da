/** A QEMU `virt`-like board: memory map, bus, devices, hart, device tree, run loop. */
export {
  Board,
  type BoardOptions,
  type BoardPlatform,
  createBoard,
  type DiskOptions,
  type LogLevel,
  MIP_MEIP,
  MIP_MSIP,
  MIP_MTIP,
  MIP_SEIP,
  type VirtioRingOptions,
} from "./board.ts";
export { Bus, type MmioWindow } from "./bus.ts";
export { type Clock, hostClock, type PerformanceHost, VirtualClock, type VirtualClockOptions } from "./clock.ts";
export { buildVirtDeviceTree, type DeviceTreeOptions } from "./device-tree.ts";
export { buildFdt, cells64, type FdtNode, type FdtValue, node } from "./fdt.ts";
export * from "./memory-map.ts";
export {
  type LoopHost,
  loopHost,
  type RunLoopOptions,
  type RunningLoop,
  runLoop,
  type Step,
  type TimerHost,
} from "./run-loop.ts";
