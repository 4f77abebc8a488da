/**
 * Test instruments: a device that records every write and flush, so that a crash at any moment can be reconstructed,
 * and one that fails on purpose.
 */
import type { BlockDevice } from "./block-device.ts";
import { EIO } from "./errno.ts";

/** One recorded event; `flush` separates writes that may be reordered among each other from those that may not. */
export type RecordedEvent =
  | { readonly kind: "write"; readonly blockId: number; readonly data: Uint8Array }
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

  /** Applies the first `count` events to `target`: the disk as it was when the power went off after them. 0 or -errno. */
  replay(target: BlockDevice, count: number = this.events.length): number {
    for (let i = 0; i < count; i++) {
      const event = this.events[i];
      if (event.kind !== "write") continue;
      const error = target.writeBlock(event.blockId, event.data);
      if (error < 0) return error;
    }
    return 0;
  }
}

/** Which operation is about to run; `blockId` is 0 for a flush. */
export type FaultCheck = (operation: "read" | "write" | "flush", blockId: number) => boolean;

/** Answers -EIO to every operation for which `shouldFail` says so. */
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
    return this.#shouldFail("read", blockId) ? -EIO : this.#inner.readBlock(blockId, buf);
  }

  writeBlock(blockId: number, buf: Uint8Array): number {
    return this.#shouldFail("write", blockId) ? -EIO : this.#inner.writeBlock(blockId, buf);
  }

  flush(): number {
    return this.#shouldFail("flush", 0) ? -EIO : this.#inner.flush();
  }
}
