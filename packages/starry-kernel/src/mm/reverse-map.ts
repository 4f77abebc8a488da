/**
 * From a page source to all its mappings: how truncate removes pages from programs and how write-back learns about the
 * next store to a shared page.
 */
import type { PageSource } from "./page-source.ts";
import { PAGE_SIZE } from "./frame-allocator.ts";
import { PTE_ANON, PTE_V, PTE_W } from "./page-table.ts";
import type { Vma } from "./vma.ts";

export class ReverseMap {
  readonly #mappings: Map<PageSource, Set<Vma>> = new Map();

  add(source: PageSource, vma: Vma): void {
    const set = this.#mappings.get(source);
    if (set === undefined) this.#mappings.set(source, new Set([vma]));
    else set.add(vma);
  }

  remove(source: PageSource, vma: Vma): void {
    const set = this.#mappings.get(source);
    if (set === undefined) return;
    set.delete(vma);
    if (set.size === 0) this.#mappings.delete(source);
  }

  /** Somebody maps `source`. */
  isMapped(source: PageSource): boolean {
    return this.#mappings.has(source);
  }

  /** Some mapping of `source` may store into it. */
  isMappedShared(source: PageSource): boolean {
    for (const vma of this.#mappings.get(source) ?? []) if (vma.shared) return true;
    return false;
  }

  /**
   * Pages [first, end) of `source` leave it: programs that touch them fault again.
   * `privateCopies`: also remove copies that programs have made (truncate does, hole punching does not).
   */
  unmap(source: PageSource, first: number, end: number, privateCopies: boolean): void {
    for (const vma of this.#mappings.get(source) ?? []) {
      const from = Math.max(first, vma.pageOffset);
      const to = Math.min(end, vma.pageOffset + vma.pageCount);
      if (from >= to) continue;
      const shift = vma.start / PAGE_SIZE - vma.pageOffset;
      vma.space.zap(from + shift, to + shift, privateCopies);
    }
  }

  /** Every mapping of page `index` becomes read-only, so that the next store asks the source again. */
  writeProtect(source: PageSource, index: number): void {
    for (const vma of this.#mappings.get(source) ?? []) {
      if (!vma.shared || index < vma.pageOffset || index >= vma.pageOffset + vma.pageCount) continue;
      const vpn = vma.start / PAGE_SIZE - vma.pageOffset + index;
      const space = vma.space;
      const slot = space.table.find(vpn);
      if (slot < 0) continue;
      const pte = space.table.get(slot);
      if ((pte & PTE_V) !== 0 && (pte & (PTE_W | PTE_ANON)) === PTE_W) space.setPte(vpn, slot, pte & ~PTE_W);
    }
  }
}
