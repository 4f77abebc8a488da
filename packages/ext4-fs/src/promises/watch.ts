/**
 * Watching for changes, as Node's fs.watch in the promises module: those that are made through the same facade.
 * A kernel that writes to the volume beside it is not seen.
 */
import { normalizePath } from "../path-inode.ts";

export interface WatchEvent {
  /** "rename": a name came or went; "change": content or attributes changed. */
  readonly eventType: "rename" | "change";
  /** Relative to what is watched; a watched file's own name. */
  readonly filename: string;
}

export interface WatchOptions {
  /** Also what is further below. Default false. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
}

type Listener = (eventType: WatchEvent["eventType"], path: string) => void;

/** Tells listeners about changes. */
export class Changes {
  readonly #listeners = new Set<Listener>();

  tell(eventType: WatchEvent["eventType"], path: string): void {
    if (this.#listeners.size === 0) return;
    const full = normalizePath(path);
    for (const listener of this.#listeners) listener(eventType, full);
  }

  /** The changes at or below `path` from now on; ends when the iteration is left, or rejects with the signal's reason. */
  watch(path: string, options: WatchOptions): AsyncIterableIterator<WatchEvent> {
    const root = normalizePath(path);
    const queue: WatchEvent[] = [];
    let wake: (() => void) | undefined;
    let ended = false;
    const listener: Listener = (eventType, full) => {
      const filename = relative(root, full, options.recursive === true);
      if (filename === undefined) return;
      queue.push({ eventType, filename });
      wake?.();
    };
    const stop = (): void => {
      ended = true;
      this.#listeners.delete(listener);
      options.signal?.removeEventListener("abort", onAbort);
      wake?.();
    };
    const onAbort = (): void => stop();
    this.#listeners.add(listener);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    return {
      async next() {
        while (queue.length === 0 && !ended && options.signal?.aborted !== true)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        if (options.signal?.aborted === true) {
          stop();
          throw options.signal.reason;
        }
        const value = queue.shift();
        return value === undefined ? { done: true, value: undefined } : { done: false, value };
      },
      async return() {
        stop();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

/** `path` as seen from `root`; undefined when it is not to be seen from there. */
function relative(root: string, path: string, recursive: boolean): string | undefined {
  if (path === root) return path.slice(path.lastIndexOf("/") + 1);
  const prefix = root === "/" ? "/" : `${root}/`;
  if (!path.startsWith(prefix)) return undefined;
  const rest = path.slice(prefix.length);
  return recursive || !rest.includes("/") ? rest : undefined;
}
