/**
 * How operations are run: at once on a disk that answers at once; through the loader on one whose bytes come from elsewhere,
 * where an operation that misses something is run again when that is there (`LazyDisk` of blockdev-disk/promises).
 *
 * Long operations go in pieces, between which others and the host's events have their turn.
 */

/** What makes a disk's missing bytes come. */
export interface Loader {
  /** Runs `task` again and again until nothing was missing, and gives what it gave last. */
  run<T>(task: () => T, options?: { readonly signal?: AbortSignal | undefined }): Promise<T>;
  /** While `task` runs: something was missing, its result will not count. */
  readonly isIncomplete: boolean;
}

/** Work of one piece, so that a page stays alive. */
const PIECE_BYTES = 4 << 20;
const PIECE_ENTRIES = 256;

export class Runner {
  readonly loader: Loader | undefined;

  constructor(loader: Loader | undefined) {
    this.loader = loader;
  }

  /** Runs one synchronous operation. */
  async run<T>(task: () => T, signal?: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal);
    return this.loader === undefined ? task() : await this.loader.run(task, { signal });
  }
}

/** What a long operation has done so far. */
export interface Progress {
  readonly entries: number;
  readonly bytes: number;
}

export interface LongOptions {
  /** Stops between two pieces of work; what was done stays. The rejection is the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after every file, and every few MiB within one. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Counts the work of a long operation, tells about it, and pauses now and then. */
export class Meter {
  readonly signal: AbortSignal | undefined;
  readonly #tell: ((progress: Progress) => void) | undefined;
  #entries = 0;
  #bytes = 0;
  #since = 0; // work since the last pause, 1 = a piece

  constructor(options: LongOptions) {
    this.signal = options.signal;
    this.#tell = options.onProgress;
  }

  async did(entries: number, bytes: number): Promise<void> {
    this.#entries += entries;
    this.#bytes += bytes;
    this.#tell?.({ entries: this.#entries, bytes: this.#bytes });
    this.#since += entries / PIECE_ENTRIES + bytes / PIECE_BYTES;
    if (this.#since >= 1) {
      this.#since = 0;
      await pause();
    }
    throwIfAborted(this.signal);
  }
}

/** Lets the host's events have their turn. */
function pause(): Promise<void> {
  const { setTimeout: later } = globalThis as unknown as { setTimeout: (run: () => void, ms: number) => void };
  return new Promise((resolve) => later(resolve, 0));
}

export function throwIfAborted(signal: AbortSignal | null | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}
