/**
 * A complete kernel on a board: every part plugged in, the root mounted, ready for its first process.
 *
 * This is the order of examples/boot, as a function. Whoever wants another set of parts writes their own.
 */
import { Ext4Error } from "ext4-fs";
import { MS_RDONLY, MS_RELATIME } from "linux-abi";
import {
  addHvc,
  addSerialConsole,
  installFileSystems,
  installIo,
  installIpc,
  installSockets,
  installTerminals,
  installTracefs,
  Kernel,
  kernelHal,
  type KernelTracing,
  mountStandard,
  Plic,
  probeVirtio,
  tracepointInit,
  type Tty,
  type UserCpu,
} from "starry-kernel";
import type { Board } from "virt-machine";
import { installExt4, mountExt4 } from "./ext4-type.ts";

export interface AssembleOptions {
  /** Kernel command line, as /proc/cmdline shows it. */
  readonly commandLine: string;
  /** Mount the root read-only. */
  readonly readOnlyRoot: boolean;
  readonly hostName?: string;
  /** What runs user code. Default: the board's hart. */
  readonly cpu?: UserCpu;
}

export interface AssembledKernel {
  readonly kernel: Kernel;
  readonly tracing: KernelTracing;
  /** ttyS0, the terminal behind /dev/console. */
  readonly console: Tty;
}

/** Throws an Error for the user when the first disk holds no file system that can be mounted. */
export function assembleKernel(board: Board, options: AssembleOptions): AssembledKernel {
  const platform = { ...board.platform(), ...(options.cpu && { cpu: options.cpu }) };
  const kernel = new Kernel({ platform, ...(options.hostName === undefined ? {} : { hostName: options.hostName }) });

  // Interrupts, terminals, disks.
  const plic = Plic.at(kernel.platform);
  kernel.handleInterrupt = () => plic.dispatch();
  installTerminals(kernel);
  const console = addSerialConsole(kernel, plic);
  const { console: virtioConsole } = probeVirtio(kernel, kernelHal(kernel), plic);
  if (virtioConsole !== null) addHvc(kernel, plic, virtioConsole.device, virtioConsole.irq);

  // Files, pipes, sockets, tracing.
  const fileSystems = installFileSystems(kernel, { commandLine: options.commandLine });
  installExt4(kernel);
  installIo(kernel);
  installSockets(kernel);
  installIpc(kernel);
  const tracing = tracepointInit(kernel);
  installTracefs(kernel, tracing);

  // The root: the first disk, or its largest partition.
  const entries = [...kernel.blockDevices.values()].filter((entry) => entry.name.startsWith("vda"));
  if (entries.length === 0) throw new Error("the machine has no disk to boot from");
  const partitions = entries.slice(1);
  const rootEntry =
    partitions.length === 0 ? entries[0] : partitions.reduce((a, b) => (b.device.size > a.device.size ? b : a));
  const root = mountExt4(kernel, rootEntry, options.readOnlyRoot);
  if (root instanceof Ext4Error) throw new Error(`cannot mount the root file system: ${root.message}`);
  fileSystems.mountRoot(root, `/dev/${rootEntry.name}`, MS_RELATIME | (root.readOnly ? MS_RDONLY : 0));
  mountStandard(fileSystems);
  return { kernel, tracing, console };
}
