/**
 * Reading and writing tar archives: ustar with GNU long names and PAX records (POSIX.1-2017 pax, GNU tar manual).
 *
 * Names are decoded with linux-abi's `decodeName`, so that any bytes survive. Sparse files are refused.
 */
import { decodeName, encodeName, makedev, major, minor } from "linux-abi";
import type { TreeNode } from "./tree.ts";

const BLOCK = 512;

/** One member: its path as written in the archive and what it is. */
export interface TarEntry {
  readonly path: string;
  readonly node: TreeNode;
}

/** What extension headers say about the next member. */
interface Override {
  path?: string;
  target?: string;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
}

/** Yields the members of an unpacked archive. Throws an Error for a damaged one. */
export function* readTar(bytes: Uint8Array): Generator<TarEntry> {
  let override: Override = {};
  let at = 0;
  while (at + BLOCK <= bytes.length && bytes[at] !== 0) {
    const header = bytes.subarray(at, at + BLOCK);
    if (numeric(header, 148, 8) !== checksum(header)) throw new Error(`tar header at byte ${at} has a wrong checksum`);
    const type = String.fromCharCode(header[156] || 48);
    const size = override.size ?? numeric(header, 124, 12);
    const data = bytes.subarray(at + BLOCK, at + BLOCK + size);
    if (data.length < size) throw new Error("tar archive is cut off");
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;

    if (type === "L") override.path = string(data, 0, size);
    else if (type === "K") override.target = string(data, 0, size);
    else if (type === "x") override = { ...override, ...paxRecords(data) };
    else if (type !== "g") {
      yield entry(header, type, data, override);
      override = {};
    }
  }
}

function entry(header: Uint8Array, type: string, data: Uint8Array, override: Override): TarEntry {
  const prefix = string(header, 257, 6).startsWith("ustar") && header[263] === 48 ? string(header, 345, 155) : "";
  const name = string(header, 0, 100);
  const path = override.path ?? (prefix === "" ? name : `${prefix}/${name}`);
  const common = {
    mode: numeric(header, 100, 8) & 0o7777,
    uid: override.uid ?? numeric(header, 108, 8),
    gid: override.gid ?? numeric(header, 116, 8),
    mtime: override.mtime ?? numeric(header, 136, 12),
  };
  const target = override.target ?? string(header, 157, 100);
  const rdev = makedev(numeric(header, 329, 8), numeric(header, 337, 8));
  switch (type) {
    case "0":
    case "7":
      return { path, node: { type: "file", data, ...common } };
    case "1":
      return { path, node: { type: "hardlink", target, ...common } };
    case "2":
      return { path, node: { type: "symlink", target, ...common } };
    case "3":
      return { path, node: { type: "char", rdev, ...common } };
    case "4":
      return { path, node: { type: "block", rdev, ...common } };
    case "5":
      return { path, node: { type: "directory", ...common } };
    case "6":
      return { path, node: { type: "fifo", ...common } };
    default:
      throw new Error(`tar member ${path} has the unsupported type ${JSON.stringify(type)}`);
  }
}

/** Records "LENGTH KEY=VALUE\n". */
function paxRecords(data: Uint8Array): Override {
  const override: Override = {};
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const length = Number.parseInt(string(data, at, space - at), 10);
    if (space < 0 || !(length > 0)) throw new Error("bad PAX record in tar archive");
    const record = decodeName(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    const value = record.slice(equals + 1);
    switch (record.slice(0, equals)) {
      case "path":
        override.path = value;
        break;
      case "linkpath":
        override.target = value;
        break;
      case "size":
        override.size = Number(value);
        break;
      case "uid":
        override.uid = Number(value);
        break;
      case "gid":
        override.gid = Number(value);
        break;
      case "mtime":
        override.mtime = Math.floor(Number(value));
        break;
    }
    at += length;
  }
  return override;
}

const TYPE_FLAGS: Record<TreeNode["type"], string> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** One member as tar blocks, PAX header included where a name is long or a size is beyond 8 GiB. */
export function tarMember(path: string, node: TreeNode): Uint8Array[] {
  const target = node.type === "symlink" || node.type === "hardlink" ? node.target : "";
  const data = node.type === "file" ? node.data : new Uint8Array(0);
  const blocks: Uint8Array[] = [];
  if (encodeName(path).length > 100 || encodeName(target).length > 100 || data.length >= 8 ** 11) {
    const records = encodeName(
      paxRecord("path", path) +
        (target === "" ? "" : paxRecord("linkpath", target)) +
        paxRecord("size", `${data.length}`),
    );
    blocks.push(header("PaxHeader", "x", { ...node, mode: 0o644 }, records.length, "", 0), padded(records));
  }
  const rdev = node.type === "char" || node.type === "block" ? node.rdev : 0;
  blocks.push(header(path, TYPE_FLAGS[node.type], node, data.length, target, rdev));
  if (data.length > 0) blocks.push(padded(data));
  return blocks;
}

/** Two zero blocks. */
export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK);
}

function header(path: string, type: string, node: TreeNode, size: number, target: string, rdev: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, byteLength: number, value: string) =>
    block.set(encodeName(value).subarray(0, byteLength), at);
  const octal = (at: number, byteLength: number, value: number) =>
    put(at, byteLength, value.toString(8).padStart(byteLength - 1, "0"));
  put(0, 100, path);
  octal(100, 8, node.mode);
  octal(108, 8, node.uid);
  octal(116, 8, node.gid);
  octal(124, 12, size);
  octal(136, 12, Math.max(0, node.mtime));
  put(156, 1, type);
  put(157, 100, target);
  put(257, 8, "ustar\u000000");
  octal(329, 8, major(rdev));
  octal(337, 8, minor(rdev));
  put(148, 8, `${checksum(block).toString(8).padStart(6, "0")}\u0000 `);
  return block;
}

function paxRecord(key: string, value: string): string {
  const bare = encodeName(` ${key}=${value}\n`).length;
  let length = bare + String(bare).length;
  length = bare + String(length).length; // the length counts its own digits
  return `${length} ${key}=${value}\n`;
}

function padded(data: Uint8Array): Uint8Array {
  if (data.length % BLOCK === 0) return data;
  const out = new Uint8Array(Math.ceil(data.length / BLOCK) * BLOCK);
  out.set(data);
  return out;
}

/** Sum of all header bytes, the checksum field itself taken as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i];
  return sum;
}

/** Octal text, or GNU base-256 when the top bit of the first byte is set. */
function numeric(header: Uint8Array, at: number, byteLength: number): number {
  if ((header[at] & 0x80) !== 0) {
    let value = header[at] & 0x3f;
    for (let i = 1; i < byteLength; i++) value = value * 256 + header[at + i];
    return value;
  }
  return Number.parseInt(string(header, at, byteLength).trim() || "0", 8);
}

function string(bytes: Uint8Array, at: number, byteLength: number): string {
  let end = at;
  while (end < at + byteLength && bytes[end] !== 0) end++;
  return decodeName(bytes.subarray(at, end));
}
