/**
 * Drivers against a device that lies. The device here has no model: the test writes the used ring and the status byte
 * itself, so it can answer anything. A driver must answer with an error, stay within its buffers and never loop.
 */
import { expect, test } from "vitest";
import {
  DescriptorList,
  ERR_ALREADY_USED,
  ERR_DEVICE_FAULT,
  ERR_DMA,
  ERR_FEATURES_REFUSED,
  ERR_IO,
  ERR_NO_DEVICE,
  ERR_NOT_READY,
  ERR_TIMED_OUT,
  ERR_UNSUPPORTED,
  ERR_WRONG_TOKEN,
  isVirtioError,
  MmioTransport,
  readConfig64,
  VirtIOBlk,
  VirtIOConsole,
  VirtIORng,
  VirtQueue,
  vringNeedEvent,
} from "../src/index.ts";
import { FrameAllocator, ok, RAM_BASE } from "./rig.ts";
import { StubTransport } from "./stub-transport.ts";

/** A device whose every answer the test chooses. Queue areas are found where the driver put them. */
class ScriptedTransport extends StubTransport {
  readonly config: DataView = new DataView(new ArrayBuffer(64));
  readonly queues: { size: number; desc: number; avail: number; used: number }[] = [];
  featuresLow = 0;
  featuresHigh = 1;
  status = 0;
  generation = 0;
  queueSize = 16;
  notified = 0;
  resets = 0;
  /** What the device does when notified. */
  onNotify: (queue: number) => void = () => {};

  constructor(deviceType: number) {
    super(deviceType);
    this.config.setUint32(0, 1000, true);
  }

  override readDeviceFeatures(word: number): number {
    return word === 0 ? this.featuresLow : this.featuresHigh;
  }
  override maxQueueSize(): number {
    return this.queueSize;
  }
  override notify(queue: number): void {
    this.notified++;
    this.onNotify(queue);
  }
  override getStatus(): number {
    return this.status;
  }
  override setStatus(status: number): void {
    if (status === 0) this.resets++;
    this.status = status;
  }
  override queueSet(queue: number, size: number, desc: number, avail: number, used: number): void {
    this.queues[queue] = { size, desc: desc - RAM_BASE, avail: avail - RAM_BASE, used: used - RAM_BASE };
  }
  override readConfigGeneration(): number {
    return this.generation;
  }
  override readConfig8(offset: number): number {
    return this.config.getUint8(offset);
  }
  override readConfig16(offset: number): number {
    return this.config.getUint16(offset, true);
  }
  override readConfig32(offset: number): number {
    return this.config.getUint32(offset, true);
  }

  /** Head of the chain the driver made available last. */
  lastHead(queue: number): number {
    const { avail, size } = this.queues[queue];
    return this.view.getUint16(avail + 4 + 2 * ((this.view.getUint16(avail + 2, true) - 1) & (size - 1)), true);
  }

  /** Address of the last descriptor's buffer: the status byte of a block request. */
  statusByte(queue: number): number {
    const { desc } = this.queues[queue];
    let i = this.lastHead(queue);
    while ((this.view.getUint16(desc + 16 * i + 12, true) & 1) !== 0) i = this.view.getUint16(desc + 16 * i + 14, true);
    return this.view.getUint32(desc + 16 * i, true) - RAM_BASE;
  }

  /** Puts {id, length} into the used ring and moves its index by `step`. */
  use(queue: number, id: number, length: number, step: number = 1): void {
    const { used, size } = this.queues[queue];
    const idx = this.view.getUint16(used + 2, true);
    const at = used + 4 + 8 * (idx & (size - 1));
    this.view.setUint32(at, id, true);
    this.view.setUint32(at + 4, length, true);
    this.view.setUint16(used + 2, (idx + step) & 0xffff, true);
  }
}

function createBlk(transport: ScriptedTransport = new ScriptedTransport(2)): {
  transport: ScriptedTransport;
  blk: VirtIOBlk;
} {
  return { transport, blk: ok(VirtIOBlk.create(transport.hal(), transport, { maxPolls: 5000 })) };
}

/** A device that breaks the protocol is reset once, and stays unusable. */
function expectFault(transport: ScriptedTransport, blk: VirtIOBlk, result: number): void {
  expect(result).toBe(ERR_DEVICE_FAULT);
  expect(transport.status).toBe(0);
  const notified = transport.notified;
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_DEVICE_FAULT);
  expect(blk.flush()).toBe(ERR_DEVICE_FAULT);
  expect(transport.notified).toBe(notified);
}

test.each([
  ["an id beyond the queue", 16, 513],
  ["a huge id", 0xffff_ffff, 513],
  ["the id of a chain that is not in flight", 7, 513],
])("used ring with %s: the device is reset", (_, id, length) => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => transport.use(0, id, length);
  expectFault(transport, blk, blk.readBlocks(0, new Uint8Array(512)));
});

test("a used length larger than the buffers is a fault", () => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => transport.use(0, transport.lastHead(0), 514);
  expectFault(transport, blk, blk.readBlocks(0, new Uint8Array(512)));
});

test.each([2, 17, 32_768, 65_535])("a used index that jumps by %i is a fault", (step) => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => transport.use(0, transport.lastHead(0), 513, step);
  expectFault(transport, blk, blk.readBlocks(0, new Uint8Array(512)));
});

test("the same chain used twice is a fault, not a double free", () => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => {
    const head = transport.lastHead(0);
    transport.view.setUint8(transport.statusByte(0), 0);
    transport.use(0, head, 513);
    if (transport.notified === 2) transport.use(0, head, 513);
  };
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
  const result = blk.readBlocks(0, new Uint8Array(512));
  expect(result === 0 || result === ERR_DEVICE_FAULT).toBe(true);
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_DEVICE_FAULT);
});

test("a read whose length says that data is missing fails, though its status is OK", () => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => {
    transport.view.setUint8(transport.statusByte(0), 0);
    transport.use(0, transport.lastHead(0), 100);
  };
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_IO);
});

test.each([
  [1, ERR_IO],
  [2, ERR_UNSUPPORTED],
  [3, ERR_IO],
  [0xff, ERR_IO], // the device did not write it
])("status byte %i", (status, error) => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => {
    transport.view.setUint8(transport.statusByte(0), status);
    transport.use(0, transport.lastHead(0), 513);
  };
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(error);
});

test("scribbling over the descriptor table does not confuse the free list", () => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => {
    const { desc, avail } = transport.queues[0];
    const head = transport.lastHead(0);
    transport.view.setUint8(transport.statusByte(0), 0);
    transport.ram.fill(0xff, desc, avail);
    transport.use(0, head, 513);
  };
  for (let i = 0; i < 100; i++) expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
});

test("a device that asks for a reset while a request waits fails it", () => {
  const { transport, blk } = createBlk();
  transport.onNotify = () => {
    transport.status |= 64;
  };
  expectFault(transport, blk, blk.readBlocks(0, new Uint8Array(512)));
});

test("a device that never answers is reset after the bound", () => {
  const { transport, blk } = createBlk();
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_TIMED_OUT);
  expect(transport.status).toBe(0);
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_DEVICE_FAULT);
});

test("waitForInterrupt ends the wait when it says so", () => {
  const transport = new ScriptedTransport(2);
  let calls = 0;
  const blk = ok(VirtIOBlk.create(transport.hal(), transport, { waitForInterrupt: () => ++calls < 3 }));
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_TIMED_OUT);
  expect(calls).toBe(3);
});

test("a device that answers only when waited for is read", () => {
  const transport = new ScriptedTransport(2);
  const answer = (): boolean => {
    transport.view.setUint8(transport.statusByte(0), 0);
    transport.use(0, transport.lastHead(0), 513);
    return true;
  };
  const blk = ok(VirtIOBlk.create(transport.hal(), transport, { waitForInterrupt: answer }));
  expect(blk.readBlocks(0, new Uint8Array(512))).toBe(0);
});

test("a device that does not come out of reset is given up", () => {
  const transport = new ScriptedTransport(2);
  transport.getStatus = () => 1;
  expect(VirtIOBlk.create(transport.hal(), transport)).toBe(ERR_TIMED_OUT);
});

test("a device that clears FEATURES_OK is refused and told FAILED", () => {
  const transport = new ScriptedTransport(2);
  transport.setStatus = (status) => {
    transport.status = status & ~8;
  };
  expect(VirtIOBlk.create(transport.hal(), transport)).toBe(ERR_FEATURES_REFUSED);
  expect(transport.status & 128).toBe(128);
});

test("a device without VERSION_1, without the queue, or with limits that allow no sector is refused", () => {
  const legacy = new ScriptedTransport(2);
  legacy.featuresHigh = 0;
  expect(VirtIOBlk.create(legacy.hal(), legacy)).toBe(ERR_UNSUPPORTED);
  const queueless = new ScriptedTransport(2);
  queueless.queueSize = 0;
  expect(VirtIOBlk.create(queueless.hal(), queueless)).toBe(ERR_UNSUPPORTED);
  const tiny = new ScriptedTransport(2);
  tiny.featuresLow = 2; // SIZE_MAX, and no SEG_MAX: one segment
  tiny.config.setUint32(8, 100, true);
  expect(VirtIOBlk.create(tiny.hal(), tiny)).toBe(ERR_UNSUPPORTED);
  const small = new ScriptedTransport(2);
  small.queueSize = 2;
  expect(VirtIOBlk.create(small.hal(), small)).toBe(ERR_UNSUPPORTED);
});

test("a configuration that changes with every look gives an error instead of a loop", () => {
  const transport = new ScriptedTransport(2);
  transport.readConfigGeneration = () => transport.generation++;
  expect(readConfig64(transport, 0)).toBe(ERR_IO);
  expect(VirtIOBlk.create(transport.hal(), transport)).toBe(ERR_IO);
});

test("a capacity that changes between its halves is read again", () => {
  const transport = new ScriptedTransport(2);
  let reads = 0;
  transport.readConfig32 = (offset) => {
    if (reads++ === 0) {
      transport.generation++;
      return 0xdead;
    }
    return offset === 0 ? 5 : 1;
  };
  expect(readConfig64(transport, 0)).toBe(0x1_0000_0005);
});

test("an entropy device that sends nothing, or lies about the length, gives an error", () => {
  for (const [length, error] of [
    [0, ERR_IO],
    [4097, ERR_DEVICE_FAULT],
  ] as const) {
    const transport = new ScriptedTransport(4);
    const rng = ok(VirtIORng.create(transport.hal(), transport));
    transport.onNotify = () => transport.use(0, transport.lastHead(0), length);
    expect(rng.requestEntropy(new Uint8Array(4096))).toBe(error);
  }
});

test("a console that floods empty or oversized answers neither loops nor overruns", () => {
  const transport = new ScriptedTransport(3);
  const console = ok(VirtIOConsole.create(transport.hal(), transport));
  transport.onNotify = () => transport.use(0, transport.lastHead(0), 0);
  transport.use(0, 0, 0);
  expect(console.read(new Uint8Array(10))).toBe(0);
  const second = new ScriptedTransport(3);
  const driver = ok(VirtIOConsole.create(second.hal(), second));
  second.use(0, 0, 513);
  expect(driver.read(new Uint8Array(1000))).toBe(ERR_DEVICE_FAULT);
  expect(driver.write(new Uint8Array(1))).toBe(ERR_DEVICE_FAULT);
});

test("no memory for DMA is an error that leaks nothing", () => {
  const transport = new ScriptedTransport(2);
  for (let pages = 0; pages < 12; pages++) {
    const frames = new FrameAllocator(pages, false);
    transport.featuresLow = 1 << 28; // indirect tables need more pages
    const blk = VirtIOBlk.create(transport.hal(frames), transport);
    if (!isVirtioError(blk)) blk.release();
    else expect(blk).toBe(ERR_DMA);
    expect(frames.usedCount).toBe(0);
  }
});

test("no bounce page for a buffer: DmaError, and the slot is free again", () => {
  const { transport } = createBlk();
  let failing = false;
  const frames = new FrameAllocator(256, false);
  const hal = transport.hal({
    alloc: (count) => (failing ? -1 : frames.alloc(count)),
    free: (paddr, count) => frames.free(paddr, count),
  });
  const blk = ok(VirtIOBlk.create(hal, transport));
  failing = true;
  for (let i = 0; i < 200; i++) expect(blk.readBlocks(0, new Uint8Array(512))).toBe(ERR_DMA);
  expect(blk.freeSlots).toBe(64);
});

test("a transport refuses what is no virtio device, and reads no further", () => {
  for (const [magic, version, id] of [
    [0, 2, 2],
    [0x7472_6976, 1, 2],
    [0x7472_6976, 3, 2],
    [0x7472_6976, 2, 0],
  ]) {
    const reads: number[] = [];
    const region = {
      read8: () => 0,
      read16: () => 0,
      read32: (offset: number) => {
        reads.push(offset);
        return [magic, version, id][offset / 4] ?? 0;
      },
      write8: () => {},
      write16: () => {},
      write32: () => {},
    };
    expect(MmioTransport.create(region)).toBe(ERR_NO_DEVICE);
    expect(Math.max(...reads)).toBeLessThanOrEqual(8);
  }
});

test("popUsed takes only the chain that is next; add refuses what cannot fit", () => {
  const transport = new ScriptedTransport(2);
  const queue = ok(VirtQueue.create(transport.hal(), transport, 0, 16));
  const list = new DescriptorList(17);
  list.pushWritable(RAM_BASE, 64);
  const a = queue.add(list);
  const b = queue.add(list);
  expect(queue.popUsed(a)).toBe(ERR_NOT_READY);
  transport.use(0, b, 10);
  expect(queue.popUsed(a)).toBe(ERR_WRONG_TOKEN);
  expect(queue.popUsed(b)).toBe(10);
  expect(queue.availableDescriptors).toBe(15);
  list.clear();
  for (let i = 0; i < 17; i++) list.pushWritable(RAM_BASE, 1);
  expect(queue.add(list)).toBeLessThan(0);
  expect(() => list.pushReadable(RAM_BASE, 1)).toThrow(RangeError);
  transport.queueUsed = () => true;
  expect(VirtQueue.create(transport.hal(), transport, 0, 16)).toBe(ERR_ALREADY_USED);
});

test("vringNeedEvent is exact across the 16-bit wrap", () => {
  const passes = (event: number, now: number, old: number): boolean => {
    for (let i = old; i !== now; i = (i + 1) & 0xffff) if (i === event) return true;
    return false;
  };
  for (const event of [0, 1, 5, 65_534, 65_535]) {
    for (const old of [0, 3, 65_530, 65_535]) {
      for (let step = 0; step < 12; step++) {
        const now = (old + step) & 0xffff;
        expect(vringNeedEvent(event, now, old)).toBe(passes(event, now, old));
      }
    }
  }
});

test("with event index the device is told exactly when it asked, in batches and across the wrap", () => {
  const transport = new ScriptedTransport(2);
  const queue = ok(VirtQueue.create(transport.hal(), transport, 0, 16, { eventIdx: true }));
  const { used } = transport.queues[0];
  const list = new DescriptorList(1);
  list.pushWritable(RAM_BASE, 1);
  let available = 0;
  let missed = 0;
  for (let round = 0; round < 30_000; round++) {
    const event = (available + (round % 5)) & 0xffff;
    transport.view.setUint16(used + 4 + 8 * 16, event, true);
    const batch = 1 + (round % 4);
    const heads: number[] = [];
    for (let i = 0; i < batch; i++) heads.push(queue.add(list));
    if (queue.shouldNotify() !== round % 5 < batch) missed++;
    available = (available + batch) & 0xffff;
    for (const head of heads) {
      transport.use(0, head, 1);
      queue.popUsed(head);
    }
  }
  expect(missed).toBe(0);
});
