/**
 * Result and position objects that the operations of one volume use over and over, so that hot paths allocate nothing.
 *
 * They belong to a volume, not to a module: reading a block of one volume may lead through another one (an image in a file of a
 * mounted volume), and must not disturb what the first is in the middle of. A volume never enters itself.
 */
import type { Run } from "./allocator/blocks.ts";
import type { FoundEntry } from "./directory/lookup.ts";
import type { HtreePath } from "./directory/htree.ts";
import type { Mapping } from "./extents/map.ts";
import { ExtentPath } from "./extents/node.ts";

const newMapping = (): Mapping => ({ block: 0, count: 0, unwritten: false });
const newRun = (): Run => ({ start: 0, count: 0, charged: 0 });
const newFound = (): FoundEntry => ({ buffer: null, at: 0, ino: 0, fileType: 0 });
const newHtreePath = (): HtreePath => ({ frames: [], hashVersion: 0 });

export class Scratch {
  // One for each module that needs it, so that callers and callees never share one.
  readonly mapPath: ExtentPath = new ExtentPath();
  readonly insertPath: ExtentPath = new ExtentPath();
  readonly removePath: ExtentPath = new ExtentPath();
  readonly readMap: Mapping = newMapping();
  readonly writeMap: Mapping = newMapping();
  readonly blockMap: Mapping = newMapping();
  readonly lookupMap: Mapping = newMapping();
  readonly clusterMap: Mapping = newMapping();
  readonly quotaMap: Mapping = newMapping();
  readonly bestRun: Run = newRun();
  readonly nodeRun: Run = newRun();
  readonly writeRun: Run = newRun();
  readonly directoryRun: Run = newRun();
  readonly xattrRun: Run = newRun();
  readonly quotaRun: Run = newRun();
  readonly lookupPath: HtreePath = newHtreePath();
  readonly insertionPath: HtreePath = newHtreePath();
  readonly found: FoundEntry = newFound();
  readonly otherFound: FoundEntry = newFound();
  /** One partial block of file data. */
  readonly block: Uint8Array;
  /** The error under way came from the device while it wrote file data: metadata is as consistent as before. */
  dataFailed = false;

  constructor(blockSize: number) {
    this.block = new Uint8Array(blockSize);
  }
}
