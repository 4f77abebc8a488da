/**
 * The runtime state of one event in one trace array: callbacks, filter, enable state.
 *
 *   ExtTracePoint ──register(callback)──► TracePoint.attach(this): the gate opens with the first callback,
 *                 ──unregister(callback)─► and closes when the last one of all listeners leaves.
 *
 * Three kinds of callback, as in ktracepoint 0.6:
 *   TraceDefaultFunc   the call site's own arguments; the built-in one pushes the record to the trace pipe
 *   TraceEventFunc     the finished record ("cooked": perf); only while `setPerfEnable(true)`
 *   RawTraceEventFunc  the arguments as an array (raw tracepoint)
 * The filter stands in front of all three. The list is replaced, never changed in place, so a callback may
 * unregister itself or others while it runs; one that was removed meanwhile is not called again.
 */
import type { EntryWriter } from "./entry.ts";
import type { CompiledFilter } from "./filter.ts";
import type { KernelTraceOps } from "./ops.ts";
import type { AnyTracePoint } from "./tracepoint.ts";

/** A probe that gets `data` and the arguments of the call site. */
export class TraceDefaultFunc<Data = unknown> {
  readonly kind: "default" = "default";
  readonly func: (data: Data, ...args: never[]) => void;
  readonly data: Data;
  constructor(func: (data: Data, ...args: never[]) => void, data: Data) {
    this.func = func;
    this.data = data;
  }
}

/** A probe that gets the finished record: header and fields. The bytes are only valid during the call. */
export class TraceEventFunc<Data = unknown> {
  readonly kind: "event" = "event";
  readonly func: (record: Uint8Array, data: Data) => void;
  readonly data: Data;
  #perfEnabled = false;
  constructor(func: (record: Uint8Array, data: Data) => void, data: Data) {
    this.func = func;
    this.data = data;
  }
  setPerfEnable(enable: boolean): void {
    this.#perfEnabled = enable;
  }
  perfEnabled(): boolean {
    return this.#perfEnabled;
  }
}

/** A probe that gets the arguments of the call site as an array. */
export class RawTraceEventFunc<Data = unknown> {
  readonly kind: "raw" = "raw";
  readonly func: (args: readonly unknown[], data: Data) => void;
  readonly data: Data;
  constructor(func: (args: readonly unknown[], data: Data) => void, data: Data) {
    this.func = func;
    this.data = data;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the data's type is the callback's own business
export type TraceCallbackType = TraceDefaultFunc<any> | TraceEventFunc<any> | RawTraceEventFunc<any>;

const NONE: readonly TraceCallbackType[] = [];

export class ExtTracePoint {
  readonly ops: KernelTraceOps;
  readonly #point: AnyTracePoint;
  /** The built-in callback: encode, filter, remember the task's name, push to the trace pipe. */
  readonly #default: TraceDefaultFunc;
  #callbacks: readonly TraceCallbackType[] = NONE;
  #filter: CompiledFilter | null = null;
  #filterText: string | null = null;
  #filterError: string | null = null;
  // What the callbacks in the list need, so that a hit prepares no more than that.
  #wantsRecord = false;
  /** Hits that a filter kept out. */
  filtered: number = 0;

  constructor(point: AnyTracePoint, ops: KernelTraceOps) {
    this.#point = point;
    this.ops = ops;
    this.#default = new TraceDefaultFunc<ExtTracePoint>(pushIsBuiltIn, this) as TraceDefaultFunc;
  }

  get id(): number {
    return this.#point.id;
  }

  tracePoint(): AnyTracePoint {
    return this.#point;
  }

  defaultCallback(): TraceDefaultFunc {
    return this.#default;
  }

  /** Adds a callback; the same object twice counts once. Throws RangeError before the event has an id. */
  register(callback: TraceCallbackType): void {
    if (this.#point.id === 0)
      throw new RangeError(`"${this.#point.name}" expected an event with an id: call globalInitEvents first`);
    if (this.#callbacks.includes(callback)) return;
    this.#setCallbacks([...this.#callbacks, callback]);
  }

  /** Removes a callback; one that is not there is ignored. */
  unregister(callback: TraceCallbackType): void {
    if (!this.#callbacks.includes(callback)) return;
    this.#setCallbacks(this.#callbacks.filter((other) => other !== callback));
  }

  /** Registers a probe with the call site's arguments: the seed's `register_trace_NAME`. Returns what `unregister` takes. */
  registerTrace<Data>(func: (data: Data, ...args: never[]) => void, data: Data): TraceDefaultFunc<Data> {
    const callback = new TraceDefaultFunc(func, data);
    this.register(callback);
    return callback;
  }

  #setCallbacks(callbacks: readonly TraceCallbackType[]): void {
    this.#callbacks = callbacks;
    this.#wantsRecord = callbacks.some((callback) => callback === this.#default || callback.kind === "event");
    if (callbacks.length > 0) this.#point.attach(this);
    else this.#point.detach(this);
  }

  callbackList(): readonly TraceCallbackType[] {
    return this.#callbacks;
  }

  /** Does this event record into its trace pipe? (The `enable` file; other callbacks do not count.) */
  isEnabled(): boolean {
    return this.#callbacks.includes(this.#default);
  }

  setEnabled(enable: boolean): void {
    if (enable) this.register(this.#default);
    else this.unregister(this.#default);
  }

  setCompiledExpr(filter: CompiledFilter | null, text: string | null): void {
    this.#filter = filter;
    this.#filterText = text;
    this.#filterError = null;
  }

  getCompiledExpr(): CompiledFilter | null {
    return this.#filter;
  }

  /** Text of the filter in force, or null. */
  filterText(): string | null {
    return this.#filterText;
  }

  /** What reading the filter file shows after a refused write, until the next good one. */
  filterError(): string | null {
    return this.#filterError;
  }

  setFilterError(text: string | null): void {
    this.#filterError = text;
  }

  /** Called by the tracepoint for each hit. */
  dispatch(
    entry: EntryWriter,
    a: unknown,
    b: unknown,
    c: unknown,
    d: unknown,
    e: unknown,
    f: unknown,
    g: unknown,
    h: unknown,
  ): void {
    const filter = this.#filter;
    if (filter !== null || this.#wantsRecord) {
      if (entry.byteLength === 0) {
        const ops = this.ops;
        this.#point.encode(entry, ops.currentFlags(), ops.currentPid(), a, b, c, d, e, f, g, h);
      }
      if (filter !== null && !filter.matches(entry.bytes, entry.byteLength, this.ops)) {
        this.filtered++;
        return;
      }
    }
    const callbacks = this.#callbacks;
    for (let i = 0; i < callbacks.length; i++) {
      const callback = callbacks[i]!;
      if (callbacks !== this.#callbacks && !this.#callbacks.includes(callback)) continue;
      if (callback === this.#default) {
        const ops = this.ops;
        ops.traceCmdlinePush(ops.currentPid());
        ops.tracePipePushRawRecord(entry.record());
      } else if (callback.kind === "event") {
        if (callback.perfEnabled()) callback.func(entry.record(), callback.data);
      } else if (callback.kind === "raw") {
        callback.func([a, b, c, d, e, f, g, h].slice(0, this.#point.argumentCount), callback.data);
      } else {
        (callback.func as (data: unknown, ...args: unknown[]) => void)(callback.data, a, b, c, d, e, f, g, h);
      }
    }
  }
}

/** Marker function of the built-in callback; `dispatch` handles it in place because it has the record at hand. */
function pushIsBuiltIn(): void {}
