/** ext4 for vfs-inode: `Ext4FileSystem` implements `FileSystem`, `Ext4Inode` implements `Inode`. */
export { Ext4Error, type Ext4ErrorKind } from "../errors.ts";
export * from "./file-system.ts";
export * from "./inode.ts";
