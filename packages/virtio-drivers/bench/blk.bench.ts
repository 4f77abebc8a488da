/** virtio-blk loopback: driver and device model in one process, a disk in memory. Requests and bytes a second. */
/// <reference types="node" />
import { BlockDevice, VirtioMmio } from "virt-devices";
import { isVirtioError, MmioTransport, PAGE_SIZE, RamHal, VirtIOBlk } from "virtio-drivers";

const RAM_BASE = 0x8000_0000;
const ram = new Uint8Array(64 << 20);
const image = new Uint8Array(64 << 20).fill(0x5a);
const backend = {
  size: image.length,
  blockSize: 512,
  readOnly: false,
  readBlock(id: number, buf: Uint8Array): number {
    buf.set(image.subarray(id * 512, id * 512 + buf.length));
    return 0;
  },
  writeBlock(id: number, buf: Uint8Array): number {
    image.set(buf, id * 512);
    return 0;
  },
  flush: (): number => 0,
};
/** A backend that moves nothing: what is left is the cost of the rings. */
const nullBackend = { ...backend, readBlock: (): number => 0, writeBlock: (): number => 0 };

/** Frames are handed out once and never come back. */
let nextFrame = 0;

function createDriver(disk: typeof backend, rings: { readonly packed?: boolean } = {}): VirtIOBlk {
  const device = new VirtioMmio(new BlockDevice({ backend: disk }), {
    memory: { bytes: ram, base: RAM_BASE, size: ram.length },
    irq: { raise(): void {}, lower(): void {} },
    ...rings,
  });
  const region = {
    read8: (offset: number): number => device.read(offset, 1),
    read16: (offset: number): number => device.read(offset, 2),
    read32: (offset: number): number => device.read(offset, 4),
    write8: (offset: number, value: number): void => device.write(offset, 1, value),
    write16: (offset: number, value: number): void => device.write(offset, 2, value),
    write32: (offset: number, value: number): void => device.write(offset, 4, value),
  };
  const hal = new RamHal({
    bytes: ram,
    base: RAM_BASE,
    allocFrames: (count) => RAM_BASE + ((nextFrame += count) - count) * PAGE_SIZE,
    freeFrames: () => {},
    mapMmio: () => region,
  });
  const transport = MmioTransport.create(region);
  if (isVirtioError(transport)) throw new Error(`transport: ${transport}`);
  const blk = VirtIOBlk.create(hal, transport);
  if (isVirtioError(blk)) throw new Error(`blk: ${blk}`);
  return blk;
}

function figure(name: string, value: number, unit: string, limits: object = {}): void {
  console.log(JSON.stringify({ name, value, unit, ...limits }));
}

/** Calls `request(i)` for about half a second, three times; returns the best rate a second. */
function rate(request: (i: number) => number): number {
  let best = 0;
  let i = 0;
  for (let round = 0; round < 4; round++) {
    const started = performance.now();
    let count = 0;
    while (performance.now() - started < 400) {
      for (let k = 0; k < 200; k++) if (request(i++) !== 0) throw new Error("request failed");
      count += 200;
    }
    best = Math.max(best, (count / (performance.now() - started)) * 1000);
  }
  return best;
}

const sectors = image.length / 512;
const rings = createDriver(nullBackend);
const blk = createDriver(backend);
const frame = ram.subarray(32 << 20, (32 << 20) + 4096);
const heap = new Uint8Array(4096);
const large = ram.subarray(40 << 20, (40 << 20) + (256 << 10));

figure(
  "virtio-blk rings only, 4 KiB, requests",
  rate((i) => rings.readBlocks((i * 8) % sectors, frame)) / 1000,
  "k/s",
  { min: 400 },
);
const packed = createDriver(nullBackend, { packed: true });
figure(
  "virtio-blk packed rings only, 4 KiB, requests",
  rate((i) => packed.readBlocks((i * 8) % sectors, frame)) / 1000,
  "k/s",
  { min: 400 },
);
const read4k = rate((i) => blk.readBlocks((i * 8) % sectors, frame));
figure("virtio-blk read 4 KiB into guest RAM, requests", read4k / 1000, "k/s", { min: 250 });
figure("virtio-blk read 4 KiB into guest RAM", (read4k * 4096) / 1e6, "MB/s");
figure(
  "virtio-blk write 4 KiB from guest RAM",
  (rate((i) => blk.writeBlocks((i * 8) % sectors, frame)) * 4096) / 1e6,
  "MB/s",
);
figure(
  "virtio-blk read 4 KiB by bounce page",
  (rate((i) => blk.readBlocks((i * 8) % sectors, heap)) * 4096) / 1e6,
  "MB/s",
);
const readLarge = rate((i) => blk.readBlocks((i * 512) % sectors, large));
figure("virtio-blk read 256 KiB into guest RAM", (readLarge * 262_144) / 1e6, "MB/s", { min: 1000 });

// The driver's own allocation on the hot path; the backend above makes one view a request, so it is left out.
if (globalThis.gc !== undefined) {
  const count = 200_000;
  globalThis.gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) rings.flush();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  figure("virtio-blk heap bytes per request", Math.max(bytes, 0), "B", { max: 8 });
}
