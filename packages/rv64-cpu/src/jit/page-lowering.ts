/**
 * How the addresses of loads and stores become host addresses: through the TLB, by groups of accesses that share a check, from
 * pages that loops remember, or from streams of a strip, whose pages are found once.
 */
import { FIELD_RS1, I32 } from "../isa/ir.ts";
import { ACCESS_DONE_SHIFT } from "../interp/wasm-memory.ts";
import { tlbEntry, tlbHost, tlbMisses } from "../interp/tlb.ts";
import { RUN_BYTES, RUN_DISTANCE, RUN_LIMIT, RUNS_TAG, STATE_RUNS_EPOCH, TLB_READ, TLB_WRITE } from "../state.ts";
import { Code } from "../wasm/module.ts";
import * as w from "../wasm/opcodes.ts";
import { realDelta, type Stream, type Strip } from "./blocks.ts";
import type { Accesses, Group } from "./groups.ts";
import { ENTRY, FUEL, I32_TEMPS, OperandLowering, STATUS, STOP, TLB, VA, VA32 } from "./operand-lowering.ts";

/** Indices of the functions that a region calls. */
export interface RegionImports {
  // See `interp/wasm-memory.ts`.
  readonly load: number;
  readonly store: number;
  readonly pageRead: number;
  readonly pageWrite: number;
  /** (bits) -> 0, or 1 with a trap set: a CSR instruction on the registers in memory. */
  readonly system: number;
  /** (va, mode) -> status; stores STATE_RESULT. */
  readonly storeResult: number;
  /** See `interp/region-fp.ts`. */
  readonly fp: number;
  /** (entry pointer) -> 1 if the region's pages are mapped as compiled. */
  readonly validate: number;
  /** (pc) -> table slot or -1. */
  readonly lookup: number;
  /** (return pc, status of the call, depth) -> REGION_*, or FOLLOW_ELSEWHERE. */
  readonly follow: number;
  /** (pc, depth) -> REGION_*: on to the compiled code at pc, if there is any; -1: the engine has no tail calls. */
  readonly chain: number;
  /** (entry pc, fuel, entry pointer) -> REGION_*: leaves as STATE_LEAVE_* say, with the registers in memory. */
  readonly left: number;
  /** See `runs.ts`. */
  readonly remember: number;
  /** (site, distance) notes where an indirect jump left the region for; STATE_PC is the region's entry. */
  readonly miss: number;
  /** By FN_*. */
  readonly internal: readonly number[];
}

/** The place for the runs of a region: see RUNS_TAG. */
export interface Runs {
  readonly offset: number;
  readonly owner: number;
}

/** Operands and host addresses; `instruction-lowering.ts` adds what instructions do. */
export abstract class PageLowering extends OperandLowering {
  protected readonly imports: RegionImports;
  /** Which accesses share a check, and the locals for their host addresses. */
  protected accesses: Accesses = { members: new Map(), runHeads: [] };
  /** See {@link Region.vouched}. */
  protected vouched = false;
  /** Instructions of the block before the current one. */
  protected done = 0;
  readonly #groupLocals: number[] = [];
  /** Locals for the distances of host addresses from the addresses of streams, by stream of a strip. */
  readonly #streamLocals: number[] = [];

  constructor(imports: RegionImports) {
    super(new Code(2048));
    this.imports = imports;
  }

  /** The pointer of the region's entry. */
  protected abstract get entry(): number;
  protected abstract get runs(): Runs;
  /** The label for leaving inside the current block, with STATE_LEAVE_* set and STATUS below 0. */
  protected abstract get inside(): number;

  // --- one access ------------------------------------------------------------------------------------------------------------
  /** VA is on the stack: puts it into VA32, its TLB entry into ENTRY, and pushes that. */
  #findEntry(): void {
    const { code } = this;
    code.byte(w.I32_WRAP_I64);
    code.tee(VA32);
    tlbEntry(code, TLB);
    code.tee(ENTRY);
  }
  /** VA is on the stack: puts it into VA32, its TLB entry into ENTRY, and pushes the tag. */
  protected tag(array: number): void {
    this.#findEntry();
    this.code.memory(w.I64_LOAD, array);
  }
  /** Pushes the host address of VA32 after a hit. */
  protected host(array: number): void {
    tlbHost(this.code, array, ENTRY, VA32);
  }
  protected access(flags: number): void {
    this.code.i32Const((this.done << ACCESS_DONE_SHIFT) | flags);
    this.code.i32Const(realDelta(this.insn.delta));
  }

  // --- groups ----------------------------------------------------------------------------------------------------------------
  protected groupLocal(n: number): number {
    while (n >= this.#groupLocals.length) this.#groupLocals.push(this.newLocal(I32));
    return this.#groupLocals[n];
  }
  /** Forgets the runs of all groups if they are not this region's, or no longer good. */
  protected checkRuns(): void {
    const { code } = this;
    const { offset, owner } = this.runs;
    code.i32Const(0);
    code.memory(w.I64_LOAD32_U, STATE_RUNS_EPOCH);
    code.i64Const(BigInt(owner) << 32n);
    code.byte(w.I64_OR);
    code.tee(VA);
    code.i32Const(0);
    code.memory(w.I64_LOAD, offset + RUNS_TAG);
    code.byte(w.I64_NE);
    this.ifUnlikely();
    for (let run = 0; run < this.accesses.runHeads.length; run++) {
      code.i32Const(0);
      code.i64Const(0);
      code.memory(w.I64_STORE, offset + run * RUN_BYTES + RUN_LIMIT);
    }
    code.i32Const(0);
    code.get(VA);
    code.memory(w.I64_STORE, offset + RUNS_TAG);
    this.end();
  }

  /** Puts the host address of a group's lowest byte, or 0, into its local. */
  protected checkGroup(group: Group, local: number): void {
    const { code } = this;
    const { low } = group;
    code.get(this.x[this.insn.rs1]);
    code.i64Const(this.insn.imm + low - group.at);
    code.byte(w.I64_ADD);
    code.tee(VA);
    if (group.run < 0) return this.#findGroup(group, local);
    const run = this.runs.offset + group.run * RUN_BYTES;
    code.i32Const(0);
    code.memory(w.I64_LOAD, run);
    code.byte(w.I64_SUB);
    code.i32Const(0);
    code.memory(w.I64_LOAD, run + RUN_LIMIT);
    code.byte(w.I64_GE_U);
    code.get(VA);
    code.byte(w.I32_WRAP_I64);
    code.i32Const(0);
    code.memory(w.I32_LOAD, run + RUN_DISTANCE);
    code.byte(w.I32_ADD);
    code.set(local);
    this.ifUnlikely();
    this.#findPage(group, local, run);
    this.end();
  }
  /** The group is on another page than those that `run` is about: finds it, and remembers it there if it is whole. */
  #findPage(group: Group, local: number, run: number): void {
    const { code } = this;
    code.get(VA);
    this.#findGroup(group, local);
    code.get(local);
    this.block(w.IF);
    code.get(VA);
    code.get(local);
    code.i32Const(run);
    code.i64Const(group.span);
    code.i32Const(group.writes ? 1 : 0);
    code.i32Const(group.strays ? this.entry : 0);
    code.call(this.imports.remember);
    this.end();
  }
  /** VA is on the stack: the host address of the group from the TLB, or from the page walk. */
  #findGroup({ writes, span }: Group, local: number): void {
    const { code } = this;
    const array = writes ? TLB_WRITE : TLB_READ;
    this.tag(array);
    code.get(VA);
    if (span > 1) {
      // The page of the last byte: across a page boundary the tag does not match.
      code.i64Const(span - 1);
      code.byte(w.I64_ADD);
    }
    code.i64Const(-4096);
    code.byte(w.I64_AND);
    code.byte(w.I64_NE);
    this.host(array);
    code.set(local);
    this.ifUnlikely();
    code.get(VA);
    code.i32Const(span);
    this.access(0);
    code.call(writes ? this.imports.pageWrite : this.imports.pageRead);
    if (this.vouched) {
      code.tee(STATUS);
      this.brIf(this.inside);
      // STATUS is 0: the engine sees here, too, that the upper half of the host's register is, and need not clear it below.
      code.get(STATUS);
      code.byte(w.I32_OR);
    } else code.byte(w.DROP);
    code.set(local);
    this.end();
  }

  // --- strips ----------------------------------------------------------------------------------------------------------------
  #streamLocal(n: number): number {
    while (n >= this.#streamLocals.length) this.#streamLocals.push(this.newLocal(I32));
    return this.#streamLocals[n];
  }

  /**
   * Finds the pages of all streams, from the values that their pointers have now, and sets STOP to the fuel down to which
   * no pointer leaves its page, but not below `least`. Puts `homes` into their i32 locals. Goes to label `otherwise` if the
   * TLB does not map a page, or if one of `homes` is no sign extension.
   */
  protected startStrip({ streams, shortest }: Strip, homes: number, least: number, otherwise: number): void {
    const { code } = this;
    for (let n = 1; n < 32; n++) if (((homes >>> n) & 1) === 1) this.#startNarrow(n, otherwise);
    const inPage = I32_TEMPS;
    let moves = false;
    for (const { register, low, span, step, writes, bias, index } of streams) {
      const array = writes ? TLB_WRITE : TLB_READ;
      this.cacheX(register);
      code.get(this.x[register]);
      code.i64Const(low);
      code.byte(w.I64_ADD);
      code.tee(VA);
      this.#findEntry();
      tlbMisses(code, array, VA);
      code.unlikely();
      this.brIf(otherwise);
      code.get(VA32);
      code.i32Const(4095);
      code.byte(w.I32_AND);
      code.tee(inPage);
      code.i32Const(4096 - span);
      code.byte(w.I32_GT_U);
      code.unlikely();
      this.brIf(otherwise);
      code.get(ENTRY);
      code.memory(w.I32_LOAD, array + 8);
      code.i32Const(bias);
      code.byte(w.I32_ADD);
      code.set(this.#streamLocal(index));
      if (step === 0) continue;
      // Further rounds: what is left of the page in front of the pointer, in steps.
      if (step > 0) {
        code.i32Const(4096 - span);
        code.get(inPage);
        code.byte(w.I32_SUB);
      } else code.get(inPage);
      code.i32Const(Math.abs(step));
      code.byte(w.I32_DIV_U);
      if (moves) {
        code.tee(inPage);
        code.get(STOP);
        code.get(inPage);
        code.get(STOP);
        code.byte(w.I32_LT_S);
        code.byte(w.SELECT);
      }
      code.set(STOP);
      moves = true;
    }
    code.i32Const(least);
    if (moves) {
      code.get(FUEL);
      code.get(STOP);
      code.i32Const(shortest);
      code.byte(w.I32_MUL);
      code.byte(w.I32_SUB);
      code.tee(STOP);
      code.get(STOP);
      code.i32Const(least);
      code.byte(w.I32_LT_S);
      code.byte(w.SELECT);
    }
    code.set(STOP);
  }
  #startNarrow(register: number, otherwise: number): void {
    const { code } = this;
    code.get(this.x[register]);
    code.byte(w.I32_WRAP_I64);
    code.tee(this.narrowLocal(register));
    code.byte(w.I64_EXTEND_I32_S);
    code.get(this.x[register]);
    code.byte(w.I64_NE);
    code.unlikely();
    this.brIf(otherwise);
  }
  /** Pushes the host address of an access of a stream, less what its immediate has above the stream's bias. */
  protected pushStream({ index }: Stream): void {
    this.getX32(FIELD_RS1);
    this.code.get(this.#streamLocal(index));
    this.code.byte(w.I32_ADD);
  }
}
