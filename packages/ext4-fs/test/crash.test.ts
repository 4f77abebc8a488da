/// <reference types="node" />
/**
 * Power failures: a workload is recorded write by write; the disk as it was at some moment, and also as it may have been when writes
 * between two flushes reached it in another order, must mount, hold everything that was synced, and satisfy e2fsck.
 *
 * Until a flush has returned, any of the writes behind the one before it may have arrived, in any order, and of a long one any of
 * its blocks: a set of blocks that arrived is drawn at random. A block arrives as a whole.
 *
 * Every fourth time the machine stops once more, in the middle of the mount that cleans up.
 *
 * EXT4_CRASH_POINTS sets how many moments are tried per case (default 30).
 */
import { readFileSync } from "node:fs";
import { type BlockDevice, MemoryDisk, OverlayDisk, type RecordedEvent, RecordingDisk } from "blockdev-disk";
import { afterAll, expect, test, vi } from "vitest";
import { Ext4FileSystem, mkfs, type MkfsOptions, type VolumeOptions } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, makeImage, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { compare, type ModelNode, Random, snapshot, Workload, type WorkloadOptions } from "./model.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const POINTS = Number(process.env["EXT4_CRASH_POINTS"] ?? 30);
const workspace = new Workspace();
afterAll(() => workspace.remove());

const UUID = "0d15ea5e-0000-4000-8000-0123456789ab";
const SIZE = 24 << 20;
/** The largest block size of the cases: what arrives as a whole. */
const TORN_BYTES = 4096;

interface Recording {
  readonly base: MemoryDisk;
  readonly events: readonly RecordedEvent[];
  /** State of the model at each completed sync, and the number of events then. */
  readonly syncs: readonly { readonly event: number; readonly step: number; readonly model: ModelNode }[];
  /** Step under way at each event. */
  readonly stepAtEvent: readonly number[];
  readonly finalModel: ModelNode;
}

/** What a case is made of: a volume of ours or of mke2fs, how it is mounted, what is done. */
interface Case {
  readonly mkfs?: Partial<MkfsOptions>;
  readonly mke2fs?: readonly string[];
  readonly mount?: VolumeOptions;
  readonly work?: WorkloadOptions;
  readonly steps?: number;
}

function emptyVolume(options: Case): MemoryDisk {
  const disk = new MemoryDisk(SIZE);
  if (options.mke2fs === undefined) {
    mkfs(disk, { uuid: UUID, assumeStoragePrezeroed: true, journalBlocks: 1024, ...options.mkfs });
    return disk;
  }
  const path = workspace.file("base.img");
  makeImage(path, SIZE, ["-U", UUID, ...options.mke2fs]);
  return MemoryDisk.over(new Uint8Array(readFileSync(path)));
}

function record(options: Case, seed: number): Recording {
  const base = emptyVolume(options);
  const recorder = new RecordingDisk(new OverlayDisk(base));
  let now = 1_700_000_000;
  const clock = { now: () => ({ sec: now++ >> 4, nsec: 1 }), commitInterval: 3 };
  const fs = new Ext4FileSystem(recorder, { ...clock, ...options.mount });
  const steps = options.steps ?? 600;
  const workload = new Workload(fs, seed, { maxData: 6000, ...options.work });
  const syncs: Recording["syncs"][number][] = [];
  const stepAtEvent: number[] = [];
  const note = (): void => {
    while (stepAtEvent.length < recorder.events.length) stepAtEvent.push(workload.step);
  };
  const random = new Random(seed);
  for (let i = 0; i < steps; i++) {
    workload.next();
    note();
    const luck = random.below(40);
    if (luck < 2) {
      expect(luck === 0 ? fs.sync() : fs.root().sync(false)).toBe(0);
      note();
      syncs.push({ event: recorder.events.length, step: workload.step, model: snapshot(workload.root) });
    }
  }
  workload.finish();
  expect(fs.unmount()).toBe(0);
  note();
  return { base, events: recorder.events, syncs, stepAtEvent, finalModel: workload.root };
}

/** The disk after the first `count` events, less some of the writes behind the last flush among them. */
function diskAt(
  base: BlockDevice,
  events: readonly RecordedEvent[],
  count: number,
  random: Random | undefined,
): OverlayDisk {
  const disk = new OverlayDisk(base);
  let lastFlush = 0;
  for (let i = 0; i < count; i++) if (events[i].kind === "flush") lastFlush = i;
  for (let i = 0; i < count; i++) {
    const event = events[i];
    if (event.kind !== "write") continue;
    if (random === undefined || i < lastFlush) {
      disk.writeBlock(event.blockId, event.data);
      continue;
    }
    const fate = random.below(3);
    if (fate === 0) continue; // this one never arrived
    for (let at = 0; at < event.data.length; at += TORN_BYTES) {
      if (fate === 1 && random.below(2) === 0) continue; // nor this part
      disk.writeBlock(event.blockId + at / 512, event.data.subarray(at, at + TORN_BYTES));
    }
  }
  return disk;
}

/** The disk as it may be when the machine stops again, while a mount replays the journal and frees orphans. */
function interruptedMount(disk: OverlayDisk, random: Random): OverlayDisk {
  const recorder = new RecordingDisk(new OverlayDisk(disk));
  expect(Ext4FileSystem.mount(recorder)).toBeInstanceOf(Ext4FileSystem);
  return diskAt(disk, recorder.events, 1 + random.below(recorder.events.length), random);
}

/** What is wrong with the disk: replayed by us and, where installed, checked and replayed by e2fsck. */
function problemsAt(recording: Recording, count: number, disk: OverlayDisk): string[] {
  const problems: string[] = [];
  const crashed = new OverlayDisk(disk);
  const fs = Ext4FileSystem.mount(crashed, { log: (line) => (line.includes("corrupt") ? problems.push(line) : 0) });
  if (!(fs instanceof Ext4FileSystem)) return [`mount: ${fs.message}`];
  const sync = recording.syncs.findLast((s) => s.event <= count);
  const step = recording.stepAtEvent[count - 1] ?? 0;
  const work = fs.root().lookup("work");
  if (sync !== undefined) {
    if (typeof work === "number") return [`/work is gone: ${work}`];
    // What nobody touched since the sync must be as it was then.
    const later = recording.syncs.find((s) => s.step > step)?.model ?? recording.finalModel;
    const untouched = (node: ModelNode, path: string): boolean => find(later, path)?.changedAt === node.changedAt;
    problems.push(...compare(sync.model, work, untouched));
  }
  if (fs.unmount() !== 0) problems.push("unmount failed");
  if (hasE2fsprogs) {
    const path = workspace.file("crash.img");
    saveImage(crashed, path);
    const ours = fsckProblems(path);
    if (ours !== undefined) problems.push(`after our replay: ${ours}`);
    saveImage(disk, path);
    run("e2fsck", ["-fy", "-E", "journal_only", path]);
    // Orphans are left for a full run to free; nothing else may be wrong.
    const fixed = run("e2fsck", ["-fp", path]);
    if (fixed.status > 1) problems.push(`after e2fsck's replay: ${fixed.output}`);
    const theirs = fsckProblems(path);
    if (theirs !== undefined) problems.push(`after e2fsck -fp: ${theirs}`);
  }
  return problems;
}

function find(root: ModelNode, path: string): ModelNode | undefined {
  let node: ModelNode | undefined = root;
  for (const name of path.split("/").slice(1)) node = node?.children.get(name);
  return node;
}

const CASES: readonly (readonly [string, Case])[] = [
  ["1 KiB blocks", { mkfs: { blockSize: 1024 } }],
  [
    "4 KiB blocks, orphan file and checksum seed",
    { mkfs: { blockSize: 4096, features: ["orphan_file", "metadata_csum_seed"] } },
  ],
  ["no checksums, 32-bit", { mkfs: { blockSize: 2048, features: ["^metadata_csum", "^64bit"] } }],
  ["large directories", { mkfs: { blockSize: 1024 }, work: { names: 6000 }, steps: 2500 }],
  ["file data in the journal", { mkfs: { blockSize: 1024 }, mount: { data: "journal" } }],
];
/** Volumes that need mke2fs. */
const MORE_CASES: readonly (readonly [string, Case])[] = [
  ["ext3: block maps", { mke2fs: ["-t", "ext3", "-b", "1024", "-J", "size=1"], work: { reserves: false } }],
  ["inline_data", { mke2fs: ["-b", "1024", "-O", "inline_data", "-J", "size=1"], work: { maxData: 600 } }],
  ["quota", { mke2fs: ["-b", "1024", "-O", "quota,project", "-J", "size=1"] }],
  ["bigalloc", { mke2fs: ["-b", "1024", "-C", "8192", "-O", "bigalloc", "-J", "size=1"] }],
  ["ea_inode", { mke2fs: ["-b", "1024", "-O", "ea_inode,inline_data", "-J", "size=1"], work: { largeXattrs: true } }],
];

test.each(hasE2fsprogs ? [...CASES, ...MORE_CASES] : CASES)(
  "at any moment, the disk replays to a clean file system that holds what was synced: %s",
  (name, options) => {
    const seed = name.length;
    const recording = record(options, seed);
    const random = new Random(seed * 977 + POINTS);
    // Just before a flush most is still on its way: every other moment is one of these.
    const flushes = recording.events.flatMap((event, i) => (event.kind === "flush" && i > 0 ? [i] : []));
    for (let i = 0; i < POINTS; i++) {
      const anywhere = 1 + random.below(recording.events.length);
      const count = i % 2 === 0 ? (flushes[random.below(flushes.length)] ?? anywhere) : anywhere;
      let disk = diskAt(recording.base, recording.events, count, i % 3 === 0 ? undefined : random);
      if (i % 4 === 3) disk = interruptedMount(disk, random);
      const problems = problemsAt(recording, count, disk);
      expect(problems, `crash after event ${count} of ${recording.events.length}`).toEqual([]);
    }
  },
  20_000 + POINTS * 5000,
);
