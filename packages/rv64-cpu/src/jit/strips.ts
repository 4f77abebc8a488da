/**
 * Inner loops without page checks, by strip mining.
 *
 * Many loops walk arrays: their pointers move by small constant steps, all in one direction. Such a loop gets a copy that
 * accesses those arrays without any check, for as many rounds as no pointer leaves its page:
 *
 *   STRIP: find the pages of all streams, and count the rounds that they are good for; if one is not mapped, run the loop
 *          as it is for one round, and come back
 *   copy:  the loop; each time round it looks whether the strip is over (ROUND), and if so goes back to STRIP
 *
 * The rounds are counted in fuel, which has to be looked at anyway.
 */
import { instructionByName } from "../isa/instructions.ts";
import {
  type Block,
  COPY,
  dominates,
  END_CALL,
  END_CALL_INDIRECT,
  END_INDIRECT,
  END_ROUND,
  END_STRIP,
  type Insn,
  loopOf,
  order,
  predecessorsOf,
  type Stream,
  type Strip,
  successors,
} from "./blocks.ts";
import { ACCESS_BYTES, IS_STORE, MAY_LEAVE, OPERANDS, WRITES_X } from "./operands.ts";

/** Bytes between the lowest and the highest access of a stream. */
const MAX_SPAN = 1024;
/** Bytes per round: a pointer that moves faster is good for too few rounds. */
const MAX_STEP = 512;
const MAX_STREAMS = 8;
/** Instructions of a loop that is worth a copy. */
const MAX_LOOP = 120;
/** An access without a check is worth a copy of so many instructions; a block that nothing can leave is worth it in any case. */
const WORTH = 8;
/** A distance that no stream has. */
const FAR = 2 ** 20;
/** Strips per region. */
const MAX_STRIPS = 8;
/** Numbers of copies that a strip takes: its loop's, which may be in the copy of a callee, and above those its own blocks'. */
const COPIES = 16;
const STRIP_COPY = 7;
const ADDI = instructionByName("addi").id;
const ADD = instructionByName("add").id;

export interface StripMined {
  readonly blocks: readonly Block[];
  /** The accesses that need no check. */
  readonly streams: ReadonlyMap<Insn, Stream>;
}

/** Blocks in reverse postorder, entered at `entry`: gives inner loops over arrays their copies. */
export function stripMine(blocks: readonly Block[], entry: number): StripMined {
  const predecessors = predecessorsOf(blocks);
  const streams = new Map<Insn, Stream>();
  const made: Block[] = [];
  /** Where those go that went to a loop's head. */
  const heads = new Map<number, number>();
  const spare = new Set<Block>();
  blocks.forEach((head, n) => {
    if (!head.isLoop || heads.size === MAX_STRIPS) return;
    const loop = innermost(blocks, predecessors, n);
    if (!isPlain(blocks, loop)) return;
    const found = findStreams(blocks, predecessors, loop);
    if (found === undefined) return;
    if (!found.strip.isTight && found.members.size * WORTH < found.strip.shortest) return;
    const shift = (heads.size + 1) * COPIES * COPY;
    const strip = head.start + shift + STRIP_COPY * COPY;
    const again = strip + COPY;
    heads.set(head.start, strip);
    const inside = new Set(loop.map((b) => blocks[b].start));
    const place = (start: number): number => (start === head.start ? again : inside.has(start) ? start + shift : start);
    for (const b of loop) {
      const block = blocks[b];
      spare.add(block);
      const insns = block.insns.map((insn) => {
        const copy = { ...insn, delta: insn.delta + shift };
        const stream = found.members.get(insn);
        if (stream !== undefined) streams.set(copy, stream);
        return copy;
      });
      made.push({
        ...block,
        insns,
        start: block.start + shift,
        target: place(block.target),
        next: place(block.next),
        indirect: block.indirect.map(({ delta }) => ({ delta: place(delta), block: -1 })),
      });
    }
    const empty = { ...head, insns: [], indirect: [], isBalanced: false };
    made.push(
      { ...empty, start: strip, end: END_STRIP, target: head.start + shift, next: head.start, strip: found.strip },
      { ...empty, start: again, end: END_ROUND, target: strip, next: head.start + shift, strip: found.strip },
    );
  });
  if (made.length === 0) return { blocks, streams };
  // Copies know their heads already; what they and the others leave for may be the head of another loop.
  const toStrip = (start: number): number => heads.get(start) ?? start;
  const rest = [...blocks, ...made].map((block) =>
    block.end === END_STRIP
      ? block
      : {
          ...block,
          target: toStrip(block.target),
          next: toStrip(block.next),
          indirect: block.indirect.map(({ delta }) => ({ delta: toStrip(delta), block: -1 })),
          isSpare: spare.has(block),
        },
  );
  return { blocks: order(rest, toStrip(entry)), streams };
}

/**
 * The innermost loop with this head, in order. Where a region starts at the head of an inner loop, the loops around that have the
 * same head, since the only way into them is through it.
 */
function innermost(blocks: readonly Block[], predecessors: readonly (readonly number[])[], head: number): number[] {
  const loops = predecessors[head]
    .filter((end) => end >= head && dominates(blocks, head, end))
    .map((end) => loopOf(predecessors, head, [end]))
    .sort((a, b) => a.size - b.size);
  const ends = predecessors[head].filter((end) => loops[0]?.has(end));
  return [...loopOf(predecessors, head, ends)].sort((a, b) => a - b);
}

const mayLeave = ({ row }: Insn): boolean => (OPERANDS[row.id] & MAY_LEAVE) !== 0;

/** True if nothing in the loop is a loop, a call or a jump to a place that is computed. */
function isPlain(blocks: readonly Block[], loop: readonly number[]): boolean {
  const [head] = loop;
  let instructions = 0;
  for (const n of loop) {
    const { end, isLoop, insns } = blocks[n];
    if (end === END_CALL || end === END_CALL_INDIRECT || end === END_INDIRECT) return false;
    if (n !== head && (isLoop || !dominates(blocks, head, n))) return false;
    instructions += insns.length;
  }
  return instructions <= MAX_LOOP;
}

/** By register: the one at the start of the round whose value it has, -1 if it has no such value, and the distances from it. */
class Places {
  readonly root: Int8Array = new Int8Array(32);
  readonly low: Int32Array = new Int32Array(32);
  readonly high: Int32Array = new Int32Array(32);

  /** Those of `bits` stand for themselves. */
  static start(bits: number): Places {
    const places = new Places();
    for (let n = 0; n < 32; n++) places.root[n] = ((bits >>> n) & 1) === 1 ? n : -1;
    return places;
  }
  copy(): Places {
    const copy = new Places();
    copy.root.set(this.root);
    copy.low.set(this.low);
    copy.high.set(this.high);
    return copy;
  }
  merge(other: Places): void {
    for (let n = 0; n < 32; n++) {
      if (this.root[n] !== other.root[n]) this.root[n] = -1;
      this.low[n] = Math.min(this.low[n], other.low[n]);
      this.high[n] = Math.max(this.high[n], other.high[n]);
    }
  }
  execute({ row, rd, rs1, rs2, imm }: Insn): void {
    if ((OPERANDS[row.id] & WRITES_X) === 0 || rd === 0) return;
    const source = row.id === ADDI ? rs1 : row.id === ADD && rs1 === 0 ? rs2 : row.id === ADD && rs2 === 0 ? rs1 : 0;
    const distance = row.id === ADDI ? imm : 0;
    const low = this.low[source] + distance;
    const high = this.high[source] + distance;
    this.root[rd] = source === 0 || low < -FAR || high > FAR ? -1 : this.root[source];
    this.low[rd] = low;
    this.high[rd] = high;
  }
}

interface Access {
  readonly insn: Insn;
  readonly root: number;
  readonly low: number;
  readonly high: number;
}

interface StreamsOfLoop {
  readonly strip: Strip;
  readonly members: ReadonlyMap<Insn, Stream>;
}

/** The streams of a loop, whose blocks are in order, and which of its accesses belong to which. */
function findStreams(
  blocks: readonly Block[],
  predecessors: readonly (readonly number[])[],
  loop: readonly number[],
): StreamsOfLoop | undefined {
  const [head] = loop;
  const ends = loop.filter((n) => successors(blocks[n]).includes(head));
  if (ends.length === 0) return undefined;
  // Bit n: all that happens to xn in a round is that constants are added to it.
  let linear = ~1;
  for (;;) {
    const accesses: Access[] = [];
    const after = new Map<number, Places>();
    for (const n of loop) {
      const places = n === head ? Places.start(linear) : meet(predecessors[n].map((p) => after.get(p)));
      // A store that may never happen must not ask for the right to write.
      const always = ends.every((end) => dominates(blocks, n, end));
      for (const insn of blocks[n].insns) {
        const size = ACCESS_BYTES[insn.row.id];
        const root = places.root[insn.rs1];
        if (size !== 0 && root > 0 && (always || (OPERANDS[insn.row.id] & IS_STORE) === 0)) {
          const at = places.low[insn.rs1] + insn.imm;
          accesses.push({ insn, root, low: at, high: places.high[insn.rs1] + insn.imm + size });
        }
        places.execute(insn);
      }
      after.set(n, places);
    }
    const round = meet(ends.map((n) => after.get(n)));
    let still = linear;
    for (let n = 1; n < 32; n++) if (round.root[n] !== n) still &= ~(1 << n);
    if (still === linear) {
      const { streams, members } = makeStreams(accesses, round);
      const isTight = loop.length === 1 && !blocks[head].insns.some((insn) => mayLeave(insn) && !members.has(insn));
      return { strip: { streams, shortest: shortest(blocks, predecessors, loop, ends), isTight }, members };
    }
    linear = still;
  }
}

function meet(all: readonly (Places | undefined)[]): Places {
  const [first, ...others] = all.filter((places) => places !== undefined);
  const result = first.copy();
  for (const places of others) result.merge(places);
  return result;
}

/** Instructions of the shortest way round. */
function shortest(
  blocks: readonly Block[],
  predecessors: readonly (readonly number[])[],
  loop: readonly number[],
  ends: readonly number[],
): number {
  const lengths = new Map<number, number>();
  for (const n of loop) {
    const before =
      n === loop[0] ? 0 : Math.min(...predecessors[n].map((p) => lengths.get(p) ?? Number.POSITIVE_INFINITY));
    lengths.set(n, before + blocks[n].insns.length);
  }
  return Math.min(...ends.map((n) => lengths.get(n) as number));
}

function makeStreams(
  accesses: readonly Access[],
  round: Places,
): { readonly streams: readonly Stream[]; readonly members: ReadonlyMap<Insn, Stream> } {
  const streams = new Map<number, Stream>();
  const members = new Map<Insn, Stream>();
  for (const { insn, root, low, high } of accesses) {
    const [least, most] = [round.low[root], round.high[root]];
    const step = least < 0 ? least : most;
    if ((least < 0 && most > 0) || Math.abs(step) > MAX_STEP) continue;
    const known = streams.get(root);
    const from = Math.min(low, known?.low ?? low);
    const to = Math.max(high, known === undefined ? high : known.low + known.span);
    if (to - from > MAX_SPAN || (known === undefined && streams.size === MAX_STREAMS)) continue;
    const stream = known ?? { register: root, low, span: 0, step, writes: false, bias: insn.imm, index: streams.size };
    stream.low = from;
    stream.span = to - from;
    stream.bias = Math.min(stream.bias, insn.imm);
    stream.writes ||= (OPERANDS[insn.row.id] & IS_STORE) !== 0;
    streams.set(root, stream);
    members.set(insn, stream);
  }
  return { streams: [...streams.values()], members };
}
