/** A symbolic link with a fixed or computed target; optionally a magic link that leads to an object. */
import { S_IFLNK } from "linux-abi";
import { PseudoNode, type PseudoNodeOptions } from "./node.ts";
import type { SimpleFs } from "./simple-fs.ts";

export interface SimpleSymlinkOptions extends PseudoNodeOptions {
  /** Default 0o777. */
  readonly permission?: number;
  /** Where the link really leads: a `Path`, or -errno. The target is its text only then. */
  readonly follow?: () => object | number;
}

export class SimpleSymlink extends PseudoNode {
  readonly #target: () => string | number;
  readonly followLink?: () => object | number;

  constructor(fs: SimpleFs, target: string | (() => string | number), options: SimpleSymlinkOptions = {}) {
    super(fs, S_IFLNK | (options.permission ?? 0o777), options);
    this.#target = typeof target === "string" ? () => target : target;
    if (options.follow !== undefined) this.followLink = options.follow;
  }

  override readlink(): string | number {
    return this.#target();
  }
}
