/**
 * The typed error at the public boundary, in four families:
 *  - "io": the device answered an error;
 *  - "incompatible": a feature this implementation lacks; `features` names them;
 *  - "corrupt": the medium contradicts itself;
 *  - "invalid": this is no ext4 file system, or an option cannot be honoured.
 *
 * Inside the package failures are negative errnos; only opening a volume reports this.
 */
import { EINVAL, EIO, EUCLEAN } from "linux-abi";

export type Ext4ErrorKind = "io" | "incompatible" | "corrupt" | "invalid";

export interface Ext4ErrorDetail {
  /** Errno for mount(2), positive. Default by kind: EIO, EINVAL, EUCLEAN, EINVAL. */
  readonly errno?: number;
  /** Names of the features that are missing here, as dumpe2fs prints them. */
  readonly features?: readonly string[];
  readonly inode?: number;
  readonly block?: number;
}

export class Ext4Error extends Error {
  override readonly name: string = "Ext4Error";
  readonly kind: Ext4ErrorKind;
  /** Positive errno. */
  readonly errno: number;
  readonly features: readonly string[];
  readonly inode: number | undefined;
  readonly block: number | undefined;

  constructor(kind: Ext4ErrorKind, message: string, detail: Ext4ErrorDetail = {}) {
    super(message);
    this.kind = kind;
    this.errno = detail.errno ?? (kind === "io" ? EIO : kind === "corrupt" ? EUCLEAN : EINVAL);
    this.features = detail.features ?? [];
    this.inode = detail.inode;
    this.block = detail.block;
  }
}

/** An impossible state that no disk content can cause: our mistake. */
export function bug(message: string): never {
  throw new Error(`ext4-fs bug: ${message}`);
}
