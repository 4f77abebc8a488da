/**
 * Both sides of virtio-blk in one program: a disk, its device model, 4 MiB of "guest" RAM, and a driver that finds the
 * device by its registers and moves blocks through descriptor rings in that RAM.
 *
 *   Disk (cursor) → VirtIOBlk → rings in RAM + registers → VirtioMmio → BlockDevice → MemoryDisk
 *
 * Run: node dist/loopback.js
 */
import { Disk, MemoryDisk } from "blockdev-disk";
import { BlockDevice, VirtioMmio } from "virt-devices";
import {
  describeVirtioError,
  type MmioRegion,
  MmioTransport,
  PAGE_SIZE,
  RamHal,
  unwrap,
  VirtIOBlk,
} from "virtio-drivers";

const RAM_BASE = 0x8000_0000;
const ram = new Uint8Array(4 << 20);

// The hardware: a 1 MiB disk behind a virtio-mmio block device, whose interrupt line we only watch.
const storage = new MemoryDisk(1 << 20);
let interrupts = 0;
const device = new VirtioMmio(new BlockDevice({ backend: storage, serial: "loopback-1" }), {
  memory: { bytes: ram, base: RAM_BASE, size: ram.length },
  irq: { raise: () => interrupts++, lower: () => {} },
});

// The registers as a driver sees them. On a board this is the bus.
const registers: MmioRegion = {
  read8: (offset) => device.read(offset, 1),
  read16: (offset) => device.read(offset, 2),
  read32: (offset) => device.read(offset, 4),
  write8: (offset, value) => device.write(offset, 1, value),
  write16: (offset, value) => device.write(offset, 2, value),
  write32: (offset, value) => device.write(offset, 4, value),
};

// The software: frames of RAM (here: a counter), a Hal over them, a transport, a driver.
let nextFrame = RAM_BASE;
const hal = new RamHal({
  bytes: ram,
  base: RAM_BASE,
  allocFrames(count) {
    const frame = nextFrame;
    nextFrame += count * PAGE_SIZE;
    return nextFrame <= RAM_BASE + ram.length ? frame : -1;
  },
  freeFrames() {},
  mapMmio: () => registers,
});
const transport = unwrap(MmioTransport.create(hal.mmioPhysToVirt(0x1000_1000, 0x1000)));
const blk = unwrap(VirtIOBlk.create(hal, transport));
console.log(`device type ${transport.deviceType}, "${unwrap(blk.deviceId())}", ${blk.capacity()} sectors`);

// Blocking: a cursor over the driver writes a text across a sector border and reads it back.
const disk = new Disk(blk.asBlockDevice());
const text = new TextEncoder().encode("Through the rings and back again.");
disk.setPosition(512 - 7);
disk.write(text);
disk.flush();
disk.setPosition(512 - 7);
const back = new Uint8Array(text.length);
disk.read(back);
console.log(new TextDecoder().decode(back));

// Non-blocking: eight reads in flight, completed in reverse, announced by interrupts.
blk.enableInterrupts();
const buffers = Array.from({ length: 8 }, () => new Uint8Array(512));
const tokens = buffers.map((buffer, sector) => unwrap(blk.readBlocksNb(sector, buffer)));
blk.handleInterrupt();
const results = tokens.map((token) => blk.completeReadBlocks(token)).reverse();
console.log(`8 reads: ${results.join(" ")}; interrupts seen: ${interrupts > 0}`);
blk.disableInterrupts();

// In place: a buffer inside guest RAM is what the device writes to; nothing is copied on the way.
const frame = ram.subarray(ram.length - (256 << 10));
const started = performance.now();
let bytes = 0;
while (performance.now() - started < 200) {
  unwrap(blk.readBlocks(0, frame));
  bytes += frame.length;
}
console.log(`256 KiB reads: ${Math.round(bytes / 1e6 / ((performance.now() - started) / 1000))} MB/s`);

// Errors are values.
console.log(describeVirtioError(blk.readBlocks(blk.capacity(), new Uint8Array(512))));
blk.release();
