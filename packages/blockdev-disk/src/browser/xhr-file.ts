/**
 * A file on a web server for synchronous code in a browser's Worker, through synchronous XMLHttpRequests, which only Workers can
 * use for bytes. Each read is one range request; put a `ReadCacheDisk` over it:
 *
 *   const disk = new ReadCacheDisk(new XhrFile("disk.img"));
 */
import type { ByteFile } from "../byte-file.ts";
import { EIO, EROFS } from "../errno.ts";

/** What is used of the platform's XMLHttpRequest. */
export interface SyncRequest {
  responseType: string;
  readonly status: number;
  readonly response: unknown;
  open(method: string, url: string, isAsync: boolean): void;
  setRequestHeader(name: string, value: string): void;
  getResponseHeader(name: string): string | null;
  send(): void;
}

export interface XhrFileOptions {
  /** How often a request is repeated, without a pause. Default 2. */
  readonly retries?: number;
  /** Default: the platform's XMLHttpRequest. */
  readonly newRequest?: () => SyncRequest;
}

export class XhrFile implements ByteFile {
  readonly size: number;
  readonly readOnly: boolean = true;
  readonly #url: string;
  readonly #retries: number;
  readonly #newRequest: () => SyncRequest;

  /** @throws Error when the server does not answer or knows no ranges. */
  constructor(url: string, options: XhrFileOptions = {}) {
    const platform = globalThis as unknown as { XMLHttpRequest: new () => SyncRequest };
    this.#url = url;
    this.#retries = options.retries ?? 2;
    this.#newRequest = options.newRequest ?? (() => new platform.XMLHttpRequest());
    const first = this.#get(0, 0);
    if (first === undefined || first.status !== 206)
      throw new Error(
        `${url}: ${first === undefined ? "no answer" : `the server answered ${first.status} to a range`}`,
      );
    const size = Number(/\/(\d+)$/.exec(first.getResponseHeader("content-range") ?? "")?.[1] ?? Number.NaN);
    if (!Number.isSafeInteger(size))
      throw new Error(`${url}: no size in Content-Range (another origin must expose it)`);
    this.size = size;
  }

  readAt(position: number, buf: Uint8Array): number {
    const count = Math.max(0, Math.min(buf.length, this.size - position));
    if (count === 0) return 0;
    const answer = this.#get(position, position + count - 1);
    if (answer === undefined || answer.status !== 206) return -EIO;
    const bytes = new Uint8Array(answer.response as ArrayBuffer);
    if (bytes.length !== count) return -EIO;
    buf.set(bytes);
    return count;
  }

  writeAt(_position: number, _buf: Uint8Array): number {
    return -EROFS;
  }

  flush(): number {
    return 0;
  }

  /** The answer; undefined when there is none. Server errors are asked again. */
  #get(first: number, last: number): SyncRequest | undefined {
    let answer: SyncRequest | undefined;
    for (let attempt = 0; attempt <= this.#retries; attempt++) {
      const request = this.#newRequest();
      try {
        request.open("GET", this.#url, false);
        request.responseType = "arraybuffer";
        request.setRequestHeader("range", `bytes=${first}-${last}`);
        request.send();
        answer = request;
        if (request.status < 500 && request.status !== 429) break;
      } catch {
        answer = undefined;
      }
    }
    return answer;
  }
}
