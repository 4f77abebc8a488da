/**
 * From a disk to the facade in one step, also where the disk's bytes come from elsewhere.
 *
 *   await withMounted(disk, offset, async (fs) => { … });       // unmounted afterwards, whatever happens
 *   await using fs = await mount(disk, { offset });
 *   await using fs = await mount(new LazyDisk(await openHttp(url)));   // read-only, fetches what is touched
 */
import { type BlockDevice, PartitionDevice } from "blockdev-disk";
import { Ext4Error } from "../errors.ts";
import { Ext4FileSystem, type Ext4Options } from "../vfs/file-system.ts";
import { Ext4Promises, type PromisesOptions } from "./promises.ts";
import type { Loader } from "./runner.ts";

export interface MountOptions extends Ext4Options, PromisesOptions {
  /** Where the volume begins on the disk, in bytes: a partition's start. A multiple of the disk's block size. Default 0. */
  readonly offset?: number;
  /** Bytes of the volume's part of the disk. Default: to the end. */
  readonly byteLength?: number;
  readonly signal?: AbortSignal;
}

/** Rejects with an Ext4Error when the volume cannot be mounted, RangeError when the offset is none. */
export async function mount(disk: BlockDevice, options: MountOptions = {}): Promise<Ext4Promises> {
  const { offset = 0, byteLength = disk.size - offset, signal, log } = options;
  if (offset < 0 || offset % disk.blockSize !== 0 || byteLength % disk.blockSize !== 0)
    throw new RangeError(
      `"offset" and "byteLength" expected multiples of ${disk.blockSize}, got ${offset} and ${byteLength}`,
    );
  const isWhole = offset === 0 && byteLength === disk.size;
  const device = isWhole ? disk : new PartitionDevice(disk, offset / disk.blockSize, byteLength / disk.blockSize);
  const loader = options.loader ?? loaderOf(disk);
  const open = (): Ext4FileSystem | Ext4Error =>
    Ext4FileSystem.mount(device, {
      ...options,
      ...(loader === undefined ? {} : { readOnly: true, log: (line: string) => quietly(loader, line, log) }),
    });
  const fs = loader === undefined ? open() : await loader.run(open, { signal });
  if (fs instanceof Ext4Error) throw fs;
  return new Ext4Promises(fs, loader === undefined ? options : { ...options, loader });
}

/** Mounts the volume at `offset` (bytes), gives it to `use`, and unmounts it in any case. */
export async function withMounted<T>(
  disk: BlockDevice,
  offset: number,
  use: (fs: Ext4Promises) => T | Promise<T>,
  options: Omit<MountOptions, "offset"> = {},
): Promise<T> {
  const fs = await mount(disk, { ...options, offset });
  try {
    return await use(fs);
  } finally {
    await fs.unmount();
  }
}

function loaderOf(disk: BlockDevice): Loader | undefined {
  return "run" in disk && "isIncomplete" in disk ? (disk as unknown as Loader) : undefined;
}

/** What is said about bytes that were only missing is not worth hearing. */
function quietly(loader: Loader, line: string, log: ((line: string) => void) | undefined): void {
  if (!loader.isIncomplete) log?.(line);
}
