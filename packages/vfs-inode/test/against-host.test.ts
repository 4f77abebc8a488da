/**
 * Random operations on names, on our VFS with tmpfs and on the host's file system beside it: every result code and the
 * final tree must agree. The host is the oracle; where it is not Linux there is nothing to compare with.
 */
/// <reference types="node" />
import * as host from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  errnoName,
} from "linux-abi";
import { expect, test } from "vitest";
import { File, LOOKUP_FOLLOW, type Path, Vfs, newAttributes } from "../src/index.ts";
import { Tmpfs } from "../src/tmpfs/index.ts";

const ROUNDS = 100;
const OPERATIONS = 200;

/** Park and Miller's generator: the same sequence everywhere. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

class Pair {
  readonly vfs = new Vfs();
  readonly context = this.vfs.mountRoot(new Tmpfs({ mode: 0o755 }));
  readonly top: string;

  constructor(top: string) {
    this.top = top;
  }

  /** Runs one operation on both sides; "ok" or an errno name from each. */
  both(onHost: (path: (p: string) => string) => void, ours: () => number): [string, string] {
    let expected = "ok";
    try {
      onHost((p) => `${this.top}/${p}`);
    } catch (error) {
      expected = (error as NodeJS.ErrnoException).code ?? String(error);
    }
    const result = ours();
    return [expected, result >= 0 ? "ok" : errnoName(result)];
  }

  step(random: (below: number) => number): { what: string; expected: string; result: string } {
    const { vfs, context } = this;
    const p = path(random);
    const q = path(random);
    const mode = 0o755;
    switch (random(9)) {
      case 0:
        return this.#report(
          `mkdir ${p}`,
          (at) => host.mkdirSync(at(p)),
          () => vfs.mkdir(context, null, p, mode),
        );
      case 1:
        return this.#report(
          `rmdir ${p}`,
          (at) => host.rmdirSync(at(p)),
          () => vfs.rmdir(context, null, p),
        );
      case 2:
        return this.#report(
          `unlink ${p}`,
          (at) => host.unlinkSync(at(p)),
          () => vfs.unlink(context, null, p),
        );
      case 3:
      case 4:
        return this.#report(
          `rename ${p} ${q}`,
          (at) => host.renameSync(at(p), at(q)),
          () => vfs.rename(context, null, p, null, q),
        );
      case 5:
        return this.#report(
          `link ${p} ${q}`,
          (at) => host.linkSync(at(p), at(q)),
          () => {
            const from = vfs.lookup(context, null, p, 0);
            return typeof from === "number" ? from : vfs.link(context, from, null, q);
          },
        );
      case 6:
        return this.#symlink(q.replaceAll(/\.+/g, "c"), p);
      case 7:
        return this.#open(p, random);
      default:
        return this.#report(
          `stat ${p}`,
          (at) => void host.statSync(at(p)),
          () => {
            const found = vfs.lookup(context, null, p, LOOKUP_FOLLOW);
            return typeof found === "number" ? found : 0;
          },
        );
    }
  }

  /** Links hold no "." and "..": followed from the top they would lead out of it, where the host has other files than we. */
  #symlink(target: string, p: string): { what: string; expected: string; result: string } {
    const { vfs, context } = this;
    return this.#report(
      `symlink ${target} ${p}`,
      (at) => host.symlinkSync(target, at(p)),
      () => vfs.symlink(context, target, null, p),
    );
  }

  #open(p: string, random: (below: number) => number): { what: string; expected: string; result: string } {
    const { vfs, context } = this;
    let flags = [O_RDONLY, O_WRONLY, O_RDWR][random(3)] as number;
    for (const flag of [O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_DIRECTORY])
      if (random(3) === 0) flags |= flag;
    // Since Linux 6.4 O_CREAT with O_DIRECTORY is EINVAL; older hosts differ.
    if ((flags & O_CREAT) !== 0) flags &= ~O_DIRECTORY;
    // O_EXCL without O_CREAT is undefined.
    if ((flags & O_CREAT) === 0) flags &= ~O_EXCL;
    return this.#report(
      `open ${p} 0${flags.toString(8)}`,
      (at) => {
        const fd = host.openSync(at(p), flags, 0o644);
        if ((flags & 3) !== O_RDONLY) host.writeSync(fd, "data");
        host.closeSync(fd);
      },
      () => {
        const file = vfs.open(context, null, p, flags, 0o644);
        if (!(file instanceof File)) return file;
        if ((flags & 3) !== O_RDONLY) file.write(new TextEncoder().encode("data"));
        file.close();
        return 0;
      },
    );
  }

  #report(
    what: string,
    onHost: (at: (p: string) => string) => void,
    ours: () => number,
  ): { what: string; expected: string; result: string } {
    const [expected, result] = this.both(onHost, ours);
    return { what, expected, result };
  }

  /** Every path with type, size and link count, as each side sees it. */
  trees(): [string[], string[]] {
    return [this.#hostTree("", []).sort(), this.#ourTree("", []).sort()];
  }

  #hostTree(p: string, lines: string[]): string[] {
    for (const name of host.readdirSync(join(this.top, p))) {
      const full = `${p}/${name}`;
      const stat = host.lstatSync(this.top + full);
      if (stat.isDirectory()) {
        lines.push(`${full} dir`);
        this.#hostTree(full, lines);
      } else if (stat.isSymbolicLink()) lines.push(`${full} -> ${host.readlinkSync(this.top + full)} ${stat.nlink}`);
      else lines.push(`${full} ${stat.size} ${stat.nlink} ${host.readFileSync(this.top + full, "latin1")}`);
    }
    return lines;
  }

  #ourTree(p: string, lines: string[]): string[] {
    const { vfs, context } = this;
    const dir = vfs.open(context, null, p === "" ? "/" : p, O_RDONLY, 0) as File;
    const names: string[] = [];
    dir.readDirectory((name) => names.push(name) > 0);
    dir.close();
    for (const name of names) {
      if (name === "." || name === "..") continue;
      const full = `${p}/${name}`;
      const place = vfs.lookup(context, null, full, 0) as Path;
      const out = newAttributes();
      vfs.getattr(place, out);
      if ((out.mode & 0xf000) === 0x4000) {
        lines.push(`${full} dir`);
        this.#ourTree(full, lines);
      } else if ((out.mode & 0xf000) === 0xa000) lines.push(`${full} -> ${vfs.readlink(place)} ${out.nlink}`);
      else {
        const file = vfs.open(context, null, full, O_RDONLY, 0) as File;
        const buf = new Uint8Array(out.size);
        file.read(buf);
        file.close();
        lines.push(`${full} ${out.size} ${out.nlink} ${Buffer.from(buf).toString("latin1")}`);
      }
    }
    return lines;
  }
}

/** A relative path of up to three short components with all the decorations that path walk knows. */
function path(random: (below: number) => number): string {
  const parts: string[] = [];
  const length = 1 + random(3);
  for (let i = 0; i < length; i++)
    parts.push(["a", "b", "c", "d", "a", "b", ".", ".."][random(random(4) === 0 ? 8 : 6)] as string);
  // Leaving the top directory would touch the host.
  let depth = 0;
  const safe = parts.filter((part) => {
    if (part === "..") {
      if (depth === 0) return false;
      depth--;
    } else if (part !== ".") depth++;
    return true;
  });
  if (safe.length === 0) safe.push("a");
  return safe.join(random(10) === 0 ? "//" : "/") + (random(8) === 0 ? "/" : "");
}

const linux = process.platform === "linux" && process.getuid?.() === 0;

test.skipIf(!linux)("results and trees agree with the host's, operation by operation", () => {
  for (let round = 1; round <= ROUNDS; round++) {
    const top = host.mkdtempSync(join(tmpdir(), "vfs-"));
    try {
      const pair = new Pair(top);
      const random = generator(round * 7919);
      const log: string[] = [];
      for (let i = 0; i < OPERATIONS; i++) {
        const { what, expected, result } = pair.step(random);
        log.push(`${what} = ${expected}`);
        if (expected !== result) {
          throw new Error(`round ${round}: host ${expected}, ours ${result}\n${log.slice(-40).join("\n")}`);
        }
      }
      const [expected, ours] = pair.trees();
      expect(ours).toEqual(expected);
    } finally {
      host.rmSync(top, { recursive: true, force: true });
    }
  }
});
