/** A transport without a device: RAM, a Hal over it, and answers that say nothing. Tests override what they need. */
import { ERR_TIMED_OUT, PAGE_SIZE, RamHal, type Transport } from "../src/index.ts";
import { FrameAllocator, RAM_BASE } from "./rig.ts";

const PAGES = 256;

export class StubTransport implements Transport {
  readonly deviceType: number;
  readonly isLegacy: boolean = false;
  readonly ram: Uint8Array = new Uint8Array(PAGES * PAGE_SIZE);
  readonly view: DataView = new DataView(this.ram.buffer);

  constructor(deviceType: number) {
    this.deviceType = deviceType;
  }

  /** A Hal over the RAM; `frames` by default hands out all of it. */
  hal(frames: Pick<FrameAllocator, "alloc" | "free"> = new FrameAllocator(PAGES, false)): RamHal {
    return new RamHal({
      bytes: this.ram,
      base: RAM_BASE,
      allocFrames: (count) => frames.alloc(count),
      freeFrames: (paddr, count) => frames.free(paddr, count),
      mapMmio: () => {
        throw new Error("not used");
      },
    });
  }

  readDeviceFeatures(_word: number): number {
    return 0;
  }
  writeDriverFeatures(): void {}
  maxQueueSize(): number {
    return 0;
  }
  notify(_queue: number): void {}
  getStatus(): number {
    return 0;
  }
  setStatus(_status: number): void {}
  queueSet(_queue: number, _size: number, _descriptors: number, _driverArea: number, _deviceArea: number): void {}
  queueUnset(): void {}
  queueReset(): number {
    return ERR_TIMED_OUT;
  }
  queueUsed(): boolean {
    return false;
  }
  ackInterrupt(): number {
    return 0;
  }
  readConfigGeneration(): number {
    return 0;
  }
  readConfig8(_offset: number): number {
    return 0;
  }
  readConfig16(_offset: number): number {
    return 0;
  }
  readConfig32(_offset: number): number {
    return 0;
  }
  writeConfig8(): number {
    return 0;
  }
  writeConfig32(): number {
    return 0;
  }
}
