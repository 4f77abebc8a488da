/**
 * Lowers instructions to handlers of the WebAssembly interpreter: operands come from the record at RP, memory is reached
 * through the TLB, and the end is a jump to the dispatch of the next record.
 */
import { RM_DYN, RM_RTZ } from "../fp/softfloat.ts";
import {
  type Expr,
  FIELD_RS1,
  FIELD_RS2,
  I64,
  MEM_ATOMIC,
  MEM_RESERVE,
  MEM_SIZE,
  NEEDS_RTZ,
  type Statement,
  type Type,
} from "../isa/ir.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import {
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_RD,
  RECORD_RM,
  RECORD_RS1,
  RECORD_RS2,
  RECORD_RS3,
  STATE_A,
  STATE_B,
  STATE_C,
  STATE_FP_FAST,
  STATE_FS,
  STATE_FUEL,
  STATE_PC,
  STATE_RESULT,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  TLB_READ,
  TLB_WRITE,
} from "../state.ts";
import { LOAD_OPCODES, Lowering, STORE_OPCODES } from "../wasm/lower.ts";
import type { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { EXIT_HOST, type InterpreterImports } from "./contract.ts";
import {
  counterField,
  type DispatchOp,
  EDGE_NOT_TAKEN,
  EDGE_TAKEN,
  REACH_FAR,
  REACH_LOCAL,
  REACH_LOOP,
} from "./dispatch.ts";
import { tlbEntry, tlbHost } from "./tlb.ts";

// Locals of run(); 0 is the parameter.
export const FUEL = 0;
export const RP = 1; // record pointer
export const REC_BASE = 2; // first record of the page
export const TLB = 3; // TLB bank in use
export const ENTRY = 4; // scratch: TLB entry
export const EXIT_CODE = 5;
export const HELD = 6; // fuel put aside to leave at the next instruction
export const VA32 = 7; // scratch: low half of a virtual address
export const STATUS = 8; // scratch: result of an import
export const PC_BASE = 9; // virtual address of REC_BASE
export const PC = 10; // target of a jump that leaves the page
const VA = 11; // scratch: virtual address
const I64_TEMPS = 12;
const I64_TEMP_COUNT = 14;
export const I32_TEMPS: number = I64_TEMPS + I64_TEMP_COUNT;
export const I32_TEMP_COUNT = 3;

/** Bytes of records per byte of code, log2. */
export const RECORD_SHIFT: number = Math.log2(RECORD_BYTES / 2);

export class RecordLowering extends Lowering {
  op: DispatchOp | null = null;
  /** Function indices by FN_*. */
  readonly internal: readonly number[];
  /** The slow paths of loads and stores. */
  readonly memory: { readonly load: number; readonly store: number };
  readonly functions: Readonly<Record<keyof InterpreterImports, number>>;
  EXIT = 0;
  FETCH = 0;
  NEXT = 0;
  FAULT = 0;
  floatGate = false;
  hotCount = 0;
  #types: readonly Type[] = [];

  constructor(
    code: Code,
    functions: Readonly<Record<keyof InterpreterImports, number>>,
    internal: readonly number[],
    memory: { load: number; store: number },
  ) {
    super(code);
    this.memory = memory;
    this.internal = internal;
    this.functions = functions;
  }

  field16(offset: number): void {
    this.code.get(RP);
    this.code.memory(w.I32_LOAD16_U, offset);
  }
  #register(field: number): void {
    this.field16(field === FIELD_RS1 ? RECORD_RS1 : field === FIELD_RS2 ? RECORD_RS2 : RECORD_RS3);
  }
  getX(field: number): void {
    this.#register(field);
    this.code.memory(w.I64_LOAD, 0);
  }
  getX32(field: number): void {
    this.#register(field);
    this.code.memory(w.I32_LOAD, 0);
  }
  getF(field: number): void {
    this.getX(field);
  }
  getImm(): void {
    this.code.get(RP);
    this.code.memory(w.I64_LOAD32_S, RECORD_IMM);
  }
  getImm32(): void {
    this.code.get(RP);
    this.code.memory(w.I32_LOAD, RECORD_IMM);
  }
  getBits(): void {
    this.getImm32();
  }
  getPc(): void {
    const { code } = this;
    code.get(PC_BASE);
    code.get(RP);
    code.get(REC_BASE);
    code.byte(w.I32_SUB);
    code.i32Const(RECORD_SHIFT);
    code.byte(w.I32_SHR_U);
    code.byte(w.I64_EXTEND_I32_U);
    code.byte(w.I64_ADD);
  }
  getNextPc(): void {
    this.getPc();
    this.code.i64Const((this.op as DispatchOp).length);
    this.code.byte(w.I64_ADD);
  }
  local(index: number, type: Type): number {
    let same = 0;
    for (let n = 0; n < index; n++) if (this.#types[n] === type) same++;
    return (type === I64 ? I64_TEMPS : I32_TEMPS) + same;
  }
  setX(value: Expr): void {
    this.field16(RECORD_RD);
    this.expr(value);
    this.code.memory(w.I64_STORE, 0);
  }
  setF(value: Expr): void {
    this.setX(value);
  }

  /** VA and VA32 from the address; ENTRY; then pushes whether the TLB array at `array` maps it, aligned. */
  #lookup(address: Expr, mode: number, array: number): void {
    const { code } = this;
    this.expr(address);
    code.tee(VA);
    code.byte(w.I32_WRAP_I64);
    code.tee(VA32);
    tlbEntry(code, TLB);
    code.tee(ENTRY);
    code.memory(w.I64_LOAD, array);
    code.get(VA);
    code.i64Const(-4096 | ((1 << (mode & MEM_SIZE)) - 1));
    code.byte(w.I64_AND);
    code.byte(w.I64_EQ);
  }
  #host(array: number): void {
    tlbHost(this.code, array, ENTRY, VA32);
  }
  /** Calls the slow path and leaves on a fault. */
  #slow(target: number, mode: number): void {
    const { code } = this;
    code.get(VA);
    code.i32Const(mode);
    code.call(target);
    code.tee(STATUS);
    this.block(w.IF);
    code.get(STATUS);
    code.i32Const(1);
    code.byte(w.I32_EQ);
    this.brIf(this.FAULT);
    this.#holdFuel();
    this.end();
  }
  /** Leaves with EXIT_FUEL before the next instruction; the rest of the fuel is not lost. */
  #holdFuel(): void {
    const { code } = this;
    code.get(HELD);
    code.get(FUEL);
    code.byte(w.I32_ADD);
    code.set(HELD);
    code.i32Const(0);
    code.set(FUEL);
  }

  load(index: number, address: Expr, mode: number): void {
    const { code } = this;
    const array = (mode & MEM_ATOMIC) !== 0 ? TLB_WRITE : TLB_READ;
    const result = this.local(index, I64);
    this.#lookup(address, mode, array);
    this.block(w.IF);
    this.#host(array);
    code.memory(LOAD_OPCODES[mode & 7], 0);
    code.set(result);
    code.byte(w.ELSE);
    this.#slow(this.memory.load, mode & (MEM_SIZE | 4 | MEM_ATOMIC | MEM_RESERVE));
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
    this.end();
  }
  store(address: Expr, value: Expr, mode: number): void {
    const { code } = this;
    this.#lookup(address, mode, TLB_WRITE);
    this.block(w.IF);
    this.#host(TLB_WRITE);
    this.expr(value);
    code.memory(STORE_OPCODES[mode & MEM_SIZE], 0);
    code.byte(w.ELSE);
    code.i32Const(0);
    this.expr(value);
    code.memory(w.I64_STORE, STATE_RESULT);
    this.#slow(this.memory.store, mode);
    this.end();
  }

  /** Goes on with the next record. */
  advance(): void {
    const { code } = this;
    code.get(RP);
    code.i32Const(((this.op as DispatchOp).length * RECORD_BYTES) / 2);
    code.byte(w.I32_ADD);
    code.set(RP);
    this.br(this.NEXT);
  }
  /**
   * A branch of the host's, not a select: what is in the next record must not have to wait for the condition. Where the
   * processor guesses wrong it would have guessed the dispatch wrong.
   */
  branch(cond: Expr): void {
    const profile = this.hotCount > 0;
    this.expr(cond);
    this.block(w.IF);
    // Every other way to the target counts for itself.
    if (profile && (this.op as DispatchOp).reach === REACH_LOCAL) this.#increment(EDGE_TAKEN);
    this.#relative();
    this.end();
    if (profile) this.#increment(EDGE_NOT_TAKEN);
  }
  /** Profiling: adds 1 to a count in the record. */
  #increment(field: number): void {
    const { code } = this;
    code.get(RP);
    this.field16(field);
    code.i32Const(1);
    code.byte(w.I32_ADD);
    code.memory(w.I32_STORE16, field);
  }
  /** To pc + imm. */
  #relative(): void {
    const { code } = this;
    const op = this.op as DispatchOp;
    if (op.reach === REACH_FAR) {
      this.getPc();
      this.getImm();
      code.byte(w.I64_ADD);
      code.set(PC);
      this.#count(() => code.get(PC));
      return this.br(this.FETCH);
    }
    if (op.reach === REACH_LOOP) {
      this.#count(() => {
        this.getPc();
        code.get(RP);
        code.memory(w.I64_LOAD32_S, RECORD_IMM);
        code.i64Const(RECORD_SHIFT);
        code.byte(w.I64_SHR_S);
        code.byte(w.I64_ADD);
      });
    }
    code.get(RP);
    this.getImm32();
    code.byte(w.I32_ADD);
    code.set(RP);
    this.br(this.NEXT);
  }
  jump(target: Expr | null): void {
    if (target === null) return this.#relative();
    this.expr(target);
    this.code.set(PC);
    this.#count(() => this.code.get(PC));
    this.br(this.FETCH);
  }
  /** Profiling: counts the jump in its record, and tells the host about every hotCount-th one. */
  #count(pushTarget: () => void): void {
    if (this.hotCount === 0) return;
    const { code } = this;
    const field = counterField((this.op as DispatchOp).row);
    code.get(RP);
    this.field16(field);
    code.i32Const(1);
    code.byte(w.I32_ADD);
    code.tee(STATUS);
    code.memory(w.I32_STORE16, field);
    pushTarget();
    code.set(VA);
    this.reportHot(this.hotCount, VA);
  }
  /** Tells the host about the pc in local `target` if the count in STATUS is a multiple of `every`. */
  reportHot(every: number, target: number): void {
    const { code } = this;
    code.get(STATUS);
    code.i32Const(every - 1);
    code.byte(w.I32_AND);
    code.byte(w.I32_EQZ);
    this.block(w.IF);
    code.get(target);
    code.byte(w.I32_WRAP_I64);
    code.get(target);
    code.i64Const(32);
    code.byte(w.I64_SHR_U);
    code.byte(w.I32_WRAP_I64);
    code.call(this.functions.hot);
    this.block(w.IF);
    this.#holdFuel();
    this.end();
    this.end();
  }
  trap(cause: number, value: Expr): void {
    const { code } = this;
    code.i32Const(0);
    code.i32Const(cause);
    code.memory(w.I32_STORE, STATE_TRAP_CAUSE);
    code.i32Const(0);
    this.expr(value);
    code.memory(w.I64_STORE, STATE_TRAP_VALUE);
    this.br(this.FAULT);
  }
  fpRounding(needs: number, slow: number): void {
    this.code.get(RP);
    this.code.memory(w.I32_LOAD8_U, RECORD_RM);
    this.code.i32Const(needs === NEEDS_RTZ ? RM_RTZ : RM_DYN);
    this.code.byte(w.I32_NE);
    this.brIf(slow);
  }
  fpMode(): void {
    this.code.i32Const(0);
    this.code.memory(w.I32_LOAD, STATE_FP_FAST);
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
    code.call(this.functions.fp);
    this.brIf(this.FAULT);
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_RESULT);
    code.set(result);
  }
  functionIndex(fn: number): number {
    return this.internal[fn];
  }
  system(): void {
    const { code } = this;
    code.i32Const(0);
    this.getPc();
    code.memory(w.I64_STORE, STATE_PC);
    this.spillFuel();
    this.getBits();
    code.call(this.functions.system);
    code.tee(STATUS);
    this.block(w.IF);
    code.get(STATUS);
    code.i32Const(1);
    code.byte(w.I32_EQ);
    this.brIf(this.FAULT);
    code.i32Const(0);
    code.memory(w.I64_LOAD, STATE_PC);
    code.set(PC);
    this.leave(EXIT_HOST);
    this.end();
  }
  spillFuel(): void {
    const { code } = this;
    code.i32Const(0);
    code.get(FUEL);
    code.get(HELD);
    code.byte(w.I32_ADD);
    code.memory(w.I32_STORE, STATE_FUEL);
  }
  /** Takes back the fuel of the instruction, which did not retire. */
  refund(): void {
    this.code.get(FUEL);
    this.code.i32Const(1);
    this.code.byte(w.I32_ADD);
    this.code.set(FUEL);
  }
  setPcHere(): void {
    this.getPc();
    this.code.set(PC);
  }
  leave(exitCode: number): void {
    this.code.i32Const(exitCode);
    this.code.set(EXIT_CODE);
    this.br(this.EXIT);
  }
  callWithPc(target: number): void {
    const { code } = this;
    code.get(PC);
    code.byte(w.I32_WRAP_I64);
    code.get(PC);
    code.i64Const(32);
    code.byte(w.I64_SHR_U);
    code.byte(w.I32_WRAP_I64);
    code.call(target);
  }

  /** Lets the host find the bits and raise the illegal-instruction trap if the unit is off. */
  #gate(): void {
    const { code } = this;
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_FS);
    code.byte(w.I32_EQZ);
    this.block(w.IF);
    this.setPcHere();
    this.callWithPc(this.functions.off);
    this.br(this.FAULT);
    this.end();
  }

  instruction(op: DispatchOp): void {
    this.op = op;
    if (this.floatGate && (op.row.extension === "F" || op.row.extension === "D")) this.#gate();
    const { body, locals } = SEMANTICS[op.row.id];
    this.#types = locals;
    this.statements(body);
    this.advance();
  }
}
