/// <reference types="node" />
/** Volumes that only some may write, or only some of whose files may be read: mmp, encrypt, verity, an external journal. */
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, type Ext4Inode } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());
const image = workspace.file("guarded.img");
const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0 };

test.skipIf(!hasE2fsprogs)("a volume with mmp is held while it is mounted for writing, and free afterwards", () => {
  makeImage(image, 16 << 20, ["-O", "mmp"]);
  const disk = new OverlayDisk(new FileDisk(image, { readOnly: true }));
  let sec = 1_700_000_000;
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec, nsec: 3 }) });
  const held = (): string => {
    saveImage(disk, image);
    return run("dumpe2fs", ["-h", image]).output + run("debugfs", ["-R", "dump_mmp", image]).output;
  };
  const first = /mmp_sequence: (\w+)/.exec(held())?.[1];
  expect(held()).toMatch(/mmp_node_name: ext4-fs/);
  expect(Ext4FileSystem.mount(disk)).toMatchObject({
    errno: 16,
    message: expect.stringContaining("in use on ext4-fs"),
  });
  expect(Ext4FileSystem.mount(disk, { readOnly: true })).toBeInstanceOf(Ext4FileSystem);
  sec += 10;
  fs.root().create("f", FILE);
  expect(/mmp_sequence: (\w+)/.exec(held())?.[1]).not.toBe(first);
  expect(fs.remount(true)).toBe(0);
  expect(fs.remount(false)).toBe(0);
  expect(fs.unmount()).toBe(0);
  expect(held()).toMatch(/mmp_sequence: 0xff4d4d50/i);
  expect(fsckProblems(image)).toBeUndefined();
  const again = new Ext4FileSystem(disk);
  expect(again.unmount()).toBe(0);
});

test.skipIf(!hasE2fsprogs)(
  "an encrypted volume is read-only; what is not encrypted can be read, the rest says so",
  () => {
    makeImage(image, 16 << 20, ["-O", "encrypt"]);
    const commands = [
      "mkdir secret",
      "write /etc/hostname secret/f",
      "write /etc/hostname plain",
      "write /etc/hostname hidden",
    ];
    run("debugfs", ["-w", "-f", "-", image], `${commands.join("\n")}\n`);
    run("debugfs", ["-w", "-R", "set_inode_field hidden flags 0x80800", image]);
    run("debugfs", ["-w", "-R", "set_inode_field secret flags 0x80800", image]);
    const lines: string[] = [];
    const fs = new Ext4FileSystem(new FileDisk(image), { log: (line) => lines.push(line) });
    expect([fs.readOnly, lines]).toEqual([true, ["ext4: mounted read-only because of encrypt"]]);
    const buf = new Uint8Array(100);
    expect((fs.root().lookup("plain") as Ext4Inode).readAt(0, buf)).toBeGreaterThan(0);
    expect((fs.root().lookup("hidden") as Ext4Inode).readAt(0, buf)).toBe(-126);
    const secret = fs.root().lookup("secret") as Ext4Inode;
    expect(secret.lookup("f")).toBe(-126);
    expect(secret.readdir(0, () => true)).toBe(-126);
  },
);

test.skipIf(!hasE2fsprogs)("files sealed by verity can be read and removed, not written; others can", () => {
  makeImage(image, 16 << 20, ["-O", "verity"]);
  run("debugfs", ["-w", "-f", "-", image], "write /etc/hostname sealed\nwrite /etc/hostname open\n");
  run("debugfs", ["-w", "-R", "set_inode_field sealed flags 0x180000", image]);
  const disk = new FileDisk(image);
  const fs = new Ext4FileSystem(disk);
  const buf = new Uint8Array(100);
  const sealed = fs.root().lookup("sealed") as Ext4Inode;
  expect(sealed.readAt(0, buf)).toBeGreaterThan(0);
  expect([sealed.writeAt(0, buf), sealed.truncate(0), sealed.fallocate(0, 0, 5)]).toEqual([-1, -1, -1]);
  expect((fs.root().lookup("open") as Ext4Inode).writeAt(0, buf)).toBe(100);
  expect(fs.root().unlink("sealed")).toBe(0);
  expect(fs.unmount()).toBe(0);
  disk.close();
  expect(fsckProblems(image)).toBeUndefined();
});

test.skipIf(!hasE2fsprogs)("a volume whose journal is on another device is refused by name", () => {
  const journal = workspace.file("journal.img");
  makeImage(journal, 8 << 20, ["-b", "4096", "-O", "journal_dev"]);
  expect(Ext4FileSystem.mount(new FileDisk(journal))).toMatchObject({ features: ["journal_dev"] });
  makeImage(image, 16 << 20, ["-b", "4096"]);
  run("debugfs", ["-w", "-f", "-", image], "ssv journal_inum 0\nssv journal_dev 0x103\n");
  const refused = Ext4FileSystem.mount(new FileDisk(image));
  expect(refused).toMatchObject({ features: ["journal_dev"], message: "the journal is on another device" });
});
