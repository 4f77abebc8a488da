/**
 * Writes a FileTree into a file system, through vfs-inode's contract alone: ext4 and tmpfs take it alike.
 */
import { EEXIST, errnoName, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from "linux-abi";
import type { Inode, NewNode } from "vfs-inode";
import type { FileTree, TreeNode } from "./tree.ts";

const TYPE_BITS: Record<Exclude<TreeNode["type"], "hardlink">, number> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  fifo: S_IFIFO,
  char: S_IFCHR,
  block: S_IFBLK,
};

/**
 * Adds every node of `tree` below `root`. Existing directories are merged into and take the tree's attributes.
 * Throws an Error that names the path when the file system refuses (ENOSPC among others).
 */
export function populate(root: Inode, tree: FileTree): void {
  // References to directories and to the targets of hard links are kept until the end.
  const placed = new Map<string, Inode>([["/", root]]);
  const linkTargets = new Set<string>();
  for (const [, node] of tree.entries()) if (node.type === "hardlink") linkTargets.add(node.target);

  const directories: (readonly [Inode, TreeNode])[] = [];
  for (const [path, node] of tree.entries()) {
    if (path === "/") {
      directories.push([root, node]);
      continue;
    }
    const slash = path.lastIndexOf("/");
    const parent = placed.get(slash === 0 ? "/" : path.slice(0, slash)) as Inode;
    const name = path.slice(slash + 1);
    if (node.type === "hardlink") {
      const target = placed.get(node.target);
      if (target === undefined) throw new Error(`${path}: the target ${node.target} of this hard link is missing`);
      check(parent.link(name, target), path);
      continue;
    }
    const inode = make(parent, name, node, path);
    inode.ref(); // what the file system returns is only lent
    if (node.type === "directory") directories.push([inode, node]);
    else setTimes(inode, node, path);
    if (node.type === "directory" || linkTargets.has(path)) placed.set(path, inode);
    else inode.unref();
  }
  // Last, since adding entries changes a directory's times.
  for (const [inode, node] of directories) {
    check(inode.setattr({ mode: node.mode, uid: node.uid, gid: node.gid }), "directory");
    setTimes(inode, node, "directory");
  }
  for (const [path, inode] of placed) if (path !== "/") inode.unref();
}

function make(parent: Inode, name: string, node: Exclude<TreeNode, { type: "hardlink" }>, path: string): Inode {
  const rdev = node.type === "char" || node.type === "block" ? node.rdev : 0;
  const fresh: NewNode = { mode: TYPE_BITS[node.type] | node.mode, uid: node.uid, gid: node.gid, rdev };
  switch (node.type) {
    case "directory": {
      const made = parent.mkdir(name, fresh);
      return made === -EEXIST ? expectInode(parent.lookup(name), path) : expectInode(made, path);
    }
    case "symlink":
      return expectInode(parent.symlink(name, node.target, fresh), path);
    case "file": {
      const inode = expectInode(parent.create(name, fresh), path);
      for (let at = 0; at < node.data.length; ) at += check(inode.writeAt(at, node.data.subarray(at)), path);
      return inode;
    }
    default:
      return expectInode(parent.create(name, fresh), path);
  }
}

function setTimes(inode: Inode, node: TreeNode, path: string): void {
  const time = { sec: node.mtime, nsec: 0 };
  check(inode.setattr({ atime: time, mtime: time }), path);
}

function expectInode(result: Inode | number, path: string): Inode {
  if (typeof result === "number") throw new Error(`${path}: ${errnoName(result)}`);
  return result;
}

function check(result: number, path: string): number {
  if (result < 0) throw new Error(`${path}: ${errnoName(result)}`);
  return result;
}
