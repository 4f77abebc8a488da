/**
 * File names between guest bytes and JavaScript strings, without loss.
 *
 * Linux names are byte strings; most are UTF-8. Valid UTF-8 decodes as usual; each byte that is not part of a valid
 * sequence becomes a lone surrogate U+DC80..U+DCFF (byte + 0xDC00), which UTF-8 can never produce, and encodes back
 * to that byte (the scheme of Python's PEP 383).
 */

const strictDecoder = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = /* @__PURE__ */ new TextEncoder();

const ESCAPE_BASE = 0xdc00;
const FIRST_ESCAPE = 0xdc80;
const LAST_ESCAPE = 0xdcff;

/** Decodes `bytes` losslessly: `encodeName(decodeName(b))` equals `b` for every byte string. */
export function decodeName(bytes: Uint8Array): string {
  if (isAscii(bytes)) return decodeAscii(bytes);
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return decodeLoose(bytes);
  }
}

/** Encodes a name from `decodeName`, or any ordinary string, to bytes. */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  if (!hasEscape(name)) return encoder.encode(name);
  const out: number[] = [];
  for (const char of name) {
    const code = char.codePointAt(0) as number;
    if (code >= FIRST_ESCAPE && code <= LAST_ESCAPE) out.push(code - ESCAPE_BASE);
    else out.push(...encoder.encode(char));
  }
  return Uint8Array.from(out);
}

/** Number of bytes that `encodeName(name)` has. */
export function nameByteLength(name: string): number {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0x7f) return encodeName(name).length;
  return name.length;
}

/** Eight characters at a time: 0.2 µs for a usual path, where a TextDecoder takes 0.25 and spreading the array 2 to 3. */
function decodeAscii(bytes: Uint8Array): string {
  let text = "";
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    text += String.fromCharCode(
      bytes[at],
      bytes[at + 1],
      bytes[at + 2],
      bytes[at + 3],
      bytes[at + 4],
      bytes[at + 5],
      bytes[at + 6],
      bytes[at + 7],
    );
  }
  for (; at < bytes.length; at++) text += String.fromCharCode(bytes[at]);
  return text;
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] > 0x7f) return false;
  return true;
}

function hasEscape(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    if (unit >= FIRST_ESCAPE && unit <= LAST_ESCAPE) {
      const before = i > 0 ? name.charCodeAt(i - 1) : 0;
      if (before < 0xd800 || before > 0xdbff) return true; // not the second half of a pair
    }
  }
  return false;
}

function decodeLoose(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      try {
        text += strictDecoder.decode(bytes.subarray(at, at + length));
        at += length;
        continue;
      } catch {
        // an invalid sequence: its first byte is escaped below
      }
    }
    text += String.fromCharCode(ESCAPE_BASE + bytes[at]);
    at++;
  }
  return text;
}

/** Length that the lead byte at `at` announces, 0 if it is no lead byte or the sequence is cut off. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  return at + length <= bytes.length ? length : 0;
}
