/**
 * `events/`: systems, events, and their files. Directories are made when they are first looked at: a kernel has hundreds of events.
 */
import {
  BUILTIN_EVENTS,
  type ExtTracePoint,
  TraceFilterFile,
  TracePointEnableFile,
  TracePointFormatFile,
  TracePointIdFile,
} from "ktracepoint";
import { DirMapping, type SimpleDir, type SimpleFs } from "vfs-inode/pseudofs";
import type { TraceInstance } from "../../trace/tracing.ts";
import { ControlObject } from "./control-object.ts";
import { directory, MODE_CONTROL, MODE_VIEW, once, regular } from "./nodes.ts";
import { type ControlRow, eventsRows, systemRows } from "./root-files.ts";

export function addRows(fs: SimpleFs, mapping: DirMapping, rows: readonly ControlRow[]): void {
  for (const row of rows) mapping.add(row.name, regular(fs, new ControlObject(row), row.mode));
}

/** `events/` of an instance, as a directory of `fs`. */
export function initEvents(fs: SimpleFs, instance: TraceInstance): SimpleDir {
  const { array } = instance;
  const root = new DirMapping();
  addRows(fs, root, eventsRows(array));
  for (const [system, events] of array.registry.systems())
    root.addDynamic(
      system,
      once(() => systemDirectory(fs, instance, system, events)),
    );
  root.addDynamic(
    "ftrace",
    once(() => builtinDirectory(fs)),
  );
  return directory(fs, root);
}

function systemDirectory(
  fs: SimpleFs,
  instance: TraceInstance,
  system: string,
  events: readonly ExtTracePoint[],
): SimpleDir {
  const mapping = new DirMapping();
  addRows(fs, mapping, systemRows(instance.array, system));
  for (const event of events)
    mapping.addDynamic(
      event.tracePoint().name,
      once(() => eventDirectory(fs, instance, event)),
    );
  return directory(fs, mapping);
}

function eventDirectory(fs: SimpleFs, instance: TraceInstance, event: ExtTracePoint): SimpleDir {
  const point = event.tracePoint();
  const { array } = instance;
  const enable = new TracePointEnableFile(event);
  const filter = new TraceFilterFile(event, (text, error) => array.logFilterError(text, error.message, error.position));
  const mapping = new DirMapping();
  addRows(fs, mapping, [
    { name: "enable", mode: MODE_CONTROL, read: () => enable.read(), write: (text) => enable.write(text) },
    { name: "format", mode: MODE_VIEW, read: () => new TracePointFormatFile(point).read() },
    { name: "id", mode: MODE_VIEW, read: () => new TracePointIdFile(point).read() },
    { name: "filter", mode: MODE_CONTROL, read: () => filter.read(), write: (text) => filter.write(text) },
  ]);
  return directory(fs, mapping);
}

/** `events/ftrace/`: entry types without an event behind them; only their formats. */
function builtinDirectory(fs: SimpleFs): SimpleDir {
  const mapping = new DirMapping();
  for (const point of BUILTIN_EVENTS) {
    const files = new DirMapping();
    addRows(fs, files, [
      { name: "format", mode: MODE_VIEW, read: () => new TracePointFormatFile(point).read() },
      { name: "id", mode: MODE_VIEW, read: () => new TracePointIdFile(point).read() },
    ]);
    mapping.add(point.name, directory(fs, files));
  }
  return directory(fs, mapping);
}
