/**
 * Descriptors of a guest program that end in the host: captured output, supplied input. They look like pipes to the guest.
 */
import { POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, O_RDONLY, O_WRONLY, EAGAIN, S_IFIFO } from "linux-abi";
import { type IoBuffer, OpenFile, type Task } from "starry-kernel";

const CHUNK_BYTES = 65536;

/** What the guest writes goes to a function of the host. */
export class HostOutput extends OpenFile {
  readonly #sink: (bytes: Uint8Array<ArrayBuffer>) => void;

  /** Each call of `sink` gets an array of its own. */
  constructor(sink: (bytes: Uint8Array<ArrayBuffer>) => void) {
    super(O_WRONLY);
    this.#sink = sink;
  }

  override get anonymousName(): string {
    return "pipe:[0]";
  }

  override get anonymousMode(): number {
    return S_IFIFO | 0o600;
  }

  /** /dev/stdout, /dev/stderr. */
  override reopened(): OpenFile {
    return new HostOutput(this.#sink);
  }

  override write(_task: Task, buffer: IoBuffer, _offset: number): number {
    let done = 0;
    while (buffer.remaining > 0) {
      const bytes = new Uint8Array(Math.min(buffer.remaining, CHUNK_BYTES));
      const taken = buffer.take(bytes, 0, bytes.length);
      if (taken > 0) this.#sink(taken === bytes.length ? bytes : bytes.slice(0, taken));
      done += taken;
      if (taken < bytes.length) break;
    }
    return buffer.result(done);
  }

  override poll(_task: Task): number {
    return POLLOUT | POLLWRNORM;
  }
}

/** Bytes that the host supplies as they come, then an end. Call the machine's `wake` after `push` and `end`. */
export class HostInput extends OpenFile {
  /** The file that holds the bytes: this one, or the one that was opened again. */
  readonly #source: HostInput;
  readonly #chunks: Uint8Array[] = [];
  #at = 0;
  #ended = false;

  constructor(source?: HostInput) {
    super(O_RDONLY, source?.pollSet);
    this.#source = source === undefined ? this : source.#source;
  }

  override get anonymousName(): string {
    return "pipe:[0]";
  }

  override get anonymousMode(): number {
    return S_IFIFO | 0o600;
  }

  /** /dev/stdin: takes from the same bytes. */
  override reopened(): OpenFile {
    return new HostInput(this);
  }

  /** Adds bytes; the array is kept. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#ended) return;
    this.#chunks.push(bytes);
    this.pollSet.wake(POLLIN | POLLRDNORM);
  }

  /** No more will come: readers see the end of file after what is there. */
  end(): void {
    this.#ended = true;
    this.pollSet.wake(POLLIN | POLLHUP);
  }

  override read(_task: Task, buffer: IoBuffer, _offset: number): number {
    return this.#source.#take(buffer);
  }

  #take(buffer: IoBuffer): number {
    let done = 0;
    while (buffer.remaining > 0 && this.#chunks.length > 0) {
      const chunk = this.#chunks[0];
      const put = buffer.put(chunk, this.#at, Math.min(buffer.remaining, chunk.length - this.#at));
      done += put;
      this.#at += put;
      if (this.#at === chunk.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
      if (buffer.faulted) break;
    }
    if (done === 0 && !buffer.faulted && buffer.remaining > 0 && !this.#ended) return -EAGAIN;
    return buffer.result(done);
  }

  override poll(_task: Task): number {
    if (this.#source.#chunks.length > 0) return POLLIN | POLLRDNORM;
    return this.#source.#ended ? POLLHUP : 0;
  }
}
