/**
 * Decoder for .xz files (LZMA2), as Debian packages carry them.
 *
 * Streams, blocks and the index are checked as the .xz file format 1.2.0 asks for: magic numbers, header CRC32s, the
 * CRC32 or CRC64 of each block and the sizes in the index's place. Other filters than LZMA2 (the BCJ family) are refused
 * by number. A SHA-256 check is skipped over, not verified.
 *
 * Spec: The .xz File Format 1.2.0.
 */
import { lzma2Decode, lzma2Size } from "./lzma2.ts";
import { crc32, Crc64 } from "./crc.ts";

/** Bytes that are no well-formed .xz file. */
export class XzError extends Error {
  override readonly name = "XzError";
}

const STREAM_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FILTER_LZMA2 = 0x21;
const CHECK_CRC32 = 1;
const CHECK_CRC64 = 4;
/** Size of the check field by check number, section 2.1.1.2. */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/** Unpacks a whole .xz file, one or more streams. Throws {@link XzError}. */
export function unxz(input: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < input.length) {
    if (input[at] === 0 && at % 4 === 0 && parts.length > 0)
      at += 4; // stream padding
    else at = decodeStream(input, at, parts);
  }
  if (at === 0) throw new XzError("empty file");
  return parts.length === 1 ? parts[0] : concat(parts);
}

/** Decodes one stream that starts at `at`; returns where it ends. */
function decodeStream(input: Uint8Array, at: number, parts: Uint8Array[]): number {
  for (let i = 0; i < 6; i++) if (input[at + i] !== STREAM_MAGIC[i]) throw new XzError("not an .xz file");
  checkCrc32(input, at + 6, 2, at + 8);
  const check = input[at + 7] & 15;
  at += 12;
  while (at < input.length && input[at] !== 0) at = decodeBlock(input, at, check, parts);
  return skipIndexAndFooter(input, at, check);
}

/** Block: header, LZMA2 chunks, padding to 4 bytes, check (section 3). */
function decodeBlock(input: Uint8Array, start: number, check: number, parts: Uint8Array[]): number {
  const headerBytes = (input[start] + 1) * 4;
  checkCrc32(input, start, headerBytes - 4, start + headerBytes - 4);
  const flags = input[start + 1];
  let field = start + 2;
  if (flags & 0x40) field = readVarint(input, field).next; // compressed size
  if (flags & 0x80) field = readVarint(input, field).next; // uncompressed size
  const filter = readVarint(input, field);
  if ((flags & 3) !== 0 || filter.value !== FILTER_LZMA2)
    throw new XzError(`unsupported filter 0x${filter.value.toString(16)}`);

  const data = start + headerBytes;
  const { inputBytes, outputBytes } = lzma2Size(input, data);
  const output = new Uint8Array(outputBytes);
  lzma2Decode(input, data, output);
  const at = skipPadding(input, start, data + inputBytes);
  verifyBlock(input, at, check, output);
  parts.push(output);
  return at + CHECK_BYTES[check];
}

function verifyBlock(input: Uint8Array, at: number, check: number, output: Uint8Array): void {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (at + CHECK_BYTES[check] > input.length) throw new XzError("file is cut off");
  if (check === CHECK_CRC32 && crc32(output) !== view.getUint32(at, true))
    throw new XzError("CRC32 of a block does not match");
  if (check === CHECK_CRC64) {
    const crc = new Crc64(output);
    if (crc.low !== view.getUint32(at, true) || crc.high !== view.getUint32(at + 4, true)) {
      throw new XzError("CRC64 of a block does not match");
    }
  }
}

/** Index (section 4) and footer (section 2.1.2). Their lengths must fit; their contents repeat what was decoded. */
function skipIndexAndFooter(input: Uint8Array, start: number, check: number): number {
  const count = readVarint(input, start + 1);
  let at = count.next;
  for (let record = 0; record < count.value; record++) {
    at = readVarint(input, at).next;
    at = readVarint(input, at).next;
  }
  at = skipPadding(input, start, at);
  checkCrc32(input, start, at - start, at);
  at += 4;
  checkCrc32(input, at + 4, 6, at);
  const backwardSize = new DataView(input.buffer, input.byteOffset + at + 4, 4).getUint32(0, true);
  if (
    (backwardSize + 1) * 4 !== at - start ||
    input[at + 9] !== check ||
    input[at + 10] !== 0x59 ||
    input[at + 11] !== 0x5a
  ) {
    throw new XzError("bad stream footer");
  }
  return at + 12;
}

/** Blocks and the index are padded with zero bytes to a multiple of 4. */
function skipPadding(input: Uint8Array, start: number, at: number): number {
  while (((at - start) & 3) !== 0) if (input[at++] !== 0) throw new XzError("bad padding");
  return at;
}

function checkCrc32(input: Uint8Array, at: number, byteLength: number, crcAt: number): void {
  if (crcAt + 4 > input.length) throw new XzError("file is cut off");
  const stored = new DataView(input.buffer, input.byteOffset + crcAt, 4).getUint32(0, true);
  if (crc32(input.subarray(at, at + byteLength)) !== stored) throw new XzError("CRC32 of a header does not match");
}

/** Multibyte integer (section 1.2); values beyond 2^53 cannot occur in files that fit in memory. */
function readVarint(input: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  let scale = 1;
  for (let i = 0; i < 9; i++) {
    if (at >= input.length) throw new XzError("file is cut off");
    const byte = input[at++];
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) return { value, next: at };
    scale *= 128;
  }
  throw new XzError("bad variable-length integer");
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
