/**
 * The second chance of a floating-point operation in compiled code: `regionFp`, for all that plain wasm arithmetic behind
 * one check does not do.
 *
 * While NX is clear, the operations that come out exact stay in WebAssembly; all others are the host's helpers.
 */
import { RM_DYN, RM_RNE } from "../fp/softfloat.ts";
import { type Expr, FIELD_RS1, FIELD_RS2, I32, I64, NEEDS_RNE, ST_FP, type Statement, type Type } from "../isa/ir.ts";
import { INSTRUCTIONS } from "../isa/instructions.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import { FP_RNE_EXACT, STATE_A, STATE_B, STATE_C, STATE_FP_FAST, STATE_RESULT } from "../state.ts";
import { Lowering } from "../wasm/lower.ts";
import { Code, type ModuleBuilder } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { leaveWith, pushLeave } from "./wasm-memory.ts";

// Parameters and locals of regionFp.
const ID = 3;
const BITS = 4;
const ACCESS = 5;
const DELTA = 6;
const STATUS = 7;
const RESULT = 8;
/** Parameters of regionFp: three raw operands, row, instruction, position as for `regionLoad`. */
export const REGION_FP_PARAMETERS: readonly number[] = [I64, I64, I64, I32, I32, I32, I32];

/** One operation on the operands in locals 0, 1, 2; what is beyond it goes to label `host`. */
class ExactLowering extends Lowering {
  readonly #internal: readonly number[];
  host = 0;
  constructor(code: Code, internal: readonly number[]) {
    super(code);
    this.#internal = internal;
  }
  getF(field: number): void {
    this.code.get(field === FIELD_RS1 ? 0 : field === FIELD_RS2 ? 1 : 2);
  }
  local(_index: number, _type: Type): number {
    return RESULT;
  }
  fpRounding(): void {}
  fpMode(): void {
    this.code.i32Const(FP_RNE_EXACT);
  }
  fpHelper(): void {
    this.br(this.host);
  }
  functionIndex(fn: number): number {
    return this.#internal[fn];
  }
  #never(): never {
    throw new Error("unreachable: not part of a floating-point operation");
  }
  getX(): void {
    this.#never();
  }
  getX32(): void {
    this.#never();
  }
  getImm(): void {
    this.#never();
  }
  getImm32(): void {
    this.#never();
  }
  getPc(): void {
    this.#never();
  }
  getNextPc(): void {
    this.#never();
  }
  getBits(): void {
    this.#never();
  }
  setX(_value: Expr): void {
    this.#never();
  }
  setF(_value: Expr): void {
    this.#never();
  }
  load(): void {
    this.#never();
  }
  store(): void {
    this.#never();
  }
  branch(): void {
    this.#never();
  }
  jump(): void {
    this.#never();
  }
  trap(): void {
    this.#never();
  }
  system(): void {
    this.#never();
  }
}

const EXACT: readonly { readonly id: number; readonly statement: Statement }[] = INSTRUCTIONS.flatMap(({ id }) => {
  const statement = SEMANTICS[id].body[0];
  return statement?.kind === ST_FP && statement.fast?.needs === NEEDS_RNE && statement.fast.exact !== null
    ? [{ id, statement }]
    : [];
});

/** Adds `regionFp(a, b, c, id, bits, access, delta) -> (result, leave)`. `fp` is the host's helper, `internal` by FN_*. */
export function addRegionFp(builder: ModuleBuilder, fp: number, internal: readonly number[]): void {
  const code = new Code(8192);
  const e = new ExactLowering(code, internal);
  const host = e.block(w.BLOCK);
  e.host = host;
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_FP_FAST);
  code.i32Const(FP_RNE_EXACT);
  code.byte(w.I32_NE);
  e.brIf(host);
  // A rounding mode in the instruction: the dynamic one is RNE, since the state says so.
  const fits = e.block(w.BLOCK);
  for (const mode of [RM_RNE, RM_DYN]) {
    code.get(BITS);
    code.i32Const(12);
    code.byte(w.I32_SHR_U);
    code.i32Const(7);
    code.byte(w.I32_AND);
    code.i32Const(mode);
    code.byte(w.I32_EQ);
    e.brIf(fits);
  }
  e.br(host);
  e.end();
  const low = EXACT[0].id;
  const high = EXACT[EXACT.length - 1].id;
  const labels = EXACT.map(() => e.block(w.BLOCK)).reverse();
  code.get(ID);
  code.i32Const(low);
  code.byte(w.I32_SUB);
  code.byte(w.BR_TABLE);
  code.u32(high - low + 1);
  for (let id = low; id <= high; id++) {
    const n = EXACT.findIndex((row) => row.id === id);
    code.u32(e.depth - 1 - (n < 0 ? host : labels[n]));
  }
  code.u32(e.depth - 1 - host);
  for (const { statement } of EXACT) {
    e.end();
    e.statement(statement);
    code.get(RESULT);
    code.i32Const(0);
    code.byte(w.RETURN);
  }
  e.end();
  for (const [operand, slot] of [STATE_A, STATE_B, STATE_C].entries()) {
    code.i32Const(0);
    code.get(operand);
    code.memory(w.I64_STORE, slot);
  }
  code.get(ID);
  code.get(BITS);
  code.call(fp);
  code.tee(STATUS);
  e.block(w.IF);
  leaveWith(code, ACCESS, DELTA, STATUS);
  e.end();
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_RESULT);
  pushLeave(code, STATUS);
  builder.addFunction(REGION_FP_PARAMETERS, [I64, I32], [I32, I64], code, "regionFp");
}
