/**
 * Drivers and devices that lie to each other: a real driver and a real device model, with somebody between them who changes bytes
 * of the rings, descriptors and headers in shared memory, and what registers read as.
 *
 *   "driver" lies   bytes change after the driver has written them, before the device is notified
 *   "device" lies   bytes change after the device has answered, before the driver looks; registers read as anything
 *
 * Whatever comes of it: no exception, no endless loop, results that are numbers or objects. A driver that gives up is released
 * and made anew on the same device.
 */
import {
  BalloonDevice,
  BlockDevice,
  ConsoleDevice,
  EntropyDevice,
  GpuDevice,
  InputDevice,
  KEYBOARD,
  MemoryFolder,
  NetDevice,
  P9Device,
  type VirtioModel,
  VsockDevice,
} from "virt-devices";
import {
  type Hal,
  isVirtioError,
  type MmioRegion,
  MmioTransport,
  PAGE_SIZE,
  P9Client,
  RamHal,
  type Transport,
  VirtIO9p,
  VirtIOBalloon,
  VirtIOBlk,
  VirtIOConsole,
  VirtIOGpu,
  VirtIOInput,
  VirtIONet,
  VirtIORng,
  VirtIOSocket,
} from "../src/index.ts";
import * as spec from "../src/spec.ts";
import { createRig, FrameAllocator, RAM_BASE, TestDisk } from "./rig.ts";

export type Liar = "driver" | "device";

/** Numbers in [0, n), the same for the same seed (xorshift32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  roll(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % n;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.roll(values.length)];
  }
}

/** A driver at work: `step` does something with it; `poke` makes the host do something to the device. */
interface Workload {
  readonly release: () => void;
  readonly step: (dice: Dice) => unknown;
}

interface Pair {
  readonly name: string;
  readonly model: (dice: Dice) => { readonly model: VirtioModel; readonly poke: () => void };
  readonly drive: (hal: Hal, transport: Transport) => Workload | number;
}

const OPTIONS = { maxPolls: 50 };
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const codec = {
  encode: (text: string): Uint8Array => new TextEncoder().encode(text),
  decode: (bytes: Uint8Array): string => new TextDecoder().decode(bytes),
};

/** Makes a workload of what a driver's `create` returned. */
function work<T extends { release(): void }>(
  driver: T | number,
  step: (driver: T, dice: Dice) => unknown,
): Workload | number {
  if (typeof driver === "number") return driver;
  return { release: () => driver.release(), step: (dice) => step(driver, dice) };
}

export const PAIRS: readonly Pair[] = [
  {
    name: "blk",
    model: () => {
      const disk = new TestDisk(256);
      const model = new BlockDevice({ backend: disk, queueCount: 2, queueSize: 16, sizeMax: 4096 });
      return { model, poke: () => model.resized() };
    },
    drive: (hal, transport) =>
      work(VirtIOBlk.create(hal, transport, { ...OPTIONS, queueCount: 2 }), (blk, dice) => {
        const buffer = new Uint8Array(512 * (1 + dice.roll(20)));
        switch (dice.roll(8)) {
          case 0:
            return blk.readBlocks(dice.roll(200), buffer);
          case 1:
            return blk.writeBlocks(dice.roll(200), buffer);
          case 2:
            return blk.flush() || blk.deviceId();
          case 3:
            return blk.discard(dice.roll(100), 8) || blk.writeZeroes(dice.roll(100), 8);
          case 4:
            return blk.handleInterrupt();
          case 5:
            return blk.cancelRequests();
          default: {
            const token = dice.roll(2) === 0 ? blk.readBlocksNb(dice.roll(200), buffer) : blk.writeBlocksNb(3, buffer);
            return token < 0 || dice.roll(3) === 0 ? token : blk.completeReadBlocks(token);
          }
        }
      }),
  },
  {
    name: "net",
    model: (dice) => {
      const model = new NetDevice({ backend: { send: () => {} }, mac: MAC });
      return { model, poke: () => void model.receive(new Uint8Array(14 + dice.roll(9000))) };
    },
    drive: (hal, transport) =>
      work(VirtIONet.create(hal, transport, { ...OPTIONS, receiveBuffers: 8 }), (net, dice) => {
        if (dice.roll(2) === 0) return net.receive(new Uint8Array(10_000));
        if (dice.roll(3) === 0) return net.setReceiveMode("promiscuous", true);
        return net.handleInterrupt() || net.send(new Uint8Array(14 + dice.roll(1500)));
      }),
  },
  {
    name: "console",
    model: () => {
      const model = new ConsoleDevice({
        onOutput: () => {},
        inputLimit: 1024,
        ports: [{ name: "p", onOutput: () => {} }],
      });
      return { model, poke: () => void (model.input(new Uint8Array(700)) + model.ports[1].input(new Uint8Array(9))) };
    },
    drive: (hal, transport) =>
      work(VirtIOConsole.create(hal, transport, OPTIONS), (console, dice) => {
        if (dice.roll(2) === 0) return console.read(new Uint8Array(1 + dice.roll(600)));
        const port = console.ports[1];
        if (port !== undefined && dice.roll(2) === 0)
          return console.setOpen(port, dice.roll(2) === 0) || port.write(MAC);
        return console.handleInterrupt() || console.write(new Uint8Array(dice.roll(5000)));
      }),
  },
  {
    name: "rng",
    model: () => ({ model: new EntropyDevice({ fillRandom: (target) => target.fill(3) }), poke: () => {} }),
    drive: (hal, transport) =>
      work(VirtIORng.create(hal, transport, OPTIONS), (rng, dice) =>
        rng.requestEntropy(new Uint8Array(dice.roll(5000))),
      ),
  },
  {
    name: "input",
    model: (dice) => {
      const model = new InputDevice(KEYBOARD);
      const poke = (): void => {
        model.event(1, dice.roll(200), 1);
        model.sync();
      };
      return { model, poke };
    },
    drive: (hal, transport) => {
      const event = { type: 0, code: 0, value: 0 };
      return work(VirtIOInput.create(hal, transport, OPTIONS), (input, dice) => {
        if (dice.roll(4) === 0) return [input.name(), input.codes(1), input.absInfo(0)];
        return dice.roll(2) === 0 ? input.nextEvent(event) : input.handleInterrupt() || input.sendStatus(0x11, 0, 1);
      });
    },
  },
  {
    name: "balloon",
    model: (dice) => {
      const model = new BalloonDevice({ onInflate: () => {}, onStats: () => {}, onFree: () => {} });
      const poke = (): void => {
        model.setTarget(dice.roll(100));
        model.requestStats();
      };
      return { model, poke };
    },
    drive: (hal, transport) =>
      work(VirtIOBalloon.create(hal, transport, OPTIONS), (balloon, dice) => {
        if (dice.roll(3) === 0) return balloon.setStats({ freeMemory: 5 });
        if (dice.roll(3) === 0) return balloon.reportFree(RAM_BASE + 0x10_0000, 4096);
        const pages = [RAM_BASE + 0x10_0000, RAM_BASE + 0x11_0000];
        return balloon.handleInterrupt() || (dice.roll(2) === 0 ? balloon.inflate(pages) : balloon.deflate(pages));
      }),
  },
  {
    name: "gpu",
    model: (dice) => {
      const model: GpuDevice = new GpuDevice({ screen: { onFlush: () => {} }, memoryLimit: 1 << 20 });
      return { model, poke: () => model.setDisplay(0, dice.roll(2000), 100) };
    },
    drive: (hal, transport) =>
      work(VirtIOGpu.create(hal, transport, OPTIONS), (gpu, dice) => {
        if (dice.roll(4) === 0) return gpu.setFramebuffer(1 + dice.roll(40), 1 + dice.roll(40));
        if (dice.roll(4) === 0) return gpu.setCursor(new Uint8Array(64 * 64 * 4), 0, 0);
        if (dice.roll(4) === 0) return [gpu.displays(), gpu.handleInterrupt()];
        return gpu.flush(0, 0, 1 + dice.roll(4), 1);
      }),
  },
  {
    name: "vsock",
    model: () => {
      const model = new VsockDevice({ guestCid: 42 });
      model.listen(1, (socket) => ({ onData: (bytes) => socket.write(bytes) }));
      return { model, poke: () => void model.dial(80, {}) };
    },
    drive: (hal, transport) => {
      let connection: ReturnType<VirtIOSocket["connect"]> = -10013;
      return work(VirtIOSocket.create(hal, transport, OPTIONS), (socket, dice) => {
        socket.listen(80);
        if (dice.roll(3) === 0) return socket.handleInterrupt();
        if (dice.roll(3) === 0) return socket.accept(80)?.shutdown();
        if (isVirtioError(connection) || connection.state === "closed") connection = socket.connect(1);
        if (isVirtioError(connection)) return connection;
        return dice.roll(2) === 0
          ? connection.write(new Uint8Array(dice.roll(3000)))
          : connection.read(new Uint8Array(4000));
      });
    },
  },
  {
    name: "9p",
    model: () => {
      const now = (): { seconds: number; nanoseconds: number } => ({ seconds: 1, nanoseconds: 0 });
      const folder = new MemoryFolder({ now, capacity: 1 << 20, files: { f: new Uint8Array(3000), "d/e": MAC } });
      return { model: new P9Device({ folder, tag: "t", now }), poke: () => {} };
    },
    drive: (hal, transport) => {
      let client: P9Client | number = -1;
      return work(VirtIO9p.create(hal, transport, { ...OPTIONS, maxMessage: 8192 }), (p9, dice) => {
        if (typeof client === "number") client = P9Client.mount(p9, codec);
        if (typeof client === "number") return client;
        const fid = client.walk(0, [dice.pick(["f", "d"])]);
        if (fid < 0) return fid;
        const name = `n${dice.roll(20)}`;
        const results = [
          client.open(fid, 2),
          client.read(fid, new Uint8Array(4000), 0),
          client.write(fid, MAC, dice.roll(99)),
        ];
        return [
          ...results,
          client.stat(fid),
          client.readDirectory(fid),
          client.makeDirectory(0, name, 0o755),
          client.clunk(fid),
        ];
      });
    },
  },
];

/** Values that break assumptions more often than chance would. */
const INTERESTING = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  15,
  16,
  17,
  0x80,
  0xff,
  0x7fff,
  0x8000,
  0xffff,
  0x7fff_ffff,
  0xffff_ffff,
  RAM_BASE,
];

/**
 * Runs one pair until `mutations` words were changed. Returns how many results were errors, of how many. Throws if a step throws
 * or takes more than `stepMs` milliseconds.
 */
export function runMutations(
  pair: Pair,
  liar: Liar,
  mutations: number,
  seed: number,
  nowMs: () => number,
  stepMs: number = 5000,
): { readonly steps: number; readonly faults: number } {
  const dice = new Dice(seed);
  let left = mutations;
  let steps = 0;
  let faults = 0;
  while (left > 0) {
    const mmio = {
      packed: dice.roll(2) === 0,
      inOrder: dice.roll(3) === 0,
      indirect: dice.roll(3) !== 0,
      eventIdx: dice.roll(2) === 0,
      notificationData: dice.roll(4) === 0,
    };
    const { model, poke } = pair.model(dice);
    const machine = new LyingMachine(model, mmio, liar, dice);
    // Several lives of the driver on one device, so that the device's state grows old too.
    for (let life = 0; life < 8 && left > 0; life++) {
      machine.isLying = false;
      const transport = MmioTransport.create(machine.region);
      if (isVirtioError(transport)) throw new Error(`${pair.name}: ${transport}`);
      machine.isLying = dice.roll(4) === 0; // sometimes from the first register on
      const workload = pair.drive(machine.hal, transport);
      machine.isLying = true;
      for (let i = 0; i < 40 && left > 0 && typeof workload !== "number"; i++) {
        const before = machine.changed;
        const started = nowMs();
        if (dice.roll(3) === 0) poke();
        workload.step(dice);
        steps++;
        const took = nowMs() - started;
        if (took > stepMs) throw new Error(`${pair.name}, ${liar} lies, seed ${seed}: a step took ${took} ms`);
        left -= machine.changed - before;
        if (machine.resets > 0) break;
      }
      if (machine.resets > 0) faults++;
      left--; // so that it ends, whatever a driver does
      if (typeof workload !== "number") workload.release();
      machine.resets = 0;
    }
  }
  return { steps, faults };
}

/** RAM, a device, and what lies between it and its driver. */
class LyingMachine {
  readonly region: MmioRegion;
  readonly hal: RamHal;
  /** Words changed so far. */
  changed = 0;
  /** Times that the driver reset the device while it was lied to. */
  resets = 0;
  isLying = false;
  readonly #view: DataView;
  readonly #dice: Dice;
  /** Where queues and headers lie: what the driver allocated, as RAM offsets. */
  #areas: [start: number, length: number][] = [];

  constructor(model: VirtioModel, mmio: object, liar: Liar, dice: Dice) {
    const pages = 512;
    const rig = createRig(model, { mmio, pages });
    const frames = new FrameAllocator(pages, false);
    this.#view = new DataView(rig.ram.buffer);
    this.#dice = dice;
    const inner = rig.region;
    const read = (offset: number, value: number): number => {
      const isVolatile = offset >= 0x100 || [0x34, 0x44, 0x60, 0x70, 0xfc].includes(offset);
      if (liar !== "device" || !this.isLying || !isVolatile || dice.roll(60) !== 0) return value;
      this.changed++;
      return offset >= 0x100 ? dice.pick(INTERESTING) & 0xff : dice.pick(INTERESTING);
    };
    this.region = {
      ...inner,
      read8: (offset) => read(offset, inner.read8(offset)) & 0xff,
      read16: (offset) => read(offset, inner.read16(offset)) & 0xffff,
      read32: (offset) => read(offset, inner.read32(offset)),
      write32: (offset, value) => {
        if (offset === spec.MMIO_STATUS && value === 0 && this.isLying) this.resets++;
        const isNotify = offset === spec.MMIO_QUEUE_NOTIFY && this.isLying;
        if (isNotify && liar === "driver") this.#lie();
        inner.write32(offset, value);
        if (isNotify && liar === "device") this.#lie();
      },
    };
    this.hal = new RamHal({
      bytes: rig.ram,
      base: RAM_BASE,
      allocFrames: (count) => {
        const paddr = frames.alloc(count);
        if (paddr >= 0) this.#areas.push([paddr - RAM_BASE, count * PAGE_SIZE]);
        return paddr;
      },
      freeFrames: (paddr, count) => {
        this.#areas = this.#areas.filter(([start]) => start !== paddr - RAM_BASE);
        frames.free(paddr, count);
      },
      mapMmio: () => this.region,
    });
  }

  /** Changes a few words in shared memory, most of them near the start of an area, where rings and headers are. */
  #lie(): void {
    const dice = this.#dice;
    for (let count = dice.roll(3); count > 0 && this.#areas.length > 0; count--) {
      const [start, length] = dice.pick(this.#areas);
      const span = dice.roll(3) === 0 ? length : Math.min(length, 320);
      const at = start + dice.roll(span / 2) * 2;
      const value = dice.roll(3) === 0 ? dice.roll(0xffff_ffff) : dice.pick(INTERESTING);
      if (dice.roll(2) === 0 || at + 4 > this.#view.byteLength) this.#view.setUint16(at, value & 0xffff, true);
      else this.#view.setUint32(at, value, true);
      this.changed++;
    }
  }
}
