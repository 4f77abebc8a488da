/**
 * `trace`: the buffer as text, without consuming it; and `saved_cmdlines`.
 *
 * Each open has its own state. A read at offset 0 takes a snapshot; reads go on through header and records of that snapshot, whatever
 * happens meanwhile. Opening with O_TRUNC empties the buffer (`> trace`), and so does a write, unless the file was opened for
 * appending: `echo >> trace` leaves it alone, as on Linux.
 */
import { O_APPEND } from "linux-abi";
import { encodeUtf8, TextDrain, type TracePipeSnapshot } from "ktracepoint";
import type { SpecialFile } from "vfs-inode";
import { SpecialFileBase, type SpecialFileOps } from "vfs-inode/pseudofs";
import type { TraceInstance } from "../../trace/tracing.ts";
import { truncates } from "./control-object.ts";

/** Text that comes in pieces, read in order or from anywhere by going through it again. */
abstract class TextWalk extends SpecialFileBase {
  readonly #drain = new TextDrain();
  /** Bytes of the text handed out since the start. */
  #position = 0;
  #started = false;

  /** Takes the state that the text is made of. */
  protected abstract begin(): void;
  /** Goes back to the start of the same text. */
  protected abstract rewind(): void;
  /** The next piece, or undefined at the end. Called again only for what has found room. */
  protected abstract next(): string | undefined;

  read(offset: number, buf: Uint8Array): number {
    if (offset === 0 || !this.#started) {
      this.begin();
      this.#restart();
    }
    if (offset < this.#position) {
      this.rewind();
      this.#restart();
    }
    if (offset > this.#position && !this.#skipTo(offset)) return 0;
    const n = this.#fill(buf);
    this.#position += n;
    return n;
  }

  #restart(): void {
    this.#drain.reset();
    this.#position = 0;
    this.#started = true;
  }

  #skipTo(offset: number): boolean {
    const skipped = new Uint8Array(4096);
    while (this.#position < offset) {
      const n = this.#fill(skipped.subarray(0, Math.min(skipped.length, offset - this.#position)));
      if (n === 0) return false;
      this.#position += n;
    }
    return true;
  }

  #fill(buf: Uint8Array): number {
    const copied = { value: this.#drain.drainPending(buf) };
    while (copied.value < buf.length) {
      const piece = this.next();
      if (piece === undefined) break;
      this.#drain.copyRecord(encodeUtf8(piece), buf, copied);
    }
    return copied.value;
  }

  write(_offset: number, _buf: Uint8Array): number {
    return 0;
  }
}

class TraceText extends TextWalk {
  readonly #instance: TraceInstance;
  readonly #cpu: number | undefined;
  readonly #appends: boolean;
  #snapshot: TracePipeSnapshot;
  #headerDone = false;

  constructor(instance: TraceInstance, cpu: number | undefined, appends: boolean) {
    super();
    this.#instance = instance;
    this.#cpu = cpu;
    this.#appends = appends;
    this.#snapshot = instance.array.pipe.view(cpu);
    instance.openFiles++;
  }

  protected begin(): void {
    this.#snapshot = this.#instance.array.pipe.snapshot(this.#cpu);
    this.#headerDone = false;
  }

  protected rewind(): void {
    this.#snapshot.rewind();
    this.#headerDone = false;
  }

  protected next(): string | undefined {
    const { array } = this.#instance;
    if (!this.#headerDone) {
      this.#headerDone = true;
      return array.headerText(this.#snapshot);
    }
    const record = this.#snapshot.pop();
    return record === undefined ? undefined : array.formatLine(record);
  }

  override write(_offset: number, buf: Uint8Array): number {
    if (!this.#appends) clear(this.#instance, this.#cpu);
    return buf.length;
  }

  override release(): void {
    this.#instance.openFiles--;
  }
}

function clear(instance: TraceInstance, cpu: number | undefined): void {
  if (cpu === undefined) instance.array.pipe.clear();
  else instance.array.pipe.clearCpu(cpu);
}

/** `trace`, of all CPUs or of one. */
export class TraceFile implements SpecialFileOps {
  readonly #instance: TraceInstance;
  readonly #cpu: number | undefined;

  constructor(instance: TraceInstance, cpu?: number) {
    this.#instance = instance;
    this.#cpu = cpu;
  }

  open(flags: number): SpecialFile {
    if (truncates(flags)) clear(this.#instance, this.#cpu);
    return new TraceText(this.#instance, this.#cpu, (flags & O_APPEND) !== 0);
  }
}

class CmdLineText extends TextWalk {
  readonly #instance: TraceInstance;
  #lines: readonly string[] = [];
  #at = 0;

  constructor(instance: TraceInstance) {
    super();
    this.#instance = instance;
  }

  protected begin(): void {
    const snapshot = this.#instance.array.cmdlines.snapshot();
    const lines: string[] = [];
    for (let line = snapshot.pop(); line !== undefined; line = snapshot.pop()) lines.push(line);
    this.#lines = lines;
    this.#at = 0;
  }

  protected rewind(): void {
    this.#at = 0;
  }

  protected next(): string | undefined {
    return this.#lines[this.#at++];
  }
}

/** `saved_cmdlines`: "pid comm" lines, most recent first. */
export class TraceCmdLineFile implements SpecialFileOps {
  readonly #instance: TraceInstance;

  constructor(instance: TraceInstance) {
    this.#instance = instance;
  }

  open(_flags: number): SpecialFile {
    return new CmdLineText(this.#instance);
  }
}
