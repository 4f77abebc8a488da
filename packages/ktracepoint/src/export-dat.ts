/**
 * trace.dat, version 6: the file that `trace-cmd record` writes and `trace-cmd report`, kernelshark and libtracecmd read.
 *
 * Sub-buffers go into the file as they are, so a record is not touched on its way out. Layout: trace-cmd's
 * Documentation/trace-cmd/trace-cmd.dat.v6.5.txt.
 */
import { BUILTIN_EVENTS, MARKER_SYMBOL } from "./builtin-events.ts";
import { TracePointFormatFile } from "./control-files.ts";
import { HEADER_EVENT_TEXT, HEADER_PAGE_TEXT, type RingBuffer, SUB_BUFFER_SIZE } from "./ring-buffer.ts";
import type { TraceArray } from "./trace-array.ts";
import { encodeUtf8 } from "./utf8.ts";

const OPTION_DONE = 0;
const OPTION_CPUSTAT = 2;
const OPTION_TRACECLOCK = 4;
const OPTION_UNAME = 5;
const LONG_SIZE = 8;

export interface TraceDatOptions {
  /** What `uname -a` says in the traced system. */
  readonly uname?: string;
  /** /proc/kallsyms of the traced system; the marker's symbol is always there. */
  readonly kallsyms?: string;
}

/** Bytes collected piece by piece. */
class ByteSink {
  #parts: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(part: Uint8Array): void {
    this.#parts.push(part);
    this.#length += part.length;
  }

  text(text: string): void {
    this.bytes(encodeUtf8(text));
  }

  /** A little-endian integer of 1, 2, 4 or 8 bytes, value < 2^53. */
  integer(value: number, byteLength: number): void {
    this.bytes(littleEndian(value, byteLength));
  }

  join(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function littleEndian(value: number, byteLength: number): Uint8Array {
  const out = new Uint8Array(byteLength);
  let rest = value;
  for (let i = 0; i < byteLength; i++) {
    out[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
}

/** Text behind its length in `byteLength` bytes. */
function sized(sink: ByteSink, text: string, byteLength: 4 | 8): void {
  const bytes = encodeUtf8(text);
  sink.integer(bytes.length, byteLength);
  sink.bytes(bytes);
}

function option(sink: ByteSink, id: number, text: string): void {
  const bytes = encodeUtf8(`${text}\0`);
  sink.integer(id, 2);
  sink.integer(bytes.length, 4);
  sink.bytes(bytes);
}

/** Everything in `array`'s buffer as a trace.dat file. Consumes nothing. */
export function exportTraceDat(array: TraceArray, options: TraceDatOptions = {}): Uint8Array<ArrayBuffer> {
  const sink = new ByteSink();
  sink.bytes(Uint8Array.of(0x17, 0x08, 0x44));
  sink.text("tracing6\0");
  sink.integer(0, 1); // little endian
  sink.integer(LONG_SIZE, 1);
  sink.integer(SUB_BUFFER_SIZE, 4);

  sink.text("header_page\0");
  sized(sink, HEADER_PAGE_TEXT, 8);
  sink.text("header_event\0");
  sized(sink, HEADER_EVENT_TEXT, 8);

  sink.integer(BUILTIN_EVENTS.length, 4);
  for (const point of BUILTIN_EVENTS) sized(sink, new TracePointFormatFile(point).read(), 8);

  const systems = array.registry.systems();
  sink.integer(systems.size, 4);
  for (const [system, events] of systems) {
    sink.text(`${system}\0`);
    sink.integer(events.length, 4);
    for (const event of events) sized(sink, new TracePointFormatFile(event.tracePoint()).read(), 8);
  }

  sized(sink, MARKER_SYMBOL + (options.kallsyms ?? ""), 4);
  sized(sink, "", 4); // printk_formats
  sized(sink, savedCmdlines(array), 8);

  const cpuCount = array.pipe.cpuCount;
  sink.integer(cpuCount, 4);
  sink.text("options  \0");
  for (let cpu = 0; cpu < cpuCount; cpu++) option(sink, OPTION_CPUSTAT, `CPU: ${cpu}\n${array.statsText(cpu)}`);
  option(sink, OPTION_TRACECLOCK, clockText(array));
  if (options.uname !== undefined) option(sink, OPTION_UNAME, options.uname);
  sink.integer(OPTION_DONE, 2);

  sink.text("flyrecord\0");
  const pages: Uint8Array[][] = [];
  for (let cpu = 0; cpu < cpuCount; cpu++) pages.push(pagesOf(array.pipe.ring(cpu)));
  let offset = alignPage(sink.length + cpuCount * 16);
  const start = offset;
  for (const list of pages) {
    sink.integer(offset, 8);
    sink.integer(list.length * SUB_BUFFER_SIZE, 8);
    offset += list.length * SUB_BUFFER_SIZE;
  }
  sink.bytes(new Uint8Array(start - sink.length));
  for (const list of pages) for (const page of list) sink.bytes(page);
  return sink.join();
}

function pagesOf(ring: RingBuffer): Uint8Array[] {
  const pages: Uint8Array[] = [];
  const last = ring.lastSequence;
  for (let sequence = ring.firstSequence; sequence <= last; sequence++) {
    const page = new Uint8Array(SUB_BUFFER_SIZE);
    if (ring.copyPage(sequence, page)) pages.push(page);
  }
  return pages;
}

function alignPage(offset: number): number {
  return Math.ceil(offset / SUB_BUFFER_SIZE) * SUB_BUFFER_SIZE;
}

function savedCmdlines(array: TraceArray): string {
  const lines = array.cmdlines.snapshot();
  let text = "";
  for (let line = lines.pop(); line !== undefined; line = lines.pop()) text += line;
  return text;
}

/** Text of `trace_clock`: all names, the selected one in brackets. */
export function clockText(array: TraceArray): string {
  return array
    .clockNames()
    .map((name) => (name === array.clock ? `[${name}]` : name))
    .join(" ");
}
