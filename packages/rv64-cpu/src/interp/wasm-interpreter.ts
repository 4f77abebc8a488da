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
import { CAUSE_ILLEGAL_INSTRUCTION } from "../isa/causes.ts";
import { I32, I64 } from "../isa/ir.ts";
import type { HartRam } from "../ram.ts";
import {
  CROSS_PAGE,
  ENTRY_SLOT,
  EXIT_COUNTERS,
  RECORD_IMM,
  STATE_COMPILED,
  STATE_FUEL,
  STATE_PC,
  STATE_TLB,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  TLB_EXEC,
} from "../state.ts";
import { addFloatFunctions } from "../wasm/float.ts";
import { Code, ModuleBuilder } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { EXIT_FUEL, EXIT_HOST, EXIT_TRAP, REGION_DECLINED, REGION_TRAP } from "./contract.ts";
import { DISPATCH_FIRST, DISPATCH_OPS } from "./dispatch.ts";
import { addLookup } from "./lookup.ts";
import {
  ENTRY,
  EXIT_CODE,
  FUEL,
  I32_TEMP_COUNT,
  I32_TEMPS,
  PC,
  PC_BASE,
  REC_BASE,
  RECORD_SHIFT,
  RecordLowering,
  RP,
  STATUS,
  TLB,
  VA32,
} from "./record-lowering.ts";
import { addRegionFp } from "./region-fp.ts";
import { tlbEntry } from "./tlb.ts";
import { addMemoryFunctions } from "./wasm-memory.ts";

/** An exit from compiled code counts as so many jumps: its target keeps the code around it from running compiled. */
const EXIT_WEIGHT = 4;

export interface InterpreterOptions {
  readonly ram: HartRam;
  /** Floating-point instructions are illegal while STATE_FS is 0. */
  readonly floatGate: boolean;
  /** Run compiled code, and report every jump that was taken so many times (a power of two); 0: neither. */
  readonly hotCount: number;
  /** Entries of the function table of compiled code. */
  readonly tableSize: number;
}

/** The bytes of the interpreter module. */
export function buildInterpreter({ ram, floatGate, hotCount, tableSize }: InterpreterOptions): Uint8Array<ArrayBuffer> {
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
  if (profile) builder.importTable(tableSize);
  const region = builder.type([I64, I32], [I32]);
  const internal = addFloatFunctions(builder, profile);
  const code = new Code();
  const e = new RecordLowering(code, functions, internal, addMemoryFunctions(builder, ram, functions));
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
function emitFetch(e: RecordLowering): void {
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
function emitCompiled(e: RecordLowering, region: number, { exitCountersOffset }: HartRam): void {
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

function emitCross(e: RecordLowering): void {
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
