/**
 * A file tree in memory: what an image is built from, and what an image is exported to.
 *
 * Place: between the sources (tar archives, Debian packages, host folders, the embedded root) and ext4-fs's `populate`.
 *
 * Paths are absolute within the tree, without "." and "..". Adding below a symbolic link to a directory follows the
 * link, as unpacking with tar does: on Debian /bin is a link to usr/bin and packages may still say /bin/x.
 */

import type { ImageEntry } from "ext4-fs";

interface NodeCommon {
  /** Permission bits 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

export type TreeNode = NodeCommon &
  (
    | { readonly type: "file"; readonly data: Uint8Array }
    | { readonly type: "directory" }
    | { readonly type: "symlink"; readonly target: string }
    /** `target` is a path in the same tree. */
    | { readonly type: "hardlink"; readonly target: string }
    | { readonly type: "fifo" }
    /** `rdev` as linux-abi's `makedev` gives it. */
    | { readonly type: "char"; readonly rdev: number }
    | { readonly type: "block"; readonly rdev: number }
  );

const MAX_LINKS = 40;

export class FileTree {
  readonly #nodes = new Map<string, TreeNode>();
  readonly #defaultMtime: number;

  /** `mtime` (seconds) is given to directories that are made because something was added below them. */
  constructor(options: { mtime?: number } = {}) {
    this.#defaultMtime = options.mtime ?? 0;
    this.#nodes.set("/", { type: "directory", mode: 0o755, uid: 0, gid: 0, mtime: this.#defaultMtime });
  }

  /** A tree that is a single file: its root. */
  static ofFile(node: TreeNode): FileTree {
    const tree = new FileTree();
    tree.#nodes.set("/", node);
    return tree;
  }

  /** Adds or replaces one node; an existing directory is kept and takes the new attributes. Throws for a path through a non-directory. */
  add(path: string, node: TreeNode): void {
    const real = this.#realPath(path, node.type === "directory");
    const existing = this.#nodes.get(real);
    if (existing?.type === "directory" && node.type !== "directory") {
      throw new Error(`${path} is a directory already`);
    }
    const placed = node.type === "hardlink" ? { ...node, target: this.#realPath(node.target, false) } : node;
    this.#makeParents(real);
    this.#nodes.set(real, placed);
  }

  addFile(path: string, content: string | Uint8Array, mode = 0o644): void {
    const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
    this.add(path, { type: "file", data, mode, uid: 0, gid: 0, mtime: this.#defaultMtime });
  }

  addSymlink(path: string, target: string): void {
    this.add(path, { type: "symlink", target, mode: 0o777, uid: 0, gid: 0, mtime: this.#defaultMtime });
  }

  addDirectory(path: string, mode = 0o755): void {
    this.add(path, { type: "directory", mode, uid: 0, gid: 0, mtime: this.#defaultMtime });
  }

  /** The node that `path` leads to, symbolic links on the way and at the end followed. */
  get(path: string): TreeNode | undefined {
    return this.#nodes.get(this.#realPath(path, true));
  }

  has(path: string): boolean {
    return this.get(path) !== undefined;
  }

  /** Text of a file, undefined when there is none. */
  text(path: string): string | undefined {
    const node = this.get(path);
    return node?.type === "file" ? new TextDecoder().decode(node.data) : undefined;
  }

  /** All nodes in path order, each directory before what it contains, hard links after their targets. */
  *entries(): Generator<readonly [path: string, node: TreeNode]> {
    const paths = [...this.#nodes.keys()].sort();
    for (const path of paths) {
      const node = this.#nodes.get(path) as TreeNode;
      if (node.type !== "hardlink") yield [path, node];
    }
    for (const path of paths) {
      const node = this.#nodes.get(path) as TreeNode;
      if (node.type === "hardlink") yield [path, node];
    }
  }

  /** The same as entries for ext4-fs's `populate`, below `folder` ("" = the root). */
  *imageEntries(folder = ""): Generator<ImageEntry> {
    for (const [path, node] of this.entries()) {
      const { mtime, ...rest } = node;
      const placed = rest.type === "hardlink" ? { ...rest, target: folder + rest.target } : rest;
      yield { ...placed, path: path === "/" && folder !== "" ? folder : folder + path, mtime: { sec: mtime, nsec: 0 } };
    }
  }

  /** Number of nodes and bytes of file data, for choosing an image size. */
  size(): { nodes: number; dataBytes: number; blocks4k: number } {
    let dataBytes = 0;
    let blocks4k = 0;
    for (const node of this.#nodes.values()) {
      if (node.type === "file") {
        dataBytes += node.data.length;
        blocks4k += Math.ceil(node.data.length / 4096);
      } else if (node.type === "directory") {
        blocks4k++;
      }
    }
    return { nodes: this.#nodes.size, dataBytes, blocks4k };
  }

  #makeParents(path: string): void {
    const slash = path.lastIndexOf("/");
    if (slash <= 0) return;
    const parent = path.slice(0, slash);
    const node = this.#nodes.get(parent);
    if (node === undefined) {
      this.#makeParents(parent);
      this.#nodes.set(parent, { type: "directory", mode: 0o755, uid: 0, gid: 0, mtime: this.#defaultMtime });
    } else if (node.type !== "directory") {
      throw new Error(`${parent} is not a directory`);
    }
  }

  /** Resolves symbolic links in the directories of `path`, and in its last component if `followLast`. */
  #realPath(path: string, followLast: boolean): string {
    const todo = components(path).reverse();
    const done: string[] = [];
    let links = 0;
    while (todo.length > 0) {
      const name = todo.pop() as string;
      if (name === "..") {
        done.pop();
        continue;
      }
      done.push(name);
      const node = this.#nodes.get(`/${done.join("/")}`);
      if (node?.type !== "symlink" || (todo.length === 0 && !followLast)) continue;
      if (++links > MAX_LINKS) throw new Error(`too many symbolic links in ${path}`);
      if (node.target.startsWith("/")) done.length = 0;
      else done.pop();
      todo.push(...components(node.target).reverse());
    }
    return `/${done.join("/")}`;
  }
}

function components(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}
