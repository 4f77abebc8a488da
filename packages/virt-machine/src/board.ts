/**
 * The board: RAM, one hart, and the devices of QEMU's `virt` at their addresses, wired together.
 *
 *   const board = createBoard({ memorySize: 256 << 20, disks: [{ backend }], onOutput, clock, fillRandom });
 *   const kernel = new Kernel({ platform: board.platform() });
 *   const running = runLoop((budget) => kernel.step(budget), loopHost(globalThis), board.loopOptions());
 *   board.onInterrupt = running.wake;
 *
 * Interrupt wires end in `pins`, the bits of `mip`. A raised pin stops the hart's current slice and calls `onInterrupt`.
 * Nothing here runs by itself: time-driven lines follow in `poll`, which the run loop calls after each step.
 */
import { createGuestRam, Hart, type HartOptions, type HartRam } from "rv64-cpu";
import {
  BlockDevice,
  type BlockDeviceOptions,
  Clint,
  ConsoleDevice,
  type ConsoleDeviceOptions,
  EmptyVirtioSlot,
  EntropyDevice,
  type Finish,
  GoldfishRtc,
  type IrqLine,
  type MmioDevice,
  Plic,
  TestFinisher,
  Uart16550,
  VirtioMmio,
  type VirtioMmioOptions,
  type VirtioModel,
} from "virt-devices";
import { Bus, type MmioWindow } from "./bus.ts";
import type { Clock } from "./clock.ts";
import { buildVirtDeviceTree } from "./device-tree.ts";
import {
  CLINT_BASE,
  MEMORY_MAP,
  PLIC_BASE,
  RTC_BASE,
  RTC_IRQ,
  TEST_FINISHER_BASE,
  UART0_BASE,
  UART0_IRQ,
  VIRTIO_BASE,
  VIRTIO_IRQ,
  VIRTIO_SLOTS,
  VIRTIO_STRIDE,
} from "./memory-map.ts";
import type { RunLoopOptions } from "./run-loop.ts";
import { readSnapshot, writeSnapshot } from "./snapshot.ts";

// Bits of mip, RISC-V Priv. 3.1.9
export const MIP_MSIP: number = 1 << 3;
export const MIP_MTIP: number = 1 << 7;
export const MIP_SEIP: number = 1 << 9;
export const MIP_MEIP: number = 1 << 11;

const NS_PER_TICK = 100; // 10 MHz
/** Reading a host's clock costs about 50 ns; a hundred instructions pass in two or three ticks. */
const TIME_REUSE = 100;

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A disk: its storage, and what virt-devices' `BlockDevice` can be told about it. */
export type DiskOptions = BlockDeviceOptions;

/** Ring features that a virtio device offers. */
export type VirtioRingOptions = Pick<
  VirtioMmioOptions,
  "indirect" | "eventIdx" | "packed" | "inOrder" | "notificationData" | "ringReset"
>;

export interface BoardOptions {
  /** Bytes of RAM, a multiple of 4096. */
  readonly memorySize: number;
  /** Disks, in virtio slots from 0 on. */
  readonly disks?: readonly DiskOptions[];
  /** Receives what the guest writes to the UART. `bytes` is reused: copy what you keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** After `input` took fewer bytes than it was given: there is room again. */
  readonly onInputRoom?: () => void;
  /** Adds a virtio console with its own output. Default: none. */
  readonly virtioConsole?: ConsoleDeviceOptions;
  /** More virtio devices, in the slots behind disks, entropy source and console: network, 9P, GPU ... Default: none. */
  readonly devices?: readonly VirtioModel[];
  /** Ring features of all virtio devices. Default: what `VirtioMmio` offers by itself. */
  readonly virtioRings?: VirtioRingOptions;
  readonly clock: Clock;
  /** Fills a buffer with random bytes, of a seeded source if the machine shall be deterministic. */
  readonly fillRandom: (target: Uint8Array) => void;
  /** The operator's log. Default: dropped. */
  readonly log?: (level: LogLevel, text: string) => void;
  /** Compiles hot guest code: `createJit()` of rv64-cpu/jit. Default: the hart interprets. */
  readonly compiler?: NonNullable<HartOptions["compiler"]>;
  /** Kernel command line in the device tree. Default "". */
  readonly bootArgs?: string;
  /** The guest powered off or rebooted through the test finisher. */
  readonly onFinish?: (finish: Finish) => void;
}

/** What starry-kernel asks from the machine below it (structurally its `Platform`). */
export interface BoardPlatform {
  readonly ram: HartRam;
  readonly cpu: Hart;
  mmio(paddr: number, byteLength: number): MmioWindow;
  irqPending(): boolean;
  monotonicNs(): number;
  /** Of the hart's time CSR. */
  readonly timebaseHz: number;
  realtimeNs(): number;
  fillRandom(buf: Uint8Array): void;
  log(level: LogLevel, text: string): void;
}

export class Board {
  readonly ram: HartRam;
  readonly hart: Hart;
  readonly bus: Bus = new Bus();
  readonly clock: Clock;
  readonly plic: Plic;
  readonly clint: Clint;
  readonly uart: Uart16550;
  readonly rtc: GoldfishRtc;
  /** Disks by slot. */
  readonly disks: readonly BlockDevice[];
  readonly console: ConsoleDevice | undefined;
  /** The transports in use, by slot. */
  readonly virtio: readonly VirtioMmio[];
  readonly deviceTree: Uint8Array;
  /** Interrupt pins of the hart that are high, as bits of `mip`. */
  pins = 0;
  /** Called when a pin rises; the run loop's `wake` belongs here. */
  onInterrupt: () => void = () => {};
  /** How the guest ended the machine; null while it runs. */
  finish: Finish | null = null;
  readonly #options: BoardOptions;

  constructor(options: BoardOptions) {
    const { clock } = options;
    this.#options = options;
    this.clock = clock;
    this.ram = createGuestRam({ size: options.memorySize });
    const nowTicks = (): number => Math.floor(clock.monotonicNs() / NS_PER_TICK);
    this.hart = new Hart({
      ram: this.ram,
      bus: this.bus,
      timeSource: nowTicks,
      timeReuse: clock.isVirtual ? 0 : TIME_REUSE,
      ...(options.compiler && { compiler: options.compiler }),
    });
    clock.attach?.(() => this.hart.instret);
    this.plic = new Plic([this.#pin(MIP_MEIP), this.#pin(MIP_SEIP)]);
    this.clint = new Clint({ harts: [{ software: this.#pin(MIP_MSIP), timer: this.#pin(MIP_MTIP) }], nowTicks });
    this.uart = new Uart16550({
      irq: this.plic.line(UART0_IRQ),
      onOutput: options.onOutput,
      onInputRoom: options.onInputRoom ?? ((): void => {}),
    });
    this.rtc = new GoldfishRtc({ irq: this.plic.line(RTC_IRQ), realtimeNs: () => clock.realtimeNs() });

    this.disks = (options.disks ?? []).map((disk) => new BlockDevice(disk));
    this.console = options.virtioConsole && new ConsoleDevice(options.virtioConsole);
    const models: VirtioModel[] = [...this.disks, new EntropyDevice({ fillRandom: options.fillRandom })];
    if (this.console !== undefined) models.push(this.console);
    models.push(...(options.devices ?? []));
    if (models.length > VIRTIO_SLOTS) {
      throw new RangeError(`"disks" and "devices" expected at most ${VIRTIO_SLOTS} slots in all, got ${models.length}`);
    }
    this.virtio = models.map((model, slot) => this.#transport(model, slot));
    this.#mapDevices();
    const rngSeed = new Uint8Array(32);
    options.fillRandom(rngSeed);
    this.deviceTree = buildVirtDeviceTree({
      memorySize: options.memorySize,
      bootArgs: options.bootArgs ?? "",
      rngSeed,
    });
  }

  /** Types `bytes` into the UART. Returns how many were taken. */
  input(bytes: Uint8Array): number {
    return this.uart.input(bytes);
  }

  /** Brings what depends on time up to date and hands out collected console output. */
  poll(): void {
    this.clint.update();
    this.rtc.update();
    this.uart.flush();
  }

  /** What runLoop needs to know of the board. */
  loopOptions(): Pick<RunLoopOptions, "afterStep" | "isHalted" | "clock"> {
    return { afterStep: () => this.poll(), isHalted: () => this.finish !== null, clock: this.clock };
  }

  /** The machine as a hosted kernel sees it. */
  platform(): BoardPlatform {
    const { clock, bus } = this;
    return {
      ram: this.ram,
      cpu: this.hart,
      mmio: (paddr, byteLength) => bus.window(paddr, byteLength),
      irqPending: () => (this.pins & (MIP_SEIP | MIP_MEIP)) !== 0,
      monotonicNs: () => clock.monotonicNs(),
      timebaseHz: 1_000_000_000 / NS_PER_TICK,
      realtimeNs: () => clock.realtimeNs(),
      fillRandom: (buf) => this.#options.fillRandom(buf),
      log: (level, text) => this.#options.log?.(level, text),
    };
  }

  /**
   * RAM, user-visible registers and device state as bytes, to `restore` on a board made with the same options. The
   * contents of disks, and what a hosted kernel keeps outside RAM, are not part of it.
   */
  snapshot(): Uint8Array {
    const { hart } = this;
    return writeSnapshot(this.ram.bytes, {
      hart: { x: Array.from(hart.x), f: Array.from(hart.f), pc: hart.pc, fcsr: hart.fcsr },
      plic: this.plic.save(),
      clint: this.clint.save(),
      uart: this.uart.save(),
      rtc: this.rtc.save(),
      virtio: this.virtio.map((device) => device.save()),
    });
  }

  /** Throws RangeError if `bytes` is no snapshot of such a board. */
  restore(bytes: Uint8Array): void {
    const state = readSnapshot(bytes, this.ram.bytes, this.virtio.length);
    this.hart.x.set(state.hart.x);
    this.hart.f.set(state.hart.f);
    this.hart.pc = state.hart.pc;
    this.hart.fcsr = state.hart.fcsr;
    this.hart.flushTlb();
    this.hart.flushInstructions();
    this.clint.restore(state.clint);
    this.uart.restore(state.uart);
    this.rtc.restore(state.rtc);
    for (let i = 0; i < this.virtio.length; i++) this.virtio[i].restore(state.virtio[i]);
    this.plic.restore(state.plic); // last: what the devices' lines did above is in it already
  }

  #pin(bit: number): IrqLine {
    return {
      raise: (): void => {
        if ((this.pins & bit) !== 0) return;
        this.pins |= bit;
        this.hart.requestStop();
        this.onInterrupt();
      },
      lower: (): void => {
        this.pins &= ~bit;
      },
    };
  }

  #transport(model: VirtioModel, slot: number): VirtioMmio {
    const { ram, hart } = this;
    return new VirtioMmio(model, {
      memory: {
        bytes: ram.bytes,
        base: ram.base,
        size: ram.size,
        didWrite: (paddr, byteLength) => hart.invalidateCode(paddr, byteLength),
      },
      irq: this.plic.line(VIRTIO_IRQ + slot),
      onGuestError: (message) => this.#options.log?.("warn", message),
      ...this.#options.virtioRings,
    });
  }

  #mapDevices(): void {
    const finisher = new TestFinisher((finish) => {
      this.finish = finish;
      this.hart.requestStop();
      this.#options.onFinish?.(finish);
    });
    const devices = new Map<number, MmioDevice>([
      [TEST_FINISHER_BASE, finisher],
      [RTC_BASE, this.rtc],
      [CLINT_BASE, this.clint],
      [PLIC_BASE, this.plic],
      [UART0_BASE, this.uart],
      ...this.virtio.map((device, slot) => [VIRTIO_BASE + slot * VIRTIO_STRIDE, device] as const),
    ]);
    for (const { name, base, size } of MEMORY_MAP)
      this.bus.add(name, base, size, devices.get(base) ?? new EmptyVirtioSlot());
  }
}

/** Builds a board. Throws RangeError for options outside their ranges. */
export function createBoard(options: BoardOptions): Board {
  return new Board(options);
}
