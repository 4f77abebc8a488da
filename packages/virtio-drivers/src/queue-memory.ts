/**
 * The DMA memory of a virtqueue: the areas that driver and device share, and a pool of tables for indirect descriptors.
 *
 * The first region holds what the driver writes (a packed ring is written by both sides), the second what the device writes. A
 * legacy split ring is a single region, with the used ring on the next page border (§2.7.2).
 */
import { isVirtioError, type VirtioError } from "./error.ts";
import { type BufferDirection, type DmaRegion, type Hal, PAGE_SIZE } from "./hal.ts";
import { DESC_ADDR_HI, DESC_ADDR_LO, DESC_SIZE } from "./spec.ts";

const TWO_POW_32 = 0x1_0000_0000;
/** Indirect tables kept, and the descriptors in each. */
const TABLES = 16;
export const TABLE_ENTRIES = 128;
const TABLE_BYTES: number = TABLE_ENTRIES * DESC_SIZE;
const TABLES_PER_PAGE: number = PAGE_SIZE / TABLE_BYTES;

export interface QueueMemoryOptions {
  /** Bytes of the first and of the second area. */
  readonly driverBytes: number;
  readonly deviceBytes: number;
  readonly driverDirection: BufferDirection;
  readonly indirect: boolean;
  readonly isLegacy: boolean;
}

export class QueueMemory {
  readonly driver: DmaRegion;
  readonly device: DmaRegion;
  readonly driverView: DataView;
  readonly deviceView: DataView;
  readonly #hal: Hal;
  readonly #owned: readonly DmaRegion[];
  readonly #tablePages: readonly DmaRegion[];
  readonly #tableViews: readonly DataView[];
  readonly #freeTables: Int16Array;
  #freeTableCount = 0;

  private constructor(
    hal: Hal,
    areas: readonly [DmaRegion, DmaRegion],
    owned: readonly DmaRegion[],
    tablePages: number,
  ) {
    this.#hal = hal;
    [this.driver, this.device] = areas;
    this.driverView = viewOf(this.driver);
    this.deviceView = viewOf(this.device);
    this.#owned = owned;
    this.#tablePages = owned.slice(owned.length - tablePages);
    this.#tableViews = this.#tablePages.map(viewOf);
    this.#freeTables = new Int16Array(tablePages * TABLES_PER_PAGE);
    this.clear();
  }

  static alloc(hal: Hal, options: QueueMemoryOptions): QueueMemory | VirtioError {
    const driverPages = Math.ceil(options.driverBytes / PAGE_SIZE);
    const devicePages = Math.ceil(options.deviceBytes / PAGE_SIZE);
    const tablePages = options.indirect ? TABLES / TABLES_PER_PAGE : 0;
    const wanted: [pages: number, direction: BufferDirection][] = options.isLegacy
      ? [[driverPages + devicePages, "both"]]
      : [
          [driverPages, options.driverDirection],
          [devicePages, "deviceToDriver"],
        ];
    for (let i = 0; i < tablePages; i++) wanted.push([1, "driverToDevice"]);
    const owned: DmaRegion[] = [];
    for (const [pages, direction] of wanted) {
      const region = hal.dmaAlloc(pages, direction);
      if (isVirtioError(region)) {
        freeRegions(hal, owned);
        return region;
      }
      owned.push(region);
    }
    if (!options.isLegacy) return new QueueMemory(hal, [owned[0], owned[1]], owned, tablePages);
    const border = driverPages * PAGE_SIZE;
    const device = { paddr: owned[0].paddr + border, view: owned[0].view.subarray(border) };
    return new QueueMemory(hal, [owned[0], device], owned, tablePages);
  }

  /** Zeroes the areas and takes all tables back. */
  clear(): void {
    this.driver.view.fill(0);
    this.device.view.fill(0);
    this.#freeTableCount = this.#freeTables.length;
    for (let i = 0; i < this.#freeTableCount; i++) this.#freeTables[i] = i;
  }

  get freeTableCount(): number {
    return this.#freeTableCount;
  }

  /** A table out of the pool, which must not be empty. */
  takeTable(): number {
    return this.#freeTables[--this.#freeTableCount];
  }

  giveTable(table: number): void {
    this.#freeTables[this.#freeTableCount++] = table;
  }

  /** The page that holds a table, and where in it. */
  tableView(table: number): DataView {
    return this.#tableViews[Math.floor(table / TABLES_PER_PAGE)];
  }

  tableOffset(table: number): number {
    return (table % TABLES_PER_PAGE) * TABLE_BYTES;
  }

  tablePaddr(table: number): number {
    return this.#tablePages[Math.floor(table / TABLES_PER_PAGE)].paddr + this.tableOffset(table);
  }

  release(): void {
    freeRegions(this.#hal, this.#owned);
  }
}

/** Stores the address of a descriptor at `at`: the same place in both layouts. */
export function writeAddress(view: DataView, at: number, paddr: number): void {
  view.setUint32(at + DESC_ADDR_LO, paddr >>> 0, true);
  view.setUint32(at + DESC_ADDR_HI, Math.floor(paddr / TWO_POW_32), true);
}

function viewOf(region: DmaRegion): DataView {
  return new DataView(region.view.buffer, region.view.byteOffset, region.view.byteLength);
}

function freeRegions(hal: Hal, regions: readonly DmaRegion[]): void {
  for (const region of regions) hal.dmaDealloc(region.paddr, region.view.length / PAGE_SIZE);
}
