/**
 * The tracing directory itself: control files, buffers, events/, per_cpu/, options/ and, at the top, instances/.
 *
 * The modes of the seed's files are the seed's: saved_cmdlines_size 0640, trace_pipe 0440, saved_cmdlines 0440, trace 0640, and in events/
 * enable 0640, format 0440, id 0440, filter 0640.
 */
import { S_IFDIR } from "linux-abi";
import type { Inode, NewNode, SpecialFile } from "vfs-inode";
import {
  DirMapping,
  type DirectorySource,
  SimpleDir,
  type SimpleFs,
  SpecialFileBase,
  type SpecialFileOps,
} from "vfs-inode/pseudofs";
import type { KernelTracing, TraceInstance } from "../../trace/tracing.ts";
import { addRows, initEvents } from "./events-dir.ts";
import { directory, directoryOptions, MODE_CONTROL, MODE_SINK, MODE_VIEW, once, regular } from "./nodes.ts";
import { bufferSizeRow, controlRows, optionRows, topRows } from "./root-files.ts";
import { TraceCmdLineFile, TraceFile } from "./trace-file.ts";
import { TracePipeFile, TracePipeRawFile } from "./trace-pipe-file.ts";

/** A file that only takes bytes: trace_marker, trace_marker_raw. */
class Sink implements SpecialFileOps {
  readonly #take: (bytes: Uint8Array) => number;

  constructor(take: (bytes: Uint8Array) => number) {
    this.#take = take;
  }

  open(_flags: number): SpecialFile {
    return new SinkFile(this.#take);
  }
}

class SinkFile extends SpecialFileBase {
  readonly #take: (bytes: Uint8Array) => number;

  constructor(take: (bytes: Uint8Array) => number) {
    super();
    this.#take = take;
  }

  override get stream(): boolean {
    return true;
  }

  read(_offset: number, _buf: Uint8Array): number {
    return 0;
  }

  write(_offset: number, buf: Uint8Array): number {
    return this.#take(buf);
  }
}

/** Everything that the top-level directory and an instance have in common. */
function instanceMapping(fs: SimpleFs, instance: TraceInstance): DirMapping {
  const { array } = instance;
  const root = new DirMapping();
  const file = (name: string, ops: SpecialFileOps, mode: number): void => void root.add(name, regular(fs, ops, mode));
  addRows(fs, root, controlRows(array));
  file("trace", new TraceFile(instance), MODE_CONTROL);
  file("trace_pipe", new TracePipeFile(instance), MODE_VIEW);
  file("trace_marker", new Sink((bytes) => array.writeMarker(bytes)), MODE_SINK);
  file("trace_marker_raw", new Sink((bytes) => array.writeMarkerRaw(bytes)), MODE_SINK);
  root.addDynamic(
    "events",
    once(() => initEvents(fs, instance)),
  );
  root.addDynamic(
    "per_cpu",
    once(() => perCpuDirectory(fs, instance)),
  );
  root.addDynamic(
    "options",
    once(() => optionsDirectory(fs, instance)),
  );
  return root;
}

function optionsDirectory(fs: SimpleFs, instance: TraceInstance): SimpleDir {
  const mapping = new DirMapping();
  addRows(fs, mapping, optionRows(instance.array));
  return directory(fs, mapping);
}

function perCpuDirectory(fs: SimpleFs, instance: TraceInstance): SimpleDir {
  const { array } = instance;
  const mapping = new DirMapping();
  for (let cpu = 0; cpu < array.host.cpuCount; cpu++) {
    const files = new DirMapping();
    files.add("trace", regular(fs, new TraceFile(instance, cpu), MODE_CONTROL));
    files.add("trace_pipe", regular(fs, new TracePipeFile(instance, cpu), MODE_VIEW));
    files.add("trace_pipe_raw", regular(fs, new TracePipeRawFile(instance, cpu), MODE_VIEW));
    addRows(fs, files, [
      { name: "stats", mode: MODE_VIEW, read: () => array.statsText(cpu) },
      bufferSizeRow(array, cpu),
    ]);
    mapping.add(`cpu${cpu}`, directory(fs, files));
  }
  return directory(fs, mapping);
}

/** `instances/`: mkdir makes a trace array with files of its own, rmdir removes it. Every mount shows the same ones. */
class InstancesDir extends SimpleDir {
  readonly #tracing: KernelTracing;
  readonly #find: (name: string) => SimpleDir | undefined;

  constructor(fs: SimpleFs, tracing: KernelTracing) {
    const directories = new WeakMap<TraceInstance, SimpleDir>();
    const find = (name: string): SimpleDir | undefined => {
      const instance = tracing.instances.get(name);
      if (instance === undefined) return undefined;
      let node = directories.get(instance);
      if (node === undefined) {
        node = directory(fs, instanceMapping(fs, instance));
        directories.set(instance, node);
      }
      return node;
    };
    const source: DirectorySource = {
      lookup: find,
      list: (fromKey) =>
        [...tracing.instances]
          .filter(([, { number }]) => number >= fromKey)
          .map(([name, { number }]) => ({ name, key: number, ino: (find(name) as SimpleDir).ino, type: S_IFDIR })),
    };
    super(fs, new DirMapping(), { ...directoryOptions(fs), source });
    this.#tracing = tracing;
    this.#find = find;
  }

  override mkdir(name: string, _node: NewNode): Inode | number {
    const error = this.#tracing.createInstance(name);
    return error !== 0 ? error : (this.#find(name) as SimpleDir);
  }

  override rmdir(name: string): number {
    return this.#tracing.removeInstance(name);
  }
}

/** The tracing directory as a directory of `fs`: the root of tracefs, or debugfs's `tracing`. */
export function initTracingDir(fs: SimpleFs, tracing: KernelTracing): SimpleDir {
  const { top } = tracing;
  const root = instanceMapping(fs, top);
  root.add("saved_cmdlines", regular(fs, new TraceCmdLineFile(top), MODE_VIEW));
  addRows(fs, root, topRows(top.array));
  root.add("instances", new InstancesDir(fs, tracing));
  return directory(fs, root);
}
