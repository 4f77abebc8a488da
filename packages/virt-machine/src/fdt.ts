/**
 * Flattened device tree (DTB) writer.
 *
 *   buildFdt(node("", { "#address-cells": 2, compatible: "riscv-virtio" }, [node("chosen", { … })]))
 *
 * Property values: a string or strings (NUL-terminated), a number or numbers (big-endian 32-bit cells), bytes, or true
 * (an empty property). 64-bit values are written with `cells64`.
 *
 * Layout: header | memory reservations (none) | structure | strings.   Spec: Devicetree v0.4, chapter 5.
 */

export type FdtValue = string | readonly string[] | number | readonly number[] | Uint8Array | true;

export interface FdtNode {
  /** Unit name, e.g. "serial@10000000"; "" for the root. */
  readonly name: string;
  readonly properties: Readonly<Record<string, FdtValue>>;
  readonly children: readonly FdtNode[];
}

const FDT_MAGIC = 0xd00d_feed;
const FDT_VERSION = 17;
const FDT_LAST_COMPATIBLE_VERSION = 16;
const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_END = 9;
const HEADER_SIZE = 40;
const RESERVATION_SIZE = 16; // the terminating entry

export function node(
  name: string,
  properties: Readonly<Record<string, FdtValue>>,
  children: readonly FdtNode[] = [],
): FdtNode {
  return { name, properties, children };
}

/** 64-bit numbers as pairs of cells: `cells64(0x8000_0000, size)` for a `reg` with two address and two size cells. */
export function cells64(...values: readonly number[]): number[] {
  return values.flatMap((value) => [Math.floor(value / 0x1_0000_0000), value >>> 0]);
}

/** The device tree as bytes. Throws RangeError for a name that is not ASCII or a cell that is no 32-bit integer. */
export function buildFdt(root: FdtNode): Uint8Array {
  const structure = new ByteWriter();
  const strings = new ByteWriter();
  const stringOffsets = new Map<string, number>();

  const writeNode = (each: FdtNode): void => {
    structure.u32(FDT_BEGIN_NODE);
    structure.string(each.name);
    structure.align();
    for (const [name, value] of Object.entries(each.properties)) {
      let offset = stringOffsets.get(name);
      if (offset === undefined) {
        offset = strings.length;
        stringOffsets.set(name, offset);
        strings.string(name);
      }
      const bytes = encode(value);
      structure.u32(FDT_PROP);
      structure.u32(bytes.length);
      structure.u32(offset);
      structure.bytes(bytes);
      structure.align();
    }
    for (const child of each.children) writeNode(child);
    structure.u32(FDT_END_NODE);
  };
  writeNode(root);
  structure.u32(FDT_END);

  const structureOffset = HEADER_SIZE + RESERVATION_SIZE;
  const stringsOffset = structureOffset + structure.length;
  const out = new ByteWriter();
  for (const word of [
    FDT_MAGIC,
    stringsOffset + strings.length,
    structureOffset,
    stringsOffset,
    HEADER_SIZE,
    FDT_VERSION,
    FDT_LAST_COMPATIBLE_VERSION,
    0, // boot CPU
    strings.length,
    structure.length,
  ]) {
    out.u32(word);
  }
  for (let i = 0; i < RESERVATION_SIZE / 4; i++) out.u32(0);
  out.bytes(structure.finish());
  out.bytes(strings.finish());
  return out.finish();
}

function encode(value: FdtValue): Uint8Array {
  const writer = new ByteWriter();
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") writer.string(value);
  else if (typeof value === "number") writer.u32(value);
  else if (value !== true) {
    for (const each of value) {
      if (typeof each === "string") writer.string(each);
      else writer.u32(each);
    }
  }
  return writer.finish();
}

class ByteWriter {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  u32(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new RangeError(`"cell" expected a 32-bit unsigned integer, got ${value}`);
    }
    this.#bytes.push((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
  }

  /** ASCII and a NUL. */
  string(value: string): void {
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code === 0 || code > 0x7f) throw new RangeError(`"${value}" expected ASCII`);
      this.#bytes.push(code);
    }
    this.#bytes.push(0);
  }

  bytes(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) this.#bytes.push(bytes[i]);
  }

  align(): void {
    while (this.#bytes.length % 4 !== 0) this.#bytes.push(0);
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}
