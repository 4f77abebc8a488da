/**
 * Lowers a region to one WebAssembly function.
 *
 * Guest registers are wasm locals: those that blocks hand on to each other are loaded at entry and stored at exit (see
 * `flow.ts`), all others, and with `writeThrough` all, are copies of what memory holds whenever the region can be left, so
 * that calls of other regions find them there. Control flow is structured by the dominator tree (Ramsey, "Beyond Relooper",
 * ICFP 2022), so that V8 sees real loops. Ways in and out are `exit-lowering.ts`.
 *
 * Fuel: each block pays for its instructions when it ends; loop heads, and the points after calls, leave if less than
 * the whole region's number of instructions is left. So it never goes below zero, and what retires stays exact.
 */
import type { Expr } from "../isa/ir.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import { STATE_FUEL, STATE_PC } from "../state.ts";
import { REGION_NEXT } from "../interp/contract.ts";
import { cachedSlot, missesCache } from "../interp/lookup.ts";
import * as w from "../wasm/opcodes.ts";
import {
  type Block,
  dominates,
  END_BRANCH,
  END_CALL,
  END_CALL_INDIRECT,
  END_EXIT,
  END_FALL,
  END_INDIRECT,
  END_JUMP,
  END_ROUND,
  END_STRIP,
  type Insn,
  realDelta,
  type Strip,
} from "./blocks.ts";
import { ExitLowering, type RegionSpec } from "./exit-lowering.ts";
import { without } from "./flow.ts";
import { FOLLOW_ELSEWHERE, isSelectable } from "./instruction-lowering.ts";
import {
  ALL_REGISTERS,
  BASE,
  DEPTH,
  ENTRY,
  FUEL,
  type Late,
  NO_REGISTERS,
  PC_OUT,
  type RegisterSet,
  STATUS,
  STOP,
  VA,
} from "./operand-lowering.ts";
import type { RegionImports } from "./page-lowering.ts";
import { isReturn } from "./region.ts";

/** Regions nested on the host's stack at most; V8 has about 1 MB for it. */
const MAX_DEPTH = 200;
/** A jump table spans at most this many halfwords. */
const MAX_TABLE = 2048;

/** A place that a branch inside the function can go to. */
interface Label {
  readonly block: number;
  readonly isLoop: boolean;
  readonly depth: number;
}

export class RegionLowering extends ExitLowering {
  readonly #blocks: readonly Block[];
  /** Children in the dominator tree. */
  readonly #children: number[][];
  readonly #labels: Label[] = [];
  /** With writeThrough: by block, the registers whose locals are right at its end. */
  readonly #cached: RegisterSet[] = [];
  /** By head of a loop that runs in strips: its ROUND, which looks at the fuel. */
  readonly #rounds = new Map<number, number>();
  /** By block of a tight loop: what memory does not have yet when it is over. */
  readonly #late: (Late | undefined)[] = [];

  constructor(spec: RegionSpec, imports: RegionImports, regionType: number) {
    super(spec, imports, regionType);
    this.#blocks = spec.region.blocks;
    this.#children = this.#blocks.map(() => []);
    this.#blocks.forEach(({ dominator, end, nextBlock }, n) => {
      if (n > 0) this.#children[dominator].push(n);
      if (end === END_ROUND) this.#rounds.set(nextBlock, n);
    });
  }

  /** Emits the whole function body into {@link Lowering.code}. */
  emit(): void {
    this.open();
    this.#tree(0);
    this.close();
  }

  // --- control flow ------------------------------------------------------------------------------------------------------
  /** Block `n` and everything it dominates. */
  #tree(n: number): void {
    const merges = this.#children[n].filter((child) => this.#blocks[child].isMerge).reverse();
    if (!this.#blocks[n].isLoop) return this.#within(n, merges, 0);
    if (this.accesses.runHeads.includes(n)) this.checkRuns();
    this.#labels.push({ block: n, isLoop: true, depth: this.block(w.LOOP) });
    if (!this.#rounds.has(n)) this.#leaveIfLowFuel(n);
    this.#within(n, merges, 0);
    this.end();
    this.#labels.pop();
  }

  /** Block `n` inside the blocks whose ends are the merge nodes from `first` on. */
  #within(n: number, merges: readonly number[], first: number): void {
    if (first === merges.length) return this.#node(n);
    this.#labels.push({ block: merges[first], isLoop: false, depth: this.block(w.BLOCK) });
    this.#within(n, merges, first + 1);
    this.end();
    this.#labels.pop();
    this.#tree(merges[first]);
  }

  #leaveIfLowFuel(n: number): void {
    const { code } = this;
    this.current = n;
    code.get(FUEL);
    code.i32Const(this.spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.ifUnlikely();
    this.leave(this.#blocks[n].start, REGION_NEXT);
    this.end();
  }

  /** From block `from` to block `to` (-1: outside, at distance `delta`). */
  #goto(from: number, to: number, delta: number): void {
    this.current = from;
    const late = this.#late[from];
    if (late !== undefined && this.#late[to] === undefined) this.finishLate(late);
    if (to < 0) return this.leaveFor(delta);
    if (to <= from) {
      // A retreating edge: to the loop's label, or, if the loop has a second way in, out and back through its entry.
      if (!dominates(this.#blocks, to, from)) return this.leaveFor(delta);
      this.#storeDying(from, to);
      return this.#branchTo(to, true);
    }
    this.#storeDying(from, to);
    if (this.#blocks[to].isMerge) return this.#branchTo(to, false);
    this.#tree(to);
  }

  /** Stores what only block `from` kept for those behind it. */
  #storeDying(from: number, to: number): void {
    const { end } = this.#blocks[from];
    if (end === END_CALL || end === END_CALL_INDIRECT) return;
    const { exits, exitOf, liveIn } = this.flow;
    this.storeRegisters(without(exits[exitOf[from]], liveIn[to]));
  }

  #branchTo(block: number, isLoop: boolean): void {
    for (let n = this.#labels.length - 1; n >= 0; n--) {
      const label = this.#labels[n];
      if (label.block === block && label.isLoop === isLoop) return this.br(label.depth);
    }
    throw new Error("unreachable: branch to a block that is not in scope");
  }

  #node(n: number): void {
    const block = this.#blocks[n];
    this.current = n;
    const { insns } = block;
    const plain = isJump(block.end) ? insns.length - 1 : insns.length;
    const { dominator } = block;
    const meets = block.isLoop || block.isMerge || n === 0;
    this.through = without(ALL_REGISTERS, this.flow.liveIn[n]);
    const round = this.#tightRound(n);
    if (round !== undefined) this.startTightBlock(insns, this.#homesOf(n));
    else this.startBlock(insns, meets || !this.writeThrough ? NO_REGISTERS : this.#cached[dominator]);
    for (this.done = 0; this.done < plain; this.done++) {
      this.instruction(insns[this.done]);
    }
    this.pay(insns.length);
    const last = insns[insns.length - 1];
    this.insn = last;
    if (plain < insns.length) this.prepare(last);
    if (round !== undefined) this.#late[n] = this.#late[round] = this.takeLate();
    const cached = this.flush();
    this.#cached[n] = block.end === END_CALL || block.end === END_CALL_INDIRECT ? NO_REGISTERS : cached;
    switch (block.end) {
      case END_FALL:
        return this.#goto(n, block.nextBlock, block.next);
      case END_EXIT:
        return this.leaveFor(block.next);
      case END_STRIP:
        return this.#strip(n, block);
      case END_ROUND:
        return this.#round(n, block);
      case END_JUMP:
        this.link(last);
        return this.#goto(n, block.targetBlock, block.target);
      case END_BRANCH:
        return this.#branch(n, block, last);
      case END_CALL:
        return this.#call(n, block, last);
      case END_CALL_INDIRECT:
        return this.#call(n, block, last);
      case END_INDIRECT:
        return this.#indirect(n, block, last);
    }
  }

  /** ROUND of the tight loop that block `n` is; undefined: it is none. */
  #tightRound(n: number): number | undefined {
    const round = this.#rounds.get(n);
    return round !== undefined && this.#blocks[round].strip?.isTight === true && !this.writeThrough ? round : undefined;
  }

  #homesOf(n: number): number {
    return this.homesOf(this.#blocks[n].insns, this.flow.liveIn[n].x);
  }

  #strip(n: number, { strip, target, targetBlock, next, nextBlock }: Block): void {
    const otherwise = this.block(w.BLOCK);
    const homes = this.#tightRound(targetBlock) === undefined ? 0 : this.#homesOf(targetBlock);
    this.startStrip(strip as Strip, homes, this.spec.region.instructions, otherwise);
    this.#goto(n, targetBlock, target);
    this.end();
    this.#goto(n, nextBlock, next);
  }

  #round(n: number, { target, targetBlock, next, nextBlock }: Block): void {
    const { code } = this;
    code.get(FUEL);
    code.get(STOP);
    code.byte(w.I32_LT_S);
    this.ifUnlikely();
    this.#goto(n, targetBlock, target);
    this.end();
    this.#goto(n, nextBlock, next);
  }

  #branch(n: number, block: Block, last: Insn): void {
    const cond = SEMANTICS[last.row.id].body[0].a as Expr;
    const skipped = block.isBalanced ? this.#skipped(n, block) : undefined;
    if (skipped !== undefined) {
      this.select(cond, skipped.insns);
      const x = skipped.insns.reduce((set, { rd }) => set | (1 << rd), 0);
      this.storeRegisters(without({ x, f: 0 }, this.flow.dirtyIn[block.targetBlock]));
      return this.#goto(n, block.targetBlock, block.target);
    }
    this.expr(cond);
    this.block(w.IF);
    this.#goto(n, block.targetBlock, block.target);
    this.end();
    this.#goto(n, block.nextBlock, block.next);
  }

  /** The block that the branch at the end of block `n` skips, if it is nothing but a little arithmetic. */
  #skipped(n: number, { targetBlock, nextBlock }: Block): Block | undefined {
    if (targetBlock < 0 || nextBlock < 0) return undefined;
    const skipped = this.#blocks[nextBlock];
    return skipped.end === END_FALL &&
      skipped.nextBlock === targetBlock &&
      skipped.dominator === n &&
      !skipped.isMerge &&
      !skipped.isLoop &&
      isSelectable(skipped.insns)
      ? skipped
      : undefined;
  }

  #call(n: number, block: Block, last: Insn): void {
    const { code } = this;
    const direct = block.end === END_CALL;
    const target = realDelta(block.target);
    const recursive = direct && target === 0;
    const slot = direct ? this.spec.slotOf(target) : -1;
    if (direct) {
      this.link(last);
      this.pushAddress(block.target);
      code.set(PC_OUT);
    } else this.jalrTarget(last);
    code.i32Const(REGION_NEXT);
    code.set(STATUS);
    if (direct && slot < 0) return this.br(this.exitOf(n));
    code.get(DEPTH);
    code.i32Const(MAX_DEPTH);
    code.byte(w.I32_GE_U);
    this.brIf(this.exitOf(n));
    if (!direct) {
      if (this.spec.notesCall) this.noteCall();
      this.callee(n);
    }
    this.storeRegisters(this.flow.exits[this.flow.exitOf[n]]);
    this.storeFuel();
    code.get(PC_OUT);
    this.pushDepth();
    // The region itself needs no table: as long as it runs, its code has not changed.
    if (recursive) code.call(this.spec.self);
    else {
      if (direct) code.i32Const(slot);
      else code.get(ENTRY);
      code.byte(w.CALL_INDIRECT);
      code.u32(this.regionType);
      code.u32(0);
    }
    code.tee(STATUS);
    // The usual case is a return to here.
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    this.pushAddress(block.next);
    code.byte(w.I64_NE);
    code.byte(w.I32_OR);
    this.ifUnlikely();
    this.pushAddress(block.next);
    code.get(STATUS);
    this.pushDepth();
    code.call(this.imports.follow);
    code.tee(STATUS);
    this.block(w.IF);
    // The state is in memory already.
    code.get(STATUS);
    code.i32Const(REGION_NEXT);
    code.get(STATUS);
    code.i32Const(FOLLOW_ELSEWHERE);
    code.byte(w.I32_NE);
    code.byte(w.SELECT);
    code.byte(w.RETURN);
    this.end();
    this.end();
    if (block.nextBlock < 0) {
      // Another region begins here, and everything is in memory.
      if (this.imports.chain < 0) {
        code.i32Const(REGION_NEXT);
        code.byte(w.RETURN);
        return;
      }
      this.pushAddress(block.next);
      code.get(DEPTH);
      const link = this.spec.linkOf(realDelta(block.next));
      if (link >= 0) {
        code.i32Const(link);
        return this.returnCallIndirect();
      }
      code.byte(w.RETURN_CALL);
      code.u32(this.imports.chain);
      return;
    }
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_FUEL);
    code.tee(FUEL);
    code.i32Const(this.spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.returnIf(REGION_NEXT);
    this.loadRegisters(this.flow.liveIn[block.nextBlock]);
    this.#goto(n, block.nextBlock, block.next);
  }
  #indirect(n: number, block: Block, last: Insn): void {
    const { code } = this;
    this.jalrTarget(last);
    const known = block.indirect.filter((target) => target.block >= 0);
    if (known.length === 1 || last.rd !== 0) {
      for (const { delta, block: to } of known) {
        code.get(PC_OUT);
        this.pushAddress(delta);
        code.byte(w.I64_EQ);
        this.block(w.IF);
        this.#goto(n, to, delta);
        this.end();
        this.current = n;
      }
    } else if (known.length > 0) this.#jumpTable(n, known);
    if (isReturn(last)) {
      this.storeRegisters(this.flow.exits[this.flow.exitOf[n]]);
      return this.returnToCaller();
    }
    const site = this.spec.siteOf(last.delta);
    if (site >= 0) {
      this.storePc(BASE);
      code.i32Const(site);
      code.get(PC_OUT);
      code.get(BASE);
      code.byte(w.I64_SUB);
      code.byte(w.I32_WRAP_I64);
      code.call(this.imports.miss);
    }
    if (this.writeThrough && this.imports.chain >= 0) {
      this.storeFuel();
      missesCache(code, this.spec.jumpCache, PC_OUT, ENTRY);
      this.ifUnlikely();
      this.storePc(PC_OUT);
      code.get(PC_OUT);
      code.get(DEPTH);
      code.byte(w.RETURN_CALL);
      code.u32(this.imports.chain);
      this.end();
      code.get(PC_OUT);
      code.get(DEPTH);
      cachedSlot(code, this.spec.jumpCache, ENTRY);
      return this.returnCallIndirect();
    }
    code.i32Const(REGION_NEXT);
    code.set(STATUS);
    this.br(this.exitOf(n));
  }

  /** br_table over the distance of PC_OUT to the lowest known target; falls out of the construct if it is none of them. */
  #jumpTable(n: number, known: readonly { readonly delta: number; readonly block: number }[]): void {
    const { code } = this;
    const low = Math.min(...known.map(({ delta }) => delta));
    const high = Math.max(...known.map(({ delta }) => delta));
    const span = (high - low) / 2 + 1;
    if (span > MAX_TABLE) return;
    const none = this.block(w.BLOCK);
    const cases = [...new Set(known.map(({ block }) => block))];
    const labels = cases.map(() => this.block(w.BLOCK)).reverse();
    // Index: (PC_OUT - (BASE + low)) / 2, none if it does not fit in 31 bits.
    code.get(PC_OUT);
    this.pushAddress(low);
    code.byte(w.I64_SUB);
    code.i64Const(1);
    code.byte(w.I64_SHR_U);
    code.tee(VA);
    code.i64Const(span);
    code.byte(w.I64_GE_U);
    this.brIf(none);
    code.get(VA);
    code.byte(w.I32_WRAP_I64);
    const depths = new Array<number>(span).fill(this.depth - 1 - none);
    for (const { delta, block } of known) depths[(delta - low) / 2] = this.depth - 1 - labels[cases.indexOf(block)];
    code.byte(w.BR_TABLE);
    code.u32(span);
    for (const depth of depths) code.u32(depth);
    code.u32(this.depth - 1 - none);
    for (const block of cases) {
      this.end();
      this.#goto(n, block, this.#blocks[block].start);
    }
    this.end();
  }
}

/** True if the last instruction of a block that ends so is the jump. */
function isJump(end: number): boolean {
  return end !== END_FALL && end !== END_EXIT && end !== END_STRIP && end !== END_ROUND;
}
