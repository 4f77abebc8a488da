/// <reference types="node" />
/** e2fsprogs' damaged images, mounted by the host's Linux and by us: needs root, loop devices, python3 and the images. */
import { expect, test } from "vitest";
import { e2fsprogsImage, e2fsprogsImages } from "../test/e2fsprogs-source.ts";
import { differences, linuxMount, ourMount, whyNoLoopMounts } from "../test/loop-mount.ts";

const why = whyNoLoopMounts();
if (why !== undefined) process.stderr.write(`comparisons with Linux's loop mounts are skipped: ${why}\n`);
const { directory, names } = why === undefined ? e2fsprogsImages({ download: true }) : { directory: "", names: [] };

/** Where the two do not agree, and why. Those that the host's configuration decides may also agree on another host. */
const EXPLAINED: Readonly<Record<string, string>> = {
  f_16384_block: "blocks larger than the host's pages: Linux before 6.19 refuses",
  f_8192_block: "blocks larger than the host's pages: Linux before 6.19 refuses",
  f_bad_fname: "casefold: a Linux without CONFIG_UNICODE refuses",
  f_verity: "verity: a Linux without CONFIG_FS_VERITY does not open the file",
  f_bad_encryption: "encrypted names: Linux lists them encoded, we answer ENOKEY",
  f_badsymlinks2: "encrypted link targets: Linux gives them encoded, we answer ENOKEY",
  f_dup_de_crypt: "encrypted names: Linux lists them encoded, we answer ENOKEY",
  f_ea_inode: "Linux reads Lustre's values in inodes, we do not; Linux checks the hashes of entries, we do not",
  j_recover_fast_commit: "Linux refuses to replay these fast commits; e2fsck and we replay them",
};

test.skipIf(names.length === 0)(
  "e2fsprogs' damaged images: refused or mounted as Linux does, and the same tree",
  () => {
    const unexplained: string[] = [];
    const table: string[] = [];
    let equal = 0;
    for (const name of names) {
      const bytes = e2fsprogsImage(directory, name);
      const linux = linuxMount(bytes);
      const lines = differences(linux, ourMount(bytes));
      if (lines.length === 0) {
        equal++;
        continue;
      }
      const reason = EXPLAINED[name];
      table.push(`${name}: ${reason ?? "unexplained"}`, `  ${lines[0].slice(0, 300)}`);
      for (const line of linux.log.filter((text) => /error|warning|fail|bad|cannot/i.test(text)).slice(0, 3))
        table.push(`  Linux: ${line}`);
      if (reason === undefined) unexplained.push(name, ...lines.slice(0, 5));
    }
    process.stdout.write(`${table.join("\n")}\nmounts and trees equal ${equal}/${names.length}\n`);
    expect(names.length).toBeGreaterThan(200);
    expect(unexplained).toEqual([]);
  },
);
