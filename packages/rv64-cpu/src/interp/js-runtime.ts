/**
 * What the generated JavaScript back end runs on: the dispatch loop, TLB look-ups, and the bit operations that
 * JavaScript lacks. It executes the same predecoded records as the wasm interpreter and leaves the same state.
 */
import { CAUSE_ILLEGAL_INSTRUCTION } from "../isa/causes.ts";
import { MEM_ATOMIC, MEM_SIZE } from "../isa/ir.ts";
import {
  CROSS_PAGE,
  RECORD_IMM,
  STATE_FUEL,
  STATE_PC,
  STATE_RESULT,
  STATE_TLB,
  STATE_TRAP_CAUSE,
  STATE_TRAP_VALUE,
  TLB_ENTRIES,
  TLB_EXEC,
  TLB_READ,
  TLB_WRITE,
} from "../state.ts";
import { DISPATCH_CROSS, DISPATCH_DECODE, DISPATCH_FIRST, DISPATCH_PAGE_END } from "./dispatch.ts";
import { createHandlers } from "./js-interpreter.gen.ts";
import { EXIT_FUEL, EXIT_HOST, EXIT_TRAP, type InterpreterImports } from "./contract.ts";

// What a handler returns.
export const NEXT = 0;
/** Go on at `pc`, which may be in another page. */
export const FETCH = 1;
export const FAULT = 2;
const LEAVE = 3;

/** State shared by the handlers; `rp`, `recBase`, `pcBase` and `pc` are the locals of the wasm interpreter. */
export interface JsRuntime {
  readonly i32: Int32Array;
  readonly i64: BigInt64Array;
  readonly u16: Uint16Array;
  readonly imports: InterpreterImports;
  rp: number;
  recBase: number;
  pcBase: bigint;
  pc: bigint;
  /** Loads into the result slot; true on a fault. */
  load(va: bigint, mode: number): boolean;
  /** Stores the result slot; true on a fault. */
  store(va: bigint, mode: number): boolean;
  system(bits: number): number;
  off(): number;
}

const RESULT = STATE_RESULT >> 2;

/** The run function of the JavaScript back end: same contract as the wasm module's export. */
export function createJsInterpreter(buffer: ArrayBufferLike, imports: InterpreterImports): (fuel: number) => number {
  const i32 = new Int32Array(buffer);
  const i64 = new BigInt64Array(buffer);
  const u16 = new Uint16Array(buffer);
  const view = new DataView(buffer);
  let fuel = 0;
  let held = 0;

  const here = (): bigint => BigInt.asIntN(64, r.pcBase + BigInt((r.rp - r.recBase) >>> 3));
  const low = (va: bigint): number => Number(BigInt.asIntN(32, va));
  const high = (va: bigint): number => Number(va >> 32n);
  /** Memory offset of an aligned address that the TLB array maps, or -1. */
  const lookup = (lo: number, hi: number, mode: number, array: number): number => {
    const entry = (i32[STATE_TLB >> 2] + array + ((lo >>> 8) & ((TLB_ENTRIES - 1) << 4))) >>> 2;
    if (i32[entry] !== (lo & (-4096 | ((1 << (mode & MEM_SIZE)) - 1))) || i32[entry + 1] !== hi) return -1;
    return (i32[entry + 2] + lo) >>> 0;
  };
  const finish = (status: number): boolean => {
    if (status === 1) return true;
    if (status === 2) {
      held += fuel;
      fuel = 0;
    }
    return false;
  };
  const result = (lo: number, hi: number): boolean => {
    i32[RESULT] = lo;
    i32[RESULT + 1] = hi;
    return false;
  };

  const r: JsRuntime = {
    i32,
    i64,
    u16,
    imports,
    rp: 0,
    recBase: 0,
    pcBase: 0n,
    pc: 0n,
    load(va, mode) {
      const lo = low(va);
      const hi = high(va);
      const host = lookup(lo, hi, mode, (mode & MEM_ATOMIC) !== 0 ? TLB_WRITE : TLB_READ);
      if (host < 0) return finish(imports.load(lo, hi, mode));
      switch (mode & 7) {
        case 0:
          return result(view.getUint8(host), 0);
        case 1:
          return result(view.getUint16(host, true), 0);
        case 2:
          return result(view.getInt32(host, true), 0);
        case 4:
          return signed(view.getInt8(host));
        case 5:
          return signed(view.getInt16(host, true));
        case 6:
          return signed(view.getInt32(host, true));
        default:
          return result(view.getInt32(host, true), view.getInt32(host + 4, true));
      }
    },
    store(va, mode) {
      const lo = low(va);
      const hi = high(va);
      const host = lookup(lo, hi, mode, TLB_WRITE);
      if (host < 0) return finish(imports.store(lo, hi, mode));
      switch (mode & MEM_SIZE) {
        case 0:
          view.setInt8(host, i32[RESULT]);
          break;
        case 1:
          view.setInt16(host, i32[RESULT], true);
          break;
        case 2:
          view.setInt32(host, i32[RESULT], true);
          break;
        default:
          view.setInt32(host, i32[RESULT], true);
          view.setInt32(host + 4, i32[RESULT + 1], true);
      }
      return false;
    },
    system(bits) {
      i64[STATE_PC >> 3] = here();
      i32[STATE_FUEL >> 2] = fuel + held;
      const status = imports.system(bits);
      if (status === 1) return FAULT;
      if (status === 2) {
        r.pc = i64[STATE_PC >> 3];
        return LEAVE;
      }
      r.rp += 32;
      return NEXT;
    },
    off() {
      const pc = here();
      imports.off(low(pc), high(pc));
      return FAULT;
    },
  };
  const signed = (value: number): boolean => result(value, value >> 31);
  const handlers = createHandlers(r);

  /** pc -> rp; false on a fault. */
  const fetchCode = (): boolean => {
    const pc = BigInt.asIntN(64, r.pc);
    r.pc = pc;
    const lo = low(pc);
    const hi = high(pc);
    const entry = (i32[STATE_TLB >> 2] + TLB_EXEC + ((lo >>> 8) & ((TLB_ENTRIES - 1) << 4))) >>> 2;
    if ((i32[entry] !== (lo & -4096) || i32[entry + 1] !== hi) && imports.fetch(lo, hi) !== 0) return false;
    r.recBase = i32[entry + 2];
    r.pcBase = BigInt.asIntN(64, pc & -4096n);
    r.rp = r.recBase + (lo & 0xffe) * 8;
    return true;
  };

  /** The dispatch numbers that are not instructions; they cost no fuel. */
  const special = (dispatch: number): number => {
    if (dispatch === DISPATCH_DECODE && imports.decode(r.rp, r.recBase) === 0) return NEXT;
    if (dispatch === DISPATCH_DECODE || dispatch === DISPATCH_PAGE_END) {
      r.pc = here();
      return FETCH;
    }
    if (dispatch === DISPATCH_CROSS) {
      r.pc = here();
      if (imports.cross(low(r.pc), high(r.pc)) !== 0) return FAULT;
      r.pcBase = r.pc;
      r.recBase = CROSS_PAGE;
      r.rp = CROSS_PAGE;
      return NEXT;
    }
    i32[STATE_TRAP_CAUSE >> 2] = CAUSE_ILLEGAL_INSTRUCTION;
    i64[STATE_TRAP_VALUE >> 3] = BigInt(i32[(r.rp + RECORD_IMM) >>> 2] >>> 0);
    return FAULT;
  };

  const execute = (): number => {
    r.pc = i64[STATE_PC >> 3];
    if (!fetchCode()) return EXIT_TRAP;
    for (;;) {
      const dispatch = u16[r.rp >>> 1];
      let next: number;
      if (dispatch >= DISPATCH_FIRST) {
        if (fuel === 0) {
          r.pc = here();
          return EXIT_FUEL;
        }
        fuel--;
        next = handlers[dispatch - DISPATCH_FIRST]();
        if (next === FAULT) fuel++;
      } else {
        if (fuel === 0) {
          r.pc = here();
          return EXIT_FUEL;
        }
        next = special(dispatch);
      }
      if (next === NEXT) continue;
      if (next === FAULT) {
        r.pc = here();
        return EXIT_TRAP;
      }
      if (next === LEAVE) return EXIT_HOST;
      if (!fetchCode()) return EXIT_TRAP;
    }
  };

  return (budget) => {
    fuel = budget;
    held = 0;
    const exit = execute();
    i64[STATE_PC >> 3] = r.pc;
    i32[STATE_FUEL >> 2] = fuel + held;
    return exit;
  };
}

export function rotl64(value: bigint, count: bigint): bigint {
  const unsigned = BigInt.asUintN(64, value);
  return BigInt.asIntN(64, (unsigned << count) | (unsigned >> (64n - count)));
}
export function rotl32(value: number, count: number): number {
  const n = count & 31;
  return n === 0 ? value : (value << n) | (value >>> (32 - n));
}
export function clz64(value: bigint): bigint {
  const high = Number(BigInt.asIntN(32, value >> 32n));
  return BigInt(high !== 0 ? Math.clz32(high) : 32 + Math.clz32(Number(BigInt.asIntN(32, value))));
}
export function ctz32(value: number): number {
  return value === 0 ? 32 : 31 - Math.clz32(value & -value);
}
export function ctz64(value: bigint): bigint {
  const low = Number(BigInt.asIntN(32, value));
  return BigInt(low !== 0 ? ctz32(low) : 32 + ctz32(Number(BigInt.asIntN(32, value >> 32n))));
}
export function popcnt32(value: number): number {
  let count = 0;
  for (let v = value >>> 0; v !== 0; v = (v & (v - 1)) >>> 0) count++;
  return count;
}
export function popcnt64(value: bigint): bigint {
  return BigInt(popcnt32(Number(BigInt.asIntN(32, value))) + popcnt32(Number(BigInt.asIntN(32, value >> 32n))));
}
