/// <reference types="node" />
/**
 * Between host folders and file trees. Ownership in an image is root's unless the host process is root itself and can
 * see real owners; special files are made on the host only by root.
 */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { FileTree, type TreeNode } from "../image/tree.ts";

/** Reads a host file or folder. A single file becomes the root node's replacement: `tree.get("/")` is the file. */
export function hostTree(path: string): FileTree {
  const stats = statSync(path);
  if (!stats.isDirectory()) return FileTree.ofFile(fileNode(path));
  const tree = new FileTree();
  const firstName = new Map<string, string>();
  const todo = [""];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    tree.add(at === "" ? "/" : at, { type: "directory", ...common(join(path, at)) });
    for (const name of readdirSync(join(path, at))) {
      const inTree = `${at}/${name}`;
      const onHost = join(path, inTree);
      const entry = lstatSync(onHost);
      const key = `${entry.dev}:${entry.ino}`;
      const first = entry.nlink > 1 ? firstName.get(key) : undefined;
      if (entry.isDirectory()) todo.push(inTree);
      else if (first !== undefined) tree.add(inTree, { type: "hardlink", target: first, ...common(onHost) });
      else if (entry.isSymbolicLink())
        tree.add(inTree, { type: "symlink", target: readlinkSync(onHost), ...common(onHost) });
      else if (entry.isFile()) tree.add(inTree, fileNode(onHost));
      else if (entry.isFIFO()) tree.add(inTree, { type: "fifo", ...common(onHost) });
      if (entry.isFile() && entry.nlink > 1) firstName.set(key, inTree);
    }
  }
  return tree;
}

/** Writes a tree into an existing host folder, replacing files of the same names. Devices are skipped. */
export function writeTree(tree: FileTree, folder: string): void {
  const directories: (readonly [string, TreeNode])[] = [];
  for (const [path, node] of tree.entries()) {
    const target = join(folder, path);
    if (node.type === "directory") {
      mkdirSync(target, { recursive: true });
      directories.push([target, node]);
      continue;
    }
    rmSync(target, { force: true });
    if (node.type === "file") writeFileSync(target, node.data, { mode: node.mode & 0o777 });
    else if (node.type === "symlink") symlinkSync(node.target, target);
    else if (node.type === "hardlink") linkSync(join(folder, node.target), target);
    if (node.type === "file") utimesSync(target, node.mtime, node.mtime);
  }
  for (const [target, node] of directories.reverse()) {
    chmodSync(target, node.mode & 0o777);
    utimesSync(target, node.mtime, node.mtime);
  }
}

function fileNode(path: string): TreeNode {
  return { type: "file", data: readFileSync(path), ...common(path) };
}

function common(path: string): { mode: number; uid: number; gid: number; mtime: number } {
  const stats = lstatSync(path);
  const isRoot = process.getuid?.() === 0;
  return {
    mode: stats.mode & 0o7777,
    uid: isRoot ? stats.uid : 0,
    gid: isRoot ? stats.gid : 0,
    mtime: Math.floor(stats.mtimeMs / 1000),
  };
}
