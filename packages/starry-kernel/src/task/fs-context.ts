/**
 * Where a task's paths start: Linux's `fs_struct`. Shared between tasks cloned with CLONE_FS.
 *
 * `root` and `cwd` are pinned places in the VFS's mount tree; the core only copies and drops them.
 */

/** A (mount, dentry) pair: vfs-inode's `Path`. */
export interface FsPlace {
  /** Keeps it in use until `unpin`. Returns itself. */
  pin(): this;
  unpin(): void;
}

export class FsContext<Place extends FsPlace = FsPlace> {
  /** Tasks that share the context. */
  count = 1;
  root: Place;
  cwd: Place;
  /** Permission bits removed from new files. */
  umask: number;

  /** Takes over one pin of each place. */
  constructor(root: Place, cwd: Place, umask: number) {
    this.root = root;
    this.cwd = cwd;
    this.umask = umask;
  }

  clone(): FsContext<Place> {
    return new FsContext(this.root.pin(), this.cwd.pin(), this.umask);
  }

  put(): void {
    if (--this.count > 0) return;
    this.root.unpin();
    this.cwd.unpin();
  }
}
