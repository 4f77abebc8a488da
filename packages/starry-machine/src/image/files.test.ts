import { Ext4FileSystem, mkfs, populate } from "ext4-fs";
import { ENOENT, ENOTEMPTY } from "linux-abi";
import { MemoryDisk } from "blockdev-disk";
import { expect, test } from "vitest";
import { FileError, ImageFiles } from "./files.ts";
import { FileTree } from "./tree.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: string) => new TextEncoder().encode(value);

function sample(): ImageFiles {
  const tree = new FileTree({ mtime: 1_700_000_000 });
  tree.addFile("/etc/motd", "welcome\n");
  tree.addFile("/usr/bin/tool", "#!/bin/sh\n", 0o755);
  tree.addSymlink("/bin", "usr/bin");
  tree.add("/usr/bin/other", { type: "hardlink", target: "/usr/bin/tool", mode: 0o755, uid: 0, gid: 0, mtime: 0 });
  const fs = emptyFileSystem();
  populate(fs, tree.imageEntries());
  return new ImageFiles(fs);
}

function emptyFileSystem(): Ext4FileSystem {
  const disk = new MemoryDisk(4 << 20);
  mkfs(disk, { uuid: "00000000-0000-0000-0000-000000000001" });
  return new Ext4FileSystem(disk);
}

test("a populated tree reads back the same, links included", () => {
  const files = sample();
  expect(text(files.read("/bin/tool"))).toBe("#!/bin/sh\n");
  expect(files.stat("/usr/bin/other").nlink).toBe(2);
  expect(files.readlink("/bin")).toBe("usr/bin");
  expect(files.list("/").map((item) => item.name)).toEqual(["bin", "etc", "lost+found", "usr"]);
  const again = [...files.readTree("/").entries()].map(([path, node]) => [path, node.type, node.mode, node.mtime]);
  expect(again).toContainEqual(["/etc/motd", "file", 0o644, 1_700_000_000]);
  expect(again.filter(([, type]) => type === "hardlink")).toHaveLength(1);
});

test("files are written, replaced and removed; errors carry code and path", () => {
  const files = sample();
  files.mkdir("/a/b/c", { parents: true });
  files.write("/a/b/c/file", bytes("long content"));
  files.write("/a/b/c/file", bytes("short"), { mode: 0o600 });
  expect(text(files.read("/a/b/../b/c/file"))).toBe("short");
  expect(() => files.remove("/a")).toThrow(expect.objectContaining({ errno: -ENOTEMPTY }));
  files.remove("/a", { recursive: true });
  expect(files.exists("/a")).toBe(false);
  expect(() => files.read("/nope")).toThrow(new FileError(-ENOENT, "/nope"));
});

test("a full file system is an error that names the file", () => {
  const tree = new FileTree();
  tree.addFile("/big", new Uint8Array(8 << 20));
  expect(() => populate(emptyFileSystem(), tree.imageEntries())).toThrow("/big");
});
