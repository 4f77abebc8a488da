/// <reference types="node" />
/** The Linux kernel as a second reader and writer, where loop mounts are allowed (root on the development machines). */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, type Ext4Inode, mkfs } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, saveImage, Workspace } from "./e2fsprogs.ts";
import { type ModelNode, Workload } from "./model.ts";

const workspace = new Workspace();
const mountPoint = workspace.file("mnt");
mkdirSync(mountPoint);
const mount = (image: string): boolean => spawnSync("mount", ["-o", "loop", image, mountPoint]).status === 0;
const unmount = (): void => void spawnSync("umount", [mountPoint]);
afterAll(() => {
  unmount();
  workspace.remove();
});

function canMount(): boolean {
  if (!hasE2fsprogs || process.getuid?.() !== 0) return false;
  const image = workspace.file("probe.img");
  makeImage(image, 4 << 20, []);
  const mounted = mount(image);
  if (mounted) unmount();
  return mounted;
}
const mountable = canMount();
if (!mountable)
  process.stderr.write("loop mounts are not allowed here: comparisons with the Linux kernel are skipped\n");

/** Differences between the model and a host directory. */
function compareHost(node: ModelNode, path: string): string[] {
  const problems: string[] = [];
  if (readdirSync(path).sort().join("/") !== [...node.children.keys()].sort().join("/"))
    problems.push(`${path}: names`);
  for (const [name, child] of node.children) {
    if (child.kind === "directory") problems.push(...compareHost(child, `${path}/${name}`));
    else if (child.kind === "file" && Buffer.compare(readFileSync(`${path}/${name}`), child.data) !== 0)
      problems.push(`${path}/${name}: content`);
  }
  return problems;
}

test.skipIf(!mountable).each([
  ["clean", true],
  ["dirty", false],
] as const)("Linux mounts our %s volume and sees our files", (_state, clean) => {
  const path = workspace.file("ours.img");
  const disk = new FileDisk(path, { create: true, size: 64 << 20 });
  mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000006", blockSize: 4096, assumeStoragePrezeroed: true });
  const fs = new Ext4FileSystem(disk, { now: () => ({ sec: 1_700_000_000, nsec: 0 }) });
  const workload = new Workload(fs, 11);
  for (let i = 0; i < 1200; i++) workload.next();
  workload.finish();
  expect(clean ? fs.unmount() : fs.root().sync(false)).toBe(0);
  disk.close();
  expect(mount(path)).toBe(true);
  const problems = compareHost(workload.root, `${mountPoint}/work`);
  writeFileSync(`${mountPoint}/from-linux`, "hello");
  unmount();
  expect(problems).toEqual([]);
  expect(fsckProblems(path)).toBeUndefined();
  unlinkSync(path);
});

test.skipIf(!mountable)("a journal that Linux left dirty is replayed, and holds what Linux had synced", () => {
  const path = workspace.file("linux.img");
  const copy = workspace.file("copy.img");
  makeImage(path, 64 << 20, ["-b", "4096"]);
  expect(mount(path)).toBe(true);
  mkdirSync(`${mountPoint}/d`);
  for (let i = 0; i < 500; i++) writeFileSync(`${mountPoint}/d/file ${i}`, `content ${i}`);
  for (let i = 0; i < 500; i += 2) renameSync(`${mountPoint}/d/file ${i}`, `${mountPoint}/d/renamed ${i}`);
  for (let i = 1; i < 500; i += 10) unlinkSync(`${mountPoint}/d/file ${i}`);
  truncateSync(`${mountPoint}/d/file 3`, 1);
  spawnSync("sync");
  copyFileSync(path, copy);
  unmount();
  const disk = new OverlayDisk(new FileDisk(copy, { readOnly: true }));
  const lines: string[] = [];
  const fs = new Ext4FileSystem(disk, { log: (line) => lines.push(line) });
  expect(lines.join()).toContain("journal: replayed");
  const d = fs.root().lookup("d") as Ext4Inode;
  const buf = new Uint8Array(100);
  for (let i = 0; i < 500; i++) {
    const gone = i % 10 === 1;
    const found = d.lookup(i % 2 === 0 ? `renamed ${i}` : `file ${i}`);
    expect([i, typeof found]).toEqual([i, gone ? "number" : "object"]);
    if (gone) continue;
    const count = (found as Ext4Inode).readAt(0, buf);
    expect(new TextDecoder().decode(buf.subarray(0, count))).toBe(i === 3 ? "c" : `content ${i}`);
  }
  expect(fs.unmount()).toBe(0);
  saveImage(disk, copy);
  expect(fsckProblems(copy)).toBeUndefined();
});
