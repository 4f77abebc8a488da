/**
 * The file system object of a pseudo file system: identity, inode numbers, the root. Nothing is stored, nothing can be full.
 */
import type { FileSystem, FileSystemStatus, Inode, Timespec } from "../inode.ts";

export interface SimpleFsOptions {
  /** Name in /proc/mounts. */
  readonly type: string;
  /** f_type of statfs(2). */
  readonly magic: number;
  /** st_dev. Default 0. */
  readonly deviceNumber?: number;
  /** Names may be cached unless a directory says otherwise. Default false. */
  readonly cacheable?: boolean;
  /** Options text in /proc/mounts. Default "". */
  readonly mountOptions?: string;
  /** chmod, chown and utimes are accepted. Default false (EPERM). */
  readonly mutableAttributes?: boolean;
  readonly now?: (out: Timespec) => void;
}

export class SimpleFs implements FileSystem {
  readonly type: string;
  readonly deviceNumber: number;
  readonly cacheable: boolean;
  readonly usesPageCache = false as const;
  readonly mutableAttributes: boolean;
  readonly now: (out: Timespec) => void;
  readonly #magic: number;
  readonly #mountOptions: string;
  #readOnly = false;
  #root: Inode | undefined;
  #nextIno = 1;

  constructor(options: SimpleFsOptions) {
    this.type = options.type;
    this.deviceNumber = options.deviceNumber ?? 0;
    this.cacheable = options.cacheable ?? false;
    this.mutableAttributes = options.mutableAttributes ?? false;
    this.now = options.now ?? (() => {});
    this.#magic = options.magic;
    this.#mountOptions = options.mountOptions ?? "";
  }

  /** Inode numbers for nodes that have no better one. */
  nextIno(): number {
    return this.#nextIno++;
  }

  get readOnly(): boolean {
    return this.#readOnly;
  }

  /** To be called once, before mounting. */
  setRoot(root: Inode): this {
    this.#root = root;
    return this;
  }

  root(): Inode {
    if (this.#root === undefined) throw new TypeError(`"${this.type}" has no root: call setRoot first`);
    return this.#root;
  }

  statfs(): FileSystemStatus {
    return {
      type: this.#magic,
      blockSize: 4096,
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      nameLength: 255,
      fsid: [this.deviceNumber, 0],
    };
  }

  sync(): number {
    return 0;
  }

  mountOptions(): string {
    return this.#mountOptions;
  }

  remount(readOnly: boolean): number {
    this.#readOnly = readOnly;
    return 0;
  }

  unmount(): number {
    return 0;
  }
}
