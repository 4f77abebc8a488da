/** What statfs gives: Node's StatFs and BigIntStatFs. */
import type { FileSystemStatus } from "vfs-inode";

export class StatFs {
  readonly type: number;
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;

  constructor(status: FileSystemStatus) {
    this.type = status.type;
    this.bsize = status.blockSize;
    this.blocks = status.blocks;
    this.bfree = status.blocksFree;
    this.bavail = status.blocksAvailable;
    this.files = status.files;
    this.ffree = status.filesFree;
  }
}

export class BigIntStatFs {
  readonly type: bigint;
  readonly bsize: bigint;
  readonly blocks: bigint;
  readonly bfree: bigint;
  readonly bavail: bigint;
  readonly files: bigint;
  readonly ffree: bigint;

  constructor(status: FileSystemStatus) {
    this.type = BigInt(status.type);
    this.bsize = BigInt(status.blockSize);
    this.blocks = BigInt(status.blocks);
    this.bfree = BigInt(status.blocksFree);
    this.bavail = BigInt(status.blocksAvailable);
    this.files = BigInt(status.files);
    this.ffree = BigInt(status.filesFree);
  }
}
