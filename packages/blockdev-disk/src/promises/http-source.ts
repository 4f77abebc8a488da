/**
 * A file on a web server, read by ranges (RFC 9110 §14).
 *
 * Needs nothing but `fetch`; only headers that need no CORS preflight are sent. Requests that fail for a passing reason are repeated after
 * a pause that doubles; a file that changes while it is read is noticed by its ETag or Last-Modified. Behind another
 * origin the server must allow it and expose Content-Range (Access-Control-Expose-Headers).
 */
import { type AbortSignalLike, type ByteSource, type ReadOptions, throwIfAborted } from "./byte-source.ts";

/** What is used of a Response. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  arrayBuffer(): Promise<ArrayBuffer>;
}
export type Fetch = (
  url: string,
  init: { headers: Record<string, string>; signal?: unknown; cache?: "no-store" },
) => Promise<HttpResponse>;

export interface HttpSourceOptions {
  /** Default: the platform's. */
  readonly fetch?: Fetch;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often a request is repeated. Default 4. */
  readonly retries?: number;
  /** Pause before the first repetition, in milliseconds. Default 250. */
  readonly retryDelayMs?: number;
  /** Waits. Default: the platform's setTimeout. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
  readonly signal?: AbortSignalLike;
}

/** Why a remote file cannot be read. */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  /**
   * "status": the server says no; "no-ranges": it sends whole files only, or hides Content-Range; "changed": the file is another one than
   * when it was opened; "network": no answer; "short": fewer bytes than announced.
   */
  readonly kind: "status" | "no-ranges" | "changed" | "network" | "short";
  readonly url: string;
  /** Of the last answer; 0 = none. */
  readonly status: number;

  constructor(kind: HttpError["kind"], url: string, message: string, status: number = 0, cause?: unknown) {
    super(`${url}: ${message}`, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.url = url;
    this.status = status;
  }
}

const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Opens a remote file: one request for its first byte tells its size and whether the server knows ranges. */
export async function openHttp(url: string, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const source = new HttpSource(url, options);
  await source.open();
  return source;
}

class HttpSource implements ByteSource {
  size = 0;
  readonly #url: string;
  readonly #options: HttpSourceOptions;
  readonly #fetch: Fetch;
  #version = "";

  constructor(url: string, options: HttpSourceOptions) {
    const platform = globalThis as unknown as { fetch: Fetch };
    this.#url = url;
    this.#options = options;
    this.#fetch = options.fetch ?? ((to, init) => platform.fetch(to, init));
  }

  async open(): Promise<void> {
    const response = await this.#request("bytes=0-0", this.#options.signal, (response) => this.#checkFirst(response));
    await response.arrayBuffer();
  }

  /** Takes size and version from the first answer. */
  #checkFirst(response: HttpResponse): void {
    const range = response.headers.get("content-range");
    if (response.status === 416 && /^bytes \*\/0$/.test(range ?? ""))
      throw this.#error("status", "the file is empty", 416);
    const size = Number(/^bytes 0-0\/(\d+)$/.exec(range ?? "")?.[1] ?? Number.NaN);
    if (response.status === 200) throw this.#error("no-ranges", "the server answers ranges with the whole file", 200);
    if (!Number.isSafeInteger(size))
      throw this.#error(
        "no-ranges",
        `no size in Content-Range "${range}" (from another origin it must be exposed)`,
        206,
      );
    this.size = size;
    this.#version = versionOf(response);
  }

  async read(position: number, byteLength: number, options: ReadOptions = {}): Promise<Uint8Array> {
    if (byteLength === 0) return new Uint8Array(0);
    const last = position + byteLength - 1;
    for (let attempt = 0; ; attempt++) {
      const response = await this.#request(`bytes=${position}-${last}`, options.signal, (r) =>
        this.#check(r, position, last),
      );
      let problem: unknown;
      try {
        const bytes = new Uint8Array(await response.arrayBuffer());
        if (bytes.length === byteLength) return bytes;
        problem = this.#error("short", `${bytes.length} bytes came instead of ${byteLength}`, response.status);
      } catch (reason) {
        throwIfAborted(options.signal);
        problem = this.#error("network", "the connection ended early", response.status, reason);
      }
      if (attempt >= (this.#options.retries ?? 4)) throw problem;
      await this.#pause(attempt, null);
    }
  }

  #check(response: HttpResponse, position: number, last: number): void {
    if (response.status === 200) throw this.#error("no-ranges", "the server answers ranges with the whole file", 200);
    if (response.status === 416 || versionOf(response) !== this.#version)
      throw this.#error("changed", "the file has changed since it was opened", response.status);
    const range = response.headers.get("content-range");
    if (range !== null && range !== `bytes ${position}-${last}/${this.size}`)
      throw this.#error(
        "changed",
        `asked for bytes ${position}-${last} of ${this.size}, got "${range}"`,
        response.status,
      );
  }

  /** One request, repeated while the reason of its failure may pass; `check` throws for an answer that is no good. */
  async #request(
    range: string,
    signal: AbortSignalLike | undefined,
    check: (response: HttpResponse) => void,
  ): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      let problem: unknown;
      let retryAfter: string | null = null;
      try {
        const headers = { ...this.#options.headers, range };
        const response = await this.#fetch(this.#url, {
          headers,
          ...(signal === undefined ? {} : { signal }),
          cache: "no-store",
        });
        if ([200, 206, 416].includes(response.status)) {
          check(response);
          return response;
        }
        problem = this.#error("status", `the server answered ${response.status}`, response.status);
        if (!PASSING.has(response.status)) throw problem;
        retryAfter = response.headers.get("retry-after");
      } catch (reason) {
        throwIfAborted(signal);
        if (reason instanceof HttpError) throw reason;
        problem = this.#error("network", "no answer", 0, reason);
      }
      if (attempt >= (this.#options.retries ?? 4)) throw problem;
      await this.#pause(attempt, retryAfter);
    }
  }

  /** Twice as long each time; as long as the server says, up to ten seconds. */
  #pause(attempt: number, retryAfter: string | null): Promise<void> {
    const own = (this.#options.retryDelayMs ?? 250) * 2 ** attempt;
    const asked = Number(retryAfter ?? 0) * 1000;
    const milliseconds = Math.min(10_000, Math.max(own, Number.isFinite(asked) ? asked : 0));
    if (this.#options.sleep !== undefined) return this.#options.sleep(milliseconds);
    const { setTimeout: wait } = globalThis as unknown as { setTimeout: (run: () => void, ms: number) => void };
    return new Promise((resolve) => wait(resolve, milliseconds));
  }

  #error(kind: HttpError["kind"], message: string, status: number, cause?: unknown): HttpError {
    return new HttpError(kind, this.#url, message, status, cause);
  }
}

function versionOf(response: HttpResponse): string {
  return response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";
}
