/**
 * A Linux-compatible kernel for riscv64 programs.
 *
 * `new Kernel({ platform })` gives the core: memory, tasks, signals, time. Everything else is plugged in by functions named
 * install*, add* and probe*, so a kernel can be made of a subset. README.md shows the order; starry-machine's
 * assemble.ts is the complete set.
 *
 * @module
 */
export type { Debugger } from "./debugger.ts";
export type { Sampler } from "./sampler.ts";
export { Kernel, type Halt, type KernelOptions } from "./kernel.ts";
export {
  type GuestRam,
  type LogLevel,
  type MmioRegion,
  type Platform,
  STOP_FUEL,
  STOP_INTERRUPT,
  STOP_TRAP,
  type UserCpu,
} from "./platform.ts";

// Writing file types, drivers and system calls of one's own.
export { OpenFile } from "./file.ts";
export { IoBuffer } from "./io-buffer.ts";
export { FdTable } from "./fd-table.ts";
export { type PollListener, PollSet } from "./poll-set.ts";
export { POLL_ANY, Wait, WAKE_EVENT, WAKE_SIGNAL, WAKE_TIMEOUT, waitAndRetry } from "./wait.ts";
export {
  type BlockDeviceEntry,
  type CharDevice,
  CharDevices,
  type FileSystemType,
  type SocketFamily,
} from "./registries.ts";
export { full, partial, row, stub, type SyscallHandler, type SyscallRow } from "./syscall/row.ts";
export type { UserMemory } from "./user-memory.ts";
export type { Task } from "./task/task.ts";
export type { Process } from "./task/process.ts";
export { type InitOptions, spawnProcess } from "./task/init.ts";
export type { AddressSpace } from "./mm/address-space.ts";
export { readFileBytes } from "./exec/read-file.ts";
export { pokeBytes } from "./mm/forced-access.ts";
export { putSiginfo } from "./signal/frame.ts";
export { sendToProcess } from "./signal/send.ts";
export { kernelSignal, type SignalInfo } from "./signal/siginfo.ts";
export { attachStrace, type StraceOptions } from "./strace/strace.ts";
export { shutDown } from "./shutdown.ts";

// Parts.
export type { FileSystems, FileSystemsOptions } from "./fs/file-systems.ts";
export { installFileSystems, mountStandard } from "./fs/install.ts";
export { mountAt } from "./fs/mount-at.ts";
export { createTracefs, initEvents, initTracingDir, installTracefs } from "./fs/tracefs/index.ts";
export { type KernelTracing, tracepointInit, type TraceSessionOptions } from "./trace/tracing.ts";
export { installIo } from "./io/install.ts";
export { installIpc } from "./ipc/install.ts";
export { installSockets } from "./net/install.ts";
export { Plic } from "./irq/plic.ts";
export { addHvc, addSerialConsole, installTerminals } from "./tty/install.ts";
export { Tty } from "./tty/tty.ts";
export { TtyFile } from "./tty/tty-file.ts";
export { type FoundConsole, type InterruptController, kernelHal, probeVirtio } from "./drivers/virtio.ts";
