/// <reference types="node" />
/**
 * Our check against e2fsck on the images of its own tests.
 *
 * e2fsck forgets what it found in the superblock and the descriptors when it goes on to the inodes: with such a problem alone it exits
 * with 0. We call these images corrupt, because Linux refuses to mount them, or to read the file.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { check } from "../src/check/index.ts";
import { Ext4Error, Ext4FileSystem } from "../src/index.ts";
import { saveImage, Workspace } from "./e2fsprogs.ts";
import { e2fsprogsImage } from "./e2fsprogs-source.ts";
import { exercise } from "./exercise.ts";

/** Where e2fsck's exit status says 0 of an image that Linux does not take. */
export const STRICTER: Readonly<Record<string, string>> = {
  f_bad_gdt_csum: "a wrong descriptor checksum: no writable mount",
  f_uninit_enable: "a wrong descriptor checksum: no writable mount",
  f_first_meta_bg_too_big: "first meta block group beyond the descriptors: no mount",
  f_sb_extra_isize: "extra inode size outside the inode: no mount",
  f_zero_inode_size: "inode size 0 in the superblock, the copy is good: no mount",
  f_extent_too_deep: "an extent tree of depth 7: the file cannot be read",
};

/** Images that e2fsck cannot repair without help, either: no superblock anywhere, or a journal elsewhere. */
export const HOPELESS: readonly string[] = ["f_crashdisk", "f_ext_journal", "j_ext_dumpe2fs"];

export interface Comparison {
  readonly name: string;
  readonly ours: "clean" | "corrupt";
  readonly e2fsck: "clean" | "corrupt";
  readonly mount: "mounted" | "refused";
  /** Of our repair, by e2fsck -fn: 0 is clean. */
  readonly afterRepair: number;
}

/** Everything with one image. Nothing of ours may throw. */
export function compare(directory: string, name: string): Comparison {
  const bytes = e2fsprogsImage(directory, name);
  const base = MemoryDisk.over(bytes);
  const work = new Workspace();
  try {
    const file = work.file("image");
    writeFileSync(file, bytes);
    // One image makes e2fsck loop, some make it crash: that is no verdict of "clean".
    const status = e2fsck(file);
    const ours = check(new OverlayDisk(base), { journal: "ignore" }).verdict;
    let mount: Comparison["mount"] = "refused";
    for (const readOnly of [true, false]) {
      const fs = Ext4FileSystem.mount(new OverlayDisk(base), { readOnly });
      if (fs instanceof Ext4Error) continue;
      mount = "mounted";
      exercise(fs);
    }
    const disk = new OverlayDisk(base);
    check(disk, { repair: true, now: () => ({ sec: 1_800_000_000, nsec: 0 }) });
    saveImage(disk, file);
    return { name, ours, e2fsck: status === 0 ? "clean" : "corrupt", mount, afterRepair: e2fsck(file) };
  } finally {
    work.remove();
  }
}

function e2fsck(file: string): number {
  const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
  return spawnSync("e2fsck", ["-fn", file], { env, timeout: 60_000, killSignal: "SIGKILL" }).status ?? -1;
}

/** Compares all of `names`; what is not as it should be, in words. */
export function disagreements(directory: string, names: readonly string[]): string[] {
  const wrong: string[] = [];
  let equal = 0;
  let repaired = 0;
  for (const name of names) {
    const result = compare(directory, name);
    if (result.ours === result.e2fsck) equal++;
    else if (STRICTER[name] === undefined) wrong.push(`${name}: ours ${result.ours}, e2fsck ${result.e2fsck}`);
    if (result.afterRepair === 0) repaired++;
    else if (!HOPELESS.includes(name))
      wrong.push(`${name}: after our repair e2fsck -fn exits with ${result.afterRepair}`);
  }
  process.stderr.write(`e2fsprogs' images: verdict equal ${equal}/${names.length}, clean after repair ${repaired}\n`);
  return wrong;
}
