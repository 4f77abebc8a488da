/**
 * tracefs: Linux's tracing directory over ktracepoint.
 *
 *   const tracing = tracepointInit(kernel);
 *   installTracefs(kernel, tracing);
 *   mount -t tracefs nodev /sys/kernel/tracing    // or the older place: mount -t debugfs nodev /sys/kernel/debug; /sys/kernel/debug/tracing
 */
import { DEBUGFS_MAGIC, EINVAL, TRACEFS_MAGIC } from "linux-abi";
import { DirMapping, SimpleDir, SimpleFs } from "vfs-inode/pseudofs";
import type { Kernel } from "../../kernel.ts";
import type { KernelTracing } from "../../trace/tracing.ts";
import { once, TraceFs } from "./nodes.ts";
import { initTracingDir } from "./tracing-dir.ts";

export { initEvents } from "./events-dir.ts";
export { initTracingDir } from "./tracing-dir.ts";

/** A tracefs. All of them show the same tracing state. `data` is mount(2)'s: uid= and gid= of every file, mode= of the root; -EINVAL for others. */
export function createTracefs(kernel: Kernel, tracing: KernelTracing, data: string): SimpleFs | number {
  const options = new Map<string, number>();
  for (const option of data.split(",")) {
    if (option === "") continue;
    const match = /^(?:(uid|gid)=(\d{1,9})|(mode)=([0-7]{1,5}))$/.exec(option);
    if (match === null) return -EINVAL;
    if (match[1] !== undefined) options.set(match[1], Number(match[2]));
    else options.set("mode", Number.parseInt(match[4] as string, 8) & 0o7777);
  }
  const text = [...options].map(([name, value]) => `${name}=${name === "mode" ? value.toString(8) : value}`);
  const fs = new TraceFs(
    {
      type: "tracefs",
      magic: TRACEFS_MAGIC,
      deviceNumber: kernel.fs.nextDevice(),
      mutableAttributes: true,
      mountOptions: text.join(","),
      now: (out) => kernel.fs.now(out),
    },
    { uid: options.get("uid") ?? 0, gid: options.get("gid") ?? 0 },
  );
  const root = initTracingDir(fs, tracing);
  const mode = options.get("mode");
  if (mode !== undefined) root.mode = (root.mode & ~0o7777) | mode;
  return fs.setRoot(root);
}

/** debugfs: what tools before 4.1 know tracing by. It holds the tracing directory and nothing else. */
export function createDebugfs(kernel: Kernel, tracing: KernelTracing): SimpleFs {
  const fs = new SimpleFs({
    type: "debugfs",
    magic: DEBUGFS_MAGIC,
    deviceNumber: kernel.fs.nextDevice(),
    mutableAttributes: true,
    now: (out) => kernel.fs.now(out),
  });
  const root = new DirMapping();
  root.addDynamic(
    "tracing",
    once(() => initTracingDir(fs, tracing)),
  );
  return fs.setRoot(new SimpleDir(fs, root, { permission: 0o700 }));
}

/** Makes the types "tracefs" and "debugfs" mountable. */
export function installTracefs(kernel: Kernel, tracing: KernelTracing): void {
  kernel.fileSystemTypes.set("tracefs", {
    name: "tracefs",
    requiresDevice: false,
    mount: (self, _device, _flags, data) => createTracefs(self, tracing, data),
  });
  let debugfs: SimpleFs | undefined;
  kernel.fileSystemTypes.set("debugfs", {
    name: "debugfs",
    requiresDevice: false,
    mount: (self) => {
      debugfs ??= createDebugfs(self, tracing);
      return debugfs;
    },
  });
}
