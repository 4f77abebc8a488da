/** Block devices in sysfs: /sys/block, /sys/class/block and /sys/dev/block, made from the kernel's registry when looked at. */
import { S_IFDIR, S_IFLNK, major, minor } from "linux-abi";
import type { Inode } from "vfs-inode";
import {
  DirMapping,
  type DirectorySource,
  type DynamicEntry,
  SeqObject,
  SimpleDir,
  type SimpleFs,
  SimpleSymlink,
  SpecialFsFile,
} from "vfs-inode/pseudofs";
import type { BlockDeviceEntry } from "../../registries.ts";
import type { FileSystems } from "../file-systems.ts";

const SECTOR = 512;

type Values = Readonly<Record<string, string | number>>;

/** A directory of one-line files. */
export function valuesDir(fs: SimpleFs, values: Values): SimpleDir {
  const mapping = new DirMapping();
  for (const [name, value] of Object.entries(values)) mapping.add(name, valueFile(fs, value));
  return new SimpleDir(fs, mapping, { permission: 0o755 });
}

export function valueFile(fs: SimpleFs, value: string | number): SpecialFsFile {
  return new SpecialFsFile(fs, new SeqObject(() => `${value}\n`, { size: 4096 }), 0o444);
}

/** "vda" of "vda1"; the name itself for a whole disk. */
function diskName(system: FileSystems, name: string): string {
  for (const other of system.kernel.blockDevices.keys()) {
    if (other !== name && name.startsWith(other) && /^p?\d+$/.test(name.slice(other.length))) return other;
  }
  return name;
}

/** Path of a device's directory below /sys. */
function devicePath(system: FileSystems, name: string): string {
  const disk = diskName(system, name);
  return disk === name ? `devices/virtual/block/${name}` : `devices/virtual/block/${disk}/${name}`;
}

function deviceDir(fs: SimpleFs, system: FileSystems, entry: BlockDeviceEntry): SimpleDir {
  const { name, rdev, device } = entry;
  const number = `${major(rdev)}:${minor(rdev)}`;
  const isDisk = diskName(system, name) === name;
  const common: Values = {
    dev: number,
    size: device.size / SECTOR,
    ro: device.readOnly ? 1 : 0,
    stat: "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    inflight: "0 0",
    discard_alignment: 0,
    alignment_offset: 0,
    uevent: `MAJOR=${major(rdev)}\nMINOR=${minor(rdev)}\nDEVNAME=${name}\nDEVTYPE=${isDisk ? "disk" : "partition"}`,
  };
  if (!isDisk) {
    const start = (device as { start?: number }).start ?? 0;
    return valuesDir(fs, { ...common, partition: Number(/\d+$/.exec(name)?.[0] ?? 0), start });
  }
  const dir = valuesDir(fs, { ...common, removable: 0, hidden: 0, range: 16, ext_range: 256, capability: 0 });
  dir.mapping.add("queue", queueDir(fs, device.blockSize));
  dir.mapping.add("holders", new SimpleDir(fs));
  dir.mapping.add("slaves", new SimpleDir(fs));
  for (const other of system.kernel.blockDevices.values()) {
    if (other !== entry && diskName(system, other.name) === name)
      dir.mapping.add(other.name, deviceDir(fs, system, other));
  }
  return dir;
}

function queueDir(fs: SimpleFs, blockSize: number): SimpleDir {
  return valuesDir(fs, {
    rotational: 0,
    logical_block_size: blockSize,
    physical_block_size: blockSize,
    hw_sector_size: blockSize,
    minimum_io_size: blockSize,
    optimal_io_size: 0,
    discard_granularity: blockSize,
    discard_max_bytes: 0,
    discard_zeroes_data: 0,
    max_sectors_kb: 1280,
    nr_requests: 256,
    read_ahead_kb: 128,
    scheduler: "[none]",
    zoned: "none",
    dax: 0,
    add_random: 0,
    write_cache: "write back",
    wbt_lat_usec: 0,
  });
}

/** Names in the order of registration. */
class BlockSource implements DirectorySource {
  readonly #system: FileSystems;
  readonly #make: (entry: BlockDeviceEntry) => Inode;
  readonly #name: (entry: BlockDeviceEntry) => string;
  readonly #disksOnly: boolean;
  readonly #type: number;
  readonly #nodes: WeakMap<BlockDeviceEntry, Inode> = new WeakMap();

  constructor(
    system: FileSystems,
    type: number,
    disksOnly: boolean,
    name: (entry: BlockDeviceEntry) => string,
    make: (entry: BlockDeviceEntry) => Inode,
  ) {
    this.#system = system;
    this.#type = type;
    this.#disksOnly = disksOnly;
    this.#name = name;
    this.#make = make;
  }

  #entries(): BlockDeviceEntry[] {
    const all = [...this.#system.kernel.blockDevices.values()];
    return this.#disksOnly ? all.filter((entry) => diskName(this.#system, entry.name) === entry.name) : all;
  }

  #nodeOf(entry: BlockDeviceEntry): Inode {
    let node = this.#nodes.get(entry);
    if (node === undefined) {
      node = this.#make(entry);
      this.#nodes.set(entry, node);
    }
    return node;
  }

  lookup(name: string): Inode | undefined {
    const entry = this.#entries().find((candidate) => this.#name(candidate) === name);
    return entry === undefined ? undefined : this.#nodeOf(entry);
  }

  list(fromKey: number): Iterable<DynamicEntry> {
    return this.#entries()
      .slice(fromKey)
      .map((entry, index) => ({
        name: this.#name(entry),
        key: fromKey + index,
        ino: this.#nodeOf(entry).ino,
        type: this.#type,
      }));
  }
}

const byName = (entry: BlockDeviceEntry): string => entry.name;
const byNumber = (entry: BlockDeviceEntry): string => `${major(entry.rdev)}:${minor(entry.rdev)}`;

/** The directory itself: /sys/devices/virtual/block. */
export function blockDevicesDir(fs: SimpleFs, system: FileSystems): SimpleDir {
  return new SimpleDir(fs, undefined, {
    source: new BlockSource(system, S_IFDIR, true, byName, (entry) => deviceDir(fs, system, entry)),
  });
}

/** Links to it from elsewhere; `up` leads from the directory to /sys. */
export function blockLinksDir(
  fs: SimpleFs,
  system: FileSystems,
  up: string,
  how: "disks" | "all" | "numbers",
): SimpleDir {
  const make = (entry: BlockDeviceEntry): Inode => new SimpleSymlink(fs, `${up}${devicePath(system, entry.name)}`);
  const name = how === "numbers" ? byNumber : byName;
  return new SimpleDir(fs, undefined, { source: new BlockSource(system, S_IFLNK, how === "disks", name, make) });
}
