/**
 * UTF-8 between JavaScript strings and record bytes, lossless in both directions.
 *
 * Task names and paths are byte strings on Linux. A byte that is not part of valid UTF-8 becomes the lone
 * surrogate U+DC00 + byte (U+DC80..U+DCFF) and is written back as that byte: the convention of linux-abi's `decodeName`.
 * Nothing here throws on bad bytes.
 */

const ESCAPED_BYTE_FIRST = 0xdc80;
const ESCAPED_BYTE_LAST = 0xdcff;

/** Bytes that the code point starting at `index` needs, 1..4. A lone surrogate counts 3 (U+FFFD) unless it is an escaped byte. */
function byteCount(text: string, index: number): number {
  const unit = text.charCodeAt(index);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (unit >= ESCAPED_BYTE_FIRST && unit <= ESCAPED_BYTE_LAST) return 1;
  if (unit >= 0xd800 && unit < 0xdc00) {
    const low = text.charCodeAt(index + 1);
    if (low >= 0xdc00 && low < 0xe000) return 4;
  }
  return 3;
}

/**
 * Writes `text` at `offset`, at most `byteLimit` bytes, never half a character.
 * Returns the number of bytes written. An embedded NUL ends the text, as it would in C.
 */
export function encodeUtf8Into(text: string, out: Uint8Array, offset: number, byteLimit: number): number {
  let at = offset;
  const end = offset + byteLimit;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      if (at >= end || code === 0) break;
      out[at++] = code;
      continue;
    }
    const size = byteCount(text, i);
    if (at + size > end) break;
    if (size === 1) {
      out[at++] = code - 0xdc00;
    } else if (size === 2) {
      out[at++] = 0xc0 | (code >> 6);
      out[at++] = 0x80 | (code & 0x3f);
    } else if (size === 3) {
      if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
      out[at++] = 0xe0 | (code >> 12);
      out[at++] = 0x80 | ((code >> 6) & 0x3f);
      out[at++] = 0x80 | (code & 0x3f);
    } else {
      code = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
      out[at++] = 0xf0 | (code >> 18);
      out[at++] = 0x80 | ((code >> 12) & 0x3f);
      out[at++] = 0x80 | ((code >> 6) & 0x3f);
      out[at++] = 0x80 | (code & 0x3f);
    }
  }
  return at - offset;
}

/** The bytes of `text` as a new array. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(text.length * 3);
  const length = encodeUtf8All(text, out);
  return out.slice(0, length);
}

/** Like `encodeUtf8Into` at offset 0, but NUL characters are data. */
function encodeUtf8All(text: string, out: Uint8Array): number {
  let at = 0;
  let start = 0;
  for (;;) {
    const nul = text.indexOf("\0", start);
    const part = nul < 0 ? text.slice(start) : text.slice(start, nul);
    at += encodeUtf8Into(part, out, at, out.length - at);
    if (nul < 0) return at;
    out[at++] = 0;
    start = nul + 1;
  }
}

/** Length of the valid sequence at `at` (2..4) with its lead byte `lead`, or 1 if it is broken. */
function sequenceLength(bytes: Uint8Array, at: number, end: number, lead: number): number {
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + size > end) return 1;
  for (let i = 1; i < size; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 1;
  const second = bytes[at + 1]!;
  if (lead === 0xe0 && second < 0xa0) return 1; // overlong
  if (lead === 0xed && second >= 0xa0) return 1; // surrogate
  if (lead === 0xf0 && second < 0x90) return 1; // overlong
  if (lead === 0xf4 && second >= 0x90) return 1; // above U+10FFFF
  return size;
}

/** Decodes `bytes[start, end)`. */
export function decodeUtf8(bytes: Uint8Array, start: number = 0, end: number = bytes.length): string {
  let text = "";
  let at = start;
  while (at < end) {
    const lead = bytes[at]!;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      at++;
      continue;
    }
    const size = sequenceLength(bytes, at, end, lead);
    if (size === 1) text += String.fromCharCode(0xdc00 + lead);
    else if (size === 2) text += String.fromCharCode(((lead & 0x1f) << 6) | (bytes[at + 1]! & 0x3f));
    else if (size === 3)
      text += String.fromCharCode(((lead & 0x0f) << 12) | ((bytes[at + 1]! & 0x3f) << 6) | (bytes[at + 2]! & 0x3f));
    else
      text += String.fromCodePoint(
        ((lead & 0x07) << 18) |
          ((bytes[at + 1]! & 0x3f) << 12) |
          ((bytes[at + 2]! & 0x3f) << 6) |
          (bytes[at + 3]! & 0x3f),
      );
    at += size;
  }
  return text;
}

/** Decodes a C string: from `start` to the first NUL or `end`. */
export function decodeCString(bytes: Uint8Array, start: number, end: number): string {
  let stop = start;
  while (stop < end && bytes[stop] !== 0) stop++;
  return decodeUtf8(bytes, start, stop);
}

/** The longest prefix of `text` that fits `byteLimit` bytes of UTF-8, cut at a character boundary and at a NUL. */
export function truncateUtf8(text: string, byteLimit: number): string {
  let used = 0;
  let i = 0;
  while (i < text.length) {
    if (text.charCodeAt(i) === 0) break;
    const size = byteCount(text, i);
    if (used + size > byteLimit) break;
    used += size;
    i += size === 4 ? 2 : 1;
  }
  return i === text.length ? text : text.slice(0, i);
}
