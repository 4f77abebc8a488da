/// <reference types="node" />
/** Images to damage: ours, and where mke2fs is installed those of its kinds that we do not make. */
import { readFileSync } from "node:fs";
import { MemoryDisk } from "blockdev-disk";
import { Ext4FileSystem, mkfs } from "../src/index.ts";
import { hasE2fsprogs, makeImage, run, Workspace } from "./e2fsprogs.ts";
import { type Base, makeBase } from "./fuzz.ts";

const MKE2FS: readonly (readonly [string, number, readonly string[]])[] = [
  ["checksums", 3 << 20, ["-b", "1024"]],
  ["no checksums", 3 << 20, ["-b", "1024", "-O", "^metadata_csum,^64bit"]],
  ["ext2", 2 << 20, ["-t", "ext2", "-b", "1024"]],
  ["ext3", 4 << 20, ["-t", "ext3", "-b", "1024"]],
  ["inline data", 4 << 20, ["-b", "1024", "-I", "256", "-O", "inline_data,^metadata_csum"]],
  ["bigalloc", 6 << 20, ["-b", "1024", "-C", "4096", "-O", "bigalloc,^metadata_csum,^has_journal"]],
  ["orphan file", 4 << 20, ["-b", "1024", "-O", "orphan_file,metadata_csum_seed"]],
  ["meta_bg", 4 << 20, ["-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode,^metadata_csum"]],
  ["casefold", 4 << 20, ["-b", "1024", "-O", "casefold,^metadata_csum", "-E", "encoding=utf8,encoding_flags=strict"]],
  ["quota, ea_inode", 4 << 20, ["-b", "1024", "-O", "quota,project,ea_inode,^metadata_csum"]],
  ["uninit_bg", 4 << 20, ["-b", "1024", "-g", "1024", "-O", "uninit_bg,^metadata_csum"]],
];

export function fuzzBases(): Base[] {
  const bases = [ours("4 KiB", 6 << 20, 4096), ours("1 KiB", 3 << 20, 1024)];
  if (!hasE2fsprogs) return bases;
  const work = new Workspace();
  try {
    for (const [name, byteLength, args] of MKE2FS) {
      const file = work.file("image");
      makeImage(file, byteLength, args);
      // debugfs fills them: a directory with an index, links, a device, attributes.
      const names = Array.from({ length: 60 }, (_, i) => `write ${work.file("content")} big/Nämé_of_ﬁle_${i}`);
      const casefold = name === "casefold" ? ["set_inode_field big flags 0x40080000"] : [];
      run("dd", ["if=/dev/zero", `of=${work.file("content")}`, "bs=1000", "count=3"]);
      run(
        "debugfs",
        ["-w", "-f", "-", file],
        [...DEBUGFS, ...casefold, ...names, `write ${work.file("content")} a/blob`].join("\n"),
      );
      run("e2fsck", ["-fyD", file]);
      bases.push(makeBase(name, new Uint8Array(readFileSync(file))));
    }
  } finally {
    work.remove();
  }
  return bases;
}

const DEBUGFS: readonly string[] = [
  "mkdir a",
  "mkdir a/b",
  "mkdir big",
  "symlink a/link /etc/passwd",
  `symlink a/long /${"x".repeat(100)}`,
  "mknod a/null c 1 3",
  "ea_set a user.test value",
];

function ours(name: string, byteLength: number, blockSize: number): Base {
  const disk = new MemoryDisk(byteLength);
  const now = { sec: 1_700_000_000, nsec: 0 };
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000000", now, blockSize });
  const fs = new Ext4FileSystem(disk, { now: () => now });
  const root = fs.root();
  const node = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };
  const directory = root.create("d", { ...node, mode: 0o40755 });
  if (typeof directory === "number") throw new Error(`mkdir: ${directory}`);
  for (let i = 0; i < 200; i++) {
    const file = directory.create(`a name of some length ${i}`, node);
    if (typeof file === "number") break;
    file.writeAt((i % 5) * 3000, new Uint8Array(i * 20).fill(i));
    if (i % 10 === 0) file.setxattr("user.x", new Uint8Array(i), 0);
  }
  fs.unmount();
  const bytes = new Uint8Array(byteLength);
  disk.readBlock(0, bytes);
  return makeBase(name, bytes);
}
