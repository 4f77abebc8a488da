/**
 * Lays out an ELF shared object of one page: headers, symbol tables with one version, unwind information, code.
 *
 * Everything is in one PT_LOAD, section headers included, so that a debugger can make an object file of the mapped page.
 * Every function must leave sp and ra alone (one FDE says so for all of them), except those before `unwindFrom`.
 *
 *   0 ELF header · program headers · .hash · .dynsym · .dynstr · .gnu.version · .gnu.version_d · .dynamic
 *     .eh_frame_hdr · .eh_frame · .text · .shstrtab · section headers
 *
 * Source: System V ABI, chapters 4 and 5; LSB 5.0, 10.6 (exception frames) and 10.7 (symbol versions); RISC-V ELF psABI.
 */
export interface SharedObject {
  readonly soName: string;
  readonly version: string;
  /** Assembles the code for the image offset it will have; offsets in the result are image offsets. */
  readonly assemble: (textOffset: number) => {
    readonly bytes: Uint8Array;
    readonly functions: ReadonlyMap<string, readonly [start: number, end: number]>;
    /** From here on the FDE holds. */
    readonly unwindFrom: number;
  };
}

const PAGE = 4096;
const [SHT_PROGBITS, SHT_STRTAB, SHT_HASH, SHT_DYNAMIC, SHT_DYNSYM] = [1, 3, 5, 6, 11];
const [SHT_VERDEF, SHT_VERSYM] = [0x6ffffffd, 0x6fffffff];
const [SHF_ALLOC, SHF_EXEC] = [2, 6];
const RELATIVE_TO_PC = 0x1b; // DW_EH_PE_pcrel | sdata4

interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
  readonly entrySize: number;
  readonly bytes: Uint8Array;
}

/** The image, a multiple of 4 bytes and less than a page. */
export function buildSharedObject(object: SharedObject): Uint8Array {
  // Sizes do not depend on addresses: the first round finds out where the code goes.
  let textOffset = 0;
  for (;;) {
    const code = object.assemble(textOffset);
    const image = new Layout(object, code);
    if (image.textOffset === textOffset) return image.bytes();
    textOffset = image.textOffset;
  }
}

class Layout {
  readonly #sections: { section: Section; offset: number }[] = [];
  readonly #end: number;
  textOffset = 0;

  constructor(object: SharedObject, code: ReturnType<SharedObject["assemble"]>) {
    const names = [...code.functions.keys()];
    const strings = new Strings();
    const at = (name: string): number => this.#sections.find((s) => s.section.name === name)?.offset ?? 0;
    let end = 64 + 56 * 3;
    const add = (name: string, type: number, bytes: Uint8Array, more: Partial<Section> = {}): void => {
      const align = more.align ?? 8;
      end = Math.ceil(end / align) * align;
      const section = { name, type, flags: SHF_ALLOC, link: 0, info: 0, entrySize: 0, ...more, align, bytes };
      this.#sections.push({ section, offset: end });
      end += bytes.length;
    };
    const symbols = names.map((name) => {
      const [start, stop] = code.functions.get(name) as readonly [number, number];
      // STB_GLOBAL STT_FUNC, default visibility, section 9 = .text
      return words(["4", strings.of(name)], ["1", 0x12], ["1", 0], ["2", 9], ["8", start], ["8", stop - start]);
    });
    const versions = [object.soName, object.version].map((name, n) =>
      words(
        ...pairs("2", [1, n === 0 ? 1 : 0, n + 1, 1]), // vd_version, flags (VER_FLG_BASE), index, count
        ...pairs("4", [elfHash(name), 20, n === 0 ? 28 : 0, strings.of(name), 0]),
      ),
    );
    add(".hash", SHT_HASH, hashTable(names), { link: 2, entrySize: 4 });
    add(".dynsym", SHT_DYNSYM, join([new Uint8Array(24), ...symbols]), { link: 3, info: 1, entrySize: 24 });
    add(".dynstr", SHT_STRTAB, strings.bytes, { align: 1 });
    add(".gnu.version", SHT_VERSYM, words(...pairs("2", [0, ...names.map(() => 2)])), {
      link: 2,
      align: 2,
      entrySize: 2,
    });
    add(".gnu.version_d", SHT_VERDEF, join(versions), { link: 3, info: 2 });
    const dynamic: [number, number][] = [
      [14, strings.of(object.soName)], // DT_SONAME
      [4, at(".hash")],
      [5, at(".dynstr")],
      [6, at(".dynsym")],
      [10, strings.bytes.length],
      [11, 24], // DT_SYMENT
      [0x6ffffffc, at(".gnu.version_d")],
      [0x6ffffffd, 2],
      [0x6ffffff0, at(".gnu.version")],
      [0, 0],
    ];
    add(".dynamic", SHT_DYNAMIC, words(...pairs("8", dynamic.flat())), { link: 3, entrySize: 16 });
    // The header: version, encodings of (frame pointer: pcrel sdata4, count: udata4, table: datarel sdata4).
    const header = Math.ceil(end / 4) * 4;
    const frame = header + 20;
    const text = Math.ceil((frame + 24 + 24) / 16) * 16;
    const [from, to] = [code.unwindFrom, text + code.bytes.length];
    add(
      ".eh_frame_hdr",
      SHT_PROGBITS,
      words(
        ["1", 1],
        ["1", RELATIVE_TO_PC],
        ["1", 3],
        ["1", 0x3b],
        ...pairs("4", [16, 1, from - header, frame + 24 - header]),
      ),
      { align: 4 },
    );
    // CIE: version 1, "zR", code alignment 1, data alignment -8, return address x1; DW_CFA_def_cfa x2, 0. FDE: no changes.
    const cie = words(
      ["4", 20],
      ["4", 0],
      ...pairs("1", [1, 0x7a, 0x52, 0, 1, 0x78, 1, 1, RELATIVE_TO_PC, 0x0c, 2, 0, 0, 0, 0, 0]),
    );
    const fde = words(...pairs("4", [16, 28, from - (frame + 32), to - from]), ...pairs("1", [0, 0, 0, 0]), ["4", 0]);
    add(".eh_frame", SHT_PROGBITS, join([cie, fde]), { align: 4 });
    add(".text", SHT_PROGBITS, code.bytes, { align: 16, flags: SHF_EXEC });
    this.textOffset = at(".text");
    const titles = new Strings();
    for (const { section } of this.#sections) titles.of(section.name);
    titles.of(".shstrtab");
    add(".shstrtab", SHT_STRTAB, titles.bytes, { align: 1, flags: 0 });
    this.#end = Math.ceil(end / 8) * 8;
    this.#titles = titles;
  }
  readonly #titles: Strings;

  bytes(): Uint8Array {
    const count = this.#sections.length + 1;
    const total = this.#end + 64 * count;
    if (total > PAGE) throw new RangeError(`the image needs ${total} bytes`);
    const find = (name: string): [number, number] => {
      const found = this.#sections.find((s) => s.section.name === name);
      if (found === undefined) throw new RangeError(name);
      return [found.offset, found.section.bytes.length];
    };
    const segment = (type: number, flags: number, offset: number, size: number, align: number): Uint8Array =>
      words(["4", type], ["4", flags], ...pairs("8", [offset, offset, offset, size, size, align]));
    const out = new Uint8Array(total);
    out.set(
      join([
        // ELFCLASS64, little endian; ET_DYN, EM_RISCV; EF_RISCV_RVC | double float ABI
        words(...pairs("1", [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]), ["8", 0], ...pairs("2", [3, 243]), ["4", 1]),
        words(
          ...pairs("8", [this.textOffset, 64, this.#end]),
          ["4", 5],
          ...pairs("2", [64, 56, 3, 64, count, count - 1]),
        ),
        segment(1, 5, 0, total, PAGE), // PT_LOAD, R X
        segment(2, 4, ...find(".dynamic"), 8),
        segment(0x6474e550, 4, ...find(".eh_frame_hdr"), 4),
      ]),
    );
    for (const { section, offset } of this.#sections) out.set(section.bytes, offset);
    this.#sections.forEach(({ section: s, offset }, n) => {
      const address = (s.flags & SHF_ALLOC) !== 0 ? offset : 0;
      const head = words(
        ["4", this.#titles.of(s.name)],
        ["4", s.type],
        ...pairs("8", [s.flags, address, offset, s.bytes.length]),
      );
      out.set(
        join([head, words(["4", s.link], ["4", s.info], ...pairs("8", [s.align, s.entrySize]))]),
        this.#end + 64 * (n + 1),
      );
    });
    return out;
  }
}

/** A string table. */
class Strings {
  #text = "\0";
  of(name: string): number {
    const known = this.#text.indexOf(`\0${name}\0`);
    if (known >= 0) return known + 1;
    const at = this.#text.length;
    this.#text += `${name}\0`;
    return at;
  }
  get bytes(): Uint8Array {
    return new TextEncoder().encode(this.#text);
  }
}

/** DT_HASH with one bucket per symbol. */
function hashTable(names: readonly string[]): Uint8Array {
  const buckets = new Array<number>(names.length).fill(0);
  const chain = new Array<number>(names.length + 1).fill(0);
  names.forEach((name, n) => {
    const bucket = elfHash(name) % names.length;
    chain[n + 1] = buckets[bucket];
    buckets[bucket] = n + 1;
  });
  return words(...pairs("4", [buckets.length, chain.length, ...buckets, ...chain]));
}

function elfHash(name: string): number {
  let hash = 0;
  for (const letter of name) {
    hash = (hash * 16 + letter.charCodeAt(0)) >>> 0;
    const high = hash & 0xf000_0000;
    hash = ((hash ^ (high >>> 24)) & ~high) >>> 0;
  }
  return hash;
}

type Field = readonly [byteLength: "1" | "2" | "4" | "8", value: number];

function pairs(byteLength: Field[0], values: readonly number[]): Field[] {
  return values.map((value) => [byteLength, value]);
}

/** Little-endian fields in a row. */
function words(...fields: readonly Field[]): Uint8Array {
  const out: number[] = [];
  for (const [byteLength, value] of fields)
    for (let n = 0; n < Number(byteLength); n++) out.push(n < 4 ? (value >>> (8 * n)) & 255 : 0);
  return Uint8Array.from(out);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
