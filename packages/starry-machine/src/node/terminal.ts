/// <reference types="node" />
/**
 * The user's terminal as the machine's console: raw mode while the guest runs, qemu's escape key, window size.
 *
 * Keys go to the guest as they are; Ctrl-A is ours: Ctrl-A X leaves, Ctrl-A Ctrl-A sends one Ctrl-A, Ctrl-A H helps.
 * The terminal's settings come back whatever ends the process, an uncaught exception included.
 */
import type { ReadStream, WriteStream } from "node:tty";

export interface ConsoleEnd {
  /** Bytes typed by the user. */
  input(bytes: Uint8Array): void;
  resize(columns: number, rows: number): void;
  /** The user asked to leave (Ctrl-A X). */
  leave(): void;
}

const CTRL_A = 1;
const HELP = "\r\nCtrl-A X  leave    Ctrl-A Ctrl-A  send Ctrl-A    Ctrl-A H  this help\r\n";

/** What the escape key makes of typed bytes. Separate from the terminal so that it can be tested. */
export class EscapeFilter {
  #escaped = false;
  readonly #end: Pick<ConsoleEnd, "input" | "leave">;
  readonly #print: (text: string) => void;

  constructor(end: Pick<ConsoleEnd, "input" | "leave">, print: (text: string) => void) {
    this.#end = end;
    this.#print = print;
  }

  feed(bytes: Uint8Array): void {
    let start = 0;
    for (let i = 0; i < bytes.length; i++) {
      if (this.#escaped) {
        this.#escaped = false;
        start = i + 1;
        this.#command(bytes[i]);
      } else if (bytes[i] === CTRL_A) {
        if (i > start) this.#end.input(bytes.subarray(start, i));
        start = i + 1;
        this.#escaped = true;
      }
    }
    if (start < bytes.length) this.#end.input(bytes.subarray(start));
  }

  #command(key: number): void {
    switch (String.fromCharCode(key).toLowerCase()) {
      case "x":
        this.#end.leave();
        break;
      case "\u0001":
      case "a":
        this.#end.input(Uint8Array.of(CTRL_A));
        break;
      case "h":
      case "?":
        this.#print(HELP);
        break;
    }
  }
}

/** Connects a terminal to the console; returns the function that disconnects it and restores its settings. */
export function attachTerminal(stdin: ReadStream, stdout: WriteStream, end: ConsoleEnd): () => void {
  const filter = new EscapeFilter(end, (text) => stdout.write(text));
  const onData = (chunk: Uint8Array) => filter.feed(chunk);
  const onResize = () => end.resize(stdout.columns, stdout.rows);
  const restore = () => {
    if (stdin.isRaw) stdin.setRawMode(false);
  };
  stdin.setRawMode(true);
  stdin.on("data", onData);
  stdin.resume();
  stdout.on("resize", onResize);
  process.on("exit", restore);
  if (stdout.columns > 0) onResize();
  return () => {
    stdin.off("data", onData);
    stdout.off("resize", onResize);
    process.off("exit", restore);
    stdin.pause();
    restore();
  };
}
