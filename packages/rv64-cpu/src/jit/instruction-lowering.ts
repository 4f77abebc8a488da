/**
 * Lowers single instructions of a region: arithmetic, loads and stores, floating point.
 *
 * The control flow around them is `lowering.ts`. A fault or a store into compiled code puts the position of the
 * instruction and its status into STATE_LEAVE_*, and goes to the label `inside`.
 */
import { RM_DYN, RM_RNE, RM_RTZ } from "../fp/softfloat.ts";
import {
  CHECK_NORMAL,
  CHECK_NOTHING,
  type Expr,
  F64,
  I64,
  MEM_ATOMIC,
  MEM_RESERVE,
  MEM_SIGNED,
  MEM_SIZE,
  NEEDS_RNE,
  NEEDS_RTZ,
  OP_F,
  OP_LOCAL,
  ST_FP,
  ST_LOAD,
  ST_SET_F,
  ST_SET_X,
  type Statement,
} from "../isa/ir.ts";
import { instructionByName } from "../isa/instructions.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import {
  FP_OFFSET_D,
  FP_OFFSET_S,
  STATE_FP_FAST,
  STATE_FP_FINITE_D,
  STATE_FP_FINITE_S,
  STATE_FP_NORMAL_D,
  STATE_FP_NORMAL_S,
  STATE_FUEL,
  STATE_LEAVE_DELTA,
  STATE_LEAVE_DONE,
  STATE_LEAVE_STATUS,
  STATE_RESULT,
  TLB_READ,
  TLB_WRITE,
} from "../state.ts";
import { REGION_LEAVE, REGION_TRAP } from "../interp/contract.ts";
import { ACCESS_LONG } from "../interp/wasm-memory.ts";
import { LOAD_OPCODES, STORE_OPCODES } from "../wasm/lower.ts";
import * as w from "../wasm/opcodes.ts";
import { type Insn, realDelta } from "./blocks.ts";
import type { Member } from "./groups.ts";
import { MAY_LEAVE, OPERANDS } from "./operands.ts";
import { FUEL, HOST, STALE, STATUS, VA } from "./operand-lowering.ts";
import { PageLowering } from "./page-lowering.ts";

/** The callee ended up somewhere else than at the return address. */
export const FOLLOW_ELSEWHERE = 4;

/** Instructions of a region at most. */
export const MAX_REGION = 500;

/** A double holds every 32-bit integer: these only need a valid rounding mode. */
const NEVER_ROUNDS = new Set(["fcvt.d.w", "fcvt.d.wu"].map((name) => instructionByName(name).id));

/** Instructions that one branch can skip and that are better executed for nothing than skipped by a branch. */
const MAX_SELECTED = 4;
/** True if all that they do is to write integer registers, from registers. */
export function isSelectable(insns: readonly Insn[]): boolean {
  return (
    insns.length <= MAX_SELECTED &&
    insns.every(({ row, rd }) => {
      const { body } = SEMANTICS[row.id];
      return rd !== 0 && body.length === 1 && body[0].kind === ST_SET_X && (OPERANDS[row.id] & MAY_LEAVE) === 0;
    })
  );
}

/** Bytes from the lowest byte of a group, or, if it stands alone, from itself. */
function offsetOf(member: Member | undefined): number {
  return member === undefined ? 0 : member.distance - member.group.low;
}

/** One instruction after the other; `lowering.ts` adds the control flow. */
export abstract class InstructionLowering extends PageLowering {
  /** Locals for {@link select}. */
  readonly #copies: number[] = [];
  /** The current instruction has a store whose effect on code is looked at behind it. */
  #staleable = false;
  /** Local of a double, or -1. */
  #floatLocal = -1;

  /** Goes to {@link inside} with a status and the position of the current instruction, or of the next one. */
  #leaveInside(status: number, next: boolean): void {
    const { code, insn } = this;
    for (const [slot, value] of [
      [STATE_LEAVE_STATUS, status],
      [STATE_LEAVE_DELTA, realDelta(next ? insn.delta + insn.length : insn.delta)],
      [STATE_LEAVE_DONE, next ? this.done + 1 : this.done],
    ]) {
      code.i32Const(0);
      code.i32Const(value);
      code.memory(w.I32_STORE, slot);
    }
    code.i32Const(-1);
    code.set(STATUS);
    this.br(this.inside);
  }

  // --- one instruction ---------------------------------------------------------------------------------------------------
  protected instruction(insn: Insn): void {
    this.insn = insn;
    const { body, locals } = SEMANTICS[insn.row.id];
    this.types = locals;
    this.#staleable = false;
    this.prepare(insn);
    const member = this.accesses.members.get(insn);
    if (member?.group.first === insn) this.checkGroup(member.group, this.groupLocal(member.group.index));
    if (body.length > 0 && body[0].kind === ST_FP) return this.#float(body);
    if (body.length === 2 && body[0].kind === ST_LOAD && body[1].a?.op === OP_LOCAL)
      return this.#plainLoad(body[0], body[1]);
    this.statements(body);
    if (insn.row.extension !== "A" && insn.row.extension !== "Zicboz") return;
    if (!this.#staleable) return;
    this.flush();
    this.code.get(STALE);
    this.ifUnlikely();
    this.#leaveInside(REGION_LEAVE, true);
    this.end();
  }

  // --- instructions that may have to be without effect ----------------------------------------------------------------------
  /**
   * Executes `insns`, for which {@link isSelectable} holds, unless `skip`, the condition of the current instruction, holds.
   * Afterwards the locals of what they write are right, whatever memory has.
   */
  protected select(skip: Expr, insns: readonly Insn[]): void {
    const { code } = this;
    this.expr(skip);
    code.set(STATUS);
    const written = [...new Set(insns.map(({ rd }) => rd))];
    for (const insn of insns) this.cacheSources(insn);
    for (const rd of written) this.cacheX(rd);
    // They work on copies.
    const kept = this.x.slice();
    for (const [n, rd] of written.entries()) {
      if (n === this.#copies.length) this.#copies.push(this.newLocal(I64));
      this.x[rd] = this.#copies[n];
      code.get(kept[rd]);
      code.set(this.x[rd]);
    }
    for (const insn of insns) {
      this.insn = insn;
      this.expr(SEMANTICS[insn.row.id].body[0].a as Expr);
      code.set(this.x[insn.rd]);
    }
    for (const rd of written) {
      code.get(kept[rd]);
      code.get(this.x[rd]);
      code.get(STATUS);
      code.byte(w.SELECT);
      this.x[rd] = kept[rd];
      code.set(this.x[rd]);
    }
    // fuel -= skip ? 0 : length
    code.get(FUEL);
    code.i32Const(insns.length);
    code.byte(w.I32_SUB);
    code.get(STATUS);
    if (insns.length > 1) {
      code.i32Const(insns.length);
      code.byte(w.I32_MUL);
    }
    code.byte(w.I32_ADD);
    code.set(FUEL);
  }

  // --- memory --------------------------------------------------------------------------------------------------------------
  /** Opens the `if` of an access that has to go the slow way, of result type `type`, with its address on the stack. */
  #ifSlowAccess(member: Member | undefined, address: Expr, mode: number, array: number, type: number): void {
    const { code } = this;
    if (member !== undefined) {
      code.get(this.groupLocal(member.group.index));
      code.byte(w.I32_EQZ);
      this.ifUnlikely(type);
      this.expr(address);
    } else {
      this.expr(address);
      code.tee(VA);
      this.tag(array);
      code.get(VA);
      code.i64Const(-4096 | ((1 << (mode & MEM_SIZE)) - 1));
      code.byte(w.I64_AND);
      code.byte(w.I64_NE);
      this.ifUnlikely(type);
      code.get(VA);
    }
  }
  /** Pushes what a load yields; `double`: as an f64. */
  #pushLoad(address: Expr, mode: number, double: boolean): void {
    const { code } = this;
    const stream = this.streams.get(this.insn);
    if (stream !== undefined) {
      this.pushStream(stream);
      return code.memory(double ? w.F64_LOAD : LOAD_OPCODES[mode & 7], this.insn.imm - stream.bias);
    }
    const array = (mode & MEM_ATOMIC) !== 0 ? TLB_WRITE : TLB_READ;
    const member = this.accesses.members.get(this.insn);
    if (member !== undefined && this.vouched) {
      code.get(this.groupLocal(member.group.index));
      return code.memory(double ? w.F64_LOAD : LOAD_OPCODES[mode & 7], offsetOf(member));
    }
    this.#ifSlowAccess(member, address, mode, array, double ? F64 : I64);
    this.access(mode & (MEM_SIZE | MEM_SIGNED | MEM_ATOMIC | MEM_RESERVE));
    code.call(this.imports.load);
    code.tee(STATUS);
    this.brIf(this.inside);
    if (double) code.byte(w.F64_REINTERPRET_I64);
    if ((mode & MEM_ATOMIC) !== 0) {
      code.i32Const(0);
      code.set(HOST);
    }
    code.byte(w.ELSE);
    if (member !== undefined) code.get(this.groupLocal(member.group.index));
    else this.host(array);
    if ((mode & MEM_ATOMIC) !== 0) code.tee(HOST);
    code.memory(double ? w.F64_LOAD : LOAD_OPCODES[mode & 7], offsetOf(member));
    this.end();
  }
  /** A load into a register, without a stop in a temporary. */
  #plainLoad(load: Statement, write: Statement): void {
    const { insn } = this;
    const double = write.kind === ST_SET_F;
    this.#pushLoad(load.a as Expr, load.mode, double);
    if (double) {
      this.code.set(this.f[insn.rd]);
      return this.writtenF(insn.rd);
    }
    if (insn.rd === 0) return this.code.byte(w.DROP);
    this.setLoaded();
  }
  load(index: number, address: Expr, mode: number): void {
    this.#pushLoad(address, mode, false);
    this.code.set(this.local(index, I64));
  }
  store(address: Expr, value: Expr, mode: number): void {
    const { code } = this;
    const stream = this.streams.get(this.insn);
    if (stream !== undefined) {
      this.pushStream(stream);
      return this.#storeFast(this.insn.imm - stream.bias, value, mode);
    }
    const member = this.accesses.members.get(this.insn);
    const atomic = (mode & MEM_ATOMIC) !== 0;
    if (member !== undefined && this.vouched) {
      code.get(this.groupLocal(member.group.index));
      return this.#storeFast(offsetOf(member), value, mode);
    }
    if (atomic) {
      // The load in front has found the place.
      code.get(HOST);
      code.byte(w.I32_EQZ);
      this.ifUnlikely();
      this.expr(address);
    } else this.#ifSlowAccess(member, address, mode, TLB_WRITE, w.VOID);
    if (!atomic && SEMANTICS[this.insn.row.id].body.length === 1) {
      this.expr(value);
      this.access((mode & MEM_SIZE) | (this.insn.length === 4 ? ACCESS_LONG : 0));
      code.call(this.imports.store);
      // The store may have hit this very code: then nothing of it may run any more.
      code.tee(STATUS);
      this.brIf(this.inside);
    } else {
      code.set(VA);
      code.i32Const(0);
      this.expr(value);
      code.memory(w.I64_STORE, STATE_RESULT);
      code.get(VA);
      code.i32Const(mode);
      code.call(this.imports.storeResult);
      code.tee(STATUS);
      code.i32Const(1);
      code.byte(w.I32_AND);
      this.block(w.IF);
      this.#leaveInside(REGION_TRAP, false);
      this.end();
      code.get(STALE);
      code.get(STATUS);
      code.byte(w.I32_OR);
      code.set(STALE);
      this.#staleable = true;
    }
    code.byte(w.ELSE);
    if (member !== undefined) code.get(this.groupLocal(member.group.index));
    else if (atomic) code.get(HOST);
    else this.host(TLB_WRITE);
    this.#storeFast(offsetOf(member), value, mode);
    this.end();
  }
  /** The host address, less `offset`, is on the stack. */
  #storeFast(offset: number, value: Expr, mode: number): void {
    // A whole floating-point register: no detour over an integer one.
    const double = value.op === OP_F && (mode & MEM_SIZE) === 3;
    if (double) this.code.get(this.f[this.registerOf(value.index)]);
    else this.expr(value);
    this.code.memory(double ? w.F64_STORE : STORE_OPCODES[mode & MEM_SIZE], offset);
  }

  // --- the rest ------------------------------------------------------------------------------------------------------------
  /** An operation and the write of its result: plain arithmetic if nothing speaks against it, else `regionFp`. */
  #float(body: readonly Statement[]): void {
    const { code, insn } = this;
    const statement = body[0];
    const { fast } = statement;
    const write = body[1];
    const rm = (insn.bits >> 12) & 7;
    const fits =
      fast !== null &&
      // The limits in the state vouch for frm = RNE, so a static RNE is as good as the dynamic mode.
      (fast.needs === NEEDS_RTZ ? rm === RM_RTZ : fast.needs !== NEEDS_RNE || rm === RM_DYN || rm === RM_RNE);
    // The float inside a result that is boxed or reinterpreted as an integer.
    const value = fast?.value ?? null;
    const double = value !== null && value.op === w.I64_REINTERPRET_F64;
    const result = double ? this.#floatTemp() : this.local(statement.index, I64);
    if (!fits || fast === null || value === null) {
      this.#slowFloat(statement);
      if (double) code.byte(w.F64_REINTERPRET_I64);
      code.set(result);
      return this.#writeFloat(write, double, result);
    }
    if (fast.check === CHECK_NOTHING) {
      if (fast.guard !== null) this.expr(fast.guard);
      else if (fast.needs === NEEDS_RNE) {
        code.i32Const(0);
        code.memory(w.I32_LOAD, NEVER_ROUNDS.has(insn.row.id) ? STATE_FP_FAST : STATE_FP_FINITE_D);
      } else code.i32Const(1);
      code.byte(w.I32_EQZ);
      this.ifUnlikely();
      this.#slowFloat(statement);
      if (double) code.byte(w.F64_REINTERPRET_I64);
      code.set(result);
      code.byte(w.ELSE);
      this.expr(double ? (value.a as Expr) : value);
      code.set(result);
      this.end();
      return this.#writeFloat(write, double, result);
    }
    // Sign out, smallest exponents to the top: one comparison finds NaN, infinity, tiny numbers, and a mode that is not plain.
    this.expr(double ? (value.a as Expr) : value);
    code.tee(result);
    if (double) {
      code.byte(w.I64_REINTERPRET_F64);
      code.i64Const(32);
      code.byte(w.I64_SHR_U);
    }
    code.byte(w.I32_WRAP_I64);
    code.i32Const(1);
    code.byte(w.I32_SHL);
    if (fast.check === CHECK_NORMAL) {
      code.i32Const(double ? FP_OFFSET_D : FP_OFFSET_S);
      code.byte(w.I32_SUB);
    }
    code.i32Const(0);
    const [normal, finite] = double ? [STATE_FP_NORMAL_D, STATE_FP_FINITE_D] : [STATE_FP_NORMAL_S, STATE_FP_FINITE_S];
    code.memory(w.I32_LOAD, fast.check === CHECK_NORMAL ? normal : finite);
    code.byte(w.I32_GE_U);
    this.ifUnlikely();
    this.#slowFloat(statement);
    if (double) code.byte(w.F64_REINTERPRET_I64);
    code.set(result);
    this.end();
    this.#writeFloat(write, double, result);
  }
  #floatTemp(): number {
    if (this.#floatLocal < 0) this.#floatLocal = this.newLocal(F64);
    return this.#floatLocal;
  }
  #writeFloat(write: Statement, double: boolean, result: number): void {
    const { code, insn } = this;
    if (!double) return this.statement(write);
    code.get(result);
    code.set(this.f[insn.rd]);
    this.writtenF(insn.rd);
  }
  /** Pushes the raw result of `regionFp`; leaves if the rounding mode is reserved. */
  #slowFloat({ a, b, c, mode }: Statement): void {
    const { code } = this;
    for (const operand of [a, b, c]) {
      if (operand === null) code.i64Const(0);
      else this.expr(operand);
    }
    code.i32Const(mode);
    this.getBits();
    this.access(0);
    code.call(this.imports.fp);
    code.tee(STATUS);
    this.brIf(this.inside);
  }
  fpRounding(): void {
    throw new Error("unreachable: floating-point operations are lowered here");
  }
  fpMode(): void {
    this.fpRounding();
  }
  fpHelper(): void {
    this.fpRounding();
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
  /** Reading the time; all others are interpreted. */
  system(): void {
    const { code, insn } = this;
    // The host may count retired instructions: this one is, as in the interpreter.
    code.i32Const(0);
    code.get(FUEL);
    code.i32Const(this.done + 1);
    code.byte(w.I32_SUB);
    code.memory(w.I32_STORE, STATE_FUEL);
    this.getBits();
    code.call(this.imports.system);
    this.ifUnlikely();
    this.#leaveInside(REGION_TRAP, false);
    this.end();
    if (insn.rd === 0) return;
    this.loadX(insn.rd);
    this.loaded(insn.rd);
  }
}
