/**
 * N_TTY, the input half: from the bytes a device receives to what read(2) returns (termios(3), Linux drivers/tty/n_tty.c).
 *
 * Canonical mode (ICANON) collects a line that can be edited and hands it over as a whole; otherwise bytes are available at once.
 *
 *      tail               canonHead            head
 *   ────┬─────────────────────┬──────────────────┬────   positions count up for ever; slot = position & MASK
 *       │ finished lines      │ line being edited │
 *
 * `#ends` marks the last byte of each finished line. An end-of-file character is stored as a marked NUL: read drops it,
 * and a line that consists of it alone is the end of the file.
 */
import {
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ECHONL,
  ECHOPRT,
  EXTPROC,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNCR,
  IMAXBEL,
  INLCR,
  ISIG,
  ISTRIP,
  IUCLC,
  IUTF8,
  IXANY,
  IXON,
  SIGINT,
  SIGQUIT,
  SIGTSTP,
  VEOF,
  VEOL,
  VEOL2,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VQUIT,
  VREPRINT,
  VSTART,
  VSTOP,
  VSUSP,
  VWERASE,
} from "linux-abi";
import type { IoBuffer } from "../io-buffer.ts";
import { isLower, isUpper, type Output } from "./output.ts";
import type { Termios } from "./termios.ts";

/** N_TTY_BUF_SIZE */
const SIZE = 4096;
const MASK = SIZE - 1;

const NL = 10;
const CR = 13;
const TAB = 9;
const BS = 8;
const SPACE = 32;
const BELL = 7;
const DEL = 127;
const CARET = 0x5e;
const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const UNDERSCORE = 0x5f;
/** Echoed without output processing, as in Linux, where it is the escape byte of the echo queue. */
const ECHO_OP_START = 0xff;
/** _POSIX_VDISABLE: a control character that is off. */
const DISABLED = 0;

/** What the line discipline needs of its terminal. */
export interface LineHost {
  readonly termios: Termios;
  readonly output: Output;
  /** Output is stopped by ^S (not by tcflow). */
  readonly flowStopped: boolean;
  stopFlow(): void;
  startFlow(): void;
  /** Lets the device have what has been echoed so far. */
  flushEcho(): void;
  /** Signals the foreground group; without NOFLSH both queues are flushed first. */
  interrupt(signo: number): void;
}

export class LineDiscipline {
  readonly #host: LineHost;
  readonly #bytes: Uint8Array = new Uint8Array(SIZE);
  readonly #ends: Uint8Array = new Uint8Array(SIZE);
  #tail = 0;
  #canonHead = 0;
  #head = 0;
  // ^V: the next character is literal.
  #literalNext = false;
  // ECHOPRT: between "\" and "/".
  #erasing = false;

  constructor(host: LineHost) {
    this.#host = host;
  }

  /** Bytes the device may deliver now. A full line without an end takes one more, which is thrown away with a bell. */
  get room(): number {
    const room = SIZE - 1 - (this.#head - this.#tail);
    return room <= 0 && this.#canonical && this.#canonHead === this.#tail ? 1 : room;
  }

  get #canonical(): boolean {
    return (this.#host.termios.lflag & ICANON) !== 0;
  }

  /** Bytes a read could return now: of finished lines in canonical mode. */
  get available(): number {
    if (!this.#canonical) return this.#head - this.#tail;
    let count = 0;
    for (let at = this.#tail; at < this.#canonHead; at++) if (!this.#isEndOfFile(at)) count++;
    return count;
  }

  /** A read in canonical mode would not wait. */
  get hasLine(): boolean {
    return this.#canonHead !== this.#tail;
  }

  /** Bytes received and not read, whatever the mode. */
  get queued(): number {
    return this.#head - this.#tail;
  }

  #isEndOfFile(at: number): boolean {
    return this.#ends[at & MASK] === 1 && this.#bytes[at & MASK] === DISABLED;
  }

  /** Throws away what has not been read. */
  flush(): void {
    this.#tail = this.#head;
    this.#canonHead = this.#head;
    this.#ends.fill(0);
    this.#literalNext = false;
    this.#erasing = false;
  }

  /** ICANON or EXTPROC has changed: what is there becomes one finished line, or plain bytes. */
  modeChanged(): void {
    this.#ends.fill(0);
    this.#literalNext = false;
    this.#erasing = false;
    if (!this.#canonical || this.#head === this.#tail) this.#canonHead = this.#tail;
    else {
      this.#ends[(this.#head - 1) & MASK] = 1;
      this.#canonHead = this.#head;
    }
  }

  // Reading

  /** Moves what may be read into the buffer. Returns the count; 0 also for an end-of-file. The caller has checked that something is there. */
  read(buffer: IoBuffer): number {
    return this.#canonical
      ? this.#readLine(buffer)
      : this.#copyOut(buffer, Math.min(this.#head - this.#tail, buffer.remaining));
  }

  #readLine(buffer: IoBuffer): number {
    let length = 0;
    const limit = Math.min(buffer.remaining, this.#canonHead - this.#tail);
    let ended = false;
    while (length < limit && !ended) ended = this.#ends[(this.#tail + length++) & MASK] === 1;
    const dropLast = ended && this.#isEndOfFile(this.#tail + length - 1);
    const count = this.#copyOut(buffer, dropLast ? length - 1 : length);
    if (buffer.faulted) return count;
    // An end-of-file mark is used up by the read that reaches it, also when the buffer was full just before it.
    if (dropLast || (!ended && this.#tail < this.#canonHead && this.#isEndOfFile(this.#tail))) {
      this.#ends[this.#tail & MASK] = 0;
      this.#tail++;
    }
    return count;
  }

  #copyOut(buffer: IoBuffer, byteLength: number): number {
    let done = 0;
    while (done < byteLength) {
      const at = this.#tail & MASK;
      const chunk = Math.min(byteLength - done, SIZE - at);
      const count = buffer.put(this.#bytes, at, chunk);
      this.#ends.fill(0, at, at + count);
      this.#tail += count;
      done += count;
      if (count < chunk) break;
    }
    if (this.#canonHead < this.#tail) this.#canonHead = this.#tail;
    return done;
  }

  // Receiving

  /** One byte from the device. True if a reader may have become able to go on. */
  receive(given: number): boolean {
    const { termios, output } = this.#host;
    const { iflag, lflag, cc } = termios;
    let byte = given;
    if ((iflag & ISTRIP) !== 0) byte &= 0x7f;
    if ((iflag & IUCLC) !== 0 && (lflag & IEXTEN) !== 0 && isUpper(byte)) byte += 0x20;
    if ((lflag & EXTPROC) !== 0) return this.#append(byte);
    if (this.#literalNext) {
      this.#literalNext = false;
      return this.#ordinary(byte);
    }
    if ((iflag & IXON) !== 0 && byte !== DISABLED) {
      if (byte === cc[VSTART]) {
        this.#host.startFlow();
        this.#host.flushEcho();
        return false;
      }
      if (byte === cc[VSTOP]) {
        this.#host.stopFlow();
        return false;
      }
    }
    if ((lflag & ISIG) !== 0 && byte !== DISABLED) {
      const signo = byte === cc[VINTR] ? SIGINT : byte === cc[VQUIT] ? SIGQUIT : byte === cc[VSUSP] ? SIGTSTP : 0;
      if (signo !== 0) {
        this.#host.interrupt(signo);
        if ((iflag & IXON) !== 0) this.#host.startFlow();
        if ((lflag & ECHO) !== 0) this.#echo(byte);
        return true; // a flush made room, or the line was thrown away
      }
    }
    if (this.#host.flowStopped && (iflag & (IXON | IXANY)) === (IXON | IXANY)) this.#host.startFlow();
    if (byte === CR) {
      if ((iflag & IGNCR) !== 0) return false;
      if ((iflag & ICRNL) !== 0) {
        byte = NL;
        if ((lflag & ICANON) === 0) return this.#ordinary(NL, true);
      }
    } else if (byte === NL && (iflag & INLCR) !== 0) byte = CR;
    if ((lflag & ICANON) === 0) return this.#ordinary(byte);

    const extended = (lflag & IEXTEN) !== 0;
    if (byte !== DISABLED) {
      if (byte === cc[VERASE] || byte === cc[VKILL] || (extended && byte === cc[VWERASE])) {
        this.#erase(byte);
        return false;
      }
      if (extended && byte === cc[VLNEXT]) {
        this.#literalNext = true;
        if ((lflag & ECHO) !== 0) {
          this.#finishErasing();
          if ((lflag & ECHOCTL) !== 0) {
            output.putRaw(CARET);
            output.putRaw(BS);
          }
        }
        return false;
      }
      if (extended && (lflag & ECHO) !== 0 && byte === cc[VREPRINT]) {
        this.#reprint(byte);
        return false;
      }
    }
    if (byte === NL) {
      if ((lflag & (ECHO | ECHONL)) !== 0 && this.#hasRoom()) this.#host.output.put(NL);
      return this.#endLine(NL);
    }
    if (byte !== DISABLED && byte === cc[VEOF]) return this.#endLine(DISABLED);
    if (byte !== DISABLED && (byte === cc[VEOL] || (extended && byte === cc[VEOL2]))) {
      if ((lflag & ECHO) !== 0) this.#echo(byte);
      return this.#endLine(byte);
    }
    return this.#ordinary(byte);
  }

  #hasRoom(): boolean {
    return this.#head - this.#tail < SIZE - 1;
  }

  /** A byte that is data. `newline`: a carriage return became one, and is echoed as such even where ECHOCTL shows NL as ^J. */
  #ordinary(byte: number, newline = false): boolean {
    const { termios, output } = this.#host;
    if (!this.#hasRoom()) {
      if ((termios.iflag & IMAXBEL) !== 0) output.putRaw(BELL);
      return false;
    }
    if ((termios.lflag & ECHO) !== 0) {
      this.#finishErasing();
      if (newline) this.#host.output.put(NL);
      else this.#echo(byte);
    }
    return this.#append(byte);
  }

  #append(byte: number): boolean {
    if (this.#head - this.#tail >= SIZE) return false;
    this.#bytes[this.#head & MASK] = byte;
    this.#ends[this.#head & MASK] = 0;
    this.#head++;
    return !this.#canonical;
  }

  #endLine(byte: number): boolean {
    // The last slot is kept for the end of a line that is too long.
    if (this.#head - this.#tail >= SIZE) return false;
    this.#bytes[this.#head & MASK] = byte;
    this.#ends[this.#head & MASK] = 1;
    this.#head++;
    this.#canonHead = this.#head;
    return true;
  }

  // Echo

  #echo(byte: number): void {
    const { output } = this.#host;
    if (this.#head === this.#canonHead) output.lineColumn = output.column;
    this.#show(byte);
  }

  #show(byte: number): void {
    const { output, termios } = this.#host;
    if ((termios.lflag & ECHOCTL) !== 0 && isControl(byte) && byte !== TAB) {
      output.putRaw(CARET);
      output.putRaw(byte ^ 0x40);
      output.column += 2;
    } else if (byte === ECHO_OP_START) {
      output.putRaw(byte);
      output.column++;
    } else output.put(byte);
  }

  #finishErasing(): void {
    if (!this.#erasing) return;
    this.#erasing = false;
    this.#host.output.put(SLASH);
  }

  #reprint(byte: number): void {
    this.#finishErasing();
    this.#show(byte);
    this.#host.output.put(NL);
    for (let at = this.#canonHead; at < this.#head; at++) this.#show(this.#bytes[at & MASK] as number);
  }

  /** A byte after the first of a UTF-8 character. */
  isContinuation(byte: number): boolean {
    return (this.#host.termios.iflag & IUTF8) !== 0 && (byte & 0xc0) === 0x80;
  }

  // Editing

  #erase(byte: number): void {
    if (this.#head === this.#canonHead) return;
    const { termios } = this.#host;
    const { lflag, cc } = termios;
    const kill = byte === cc[VKILL];
    if (kill && ((lflag & ECHO) === 0 || (lflag & (ECHOK | ECHOKE | ECHOE)) !== (ECHOK | ECHOKE | ECHOE))) {
      this.#head = this.#canonHead;
      if ((lflag & ECHO) === 0) return;
      this.#finishErasing();
      this.#echo(cc[VKILL] as number);
      if ((lflag & ECHOK) !== 0) this.#host.output.put(NL);
      return;
    }
    const word = !kill && byte !== cc[VERASE];
    let inWord = false;
    while (this.#head > this.#canonHead) {
      const start = this.#characterStart();
      if (start < 0) break;
      const first = this.#bytes[start & MASK] as number;
      if (word) {
        if (isWordByte(first)) inWord = true;
        else if (inWord) break;
      }
      const byteCount = this.#head - start;
      this.#head = start;
      if ((lflag & ECHO) !== 0) this.#echoErase(first, byteCount, kill || word);
      if (!kill && !word) break;
    }
    if (this.#head === this.#canonHead && (lflag & ECHO) !== 0) this.#finishErasing();
  }

  /** Position of the last character's first byte; −1 if the line does not hold it. */
  #characterStart(): number {
    let at = this.#head - 1;
    while (at > this.#canonHead && this.isContinuation(this.#bytes[at & MASK] as number)) at--;
    return this.isContinuation(this.#bytes[at & MASK] as number) ? -1 : at;
  }

  /** Shows that a character is gone. */
  #echoErase(first: number, byteCount: number, whole: boolean): void {
    const { output, termios } = this.#host;
    const { lflag, cc } = termios;
    if ((lflag & ECHOPRT) !== 0) {
      if (!this.#erasing) {
        output.put(BACKSLASH);
        this.#erasing = true;
      }
      this.#echo(first);
      for (let i = 1; i < byteCount; i++) output.putRaw(this.#bytes[(this.#head + i) & MASK] as number);
    } else if (!whole && (lflag & ECHOE) === 0) this.#echo(cc[VERASE] as number);
    else if (first === TAB) this.#eraseTab();
    else {
      if (isControl(first) && (lflag & ECHOCTL) !== 0) this.#rubOut();
      if (!isControl(first) || (lflag & ECHOCTL) !== 0) this.#rubOut();
    }
  }

  #rubOut(): void {
    const { output } = this.#host;
    output.put(BS);
    output.put(SPACE);
    output.put(BS);
  }

  /** Back to where the tab began: the columns since the tab before it, or since the line's start. */
  #eraseTab(): void {
    const { output, termios } = this.#host;
    let columns = 0;
    let at = this.#head - 1;
    for (; at >= this.#canonHead; at--) {
      const byte = this.#bytes[at & MASK] as number;
      if (byte === TAB) break;
      if (isControl(byte)) columns += (termios.lflag & ECHOCTL) !== 0 ? 2 : 0;
      else if (!this.isContinuation(byte)) columns++;
    }
    if (at < this.#canonHead) columns += output.lineColumn;
    for (let back = 8 - (columns & 7); back > 0; back--) {
      output.putRaw(BS);
      if (output.column > 0) output.column--;
    }
  }
}

function isControl(byte: number): boolean {
  return byte < SPACE || byte === DEL;
}

/** As the kernel's ctype has it: Latin-1. */
function isWordByte(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || isUpper(byte) || isLower(byte) || byte === UNDERSCORE;
}
