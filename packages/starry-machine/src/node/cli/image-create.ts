/// <reference types="node" />
/**
 * `starry image create`: a new ext4 image from Debian packages, a host folder, a tar archive, or empty.
 */
import { randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { FileDisk } from "blockdev-disk/node";
import { Ext4FileSystem, mkfs, populate } from "ext4-fs";
import { debianTree } from "../../image/debian.ts";
import { readTar } from "../../image/tar.ts";
import { FileTree } from "../../image/tree.ts";
import { unxz } from "../../image/xz.ts";
import { downloadDebs, essentialPackages, updateLists } from "../debian-download.ts";
import { hostTree } from "../host-tree.ts";
import { hostTime } from "../image-file.ts";
import { UsageError } from "./options.ts";

export interface CreateOptions {
  readonly debian?: readonly string[] | undefined;
  readonly suite?: string | undefined;
  readonly mirror?: string | undefined;
  readonly fromDir?: string | undefined;
  readonly fromTar?: string | undefined;
  readonly label?: string | undefined;
  /** Bytes. Default: the contents and a third more, at least 64 MiB. */
  readonly size?: number | undefined;
  readonly log: (line: string) => void;
}

const MIB = 1 << 20;
const MINIMUM = 64 * MIB;
/** 64 blocks of 4 KiB, below which mkfs refuses. */
const SMALLEST = 256 * 1024;
/** Of each file: an inode and its share of directories and extents. */
const NODE_BYTES = 512;

/** Makes the image, in a temporary file first so that a failure leaves nothing half done. Returns a line to print. */
export function createImage(path: string, options: CreateOptions): string {
  if (options.size !== undefined && options.size < SMALLEST)
    throw new UsageError("--size: an ext4 image has 256K at least");
  const tree = contents(options);
  const { nodes, blocks4k } = tree.size();
  const needed = blocks4k * 4096 + nodes * NODE_BYTES;
  const size = options.size ?? Math.max(MINIMUM, Math.ceil((needed * 4) / 3 / MIB + 32) * MIB);
  const partial = `${path}.partial`;
  try {
    closeSync(truncated(partial, size));
    using disk = new FileDisk(partial);
    mkfs(disk, {
      blockSize: 4096,
      random: (bytes) => void randomFillSync(bytes),
      now: hostTime(),
      assumeStoragePrezeroed: true,
      ...(options.label === undefined ? {} : { label: options.label }),
    });
    const fs = new Ext4FileSystem(disk, { now: hostTime, unjournaled: true });
    options.log(`writing ${nodes} files`);
    populate(fs, tree.imageEntries());
    const error = fs.unmount();
    if (error < 0) throw new Error(`${path}: cannot write the image`);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  renameSync(partial, path);
  return `${path}: ${Math.round(size / MIB)} MiB, ${nodes} files`;
}

/** A new sparse file of `size` bytes, opened. */
function truncated(path: string, size: number): number {
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  return fd;
}

function contents(options: CreateOptions): FileTree {
  if (options.debian !== undefined) return debianContents(options.debian, options);
  if (options.fromDir !== undefined) return hostTree(options.fromDir);
  if (options.fromTar !== undefined) return tarContents(options.fromTar);
  return new FileTree({ mtime: hostTime().sec });
}

function debianContents(packages: readonly string[], options: CreateOptions): FileTree {
  const download = {
    suite: options.suite ?? "trixie",
    cacheDir: join(cacheDir(), "debian"),
    log: options.log,
    ...(options.mirror === undefined ? {} : { mirror: options.mirror }),
  };
  updateLists(download);
  const debs = downloadDebs([...new Set([...essentialPackages(download), ...packages])], download);
  options.log(`unpacking ${debs.length} packages`);
  return debianTree(
    debs.map((path) => ({ name: basename(path), bytes: readFileSync(path) })),
    { mtime: hostTime().sec, gunzip: (bytes) => gunzipSync(bytes) },
  );
}

function tarContents(path: string): FileTree {
  const bytes = readFileSync(path);
  const isXz = bytes[0] === 0xfd && bytes[1] === 0x37;
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const tree = new FileTree({ mtime: hostTime().sec });
  for (const { path: name, node } of readTar(isXz ? unxz(bytes) : isGzip ? gunzipSync(bytes) : bytes))
    tree.add(`/${name}`, node);
  return tree;
}

/** Where downloads and built images are kept (XDG Base Directory Specification). */
export function cacheDir(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "starry");
}
