/**
 * Lowers a region to one WebAssembly function.
 *
 * Guest registers are wasm locals, loaded at entry and stored at exit; calls of other regions store them before and
 * load them after. Control flow is structured by the dominator tree (Ramsey, "Beyond Relooper", ICFP 2022), so that V8
 * sees real loops. Every way out sets PC_OUT and STATUS and branches to the one block that stores the registers.
 *
 *   block EXIT
 *     checks, loads
 *     tree of blocks and loops
 *   end
 *   store registers, pc and fuel; return STATUS
 *
 * Fuel: each block pays for its instructions when it ends; loop heads, and the points after calls, leave if less than
 * the whole region's number of instructions is left. So it never goes below zero, and what retires stays exact.
 */
import { RM_DYN, RM_RNE, RM_RTZ } from "../fp/softfloat.ts";
import {
  type Expr, F64, FIELD_RS1, FIELD_RS2, I32, I64, MEM_ATOMIC, MEM_RESERVE, MEM_SIGNED, MEM_SIZE, NEEDS_RTZ, OP_F, type Statement, type Type,
} from "../isa/ir.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import {
  CACHE_EPOCH, CACHE_SLOT, ENTRY_EPOCH, STATE_A, STATE_B, STATE_C, STATE_EPOCH, STATE_F, STATE_FP_FAST, STATE_FUEL, STATE_PC, STATE_RESULT, STATE_TLB,
  TLB_ENTRIES, TLB_READ, TLB_WRITE,
} from "../state.ts";
import { REGION_DECLINED, REGION_LEAVE, REGION_NEXT } from "../interp/wasm-interpreter.ts";
import { LOAD_OPCODES, Lowering, STORE_OPCODES } from "../wasm/lower.ts";
import { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { analyse, type Flow, type RegisterSet } from "./flow.ts";
import { type Group, groupAccesses } from "./groups.ts";
import {
  type Block, dominates, END_BRANCH, END_CALL, END_CALL_INDIRECT, END_EXIT, END_FALL, END_INDIRECT, END_JUMP, type Insn, OPERANDS, READS_F1, READS_F2,
  READS_F3, READS_X1, READS_X2, type Region, WRITES_F, WRITES_X,
} from "./region.ts";

/** Indices of the functions that a region calls. */
export interface RegionImports {
  readonly load: number;
  readonly store: number;
  readonly fp: number;
  /** (entry pointer) -> 1 if the region's pages are mapped as compiled. */
  readonly validate: number;
  /** (pc) -> table slot or -1. */
  readonly lookup: number;
  /** (return pc, status of the call, depth) -> REGION_*, or FOLLOW_ELSEWHERE. */
  readonly follow: number;
  /** (site, distance) notes where an indirect jump left the region for; STATE_PC is the region's entry. */
  readonly miss: number;
  /** By FN_*. */
  readonly internal: readonly number[];
}

/** The callee ended up somewhere else than at the return address. */
export const FOLLOW_ELSEWHERE = 4;
/** Regions nested on the host's stack at most; V8 has about 1 MB for it. */
const MAX_DEPTH = 200;
/** A jump table spans at most this many halfwords. */
const MAX_TABLE = 2048;

// Parameters: the address of the entry, from which all others follow, and how many regions are on the host's stack.
const BASE = 0;
const DEPTH = 1;
/** Parameter types of a region; the result is one i32, REGION_*. */
export const REGION_PARAMETERS: readonly number[] = [I64, I32];
// Fixed locals.
const FUEL = 2;
const TLB = 3;
const FP_MODE = 4;
const STATUS = 5;
const ENTRY = 6;
const VA32 = 7;
/** Set when a store hit compiled code in the middle of an instruction. */
const STALE = 8;
const I32_TEMPS = 9;
const I32_TEMP_COUNT = 3;
const PC_OUT: number = I32_TEMPS + I32_TEMP_COUNT;
const VA: number = PC_OUT + 1;
const I64_TEMPS: number = PC_OUT + 2;
const I64_TEMP_COUNT = 14;
const FIRST_REGISTER: number = I64_TEMPS + I64_TEMP_COUNT;

// The position of an instruction in one i32: its distance from the entry, and how many of its block came before.
const POSITION_SHIFT = 9;
const POSITION_COUNT: number = (1 << POSITION_SHIFT) - 1;
/** Instructions of a region at most, so that positions can be packed. */
export const MAX_REGION = 500;
function packPosition(delta: number, done: number): number {
  return (delta << POSITION_SHIFT) | done;
}

/** A place that a branch inside the function can go to. */
interface Label {
  readonly block: number;
  readonly isLoop: boolean;
  readonly depth: number;
}

export interface RegionSpec {
  readonly region: Region;
  /** Memory offset of the entry descriptor. */
  readonly entry: number;
  /** The region depends on other pages than that of its entry. */
  readonly checksPages: boolean;
  /** Table slot of the region that starts at this distance, for direct calls; -1: leave to the interpreter. */
  slotOf(delta: number): number;
  /** Memory offset of the 16-byte inline cache of the indirect call at this distance. */
  cacheOf(delta: number): number;
  /** Number of an indirect jump, for {@link RegionImports.miss}; -1: do not report. */
  siteOf(delta: number): number;
}

export class RegionLowering extends Lowering {
  readonly #imports: RegionImports;
  readonly #regionType: number;
  readonly #spec: RegionSpec;
  readonly #blocks: readonly Block[];
  /** Children in the dominator tree. */
  readonly #children: number[][];
  readonly #labels: Label[] = [];
  // Locals of guest registers, or -1.
  readonly #x = new Int16Array(32).fill(-1);
  readonly #f = new Int16Array(32).fill(-1);
  readonly #locals: number[] = [];
  /** By exit set: the label that stores it, and the one in front that first finds out where the instruction is. */
  readonly #exits: { readonly leave: number; readonly inside: number }[] = [];
  readonly #flow: Flow;
  #usesFloat = false;
  /** Groups of the block being emitted, and the locals for their host addresses. */
  #groups: Map<Insn, Group> = new Map();
  readonly #groupLocals: number[] = [];
  /** The block being emitted. */
  #current = 0;
  #insn: Insn = null as unknown as Insn;
  /** Instructions of the block before the current one. */
  #done = 0;
  #types: readonly Type[] = [];

  constructor(spec: RegionSpec, imports: RegionImports, regionType: number) {
    super(new Code(16384));
    this.#spec = spec;
    this.#imports = imports;
    this.#regionType = regionType;
    this.#blocks = spec.region.blocks;
    this.#children = this.#blocks.map(() => []);
    for (let n = 1; n < this.#blocks.length; n++) this.#children[this.#blocks[n].dominator].push(n);
    this.#assignRegisters();
    this.#flow = analyse(this.#blocks);
  }

  /** Types of the function's locals after the parameters. */
  get localTypes(): readonly number[] {
    const fixed = [...new Array<number>(PC_OUT - FUEL).fill(I32), ...new Array<number>(FIRST_REGISTER - PC_OUT).fill(I64)];
    return [...fixed, ...this.#locals];
  }

  #assignRegisters(): void {
    const add = (map: Int16Array, register: number, type: number): void => {
      if (map[register] >= 0) return;
      map[register] = FIRST_REGISTER + this.#locals.length;
      this.#locals.push(type);
    };
    for (const { insns } of this.#blocks) {
      for (const { row, rd, rs1, rs2, rs3 } of insns) {
        const operands = OPERANDS[row.id];
        if ((operands & READS_X1) !== 0 && rs1 !== 0) add(this.#x, rs1, I64);
        if ((operands & READS_X2) !== 0 && rs2 !== 0) add(this.#x, rs2, I64);
        if ((operands & WRITES_X) !== 0 && rd !== 0) add(this.#x, rd, I64);
        if ((operands & READS_F1) !== 0) add(this.#f, rs1, F64);
        if ((operands & READS_F2) !== 0) add(this.#f, rs2, F64);
        if ((operands & READS_F3) !== 0) add(this.#f, rs3, F64);
        if ((operands & WRITES_F) !== 0) add(this.#f, rd, F64);
        if (row.extension === "F" || row.extension === "D") this.#usesFloat = true;
      }
    }
  }

  /** Emits the whole function body into {@link Lowering.code}. */
  emit(): void {
    const { code } = this;
    // One exit block per distinct set of registers to store; each ends in a return.
    const sets = this.#flow.exits;
    for (let n = 0; n < sets.length; n++) this.#exits.push({ leave: this.block(w.BLOCK), inside: this.block(w.BLOCK) });
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_FUEL);
    code.tee(FUEL);
    code.i32Const(this.#spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.#declineIf();
    if (this.#spec.checksPages) this.#checkPages();
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_TLB);
    code.set(TLB);
    this.#loadRegisters(this.#flow.liveIn[0]);
    if (this.#usesFloat) this.#loadFpMode();
    this.#tree(0);
    for (let n = sets.length - 1; n >= 0; n--) {
      this.end();
      // ENTRY holds the packed position: see packPosition.
      code.get(FUEL);
      code.get(ENTRY);
      code.i32Const(POSITION_COUNT);
      code.byte(w.I32_AND);
      code.byte(w.I32_SUB);
      code.set(FUEL);
      code.get(BASE);
      code.get(ENTRY);
      code.i32Const(POSITION_SHIFT);
      code.byte(w.I32_SHR_S);
      code.byte(w.I64_EXTEND_I32_S);
      code.byte(w.I64_ADD);
      code.set(PC_OUT);
      this.end();
      this.#storeRegisters(sets[n]);
      code.i32Const(0);
      code.get(PC_OUT);
      code.memory(w.I64_STORE, STATE_PC);
      code.i32Const(0);
      code.get(FUEL);
      code.memory(w.I32_STORE, STATE_FUEL);
      code.get(STATUS);
      code.byte(w.RETURN);
    }
    code.byte(w.UNREACHABLE);
  }

  /** The label that stores what block `n` may have changed. */
  #exitOf(n: number): number {
    return this.#exits[this.#flow.exitOf[n]].leave;
  }

  /** Returns REGION_DECLINED if the i32 on the stack is true. */
  #declineIf(): void {
    this.block(w.IF);
    this.#storePc(BASE);
    this.code.i32Const(REGION_DECLINED);
    this.code.byte(w.RETURN);
    this.end();
  }
  #storePc(local: number): void {
    this.code.i32Const(0);
    this.code.get(local);
    this.code.memory(w.I64_STORE, STATE_PC);
  }
  #returnIf(status: number): void {
    const { code } = this;
    this.block(w.IF);
    code.i32Const(status);
    code.byte(w.RETURN);
    this.end();
  }

  #checkPages(): void {
    const { code } = this;
    const { entry } = this.#spec;
    code.i32Const(0);
    code.memory(w.I32_LOAD, entry + ENTRY_EPOCH);
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_EPOCH);
    code.byte(w.I32_NE);
    this.block(w.IF);
    this.#storePc(BASE);
    code.i32Const(entry);
    code.call(this.#imports.validate);
    code.byte(w.I32_EQZ);
    this.#declineIf();
    this.end();
  }

  #loadRegisters({ x, f }: RegisterSet): void {
    const { code } = this;
    for (let n = 1; n < 32; n++) {
      if (((x >>> n) & 1) === 0) continue;
      code.i32Const(0);
      code.memory(w.I64_LOAD, n * 8);
      code.set(this.#x[n]);
    }
    for (let n = 0; n < 32; n++) {
      if (((f >>> n) & 1) === 0) continue;
      code.i32Const(0);
      code.memory(w.F64_LOAD, STATE_F + n * 8);
      code.set(this.#f[n]);
    }
  }
  #loadFpMode(): void {
    this.code.i32Const(0);
    this.code.memory(w.I32_LOAD, STATE_FP_FAST);
    this.code.set(FP_MODE);
  }
  #storeRegisters({ x, f }: RegisterSet): void {
    const { code } = this;
    for (let n = 1; n < 32; n++) {
      if (((x >>> n) & 1) === 0) continue;
      code.i32Const(0);
      code.get(this.#x[n]);
      code.memory(w.I64_STORE, n * 8);
    }
    for (let n = 0; n < 32; n++) {
      if (((f >>> n) & 1) === 0) continue;
      code.i32Const(0);
      code.get(this.#f[n]);
      code.memory(w.F64_STORE, STATE_F + n * 8);
    }
  }

  // --- control flow ------------------------------------------------------------------------------------------------------
  /** Block `n` and everything it dominates. */
  #tree(n: number): void {
    const merges = this.#children[n].filter((child) => this.#blocks[child].isMerge).reverse();
    if (!this.#blocks[n].isLoop) return this.#within(n, merges, 0);
    this.#labels.push({ block: n, isLoop: true, depth: this.block(w.LOOP) });
    this.#leaveIfLowFuel(n);
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
    this.#current = n;
    code.get(FUEL);
    code.i32Const(this.#spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.block(w.IF);
    this.#leave(this.#blocks[n].start, REGION_NEXT);
    this.end();
  }

  /** From block `from` to block `to` (-1: outside, at distance `delta`). */
  #goto(from: number, to: number, delta: number): void {
    this.#current = from;
    if (to < 0) return this.#leave(delta, REGION_NEXT);
    if (to <= from) {
      // A retreating edge: to the loop's label, or, if the loop has a second way in, out and back through its entry.
      if (!dominates(this.#blocks, to, from)) return this.#leave(delta, REGION_NEXT);
      return this.#branchTo(to, true);
    }
    if (this.#blocks[to].isMerge) return this.#branchTo(to, false);
    this.#tree(to);
  }

  #branchTo(block: number, isLoop: boolean): void {
    for (let n = this.#labels.length - 1; n >= 0; n--) {
      const label = this.#labels[n];
      if (label.block === block && label.isLoop === isLoop) return this.br(label.depth);
    }
    throw new Error("unreachable: branch to a block that is not in scope");
  }

  #pay(instructions: number): void {
    if (instructions === 0) return;
    this.code.get(FUEL);
    this.code.i32Const(instructions);
    this.code.byte(w.I32_SUB);
    this.code.set(FUEL);
  }
  #pushAddress(delta: number): void {
    this.code.get(BASE);
    if (delta === 0) return;
    this.code.i64Const(delta);
    this.code.byte(w.I64_ADD);
  }
  /** Leaves the region; the fuel is paid. */
  #leave(delta: number, status: number): void {
    this.#pushAddress(delta);
    this.code.set(PC_OUT);
    this.code.i32Const(status);
    this.code.set(STATUS);
    this.br(this.#exitOf(this.#current));
  }
  /** The label for leaving inside the current block, with the position in ENTRY and STATUS set. */
  get #inside(): number {
    return this.#exits[this.#flow.exitOf[this.#current]].inside;
  }
  /** The packed position of the current instruction, or of the next one. */
  #position(next: boolean): number {
    return next ? packPosition(this.#insn.delta + this.#insn.length, this.#done + 1) : packPosition(this.#insn.delta, this.#done);
  }

  #node(n: number): void {
    const block = this.#blocks[n];
    this.#current = n;
    const { insns } = block;
    const plain = block.end === END_FALL || block.end === END_EXIT ? insns.length : insns.length - 1;
    this.#groups = groupAccesses(insns);
    let used = 0;
    for (this.#done = 0; this.#done < plain; this.#done++) {
      const insn = insns[this.#done];
      const group = this.#groups.get(insn);
      if (group !== undefined && group.local < 0) {
        group.local = this.#groupLocal(used++);
        this.#checkGroup(group);
      }
      this.#instruction(insn);
    }
    this.#pay(insns.length);
    const last = insns[insns.length - 1];
    this.#insn = last;
    switch (block.end) {
      case END_FALL: return this.#goto(n, block.nextBlock, block.next);
      case END_EXIT: return this.#leave(block.next, REGION_NEXT);
      case END_JUMP:
        this.#link(last);
        return this.#goto(n, block.targetBlock, block.target);
      case END_BRANCH: return this.#branch(n, block, last);
      case END_CALL: return this.#call(n, block, last);
      case END_CALL_INDIRECT: return this.#call(n, block, last);
      case END_INDIRECT: return this.#indirect(n, block, last);
    }
  }

  #groupLocal(n: number): number {
    if (n === this.#groupLocals.length) {
      this.#groupLocals.push(FIRST_REGISTER + this.#locals.length);
      this.#locals.push(I32);
    }
    return this.#groupLocals[n];
  }

  /** The host address of a group's lowest byte, or 0. */
  #checkGroup(group: Group): void {
    const { code } = this;
    const array = group.writes ? TLB_WRITE : TLB_READ;
    code.get(this.#x[group.base]);
    code.i64Const(group.low);
    code.byte(w.I64_ADD);
    code.tee(VA);
    code.byte(w.I32_WRAP_I64);
    code.tee(VA32);
    code.i32Const(8);
    code.byte(w.I32_SHR_U);
    code.i32Const((TLB_ENTRIES - 1) << 4);
    code.byte(w.I32_AND);
    code.get(TLB);
    code.byte(w.I32_ADD);
    code.tee(ENTRY);
    code.memory(w.I32_LOAD, array + 8);
    code.get(VA32);
    code.byte(w.I32_ADD);
    code.i32Const(0);
    code.get(ENTRY);
    code.memory(w.I64_LOAD, array);
    code.get(VA);
    code.i64Const(-4096);
    code.byte(w.I64_AND);
    code.byte(w.I64_EQ);
    code.get(VA32);
    code.i32Const(4095);
    code.byte(w.I32_AND);
    code.i32Const(4096 - group.span);
    code.byte(w.I32_LE_U);
    code.byte(w.I32_AND);
    code.byte(w.SELECT);
    code.set(group.local);
  }

  #branch(n: number, block: Block, last: Insn): void {
    const cond = SEMANTICS[last.row.id].body[0].a as Expr;
    this.expr(cond);
    this.block(w.IF);
    this.#goto(n, block.targetBlock, block.target);
    this.end();
    this.#goto(n, block.nextBlock, block.next);
  }

  /** The target of a jalr into PC_OUT, then the link. */
  #jalrTarget(last: Insn): void {
    const { code } = this;
    this.getX(FIELD_RS1);
    code.i64Const(last.imm);
    code.byte(w.I64_ADD);
    code.i64Const(-2);
    code.byte(w.I64_AND);
    code.set(PC_OUT);
    this.#link(last);
  }
  #link(last: Insn): void {
    if (last.rd === 0) return;
    this.#pushAddress(last.delta + last.length);
    this.code.set(this.#x[last.rd]);
  }

  #call(n: number, block: Block, last: Insn): void {
    const { code } = this;
    const direct = block.end === END_CALL;
    const slot = direct ? this.#spec.slotOf(block.target) : -1;
    if (direct) {
      this.#link(last);
      this.#pushAddress(block.target);
      code.set(PC_OUT);
    } else this.#jalrTarget(last);
    code.i32Const(REGION_NEXT);
    code.set(STATUS);
    if ((direct && slot < 0) || block.nextBlock < 0) return this.br(this.#exitOf(n));
    code.get(DEPTH);
    code.i32Const(MAX_DEPTH);
    code.byte(w.I32_GE_U);
    this.brIf(this.#exitOf(n));
    if (!direct) this.#inlineCache(n, last);
    this.#storeRegisters(this.#flow.exits[this.#flow.exitOf[n]]);
    code.i32Const(0);
    code.get(FUEL);
    code.memory(w.I32_STORE, STATE_FUEL);
    code.get(PC_OUT);
    this.#pushDepth();
    if (direct) code.i32Const(slot);
    else code.get(ENTRY);
    code.byte(w.CALL_INDIRECT);
    code.u32(this.#regionType);
    code.u32(0);
    code.tee(STATUS);
    // The usual case is a return to here.
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    this.#pushAddress(block.next);
    code.byte(w.I64_NE);
    code.byte(w.I32_OR);
    this.block(w.IF);
    this.#pushAddress(block.next);
    code.get(STATUS);
    this.#pushDepth();
    code.call(this.#imports.follow);
    code.set(STATUS);
    this.end();
    code.get(STATUS);
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
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_FUEL);
    code.tee(FUEL);
    code.i32Const(this.#spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.#returnIf(REGION_NEXT);
    this.#loadRegisters(this.#flow.liveIn[block.nextBlock]);
    if (this.#usesFloat) this.#loadFpMode();
    this.#goto(n, block.nextBlock, block.next);
  }
  #pushDepth(): void {
    this.code.get(DEPTH);
    this.code.i32Const(1);
    this.code.byte(w.I32_ADD);
  }

  /**
   * The table slot for the call of PC_OUT into ENTRY, from the site's cache {i64 pc; i32 epoch; i32 slot} or by lookup;
   * leaves if there is no compiled code. A slot stays callable for ever, so the cache needs no invalidation.
   */
  #inlineCache(n: number, last: Insn): void {
    const { code } = this;
    const cache = this.#spec.cacheOf(last.delta);
    code.i32Const(0);
    code.memory(w.I32_LOAD, cache + CACHE_SLOT);
    code.set(ENTRY);
    code.i32Const(0);
    code.memory(w.I64_LOAD, cache);
    code.get(PC_OUT);
    code.byte(w.I64_NE);
    code.i32Const(0);
    code.memory(w.I32_LOAD, cache + CACHE_EPOCH);
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_EPOCH);
    code.byte(w.I32_NE);
    code.byte(w.I32_OR);
    this.block(w.IF);
    code.get(PC_OUT);
    code.call(this.#imports.lookup);
    code.tee(ENTRY);
    code.i32Const(0);
    code.byte(w.I32_LT_S);
    this.brIf(this.#exitOf(n));
    code.i32Const(0);
    code.get(PC_OUT);
    code.memory(w.I64_STORE, cache);
    code.i32Const(0);
    code.get(ENTRY);
    code.memory(w.I32_STORE, cache + CACHE_SLOT);
    code.i32Const(0);
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_EPOCH);
    code.memory(w.I32_STORE, cache + CACHE_EPOCH);
    this.end();
  }

  #indirect(n: number, block: Block, last: Insn): void {
    const { code } = this;
    this.#jalrTarget(last);
    const known = block.indirect.filter((target) => target.block >= 0);
    if (known.length > 0) this.#jumpTable(n, known);
    const site = this.#spec.siteOf(last.delta);
    code.i32Const(REGION_NEXT);
    code.set(STATUS);
    if (site >= 0) {
      this.#storePc(BASE);
      code.i32Const(site);
      code.get(PC_OUT);
      code.get(BASE);
      code.byte(w.I64_SUB);
      code.byte(w.I32_WRAP_I64);
      code.call(this.#imports.miss);
    }
    this.br(this.#exitOf(n));
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
    this.#pushAddress(low);
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

  // --- one instruction ---------------------------------------------------------------------------------------------------
  #instruction(insn: Insn): void {
    this.#insn = insn;
    const { body, locals } = SEMANTICS[insn.row.id];
    this.#types = locals;
    this.statements(body);
    if (insn.row.extension !== "A" && insn.row.extension !== "Zicboz") return;
    const { code } = this;
    code.i32Const(this.#position(true));
    code.set(ENTRY);
    code.i32Const(REGION_LEAVE);
    code.set(STATUS);
    code.get(STALE);
    this.brIf(this.#inside);
  }

  #register(field: number): number {
    return field === FIELD_RS1 ? this.#insn.rs1 : field === FIELD_RS2 ? this.#insn.rs2 : this.#insn.rs3;
  }
  getX(field: number): void {
    const register = this.#register(field);
    if (register === 0) this.code.i64Const(0);
    else this.code.get(this.#x[register]);
  }
  getX32(field: number): void {
    if (this.#register(field) === 0) return this.code.i32Const(0);
    this.getX(field);
    this.code.byte(w.I32_WRAP_I64);
  }
  getF(field: number): void {
    this.code.get(this.#f[this.#register(field)]);
    this.code.byte(w.I64_REINTERPRET_F64);
  }
  override expr(e: Expr): void {
    // f64 locals: no detour over integer registers.
    if (e.op === w.F64_REINTERPRET_I64 && e.a?.op === OP_F) return this.code.get(this.#f[this.#register(e.a.index)]);
    super.expr(e);
  }
  getImm(): void {
    this.code.i64Const(this.#insn.imm);
  }
  getImm32(): void {
    this.code.i32Const(this.#insn.imm);
  }
  getBits(): void {
    this.code.i32Const(this.#insn.bits);
  }
  getPc(): void {
    this.#pushAddress(this.#insn.delta);
  }
  getNextPc(): void {
    this.#pushAddress(this.#insn.delta + this.#insn.length);
  }
  local(index: number, type: Type): number {
    let same = 0;
    for (let n = 0; n < index; n++) if (this.#types[n] === type) same++;
    return (type === I64 ? I64_TEMPS : I32_TEMPS) + same;
  }
  setX(value: Expr): void {
    if (this.#insn.rd === 0) return;
    this.expr(value);
    this.code.set(this.#x[this.#insn.rd]);
  }
  setF(value: Expr): void {
    if (value.op === w.I64_REINTERPRET_F64) this.expr(value.a as Expr);
    else {
      this.expr(value);
      this.code.byte(w.F64_REINTERPRET_I64);
    }
    this.code.set(this.#f[this.#insn.rd]);
  }

  // --- memory --------------------------------------------------------------------------------------------------------------
  #lookup(address: Expr, mode: number, array: number): void {
    const { code } = this;
    this.expr(address);
    code.tee(VA);
    code.byte(w.I32_WRAP_I64);
    code.tee(VA32);
    code.i32Const(8);
    code.byte(w.I32_SHR_U);
    code.i32Const((TLB_ENTRIES - 1) << 4);
    code.byte(w.I32_AND);
    code.get(TLB);
    code.byte(w.I32_ADD);
    code.tee(ENTRY);
    code.memory(w.I64_LOAD, array);
    code.get(VA);
    code.i64Const(-4096 | ((1 << (mode & MEM_SIZE)) - 1));
    code.byte(w.I64_AND);
    code.byte(w.I64_EQ);
  }
  #host(array: number): void {
    this.code.get(ENTRY);
    this.code.memory(w.I32_LOAD, array + 8);
    this.code.get(VA32);
    this.code.byte(w.I32_ADD);
  }
  /** Calls the slow path; leaves on a fault, which is an odd status. Leaves the status in STATUS. */
  #slow(target: number, mode: number): void {
    const { code } = this;
    code.i32Const(this.#position(false));
    code.set(ENTRY);
    code.get(VA);
    code.i32Const(mode);
    code.call(target);
    code.tee(STATUS);
    code.i32Const(1);
    code.byte(w.I32_AND);
    this.brIf(this.#inside);
  }
  load(index: number, address: Expr, mode: number): void {
    const { code } = this;
    const array = (mode & MEM_ATOMIC) !== 0 ? TLB_WRITE : TLB_READ;
    const result = this.local(index, I64);
    const group = this.#groups.get(this.#insn);
    if (group !== undefined) {
      code.get(group.local);
      this.block(w.IF);
      code.get(group.local);
      code.memory(LOAD_OPCODES[mode & 7], this.#insn.imm - group.low);
      code.set(result);
      code.byte(w.ELSE);
    }
    this.#lookup(address, mode, array);
    this.block(w.IF);
    this.#host(array);
    code.memory(LOAD_OPCODES[mode & 7], 0);
    code.set(result);
    code.byte(w.ELSE);
    this.#slow(this.#imports.load, mode & (MEM_SIZE | MEM_SIGNED | MEM_ATOMIC | MEM_RESERVE));
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
    this.end();
    if (group !== undefined) this.end();
  }
  store(address: Expr, value: Expr, mode: number): void {
    const { code } = this;
    const group = this.#groups.get(this.#insn);
    if (group !== undefined) {
      code.get(group.local);
      this.block(w.IF);
      code.get(group.local);
      this.expr(value);
      code.memory(STORE_OPCODES[mode & MEM_SIZE], this.#insn.imm - group.low);
      code.byte(w.ELSE);
    }
    this.#lookup(address, mode, TLB_WRITE);
    this.block(w.IF);
    this.#host(TLB_WRITE);
    this.expr(value);
    code.memory(STORE_OPCODES[mode & MEM_SIZE], 0);
    code.byte(w.ELSE);
    code.i32Const(0);
    this.expr(value);
    code.memory(w.I64_STORE, STATE_RESULT);
    this.#slow(this.#imports.store, mode);
    if ((mode & MEM_ATOMIC) === 0 && SEMANTICS[this.#insn.row.id].body.length === 1) {
      // The store may have hit this very code: nothing of it may run any more.
      code.i32Const(this.#position(true));
      code.set(ENTRY);
      code.get(STATUS); // 0 or REGION_LEAVE
      this.brIf(this.#inside);
    } else {
      code.get(STALE);
      code.get(STATUS);
      code.byte(w.I32_OR);
      code.set(STALE);
    }
    this.end();
    if (group !== undefined) this.end();
  }

  // --- the rest ------------------------------------------------------------------------------------------------------------
  fpRounding(needs: number, slow: number): void {
    const rm = (this.#insn.bits >> 12) & 7;
    // FP_MODE vouches for frm = RNE, so a static RNE is as good as the dynamic mode.
    const fits = needs === NEEDS_RTZ ? rm === RM_RTZ : rm === RM_DYN || rm === RM_RNE;
    if (!fits) this.br(slow);
  }
  fpMode(): void {
    this.code.get(FP_MODE);
  }
  fpHelper(statement: Statement, result: number): void {
    const { code } = this;
    const operands: [Expr | null, number][] = [[statement.a, STATE_A], [statement.b, STATE_B], [statement.c, STATE_C]];
    for (const [operand, slot] of operands) {
      if (operand === null) continue;
      code.i32Const(0);
      this.expr(operand);
      code.memory(w.I64_STORE, slot);
    }
    code.i32Const(statement.mode);
    this.getBits();
    code.call(this.#imports.fp);
    code.tee(STATUS); // 0 or REGION_TRAP
    code.i32Const(this.#position(false));
    code.set(ENTRY);
    this.brIf(this.#inside);
    this.#loadFpMode();
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
  }
  functionIndex(fn: number): number {
    return this.#imports.internal[fn];
  }
  branch(): void {
    throw new Error("unreachable: branches end blocks");
  }
  jump(): void {
    throw new Error("unreachable: jumps end blocks");
  }
  trap(): void {
    throw new Error("unreachable: traps are interpreted");
  }
  system(): void {
    throw new Error("unreachable: system instructions are interpreted");
  }
}

