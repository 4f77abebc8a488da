/** Node's fs.constants, with Linux's values. */
import * as abi from "linux-abi";

export const F_OK = 0;
export const X_OK = 1;
export const W_OK = 2;
export const R_OK = 4;
/** copyFile fails when the destination is there. */
export const COPYFILE_EXCL = 1;

export const constants = {
  F_OK: 0,
  R_OK: 4,
  W_OK: 2,
  X_OK: 1,
  COPYFILE_EXCL: 1,
  O_RDONLY: abi.O_RDONLY as number,
  O_WRONLY: abi.O_WRONLY as number,
  O_RDWR: abi.O_RDWR as number,
  O_CREAT: abi.O_CREAT as number,
  O_EXCL: abi.O_EXCL as number,
  O_TRUNC: abi.O_TRUNC as number,
  O_APPEND: abi.O_APPEND as number,
  O_DIRECTORY: abi.O_DIRECTORY as number,
  O_NOFOLLOW: abi.O_NOFOLLOW as number,
  S_IFMT: abi.S_IFMT as number,
  S_IFREG: abi.S_IFREG as number,
  S_IFDIR: abi.S_IFDIR as number,
  S_IFCHR: abi.S_IFCHR as number,
  S_IFBLK: abi.S_IFBLK as number,
  S_IFIFO: abi.S_IFIFO as number,
  S_IFLNK: abi.S_IFLNK as number,
  S_IFSOCK: abi.S_IFSOCK as number,
} as const;
