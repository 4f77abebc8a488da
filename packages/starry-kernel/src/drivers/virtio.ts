/**
 * virtio-mmio: finds the devices in the board's slots and gives each its driver.
 *
 * Place: between virtio-drivers, which know rings and requests, and the kernel's registries. DMA memory comes from the frame
 * allocator; a page-cache frame is shared with the device in place, so disk blocks reach it without a copy.
 *
 *   block device    kernel.blockDevices: vda, vdb ..., and vda1 ... for its partitions (major 254, 16 minors a disk)
 *   entropy source  /dev/hwrng
 *   console         returned to the caller, who makes a terminal of it
 */
import { makedev } from "linux-abi";
import { openPartition, readPartitionTable } from "blockdev-disk";
import {
  BlockDeviceAdapter,
  DEVICE_TYPE_BLOCK,
  DEVICE_TYPE_CONSOLE,
  DEVICE_TYPE_ENTROPY,
  ERR_NO_DEVICE,
  describeVirtioError,
  type Hal,
  isVirtioError,
  MmioTransport,
  RamHal,
  VirtIOBlk,
  VirtIOConsole,
  VirtIORng,
  type VirtioError,
} from "virtio-drivers";
import type { Kernel } from "../kernel.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { TracedBlockDevice } from "../trace/block-device.ts";
import { HardwareRandom } from "./hardware-random.ts";

/** QEMU's `virt` board: slot n at VIRTIO_BASE + n * VIRTIO_STRIDE, interrupt source VIRTIO_IRQ + n. */
const VIRTIO_BASE = 0x1000_1000;
const VIRTIO_STRIDE = 0x1000;
const VIRTIO_IRQ = 1;
const VIRTIO_SLOTS = 8;

/** As Linux assigns it first among the dynamic ones. */
const VIRTBLK_MAJOR = 254;
const MINORS_PER_DISK = 16;

/** Where drivers hang their interrupt handlers; the PLIC driver is one. */
export interface InterruptController {
  /** Calls `handler` when the source interrupts, and enables the source. */
  attach(source: number, handler: () => void): void;
}

/** A Hal whose DMA memory is the kernel's. One per kernel. */
export function kernelHal(kernel: Kernel): RamHal {
  const { frames, platform } = kernel;
  return new RamHal({
    bytes: platform.ram.bytes,
    base: platform.ram.base,
    allocFrames: (count) => {
      const first = frames.allocContiguous(count, false);
      return first < 0 ? -1 : first * PAGE_SIZE;
    },
    freeFrames: (paddr, count) => {
      for (let i = 0; i < count; i++) frames.put(paddr / PAGE_SIZE + i);
    },
    mapMmio: (paddr, byteLength) => platform.mmio(paddr, byteLength),
  });
}

/** A console device and its interrupt source, for tty/install.ts. */
export interface FoundConsole {
  readonly device: VirtIOConsole;
  readonly irq: number;
}

/** Probes all slots. Devices that fail are logged and left out. Returns the first console, if there is one. */
export function probeVirtio(
  kernel: Kernel,
  hal: Hal,
  interrupts: InterruptController,
): { console: FoundConsole | null } {
  let console: FoundConsole | null = null;
  let disks = 0;
  for (let slot = 0; slot < VIRTIO_SLOTS; slot++) {
    const transport = MmioTransport.create(hal.mmioPhysToVirt(VIRTIO_BASE + slot * VIRTIO_STRIDE, VIRTIO_STRIDE));
    if (transport === ERR_NO_DEVICE) continue;
    if (isVirtioError(transport)) {
      reportFailure(kernel, slot, transport);
      continue;
    }
    const irq = VIRTIO_IRQ + slot;
    switch (transport.deviceType) {
      case DEVICE_TYPE_BLOCK: {
        const blk = VirtIOBlk.create(hal, transport);
        if (isVirtioError(blk)) reportFailure(kernel, slot, blk);
        else {
          addDisk(kernel, blk, disks++);
          interrupts.attach(irq, () => blk.handleInterrupt());
        }
        break;
      }
      case DEVICE_TYPE_ENTROPY: {
        const rng = VirtIORng.create(hal, transport);
        if (isVirtioError(rng)) reportFailure(kernel, slot, rng);
        else kernel.charDevices.register(10, 183, 1, new HardwareRandom(rng));
        break;
      }
      case DEVICE_TYPE_CONSOLE: {
        const device = VirtIOConsole.create(hal, transport);
        if (isVirtioError(device)) reportFailure(kernel, slot, device);
        else console ??= { device, irq };
        break;
      }
      default:
        kernel.log("info", `virtio${slot}: no driver for device type ${transport.deviceType}`);
    }
  }
  return { console };
}

/** "vda" for 0, "vdb" for 1 ... */
function diskName(index: number): string {
  return `vd${String.fromCharCode(97 + index)}`;
}

function addDisk(kernel: Kernel, blk: VirtIOBlk, index: number): void {
  const device = new TracedBlockDevice(kernel, new BlockDeviceAdapter(blk), VIRTBLK_MAJOR, index * MINORS_PER_DISK);
  const name = diskName(index);
  kernel.blockDevices.set(name, { name, rdev: makedev(VIRTBLK_MAJOR, index * MINORS_PER_DISK), device });
  kernel.log(
    "info",
    `virtio_blk: ${name}: ${blk.capacity()} 512-byte logical blocks${blk.readOnly ? ", read-only" : ""}`,
  );
  const table = readPartitionTable(device);
  if (typeof table === "number") return;
  for (const problem of table.problems) kernel.log("warn", `${name}: ${problem}`);
  for (const partition of table.partitions) {
    if (partition.number >= MINORS_PER_DISK) continue;
    const partitionName = `${name}${partition.number}`;
    const rdev = makedev(VIRTBLK_MAJOR, index * MINORS_PER_DISK + partition.number);
    kernel.blockDevices.set(partitionName, { name: partitionName, rdev, device: openPartition(device, partition) });
  }
}

function reportFailure(kernel: Kernel, slot: number, error: VirtioError): void {
  kernel.log("warn", `virtio${slot}: device does not work: ${describeVirtioError(error)}`);
}
