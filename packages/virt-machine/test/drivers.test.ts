/** The board under real drivers and real guest code: DMA, interrupts through the PLIC, code that arrives by DMA. */
import { EthernetHub, MemoryFolder, P9Device } from "virt-devices";
import {
  DEVICE_TYPE_BLOCK,
  ERR_NOT_READY,
  isVirtioError,
  MmioTransport,
  P9_ROOT,
  P9Client,
  PAGE_SIZE,
  RamHal,
  unwrap,
  VirtIO9p,
  VirtIOBlk,
  VirtIONet,
  VirtIORng,
} from "virtio-drivers";
import { expect, test } from "vitest";
import {
  type Board,
  createBoard,
  PLIC_BASE,
  VIRTIO_BASE,
  VIRTIO_IRQ,
  VIRTIO_STRIDE,
  VirtualClock,
} from "../src/index.ts";

const SECTOR = 512;

function createMachine(image: Uint8Array): { board: Board; hal: RamHal; blk: VirtIOBlk } {
  const backend = {
    size: image.length,
    blockSize: SECTOR,
    readOnly: false,
    readBlock: (id: number, buf: Uint8Array): number => {
      buf.set(image.subarray(id * SECTOR, id * SECTOR + buf.length));
      return 0;
    },
    writeBlock: (id: number, buf: Uint8Array): number => {
      image.set(buf, id * SECTOR);
      return 0;
    },
    flush: (): number => 0,
  };
  const board = createBoard({
    memorySize: 4 << 20,
    disks: [{ backend }],
    onOutput: () => {},
    clock: new VirtualClock(),
    fillRandom: (target) => void target.fill(0x77),
  });
  const hal = halOf(board);
  const slot0 = unwrap(MmioTransport.create(hal.mmioPhysToVirt(VIRTIO_BASE, VIRTIO_STRIDE)));
  expect(slot0.deviceType).toBe(DEVICE_TYPE_BLOCK);
  return { board, hal, blk: unwrap(VirtIOBlk.create(hal, slot0)) };
}

/** Frames from the second megabyte on, handed out once. */
function halOf(board: Board): RamHal {
  const platform = board.platform();
  let nextFrame = board.ram.base + (1 << 20);
  return new RamHal({
    bytes: board.ram.bytes,
    base: board.ram.base,
    allocFrames: (count) => (nextFrame += count * PAGE_SIZE) - count * PAGE_SIZE,
    freeFrames: () => {},
    mapMmio: (paddr, byteLength) => platform.mmio(paddr, byteLength),
  });
}

/** Maps the first gigabyte of RAM for user code at its own address and sets the hart to run at `pc`. */
function enter(board: Board, pc: number): void {
  const table = 0x10_0000 - PAGE_SIZE;
  board.ram.view.setUint32(table + 8 * 2, ((board.ram.base / PAGE_SIZE) << 10) | 0xdf, true);
  board.hart.setAddressSpace((board.ram.base + table) / PAGE_SIZE, 1);
  board.hart.pc = pc;
}

test("all slots are probed: a disk, an entropy source, nothing else", () => {
  const { board, hal } = createMachine(new Uint8Array(8 * SECTOR));
  const found = Array.from({ length: 8 }, (_, slot) => {
    const transport = MmioTransport.create(hal.mmioPhysToVirt(VIRTIO_BASE + slot * VIRTIO_STRIDE, VIRTIO_STRIDE));
    return isVirtioError(transport) ? 0 : transport.deviceType;
  });
  expect(found).toEqual([2, 4, 0, 0, 0, 0, 0, 0]);
  const slot1 = unwrap(MmioTransport.create(board.platform().mmio(VIRTIO_BASE + VIRTIO_STRIDE, VIRTIO_STRIDE)));
  const bytes = new Uint8Array(5);
  expect(unwrap(VirtIORng.create(hal, slot1)).fill(bytes)).toBe(0);
  expect(bytes).toEqual(new Uint8Array(5).fill(0x77));
});

test("devices besides disks get the slots behind, with their own interrupts, on packed rings too", () => {
  const hub = new EthernetHub();
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
  const network = hub.attach({ mac });
  const now = (): { seconds: number; nanoseconds: number } => ({ seconds: 1, nanoseconds: 0 });
  const folder = new MemoryFolder({ now, files: { hello: new TextEncoder().encode("from the host") } });
  const board = createBoard({
    memorySize: 4 << 20,
    devices: [network, new P9Device({ folder, tag: "host", now })],
    virtioRings: { packed: true, inOrder: true },
    onOutput: () => {},
    clock: new VirtualClock(),
    fillRandom: (target) => void target.fill(1),
  });
  const hal = halOf(board);
  const transportOf = (slot: number): MmioTransport =>
    unwrap(MmioTransport.create(hal.mmioPhysToVirt(VIRTIO_BASE + slot * VIRTIO_STRIDE, VIRTIO_STRIDE)));
  const net = unwrap(VirtIONet.create(hal, transportOf(1)));
  const plic = board.platform().mmio(PLIC_BASE, 0x60_0000);
  plic.write32(4 * (VIRTIO_IRQ + 1), 1);
  plic.write32(0x2080, 1 << (VIRTIO_IRQ + 1));
  const received = new Uint8Array(100);
  expect([net.receive(received), board.platform().irqPending()]).toEqual([ERR_NOT_READY, false]);
  network.receive(new Uint8Array(60).fill(0xff));
  expect([board.platform().irqPending(), plic.read32(0x20_1004)]).toEqual([true, VIRTIO_IRQ + 1]);
  expect([net.handleInterrupt(), net.receive(received), received[59]]).toEqual([1, 60, 0xff]);

  const client = P9Client.mount(unwrap(VirtIO9p.create(hal, transportOf(2))), {
    encode: (text) => new TextEncoder().encode(text),
    decode: (bytes) => new TextDecoder().decode(bytes),
  });
  if (typeof client === "number") throw new Error(`mount: ${client}`);
  const file = client.walk(P9_ROOT, ["hello"]);
  expect([client.open(file, 0), client.read(file, received, 0)]).toEqual([0, 13]);
  expect(new TextDecoder().decode(received.subarray(0, 13))).toBe("from the host");
  const tooMany = Array.from({ length: 8 }, () => hub.attach({ mac }));
  expect(() =>
    createBoard({
      memorySize: 4 << 20,
      devices: tooMany,
      onOutput: () => {},
      clock: new VirtualClock(),
      fillRandom: () => {},
    }),
  ).toThrow(RangeError);
});

test("a completion interrupts through the PLIC and stops the hart's slice", () => {
  const { board, blk } = createMachine(new Uint8Array(8 * SECTOR));
  const platform = board.platform();
  const plic = platform.mmio(PLIC_BASE, 0x60_0000);
  plic.write32(4 * VIRTIO_IRQ, 1);
  plic.write32(0x2080, 1 << VIRTIO_IRQ);
  blk.enableInterrupts();
  const token = blk.readBlocksNb(0, new Uint8Array(SECTOR));
  expect(platform.irqPending()).toBe(true);
  board.ram.view.setUint32(0, 0x0000_006f, true); // j .
  enter(board, board.ram.base);
  expect(board.hart.run(1_000_000)).toBe(3); // STOP_INTERRUPT
  expect(board.hart.instret).toBe(0);
  const source = plic.read32(0x20_1004);
  expect([source, blk.handleInterrupt(), blk.completeReadBlocks(token)]).toEqual([VIRTIO_IRQ, 1, 0]);
  plic.write32(0x20_1004, source);
  expect(platform.irqPending()).toBe(false);
  expect(board.hart.run(1000)).toBe(2); // STOP_FUEL
});

test("code that a disk read puts over code that ran is what runs next", () => {
  const image = new Uint8Array(8 * SECTOR);
  const program = (value: number): Uint8Array => {
    const words = new DataView(new ArrayBuffer(8));
    words.setUint32(0, (value << 20) | (10 << 7) | 0x13, true); // li a0, value
    words.setUint32(4, 0x0000_0073, true); // ecall
    return new Uint8Array(words.buffer);
  };
  image.set(program(11), 0);
  image.set(program(22), SECTOR);
  const { board, blk } = createMachine(image);
  const frame = board.ram.bytes.subarray(0x8000, 0x8000 + SECTOR);
  for (const [sector, value] of [
    [0, 11],
    [1, 22],
    [0, 11],
  ]) {
    expect(blk.readBlocks(sector, frame)).toBe(0);
    enter(board, board.ram.base + 0x8000);
    expect(board.hart.run(100)).toBe(1); // STOP_TRAP
    expect(board.hart.x[20]).toBe(value);
  }
});

test("a board restored from a snapshot goes on with its disk", () => {
  const image = new Uint8Array(64 * SECTOR).map((_, i) => i >> 9);
  const { board, blk } = createMachine(image);
  const frame = board.ram.bytes.subarray(0x8000, 0x8000 + SECTOR);
  for (let sector = 0; sector < 40; sector++) blk.readBlocks(sector, frame);
  const saved = board.snapshot();
  // The driver's own state is JavaScript; it goes on over the restored rings of the same board.
  board.ram.bytes.fill(0xff, 0, 0x10_0000);
  board.restore(saved);
  expect(frame[0]).toBe(39);
  expect(blk.readBlocks(41, frame)).toBe(0);
  expect(frame[0]).toBe(41);
});
