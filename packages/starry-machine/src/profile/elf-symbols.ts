/**
 * What a profiler wants of an ELF file: names by address (symtab and dynsym), and the call frame information.
 *
 * Addresses are the file's own (p_vaddr); `addressOf` turns a file offset, as /proc/PID/maps gives it, into one. Only the
 * sections in question are read. Nothing of a broken file is fatal: what cannot be read is not there.
 *
 * Source: System V ABI, chapter 4.
 */
import {
  EHDR_E_PHNUM,
  EHDR_E_PHOFF,
  EHDR_E_SHNUM,
  EHDR_E_SHOFF,
  EHDR_SIZE,
  PHDR_P_FILESZ,
  PHDR_P_OFFSET,
  PHDR_P_TYPE,
  PHDR_P_VADDR,
  PHDR_SIZE,
  PT_LOAD,
  SHDR_SH_ADDR,
  SHDR_SH_LINK,
  SHDR_SH_NAME,
  SHDR_SH_OFFSET,
  SHDR_SH_SIZE,
  SHDR_SH_TYPE,
  SHDR_SIZE,
  SHT_DYNSYM,
  SHT_SYMTAB,
  STT_FUNC,
  SYM_SIZE,
  SYM_ST_INFO,
  SYM_ST_NAME,
  SYM_ST_SHNDX,
  SYM_ST_SIZE,
  SYM_ST_VALUE,
} from "linux-abi";
import { FrameTable } from "./frame-table.ts";

/** Reads up to `byteLength` bytes at `offset` of the file; shorter at its end. */
export type ReadFile = (offset: number, byteLength: number) => Uint8Array;

/** Larger sections are not believed. */
const MAX_SECTION = 256 << 20;

interface Section {
  readonly name: number;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export interface FunctionSymbol {
  readonly name: string;
  readonly start: number;
  /** 0: unknown. */
  readonly size: number;
}

export class ElfSymbols {
  readonly #read: ReadFile;
  readonly #segments: { readonly offset: number; readonly address: number; readonly size: number }[] = [];
  readonly #sections: Section[] = [];
  #functions: readonly FunctionSymbol[] | null = null;
  #frames: FrameTable | null | undefined;

  private constructor(read: ReadFile) {
    this.#read = read;
  }

  /** undefined if it is no 64-bit little-endian ELF file. */
  static open(read: ReadFile): ElfSymbols | undefined {
    const head = read(0, EHDR_SIZE);
    if (head.length < EHDR_SIZE || head[0] !== 0x7f || head[1] !== 0x45 || head[4] !== 2 || head[5] !== 1)
      return undefined;
    const elf = new ElfSymbols(read);
    const view = viewOf(head);
    elf.#readSegments(number64(view, EHDR_E_PHOFF), view.getUint16(EHDR_E_PHNUM, true));
    elf.#readSections(number64(view, EHDR_E_SHOFF), view.getUint16(EHDR_E_SHNUM, true));
    return elf;
  }

  #readSegments(offset: number, count: number): void {
    const view = viewOf(this.#read(offset, count * PHDR_SIZE));
    for (let at = 0; at + PHDR_SIZE <= view.byteLength; at += PHDR_SIZE) {
      if (view.getUint32(at + PHDR_P_TYPE, true) !== PT_LOAD) continue;
      this.#segments.push({
        offset: number64(view, at + PHDR_P_OFFSET),
        address: number64(view, at + PHDR_P_VADDR),
        size: number64(view, at + PHDR_P_FILESZ),
      });
    }
  }

  #readSections(offset: number, count: number): void {
    if (offset === 0) return;
    const view = viewOf(this.#read(offset, count * SHDR_SIZE));
    for (let at = 0; at + SHDR_SIZE <= view.byteLength; at += SHDR_SIZE) {
      this.#sections.push({
        name: view.getUint32(at + SHDR_SH_NAME, true),
        type: view.getUint32(at + SHDR_SH_TYPE, true),
        address: number64(view, at + SHDR_SH_ADDR),
        offset: number64(view, at + SHDR_SH_OFFSET),
        size: number64(view, at + SHDR_SH_SIZE),
        link: view.getUint32(at + SHDR_SH_LINK, true),
      });
    }
  }

  /** The file's address of the byte at `offset` of the file. undefined: it is not loaded. */
  addressOf(offset: number): number | undefined {
    // Mappings begin at page boundaries, a little before the segment.
    const page = 4096;
    const found = this.#segments.find(
      (each) =>
        offset >= Math.floor(each.offset / page) * page && offset < Math.ceil((each.offset + each.size) / page) * page,
    );
    return found === undefined ? undefined : offset - found.offset + found.address;
  }

  /** The function that contains `address`. */
  functionAt(address: number): FunctionSymbol | undefined {
    this.#functions ??= this.#readFunctions();
    const list = this.#functions;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const found = list[low - 1];
    return found !== undefined && (found.size === 0 || address < found.start + found.size) ? found : undefined;
  }

  /** The unwind table, or null. */
  get frames(): FrameTable | null {
    if (this.#frames === undefined) {
      const section = this.#named(".eh_frame");
      this.#frames = section === undefined ? null : new FrameTable(this.#bytes(section), section.address);
    }
    return this.#frames;
  }

  #readFunctions(): FunctionSymbol[] {
    const table =
      this.#sections.find((s) => s.type === SHT_SYMTAB) ?? this.#sections.find((s) => s.type === SHT_DYNSYM);
    const names = table === undefined ? undefined : this.#sections[table.link];
    if (table === undefined || names === undefined) return [];
    const view = viewOf(this.#bytes(table));
    const strings = this.#bytes(names);
    const out: FunctionSymbol[] = [];
    for (let at = 0; at + SYM_SIZE <= view.byteLength; at += SYM_SIZE) {
      if ((view.getUint8(at + SYM_ST_INFO) & 15) !== STT_FUNC || view.getUint16(at + SYM_ST_SHNDX, true) === 0)
        continue;
      const name = stringAt(strings, view.getUint32(at + SYM_ST_NAME, true));
      out.push({ name, start: number64(view, at + SYM_ST_VALUE), size: number64(view, at + SYM_ST_SIZE) });
    }
    // Of several names of one address the first in the order of names: `_IO_puts` and `puts` must not alternate.
    out.sort(
      (a, b) => a.start - b.start || b.size - a.size || rank(a.name) - rank(b.name) || (a.name < b.name ? -1 : 1),
    );
    return out.filter((each, n) => n === 0 || out[n - 1].start !== each.start);
  }

  #named(name: string): Section | undefined {
    const titles = this.#sections.find((s) => s.type === 3 && this.#titleIn(s, s.name) === ".shstrtab");
    return titles === undefined ? undefined : this.#sections.find((s) => this.#titleIn(titles, s.name) === name);
  }
  #titleIn(titles: Section, offset: number): string {
    return offset >= titles.size ? "" : stringAt(this.#read(titles.offset + offset, 32), 0);
  }

  #bytes(section: Section): Uint8Array {
    return section.size > MAX_SECTION ? new Uint8Array(0) : this.#read(section.offset, section.size);
  }
}

/** Names with underscores in front are the less telling ones. */
function rank(name: string): number {
  return name.startsWith("__") ? 2 : name.startsWith("_") ? 1 : 0;
}

function stringAt(bytes: Uint8Array, offset: number): string {
  let end = offset;
  while (end < bytes.length && bytes[end] !== 0) end++;
  return new TextDecoder().decode(bytes.subarray(offset, end));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function number64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 4294967296 + view.getUint32(at, true);
}
