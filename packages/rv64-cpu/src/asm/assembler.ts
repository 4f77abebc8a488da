/**
 * A small two-pass assembler in GNU syntax, for tests, examples and firmware stubs.
 *
 * Encodings come from the instruction table; this file knows operand syntax, labels, directives and the pseudo
 * instructions of the assembly programmer's manual. Instructions are never compressed: `.half` gives a 16-bit one.
 *
 *   label:  li a0, 10          # comment, also with //
 *   loop:   addi a0, a0, -1
 *           bnez a0, loop
 *           .dword 1, loop
 */
import { CSR_NAMES } from "../isa/csrs.ts";
import {
  IMM_B,
  IMM_CSR,
  IMM_I,
  IMM_J,
  IMM_NONE,
  IMM_S,
  IMM_SHIFT5,
  IMM_SHIFT6,
  IMM_U,
  INSTRUCTIONS,
  type Instruction,
} from "../isa/instructions.ts";
import { F_NAMES, RM_NAMES, X_NAMES } from "../isa/registers.ts";

export interface Assembly {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Address of the first byte. */
  readonly origin: number;
  /** Addresses of the labels. */
  readonly labels: ReadonlyMap<string, number>;
}

export interface AssembleOptions {
  /** Address of the first byte. Default 0x8000_0000, where the hart starts. */
  readonly origin?: number;
}

/** A line that does not assemble. */
export class AssemblyError extends Error {
  /** 1-based. */
  readonly line: number;
  constructor(message: string, line: number) {
    super(`line ${line}: ${message}`);
    this.name = "AssemblyError";
    this.line = line;
  }
}

const rowsByName = new Map<string, Instruction>(INSTRUCTIONS.map((row) => [row.mnemonic, row]));
const csrByName = new Map<string, number>([...CSR_NAMES].map(([number, name]) => [name, number]));
const xByName = new Map<string, number>(X_NAMES.map((name, n) => [name, n]));
const fByName = new Map<string, number>(F_NAMES.map((name, n) => [name, n]));
for (let n = 0; n < 32; n++) {
  xByName.set(`x${n}`, n);
  fByName.set(`f${n}`, n);
}
xByName.set("fp", 8);

/** Pseudo instructions that are one instruction with rearranged operands; $n is the n-th operand. */
const ALIASES: Readonly<Record<string, string>> = {
  nop: "addi zero, zero, 0",
  "mv/2": "addi $0, $1, 0",
  "not/2": "xori $0, $1, -1",
  "neg/2": "sub $0, zero, $1",
  "negw/2": "subw $0, zero, $1",
  "sext.w/2": "addiw $0, $1, 0",
  "zext.b/2": "andi $0, $1, 255",
  "zext.w/2": "add.uw $0, $1, zero",
  "seqz/2": "sltiu $0, $1, 1",
  "snez/2": "sltu $0, zero, $1",
  "sltz/2": "slt $0, $1, zero",
  "sgtz/2": "slt $0, zero, $1",
  "beqz/2": "beq $0, zero, $1",
  "bnez/2": "bne $0, zero, $1",
  "blez/2": "bge zero, $0, $1",
  "bgez/2": "bge $0, zero, $1",
  "bltz/2": "blt $0, zero, $1",
  "bgtz/2": "blt zero, $0, $1",
  "bgt/3": "blt $1, $0, $2",
  "ble/3": "bge $1, $0, $2",
  "bgtu/3": "bltu $1, $0, $2",
  "bleu/3": "bgeu $1, $0, $2",
  "j/1": "jal zero, $0",
  "jal/1": "jal ra, $0",
  "jr/1": "jalr zero, 0($0)",
  "jalr/1": "jalr ra, 0($0)",
  ret: "jalr zero, 0(ra)",
  "jalr/3": "jalr $0, $2($1)",
  "sfence.vma/0": "sfence.vma zero, zero",
  "sfence.vma/1": "sfence.vma $0, zero",
  "csrr/2": "csrrs $0, $1, zero",
  "csrw/2": "csrrw zero, $0, $1",
  "csrs/2": "csrrs zero, $0, $1",
  "csrc/2": "csrrc zero, $0, $1",
  "csrwi/2": "csrrwi zero, $0, $1",
  "csrsi/2": "csrrsi zero, $0, $1",
  "csrci/2": "csrrci zero, $0, $1",
  "rdcycle/1": "csrrs $0, cycle, zero",
  "rdtime/1": "csrrs $0, time, zero",
  "rdinstret/1": "csrrs $0, instret, zero",
  "frcsr/1": "csrrs $0, fcsr, zero",
  "fscsr/1": "csrrw zero, fcsr, $0",
  "fscsr/2": "csrrw $0, fcsr, $1",
  "frrm/1": "csrrs $0, frm, zero",
  "fsrm/1": "csrrw zero, frm, $0",
  "fsrm/2": "csrrw $0, frm, $1",
  "fsrmi/1": "csrrwi zero, frm, $0",
  "frflags/1": "csrrs $0, fflags, zero",
  "fsflags/1": "csrrw zero, fflags, $0",
  "fsflags/2": "csrrw $0, fflags, $1",
  "fsflagsi/1": "csrrwi zero, fflags, $0",
  "fmv.s/2": "fsgnj.s $0, $1, $1",
  "fabs.s/2": "fsgnjx.s $0, $1, $1",
  "fneg.s/2": "fsgnjn.s $0, $1, $1",
  "fmv.d/2": "fsgnj.d $0, $1, $1",
  "fabs.d/2": "fsgnjx.d $0, $1, $1",
  "fneg.d/2": "fsgnjn.d $0, $1, $1",
};

/** Encodes an immediate that is known to fit. */
function encodeImmediate(imm: number, kind: number): number {
  switch (kind) {
    case IMM_I:
      return imm << 20;
    case IMM_S:
      return ((imm & 31) << 7) | ((imm >> 5) << 25);
    case IMM_B:
      return (((imm >> 11) & 1) << 7) | (((imm >> 1) & 15) << 8) | (((imm >> 5) & 63) << 25) | ((imm >> 12) << 31);
    case IMM_U:
      return imm << 12;
    case IMM_J:
      return (imm & 0xff000) | (((imm >> 11) & 1) << 20) | (((imm >> 1) & 1023) << 21) | ((imm >> 20) << 31);
    case IMM_SHIFT5:
    case IMM_SHIFT6:
    case IMM_CSR:
      return imm << 20;
    default:
      return 0;
  }
}
/** Smallest and largest value, by IMM_*. */
const RANGES: Readonly<Record<number, readonly [number, number]>> = {
  [IMM_I]: [-2048, 2047],
  [IMM_S]: [-2048, 2047],
  [IMM_B]: [-4096, 4094],
  [IMM_U]: [-0x8_0000, 0xf_ffff],
  [IMM_J]: [-0x10_0000, 0xf_fffe],
  [IMM_SHIFT5]: [0, 31],
  [IMM_SHIFT6]: [0, 63],
  [IMM_CSR]: [0, 4095],
};

/**
 * Assembles `source`.
 * @throws AssemblyError with the line number for anything that is not understood or does not fit.
 */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
  const origin = options.origin ?? 0x8000_0000;
  const labels = new Map<string, number>();
  let bytes = new Uint8Array(0);
  // Sizes do not depend on label values, so the first pass finds all labels and the second one emits.
  for (const final of [false, true]) {
    const pass = new Pass(origin, labels, final);
    source.split("\n").forEach((line, n) => {
      try {
        pass.line(line);
      } catch (error) {
        if (error instanceof AssemblyError || !(error instanceof SyntaxError)) throw error;
        throw new AssemblyError(error.message, n + 1);
      }
    });
    bytes = Uint8Array.from(pass.out);
  }
  return { bytes, origin, labels };
}

const fail = (message: string): never => {
  throw new SyntaxError(message);
};

class Pass {
  readonly out: number[] = [];
  readonly #origin: number;
  readonly #labels: Map<string, number>;
  readonly #final: boolean;

  constructor(origin: number, labels: Map<string, number>, final: boolean) {
    this.#origin = origin;
    this.#labels = labels;
    this.#final = final;
  }

  get #here(): number {
    return this.#origin + this.out.length;
  }

  line(text: string): void {
    let rest = text.replace(/(#|\/\/).*$/, "").trim();
    for (
      let label = /^([A-Za-z_.$][\w.$]*):\s*/.exec(rest);
      label !== null;
      label = /^([A-Za-z_.$][\w.$]*):\s*/.exec(rest)
    ) {
      if (!this.#final && this.#labels.has(label[1])) fail(`label ${label[1]} is defined twice`);
      this.#labels.set(label[1], this.#here);
      rest = rest.slice(label[0].length);
    }
    if (rest === "") return;
    const [, mnemonic, tail] = /^(\S+)\s*(.*)$/.exec(rest) as RegExpExecArray;
    if (mnemonic.startsWith(".")) return this.#directive(mnemonic, tail);
    this.#statement(mnemonic.toLowerCase(), tail === "" ? [] : tail.split(",").map((operand) => operand.trim()));
  }

  #word(value: number, byteLength: number): void {
    for (let n = 0; n < byteLength; n++) this.out.push(n < 4 ? (value >>> (8 * n)) & 255 : 0);
  }

  #directive(name: string, tail: string): void {
    const items = tail.split(",").map((item) => item.trim());
    switch (name) {
      case ".byte":
        for (const item of items) this.#word(this.#value(item), 1);
        return;
      case ".half":
      case ".2byte":
        for (const item of items) this.#word(this.#value(item), 2);
        return;
      case ".word":
      case ".4byte":
        for (const item of items) this.#word(this.#value(item), 4);
        return;
      case ".dword":
      case ".8byte":
      case ".quad":
        for (const item of items) {
          const value = /^-?(0x[\da-f]+|\d+)$/i.test(item) ? big(item) : BigInt(this.#value(item));
          for (let n = 0n; n < 64n; n += 8n) this.out.push(Number((value >> n) & 255n));
        }
        return;
      case ".zero":
      case ".space":
        for (let n = this.#value(tail); n > 0; n--) this.out.push(0);
        return;
      case ".align":
      case ".p2align":
        while (this.#here % 2 ** this.#value(tail) !== 0) this.out.push(0);
        return;
      case ".ascii":
      case ".asciz":
      case ".string": {
        for (const byte of new TextEncoder().encode(JSON.parse(tail) as string)) this.out.push(byte);
        if (name !== ".ascii") this.out.push(0);
        return;
      }
      case ".equ":
      case ".set":
        this.#labels.set(items[0], this.#value(items[1]));
        return;
      case ".text":
      case ".globl":
      case ".global":
      case ".option":
        return;
      default:
        fail(`unknown directive ${name}`);
    }
  }

  #statement(mnemonic: string, operands: readonly string[]): void {
    if (mnemonic === "li") return this.#li(operands);
    if (mnemonic === "la" || mnemonic === "lla") return this.#pcRelative(operands[0], operands[1], "addi");
    if (mnemonic === "call" || mnemonic === "tail") {
      const link = mnemonic === "call" ? "ra" : "t1";
      const at = this.#here;
      const distance = this.#value(operands[0]) - at;
      const high = (distance + 0x800) >> 12;
      this.#encode("auipc", [link, String(high & 0xf_ffff)]);
      return this.#encode("jalr", [mnemonic === "call" ? "ra" : "zero", `${distance - (high << 12)}(${link})`]);
    }
    const alias = ALIASES[`${mnemonic}/${operands.length}`] ?? (operands.length === 0 ? ALIASES[mnemonic] : undefined);
    if (alias === undefined) return this.#encode(mnemonic, operands);
    const [, name, pattern] = /^(\S+)\s*(.*)$/.exec(alias) as RegExpExecArray;
    this.#encode(
      name,
      pattern.split(",").map((part) => part.trim().replace(/\$(\d)/, (_, n) => operands[Number(n)])),
    );
  }

  #pcRelative(rd: string, target: string, low: string): void {
    const distance = this.#value(target) - this.#here;
    const high = (distance + 0x800) >> 12;
    this.#encode("auipc", [rd, String(high & 0xf_ffff)]);
    this.#encode(low, [rd, rd, String(distance - (high << 12))]);
  }

  /** Loads any 64-bit constant: lui/addi for 32 bits, else recursively the upper part, shifted. */
  #li([rd, text]: readonly string[]): void {
    if (rd === undefined || text === undefined) fail("li expects a register and a value");
    const value = /^-?(0x[\da-f]+|\d+)$/i.test(text) ? big(text) : BigInt(this.#value(text));
    this.#load(rd, BigInt.asIntN(64, value));
  }
  #load(rd: string, value: bigint): void {
    if (value === BigInt.asIntN(12, value)) return this.#encode("addi", [rd, "zero", String(value)]);
    const low = BigInt.asIntN(12, value);
    if (value === BigInt.asIntN(32, value)) {
      this.#encode("lui", [rd, String(((value - low) >> 12n) & 0xf_ffffn)]);
      if (low !== 0n) this.#encode("addiw", [rd, rd, String(low)]);
      return;
    }
    let upper = BigInt.asIntN(52, (value - low) >> 12n);
    let shift = 12;
    while ((upper & 1n) === 0n) {
      upper >>= 1n;
      shift++;
    }
    this.#load(rd, upper);
    this.#encode("slli", [rd, rd, String(shift)]);
    if (low !== 0n) this.#encode("addi", [rd, rd, String(low)]);
  }

  #encode(mnemonic: string, operands: readonly string[]): void {
    const suffix = /\.(aqrl|aq|rl)$/.exec(mnemonic);
    const name = suffix !== null && !rowsByName.has(mnemonic) ? mnemonic.slice(0, suffix.index) : mnemonic;
    const row = rowsByName.get(name) ?? fail(`unknown instruction ${mnemonic}`);
    let bits = row.match;
    if (name !== mnemonic) bits |= ({ aqrl: 3, aq: 2, rl: 1 }[(suffix as RegExpExecArray)[1]] as number) << 25;
    if (name === "fence" && bits === 0x0f) bits |= 0x0ff0_0000;
    const syntax = row.syntax.replace("a", "");
    const parts = syntax === "" ? [] : syntax.split(",");
    const required = parts.filter((part) => part !== "m" && part !== "e").length;
    if (name === "fence") return this.#word(bits, 4);
    if (operands.length < required || operands.length > parts.length)
      fail(`${mnemonic} expects ${required} operands, got ${operands.length}`);
    parts.forEach((part, n) => {
      bits |= this.#operand(row, part, operands[n]);
    });
    this.#word(bits, 4);
  }

  #operand(row: Instruction, part: string, text: string | undefined): number {
    if (part.endsWith("(s)")) {
      const split = /^(.*)\((\w+)\)$/.exec(text ?? "") ?? fail(`expected offset(register), got ${text}`);
      const offset = split[1] === "" ? 0 : this.#value(split[1]);
      return (register(xByName, split[2]) << 15) | (part === "(s)" ? 0 : this.#immediate(offset, row.imm));
    }
    switch (part) {
      case "d":
        return register(xByName, text) << 7;
      case "s":
        return register(xByName, text) << 15;
      case "t":
        return register(xByName, text) << 20;
      case "D":
        return register(fByName, text) << 7;
      case "S":
        return register(fByName, text) << 15;
      case "T":
        return register(fByName, text) << 20;
      case "U":
        return register(fByName, text) << 27;
      case "m":
        return (text === undefined ? 7 : RM_NAMES.indexOf(text)) << 12;
      case "e":
        return (text === undefined ? 0 : RM_NAMES.indexOf(text)) << 12;
      case "o":
        return this.#immediate(this.#value(text) - this.#here, row.imm);
      case "c":
        return (csrByName.get(text as string) ?? this.#value(text)) << 20;
      case "z":
        return (this.#value(text) & 31) << 15;
      default:
        return this.#immediate(this.#value(text), row.imm);
    }
  }

  #immediate(value: number, kind: number): number {
    const [low, high] = kind === IMM_NONE ? [0, 0] : RANGES[kind];
    if (this.#final && (value < low || value > high)) fail(`${value} is out of range ${low}..${high}`);
    return encodeImmediate(value, kind);
  }

  /** A number, a label, `.` or a sum of them. Unknown labels are 0 in the first pass. */
  #value(text: string | undefined): number {
    if (text === undefined || text === "") return fail("operand missing");
    const terms = text.match(/[+-]?\s*[^+\-\s]+/g) ?? [];
    let sum = 0;
    for (const term of terms) {
      const [, sign, atom] = /^([+-]?)\s*(.+)$/.exec(term) as RegExpExecArray;
      sum += (sign === "-" ? -1 : 1) * this.#atom(atom);
    }
    return sum;
  }
  #atom(atom: string): number {
    if (/^(0x[\da-f]+|0b[01]+|\d+)$/i.test(atom)) return Number(atom);
    if (atom === ".") return this.#here;
    const character = /^'(.)'$/.exec(atom);
    if (character !== null) return character[1].charCodeAt(0);
    const label = this.#labels.get(atom);
    if (label === undefined && this.#final) return fail(`unknown symbol ${atom}`);
    return label ?? 0;
  }
}

function register(names: ReadonlyMap<string, number>, text: string | undefined): number {
  return names.get(text ?? "") ?? fail(`expected a register, got ${text}`);
}

function big(text: string): bigint {
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
}
