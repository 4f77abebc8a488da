/**
 * A WebAssembly module writer: bytes straight into one growing Uint8Array, no text, no tree.
 *
 * `Code` is a function body under construction; `ModuleBuilder` puts types, imports, functions and exports around the
 * bodies. Only what the hart's emitters need is here.
 *
 * Source: WebAssembly Core Specification 2.0, chapter 5.
 */
import * as op from "./opcodes.ts";

export class Code {
  bytes: Uint8Array;
  length = 0;
  /** Branch hints: pairs of a position and 0 (the next `if` or `br_if` is hardly ever taken) or 1 (nearly always). */
  readonly hints: number[] = [];

  /** `capacity`: a guess of the final size in bytes; it grows as needed. */
  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity);
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = value;
  }

  #grow(extra: number): void {
    const next = new Uint8Array(Math.max(this.bytes.length * 2, this.length + extra));
    next.set(this.bytes.subarray(0, this.length));
    this.bytes = next;
  }

  /** The condition of the `if` or `br_if` that comes next is hardly ever true. */
  unlikely(): void {
    this.hints.push(this.length, 0);
  }

  append(source: Uint8Array, byteLength: number): void {
    if (this.length + byteLength > this.bytes.length) this.#grow(byteLength);
    this.bytes.set(source.subarray(0, byteLength), this.length);
    this.length += byteLength;
  }

  /** Unsigned LEB128 of an integer in 0..2^32-1. */
  u32(value: number): void {
    let v = value >>> 0;
    while (v > 127) {
      this.byte((v & 127) | 128);
      v >>>= 7;
    }
    this.byte(v);
  }

  /** Signed LEB128 of an int32. */
  s32(value: number): void {
    let v = value | 0;
    for (;;) {
      const low = v & 127;
      v >>= 7;
      if ((v === 0 && (low & 64) === 0) || (v === -1 && (low & 64) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 128);
    }
  }

  /** Signed LEB128 of a 64-bit integer given as a safe integer or a bigint. */
  s64(value: number | bigint): void {
    if (typeof value === "number" && value === (value | 0)) return this.s32(value);
    let v = BigInt.asIntN(64, BigInt(value));
    for (;;) {
      const low = Number(v & 127n);
      v >>= 7n;
      if ((v === 0n && (low & 64) === 0) || (v === -1n && (low & 64) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 128);
    }
  }

  i32Const(value: number): void {
    this.byte(op.I32_CONST);
    this.s32(value);
  }

  i64Const(value: number | bigint): void {
    this.byte(op.I64_CONST);
    this.s64(value);
  }

  f64Const(value: number): void {
    this.byte(op.F64_CONST);
    $float.setFloat64(0, value, true);
    for (let n = 0; n < 8; n++) this.byte($float.getUint8(n));
  }

  f32Const(value: number): void {
    this.byte(op.F32_CONST);
    $float.setFloat32(0, value, true);
    for (let n = 0; n < 4; n++) this.byte($float.getUint8(n));
  }

  /** A load or store with the natural alignment hint left at 0, which engines ignore. */
  memory(opcode: number, offset: number): void {
    this.byte(opcode);
    this.byte(0);
    this.u32(offset);
  }

  get(local: number): void {
    this.byte(op.LOCAL_GET);
    this.u32(local);
  }

  set(local: number): void {
    this.byte(op.LOCAL_SET);
    this.u32(local);
  }

  tee(local: number): void {
    this.byte(op.LOCAL_TEE);
    this.u32(local);
  }

  br(depth: number): void {
    this.byte(op.BR);
    this.u32(depth);
  }

  brIf(depth: number): void {
    this.byte(op.BR_IF);
    this.u32(depth);
  }

  call(index: number): void {
    this.byte(op.CALL);
    this.u32(index);
  }
}

const CODE_SECTION = 10;
const $float = new DataView(new ArrayBuffer(8)); // scratch of f32Const and f64Const

interface FunctionBody {
  readonly type: number;
  readonly locals: readonly number[];
  readonly code: Code;
}

export class ModuleBuilder {
  readonly #types: string[] = [];
  readonly #typeBytes: number[][] = [];
  readonly #imports: { module: string; name: string; type: number }[] = [];
  readonly #functions: FunctionBody[] = [];
  readonly #exports: { index: number; name: string }[] = [];
  #memoryPages = 0;
  #tableSize = -1;

  /** The number of the function type (params) -> results. */
  type(params: readonly number[], results: readonly number[]): number {
    const bytes = [0x60, params.length, ...params, results.length, ...results];
    const key = bytes.join();
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    this.#typeBytes.push(bytes);
    return this.#types.push(key) - 1;
  }

  /** Imports a function from module "e"; call it before any {@link addFunction}. Returns its index. */
  importFunction(name: string, params: readonly number[], results: readonly number[]): number {
    return this.#imports.push({ module: "e", name, type: this.type(params, results) }) - 1;
  }

  /** Imports the memory `e.memory`, of exactly `pages` pages of 64 KiB. */
  importMemory(pages: number): void {
    this.#memoryPages = pages;
  }

  /** Imports the function table `e.table`, of exactly `size` entries, so that engines need not look how many it has. */
  importTable(size: number): void {
    this.#tableSize = size;
  }

  /** Exports a function by index under a second name. */
  exportFunction(index: number, name: string): void {
    this.#exports.push({ index, name });
  }

  /** The index that the next function will have. */
  get nextIndex(): number {
    return this.#imports.length + this.#functions.length;
  }

  /** Adds a function; `locals` are the types of its locals after the parameters. Returns its index. */
  addFunction(
    params: readonly number[],
    results: readonly number[],
    locals: readonly number[],
    code: Code,
    exportName = "",
  ): number {
    const index = this.nextIndex;
    this.#functions.push({ type: this.type(params, results), locals, code });
    if (exportName !== "") this.exportFunction(index, exportName);
    return index;
  }

  /** The module's bytes. */
  build(): Uint8Array<ArrayBuffer> {
    let size = 4096;
    for (const { code } of this.#functions) size += code.length + 64;
    const out = new Code(size);
    for (const byte of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(byte);
    this.#section(out, 1, (s) => {
      s.u32(this.#typeBytes.length);
      for (const type of this.#typeBytes) for (const byte of type) s.byte(byte);
    });
    this.#section(out, 2, (s) => {
      s.u32(this.#imports.length + (this.#tableSize >= 0 ? 2 : 1));
      for (const { module, name, type } of this.#imports) {
        text(s, module);
        text(s, name);
        s.byte(0);
        s.u32(type);
      }
      if (this.#tableSize >= 0) {
        text(s, "e");
        text(s, "table");
        s.byte(1);
        s.byte(0x70); // funcref
        s.byte(1); // limits with a maximum
        s.u32(this.#tableSize);
        s.u32(this.#tableSize);
      }
      text(s, "e");
      text(s, "memory");
      s.byte(2);
      s.byte(1); // limits with a maximum
      s.u32(this.#memoryPages);
      s.u32(this.#memoryPages);
    });
    this.#section(out, 3, (s) => {
      s.u32(this.#functions.length);
      for (const f of this.#functions) s.u32(f.type);
    });
    this.#section(out, 7, (s) => {
      s.u32(this.#exports.length);
      for (const { index, name } of this.#exports) {
        text(s, name);
        s.byte(0);
        s.u32(index);
      }
    });
    const heads = this.#functions.map(({ locals }) => {
      const head = new Code(64);
      const runs = runLengths(locals);
      head.u32(runs.length);
      for (const [count, type] of runs) {
        head.u32(count);
        head.byte(type);
      }
      return head;
    });
    if (this.#functions.some(({ code }) => code.hints.length > 0)) this.#section(out, 0, (s) => this.#hints(s, heads));
    this.#section(out, CODE_SECTION, (s) => {
      s.u32(this.#functions.length);
      for (let n = 0; n < this.#functions.length; n++) {
        const f = this.#functions[n];
        const head = heads[n];
        s.u32(head.length + f.code.length + 1);
        s.append(head.bytes, head.length);
        s.append(f.code.bytes, f.code.length);
        s.byte(op.END);
      }
    });
    return out.bytes.slice(0, out.length) as Uint8Array<ArrayBuffer>;
  }

  /** The custom section of the branch hinting proposal; engines that do not know it skip it. */
  #hints(s: Code, heads: readonly Code[]): void {
    text(s, "metadata.code.branch_hint");
    const hinted = this.#functions.flatMap(({ code }, n) => (code.hints.length > 0 ? [n] : []));
    s.u32(hinted.length);
    for (const n of hinted) {
      const { hints } = this.#functions[n].code;
      s.u32(this.#imports.length + n);
      s.u32(hints.length / 2);
      for (let k = 0; k < hints.length; k += 2) {
        s.u32(heads[n].length + hints[k]);
        s.u32(1);
        s.byte(hints[k + 1]);
      }
    }
  }

  #section(out: Code, id: number, fill: (section: Code) => void): void {
    const section = new Code(id === CODE_SECTION ? out.bytes.length : 1024);
    fill(section);
    out.byte(id);
    out.u32(section.length);
    out.append(section.bytes, section.length);
  }
}

function text(out: Code, value: string): void {
  out.u32(value.length);
  for (let n = 0; n < value.length; n++) out.byte(value.charCodeAt(n));
}

function runLengths(types: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const type of types) {
    const last = runs[runs.length - 1];
    if (last !== undefined && last[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  return runs;
}
