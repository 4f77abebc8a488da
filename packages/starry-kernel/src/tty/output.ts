/**
 * The output half of a terminal: post-processing (OPOST), the column the cursor is in, and the bytes waiting for the device.
 *
 * Programs' writes leave `ECHO_ROOM` bytes free, so that what the user types can be echoed while a program floods the terminal.
 */
import { OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, XTABS } from "linux-abi";
import { ByteRing } from "../io/byte-ring.ts";
import type { IoBuffer } from "../io-buffer.ts";
import type { Termios } from "./termios.ts";

const OUTPUT_BYTES = 16384;
const ECHO_ROOM = 4096;
/** A tab may become this many bytes. */
const WORST_EXPANSION = 8;

const NL = 10;
const CR = 13;
const TAB = 9;
const BS = 8;
const SPACE = 32;
const DEL = 127;

export class Output {
  /** Processed bytes on their way to the device. */
  readonly ring: ByteRing = new ByteRing(OUTPUT_BYTES + ECHO_ROOM);
  /** Where the cursor is, as far as we know. */
  column = 0;
  /** Where the line being edited began: what a tab in it is measured from. */
  lineColumn = 0;
  readonly #termios: Termios;
  readonly #isContinuation: (byte: number) => boolean;

  constructor(termios: Termios, isContinuation: (byte: number) => boolean) {
    this.#termios = termios;
    this.#isContinuation = isContinuation;
  }

  /** Bytes that a program's write may still produce. */
  get room(): number {
    return Math.max(0, this.ring.room - ECHO_ROOM);
  }

  /** A write takes at least one byte now. */
  get writable(): boolean {
    return this.room >= WORST_EXPANSION;
  }

  /** Takes what fits from a program's buffer. Returns the count taken. */
  write(buffer: IoBuffer): number {
    if ((this.#termios.oflag & OPOST) === 0) return this.ring.writeFrom(buffer, this.room);
    let done = 0;
    while (buffer.remaining > 0 && this.writable) {
      const run = buffer.run(buffer.remaining, false);
      if (run.length === 0) break;
      let taken = 0;
      while (taken < run.length && this.writable) {
        const plain = this.#plainLength(run, taken);
        if (plain > 0) {
          const pushed = this.ring.push(run, taken, Math.min(plain, this.room));
          this.column += pushed;
          taken += pushed;
        } else this.put(run[taken++] as number);
      }
      buffer.advance(taken);
      done += taken;
    }
    return done;
  }

  /** How many bytes from `start` are ordinary characters that go out as they are and move the cursor by one. */
  #plainLength(bytes: Uint8Array, start: number): number {
    if ((this.#termios.oflag & OLCUC) !== 0) return 0;
    let end = start;
    while (end < bytes.length && (bytes[end] as number) >= SPACE && (bytes[end] as number) < DEL) end++;
    return end - start;
  }

  /** One byte with post-processing if it is on. Dropped when the ring is full. */
  put(given: number): void {
    const oflag = this.#termios.oflag;
    if ((oflag & OPOST) === 0) {
      this.putRaw(given);
      return;
    }
    let byte = given;
    switch (byte) {
      case NL:
        if ((oflag & (ONLCR | ONLRET)) !== 0) this.column = 0;
        this.lineColumn = this.column;
        if ((oflag & ONLCR) !== 0) this.putRaw(CR);
        break;
      case CR:
        if ((oflag & ONOCR) !== 0 && this.column === 0) return;
        if ((oflag & OCRNL) !== 0) {
          byte = NL;
          if ((oflag & ONLRET) === 0) break;
        }
        this.column = 0;
        this.lineColumn = 0;
        break;
      case TAB: {
        const spaces = 8 - (this.column & 7);
        this.column += spaces;
        if ((oflag & TABDLY) !== XTABS) break;
        for (let i = 0; i < spaces; i++) this.putRaw(SPACE);
        return;
      }
      case BS:
        if (this.column > 0) this.column--;
        break;
      default:
        if (byte < SPACE || byte === DEL) break;
        if ((oflag & OLCUC) !== 0 && isLower(byte)) byte -= 0x20;
        if (!this.#isContinuation(byte)) this.column++;
    }
    this.putRaw(byte);
  }

  /** One byte as it is; the cursor is the caller's business. */
  putRaw(byte: number): void {
    if (this.ring.room > 0) this.ring.pushByte(byte);
  }
}

const MULTIPLICATION_SIGN = 0xd7;
const DIVISION_SIGN = 0xf7;

/** Latin-1, as the kernel's ctype has it. */
export function isUpper(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0xc0 && byte <= 0xde && byte !== MULTIPLICATION_SIGN);
}

export function isLower(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0xdf && byte !== DIVISION_SIGN);
}
