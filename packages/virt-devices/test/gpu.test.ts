/** The GPU's commands one by one: what each answers, also when it is wrong, and backing memory in many pieces. */
import { describe, expect, test } from "vitest";
import { GpuDevice, type GpuScreen } from "../src/index.ts";
import * as gpu from "../src/virtio/gpu.ts";
import { BUFFERS, RAM_BASE, RawDriver } from "./raw-driver.ts";

const RESPONSE = BUFFERS + 0x4000;
const PIXELS = BUFFERS + 0x8000;
const WIDTH = 10;
const HEIGHT = 6;

class Gpu {
  readonly device: GpuDevice;
  readonly driver: RawDriver;
  readonly flushes: number[][] = [];

  constructor(options: Partial<ConstructorParameters<typeof GpuDevice>[0]> = {}) {
    const screen: GpuScreen = {
      onFlush: (id, { x, y, width, height }) => this.flushes.push([id, x, y, width, height]),
    };
    this.device = new GpuDevice({ screen, ...options });
    this.driver = new RawDriver(this.device).start();
  }

  /** Runs a command made of words behind its header; the type of the answer. `flags` and `fence` are the header's. */
  run(type: number, words: readonly number[] = [], queue: number = 0, flags: number = 0, fence: number = 0): number {
    const { driver } = this;
    [type, flags, fence, 0, 0, 0, ...words].forEach((word, i) => {
      driver.view.setUint32(BUFFERS + 4 * i, word >>> 0, true);
    });
    const length = 24 + 4 * words.length;
    driver.submit(queue, [
      { at: BUFFERS, length },
      { at: RESPONSE, length: 408, writable: true },
    ]);
    return driver.view.getUint32(RESPONSE, true);
  }

  /** Resource `id` with backing in the given pieces. */
  create(id: number, pieces: readonly (readonly [at: number, length: number])[], format: number = 1): void {
    expect(this.run(gpu.GPU_CMD_RESOURCE_CREATE_2D, [id, format, WIDTH, HEIGHT])).toBe(gpu.GPU_RESP_OK_NODATA);
    const entries = pieces.flatMap(([at, length]) => [RAM_BASE + at, 0, length, 0]);
    expect(this.run(gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [id, pieces.length, ...entries])).toBe(gpu.GPU_RESP_OK_NODATA);
  }

  transfer(
    id: number,
    x: number,
    y: number,
    width: number,
    height: number,
    offset: number = 4 * (y * WIDTH + x),
  ): number {
    return this.run(gpu.GPU_CMD_TRANSFER_TO_HOST_2D, [x, y, width, height, offset, 0, id, 0]);
  }
}

/** The whole picture of scanout 0. */
function picture(device: GpuDevice): number[] {
  const rgba = new Uint8Array(4 * WIDTH * HEIGHT);
  expect(device.readRgba(0, { x: 0, y: 0, width: WIDTH, height: HEIGHT }, rgba)).toBe(true);
  return Array.from(rgba);
}

test.each([
  ["one piece", [240]],
  ["rows", [40, 40, 40, 40, 40, 40]],
  ["pieces that end inside pixels", [1, 6, 100, 3, 77, 2, 51]],
  ["single bytes", Array.from({ length: 240 }, () => 1)],
])("backing memory in %s", (_, lengths) => {
  const machine = new Gpu();
  let at = PIXELS;
  const pieces = lengths.map((length) => {
    at += length + 3; // no two are neighbours
    return [at - length, length] as const;
  });
  // R8G8B8A8, so that the picture is the bytes themselves.
  machine.create(1, pieces, 67);
  let n = 0;
  for (const [start, length] of pieces) for (let i = 0; i < length; i++) machine.driver.ram[start + i] = ++n & 0xff;
  expect(machine.run(gpu.GPU_CMD_SET_SCANOUT, [0, 0, WIDTH, HEIGHT, 0, 1])).toBe(gpu.GPU_RESP_OK_NODATA);
  expect(machine.transfer(1, 3, 1, 4, 3)).toBe(gpu.GPU_RESP_OK_NODATA);
  const shown = picture(machine.device);
  for (let i = 0; i < 240; i++) {
    const [x, y] = [(i >> 2) % WIDTH, Math.floor((i >> 2) / WIDTH)];
    expect(shown[i]).toBe(x >= 3 && x < 7 && y >= 1 && y < 4 ? (i + 1) & 0xff : 0);
  }
  machine.transfer(1, 0, 0, WIDTH, HEIGHT);
  expect(picture(machine.device)).toEqual(Array.from({ length: 240 }, (__, i) => (i + 1) & 0xff));
  expect(machine.driver.needsReset).toBe(false);
});

test.each([
  [1, [3, 2, 1, 4]],
  [2, [3, 2, 1, 255]],
  [3, [2, 3, 4, 1]],
  [4, [2, 3, 4, 255]],
  [67, [1, 2, 3, 4]],
  [68, [4, 3, 2, 255]],
  [121, [4, 3, 2, 1]],
  [134, [1, 2, 3, 255]],
])("format %i: bytes 1, 2, 3, 4 are the colour %o", (format, rgba) => {
  const machine = new Gpu();
  machine.create(1, [[PIXELS, 240]], format);
  machine.driver.ram.set([1, 2, 3, 4], PIXELS);
  machine.run(gpu.GPU_CMD_SET_SCANOUT, [0, 0, WIDTH, HEIGHT, 0, 1]);
  machine.transfer(1, 0, 0, 1, 1);
  expect(picture(machine.device).slice(0, 4)).toEqual(rgba);
});

test("a flush reaches the scanouts that show the part, in their own coordinates", () => {
  const sizes = [
    { width: 10, height: 6 },
    { width: 4, height: 4 },
    { width: 4, height: 4 },
  ];
  const machine = new Gpu({ displays: sizes });
  machine.create(1, [[PIXELS, 240]]);
  machine.create(2, [[PIXELS, 240]]);
  machine.run(gpu.GPU_CMD_SET_SCANOUT, [0, 0, WIDTH, HEIGHT, 0, 1]);
  machine.run(gpu.GPU_CMD_SET_SCANOUT, [5, 2, 4, 4, 1, 1]);
  machine.run(gpu.GPU_CMD_SET_SCANOUT, [0, 0, 4, 4, 2, 2]);
  expect(machine.run(gpu.GPU_CMD_RESOURCE_FLUSH, [4, 1, 3, 3, 1, 0])).toBe(gpu.GPU_RESP_OK_NODATA);
  expect(machine.flushes).toEqual([
    [0, 4, 1, 3, 3],
    [1, 0, 0, 2, 2],
  ]);
  machine.flushes.length = 0;
  machine.run(gpu.GPU_CMD_RESOURCE_FLUSH, [0, 0, 5, 6, 1, 0]);
  expect(machine.flushes).toEqual([[0, 0, 0, 5, 6]]);
  expect(machine.run(gpu.GPU_CMD_RESOURCE_UNREF, [1, 0])).toBe(gpu.GPU_RESP_OK_NODATA);
  expect([0, 1, 2].map((id) => machine.device.pictureSize(id).width)).toEqual([0, 0, 4]);
});

describe("wrong commands get an error of the specification, and do nothing", () => {
  const cases: [string, number, number[], number][] = [
    ["an unknown type", 0x777, [], gpu.GPU_RESP_ERR_UNSPEC],
    ["a command without its fields", gpu.GPU_CMD_SET_SCANOUT, [1], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["resource 0", gpu.GPU_CMD_RESOURCE_CREATE_2D, [0, 1, 4, 4], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
    ["a resource that exists", gpu.GPU_CMD_RESOURCE_CREATE_2D, [1, 1, 4, 4], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
    ["an unknown format", gpu.GPU_CMD_RESOURCE_CREATE_2D, [2, 5, 4, 4], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["no width", gpu.GPU_CMD_RESOURCE_CREATE_2D, [2, 1, 0, 4], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["a huge width", gpu.GPU_CMD_RESOURCE_CREATE_2D, [2, 1, 0xffff_ffff, 4], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["too much memory", gpu.GPU_CMD_RESOURCE_CREATE_2D, [2, 1, 1024, 1024], gpu.GPU_RESP_ERR_OUT_OF_MEMORY],
    ["no such resource to free", gpu.GPU_CMD_RESOURCE_UNREF, [9, 0], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
    ["no such scanout", gpu.GPU_CMD_SET_SCANOUT, [0, 0, 4, 4, 3, 1], gpu.GPU_RESP_ERR_INVALID_SCANOUT_ID],
    ["no such resource to show", gpu.GPU_CMD_SET_SCANOUT, [0, 0, 4, 4, 0, 9], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
    ["a scanout beyond", gpu.GPU_CMD_SET_SCANOUT, [8, 0, 4, 4, 0, 1], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["sums that wrap", gpu.GPU_CMD_SET_SCANOUT, [0xffff_ffff, 0, 2, 4, 0, 1], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["an empty scanout", gpu.GPU_CMD_SET_SCANOUT, [0, 0, 0, 4, 0, 1], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["a flush beyond", gpu.GPU_CMD_RESOURCE_FLUSH, [0, 0, 11, 1, 1, 0], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["a flush of nothing", gpu.GPU_CMD_RESOURCE_FLUSH, [0, 0, 1, 1, 9, 0], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
    [
      "a transfer beyond",
      gpu.GPU_CMD_TRANSFER_TO_HOST_2D,
      [0, 5, 1, 2, 0, 0, 1, 0],
      gpu.GPU_RESP_ERR_INVALID_PARAMETER,
    ],
    ["no backing entries", gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [1, 0], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    [
      "entries that are missing",
      gpu.GPU_CMD_RESOURCE_ATTACH_BACKING,
      [1, 2, RAM_BASE, 0, 4, 0],
      gpu.GPU_RESP_ERR_INVALID_PARAMETER,
    ],
    ["too many entries", gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [1, 0xffff_ffff], gpu.GPU_RESP_ERR_INVALID_PARAMETER],
    ["backing that exists", gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [1, 1, RAM_BASE, 0, 4, 0], gpu.GPU_RESP_ERR_UNSPEC],
    ["nothing to detach from", gpu.GPU_CMD_RESOURCE_DETACH_BACKING, [9, 0], gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID],
  ];
  test.each(cases)("%s", (_, type, words, answer) => {
    const machine = new Gpu({ memoryLimit: 1 << 20 });
    machine.create(1, [[PIXELS, 240]]);
    expect(machine.run(type, words)).toBe(answer);
    expect([machine.driver.needsReset, machine.flushes, machine.device.pictureSize(0).width]).toEqual([false, [], 0]);
  });

  test("backing outside RAM, of no bytes, or none at all", () => {
    const machine = new Gpu();
    machine.run(gpu.GPU_CMD_RESOURCE_CREATE_2D, [1, 1, WIDTH, HEIGHT]);
    expect(machine.transfer(1, 0, 0, 1, 1)).toBe(gpu.GPU_RESP_ERR_UNSPEC);
    for (const entry of [
      [0, 0, 4, 0],
      [RAM_BASE, 1, 4, 0],
      [RAM_BASE, 0, 0xffff_ffff, 0],
      [RAM_BASE, 0, 0, 0],
    ])
      expect(machine.run(gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [1, 1, ...entry])).toBe(
        gpu.GPU_RESP_ERR_INVALID_PARAMETER,
      );
    machine.run(gpu.GPU_CMD_RESOURCE_ATTACH_BACKING, [1, 1, RAM_BASE + PIXELS, 0, 8, 0]);
    machine.driver.ram.fill(9, PIXELS, PIXELS + 240);
    // Two pixels of backing: the rest stays as it was; so does all that lies beyond 2^32.
    expect([machine.transfer(1, 0, 0, 4, 1), machine.transfer(1, 0, 1, 1, 1, 0xffff_fff0)]).toEqual([
      gpu.GPU_RESP_OK_NODATA,
      gpu.GPU_RESP_OK_NODATA,
    ]);
    machine.run(gpu.GPU_CMD_SET_SCANOUT, [0, 0, WIDTH, HEIGHT, 0, 1]);
    expect(picture(machine.device).filter((byte) => byte === 9).length).toBe(8);
    expect(machine.run(gpu.GPU_CMD_RESOURCE_DETACH_BACKING, [1, 0])).toBe(gpu.GPU_RESP_OK_NODATA);
    expect(machine.transfer(1, 0, 0, 1, 1)).toBe(gpu.GPU_RESP_ERR_UNSPEC);
  });

  test("the cursor queue", () => {
    const machine = new Gpu();
    const cursor = (type: number, words: number[]): number => machine.run(type, words, 1);
    machine.create(1, [[PIXELS, 240]]);
    expect(cursor(gpu.GPU_CMD_UPDATE_CURSOR, [0, 1, 2, 0])).toBe(gpu.GPU_RESP_ERR_INVALID_PARAMETER);
    expect(cursor(gpu.GPU_CMD_UPDATE_CURSOR, [7, 1, 2, 0, 0, 0, 0, 0])).toBe(gpu.GPU_RESP_ERR_INVALID_SCANOUT_ID);
    expect(cursor(gpu.GPU_CMD_UPDATE_CURSOR, [0, 1, 2, 0, 9, 0, 0, 0])).toBe(gpu.GPU_RESP_ERR_INVALID_RESOURCE_ID);
    expect(cursor(gpu.GPU_CMD_UPDATE_CURSOR, [0, 1, 2, 0, 1, 0, 0, 0])).toBe(gpu.GPU_RESP_ERR_INVALID_PARAMETER); // 64 x 64 needed
    expect(cursor(gpu.GPU_CMD_SET_SCANOUT, [0, 1, 2, 0, 0, 0, 0, 0])).toBe(gpu.GPU_RESP_ERR_UNSPEC);
    expect(cursor(gpu.GPU_CMD_MOVE_CURSOR, [0, 1, 2, 0, 0, 0, 0, 0])).toBe(gpu.GPU_RESP_OK_NODATA);
  });

  test("a fenced command's answer carries the fence, an error too", () => {
    const machine = new Gpu();
    expect(machine.run(0x777, [], 0, 1, 0x1234_5678)).toBe(gpu.GPU_RESP_ERR_UNSPEC);
    const word = (i: number): number => machine.driver.view.getUint32(RESPONSE + 4 * i, true);
    expect([word(1), word(2)]).toEqual([1, 0x1234_5678]);
    machine.run(0x777, [], 0, 0, 0x1234_5678);
    expect([word(1), word(2)]).toEqual([0, 0]);
  });
});

test("misuse by the host throws", () => {
  const screen: GpuScreen = { onFlush: () => {} };
  const many = Array.from({ length: 17 }, () => ({ width: 1, height: 1 }));
  for (const displays of [[], many]) expect(() => new GpuDevice({ screen, displays })).toThrow(RangeError);
});
