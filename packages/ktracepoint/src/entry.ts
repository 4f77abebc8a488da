/**
 * Records in Linux's binary layout: writing them field by field, and reading them back.
 *
 * An `EntryWriter` is the scratch a tracepoint encodes into before filters and callbacks see the record; there is one per nesting
 * depth, so a callback that hits another tracepoint does not overwrite the record it is looking at. The bytes are all
 * zeroed first: nothing of an earlier record can leak through padding.
 */
import {
  FIELD_DYNAMIC_ARRAY,
  FIELD_DYNAMIC_STRING,
  FIELD_STRING,
  type FieldLayout,
  type RecordLayout,
} from "./layout.ts";
import { decodeCString, encodeUtf8Into } from "./utf8.ts";

/** Bytes a record may have at most: what fits a 4096-byte sub-buffer behind its header and the event header. */
export const MAX_RECORD_SIZE: number = 4096 - 16 - 8;

/** common_flags, Linux include/linux/trace_events.h. */
export const TRACE_FLAG_IRQS_OFF = 0x01;
export const TRACE_FLAG_NEED_RESCHED = 0x04;
export const TRACE_FLAG_HARDIRQ = 0x08;
export const TRACE_FLAG_SOFTIRQ = 0x10;
export const TRACE_FLAG_PREEMPT_RESCHED = 0x20;
export const TRACE_FLAG_NMI = 0x40;
export const TRACE_FLAG_BH_OFF = 0x80;

const TWO_32 = 4294967296;

/** Encodes one record. The fields are written in the order of their declaration, each by the method that fits its kind. */
export class EntryWriter {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  readonly #words: Int32Array = new Int32Array(this.bytes.buffer);
  // Views on the first n bytes, made once per length: callbacks get exactly the record without an allocation per event.
  readonly #views: (Uint8Array<ArrayBuffer> | undefined)[] = new Array(4097).fill(undefined);
  #fields: readonly FieldLayout[] = [];
  #next = 0;
  #dataEnd = 0;
  #fixedSize = 0;
  #dataOffset = 0;
  /** Length of the finished record, 0 while there is none. */
  byteLength = 0;

  begin(layout: RecordLayout, type: number, flags: number, pid: number): void {
    const words = this.#words;
    for (let i = (layout.fixedSize + 3) >> 2; i >= 0; i--) words[i] = 0;
    this.#fields = layout.fields;
    this.#fixedSize = layout.fixedSize;
    this.#dataOffset = layout.dataOffset;
    this.#dataEnd = layout.dataOffset;
    this.#next = 0;
    this.byteLength = 0;
    this.#view.setUint16(0, type, true);
    this.#view.setUint16(2, flags, true); // flags, then preempt count
    this.#view.setInt32(4, pid, true);
  }

  end(): void {
    const length = this.#fixedSize + (this.#dataEnd - this.#dataOffset);
    // sizeof() may exceed dataOffset by padding; those bytes stay behind the dynamic data, as on Linux.
    for (let i = this.#dataEnd; i < length; i++) this.bytes[i] = 0;
    this.byteLength = length;
  }

  /** The finished record. Valid until the tracepoint returns; must not be changed. */
  record(): Uint8Array<ArrayBuffer> {
    const length = this.byteLength;
    let view = this.#views[length];
    if (view === undefined) {
      view = this.bytes.subarray(0, length);
      this.#views[length] = view;
    }
    return view;
  }

  /** A numeric field: an integer up to ±2^53, wrapped to the field's size. */
  number(value: number): void {
    const field = this.#fields[this.#next++]!;
    const view = this.#view;
    switch (field.size) {
      case 1:
        this.bytes[field.offset] = value;
        break;
      case 2:
        view.setUint16(field.offset, value, true);
        break;
      case 4:
        view.setInt32(field.offset, value, true);
        break;
      default:
        view.setInt32(field.offset, value, true);
        view.setInt32(field.offset + 4, Math.floor(value / TWO_32), true);
    }
  }

  /** An 8-byte field from its two 32-bit halves. */
  number64(lo: number, hi: number): void {
    const field = this.#fields[this.#next++]!;
    this.#view.setInt32(field.offset, lo, true);
    this.#view.setInt32(field.offset + 4, hi, true);
  }

  /** A `T x[n]` field of 8-byte elements from `count` lo, hi pairs of `source` starting at word `start`. */
  pairs(source: Int32Array, start: number, count: number): void {
    const field = this.#fields[this.#next++]!;
    const n = Math.min(count, field.count) * 2;
    for (let i = 0; i < n; i++) this.#view.setInt32(field.offset + i * 4, source[start + i]!, true);
  }

  /** A `T x[n]` field from numbers; missing elements are 0. */
  array(source: ArrayLike<number>): void {
    const field = this.#fields[this.#next++]!;
    const n = Math.min(source.length, field.count);
    for (let i = 0; i < n; i++) {
      const at = field.offset + i * field.elementSize;
      const value = source[i]!;
      if (field.elementSize === 1) this.bytes[at] = value;
      else if (field.elementSize === 2) this.#view.setUint16(at, value, true);
      else {
        this.#view.setInt32(at, value, true);
        if (field.elementSize === 8) this.#view.setInt32(at + 4, Math.floor(value / TWO_32), true);
      }
    }
  }

  /** A `char x[n]` or `__data_loc char[] x` field; cut to what fits, at a character boundary, and NUL-terminated. */
  string(value: string): void {
    const field = this.#fields[this.#next++]!;
    if (field.kind === FIELD_STRING) {
      encodeUtf8Into(value, this.bytes, field.offset, field.size - 1);
      return;
    }
    const room = this.#dynamicRoom() - 1;
    const length = encodeUtf8Into(value, this.bytes, this.#dataEnd, room) + 1;
    this.bytes[this.#dataEnd + length - 1] = 0;
    this.#closeDynamic(field, length);
  }

  /** A `__data_loc u8[] x` field; cut to what fits. */
  data(value: Uint8Array): void {
    const field = this.#fields[this.#next++]!;
    const length = Math.min(value.length, this.#dynamicRoom());
    for (let i = 0; i < length; i++) this.bytes[this.#dataEnd + i] = value[i]!;
    this.#closeDynamic(field, length);
  }

  /** A `char x[]` field at the end of the layout: its bytes follow the fixed part. Cut to what fits. */
  tail(value: Uint8Array): void {
    this.#next++;
    const length = Math.min(value.length, MAX_RECORD_SIZE - this.#fixedSize);
    for (let i = 0; i < length; i++) this.bytes[this.#dataEnd + i] = value[i]!;
    this.#dataEnd += length;
  }

  /** A value of any kind, chosen by the field: for events without an `assign` of their own. */
  value(value: unknown): void {
    if (typeof value === "number") this.number(value);
    else if (typeof value === "string") this.string(value);
    else if (typeof value === "bigint")
      this.number64(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
    else if (typeof value === "boolean") this.number(value ? 1 : 0);
    else if (value instanceof Uint8Array && this.#fields[this.#next]?.kind === FIELD_DYNAMIC_ARRAY) this.data(value);
    else this.array(value as ArrayLike<number>);
  }

  /** Room for data of this field: every later dynamic field keeps at least its NUL. */
  #dynamicRoom(): number {
    return Math.max(1, MAX_RECORD_SIZE - this.#fixedSize - (this.#dataEnd - this.#dataOffset) - this.#fields.length);
  }

  #closeDynamic(field: FieldLayout, length: number): void {
    this.#view.setInt32(field.offset, (length << 16) | this.#dataEnd, true);
    this.#dataEnd += length;
  }
}

const MAX_DEPTH = 4; // Linux keeps 4 contexts too: task, softirq, irq, NMI
const $writers: EntryWriter[] = []; // scratch, one per nesting depth
let depth = 0;

/** Takes the scratch of the next nesting depth, or null when tracepoints recurse too deep. Pair with `leaveEntry`. */
export function enterEntry(): EntryWriter | null {
  if (depth >= MAX_DEPTH) return null;
  let writer = $writers[depth];
  if (writer === undefined) {
    writer = new EntryWriter();
    $writers.push(writer);
  }
  depth++;
  writer.byteLength = 0;
  return writer;
}

export function leaveEntry(): void {
  depth--;
}

/** The common_* header of a record. */
export class TraceEntry {
  readonly commonType: number;
  readonly commonFlags: number;
  readonly commonPreemptCount: number;
  readonly commonPid: number;

  constructor(record: Uint8Array) {
    this.commonType = commonType(record);
    this.commonFlags = record[2] ?? 0;
    this.commonPreemptCount = record[3] ?? 0;
    this.commonPid = commonPid(record);
  }

  /** The five latency characters: irqs-off, need-resched, hardirq/softirq, preempt depth, migrate disable. */
  tracePrintLatFmt(): string {
    return latencyText(this.commonFlags, this.commonPreemptCount);
  }
}

export function commonType(record: Uint8Array): number {
  return record.length < 2 ? 0 : record[0]! | (record[1]! << 8);
}

export function commonPid(record: Uint8Array): number {
  return readInt32(record, 4);
}

/** Linux kernel/trace/trace_output.c trace_print_lat_fmt. */
export function latencyText(flags: number, preemptCount: number): string {
  if (flags === 0 && preemptCount === 0) return ".....";
  const off = flags & (TRACE_FLAG_IRQS_OFF | TRACE_FLAG_BH_OFF);
  const irqs =
    off === (TRACE_FLAG_IRQS_OFF | TRACE_FLAG_BH_OFF) ? "D" : off === TRACE_FLAG_IRQS_OFF ? "d" : off !== 0 ? "b" : ".";
  const need = flags & (TRACE_FLAG_NEED_RESCHED | TRACE_FLAG_PREEMPT_RESCHED);
  const resched =
    need === (TRACE_FLAG_NEED_RESCHED | TRACE_FLAG_PREEMPT_RESCHED)
      ? "N"
      : need === TRACE_FLAG_NEED_RESCHED
        ? "n"
        : need !== 0
          ? "p"
          : ".";
  const hard = (flags & TRACE_FLAG_HARDIRQ) !== 0;
  const soft = (flags & TRACE_FLAG_SOFTIRQ) !== 0;
  const nmi = (flags & TRACE_FLAG_NMI) !== 0;
  const context = nmi ? (hard ? "Z" : "z") : hard ? (soft ? "H" : "h") : soft ? "s" : ".";
  return irqs + resched + context + hexDigit(preemptCount & 0xf) + hexDigit(preemptCount >> 4);
}

function hexDigit(value: number): string {
  return value === 0 ? "." : value.toString(16);
}

export function readInt32(record: Uint8Array, offset: number): number {
  return record[offset]! | (record[offset + 1]! << 8) | (record[offset + 2]! << 16) | (record[offset + 3]! << 24);
}

/** An integer of `size` bytes: a number where it is exact, else a bigint. */
export function readInteger(record: Uint8Array, offset: number, size: number, signed: boolean): number | bigint {
  switch (size) {
    case 1:
      return signed ? (record[offset]! << 24) >> 24 : record[offset]!;
    case 2: {
      const value = record[offset]! | (record[offset + 1]! << 8);
      return signed ? (value << 16) >> 16 : value;
    }
    case 4: {
      const value = readInt32(record, offset);
      return signed ? value : value >>> 0;
    }
    default: {
      const lo = readInt32(record, offset) >>> 0;
      const hi = readInt32(record, offset + 4);
      const high = signed ? hi : hi >>> 0;
      if (high >= -0x20_0000 && high < 0x20_0000) return high * TWO_32 + lo;
      return (BigInt(high) << 32n) | BigInt(lo);
    }
  }
}

/** Text of a string field of any kind; `undefined` when the record's own lengths do not hold. */
export function readString(record: Uint8Array, field: FieldLayout): string | undefined {
  if (field.kind === FIELD_DYNAMIC_STRING) {
    const location = readInt32(record, field.offset);
    const start = location & 0xffff;
    const end = start + (location >>> 16);
    return end > record.length ? undefined : decodeCString(record, start, end);
  }
  if (field.kind === FIELD_STRING) return decodeCString(record, field.offset, field.offset + field.size);
  return decodeCString(record, field.offset, record.length);
}

/** Bytes of a `__data_loc` field; `undefined` when its location lies outside the record. */
export function readDynamic(record: Uint8Array, field: FieldLayout): Uint8Array | undefined {
  const location = readInt32(record, field.offset);
  const start = location & 0xffff;
  const end = start + (location >>> 16);
  return end > record.length ? undefined : record.subarray(start, end);
}
