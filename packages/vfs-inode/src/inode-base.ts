/**
 * The answers most inodes give to operations that do not concern them: -ENOTDIR for directory operations on anything
 * else, -EISDIR or -EINVAL for file operations, no extended attributes. File systems extend it and override what they can do.
 */
import { EINVAL, EISDIR, ENODEV, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM, S_IFDIR, S_IFMT } from "linux-abi";
import type { AttributeChanges, Attributes, DirectoryEmit, FileSystem, Inode, NewNode } from "./inode.ts";

export abstract class InodeBase implements Inode {
  abstract readonly fs: FileSystem;
  abstract readonly ino: number;
  abstract readonly mode: number;
  abstract readonly uid: number;
  abstract readonly gid: number;
  abstract readonly nlink: number;
  readonly generation: number = 0;

  get size(): number {
    return 0;
  }

  get rdev(): number {
    return 0;
  }

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }

  /** What a directory operation answers that is not overridden: not a directory, or not permitted in this one. */
  #notHere(): number {
    return this.isDirectory ? -EPERM : -ENOTDIR;
  }

  #notAFile(): number {
    return this.isDirectory ? -EISDIR : -EINVAL;
  }

  ref(): void {}
  unref(): void {}

  abstract getattr(out: Attributes): void;

  setattr(_changes: AttributeChanges): number {
    return -EPERM;
  }

  lookup(_name: string): Inode | number {
    return -ENOTDIR;
  }
  create(_name: string, _node: NewNode): Inode | number {
    return this.#notHere();
  }
  mkdir(_name: string, _node: NewNode): Inode | number {
    return this.#notHere();
  }
  symlink(_name: string, _target: string, _node: NewNode): Inode | number {
    return this.#notHere();
  }
  link(_name: string, _target: Inode): number {
    return this.#notHere();
  }
  unlink(_name: string): number {
    return this.#notHere();
  }
  rmdir(_name: string): number {
    return this.#notHere();
  }
  rename(_name: string, _newParent: Inode, _newName: string, _flags: number): number {
    return this.#notHere();
  }
  readdir(_cookie: number, _emit: DirectoryEmit): number {
    return -ENOTDIR;
  }

  readAt(_offset: number, _buf: Uint8Array): number {
    return this.#notAFile();
  }
  writeAt(_offset: number, _buf: Uint8Array): number {
    return this.#notAFile();
  }
  truncate(_size: number): number {
    return this.#notAFile();
  }
  fallocate(_mode: number, _offset: number, _byteLength: number): number {
    return this.isDirectory ? -EISDIR : -ENODEV;
  }
  seekData(offset: number, data: boolean): number {
    if (offset >= this.size) return -ENXIO;
    return data ? offset : this.size;
  }
  sync(_dataOnly: boolean): number {
    return 0;
  }
  readlink(): string | number {
    return -EINVAL;
  }

  getxattr(_name: string): Uint8Array | number {
    return -EOPNOTSUPP;
  }
  setxattr(_name: string, _value: Uint8Array, _flags: number): number {
    return -EOPNOTSUPP;
  }
  listxattr(): readonly string[] | number {
    return [];
  }
  removexattr(_name: string): number {
    return -EOPNOTSUPP;
  }
}
