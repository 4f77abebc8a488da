/** The functions that all compiled code shares, as one module: what follows a call, an indirect jump, an exit. */
import type { CompilerHost } from "../hart.ts";
import { REGION_DECLINED, REGION_NEXT } from "../interp/contract.ts";
import { cachedSlot, missesCache } from "../interp/lookup.ts";
import { I32, I64 } from "../isa/ir.ts";
import {
  ENTRY_DECLINES,
  STATE_FUEL,
  STATE_LEAVE_DELTA,
  STATE_LEAVE_DONE,
  STATE_LEAVE_STATUS,
  STATE_MISSES,
  STATE_PC,
} from "../state.ts";
import { Code, ModuleBuilder } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { FOLLOW_ELSEWHERE } from "./instruction-lowering.ts";
import { REGION_PARAMETERS } from "./operand-lowering.ts";
import { LENGTHEN_PARAMETERS, lengthenRun, REMEMBER_LOCALS, REMEMBER_PARAMETERS, rememberCode } from "./runs.ts";

export interface SupportOptions {
  /** Without them every exit goes through the interpreter. */
  readonly hasTailCalls: boolean;
  /** One of so many indirect jumps out of compiled code is reported, by site and distance. A power of two. */
  readonly missSample: number;
  readonly onMiss: (site: number, distance: number) => void;
  /** Every so many times that an entry's region is left for an access across pages, the entry is reported. A power of two. */
  readonly declineSample: number;
  readonly onDeclines: (pointer: number) => void;
}

/** Parameter types of `left`. */
export const LEFT_PARAMETERS: readonly number[] = [I64, I32, I32];

/** Makes `follow`, `miss`, `remember`, `left` and, with tail calls, `chain`. */
export function buildSupport(host: CompilerHost, options: SupportOptions): WebAssembly.Exports {
  const { ram, table, exports } = host;
  const builder = new ModuleBuilder();
  const lookup = builder.importFunction("lookup", [I64], [I32]);
  const sample = builder.importFunction("sample", [I32, I32], []);
  const straddles = builder.importFunction("straddles", [I32], []);
  const lengthen = builder.importFunction("lengthen", LENGTHEN_PARAMETERS, []);
  builder.importMemory(ram.memory.buffer.byteLength / 65536);
  builder.importTable(table.length);
  const region = builder.type(REGION_PARAMETERS, [I32]);
  builder.addFunction([I64, I32, I32], [I32], [I32], followCode(lookup, region), "follow");
  builder.addFunction([I32, I32], [], [I32], missCode(sample, options.missSample), "miss");
  builder.addFunction(REMEMBER_PARAMETERS, [], REMEMBER_LOCALS, rememberCode(lengthen), "remember");
  builder.addFunction(LEFT_PARAMETERS, [I32], [I32], leftCode(straddles, options.declineSample), "left");
  if (options.hasTailCalls)
    builder.addFunction(REGION_PARAMETERS, [I32], [I32], chainCode(lookup, region, ram.jumpCacheOffset), "chain");
  const module = new WebAssembly.Module(builder.build());
  return new WebAssembly.Instance(module, {
    e: {
      lookup: exports.lookup,
      sample: options.onMiss,
      straddles: options.onDeclines,
      lengthen: lengthenRun(host),
      memory: ram.memory,
      table,
    },
  }).exports;
}

/** Tail calls came with Chrome 112, Firefox 121 and Safari 18.2. */
export function hasTailCalls(): boolean {
  const builder = new ModuleBuilder();
  const code = new Code();
  code.byte(w.RETURN_CALL);
  code.u32(0);
  builder.addFunction([], [], [], code, "f");
  return WebAssembly.validate(builder.build());
}

/** `follow(returnPc, status, depth)`: on after a callee that did not return where it should, while there is compiled code. */
function followCode(lookup: number, region: number): Code {
  const code = new Code();
  const [returnPc, status, depth, slot] = [0, 1, 2, 3];
  const giveUp = (): void => {
    code.i32Const(FOLLOW_ELSEWHERE);
    code.byte(w.RETURN);
    code.byte(w.END);
  };
  code.byte(w.LOOP);
  code.byte(w.VOID);
  code.get(status);
  code.i32Const(REGION_DECLINED);
  code.byte(w.I32_EQ);
  code.byte(w.IF);
  code.byte(w.VOID);
  giveUp();
  code.get(status);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(status);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_PC);
  code.get(returnPc);
  code.byte(w.I64_EQ);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(0);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_PC);
  code.call(lookup);
  code.tee(slot);
  code.i32Const(0);
  code.byte(w.I32_LT_S);
  code.byte(w.IF);
  code.byte(w.VOID);
  giveUp();
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_PC);
  code.get(depth);
  code.get(slot);
  code.byte(w.CALL_INDIRECT);
  code.u32(region);
  code.u32(0);
  code.set(status);
  code.br(0);
  code.byte(w.END);
  code.byte(w.UNREACHABLE);
  return code;
}

/** `chain(pc, depth)`: on to the compiled code at pc, if there is any; everything is in memory. */
function chainCode(lookup: number, region: number, jumpCacheOffset: number): Code {
  const code = new Code();
  const [pc, depth, slot] = [0, 1, 2];
  missesCache(code, jumpCacheOffset, pc, slot);
  code.unlikely();
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(pc);
  code.call(lookup);
  code.tee(slot);
  code.i32Const(0);
  code.byte(w.I32_LT_S);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(REGION_NEXT);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.byte(w.ELSE);
  cachedSlot(code, jumpCacheOffset, slot);
  code.set(slot);
  code.byte(w.END);
  code.get(pc);
  code.get(depth);
  code.get(slot);
  code.byte(w.RETURN_CALL_INDIRECT);
  code.u32(region);
  code.u32(0);
  return code;
}

/** `miss(site, distance)`: every MISS_SAMPLE-th indirect jump out of compiled code is looked at. */
function missCode(sample: number, every: number): Code {
  const code = new Code();
  const [site, distance, count] = [0, 1, 2];
  everySo(code, () => code.i32Const(0), STATE_MISSES, count, every);
  code.get(site);
  code.get(distance);
  code.call(sample);
  code.byte(w.END);
  return code;
}

/**
 * `left(base, fuel, entry) -> REGION_*`: puts the position that STATE_LEAVE_* say into the state. An access that straddled pages
 * counts in the descriptor, and every so many are reported.
 */
function leftCode(straddles: number, every: number): Code {
  const code = new Code();
  const [base, fuel, entry, count] = [0, 1, 2, 3];
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_LEAVE_STATUS);
  code.i32Const(REGION_DECLINED);
  code.byte(w.I32_EQ);
  code.byte(w.IF);
  code.byte(w.VOID);
  everySo(code, () => code.get(entry), ENTRY_DECLINES, count, every);
  code.i32Const(0);
  code.get(base);
  code.memory(w.I64_STORE, STATE_PC);
  code.get(entry);
  code.call(straddles);
  code.byte(w.END);
  code.byte(w.END);
  code.i32Const(0);
  code.get(base);
  code.i32Const(0);
  code.memory(w.I64_LOAD32_S, STATE_LEAVE_DELTA);
  code.byte(w.I64_ADD);
  code.memory(w.I64_STORE, STATE_PC);
  code.i32Const(0);
  code.get(fuel);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_LEAVE_DONE);
  code.byte(w.I32_SUB);
  code.memory(w.I32_STORE, STATE_FUEL);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_LEAVE_STATUS);
  return code;
}

/** Counts in memory, and opens an `if` that is taken each time the count is a multiple of `every`, a power of two. */
function everySo(code: Code, pushAddress: () => void, offset: number, count: number, every: number): void {
  pushAddress();
  pushAddress();
  code.memory(w.I32_LOAD, offset);
  code.i32Const(1);
  code.byte(w.I32_ADD);
  code.tee(count);
  code.memory(w.I32_STORE, offset);
  code.get(count);
  code.i32Const(every - 1);
  code.byte(w.I32_AND);
  code.byte(w.I32_EQZ);
  code.byte(w.IF);
  code.byte(w.VOID);
}
