import { expect, test } from "vitest";
import { expandCompressed } from "../isa/compressed.ts";
import { findInstruction } from "../isa/instructions.ts";
import { DISPATCH_OPS } from "./dispatch.ts";

test("every compressed encoding expands to an instruction that has a two-byte form", () => {
  const twoByte = new Set(DISPATCH_OPS.filter((op) => op.length === 2).map((op) => op.row.id));
  const found = new Set<number>();
  for (let half = 0; half < 0x1_0000; half++) {
    const row = (half & 3) === 3 ? undefined : findInstruction(expandCompressed(half));
    if (row !== undefined) found.add(row.id);
  }
  expect([...found].sort()).toEqual([...twoByte].sort());
});
