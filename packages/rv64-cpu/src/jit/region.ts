/**
 * Finds the code of a region: the instructions reachable from an entry by direct jumps, as basic blocks in reverse
 * postorder with immediate dominators.
 *
 * Calls do not end a region: the block after them is the call's successor. All addresses are distances in bytes from the
 * entry, so that the region serves every virtual address at which its frames are mapped.
 */
import { decodeImmediate, findInstruction, instructionByName } from "../isa/instructions.ts";
import { expandCompressed } from "../isa/compressed.ts";
import {
  type Block,
  COPY,
  END_BRANCH,
  END_CALL,
  END_CALL_INDIRECT,
  END_EXIT,
  END_FALL,
  END_INDIRECT,
  END_JUMP,
  type Insn,
  order,
  realDelta,
  type Stream,
} from "./blocks.ts";
import { OPERANDS, WRITES_X } from "./operands.ts";
import { stripMine } from "./strips.ts";

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
  /** Accesses in strips of loops, which need no check of their page: see `strips.ts`. */
  readonly streams: ReadonlyMap<Insn, Stream>;
  /** Loops remember the pages of all pointers, see `groups.ts`. */
  readonly roams: boolean;
}

/** A callee's code inside the region. */
interface Copy {
  readonly returnsTo: number;
  /** The register that says so. */
  readonly link: number;
  /** Number of the copy that its call is in, 0 for none. */
  readonly parent: number;
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
  /** How far from the indirect call at this place its target was when it was seen last; undefined if nobody saw one. */
  called(frame: number, offset: number): number | undefined;
  /** Another region starts at this place, so that code which gets there can go on in it. */
  isEntry(frame: number, offset: number): boolean;
}

// Which ways of a branch are worth compiling.
export const EDGE_TAKEN_HOT = 1;
export const EDGE_NOT_TAKEN_HOT = 2;
/** It goes both ways often, so that nobody can foretell which. */
export const EDGE_BALANCED = 4;

/** Instructions of a callee, and of the function itself, that is worth a copy; copies per region. */
const MAX_COPIED = 16;
const MAX_OWN = 48;
const MAX_COPIED_NARROW = 4;
const MAX_COPIES = 6;
const MAX_DEPTH = 3;
/** Targets of an indirect call that are worth a copy each. */
const MAX_CALLEES = 3;
/** Bytes to them: further away is another object, which another process may have elsewhere. */
export const CALL_REACH: number = 2 ** 20;

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

  /** Frame and byte offset of an instruction that was decoded. */
  const placeOf = (delta: number): [frame: number, offset: number] => {
    const at = offset + realDelta(delta);
    const page = Math.floor(at / 4096);
    return [pages.get(page) as number, at - page * 4096];
  };

  /** Targets of an indirect call, by distance, of which `known` were seen to be missing in this region's code. */
  const callTargets = ({ delta }: Insn, known: readonly number[]): number[] => {
    const called = reader.called(...placeOf(delta));
    return [...new Set(called === undefined || Math.abs(called) > CALL_REACH ? known : [...known, delta + called])];
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
  const copies: Copy[] = [];
  const depthOf = (copy: number): number => (copy === 0 ? 0 : 1 + depthOf(copies[copy - 1].parent));
  const balanced = new Set<number>();
  /** The copies that calls jump to, by the distance of the call. */
  const copied = new Map<number, readonly number[]>();
  const leaders = new Set<number>([0]);
  /** Gives the call `insn` copies of its targets, if all are worth it. */
  const copyCallees = ({ delta, length, rd }: Insn, targets: readonly number[]): boolean => {
    const parent = Math.round(delta / COPY);
    if (depthOf(parent) === MAX_DEPTH || copies.length + targets.length > MAX_COPIES || !targets.every(isShort))
      return false;
    const starts = targets.map(
      (target) => target + copies.push({ returnsTo: delta + length, link: rd, parent }) * COPY,
    );
    copied.set(delta, starts);
    for (const start of starts) leaders.add(start);
    work.push(...starts);
    return true;
  };
  /** Where the function's calls of itself return to: part of the region even if somebody else starts there. */
  const recursions = new Set<number>();
  const work = [0];
  while (work.length > 0 && insns.size < limit) {
    let delta = work.shift() as number;
    while (insns.size < limit && !insns.has(delta)) {
      const insn = decode(delta);
      if (insn === undefined) break;
      const copy = Math.round(delta / COPY);
      if (
        copy === 0 &&
        delta !== 0 &&
        leaders.has(delta) &&
        !recursions.has(delta) &&
        reader.isEntry(...placeOf(delta))
      )
        break;
      insns.set(delta, insn);
      const next = delta + insn.length;
      const { id } = insn.row;
      if (BRANCHES.has(id)) {
        const hot = reader.edges(...placeOf(delta));
        leaders.add(next).add(delta + insn.imm);
        if ((hot & EDGE_BALANCED) !== 0) balanced.add(delta);
        if ((hot & EDGE_TAKEN_HOT) !== 0) work.push(delta + insn.imm);
        if ((hot & EDGE_NOT_TAKEN_HOT) === 0) break;
      } else if (id === JAL) {
        leaders.add(next);
        if (isLink(insn.rd)) {
          const target = realDelta(delta + insn.imm);
          if (target === 0) recursions.add(next);
          if (!copyCallees(insn, [target])) work.push(next);
        } else {
          leaders.add(delta + insn.imm);
          work.push(delta + insn.imm);
        }
        break;
      } else if (id === JALR) {
        leaders.add(next);
        const targets = copy > 0 ? [] : (indirectTargets.get(delta) ?? []);
        if (isLink(insn.rd)) {
          const callees = reader.wide && copy === 0 ? callTargets(insn, targets) : [];
          if (callees.length === 0 || callees.length > MAX_CALLEES || !copyCallees(insn, callees)) work.push(next);
          break;
        }
        if (copy > 0 && isReturn(insn)) work.push(copies[copy - 1].returnsTo);
        for (const target of targets) {
          leaders.add(target);
          work.push(target);
        }
        break;
      }
      delta = next;
    }
  }
  if (!insns.has(0)) return undefined;
  const found = order(makeBlocks(insns, leaders, indirectTargets, balanced, copied, copies));
  const loops = found.some(({ isLoop }) => isLoop);
  const calls = hasCalls({ blocks: found });
  // Loops gain most from registers in locals; around calls they have to be in memory anyway.
  // A function that calls itself is its own caller: what it loads after a call is what it stored at its return.
  const writeThrough = (calls && !(loops && recursions.size > 0)) || (!loops && !reader.wide);
  const { blocks, streams } =
    loops && reader.wide && !writeThrough ? stripMine(found, 0) : { blocks: found, streams: new Map<Insn, Stream>() };
  return {
    blocks,
    instructions: insns.size,
    pages,
    writeThrough,
    streams,
    vouched: !reader.straddles,
    roams: reader.wide && !reader.strays,
  };
}

export function hasCalls({ blocks }: Pick<Region, "blocks">): boolean {
  return blocks.some(({ end }) => end === END_CALL || end === END_CALL_INDIRECT);
}

/** Distance of the only indirect call of a region that may become a larger one; undefined: there is no such call. */
export function callSiteOf({ blocks, roams }: Region): number | undefined {
  const calls = blocks.filter(({ end }) => end === END_CALL_INDIRECT);
  return roams || calls.length !== 1 ? undefined : realDelta(calls[0].insns[calls[0].insns.length - 1].delta);
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
  copied: ReadonlyMap<number, readonly number[]>,
  copies: readonly Copy[],
): Block[] {
  const blocks: Block[] = [];
  /** Numbers of the copies that return to somewhere else, as far as one can see. */
  const astray = new Set<number>();
  for (const { row, delta, rd } of insns.values()) {
    const copy = Math.round(delta / COPY);
    if (copy > 0 && rd === copies[copy - 1].link && (OPERANDS[row.id] & WRITES_X) !== 0) astray.add(copy);
  }
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
      const callees = copied.get(insn.delta);
      const inside = Math.round(insn.delta / COPY);
      if (BRANCHES.has(id)) end = END_BRANCH;
      else if (id === JAL && callees !== undefined) {
        end = END_JUMP;
        target = callees[0];
      } else if (id === JAL) end = isLink(insn.rd) ? END_CALL : END_JUMP;
      else if (id === JALR) {
        end = isLink(insn.rd) && callees === undefined ? END_CALL_INDIRECT : END_INDIRECT;
        let targets = callees ?? (end === END_INDIRECT && inside === 0 ? (indirectTargets.get(insn.delta) ?? []) : []);
        if (inside > 0 && isReturn(insn)) {
          const { returnsTo, link } = copies[inside - 1];
          targets = [returnsTo];
          if (insn.rs1 === link && insn.imm === 0 && !astray.has(inside)) {
            end = END_JUMP;
            target = returnsTo;
          }
        }
        indirect = end === END_JUMP ? [] : targets.map((known) => ({ delta: known, block: -1 }));
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
