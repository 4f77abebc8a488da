/** File content as callers give and want it. */

export type Encoding =
  | "utf8"
  | "utf-8"
  | "utf16le"
  | "utf-16le"
  | "ucs2"
  | "latin1"
  | "binary"
  | "ascii"
  | "hex"
  | "base64"
  | "base64url";
export type FileData = string | ArrayBufferView | ArrayBuffer;

const ENCODINGS = "utf8 utf-8 utf16le utf-16le ucs2 latin1 binary ascii hex base64 base64url".split(" ");
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Strings in the encoding given, as Node reads them. */
export function toBytes(data: FileData, encoding: Encoding = "utf8"): Uint8Array {
  if (typeof data === "string") return encode(data, encoding);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new TypeError('"data" expected string, ArrayBuffer or view');
}

/** The encoding named by an options argument, as Node takes it: a string or an object. @throws TypeError on an unknown one. */
export function encodingOf(
  options: string | { readonly encoding?: string | null } | null | undefined,
): Encoding | undefined {
  const name = typeof options === "string" ? options : options?.encoding;
  if (name === undefined || name === null || name === "buffer") return undefined;
  const lower = name.toLowerCase();
  if (!ENCODINGS.includes(lower))
    throw new TypeError(`"encoding" expected one of ${ENCODINGS.join(", ")}, got ${name}`);
  return lower as Encoding;
}

export function decode(bytes: Uint8Array, encoding: Encoding | undefined): Uint8Array | string {
  switch (encoding) {
    case undefined:
      return bytes;
    case "utf8":
    case "utf-8":
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    case "utf16le":
    case "utf-16le":
    case "ucs2":
      return new TextDecoder("utf-16le", { ignoreBOM: true }).decode(bytes.subarray(0, bytes.length & ~1));
    case "latin1":
    case "binary":
      return fromUnits(bytes, 0xff);
    case "ascii":
      return fromUnits(bytes, 0x7f);
    case "hex":
      return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    case "base64":
      return toBase64(bytes);
    case "base64url":
      return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }
}

function encode(text: string, encoding: Encoding): Uint8Array {
  switch (encoding) {
    case "utf8":
    case "utf-8":
      return new TextEncoder().encode(text);
    case "utf16le":
    case "utf-16le":
    case "ucs2":
      return Uint8Array.from({ length: text.length * 2 }, (_, i) => text.charCodeAt(i >> 1) >> ((i & 1) * 8));
    case "latin1":
    case "binary":
    case "ascii":
      return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    case "hex": {
      const pairs = /^(?:[0-9a-f]{2})*/i.exec(text)?.[0].match(/../g) ?? [];
      return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
    }
    case "base64":
    case "base64url":
      return fromBase64(text);
  }
}

function fromUnits(bytes: Uint8Array, mask: number): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192).map((byte) => byte & mask));
  return text;
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64[word >> 18] + BASE64[(word >> 12) & 63];
    text += i + 1 < bytes.length ? BASE64[(word >> 6) & 63] : "=";
    text += i + 2 < bytes.length ? BASE64[word & 63] : "=";
  }
  return text;
}

function fromBase64(text: string): Uint8Array {
  const out: number[] = [];
  let word = 0;
  let bits = 0;
  for (const letter of text.replaceAll("-", "+").replaceAll("_", "/")) {
    const value = BASE64.indexOf(letter);
    if (letter === "=") break;
    if (value < 0) continue;
    word = ((word << 6) | value) & 0xfff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out.push((word >> bits) & 0xff);
  }
  return Uint8Array.from(out);
}

/** Seconds (numbers, numeric strings) or a Date, as utimes takes them. */
export function toTime(time: number | string | Date): { sec: number; nsec: number } {
  const seconds = time instanceof Date ? time.getTime() / 1000 : Number(time);
  if (!Number.isFinite(seconds)) throw new TypeError(`"time" expected seconds or Date, got ${String(time)}`);
  const sec = Math.floor(seconds);
  return { sec, nsec: Math.min(999_999_999, Math.round((seconds - sec) * 1e9)) };
}
