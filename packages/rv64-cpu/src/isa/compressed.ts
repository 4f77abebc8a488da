/**
 * Expansion of the C extension: every 16-bit instruction is one 32-bit instruction (Volume I, chapter 26), and the
 * hart executes that. The record of the predecoder keeps the length, so only the pc knows the difference.
 */

const R = (opcode: number, funct3: number, funct7: number, rd: number, rs1: number, rs2: number): number =>
  opcode | (rd << 7) | (funct3 << 12) | (rs1 << 15) | (rs2 << 20) | (funct7 << 25);
const I = (opcode: number, funct3: number, rd: number, rs1: number, imm: number): number =>
  opcode | (rd << 7) | (funct3 << 12) | (rs1 << 15) | (imm << 20);
const S = (opcode: number, funct3: number, rs1: number, rs2: number, imm: number): number =>
  opcode | ((imm & 31) << 7) | (funct3 << 12) | (rs1 << 15) | (rs2 << 20) | ((imm >> 5) << 25);
const B = (funct3: number, rs1: number, imm: number): number =>
  0x63 |
  (((imm >> 11) & 1) << 7) |
  (((imm >> 1) & 15) << 8) |
  (funct3 << 12) |
  (rs1 << 15) |
  (((imm >> 5) & 63) << 25) |
  (((imm >> 12) & 1) << 31);
const J = (rd: number, imm: number): number =>
  0x6f |
  (rd << 7) |
  (((imm >> 12) & 255) << 12) |
  (((imm >> 11) & 1) << 20) |
  (((imm >> 1) & 1023) << 21) |
  (((imm >> 20) & 1) << 31);

/** Bit `from` of `value`, moved to bit `to`. */
const bit = (value: number, from: number, to: number): number => ((value >> from) & 1) << to;

const RA = 1;
const SP = 2;

/** The 32-bit form of the 16-bit instruction in the low half of `half`, or 0 if it is reserved or illegal. */
export function expandCompressed(half: number): number {
  const c = half & 0xffff;
  const rd = (c >> 7) & 31;
  const rs2 = (c >> 2) & 31;
  const rdp = 8 + ((c >> 2) & 7);
  const rs1p = 8 + ((c >> 7) & 7);
  const imm6 = (((c >> 12) & 1) * -32) | ((c >> 2) & 31);
  switch (((c & 3) << 3) | (c >> 13)) {
    // Quadrant 0: stack-pointer add and register-based loads and stores.
    case 0o00: {
      const imm = ((c >> 1) & 0x3c0) | ((c >> 7) & 0x30) | bit(c, 5, 3) | bit(c, 6, 2);
      return imm === 0 ? 0 : I(0x13, 0, rdp, SP, imm); // c.addi4spn
    }
    case 0o01:
      return I(0x07, 3, rdp, rs1p, offsetD(c)); // c.fld
    case 0o02:
      return I(0x03, 2, rdp, rs1p, offsetW(c)); // c.lw
    case 0o03:
      return I(0x03, 3, rdp, rs1p, offsetD(c)); // c.ld
    case 0o05:
      return S(0x27, 3, rs1p, rdp, offsetD(c)); // c.fsd
    case 0o06:
      return S(0x23, 2, rs1p, rdp, offsetW(c)); // c.sw
    case 0o07:
      return S(0x23, 3, rs1p, rdp, offsetD(c)); // c.sd
    // Quadrant 1: immediates, arithmetic, branches.
    case 0o10:
      return I(0x13, 0, rd, rd, imm6); // c.addi, c.nop
    case 0o11:
      return rd === 0 ? 0 : I(0x1b, 0, rd, rd, imm6); // c.addiw
    case 0o12:
      return I(0x13, 0, rd, 0, imm6); // c.li
    case 0o13: {
      if (rd !== SP) return imm6 === 0 ? 0 : 0x37 | (rd << 7) | (imm6 << 12); // c.lui
      const imm = (bit(c, 12, 9) * -1) | bit(c, 3, 7) | bit(c, 4, 8) | bit(c, 5, 6) | bit(c, 2, 5) | bit(c, 6, 4);
      return imm === 0 ? 0 : I(0x13, 0, SP, SP, imm); // c.addi16sp
    }
    case 0o14:
      return arithmetic(c, rs1p, rdp, imm6);
    case 0o15:
      return J(0, offsetJ(c)); // c.j
    case 0o16:
      return B(0, rs1p, offsetB(c)); // c.beqz
    case 0o17:
      return B(1, rs1p, offsetB(c)); // c.bnez
    // Quadrant 2: stack-pointer loads and stores, register moves and jumps.
    case 0o20:
      return I(0x13, 1, rd, rd, imm6 & 63); // c.slli
    case 0o21:
      return I(0x07, 3, rd, SP, offsetDsp(c)); // c.fldsp
    case 0o22:
      return rd === 0 ? 0 : I(0x03, 2, rd, SP, ((c >> 2) & 0x1c) | bit(c, 12, 5) | ((c & 0xc) << 4)); // c.lwsp
    case 0o23:
      return rd === 0 ? 0 : I(0x03, 3, rd, SP, offsetDsp(c)); // c.ldsp
    case 0o24:
      if ((c & 0x1000) === 0) {
        if (rs2 !== 0) return R(0x33, 0, 0, rd, 0, rs2); // c.mv
        return rd === 0 ? 0 : I(0x67, 0, 0, rd, 0); // c.jr
      }
      if (rs2 !== 0) return R(0x33, 0, 0, rd, rd, rs2); // c.add
      return rd === 0 ? 0x0010_0073 : I(0x67, 0, RA, rd, 0); // c.ebreak, c.jalr
    case 0o25:
      return S(0x27, 3, SP, rs2, ((c >> 7) & 0x38) | ((c >> 1) & 0x1c0)); // c.fsdsp
    case 0o26:
      return S(0x23, 2, SP, rs2, ((c >> 7) & 0x3c) | ((c >> 1) & 0xc0)); // c.swsp
    case 0o27:
      return S(0x23, 3, SP, rs2, ((c >> 7) & 0x38) | ((c >> 1) & 0x1c0)); // c.sdsp
    default:
      return 0;
  }
}

function arithmetic(c: number, rd: number, rs2: number, imm6: number): number {
  switch ((c >> 10) & 3) {
    case 0:
      return I(0x13, 5, rd, rd, imm6 & 63); // c.srli
    case 1:
      return I(0x13, 5, rd, rd, (imm6 & 63) | 0x400); // c.srai
    case 2:
      return I(0x13, 7, rd, rd, imm6); // c.andi
  }
  switch (((c >> 10) & 4) | ((c >> 5) & 3)) {
    case 0:
      return R(0x33, 0, 0x20, rd, rd, rs2); // c.sub
    case 1:
      return R(0x33, 4, 0, rd, rd, rs2); // c.xor
    case 2:
      return R(0x33, 6, 0, rd, rd, rs2); // c.or
    case 3:
      return R(0x33, 7, 0, rd, rd, rs2); // c.and
    case 4:
      return R(0x3b, 0, 0x20, rd, rd, rs2); // c.subw
    case 5:
      return R(0x3b, 0, 0, rd, rd, rs2); // c.addw
    default:
      return 0;
  }
}

const offsetW = (c: number): number => ((c >> 7) & 0x38) | bit(c, 6, 2) | bit(c, 5, 6);
const offsetD = (c: number): number => ((c >> 7) & 0x38) | ((c << 1) & 0xc0);
const offsetDsp = (c: number): number => ((c >> 2) & 0x18) | bit(c, 12, 5) | ((c & 0x1c) << 4);
const offsetB = (c: number): number =>
  (bit(c, 12, 8) * -1) |
  bit(c, 11, 4) |
  bit(c, 10, 3) |
  bit(c, 6, 7) |
  bit(c, 5, 6) |
  bit(c, 4, 2) |
  bit(c, 3, 1) |
  bit(c, 2, 5);
const offsetJ = (c: number): number =>
  (bit(c, 12, 11) * -1) |
  bit(c, 11, 4) |
  bit(c, 10, 9) |
  bit(c, 9, 8) |
  bit(c, 8, 10) |
  bit(c, 7, 6) |
  bit(c, 6, 7) |
  bit(c, 5, 3) |
  bit(c, 4, 2) |
  bit(c, 3, 1) |
  bit(c, 2, 5);
