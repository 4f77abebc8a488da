/** Where new partitions go: given places are checked, the others are put behind the one before, aligned to 1 MiB as all tools do. */

export interface NewPartition {
  /** First block; default: the next aligned one that is free. */
  readonly firstBlock?: number;
  /** Blocks; default: up to the next given partition or the end. */
  readonly blockCount?: number;
  /** MBR: "0x83" or a number's name ("linux"); GPT: a GUID or a name of `GPT_TYPES`. Default "linux". */
  readonly type?: string;
  /** GPT: up to 36 UTF-16 units. */
  readonly name?: string;
  /** GPT: the partition's own GUID; must be given, since nothing here is random. */
  readonly guid?: string;
  /** MBR active flag, or GPT's legacy-boot attribute. */
  readonly bootable?: boolean;
  /** MBR: a logical drive, inside an extended partition that is made around all of them. */
  readonly logical?: boolean;
}

export interface Placed {
  readonly entry: NewPartition;
  readonly firstBlock: number;
  readonly blockCount: number;
}

/** Alignment in bytes. */
const ALIGNMENT = 1 << 20;

/**
 * Places `entries` in [from, end) of a device with blocks of `blockSize` bytes; each is preceded by `gap` blocks of its own (logical
 * drives have their boot record there). @throws RangeError when something does not fit or overlaps.
 */
export function placePartitions(
  entries: readonly NewPartition[],
  from: number,
  end: number,
  blockSize: number,
  gap: number = 0,
): Placed[] {
  const unit = Math.max(1, ALIGNMENT / blockSize);
  const placed: Placed[] = [];
  let next = from;
  entries.forEach((entry, i) => {
    const aligned = Math.ceil((next + gap) / unit) * unit;
    // A small disk has no room for alignment.
    const firstBlock = entry.firstBlock ?? (aligned < end ? aligned : next + gap);
    const following = entries
      .slice(i + 1)
      .find((other) => other.firstBlock !== undefined && other.firstBlock > firstBlock);
    const limit = following?.firstBlock === undefined ? end : following.firstBlock - gap;
    const room = limit - firstBlock;
    const blockCount = entry.blockCount ?? (room > unit ? room - (room % unit) : room);
    if (
      !Number.isInteger(firstBlock) ||
      !Number.isInteger(blockCount) ||
      firstBlock - gap < from ||
      blockCount <= 0 ||
      firstBlock + blockCount > end
    )
      throw new RangeError(
        `partition ${i + 1}: ${blockCount} blocks at ${firstBlock} do not fit between ${from + gap} and ${end}`,
      );
    placed.push({ entry, firstBlock, blockCount });
    next = firstBlock + blockCount;
  });
  const sorted = [...placed].sort((a, b) => a.firstBlock - b.firstBlock);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].firstBlock - gap < sorted[i - 1].firstBlock + sorted[i - 1].blockCount)
      throw new RangeError(`the partition at ${sorted[i].firstBlock} overlaps the one at ${sorted[i - 1].firstBlock}`);
  }
  return placed;
}
