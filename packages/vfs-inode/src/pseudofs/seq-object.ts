/**
 * Text files that are written out when they are read (Linux's seq_file with single_open).
 *
 * The text is made at the first read and again whenever a read starts at offset 0, so `lseek(fd, 0)` gives fresh figures and
 * a reader that goes through in pieces sees one consistent text. Writes go to a handler, one call per write(2).
 */
import { EINVAL, decodeName, encodeName } from "linux-abi";
import type { SpecialFile } from "../inode.ts";
import { SpecialFileBase, type SpecialFileOps } from "./special-file.ts";

/** The text (or bytes), or -errno. */
export type Generate = () => string | Uint8Array | number;

export interface SeqObjectOptions {
  /** Takes what one write(2) brought, decoded losslessly as a name is. 0 or more: all taken; or -errno. */
  readonly write?: (text: string) => number;
  /** st_size; default 0. */
  readonly size?: number;
}

export class SeqObject implements SpecialFileOps {
  readonly size: number;
  readonly #generate: Generate;
  readonly #write: ((text: string) => number) | undefined;

  constructor(generate: Generate, options: SeqObjectOptions = {}) {
    this.#generate = generate;
    this.#write = options.write;
    this.size = options.size ?? 0;
  }

  open(_flags: number): SpecialFile {
    return new SeqFile(this.#generate, this.#write);
  }
}

/** The state of one open of a SeqObject. */
class SeqFile extends SpecialFileBase {
  readonly #generate: Generate;
  readonly #write: ((text: string) => number) | undefined;
  #content: Uint8Array | null = null;

  constructor(generate: Generate, write: ((text: string) => number) | undefined) {
    super();
    this.#generate = generate;
    this.#write = write;
  }

  read(offset: number, buf: Uint8Array): number {
    if (offset === 0 || this.#content === null) {
      const made = this.#generate();
      if (typeof made === "number") return made;
      this.#content = typeof made === "string" ? encodeName(made) : made;
    }
    const count = Math.min(buf.length, this.#content.length - offset);
    if (count <= 0) return 0;
    buf.set(this.#content.subarray(offset, offset + count));
    return count;
  }

  write(_offset: number, buf: Uint8Array): number {
    if (this.#write === undefined) return -EINVAL;
    const result = this.#write(decodeName(buf));
    return result < 0 ? result : buf.length;
  }
}
