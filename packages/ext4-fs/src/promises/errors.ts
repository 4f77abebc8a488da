/** Errors in the shape that callers of node:fs expect. */
import { errnoMessage, errnoName } from "linux-abi";

export class FsError extends Error {
  /** "ENOENT". */
  readonly code: string;
  /** Negative, as in Node. */
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;
  readonly dest: string | undefined;

  constructor(errno: number, syscall: string, path?: string, dest?: string) {
    const where = path === undefined ? "" : ` '${path}'${dest === undefined ? "" : ` -> '${dest}'`}`;
    super(`${errnoName(errno)}: ${errnoMessage(errno).toLowerCase()}, ${syscall}${where}`);
    this.code = errnoName(errno);
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    this.path = path;
    this.dest = dest;
  }
}

/** Passes results ≥ 0 and objects on; throws an FsError for a negative errno. */
export function check<T>(result: T | number, syscall: string, path?: string, dest?: string): T {
  if (typeof result === "number" && result < 0) throw new FsError(result, syscall, path, dest);
  return result as T;
}
