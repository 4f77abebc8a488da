/**
 * Damaged images by the thousand: each is a few changes, from a seed, to the parts of a good image that hold something. Neither mounting,
 * reading and changing, nor checking, nor repairing may throw, whatever comes; a repaired image must please our own check and, sampled,
 * e2fsck.
 */
import { type BlockDevice, MemoryDisk, OverlayDisk } from "blockdev-disk";
import { check } from "../src/check/index.ts";
import { Ext4Error, Ext4FileSystem } from "../src/index.ts";
import { exercise } from "./exercise.ts";

/** A generator of numbers that is the same everywhere (mulberry32). */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** An image to damage, and where its content is. */
export interface Base {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Offsets of the 1 KiB pieces that are not zero. */
  readonly pieces: readonly number[];
}

const PIECE = 1024;

export function makeBase(name: string, content: Uint8Array): Base {
  const bytes = new Uint8Array(Math.ceil(content.length / 4096) * 4096);
  bytes.set(content);
  const pieces: number[] = [];
  for (let at = 0; at < bytes.length; at += PIECE)
    if (bytes.subarray(at, at + PIECE).some((byte) => byte !== 0)) pieces.push(at);
  return { name, bytes, pieces };
}

const NUMBERS: readonly number[] = [
  0, 1, 2, 7, 8, 11, 12, 0x7f, 0xff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
];

/** The base with a few changes. */
export function damage(base: Base, seed: number): OverlayDisk {
  const random = generator(seed);
  const disk = new OverlayDisk(MemoryDisk.over(base.bytes));
  const piece = new Uint8Array(PIECE);
  const view = new DataView(piece.buffer);
  for (let changes = 1 + random(6); changes > 0; changes--) {
    // Superblock, descriptors and the first inodes are hit more often than their share.
    const at = base.pieces[random(3) === 0 ? random(Math.min(60, base.pieces.length)) : random(base.pieces.length)];
    disk.readBlock(at / 512, piece);
    switch (random(8)) {
      case 0:
      case 1:
        piece[random(PIECE)] ^= 1 << random(8);
        break;
      case 2:
        piece[random(PIECE)] = random(256);
        break;
      case 3:
        view.setUint16(random(PIECE / 2) * 2, NUMBERS[random(NUMBERS.length)] & 0xffff, true);
        break;
      case 4:
        view.setUint32(random(PIECE / 4) * 4, NUMBERS[random(NUMBERS.length)], true);
        break;
      case 5:
        view.setUint32(random(PIECE / 4) * 4, random(base.bytes.length / PIECE), true);
        break;
      case 6: {
        const length = 4 << random(6);
        const to = random(PIECE / 4) * 4;
        piece.copyWithin(to, random(PIECE / 4) * 4, PIECE - length);
        break;
      }
      default:
        if (random(6) === 0) piece.fill(random(2) === 0 ? 0 : 0xff);
        else disk.readBlock(base.pieces[random(base.pieces.length)] / 512, piece); // another piece in its place
    }
    disk.writeBlock(at / 512, piece);
  }
  return disk;
}

export interface FuzzOutcome {
  readonly mounted: boolean;
  readonly verdict: "clean" | "corrupt";
  /** After the repair; undefined where nothing could be done. */
  readonly repaired: "clean" | "corrupt" | undefined;
  readonly disk: BlockDevice;
}

/** Everything once with one damaged image. Throws where the library does. */
export function fuzzOne(base: Base, seed: number): FuzzOutcome {
  const reader = Ext4FileSystem.mount(damage(base, seed), { readOnly: true });
  if (!(reader instanceof Ext4Error)) exercise(reader);
  const writer = Ext4FileSystem.mount(damage(base, seed), { quotaLimits: ["user", "group", "project"] });
  if (!(writer instanceof Ext4Error)) exercise(writer);
  const { verdict } = check(damage(base, seed), { journal: seed % 2 === 0 ? "replay" : "ignore", maxProblems: 20 });
  const disk = damage(base, seed);
  const report = check(disk, { repair: true, maxProblems: 20, now: () => ({ sec: 1_800_000_000, nsec: 0 }) });
  const repaired = report.exitStatus === 8 ? undefined : report.verdict;
  return { mounted: !(reader instanceof Ext4Error), verdict, repaired, disk };
}
