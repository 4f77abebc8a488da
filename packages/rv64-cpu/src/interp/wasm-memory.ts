/**
 * The second chance of a memory access in WebAssembly: what missed the TLB, or was misaligned, without leaving wasm.
 *
 * `walk` handles the plain case of Sv39: three levels, a 4 KiB leaf with the rights, A and D already as needed, in RAM,
 * and for writes a page without decoded or compiled code. It fills the TLB. Everything else (faults, superpages, A and D
 * updates, devices, crossings of pages) is the host's `Mmu`.
 */
import { I32, I64, MEM_ATOMIC, MEM_RESERVE, MEM_SIZE } from "../isa/ir.ts";
import type { HartRam } from "../ram.ts";
import {
  STATE_LEAVE_DELTA,
  STATE_LEAVE_DONE,
  STATE_LEAVE_STATUS,
  STATE_RESULT,
  STATE_WALK_READ_CARE,
  STATE_WALK_READ_VALUE,
  STATE_WALK_ROOT,
  STATE_WALK_WRITE_CARE,
  STATE_WALK_WRITE_VALUE,
  TLB_READ,
  TLB_WRITE,
} from "../state.ts";
import { LOAD_OPCODES, STORE_OPCODES } from "../wasm/lower.ts";
import { REGION_DECLINED } from "./contract.ts";
import { Code, type ModuleBuilder } from "../wasm/module.ts";
import { tlbEntry, tlbHost, tlbMisses } from "./tlb.ts";
import * as w from "../wasm/opcodes.ts";

/** Adds the functions (i64 va, i32 mode) -> status for loads and stores; statuses and result slot as for the imports. */
export function addMemoryFunctions(
  builder: ModuleBuilder,
  ram: HartRam,
  imports: { load: number; store: number },
): { load: number; store: number } {
  const walkRead = addWalk(builder, ram, false);
  const walkWrite = addWalk(builder, ram, true);
  const load = addSlow(builder, false, walkRead, walkWrite, imports.load);
  const store = addSlow(builder, true, walkRead, walkWrite, imports.store);
  addRegionLoad(builder, load);
  addRegionStore(builder, store);
  addPage(builder, false, walkRead);
  addPage(builder, true, walkWrite);
  return { load, store };
}

// --- for compiled regions ------------------------------------------------------------------------------------------------
// One i32 tells an access: its mode, then the instructions of its block that came before it.
export const ACCESS_DONE_SHIFT = 5;
/** In front of the count, for stores: the instruction has four bytes. */
export const ACCESS_LONG: number = 1 << 4;

/** Puts away why and where a region is left: locals of the access, the instruction's distance, and REGION_*. */
export function leaveWith(code: Code, at: number, delta: number, status: number): void {
  code.i32Const(0);
  code.get(status);
  code.memory(w.I32_STORE, STATE_LEAVE_STATUS);
  code.i32Const(0);
  code.get(delta);
  code.memory(w.I32_STORE, STATE_LEAVE_DELTA);
  code.i32Const(0);
  code.get(at);
  code.i32Const(ACCESS_DONE_SHIFT);
  code.byte(w.I32_SHR_U);
  code.memory(w.I32_STORE, STATE_LEAVE_DONE);
}

/** Pushes -1 if the status is not 0: leave, and STATE_LEAVE_* says how. */
export function pushLeave(code: Code, status: number): void {
  code.i32Const(0);
  code.get(status);
  code.i32Const(0);
  code.byte(w.I32_NE);
  code.byte(w.I32_SUB);
}

/** `regionLoad(va, access, delta) -> (value, leave)`: `leave` after a fault, with STATE_LEAVE_* set. */
function addRegionLoad(builder: ModuleBuilder, load: number): void {
  const code = new Code();
  const [va, access, delta, status] = [0, 1, 2, 3];
  code.get(va);
  code.get(access);
  code.i32Const((1 << ACCESS_DONE_SHIFT) - 1);
  code.byte(w.I32_AND);
  code.call(load);
  code.i32Const(1);
  code.byte(w.I32_AND);
  code.tee(status);
  code.byte(w.IF);
  code.byte(w.VOID);
  leaveWith(code, access, delta, status);
  code.byte(w.END);
  code.i32Const(0);
  code.memory(w.I64_LOAD, STATE_RESULT);
  pushLeave(code, status);
  builder.addFunction([I64, I32, I32], [I64, I32], [I32], code, "regionLoad");
}

/**
 * `regionStore(va, value, access, delta) -> leave`: after a fault, or behind the instruction if the store changed code
 * or a device wants attention.
 */
function addRegionStore(builder: ModuleBuilder, store: number): void {
  const code = new Code();
  const [va, value, access, delta, status] = [0, 1, 2, 3, 4];
  code.i32Const(0);
  code.get(value);
  code.memory(w.I64_STORE, STATE_RESULT);
  code.get(va);
  code.get(access);
  code.i32Const(MEM_SIZE);
  code.byte(w.I32_AND);
  code.call(store);
  code.tee(status);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(status);
  code.i32Const(1);
  code.byte(w.I32_AND);
  code.byte(w.I32_EQZ);
  code.byte(w.IF);
  code.byte(w.VOID);
  // The instruction is done: go on behind it.
  code.get(delta);
  code.i32Const(4);
  code.i32Const(2);
  code.get(access);
  code.i32Const(ACCESS_LONG);
  code.byte(w.I32_AND);
  code.byte(w.SELECT);
  code.byte(w.I32_ADD);
  code.set(delta);
  code.get(access);
  code.i32Const(1 << ACCESS_DONE_SHIFT);
  code.byte(w.I32_ADD);
  code.set(access);
  code.byte(w.END);
  leaveWith(code, access, delta, status);
  code.byte(w.END);
  pushLeave(code, status);
  builder.addFunction([I64, I64, I32, I32], [I32], [I32], code, "regionStore");
}

/**
 * `pageRead(va, span, access, delta) -> (host address, leave)`, `pageWrite`: of `span` bytes that the TLB maps now. They may
 * lie on two pages if those are neighbours in RAM too. Else the address is 0, and STATE_LEAVE_* say that the interpreter has
 * to execute the access.
 */
function addPage(builder: ModuleBuilder, write: boolean, walk: number): void {
  const code = new Code();
  const [va, span, access, delta, va32, entry, next] = [0, 1, 2, 3, 4, 5, 6];
  const array = write ? TLB_WRITE : TLB_READ;
  code.byte(w.BLOCK);
  code.byte(w.VOID);
  /** Has the TLB map the page of local `va`, and leaves its entry in a local; gives up `depth` blocks further out. */
  const map = (into: number, depth: number): void => {
    code.get(va);
    code.byte(w.I32_WRAP_I64);
    tlbEntry(code);
    code.tee(into);
    tlbMisses(code, array, va);
    code.byte(w.IF);
    code.byte(w.VOID);
    code.get(va);
    code.call(walk);
    code.byte(w.I32_EQZ);
    code.brIf(1 + depth);
    code.byte(w.END);
  };
  map(entry, 0);
  code.get(va);
  code.byte(w.I32_WRAP_I64);
  code.tee(va32);
  code.i32Const(4095);
  code.byte(w.I32_AND);
  code.get(span);
  code.byte(w.I32_ADD);
  code.i32Const(4096);
  code.byte(w.I32_GT_U);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(va);
  code.get(span);
  code.byte(w.I64_EXTEND_I32_U);
  code.byte(w.I64_ADD);
  code.set(va);
  map(next, 1);
  code.get(entry);
  code.memory(w.I32_LOAD, array + 8);
  code.get(next);
  code.memory(w.I32_LOAD, array + 8);
  code.byte(w.I32_NE);
  code.brIf(1);
  code.byte(w.END);
  tlbHost(code, array, entry, va32);
  code.i32Const(0);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.i32Const(REGION_DECLINED);
  code.set(entry);
  leaveWith(code, access, delta, entry);
  code.i32Const(0);
  code.i32Const(-1);
  builder.addFunction([I64, I32, I32, I32], [I32, I32], [I32, I32, I32], code, write ? "pageWrite" : "pageRead");
}

/** Returns 0 from the function if the i32 on the stack is true. */
function failIf(code: Code): void {
  code.byte(w.IF);
  code.byte(w.VOID);
  code.i32Const(0);
  code.byte(w.RETURN);
  code.byte(w.END);
}

/** (va) -> 1 if the TLB now maps it. */
function addWalk(builder: ModuleBuilder, ram: HartRam, write: boolean): number {
  const code = new Code();
  const [va, pte, table, page] = [0, 1, 2, 3];
  code.i32Const(0);
  code.memory(w.I32_LOAD, STATE_WALK_ROOT);
  code.tee(table);
  code.byte(w.I32_EQZ);
  code.get(va);
  code.i64Const(25);
  code.byte(w.I64_SHL);
  code.i64Const(25);
  code.byte(w.I64_SHR_S);
  code.get(va);
  code.byte(w.I64_NE);
  code.byte(w.I32_OR);
  failIf(code);
  for (const shift of [30, 21, 12]) {
    // pte = table[vpn]
    code.get(table);
    code.get(va);
    code.i64Const(shift - 3);
    code.byte(w.I64_SHR_U);
    code.byte(w.I32_WRAP_I64);
    code.i32Const(511 * 8);
    code.byte(w.I32_AND);
    code.byte(w.I32_ADD);
    code.memory(w.I64_LOAD, 0);
    code.set(pte);
    code.get(pte);
    code.byte(w.I32_WRAP_I64);
    if (shift > 12) {
      code.i32Const(0xff & ~(1 << 5)); // a pointer: V alone, G is allowed
      code.byte(w.I32_AND);
      code.i32Const(1);
    } else {
      code.i32Const(0);
      code.memory(w.I32_LOAD, write ? STATE_WALK_WRITE_CARE : STATE_WALK_READ_CARE);
      code.byte(w.I32_AND);
      code.i32Const(0);
      code.memory(w.I32_LOAD, write ? STATE_WALK_WRITE_VALUE : STATE_WALK_READ_VALUE);
    }
    code.byte(w.I32_NE);
    failIf(code);
    // Distance of the page from the start of RAM; reserved high bits make it too large.
    code.get(pte);
    code.i64Const(10);
    code.byte(w.I64_SHR_U);
    code.i64Const(12);
    code.byte(w.I64_SHL);
    code.i64Const(ram.base);
    code.byte(w.I64_SUB);
    code.tee(pte);
    code.i64Const(ram.size);
    code.byte(w.I64_GE_U);
    failIf(code);
    code.get(pte);
    code.byte(w.I32_WRAP_I64);
    code.i32Const(ram.offset | 0);
    code.byte(w.I32_ADD);
    code.set(table);
  }
  if (write) {
    for (const [opcode, offset, scale] of [
      [w.I32_LOAD16_U, ram.codeMapOffset, 11],
      [w.I32_LOAD8_U, ram.compiledFramesOffset, 12],
    ] as const) {
      code.get(pte);
      code.i64Const(scale);
      code.byte(w.I64_SHR_U);
      code.byte(w.I32_WRAP_I64);
      code.memory(opcode, offset);
      failIf(code);
    }
  }
  // entry = TLB + array + index
  code.get(va);
  code.byte(w.I32_WRAP_I64);
  code.tee(page);
  tlbEntry(code);
  const entry = 4;
  code.set(entry);
  const array = write ? TLB_WRITE : TLB_READ;
  code.get(entry);
  code.get(va);
  code.i64Const(-4096);
  code.byte(w.I64_AND);
  code.memory(w.I64_STORE, array);
  code.get(entry);
  code.get(table);
  code.get(page);
  code.i32Const(-4096);
  code.byte(w.I32_AND);
  code.byte(w.I32_SUB);
  code.memory(w.I32_STORE, array + 8);
  code.get(entry);
  code.get(table);
  code.memory(w.I32_STORE, array + 12);
  code.i32Const(1);
  return builder.addFunction([I64], [I32], [I64, I32, I32, I32], code);
}

/** (va, mode) -> status. */
function addSlow(builder: ModuleBuilder, isStore: boolean, walkRead: number, walkWrite: number, host: number): number {
  const code = new Code();
  const [va, mode, va32, size, entry] = [0, 1, 2, 3, 4];
  code.get(va);
  code.byte(w.I32_WRAP_I64);
  code.set(va32);
  code.i32Const(1);
  code.get(mode);
  code.i32Const(MEM_SIZE);
  code.byte(w.I32_AND);
  code.byte(w.I32_SHL);
  code.set(size);
  code.byte(w.BLOCK);
  code.byte(w.VOID);
  // Across pages, or misaligned and atomic: the host.
  code.get(va32);
  code.i32Const(4095);
  code.byte(w.I32_AND);
  code.get(size);
  code.byte(w.I32_ADD);
  code.i32Const(4096);
  code.byte(w.I32_GT_U);
  code.brIf(0);
  code.get(mode);
  code.i32Const(MEM_ATOMIC | MEM_RESERVE);
  code.byte(w.I32_AND);
  code.i32Const(0);
  code.byte(w.I32_NE);
  code.get(va32);
  code.get(size);
  code.i32Const(1);
  code.byte(w.I32_SUB);
  code.byte(w.I32_AND);
  code.i32Const(0);
  code.byte(w.I32_NE);
  code.byte(w.I32_AND);
  code.brIf(0);
  // The entry in READ, or WRITE for stores and atomics.
  code.get(va32);
  tlbEntry(code);
  if (isStore) {
    code.i32Const(TLB_WRITE);
  } else {
    code.i32Const(TLB_WRITE);
    code.i32Const(TLB_READ);
    code.get(mode);
    code.i32Const(MEM_ATOMIC);
    code.byte(w.I32_AND);
    code.byte(w.SELECT);
  }
  code.byte(w.I32_ADD);
  code.tee(entry);
  tlbMisses(code, 0, va);
  code.byte(w.IF);
  code.byte(w.VOID);
  if (isStore) {
    code.get(va);
    code.call(walkWrite);
  } else {
    code.get(mode);
    code.i32Const(MEM_ATOMIC);
    code.byte(w.I32_AND);
    code.byte(w.IF);
    code.byte(I32);
    code.get(va);
    code.call(walkWrite);
    code.byte(w.ELSE);
    code.get(va);
    code.call(walkRead);
    code.byte(w.END);
  }
  code.byte(w.I32_EQZ);
  code.brIf(1);
  code.byte(w.END);
  code.get(entry);
  code.memory(w.I32_LOAD, 8);
  code.get(va32);
  code.byte(w.I32_ADD);
  code.set(entry);
  // One arm per access kind.
  const kinds = isStore ? 4 : 8;
  for (let n = 0; n < kinds; n++) {
    code.byte(w.BLOCK);
    code.byte(w.VOID);
  }
  code.get(mode);
  code.i32Const(kinds - 1);
  code.byte(w.I32_AND);
  code.byte(w.BR_TABLE);
  code.u32(kinds - 1);
  for (let n = 0; n < kinds; n++) code.u32(n);
  for (let n = 0; n < kinds; n++) {
    code.byte(w.END);
    if (isStore) {
      code.get(entry);
      code.i32Const(0);
      code.memory(w.I64_LOAD, STATE_RESULT);
      code.memory(STORE_OPCODES[n], 0);
    } else {
      code.i32Const(0);
      code.get(entry);
      code.memory(LOAD_OPCODES[n], 0);
      code.memory(w.I64_STORE, STATE_RESULT);
    }
    code.i32Const(0);
    code.byte(w.RETURN);
  }
  code.byte(w.END);
  code.get(va32);
  code.get(va);
  code.i64Const(32);
  code.byte(w.I64_SHR_U);
  code.byte(w.I32_WRAP_I64);
  code.get(mode);
  code.call(host);
  return builder.addFunction([I64, I32], [I32], [I32, I32, I32], code, isStore ? "store" : "load");
}
