/**
 * A control file of tracefs: text to read, one command per write, and an act when it is opened with O_TRUNC (`echo x > file`).
 */
import { O_ACCMODE, O_RDONLY, O_TRUNC } from "linux-abi";
import type { SpecialFile } from "vfs-inode";
import { SeqObject, type SpecialFileOps } from "vfs-inode/pseudofs";

export interface ControlFile {
  /** The text, or -errno. Absent: the file reads as empty. */
  readonly read?: () => string | number;
  /** Takes what one write(2) brought. 0 or -errno. */
  readonly write?: (text: string) => number;
  readonly truncate?: () => void;
}

/** True if these flags of open(2) empty the file. */
export function truncates(flags: number): boolean {
  return (flags & O_TRUNC) !== 0 && (flags & O_ACCMODE) !== O_RDONLY;
}

export class ControlObject implements SpecialFileOps {
  readonly #seq: SeqObject;
  readonly #truncate: (() => void) | undefined;

  constructor(file: ControlFile) {
    this.#seq = new SeqObject(file.read ?? (() => ""), file.write === undefined ? {} : { write: file.write });
    this.#truncate = file.truncate;
  }

  open(flags: number): SpecialFile {
    if (this.#truncate !== undefined && truncates(flags)) this.#truncate();
    return this.#seq.open(flags);
  }
}
