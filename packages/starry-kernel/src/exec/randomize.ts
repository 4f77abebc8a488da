/**
 * Address space layout randomisation: where a program's parts go, from the platform's random numbers (so a machine with a seed
 * has the same addresses in each run). Ranges are Linux's on riscv64 with Sv39; personality(ADDR_NO_RANDOMIZE) and
 * /proc/sys/kernel/randomize_va_space switch it off, 1 in the latter leaves the heap at the program's end.
 */
import { ADDR_NO_RANDOMIZE } from "linux-abi";
import type { Task } from "../task/task.ts";

/** mmap_rnd_bits, and as many for the stack (STACK_RND_MASK) and the heap (1 GiB). */
const RANDOM_BITS = 18;
/** arch_align_stack: below two pages, in steps of 16 bytes. */
const STACK_SHIFT_MASK = 8191 & ~15;
const RANDOM_BYTES = 32;

export interface LayoutOffsets {
  /** For AT_RANDOM, 16 bytes. */
  readonly random: Uint8Array;
  // Pages. The program is moved up if it is position-independent, the heap up, stack and mmap area down.
  readonly program: number;
  readonly heap: number;
  readonly stack: number;
  readonly mmap: number;
  /** Bytes from the strings at the stack's top to what lies below, a multiple of 16. */
  readonly stackBytes: number;
}

export function chooseLayout(task: Task): LayoutOffsets {
  const { kernel } = task;
  const bytes = new Uint8Array(RANDOM_BYTES);
  kernel.platform.fillRandom(bytes);
  const random = bytes.slice(0, 16);
  const isOn = kernel.randomizeLevel > 0 && (task.personality & ADDR_NO_RANDOMIZE) === 0;
  if (!isOn) return { random, program: 0, heap: 0, stack: 0, mmap: 0, stackBytes: 0 };
  const words = new Uint32Array(bytes.buffer, 16, 4);
  const pages = (n: number): number => (words[n] as number) % 2 ** RANDOM_BITS;
  return {
    random,
    program: pages(0),
    heap: kernel.randomizeLevel > 1 ? pages(1) : 0,
    stack: pages(2),
    mmap: pages(3),
    stackBytes: ((words[0] as number) >>> 16) & STACK_SHIFT_MASK,
  };
}
