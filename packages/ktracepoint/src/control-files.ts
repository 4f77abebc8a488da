/**
 * The text behind `events/SYSTEM/EVENT/{enable,format,id,filter}`.
 *
 * Each object is one file: `read()` gives its whole text, `write(text)` returns 0 or a negative errno. A refused write changes
 * nothing: the filter in force stays (Linux drops it; keeping it is what users of ktracepoint asked for).
 */
import type { ExtTracePoint } from "./ext-tracepoint.ts";
import { compileWithSchema, type FilterError, filterErrorText, isFilterError } from "./filter.ts";
import type { FieldLayout } from "./layout.ts";
import type { AnyTracePoint } from "./tracepoint.ts";

const EINVAL = 22;

/** `format`: fields with offsets and sizes, and the print fmt, as libtraceevent parses it. */
export class TracePointFormatFile {
  readonly #point: AnyTracePoint;
  constructor(point: AnyTracePoint) {
    this.#point = point;
  }
  read(): string {
    const point = this.#point;
    const { common, fields } = point.schema;
    return (
      `name: ${point.name}\nID: ${point.id}\nformat:\n` +
      `${common.map(fieldLine).join("")}\n${fields.map(fieldLine).join("")}\nprint fmt: ${point.printFmt}\n`
    );
  }
}

function fieldLine(field: FieldLayout): string {
  return `\tfield:${field.declaration};\toffset:${field.offset};\tsize:${field.size};\tsigned:${field.signed ? 1 : 0};\n`;
}

/** `id` */
export class TracePointIdFile {
  readonly #point: AnyTracePoint;
  constructor(point: AnyTracePoint) {
    this.#point = point;
  }
  read(): string {
    return `${this.#point.id}\n`;
  }
}

/** 0 or 1 as Linux's kstrtoul takes them: white space around, a plus sign, leading zeros. `undefined` for anything else. */
export function parseSwitch(text: string): boolean | undefined {
  const match = /^\s*\+?0*([01])?\s*\0?$/.exec(text);
  if (match === null || !/\d/.test(text)) return undefined;
  return match[1] === "1";
}

/** `enable`: does the event record into its trace pipe? Other callbacks (perf, raw) neither show nor change here. */
export class TracePointEnableFile {
  readonly #event: ExtTracePoint;
  constructor(event: ExtTracePoint) {
    this.#event = event;
  }
  read(): string {
    return this.#event.isEnabled() ? "1\n" : "0\n";
  }
  /** −EINVAL for anything but 0 and 1. */
  write(text: string): number {
    const enable = parseSwitch(text);
    if (enable === undefined) return -EINVAL;
    this.#event.setEnabled(enable);
    return 0;
  }
}

/** `filter` */
export class TraceFilterFile {
  readonly #event: ExtTracePoint;
  readonly #onError: (text: string, error: FilterError) => void;

  /** `onError` hears of each refused expression (error_log). */
  constructor(event: ExtTracePoint, onError: (text: string, error: FilterError) => void = ignore) {
    this.#event = event;
    this.#onError = onError;
  }

  /** The last refused expression with a caret and the reason, else the filter in force, else "none". */
  read(): string {
    return `${this.#event.filterError() ?? this.#event.filterText() ?? "none"}\n`;
  }

  /** "0" clears. −EINVAL if the expression does not compile: the filter in force stays. */
  write(text: string): number {
    const expression = text.replace(/\0/g, "").trim();
    const event = this.#event;
    if (expression === "0") {
      event.setCompiledExpr(null, null);
      return 0;
    }
    const result = compileWithSchema(expression, event.tracePoint().schema);
    if (isFilterError(result)) {
      event.setFilterError(filterErrorText(expression, result));
      this.#onError(expression, result);
      return -EINVAL;
    }
    event.setCompiledExpr(result, expression);
    return 0;
  }
}

function ignore(): void {}
