/**
 * Files and directories of a tracing tree. They belong to whom the mount options uid= and gid= name.
 */
import type { Inode } from "vfs-inode";
import {
  type DirMapping,
  SimpleDir,
  SimpleFs,
  type SimpleFsOptions,
  type SpecialFileOps,
  SpecialFsFile,
} from "vfs-inode/pseudofs";

/** Owner readable and writable, readable by its group; read only; write only; directories. */
export const MODE_CONTROL = 0o640;
export const MODE_VIEW = 0o440;
export const MODE_SINK = 0o220;
export const MODE_DIRECTORY = 0o750;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const ROOT: Owner = { uid: 0, gid: 0 };

/** A tracefs: a pseudo file system whose nodes have one owner. */
export class TraceFs extends SimpleFs {
  readonly owner: Owner;

  constructor(options: SimpleFsOptions, owner: Owner) {
    super(options);
    this.owner = owner;
  }
}

function ownerIn(fs: SimpleFs): Owner {
  return fs instanceof TraceFs ? fs.owner : ROOT;
}

export function regular(fs: SimpleFs, ops: SpecialFileOps, mode: number): SpecialFsFile {
  return new SpecialFsFile(fs, ops, mode, ownerIn(fs));
}

export function directory(fs: SimpleFs, mapping: DirMapping): SimpleDir {
  return new SimpleDir(fs, mapping, directoryOptions(fs));
}

export function directoryOptions(fs: SimpleFs): Owner & { readonly permission: number } {
  return { permission: MODE_DIRECTORY, ...ownerIn(fs) };
}

/** A child that is made once, when it is first wanted. */
export function once(make: () => Inode): () => Inode {
  let node: Inode | undefined;
  return () => {
    node ??= make();
    return node;
  };
}
