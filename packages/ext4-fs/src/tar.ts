/**
 * A tar archive as entries for `populate`: ustar, GNU (long names, base-256 numbers) and pax (path, linkpath, size, mtime, uid, gid,
 * SCHILY.xattr.*), as GNU tar, bsdtar and Docker write them.
 *
 *   header   0 name 100 · 100 mode 8 · 108 uid 8 · 116 gid 8 · 124 size 12 · 136 mtime 12 · 148 checksum 8 · 156 type · 157 link 100
 *            257 "ustar" · 329 devmajor 8 · 337 devminor 8 · 345 prefix 155            then the content, filled up to 512 bytes
 */
import { decodeName } from "linux-abi";
import { Ext4Error } from "./errors.ts";
import type { ImageEntry } from "./populate.ts";
import type { Time } from "./volume.ts";

const BLOCK = 512;
const MAGIC = 257;
const SPARSE = "GNU.sparse.";

/** What extended headers say about the next entry. */
interface Extension {
  readonly fields: Map<string, Uint8Array>;
}

/** The entries of an archive, in its order; file contents are views of it. @throws Ext4Error ("invalid") when it is cut off, damaged or not a tar archive. */
export function tarEntries(archive: Uint8Array): ImageEntry[] {
  const entries: ImageEntry[] = [];
  let global = new Map<string, Uint8Array>();
  let next: Extension = { fields: new Map() };
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return entries;
    if (!checksumIsRight(header)) throw damaged(at, "wrong checksum");
    const type = String.fromCharCode(header[156]);
    const fields = new Map([...global, ...next.fields]);
    const size = decimal(fields.get("size")) ?? number(header, 124, 12);
    const from = at + BLOCK;
    if (from + size > archive.length) throw damaged(at, "the archive is cut off");
    const content = archive.subarray(from, from + size);
    at = from + Math.ceil(size / BLOCK) * BLOCK;
    if (type === "x") next = { fields: new Map([...next.fields, ...paxFields(content, at)]) };
    else if (type === "g") global = new Map([...global, ...paxFields(content, at)]);
    else if (type === "L") next.fields.set("path", untilNul(content));
    else if (type === "K") next.fields.set("linkpath", untilNul(content));
    else {
      if ([...fields.keys()].some((key) => key.startsWith(SPARSE)) || type === "S")
        throw damaged(at, "sparse members are not supported");
      next = { fields: new Map() };
      const entry = entryOf(header, type, fields, content);
      if (entry !== undefined) entries.push(entry);
    }
  }
  return entries;
}

const TYPES: Readonly<Record<string, ImageEntry["type"]>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

function entryOf(
  header: Uint8Array,
  typeFlag: string,
  fields: ReadonlyMap<string, Uint8Array>,
  content: Uint8Array,
): ImageEntry | undefined {
  const name = decodeName(fields.get("path") ?? headerName(header));
  // Before ustar a directory was a file whose name ends in a slash.
  const type = (typeFlag === "0" || typeFlag === "\0") && name.endsWith("/") ? "directory" : TYPES[typeFlag];
  if (type === undefined) return undefined; // volume labels and the like
  const link = decodeName(fields.get("linkpath") ?? untilNul(header.subarray(157, 257)));
  const device = type === "char" || type === "block";
  const xattrs: Record<string, Uint8Array> = {};
  for (const [key, value] of fields) if (key.startsWith("SCHILY.xattr.")) xattrs[key.slice(13)] = value;
  return {
    path: name,
    type,
    mode: number(header, 100, 8) & 0o7777,
    uid: decimal(fields.get("uid")) ?? number(header, 108, 8),
    gid: decimal(fields.get("gid")) ?? number(header, 116, 8),
    mtime: time(fields.get("mtime")) ?? { sec: number(header, 136, 12), nsec: 0 },
    xattrs,
    ...(type === "file" ? { data: content } : {}),
    ...(type === "symlink" || type === "hardlink" ? { target: link } : {}),
    ...(device ? { rdev: deviceNumber(number(header, 329, 8), number(header, 337, 8)) } : {}),
  };
}

/** new_encode_dev. */
function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

function headerName(header: Uint8Array): Uint8Array {
  const name = untilNul(header.subarray(0, 100));
  const isUstar = header[MAGIC] === 0x75 && header[MAGIC + 5] === 0; // GNU's old form has a blank there, and no prefix
  const prefix = isUstar ? untilNul(header.subarray(345, 500)) : new Uint8Array(0);
  return prefix.length === 0 ? name : Uint8Array.of(...prefix, 0x2f, ...name);
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** An octal field, or (first bit set) a big endian number. */
function number(header: Uint8Array, at: number, length: number): number {
  if ((header[at] & 0x80) !== 0) {
    let value = header[at] & 0x40 ? -1 : 0;
    for (let i = 1; i < length; i++) value = value * 256 + header[at + i];
    return value;
  }
  const text = String.fromCharCode(...header.subarray(at, at + length)).replace(/[\0 ]+/g, "");
  return text === "" ? 0 : Number.parseInt(text, 8);
}

function checksumIsRight(header: Uint8Array): boolean {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i];
  return sum === number(header, 148, 8);
}

/** "LENGTH KEY=VALUE\n" records; the length counts itself. */
function paxFields(content: Uint8Array, where: number): [string, Uint8Array][] {
  const found: [string, Uint8Array][] = [];
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const equals = content.indexOf(0x3d, space);
    const length = space < 0 ? Number.NaN : (decimal(content.subarray(at, space)) ?? Number.NaN);
    if (!(length > 0) || equals < 0 || at + length > content.length) throw damaged(where, "bad extended header");
    found.push([decodeName(content.subarray(space + 1, equals)), content.slice(equals + 1, at + length - 1)]);
    at += length;
  }
  return found;
}

function decimal(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined ? undefined : Number.parseInt(String.fromCharCode(...bytes), 10);
}

function time(bytes: Uint8Array | undefined): Time | undefined {
  if (bytes === undefined) return undefined;
  const [whole = "0", fraction = ""] = String.fromCharCode(...bytes).split(".");
  const nsec = Number.parseInt(fraction.padEnd(9, "0").slice(0, 9), 10);
  const sec = Number.parseInt(whole, 10);
  return whole.startsWith("-") && nsec > 0 ? { sec: sec - 1, nsec: 1_000_000_000 - nsec } : { sec, nsec };
}

function damaged(at: number, what: string): Ext4Error {
  return new Ext4Error("invalid", `tar archive: ${what} at byte ${at}`);
}
