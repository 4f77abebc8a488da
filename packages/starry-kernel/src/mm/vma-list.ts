/**
 * The mappings of an address space, sorted by address and not overlapping.
 */
import type { Vma } from "./vma.ts";
import { VM_GROWSDOWN } from "./vma.ts";

export class VmaList {
  readonly all: Vma[] = [];
  // Last one found: most lookups hit it again.
  #last: Vma | null = null;

  /** The mapping that contains `va`. */
  find(va: number): Vma | undefined {
    const last = this.#last;
    if (last !== null && va >= last.start && va < last.end) return last;
    const vma = this.all[this.indexAfter(va)];
    if (vma === undefined || va < vma.start) return undefined;
    this.#last = vma;
    return vma;
  }

  /** Index of the first mapping that ends beyond `va`. */
  indexAfter(va: number): number {
    const all = this.all;
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((all[middle] as Vma).end > va) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Some mapping touches [start, end). */
  overlaps(start: number, end: number): boolean {
    const vma = this.all[this.indexAfter(start)];
    return vma !== undefined && vma.start < end;
  }

  insert(vma: Vma): void {
    this.all.splice(this.indexAfter(vma.start), 0, vma);
  }

  remove(vma: Vma): void {
    this.#last = null;
    this.all.splice(this.all.indexOf(vma), 1);
  }

  clear(): void {
    this.#last = null;
    this.all.length = 0;
  }

  /** Highest free range of `byteLength` bytes within [bottom, top), keeping `guardGap` bytes below growing stacks; its start or −1. */
  findGapBelow(byteLength: number, bottom: number, top: number, guardGap: number): number {
    const all = this.all;
    let gapEnd = top;
    for (let i = this.indexAfter(top - 1); i >= 0; i--) {
      const vma = all[i];
      if (vma === undefined) continue;
      if (vma.start >= gapEnd && vma.start >= top) continue;
      if (vma.end <= gapEnd && gapEnd - vma.end >= byteLength) break;
      const reach = (vma.flags & VM_GROWSDOWN) !== 0 ? vma.start - guardGap : vma.start;
      if (reach < gapEnd) gapEnd = reach;
    }
    const start = gapEnd - byteLength;
    if (start < bottom) return -1;
    return start;
  }
}
