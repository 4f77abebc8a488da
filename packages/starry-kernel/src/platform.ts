/**
 * What the kernel needs from the machine it runs on: RAM, one hart in hosted mode, MMIO, time, randomness, a log.
 *
 * Place: the only door between starry-kernel and the hardware column. Declared here because the kernel is the
 * consumer; rv64-cpu's `Hart` and virt-machine's board satisfy it structurally, and so can a test double.
 */

/** Guest RAM: one fixed range of physical addresses, visible as bytes. */
export interface GuestRam {
  /** Physical address of the first byte, e.g. 0x8000_0000. Page aligned. */
  readonly base: number;
  /** Bytes. Page aligned. */
  readonly size: number;
  /** RAM only: index = physical address − base. Never detached: the memory does not grow. */
  readonly bytes: Uint8Array;
  /** The same range as `bytes`. */
  readonly view: DataView;
}

/** `run()` stopped because the program trapped: see `trapCause`, `trapValue`; `pc` is the trapping instruction. */
export const STOP_TRAP = 1;
/** `run()` used up its instructions. */
export const STOP_FUEL = 2;
/** `run()` saw `requestStop()`. */
export const STOP_INTERRUPT = 3;

/** The same trap came back again and again although no instruction retired: the kernel's handling of it is wrong. */
export const STOP_TRAP_LOOP = 5;

/** A hart in hosted mode: it runs user code until something needs the kernel. */
export interface UserCpu {
  /** x0..x31, each as two int32: low half at 2n, high half at 2n + 1. Live state. */
  readonly x: Int32Array;
  /** f0..f31 in the same form. */
  readonly f: Int32Array;
  /** Floating-point control and status, 8 bits. */
  fcsr: number;
  pc: number;
  /** pc += byteLength, without the detour over a double. */
  advancePc(byteLength: number): void;
  /** Selects the Sv39 root table at physical page `rootPpn`. */
  setAddressSpace(rootPpn: number, asid: number): void;
  /** Forgets cached translations: of one page, of one address space, or all. */
  flushTlb(va?: number, asid?: number): void;
  /** fence.i */
  flushInstructions(): void;
  /** Somebody other than the hart wrote these bytes, or the frame is about to be reused: drop code decoded from it. */
  invalidateCode(paddr: number, byteLength: number): void;
  /** Runs at most `maxInstructions`; returns STOP_*. */
  run(maxInstructions: number): number;
  /** mcause code of the last trap (Priv. spec table "mcause values after trap"). */
  readonly trapCause: number;
  /** Faulting virtual address, or the bits of an illegal instruction. */
  readonly trapValue: number;
  /** Makes the current or next `run()` return STOP_INTERRUPT soon. Safe to call from a device's callback. */
  requestStop(): void;
  /** Instructions retired since the machine started. */
  readonly instret: number;
}

/** A window on device registers; offsets are relative to the window. */
export interface MmioRegion {
  read8(offset: number): number;
  read16(offset: number): number;
  /** Unsigned. */
  read32(offset: number): number;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface Platform {
  readonly ram: GuestRam;
  readonly cpu: UserCpu;
  /** Register window at a physical address. */
  mmio(paddr: number, byteLength: number): MmioRegion;
  /** An interrupt line of the hart (the PLIC's) is high. Read between `run()` slices. */
  irqPending(): boolean;
  /** Nanoseconds since an arbitrary start, never going back. Integer. */
  monotonicNs(): number;
  /**
   * Ticks per second of the hart's time CSR, which must count the same clock: time = floor(monotonicNs × timebaseHz / 10^9).
   * undefined: programs cannot read it, and make system calls instead.
   */
  readonly timebaseHz?: number;
  /** Nanoseconds since 1970, as a double (exact to about 0.25 µs). */
  realtimeNs(): number;
  /** Fills `buf` with random bytes (from a seed when the machine is deterministic). */
  fillRandom(buf: Uint8Array): void;
  /** The host operator's log, not the guest's console. `text` is one line without a newline. */
  log(level: LogLevel, text: string): void;
}
