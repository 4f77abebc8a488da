/**
 * Lowers expressions and statements of `isa/ir.ts` to WebAssembly.
 *
 * What differs between the interpreter and the JIT (where operands come from, how memory is reached, how control
 * leaves the instruction) are the abstract methods. Labels are tracked as absolute depths, so that a branch target is
 * named by the depth at which its block was opened.
 */
import { INSTRUCTIONS } from "../isa/instructions.ts";
import {
  CHECK_NOTHING,
  type Expr,
  F32,
  F64,
  type FastPath,
  FN_FMA_D,
  FN_FMA_S,
  I32,
  I64,
  NEEDS_NOTHING,
  NEEDS_RNE,
  OP_BITS,
  OP_CALL,
  OP_CONST,
  OP_F,
  OP_IF,
  OP_IMM,
  OP_LOCAL,
  OP_NEXT_PC,
  OP_PC,
  OP_STATE,
  OP_X,
  ST_BRANCH,
  ST_FP,
  ST_IF,
  ST_JUMP,
  ST_LET,
  ST_LOAD,
  ST_SET_F,
  ST_SET_STATE,
  ST_SET_X,
  ST_STORE,
  ST_SYSTEM,
  ST_TRAP,
  type Statement,
  type Type,
} from "../isa/ir.ts";
import { FP_RNE_INEXACT } from "../state.ts";
import { emitFailsCheck, emitRelaxedMadd, hasFusedMadd } from "./float.ts";
import type { Code } from "./module.ts";
import * as w from "./opcodes.ts";

export abstract class Lowering {
  code: Code;
  /** Number of open blocks. */
  depth = 0;

  constructor(code: Code) {
    this.code = code;
  }

  // --- supplied by the back end: each pushes the operand ---------------------------------------------------------------
  abstract getX(field: number): void;
  /** The low 32 bits of an integer register. */
  abstract getX32(field: number): void;
  abstract getF(field: number): void;
  abstract getImm(): void;
  abstract getImm32(): void;
  abstract getPc(): void;
  abstract getNextPc(): void;
  abstract getBits(): void;
  /** The wasm local of instruction local `index`. */
  abstract local(index: number, type: Type): number;
  abstract setX(value: Expr): void;
  abstract setF(value: Expr): void;
  abstract load(index: number, address: Expr, mode: number): void;
  abstract store(address: Expr, value: Expr, mode: number): void;
  abstract branch(cond: Expr): void;
  abstract jump(target: Expr | null): void;
  abstract trap(cause: number, value: Expr): void;
  /** Branches to label `slow` if the rounding mode is not what `needs` (NEEDS_RNE or NEEDS_RTZ) asks for. */
  abstract fpRounding(needs: number, slow: number): void;
  /** Pushes STATE_FP_FAST. */
  abstract fpMode(): void;
  /** Calls the helper of an ST_FP and puts its result into local `result`. */
  abstract fpHelper(statement: Statement, result: number): void;
  /** The index of internal function FN_*. */
  abstract functionIndex(fn: number): number;
  abstract system(): void;

  // --- blocks ------------------------------------------------------------------------------------------------------------
  /** Opens a block and returns its label. */
  block(kind: number): number {
    this.code.byte(kind);
    this.code.byte(w.VOID);
    return this.depth++;
  }
  end(): void {
    this.code.byte(w.END);
    this.depth--;
  }
  br(label: number): void {
    this.code.br(this.depth - 1 - label);
  }
  brIf(label: number): void {
    this.code.brIf(this.depth - 1 - label);
  }

  // --- expressions -------------------------------------------------------------------------------------------------------
  expr(e: Expr): void {
    const { code } = this;
    switch (e.op) {
      case OP_CONST:
        if (e.type === I32) code.i32Const(e.value as number);
        else if (e.type === F64) code.f64Const(e.value as number);
        else if (e.type === F32) code.f32Const(e.value as number);
        else code.i64Const(e.value);
        return;
      case OP_LOCAL:
        return code.get(this.local(e.index, e.type));
      case OP_X:
        return this.getX(e.index);
      case OP_F:
        return this.getF(e.index);
      case OP_IMM:
        return this.getImm();
      case OP_PC:
        return this.getPc();
      case OP_NEXT_PC:
        return this.getNextPc();
      case OP_BITS:
        return this.getBits();
      case OP_STATE:
        code.i32Const(0);
        return code.memory(e.type === I32 ? w.I32_LOAD : w.I64_LOAD, e.index);
      case OP_IF:
        this.expr(e.a as Expr);
        code.byte(w.IF);
        code.byte(e.type);
        this.depth++;
        this.expr(e.b as Expr);
        code.byte(w.ELSE);
        this.expr(e.c as Expr);
        this.end();
        return;
      case OP_CALL:
        if ((e.index === FN_FMA_D || e.index === FN_FMA_S) && hasFusedMadd()) {
          return emitRelaxedMadd(
            code,
            (operand) => this.expr((operand === 0 ? e.a : operand === 1 ? e.b : e.c) as Expr),
            e.index === FN_FMA_D,
          );
        }
        break;
      case w.I32_WRAP_I64: {
        const source = e.a as Expr;
        if (source.op === OP_X) return this.getX32(source.index);
        if (source.op === OP_IMM) return this.getImm32();
      }
    }
    if (e.a !== null) this.expr(e.a);
    if (e.b !== null) this.expr(e.b);
    if (e.c !== null) this.expr(e.c);
    if (e.op === OP_CALL) code.call(this.functionIndex(e.index));
    else code.byte(e.op);
  }

  // --- floating point ------------------------------------------------------------------------------------------------------
  #fp(statement: Statement): void {
    const { code } = this;
    const { fast } = statement;
    const result = this.local(statement.index, I64);
    if (fast === null) return this.fpHelper(statement, result);
    const done = this.block(w.BLOCK);
    const slow = this.block(w.BLOCK);
    if (fast.needs !== NEEDS_NOTHING) this.fpRounding(fast.needs, slow);
    if (fast.guard !== null) {
      this.expr(fast.guard);
      code.byte(w.I32_EQZ);
      this.brIf(slow);
    }
    if (fast.needs === NEEDS_RNE) this.#roundedOrExact(fast, slow);
    else this.expr(fast.value);
    code.set(result);
    if (fast.check !== CHECK_NOTHING) {
      emitFailsCheck(code, result, fast.check, INSTRUCTIONS[statement.mode].mnemonic.split(".")[1] === "d");
      code.byte(w.I32_EQZ);
      this.brIf(done);
    } else {
      this.br(done);
    }
    this.end();
    this.fpHelper(statement, result);
    this.end();
  }
  /** Pushes `value` or `exact`, as STATE_FP_FAST says, or goes to `slow`. */
  #roundedOrExact(fast: FastPath, slow: number): void {
    const { code } = this;
    this.fpMode();
    code.byte(w.I32_EQZ);
    this.brIf(slow);
    this.fpMode();
    code.i32Const(FP_RNE_INEXACT);
    code.byte(w.I32_EQ);
    code.byte(w.IF);
    code.byte(I64);
    this.depth++;
    this.expr(fast.value);
    code.byte(w.ELSE);
    if (fast.exact === null) this.br(slow);
    else this.expr(fast.exact);
    this.end();
  }

  // --- statements --------------------------------------------------------------------------------------------------------
  statements(body: readonly Statement[]): void {
    for (let n = 0; n < body.length; n++) this.statement(body[n]);
  }

  statement(s: Statement): void {
    const a = s.a as Expr;
    switch (s.kind) {
      case ST_LET:
        this.expr(a);
        return this.code.set(this.local(s.index, a.type));
      case ST_SET_X:
        return this.setX(a);
      case ST_SET_F:
        return this.setF(a);
      case ST_LOAD:
        return this.load(s.index, a, s.mode);
      case ST_STORE:
        return this.store(a, s.b as Expr, s.mode);
      case ST_BRANCH:
        return this.branch(a);
      case ST_JUMP:
        return this.jump(s.a);
      case ST_TRAP:
        return this.trap(s.index, a);
      case ST_FP:
        return this.#fp(s);
      case ST_SET_STATE:
        this.code.i32Const(0);
        this.expr(a);
        return this.code.memory(a.type === I32 ? w.I32_STORE : w.I64_STORE, s.index);
      case ST_IF:
        this.expr(a);
        this.block(w.IF);
        this.statements(s.then);
        if (s.otherwise.length > 0) {
          this.code.byte(w.ELSE);
          this.statements(s.otherwise);
        }
        return this.end();
      case ST_SYSTEM:
        return this.system();
    }
  }
}

/** The wasm opcode of a guest load that yields an i64, by mode & 7. */
export const LOAD_OPCODES: readonly number[] = [
  w.I64_LOAD8_U,
  w.I64_LOAD16_U,
  w.I64_LOAD32_U,
  w.I64_LOAD,
  w.I64_LOAD8_S,
  w.I64_LOAD16_S,
  w.I64_LOAD32_S,
  w.I64_LOAD,
];
/** The wasm opcode of a guest store of an i64, by mode & 3. */
export const STORE_OPCODES: readonly number[] = [w.I64_STORE8, w.I64_STORE16, w.I64_STORE32, w.I64_STORE];
