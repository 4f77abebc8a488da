/**
 * The consuming readers: `trace_pipe` (lines) and `per_cpu/cpuN/trace_pipe_raw` (whole sub-buffers).
 *
 * An empty pipe answers -EAGAIN, and the dispatcher parks the task on the file's wake list; the notify worker wakes it after
 * records were queued. There is one reader per CPU: a second open gets -EBUSY.
 */
import { EAGAIN, EINVAL, POLLIN, POLLRDNORM } from "linux-abi";
import { commonTracePipeRead, SUB_BUFFER_SIZE, TextDrain, type TracePipeRecord } from "ktracepoint";
import type { SpecialFile } from "vfs-inode";
import { SpecialFileBase, type SpecialFileOps } from "vfs-inode/pseudofs";
import { ALL_CPUS, type TraceInstance } from "../../trace/tracing.ts";

abstract class PipeReader extends SpecialFileBase {
  protected readonly instance: TraceInstance;
  protected readonly cpu: number;

  constructor(instance: TraceInstance, cpu: number) {
    super();
    this.instance = instance;
    this.cpu = cpu;
    instance.openFiles++;
  }

  override get stream(): boolean {
    return true;
  }

  /** Something can be read now. */
  protected abstract ready(): boolean;

  write(_offset: number, _buf: Uint8Array): number {
    return -EINVAL;
  }

  override poll(): number {
    return this.ready() ? POLLIN | POLLRDNORM : 0;
  }

  onWake(wake: () => void): () => void {
    return this.instance.listen(wake);
  }

  override release(): void {
    this.instance.releaseReader(this.cpu);
    this.instance.openFiles--;
  }
}

class TracePipeReader extends PipeReader {
  readonly #drain = new TextDrain();
  #hasRead = false;
  readonly #source: { peek(): TracePipeRecord | undefined; pop(): TracePipeRecord | undefined };
  readonly #format: (record: TracePipeRecord) => string;

  constructor(instance: TraceInstance, cpu: number) {
    super(instance, cpu);
    const { array } = instance;
    const { pipe } = array;
    this.#source = cpu === ALL_CPUS ? pipe : { peek: () => pipe.peekCpu(cpu), pop: () => pipe.popCpu(cpu) };
    this.#format = (record) => array.formatLine(record);
  }

  protected ready(): boolean {
    return this.#drain.pendingLength > 0 || this.#source.peek() !== undefined;
  }

  read(_offset: number, buf: Uint8Array): number {
    if (buf.length === 0) return 0;
    const n = commonTracePipeRead(this.#source, this.#drain, buf, this.#format);
    if (n > 0) {
      this.#hasRead = true;
      return n;
    }
    // Linux: with tracing off, what has been read to its end has ended.
    return this.#hasRead && !this.instance.array.tracingOn ? 0 : -EAGAIN;
  }
}

/** `trace_pipe`, of all CPUs or of one. */
export class TracePipeFile implements SpecialFileOps {
  readonly #instance: TraceInstance;
  readonly #cpu: number;

  constructor(instance: TraceInstance, cpu: number = ALL_CPUS) {
    this.#instance = instance;
    this.#cpu = cpu;
  }

  open(_flags: number): SpecialFile | number {
    const error = this.#instance.claimReader(this.#cpu);
    return error !== 0 ? error : new TracePipeReader(this.#instance, this.#cpu);
  }
}

class TracePipeRawReader extends PipeReader {
  // The sub-buffer being handed out: a reader may take it in several reads.
  readonly #page = new Uint8Array(SUB_BUFFER_SIZE);
  #at = SUB_BUFFER_SIZE;

  protected ready(): boolean {
    return this.#at < SUB_BUFFER_SIZE || !this.instance.array.pipe.ring(this.cpu).isEmpty;
  }

  read(_offset: number, buf: Uint8Array): number {
    if (buf.length === 0) return 0;
    if (this.#at >= SUB_BUFFER_SIZE) {
      if (this.instance.array.pipe.readPage(this.cpu, this.#page) === 0) return -EAGAIN;
      this.#at = 0;
    }
    const n = Math.min(buf.length, SUB_BUFFER_SIZE - this.#at);
    buf.set(this.#page.subarray(this.#at, this.#at + n));
    this.#at += n;
    return n;
  }

  // Raw readers do not exclude others: trace-cmd opens them beside trace_pipe.
  override release(): void {
    this.instance.openFiles--;
  }
}

/** `per_cpu/cpuN/trace_pipe_raw` */
export class TracePipeRawFile implements SpecialFileOps {
  readonly #instance: TraceInstance;
  readonly #cpu: number;

  constructor(instance: TraceInstance, cpu: number) {
    this.#instance = instance;
    this.#cpu = cpu;
  }

  open(_flags: number): SpecialFile {
    return new TracePipeRawReader(this.#instance, this.#cpu);
  }
}
