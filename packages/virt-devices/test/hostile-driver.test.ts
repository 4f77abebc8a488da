/**
 * Devices against a driver that breaks the rules: malformed chains end in DEVICE_NEEDS_RESET, wrong register accesses
 * do nothing, and no input at all makes a device throw, loop, or touch memory outside RAM.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BalloonDevice,
  BlockDevice,
  Clint,
  ConsoleDevice,
  EntropyDevice,
  EthernetHub,
  GoldfishRtc,
  GpuDevice,
  InputDevice,
  KEYBOARD,
  MemoryFolder,
  NO_IRQ,
  P9Device,
  Plic,
  TestFinisher,
  Uart16550,
  type VirtioModel,
  VsockDevice,
} from "../src/index.ts";
import * as blk from "../src/virtio/blk.ts";
import * as spec from "../src/virtio/spec.ts";
import { BUFFERS, MemoryDisk, RAM_BASE, RAM_SIZE, RawDriver } from "./raw-driver.ts";

const { DESC_F_INDIRECT: INDIRECT, DESC_F_NEXT: NEXT, DESC_F_WRITE: WRITE } = spec;
const start = (features: number = spec.F_INDIRECT_DESC_LO): RawDriver =>
  new RawDriver(new BlockDevice({ backend: new MemoryDisk() })).start(features);

/** Expects DEVICE_NEEDS_RESET with a configuration interrupt and a logged reason, and that only a reset cures it. */
function expectBroken(driver: RawDriver, reason: RegExp): void {
  expect(driver.needsReset).toBe(true);
  expect(driver.guestErrors.at(-1)).toMatch(reason);
  expect(driver.read(spec.MMIO_INTERRUPT_STATUS) & 2).toBe(2);
  const used = driver.usedIdx();
  driver.blk(blk.BLK_T_IN, 0, 512, true);
  expect(driver.usedIdx()).toBe(used);
  driver.start();
  expect(driver.blk(blk.BLK_T_IN, 0, 512, true)).toBe(0);
}

const malformed: [
  name: string,
  reason: RegExp,
  build: (driver: RawDriver, desc: number, table: number) => void,
  head?: number,
][] = [
  ["a head beyond the table", /head 16/, () => {}, 16],
  [
    "a next index beyond the table",
    /next descriptor 16 of 16/,
    (d, desc) => d.descriptor(desc, 0, BUFFERS, 16, NEXT, 16),
  ],
  [
    "a descriptor that points to itself",
    /longer than the queue, or loops/,
    (d, desc) => d.descriptor(desc, 0, BUFFERS, 16, NEXT, 0),
  ],
  [
    "a loop of two",
    /loops/,
    (d, desc) => {
      d.descriptor(desc, 0, BUFFERS, 16, NEXT, 1);
      d.descriptor(desc, 1, BUFFERS, 16, NEXT, 0);
    },
  ],
  ["a zero-sized buffer", /zero-sized/, (d, desc) => d.descriptor(desc, 0, BUFFERS, 0, 0)],
  ["a buffer below RAM", /outside RAM/, (d, desc) => d.descriptor(desc, 0, -16, 16, 0)],
  ["a buffer that ends beyond RAM", /outside RAM/, (d, desc) => d.descriptor(desc, 0, RAM_SIZE - 15, 16, 0)],
  ["a buffer of 4 GiB - 1", /outside RAM/, (d, desc) => d.descriptor(desc, 0, BUFFERS, 0xffff_ffff, WRITE)],
  [
    "a buffer above 2^63",
    /outside RAM/,
    (d, desc) => {
      d.descriptor(desc, 0, BUFFERS, 16, 0);
      d.view.setUint32(desc + 4, 0xffff_ffff, true);
    },
  ],
  [
    "a readable buffer after a writable one",
    /readable buffer after/,
    (d, desc) => {
      d.descriptor(desc, 0, BUFFERS, 16, WRITE | NEXT, 1);
      d.descriptor(desc, 1, BUFFERS, 16, 0);
    },
  ],
  ["an indirect table of no bytes", /table of 0 bytes/, (d, desc, table) => d.descriptor(desc, 0, table, 0, INDIRECT)],
  [
    "an indirect table of 17 bytes",
    /table of 17 bytes/,
    (d, desc, table) => d.descriptor(desc, 0, table, 17, INDIRECT),
  ],
  ["an indirect table outside RAM", /table outside RAM/, (d, desc) => d.descriptor(desc, 0, RAM_SIZE, 16, INDIRECT)],
  [
    "an indirect descriptor with next",
    /with a next/,
    (d, desc, table) => d.descriptor(desc, 0, table, 16, INDIRECT | NEXT, 1),
  ],
  [
    "an indirect descriptor in an indirect table",
    /inside an indirect table/,
    (d, desc, table) => {
      d.descriptor(desc, 0, table, 32, INDIRECT);
      d.descriptor(table, 0, table + 16, 16, INDIRECT);
    },
  ],
  [
    "a next index beyond an indirect table",
    /next descriptor 2 of 2/,
    (d, desc, table) => {
      d.descriptor(desc, 0, table, 32, INDIRECT);
      d.descriptor(table, 0, BUFFERS, 16, NEXT, 2);
    },
  ],
  [
    "a loop in an indirect table",
    /loops/,
    (d, desc, table) => {
      d.descriptor(desc, 0, table, 32, INDIRECT);
      d.descriptor(table, 0, BUFFERS, 16, NEXT, 1);
      d.descriptor(table, 1, BUFFERS, 16, NEXT, 0);
    },
  ],
  [
    "an indirect chain longer than the queue",
    /longer than the queue/,
    (d, desc, table) => {
      d.descriptor(desc, 0, table, 17 * 16, INDIRECT);
      d.chain(
        0,
        0,
        Array.from({ length: 17 }, () => ({ at: BUFFERS, length: 16 })),
        table,
      );
    },
  ],
  ["no header", /malformed request/, (d, desc) => d.descriptor(desc, 0, BUFFERS, 15, WRITE)],
  [
    "a header of 15 bytes",
    /malformed request/,
    (d, desc) => {
      d.descriptor(desc, 0, BUFFERS, 15, NEXT, 1);
      d.descriptor(desc, 1, BUFFERS, 1, WRITE);
    },
  ],
  ["no status byte", /malformed request/, (d, desc) => d.descriptor(desc, 0, BUFFERS, 16, 0)],
];

test.each(malformed)("%s needs a reset", (_, reason, build, head = 0) => {
  const driver = start();
  const { desc, table } = driver.areas(0);
  build(driver, desc, table);
  driver.makeAvailable(0, head);
  driver.notify();
  expectBroken(driver, reason);
});

test.each([17, 100, 32_768, 65_535])("an available index that jumps by %i needs a reset", (step) => {
  const driver = start();
  driver.view.setUint16(driver.areas(0).avail + 2, step, true);
  driver.notify();
  expectBroken(driver, /available index moved by/);
});

test("an indirect descriptor without the feature needs a reset", () => {
  const driver = start(0);
  driver.descriptor(driver.areas(0).desc, 0, driver.areas(0).table, 16, INDIRECT);
  driver.makeAvailable(0, 0);
  driver.notify();
  expectBroken(driver, /not negotiated/);
});

test("a request that writes the available ring itself does not hold the host", () => {
  const disk = new MemoryDisk();
  // Each read puts the next available index over the ring's own: a thousand chains, one after the other.
  let idx = 1;
  disk.readBlock = (_, buf) => {
    buf.fill(0);
    new DataView(buf.buffer, buf.byteOffset).setUint16(2, ++idx & 0xffff, true);
    return 0;
  };
  const driver = new RawDriver(new BlockDevice({ backend: disk })).start();
  driver.blkHeader(blk.BLK_T_IN, 0);
  driver.submit(0, [
    { at: BUFFERS, length: 16 },
    { at: driver.areas(0).avail, length: 512, writable: true },
    { at: BUFFERS + 0x800, length: 1, writable: true },
  ]);
  expect(idx).toBeLessThan(100);
  expectBroken(driver, /grew while it was served/);
});

test("a chain of the queue's full length works", () => {
  const driver = start();
  driver.blkHeader(blk.BLK_T_IN, 0);
  const data = Array.from({ length: 14 }, (_, i) => ({ at: BUFFERS + 0x1000 + i * 512, length: 512, writable: true }));
  driver.submit(0, [{ at: BUFFERS, length: 16 }, ...data, { at: BUFFERS + 0x800, length: 1, writable: true }]);
  expect(driver.used()).toEqual({ id: 0, length: 14 * 512 + 1 });
});

test("requests before the broken one are completed and notified", () => {
  const driver = new RawDriver(new BlockDevice({ backend: new MemoryDisk() }));
  driver.negotiate(0);
  driver.setUpQueue(0);
  driver.blkHeader(blk.BLK_T_FLUSH, 0);
  driver.chain(0, 0, [
    { at: BUFFERS, length: 16 },
    { at: BUFFERS + 0x800, length: 1, writable: true },
  ]);
  driver.makeAvailable(0, 0);
  driver.makeAvailable(0, 99);
  driver.write(spec.MMIO_STATUS, 15);
  expect(driver.usedIdx()).toBe(1);
  expect(driver.read(spec.MMIO_INTERRUPT_STATUS)).toBe(3);
});

describe("queue set-up", () => {
  const broken: [string, (driver: RawDriver) => void][] = [
    ["size 0", (d) => d.setUpQueue(0, 0)],
    ["size 3", (d) => d.setUpQueue(0, 3)],
    ["size 256 of 128", (d) => d.setUpQueue(0, 256)],
    ["size 2^31", (d) => d.setUpQueue(0, 0x8000_0000)],
    [
      "areas never written",
      (d) => {
        d.write(spec.MMIO_QUEUE_SEL, 0);
        d.write(spec.MMIO_QUEUE_READY, 1);
      },
    ],
    [
      "a table at the end of RAM",
      (d) => {
        d.write(spec.MMIO_QUEUE_SEL, 0);
        d.write(spec.MMIO_QUEUE_DESC_LOW, RAM_BASE + RAM_SIZE - 16);
        d.write(spec.MMIO_QUEUE_DRIVER_LOW, RAM_BASE + 0x2000);
        d.write(spec.MMIO_QUEUE_DEVICE_LOW, RAM_BASE + 0x3000);
        d.write(spec.MMIO_QUEUE_READY, 1);
      },
    ],
    [
      "a misaligned used ring",
      (d) => {
        d.write(spec.MMIO_QUEUE_SEL, 0);
        d.write(spec.MMIO_QUEUE_DESC_LOW, RAM_BASE + 0x1000);
        d.write(spec.MMIO_QUEUE_DRIVER_LOW, RAM_BASE + 0x2000);
        d.write(spec.MMIO_QUEUE_DEVICE_LOW, RAM_BASE + 0x3002);
        d.write(spec.MMIO_QUEUE_READY, 1);
      },
    ],
  ];
  test.each(broken)("%s needs a reset; DRIVER_OK then announces it", (_, setUp) => {
    const driver = new RawDriver(new BlockDevice({ backend: new MemoryDisk() }));
    driver.negotiate(0);
    setUp(driver);
    expect([driver.needsReset, driver.irq, driver.read(spec.MMIO_QUEUE_READY)]).toEqual([true, false, 1]);
    driver.write(spec.MMIO_STATUS, 15);
    expect(driver.irq).toBe(true);
    driver.notify();
    driver.start();
    expect(driver.blk(blk.BLK_T_IN, 0, 512, true)).toBe(0);
  });

  test("registers of a live queue cannot be changed", () => {
    const driver = start();
    driver.write(spec.MMIO_QUEUE_SEL, 0);
    driver.write(spec.MMIO_QUEUE_DESC_LOW, 0);
    driver.write(spec.MMIO_QUEUE_SIZE, 2);
    driver.write(spec.MMIO_QUEUE_READY, 1);
    expect(driver.blk(blk.BLK_T_IN, 0, 512, true)).toBe(0);
    expect(driver.guestErrors.length).toBe(2);
  });
});

describe("registers", () => {
  test("wrong widths, misaligned and undefined accesses read zero and change nothing", () => {
    const driver = start();
    const before = JSON.stringify(driver.device.save());
    for (let offset = 0; offset < 0x100; offset++) {
      for (const length of [1, 2, 8] as const) {
        expect(driver.device.read(offset, length)).toBe(0);
        driver.device.write(offset, length, 0xff);
      }
      if (offset % 4 !== 0) expect(driver.device.read(offset, 4)).toBe(0);
    }
    for (const readOnly of [0x00, 0x04, 0x08, 0x0c, 0x10, 0x34, 0x60, 0xb0, 0xfc]) driver.write(readOnly, 0xffff_ffff);
    for (const legacy of [0x28, 0x3c, 0x40]) driver.write(legacy, 4096);
    expect(JSON.stringify(driver.device.save())).toBe(before);
    for (const writeOnly of [0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xac])
      expect(driver.read(writeOnly)).toBe(0);
    expect(driver.guestErrors.length).toBeGreaterThan(0);
  });

  test("status bits cannot be cleared one by one, nor DEVICE_NEEDS_RESET set by the driver", () => {
    const driver = start();
    driver.write(spec.MMIO_STATUS, 1);
    expect(driver.status).toBe(15);
    driver.write(spec.MMIO_STATUS, 15 | 64);
    expect(driver.status).toBe(15);
    driver.write(spec.MMIO_STATUS, 15 | 128);
    expect(driver.status).toBe(15 | 128);
  });

  test("configuration bytes that are not writable keep their value", () => {
    const driver = start();
    const before = [...driver.device.save().config];
    for (let offset = 0; offset < 80; offset += 4) driver.write(spec.MMIO_CONFIG + offset, 0xffff_ffff);
    expect(driver.device.save().config).toEqual(before);
  });
});

test("misuse by the host throws", () => {
  const backend = new MemoryDisk();
  for (const options of [
    { queueSize: 100 },
    { queueSize: 2 },
    { queueCount: 0 },
    { sizeMax: -1 },
    { logicalBlockSize: 600 },
    { serial: "x".repeat(21) },
    { backend: { ...backend, size: 1, blockSize: 4096 } as never },
  ]) {
    expect(() => new BlockDevice({ backend, ...options })).toThrow(RangeError);
  }
});

test("a virtio device restored from a snapshot goes on where it was", () => {
  const disk = new MemoryDisk();
  const driver = new RawDriver(new BlockDevice({ backend: disk })).start(spec.F_EVENT_IDX_LO);
  for (let i = 0; i < 3; i++) driver.blk(blk.BLK_T_IN, i, 512, true);
  const other = new RawDriver(new BlockDevice({ backend: disk }));
  other.ram.set(driver.ram);
  other.device.restore(JSON.parse(JSON.stringify(driver.device.save())));
  expect(other.irq).toBe(true);
  expect(other.blk(blk.BLK_T_IN, 7, 512, true)).toBe(0);
  expect(other.usedIdx()).toBe(4);
  expect(other.ram.subarray(BUFFERS + 0x1000, BUFFERS + 0x1200)).toEqual(disk.bytes.subarray(7 * 512, 8 * 512));
});

describe("fuzz", () => {
  const models: [string, () => VirtioModel][] = [
    ["block", () => new BlockDevice({ backend: new MemoryDisk(), queueCount: 2, queueSize: 16 })],
    ["console", () => new ConsoleDevice({ onOutput: () => {} })],
    ["entropy", () => new EntropyDevice({ fillRandom: (target) => target.fill(1) })],
    ["console with ports", () => new ConsoleDevice({ onOutput: () => {}, ports: [{ name: "p", onOutput: () => {} }] })],
    ["net", () => new EthernetHub().attach({ mac: Uint8Array.of(2, 0, 0, 0, 0, 1) })],
    ["input", () => new InputDevice(KEYBOARD)],
    ["balloon", () => new BalloonDevice({ onInflate: () => {}, onStats: () => {}, onFree: () => {} })],
    ["gpu", () => new GpuDevice({ screen: { onFlush: () => {} }, memoryLimit: 1 << 20 })],
    ["vsock", () => new VsockDevice({ guestCid: 3 })],
    [
      "9p",
      () => {
        const now = () => ({ seconds: 1, nanoseconds: 0 });
        return new P9Device({ folder: new MemoryFolder({ now, capacity: 1 << 16 }), tag: "t", now });
      },
    ],
  ];
  const register = fc.oneof(
    fc.constantFrom(0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0x90, 0xa0, 0xc0, 0x100, 0x120),
    fc.nat(0x1fff),
  );
  const value = fc.oneof(
    fc.constantFrom(0, 1, 2, 3, 8, 11, 15, 16, 0xffff_ffff, RAM_BASE, RAM_BASE + 0x1000, RAM_BASE + RAM_SIZE - 8),
    fc.nat(0xffff_ffff),
  );
  const access = fc.tuple(fc.constantFrom(1, 2, 4, 4, 4, 4, 8), register, value, fc.boolean());

  test.each(models)("%s: any register accesses in any order", (_, create) => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const driver = new RawDriver(create());
        for (const [length, offset, word, isRead] of accesses) {
          if (isRead) expect(Number.isFinite(driver.device.read(offset, length as 4))).toBe(true);
          else driver.device.write(offset, length as 4, word);
        }
        if (driver.status === 0) driver.start();
      }),
      { numRuns: 300 },
    );
  });

  // Descriptors that are mostly plausible, so that many chains are walked to the end.
  const descriptor = fc.record({
    at: fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: BUFFERS, max: BUFFERS + 0x1_0000 }) },
      fc.integer({ min: -4096, max: RAM_SIZE + 4096 }),
    ),
    length: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(1, 16, 20, 512, 1024) },
      fc.constantFrom(0, 17, 48, 0xffff_ffff),
    ),
    flags: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, NEXT, WRITE, WRITE | NEXT) }, fc.nat(0xffff)),
    next: fc.oneof({ weight: 8, arbitrary: fc.nat(15) }, fc.nat(0xffff)),
  });

  test.each(models)("%s: any descriptors, rings and headers", (_, create) => {
    const property = fc.property(
      fc.array(descriptor, { minLength: 16, maxLength: 16 }),
      fc.array(fc.oneof({ weight: 20, arbitrary: fc.nat(15) }, fc.nat(0xffff)), { minLength: 1, maxLength: 20 }),
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
      fc.boolean(),
      (descriptors, heads, header, hasFeatures) => {
        const driver = new RawDriver(create());
        driver.queueSize = Math.min(...driver.device.queues.map((queue) => queue.maxSize), 16);
        driver.start(hasFeatures ? spec.F_INDIRECT_DESC_LO | spec.F_EVENT_IDX_LO : 0);
        for (let queue = 0; queue < driver.device.queues.length; queue++) {
          const { desc } = driver.areas(queue);
          for (const [i, { at, length, flags, next }] of descriptors.entries())
            driver.descriptor(desc, i, at, length, flags, next);
          // A type that exists, more often than chance would have it.
          driver.ram.set(header, BUFFERS);
          driver.ram[BUFFERS] = [0, 1, 4, 8, 11, 13, header[0]][header[1] % 7];
          driver.ram.fill(0, BUFFERS + 1, BUFFERS + 16);
          for (const head of heads) {
            driver.makeAvailable(queue, head);
            driver.notify(queue);
          }
        }
        for (const [from, to] of driver.writes) expect(from >= 0 && to <= RAM_SIZE).toBe(true);
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  test("the other devices: any accesses", () => {
    const wires = [NO_IRQ, NO_IRQ];
    const devices = [
      new Plic(wires),
      new Clint({ harts: [{ software: NO_IRQ, timer: NO_IRQ }], nowTicks: () => 5 }),
      new Uart16550({ irq: NO_IRQ, onOutput: () => {} }),
      new GoldfishRtc({ irq: NO_IRQ, realtimeNs: () => 1e18 }),
      new TestFinisher(() => {}),
    ];
    const anyAccess = fc.tuple(
      fc.nat(devices.length - 1),
      fc.constantFrom(1, 2, 4, 8),
      fc.oneof(fc.nat(0x40), fc.nat(0x60_0000), fc.constantFrom(0x4000, 0xbff8, 0x2000, 0x20_0004, 0x20_1004)),
      fc.nat(0xffff_ffff),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(anyAccess, { maxLength: 100 }), (accesses) => {
        for (const [device, length, offset, word, isRead] of accesses) {
          if (isRead) expect(Number.isFinite(devices[device].read(offset, length as 4))).toBe(true);
          else devices[device].write(offset, length as 4, word);
        }
      }),
      { numRuns: 300 },
    );
  });
});
