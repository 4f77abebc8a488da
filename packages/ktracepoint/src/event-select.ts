/**
 * Many events at once: `set_event`, `available_events`, `events/enable`, `events/SYSTEM/{enable,filter}`.
 *
 * Source: Linux kernel/trace/trace_events.c; Documentation/trace/events.rst.
 */
import { parseSwitch } from "./control-files.ts";
import type { ExtTracePoint } from "./ext-tracepoint.ts";
import {
  compileWithSchema,
  FILT_ERR_BAD_SUBSYS_FILTER,
  type FilterError,
  filterErrorText,
  isFilterError,
} from "./filter.ts";
import { globMatch } from "./filter-glob.ts";
import type { TracePointRegistry } from "./registry.ts";

const EINVAL = 22;

const SYSTEM_FILTER_HELP =
  "### global filter ###\n" +
  "# Use this to set filters for multiple events.\n" +
  "# Only events with the given fields will be affected.\n" +
  "# If no events are modified, an error message will be displayed here\n";

function nameOf(event: ExtTracePoint): string {
  const point = event.tracePoint();
  return `${point.system}:${point.name}`;
}

export class EventSelection {
  readonly #registry: TracePointRegistry;
  readonly #onError: (text: string, error: FilterError) => void;
  /** Text that `events/SYSTEM/filter` shows, by system. */
  readonly #systemFilters = new Map<string, string>();

  constructor(registry: TracePointRegistry, onError: (text: string, error: FilterError) => void) {
    this.#registry = registry;
    this.#onError = onError;
  }

  /** Text of `available_events`. */
  available(): string {
    return this.#list(() => true);
  }

  /** Text of `set_event`: the enabled ones. */
  enabled(): string {
    return this.#list((event) => event.isEnabled());
  }

  #list(wanted: (event: ExtTracePoint) => boolean): string {
    let text = "";
    for (const events of this.#registry.systems().values())
      for (const event of events) if (wanted(event)) text += `${nameOf(event)}\n`;
    return text;
  }

  /**
   * Events that `pattern` names: "SYSTEM:EVENT", "SYSTEM:", "SYSTEM:*", "*:*", or one word that is a system or an event.
   * `*`, `?` and `[...]` match as globs.
   */
  match(pattern: string): ExtTracePoint[] {
    const colon = pattern.indexOf(":");
    const system = colon < 0 ? "" : pattern.slice(0, colon) || "*";
    const name = colon < 0 ? pattern : pattern.slice(colon + 1) || "*";
    const found: ExtTracePoint[] = [];
    for (const event of this.#registry.events()) {
      const point = event.tracePoint();
      const matches =
        colon < 0
          ? globMatch(name, point.name) || globMatch(name, point.system)
          : globMatch(system, point.system) && globMatch(name, point.name);
      if (matches) found.push(event);
    }
    return found;
  }

  /** A write to `set_event`: words, each enabling or, after "!", disabling. −EINVAL at the first that matches nothing; those before it count. */
  setEvent(text: string): number {
    for (const word of text.split(/[\s\0,]+/)) {
      if (word === "") continue;
      const off = word.startsWith("!");
      const events = this.match(off ? word.slice(1) : word);
      if (events.length === 0) return -EINVAL;
      for (const event of events) event.setEnabled(!off);
    }
    return 0;
  }

  disableAll(): void {
    for (const event of this.#registry.events()) event.setEnabled(false);
  }

  /** `events/enable` (no system) or `events/SYSTEM/enable`: 0, 1, X (mixed) or ? (no events). */
  readEnable(system?: string): string {
    const states = new Set(this.#in(system).map((event) => event.isEnabled()));
    if (states.size === 0) return "?\n";
    return states.size === 2 ? "X\n" : states.has(true) ? "1\n" : "0\n";
  }

  writeEnable(text: string, system?: string): number {
    const enable = parseSwitch(text);
    if (enable === undefined) return -EINVAL;
    for (const event of this.#in(system)) event.setEnabled(enable);
    return 0;
  }

  #in(system: string | undefined): ExtTracePoint[] {
    return [...this.#registry.events()].filter((event) => system === undefined || event.tracePoint().system === system);
  }

  readFilter(system: string): string {
    const text = this.#systemFilters.get(system);
    return text === undefined ? SYSTEM_FILTER_HELP : `${text}\n`;
  }

  /** A write to `events/SYSTEM/filter`: events that have the fields take it, the others keep theirs. −EINVAL if none takes it. */
  writeFilter(text: string, system: string): number {
    const expression = text.replace(/\0/g, "").trim();
    const events = this.#in(system);
    if (expression === "0") {
      for (const event of events) event.setCompiledExpr(null, null);
      this.#systemFilters.delete(system);
      return 0;
    }
    const error = this.applyFilter(expression, events);
    if (error === undefined) {
      this.#systemFilters.set(system, expression);
      return 0;
    }
    const reported = { message: FILT_ERR_BAD_SUBSYS_FILTER, position: 0 };
    this.#systemFilters.set(system, filterErrorText(expression, reported));
    this.#onError(expression, reported);
    return -EINVAL;
  }

  /** Sets `expression` on those of `events` whose fields it fits; the first event's error if it fits none. */
  applyFilter(expression: string, events: readonly ExtTracePoint[]): FilterError | undefined {
    let error: FilterError | undefined;
    let taken = 0;
    for (const event of events) {
      const result = compileWithSchema(expression, event.tracePoint().schema);
      if (isFilterError(result)) {
        error ??= result;
        continue;
      }
      event.setCompiledExpr(result, expression);
      taken++;
    }
    return taken > 0 ? undefined : (error ?? { message: FILT_ERR_BAD_SUBSYS_FILTER, position: 0 });
  }
}
