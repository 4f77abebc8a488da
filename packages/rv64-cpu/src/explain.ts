/**
 * A report for people: why the hart stopped, where, with which registers, and how it got there.
 *
 * It only reads: nothing is faulted in. The backtrace follows frame pointers (s0) where code was compiled with them;
 * otherwise it has just pc and ra.
 */
import { CAUSE_NAMES } from "./isa/causes.ts";
import { disassemble } from "./isa/disassemble.ts";
import { F_NAMES, X_NAMES } from "./isa/registers.ts";
import type { Hart } from "./hart.ts";

export interface ExplainOptions {
  /** Name of an address, such as `main+0x1c`; "" if unknown. */
  readonly symbolOf?: (address: number) => string;
  /** Frames of the backtrace at most. Default 32. */
  readonly maxFrames?: number;
  /** Also print f0..f31 and fcsr. Default false. */
  readonly floatRegisters?: boolean;
}

const S0 = 8;
const RA = 1;

/** The report, in lines of at most about 110 columns. */
export function explain(hart: Hart, options: ExplainOptions = {}): string {
  const { symbolOf = (): string => "", maxFrames = 32, floatRegisters = false } = options;
  const lines: string[] = [];
  const { trapCause, trapValue, pc } = hart;
  lines.push(
    `last trap: ${trapCause} (${CAUSE_NAMES[trapCause] ?? "unknown"}), value ${hex(trapValue)}, pc ${hex(pc)}${named(symbolOf(pc))}`,
  );
  lines.push(
    `privilege ${"US?M"[hart.privilege]}, ${hart.instret} instructions retired, fcsr 0x${hart.fcsr.toString(16)}`,
  );
  lines.push(...registers(X_NAMES, hart.x));
  if (floatRegisters) lines.push(...registers(F_NAMES, hart.f));
  lines.push("code:", ...code(hart, pc));
  lines.push("backtrace:");
  backtrace(hart, maxFrames).forEach((address, n) => {
    lines.push(`  #${n} ${hex(address)}${named(symbolOf(address))}`);
  });
  return lines.join("\n");
}

function hex(value: number): string {
  return `0x${(value < 0 ? BigInt.asUintN(64, BigInt(value)) : BigInt(value)).toString(16)}`;
}

function named(symbol: string): string {
  return symbol === "" ? "" : ` <${symbol}>`;
}

function registers(names: readonly string[], pairs: Int32Array): string[] {
  const lines: string[] = [];
  for (let n = 0; n < 32; n += 4) {
    let line = "";
    for (let k = n; k < n + 4; k++) {
      const digits =
        (pairs[k * 2 + 1] >>> 0).toString(16).padStart(8, "0") + (pairs[k * 2] >>> 0).toString(16).padStart(8, "0");
      line += `${names[k].padStart(5)} ${digits} `;
    }
    lines.push(line.trimEnd());
  }
  return lines;
}

/** The instruction at pc and the seven after it. Where the one before starts cannot be known. */
function code(hart: Hart, pc: number): string[] {
  const bytes = hart.peek(pc, 32);
  const lines: string[] = [];
  for (let at = 0; at + 2 <= bytes.length && lines.length < 8; ) {
    const low = bytes[at] | (bytes[at + 1] << 8);
    const length = (low & 3) === 3 ? 4 : 2;
    if (at + length > bytes.length) break;
    const bits = length === 4 ? low | (bytes[at + 2] << 16) | (bytes[at + 3] << 24) : low;
    lines.push(
      `${at === 0 ? "=>" : "  "} ${hex(pc + at)}: ${(bits >>> 0)
        .toString(16)
        .padStart(length * 2, "0")
        .padEnd(9)} ${disassemble(bits, pc + at)}`,
    );
    at += length;
  }
  return lines.length > 0 ? lines : ["   (not mapped)"];
}

/** pc, ra, then return addresses along the frame-pointer chain: each frame keeps ra at s0-8 and the old s0 at s0-16. */
function backtrace(hart: Hart, maxFrames: number): number[] {
  const register = (n: number): number => hart.x[n * 2 + 1] * 0x1_0000_0000 + (hart.x[n * 2] >>> 0);
  const frames = [hart.pc, register(RA)];
  let frame = register(S0);
  while (frames.length < maxFrames) {
    const saved = hart.peek(frame - 16, 16);
    if (saved.length < 16 || frame % 8 !== 0) break;
    const view = new DataView(saved.buffer);
    const caller = Number(view.getBigInt64(8, true));
    const next = Number(view.getBigInt64(0, true));
    if (caller === 0) break;
    if (caller !== frames[frames.length - 1]) frames.push(caller);
    if (next <= frame) break; // frames go up the stack
    frame = next;
  }
  return frames;
}
