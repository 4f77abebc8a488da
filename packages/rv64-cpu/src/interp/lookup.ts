/** How compiled code finds the compiled code at an address: the function `lookup` of the interpreter's module. */
import { I32, I64 } from "../isa/ir.ts";
import type { HartRam } from "../ram.ts";
import { ENTRY_SLOT, JUMP_CACHE_ENTRIES, RECORD_BYTES, RECORD_IMM, STATE_EPOCH, TLB_EXEC } from "../state.ts";
import { Code, type ModuleBuilder } from "../wasm/module.ts";
import { tlbEntry, tlbMisses } from "./tlb.ts";
import * as w from "../wasm/opcodes.ts";
import { DISPATCH_COMPILED } from "./dispatch.ts";

/** Bytes of records per byte of code, log2. */
const RECORD_SHIFT: number = Math.log2(RECORD_BYTES / 2);

/**
 * Looks into the cache in front of {@link addLookup} for the pc in a local: puts the memory offset of its place into local
 * `place`, and pushes 0 if the slot at the place is that of the pc. See {@link cachedSlot}.
 */
export function missesCache(code: Code, jumpCacheOffset: number, pc: number, place: number): void {
  code.get(pc);
  code.byte(w.I32_WRAP_I64);
  code.i32Const(3);
  code.byte(w.I32_SHL);
  code.i32Const((JUMP_CACHE_ENTRIES - 1) << 4);
  code.byte(w.I32_AND);
  code.tee(place);
  code.memory(w.I64_LOAD, jumpCacheOffset);
  code.get(pc);
  code.byte(w.I64_NE);
  code.get(place);
  code.memory(w.I32_LOAD, jumpCacheOffset + 8);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_EPOCH);
  code.byte(w.I32_NE);
  code.byte(w.I32_OR);
}

/** Pushes the slot at a place of the cache. */
export function cachedSlot(code: Code, jumpCacheOffset: number, place: number): void {
  code.get(place);
  code.memory(w.I32_LOAD, jumpCacheOffset + 12);
}

/**
 * `lookup(pc) -> table slot` of the compiled entry at pc, or -1. A direct-mapped cache {i64 pc; i32 epoch; i32 slot} in
 * front, since records are spread over more memory than a processor's caches hold. A slot stays callable for ever.
 */
export function addLookup(builder: ModuleBuilder, { jumpCacheOffset }: HartRam): void {
  const code = new Code();
  const [pc, entry, cached] = [0, 1, 2];
  missesCache(code, jumpCacheOffset, pc, cached);
  code.byte(w.I32_EQZ);
  code.byte(w.IF);
  code.byte(w.VOID);
  cachedSlot(code, jumpCacheOffset, cached);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.get(pc);
  code.byte(w.I32_WRAP_I64);
  tlbEntry(code);
  code.tee(entry);
  tlbMisses(code, TLB_EXEC, pc);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(-1);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.get(entry);
  code.memory(w.I32_LOAD, TLB_EXEC + 8);
  code.get(pc);
  code.byte(w.I32_WRAP_I64);
  code.i32Const(0xffe);
  code.byte(w.I32_AND);
  code.i32Const(RECORD_SHIFT);
  code.byte(w.I32_SHL);
  code.byte(w.I32_ADD);
  code.tee(entry);
  code.memory(w.I32_LOAD16_U, 0);
  code.i32Const(DISPATCH_COMPILED);
  code.byte(w.I32_NE);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(-1);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.get(cached);
  code.get(pc);
  code.memory(w.I64_STORE, jumpCacheOffset);
  code.get(cached);
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_EPOCH);
  code.memory(w.I32_STORE, jumpCacheOffset + 8);
  code.get(cached);
  code.get(entry);
  code.memory(w.I32_LOAD, RECORD_IMM);
  code.memory(w.I32_LOAD, ENTRY_SLOT);
  code.tee(entry);
  code.memory(w.I32_STORE, jumpCacheOffset + 12);
  code.get(entry);
  builder.addFunction([I64], [I32], [I32, I32], code, "lookup");
}
