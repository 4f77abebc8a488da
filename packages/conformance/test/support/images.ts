/// <reference types="node" />
/**
 * Root file systems with Debian's riscv64 programs, made once by `starry image create` and kept in .cache; the same
 * files unpacked on the host, for qemu-user; programs from npm.
 *
 * Two test files may ask for the same image at the same time in different processes: a lock folder serialises them.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CACHE, hasProgram, program, starry } from "./starry.ts";

/** The packages of the issue's own example; enough for a shell, git, a C compiler and four interpreters. */
export const BASIC_PACKAGES =
  "busybox-static,bash,coreutils,findutils,grep,sed,gawk,procps,util-linux,gcc,libc6-dev,git,python3-minimal,perl-base,lua5.4,sqlite3";

/** Much of what people install first. */
export const WIDE_PACKAGES: string = `${BASIC_PACKAGES},python3,perl,mount,bsdextrautils,tar,xz-utils,gzip,zstd,bzip2,zip,unzip,make,g++,dpkg,vim-tiny,nano,less,htop,tmux,screen,curl,netcat-openbsd,socat,bc,file,diffutils,patch,jq,ncurses-base,ncurses-bin,tree,rsync,zsh,dash,mawk,m4,openssl,lsof,psmisc,ed,cpio,redis-server,e2fsprogs,iproute2,ruby,nodejs`;

export type Found = { readonly path: string } | { readonly missing: string };

/** Path of the image with these packages, or why there is none. */
export async function debianImage(packages: string): Promise<Found> {
  const key = createHash("sha256").update(packages).digest("hex").slice(0, 12);
  const path = join(CACHE, `debian-${key}.ext4`);
  return exclusively(path, async () => {
    if (existsSync(path)) return { path };
    if (!hasProgram("apt-get")) return { missing: "no apt-get to download Debian's packages with" };
    const made = await starry(["image", "create", path, "--debian", packages], { timeout: 900_000 });
    return made.status === 0 ? { path } : { missing: `image create: ${made.stderr.trim().split("\n").pop()}` };
  });
}

/** The image's files on the host. */
export async function exportedTree(image: string): Promise<string> {
  const tree = image.replace(/\.ext4$/, ".tree");
  await exclusively(tree, async () => {
    if (existsSync(tree)) return { path: tree };
    const partial = `${tree}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    const done = await starry(["image", "export", image, partial], { timeout: 600_000 });
    if (done.status !== 0) throw new Error(done.stderr);
    renameSync(partial, tree);
    return { path: tree };
  });
  return tree;
}

/** The file `inner` of an npm package, downloaded by npm. */
export async function npmFile(specification: string, inner: string): Promise<Found> {
  const folder = join(CACHE, `npm-${specification.replaceAll(/[^\w.-]/g, "_")}`);
  const path = join(folder, "package", inner);
  return exclusively(folder, async () => {
    if (existsSync(path)) return { path };
    if (!hasProgram("npm") || !hasProgram("tar")) return { missing: "no npm, or no tar, on this machine" };
    mkdirSync(folder, { recursive: true });
    const packed = await program("npm", ["pack", "--silent", specification], { cwd: folder });
    if (packed.status !== 0) return { missing: `npm pack ${specification}: ${packed.stderr.trim().split("\n")[0]}` };
    await program("tar", ["-xzf", packed.stdout.trim()], { cwd: folder });
    return existsSync(path) ? { path } : { missing: `${specification} has no ${inner}` };
  });
}

/**
 * A folder of wrappers with which a riscv64 shell under qemu-user starts riscv64 children: the host executes the
 * wrapper, which executes qemu.
 */
export function qemuPath(tree: string, qemu: string): string {
  const folder = `${tree}.wrappers`;
  if (existsSync(folder)) return folder;
  const partial = `${folder}.${process.pid}`;
  mkdirSync(partial);
  const wrapper = `#!/bin/sh\nexec ${qemu} -0 "\${0##*/}" -L ${tree} ${tree}/usr/bin/"\${0##*/}" "$@"\n`;
  const common = join(partial, ".wrapper");
  writeExecutable(common, wrapper);
  for (const name of readdirSync(join(tree, "usr/bin"))) symlinkSync(".wrapper", join(partial, name));
  try {
    renameSync(partial, folder);
  } catch {
    rmSync(partial, { recursive: true, force: true }); // another process was faster
  }
  return folder;
}

function writeExecutable(path: string, text: string): void {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
}

/** Runs `work` while no other process does for the same path. A lock not renewed for a minute has no owner. */
async function exclusively(path: string, work: () => Promise<Found>): Promise<Found> {
  mkdirSync(CACHE, { recursive: true });
  const lock = `${path}.lock`;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > 60_000) rmSync(lock, { recursive: true, force: true });
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  const renewal = setInterval(() => utimesSync(lock, new Date(), new Date()), 10_000);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    rmdirSync(lock);
  }
}
