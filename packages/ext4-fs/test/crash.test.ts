/// <reference types="node" />
/**
 * Power failures: a workload is recorded write by write; the disk as it was at some moment, and also as it may have been when writes
 * between two flushes reached it in another order, must mount, hold everything that was synced, and satisfy e2fsck.
 *
 * EXT4_CRASH_POINTS sets how many moments are tried per case (default 100).
 */
import { MemoryDisk, OverlayDisk, type RecordedEvent, RecordingDisk } from "blockdev-disk";
import { afterAll, expect, test } from "vitest";
import { Ext4FileSystem, mkfs, type MkfsOptions } from "../src/index.ts";
import { fsckProblems, hasE2fsprogs, run, saveImage, Workspace } from "./e2fsprogs.ts";
import { compare, type ModelNode, Random, snapshot, Workload } from "./model.ts";

const POINTS = Number(process.env["EXT4_CRASH_POINTS"] ?? 100);
const workspace = new Workspace();
afterAll(() => workspace.remove());

const UUID = "0d15ea5e-0000-4000-8000-0123456789ab";
const SIZE = 24 << 20;

interface Recording {
  readonly base: MemoryDisk;
  readonly events: readonly RecordedEvent[];
  /** State of the model at each completed sync, and the number of events then. */
  readonly syncs: readonly { readonly event: number; readonly step: number; readonly model: ModelNode }[];
  /** Step under way at each event. */
  readonly stepAtEvent: readonly number[];
  readonly finalModel: ModelNode;
}

function record(options: Partial<MkfsOptions>, seed: number, steps: number): Recording {
  const base = new MemoryDisk(SIZE);
  mkfs(base, { uuid: UUID, assumeStoragePrezeroed: true, journalBlocks: 1024, ...options });
  const recorder = new RecordingDisk(new OverlayDisk(base));
  let now = 1_700_000_000;
  const fs = new Ext4FileSystem(recorder, { now: () => ({ sec: now++ >> 4, nsec: 1 }), commitInterval: 3 });
  const workload = new Workload(fs, seed, { maxData: 6000 });
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
function diskAt(recording: Recording, count: number, random: Random | undefined): OverlayDisk {
  const disk = new OverlayDisk(recording.base);
  let lastFlush = 0;
  for (let i = 0; i < count; i++) if (recording.events[i].kind === "flush") lastFlush = i;
  for (let i = 0; i < count; i++) {
    const event = recording.events[i];
    if (event.kind !== "write") continue;
    if (random !== undefined && i > lastFlush && random.below(2) === 0) continue; // this one never arrived
    disk.writeBlock(event.blockId, event.data);
  }
  return disk;
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

const CASES: readonly [string, Partial<MkfsOptions>, number][] = [
  ["1 KiB blocks", { blockSize: 1024 }, 1],
  [
    "4 KiB blocks, orphan file and checksum seed",
    { blockSize: 4096, features: ["orphan_file", "metadata_csum_seed"] },
    2,
  ],
  ["no checksums, 32-bit", { blockSize: 2048, features: ["^metadata_csum", "^64bit"] }, 3],
];

test.each(CASES)(
  "at any moment, the disk replays to a clean file system that holds what was synced: %s",
  (_name, options, seed) => {
    const recording = record(options, seed, 600);
    const random = new Random(seed * 977);
    for (let i = 0; i < POINTS; i++) {
      const count = 1 + random.below(recording.events.length);
      const disk = diskAt(recording, count, i % 2 === 0 ? undefined : random);
      const problems = problemsAt(recording, count, disk);
      expect(problems, `crash after event ${count} of ${recording.events.length}`).toEqual([]);
    }
  },
  300_000,
);
