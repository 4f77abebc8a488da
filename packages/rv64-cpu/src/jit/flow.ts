/**
 * Which registers are in locals where, and what has to be stored when.
 *
 * At the start of a block the locals of those registers are right that something in the region reads before it writes them
 * (`liveIn`); memory is right for all others. What a block writes of the former may stay in locals alone (`dirty`): every way
 * out of the block stores it, and every way on to a block that does not read it. What it writes of the latter goes
 * through to memory before anything can leave. So a value that nobody reads where ways meet costs the engine no moves there.
 */
import { type Block, END_CALL, END_CALL_INDIRECT, successors } from "./blocks.ts";
import { OPERANDS, READS_F1, READS_F2, READS_F3, READS_X1, READS_X2, WRITES_F, WRITES_X } from "./operands.ts";
import type { Region } from "./region.ts";
import { NO_REGISTERS, type RegisterSet } from "./operand-lowering.ts";

export interface Flow {
  /** Registers are in memory wherever the region can be left: nothing to load or store. */
  readonly inMemory: boolean;
  /** By block: the registers whose locals are right when it starts. */
  readonly liveIn: readonly RegisterSet[];
  /** By block: those of them that memory may not have when it starts. */
  readonly dirtyIn: readonly RegisterSet[];
  /** The distinct sets to store when leaving. */
  readonly exits: readonly RegisterSet[];
  /** By block: which of them. */
  readonly exitOf: readonly number[];
}

/** As many registers are worth being loaded after a call for all that comes behind it. */
const MAX_AROUND_CALL = 8;

export function flowOf({ blocks, writeThrough }: Region): Flow {
  const flow = writeThrough ? undefined : analyse(blocks);
  const isBusy = ({ end, nextBlock }: Block): boolean =>
    isCall(end) && nextBlock >= 0 && flow !== undefined && size(flow.liveIn[nextBlock]) > MAX_AROUND_CALL;
  if (flow !== undefined && !blocks.some(isBusy)) return flow;
  const nothing = blocks.map(() => NO_REGISTERS);
  return { inMemory: true, liveIn: nothing, dirtyIn: nothing, exits: [NO_REGISTERS], exitOf: blocks.map(() => 0) };
}

const isCall = (end: number): boolean => end === END_CALL || end === END_CALL_INDIRECT;
export function size({ x, f }: RegisterSet): number {
  let count = 0;
  for (let n = 0; n < 32; n++) count += ((x >>> n) & 1) + ((f >>> n) & 1);
  return count;
}

export function without(set: RegisterSet, other: RegisterSet): RegisterSet {
  return { x: set.x & ~other.x, f: set.f & ~other.f };
}
const both = (a: RegisterSet, b: RegisterSet): RegisterSet => ({ x: a.x & b.x, f: a.f & b.f });
const either = (a: RegisterSet, b: RegisterSet): RegisterSet => ({ x: a.x | b.x, f: a.f | b.f });
const equal = (a: RegisterSet, b: RegisterSet): boolean => a.x === b.x && a.f === b.f;

/** What a block reads before it writes it, and what it writes. */
interface Use {
  readonly reads: RegisterSet;
  readonly writes: RegisterSet;
}

function useOf({ insns }: Block): Use {
  let [readX, readF, writtenX, writtenF] = [0, 0, 0, 0];
  for (const { row, rd, rs1, rs2, rs3 } of insns) {
    const operands = OPERANDS[row.id];
    if ((operands & READS_X1) !== 0) readX |= (1 << rs1) & ~writtenX;
    if ((operands & READS_X2) !== 0) readX |= (1 << rs2) & ~writtenX;
    if ((operands & READS_F1) !== 0) readF |= (1 << rs1) & ~writtenF;
    if ((operands & READS_F2) !== 0) readF |= (1 << rs2) & ~writtenF;
    if ((operands & READS_F3) !== 0) readF |= (1 << rs3) & ~writtenF;
    if ((operands & WRITES_X) !== 0) writtenX |= 1 << rd;
    if ((operands & WRITES_F) !== 0) writtenF |= 1 << rd;
  }
  return { reads: { x: readX & ~1, f: readF }, writes: { x: writtenX & ~1, f: writtenF } };
}

function analyse(blocks: readonly Block[]): Flow {
  const uses = blocks.map(useOf);
  // Nothing is handed on around a call: everything is stored before, and loaded after it.
  const next = blocks.map((block) => (isCall(block.end) ? [] : successors(block)));
  const liveIn = uses.map(({ reads }) => reads);
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = blocks.length - 1; n >= 0; n--) {
      let out = NO_REGISTERS;
      for (const s of next[n]) out = either(out, liveIn[s]);
      const live = either(uses[n].reads, without(out, uses[n].writes));
      if (equal(live, liveIn[n])) continue;
      liveIn[n] = live;
      changed = true;
    }
  }
  const dirtyIn: RegisterSet[] = blocks.map(() => NO_REGISTERS);
  const dirty = (n: number): RegisterSet => either(dirtyIn[n], both(uses[n].writes, liveIn[n]));
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 0; n < blocks.length; n++) {
      const out = dirty(n);
      for (const s of next[n]) {
        const merged = either(dirtyIn[s], both(out, liveIn[s]));
        if (equal(merged, dirtyIn[s])) continue;
        dirtyIn[s] = merged;
        changed = true;
      }
    }
  }
  // Few distinct sets, shared by many blocks.
  const exits: RegisterSet[] = [];
  const exitOf = blocks.map((_, n) => {
    const set = dirty(n);
    const known = exits.findIndex((other) => equal(other, set));
    return known >= 0 ? known : exits.push(set) - 1;
  });
  return { inMemory: false, liveIn, dirtyIn, exits, exitOf };
}
