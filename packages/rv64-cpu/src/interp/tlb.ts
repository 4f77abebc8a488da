/** Wasm code that finds entries of the TLB (`state.ts`). */
import { STATE_TLB, TLB_ENTRIES } from "../state.ts";
import type { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";

/**
 * The low half of an address on the stack becomes the memory offset of its entry; `bank` is the local of the bank in
 * use, -1: read it from the state.
 */
export function tlbEntry(code: Code, bank = -1): void {
  code.i32Const(8);
  code.byte(w.I32_SHR_U);
  code.i32Const((TLB_ENTRIES - 1) << 4);
  code.byte(w.I32_AND);
  if (bank >= 0) code.get(bank);
  else {
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_TLB);
  }
  code.byte(w.I32_ADD);
}

/** The entry's offset on the stack becomes whether array `array` maps another page there than that of local `va`. */
export function tlbMisses(code: Code, array: number, va: number): void {
  code.memory(w.I64_LOAD, array);
  code.get(va);
  code.i64Const(-4096);
  code.byte(w.I64_AND);
  code.byte(w.I64_NE);
}

/** Pushes the memory offset of local `va32`, whose entry is in local `entry`. */
export function tlbHost(code: Code, array: number, entry: number, va32: number): void {
  code.get(entry);
  code.memory(w.I32_LOAD, array + 8);
  code.get(va32);
  code.byte(w.I32_ADD);
}
