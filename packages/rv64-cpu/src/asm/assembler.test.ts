/// <reference types="node" />
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { disassemble } from "../isa/disassemble.ts";
import { INSTRUCTIONS } from "../isa/instructions.ts";
import { assemble, AssemblyError } from "./index.ts";

const GCC = "riscv64-linux-gnu-gcc";
const hasGcc = ((): boolean => {
  try {
    execFileSync(GCC, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.log(`skipped: comparison with GNU as (${GCC} is not installed)`);
    return false;
  }
})();

const words = (source: string, origin = 0): string[] => {
  const { bytes } = assemble(source, { origin });
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, n) =>
    view
      .getUint32(n * 4, true)
      .toString(16)
      .padStart(8, "0"),
  );
};

/** One random encoding of every row, as text. */
const ONE_OF_EACH: string[] = INSTRUCTIONS.flatMap((row, n) => {
  let random = (n + 1) * 2654435761;
  return [0, 1, 2].map(() => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    let bits = (random & ~row.mask) | row.match;
    if (row.hasRm && ((bits >> 12) & 7) > 4) bits |= 7 << 12;
    if (row.mnemonic === "fence") bits = 0x0ff0_000f;
    if (row.mnemonic === "fence.i") bits = 0x0000_100f;
    return disassemble(bits, n * 12);
  });
});

test("labels, pseudo instructions and directives assemble", () => {
  const { bytes, labels } = assemble(`
    start: li a0, 10
    loop:  addi a0, a0, -1   # count down
           bnez a0, loop
           ret
           .align 3
    data:  .dword 0x1122334455667788, loop
           .asciz "hi"
  `);
  expect(labels.get("loop")).toBe(0x8000_0004);
  expect(labels.get("data")).toBe(0x8000_0010);
  expect(Array.from(bytes.slice(16, 32))).toEqual([
    0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 4, 0, 0, 0x80, 0, 0, 0, 0,
  ]);
});

test("errors name the line", () => {
  expect(() => assemble("nop\nfrobnicate a0")).toThrow(new AssemblyError("unknown instruction frobnicate", 2));
  expect(() => assemble("addi a0, a0, 5000")).toThrow("line 1: 5000 is out of range");
  expect(() => assemble("j nowhere")).toThrow("unknown symbol nowhere");
  expect(() => assemble("add a0, a1")).toThrow("expects 3 operands");
});

test("what the disassembler prints, the assembler reads back", () => {
  for (const row of INSTRUCTIONS) {
    for (const seed of [0x1234_5678, 0x0fed_cba9, 0x7654_3210]) {
      let bits = ((Math.imul(seed, row.id * 2 + 1) & ~row.mask) | row.match) >>> 0;
      if (row.hasRm && ((bits >> 12) & 7) > 4) bits = (bits | (7 << 12)) >>> 0;
      if (row.mnemonic === "fence") bits = 0x0ff0_000f;
      if (row.mnemonic === "fence.i") bits = 0x100f;
      expect(words(disassemble(bits, 0x4000_0000), 0x4000_0000)).toEqual([bits.toString(16).padStart(8, "0")]);
    }
  }
});

describe.skipIf(!hasGcc)("against GNU binutils", () => {
  const gnu = (source: string): string[] => {
    const folder = mkdtempSync(join(tmpdir(), "asm-"));
    try {
      const march = "-march=rv64imafdc_zicsr_zifencei_zba_zbb_zbs_zicbom_zicboz_zihintpause";
      writeFileSync(join(folder, "t.s"), `.option norvc\n.option norelax\n${source}\n`);
      execFileSync(GCC, [march, "-c", join(folder, "t.s"), "-o", join(folder, "t.o")]);
      execFileSync("riscv64-linux-gnu-objcopy", [
        "-O",
        "binary",
        "-j",
        ".text",
        join(folder, "t.o"),
        join(folder, "t.bin"),
      ]);
      const out = readFileSync(join(folder, "t.bin"));
      return Array.from({ length: out.length / 4 }, (_, n) =>
        out
          .readUInt32LE(n * 4)
          .toString(16)
          .padStart(8, "0"),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test("every instruction encodes as GNU as does", () => {
    // There pc-relative operands need symbols, exact conversions take no rounding mode, and Zicond is unknown.
    const lines = ONE_OF_EACH.filter(
      (line) =>
        !/^(beq|bne|blt|bge|bltu|bgeu|jal|czero\S*) /.test(line) && !/^fcvt\.d\.(w|wu|s) .*,[rd]\w\w$/.test(line),
    );
    expect(lines.length).toBeGreaterThan(500);
    expect(words(lines.join("\n"))).toEqual(gnu(lines.join("\n")));
  });

  test("branches, jumps and constants encode as GNU as does", () => {
    const source = `a: beq a0,a1,b\n bltu t0,s1,a\n jal ra,b\n j a\n bgt a0,a1,a\n mv a0,a1\n not s1,s2\n seqz a0,a1\n jr a5\n ret\n b: bgeu a0,a1,a\n csrr a0,fcsr\n fmv.d fa0,fa1\n li a0,5\n li a1,-2048\n li a2,0x12345678\n li a3,-1\n`;
    expect(words(source)).toEqual(gnu(source));
  });
});
