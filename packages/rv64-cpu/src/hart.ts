/**
 * The hart: registers, run loop and the seam to whoever owns the machine.
 *
 * Hosted mode: guest code runs in user mode, and `run()` returns every trap to its caller (a kernel in JavaScript).
 *
 *   hart.setAddressSpace(rootPpn, asid); hart.pc = entry;
 *   for (;;) {
 *     const stop = hart.run(budget);
 *     if (stop === STOP_TRAP && hart.trapCause === CAUSE_ECALL_U) { syscall(hart.x); hart.pc += 4; }
 *     ...
 *   }
 *
 * The border allocates nothing: registers are int32 pairs in the hart's memory, and traps are read from slots of it.
 */
import { CodeCache } from "./code-cache.ts";
import { CSR_WORDS, CsrFile, SYSTEM_DONE, SYSTEM_ILLEGAL, SYSTEM_WAIT } from "./csr-file.ts";
import { FpUnit } from "./fp/unit.ts";
import { createJsInterpreter } from "./interp/js-runtime.ts";
import { EXIT_TRAP, type InterpreterImports } from "./interp/contract.ts";
import { buildInterpreter } from "./interp/wasm-interpreter.ts";
import { CAUSE_ILLEGAL_INSTRUCTION } from "./isa/causes.ts";
import { type DeviceBus, Mmu } from "./mmu.ts";
import type { HartRam } from "./ram.ts";
import {
  STATE_END,
  STATE_F,
  STATE_FFLAGS,
  STATE_FRM,
  STATE_FUEL,
  STATE_PC,
  STATE_RESERVATION,
  STATE_TLB,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  STATE_X,
  TLB_BANKS,
} from "./state.ts";

/** The guest trapped: trapCause, trapValue and pc tell. */
export const STOP_TRAP = 1;
/** The instruction budget is used up. */
export const STOP_FUEL = 2;
/** requestStop() was called. */
export const STOP_INTERRUPT = 3;
/** Architectural mode: the hart waits for an interrupt (WFI) and none is pending. Call run() again after one is. */
export const STOP_WFI = 4;
/** The same trap came back {@link TRAP_LOOP_LIMIT} times and no instruction retired in between. */
export const STOP_TRAP_LOOP = 5;

/** Identical traps without progress after which the hart gives up. */
export const TRAP_LOOP_LIMIT = 10_000;

/** In architectural mode interrupts are looked for this often. */
const SHORT_SLICE = 100_000;
/** V8 has no on-stack replacement for wasm: a longer stay would keep the loop in its first, slow compilation. */
const SLICE = 1_000_000;

export interface HartOptions {
  /** Memory for the hart's state and RAM, from createGuestRam. One hart per memory. */
  readonly ram: HartRam;
  /** The `time` CSR: ticks at 10 MHz, up to 2^53. Default: retired instructions / 100. */
  readonly timeSource?: () => number;
  /**
   * Hosted mode: reads of the `time` CSR within so many instructions of one run() use one reading of the time source, which
   * may be slow beside a tick. Default 0: each read asks.
   */
  readonly timeReuse?: number;
  /**
   * "hosted" (default): user mode only, run() returns every trap. "architectural": starts in machine mode at the base
   * of RAM, traps and interrupts vector through mtvec and stvec.
   */
  readonly mode?: "hosted" | "architectural";
  /**
   * What executes instructions: "wasm", or "js" (30 times slower), which needs no run-time compilation. Default: wasm,
   * or js where the environment forbids to compile WebAssembly.
   */
  readonly backend?: "wasm" | "js";
  /** Compiles hot code: `createJit()` of rv64-cpu/jit. One per hart; wasm back end only. Default: interpret all. */
  readonly compiler?: HartCompiler;
  /** mhartid. Default 0. */
  readonly hartId?: number;
  /** What answers outside RAM. Default: access faults. */
  readonly bus?: DeviceBus;
}

// A saved state: magic with version, flags, instret, the state area, the CSRs.
const SAVED_MAGIC = 0x0002_5672;
const SAVED_HEADER = 16;
/** The architectural part of the state area lies in front of STATE_TLB; the rest is derived. */
const SAVED_STATE: number = STATE_TLB;
const SAVED_BYTES: number = SAVED_HEADER + SAVED_STATE + CSR_WORDS * 4;

/** What a compiler of hot code gets to work with. Internal: its shape may change in any release. */
export interface CompilerHost {
  readonly ram: HartRam;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly imports: InterpreterImports;
  readonly table: WebAssembly.Table;
  /** `stub`, `lookup` and the internal functions of the interpreter module. */
  readonly exports: WebAssembly.Exports;
  readonly floatGate: boolean;
}

/** The seam to `rv64-cpu/jit`. */
export interface HartCompiler {
  /** Entries of the function table that it needs. */
  readonly tableSize: number;
  /** Times that a jump is taken before it is reported as hot: a power of two up to 32768. */
  readonly hotCount: number;
  attach(host: CompilerHost): void;
  /** The address was jumped to often. 1: compilePending should be called soon. */
  hot(pcLo: number, pcHi: number): number;
  /** Instructions until the next call of `sample`. */
  readonly sampleInterval: number;
  /** `sampleInterval` instructions after the last call: the hart is at this address. Nothing compiled is on the stack. */
  sample(pcLo: number, pcHi: number, instret: number): void;
  /** Called between slices, when nothing compiled is on the stack. */
  compilePending(instret: number): void;
}

type RunFunction = (fuel: number) => number;

export class Hart {
  /** x0..x31 as lo, hi int32 pairs: live state. x0 reads as zero; never write it. */
  readonly x: Int32Array;
  /** f0..f31 as lo, hi int32 pairs; singles are NaN-boxed. */
  readonly f: Int32Array;
  readonly ram: HartRam;
  readonly #i32: Int32Array;
  readonly #code: CodeCache;
  readonly #mmu: Mmu;
  readonly #fp: FpUnit;
  readonly #csrs: CsrFile;
  readonly #run: RunFunction;
  #instret = 0;
  /** Fuel given to the current wasm call, 0 outside. */
  #slice = 0;
  #stopRequested = false;
  readonly #architectural: boolean;
  readonly #compiler: HartCompiler | null;
  #waiting = false;
  /** Instructions per call of the interpreter. */
  readonly #longest: number;
  /** Retired instructions when the compiler is told next where the hart is. */
  #nextSample: number;
  // The last trap, for loop detection.
  #lastCause = -1;
  #lastPc = 0;
  #lastValue = 0;
  #lastInstret = -1;
  #repeats = 0;

  /** @throws TypeError if `ram` was not made by createGuestRam. */
  constructor(options: HartOptions) {
    const { ram } = options;
    if (!Number.isInteger(ram?.codeMapOffset)) throw new TypeError('"ram" expected the result of createGuestRam');
    this.ram = ram;
    const { buffer } = ram.memory;
    this.#i32 = new Int32Array(buffer, 0, STATE_END >> 2);
    this.x = new Int32Array(buffer, STATE_X, 64);
    this.f = new Int32Array(buffer, STATE_F, 64);
    this.#code = new CodeCache(ram);
    this.#mmu = new Mmu(ram, this.#code, options.bus ?? null);
    this.#fp = new FpUnit(buffer);
    this.#architectural = options.mode === "architectural";
    this.#mmu.select(0, -2, -1, true, false, false);
    this.pc = ram.base;
    this.#csrs = new CsrFile(this.#i32, this.#fp, this.#mmu, {
      architectural: this.#architectural,
      hartId: options.hartId ?? 0,
      time: options.timeSource ?? ((): number => Math.floor(this.instret / 100)),
      timeReuse: options.timeReuse ?? 0,
      retired: () => this.#retiredInside(),
    });
    this.#compiler = options.compiler ?? null;
    this.#longest = this.#architectural ? SHORT_SLICE : SLICE;
    this.#nextSample = this.#compiler?.sampleInterval ?? Infinity;
    this.#run = this.#instantiate(options.backend);
  }

  #instantiate(backend: "wasm" | "js" | undefined): RunFunction {
    const mmu = this.#mmu;
    const code = this.#code;
    const compiler = this.#compiler;
    const imports: InterpreterImports = {
      fetch: (lo, hi) => mmu.fetch(lo, hi),
      decode: (record, page) => code.decode(record, page),
      cross: (lo, hi) => mmu.cross(lo, hi),
      load: (lo, hi, mode) => mmu.load(lo, hi, mode),
      store: (lo, hi, mode) => mmu.store(lo, hi, mode),
      fp: (id, bits) => (this.#fp.execute(id, bits) ? 0 : this.#illegal(bits)),
      system: (bits) => this.#system(bits),
      off: (lo, hi) => {
        this.#illegal(mmu.instructionBits(lo, hi));
      },
      hot: (lo, hi) => compiler?.hot(lo, hi) ?? 0,
    };
    const { memory } = this.ram;
    if (backend === "js") return createJsInterpreter(memory.buffer, imports);
    const floatGate = this.#architectural;
    const tableSize = compiler?.tableSize ?? 1;
    try {
      const module = new WebAssembly.Module(
        buildInterpreter({ ram: this.ram, floatGate, hotCount: compiler?.hotCount ?? 0, tableSize }),
      );
      const table = new WebAssembly.Table({ element: "anyfunc", initial: tableSize, maximum: tableSize });
      const instance = new WebAssembly.Instance(module, { e: { ...imports, memory, table } });
      compiler?.attach({
        ram: this.ram,
        mmu,
        code,
        imports,
        table,
        exports: instance.exports,
        floatGate,
      });
      return instance.exports.run as RunFunction;
    } catch (error) {
      // A content security policy without wasm-unsafe-eval shows as a CompileError.
      if (backend === "wasm" || (error as Error).name !== "CompileError") throw error;
      return createJsInterpreter(memory.buffer, imports);
    }
  }

  /** The wasm import: 0 go on, 1 trap, 2 leave. */
  #system(bits: number): number {
    const result = this.#csrs.execute(bits);
    if (result === SYSTEM_ILLEGAL) return this.#illegal(bits);
    if (result === SYSTEM_WAIT) this.#waiting = true;
    return result === SYSTEM_DONE ? 0 : 2;
  }

  #illegal(bits: number): number {
    this.#i32[STATE_TRAP_CAUSE >> 2] = CAUSE_ILLEGAL_INSTRUCTION;
    this.#i32[STATE_TRAP_VALUE >> 2] = bits;
    this.#i32[(STATE_TRAP_VALUE >> 2) + 1] = 0;
    return 1;
  }

  /** Address of the next instruction; after STOP_TRAP, of the one that trapped. Upper-half addresses are negative. */
  get pc(): number {
    return this.#get64(STATE_PC);
  }
  set pc(address: number) {
    this.#i32[STATE_PC >> 2] = address | 0;
    this.#i32[(STATE_PC >> 2) + 1] = Math.floor(address / 0x1_0000_0000);
  }

  /** pc += byteLength (at most 2^31): past an instruction that the caller has executed. */
  advancePc(byteLength: number): void {
    const i32 = this.#i32;
    const lo = i32[STATE_PC >> 2];
    const sum = (lo + byteLength) | 0;
    i32[STATE_PC >> 2] = sum;
    if (sum >>> 0 < lo >>> 0) i32[(STATE_PC >> 2) + 1]++;
  }

  /** The fcsr: rounding mode in bits 7:5, accrued flags in 4:0. */
  get fcsr(): number {
    return (this.#i32[STATE_FRM >> 2] << 5) | this.#i32[STATE_FFLAGS >> 2];
  }
  set fcsr(value: number) {
    this.#i32[STATE_FRM >> 2] = (value >> 5) & 7;
    this.#i32[STATE_FFLAGS >> 2] = value & 31;
    this.#fp.updateMode();
  }

  /** Cause of the last trap (CAUSE_*). */
  get trapCause(): number {
    return this.#i32[STATE_TRAP_CAUSE >> 2];
  }
  /** Its value: a virtual address (negative in the upper half), or the bits of an illegal instruction. */
  get trapValue(): number {
    return this.#get64(STATE_TRAP_VALUE);
  }
  /** Instructions retired so far. */
  get instret(): number {
    return this.#slice === 0 ? this.#instret : this.#retiredInside();
  }

  #get64(offset: number): number {
    const i32 = this.#i32;
    return i32[(offset >> 2) + 1] * 0x1_0000_0000 + (i32[offset >> 2] >>> 0);
  }
  /** Retired instructions while a system instruction executes: it has left its fuel in the state. */
  #retiredInside(): number {
    return this.#instret + this.#slice - this.#i32[STATE_FUEL >> 2];
  }

  /**
   * Translates by the Sv39 table at physical page `rootPpn` from now on.
   * @param asid 0..65535. Entries of other ASIDs survive; call flushTlb when a mapping is removed or changed.
   */
  setAddressSpace(rootPpn: number, asid: number): void {
    if (!Number.isSafeInteger(rootPpn) || rootPpn < 0)
      throw new RangeError(`"rootPpn" expected page number, got ${rootPpn}`);
    this.#mmu.select(asid % TLB_BANKS, rootPpn * 65536 + asid, rootPpn, true, false, false);
    this.#i32[STATE_RESERVATION >> 2] = -1;
    this.#i32[(STATE_RESERVATION >> 2) + 1] = -1;
  }

  /** sfence.vma: forgets the translation of the page of `va`, or all. `asid` is accepted and may be ignored. */
  flushTlb(va?: number, _asid?: number): void {
    if (va === undefined) this.#mmu.flushAll();
    else this.#mmu.flushPage(va | 0);
  }

  /** fence.i after host writes that were not announced by invalidateCode: forgets all decoded code. */
  flushInstructions(): void {
    this.#code.dropAll();
  }

  /** The host changed these bytes of RAM, or gave the frame to another use. */
  invalidateCode(paddr: number, byteLength: number): void {
    const start = paddr - this.ram.base;
    const end = Math.min(start + byteLength, this.ram.size);
    for (let at = Math.max(start, 0); at < end; at = (Math.floor(at / 4096) + 1) * 4096) {
      const frame = Math.floor(at / 4096);
      if (!this.#code.hasCode(frame)) continue;
      if (at % 4096 === 0 && end - at >= 4096) this.#code.dropFrame(frame);
      else this.#code.clear(frame, at % 4096, Math.min(end - at, 4096 - (at % 4096)));
    }
  }

  /** Address translations that missed the TLB and needed the host, and TLB flushes, so far: for reports. */
  get tlbCounters(): { readonly misses: number; readonly flushes: number } {
    return { misses: this.#mmu.misses, flushes: this.#mmu.flushes };
  }

  /** Makes run() return STOP_INTERRUPT at the next poll (at most {@link SLICE} instructions later). */
  requestStop(): void {
    this.#stopRequested = true;
  }

  /** Current privilege: 0 user, 1 supervisor, 3 machine. Hosted mode: always 0. */
  get privilege(): number {
    return this.#csrs.privilege;
  }

  /**
   * Drives an interrupt line of the hart (a bit of mip; IRQ_*). Architectural mode only; idempotent. It is taken at the
   * next poll: at most 100,000 instructions later, at once after a device access or a CSR write.
   */
  setInterrupt(irq: number, high: boolean): void {
    this.#csrs.setPending(irq, high);
  }

  /**
   * Runs up to `maxInstructions` (1..2^53).
   * @returns one of STOP_*. A request to stop that was made before is honoured at once.
   */
  run(maxInstructions: number): number {
    let left = maxInstructions;
    const longest = this.#longest;
    // The caller may have switched threads: a reservation must not survive that.
    this.#i32[STATE_RESERVATION >> 2] = -1;
    this.#i32[(STATE_RESERVATION >> 2) + 1] = -1;
    this.#csrs.timeKnownUntil = -1;
    for (;;) {
      if (this.#stopRequested) {
        this.#stopRequested = false;
        return STOP_INTERRUPT;
      }
      if (this.#compiler !== null) this.#compiler.compilePending(this.#instret);
      if (this.#architectural && !this.#poll()) return STOP_WFI;
      if (left <= 0) return STOP_FUEL;
      let slice = left < longest ? left : longest;
      const untilSample = this.#nextSample - this.#instret;
      if (untilSample < slice) slice = untilSample;
      this.#slice = slice;
      const exit = this.#run(slice);
      const retired = slice - this.#i32[STATE_FUEL >> 2];
      this.#slice = 0;
      this.#instret += retired;
      left -= retired;
      if (this.#instret >= this.#nextSample) this.#sample();
      if (exit !== EXIT_TRAP) continue;
      if (!this.#progress()) return STOP_TRAP_LOOP;
      if (!this.#architectural) return STOP_TRAP;
      this.#csrs.takeTrap();
    }
  }

  #sample(): void {
    const compiler = this.#compiler as HartCompiler;
    this.#nextSample = this.#instret + compiler.sampleInterval;
    compiler.sample(this.#i32[STATE_PC >> 2], this.#i32[(STATE_PC >> 2) + 1], this.#instret);
  }

  /** Architectural mode: takes a pending interrupt. False if the hart waits for one. */
  #poll(): boolean {
    if (this.#waiting) {
      if (!this.#csrs.hasWakeup()) return false;
      this.#waiting = false;
    }
    const irq = this.#csrs.deliverable();
    if (irq >= 0) this.#csrs.takeInterrupt(irq);
    return true;
  }

  /**
   * Copies guest memory at virtual address `va` into a new array, for debuggers: nothing is faulted in and no access
   * right is checked. Shorter than asked if the rest is not mapped to RAM.
   */
  peek(va: number, byteLength: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(byteLength);
    const memory = new Uint8Array(this.ram.memory.buffer);
    for (let n = 0; n < byteLength; ) {
      const at = va + n;
      const host = this.#mmu.peek(at | 0, Math.floor(at / 0x1_0000_0000) | 0);
      if (host < 0) return out.slice(0, n);
      const count = Math.min(4096 - (host % 4096), byteLength - n);
      out.set(memory.subarray(host, host + count), n);
      n += count;
    }
    return out;
  }

  /** Everything of the hart except its RAM: registers, CSRs, counters. Restore on a hart of the same mode and version. */
  saveState(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(SAVED_BYTES);
    const view = new DataView(out.buffer);
    view.setUint32(0, SAVED_MAGIC, true);
    view.setUint32(4, this.#waiting ? 1 : 0, true);
    view.setFloat64(8, this.#instret, true);
    out.set(new Uint8Array(this.ram.memory.buffer, 0, SAVED_STATE), SAVED_HEADER);
    const words = this.#csrs.words;
    for (let n = 0; n < CSR_WORDS; n++) view.setInt32(SAVED_HEADER + SAVED_STATE + n * 4, words[n], true);
    return out;
  }

  /**
   * Puts a saved state back. The address space of hosted mode is not part of it: call setAddressSpace again.
   * @throws TypeError if `saved` is not from saveState of this version.
   */
  restoreState(saved: Uint8Array): void {
    const view = new DataView(saved.buffer, saved.byteOffset, saved.byteLength);
    if (saved.length !== SAVED_BYTES || view.getUint32(0, true) !== SAVED_MAGIC)
      throw new TypeError('"saved" expected the result of saveState');
    this.#waiting = view.getUint32(4, true) === 1;
    this.#instret = view.getFloat64(8, true);
    this.#nextSample = this.#instret + (this.#compiler?.sampleInterval ?? Infinity);
    new Uint8Array(this.ram.memory.buffer, 0, SAVED_STATE).set(
      saved.subarray(SAVED_HEADER, SAVED_HEADER + SAVED_STATE),
    );
    const words = this.#csrs.words;
    for (let n = 0; n < CSR_WORDS; n++) words[n] = view.getInt32(SAVED_HEADER + SAVED_STATE + n * 4, true);
    this.#csrs.restored();
    this.#mmu.flushAll();
    this.#code.dropAll();
  }

  /** False once the same trap has repeated TRAP_LOOP_LIMIT times without a retired instruction. */
  #progress(): boolean {
    if (this.#instret === this.#lastInstret) return this.#otherTrap();
    this.#lastInstret = this.#instret;
    this.#repeats = 0;
    return true;
  }

  /** Nothing retired since the last trap: was that one different, or was it not the same too often yet? */
  #otherTrap(): boolean {
    const { pc, trapCause, trapValue } = this;
    if (pc !== this.#lastPc || trapCause !== this.#lastCause || trapValue !== this.#lastValue) {
      this.#lastPc = pc;
      this.#lastCause = trapCause;
      this.#lastValue = trapValue;
      this.#repeats = 0;
      return true;
    }
    return ++this.#repeats < TRAP_LOOP_LIMIT;
  }
}
