/**
 * An ext4 image file, opened without a machine: list it, read it, change it. `e2fsck -fn IMAGE` has nothing to complain
 * about afterwards, and Linux mounts it.
 *
 *   node dist/mount-ext4.js IMAGE      a new image is made if there is none
 */
import { existsSync } from "node:fs";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem, mkfs } from "ext4-fs";
import { promises } from "ext4-fs/promises";
import { errnoMessage } from "linux-abi";

const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: mount-ext4 IMAGE");
  process.exit(2);
}
const now = () => ({ sec: Math.floor(Date.now() / 1000), nsec: 0 });

// 1. A disk in a file, and a file system on it: what mke2fs makes by default.
const isNew = !existsSync(path);
const disk = isNew ? new FileDisk(path, { create: true, size: 64 << 20 }) : new FileDisk(path);
if (isNew) mkfs(disk, { label: "example", now: now(), random: (bytes) => void crypto.getRandomValues(bytes) });

// 2. Mounted: an interrupted journal is replayed here. Throws an Ext4Error that says why it cannot.
const volume = new Ext4FileSystem(disk, { now });

// 3. With the shape of node:fs/promises; code written for that module runs unchanged.
const fs = promises(volume);
await fs.mkdir("/etc/example", { recursive: true });
await fs.writeFile("/etc/example/greeting", "Hello from ext4\n");
await fs.appendFile("/log", `opened at ${new Date(now().sec * 1000).toISOString()}\n`);
process.stdout.write(`${await fs.readFile("/etc/example/greeting", "utf8")}`);
await fs.readFile("/nowhere").catch((error: Error) => console.log(error.message));

// 4. Inodes by path, synchronous, with numbers for errors: what a kernel would rather have.
const root = volume.rootDir();
const note = root.create("etc/example/note", "file");
if (typeof note === "number") throw new Error(errnoMessage(note));
note.writeAt(0, new TextEncoder().encode("the beginning, a hole, the end"));
note.writeAt(4096, new TextEncoder().encode("!")); // nothing is stored in between
const buffer = new Uint8Array(9);
const count = root.lookup("/etc/../etc//example/note")?.readAt(4, buffer) ?? 0;
console.log(new TextDecoder().decode(buffer.subarray(0, count)), root.lookup("etc")?.ls());
console.log(errnoMessage(root.rename("etc", "etc/example/below-itself")));
root.remove("etc/example/note");

// 5. The tree, as `ls -lR` would walk it.
async function list(directory: string): Promise<void> {
  for (const entry of await fs.readdir(directory, { withFileTypes: true })) {
    const child = `${directory === "/" ? "" : directory}/${entry.name}`;
    const { mode, size } = await fs.lstat(child);
    console.log(`${mode.toString(8).padStart(6, "0")} ${String(size).padStart(8)} ${child}`);
    if (entry.isDirectory()) await list(child);
  }
}
await list("/");

// 6. Unmounting commits what is left in memory.
const { blockSize, blocksFree } = volume.statfs();
volume.unmount();
disk.close();
console.log(`${Math.round((blocksFree * blockSize) / 1e6)} MB free`);
