/**
 * A random workload on a file system, with a model of what must be there: a tree of maps, applied step by step to both.
 */
import { FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE } from "linux-abi";
import type { Inode } from "vfs-inode";
import type { Ext4FileSystem } from "../src/index.ts";

export interface ModelNode {
  kind: "file" | "directory" | "link";
  data: Uint8Array;
  target: string;
  children: Map<string, ModelNode>;
  /** Number of the last step that changed this node or its name. */
  changedAt: number;
}

const EEXIST = 17;
const EISDIR = 21;
const EINVAL = 22;
const ENOENT = 2;
const ENOTEMPTY = 39;
const NODE = { uid: 1000, gid: 100, rdev: 0 };

/** Numbers that are the same on every run. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** An integer from 0 to limit − 1. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}

function newNode(kind: ModelNode["kind"], step: number): ModelNode {
  return { kind, data: new Uint8Array(0), target: "", children: new Map(), changedAt: step };
}

interface Place {
  readonly dir: ModelNode;
  readonly inode: Inode;
  /** Where it is, but for /work itself. */
  readonly parent?: Place;
  readonly name?: string;
}

export interface WorkloadOptions {
  /** Most bytes that one write has. Default 20000. */
  readonly maxData?: number;
  /** Whether files can have reserved space. Default true. */
  readonly reserves?: boolean;
  /** Different names in a directory. Default 400; with thousands directories become large, and most steps create. */
  readonly names?: number;
  /** Attribute values that need an inode of their own. Default false. */
  readonly largeXattrs?: boolean;
}

export class Workload {
  readonly root: ModelNode = newNode("directory", 0);
  step = 0;
  readonly #random: Random;
  readonly #directories: Place[];
  #files: { place: Place; name: string }[] = [];
  #open: Inode[] = [];
  readonly #maxData: number;
  readonly #reserves: boolean;
  readonly #names: number;
  readonly #largeXattrs: boolean;
  /** Unit of COLLAPSE_RANGE and INSERT_RANGE. */
  readonly #unit: number;

  /** Works below /work, which it makes. */
  constructor(fs: Ext4FileSystem, seed: number, options: WorkloadOptions = {}) {
    this.#random = new Random(seed);
    this.#maxData = options.maxData ?? 20000;
    this.#reserves = options.reserves ?? true;
    this.#names = options.names ?? 400;
    this.#largeXattrs = options.largeXattrs ?? false;
    this.#unit = fs.volume.geometry.clusterSize;
    const made = fs.root().mkdir("work", { ...NODE, mode: 0o755 });
    const work = check(made, "mkdir /work");
    work.ref();
    this.#directories = [{ dir: this.root, inode: work }];
  }

  /** One random operation on file system and model. Throws when the answer is not what the model expects. */
  next(): void {
    this.step++;
    const r = this.#random;
    const kind = r.below(100);
    const place = this.#directories[r.below(this.#directories.length)] as Place;
    const name = `n${r.below(this.#names)}${"x".repeat(r.below(30))}`;
    if (kind < 30 || (this.#names > 1000 && kind % 5 !== 0)) this.#create(place, name);
    else if (kind < 35) this.#mkdir(place, name);
    else if (kind < 36) this.#rmdir(place);
    else if (kind < 40) this.#symlink(place, name);
    else if (this.#files.length > 0) {
      const at = r.below(this.#files.length);
      const file = this.#files[at] as { place: Place; name: string };
      if (kind < 60) this.#write(file);
      else if (kind < 68) this.#truncate(file);
      else if (kind < 72) this.#punch(file);
      else if (kind < 74 && this.#reserves) this.#reserve(file);
      else if (kind < 76 && this.#reserves) this.#shift(file);
      else if (kind < 86) this.#unlink(at, file);
      else if (kind < 95) this.#rename(at, file, place, name);
      else if (kind < 96) this.#temporary(place, name);
      else if (kind < 97 && !this.#largeXattrs) this.#own(file);
      else this.#xattr(file);
    }
  }

  #node(file: { place: Place; name: string }): ModelNode {
    return file.place.dir.children.get(file.name) as ModelNode;
  }
  #inode(file: { place: Place; name: string }): Inode {
    return check(file.place.inode.lookup(file.name), `lookup ${file.name}`);
  }

  #create(place: Place, name: string): void {
    const made = place.inode.create(name, { ...NODE, mode: 0o100644 });
    if (place.dir.children.has(name)) return expectEqual(made, -EEXIST, "create of an existing name");
    check(made, `create ${name}`);
    place.dir.children.set(name, newNode("file", this.step));
    this.#files.push({ place, name });
  }

  #mkdir(place: Place, name: string): void {
    if (this.#directories.length > 20) return;
    const made = place.inode.mkdir(name, { ...NODE, mode: 0o755 });
    if (place.dir.children.has(name)) return expectEqual(made, -EEXIST, "mkdir of an existing name");
    const inode = check(made, `mkdir ${name}`);
    inode.ref();
    const dir = newNode("directory", this.step);
    place.dir.children.set(name, dir);
    this.#directories.push({ dir, inode, parent: place, name });
  }

  #rmdir(place: Place): void {
    const { parent, name } = place;
    if (parent === undefined || name === undefined) return;
    const result = parent.inode.rmdir(name);
    if (place.dir.children.size > 0) return expectEqual(result, -ENOTEMPTY, "rmdir of a directory with names");
    expectEqual(result, 0, "rmdir");
    expectEqual(place.inode.create("late", { ...NODE, mode: 0o100644 }), -ENOENT, "create in a removed directory");
    parent.dir.children.delete(name);
    this.#directories.splice(this.#directories.indexOf(place), 1);
    place.inode.unref();
  }

  #symlink(place: Place, name: string): void {
    const target = "t".repeat(1 + this.#random.below(150));
    const made = place.inode.symlink(name, target, { ...NODE, mode: 0o777 });
    if (place.dir.children.has(name)) return expectEqual(made, -EEXIST, "symlink of an existing name");
    check(made, `symlink ${name}`);
    place.dir.children.set(name, { ...newNode("link", this.step), target });
  }

  #write(file: { place: Place; name: string }): void {
    const r = this.#random;
    const node = this.#node(file);
    const offset = r.below(3) === 0 ? r.below(this.#maxData * 4) : r.below(node.data.length + 1);
    const buf = new Uint8Array(1 + r.below(this.#maxData)).fill(1 + r.below(255));
    expectEqual(this.#inode(file).writeAt(offset, buf), buf.length, "write");
    const data = new Uint8Array(Math.max(node.data.length, offset + buf.length));
    data.set(node.data);
    data.set(buf, offset);
    node.data = data;
    node.changedAt = this.step;
  }

  #truncate(file: { place: Place; name: string }): void {
    const node = this.#node(file);
    const size =
      this.#random.below(2) === 0 ? this.#random.below(node.data.length + 1) : this.#random.below(this.#maxData * 4);
    expectEqual(this.#inode(file).truncate(size), 0, "truncate");
    const data = new Uint8Array(size);
    data.set(node.data.subarray(0, size));
    node.data = data;
    node.changedAt = this.step;
  }

  #punch(file: { place: Place; name: string }): void {
    const node = this.#node(file);
    const from = this.#random.below(node.data.length + 1);
    const length = 1 + this.#random.below(this.#maxData);
    expectEqual(this.#inode(file).fallocate(3, from, length), 0, "punch");
    node.data = node.data.slice();
    node.data.fill(0, from, from + length);
    node.changedAt = this.step;
  }

  /** Reserve, or zero a range; either may keep the size. */
  #reserve(file: { place: Place; name: string }): void {
    const node = this.#node(file);
    const from = this.#random.below(this.#maxData * 2);
    const end = from + 1 + this.#random.below(this.#maxData);
    const keep = this.#random.below(3) === 0;
    const zero = this.#random.below(2) === 0;
    const mode = (keep ? FALLOC_FL_KEEP_SIZE : 0) | (zero ? FALLOC_FL_ZERO_RANGE : 0);
    expectEqual(this.#inode(file).fallocate(mode, from, end - from), 0, "fallocate");
    const data = new Uint8Array(keep ? node.data.length : Math.max(end, node.data.length));
    data.set(node.data);
    if (zero) data.fill(0, from, end);
    node.data = data;
    node.changedAt = this.step;
  }

  /** Takes a range out of the file, or opens one. */
  #shift(file: { place: Place; name: string }): void {
    const node = this.#node(file);
    const unit = this.#unit;
    const length = node.data.length;
    const from = this.#random.below(Math.ceil(length / unit) + 1) * unit;
    const count = (1 + this.#random.below(Math.max(1, Math.floor(this.#maxData / unit / 2)))) * unit;
    const inode = this.#inode(file);
    const collapses = this.#random.below(2) === 0;
    const result = inode.fallocate(collapses ? FALLOC_FL_COLLAPSE_RANGE : FALLOC_FL_INSERT_RANGE, from, count);
    const fits = collapses ? from + count < length : from < length;
    if (!fits) return expectEqual(result, -EINVAL, "a range that is not inside the file");
    expectEqual(result, 0, collapses ? "collapse" : "insert");
    const data = new Uint8Array(length + (collapses ? -count : count));
    data.set(node.data.subarray(0, from));
    if (collapses) data.set(node.data.subarray(from + count), from);
    else data.set(node.data.subarray(from), from + count);
    node.data = data;
    node.changedAt = this.step;
  }

  /** A file without a name that gets content, and then perhaps a name. */
  #temporary(place: Place, name: string): void {
    if (place.inode.tmpfile === undefined) throw new Error("no tmpfile");
    const inode = check(place.inode.tmpfile({ ...NODE, mode: 0o100600 }), "tmpfile");
    inode.ref();
    const data = new Uint8Array(this.#random.below(this.#maxData)).fill(9);
    expectEqual(inode.writeAt(0, data), data.length, "write to a temporary file");
    const fate = this.#random.below(3);
    if (fate === 0) {
      this.#open.push(inode);
      return;
    }
    if (fate === 1 && !place.dir.children.has(name)) {
      expectEqual(place.inode.link(name, inode), 0, "link of a temporary file");
      place.dir.children.set(name, { ...newNode("file", this.step), data });
      this.#files.push({ place, name });
    }
    inode.unref();
  }

  /** Every other time the file is still open, and closed some steps later. */
  #unlink(at: number, file: { place: Place; name: string }): void {
    const inode = this.#inode(file);
    if (this.#random.below(2) === 0) {
      inode.ref();
      this.#open.push(inode);
    }
    expectEqual(file.place.inode.unlink(file.name), 0, "unlink");
    file.place.dir.children.delete(file.name);
    this.#files.splice(at, 1);
    if (this.#open.length > 5) this.#open.shift()?.unref();
  }

  #rename(at: number, file: { place: Place; name: string }, place: Place, name: string): void {
    const node = this.#node(file);
    const inWay = place.dir.children.get(name);
    const result = file.place.inode.rename(file.name, place.inode, name, 0);
    if (inWay?.kind === "directory") return expectEqual(result, -EISDIR, "rename over a directory");
    expectEqual(result, 0, "rename");
    if (inWay === node) return;
    file.place.dir.children.delete(file.name);
    place.dir.children.set(name, node);
    node.changedAt = this.step;
    this.#files = this.#files.filter((f, i) => i !== at && !(f.place === place && f.name === name));
    this.#files.push({ place, name });
  }

  #own(file: { place: Place; name: string }): void {
    const owner = { uid: this.#random.below(40) * 300, gid: this.#random.below(5) };
    expectEqual(this.#inode(file).setattr(owner), 0, "chown");
  }

  #xattr(file: { place: Place; name: string }): void {
    const large = this.#largeXattrs && this.#random.below(2) === 0;
    const value = new Uint8Array(this.#random.below(large ? 20_000 : 120)).fill(7);
    const name = `user.a${this.#random.below(3)}`;
    const inode = this.#inode(file);
    expectEqual(inode.setxattr(name, value, 0), 0, "setxattr");
    if (this.#random.below(4) === 0) expectEqual(inode.removexattr(name), 0, "removexattr");
  }

  /** Closes what is still open. */
  finish(): void {
    for (const inode of this.#open) inode.unref();
    this.#open = [];
  }
}

/** A copy that later steps do not change. */
export function snapshot(node: ModelNode): ModelNode {
  return { ...node, children: new Map([...node.children].map(([name, child]) => [name, snapshot(child)])) };
}

/** Differences between the model and the tree at `inode`; at most a few. `only`: nodes to look at (default all, and nothing else may be there). */
export function compare(
  node: ModelNode,
  inode: Inode,
  only?: (node: ModelNode, path: string) => boolean,
  path: string = "",
): string[] {
  const problems: string[] = [];
  if (only === undefined) {
    const names: string[] = [];
    inode.readdir(0, (name) => {
      if (name !== "." && name !== "..") names.push(name);
      return true;
    });
    if (names.sort().join("/") !== [...node.children.keys()].sort().join("/")) problems.push(`${path}/: wrong names`);
  }
  for (const [name, child] of node.children) {
    const where = `${path}/${name}`;
    const found = inode.lookup(name);
    if (typeof found === "number") {
      if (only === undefined || only(child, where)) problems.push(`${where}: lookup gives ${found}`);
      continue;
    }
    if (child.kind === "directory") problems.push(...compare(child, found, only, where));
    else if (only === undefined || only(child, where)) problems.push(...compareContent(child, found, where));
    if (problems.length > 5) break;
  }
  return problems;
}

function compareContent(node: ModelNode, inode: Inode, where: string): string[] {
  if (node.kind === "link") return inode.readlink() === node.target ? [] : [`${where}: wrong target`];
  const data = new Uint8Array(node.data.length + 1);
  const count = inode.readAt(0, data);
  if (count !== node.data.length) return [`${where}: ${count} bytes instead of ${node.data.length}`];
  for (let i = 0; i < count; i++) if (data[i] !== node.data[i]) return [`${where}: byte ${i} differs`];
  return [];
}

function check(result: Inode | number, what: string): Inode {
  if (typeof result === "number") throw new Error(`${what}: ${result}`);
  return result;
}

function expectEqual(actual: unknown, expected: number, what: string): void {
  if (actual !== expected)
    throw new Error(`${what}: ${typeof actual === "number" ? actual : "an object"} instead of ${expected}`);
}
