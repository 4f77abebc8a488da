/**
 * Terminal settings and how they cross the system call border: struct termios, termios2, termio, winsize.
 */
import {
  B0,
  B115200,
  B38400,
  BOTHER,
  CBAUD,
  CBAUDEX,
  CLOCAL,
  CREAD,
  CS8,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  HUPCL,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  IXON,
  NCCS,
  ONLCR,
  OPOST,
  TERMIOS2_C_ISPEED,
  TERMIOS2_C_OSPEED,
  TERMIOS2_SIZE,
  TERMIOS_C_CC,
  TERMIOS_C_CFLAG,
  TERMIOS_C_IFLAG,
  TERMIOS_C_LFLAG,
  TERMIOS_C_LINE,
  TERMIOS_C_OFLAG,
  TERMIOS_SIZE,
} from "linux-abi";
import type { UserMemory } from "../user-memory.ts";

/** Linux's INIT_C_CC: ^C ^\ DEL ^U ^D 0 1 0 ^Q ^S ^Z 0 ^R ^O ^W ^V 0. */
const INITIAL_CC = [3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0, 0, 0];

/** Baud rates of B0, B50 ... B38400, then (CBAUDEX | 1) B57600 ... */
const BAUDS = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const FAST_BAUDS = [
  0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000,
  3500000, 4000000,
];

// struct termio: 16-bit flags, c_line, eight control characters
const TERMIO_SIZE = 18;
const TERMIO_CC = 8;

/** What a TCSETS-like request carries. */
export type TermiosForm = "termio" | "termios" | "termios2";

export class Termios {
  iflag: number = ICRNL | IXON;
  oflag: number = OPOST | ONLCR;
  cflag: number;
  lflag: number = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  line = 0;
  readonly cc: Uint8Array = new Uint8Array(INITIAL_CC);
  ispeed: number;
  ospeed: number;

  constructor(cflag: number = B38400 | CS8 | CREAD) {
    this.cflag = cflag;
    this.ospeed = baudOf(cflag, 38400);
    this.ispeed = this.ospeed;
  }

  /** Of a serial line that is always connected. */
  static forSerial(): Termios {
    return new Termios(B115200 | CS8 | CREAD | HUPCL | CLOCAL);
  }

  copy(): Termios {
    const copy = new Termios(this.cflag);
    copy.assign(this);
    return copy;
  }

  assign(from: Termios): void {
    this.iflag = from.iflag;
    this.oflag = from.oflag;
    this.cflag = from.cflag;
    this.lflag = from.lflag;
    this.line = from.line;
    this.cc.set(from.cc);
    this.ispeed = from.ispeed;
    this.ospeed = from.ospeed;
  }

  /** Reads new settings; what the form does not carry stays. 0 or -EFAULT. */
  load(memory: UserMemory, va: number, form: TermiosForm): number {
    const error = memory.load(va, form === "termio" ? TERMIO_SIZE : form === "termios" ? TERMIOS_SIZE : TERMIOS2_SIZE);
    if (error !== 0) return error;
    const view = memory.scratch;
    if (form === "termio") {
      this.iflag = (this.iflag & ~0xffff) | view.getUint16(0, true);
      this.oflag = (this.oflag & ~0xffff) | view.getUint16(2, true);
      this.cflag = (this.cflag & ~0xffff) | view.getUint16(4, true);
      this.lflag = (this.lflag & ~0xffff) | view.getUint16(6, true);
      this.line = view.getUint8(8);
      for (let i = 0; i < TERMIO_CC; i++) this.cc[i] = view.getUint8(9 + i);
      return 0;
    }
    this.iflag = view.getInt32(TERMIOS_C_IFLAG, true);
    this.oflag = view.getInt32(TERMIOS_C_OFLAG, true);
    this.cflag = view.getInt32(TERMIOS_C_CFLAG, true);
    this.lflag = view.getInt32(TERMIOS_C_LFLAG, true);
    this.line = view.getUint8(TERMIOS_C_LINE);
    for (let i = 0; i < NCCS; i++) this.cc[i] = view.getUint8(TERMIOS_C_CC + i);
    const given = form === "termios2" && (this.cflag & CBAUD) === BOTHER;
    this.ospeed = given ? view.getUint32(TERMIOS2_C_OSPEED, true) : baudOf(this.cflag, this.ospeed);
    this.ispeed = given ? view.getUint32(TERMIOS2_C_ISPEED, true) : this.ospeed;
    return 0;
  }

  /** 0 or -EFAULT. */
  store(memory: UserMemory, va: number, form: TermiosForm): number {
    const view = memory.scratch;
    if (form === "termio") {
      view.setUint16(0, this.iflag, true);
      view.setUint16(2, this.oflag, true);
      view.setUint16(4, this.cflag, true);
      view.setUint16(6, this.lflag, true);
      view.setUint8(8, this.line);
      for (let i = 0; i < TERMIO_CC; i++) view.setUint8(9 + i, this.cc[i] as number);
      view.setUint8(17, 0);
      return memory.store(va, TERMIO_SIZE);
    }
    view.setInt32(TERMIOS_C_IFLAG, this.iflag, true);
    view.setInt32(TERMIOS_C_OFLAG, this.oflag, true);
    view.setInt32(TERMIOS_C_CFLAG, this.cflag, true);
    view.setInt32(TERMIOS_C_LFLAG, this.lflag, true);
    view.setUint8(TERMIOS_C_LINE, this.line);
    for (let i = 0; i < NCCS; i++) view.setUint8(TERMIOS_C_CC + i, this.cc[i] as number);
    view.setUint32(TERMIOS2_C_ISPEED, this.ispeed, true);
    view.setUint32(TERMIOS2_C_OSPEED, this.ospeed, true);
    return memory.store(va, form === "termios" ? TERMIOS_SIZE : TERMIOS2_SIZE);
  }
}

function baudOf(cflag: number, other: number): number {
  const code = cflag & CBAUD;
  if (code === BOTHER) return other;
  if (code === B0) return 0;
  return ((code & CBAUDEX) !== 0 ? FAST_BAUDS[code & 15] : BAUDS[code]) ?? other;
}

/** Size of a terminal's window, in characters and pixels (struct winsize). */
export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
  readonly xPixels: number;
  readonly yPixels: number;
}

export function sameSize(a: WindowSize, b: WindowSize): boolean {
  return a.rows === b.rows && a.columns === b.columns && a.xPixels === b.xPixels && a.yPixels === b.yPixels;
}
