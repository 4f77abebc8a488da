/**
 * What gdb is told about the target: registers in the order of the `g` packet, as target.xml ("RISC-V Features" of the GDB
 * manual), and their place in a task.
 *
 *   0..31 x0..x31 · 32 pc · 33..64 f0..f31 · 65 reserved · 66 fflags · 67 frm · 68 fcsr     (gdb's own numbers for RISC-V)
 */
import { F_NAMES, X_NAMES } from "rv64-cpu/isa";

export const REG_SP = 2;
export const REG_FP = 8;
export const REG_PC = 32;
const REG_F0 = 33;
const REG_FFLAGS = 66;
const REG_FRM = 67;
const REG_FCSR = 68;
/** In the order of the g packet. */
const ORDER: readonly number[] = [...Array.from({ length: REG_F0 + 32 }, (_, n) => n), REG_FFLAGS, REG_FRM, REG_FCSR];

/** Registers of a task that is not on the hart. */
export interface RegisterFile {
  /** Int32 pairs, low half first. */
  readonly x: Int32Array;
  readonly f: Int32Array;
  pc: number;
  fcsr: number;
}

/** All registers as the g packet has them, little endian. */
export function packRegisters(file: RegisterFile): Uint8Array {
  const parts = ORDER.map((number) => readRegister(file, number) as Uint8Array);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The G packet's counterpart. False if the length is wrong. */
export function unpackRegisters(file: RegisterFile, bytes: Uint8Array): boolean {
  let at = 0;
  for (const number of ORDER) {
    const size = number < REG_FFLAGS ? 8 : 4;
    if (!writeRegister(file, number, bytes.subarray(at, at + size))) return false;
    at += size;
  }
  return at === bytes.length;
}

/** Bytes of a register, or undefined if there is none of this number. */
export function readRegister(file: RegisterFile, number: number): Uint8Array | undefined {
  if (number < REG_PC) return pair(file.x, number);
  if (number === REG_PC) return words(file.pc | 0, Math.floor(file.pc / 2 ** 32));
  if (number >= REG_F0 && number < REG_F0 + 32) return pair(file.f, number - REG_F0);
  if (number === REG_FFLAGS) return words(file.fcsr & 31);
  if (number === REG_FRM) return words((file.fcsr >> 5) & 7);
  return number === REG_FCSR ? words(file.fcsr) : undefined;
}

/** False if there is no such register or the size is wrong. */
export function writeRegister(file: RegisterFile, number: number, bytes: Uint8Array): boolean {
  const size = number < REG_FFLAGS ? 8 : 4;
  if (bytes.length !== size) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const low = view.getInt32(0, true);
  if (number === 0) return true; // x0 stays zero
  if (number < REG_PC) setPair(file.x, number, view);
  else if (number === REG_PC) file.pc = view.getInt32(4, true) * 2 ** 32 + (low >>> 0);
  else if (number >= REG_F0 && number < REG_F0 + 32) setPair(file.f, number - REG_F0, view);
  else if (number === REG_FFLAGS) file.fcsr = (file.fcsr & ~31) | (low & 31);
  else if (number === REG_FRM) file.fcsr = (file.fcsr & 31) | ((low & 7) << 5);
  else if (number === REG_FCSR) file.fcsr = low & 255;
  else return false;
  return true;
}

function pair(file: Int32Array, n: number): Uint8Array {
  return words(file[n * 2], file[n * 2 + 1]);
}

function setPair(file: Int32Array, n: number, view: DataView): void {
  file[n * 2] = view.getInt32(0, true);
  file[n * 2 + 1] = view.getInt32(4, true);
}

function words(...values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, n) => {
    view.setInt32(n * 4, value, true);
  });
  return new Uint8Array(view.buffer);
}

function xType(name: string): string {
  return name === "ra"
    ? "code_ptr"
    : name === "sp" || name === "gp" || name === "tp" || name === "s0"
      ? "data_ptr"
      : "int";
}

/** target.xml */
export function targetDescription(): string {
  const x = X_NAMES.map(
    (name, n) => `<reg name="${n === REG_FP ? "fp" : name}" bitsize="64" regnum="${n}" type="${xType(name)}"/>`,
  );
  const f = F_NAMES.map((name, n) => `<reg name="${name}" bitsize="64" regnum="${REG_F0 + n}" type="riscv_double"/>`);
  const control = ["fflags", "frm", "fcsr"].map(
    (name, n) => `<reg name="${name}" bitsize="32" regnum="${REG_FFLAGS + n}" type="int"/>`,
  );
  return `<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target>
<architecture>riscv:rv64</architecture>
<osabi>GNU/Linux</osabi>
<feature name="org.gnu.gdb.riscv.cpu">
${x.join("\n")}
<reg name="pc" bitsize="64" regnum="${REG_PC}" type="code_ptr"/>
</feature>
<feature name="org.gnu.gdb.riscv.fpu">
<union id="riscv_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>
${f.join("\n")}
${control.join("\n")}
</feature>
</target>
`;
}
