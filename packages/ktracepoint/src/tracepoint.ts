/**
 * Tracepoints: a call site that costs one boolean test while nobody listens.
 *
 * A `TracePoint` is an event's immutable description plus the gate. Who listens, with which filter and where records go, is the
 * business of `ExtTracePoint`s: one per trace array, several may be attached to one tracepoint (the guest's tracefs and a host-side
 * recorder do not disturb each other).
 *
 *   const hello = defineEvent({ system: "demo", name: "hello", fields: ["int id", "char who[16]"],
 *                               print: '"id=%d who=%s", REC->id, REC->who' });
 *   hello.trace(7, "world");            // a boolean test: nothing is attached
 *
 * The gate is a plain field instead of patched code: a JavaScript engine folds the test into the inlined call (bench/gate.bench.ts).
 */
import { type EntryWriter, enterEntry, leaveEntry, readDynamic, readInteger, readString } from "./entry.ts";
import type { ExtTracePoint } from "./ext-tracepoint.ts";
import {
  FIELD_ARRAY,
  FIELD_DYNAMIC_ARRAY,
  FIELD_NUMBER,
  type FieldLayout,
  type FieldSpec,
  layoutRecord,
  type RecordLayout,
} from "./layout.ts";
import { compilePrintFmt, INVALID_RECORD, type RecordFormatter } from "./print-fmt.ts";
import { wrap } from "./printf.ts";

/** What a field's declaration takes as a value: text for char arrays, numbers otherwise. */
export type FieldValue<S> = S extends `__data_loc char[] ${string}`
  ? string
  : S extends `__data_loc ${string}`
    ? Uint8Array
    : S extends `char ${string}[${string}]`
      ? string
      : S extends `${string}[${string}]`
        ? ArrayLike<number>
        : number;

/** The arguments of `trace()` for an event without `assign`: one value per field. */
export type FieldValues<F extends readonly FieldSpec[]> = { [I in keyof F]: FieldValue<F[I]> };

/** How an event is defined; `fields` and `print` are read at first use and may be getters. `Args` are the arguments of its call site (TP_PROTO). */
export interface EventDefinition<Args extends readonly unknown[]> {
  /** Directory under events/, e.g. "sched". */
  readonly system: string;
  readonly name: string;
  /** C declarations, as the format file shows them. */
  readonly fields: readonly FieldSpec[];
  /** Print fmt in C: a quoted format, then arguments over REC->field. */
  readonly print: string;
  /** TP_fast_assign: writes every field, in order. Absent: the arguments are the field values themselves. */
  readonly assign?: (entry: EntryWriter, ...args: Args) => void;
  /** Fields that name other tasks concerned, which set_event_pid matches too. */
  readonly pidFields?: readonly string[];
  /** Whole text behind the timestamp, for events that Linux does not print as "name: body". */
  readonly text?: (record: Uint8Array, layout: RecordLayout) => string;
  /** A fixed id below 20, as Linux's built-in event types have. Such an event is not listed in available_events. */
  readonly builtinId?: number;
}

/** First id given to an event: lower ones are Linux's built-in entry types (ftrace:print is 5). */
export const FIRST_EVENT_ID = 20;

function ignore(): void {}

const NO_LISTENERS: readonly ExtTracePoint[] = [];

export interface TracePoint<Args extends readonly unknown[] = readonly never[]> {
  /** Records one hit. At most eight arguments. */
  trace(...args: Args): void;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the static block defines the one member that the interface adds
export class TracePoint<Args extends readonly unknown[] = readonly never[]> {
  /** The gate: true while anything is attached. Call sites whose arguments are expensive may test it first. */
  enabled: boolean = false;
  /** Told whenever `enabled` changes: for call sites that keep the gate elsewhere. */
  onGate: (enabled: boolean) => void = ignore;
  readonly system: string;
  readonly name: string;
  readonly flags: number = 0;
  /** Arguments of the call site. */
  readonly argumentCount: number;
  /** Hits lost because tracepoints nested deeper than four. */
  recursionLost: number = 0;
  // Laid out at first use: a kernel defines hundreds of events and hits a few.
  #layout: RecordLayout | undefined = undefined;
  #pidOffsets: readonly number[] | undefined = undefined;
  readonly #definition: EventDefinition<never>;
  #id: number;
  #attached: readonly ExtTracePoint[] = NO_LISTENERS;
  #formatter: RecordFormatter | undefined = undefined;
  readonly #assign: ((entry: EntryWriter, ...args: never[]) => void) | undefined;
  readonly #text: EventDefinition<never>["text"];

  constructor(definition: EventDefinition<Args>) {
    for (const key of ["system", "name"] as const)
      if (!/^[A-Za-z_][\w.-]*$/.test(definition[key]))
        throw new TypeError(`"${key}" expected an identifier, got ${JSON.stringify(definition[key])}`);
    this.system = definition.system;
    this.name = definition.name;
    this.#definition = definition as unknown as EventDefinition<never>;
    this.#id = definition.builtinId ?? 0;
    this.#assign = definition.assign as ((entry: EntryWriter, ...args: never[]) => void) | undefined;
    this.#text = definition.text;
    this.argumentCount = definition.assign === undefined ? definition.fields.length : definition.assign.length - 1;
  }

  /** The record's layout. Throws TypeError, here or when the event is first used, for a declaration it does not know. */
  get schema(): RecordLayout {
    this.#layout ??= layoutRecord(this.#definition.fields);
    return this.#layout;
  }

  /** The print fmt in C. */
  get printFmt(): string {
    return this.#definition.print;
  }

  /** Offsets of the int fields that set_event_pid looks at besides common_pid. */
  get pidOffsets(): readonly number[] {
    this.#pidOffsets ??= (this.#definition.pidFields ?? []).map((name) => {
      const field = this.schema.byName.get(name);
      if (field === undefined)
        throw new TypeError(`"pidFields" expected a field of ${this.name}, got ${JSON.stringify(name)}`);
      return field.offset;
    });
    return this.#pidOffsets;
  }

  /** Number in `events/SYSTEM/NAME/id` and in common_type; 0 until `globalInitEvents` has given one. */
  get id(): number {
    return this.#id;
  }

  /** Called by `globalInitEvents`. An id, once given, stays. */
  setId(id: number): void {
    if (!Number.isInteger(id) || id < 1 || id > 0xffff) throw new RangeError(`"id" expected 1..65535, got ${id}`);
    if (this.#id !== 0 && this.#id !== id)
      throw new RangeError(`"id" expected ${this.#id} for ${this.system}:${this.name}, got ${id}`);
    this.#id = id;
  }

  static {
    // In a block because no single declaration can say both: `Args` for callers, and named parameters (not a rest parameter, so nothing is
    // allocated per call) for the engine.
    TracePoint.prototype.trace = function (this: AnyTracePoint, a?, b?, c?, d?, e?, f?, g?, h?): void {
      if (this.enabled) this.#fire(a, b, c, d, e, f, g, h);
    };
  }

  #fire(a: unknown, b: unknown, c: unknown, d: unknown, e: unknown, f: unknown, g: unknown, h: unknown): void {
    const entry = enterEntry();
    if (entry === null) {
      this.recursionLost++;
      return;
    }
    try {
      // A copy-on-write list: a callback may attach and detach freely meanwhile.
      const attached = this.#attached;
      for (let i = 0; i < attached.length; i++) attached[i]!.dispatch(entry, a, b, c, d, e, f, g, h);
    } finally {
      leaveEntry();
    }
  }

  /** Encodes the arguments as a record into `entry`. */
  encode(
    entry: EntryWriter,
    flags: number,
    pid: number,
    a: unknown,
    b: unknown,
    c: unknown,
    d: unknown,
    e: unknown,
    f: unknown,
    g: unknown,
    h: unknown,
  ): void {
    entry.begin(this.schema, this.#id, flags, pid);
    const assign = this.#assign as ((entry: EntryWriter, ...args: unknown[]) => void) | undefined;
    if (assign !== undefined) assign(entry, a, b, c, d, e, f, g, h);
    else {
      const count = this.schema.fields.length;
      if (count > 0) entry.value(a);
      if (count > 1) entry.value(b);
      if (count > 2) entry.value(c);
      if (count > 3) entry.value(d);
      if (count > 4) entry.value(e);
      if (count > 5) entry.value(f);
      if (count > 6) entry.value(g);
      if (count > 7) entry.value(h);
    }
    entry.end();
  }

  /** The text behind the timestamp: "name: body". */
  formatRecord(record: Uint8Array): string {
    if (this.#text !== undefined) return this.#text(record, this.schema);
    return `${this.name}: ${this.formatBody(record)}`;
  }

  /** The record printed by its print fmt. */
  formatBody(record: Uint8Array): string {
    this.#formatter ??= compilePrintFmt(this.printFmt, this.schema);
    return this.#formatter(record);
  }

  /** Each field as "name=value": numbers in decimal and, beyond 9, in hex too; text as it is. */
  fieldTexts(record: Uint8Array): string[] {
    return this.schema.fields.map((field) => `${field.name}=${fieldValueText(record, field)}`);
  }

  /** Attaches a listener (ExtTracePoint does it when its first callback arrives) and opens the gate. */
  attach(listener: ExtTracePoint): void {
    if (this.#attached.includes(listener)) return;
    this.#attached = [...this.#attached, listener];
    this.#setGate(true);
  }

  detach(listener: ExtTracePoint): void {
    this.#attached = this.#attached.filter((other) => other !== listener);
    this.#setGate(this.#attached.length > 0);
  }

  #setGate(enabled: boolean): void {
    if (this.enabled === enabled) return;
    this.enabled = enabled;
    this.onGate(enabled);
  }

  /** Is anything attached? The seed's `key_is_enabled`. */
  keyIsEnabled(): boolean {
    return this.enabled;
  }
}

function fieldValueText(record: Uint8Array, field: FieldLayout): string {
  if (record.length < field.offset + field.size) return INVALID_RECORD;
  switch (field.kind) {
    case FIELD_NUMBER:
      return integerText(readInteger(record, field.offset, field.size, field.signed));
    case FIELD_ARRAY: {
      const values: string[] = [];
      for (let i = 0; i < field.count; i++)
        values.push(
          readInteger(record, field.offset + i * field.elementSize, field.elementSize, field.signed).toString(),
        );
      return `{${values.join(",")}}`;
    }
    case FIELD_DYNAMIC_ARRAY:
      return Array.from(readDynamic(record, field) ?? [], (byte) => byte.toString(16).padStart(2, "0")).join(",");
    default:
      return readString(record, field) ?? INVALID_RECORD;
  }
}

function integerText(value: number | bigint): string {
  return value >= 0 && value <= 9 ? value.toString() : `0x${wrap(value, 64, false).toString(16)} (${value})`;
}

/** A tracepoint of any event. */
// biome-ignore lint/suspicious/noExplicitAny: `never` and `unknown` both fail: trace() is contravariant in its arguments
export type AnyTracePoint = TracePoint<any>;

/** Defines an event whose call site passes `assign`'s own arguments. */
export function defineEvent<Args extends readonly unknown[]>(
  definition: EventDefinition<Args> & { readonly assign: (entry: EntryWriter, ...args: Args) => void },
): TracePoint<Args>;
/** Defines an event whose call site passes its fields (at most eight), in order. */
export function defineEvent<const F extends readonly FieldSpec[]>(
  definition: EventDefinition<readonly []> & { readonly fields: F; readonly assign?: never },
): TracePoint<FieldValues<F>>;
export function defineEvent(definition: EventDefinition<never>): AnyTracePoint {
  if (definition.assign === undefined && definition.fields.length > 8)
    throw new RangeError(`"fields" expected at most 8 without "assign", got ${definition.fields.length}`);
  return new TracePoint(definition);
}
