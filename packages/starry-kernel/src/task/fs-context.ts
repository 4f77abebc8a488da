/**
 * Where a task's paths start: Linux's `fs_struct`, with the mount namespace beside it. Shared between tasks cloned with CLONE_FS.
 *
 * `root` and `cwd` are pinned places in the VFS's mount tree; the core only copies and drops them.
 */
import type { MountNamespace, Path } from "vfs-inode";

/** A (mount, dentry) pair. */
export type FsPlace = Path;

export class FsContext {
  /** Tasks that share the context. */
  count = 1;
  root: Path;
  cwd: Path;
  /** Permission bits removed from new files. */
  umask: number;
  namespace: MountNamespace;

  /** Takes over one pin of each place. */
  constructor(root: Path, cwd: Path, umask: number, namespace: MountNamespace) {
    this.root = root;
    this.cwd = cwd;
    this.umask = umask;
    this.namespace = namespace;
  }

  /** clone(2) without CLONE_FS. */
  clone(): FsContext {
    return new FsContext(this.root.pin(), this.cwd.pin(), this.umask, this.namespace);
  }

  /** CLONE_NEWNS: a private copy of all mounts; this context (not shared with anybody) moves into it. */
  unshareMounts(): void {
    const { namespace, map } = this.namespace.clone();
    this.namespace = namespace;
    this.root = moved(this.root, map);
    this.cwd = moved(this.cwd, map);
  }

  put(): void {
    if (--this.count > 0) return;
    this.root.unpin();
    this.cwd.unpin();
  }
}

function moved(place: Path, map: ReadonlyMap<Path["mount"], Path["mount"]>): Path {
  const mount = map.get(place.mount);
  if (mount === undefined) return place;
  const there = place.onMount(mount).pin();
  place.unpin();
  return there;
}
