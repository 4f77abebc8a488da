/**
 * Lowers single instructions of a region: registers in wasm locals, memory through the TLB, floating point.
 *
 * The control flow around them is `lowering.ts`. A fault or a store into compiled code puts the packed position of the
 * instruction into ENTRY, its status into STATUS, and goes to the label `inside`.
 */
import { RM_DYN, RM_RNE, RM_RTZ } from "../fp/softfloat.ts";
import {
  type Expr,
  F64,
  FIELD_RS1,
  FIELD_RS2,
  I32,
  I64,
  MEM_ATOMIC,
  MEM_RESERVE,
  MEM_SIGNED,
  MEM_SIZE,
  NEEDS_RTZ,
  OP_F,
  type Statement,
  type Type,
} from "../isa/ir.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import { STATE_A, STATE_B, STATE_C, STATE_FP_FAST, STATE_RESULT, TLB_ENTRIES, TLB_READ, TLB_WRITE } from "../state.ts";
import { REGION_LEAVE } from "../interp/wasm-interpreter.ts";
import { LOAD_OPCODES, Lowering, STORE_OPCODES } from "../wasm/lower.ts";
import { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import type { Group } from "./groups.ts";
import {
  type Block,
  type Insn,
  OPERANDS,
  READS_F1,
  READS_F2,
  READS_F3,
  READS_X1,
  READS_X2,
  WRITES_F,
  WRITES_X,
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
  /** (pc, depth) -> REGION_*: on to the compiled code at pc, if there is any; -1: the engine has no tail calls. */
  readonly chain: number;
  /** (site, distance) notes where an indirect jump left the region for; STATE_PC is the region's entry. */
  readonly miss: number;
  /** By FN_*. */
  readonly internal: readonly number[];
}

/** The callee ended up somewhere else than at the return address. */
export const FOLLOW_ELSEWHERE = 4;
// Parameters: the address of the entry, from which all others follow, and how many regions are on the host's stack.
export const BASE = 0;
export const DEPTH = 1;
/** Parameter types of a region; the result is one i32, REGION_*. */
export const REGION_PARAMETERS: readonly number[] = [I64, I32];
// Fixed locals.
export const FUEL = 2;
export const TLB = 3;
export const FP_MODE = 4;
export const STATUS = 5;
export const ENTRY = 6;
export const VA32 = 7;
/** Set when a store hit compiled code in the middle of an instruction. */
export const STALE = 8;
export const I32_TEMPS = 9;
export const I32_TEMP_COUNT = 3;
export const PC_OUT: number = I32_TEMPS + I32_TEMP_COUNT;
export const VA: number = PC_OUT + 1;
export const I64_TEMPS: number = PC_OUT + 2;
export const I64_TEMP_COUNT = 14;
export const FIRST_REGISTER: number = I64_TEMPS + I64_TEMP_COUNT;

// The position of an instruction in one i32: its distance from the entry, and how many of its block came before.
export const POSITION_SHIFT = 9;
export const POSITION_COUNT: number = (1 << POSITION_SHIFT) - 1;
/** Instructions of a region at most, so that positions can be packed. */
export const MAX_REGION = 500;
function packPosition(delta: number, done: number): number {
  return (delta << POSITION_SHIFT) | done;
}

/** One instruction after the other; `lowering.ts` adds the control flow. */
export abstract class InstructionLowering extends Lowering {
  protected readonly imports: RegionImports;
  // Locals of guest registers, or -1.
  protected readonly x: Int16Array = new Int16Array(32).fill(-1);
  protected readonly f: Int16Array = new Int16Array(32).fill(-1);
  /** Types of the locals from FIRST_REGISTER on. */
  protected readonly registerLocals: number[] = [];
  protected usesFloat = false;
  /** Groups of the block being emitted, and the locals for their host addresses. */
  protected groups: Map<Insn, Group> = new Map();
  protected readonly groupLocals: number[] = [];
  protected insn: Insn = null as unknown as Insn;
  /** Instructions of the block before the current one. */
  protected done = 0;
  protected types: readonly Type[] = [];

  constructor(imports: RegionImports) {
    super(new Code(16384));
    this.imports = imports;
  }

  /** The label for leaving inside the current block, with the position in ENTRY and STATUS set. */
  protected abstract get inside(): number;

  protected groupLocal(n: number): number {
    if (n === this.groupLocals.length) {
      this.groupLocals.push(FIRST_REGISTER + this.registerLocals.length);
      this.registerLocals.push(I32);
    }
    return this.groupLocals[n];
  }

  /** The host address of a group's lowest byte, or 0. */
  protected checkGroup(group: Group): void {
    const { code } = this;
    const array = group.writes ? TLB_WRITE : TLB_READ;
    code.get(this.x[group.base]);
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

  protected pushAddress(delta: number): void {
    this.code.get(BASE);
    if (delta === 0) return;
    this.code.i64Const(delta);
    this.code.byte(w.I64_ADD);
  }
  /** The packed position of the current instruction, or of the next one. */
  protected position(next: boolean): number {
    return next
      ? packPosition(this.insn.delta + this.insn.length, this.done + 1)
      : packPosition(this.insn.delta, this.done);
  }

  protected assignRegisters(blocks: readonly Block[]): void {
    const add = (map: Int16Array, register: number, type: number): void => {
      if (map[register] >= 0) return;
      map[register] = FIRST_REGISTER + this.registerLocals.length;
      this.registerLocals.push(type);
    };
    for (const { insns } of blocks) {
      for (const { row, rd, rs1, rs2, rs3 } of insns) {
        const operands = OPERANDS[row.id];
        if ((operands & READS_X1) !== 0 && rs1 !== 0) add(this.x, rs1, I64);
        if ((operands & READS_X2) !== 0 && rs2 !== 0) add(this.x, rs2, I64);
        if ((operands & WRITES_X) !== 0 && rd !== 0) add(this.x, rd, I64);
        if ((operands & READS_F1) !== 0) add(this.f, rs1, F64);
        if ((operands & READS_F2) !== 0) add(this.f, rs2, F64);
        if ((operands & READS_F3) !== 0) add(this.f, rs3, F64);
        if ((operands & WRITES_F) !== 0) add(this.f, rd, F64);
        if (row.extension === "F" || row.extension === "D") this.usesFloat = true;
      }
    }
  }

  protected loadFpMode(): void {
    this.code.i32Const(0);
    this.code.memory(w.I32_LOAD, STATE_FP_FAST);
    this.code.set(FP_MODE);
  }
  // --- one instruction ---------------------------------------------------------------------------------------------------
  protected instruction(insn: Insn): void {
    this.insn = insn;
    const { body, locals } = SEMANTICS[insn.row.id];
    this.types = locals;
    this.statements(body);
    if (insn.row.extension !== "A" && insn.row.extension !== "Zicboz") return;
    const { code } = this;
    code.i32Const(this.position(true));
    code.set(ENTRY);
    code.i32Const(REGION_LEAVE);
    code.set(STATUS);
    code.get(STALE);
    this.brIf(this.inside);
  }

  protected registerOf(field: number): number {
    return field === FIELD_RS1 ? this.insn.rs1 : field === FIELD_RS2 ? this.insn.rs2 : this.insn.rs3;
  }
  getX(field: number): void {
    const register = this.registerOf(field);
    if (register === 0) this.code.i64Const(0);
    else this.code.get(this.x[register]);
  }
  getX32(field: number): void {
    if (this.registerOf(field) === 0) return this.code.i32Const(0);
    this.getX(field);
    this.code.byte(w.I32_WRAP_I64);
  }
  getF(field: number): void {
    this.code.get(this.f[this.registerOf(field)]);
    this.code.byte(w.I64_REINTERPRET_F64);
  }
  override expr(e: Expr): void {
    // f64 locals: no detour over integer registers.
    if (e.op === w.F64_REINTERPRET_I64 && e.a?.op === OP_F) return this.code.get(this.f[this.registerOf(e.a.index)]);
    super.expr(e);
  }
  getImm(): void {
    this.code.i64Const(this.insn.imm);
  }
  getImm32(): void {
    this.code.i32Const(this.insn.imm);
  }
  getBits(): void {
    this.code.i32Const(this.insn.bits);
  }
  getPc(): void {
    this.pushAddress(this.insn.delta);
  }
  getNextPc(): void {
    this.pushAddress(this.insn.delta + this.insn.length);
  }
  local(index: number, type: Type): number {
    let same = 0;
    for (let n = 0; n < index; n++) if (this.types[n] === type) same++;
    return (type === I64 ? I64_TEMPS : I32_TEMPS) + same;
  }
  setX(value: Expr): void {
    if (this.insn.rd === 0) return;
    this.expr(value);
    this.code.set(this.x[this.insn.rd]);
  }
  setF(value: Expr): void {
    if (value.op === w.I64_REINTERPRET_F64) this.expr(value.a as Expr);
    else {
      this.expr(value);
      this.code.byte(w.F64_REINTERPRET_I64);
    }
    this.code.set(this.f[this.insn.rd]);
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
    code.i32Const(this.position(false));
    code.set(ENTRY);
    code.get(VA);
    code.i32Const(mode);
    code.call(target);
    code.tee(STATUS);
    code.i32Const(1);
    code.byte(w.I32_AND);
    this.brIf(this.inside);
  }
  load(index: number, address: Expr, mode: number): void {
    const { code } = this;
    const array = (mode & MEM_ATOMIC) !== 0 ? TLB_WRITE : TLB_READ;
    const result = this.local(index, I64);
    const group = this.groups.get(this.insn);
    if (group !== undefined) {
      code.get(group.local);
      this.block(w.IF);
      code.get(group.local);
      code.memory(LOAD_OPCODES[mode & 7], this.insn.imm - group.low);
      code.set(result);
      code.byte(w.ELSE);
    }
    this.#lookup(address, mode, array);
    this.block(w.IF);
    this.#host(array);
    code.memory(LOAD_OPCODES[mode & 7], 0);
    code.set(result);
    code.byte(w.ELSE);
    this.#slow(this.imports.load, mode & (MEM_SIZE | MEM_SIGNED | MEM_ATOMIC | MEM_RESERVE));
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
    this.end();
    if (group !== undefined) this.end();
  }
  store(address: Expr, value: Expr, mode: number): void {
    const { code } = this;
    const group = this.groups.get(this.insn);
    if (group !== undefined) {
      code.get(group.local);
      this.block(w.IF);
      code.get(group.local);
      this.expr(value);
      code.memory(STORE_OPCODES[mode & MEM_SIZE], this.insn.imm - group.low);
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
    this.#slow(this.imports.store, mode);
    if ((mode & MEM_ATOMIC) === 0 && SEMANTICS[this.insn.row.id].body.length === 1) {
      // The store may have hit this very code: nothing of it may run any more.
      code.i32Const(this.position(true));
      code.set(ENTRY);
      code.get(STATUS); // 0 or REGION_LEAVE
      this.brIf(this.inside);
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
    const rm = (this.insn.bits >> 12) & 7;
    // FP_MODE vouches for frm = RNE, so a static RNE is as good as the dynamic mode.
    const fits = needs === NEEDS_RTZ ? rm === RM_RTZ : rm === RM_DYN || rm === RM_RNE;
    if (!fits) this.br(slow);
  }
  fpMode(): void {
    this.code.get(FP_MODE);
  }
  fpHelper(statement: Statement, result: number): void {
    const { code } = this;
    const operands: [Expr | null, number][] = [
      [statement.a, STATE_A],
      [statement.b, STATE_B],
      [statement.c, STATE_C],
    ];
    for (const [operand, slot] of operands) {
      if (operand === null) continue;
      code.i32Const(0);
      this.expr(operand);
      code.memory(w.I64_STORE, slot);
    }
    code.i32Const(statement.mode);
    this.getBits();
    code.call(this.imports.fp);
    code.tee(STATUS); // 0 or REGION_TRAP
    code.i32Const(this.position(false));
    code.set(ENTRY);
    this.brIf(this.inside);
    this.loadFpMode();
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
  }
  functionIndex(fn: number): number {
    return this.imports.internal[fn];
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
