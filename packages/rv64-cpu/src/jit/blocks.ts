/**
 * Basic blocks of a region: control flow inside it, in reverse postorder with immediate dominators.
 */
import type { Instruction } from "../isa/instructions.ts";

/**
 * Copies of code inside a region (of callees, of loops in strips) are told apart by distances that are far away: copy n of the
 * instruction at distance d is at d + n * COPY.
 */
export const COPY: number = 2 ** 27;
/** The distance in the code of a distance that may be a copy's. */
export function realDelta(delta: number): number {
  return delta - Math.round(delta / COPY) * COPY;
}

export interface Insn {
  readonly row: Instruction;
  /** The 32-bit form. */
  readonly bits: number;
  readonly imm: number;
  readonly rd: number;
  readonly rs1: number;
  readonly rs2: number;
  readonly rs3: number;
  /** Bytes from the entry; see {@link realDelta}, as for all distances here. */
  readonly delta: number;
  readonly length: number;
}

// How a block ends.
/** Into the next instruction, `next`. */
export const END_FALL = 0;
/** Conditional branch, to `target` or `next`. */
export const END_BRANCH = 1;
/** Direct jump to `target`. */
export const END_JUMP = 2;
/** Direct call of `target`, then `next`. */
export const END_CALL = 3;
/** Indirect call, then `next`. */
export const END_CALL_INDIRECT = 4;
/** Indirect jump, `ret` included. */
export const END_INDIRECT = 5;
/** The interpreter has to execute the instruction at `next`. */
export const END_EXIT = 6;
/** No instructions: to `target` if the {@link Block.strip} can start, else to `next`. */
export const END_STRIP = 7;
/** No instructions: to `next` for another round of the strip, or, if that is over, to `target`. */
export const END_ROUND = 8;

export interface Block {
  readonly start: number;
  readonly insns: readonly Insn[];
  readonly end: number;
  /** Distances of the successors; block numbers in `targetBlock` and `nextBlock`, -1 if outside the region. */
  readonly target: number;
  readonly next: number;
  targetBlock: number;
  nextBlock: number;
  /** Profiled targets of an indirect jump, as block numbers. */
  indirect: { readonly delta: number; block: number }[];
  /** Immediate dominator; the entry's own is itself. */
  dominator: number;
  /** Of a branch, see EDGE_BALANCED. */
  readonly isBalanced: boolean;
  /** Of END_STRIP and END_ROUND. */
  readonly strip?: Strip;
  /** Part of a loop's copy that hardly ever runs. */
  readonly isSpare?: boolean;
  /** Some retreating edge leads here. */
  isLoop: boolean;
  /** Reached by two or more forward edges. */
  isMerge: boolean;
}

/** Accesses of a loop by a pointer that moves in one direction by small constant steps, or not at all. */
export interface Stream {
  /** The pointer. */
  readonly register: number;
  /** Lowest distance of an access from the pointer at the start of a round, and bytes from there to the end of the highest. */
  low: number;
  span: number;
  /** The pointer moves by at most so much per round; its sign is the direction. */
  step: number;
  writes: boolean;
  /** Lowest immediate of an access. */
  bias: number;
  /** Number within its strip. */
  readonly index: number;
}
/** Rounds of a loop in which no pointer of a stream leaves its page. */
export interface Strip {
  readonly streams: readonly Stream[];
  /** Instructions that a round executes at least. */
  readonly shortest: number;
  /** The loop is a single block that nothing can leave in the middle. */
  readonly isTight: boolean;
}

/** Successors of a block inside the region. */
export function successors(block: Block): number[] {
  const out: number[] = [];
  if (hasTarget(block.end) && block.targetBlock >= 0) out.push(block.targetBlock);
  if (hasNext(block.end) && block.nextBlock >= 0) out.push(block.nextBlock);
  for (const { block: n } of block.indirect) if (n >= 0) out.push(n);
  return out;
}

const hasTarget = (end: number): boolean =>
  end === END_BRANCH || end === END_JUMP || end === END_STRIP || end === END_ROUND;
const hasNext = (end: number): boolean => end !== END_JUMP && end !== END_INDIRECT && end !== END_EXIT;

/** Numbers the blocks reachable from `entry` in reverse postorder, and finds dominators, loops and merges. */
export function order(found: readonly Block[], entry = 0): Block[] {
  const byStart = new Map(found.map((block) => [block.start, block]));
  const postorder: Block[] = [];
  const seen = new Set<Block>();
  const outgoing = (block: Block): Block[] => {
    const starts = [
      ...(hasNext(block.end) ? [block.next] : []),
      ...(hasTarget(block.end) ? [block.target] : []),
      ...block.indirect.map(({ delta }) => delta),
    ];
    return starts.map((start) => byStart.get(start)).filter((b) => b !== undefined);
  };
  // Iterative depth-first search: guest code decides how deep it goes.
  const stack: { block: Block; rest: Block[] }[] = [];
  const enter = (block: Block): void => {
    seen.add(block);
    stack.push({ block, rest: outgoing(block) });
  };
  enter(byStart.get(entry) as Block);
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const next = top.rest.pop();
    if (next === undefined) {
      postorder.push(top.block);
      stack.pop();
    } else if (!seen.has(next)) enter(next);
  }
  const blocks = postorder.reverse();
  const number = new Map(blocks.map((block, n) => [block.start, n]));
  for (const block of blocks) {
    block.targetBlock = number.get(block.target) ?? -1;
    block.nextBlock = number.get(block.next) ?? -1;
    for (const known of block.indirect) known.block = number.get(known.delta) ?? -1;
  }
  dominate(blocks);
  return blocks;
}

/** Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001). */
function dominate(blocks: readonly Block[]): void {
  const predecessors = predecessorsOf(blocks);
  const idom = new Int32Array(blocks.length).fill(-1);
  idom[0] = 0;
  const intersect = (a: number, b: number): number => {
    let x = a;
    let y = b;
    while (x !== y) {
      while (x > y) x = idom[x];
      while (y > x) y = idom[y];
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 1; n < blocks.length; n++) {
      let best = -1;
      for (const p of predecessors[n]) if (idom[p] >= 0) best = best < 0 ? p : intersect(p, best);
      if (best !== idom[n]) {
        idom[n] = best;
        changed = true;
      }
    }
  }
  blocks.forEach((block, n) => {
    block.dominator = idom[n];
  });
  for (const block of blocks) block.isLoop = false;
  blocks.forEach((block, n) => {
    for (const s of successors(block)) if (s <= n) blocks[s].isLoop = true;
    let forward = 0;
    for (const p of predecessors[n]) if (p < n) forward++;
    block.isMerge = forward >= 2;
  });
}

/** True if block `a` dominates block `b`. */
export function dominates(blocks: readonly Block[], a: number, b: number): boolean {
  let n = b;
  while (n > a) n = blocks[n].dominator;
  return n === a;
}

/** By block: those from which control gets there. */
export function predecessorsOf(blocks: readonly Block[]): number[][] {
  const predecessors: number[][] = blocks.map(() => []);
  blocks.forEach((block, n) => {
    for (const s of successors(block)) predecessors[s].push(n);
  });
  return predecessors;
}

/** The natural loop of a head and the blocks `ends` from which control comes back to it. */
export function loopOf(
  predecessors: readonly (readonly number[])[],
  head: number,
  ends: readonly number[],
): Set<number> {
  const body = new Set([head]);
  const work = [...ends];
  while (work.length > 0) {
    const n = work.pop() as number;
    if (body.has(n)) continue;
    body.add(n);
    work.push(...predecessors[n]);
  }
  return body;
}
