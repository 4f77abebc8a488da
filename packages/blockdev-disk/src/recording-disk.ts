/**
 * Test instruments: a device that records every write and flush, so that a crash at any moment can be reconstructed,
 * and one that fails on purpose.
 */
import type { BlockDevice } from "./block-device.ts";
import { EIO } from "./errno.ts";

/** One recorded event; `flush` separates writes that may be reordered among each other from those that may not. */
export type RecordedEvent =
  | { readonly kind: "write"; readonly blockId: number; readonly data: Uint8Array }
  | { readonly kind: "discard"; readonly blockId: number; readonly count: number }
  | { readonly kind: "flush" };

/** Passes everything on and keeps a copy of each write. */
export class RecordingDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly events: RecordedEvent[] = [];
  readonly #inner: BlockDevice;

  constructor(inner: BlockDevice) {
    this.#inner = inner;
    this.size = inner.size;
    this.blockSize = inner.blockSize;
    this.readOnly = inner.readOnly;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    return this.#inner.readBlock(blockId, buf);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const result = this.#inner.writeBlock(blockId, buf);
    if (result === 0) this.events.push({ kind: "write", blockId, data: buf.slice() });
    return result;
  }

  flush(): number {
    const result = this.#inner.flush();
    if (result === 0) this.events.push({ kind: "flush" });
    return result;
  }

  discard(blockId: number, count: number): number {
    const result = this.#inner.discard?.(blockId, count) ?? 0;
    if (result === 0 && count > 0) this.events.push({ kind: "discard", blockId, count });
    return result;
  }

  /** Applies the first `count` events to `target`: the disk as it was when the power went off after them. 0 or -errno. */
  replay(target: BlockDevice, count: number = this.events.length): number {
    for (let i = 0; i < count; i++) {
      const event = this.events[i];
      if (event.kind === "flush") continue;
      const error =
        event.kind === "write"
          ? target.writeBlock(event.blockId, event.data)
          : (target.discard?.(event.blockId, event.count) ?? 0);
      if (error < 0) return error;
    }
    return 0;
  }
}

/**
 * What is to happen to an operation: false = nothing, true = -EIO, a positive number = that errno. For a write,
 * `{ torn: blocks }` writes only so many blocks of it and then answers -EIO, as a disk that loses power does. `blockId` is 0 for a
 * flush, `count` is in blocks.
 */
export type FaultCheck = (
  operation: "read" | "write" | "flush" | "discard",
  blockId: number,
  count: number,
) => boolean | number | { readonly torn: number };

/** Fails where `shouldFail` says so, and passes everything else on. */
export class FaultyDisk implements BlockDevice {
  readonly size: number;
  readonly blockSize: number;
  readonly readOnly: boolean;
  readonly #inner: BlockDevice;
  readonly #shouldFail: FaultCheck;

  constructor(inner: BlockDevice, shouldFail: FaultCheck) {
    this.#inner = inner;
    this.#shouldFail = shouldFail;
    this.size = inner.size;
    this.blockSize = inner.blockSize;
    this.readOnly = inner.readOnly;
  }

  readBlock(blockId: number, buf: Uint8Array): number {
    const error = errnoOf(this.#shouldFail("read", blockId, buf.length / this.blockSize));
    return error < 0 ? error : this.#inner.readBlock(blockId, buf);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    const fault = this.#shouldFail("write", blockId, buf.length / this.blockSize);
    const error = errnoOf(fault);
    if (error === 0) return this.#inner.writeBlock(blockId, buf);
    const torn = typeof fault === "object" ? Math.min(buf.length, fault.torn * this.blockSize) : 0;
    if (torn > 0) this.#inner.writeBlock(blockId, buf.subarray(0, torn));
    return error;
  }

  flush(): number {
    const error = errnoOf(this.#shouldFail("flush", 0, 0));
    return error < 0 ? error : this.#inner.flush();
  }

  discard(blockId: number, count: number): number {
    const error = errnoOf(this.#shouldFail("discard", blockId, count));
    return error < 0 ? error : (this.#inner.discard?.(blockId, count) ?? 0);
  }
}

function errnoOf(fault: boolean | number | { readonly torn: number }): number {
  if (typeof fault === "number") return -fault;
  return fault === false ? 0 : -EIO;
}
