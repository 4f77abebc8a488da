/// <reference types="node" />
/**
 * A file on a web server for synchronous code in Node: a worker thread fetches while the caller waits.
 *
 * Each read is one range request and blocks the thread; put a `ReadCacheDisk` over it. Where promises can be waited for,
 * `LazyDisk` over `openHttp` (./promises) does not block.
 */
import { Worker } from "node:worker_threads";
import type { ByteFile } from "../byte-file.ts";
import { EIO, EROFS } from "../errno.ts";

export interface BlockingHttpOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** How often a request is repeated. Default 4. */
  readonly retries?: number;
  /** Gives up on a request after this many milliseconds, all repetitions together. Default 60,000. */
  readonly timeoutMs?: number;
}

const MAX_READ = 4 << 20;
// Words of the shared control block.
const STATE = 0; // 0 = waiting for the worker, 1 = answered
const RESULT = 1; // bytes, or the HTTP status negated, -1 = no answer, -2 = no ranges, -3 = changed
const SIZE_LOW = 2;
const SIZE_HIGH = 3;
const CONTROL_BYTES = 16;

/** Runs in the worker: plain JavaScript, so that it needs neither a file of its own nor a loader. */
const WORKER = `
const { parentPort, workerData } = require("node:worker_threads");
const { url, headers, retries, shared } = workerData;
const control = new Int32Array(shared, 0, 4);
const data = new Uint8Array(shared, ${CONTROL_BYTES});
let version;
parentPort.on("message", async ([from, length]) => {
  let result = -1;
  for (let attempt = 0; attempt <= retries; attempt++) {
    if (attempt > 0) await new Promise((done) => setTimeout(done, 250 * 2 ** (attempt - 1)));
    try {
      const response = await fetch(url, { headers: { ...headers, range: "bytes=" + from + "-" + (from + length - 1) } });
      if (response.status === 206) {
        const now = response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";
        version ??= now;
        const size = Number(/\\/(\\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? -1);
        const bytes = new Uint8Array(await response.arrayBuffer());
        if (now !== version) result = -3;
        else if (size < 0) result = -2;
        else {
          data.set(bytes.subarray(0, length));
          control[${SIZE_LOW}] = size % 2 ** 32;
          control[${SIZE_HIGH}] = Math.floor(size / 2 ** 32);
          result = bytes.length;
          if (bytes.length < length && from + bytes.length < size) continue;
        }
        break;
      }
      await response.body?.cancel();
      result = response.status === 200 ? -2 : -response.status;
      if (![408, 425, 429, 500, 502, 503, 504].includes(response.status)) break;
    } catch {
      result = -1;
    }
  }
  control[${RESULT}] = result;
  Atomics.store(control, ${STATE}, 1);
  Atomics.notify(control, ${STATE});
});
`;

export class BlockingHttpFile implements ByteFile {
  readonly size: number;
  readonly readOnly: boolean = true;
  readonly #worker: Worker;
  readonly #control: Int32Array;
  readonly #data: Uint8Array;
  readonly #timeoutMs: number;
  #closed = false;

  /** @throws Error when the server does not answer, does not know the file, or knows no ranges. */
  constructor(url: string, options: BlockingHttpOptions = {}) {
    const shared = new SharedArrayBuffer(CONTROL_BYTES + MAX_READ);
    this.#control = new Int32Array(shared, 0, CONTROL_BYTES / 4);
    this.#data = new Uint8Array(shared, CONTROL_BYTES);
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#worker = new Worker(WORKER, {
      eval: true,
      execArgv: [],
      workerData: { url, headers: options.headers ?? {}, retries: options.retries ?? 4, shared },
    });
    this.#worker.unref();
    const result = this.#ask(0, 1);
    if (result < 0) {
      this.close();
      const why =
        result === -1 ? "no answer" : result === -2 ? "the server knows no ranges" : `the server answered ${-result}`;
      throw new Error(`${url}: ${why}`);
    }
    this.size = (this.#control[SIZE_LOW] >>> 0) + this.#control[SIZE_HIGH] * 2 ** 32;
  }

  readAt(position: number, buf: Uint8Array): number {
    const total = Math.max(0, Math.min(buf.length, this.size - position));
    for (let done = 0; done < total; ) {
      const length = Math.min(MAX_READ, total - done);
      const count = this.#ask(position + done, length);
      if (count !== length) return -EIO;
      buf.set(this.#data.subarray(0, count), done);
      done += count;
    }
    return total;
  }

  writeAt(_position: number, _buf: Uint8Array): number {
    return -EROFS;
  }

  flush(): number {
    return 0;
  }

  /** Ends the worker; later reads answer -EIO. */
  close(): void {
    this.#closed = true;
    void this.#worker.terminate();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #ask(from: number, length: number): number {
    if (this.#closed) return -1;
    Atomics.store(this.#control, STATE, 0);
    this.#worker.postMessage([from, length]);
    if (Atomics.wait(this.#control, STATE, 0, this.#timeoutMs) === "timed-out") {
      this.close(); // a late answer must not be taken for the next one's
      return -1;
    }
    return this.#control[RESULT];
  }
}
