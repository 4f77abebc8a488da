import { expect, test } from "vitest";
import { assemble } from "../asm/index.ts";
import { END_STRIP } from "./blocks.ts";
import { EDGE_NOT_TAKEN_HOT, EDGE_TAKEN_HOT, findRegion, hasCalls, type Region } from "./region.ts";

/** The wide region of a program, which starts with it; `calls`: the label that the call at a label was seen to go to. */
function regionOf(source: string, calls: Readonly<Record<string, string>> = {}): Region {
  const { bytes, labels } = assemble(source, { origin: 0 });
  const code = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (label: string): number => labels.get(label) as number;
  const called = new Map(Object.entries(calls).map(([from, to]) => [at(from), at(to) - at(from)]));
  const region = findRegion(
    {
      frame: (page) => (page === 0 ? 0 : -1),
      half: (_frame, offset) => (offset < bytes.length ? code.getUint16(offset, true) : 0),
      edges: () => EDGE_TAKEN_HOT | EDGE_NOT_TAKEN_HOT,
      wide: true,
      straddles: false,
      strays: false,
      called: (_frame, offset) => called.get(offset),
      isEntry: () => false,
    },
    0,
    500,
    new Map(),
  );
  if (region === undefined) throw new Error("no region");
  return region;
}

/** Register, low, span, step and whether it is written, of each stream of the first strip. */
function streamsOf(source: string): unknown[] | undefined {
  const { strip } = regionOf(source).blocks.find(({ end }) => end === END_STRIP) ?? {};
  return strip?.streams.map(({ register, low, span, step, writes }) => [register, low, span, step, writes]);
}

test("pointers that move in one direction by constants are streams, through copies of them too", () => {
  const row =
    "loop: lh a3, 0(a0)\n lh a4, 4(a1)\n addi a0, a0, 2\n addi a1, a1, 26\n mulw a3, a3, a4\n bne a0, a2, loop";
  expect(streamsOf(row)).toEqual([
    [10, 0, 2, 2, false],
    [11, 4, 2, 26, false],
  ]);
  const derived =
    "loop: mv t0, a0\n addi t0, t0, 16\n sd x0, -8(t0)\n sd x0, 8(t0)\n addi a0, a0, -32\n bne a0, a2, loop";
  expect(streamsOf(derived)).toEqual([[10, 8, 24, -32, true]]);
  expect(streamsOf("loop: lw a3, 0(sp)\n addi a0, a0, 1\n bne a0, a3, loop")).toEqual([[2, 0, 4, 0, false]]);
});

test("a step that depends on the way counts with its largest length; both directions are none", () => {
  const skips = (step: number): string =>
    `loop: lbu a3, 0(a0)\n lbu a4, 1(a0)\n addi a0, a0, 1\n beqz a3, on\n addi a0, a0, ${step}\n on: bne a0, a2, loop`;
  expect(streamsOf(skips(3))).toEqual([[10, 0, 2, 4, false]]);
  expect(streamsOf(skips(-3))).toBeUndefined();
});

test("pointers that are computed, and stores that may never happen, are no streams", () => {
  expect(streamsOf("loop: ld a0, 0(a0)\n bnez a0, loop")).toBeUndefined();
  const search =
    "loop: lw a3, 0(a0)\n bge a3, a4, on\n sw a4, 0(a1)\n on: addi a0, a0, 4\n addi a1, a1, 4\n bne a0, a2, loop";
  expect(streamsOf(search)).toEqual([[10, 0, 4, 4, false]]);
});

test("an inner loop is found where the region starts at its head, which is then that of the loop around it, too", () => {
  const nest =
    "loop: lh a3, 0(a0)\n addi a0, a0, 2\n bne a0, a2, loop\n addi a2, a2, 26\n mv a0, a5\n bne a2, a6, loop";
  expect(streamsOf(nest)).toEqual([[10, 0, 2, 2, false]]);
});

test("copies of short functions take the place of calls by pointer", () => {
  const source =
    "loop: addi a0, a0, -1\n call: jalr a5\n bnez a0, loop\n ecall\n short: add a1, a1, a0\n ret\n other: jal other";
  expect(hasCalls(regionOf(source))).toBe(true);
  expect(hasCalls(regionOf(source, { call: "other" }))).toBe(true);
  const inlined = regionOf(source, { call: "short" });
  expect(hasCalls(inlined)).toBe(false);
  // The loop, the function, and nothing that asks where the function returns to.
  expect(inlined.blocks.map(({ insns }) => insns.map(({ row }) => row.mnemonic).join(" "))).toEqual([
    "addi jalr",
    "add jalr",
    "bne",
  ]);
  expect(inlined.blocks.flatMap(({ indirect }) => indirect).length).toBe(1);
});
