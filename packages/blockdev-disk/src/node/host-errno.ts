/// <reference types="node" />
import { EIO, ENOSPC, EROFS } from "../errno.ts";

/** Disk full and read-only keep their names; everything else is an I/O error to a guest. */
export function hostErrno(reason: unknown): number {
  const code = (reason as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return -ENOSPC;
  if (code === "EROFS") return -EROFS;
  return -EIO;
}
