/**
 * The runs of neighbouring pages that loops remember, one for each pointer: see RUNS_TAG of `state.ts`.
 *
 * A run starts as one page, and gets longer when the pointer goes to a neighbour of it that has the neighbouring frame. If the
 * pointer strays elsewhere often, the page table is asked how far the run goes.
 */
import type { CompilerHost } from "../hart.ts";
import { I32, I64 } from "../isa/ir.ts";
import { ENTRY_STRAYS, RUN_DISTANCE, RUN_LIMIT } from "../state.ts";
import { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";

/** The page table is asked at so many strays, then at twice as many, and so on, between two looks of the profile at their number. */
const FIRST_LOOK = 4;

/**
 * `lengthen(run, va, vaHigh, span, writes)`: the run becomes that of the page at `va`, whose frame is as far away as its own, and
 * what it was, if that touches it.
 */
export const LENGTHEN_PARAMETERS: readonly number[] = [I32, I32, I32, I32, I32];

export function lengthenRun({ ram, mmu }: CompilerHost): (...parameters: number[]) => void {
  const { buffer } = ram.memory;
  const view = new DataView(buffer);
  const readWord = (at: number): number => view.getInt32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
  const writeWord = (at: number, value: number): void => {
    view.setInt32(at, value | 0, true);
    view.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  return (run, vaLo, vaHi, span, writes) => {
    const page = vaHi * 0x1_0000_0000 + (vaLo >>> 0) - (vaLo & 0xfff);
    let start = page - mmu.neighbours(vaLo, vaHi, writes !== 0, -1) * 4096;
    let end = page + (1 + mmu.neighbours(vaLo, vaHi, writes !== 0, 1)) * 4096;
    const oldStart = readWord(run);
    const oldEnd = oldStart + readWord(run + RUN_LIMIT) + span - 1;
    if (start <= oldEnd && oldStart <= end) {
      start = Math.min(start, oldStart);
      end = Math.max(end, oldEnd);
    }
    writeWord(run, start);
    writeWord(run + RUN_LIMIT, end - start - span + 1);
  };
}

/**
 * `remember(va, host, run, span, writes, entry)`: the group of `span` bytes at `va`, which are at `host`, is not in `run`. If its page
 * is a neighbour of the run, that gets longer, else another begins, which `entry` counts if it is not 0.
 */
export const REMEMBER_PARAMETERS: readonly number[] = [I64, I32, I32, I64, I32, I32];
export const REMEMBER_LOCALS: readonly number[] = [I64, I32, I32, I32];

export function rememberCode(lengthen: number): Code {
  const code = new Code();
  const [va, host, run, span, writes, entry, page, distance, isNear, strays] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  code.get(va);
  code.i64Const(-4096);
  code.byte(w.I64_AND);
  code.set(page);
  code.get(host);
  code.get(va);
  code.byte(w.I32_WRAP_I64);
  code.byte(w.I32_SUB);
  code.tee(distance);
  code.get(run);
  code.memory(w.I32_LOAD, RUN_DISTANCE);
  code.byte(w.I32_EQ);
  code.set(isNear);

  code.get(run);
  code.memory(w.I64_LOAD, RUN_LIMIT);
  code.i64Const(0);
  code.byte(w.I64_NE);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(isNear);
  code.byte(w.IF);
  code.byte(w.VOID);
  // In front of the run?
  code.get(page);
  code.i64Const(4096);
  code.byte(w.I64_ADD);
  code.get(run);
  code.memory(w.I64_LOAD, 0);
  code.byte(w.I64_EQ);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(run);
  code.get(page);
  code.memory(w.I64_STORE, 0);
  addPage(code, run);
  code.byte(w.END);
  // Behind it? The addresses that hit end `span` - 1 bytes before the run does.
  code.get(run);
  code.memory(w.I64_LOAD, 0);
  code.get(run);
  code.memory(w.I64_LOAD, RUN_LIMIT);
  code.byte(w.I64_ADD);
  code.get(span);
  code.byte(w.I64_ADD);
  code.i64Const(1);
  code.byte(w.I64_SUB);
  code.get(page);
  code.byte(w.I64_EQ);
  code.byte(w.IF);
  code.byte(w.VOID);
  addPage(code, run);
  code.byte(w.END);
  code.byte(w.END);

  code.get(entry);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(entry);
  code.get(entry);
  code.memory(w.I32_LOAD, ENTRY_STRAYS);
  code.i32Const(1);
  code.byte(w.I32_ADD);
  code.tee(strays);
  code.memory(w.I32_STORE, ENTRY_STRAYS);
  code.get(isNear);
  code.get(strays);
  code.i32Const(FIRST_LOOK);
  code.byte(w.I32_GE_U);
  code.byte(w.I32_AND);
  // A power of two?
  code.get(strays);
  code.get(strays);
  code.i32Const(1);
  code.byte(w.I32_SUB);
  code.byte(w.I32_AND);
  code.byte(w.I32_EQZ);
  code.byte(w.I32_AND);
  code.byte(w.IF);
  code.byte(w.VOID);
  code.get(run);
  code.get(va);
  code.byte(w.I32_WRAP_I64);
  code.get(va);
  code.i64Const(32);
  code.byte(w.I64_SHR_S);
  code.byte(w.I32_WRAP_I64);
  code.get(span);
  code.byte(w.I32_WRAP_I64);
  code.get(writes);
  code.call(lengthen);
  code.byte(w.RETURN);
  code.byte(w.END);
  code.byte(w.END);
  code.byte(w.END);

  code.get(run);
  code.get(page);
  code.memory(w.I64_STORE, 0);
  code.get(run);
  code.i64Const(4097);
  code.get(span);
  code.byte(w.I64_SUB);
  code.memory(w.I64_STORE, RUN_LIMIT);
  code.get(run);
  code.get(distance);
  code.memory(w.I32_STORE, RUN_DISTANCE);
  return code;
}

/** The run has one page more; returns. */
function addPage(code: Code, run: number): void {
  code.get(run);
  code.get(run);
  code.memory(w.I64_LOAD, RUN_LIMIT);
  code.i64Const(4096);
  code.byte(w.I64_ADD);
  code.memory(w.I64_STORE, RUN_LIMIT);
  code.byte(w.RETURN);
}
