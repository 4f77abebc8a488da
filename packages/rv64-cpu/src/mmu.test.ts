import { expect, test } from "vitest";
import { type CompilerHost, Hart, type HartCompiler } from "./hart.ts";
import { createGuestRam } from "./index.ts";
import { PTE_A, PTE_D, PTE_R, PTE_U, PTE_V, PTE_W, PTE_X } from "./mmu.ts";

const RWX = PTE_V | PTE_R | PTE_W | PTE_X | PTE_U | PTE_A | PTE_D;

/** A hart whose pages 510..519 are `entries`: frame and flags. The table changes between 511 and 512. */
function mmuWith(entries: readonly (readonly [frame: number, flags: number])[]): { hart: Hart; host: CompilerHost } {
  const ram = createGuestRam({ size: 1 << 20 });
  let host: CompilerHost | undefined;
  const compiler: HartCompiler = {
    tableSize: 1,
    hotCount: 4096,
    sampleInterval: 1e9,
    attach: (given) => {
      host = given;
    },
    hot: () => 0,
    sample: () => {},
    compilePending: () => {},
  };
  const hart = new Hart({ ram, compiler });
  const entry = (at: number, frame: number, flags: number): void =>
    ram.view.setBigUint64(at, (BigInt(0x8_0000 + frame) << 10n) | BigInt(flags), true);
  const [root, middle, low, high] = [0x80, 0x81, 0x83, 0x82];
  entry(root * 4096, middle, PTE_V);
  entry(middle * 4096, low, PTE_V);
  entry(middle * 4096 + 8, high, PTE_V);
  entries.forEach(([frame, flags], n) => {
    const page = 510 + n;
    entry((page < 512 ? low : high) * 4096 + (page % 512) * 8, frame, flags);
  });
  hart.setAddressSpace(0x8_0000 + root, 1);
  return { hart, host: host as CompilerHost };
}

test("neighbours counts pages with neighbouring frames that may be accessed without a change of the page table", () => {
  const { host } = mmuWith([
    [19, RWX & ~PTE_A],
    [20, RWX],
    [21, RWX],
    [22, RWX],
    [23, RWX & ~PTE_D],
    [24, RWX],
    [25, RWX & ~PTE_U],
    [26, RWX],
    [28, RWX],
  ]);
  const around = (page: number, writes: boolean): number[] =>
    ([-1, 1] as const).map((step) => host.mmu.neighbours(page * 4096 + 8, 0, writes, step));
  expect(around(511, false)).toEqual([0, 4]);
  expect(around(513, false)).toEqual([2, 2]);
  expect(around(513, true)).toEqual([2, 0]);
  expect(around(515, true)).toEqual([0, 0]);
  expect(around(517, false)).toEqual([0, 0]);
  expect(around(518, false)).toEqual([0, 0]);
  // Nothing is mapped there.
  expect(around(1 << 18, false)).toEqual([0, 0]);
});

test("neighbours does not count pages with code for writes", () => {
  const { hart, host } = mmuWith([
    [19, RWX],
    [20, RWX],
    [21, RWX],
  ]);
  hart.ram.view.setUint32(20 * 4096, 0x0000_0073, true); // ecall
  hart.pc = 511 * 4096;
  hart.run(1);
  expect(host.mmu.neighbours(510 * 4096, 0, false, 1)).toBe(2);
  expect(host.mmu.neighbours(510 * 4096, 0, true, 1)).toBe(0);
});
