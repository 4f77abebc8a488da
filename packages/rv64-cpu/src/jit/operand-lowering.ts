/**
 * Operands of the instructions of a region: guest registers and temporaries in wasm locals.
 *
 * A register's 64-bit local is right wherever the region can be left. A result whose upper half nobody can see, since it is
 * written again before that, stays in a 32-bit local: that spares the sign extension behind nearly every W instruction.
 */
import {
  type Expr,
  F64,
  FIELD_RS1,
  FIELD_RS2,
  I32,
  I64,
  OP_CONST,
  OP_F,
  OP_IMM,
  OP_LOCAL,
  OP_X,
  ST_SET_X,
  type Type,
} from "../isa/ir.ts";
import { instructionByName } from "../isa/instructions.ts";
import { SEMANTICS } from "../isa/semantics.ts";
import { Lowering } from "../wasm/lower.ts";
import { type Block, type Insn, realDelta, type Stream } from "./blocks.ts";
import {
  MAY_LEAVE,
  OPERANDS,
  READS_F1,
  READS_F2,
  READS_F3,
  READS_X1,
  READS_X2,
  WRITES_F,
  WRITES_X,
} from "./operands.ts";
import { STATE_F } from "../state.ts";
import * as w from "../wasm/opcodes.ts";
// Parameters: the address of the entry, from which all others follow, and how many regions are on the host's stack.
export const BASE = 0;
export const DEPTH = 1;
/** Parameter types of a region; the result is one i32, REGION_*. */
export const REGION_PARAMETERS: readonly number[] = [I64, I32];
// Fixed locals.
export const FUEL = 2;
export const TLB = 3;
export const STATUS = 4;
export const ENTRY = 5;
export const VA32 = 6;
/** Set when a store hit compiled code in the middle of an instruction. */
export const STALE = 7;
/** Host address that the load of an atomic found, or 0. */
export const HOST = 8;
/** 1 + the table slot to go on at, after an exit to a known entry. */
export const LINK = 9;
/** The strip goes on while there is as much fuel. */
export const STOP = 10;
export const I32_TEMPS = 11;
export const I32_TEMP_COUNT = 3;
export const PC_OUT: number = I32_TEMPS + I32_TEMP_COUNT;
export const VA: number = PC_OUT + 1;
export const I64_TEMPS: number = PC_OUT + 2;
export const I64_TEMP_COUNT = 14;
export const FIRST_REGISTER: number = I64_TEMPS + I64_TEMP_COUNT;

export const SIGNED_LOADS: ReadonlySet<number> = new Set(
  ["lb", "lbu", "lh", "lhu", "lw"].map((name) => instructionByName(name).id),
);
/** Comparisons: 0 or 1. */
const SMALL_I32 = new Set([w.I64_LT_S, w.I64_LT_U, w.I32_EQZ]);

/**
 * The instructions whose rd is written again before the block can be left, so that its upper half need not exist.
 * `narrowAtEnd`: registers of which that is true at the end of the block.
 */
function narrowResults(insns: readonly Insn[], mayLeave: (insn: Insn) => boolean, narrowAtEnd: number): Set<Insn> {
  const found = new Set<Insn>();
  // Bit n: xn is written again before the next place at which somebody can look. Backwards.
  let overwritten = narrowAtEnd;
  for (let n = insns.length - 1; n >= 0; n--) {
    const { row, rd } = insns[n];
    const operands = OPERANDS[row.id];
    if ((n === insns.length - 1 && narrowAtEnd === 0) || mayLeave(insns[n])) {
      overwritten = 0;
      continue;
    }
    if ((operands & WRITES_X) === 0 || rd === 0) continue;
    if (((overwritten >>> rd) & 1) !== 0) found.add(insns[n]);
    overwritten |= 1 << rd;
  }
  return found;
}

/** True if the instruction can write the sign extension of 32 bits only. */
function writesSigned({ row }: Insn): boolean {
  const [{ kind, a }] = SEMANTICS[row.id].body;
  return (
    SIGNED_LOADS.has(row.id) ||
    (kind === ST_SET_X &&
      (a?.op === w.I64_EXTEND_I32_S || (a?.op === w.I64_EXTEND_I32_U && SMALL_I32.has(a.a?.op ?? 0))))
  );
}

/** Bit n of `x` is xn, of `f` fn. */
export interface RegisterSet {
  readonly x: number;
  readonly f: number;
}
/** What has to be done when a tight loop is over, see {@link OperandLowering.startTightBlock}. */
export interface Late extends RegisterSet {
  /** Registers that are in their i32 locals. */
  readonly narrow: number;
}
export const NO_REGISTERS: RegisterSet = { x: 0, f: 0 };
export const ALL_REGISTERS: RegisterSet = { x: ~1, f: ~0 };

/** Operands; `page-lowering.ts` adds host addresses. */
export abstract class OperandLowering extends Lowering {
  // Locals of guest registers, or -1.
  protected readonly x: Int16Array = new Int16Array(32).fill(-1);
  protected readonly f: Int16Array = new Int16Array(32).fill(-1);
  /** Types of the locals from FIRST_REGISTER on. */
  protected readonly registerLocals: number[] = [];
  protected usesFloat = false;
  /** Accesses that need no check. */
  protected streams: ReadonlyMap<Insn, Stream> = new Map();
  protected insn: Insn = null as unknown as Insn;
  protected types: readonly Type[] = [];
  /** Instructions of the block whose result nobody sees in full: it is overwritten before anything can leave. */
  #narrow: ReadonlySet<Insn> = new Set();
  /** i32 locals of such results, by register, or -1. */
  readonly #narrowLocals: Int16Array = new Int16Array(32).fill(-1);
  #isTight = false;
  /** Bit n: xn is in its i32 local; xn is known to be the sign extension of its lower half. */
  #inNarrow = 0;
  #signed = 0;
  /** In the current block: registers that are in memory wherever it can be left; their locals are copies. */
  protected through: RegisterSet = NO_REGISTERS;
  // Of those: registers whose local is right; and of these, the ones that memory does not have yet.
  #cachedX = 0;
  #cachedF = 0;
  #staleX = 0;
  #staleF = 0;

  /** Register rd has been written to its 64-bit local; `signed`: with the sign extension of its lower half. */
  protected written(rd: number, signed: boolean): void {
    const bit = 1 << rd;
    this.#inNarrow &= ~bit;
    if (signed) this.#signed |= bit;
    else this.#signed &= ~bit;
    this.#cachedX |= bit;
    this.#staleX |= bit & this.through.x;
  }
  protected writtenF(rd: number): void {
    this.#cachedF |= 1 << rd;
    this.#staleF |= (1 << rd) & this.through.f;
  }
  /** The local of rd has been set to what memory has. */
  protected loaded(rd: number): void {
    this.written(rd, false);
    this.#staleX &= ~(1 << rd);
  }
  protected loadX(n: number): void {
    this.code.i32Const(0);
    this.code.memory(w.I64_LOAD, n * 8);
    this.code.set(this.x[n]);
  }
  protected loadF(n: number): void {
    this.code.i32Const(0);
    this.code.memory(w.F64_LOAD, STATE_F + n * 8);
    this.code.set(this.f[n]);
  }
  protected storeX(n: number): void {
    this.code.i32Const(0);
    this.code.get(this.x[n]);
    this.code.memory(w.I64_STORE, n * 8);
  }
  protected storeF(n: number): void {
    this.code.i32Const(0);
    this.code.get(this.f[n]);
    this.code.memory(w.F64_STORE, STATE_F + n * 8);
  }
  protected storeRegisters({ x, f }: RegisterSet): void {
    for (let n = 1; n < 32; n++) if (((x >>> n) & 1) !== 0) this.storeX(n);
    for (let n = 0; n < 32; n++) if (((f >>> n) & 1) !== 0) this.storeF(n);
  }
  /** True if the region can be left in the middle of the instruction. */
  protected mayLeave(insn: Insn): boolean {
    return (OPERANDS[insn.row.id] & MAY_LEAVE) !== 0 && !this.streams.has(insn);
  }
  /** Brings what the instruction reads into locals, and memory up to date if it may leave. */
  protected prepare(insn: Insn): void {
    this.cacheSources(insn);
    if (this.mayLeave(insn)) this.flush();
  }
  protected cacheSources({ row, rs1, rs2, rs3 }: Insn): void {
    const operands = OPERANDS[row.id];
    if ((operands & READS_X1) !== 0) this.cacheX(rs1);
    if ((operands & READS_X2) !== 0) this.cacheX(rs2);
    if ((operands & READS_F1) !== 0) this.#cacheF(rs1);
    if ((operands & READS_F2) !== 0) this.#cacheF(rs2);
    if ((operands & READS_F3) !== 0) this.#cacheF(rs3);
  }
  protected cacheX(n: number): void {
    if (((this.through.x & ~this.#cachedX) >>> n) % 2 === 0) return;
    this.loadX(n);
    this.#cachedX |= 1 << n;
  }
  #cacheF(n: number): void {
    if (((this.through.f & ~this.#cachedF) >>> n) % 2 === 0) return;
    this.loadF(n);
    this.#cachedF |= 1 << n;
  }
  /** Memory has what goes through to it from here on. Returns those registers whose locals are right too. */
  protected flush(): RegisterSet {
    this.storeRegisters({ x: this.#staleX, f: this.#staleF });
    this.#staleX = 0;
    this.#staleF = 0;
    return { x: this.#cachedX, f: this.#cachedF };
  }
  /** Opens an `if` that is hardly ever taken. */
  protected ifUnlikely(type: number = w.VOID): void {
    this.code.unlikely();
    this.code.byte(w.IF);
    this.code.byte(type);
    this.depth++;
  }
  protected pushAddress(distance: number): void {
    const delta = realDelta(distance);
    this.code.get(BASE);
    if (delta === 0) return;
    this.code.i64Const(delta);
    this.code.byte(w.I64_ADD);
  }
  protected assignRegisters(blocks: readonly Block[]): void {
    const add = (map: Int16Array, register: number, type: number): void => {
      if (map[register] >= 0) return;
      map[register] = this.newLocal(type);
    };
    for (const { insns } of blocks) {
      for (const { row, rd, rs1, rs2, rs3 } of insns) {
        const operands = OPERANDS[row.id];
        if ((operands & READS_X1) !== 0 && rs1 !== 0) add(this.x, rs1, I64);
        if ((operands & READS_X2) !== 0 && rs2 !== 0) add(this.x, rs2, I64);
        if ((operands & WRITES_X) !== 0 && rd !== 0) add(this.x, rd, I64);
        if ((operands & READS_F1) !== 0) add(this.f, rs1, F64);
        if ((operands & READS_F2) !== 0) add(this.f, rs2, F64);
        if ((operands & READS_F3) !== 0) add(this.f, rs3, F64);
        if ((operands & WRITES_F) !== 0) add(this.f, rd, F64);
        if (row.extension === "F" || row.extension === "D") this.usesFloat = true;
      }
    }
  }
  protected registerOf(field: number): number {
    return field === FIELD_RS1 ? this.insn.rs1 : field === FIELD_RS2 ? this.insn.rs2 : this.insn.rs3;
  }
  getX(field: number): void {
    const register = this.registerOf(field);
    if (register === 0) return this.code.i64Const(0);
    if (((this.#inNarrow >>> register) & 1) === 0) return this.code.get(this.x[register]);
    this.code.get(this.#narrowLocals[register]);
    this.code.byte(w.I64_EXTEND_I32_S);
  }
  getX32(field: number): void {
    const register = this.registerOf(field);
    if (register === 0) return this.code.i32Const(0);
    if (((this.#inNarrow >>> register) & 1) !== 0) return this.code.get(this.#narrowLocals[register]);
    this.code.get(this.x[register]);
    this.code.byte(w.I32_WRAP_I64);
  }
  getF(field: number): void {
    this.code.get(this.f[this.registerOf(field)]);
    this.code.byte(w.I64_REINTERPRET_F64);
  }
  override expr(e: Expr): void {
    // f64 locals: no detour over integer registers.
    if (e.op === w.F64_REINTERPRET_I64 && e.a?.op === OP_F) return this.code.get(this.f[this.registerOf(e.a.index)]);
    super.expr(e);
  }
  getImm(): void {
    this.code.i64Const(this.insn.imm);
  }
  getImm32(): void {
    this.code.i32Const(this.insn.imm);
  }
  getBits(): void {
    this.code.i32Const(this.insn.bits);
  }
  getPc(): void {
    this.pushAddress(this.insn.delta);
  }
  getNextPc(): void {
    this.pushAddress(this.insn.delta + this.insn.length);
  }
  local(index: number, type: Type): number {
    let same = 0;
    for (let n = 0; n < index; n++) if (this.types[n] === type) same++;
    return (type === I64 ? I64_TEMPS : I32_TEMPS) + same;
  }
  setX(value: Expr): void {
    const { rd } = this.insn;
    if (rd === 0) return;
    const extends32 = this.#extends32(value);
    if (extends32 && this.#narrow.has(this.insn)) {
      this.#expr32(value);
      this.code.set(this.narrowLocal(rd));
      this.#writtenNarrow(rd);
    } else {
      this.expr(value);
      this.code.set(this.x[rd]);
      this.written(rd, extends32);
    }
  }
  /** What a load yields is on the stack: puts it into rd. */
  protected setLoaded(): void {
    const { insn, code } = this;
    const isSigned = SIGNED_LOADS.has(insn.row.id);
    if (isSigned && this.#narrow.has(insn)) {
      code.byte(w.I32_WRAP_I64);
      code.set(this.narrowLocal(insn.rd));
      return this.#writtenNarrow(insn.rd);
    }
    code.set(this.x[insn.rd]);
    this.written(insn.rd, isSigned);
  }
  #writtenNarrow(rd: number): void {
    this.written(rd, true);
    // Written again before anything can leave: memory need not have it.
    if (!this.#isTight) this.#staleX &= ~(1 << rd);
    this.#inNarrow |= 1 << rd;
  }
  protected narrowLocal(register: number): number {
    if (this.#narrowLocals[register] < 0) this.#narrowLocals[register] = this.newLocal(I32);
    return this.#narrowLocals[register];
  }
  protected goesThrough(register: number): boolean {
    return (this.through.x >>> register) % 2 === 1;
  }
  /** A further local of the function. */
  protected newLocal(type: number): number {
    return FIRST_REGISTER + this.registerLocals.push(type) - 1;
  }

  // --- 32-bit values ---------------------------------------------------------------------------------------------------------
  /** Nothing is known about the values, and those in `cached` are in their 64-bit locals: the start of block `insns`. */
  protected startBlock(insns: readonly Insn[], cached: RegisterSet): void {
    this.#start(insns, cached, 0);
  }
  #start(insns: readonly Insn[], cached: RegisterSet, narrowAtEnd: number): void {
    this.#cachedX = cached.x;
    this.#cachedF = cached.f;
    this.#signed = 0;
    this.#inNarrow = 0;
    this.#isTight = narrowAtEnd !== 0;
    this.#narrow = narrowResults(insns, (insn) => this.mayLeave(insn), narrowAtEnd);
  }
  /**
   * The start of a block that is a whole loop, and that nothing can leave in the middle: memory need not have what the block
   * writes before the loop is over, nor need there be the upper halves of `homes`, which are in their i32 locals.
   */
  protected startTightBlock(insns: readonly Insn[], homes: number): void {
    this.#start(insns, NO_REGISTERS, homes | this.through.x);
    this.#inNarrow = homes;
    this.#signed = homes;
  }
  /** The registers of a tight loop that are in i32 locals throughout, `live` being read before they are written. */
  protected homesOf(insns: readonly Insn[], live: number): number {
    let written = 0;
    let wide = 0;
    for (const insn of insns) {
      if ((OPERANDS[insn.row.id] & WRITES_X) === 0) continue;
      written |= 1 << insn.rd;
      if (!writesSigned(insn)) wide |= 1 << insn.rd;
    }
    return written & ~wide & live & ~1;
  }
  /** Ends a tight block. */
  protected takeLate(): Late {
    const late = { x: this.#staleX, f: this.#staleF, narrow: this.#inNarrow };
    this.#staleX = 0;
    this.#staleF = 0;
    return late;
  }
  /** The loop is over: all 64-bit locals are right, and so is memory. */
  protected finishLate(late: Late): void {
    for (let n = 1; n < 32; n++) {
      if (((late.narrow >>> n) & 1) === 0) continue;
      this.code.get(this.#narrowLocals[n]);
      this.code.byte(w.I64_EXTEND_I32_S);
      this.code.set(this.x[n]);
    }
    this.storeRegisters(late);
  }
  /** True if the value is the sign extension of its lower half. */
  #extends32(e: Expr): boolean {
    switch (e.op) {
      case w.I64_EXTEND_I32_S:
        return true;
      case w.I64_EXTEND_I32_U: // of a comparison
        return SMALL_I32.has(e.a?.op ?? 0);
      case OP_IMM:
        return true;
      case OP_CONST:
        return typeof e.value === "number" && e.value === (e.value | 0);
      case OP_X: {
        const register = this.registerOf(e.index);
        return register === 0 || ((this.#signed >>> register) & 1) !== 0;
      }
      case OP_LOCAL:
        return SIGNED_LOADS.has(this.insn.row.id);
      case w.I64_ADD:
        return e.b?.op === OP_IMM && e.a?.op === OP_X && this.registerOf(e.a.index) === 0;
      case w.I64_AND:
      case w.I64_OR:
      case w.I64_XOR:
        return this.#extends32(e.a as Expr) && this.#extends32(e.b as Expr);
    }
    return false;
  }
  /** Pushes the lower half of a value for which {@link #extends32} holds. */
  #expr32(e: Expr): void {
    const { code } = this;
    switch (e.op) {
      case w.I64_EXTEND_I32_S:
      case w.I64_EXTEND_I32_U:
        return this.expr(e.a as Expr);
      case OP_IMM:
        return this.getImm32();
      case OP_CONST:
        return code.i32Const(e.value as number);
      case OP_X:
        return this.getX32(e.index);
      case w.I64_AND:
      case w.I64_OR:
      case w.I64_XOR:
        this.#expr32(e.a as Expr);
        this.#expr32(e.b as Expr);
        return code.byte(e.op === w.I64_AND ? w.I32_AND : e.op === w.I64_OR ? w.I32_OR : w.I32_XOR);
    }
    this.expr(e);
    code.byte(w.I32_WRAP_I64);
  }
  setF(value: Expr): void {
    if (value.op === w.I64_REINTERPRET_F64) this.expr(value.a as Expr);
    else {
      this.expr(value);
      this.code.byte(w.F64_REINTERPRET_I64);
    }
    this.code.set(this.f[this.insn.rd]);
    this.writtenF(this.insn.rd);
  }
}
