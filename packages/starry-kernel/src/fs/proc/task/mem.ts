/**
 * /proc/PID/mem: another program's memory as a file (proc(5)). Offsets are addresses; page protections do not stop whoever may
 * trace the task.
 */
import { EACCES, EIO, ENOTTY, ESRCH, POLLIN, POLLOUT, S_IFREG } from "linux-abi";
import type { SpecialFile } from "vfs-inode";
import { SpecialFsFile } from "vfs-inode/pseudofs";
import { type AddressSpace, USER_TOP } from "../../../mm/address-space.ts";
import { PAGE_SIZE } from "../../../mm/frame-allocator.ts";
import { peekBytes, pokeBytes } from "../../../mm/forced-access.ts";
import type { TaskEntry } from "../task-dir.ts";
import { isGone, mayInspect } from "../task-access.ts";

/** One open of the file: it stays with the memory there was then, as Linux's does. */
class MemoryFile implements SpecialFile {
  readonly stream = false;
  readonly #space: AddressSpace;

  constructor(space: AddressSpace) {
    this.#space = space.get();
  }

  read(offset: number, buf: Uint8Array): number {
    return this.#transfer(offset, buf, peekBytes);
  }

  write(offset: number, buf: Uint8Array): number {
    return this.#transfer(offset, buf, pokeBytes);
  }

  /** Page by page: what comes before a hole counts. */
  #transfer(
    offset: number,
    buf: Uint8Array,
    move: (space: AddressSpace, va: number, part: Uint8Array) => number,
  ): number {
    let done = 0;
    while (done < buf.length) {
      const at = offset + done;
      const count = Math.min(buf.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      if (at + count > USER_TOP || move(this.#space, at, buf.subarray(done, done + count)) !== 0) break;
      done += count;
    }
    return done > 0 || buf.length === 0 ? done : -EIO;
  }

  poll(): number {
    return POLLIN | POLLOUT;
  }

  ioctl(): number {
    return -ENOTTY;
  }

  release(): void {
    this.#space.put();
  }
}

export const memEntry: TaskEntry = {
  name: "mem",
  type: S_IFREG,
  make: (dir, ino) =>
    new SpecialFsFile(
      dir.fs,
      {
        open() {
          const { task } = dir;
          if (isGone(task) || task.process.zombie) return -ESRCH;
          return mayInspect(task) ? new MemoryFile(task.memory) : -EACCES;
        },
      },
      0o600,
      { ino },
    ),
};
