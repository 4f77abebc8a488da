/**
 * Memory accesses that share one check of their page.
 *
 * A group is a set of loads and stores whose addresses differ by known constants: values are numbered through `addi` and
 * moves, along blocks that follow each other without another way in. Its check comes before its first access and yields
 * the host address of the group's lowest byte, or 0 if the bytes are not all on one page that the TLB maps; then each
 * access goes the slow way by itself.
 *
 * In a loop without calls groups remember a run of pages (runs.ts), and look into the TLB only when the pointer is somewhere
 * else: a pointer that moves in small steps stays on one for long, and others, which follow a list or an index,
 * are followed more quickly (no lookup in front of the next load) as long as they do not stray too often.
 */
import { instructionByName } from "../isa/instructions.ts";
import { type Block, dominates, END_CALL, END_CALL_INDIRECT, type Insn, loopOf, predecessorsOf } from "./blocks.ts";
import type { Region } from "./region.ts";
import { ACCESS_BYTES, IS_STORE, OPERANDS, WRITES_X } from "./operands.ts";
import { RUNS_PER_REGION } from "../state.ts";

export interface Group {
  /** The access in front of which the check stands. */
  readonly first: Insn;
  /** What the address of `first` has on top of its register counts from here: distance of the group's numbered value. */
  readonly at: number;
  /** Lowest distance of an access, and bytes from there to the end of the highest one. */
  low: number;
  span: number;
  writes: boolean;
  members: number;
  /** Number of the local of the host address: groups that are never alive together share one. */
  readonly index: number;
  /** Number of the run of pages that is remembered for it, or -1. */
  readonly run: number;
  /** It is remembered although its pointer may go anywhere. */
  readonly strays: boolean;
}

/** An access and its place in its group. */
export interface Member {
  readonly group: Group;
  /** Distance from the group's lowest byte; final once all accesses are known. */
  readonly distance: number;
}

export interface Accesses {
  readonly members: ReadonlyMap<Insn, Member>;
  /** By run: the block that heads the outermost loop in which it is of use. */
  readonly runHeads: readonly number[];
}

const MAX_SPAN = 2048;
/** Steps of a pointer that is worth a run, in bytes per round. */
const MAX_STEP = 256;
const ADDI = instructionByName("addi").id;
const ADD = instructionByName("add").id;

/** The value of each register: a number for something unknown, and a distance from it. */
interface Values {
  readonly root: Int32Array;
  readonly offset: Int32Array;
  /** Groups by numbered value: loads and stores. */
  readonly open: Map<number, Group>;
  groups: number;
}

/** The accesses that are not in `streams`. `roams`: remember the pages of all pointers of a loop. */
export function groupAccesses({ blocks, streams, roams }: Region): Accesses {
  const members = new Map<Insn, Member>();
  const loops = innerLoops(blocks);
  const ends: Values[] = [];
  let roots = 0;
  const runHeads: number[] = [];
  const fresh = (): Values => {
    const root = new Int32Array(32);
    for (let n = 0; n < 32; n++) root[n] = ++roots;
    return { root, offset: new Int32Array(32), open: new Map(), groups: 0 };
  };
  blocks.forEach((block, n) => {
    const before = block.isLoop || block.isMerge || n === 0 ? undefined : ends[block.dominator];
    const values: Values =
      before === undefined
        ? fresh()
        : {
            root: before.root.slice(),
            offset: before.offset.slice(),
            open: new Map(before.open),
            groups: before.groups,
          };
    const inherited = new Set(values.open.values());
    const { root, offset, open } = values;
    for (const insn of block.insns) {
      const { row, rd, rs1, imm } = insn;
      const size = ACCESS_BYTES[row.id];
      if (size !== 0 && rs1 !== 0 && !streams.has(insn)) {
        const isStore = (OPERANDS[row.id] & IS_STORE) !== 0;
        const at = offset[rs1] + imm;
        const key = root[rs1];
        const group = open.get(key);
        const low = group === undefined ? at : Math.min(group.low, at);
        const end = group === undefined ? at + size : Math.max(group.low + group.span, at + size);
        // A store that may never happen must not ask for the right to write.
        const fits =
          group !== undefined && end - low <= MAX_SPAN && (!isStore || group.writes || !inherited.has(group));
        if (fits) {
          group.low = low;
          group.span = end - low;
          group.writes ||= isStore;
          group.members++;
          members.set(insn, { group, distance: at });
        } else {
          const loop = loops[n];
          const slow = loop?.slow(rs1) ?? false;
          const run =
            loop !== undefined && block.isSpare !== true && runHeads.length < RUNS_PER_REGION && (slow || roams)
              ? runHeads.push(loop.outermost) - 1
              : -1;
          const created: Group = {
            first: insn,
            at,
            low: at,
            span: size,
            writes: isStore,
            members: 1,
            index: values.groups++,
            run,
            strays: run >= 0 && !slow,
          };
          open.set(key, created);
          members.set(insn, { group: created, distance: at });
        }
      }
      if ((OPERANDS[row.id] & WRITES_X) === 0 || rd === 0) continue;
      if (row.id === ADDI && rs1 !== 0) {
        root[rd] = root[rs1];
        offset[rd] = offset[rs1] + imm;
      } else if (row.id === ADD && (rs1 === 0) !== (insn.rs2 === 0)) {
        const source = rs1 === 0 ? insn.rs2 : rs1;
        root[rd] = root[source];
        offset[rd] = offset[source];
      } else {
        root[rd] = ++roots;
        offset[rd] = 0;
      }
    }
    // A callee may change what the TLB maps.
    ends[n] = block.end === END_CALL || block.end === END_CALL_INDIRECT ? fresh() : values;
  });
  for (const [insn, { group }] of members) if (group.members < 2 && group.run < 0) members.delete(insn);
  return { members, runHeads };
}

interface Loop {
  /** Head of the outermost loop around it without calls. */
  readonly outermost: number;
  /** True if the register stays where it is or moves by small constant steps. */
  slow(register: number): boolean;
}

/** By block: the innermost loop around it, if that calls nobody. */
function innerLoops(blocks: readonly Block[]): (Loop | undefined)[] {
  const predecessors = predecessorsOf(blocks);
  const result: (Loop | undefined)[] = blocks.map(() => undefined);
  // Outer loops have lower heads, so inner ones overwrite them.
  blocks.forEach((block, head) => {
    if (!block.isLoop) return;
    const ends = predecessors[head].filter((end) => end >= head && dominates(blocks, head, end));
    const body = loopOf(predecessors, head, ends);
    const calls = [...body].some((n) => blocks[n].end === END_CALL || blocks[n].end === END_CALL_INDIRECT);
    const loop = calls
      ? undefined
      : movement(
          result[head]?.outermost ?? head,
          [...body].map((n) => blocks[n]),
        );
    for (const n of body) result[n] = loop;
  });
  return result;
}

function movement(outermost: number, body: readonly Block[]): Loop {
  // Bit n: xn only ever becomes the sum of such a register and a constant.
  let linear = -1;
  let fast = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (const { insns } of body) {
      for (const { row, rd, rs1, rs2, imm } of insns) {
        if ((OPERANDS[row.id] & WRITES_X) === 0 || rd === 0) continue;
        const source =
          row.id === ADDI ? rs1 : row.id === ADD && rs1 === 0 ? rs2 : row.id === ADD && rs2 === 0 ? rs1 : 0;
        if (source === rd && Math.abs(imm) > MAX_STEP) fast |= 1 << rd;
        if ((source === 0 || ((linear >>> source) & 1) === 0) && ((linear >>> rd) & 1) === 1) {
          linear &= ~(1 << rd);
          changed = true;
        }
      }
    }
  }
  return { outermost, slow: (register) => (((linear & ~fast) >>> register) & 1) === 1 };
}
