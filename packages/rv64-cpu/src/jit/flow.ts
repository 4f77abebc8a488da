/**
 * Which registers a region has to load and store where.
 *
 * Forward: the registers that may have changed since memory last agreed (at entry, and after a call). A block's exit set
 * is what may have changed by its end; every way out of the block stores that set, wherever in the block it is.
 * Backward: the registers whose locals have to be right at the start of a block, because something reads them, or because
 * an exit stores them. Those are loaded at entry and after calls.
 */
import {
  type Block,
  END_CALL,
  END_CALL_INDIRECT,
  END_FALL,
  MAY_LEAVE,
  OPERANDS,
  READS_F1,
  READS_F2,
  READS_F3,
  READS_X1,
  READS_X2,
  successors,
  WRITES_F,
  WRITES_X,
} from "./region.ts";
import { NO_REGISTERS, type RegisterSet } from "./operand-lowering.ts";

export interface Flow {
  /** The distinct sets to store when leaving. */
  readonly exits: readonly RegisterSet[];
  /** By block: which of them. */
  readonly exitOf: readonly number[];
  /** By block: what must be in locals when it starts. */
  readonly liveIn: readonly RegisterSet[];
}

/** Registers are in memory wherever the region can be left: nothing to load or store. */
export function allInMemory(blocks: readonly Block[]): Flow {
  return { exits: [NO_REGISTERS], exitOf: blocks.map(() => 0), liveIn: blocks.map(() => NO_REGISTERS) };
}

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

/**
 * The registers of whose values nothing in the region is read where ways meet. In locals they would cost an engine moves at
 * each such place, only so that exits can store them; one store each time they are written is cheaper.
 */
export function temporaries(blocks: readonly Block[]): RegisterSet {
  const uses = blocks.map(useOf);
  const liveX = new Int32Array(blocks.length);
  const liveF = new Int32Array(blocks.length);
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = blocks.length - 1; n >= 0; n--) {
      let x = 0;
      let f = 0;
      for (const s of successors(blocks[n])) {
        x |= liveX[s];
        f |= liveF[s];
      }
      const { reads, writes } = uses[n];
      x = reads.x | (x & ~writes.x);
      f = reads.f | (f & ~writes.f);
      if (x === liveX[n] && f === liveF[n]) continue;
      liveX[n] = x;
      liveF[n] = f;
      changed = true;
    }
  }
  let x = 0;
  let f = 0;
  blocks.forEach(({ isLoop, isMerge }, n) => {
    if (!isLoop && !isMerge) return;
    x |= liveX[n];
    f |= liveF[n];
  });
  return { x: ~x & ~1, f: ~f };
}

/** `through`: registers that are in memory wherever the region can be left. */
export function analyse(blocks: readonly Block[], through: RegisterSet): Flow {
  const count = blocks.length;
  const definedX = new Int32Array(count);
  const definedF = new Int32Array(count);
  blocks.forEach(({ insns }, n) => {
    for (const { row, rd } of insns) {
      const operands = OPERANDS[row.id];
      if ((operands & WRITES_X) !== 0) definedX[n] |= (1 << rd) & ~1;
      if ((operands & WRITES_F) !== 0) definedF[n] |= 1 << rd;
    }
    definedX[n] &= ~through.x;
    definedF[n] &= ~through.f;
  });

  // Forward: may have changed at the start of the block.
  const dirtyX = new Int32Array(count);
  const dirtyF = new Int32Array(count);
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 0; n < count; n++) {
      const isCall = blocks[n].end === END_CALL || blocks[n].end === END_CALL_INDIRECT;
      const x = isCall ? 0 : dirtyX[n] | definedX[n];
      const f = isCall ? 0 : dirtyF[n] | definedF[n];
      for (const s of successors(blocks[n])) {
        if ((dirtyX[s] | x) !== dirtyX[s] || (dirtyF[s] | f) !== dirtyF[s]) changed = true;
        dirtyX[s] |= x;
        dirtyF[s] |= f;
      }
    }
  }
  // Few distinct sets, shared by many blocks.
  const exits: RegisterSet[] = [];
  const exitOf = blocks.map((_, n) => {
    const x = dirtyX[n] | definedX[n];
    const f = dirtyF[n] | definedF[n];
    const known = exits.findIndex((set) => set.x === x && set.f === f);
    return known >= 0 ? known : exits.push({ x, f }) - 1;
  });

  // What each block reads before it defines it, exits included.
  const liveX = new Int32Array(count);
  const liveF = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    const block = blocks[n];
    let seenX = 0;
    let seenF = 0;
    let readX = 0;
    let readF = 0;
    const exitHere = (): void => {
      readX |= exits[exitOf[n]].x & ~seenX;
      readF |= exits[exitOf[n]].f & ~seenF;
    };
    if (block.isLoop) exitHere();
    for (const { row, rd, rs1, rs2, rs3 } of block.insns) {
      const operands = OPERANDS[row.id];
      const x = ((operands & READS_X1) !== 0 ? 1 << rs1 : 0) | ((operands & READS_X2) !== 0 ? 1 << rs2 : 0);
      const f =
        ((operands & READS_F1) !== 0 ? 1 << rs1 : 0) |
        ((operands & READS_F2) !== 0 ? 1 << rs2 : 0) |
        ((operands & READS_F3) !== 0 ? 1 << rs3 : 0);
      readX |= x & ~1 & ~seenX;
      readF |= f & ~seenF;
      if ((operands & MAY_LEAVE) !== 0) exitHere();
      if ((operands & WRITES_X) !== 0) seenX |= (1 << rd) & ~1;
      if ((operands & WRITES_F) !== 0) seenF |= 1 << rd;
    }
    // The end of nearly every block may leave: a target outside, a call, low fuel behind a retreating edge.
    const staysInside = block.end === END_FALL && block.nextBlock > n;
    if (!staysInside) exitHere();
    liveX[n] = readX & ~through.x;
    liveF[n] = readF & ~through.f;
  }

  // Backward.
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = count - 1; n >= 0; n--) {
      // After a call everything live is loaded again.
      if (blocks[n].end === END_CALL || blocks[n].end === END_CALL_INDIRECT) continue;
      let x = liveX[n];
      let f = liveF[n];
      for (const s of successors(blocks[n])) {
        x |= liveX[s] & ~definedX[n];
        f |= liveF[s] & ~definedF[n];
      }
      if (x !== liveX[n] || f !== liveF[n]) {
        liveX[n] = x;
        liveF[n] = f;
        changed = true;
      }
    }
  }
  return { exits, exitOf, liveIn: blocks.map((_, n) => ({ x: liveX[n], f: liveF[n] })) };
}
