/**
 * Memory that several address spaces share without a file: MAP_SHARED | MAP_ANONYMOUS, System V segments.
 */
import { EFAULT, ENOMEM } from "linux-abi";
import type { MemoryManager } from "./memory-manager.ts";
import type { PageSource } from "./page-source.ts";

export class SharedMemory implements PageSource {
  readonly ino: number;
  readonly deviceNumber = 1; // Linux shows these as files of its internal tmpfs, "00:01"
  readonly pageCount: number;
  readonly #manager: MemoryManager;
  readonly #pages: Map<number, number> = new Map();
  #users = 0;

  constructor(manager: MemoryManager, ino: number, pageCount: number) {
    this.#manager = manager;
    this.ino = ino;
    this.pageCount = pageCount;
  }

  /** Pages in memory. */
  get residentPages(): number {
    return this.#pages.size;
  }

  page(index: number, _forWriting: boolean): number {
    let frame = this.#pages.get(index);
    if (frame === undefined) {
      if (index >= this.pageCount) return -EFAULT;
      frame = this.#manager.allocFrame(true);
      if (frame < 0) return -ENOMEM;
      this.#pages.set(index, frame);
    }
    this.#manager.frames.get(frame);
    return frame;
  }

  /** MADV_REMOVE: pages [first, end) read as zero again. The caller unmaps them. */
  discard(first: number, end: number): void {
    for (const [index, frame] of this.#pages) {
      if (index < first || index >= end) continue;
      this.#pages.delete(index);
      this.#manager.frames.put(frame);
    }
  }

  sync(): number {
    return 0;
  }

  retain(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users > 0) return;
    for (const frame of this.#pages.values()) this.#manager.frames.put(frame);
    this.#pages.clear();
  }
}
