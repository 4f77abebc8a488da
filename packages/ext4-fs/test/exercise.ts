import type { Ext4FileSystem, Ext4Inode } from "../src/index.ts";

/** Does everything once with whatever is there; whether it succeeds does not matter, only that it comes back. */
export function exercise(fs: Ext4FileSystem): void {
  const buf = new Uint8Array(20_000);
  const seen = new Set<number>();
  const pending: Ext4Inode[] = [fs.root()];
  for (let steps = 0; pending.length > 0 && steps < 400; steps++) {
    const inode = pending.pop() as Ext4Inode;
    if (seen.has(inode.ino)) continue;
    seen.add(inode.ino);
    const names: string[] = [];
    inode.readdir(0, (name) => {
      names.push(name);
      return names.length < 1000;
    });
    for (const name of names) {
      const child = inode.lookup(name);
      if (typeof child !== "number" && name !== "." && name !== "..") pending.push(child);
    }
    inode.readAt(0, buf);
    inode.readAt(1_000_000_000, buf);
    inode.readlink();
    inode.listxattr();
    inode.seekData(0, true);
    if (steps % 3 === 0) {
      inode.writeAt(steps * 1000, buf.subarray(0, 3000));
      inode.setxattr("user.x", buf.subarray(0, 300), 0);
      inode.truncate(steps * 10);
      inode.create(`new${steps}`, { mode: 0o100644, uid: 0, gid: 0, rdev: 0 });
      for (const name of names.slice(0, 3)) {
        inode.rename(name, fs.root(), `moved${steps}`, 0);
        inode.unlink(name);
        inode.rmdir(name);
      }
    }
  }
  fs.statfs();
  fs.unmount();
}
