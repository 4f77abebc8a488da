/**
 * Members of an `ar` archive, the outer container of a Debian package (man 5 deb, man 5 ar).
 */

export interface ArMember {
  readonly name: string;
  readonly data: Uint8Array;
}

const MAGIC = "!<arch>\n";
const HEADER_BYTES = 60;

/** Lists the members. Throws an Error when the bytes are no archive or are cut off. */
export function readAr(bytes: Uint8Array): ArMember[] {
  if (text(bytes, 0, 8) !== MAGIC) throw new Error("not an ar archive (a .deb file is one)");
  const members: ArMember[] = [];
  let at = 8;
  while (at + HEADER_BYTES <= bytes.length) {
    if (text(bytes, at + 58, 2) !== "`\n") throw new Error("bad header in ar archive");
    const name = text(bytes, at, 16).trimEnd().replace(/\/$/, "");
    const size = Number.parseInt(text(bytes, at + 48, 10), 10);
    at += HEADER_BYTES;
    if (!(size >= 0) || at + size > bytes.length) throw new Error(`ar member ${name} is cut off`);
    members.push({ name, data: bytes.subarray(at, at + size) });
    at += size + (size & 1);
  }
  return members;
}

function text(bytes: Uint8Array, at: number, byteLength: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + byteLength));
}
