/// <reference types="node" />
/**
 * Generates src/interp/js-interpreter.gen.ts: the plain JavaScript back end, from the semantics table. It is the oracle
 * of the differential tests and the fallback where WebAssembly may not be compiled.
 *
 * 64-bit values are bigint here, always normalised to signed: slow, but too simple to be wrong. One small function per
 * dispatch number, because V8 does not optimise one huge switch. Run: node scripts/gen-js-interpreter.ts
 */
import { writeFileSync } from "node:fs";
import { DISPATCH_FIRST, DISPATCH_OPS, type DispatchOp, REACH_FAR } from "../src/interp/dispatch.ts";
import {
  type Expr,
  FIELD_RS1,
  FIELD_RS2,
  I32,
  I64,
  OP_BITS,
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
} from "../src/isa/ir.ts";
import { SEMANTICS } from "../src/isa/semantics.ts";
import {
  RECORD_BYTES,
  RECORD_IMM,
  RECORD_RD,
  RECORD_RS1,
  RECORD_RS2,
  RECORD_RS3,
  STATE_A,
  STATE_B,
  STATE_C,
  STATE_FS,
  STATE_RESULT,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
} from "../src/state.ts";
import * as w from "../src/wasm/opcodes.ts";

const u64 = (text: string): string => `BigInt.asUintN(64, ${text})`;
const s64 = (text: string): string => `BigInt.asIntN(64, ${text})`;
const bool = (text: string): string => `(${text} ? 1 : 0)`;

/** Wasm operators as JavaScript, over signed bigint (i64) and int32 numbers (i32). */
const OPERATORS: Readonly<Record<number, (a: string, b: string, c: string) => string>> = {
  [w.I64_ADD]: (a, b) => s64(`${a} + ${b}`),
  [w.I64_SUB]: (a, b) => s64(`${a} - ${b}`),
  [w.I64_MUL]: (a, b) => s64(`${a} * ${b}`),
  [w.I64_AND]: (a, b) => `(${a} & ${b})`,
  [w.I64_OR]: (a, b) => `(${a} | ${b})`,
  [w.I64_XOR]: (a, b) => `(${a} ^ ${b})`,
  [w.I64_SHL]: (a, b) => s64(`${a} << (${b} & 63n)`),
  [w.I64_SHR_S]: (a, b) => `(${a} >> (${b} & 63n))`,
  [w.I64_SHR_U]: (a, b) => s64(`${u64(a)} >> (${b} & 63n)`),
  [w.I64_ROTL]: (a, b) => `rotl64(${a}, ${b} & 63n)`,
  [w.I64_ROTR]: (a, b) => `rotl64(${a}, -${b} & 63n)`,
  [w.I64_DIV_S]: (a, b) => `(${a} / ${b})`,
  [w.I64_DIV_U]: (a, b) => s64(`${u64(a)} / ${u64(b)}`),
  [w.I64_REM_S]: (a, b) => `(${a} % ${b})`,
  [w.I64_REM_U]: (a, b) => s64(`${u64(a)} % ${u64(b)}`),
  [w.I64_EQ]: (a, b) => bool(`${a} === ${b}`),
  [w.I64_NE]: (a, b) => bool(`${a} !== ${b}`),
  [w.I64_EQZ]: (a) => bool(`${a} === 0n`),
  [w.I64_LT_S]: (a, b) => bool(`${a} < ${b}`),
  [w.I64_GE_S]: (a, b) => bool(`${a} >= ${b}`),
  [w.I64_LT_U]: (a, b) => bool(`${u64(a)} < ${u64(b)}`),
  [w.I64_GE_U]: (a, b) => bool(`${u64(a)} >= ${u64(b)}`),
  [w.I64_CLZ]: (a) => `clz64(${a})`,
  [w.I64_CTZ]: (a) => `ctz64(${a})`,
  [w.I64_POPCNT]: (a) => `popcnt64(${a})`,
  [w.I64_EXTEND8_S]: (a) => `BigInt.asIntN(8, ${a})`,
  [w.I64_EXTEND16_S]: (a) => `BigInt.asIntN(16, ${a})`,
  [w.I32_WRAP_I64]: (a) => `Number(BigInt.asIntN(32, ${a}))`,
  [w.I64_EXTEND_I32_S]: (a) => `BigInt(${a})`,
  [w.I64_EXTEND_I32_U]: (a) => `BigInt(${a} >>> 0)`,
  [w.I32_ADD]: (a, b) => `((${a} + ${b}) | 0)`,
  [w.I32_SUB]: (a, b) => `((${a} - ${b}) | 0)`,
  [w.I32_MUL]: (a, b) => `Math.imul(${a}, ${b})`,
  [w.I32_DIV_S]: (a, b) => `((${a} / ${b}) | 0)`,
  [w.I32_REM_S]: (a, b) => `((${a} % ${b}) | 0)`,
  [w.I32_DIV_U]: (a, b) => `(((${a} >>> 0) / (${b} >>> 0)) | 0)`,
  [w.I32_REM_U]: (a, b) => `(((${a} >>> 0) % (${b} >>> 0)) | 0)`,
  [w.I32_AND]: (a, b) => `(${a} & ${b})`,
  [w.I32_OR]: (a, b) => `(${a} | ${b})`,
  [w.I32_XOR]: (a, b) => `(${a} ^ ${b})`,
  [w.I32_SHL]: (a, b) => `(${a} << ${b})`,
  [w.I32_SHR_S]: (a, b) => `(${a} >> ${b})`,
  [w.I32_SHR_U]: (a, b) => `((${a} >>> ${b}) | 0)`,
  [w.I32_ROTL]: (a, b) => `rotl32(${a}, ${b})`,
  [w.I32_ROTR]: (a, b) => `rotl32(${a}, -${b})`,
  [w.I32_EQ]: (a, b) => bool(`${a} === ${b}`),
  [w.I32_EQZ]: (a) => bool(`${a} === 0`),
  [w.I32_CLZ]: (a) => `Math.clz32(${a})`,
  [w.I32_CTZ]: (a) => `ctz32(${a})`,
  [w.I32_POPCNT]: (a) => `popcnt32(${a})`,
  [w.SELECT]: (a, b, c) => `(${c} !== 0 ? ${a} : ${b})`,
};

const pc = "(r.pcBase + BigInt((r.rp - r.recBase) >>> 3))";
const imm = `i32[(r.rp + ${RECORD_IMM}) >>> 2]`;
const register = (field: number): string =>
  `u16[(r.rp + ${field === FIELD_RS1 ? RECORD_RS1 : field === FIELD_RS2 ? RECORD_RS2 : RECORD_RS3}) >>> 1]`;

function expression(e: Expr, op: DispatchOp): string {
  switch (e.op) {
    case OP_CONST:
      return e.type === I32 ? `${e.value}` : `${BigInt.asIntN(64, BigInt(e.value))}n`;
    case OP_LOCAL:
      return `l${e.index}`;
    case OP_X:
    case OP_F:
      return `i64[${register(e.index)} >>> 3]`;
    case OP_IMM:
      return `BigInt(${imm})`;
    case OP_BITS:
      return imm;
    case OP_PC:
      return pc;
    case OP_NEXT_PC:
      return `(${pc} + ${op.length}n)`;
    case OP_STATE:
      return e.type === I32 ? `i32[${e.index >> 2}]` : `i64[${e.index >> 3}]`;
    case OP_IF:
      return `(${expression(e.a as Expr, op)} !== 0 ? ${expression(e.b as Expr, op)} : ${expression(e.c as Expr, op)})`;
    case w.I32_WRAP_I64: {
      const source = e.a as Expr;
      if (source.op === OP_X || source.op === OP_F) return `i32[${register(source.index)} >>> 2]`;
      if (source.op === OP_IMM) return imm;
    }
  }
  const operator = OPERATORS[e.op];
  if (operator === undefined) throw new Error(`no JavaScript for wasm opcode 0x${e.op.toString(16)}`);
  const part = (operand: Expr | null): string => (operand === null ? "" : expression(operand, op));
  return operator(part(e.a), part(e.b), part(e.c));
}

function statement(s: Statement, op: DispatchOp): string {
  const a = s.a === null ? "" : expression(s.a, op);
  const b = s.b === null ? "" : expression(s.b, op);
  const advance = (op.length * RECORD_BYTES) / 2;
  const far = `r.pc = ${pc} + BigInt(${imm}); return FETCH;`;
  switch (s.kind) {
    case ST_LET:
      return `l${s.index} = ${a};`;
    case ST_SET_X:
    case ST_SET_F:
      return `i64[u16[(r.rp + ${RECORD_RD}) >>> 1] >>> 3] = ${a};`;
    case ST_LOAD:
      return `if (load(${a}, ${s.mode})) return FAULT; l${s.index} = i64[${STATE_RESULT >> 3}];`;
    case ST_STORE:
      return `i64[${STATE_RESULT >> 3}] = ${b}; if (store(${a}, ${s.mode})) return FAULT;`;
    case ST_BRANCH:
      return op.reach !== REACH_FAR
        ? `r.rp += ${a} !== 0 ? ${imm} : ${advance}; return NEXT;`
        : `if (${a} !== 0) { ${far} }`;
    case ST_JUMP:
      if (s.a !== null) return `r.pc = ${a}; return FETCH;`;
      return op.reach !== REACH_FAR ? `r.rp += ${imm}; return NEXT;` : far;
    case ST_TRAP:
      return `i32[${STATE_TRAP_CAUSE >> 2}] = ${s.index}; i64[${STATE_TRAP_VALUE >> 3}] = ${a}; return FAULT;`;
    case ST_FP: {
      const operands = [
        [s.a, STATE_A],
        [s.b, STATE_B],
        [s.c, STATE_C],
      ] as const;
      const stores = operands
        .map(([operand, slot]) => (operand === null ? "" : `i64[${slot >> 3}] = ${expression(operand, op)}; `))
        .join("");
      return `${stores}if (imports.fp(${s.mode}, ${imm})) return FAULT; l${s.index} = i64[${STATE_RESULT >> 3}];`;
    }
    case ST_IF:
      return `if (${a} !== 0) { ${s.then.map((t) => statement(t, op)).join(" ")} } else { ${s.otherwise.map((t) => statement(t, op)).join(" ")} }`;
    case ST_SET_STATE:
      return `${(s.a as Expr).type === I64 ? `i64[${s.index >> 3}]` : `i32[${s.index >> 2}]`} = ${a};`;
    case ST_SYSTEM:
      return `return system(${imm});`;
    default:
      throw new Error(`no JavaScript for statement ${s.kind}`);
  }
}

function handler(op: DispatchOp, n: number): string {
  const { body, locals } = SEMANTICS[op.row.id];
  const lines = locals.map((type, k) => `let l${k} = ${type === I64 ? "0n" : "0"};`);
  if (op.row.extension === "F" || op.row.extension === "D")
    lines.push(`if (i32[${STATE_FS >> 2}] === 0) return off();`);
  for (const s of body) lines.push(statement(s, op));
  const last = body[body.length - 1]?.kind;
  const leaves =
    last === ST_JUMP || last === ST_TRAP || last === ST_SYSTEM || (last === ST_BRANCH && op.reach !== REACH_FAR);
  if (!leaves) lines.push(`r.rp += ${(op.length * RECORD_BYTES) / 2};`, "return NEXT;");
  return `    // ${DISPATCH_FIRST + n}: ${op.row.mnemonic}${op.length === 2 ? " (compressed)" : ""}${op.reach !== REACH_FAR ? " (same page)" : ""}\n    (): number => {\n${lines.map((line) => `      ${line}`).join("\n")}\n    },`;
}

/** The text of the generated file. */
export function generate(): string {
  const handlers = DISPATCH_OPS.map(handler).join("\n");
  return `// Generated by scripts/gen-js-interpreter.ts from src/isa/semantics.ts. Do not edit.
import { type JsRuntime, NEXT, FETCH, FAULT } from "./js-runtime.ts";
import { clz64, ctz32, ctz64, popcnt32, popcnt64, rotl32, rotl64 } from "./js-runtime.ts";

/** One function per dispatch number from ${DISPATCH_FIRST} on; the runtime keeps what they share. */
export function createHandlers(r: JsRuntime): (() => number)[] {
  const { i32, i64, u16, imports, load, store, system, off } = r;
  return [
${handlers}
  ];
}
`;
}

if (process.argv[1]?.endsWith("gen-js-interpreter.ts")) {
  writeFileSync(new URL("../src/interp/js-interpreter.gen.ts", import.meta.url), generate());
}
