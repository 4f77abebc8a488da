/**
 * Names and callers of a guest program's addresses: which file is mapped there, which function it is, where it returns to.
 *
 * Nothing is faulted in and nothing of the guest changes: memory is read through its page table as it is. Files are read once,
 * the first time that one of their addresses is asked for.
 */
import { SIGINFO_SIZE, UCONTEXT_MCONTEXT } from "linux-abi";
import { type AddressSpace, type Kernel, readFileBytes, type Task } from "starry-kernel";
import { ElfSymbols } from "./elf-symbols.ts";

const PAGE = 4096;
const VM_EXEC = 4;
const PTE_V = 1;
const MAX_DEPTH = 127;
/** A frame larger than this is not believed. */
const MAX_FRAME = 1 << 20;
const [RA, SP, S0] = [1, 2, 8];

/** A mapped file as a unit of code. */
export interface CodeModule {
  /** "libc.so.6", "[vdso]", "[anon]". */
  readonly name: string;
  /** Path in the guest, or the name. */
  readonly path: string;
  readonly elf: ElfSymbols | undefined;
}

export interface Place {
  readonly module: CodeModule;
  /** Function, or "module+0x1234" where there is no name. */
  readonly name: string;
  /** Address minus the function's start. */
  readonly offset: number;
}

/** Registers that unwinding needs; the index is the register's number. */
interface Frame {
  pc: number;
  ra: number;
  sp: number;
  s0: number;
}

const ANONYMOUS: CodeModule = { name: "[anon]", path: "[anon]", elf: undefined };

type Vma = NonNullable<ReturnType<AddressSpace["vmas"]["find"]>>;

export class GuestSymbols {
  readonly #kernel: Kernel;
  /** By page source: one per file. */
  readonly #modules = new Map<object, CodeModule>();
  readonly #bytes: DataView;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const { bytes } = kernel.platform.ram;
    this.#bytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** What is at `pc` of the task's program; undefined: no code. */
  placeOf(task: Task, pc: number): Place | undefined {
    const vma = codeAt(task.memory, pc);
    if (vma === undefined) return undefined;
    const module = this.#moduleOf(task, vma);
    const address = module.elf?.addressOf(pc - vma.start + vma.pageOffset * PAGE);
    if (address === undefined) return { module, name: module.name, offset: pc - vma.start };
    const symbol = module.elf?.functionAt(address);
    if (symbol !== undefined) return { module, name: symbol.name, offset: address - symbol.start };
    const start = module.elf?.frames?.rangeAt(address)?.[0] ?? address;
    return { module, name: `${module.name}+0x${start.toString(16)}`, offset: address - start };
  }

  /**
   * Addresses of the frames of `task`, the innermost first: its pc, then return addresses. `x` holds its registers.
   * By the unwind tables where there are any, else by frame pointers, at least pc and ra.
   */
  stackOf(task: Task, pc: number, x: Int32Array, memory: AddressSpace = task.memory): number[] {
    const frame: Frame = { pc, ra: register(x, RA), sp: register(x, SP), s0: register(x, S0) };
    const out = [pc];
    // A call through a null pointer has no code at pc, but a return address.
    if (codeAt(memory, pc) === undefined && codeAt(memory, frame.ra) !== undefined) frame.pc = frame.ra;
    let innermost = true;
    while (out.length < MAX_DEPTH) {
      const before = frame.sp;
      if (frame.pc === memory.signalReturn) {
        if (!this.#leaveSignal(memory, frame)) break;
        innermost = true; // what the signal hit stands at its pc, not behind a call
      } else {
        if (!this.#leave(task, memory, frame, innermost)) break;
        innermost = false;
      }
      if (
        frame.pc === 0 ||
        codeAt(memory, frame.pc) === undefined ||
        frame.sp < before ||
        frame.sp - before > MAX_FRAME
      )
        break;
      // One byte back: the call, which may be the last instruction of its function.
      out.push(innermost || frame.pc === memory.signalReturn ? frame.pc : frame.pc - 1);
    }
    return out;
  }

  #leave(task: Task, memory: AddressSpace, frame: Frame, innermost: boolean): boolean {
    const pc = innermost ? frame.pc : frame.pc - 1;
    const vma = codeAt(memory, pc);
    if (vma === undefined) return false;
    const { elf } = this.#moduleOf(task, vma);
    const address = elf?.addressOf(pc - vma.start + vma.pageOffset * PAGE);
    const row = address === undefined ? null : (elf?.frames?.rowAt(address) ?? null);
    if (row === null) return this.#leaveByFramePointer(task, memory, frame, innermost);
    if (row.outermost) return false;
    const base = row.cfaRegister === SP ? frame.sp : row.cfaRegister === S0 ? frame.s0 : Number.NaN;
    if (Number.isNaN(base)) return false;
    const cfa = base + row.cfaOffset;
    if (row.ra === null && !innermost) return false; // a function that has called must have saved it
    const ra = row.ra === null ? frame.ra : this.#word(memory, cfa + row.ra);
    const s0 = row.s0 === null ? frame.s0 : this.#word(memory, cfa + row.s0);
    if (ra < 0 || s0 < 0) return false;
    frame.pc = ra;
    frame.s0 = s0;
    frame.sp = cfa;
    return true;
  }

  /**
   * Code without tables. A return address in ra that lies in another function is the caller's (leaf functions, prologues);
   * one of the function's own is left over from a call it made. Else s0 is the psABI's frame pointer.
   */
  #leaveByFramePointer(task: Task, memory: AddressSpace, frame: Frame, innermost: boolean): boolean {
    const { s0, sp, ra } = frame;
    if (innermost && codeAt(memory, ra) !== undefined && !this.#sameFunction(task, memory, frame.pc, ra - 1)) {
      frame.pc = ra;
      // A leaf function with a frame pointer has saved only that one, where others have ra.
      const callers = this.#word(memory, s0 - 8);
      if (s0 > sp && s0 - sp < MAX_FRAME && callers > s0 && codeAt(memory, callers) === undefined) {
        frame.sp = s0;
        frame.s0 = callers;
      }
      return true;
    }
    if (!(s0 > sp && s0 - sp < MAX_FRAME && s0 % 8 === 0)) return false;
    const saved = this.#word(memory, s0 - 8);
    const caller = this.#word(memory, s0 - 16);
    if (saved <= 0 || caller < 0 || codeAt(memory, saved) === undefined) return false;
    frame.pc = saved;
    frame.sp = s0;
    frame.s0 = caller;
    return true;
  }

  #sameFunction(task: Task, memory: AddressSpace, a: number, b: number): boolean {
    if (memory !== task.memory) return false;
    const [one, other] = [this.placeOf(task, a), this.placeOf(task, b)];
    return one !== undefined && other !== undefined && one.module === other.module && one.name === other.name;
  }

  /** The signal frame at sp: registers of what was interrupted. */
  #leaveSignal(memory: AddressSpace, frame: Frame): boolean {
    const context = frame.sp + SIGINFO_SIZE + UCONTEXT_MCONTEXT;
    const at = (register: number): number => this.#word(memory, context + 8 * register);
    const next = { pc: at(0), ra: at(RA), sp: at(SP), s0: at(S0) };
    if (next.pc < 0 || next.sp < 0) return false;
    // An alternate stack may lie above: the check for progress begins anew.
    Object.assign(frame, next);
    return true;
  }

  /** A doubleword of the program's memory if its page is there, or -1. */
  #word(memory: AddressSpace, va: number): number {
    if (va % 8 !== 0) return -1;
    const at = presentIndex(memory, va);
    return at < 0 ? -1 : this.#bytes.getUint32(at + 4, true) * 4294967296 + this.#bytes.getUint32(at, true);
  }

  #moduleOf(task: Task, vma: Vma): CodeModule {
    if (vma.source === null) return ANONYMOUS;
    const known = this.#modules.get(vma.source);
    if (known !== undefined) return known;
    const module = this.#load(task, vma);
    this.#modules.set(vma.source, module);
    return module;
  }

  #load(task: Task, vma: Vma): CodeModule {
    const { file } = vma;
    if (file === null) {
      // The vDSO: all of it is mapped.
      const image = new Uint8Array(vma.end - vma.start);
      const got = vma.name !== "" && task.memory.copyIn(vma.start, image, 0, image.length) === 0;
      const elf = got
        ? ElfSymbols.open((offset, byteLength) => image.subarray(offset, offset + byteLength))
        : undefined;
      const name = vma.name === "" ? "[shared]" : vma.name;
      return { name, path: name, elf };
    }
    const path = this.#kernel.fs.pathText(task, file);
    const elf = ElfSymbols.open((offset, byteLength) => {
      const bytes = readFileBytes(task, file, offset, byteLength);
      return typeof bytes === "number" ? new Uint8Array(0) : bytes;
    });
    return { name: path.slice(path.lastIndexOf("/") + 1), path, elf };
  }
}

/** Index in RAM of the byte at `va` of a program if its page is there, or -1. */
function presentIndex(memory: AddressSpace, va: number): number {
  if (!(va >= 0 && va < 2 ** 38)) return -1;
  const vpn = Math.floor(va / PAGE);
  const slot = memory.table.find(vpn);
  const pte = slot < 0 ? 0 : memory.table.get(slot);
  return (pte & PTE_V) === 0 ? -1 : ((pte >>> 10) - memory.frames.firstFrame) * PAGE + (va - vpn * PAGE);
}

/** Up to `byteLength` bytes of a program's memory, as far as its pages are there. */
export function presentBytes(memory: AddressSpace, va: number, byteLength: number): Uint8Array {
  const out = new Uint8Array(byteLength);
  for (let n = 0; n < byteLength; n++) {
    const at = presentIndex(memory, va + n);
    if (at < 0) return out.subarray(0, n);
    out[n] = memory.ram[at];
  }
  return out;
}

function codeAt(memory: AddressSpace, va: number): Vma | undefined {
  const vma = memory.vmas.find(va);
  return vma !== undefined && (vma.flags & VM_EXEC) !== 0 ? vma : undefined;
}

function register(x: Int32Array, number: number): number {
  return (x[2 * number + 1] >>> 0) * 4294967296 + (x[2 * number] >>> 0);
}
