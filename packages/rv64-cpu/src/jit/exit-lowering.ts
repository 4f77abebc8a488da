/**
 * How control gets into a region and out of it: checks and loads at the entry, stores, fuel and pc at the exits, and what follows.
 *
 *   block EXIT
 *     checks, loads          open
 *     the region's blocks    lowering.ts
 *   end
 *   store registers, pc and fuel; return STATUS, or on to other compiled code
 *
 * Every way out sets PC_OUT and STATUS and branches to the one block that stores the registers; with nothing to store, returns,
 * jumps and exits to a known entry go there at once.
 */
import { FIELD_RS1, I32, I64 } from "../isa/ir.ts";
import { REGION_DECLINED, REGION_NEXT } from "../interp/contract.ts";
import { cachedSlot, missesCache } from "../interp/lookup.ts";
import { ENTRY_CALLED, ENTRY_EPOCH, STATE_EPOCH, STATE_FS, STATE_FUEL, STATE_PC, STATE_TLB } from "../state.ts";
import * as w from "../wasm/opcodes.ts";
import { type Insn, realDelta } from "./blocks.ts";
import { type Flow, flowOf, size, without } from "./flow.ts";
import { groupAccesses } from "./groups.ts";
import { InstructionLowering } from "./instruction-lowering.ts";
import {
  BASE,
  DEPTH,
  ENTRY,
  FIRST_REGISTER,
  FUEL,
  LINK,
  NO_REGISTERS,
  PC_OUT,
  type RegisterSet,
  STATUS,
  TLB,
} from "./operand-lowering.ts";
import type { RegionImports, Runs } from "./page-lowering.ts";
import type { Region } from "./region.ts";

export interface RegionSpec {
  readonly region: Region;
  /** Memory offset of the entry descriptor. */
  readonly entry: number;
  /** Memory offset of the cache of `interp/lookup.ts`. */
  readonly jumpCache: number;
  readonly runs: Runs;
  /** Index of the function that the region becomes. */
  readonly self: number;
  /** It has one indirect call, whose targets are of interest. */
  readonly notesCall: boolean;
  /** The region depends on other pages than that of its entry. */
  readonly checksPages: boolean;
  /** Table slot of the region that starts at this distance, for direct calls; -1: leave to the interpreter. */
  slotOf(delta: number): number;
  /** Table slot of the entry at this distance, to which an exit may jump; -1: not known. */
  linkOf(delta: number): number;
  /** Number of an indirect jump, for {@link RegionImports.miss}; -1: do not report. */
  siteOf(delta: number): number;
}

/** Instructions, and ways in and out; `lowering.ts` adds the control flow inside. */
export abstract class ExitLowering extends InstructionLowering {
  /** Index of the type of regions, for calls through the table. */
  protected readonly regionType: number;
  protected readonly spec: RegionSpec;
  protected readonly flow: Flow;
  /** Registers are in memory wherever the region can be left. */
  protected readonly writeThrough: boolean;
  /** The block being emitted. */
  protected current = 0;
  /** Exit sets, the smaller ones first. */
  readonly #order: readonly number[];
  /** By exit set: the label that stores it. */
  readonly #exits: number[] = [];
  /** The label behind which the region declines to run. */
  #decline = 0;
  /** The label behind all exits that store registers. */
  #tail = 0;
  /** Some exit sets LINK. */
  #links = false;

  constructor(spec: RegionSpec, imports: RegionImports, regionType: number) {
    super(imports);
    this.spec = spec;
    this.regionType = regionType;
    this.assignRegisters(spec.region.blocks);
    this.vouched = spec.region.vouched;
    this.accesses = groupAccesses(spec.region);
    this.streams = spec.region.streams;
    this.flow = flowOf(spec.region);
    this.writeThrough = this.flow.inMemory;
    const sets = this.flow.exits;
    this.#order = sets.map((_, n) => n).sort((a, b) => size(sets[a]) - size(sets[b]));
  }

  /** Types of the function's locals after the parameters. */
  get localTypes(): readonly number[] {
    const fixed = [
      ...new Array<number>(PC_OUT - FUEL).fill(I32),
      ...new Array<number>(FIRST_REGISTER - PC_OUT).fill(I64),
    ];
    return [...fixed, ...this.registerLocals];
  }

  // --- ways in ---------------------------------------------------------------------------------------------------------------
  /** Opens the blocks whose ends are the exits, declines to run if need be, and loads what the first block reads. */
  protected open(): void {
    const { code } = this;
    this.#decline = this.block(w.BLOCK);
    this.#tail = this.block(w.BLOCK);
    for (const n of this.#order) this.#exits[n] = this.block(w.BLOCK);
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_FUEL);
    code.tee(FUEL);
    code.i32Const(this.spec.region.instructions);
    code.byte(w.I32_LT_S);
    this.#declineIf();
    if (this.usesFloat) {
      // Illegal while the unit is off, which nothing inside a region can change.
      code.i32Const(0);
      code.memory(w.I32_LOAD, STATE_FS);
      code.byte(w.I32_EQZ);
      this.#declineIf();
    }
    if (this.spec.checksPages) this.#checkPages();
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_TLB);
    code.set(TLB);
    this.loadRegisters(this.flow.liveIn[0]);
  }

  /** One exit per distinct set of registers to store; each stores what the largest smaller set lacks, and goes there. */
  protected close(): void {
    const { code } = this;
    const sets = this.flow.exits;
    const order = this.#order;
    for (let k = order.length - 1; k >= 0; k--) {
      const n = order[k];
      this.end();
      let rest = k - 1;
      while (rest >= 0 && !contains(sets[n], sets[order[rest]])) rest--;
      this.storeRegisters(without(sets[n], rest < 0 ? NO_REGISTERS : sets[order[rest]]));
      if (rest !== k - 1) this.br(rest < 0 ? this.#tail : this.#exits[order[rest]]);
    }
    this.end();
    // Left inside a block: the state says where.
    code.get(STATUS);
    code.i32Const(0);
    code.byte(w.I32_LT_S);
    this.ifUnlikely();
    code.get(BASE);
    code.get(FUEL);
    code.i32Const(this.spec.entry);
    code.call(this.imports.left);
    code.byte(w.RETURN);
    this.end();
    this.storePc(PC_OUT);
    this.storeFuel();
    if (this.#links) {
      code.get(LINK);
      this.block(w.IF);
      code.get(PC_OUT);
      code.get(DEPTH);
      code.get(LINK);
      code.i32Const(1);
      code.byte(w.I32_SUB);
      this.returnCallIndirect();
      this.end();
    }
    this.#finish();
    this.end();
    this.storePc(BASE);
    code.i32Const(REGION_DECLINED);
  }

  protected storeFuel(): void {
    const { code } = this;
    code.i32Const(0);
    code.get(FUEL);
    code.memory(w.I32_STORE, STATE_FUEL);
  }
  /** Pc, depth and slot are on the stack. */
  protected returnCallIndirect(): void {
    const { code } = this;
    code.byte(w.RETURN_CALL_INDIRECT);
    code.u32(this.regionType);
    code.u32(0);
  }

  /** Everything is in memory: on to the compiled code at PC_OUT, if there is any, without growing the host's stack. */
  #finish(): void {
    const { code } = this;
    code.get(STATUS);
    if (this.imports.chain >= 0) {
      this.block(w.IF);
      code.get(STATUS);
      code.byte(w.RETURN);
      this.end();
      code.get(PC_OUT);
      code.get(DEPTH);
      code.byte(w.RETURN_CALL);
      code.u32(this.imports.chain);
      return;
    }
    code.byte(w.RETURN);
  }

  /** The label that stores what block `n` may have changed. */
  protected exitOf(n: number): number {
    return this.#exits[this.flow.exitOf[n]];
  }

  /** Returns REGION_DECLINED if the i32 on the stack is true. */
  #declineIf(): void {
    this.code.unlikely();
    this.brIf(this.#decline);
  }
  protected storePc(local: number): void {
    this.code.i32Const(0);
    this.code.get(local);
    this.code.memory(w.I64_STORE, STATE_PC);
  }
  protected returnIf(status: number): void {
    const { code } = this;
    this.ifUnlikely();
    code.i32Const(status);
    code.byte(w.RETURN);
    this.end();
  }

  #checkPages(): void {
    const { code } = this;
    const { entry } = this.spec;
    code.i32Const(0);
    code.memory(w.I32_LOAD, entry + ENTRY_EPOCH);
    code.i32Const(0);
    code.memory(w.I32_LOAD, STATE_EPOCH);
    code.byte(w.I32_NE);
    this.block(w.IF);
    this.storePc(BASE);
    code.i32Const(entry);
    code.call(this.imports.validate);
    code.byte(w.I32_EQZ);
    this.#declineIf();
    this.end();
  }

  protected loadRegisters({ x, f }: RegisterSet): void {
    for (let n = 1; n < 32; n++) if (((x >>> n) & 1) !== 0) this.loadX(n);
    for (let n = 0; n < 32; n++) if (((f >>> n) & 1) !== 0) this.loadF(n);
  }

  // --- ways out --------------------------------------------------------------------------------------------------------------
  protected pay(instructions: number): void {
    if (instructions === 0) return;
    this.code.get(FUEL);
    this.code.i32Const(instructions);
    this.code.byte(w.I32_SUB);
    this.code.set(FUEL);
  }
  /** Goes on at `delta`, outside of the region; the fuel is paid. */
  protected leaveFor(delta: number): void {
    const { code } = this;
    const slot = this.imports.chain < 0 ? -1 : this.spec.linkOf(realDelta(delta));
    if (slot < 0) return this.leave(delta, REGION_NEXT);
    if (this.writeThrough) {
      this.storeFuel();
      this.pushAddress(delta);
      code.get(DEPTH);
      code.i32Const(slot);
      return this.returnCallIndirect();
    }
    this.#links = true;
    code.i32Const(slot + 1);
    code.set(LINK);
    this.leave(delta, REGION_NEXT);
  }
  /** Leaves the region; the fuel is paid. */
  protected leave(delta: number, status: number): void {
    this.pushAddress(delta);
    this.code.set(PC_OUT);
    this.code.i32Const(status);
    this.code.set(STATUS);
    this.br(this.exitOf(this.current));
  }
  protected override get entry(): number {
    return this.spec.entry;
  }
  protected override get runs(): Runs {
    return this.spec.runs;
  }
  /** The label for leaving inside the current block, with STATE_LEAVE_* set and STATUS below 0. */
  protected override get inside(): number {
    return this.exitOf(this.current);
  }
  /** The target of a jalr into PC_OUT, then the link. */
  protected jalrTarget(last: Insn): void {
    const { code } = this;
    this.getX(FIELD_RS1);
    code.i64Const(last.imm);
    code.byte(w.I64_ADD);
    code.i64Const(-2);
    code.byte(w.I64_AND);
    code.set(PC_OUT);
    this.link(last);
  }
  protected link(last: Insn): void {
    if (last.rd === 0) return;
    this.pushAddress(last.delta + last.length);
    this.code.set(this.x[last.rd]);
    if (this.goesThrough(last.rd)) this.storeX(last.rd);
  }

  protected pushDepth(): void {
    this.code.get(DEPTH);
    this.code.i32Const(1);
    this.code.byte(w.I32_ADD);
  }

  /** Notes where the region's indirect call goes. */
  protected noteCall(): void {
    const { code } = this;
    code.i32Const(0);
    code.get(PC_OUT);
    code.get(BASE);
    code.byte(w.I64_SUB);
    code.byte(w.I32_WRAP_I64);
    code.memory(w.I32_STORE, this.spec.entry + ENTRY_CALLED);
  }

  /** The table slot for the call of PC_OUT into ENTRY; leaves if there is no compiled code. */
  protected callee(n: number): void {
    const { code } = this;
    const { jumpCache } = this.spec;
    missesCache(code, jumpCache, PC_OUT, ENTRY);
    this.ifUnlikely();
    code.get(PC_OUT);
    code.call(this.imports.lookup);
    code.tee(ENTRY);
    code.i32Const(0);
    code.byte(w.I32_LT_S);
    this.brIf(this.exitOf(n));
    code.byte(w.ELSE);
    cachedSlot(code, jumpCache, ENTRY);
    code.set(ENTRY);
    this.end();
  }

  /** Back to PC_OUT, in the caller's code or, with nothing on the host's stack, wherever that is; all registers are in memory. */
  protected returnToCaller(): void {
    const { code } = this;
    this.storePc(PC_OUT);
    this.storeFuel();
    if (this.imports.chain >= 0) {
      code.get(DEPTH);
      code.byte(w.I32_EQZ);
      this.ifUnlikely();
      code.get(PC_OUT);
      code.get(DEPTH);
      code.byte(w.RETURN_CALL);
      code.u32(this.imports.chain);
      this.end();
    }
    code.i32Const(REGION_NEXT);
    code.byte(w.RETURN);
  }
}

function contains(outer: RegisterSet, inner: RegisterSet): boolean {
  return (inner.x & ~outer.x) === 0 && (inner.f & ~outer.f) === 0;
}
