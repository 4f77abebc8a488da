/**
 * Finds the code of a region: the instructions reachable from an entry by direct jumps, as basic blocks in reverse
 * postorder with immediate dominators.
 *
 * Calls do not end a region: the block after them is the call's successor. All addresses are distances in bytes from the
 * entry, so that the region serves every virtual address at which its frames are mapped.
 */
import {
  decodeImmediate,
  findInstruction,
  type Instruction,
  INSTRUCTIONS,
  instructionByName,
} from "../isa/instructions.ts";
import { expandCompressed } from "../isa/compressed.ts";

/**
 * Copies of a callee's code inside a region are told apart by distances that are far away: copy n of the instruction at
 * distance d is at d + n * COPY.
 */
const COPY = 2 ** 27;
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
  /** Of a branch, see {@link EDGE_BALANCED}. */
  readonly isBalanced: boolean;
  /** Some retreating edge leads here. */
  isLoop: boolean;
  /** Reached by two or more forward edges. */
  isMerge: boolean;
}

export interface Region {
  /** In reverse postorder; 0 is the entry. */
  readonly blocks: readonly Block[];
  readonly instructions: number;
  /** Pages of the code, as distances from the entry's page, with their frames. */
  readonly pages: ReadonlyMap<number, number>;
  /**
   * It calls, or is not hot enough for registers in locals from end to end: they stay in memory, written as soon as
   * somebody could look, and locals hold copies only until ways meet.
   */
  readonly writeThrough: boolean;
  /**
   * Accesses of a group whose check succeeded need none of their own; if it fails, the interpreter executes them. A second
   * way for each would double the engine's cost of compiling.
   */
  readonly vouched: boolean;
  /** Loops remember the pages of all pointers, see `groups.ts`. */
  readonly roams: boolean;
}

/** Reads code: the RAM frame of a page (distance in pages from the entry's page), or -1. */
export interface CodeReader {
  frame(pageDelta: number): number;
  /** A halfword of a RAM frame. */
  half(frame: number, offset: number): number;
  /** How often the branch at this place went each way, as EDGE_*. */
  edges(frame: number, offset: number): number;
  /** The region is hot enough to be made fast at any length. */
  readonly wide: boolean;
  /** Its groups of memory accesses often straddle pages. */
  readonly straddles: boolean;
  /** Its pointers often leave the pages that its loops remember. */
  readonly strays: boolean;
  /** Another region starts at this place, so that code which gets there can go on in it. */
  isEntry(frame: number, offset: number): boolean;
}

// Which ways of a branch are worth compiling.
export const EDGE_TAKEN_HOT = 1;
export const EDGE_NOT_TAKEN_HOT = 2;
/** It goes both ways often, so that nobody can foretell which. */
export const EDGE_BALANCED = 4;

// What a row's operands are, as bits, and its memory access: looked up per instruction compiled.
export const READS_X1 = 1;
export const READS_X2 = 2;
export const WRITES_X = 4;
export const READS_F1 = 8;
export const READS_F2 = 16;
export const READS_F3 = 32;
export const WRITES_F = 64;
/** Can leave the region in the middle: loads, stores, floating-point helpers. */
export const MAY_LEAVE = 128;
export const IS_STORE = 256;
/** Operands (the bits above) by instruction id. */
export const OPERANDS: Uint16Array = new Uint16Array(INSTRUCTIONS.length);
/** Bytes that a plain load or store accesses, by instruction id; 0 for all others. */
export const ACCESS_BYTES: Uint8Array = new Uint8Array(INSTRUCTIONS.length);
const LETTERS: Readonly<Record<string, number>> = {
  s: READS_X1,
  t: READS_X2,
  d: WRITES_X,
  S: READS_F1,
  T: READS_F2,
  U: READS_F3,
  D: WRITES_F,
};
const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, d: 8 };
for (const { id, syntax, mnemonic, extension } of INSTRUCTIONS) {
  for (const letter of syntax) OPERANDS[id] |= LETTERS[letter] ?? 0;
  if (syntax.includes("(s)") || extension === "F" || extension === "D") OPERANDS[id] |= MAY_LEAVE;
  const plain = /^(f?[ls])([bhwd])u?$/.exec(mnemonic);
  if (plain !== null && syntax.includes("(s)")) {
    ACCESS_BYTES[id] = SIZES[plain[2]];
    if (plain[1].endsWith("s")) OPERANDS[id] |= IS_STORE;
  }
}

/** Instructions of a callee, and of the function itself, that is worth a copy; copies per region. */
const MAX_COPIED = 16;
const MAX_OWN = 48;
const MAX_COPIED_NARROW = 4;
const MAX_COPIES = 6;
const MAX_DEPTH = 3;

OPERANDS[instructionByName("csrrs").id] |= MAY_LEAVE;
const JAL = instructionByName("jal").id;
const JALR = instructionByName("jalr").id;
const BRANCHES = new Set(["beq", "bne", "blt", "bge", "bltu", "bgeu"].map((name) => instructionByName(name).id));
const interpreted = new Set<number>(
  [
    "ecall",
    "ebreak",
    "mret",
    "sret",
    "wfi",
    "sfence.vma",
    "fence.i",
    "csrrw",
    "csrrs",
    "csrrc",
    "csrrwi",
    "csrrsi",
    "csrrci",
  ].map((n) => instructionByName(n).id),
);
/** rdtime rd, which a clock in user space runs: compiled as a call of the host. */
export function isTimeRead(bits: number): boolean {
  return (bits & 0xffff_f07f) >>> 0 === 0xc010_2073;
}

/** x1 and x5 are link registers: jal and jalr that write them are calls (Volume I, 2.5.1). */
const isLink = (register: number): boolean => register === 1 || register === 5;

/** A jump back to the caller, by the hint of Volume I, 2.5.1. */
export function isReturn(insn: Insn): boolean {
  return insn.row.id === JALR && insn.rd === 0 && isLink(insn.rs1);
}

/**
 * Collects the region at byte `offset` of the entry page. Ways that a branch hardly ever went are left out: compiling an
 * instruction costs as much as executing it ten thousand times, and most of the code of real programs is cold.
 * @param indirectTargets known targets of indirect jumps, by the jump's distance
 * @returns undefined if the first instruction cannot be compiled
 */
export function findRegion(
  reader: CodeReader,
  offset: number,
  limit: number,
  indirectTargets: ReadonlyMap<number, readonly number[]>,
): Region | undefined {
  const pages = new Map<number, number>();
  const half = (distance: number): number => {
    const at = offset + realDelta(distance);
    const page = Math.floor(at / 4096);
    let frame = pages.get(page);
    if (frame === undefined) {
      frame = reader.frame(page);
      if (frame < 0) return -1;
      pages.set(page, frame);
    }
    return reader.half(frame, at - page * 4096);
  };
  const decode = (delta: number): Insn | undefined => {
    const low = half(delta);
    if (low < 0) return undefined;
    let bits: number;
    let length = 2;
    if ((low & 3) === 3) {
      const high = half(delta + 2);
      if (high < 0) return undefined;
      bits = low | (high << 16);
      length = 4;
    } else bits = expandCompressed(low);
    const row = findInstruction(bits);
    if (row === undefined || (interpreted.has(row.id) && !isTimeRead(bits)) || (row.hasRm && reservedRm(bits)))
      return undefined;
    return {
      row,
      bits,
      length,
      delta,
      imm: decodeImmediate(bits, row.imm),
      rd: (bits >> 7) & 31,
      rs1: (bits >> 15) & 31,
      rs2: (bits >> 20) & 31,
      rs3: bits >>> 27,
    };
  };

  /** The page of an instruction that was decoded. */
  const edges = (delta: number): number => {
    const at = offset + realDelta(delta);
    const page = Math.floor(at / 4096);
    return reader.edges(pages.get(page) as number, at - page * 4096);
  };

  const isEntry = (delta: number): boolean => {
    const at = offset + delta;
    const page = Math.floor(at / 4096);
    return reader.isEntry(pages.get(page) as number, at - page * 4096);
  };

  /** True if the code at `start` is worth a copy: a short function without calls, or the region's own short function. */
  const isShort = (start: number): boolean => {
    const own = start === 0;
    const most = own ? MAX_OWN : reader.wide ? MAX_COPIED : MAX_COPIED_NARROW;
    const seen = new Set<number>();
    const todo = [start];
    while (todo.length > 0) {
      let delta = todo.pop() as number;
      while (!seen.has(delta)) {
        const insn = decode(delta);
        if (insn === undefined || seen.size === most) return false;
        seen.add(delta);
        const { id } = insn.row;
        if (id === JALR && !isReturn(insn)) return false;
        if (id === JAL && isLink(insn.rd) && !own) return false;
        if (BRANCHES.has(id)) todo.push(delta + insn.imm);
        if (id === JALR) break;
        delta += id === JAL && !isLink(insn.rd) ? insn.imm : insn.length;
      }
    }
    return true;
  };

  const insns = new Map<number, Insn>();
  /** Where the callee that was copied returns to, by copy. */
  const returns: number[] = [];
  /** By copy: the one that its call is in, 0 for none. */
  const parents: number[] = [];
  const depthOf = (copy: number): number => (copy === 0 ? 0 : 1 + depthOf(parents[copy - 1]));
  const balanced = new Set<number>();
  /** The copies that calls jump to, by the distance of the call. */
  const copied = new Map<number, number>();
  const leaders = new Set<number>([0]);
  /** Where the function's calls of itself return to: part of the region even if somebody else starts there. */
  const recursions = new Set<number>();
  const work = [0];
  while (work.length > 0 && insns.size < limit) {
    let delta = work.shift() as number;
    while (insns.size < limit && !insns.has(delta)) {
      const insn = decode(delta);
      if (insn === undefined) break;
      const copy = Math.round(delta / COPY);
      if (copy === 0 && delta !== 0 && leaders.has(delta) && !recursions.has(delta) && isEntry(delta)) break;
      insns.set(delta, insn);
      const next = delta + insn.length;
      const { id } = insn.row;
      if (BRANCHES.has(id)) {
        const hot = edges(delta);
        leaders.add(next).add(delta + insn.imm);
        if ((hot & EDGE_BALANCED) !== 0) balanced.add(delta);
        if ((hot & EDGE_TAKEN_HOT) !== 0) work.push(delta + insn.imm);
        if ((hot & EDGE_NOT_TAKEN_HOT) === 0) break;
      } else if (id === JAL) {
        leaders.add(next);
        if (isLink(insn.rd)) {
          const target = realDelta(delta + insn.imm);
          if (target === 0) recursions.add(next);
          if (depthOf(copy) < MAX_DEPTH && returns.length < MAX_COPIES && isShort(target)) {
            parents.push(copy);
            const start = target + returns.push(next) * COPY;
            copied.set(delta, start);
            leaders.add(start);
            work.push(start);
          } else work.push(next);
        } else {
          leaders.add(delta + insn.imm);
          work.push(delta + insn.imm);
        }
        break;
      } else if (id === JALR) {
        leaders.add(next);
        if (isLink(insn.rd)) work.push(next);
        if (copy > 0 && isReturn(insn)) work.push(returns[copy - 1]);
        for (const target of copy > 0 ? [] : (indirectTargets.get(delta) ?? [])) {
          leaders.add(target);
          work.push(target);
        }
        break;
      }
      delta = next;
    }
  }
  if (!insns.has(0)) return undefined;
  const blocks = order(makeBlocks(insns, leaders, indirectTargets, balanced, copied, returns));
  const loops = blocks.some(({ isLoop }) => isLoop);
  const calls = blocks.some(({ end }) => end === END_CALL || end === END_CALL_INDIRECT);
  return {
    blocks,
    instructions: insns.size,
    pages,
    // Loops gain most from registers in locals; around calls they have to be in memory anyway.
    // A function that calls itself is its own caller: what it loads after a call is what it stored at its return.
    writeThrough: (calls && !(loops && recursions.size > 0)) || (!loops && !reader.wide),
    vouched: !reader.straddles,
    roams: reader.wide && !reader.strays,
  };
}

function reservedRm(bits: number): boolean {
  const rm = (bits >> 12) & 7;
  return rm === 5 || rm === 6;
}

function makeBlocks(
  insns: ReadonlyMap<number, Insn>,
  leaders: ReadonlySet<number>,
  indirectTargets: ReadonlyMap<number, readonly number[]>,
  balanced: ReadonlySet<number>,
  copied: ReadonlyMap<number, number>,
  returns: readonly number[],
): Block[] {
  const blocks: Block[] = [];
  for (const start of leaders) {
    if (!insns.has(start)) continue;
    const body: Insn[] = [];
    let end = END_EXIT;
    let target = 0;
    let delta = start;
    let indirect: Block["indirect"] = [];
    for (;;) {
      const insn = insns.get(delta);
      if (insn === undefined) break;
      body.push(insn);
      const { id } = insn.row;
      delta += insn.length;
      target = insn.delta + insn.imm;
      const copy = copied.get(insn.delta);
      const inside = Math.round(insn.delta / COPY);
      if (BRANCHES.has(id)) end = END_BRANCH;
      else if (copy !== undefined) {
        end = END_JUMP;
        target = copy;
      } else if (id === JAL) end = isLink(insn.rd) ? END_CALL : END_JUMP;
      else if (id === JALR) {
        end = isLink(insn.rd) ? END_CALL_INDIRECT : END_INDIRECT;
        if (inside > 0 && isReturn(insn)) indirect = [{ delta: returns[inside - 1], block: -1 }];
        else if (end === END_INDIRECT)
          indirect = (indirectTargets.get(insn.delta) ?? []).map((known) => ({ delta: known, block: -1 }));
      } else if (leaders.has(delta) && insns.has(delta)) end = END_FALL;
      else continue;
      break;
    }
    blocks.push({
      start,
      insns: body,
      end,
      target,
      next: delta,
      targetBlock: -1,
      nextBlock: -1,
      indirect,
      dominator: 0,
      isBalanced: balanced.has(body[body.length - 1].delta),
      isLoop: false,
      isMerge: false,
    });
  }
  return blocks;
}

/** Successors of a block inside the region. */
export function successors(block: Block): number[] {
  const out: number[] = [];
  if ((block.end === END_BRANCH || block.end === END_JUMP) && block.targetBlock >= 0) out.push(block.targetBlock);
  if (block.end !== END_JUMP && block.end !== END_INDIRECT && block.end !== END_EXIT && block.nextBlock >= 0)
    out.push(block.nextBlock);
  for (const { block: n } of block.indirect) if (n >= 0) out.push(n);
  return out;
}

/** Numbers the reachable blocks in reverse postorder, and finds dominators, loops and merges. */
function order(found: readonly Block[]): Block[] {
  const byStart = new Map(found.map((block) => [block.start, block]));
  const postorder: Block[] = [];
  const seen = new Set<Block>();
  const outgoing = (block: Block): Block[] => {
    const starts = [
      ...(block.end === END_FALL ||
      block.end === END_BRANCH ||
      block.end === END_CALL ||
      block.end === END_CALL_INDIRECT
        ? [block.next]
        : []),
      ...(block.end === END_BRANCH || block.end === END_JUMP ? [block.target] : []),
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
  enter(byStart.get(0) as Block);
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
  const predecessors: number[][] = blocks.map(() => []);
  blocks.forEach((block, n) => {
    for (const s of successors(block)) predecessors[s].push(n);
  });
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
