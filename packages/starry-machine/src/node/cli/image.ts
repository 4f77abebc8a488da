/// <reference types="node" />
/**
 * `starry image ...`: ext4 images on the host, without booting.
 *
 * A file inside an image is written IMAGE:/PATH. Every command that changes an image mounts it read-write, journal and
 * all, and unmounts it clean; the others never write.
 */
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Ext4FileSystem, populate } from "ext4-fs";
import { major, minor, S_IFDIR, S_IFLNK, S_IFMT } from "linux-abi";
import type { FileTree } from "../../image/tree.ts";
import type { ImageFiles } from "../../image/files.ts";
import { describeImage, withImage } from "../image-file.ts";
import { createImage } from "./image-create.ts";
import { hostTree, writeTree } from "../host-tree.ts";
import { CHECK_USAGE, RESIZE_USAGE, TUNE_USAGE } from "./image-usage.ts";
import { parseOptions, parseSizeOption, UsageError } from "./options.ts";

type ImageCommand = (words: readonly string[], out: (text: string | Uint8Array) => void) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, { usage: string; run: ImageCommand }>> = {
  create: { usage: "create OUT [--debian PACKAGES | --from-dir DIR | --from-tar FILE] [--size SIZE]", run: create },
  ls: { usage: "ls [-l] IMAGE[:/PATH]", run: list },
  cat: { usage: "cat IMAGE:/PATH...", run: cat },
  cp: { usage: "cp SOURCE... DESTINATION (host paths or IMAGE:/PATH)", run: copy },
  rm: { usage: "rm [-r] IMAGE:/PATH...", run: remove },
  mkdir: { usage: "mkdir [-p] IMAGE:/PATH...", run: makeDirectory },
  stat: { usage: "stat IMAGE:/PATH...", run: status },
  info: { usage: "info IMAGE", run: (words, out) => describe(words, out) },
  export: { usage: "export IMAGE DIR", run: exportTree },
  check: {
    usage: CHECK_USAGE,
    run: async (words, out) => (await import("./image-maintain.ts")).checkImage(words, out),
  },
  resize: {
    usage: RESIZE_USAGE,
    run: async (words, out) => (await import("./image-maintain.ts")).resizeImage(words, out),
  },
  tune: { usage: TUNE_USAGE, run: async (words, out) => (await import("./image-maintain.ts")).tuneImage(words, out) },
};

export function imageUsage(): string {
  return `usage: starry image COMMAND\n\n${Object.values(COMMANDS)
    .map((command) => `  ${command.usage}\n`)
    .join("")}`;
}

/** Runs one image command; returns the exit status. */
export async function imageCommand(
  words: readonly string[],
  out: (text: string | Uint8Array) => void,
): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === "--help" || name === "-h") {
    out(imageUsage());
    return name === undefined ? 125 : 0;
  }
  const command = COMMANDS[name];
  if (command === undefined) throw new UsageError(`unknown image command ${name} (starry image --help lists them)`);
  return command.run(rest, out);
}

async function create(words: readonly string[], out: (text: string) => void): Promise<number> {
  const [file, ...options] = words[0]?.startsWith("-") === false ? words : [...words.slice(-1), ...words.slice(0, -1)];
  if (file === undefined) throw new UsageError(`usage: starry image ${COMMANDS.create.usage}`);
  const parsed = parseOptions("create", options);
  if (parsed.rest.length > 0) throw new UsageError(`unexpected argument ${parsed.rest[0]}`);
  const text = (name: string) => parsed.values.get(name) as string | undefined;
  const size = text("size");
  const summary = await createImage(file, {
    debian: text("debian")?.split(",").filter(Boolean),
    suite: text("suite"),
    mirror: text("mirror"),
    fromDir: text("from-dir"),
    fromTar: text("from-tar"),
    label: text("label"),
    size: size === undefined ? undefined : parseSizeOption(size),
    log: (line) => process.stderr.write(`${line}\n`),
  });
  out(`${summary}\n`);
  return 0;
}

function list(words: readonly string[], out: (text: string) => void): number {
  const long = words.includes("-l");
  for (const word of words.filter((each) => each !== "-l")) {
    const { image, path } = inside(word.includes(":") ? word : `${word}:/`);
    withImage(image, { write: false }, (files) => {
      const isDirectory = (files.stat(path).mode & S_IFMT) === S_IFDIR;
      const names = isDirectory
        ? files.list(path).map((item) => [item.name, `${path}/${item.name}`])
        : [[basename(path), path]];
      for (const [name, full] of names) out(long ? `${longLine(files, name, full)}\n` : `${name}\n`);
    });
  }
  return 0;
}

function cat(words: readonly string[], out: (bytes: Uint8Array) => void): number {
  for (const word of words) {
    const { image, path } = inside(word);
    withImage(image, { write: false }, (files) => files.readPieces(path, (piece) => out(Uint8Array.from(piece))));
  }
  return 0;
}

function copy(words: readonly string[]): number {
  const names = words.filter((word) => word !== "-r" && word !== "-a");
  const destination = names.pop();
  if (destination === undefined || names.length === 0) throw new UsageError(`usage: starry image ${COMMANDS.cp.usage}`);
  const target = split(destination);
  if (target !== null) copyIn(names, target);
  else for (const name of names) copyOut(name, destination);
  return 0;
}

/** Host files, or files of another image, into an image. */
function copyIn(sources: readonly string[], target: { image: string; path: string }): void {
  const trees = sources.map((source) => {
    const from = split(source);
    if (from === null) return { name: basename(source), tree: hostTree(source) };
    return {
      name: basename(from.path),
      tree: withImage(from.image, { write: false }, (files) => files.readTree(from.path)),
    };
  });
  withImage(target.image, { write: true }, (files, fs) => {
    const intoFolder = target.path.endsWith("/") || trees.length > 1 || isFolder(files, target.path);
    for (const { name, tree } of trees) place(files, fs, tree, intoFolder ? `${target.path}/${name}` : target.path);
  });
}

/** Writes `tree`, whose root may be a single file, at `path`. */
function place(files: ImageFiles, fs: Ext4FileSystem, tree: FileTree, path: string): void {
  const folder = path.replace(/\/+$/, "");
  if (folder !== "" && tree.get("/")?.type !== "directory" && files.exists(folder)) files.remove(folder);
  populate(fs, tree.imageEntries(folder));
}

function copyOut(source: string, destination: string): void {
  const { image, path } = inside(source);
  withImage(image, { write: false }, (files) => {
    const into =
      existsSync(destination) && statSync(destination).isDirectory() ? join(destination, basename(path)) : destination;
    if (isFolder(files, path)) {
      mkdirSync(into, { recursive: true });
      writeTree(files.readTree(path), into);
    } else {
      writeFileSync(into, files.read(path), { mode: files.stat(path).mode & 0o777 });
    }
  });
}

function remove(words: readonly string[]): number {
  const recursive = words.includes("-r") || words.includes("-rf");
  for (const word of words.filter((each) => !each.startsWith("-"))) {
    const { image, path } = inside(word);
    withImage(image, { write: true }, (files) => files.remove(path, { recursive }));
  }
  return 0;
}

function makeDirectory(words: readonly string[]): number {
  const parents = words.includes("-p");
  for (const word of words.filter((each) => !each.startsWith("-"))) {
    const { image, path } = inside(word);
    withImage(image, { write: true }, (files) => files.mkdir(path, { parents }));
  }
  return 0;
}

function status(words: readonly string[], out: (text: string) => void): number {
  for (const word of words) {
    const { image, path } = inside(word);
    withImage(image, { write: false }, (files) => {
      const a = files.stat(path, { followLast: false });
      out(`  File: ${path}${(a.mode & S_IFMT) === S_IFLNK ? ` -> ${files.readlink(path)}` : ""}\n`);
      out(`  Size: ${a.size}\tBlocks: ${a.blocks512}\tIO Block: ${a.blockSize}\t${typeName(a.mode)}\n`);
      out(
        `Inode: ${a.ino}\tLinks: ${a.nlink}${a.rdev === 0 ? "" : `\tDevice type: ${major(a.rdev)},${minor(a.rdev)}`}\n`,
      );
      out(
        `Access: (${(a.mode & 0o7777).toString(8).padStart(4, "0")}/${modeText(a.mode)})  Uid: ${a.uid}   Gid: ${a.gid}\n`,
      );
      const times = [
        ["Access", a.atime],
        ["Modify", a.mtime],
        ["Change", a.ctime],
        [" Birth", a.btime],
      ] as const;
      for (const [label, time] of times) if (time !== undefined) out(`${label}: ${timeText(time)}\n`);
    });
  }
  return 0;
}

function describe(words: readonly string[], out: (text: string) => void): number {
  for (const word of words) out(describeImage(word));
  return 0;
}

function exportTree(words: readonly string[]): number {
  const [image, folder] = words;
  if (image === undefined || folder === undefined) throw new UsageError(`usage: starry image ${COMMANDS.export.usage}`);
  mkdirSync(folder, { recursive: true });
  writeTree(
    withImage(image, { write: false }, (files) => files.readTree("/")),
    folder,
  );
  return 0;
}

/** "IMAGE:/PATH" taken apart; null for a host path (no ":/" in it, or a file of that very name exists). */
function split(word: string): { image: string; path: string } | null {
  const colon = word.indexOf(":/");
  return colon <= 0 || existsSync(word) ? null : { image: word.slice(0, colon), path: word.slice(colon + 1) };
}

function inside(word: string): { image: string; path: string } {
  const parts = split(word);
  if (parts === null) throw new UsageError(`${word}: a file in an image is written IMAGE:/PATH`);
  return parts;
}

function isFolder(files: ImageFiles, path: string): boolean {
  return files.exists(path) && (files.stat(path).mode & S_IFMT) === S_IFDIR;
}

function longLine(files: ImageFiles, name: string, path: string): string {
  const a = files.stat(path, { followLast: false });
  const target = (a.mode & S_IFMT) === S_IFLNK ? ` -> ${files.readlink(path)}` : "";
  const size = a.rdev === 0 ? `${a.size}` : `${major(a.rdev)},${minor(a.rdev)}`;
  const owner = `${String(a.nlink).padStart(3)} ${String(a.uid).padStart(5)} ${String(a.gid).padStart(5)}`;
  return `${modeText(a.mode)} ${owner} ${size.padStart(10)} ${timeText(a.mtime).slice(0, 16)} ${name}${target}`;
}

const TYPES: readonly (readonly [bits: number, letter: string, name: string])[] = [
  [0o100000, "-", "regular file"],
  [0o040000, "d", "directory"],
  [0o120000, "l", "symbolic link"],
  [0o020000, "c", "character special file"],
  [0o060000, "b", "block special file"],
  [0o010000, "p", "fifo"],
  [0o140000, "s", "socket"],
];

function typeName(mode: number): string {
  return TYPES.find(([bits]) => bits === (mode & S_IFMT))?.[2] ?? "unknown";
}

/** "-rwxr-xr-x" as ls prints it. */
function modeText(mode: number): string {
  const letters = [..."rwxrwxrwx"].map((letter, i) => (mode & (0o400 >> i) ? letter : "-"));
  const special: readonly (readonly [bit: number, at: number, letter: string])[] = [
    [0o4000, 2, "s"],
    [0o2000, 5, "s"],
    [0o1000, 8, "t"],
  ];
  for (const [bit, at, letter] of special)
    if (mode & bit) letters[at] = letters[at] === "x" ? letter : letter.toUpperCase();
  return (TYPES.find(([bits]) => bits === (mode & S_IFMT))?.[1] ?? "?") + letters.join("");
}

function timeText(time: { sec: number; nsec: number }): string {
  const text = new Date(time.sec * 1000).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${String(time.nsec).padStart(9, "0")} +0000`;
}
