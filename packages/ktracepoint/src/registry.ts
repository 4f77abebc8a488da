/**
 * Which events exist: ids, look-up by id and by name.
 *
 * The seed collects its tracepoints from a linker section; here the program hands over a list. Ids go to events without one, sorted by
 * name and then system, from 20 on (lower numbers are Linux's built-in entry types). A tracepoint keeps its id, so a second registry over the same
 * tracepoints (another trace array) agrees with the first.
 */
import { ExtTracePoint } from "./ext-tracepoint.ts";
import type { KernelTraceOps } from "./ops.ts";
import { type AnyTracePoint, FIRST_EVENT_ID } from "./tracepoint.ts";

/** Tracepoints by id. */
export class TracePointMap extends Map<number, AnyTracePoint> {}

/** Gives ids and makes the runtime state for each event. Throws RangeError when two events share system and name. */
export function globalInitEvents(
  ops: KernelTraceOps,
  points: Iterable<AnyTracePoint>,
): [TracePointMap, ExtTracePoint[]] {
  const sorted = [...points].sort((a, b) => compare(a.name, b.name) || compare(a.system, b.system));
  let next = sorted.reduce((max, point) => Math.max(max, point.id + 1), FIRST_EVENT_ID);
  const names = new Set<string>();
  for (const point of sorted) {
    const name = `${point.system}:${point.name}`;
    if (names.has(name)) throw new RangeError(`"points" expected unique events, got ${name} twice`);
    names.add(name);
    if (point.id === 0) point.setId(next++);
  }
  sorted.sort((a, b) => a.id - b.id);
  const map = new TracePointMap();
  for (const point of sorted) map.set(point.id, point);
  const events = sorted.filter((point) => point.id >= FIRST_EVENT_ID).map((point) => new ExtTracePoint(point, ops));
  return [map, events];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class TracePointRegistry {
  readonly map: TracePointMap;
  readonly #events: ReadonlyMap<number, ExtTracePoint>;

  constructor(ops: KernelTraceOps, points: Iterable<AnyTracePoint>) {
    const [map, events] = globalInitEvents(ops, points);
    this.map = map;
    this.#events = new Map(events.map((event) => [event.id, event]));
  }

  /** Events in order of id, built-in types excluded. */
  events(): Iterable<ExtTracePoint> {
    return this.#events.values();
  }

  /** The event with the number that `events/SYSTEM/NAME/id` shows. */
  lookupExtTracepoint(id: number): ExtTracePoint | undefined {
    return this.#events.get(id);
  }

  /** The first event of that name, or the one of `system`. */
  findExtTracepointByName(name: string, system?: string): ExtTracePoint | undefined {
    for (const event of this.#events.values()) {
      const point = event.tracePoint();
      if (point.name === name && (system === undefined || point.system === system)) return event;
    }
    return undefined;
  }

  /** Runs `f` on an event's state. `undefined` if there is no such event. */
  readTracepointState<R>(id: number, f: (event: ExtTracePoint) => R): R | undefined {
    const event = this.#events.get(id);
    return event === undefined ? undefined : f(event);
  }

  /** As `readTracepointState`; both are free of locks here, the names tell intent as in ktracepoint 0.6. */
  writeTracepointState<R>(id: number, f: (event: ExtTracePoint) => R): R | undefined {
    return this.readTracepointState(id, f);
  }

  /** Systems in order of name, each with its events in order of name: the tree below `events/`. */
  systems(): ReadonlyMap<string, readonly ExtTracePoint[]> {
    const tree = new Map<string, ExtTracePoint[]>();
    const sorted = [...this.#events.values()].sort((a, b) => {
      const [p, q] = [a.tracePoint(), b.tracePoint()];
      return compare(p.system, q.system) || compare(p.name, q.name);
    });
    for (const event of sorted) {
      const system = event.tracePoint().system;
      const list = tree.get(system);
      if (list === undefined) tree.set(system, [event]);
      else list.push(event);
    }
    return tree;
  }
}
