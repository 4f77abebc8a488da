/// <reference types="node" />
/** e2fsprogs as an oracle: what the real tools say about an image. Tests that need them skip, with a line, where they are missing. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, openSync, closeSync, ftruncateSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockDevice } from "blockdev-disk";

// Debian keeps them where users' PATH does not look.
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
const env = { ...process.env, PATH };

export interface ToolResult {
  readonly status: number;
  /** Standard output and error. */
  readonly output: string;
  readonly stdout: string;
}

export function run(tool: string, args: readonly string[], input?: string): ToolResult {
  const result = spawnSync(tool, args, { env, encoding: "utf8", input, maxBuffer: 64 << 20 });
  return { status: result.status ?? -1, output: `${result.stdout}${result.stderr}`, stdout: result.stdout };
}

export const hasE2fsprogs: boolean = ["e2fsck", "debugfs", "mke2fs", "dumpe2fs"].every(
  (tool) => spawnSync(tool, ["-V"], { env }).status !== null,
);
if (!hasE2fsprogs) process.stderr.write("e2fsprogs is not installed: comparisons with the real tools are skipped\n");

/** A directory that goes away with `remove`. */
export class Workspace {
  readonly path: string = mkdtempSync(join(tmpdir(), "ext4-fs-"));

  file(name: string): string {
    return join(this.path, name);
  }
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** An image made by mke2fs. */
export function makeImage(path: string, byteLength: number, args: readonly string[]): void {
  rmSync(path, { force: true });
  const fd = openSync(path, "w");
  ftruncateSync(fd, byteLength);
  closeSync(fd);
  const made = run("mke2fs", ["-q", "-F", ...(args.includes("-t") ? [] : ["-t", "ext4"]), ...args, path]);
  if (made.status !== 0) throw new Error(`mke2fs failed: ${made.output}`);
}

/** Writes a device's content to a file, leaving out what is zero. */
export function saveImage(device: BlockDevice, path: string): void {
  rmSync(path, { force: true });
  const fd = openSync(path, "w");
  ftruncateSync(fd, device.size);
  const chunk = new Uint8Array(64 << 10);
  const zeros = new Uint8Array(64 << 10);
  for (let at = 0; at < device.size; at += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, device.size - at));
    device.readBlock(at / device.blockSize, part);
    if (Buffer.compare(part, zeros.subarray(0, part.length)) !== 0) writeSync(fd, part, 0, part.length, at);
  }
  closeSync(fd);
}

/** `e2fsck -fn`: undefined when clean, else what it says. */
export function fsckProblems(path: string): string | undefined {
  const result = run("e2fsck", ["-fn", path]);
  return result.status === 0 ? undefined : result.output;
}
