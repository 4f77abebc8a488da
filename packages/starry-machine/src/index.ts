/**
 * A Linux machine in JavaScript: board, kernel, file systems and a root disk, assembled.
 *
 * The parts are packages of their own; this one wires them. What needs Node (image files, host folders) is in `./node`,
 * and the embedded root image is the asset `starry-machine/root.img`.
 *
 * @module
 */
export { type AssembledKernel, assembleKernel, type AssembleOptions } from "./assemble.ts";
export { MachineConsole } from "./console.ts";
export { installExt4, mountExt4 } from "./ext4-type.ts";
export { GdbSession } from "./gdb/session.ts";
export type { DebugTarget } from "./gdb/target.ts";
export { GuestFiles } from "./guest-files.ts";
export { type MachineHost, thisHost } from "./host.ts";
export { HostInput, HostOutput } from "./host-files.ts";
export { type DirectoryItem, FileError, ImageFiles } from "./image/files.ts";
export { readTar, type TarEntry, tarEnd, tarMember } from "./image/tar.ts";
export { FileTree, type TreeNode } from "./image/tree.ts";
export { unxz, XzError } from "./image/xz.ts";
export {
  type ExecOptions,
  type ExecResult,
  type Exit,
  type HostMount,
  type InitProgram,
  type LogLevel,
  Machine,
  type MachineOptions,
  type MachineStats,
} from "./machine.ts";
export { memorySize, parseSize } from "./memory-size.ts";
export type { Profile, ProfileFrame, Profiler, ProfileThread } from "./profile/profiler.ts";
export type { MachineFacts, MachineReport, TaskReport } from "./report.ts";
export { embeddedRoot } from "./root-image.ts";
export { seededRandom } from "./seeded-random.ts";
