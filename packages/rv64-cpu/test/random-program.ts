/// <reference types="node" />
/**
 * Test tool: seeded random instruction streams as bare static ELF files, that run both on the hart and under
 * qemu-riscv64 and write their final state (registers, fcsr, scratch memory) to standard output.
 *
 * Every instruction of the table can occur, except those that need privilege or leave the stream; about a fifth are
 * compressed. s0 (x8) points into the scratch area and is never a destination; control flow only goes forward.
 */
import { assemble } from "../src/asm/assembler.ts";
import { expandCompressed } from "../src/isa/compressed.ts";
import {
  findInstruction,
  IMM_B,
  IMM_I,
  IMM_J,
  IMM_S,
  INSTRUCTIONS,
  type Instruction,
} from "../src/isa/instructions.ts";

export const CODE_BASE = 0x1_0000;
const SCRATCH = 0x40_0000;
const SCRATCH_BYTES = 8192;
const BASE_REGISTER = 8;

/** xorshift32. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = (Math.imul(seed, 2654435761) ^ 0x5bd1e995) | 1;
    for (let n = 0; n < 8; n++) this.u32();
  }
  u32(): number {
    let s = this.#state;
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    this.#state = s;
    return s >>> 0;
  }
  below(limit: number): number {
    return this.u32() % limit;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

const SPECIAL_D = [
  0x0000000000000000n,
  0x8000000000000000n,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000000n,
  0x7ff0000000000001n,
  0xfff4000000000000n,
  0x0000000000000001n,
  0x800fffffffffffffn,
  0x0010000000000000n,
  0x0010000000000001n,
  0x7fefffffffffffffn,
  0x3ff0000000000000n,
  0xbff0000000000000n,
  0x3fe0000000000000n,
  0x4330000000000000n,
  0x43e0000000000000n,
  0xc3e0000000000000n,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0x3ff0000000000001n,
  0x3ca0000000000000n,
  0x36a0000000000000n,
  0x380fffffffffffffn,
  0x47efffffe0000000n,
  0x47effffff0000000n,
  0x3810000000000000n,
  0xbfe0000000000001n,
];
const SPECIAL_S = [
  0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffa00000, 0x00000001, 0x807fffff,
  0x00800000, 0x00800001, 0x7f7fffff, 0x3f800000, 0xbf800000, 0x3f000000, 0x4b000000, 0x5f000000, 0xdf000000,
  0x4f000000, 0x4effffff, 0x3f800001, 0x33800000, 0x34000000, 0x1a000000,
];

function specialDouble(random: Random): bigint {
  switch (random.below(6)) {
    case 0:
      return random.pick(SPECIAL_D);
    case 1:
      return 0xffff_ffff_0000_0000n | BigInt(random.pick(SPECIAL_S) >>> 0);
    case 2:
      return 0xffff_ffff_0000_0000n | BigInt(random.u32());
    case 3: {
      // near one, so that sums and products round interestingly
      const exponent = BigInt(1023 - 60 + random.below(120));
      return (
        (BigInt(random.below(2)) << 63n) |
        (exponent << 52n) |
        (((BigInt(random.u32()) << 20n) ^ BigInt(random.u32())) & 0xf_ffff_ffff_ffffn)
      );
    }
    case 4: {
      // singles near one, boxed
      const exponent = 127 - 30 + random.below(60);
      return (
        0xffff_ffff_0000_0000n | BigInt(((random.below(2) << 31) | (exponent << 23) | (random.u32() & 0x7f_ffff)) >>> 0)
      );
    }
    default:
      return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  }
}
function specialInteger(random: Random): bigint {
  switch (random.below(4)) {
    case 0:
      return BigInt.asUintN(64, BigInt(random.below(9) - 4));
    case 1:
      return random.pick([
        0x7fffffffn,
        0x80000000n,
        0xffffffffn,
        0x7fffffffffffffffn,
        0x8000000000000000n,
        0xffffffff80000000n,
        0x100000000n,
      ]);
    case 2:
      return BigInt.asUintN(64, BigInt(random.u32() | 0));
    default:
      return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  }
}

/** Instructions that leave the stream or need privilege; the stream's frame runs jalr and the CSR instructions. */
export const EXCLUDED: ReadonlySet<string> = new Set([
  "ecall",
  "ebreak",
  "mret",
  "sret",
  "wfi",
  "sfence.vma",
  "jalr",
  "csrrw",
  "csrrs",
  "csrrc",
  "csrrwi",
  "csrrsi",
  "csrrci",
  "cbo.inval",
]);
/** What QEMU 7.2 in user mode does not have or does not allow. */
// (ctzw it has, but with a zero low word it counts into the upper half, where the specification says 32.)
const NOT_IN_QEMU = new Set(["ctzw", "czero.eqz", "czero.nez", "cbo.clean", "cbo.flush", "cbo.zero", "pause"]);

export interface RandomProgramOptions {
  readonly instructions: number;
  /** Only these mnemonics. Default: all that fit. */
  readonly only?: (row: Instruction) => boolean;
  /** Run the stream this many times in a loop, for compilers of hot code. Default 1. */
  readonly repeat?: number;
  /** Leave out what qemu-riscv64 cannot run. Default true. */
  readonly forQemu?: boolean;
}

/** The machine code of a random stream, to be placed at CODE_BASE. */
function stream(random: Random, options: RandomProgramOptions): number[] {
  const rows = INSTRUCTIONS.filter(
    (row) =>
      !EXCLUDED.has(row.mnemonic) &&
      !(options.forQemu !== false && NOT_IN_QEMU.has(row.mnemonic)) &&
      (options.only?.(row) ?? true),
  );
  const out: number[] = [];
  const half = (value: number): void => {
    out.push(value & 255, (value >> 8) & 255);
  };
  const word = (value: number): void => {
    half(value);
    half(value >>> 16);
  };
  const emit = (source: string): void => {
    out.push(...assemble(source, { origin: 0 }).bytes);
  };
  const destination = (): number => {
    const rd = random.below(32);
    return rd === BASE_REGISTER ? 9 : rd;
  };
  for (let n = 0; n < options.instructions; n++) {
    const choice = random.below(40);
    if (choice === 0) {
      // fresh operands from the table of values behind s0
      emit(`ld x${destination()}, ${-2048 + random.below(256) * 8}(s0)`);
      emit(`fld f${random.below(32)}, ${-2048 + random.below(256) * 8}(s0)`);
      continue;
    }
    if (choice === 1) {
      const rd = destination();
      emit(
        random.pick([
          `frflags x${rd}`,
          `fsflagsi ${random.below(32)}`,
          `fsrmi ${random.below(5)}`,
          `csrrw x${rd}, fcsr, x0`,
          `csrrc x${rd}, fflags, x${random.below(32)}`,
          `csrrs x${rd}, frm, x0`,
        ]),
      );
      continue;
    }
    if (choice < 9) {
      // a compressed instruction that stays in the stream
      // Few tries: the chosen rows may have no compressed form at all.
      for (let tries = 0; tries < 500; tries++) {
        const bits = random.u32() & 0xffff;
        if ((bits & 3) === 3) continue;
        const full = expandCompressed(bits);
        const row = findInstruction(full);
        if (row === undefined || !rows.includes(row) || row.imm === IMM_B || row.imm === IMM_J) continue;
        const memory = row.imm === IMM_S || (row.imm === IMM_I && row.syntax.includes("("));
        if (memory) {
          // s0-relative forms are the only ones with a valid base.
          if (((full >> 15) & 31) !== BASE_REGISTER) continue;
        }
        if (row.imm !== IMM_S && row.syntax[0] === "d" && ((full >> 7) & 31) === BASE_REGISTER) continue;
        half(bits);
        break;
      }
      continue;
    }
    const row = random.pick(rows);
    let bits = (random.u32() & ~row.mask) | row.match;
    if (row.syntax.includes("d")) bits = (bits & ~0xf80) | (destination() << 7);
    if (row.hasRm && ((bits >> 12) & 7) > 4) bits |= 7 << 12;
    if (row.extension === "A") {
      // Naturally aligned addresses in the scratch area, in a register that is then destroyed.
      const base = random.pick([5, 6, 7]);
      emit(`addi x${base}, s0, ${random.below(200) * 8}`);
      bits = (bits & ~(31 << 15)) | (base << 15);
      if (((bits >> 7) & 31) === base) bits &= ~0xf80; // an SC may follow
      word(bits);
      if (row.mnemonic.startsWith("lr") && random.below(2) === 0) {
        emit(`sc${row.mnemonic.slice(2)} x${destination()}, x${random.below(32)}, (x${base})`);
      }
      continue;
    }
    if (row.syntax.includes("(s)")) {
      bits = (bits & ~(31 << 15)) | (BASE_REGISTER << 15);
      // Stores go above s0, into the part that is dumped; the table of values below stays.
      if (row.imm === IMM_S) bits &= 0x7fff_ffff;
    }
    if (row.imm === IMM_B || row.imm === IMM_J) {
      // Forward over 0..3 four-byte instructions; the padding runs when the branch is not taken.
      const skip = random.below(4);
      const fixed = row.imm === IMM_B ? bits & 0x01ff_f07f : (bits & 0xfff) | 0;
      const distance = 4 + skip * 4;
      word(
        row.imm === IMM_B
          ? fixed | (((distance >> 1) & 15) << 8) | (((distance >> 5) & 63) << 25)
          : fixed | (((distance >> 1) & 1023) << 21),
      );
      for (let k = 0; k < skip; k++) emit(`addi x${destination()}, x${random.below(32)}, ${random.below(2048)}`);
      continue;
    }
    word(bits);
  }
  return out;
}

/** A static ELF: loads random registers, runs a stream, writes registers and scratch memory to fd 1, exits. */
export function randomProgram(seed: number, options: RandomProgramOptions): Uint8Array {
  const random = new Random(seed);
  const table = new BigUint64Array(256);
  for (let n = 0; n < 256; n++) table[n] = n % 2 === 0 ? specialDouble(random) : specialInteger(random);
  const restore: string[] = [];
  for (let n = 0; n < 32; n++) restore.push(`fld f${n}, ${-2048 + random.below(256) * 8}(s0)`);
  for (let n = 1; n < 32; n++) if (n !== BASE_REGISTER) restore.push(`ld x${n}, ${-2048 + random.below(256) * 8}(s0)`);
  // The loop counter lives above what is saved, and the closing jump clobbers ra in both worlds alike.
  const repeat = options.repeat ?? 1;
  const loop =
    repeat === 1
      ? []
      : [
          `li ra, ${SCRATCH + 8000}`,
          "sc.d zero, zero, (ra)", // ends a reservation: what an SC of another width finds of it is not specified
          "ld t0, 0(ra)",
          "addi t0, t0, 1",
          "sd t0, 0(ra)",
          `li t1, ${repeat}`,
          "bge t0, t1, done",
        ];
  const save: string[] = ["done: addi s0, s0, 2047", "addi s0, s0, 1"];
  for (let n = 1; n < 32; n++) if (n !== BASE_REGISTER) save.push(`sd x${n}, ${n * 8}(s0)`);
  for (let n = 0; n < 32; n++) save.push(`fsd f${n}, ${256 + n * 8}(s0)`);
  const exit = [
    "frcsr a0",
    "sd a0, 0(s0)",
    `li a1, ${SCRATCH + 2048}`,
    "li a0, 1",
    "li a2, 2560",
    "li a7, 64",
    "ecall",
    "li a0, 0",
    "li a7, 93",
    "ecall",
  ];
  const start = assemble([`li s0, ${SCRATCH + 2048}`, "fsrmi 0", ...restore].join("\n"), { origin: CODE_BASE }).bytes;
  const middle = stream(random, options);
  const tail = (distance: number): Uint8Array =>
    assemble(
      [...loop, ...(repeat === 1 ? [] : [`.equ top, . - ${distance}`, "call top"]), ...save, ...exit].join("\n"),
      { origin: 0x10_0000 },
    ).bytes;
  const end = tail(middle.length + assemble(loop.join("\n").replace("done", "."), { origin: 0 }).bytes.length);
  const code = new Uint8Array(start.length + middle.length + end.length);
  code.set(start);
  code.set(middle, start.length);
  code.set(end, start.length + middle.length);
  return elf(code, new Uint8Array(table.buffer));
}

/** A static executable with one code and one data segment. */
function elf(code: Uint8Array, data: Uint8Array): Uint8Array {
  const dataOffset = Math.ceil((4096 + code.length) / 4096) * 4096;
  const file = new Uint8Array(dataOffset + data.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 243, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(CODE_BASE), true);
  view.setBigUint64(32, 64n, true);
  view.setUint32(48, 5, true); // e_flags: RVC, double-float ABI
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, flags: number, offset: number, address: number, filesz: number, memsz: number): void => {
    view.setUint32(at, 1, true);
    view.setUint32(at + 4, flags, true);
    for (const [field, value] of [
      [8, offset],
      [16, address],
      [24, address],
      [32, filesz],
      [40, memsz],
      [48, 4096],
    ])
      view.setBigUint64(at + field, BigInt(value), true);
  };
  segment(64, 5, 4096, CODE_BASE, code.length, code.length);
  segment(120, 6, dataOffset, SCRATCH, data.length, SCRATCH_BYTES);
  file.set(code, 4096);
  file.set(data, dataOffset);
  return file;
}
