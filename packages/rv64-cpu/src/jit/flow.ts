/**
 * Which registers a region has to load and store where.
 *
 * Forward: the registers that may have changed since memory last agreed (at entry, and after a call). A block's exit set
 * is what may have changed by its end; every way out of the block stores that set, wherever in the block it is.
 * Backward: the registers whose locals have to be right at the start of a block, because something reads them, or because
 * an exit stores them. Those are loaded at entry and after calls.
 */
import { instructionByName } from "../isa/instructions.ts";
import { type Block, END_CALL, END_CALL_INDIRECT, END_FALL, type Insn, successors } from "./region.ts";

/** Bit n of `x` is xn, of `f` fn. */
export interface RegisterSet {
  readonly x: number;
  readonly f: number;
}

export interface Flow {
  /** By block: what to store when leaving it. */
  readonly exitSets: readonly RegisterSet[];
  /** By block: what must be in locals when it starts. */
  readonly liveIn: readonly RegisterSet[];
}

export function setKey({ x, f }: RegisterSet): string {
  return `${x},${f}`;
}

function usesOf({ row, rs1, rs2, rs3 }: Insn): RegisterSet {
  let x = 0;
  let f = 0;
  for (const letter of row.syntax) {
    switch (letter) {
      case "s": x |= 1 << rs1; break;
      case "t": x |= 1 << rs2; break;
      case "S": f |= 1 << rs1; break;
      case "T": f |= 1 << rs2; break;
      case "U": f |= 1 << rs3; break;
    }
  }
  return { x: x & ~1, f };
}

function definesOf({ row, rd }: Insn): RegisterSet {
  return { x: row.syntax.includes("d") ? (1 << rd) & ~1 : 0, f: row.syntax.includes("D") ? 1 << rd : 0 };
}

const PAUSE = instructionByName("pause").id;

/** True if the instruction can leave the region in the middle: faults, helpers with reserved rounding modes. */
function mayLeave({ row }: Insn): boolean {
  return row.id !== PAUSE && (row.syntax.includes("(s)") || row.extension === "F" || row.extension === "D");
}

export function analyse(blocks: readonly Block[]): Flow {
  const count = blocks.length;
  const definedX = new Int32Array(count);
  const definedF = new Int32Array(count);
  blocks.forEach(({ insns }, n) => {
    for (const insn of insns) {
      const { x, f } = definesOf(insn);
      definedX[n] |= x;
      definedF[n] |= f;
    }
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
  const exitSets = blocks.map((_, n) => ({ x: dirtyX[n] | definedX[n], f: dirtyF[n] | definedF[n] }));

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
      readX |= exitSets[n].x & ~seenX;
      readF |= exitSets[n].f & ~seenF;
    };
    if (block.isLoop) exitHere();
    for (const insn of block.insns) {
      const uses = usesOf(insn);
      readX |= uses.x & ~seenX;
      readF |= uses.f & ~seenF;
      if (mayLeave(insn)) exitHere();
      const defines = definesOf(insn);
      seenX |= defines.x;
      seenF |= defines.f;
    }
    // The end of nearly every block may leave: a target outside, a call, low fuel behind a retreating edge.
    const staysInside = block.end === END_FALL && block.nextBlock > n;
    if (!staysInside) exitHere();
    liveX[n] = readX;
    liveF[n] = readF;
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
  return { exitSets, liveIn: blocks.map((_, n) => ({ x: liveX[n], f: liveF[n] })) };
}
