/**
 * What every program finds as [vvar] and [vdso]: a small shared object of the kernel's, with the clocks, and the code that
 * signal handlers return to (riscv has no SA_RESTORER). AT_SYSINFO_EHDR tells the C library where it is.
 *
 *   base         [vvar]   clock records (vvar.ts), read-only for programs
 *   base + 4096  [vdso]   the ELF image (scripts/gen-vdso.ts)
 *
 * All programs map the same two frames. The records change only when the wall clock is set, by one 64-bit store, so readers
 * need no sequence counter. A platform whose time CSR is unknown gets records of zeros: then the vDSO makes system calls.
 */
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
} from "linux-abi";
import type { AddressSpace } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import { findFree, mapRegion } from "../mm/mapping.ts";
import type { MemoryManager } from "../mm/memory-manager.ts";
import type { PageSource } from "../mm/page-source.ts";
import { VM_EXEC, VM_READ, VM_SPECIAL } from "../mm/vma.ts";
import { CLOCK_RESOLUTION_NS, type Clock, COARSE_NS } from "../time/clock.ts";
import { VDSO_IMAGE, VDSO_SIGRETURN } from "./vdso-image.gen.ts";
import { VVAR_OFFSET, VVAR_RECORD_SHIFT, VVAR_RESOLUTION, VVAR_SECOND, VVAR_TICK_NS } from "./vvar.ts";

/** One frame that lives as long as the kernel. */
class KernelPage implements PageSource {
  readonly ino = 0;
  readonly deviceNumber = 0;
  readonly frame: number;
  readonly #manager: MemoryManager;

  constructor(manager: MemoryManager) {
    this.#manager = manager;
    this.frame = manager.allocFrame(true);
    if (this.frame < 0) throw new RangeError("guest RAM is too small for the kernel");
  }

  page(): number {
    this.#manager.frames.get(this.frame);
    return this.frame;
  }

  sync(): number {
    return 0;
  }
}

export class Vdso {
  readonly #clock: Clock;
  readonly #manager: MemoryManager;
  readonly #image: KernelPage;
  readonly #clocks: KernelPage;

  constructor(manager: MemoryManager, clock: Clock) {
    this.#manager = manager;
    this.#clock = clock;
    this.#clocks = new KernelPage(manager);
    this.#image = new KernelPage(manager);
    const { frames } = manager;
    frames.words.set(VDSO_IMAGE, frames.wordIndex(this.#image.frame));
    if (clock.tickNs > 0) {
      this.#writeRecords();
      clock.whenSet.add(() => this.#writeRecords());
    }
  }

  #writeRecords(): void {
    const monotonic = this.#clock.monotonicAtTick0();
    const realtime = this.#clock.realtimeAtTick0();
    for (const id of [CLOCK_REALTIME, CLOCK_TAI]) this.#writeRecord(id, realtime, CLOCK_RESOLUTION_NS);
    this.#writeRecord(CLOCK_REALTIME_COARSE, realtime, COARSE_NS);
    for (const id of [CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME])
      this.#writeRecord(id, monotonic, CLOCK_RESOLUTION_NS);
    this.#writeRecord(CLOCK_MONOTONIC_COARSE, monotonic, COARSE_NS);
  }

  #writeRecord(id: number, offsetNs: bigint, resolutionNs: number): void {
    const { frames } = this.#manager;
    const at = frames.wordIndex(this.#clocks.frame) + ((id << VVAR_RECORD_SHIFT) >> 2);
    frames.words[at + (VVAR_OFFSET >> 2)] = Number(BigInt.asIntN(32, offsetNs));
    frames.words[at + (VVAR_OFFSET >> 2) + 1] = Number(BigInt.asIntN(32, offsetNs >> 32n));
    frames.words[at + (VVAR_TICK_NS >> 2)] = this.#clock.tickNs;
    frames.words[at + (VVAR_RESOLUTION >> 2)] = resolutionNs;
    frames.words[at + (VVAR_SECOND >> 2)] = 1_000_000_000;
  }

  /** Maps both pages; sets `space.vdso` and `space.signalReturn`. 0 or -errno. */
  map(space: AddressSpace): number {
    const base = findFree(space, 2 * PAGE_SIZE);
    if (base < 0) return base;
    const clocks = this.#mapPage(space, base, VM_READ, this.#clocks, "[vvar]");
    if (clocks < 0) return clocks;
    const image = this.#mapPage(space, base + PAGE_SIZE, VM_READ | VM_EXEC, this.#image, "[vdso]");
    if (image < 0) return image;
    space.vdso = image;
    space.signalReturn = image + VDSO_SIGRETURN;
    return 0;
  }

  #mapPage(space: AddressSpace, address: number, rights: number, source: PageSource, name: string): number {
    return mapRegion(space, {
      address,
      byteLength: PAGE_SIZE,
      flags: rights | VM_SPECIAL,
      fixed: true,
      source,
      file: null,
      pageOffset: 0,
      name,
    });
  }
}
