/**
 * Reading and writing 9P messages: little endian, `size u32 | type u8 | tag u16 | …`, strings with a length u16 in front.
 *
 * A cursor over one buffer. Reading beyond the end sets `isBad` and gives zeroes; the server looks at it once, after all fields.
 */
const TWO_POW_32 = 0x1_0000_0000;

export class MessageCursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at = 0;
  /** Bytes that count. */
  end = 0;
  isBad = false;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Starts again at `at`; `end` bytes count. */
  begin(at: number, end: number): void {
    this.at = at;
    this.end = end;
    this.isBad = false;
  }

  u8(): number {
    return this.#take(1) ? this.bytes[this.at - 1] : 0;
  }

  u16(): number {
    return this.#take(2) ? this.view.getUint16(this.at - 2, true) : 0;
  }

  u32(): number {
    return this.#take(4) ? this.view.getUint32(this.at - 4, true) : 0;
  }

  /** Exact up to 2^53. */
  u64(): number {
    const low = this.u32();
    return low + this.u32() * TWO_POW_32;
  }

  /** Signed seconds. */
  i64(): number {
    const low = this.u32();
    return low + (this.u32() | 0) * TWO_POW_32;
  }

  /** A string; one that is no UTF-8 sets `isBad`. */
  string(): string {
    const length = this.u16();
    if (!this.#take(length)) return "";
    const text = decodeUtf8(this.bytes, this.at - length, this.at);
    if (text === null) this.isBad = true;
    return text ?? "";
  }

  /** Index of the first of `byteLength` bytes. */
  data(byteLength: number): number {
    return this.#take(byteLength) ? this.at - byteLength : 0;
  }

  putU8(value: number): void {
    if (this.#take(1)) this.bytes[this.at - 1] = value;
  }

  putU16(value: number): void {
    if (this.#take(2)) this.view.setUint16(this.at - 2, value, true);
  }

  putU32(value: number): void {
    if (this.#take(4)) this.view.setUint32(this.at - 4, value, true);
  }

  putU64(value: number): void {
    this.putU32(value >>> 0); // modulo 2^32, also for what is negative or large
    this.putU32(Math.floor(value / TWO_POW_32));
  }

  putString(text: string): void {
    this.putBytes(encodeUtf8(text));
  }

  /** Bytes of a string with their length in front. */
  putBytes(bytes: Uint8Array): void {
    this.putU16(bytes.length);
    if (this.#take(bytes.length)) this.bytes.set(bytes, this.at - bytes.length);
  }

  #take(byteLength: number): boolean {
    if (this.at + byteLength > this.end) {
      this.isBad = true;
      return false;
    }
    this.at += byteLength;
    return true;
  }
}

/** UTF-8 as text, or null if it is none. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | null {
  let text = "";
  for (let i = start; i < end; ) {
    const first = bytes[i++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    let code = first & (0x3f >> more);
    if (first < 0xc2 || first > 0xf4 || i + more > end) return null;
    for (let k = 0; k < more; k++) {
      if ((bytes[i] & 0xc0) !== 0x80) return null;
      code = (code << 6) | (bytes[i++] & 0x3f);
    }
    const least = [0x80, 0x800, 0x1_0000][more - 1];
    if (code < least || code > 0x10_ffff || (code >= 0xd800 && code < 0xe000)) return null;
    text += String.fromCodePoint(code);
  }
  return text;
}

export function encodeUtf8(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x1_0000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f));
      bytes.push(0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}
