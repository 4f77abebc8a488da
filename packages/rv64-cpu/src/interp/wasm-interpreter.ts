/**
 * Tier 0: generates the WebAssembly interpreter from the semantics table.
 *
 * One function `run(fuel) -> exit code` with a loop around a br_table over the `op` of predecoded records (`state.ts`).
 * The pc is not kept: it follows from the record pointer. Locals hold the record pointer, the page's first record and
 * virtual address, the TLB bank and the fuel. Every instruction costs one unit of fuel, taken back when it traps, so
 * retired instructions are exact at each exit. V8 does not replace a running wasm loop by optimised code: callers must
 * return and re-enter about every million instructions.
 *
 *   block EXIT
 *     loop FETCH            pc -> EXEC TLB -> record pointer
 *       loop NEXT           br_table on the record's op
 *         block FAULT       an instruction trapped: state holds cause and value
 *           block OUT_OF_FUEL
 *             block op n ... block op 0
 */
import { RM_DYN, RM_RTZ } from "../fp/softfloat.ts";
import { CAUSE_ILLEGAL_INSTRUCTION } from "../isa/causes.ts";
import {
  type Expr,
  FIELD_RS1,
  FIELD_RS2,
  I32,
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
  CROSS_PAGE,
  ENTRY_SLOT,
  EXIT_COUNTERS,
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
  STATE_COMPILED,
  STATE_FP_FAST,
  STATE_FS,
  STATE_FUEL,
  STATE_PC,
  STATE_RESULT,
  STATE_TLB,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  TLB_EXEC,
  TLB_READ,
  TLB_WRITE,
} from "../state.ts";
import { addFloatFunctions } from "../wasm/float.ts";
import { LOAD_OPCODES, Lowering, STORE_OPCODES } from "../wasm/lower.ts";
import { Code, ModuleBuilder } from "../wasm/module.ts";
import { tlbEntry, tlbHost } from "./tlb.ts";
import * as w from "../wasm/opcodes.ts";
import { addRegionFp } from "./region-fp.ts";
import { addLookup } from "./lookup.ts";
import { addMemoryFunctions } from "./wasm-memory.ts";
import type { HartRam } from "../ram.ts";
import {
  counterField,
  DISPATCH_FIRST,
  DISPATCH_OPS,
  type DispatchOp,
  EDGE_NOT_TAKEN,
  EDGE_TAKEN,
  REACH_FAR,
  REACH_LOCAL,
  REACH_LOOP,
} from "./dispatch.ts";

// Exit codes of run().
export const EXIT_FUEL = 0;
export const EXIT_TRAP = 1;
/** A system instruction or device access wants the host to look at the hart's state before going on. */
export const EXIT_HOST = 2;

/** What run() calls. Numbers are int32; a 64-bit address is two of them. */
export interface InterpreterImports {
  /** Fills the EXEC TLB entry for the pc. 0, or 1 with a trap set. */
  fetch(pcLo: number, pcHi: number): number;
  /** Decodes at a record. 0, or 1 if its page was dropped meanwhile. */
  decode(record: number, pageRecords: number): number;
  /** Decodes the page-crossing instruction at pc into CROSS_PAGE. 0, or 1 with a trap set. */
  cross(pcLo: number, pcHi: number): number;
  /** A load that missed the TLB; the value goes to STATE_RESULT. 0, 1 with a trap set, 2 done but leave soon. */
  load(vaLo: number, vaHi: number, mode: number): number;
  /** A store of STATE_RESULT that missed the TLB; results as for load. */
  store(vaLo: number, vaHi: number, mode: number): number;
  /** A floating-point helper. 0, or 1 with a trap set. */
  fp(id: number, bits: number): number;
  /** A CSR or privileged instruction. 0 go on, 1 trap set, 2 leave: STATE_PC says where to go on. */
  system(bits: number): number;
  /** Sets the illegal-instruction trap for the instruction at pc. */
  off(pcLo: number, pcHi: number): void;
  /** A jump target is hot. 1: leave soon, so that it can be compiled. */
  hot(pcLo: number, pcHi: number): number;
}

// What a compiled region returns.
/** Go on at STATE_PC. */
export const REGION_NEXT = 0;
/** A trap is set; STATE_PC is the instruction. */
export const REGION_TRAP = 1;
/** Go on at STATE_PC, but let the host look first. */
export const REGION_LEAVE = 2;
/** Nothing was done: fuel too low, pages not as compiled, or not compiled at all. */
export const REGION_DECLINED = 3;

/** An exit from compiled code counts as so many jumps: its target keeps the code around it from running compiled. */
const EXIT_WEIGHT = 4;

// Locals of run(); 0 is the parameter.
const FUEL = 0;
const RP = 1; // record pointer
const REC_BASE = 2; // first record of the page
const TLB = 3; // TLB bank in use
const ENTRY = 4; // scratch: TLB entry
const EXIT_CODE = 5;
const HELD = 6; // fuel put aside to leave at the next instruction
const VA32 = 7; // scratch: low half of a virtual address
const STATUS = 8; // scratch: result of an import
const PC_BASE = 9; // virtual address of REC_BASE
const PC = 10; // target of a jump that leaves the page
const VA = 11; // scratch: virtual address
const I64_TEMPS = 12;
const I64_TEMP_COUNT = 14;
const I32_TEMPS: number = I64_TEMPS + I64_TEMP_COUNT;
const I32_TEMP_COUNT = 3;

const RECORD_SHIFT = 3; // bytes of records per byte of code, log2

class InterpreterLowering extends Lowering {
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
  branch(cond: Expr): void {
    const { code } = this;
    const op = this.op as DispatchOp;
    if (op.reach === REACH_LOCAL || (op.reach === REACH_LOOP && this.hotCount === 0)) {
      // A select, not a branch: the dispatch that follows is the one unpredictable jump.
      this.expr(cond);
      code.set(STATUS);
      if (this.hotCount > 0) this.#countEdge();
      code.get(RP);
      this.getImm32();
      code.i32Const((op.length * RECORD_BYTES) / 2);
      code.get(STATUS);
      code.byte(w.SELECT);
      code.byte(w.I32_ADD);
      code.set(RP);
      return this.br(this.NEXT);
    }
    this.expr(cond);
    this.block(w.IF);
    this.#relative();
    this.end();
    if (this.hotCount === 0) return;
    code.get(RP);
    this.field16(EDGE_NOT_TAKEN);
    code.i32Const(1);
    code.byte(w.I32_ADD);
    code.memory(w.I32_STORE16, EDGE_NOT_TAKEN);
  }
  /** Profiling: counts which way the branch goes, STATUS, in its record. */
  #countEdge(): void {
    const { code } = this;
    code.i32Const(EDGE_TAKEN);
    code.i32Const(EDGE_NOT_TAKEN);
    code.get(STATUS);
    code.byte(w.SELECT);
    code.get(RP);
    code.byte(w.I32_ADD);
    code.tee(ENTRY);
    code.get(ENTRY);
    code.memory(w.I32_LOAD16_U, 0);
    code.i32Const(1);
    code.byte(w.I32_ADD);
    code.memory(w.I32_STORE16, 0);
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

export interface InterpreterOptions {
  readonly ram: HartRam;
  /** Floating-point instructions are illegal while STATE_FS is 0. */
  readonly floatGate: boolean;
  /** Run compiled code, and report every jump that was taken so many times (a power of two); 0: neither. */
  readonly hotCount: number;
}

/** The bytes of the interpreter module. */
export function buildInterpreter({ ram, floatGate, hotCount }: InterpreterOptions): Uint8Array<ArrayBuffer> {
  const builder = new ModuleBuilder();
  const two = [I32, I32];
  const three = [I32, I32, I32];
  const functions = {
    fetch: builder.importFunction("fetch", two, [I32]),
    decode: builder.importFunction("decode", two, [I32]),
    cross: builder.importFunction("cross", two, [I32]),
    load: builder.importFunction("load", three, [I32]),
    store: builder.importFunction("store", three, [I32]),
    fp: builder.importFunction("fp", two, [I32]),
    system: builder.importFunction("system", [I32], [I32]),
    off: builder.importFunction("off", two, []),
    hot: builder.importFunction("hot", two, [I32]),
  };
  const profile = hotCount > 0;
  builder.importMemory(ram.memory.buffer.byteLength / 65536);
  if (profile) builder.importTable();
  const region = builder.type([I64, I32], [I32]);
  const internal = addFloatFunctions(builder, profile);
  const code = new Code();
  const e = new InterpreterLowering(code, functions, internal, addMemoryFunctions(builder, ram, functions));
  if (profile) addRegionFp(builder, functions.fp, internal);

  e.hotCount = hotCount;
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_PC);
  code.set(PC);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_TLB);
  code.set(TLB);
  e.EXIT = e.block(w.BLOCK);
  e.FETCH = e.block(w.LOOP);
  emitFetch(e);
  e.NEXT = e.block(w.LOOP);
  e.FAULT = e.block(w.BLOCK);
  const outOfFuel = e.block(w.BLOCK);
  const count = DISPATCH_FIRST + DISPATCH_OPS.length;
  for (let n = 0; n < count; n++) e.block(w.BLOCK);
  code.get(FUEL);
  code.byte(w.I32_EQZ);
  e.brIf(outOfFuel);
  code.get(FUEL);
  code.i32Const(1);
  code.byte(w.I32_SUB);
  code.set(FUEL);
  e.field16(0);
  code.byte(w.BR_TABLE);
  code.u32(count);
  for (let n = 0; n < count; n++) code.u32(n);
  code.u32(0);

  e.end(); // DISPATCH_DECODE
  e.refund();
  code.get(RP);
  code.get(REC_BASE);
  code.call(functions.decode);
  code.byte(w.I32_EQZ);
  e.brIf(e.NEXT);
  e.setPcHere();
  e.br(e.FETCH);
  e.end(); // DISPATCH_PAGE_END
  e.refund();
  e.setPcHere();
  e.br(e.FETCH);
  e.end(); // DISPATCH_CROSS
  emitCross(e);
  e.end(); // DISPATCH_ILLEGAL
  code.i32Const(0);
  code.i32Const(CAUSE_ILLEGAL_INSTRUCTION);
  code.memory(w.I32_STORE, STATE_TRAP_CAUSE);
  code.i32Const(0);
  code.get(RP);
  code.memory(w.I64_LOAD32_U, RECORD_IMM);
  code.memory(w.I64_STORE, STATE_TRAP_VALUE);
  e.br(e.FAULT);
  e.end(); // DISPATCH_COMPILED
  if (profile) emitCompiled(e, region, ram);
  else code.byte(w.UNREACHABLE);
  e.floatGate = floatGate;
  for (const op of DISPATCH_OPS) {
    e.end();
    e.instruction(op);
  }
  e.end(); // OUT_OF_FUEL
  e.setPcHere();
  e.leave(EXIT_FUEL);
  e.end(); // FAULT
  e.setPcHere();
  e.refund();
  e.leave(EXIT_TRAP);
  e.end(); // NEXT
  e.end(); // FETCH
  e.end(); // EXIT
  code.i32Const(0);
  code.get(PC);
  code.memory(w.I64_STORE, STATE_PC);
  e.spillFuel();
  code.get(EXIT_CODE);

  const locals: number[] = [];
  for (let n = 1; n <= STATUS; n++) locals.push(I32);
  for (let n = PC_BASE; n < I32_TEMPS; n++) locals.push(I64);
  for (let n = 0; n < I32_TEMP_COUNT; n++) locals.push(I32);
  builder.addFunction([I32], [I32], locals, code, "run");
  if (profile) {
    addLookup(builder, ram);
    const stub = new Code();
    stub.i32Const(0);
    stub.get(0);
    stub.memory(w.I64_STORE, STATE_PC);
    stub.i32Const(REGION_DECLINED);
    builder.addFunction([I64, I32], [I32], [], stub, "stub");
  }
  return builder.build();
}

/** PC -> RP, REC_BASE and PC_BASE, through the EXEC TLB. */
function emitFetch(e: InterpreterLowering): void {
  const { code } = e;
  code.get(PC);
  code.byte(w.I32_WRAP_I64);
  code.tee(VA32);
  tlbEntry(code, TLB);
  code.tee(ENTRY);
  code.memory(w.I64_LOAD, TLB_EXEC);
  code.get(PC);
  code.i64Const(-4096);
  code.byte(w.I64_AND);
  code.tee(PC_BASE);
  code.byte(w.I64_NE);
  e.block(w.IF);
  e.callWithPc(e.functions.fetch);
  e.block(w.IF);
  e.leave(EXIT_TRAP);
  e.end();
  e.end();
  code.get(ENTRY);
  code.memory(w.I32_LOAD, TLB_EXEC + 8);
  code.tee(REC_BASE);
  code.get(VA32);
  code.i32Const(0xffe);
  code.byte(w.I32_AND);
  code.i32Const(RECORD_SHIFT);
  code.byte(w.I32_SHL);
  code.byte(w.I32_ADD);
  code.set(RP);
}

/**
 * Calls the compiled region of the record's entry. If that declines at once, runs the instruction from the entry's own
 * record. Where compiled code was left for good is counted: it may be worth compiling.
 */
function emitCompiled(e: InterpreterLowering, region: number, { exitCountersOffset }: HartRam): void {
  const { code } = e;
  const ENTRY_POINTER = STATUS;
  e.refund();
  e.getImm32();
  code.set(ENTRY_POINTER);
  code.i32Const(0);
  code.get(FUEL);
  code.memory(w.I32_STORE, STATE_FUEL);
  e.getPc();
  code.tee(PC);
  code.i32Const(0); // nothing compiled on the stack yet
  code.get(ENTRY_POINTER);
  code.memory(w.I32_LOAD, ENTRY_SLOT);
  code.byte(w.CALL_INDIRECT);
  code.u32(region);
  code.u32(0);
  code.set(VA32);
  // STATE_COMPILED += fuel before - fuel after
  code.i32Const(0);
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_COMPILED);
  code.get(FUEL);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_FUEL);
  code.tee(FUEL);
  code.byte(w.I32_SUB);
  code.byte(w.I64_EXTEND_I32_U);
  code.byte(w.I64_ADD);
  code.memory(w.I64_STORE, STATE_COMPILED);
  code.get(VA32);
  code.i32Const(REGION_DECLINED);
  code.byte(w.I32_EQ);
  code.get(PC);
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_PC);
  code.tee(PC);
  code.byte(w.I64_EQ);
  code.byte(w.I32_AND);
  e.block(w.IF);
  code.get(ENTRY_POINTER);
  code.get(RP);
  code.get(REC_BASE);
  code.byte(w.I32_SUB);
  code.byte(w.I32_SUB);
  code.set(REC_BASE);
  code.get(ENTRY_POINTER);
  code.set(RP);
  e.br(e.NEXT);
  e.end();
  code.get(VA32);
  code.byte(w.I32_EQZ);
  e.block(w.IF);
  code.get(PC);
  code.byte(w.I32_WRAP_I64);
  code.i32Const((EXIT_COUNTERS - 1) << 1);
  code.byte(w.I32_AND);
  code.tee(ENTRY);
  code.get(ENTRY);
  code.memory(w.I32_LOAD16_U, exitCountersOffset);
  code.i32Const(1);
  code.byte(w.I32_ADD);
  code.tee(STATUS);
  code.memory(w.I32_STORE16, exitCountersOffset);
  e.reportHot(Math.max(e.hotCount / EXIT_WEIGHT, 2), PC);
  e.br(e.FETCH);
  e.end();
  code.get(VA32);
  code.i32Const(REGION_DECLINED);
  code.byte(w.I32_EQ);
  e.brIf(e.FETCH);
  code.get(VA32);
  code.i32Const(REGION_TRAP);
  code.byte(w.I32_EQ);
  e.block(w.IF);
  e.leave(EXIT_TRAP);
  e.end();
  e.leave(EXIT_HOST);
}

function emitCross(e: InterpreterLowering): void {
  const { code } = e;
  e.refund();
  e.setPcHere();
  e.callWithPc(e.functions.cross);
  e.block(w.IF);
  e.leave(EXIT_TRAP);
  e.end();
  code.get(PC);
  code.set(PC_BASE);
  code.i32Const(CROSS_PAGE);
  code.tee(REC_BASE);
  code.set(RP);
  e.br(e.NEXT);
}
