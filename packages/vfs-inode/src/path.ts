/**
 * A place in the tree of mounts: which mount, and which dentry of its file system.
 *
 * A Path that path walk returned stays valid until the next VFS operation; who keeps it longer pins it:
 *
 *     const path = vfs.lookup(context, null, "/tmp", LOOKUP_FOLLOW);
 *     if (typeof path === "number") return path;
 *     path.pin(); ... path.unpin();
 */
import type { Dentry, VfsNode } from "./dentry.ts";
import type { Inode } from "./inode.ts";
import type { Mount } from "./mount.ts";

export class Path {
  readonly mount: Mount;
  readonly dentry: Dentry;

  constructor(mount: Mount, dentry: Dentry) {
    this.mount = mount;
    this.dentry = dentry;
  }

  /** The node; only a name that was asked for as "may be absent" has none. */
  get node(): VfsNode {
    return this.dentry.node as VfsNode;
  }

  get inode(): Inode {
    return (this.dentry.node as VfsNode).inode;
  }

  /** Keeps mount and dentry in use until `unpin`. Returns itself. */
  pin(): this {
    this.mount.pins++;
    this.dentry.pins++;
    return this;
  }

  unpin(): void {
    this.mount.dentries.unpin(this.dentry);
    this.mount.releasePin();
  }

  /** The same dentry seen through another mount of the same file system. */
  onMount(mount: Mount): Path {
    return new Path(mount, this.dentry);
  }

  equals(other: Path): boolean {
    return this.mount === other.mount && this.dentry === other.dentry;
  }
}

/** How a path looks from `root` (d_path). */
export interface PathText {
  text: string;
  /** The name has been removed. */
  deleted: boolean;
  /** The path leads to `root`; otherwise the text starts at its own file system's top. */
  reachable: boolean;
}

/** Writes out `path` as seen from `root`. */
export function describePath(path: Path, root: Path): PathText {
  let { mount, dentry }: { mount: Mount; dentry: Dentry } = path;
  const deleted = !dentry.hashed;
  let text = "";
  let reachable = true;
  while (mount !== root.mount || dentry !== root.dentry) {
    if (dentry === mount.root) {
      if (mount.parent === null || mount.mountpoint === null) {
        reachable = false;
        break;
      }
      dentry = mount.mountpoint;
      mount = mount.parent;
      continue;
    }
    if (dentry.parent === null) {
      // A detached file (memfd, O_TMPFILE): its name is all there is.
      return { text: text === "" ? dentry.name : `${dentry.name}${text}`, deleted, reachable: true };
    }
    text = `/${dentry.name}${text}`;
    dentry = dentry.parent;
  }
  return { text: text === "" ? "/" : text, deleted, reachable };
}

/** The text that /proc/self/fd, maps and exe show: "(deleted)" and "(unreachable)" as Linux spells them. */
export function pathText(path: Path, root: Path): string {
  const { text, deleted, reachable } = describePath(path, root);
  return `${reachable ? "" : "(unreachable)"}${text}${deleted ? " (deleted)" : ""}`;
}
