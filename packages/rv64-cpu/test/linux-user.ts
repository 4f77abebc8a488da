/// <reference types="node" />
/**
 * Test tool: runs a static riscv64 Linux executable on a hart, with the dozen system calls that glibc's start-up and a
 * program that only computes and prints need. Every page is mapped at its first touch.
 */
import {
  CAUSE_ECALL_U,
  CAUSE_FETCH_PAGE_FAULT,
  CAUSE_LOAD_PAGE_FAULT,
  CAUSE_STORE_PAGE_FAULT,
} from "../src/isa/causes.ts";
import { createGuestRam, Hart, type HartOptions, type HartRam, STOP_TRAP } from "../src/index.ts";

const STACK_TOP = 0x3f_f000_0000;
const MMAP_BASE = 0x20_0000_0000;
const ENOSYS = -38;

export interface LinuxRun {
  readonly status: number;
  readonly stdout: string;
  readonly hart: Hart;
  readonly instructions: number;
}

/** One address space: its pages in frames from the start of RAM on, its page tables at the end of RAM. */
class Memory {
  readonly ram: HartRam;
  readonly root: number;
  #next: number;
  #end: number;
  constructor(ram: HartRam) {
    this.ram = ram;
    this.#next = ram.base / 4096;
    this.#end = (ram.base + ram.size) / 4096;
    this.root = this.#frame(true);
  }
  #frame(isTable: boolean): number {
    if (this.#next === this.#end) throw new Error("out of guest memory");
    return isTable ? --this.#end : this.#next++;
  }
  /** RAM offset of `va`, mapping its page read-write-execute. */
  touch(va: number): number {
    const { view, base } = this.ram;
    let table = this.root;
    for (let level = 2; ; level--) {
      const at = table * 4096 - base + (Math.floor(va / 4096 / 512 ** level) % 512) * 8;
      let pte = Number(view.getBigUint64(at, true));
      if (pte === 0) {
        pte = this.#frame(level > 0) * 1024 + (level === 0 ? 0x1f : 1);
        view.setBigUint64(at, BigInt(pte), true);
      }
      table = Math.floor(pte / 1024);
      if (level === 0) return table * 4096 - base + (va % 4096);
    }
  }
  write(va: number, bytes: Uint8Array): void {
    for (let n = 0; n < bytes.length; ) {
      const at = this.touch(va + n);
      const count = Math.min(4096 - (at % 4096), bytes.length - n);
      this.ram.bytes.set(bytes.subarray(n, n + count), at);
      n += count;
    }
  }
  read(va: number, byteLength: number): Uint8Array {
    const out = new Uint8Array(byteLength);
    for (let n = 0; n < byteLength; n++) out[n] = this.ram.bytes[this.touch(va + n)];
    return out;
  }
}

/** Runs `elf` until it exits. Throws on a trap that is neither a system call nor a page fault. */
export function runLinux(
  elf: Uint8Array,
  args: readonly string[] = ["a.out"],
  options: Partial<HartOptions> & { size?: number; limit?: number } = {},
): LinuxRun {
  const ram = options.ram ?? createGuestRam({ size: options.size ?? 256 * 2 ** 20 });
  const hart = new Hart({ ...options, ram });
  const memory = new Memory(ram);
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const u64 = (at: number): number => Number(view.getBigUint64(at, true));
  const entry = u64(24);
  const phoff = u64(32);
  const phnum = view.getUint16(56, true);
  let brk = 0;
  let phdr = 0;
  for (let n = 0; n < phnum; n++) {
    const at = phoff + n * 56;
    if (view.getUint32(at, true) !== 1) continue; // PT_LOAD
    const [offset, vaddr, filesz, memsz] = [u64(at + 8), u64(at + 16), u64(at + 32), u64(at + 40)];
    // All of the segment in neighbouring frames.
    for (let page = vaddr - (vaddr % 4096); page < vaddr + memsz; page += 4096) memory.touch(page);
    memory.write(vaddr, elf.subarray(offset, offset + filesz));
    if (offset <= phoff && phoff < offset + filesz) phdr = vaddr + phoff - offset;
    brk = Math.max(brk, Math.ceil((vaddr + memsz) / 4096) * 4096);
  }

  // The process start block.
  let top = STACK_TOP;
  const pushString = (text: string): number => {
    const bytes = new TextEncoder().encode(`${text}\0`);
    top -= bytes.length;
    memory.write(top, bytes);
    return top;
  };
  const argv = args.map(pushString);
  const random = pushString("0123456789abcde");
  const words = [argv.length, ...argv, 0, 0, 3, phdr, 4, 56, 5, phnum, 6, 4096, 9, entry, 25, random, 0, 0];
  const sp = Math.floor((top - words.length * 8) / 16) * 16;
  const block = new BigUint64Array(words.map(BigInt));
  memory.write(sp, new Uint8Array(block.buffer));
  hart.x[4] = sp | 0;
  hart.x[5] = Math.floor(sp / 2 ** 32);
  hart.pc = entry;
  hart.setAddressSpace(memory.root, 1);

  let stdout = "";
  let mmapNext = MMAP_BASE;
  const arg = (n: number): number => hart.x[20 + n * 2 + 1] * 2 ** 32 + (hart.x[20 + n * 2] >>> 0);
  const limit = options.limit ?? Infinity;
  for (;;) {
    if (hart.run(100_000_000) !== STOP_TRAP) {
      if (hart.instret > limit)
        throw new Error(`still running after ${hart.instret} instructions at ${hart.pc.toString(16)}`);
      continue;
    }
    const cause = hart.trapCause;
    if (cause === CAUSE_LOAD_PAGE_FAULT || cause === CAUSE_STORE_PAGE_FAULT || cause === CAUSE_FETCH_PAGE_FAULT) {
      const va = hart.trapValue;
      if (va < 4096 || va >= 2 ** 38)
        throw new Error(`segmentation fault at ${hart.pc.toString(16)}, address ${va.toString(16)}`);
      memory.touch(va);
      continue;
    }
    if (cause !== CAUSE_ECALL_U)
      throw new Error(`trap ${cause} at ${hart.pc.toString(16)}, value ${hart.trapValue.toString(16)}`);
    hart.pc += 4;
    let result = 0;
    switch (hart.x[34]) {
      case 64:
        stdout += Buffer.from(memory.read(arg(1), arg(2))).toString("latin1");
        result = arg(2);
        break;
      case 66: {
        for (let n = 0; n < arg(2); n++) {
          const [base, length] = new BigUint64Array(memory.read(arg(1) + n * 16, 16).buffer);
          stdout += Buffer.from(memory.read(Number(base), Number(length))).toString("latin1");
          result += Number(length);
        }
        break;
      }
      case 93:
      case 94:
        return { status: arg(0) & 255, stdout, hart, instructions: hart.instret };
      case 80: {
        // fstat: a pipe
        const stat = new Uint8Array(128);
        new DataView(stat.buffer).setUint32(16, 0o10600, true);
        memory.write(arg(1), stat);
        break;
      }
      case 113: {
        // clock_gettime
        const time = new BigUint64Array([BigInt(Math.floor(hart.instret / 1e9)), BigInt(hart.instret % 1e9)]);
        memory.write(arg(1), new Uint8Array(time.buffer));
        break;
      }
      case 214:
        if (arg(0) > brk) brk = arg(0);
        result = brk;
        break;
      case 222:
        result = mmapNext;
        mmapNext += Math.ceil(arg(1) / 4096) * 4096;
        break;
      case 259:
        hart.flushInstructions();
        break;
      case 96:
      case 99:
      case 215:
      case 226:
      case 261:
      case 134:
      case 135:
        break;
      default:
        result = ENOSYS;
    }
    hart.x[20] = result | 0;
    hart.x[21] = Math.floor(result / 2 ** 32);
  }
}
