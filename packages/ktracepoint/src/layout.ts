/**
 * C declarations of event fields and the binary layout Linux gives them on a 64-bit little-endian machine.
 *
 * A field is written exactly as the `format` file shows it: "pid_t prev_pid", "char comm[16]", "unsigned long args[6]",
 * "__data_loc char[] filename". A record is
 *
 *   0  u16 common_type   2 u8 common_flags   3 u8 common_preempt_count   4 i32 common_pid
 *   8  the fields, each at its natural alignment
 *   dataOffset  bytes of the __data_loc fields, which hold (byteLength << 16 | offset from the record's start)
 *
 * Source: Linux include/trace/stages/, kernel/trace/trace_events.c; `char` is unsigned (riscv64, and everywhere since 6.2).
 */

/** Bytes of the common_* fields in front of every record. */
export const COMMON_HEADER_SIZE = 8;

export const FIELD_NUMBER = 0;
/** `T x[n]` of a numeric type other than char. */
export const FIELD_ARRAY = 1;
/** `char x[n]`, NUL-terminated. */
export const FIELD_STRING = 2;
/** `__data_loc char[] x`. */
export const FIELD_DYNAMIC_STRING = 3;
/** `__data_loc T[] x` of another type: bytes. */
export const FIELD_DYNAMIC_ARRAY = 4;
/** `char x[]`: the rest of the record (ftrace:print only). */
export const FIELD_FLEXIBLE_STRING = 5;

export type FieldKind = 0 | 1 | 2 | 3 | 4 | 5;

/** One field with its place in the record. Sizes and offsets are bytes. */
export interface FieldLayout {
  /** As in the format file, without the final semicolon. */
  readonly declaration: string;
  readonly name: string;
  readonly kind: FieldKind;
  readonly offset: number;
  /** The whole field: 4 for __data_loc, element size × count for arrays. */
  readonly size: number;
  readonly elementSize: number;
  /** 1 for a scalar, 0 for dynamic and flexible arrays. */
  readonly count: number;
  readonly signed: boolean;
}

/** A declaration, or one whose slot differs from its C type (system call arguments are registers: 8 bytes each). */
export type FieldSpec = string | { readonly declaration: string; readonly size: number; readonly signed: boolean };

export interface RecordLayout {
  readonly common: readonly FieldLayout[];
  readonly fields: readonly FieldLayout[];
  /** Where dynamic data starts: the end of the last field. */
  readonly dataOffset: number;
  /** sizeof(struct): the length of a record without dynamic data. */
  readonly fixedSize: number;
  readonly byName: ReadonlyMap<string, FieldLayout>;
}

const signed = (size: number): { size: number; signed: boolean } => ({ size, signed: true });
const unsigned = (size: number): { size: number; signed: boolean } => ({ size, signed: false });

/** Every C type name a declaration may use: LP64, riscv64. */
const C_TYPES: ReadonlyMap<string, { size: number; signed: boolean }> = new Map([
  ["bool", unsigned(1)],
  ["char", unsigned(1)],
  ["signed char", signed(1)],
  ["unsigned char", unsigned(1)],
  ["short", signed(2)],
  ["unsigned short", unsigned(2)],
  ["int", signed(4)],
  ["unsigned", unsigned(4)],
  ["unsigned int", unsigned(4)],
  ["long", signed(8)],
  ["unsigned long", unsigned(8)],
  ["long long", signed(8)],
  ["unsigned long long", unsigned(8)],
  ["s8", signed(1)],
  ["s16", signed(2)],
  ["s32", signed(4)],
  ["s64", signed(8)],
  ["u8", unsigned(1)],
  ["u16", unsigned(2)],
  ["u32", unsigned(4)],
  ["u64", unsigned(8)],
  ["__u8", unsigned(1)],
  ["__u16", unsigned(2)],
  ["__u32", unsigned(4)],
  ["__u64", unsigned(8)],
  ["__s32", signed(4)],
  ["__s64", signed(8)],
  ["pid_t", signed(4)],
  ["uid_t", unsigned(4)],
  ["gid_t", unsigned(4)],
  ["dev_t", unsigned(4)],
  ["umode_t", unsigned(2)],
  ["sector_t", unsigned(8)],
  ["size_t", unsigned(8)],
  ["ssize_t", signed(8)],
  ["loff_t", signed(8)],
  ["ino_t", unsigned(8)],
]);

/** Size and signedness of a C type name; a pointer is an unsigned 8-byte number. */
export function cTypeOf(name: string): { size: number; signed: boolean } | undefined {
  const plain = name
    .replace(/\b(const|volatile)\b/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  if (plain.endsWith("*")) return { size: 8, signed: false };
  return C_TYPES.get(plain.replace(/^(struct|union|enum) .*/, "").trim());
}

const DYNAMIC = /^__data_loc\s+(.+?)\s*\[\]\s*([A-Za-z_]\w*)$/;
const PLAIN = /^(.+?)\s*\b([A-Za-z_]\w*)(?:\[(\d*)\])?$/;

type Shape = Omit<FieldLayout, "offset" | "declaration">;

function shapeOf(declaration: string): Shape {
  const dynamic = DYNAMIC.exec(declaration);
  if (dynamic !== null) {
    const type = requireType(dynamic[1]!, declaration);
    const kind = dynamic[1] === "char" ? FIELD_DYNAMIC_STRING : FIELD_DYNAMIC_ARRAY;
    return { name: dynamic[2]!, kind, size: 4, elementSize: type.size, count: 0, signed: type.signed };
  }
  const plain = PLAIN.exec(declaration);
  if (plain === null) throw new TypeError(`"fields" expected a C declaration, got ${JSON.stringify(declaration)}`);
  const type = requireType(plain[1]!, declaration);
  const name = plain[2]!;
  const isChar = plain[1] === "char";
  if (plain[3] === undefined)
    return { name, kind: FIELD_NUMBER, size: type.size, elementSize: type.size, count: 1, signed: type.signed };
  if (plain[3] === "") {
    if (!isChar) throw new TypeError(`"fields" expected a length in ${JSON.stringify(declaration)}`);
    return { name, kind: FIELD_FLEXIBLE_STRING, size: 0, elementSize: 1, count: 0, signed: type.signed };
  }
  const count = Number(plain[3]);
  if (count < 1 || count > 1024)
    throw new RangeError(`"fields" expected an array of 1..1024 elements, got ${JSON.stringify(declaration)}`);
  return {
    name,
    kind: isChar ? FIELD_STRING : FIELD_ARRAY,
    size: type.size * count,
    elementSize: type.size,
    count,
    signed: type.signed,
  };
}

function requireType(name: string, declaration: string): { size: number; signed: boolean } {
  const type = cTypeOf(name);
  if (type === undefined) throw new TypeError(`"fields" expected a known C type, got ${JSON.stringify(declaration)}`);
  return type;
}

function place(specs: readonly FieldSpec[], start: number): { fields: FieldLayout[]; end: number; alignment: number } {
  const fields: FieldLayout[] = [];
  let end = start;
  let alignment = 4;
  for (const spec of specs) {
    const declaration = typeof spec === "string" ? spec : spec.declaration;
    let shape = shapeOf(declaration);
    if (typeof spec !== "string") shape = { ...shape, size: spec.size, elementSize: spec.size, signed: spec.signed };
    const unit = shape.kind === FIELD_DYNAMIC_STRING || shape.kind === FIELD_DYNAMIC_ARRAY ? 4 : shape.elementSize;
    const offset = Math.ceil(end / unit) * unit;
    fields.push({ declaration, offset, ...shape });
    end = offset + shape.size;
    alignment = Math.max(alignment, unit);
  }
  return { fields, end, alignment };
}

const COMMON_FIELDS: readonly FieldLayout[] = /* @__PURE__ */ place(
  ["unsigned short common_type", "unsigned char common_flags", "unsigned char common_preempt_count", "int common_pid"],
  0,
).fields;

/** Lays out an event's fields behind the common header. Throws TypeError for a declaration it does not know or a name used twice. */
export function layoutRecord(specs: readonly FieldSpec[]): RecordLayout {
  const { fields, end, alignment } = place(specs, COMMON_HEADER_SIZE);
  const byName = new Map<string, FieldLayout>();
  for (const field of [...fields, ...COMMON_FIELDS]) {
    if (byName.has(field.name))
      throw new TypeError(`"fields" expected unique names, got ${JSON.stringify(field.name)} twice`);
    byName.set(field.name, field);
  }
  return { common: COMMON_FIELDS, fields, dataOffset: end, fixedSize: Math.ceil(end / alignment) * alignment, byName };
}
