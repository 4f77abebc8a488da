/**
 * Sv39 page tables in guest RAM: the ones the hart walks. Priv. spec §4.4 (20240411: "Sv39").
 *
 * User addresses are below 2^38, so virtual page numbers fit an int32 (26 bits). RAM lies below 16 TiB / 1024, so a page
 * table entry's upper word is always 0 and all work happens on the lower one, through a word view of RAM.
 *
 *   bits 31..10 physical page number · 9..8 software (8: private copy) · D A G U X W R V
 *
 * A and D are preset: the kernel learns about first accesses and stores from page faults alone.
 */
import type { FrameAllocator } from "./frame-allocator.ts";

export const PTE_V: number = 1 << 0;
export const PTE_R: number = 1 << 1;
export const PTE_W: number = 1 << 2;
export const PTE_X: number = 1 << 3;
export const PTE_U: number = 1 << 4;
export const PTE_A: number = 1 << 6;
export const PTE_D: number = 1 << 7;
/** Software: the frame is anonymous, not shared with a page source. */
export const PTE_ANON: number = 1 << 8;
/** Bits every user page has. */
export const PTE_USER: number = PTE_V | PTE_U | PTE_A | PTE_D;

/** Pages that one last-level table maps. */
export const TABLE_PAGES = 512;

/** First page beyond the user half. */
export const USER_PAGES: number = 2 ** 26;

export function pteFrame(pte: number): number {
  return pte >>> 10;
}

export class PageTable {
  readonly root: number;
  readonly #frames: FrameAllocator;
  readonly #words: Int32Array;
  /** Frames used for tables, the root included. */
  tableCount = 1;

  private constructor(frames: FrameAllocator, root: number) {
    this.#frames = frames;
    this.#words = frames.words;
    this.root = root;
  }

  /** undefined when memory is exhausted. */
  static create(frames: FrameAllocator): PageTable | undefined {
    const root = frames.alloc();
    return root < 0 ? undefined : new PageTable(frames, root);
  }

  /** Word index of the entry of page `vpn`, or −1 if its table does not exist. */
  find(vpn: number): number {
    const words = this.#words;
    const upper = words[this.#frames.wordIndex(this.root) + ((vpn >>> 18) << 1)] as number;
    if (upper === 0) return -1;
    const middle = words[this.#frames.wordIndex(upper >>> 10) + (((vpn >>> 9) & 511) << 1)] as number;
    if (middle === 0) return -1;
    return this.#frames.wordIndex(middle >>> 10) + ((vpn & 511) << 1);
  }

  /** As `find`, making the tables. −1 when memory is exhausted. */
  findOrCreate(vpn: number): number {
    const found = this.find(vpn);
    if (found >= 0) return found;
    const middleTable = this.#child(this.#frames.wordIndex(this.root) + ((vpn >>> 18) << 1));
    if (middleTable < 0) return -1;
    const lastTable = this.#child(this.#frames.wordIndex(middleTable) + (((vpn >>> 9) & 511) << 1));
    if (lastTable < 0) return -1;
    return this.#frames.wordIndex(lastTable) + ((vpn & 511) << 1);
  }

  #child(slot: number): number {
    const entry = this.#words[slot] as number;
    if (entry !== 0) return entry >>> 10;
    const frame = this.#frames.alloc();
    if (frame < 0) return -1;
    this.tableCount++;
    this.#words[slot] = (frame << 10) | PTE_V;
    return frame;
  }

  get(slot: number): number {
    return this.#words[slot] as number;
  }

  set(slot: number, pte: number): void {
    this.#words[slot] = pte;
  }

  /** Calls `visit(vpn, slot)` for every present page of [from, to), in order. */
  forEach(from: number, to: number, visit: (vpn: number, slot: number) => void): void {
    const words = this.#words;
    let vpn = from;
    while (vpn < to) {
      const slot = this.find(vpn);
      const tableEnd = Math.min(to, (vpn | 511) + 1);
      if (slot < 0) {
        vpn = this.#skipAbsent(vpn, to);
        continue;
      }
      let at = slot;
      for (; vpn < tableEnd; vpn++, at += 2) if (words[at] !== 0) visit(vpn, at);
    }
  }

  /** The next page whose table may exist. */
  #skipAbsent(vpn: number, to: number): number {
    const upper = this.#words[this.#frames.wordIndex(this.root) + ((vpn >>> 18) << 1)] as number;
    const next = upper === 0 ? (vpn | 0x3ffff) + 1 : (vpn | 511) + 1;
    return Math.min(next, to);
  }

  /** Frees the tables. All pages must have been unmapped. */
  release(): void {
    const words = this.#words;
    const rootAt = this.#frames.wordIndex(this.root);
    for (let i = 0; i < 1024; i += 2) {
      const upper = words[rootAt + i] as number;
      if (upper === 0) continue;
      const middleAt = this.#frames.wordIndex(upper >>> 10);
      for (let j = 0; j < 1024; j += 2) {
        const middle = words[middleAt + j] as number;
        if (middle !== 0) this.#frames.put(middle >>> 10);
      }
      this.#frames.put(upper >>> 10);
    }
    this.#frames.put(this.root);
    this.tableCount = 0;
  }
}
