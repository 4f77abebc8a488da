/**
 * Dentry cache: names of the directory tree, found (positive) or known to be absent (negative).
 *
 * A `VfsNode` is what the VFS knows about one inode (cached pages, locks, watches); it lives while a dentry holds it and
 * owns one reference of the inode. A `Dentry` is one name in one directory. Root dentries have no parent.
 *
 * Invariants:
 *  - a hashed dentry is in its parent's `children` under its own name; a parent is never evicted before its children;
 *  - `pins` counts open files, working directories and mounts; only unpinned leaves without mounts are evicted;
 *  - a removed name whose dentry is pinned becomes unhashed and keeps its node until the last pin goes.
 *
 * Eviction is a clock over a ring of all dentries. It runs only in `trim`, which the VFS calls before it starts an operation, so
 * the unpinned dentries that an operation has in its hands stay valid until it ends.
 */
import { ENOENT } from "linux-abi";
import type { FileSystem, Inode } from "./inode.ts";

export class VfsNode {
  readonly inode: Inode;
  /** Dentries that hold this node. */
  users = 0;
  /** The page cache's record, if there is one. */
  pages: object | null = null;
  /** Open file descriptions with write access. */
  writers = 0;
  /** Executing programs that forbid writing (ETXTBSY). */
  writeDenials = 0;
  /** Seconds since 1970 of the last relatime decision that needed no update; NaN: decide again. */
  atimeDecided: number = Number.NaN;
  /** File locks, watches and the source of mapped pages, owned by the kernel layer. */
  locks: object | null = null;
  watches: object | null = null;
  mapping: object | null = null;

  constructor(inode: Inode) {
    this.inode = inode;
  }
}

/** One mounted instance of a file system; several mounts may show it. */
export class Superblock {
  readonly fs: FileSystem;
  readonly root: Dentry;
  /** Mounts that show this file system. */
  mounts = 0;

  constructor(fs: FileSystem, rootNode: VfsNode) {
    this.fs = fs;
    this.root = new Dentry("/", null, this, rootNode);
  }
}

export class Dentry {
  name: string;
  parent: Dentry | null;
  readonly superblock: Superblock;
  /** null: a negative dentry. */
  node: VfsNode | null;
  children: Map<string, Dentry> | null = null;
  /** Names below may be cached. */
  cacheableNames: boolean;
  pins = 0;
  /** Mounts whose mount point is this dentry, over all mounts and namespaces. */
  mountpoints = 0;
  /** In `parent.children` (roots count as hashed). False once removed. */
  hashed = false;
  /** Used since the clock hand passed last. */
  referenced = false;
  ringNext: Dentry | null = null;
  ringPrevious: Dentry | null = null;

  constructor(name: string, parent: Dentry | null, superblock: Superblock, node: VfsNode | null) {
    this.name = name;
    this.parent = parent;
    this.superblock = superblock;
    this.node = node;
    this.cacheableNames = node === null || (node.inode.cacheableNames ?? superblock.fs.cacheable);
  }

  /** True if `this` is `ancestor` or lies below it, within one file system. */
  isWithin(ancestor: Dentry): boolean {
    for (let dentry: Dentry | null = this; dentry !== null; dentry = dentry.parent)
      if (dentry === ancestor) return true;
    return false;
  }
}

export interface DentryCacheOptions {
  /** Dentries kept before eviction starts. Default 16384. */
  readonly limit?: number;
  /** A node has lost its last dentry: write back and drop what hangs on it. */
  readonly onNodeReleased?: (node: VfsNode) => void;
}

export class DentryCache {
  readonly limit: number;
  readonly #onNodeReleased: (node: VfsNode) => void;
  readonly #nodes = new Map<Inode, VfsNode>();
  #count = 0;
  #hand: Dentry | null = null;

  constructor(options: DentryCacheOptions = {}) {
    this.limit = options.limit ?? 16384;
    this.#onNodeReleased = options.onNodeReleased ?? (() => {});
  }

  /** Cached dentries, roots not counted. */
  get count(): number {
    return this.#count;
  }

  /** Nodes in memory. */
  get nodes(): IterableIterator<VfsNode> {
    return this.#nodes.values();
  }

  nodeOf(inode: Inode): VfsNode {
    let node = this.#nodes.get(inode);
    if (node === undefined) {
      node = new VfsNode(inode);
      this.#nodes.set(inode, node);
    }
    return node;
  }

  /** The node if this inode is in memory. */
  findNode(inode: Inode): VfsNode | undefined {
    return this.#nodes.get(inode);
  }

  #hold(node: VfsNode): void {
    if (node.users++ === 0) node.inode.ref();
  }

  #drop(node: VfsNode): void {
    if (--node.users > 0) return;
    this.#onNodeReleased(node);
    this.#nodes.delete(node.inode);
    node.inode.unref();
  }

  createSuperblock(fs: FileSystem): Superblock {
    const node = this.nodeOf(fs.root());
    this.#hold(node);
    const superblock = new Superblock(fs, node);
    superblock.root.hashed = true;
    return superblock;
  }

  /** Drops every dentry of a file system that is no longer mounted anywhere. Pinned ones become unhashed. */
  destroySuperblock(superblock: Superblock): void {
    const stack: Dentry[] = [superblock.root];
    const all: Dentry[] = [];
    for (let dentry = stack.pop(); dentry !== undefined; dentry = stack.pop()) {
      all.push(dentry);
      if (dentry.children !== null) stack.push(...dentry.children.values());
    }
    for (let i = all.length - 1; i > 0; i--) this.remove(all[i]);
    superblock.root.hashed = false;
    if (superblock.root.pins === 0) this.#release(superblock.root);
  }

  /** Looks `name` up in `parent`: a positive or negative dentry, or -errno. */
  lookup(parent: Dentry, name: string): Dentry | number {
    const known = parent.children?.get(name);
    if (known !== undefined && parent.cacheableNames) {
      known.referenced = true;
      return known;
    }
    return this.#lookupSlow(parent, name, known);
  }

  #lookupSlow(parent: Dentry, name: string, known: Dentry | undefined): Dentry | number {
    const parentNode = parent.node as VfsNode;
    const found = parentNode.inode.lookup(name);
    if (typeof found === "number") {
      if (known !== undefined) this.remove(known);
      if (found !== -ENOENT) return found;
      if (parent.cacheableNames && parent.hashed) return this.add(parent, name, null);
      return new Dentry(name, parent, parent.superblock, null);
    }
    const node = this.nodeOf(found);
    if (known !== undefined) {
      if (known.node === node) {
        known.referenced = true;
        return known;
      }
      this.remove(known);
    }
    return this.add(parent, name, node);
  }

  /** Adds a hashed dentry. There must be none of that name. */
  add(parent: Dentry, name: string, node: VfsNode | null): Dentry {
    const dentry = new Dentry(name, parent, parent.superblock, null);
    parent.children ??= new Map();
    parent.children.set(name, dentry);
    dentry.hashed = true;
    this.#count++;
    const hand = this.#hand;
    if (hand === null) {
      dentry.ringNext = dentry;
      dentry.ringPrevious = dentry;
      this.#hand = dentry;
    } else {
      // Just behind the hand: the last place it will come to.
      const previous = hand.ringPrevious as Dentry;
      dentry.ringNext = hand;
      dentry.ringPrevious = previous;
      previous.ringNext = dentry;
      hand.ringPrevious = dentry;
    }
    if (node !== null) this.instantiate(dentry, node);
    return dentry;
  }

  /** A dentry outside the tree that holds a node: O_TMPFILE, memfd. Lives while pinned. */
  addDetached(superblock: Superblock, name: string, node: VfsNode): Dentry {
    const dentry = new Dentry(name, null, superblock, node);
    this.#hold(node);
    return dentry;
  }

  /** Gives a negative dentry a node. An unhashed one (non-cacheable directory) is hashed first. */
  instantiate(dentry: Dentry, node: VfsNode): Dentry {
    const parent = dentry.parent;
    if (!dentry.hashed && parent !== null) return this.add(parent, dentry.name, node);
    this.#hold(node);
    dentry.node = node;
    dentry.cacheableNames = node.inode.cacheableNames ?? dentry.superblock.fs.cacheable;
    return dentry;
  }

  /** What names mean in this directory has changed (chattr +F on an empty one): the absence of names is not known any more. */
  refresh(dentry: Dentry): void {
    const { node } = dentry;
    if (node === null) return;
    dentry.cacheableNames = node.inode.cacheableNames ?? dentry.superblock.fs.cacheable;
    if (dentry.children === null) return;
    for (const child of [...dentry.children.values()]) if (child.node === null) this.remove(child);
  }

  /** Takes a dentry out of the tree (its name is gone). Keeps the node while pinned. */
  remove(dentry: Dentry): void {
    if (!dentry.hashed) return;
    dentry.hashed = false;
    dentry.parent?.children?.delete(dentry.name);
    this.#unlinkRing(dentry);
    if (dentry.pins === 0) this.#release(dentry);
  }

  /** The file behind `dentry` was removed: the name is now known to be absent. */
  makeNegative(dentry: Dentry): void {
    const parent = dentry.parent;
    if (dentry.pins > 0 || parent === null || !parent.cacheableNames || dentry.children !== null) {
      if (dentry.children !== null) for (const child of [...dentry.children.values()]) this.remove(child);
      this.remove(dentry);
      return;
    }
    this.#release(dentry);
  }

  #release(dentry: Dentry): void {
    const node = dentry.node;
    if (node === null) return;
    dentry.node = null;
    this.#drop(node);
  }

  pin(dentry: Dentry): void {
    dentry.pins++;
  }

  unpin(dentry: Dentry): void {
    if (--dentry.pins === 0 && !dentry.hashed) this.#release(dentry);
  }

  /** rename(2): gives `dentry` a new place. What was at the new place must have been removed before. */
  move(dentry: Dentry, newParent: Dentry, newName: string): void {
    if (!dentry.hashed) return;
    dentry.parent?.children?.delete(dentry.name);
    dentry.parent = newParent;
    dentry.name = newName;
    newParent.children ??= new Map();
    newParent.children.set(newName, dentry);
  }

  /** rename(2) with RENAME_EXCHANGE. */
  exchange(a: Dentry, b: Dentry): void {
    const parentOfA = a.parent as Dentry;
    const nameOfA = a.name;
    a.parent = b.parent;
    a.name = b.name;
    b.parent = parentOfA;
    b.name = nameOfA;
    a.parent?.children?.set(a.name, a);
    parentOfA.children?.set(nameOfA, b);
  }

  /** Evicts until at most 7/8 of the limit is left, if the limit is exceeded. */
  trim(): void {
    if (this.#count > this.limit) this.shrink(this.#count - Math.floor((this.limit * 7) / 8));
  }

  /** Evicts up to `wanted` unused dentries; returns how many went. */
  shrink(wanted: number): number {
    let evicted = 0;
    let steps = this.#count * 2;
    while (evicted < wanted && steps-- > 0) {
      const dentry = this.#hand;
      if (dentry === null) break;
      this.#hand = dentry.ringNext;
      if (dentry.pins > 0 || dentry.mountpoints > 0 || (dentry.children !== null && dentry.children.size > 0)) continue;
      if (dentry.referenced) {
        dentry.referenced = false;
        continue;
      }
      this.remove(dentry);
      evicted++;
    }
    return evicted;
  }

  #unlinkRing(dentry: Dentry): void {
    const next = dentry.ringNext as Dentry;
    const previous = dentry.ringPrevious as Dentry;
    this.#count--;
    if (next === dentry) this.#hand = null;
    else {
      previous.ringNext = next;
      next.ringPrevious = previous;
      if (this.#hand === dentry) this.#hand = next;
    }
    dentry.ringNext = null;
    dentry.ringPrevious = null;
  }
}
