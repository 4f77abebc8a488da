/**
 * The seed's contract: the names of the kernel diary that this package answers for (VirtioHal, MmioTransport, VirtIOBlk,
 * VirtIOBlock as a BlockDevice), walked through in its order, with its weak spots done right.
 */
import { BlockDevice as BlockModel, type MmioDevice, VirtioMmio } from "virt-devices";
import { expect, test } from "vitest";
import {
  type BufferDirection,
  type DmaRegion,
  ERR_DMA,
  ERR_INVALID_PARAM,
  type Hal,
  isVirtioError,
  type MmioRegion,
  MmioTransport,
  RamHal,
  type SharedBuffer,
  VirtIOBlk,
  type VirtioError,
} from "./index.ts";

const VIRTIO0 = 0x1000_1000;
const RAM_BASE = 0x8000_0000;
const PAGE_SIZE = 4096;
const BLOCK_SIZE = 512;

/** The diary's machine: frames one by one, registers at VIRTIO0, a disk image behind it. */
class Machine {
  readonly ram: Uint8Array = new Uint8Array(1 << 20);
  readonly freeFrames: Set<number> = new Set(Array.from({ length: 256 }, (_, i) => RAM_BASE + i * PAGE_SIZE));
  readonly image: Uint8Array = new Uint8Array(64 * BLOCK_SIZE).map((_, i) => i >> 9);
  readonly device: MmioDevice;
  flushes = 0;
  failing = false;

  constructor() {
    const backend = {
      size: this.image.length,
      blockSize: BLOCK_SIZE,
      readOnly: false,
      readBlock: (id: number, buf: Uint8Array): number => {
        if (this.failing) return -5;
        buf.set(this.image.subarray(id * BLOCK_SIZE, id * BLOCK_SIZE + buf.length));
        return 0;
      },
      writeBlock: (id: number, buf: Uint8Array): number => {
        this.image.set(buf, id * BLOCK_SIZE);
        return 0;
      },
      flush: (): number => {
        this.flushes++;
        return 0;
      },
    };
    this.device = new VirtioMmio(new BlockModel({ backend }), {
      memory: { bytes: this.ram, base: RAM_BASE, size: this.ram.length },
      irq: { raise(): void {}, lower(): void {} },
    });
  }

  /** `count` frames in a row, or -1: never an assertion. */
  allocFrames(count: number): number {
    for (const first of this.freeFrames) {
      const frames = Array.from({ length: count }, (_, i) => first + i * PAGE_SIZE);
      if (!frames.every((frame) => this.freeFrames.has(frame))) continue;
      for (const frame of frames) this.freeFrames.delete(frame);
      return first;
    }
    return -1;
  }

  deallocFrames(paddr: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const frame = paddr + i * PAGE_SIZE;
      if (this.freeFrames.has(frame)) throw new Error(`frame 0x${frame.toString(16)} freed twice`);
      this.freeFrames.add(frame);
    }
  }

  registers(paddr: number): MmioRegion {
    expect(paddr).toBe(VIRTIO0);
    const { device } = this;
    return {
      read8: (offset) => device.read(offset, 1),
      read16: (offset) => device.read(offset, 2),
      read32: (offset) => device.read(offset, 4),
      write8: (offset, value) => device.write(offset, 1, value),
      write16: (offset, value) => device.write(offset, 2, value),
      write32: (offset, value) => device.write(offset, 4, value),
    };
  }
}

/** `unsafe impl virtio_drivers::Hal for VirtioHal` of the diary, as an instance. */
class VirtioHal implements Hal {
  readonly #inner: RamHal;

  constructor(machine: Machine) {
    this.#inner = new RamHal({
      bytes: machine.ram,
      base: RAM_BASE,
      allocFrames: (count) => machine.allocFrames(count),
      freeFrames: (paddr, count) => machine.deallocFrames(paddr, count),
      mapMmio: (paddr) => machine.registers(paddr),
    });
  }

  dmaAlloc(pages: number, direction: BufferDirection): DmaRegion | VirtioError {
    return this.#inner.dmaAlloc(pages, direction);
  }
  dmaDealloc(paddr: number, pages: number): void {
    this.#inner.dmaDealloc(paddr, pages);
  }
  mmioPhysToVirt(paddr: number, size: number): MmioRegion {
    return this.#inner.mmioPhysToVirt(paddr, size);
  }
  share(buffer: Uint8Array, direction: BufferDirection): SharedBuffer | VirtioError {
    return this.#inner.share(buffer, direction);
  }
  unshare(shared: SharedBuffer, buffer: Uint8Array, direction: BufferDirection): void {
    this.#inner.unshare(shared, buffer, direction);
  }
}

/** `VirtIOBlock(UPSafeCell<VirtIOBlk<VirtioHal, MmioTransport>>)` of the diary. */
class VirtIOBlock {
  readonly #blk: VirtIOBlk;

  constructor(hal: Hal) {
    const header = hal.mmioPhysToVirt(VIRTIO0, 0x1000);
    const transport = MmioTransport.create(header);
    if (isVirtioError(transport)) throw new Error("failed to create the transport");
    const blk = VirtIOBlk.create(hal, transport);
    if (isVirtioError(blk)) throw new Error("failed to create blk driver");
    this.#blk = blk;
  }

  size(): number {
    return this.#blk.capacity() * BLOCK_SIZE;
  }
  blockSize(): number {
    return BLOCK_SIZE;
  }
  readBlock(blockId: number, buf: Uint8Array): number {
    return this.#blk.readBlocks(blockId, buf);
  }
  writeBlock(blockId: number, buf: Uint8Array): number {
    return this.#blk.writeBlocks(blockId, buf);
  }
  flush(): number {
    return this.#blk.flush();
  }
  release(): void {
    this.#blk.release();
  }
}

test("dmaAlloc gives zeroed contiguous pages, or a clear error; dmaDealloc gives back just those", () => {
  const machine = new Machine();
  const hal = new VirtioHal(machine);
  machine.ram.fill(0xff);
  const region = hal.dmaAlloc(3, "both");
  if (isVirtioError(region)) throw new Error("unexpected");
  expect(region.view.length).toBe(3 * PAGE_SIZE);
  expect(region.view.every((byte) => byte === 0)).toBe(true);
  expect(machine.ram.subarray(region.paddr - RAM_BASE, region.paddr - RAM_BASE + 12_288).buffer).toBe(
    region.view.buffer,
  );
  expect(machine.freeFrames.size).toBe(253);
  hal.dmaDealloc(region.paddr, 3);
  expect(machine.freeFrames.size).toBe(256);
  expect(() => hal.dmaDealloc(region.paddr, 3)).toThrow("freed twice");
  for (const frame of [...machine.freeFrames]) if ((frame / PAGE_SIZE) % 2 === 0) machine.freeFrames.delete(frame);
  expect(hal.dmaAlloc(2, "both")).toBe(ERR_DMA);
});

test("share: in place for guest memory, one run per contiguous stretch for a buffer that crosses pages", () => {
  const machine = new Machine();
  const hal = new VirtioHal(machine);
  const frame = machine.ram.subarray(0x5100, 0x7300);
  const inPlace = hal.share(frame, "deviceToDriver");
  if (isVirtioError(inPlace)) throw new Error("unexpected");
  expect([inPlace.runCount, inPlace.paddrs[0], inPlace.byteLengths[0]]).toEqual([1, RAM_BASE + 0x5100, 0x2200]);
  hal.unshare(inPlace, frame, "deviceToDriver");

  // Every other frame is taken, so no two bounce pages are neighbours.
  for (const taken of [...machine.freeFrames]) if ((taken / PAGE_SIZE) % 2 === 0) machine.freeFrames.delete(taken);
  const heap = new Uint8Array(2 * PAGE_SIZE + 512).map((_, i) => i * 3);
  const shared = hal.share(heap, "driverToDevice");
  if (isVirtioError(shared)) throw new Error("unexpected");
  expect(Array.from(shared.byteLengths).slice(0, shared.runCount)).toEqual([4096, 4096, 512]);
  const seen: number[] = [];
  for (let i = 0; i < shared.runCount; i++) {
    const start = shared.paddrs[i] - RAM_BASE;
    seen.push(...machine.ram.subarray(start, start + shared.byteLengths[i]));
  }
  expect(Uint8Array.from(seen)).toEqual(heap);
  hal.unshare(shared, heap, "driverToDevice");
});

test("VirtIOBlock is a block device: size, blockSize, readBlock, writeBlock, flush", () => {
  const machine = new Machine();
  const block = new VirtIOBlock(new VirtioHal(machine));
  expect([block.size(), block.blockSize()]).toEqual([64 * 512, 512]);
  const buf = new Uint8Array(BLOCK_SIZE);
  expect(block.readBlock(7, buf)).toBe(0);
  expect(buf.every((byte) => byte === 7)).toBe(true);
  expect(block.writeBlock(9, buf)).toBe(0);
  expect(machine.image[9 * 512]).toBe(7);
  expect([block.flush(), machine.flushes]).toEqual([0, 1]); // not a no-op
});

test("an I/O error comes back as a value, not as a panic", () => {
  const machine = new Machine();
  const block = new VirtIOBlock(new VirtioHal(machine));
  machine.failing = true;
  expect(block.readBlock(0, new Uint8Array(BLOCK_SIZE))).toBeLessThan(0);
  machine.failing = false;
  expect(block.readBlock(0, new Uint8Array(BLOCK_SIZE))).toBe(0);
  expect(block.readBlock(64, new Uint8Array(BLOCK_SIZE))).toBe(ERR_INVALID_PARAM);
});

test("two machines live side by side, and released drivers leave no frame behind", () => {
  const machines = [new Machine(), new Machine()];
  machines[1].image.fill(0xee);
  const blocks = machines.map((machine) => new VirtIOBlock(new VirtioHal(machine)));
  const bufs = blocks.map((block) => {
    const buf = new Uint8Array(BLOCK_SIZE);
    block.readBlock(1, buf);
    return buf[0];
  });
  expect(bufs).toEqual([1, 0xee]);
  // A host buffer keeps one bounce page cached; guest memory keeps none.
  for (const block of blocks) block.release();
  for (const machine of machines) expect(machine.freeFrames.size).toBe(255);
});
