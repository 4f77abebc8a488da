/**
 * Memory accesses of a block that share a base register: one TLB check for all of them.
 *
 * A group is at least two loads or stores at constant offsets from the same register, which nothing changes in between,
 * within half a page. Its check yields the host address of the lowest byte, or 0 if the bytes are not all on one page that
 * the TLB maps; then each access is checked by itself.
 */
import { ACCESS_BYTES, type Insn, IS_STORE, OPERANDS, WRITES_X } from "./region.ts";

export interface Group {
  readonly base: number;
  /** Lowest offset, and bytes from there to the end of the highest access. */
  low: number;
  span: number;
  writes: boolean;
  members: number;
  /** Position of the first member in the block. */
  readonly first: number;
  /** wasm local of the host address; given by the lowering. */
  local: number;
}

const MAX_SPAN = 2048;
/** The groups of a block, by instruction. */
export function groupAccesses(insns: readonly Insn[]): Map<Insn, Group> {
  const members = new Map<Insn, Group>();
  const open = new Map<number, Group>();
  insns.forEach((insn, n) => {
    const { row, rd, rs1, imm } = insn;
    const size = ACCESS_BYTES[row.id];
    if (size !== 0 && rs1 !== 0) {
      const isStore = (OPERANDS[row.id] & IS_STORE) !== 0;
      const group = open.get(rs1);
      const low = group === undefined ? imm : Math.min(group.low, imm);
      const end = group === undefined ? imm + size : Math.max(group.low + group.span, imm + size);
      if (group !== undefined && end - low <= MAX_SPAN) {
        group.low = low;
        group.span = end - low;
        group.writes ||= isStore;
        group.members++;
        members.set(insn, group);
      } else {
        const fresh: Group = { base: rs1, low: imm, span: size, writes: isStore, members: 1, first: n, local: -1 };
        open.set(rs1, fresh);
        members.set(insn, fresh);
      }
    }
    if ((OPERANDS[row.id] & WRITES_X) !== 0) open.delete(rd);
  });
  for (const [insn, group] of members) if (group.members < 2) members.delete(insn);
  return members;
}
