/**
 * The instruction table: one row per instruction, and the only place that knows an encoding.
 *
 * Decoder, disassembler, assembler, interpreter, JIT and the coverage tests derive from it. A row has the mnemonic,
 * the fixed bits (`match` under `mask`), the operand format and the extension. What an instruction *does* is in
 * `semantics.ts`, under the same mnemonic. Compressed instructions have no rows: `compressed.ts` expands each to the
 * 32-bit instruction that the specification gives for it.
 *
 * Source: The RISC-V Instruction Set Manual, Volume I (20240411), chapters 2-5, 7, 12-14, 20-21, 34.
 */

/**
 * Operand formats. The letter code is the encoding; the text is the assembler syntax, in which
 * `d s t u` are integer registers rd rs1 rs2 rs3, `D S T U` the floating-point ones, `i` the immediate,
 * `o` a pc-relative target, `m` the rounding mode, `e` that of an exact conversion, `h` an upper immediate, `c` a CSR, `z` a 5-bit unsigned immediate in rs1, `a` an aq/rl suffix.
 */
export type Syntax = string;

/** Immediate encodings of the base formats (Volume I, 2.3). */
export const IMM_NONE = 0;
export const IMM_I = 1;
export const IMM_S = 2;
export const IMM_B = 3;
export const IMM_U = 4;
export const IMM_J = 5;
/** Shift amounts: 6 bits (RV64) and 5 bits (the W forms). */
export const IMM_SHIFT6 = 6;
export const IMM_SHIFT5 = 7;
/** A CSR number with the 5-bit immediate of the CSR*I forms left in the rs1 field. */
export const IMM_CSR = 8;

export type Extension =
  | "I"
  | "M"
  | "A"
  | "F"
  | "D"
  | "Zicsr"
  | "Zifencei"
  | "S"
  | "Zba"
  | "Zbb"
  | "Zbs"
  | "Zicond"
  | "Zicbom"
  | "Zicboz";

export interface Instruction {
  readonly mnemonic: string;
  readonly match: number;
  readonly mask: number;
  readonly syntax: Syntax;
  readonly imm: number;
  readonly extension: Extension;
  /** Position in {@link INSTRUCTIONS}. */
  readonly id: number;
  /** True if bits 14:12 are a rounding mode. */
  readonly hasRm: boolean;
}

const rows: Instruction[] = [];

function row(
  extension: Extension,
  mnemonic: string,
  match: number,
  mask: number,
  syntax: Syntax,
  imm = IMM_NONE,
): void {
  rows.push({
    mnemonic,
    match: match | 0,
    mask: mask | 0,
    syntax,
    imm,
    extension,
    id: rows.length,
    hasRm: /[me]/.test(syntax),
  });
}

const OPCODE = 0x7f;
const FUNCT3 = 0x707f;
const FUNCT7 = 0xfe00_707f;

const r = (e: Extension, name: string, opcode: number, funct3: number, funct7: number, syntax = "d,s,t"): void =>
  row(e, name, opcode | (funct3 << 12) | (funct7 << 25), FUNCT7, syntax);
const i = (e: Extension, name: string, opcode: number, funct3: number, syntax = "d,s,i"): void =>
  row(e, name, opcode | (funct3 << 12), FUNCT3, syntax, IMM_I);
const unary = (e: Extension, name: string, opcode: number, funct3: number, imm12: number, syntax = "d,s"): void =>
  row(e, name, opcode | (funct3 << 12) | (imm12 << 20), 0xfff0_707f, syntax);

// --- RV64I (2.4-2.8, 4.2-4.3) -------------------------------------------------------------------------------------
row("I", "lui", 0x37, OPCODE, "d,h", IMM_U);
row("I", "auipc", 0x17, OPCODE, "d,h", IMM_U);
row("I", "jal", 0x6f, OPCODE, "d,o", IMM_J);
i("I", "jalr", 0x67, 0, "d,i(s)");
for (const [name, funct3] of [
  ["beq", 0],
  ["bne", 1],
  ["blt", 4],
  ["bge", 5],
  ["bltu", 6],
  ["bgeu", 7],
] as const)
  row("I", name, 0x63 | (funct3 << 12), FUNCT3, "s,t,o", IMM_B);
for (const [name, funct3] of [
  ["lb", 0],
  ["lh", 1],
  ["lw", 2],
  ["ld", 3],
  ["lbu", 4],
  ["lhu", 5],
  ["lwu", 6],
] as const)
  i("I", name, 0x03, funct3, "d,i(s)");
for (const [name, funct3] of [
  ["sb", 0],
  ["sh", 1],
  ["sw", 2],
  ["sd", 3],
] as const)
  row("I", name, 0x23 | (funct3 << 12), FUNCT3, "t,i(s)", IMM_S);
for (const [name, funct3] of [
  ["addi", 0],
  ["slti", 2],
  ["sltiu", 3],
  ["xori", 4],
  ["ori", 6],
  ["andi", 7],
] as const)
  i("I", name, 0x13, funct3);
const shift = (e: Extension, name: string, opcode: number, funct3: number, funct6: number): void =>
  row(e, name, opcode | (funct3 << 12) | (funct6 << 26), 0xfc00_707f, "d,s,i", IMM_SHIFT6);
const shiftW = (e: Extension, name: string, funct3: number, funct7: number): void =>
  row(e, name, 0x1b | (funct3 << 12) | (funct7 << 25), FUNCT7, "d,s,i", IMM_SHIFT5);
shift("I", "slli", 0x13, 1, 0);
shift("I", "srli", 0x13, 5, 0);
shift("I", "srai", 0x13, 5, 0x10);
r("I", "add", 0x33, 0, 0);
r("I", "sub", 0x33, 0, 0x20);
r("I", "sll", 0x33, 1, 0);
r("I", "slt", 0x33, 2, 0);
r("I", "sltu", 0x33, 3, 0);
r("I", "xor", 0x33, 4, 0);
r("I", "srl", 0x33, 5, 0);
r("I", "sra", 0x33, 5, 0x20);
r("I", "or", 0x33, 6, 0);
r("I", "and", 0x33, 7, 0);
i("I", "addiw", 0x1b, 0);
shiftW("I", "slliw", 1, 0);
shiftW("I", "srliw", 5, 0);
shiftW("I", "sraiw", 5, 0x20);
r("I", "addw", 0x3b, 0, 0);
r("I", "subw", 0x3b, 0, 0x20);
r("I", "sllw", 0x3b, 1, 0);
r("I", "srlw", 0x3b, 5, 0);
r("I", "sraw", 0x3b, 5, 0x20);
// PAUSE (Zihintpause) is the fence hint with pred=W, succ=0: it comes first because it is the narrower encoding.
row("I", "pause", 0x0100_000f, -1, "");
row("I", "fence", 0x0f, FUNCT3, "");
row("I", "ecall", 0x73, -1, "");
row("I", "ebreak", 0x0010_0073, -1, "");
row("Zifencei", "fence.i", 0x100f, FUNCT3, "");

// --- M (12.1-12.2) --------------------------------------------------------------------------------------------------
for (const [name, funct3] of [
  ["mul", 0],
  ["mulh", 1],
  ["mulhsu", 2],
  ["mulhu", 3],
  ["div", 4],
  ["divu", 5],
  ["rem", 6],
  ["remu", 7],
] as const)
  r("M", name, 0x33, funct3, 1);
for (const [name, funct3] of [
  ["mulw", 0],
  ["divw", 4],
  ["divuw", 5],
  ["remw", 6],
  ["remuw", 7],
] as const)
  r("M", name, 0x3b, funct3, 1);

// --- A (13.2, 13.4) -------------------------------------------------------------------------------------------------
for (const [suffix, funct3] of [
  [".w", 2],
  [".d", 3],
] as const) {
  row("A", `lr${suffix}`, 0x2f | (funct3 << 12) | (0x02 << 27), 0xf9f0_707f, "ad,(s)");
  for (const [name, funct5] of [
    ["sc", 0x03],
    ["amoswap", 0x01],
    ["amoadd", 0x00],
    ["amoxor", 0x04],
    ["amoand", 0x0c],
    ["amoor", 0x08],
    ["amomin", 0x10],
    ["amomax", 0x14],
    ["amominu", 0x18],
    ["amomaxu", 0x1c],
  ] as const)
    row("A", `${name}${suffix}`, 0x2f | (funct3 << 12) | (funct5 << 27), 0xf800_707f, "ad,t,(s)");
}

// --- F and D (20, 21) -----------------------------------------------------------------------------------------------
const RM_ANY_7 = 0xfe00_007f;
const RM_ANY_UNARY = 0xfff0_007f;
const UNARY = 0xfff0_707f;
for (const [suffix, ext, fmt, width] of [
  [".s", "F", 0, 2],
  [".d", "D", 1, 3],
] as const) {
  i(ext, suffix === ".s" ? "flw" : "fld", 0x07, width, "D,i(s)");
  row(ext, suffix === ".s" ? "fsw" : "fsd", 0x27 | (width << 12), FUNCT3, "T,i(s)", IMM_S);
  for (const [name, opcode] of [
    ["fmadd", 0x43],
    ["fmsub", 0x47],
    ["fnmsub", 0x4b],
    ["fnmadd", 0x4f],
  ] as const)
    row(ext, `${name}${suffix}`, opcode | (fmt << 25), 0x0600_007f, "D,S,T,U,m");
  for (const [name, funct5] of [
    ["fadd", 0],
    ["fsub", 1],
    ["fmul", 2],
    ["fdiv", 3],
  ] as const)
    row(ext, `${name}${suffix}`, 0x53 | (funct5 << 27) | (fmt << 25), RM_ANY_7, "D,S,T,m");
  row(ext, `fsqrt${suffix}`, 0x53 | (0x0b << 27) | (fmt << 25), RM_ANY_UNARY, "D,S,m");
  for (const [name, funct3] of [
    ["fsgnj", 0],
    ["fsgnjn", 1],
    ["fsgnjx", 2],
  ] as const)
    row(ext, `${name}${suffix}`, 0x53 | (0x04 << 27) | (fmt << 25) | (funct3 << 12), FUNCT7, "D,S,T");
  for (const [name, funct3] of [
    ["fmin", 0],
    ["fmax", 1],
  ] as const)
    row(ext, `${name}${suffix}`, 0x53 | (0x05 << 27) | (fmt << 25) | (funct3 << 12), FUNCT7, "D,S,T");
  for (const [name, funct3] of [
    ["fle", 0],
    ["flt", 1],
    ["feq", 2],
  ] as const)
    row(ext, `${name}${suffix}`, 0x53 | (0x14 << 27) | (fmt << 25) | (funct3 << 12), FUNCT7, "d,S,T");
  for (const [name, rs2] of [
    ["w", 0],
    ["wu", 1],
    ["l", 2],
    ["lu", 3],
  ] as const) {
    row(ext, `fcvt.${name}${suffix}`, 0x53 | (0x18 << 27) | (fmt << 25) | (rs2 << 20), RM_ANY_UNARY, "d,S,m");
    row(
      ext,
      `fcvt${suffix}.${name}`,
      0x53 | (0x1a << 27) | (fmt << 25) | (rs2 << 20),
      RM_ANY_UNARY,
      fmt === 1 && rs2 < 2 ? "D,s,e" : "D,s,m",
    );
  }
  row(ext, `fclass${suffix}`, 0x53 | (0x1c << 27) | (fmt << 25) | (1 << 12), UNARY, "d,S");
}
row("F", "fmv.x.w", 0x53 | (0x1c << 27), UNARY, "d,S");
row("F", "fmv.w.x", 0x53 | (0x1e << 27), UNARY, "D,s");
row("D", "fmv.x.d", 0x53 | (0x1c << 27) | (1 << 25), UNARY, "d,S");
row("D", "fmv.d.x", 0x53 | (0x1e << 27) | (1 << 25), UNARY, "D,s");
row("D", "fcvt.s.d", 0x53 | (0x08 << 27) | (1 << 20), RM_ANY_UNARY, "D,S,m");
row("D", "fcvt.d.s", 0x53 | (0x08 << 27) | (1 << 25), RM_ANY_UNARY, "D,S,e");

// --- Zicsr (7) and privileged instructions (Volume II, 3.3, 10.1) -----------------------------------------------------
for (const [name, funct3] of [
  ["csrrw", 1],
  ["csrrs", 2],
  ["csrrc", 3],
] as const)
  row("Zicsr", name, 0x73 | (funct3 << 12), FUNCT3, "d,c,s", IMM_CSR);
for (const [name, funct3] of [
  ["csrrwi", 5],
  ["csrrsi", 6],
  ["csrrci", 7],
] as const)
  row("Zicsr", name, 0x73 | (funct3 << 12), FUNCT3, "d,c,z", IMM_CSR);
row("S", "mret", 0x3020_0073, -1, "");
row("S", "sret", 0x1020_0073, -1, "");
row("S", "wfi", 0x1050_0073, -1, "");
row("S", "sfence.vma", 0x1200_0073, 0xfe00_7fff, "s,t");

// --- Zba, Zbb, Zbs, Zicond (34, 28.4-28.6) ---------------------------------------------------------------------------
for (const [n, funct3] of [
  [1, 2],
  [2, 4],
  [3, 6],
] as const) {
  r("Zba", `sh${n}add`, 0x33, funct3, 0x10);
  r("Zba", `sh${n}add.uw`, 0x3b, funct3, 0x10);
}
r("Zba", "add.uw", 0x3b, 0, 0x04);
shift("Zba", "slli.uw", 0x1b, 1, 0x02);
r("Zbb", "andn", 0x33, 7, 0x20);
r("Zbb", "orn", 0x33, 6, 0x20);
r("Zbb", "xnor", 0x33, 4, 0x20);
r("Zbb", "min", 0x33, 4, 0x05);
r("Zbb", "minu", 0x33, 5, 0x05);
r("Zbb", "max", 0x33, 6, 0x05);
r("Zbb", "maxu", 0x33, 7, 0x05);
r("Zbb", "rol", 0x33, 1, 0x30);
r("Zbb", "ror", 0x33, 5, 0x30);
r("Zbb", "rolw", 0x3b, 1, 0x30);
r("Zbb", "rorw", 0x3b, 5, 0x30);
shift("Zbb", "rori", 0x13, 5, 0x18);
shiftW("Zbb", "roriw", 5, 0x30);
unary("Zbb", "clz", 0x13, 1, 0x600);
unary("Zbb", "ctz", 0x13, 1, 0x601);
unary("Zbb", "cpop", 0x13, 1, 0x602);
unary("Zbb", "sext.b", 0x13, 1, 0x604);
unary("Zbb", "sext.h", 0x13, 1, 0x605);
unary("Zbb", "clzw", 0x1b, 1, 0x600);
unary("Zbb", "ctzw", 0x1b, 1, 0x601);
unary("Zbb", "cpopw", 0x1b, 1, 0x602);
unary("Zbb", "zext.h", 0x3b, 4, 0x080);
unary("Zbb", "orc.b", 0x13, 5, 0x287);
unary("Zbb", "rev8", 0x13, 5, 0x6b8);
for (const [name, funct3, funct6] of [
  ["bclr", 1, 0x12],
  ["bext", 5, 0x12],
  ["binv", 1, 0x1a],
  ["bset", 1, 0x0a],
] as const) {
  r("Zbs", name, 0x33, funct3, funct6 << 1);
  shift("Zbs", `${name}i`, 0x13, funct3, funct6);
}
r("Zicond", "czero.eqz", 0x33, 5, 0x07);
r("Zicond", "czero.nez", 0x33, 7, 0x07);

// --- Zicbom, Zicboz (28, cache-block operations; the block is 64 bytes) -------------------------------------------------
for (const [name, code] of [
  ["cbo.inval", 0],
  ["cbo.clean", 1],
  ["cbo.flush", 2],
] as const)
  row("Zicbom", name, 0x0000_200f | (code << 20), 0xfff0_7fff, "(s)");
row("Zicboz", "cbo.zero", 0x0040_200f, 0xfff0_7fff, "(s)");

/** All instructions, in table order; `INSTRUCTIONS[n].id === n`. */
export const INSTRUCTIONS: readonly Instruction[] = rows;

// Rows by major opcode and funct3, narrow masks first, so that a decode looks at a handful of rows.
const buckets: Instruction[][] = Array.from({ length: 32 * 8 }, () => []);
for (const row of rows) {
  for (let funct3 = 0; funct3 < 8; funct3++) {
    if (((row.match ^ (funct3 << 12)) & row.mask & 0x7000) === 0)
      buckets[((row.match >> 2) & 31) * 8 + funct3]!.push(row);
  }
}
const popcount = (value: number): number => {
  let count = 0;
  for (let v = value >>> 0; v !== 0; v = (v & (v - 1)) >>> 0) count++;
  return count;
};
for (const bucket of buckets) bucket.sort((a, b) => popcount(b.mask) - popcount(a.mask));

/** The row that encodes the 32-bit instruction `bits`, or undefined if no row does. */
export function findInstruction(bits: number): Instruction | undefined {
  if ((bits & 3) !== 3) return undefined;
  const bucket = buckets[((bits >> 2) & 31) * 8 + ((bits >> 12) & 7)]!;
  for (let n = 0; n < bucket.length; n++) {
    const row = bucket[n]!;
    if ((bits & row.mask) === row.match) return row;
  }
  return undefined;
}

/** The row with this mnemonic. Throws RangeError for an unknown one. */
export function instructionByName(mnemonic: string): Instruction {
  const row = byName.get(mnemonic);
  if (row === undefined) throw new RangeError(`"mnemonic" expected an instruction, got ${mnemonic}`);
  return row;
}
const byName = new Map(rows.map((row) => [row.mnemonic, row]));

/** The immediate operand of `bits` in encoding `imm` (one of IMM_*), sign-extended to int32. */
export function decodeImmediate(bits: number, imm: number): number {
  switch (imm) {
    case IMM_I:
      return bits >> 20;
    case IMM_S:
      return ((bits >> 25) << 5) | ((bits >> 7) & 31);
    case IMM_B:
      return ((bits >> 31) << 12) | ((bits << 4) & 0x800) | ((bits >> 20) & 0x7e0) | ((bits >> 7) & 0x1e);
    case IMM_U:
      return bits & 0xffff_f000;
    case IMM_J:
      return ((bits >> 31) << 20) | (bits & 0xff000) | ((bits >> 9) & 0x800) | ((bits >> 20) & 0x7fe);
    case IMM_SHIFT6:
      return (bits >> 20) & 63;
    case IMM_SHIFT5:
      return (bits >> 20) & 31;
    case IMM_CSR:
      return bits >>> 20;
    default:
      return 0;
  }
}
