/** Bytes that come asynchronously: a file on a web server, a Blob, anything with ranges. */

export interface ReadOptions {
  readonly signal?: AbortSignalLike | undefined;
}

export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /** Exactly `byteLength` bytes from `position` on, which lie within `size`; rejects when they cannot be had. */
  read(position: number, byteLength: number, options?: ReadOptions): Promise<Uint8Array>;
}

/** What `blobSource` uses of the platform's AbortSignal and Blob. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
}
export interface BlobLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** @throws the signal's reason when it is aborted. */
export function throwIfAborted(signal: AbortSignalLike | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

/** A Blob or File, as a page gets it from a file input, drag and drop, or OPFS's `getFile`. */
export function blobSource(blob: BlobLike): ByteSource {
  return {
    size: blob.size,
    read: async (position, byteLength) =>
      new Uint8Array(await blob.slice(position, position + byteLength).arrayBuffer()),
  };
}
