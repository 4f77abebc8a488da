/// <reference types="node" />
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { readAr } from "./ar.ts";
import { readTar, tarEnd, tarMember } from "./tar.ts";
import { FileTree, type TreeNode } from "./tree.ts";

const common = { mode: 0o644, uid: 3, gid: 4, mtime: 1_700_000_000 };
const bytes = (text: string) => new TextEncoder().encode(text);

test("a path below a linked directory lands in the directory", () => {
  const tree = new FileTree();
  tree.addDirectory("/usr/bin");
  tree.addSymlink("/bin", "usr/bin");
  tree.addFile("/bin/x", "hello", 0o755);
  expect(tree.text("/usr/bin/x")).toBe("hello");
  expect([...tree.entries()].map(([path]) => path)).toEqual(["/", "/bin", "/usr", "/usr/bin", "/usr/bin/x"]);
});

test("a directory that comes again as a directory keeps its contents; a link in its place stays a link", () => {
  const tree = new FileTree();
  tree.addDirectory("/usr/lib");
  tree.addSymlink("/lib", "usr/lib");
  tree.add("/lib", { type: "directory", ...common, mode: 0o750 });
  expect(tree.get("/usr/lib")?.mode).toBe(0o750);
  expect([...tree.entries()].find(([path]) => path === "/lib")?.[1].type).toBe("symlink");
});

test("circular links and files used as directories are errors", () => {
  const tree = new FileTree();
  tree.addSymlink("/a", "b");
  tree.addSymlink("/b", "a");
  expect(() => tree.addFile("/a/x", "")).toThrow("too many symbolic links");
  tree.addFile("/file", "");
  expect(() => tree.addFile("/file/x", "")).toThrow("not a directory");
});

test("tar members survive writing and reading, long and odd names included", () => {
  const nodes: [string, TreeNode][] = [
    ["dir/", { type: "directory", ...common, mode: 0o1777 }],
    ["dir/file", { type: "file", data: bytes("content"), ...common }],
    [`dir/${"long".repeat(40)}`, { type: "file", data: new Uint8Array(1024), ...common }],
    ["dir/odd\udcff", { type: "symlink", target: "x".repeat(150), ...common }],
    ["dir/hard", { type: "hardlink", target: "dir/file", ...common }],
    ["dev/null", { type: "char", rdev: 0x103, ...common }],
    ["dev/pipe", { type: "fifo", ...common }],
  ];
  const archive = Buffer.concat([...nodes.flatMap(([path, node]) => tarMember(path, node)), tarEnd()]);
  const read = [...readTar(archive)];
  expect(read.map((e) => e.path)).toEqual(nodes.map(([path]) => path));
  for (const [i, { node }] of read.entries())
    expect({ ...node, data: undefined }).toEqual({ ...nodes[i][1], data: undefined });
  const listing = spawnSync("tar", ["tvf", "-"], {
    input: archive,
    encoding: "utf8",
    env: { LC_ALL: "C", PATH: process.env.PATH },
  });
  if (listing.error === undefined) {
    expect(listing.stderr).toBe("");
    expect(listing.stdout.split("\n")[1]).toMatch(/^-rw-r--r-- 3\/4 +7 .* dir\/file$/);
  }
});

test("a damaged tar header and a cut archive are errors", () => {
  const archive = Buffer.concat(tarMember("x", { type: "file", data: bytes("content"), ...common }));
  expect(() => [...readTar(archive.subarray(0, 515))]).toThrow("cut off");
  archive[3] ^= 1;
  expect(() => [...readTar(archive)]).toThrow("checksum");
});

test("bytes that are no ar archive are refused", () => {
  expect(() => readAr(bytes("PK something"))).toThrow("not an ar archive");
});
