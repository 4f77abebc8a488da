/**
 * `check`: what e2fsck does, on any block device.
 *
 *   0  superblock (or a copy), journal, descriptors, special inodes      superblock- descriptors- journal-check, special-files
 *   1  every inode, every block is claimed once                          inodes-check, inode-blocks, block-walk, xattrs-check
 *   2  every directory                                                   directories-check, htree-check
 *   3  every directory is connected                                      connectivity-check
 *   4  every inode has as many names as it says                          connectivity-check
 *   5  bitmaps and counts                                                summaries-check
 *
 * A repair works in rounds: what a pass has changed under the maps of the others ends the round, and the next one begins with what is
 * then on the medium. Bitmaps and counts are written last, from a round that found nothing else. The number of rounds is limited.
 */
import { type BlockDevice, OverlayDisk } from "blockdev-disk";
import { Ext4Error } from "../errors.ts";
import {
  EXT4_FEATURE_INCOMPAT_JOURNAL_DEV,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_FEATURE_RO_COMPAT_LARGE_FILE,
  EXT4_FEATURE_INCOMPAT_LARGEDIR,
} from "../features.ts";
import { closeVolume, openVolume } from "../mount.ts";
import { EXT4_ERROR_FS, EXT4_VALID_FS, S_LAST_ORPHAN, S_LASTCHECK, S_MNT_COUNT, S_STATE } from "../superblock.ts";
import type { Time } from "../volume.ts";
import { Checker, Findings } from "./checker.ts";
import { checkConnectivity, checkLinkCounts } from "./connectivity-check.ts";
import { checkDescriptors, replaceTables, reserveMetadata } from "./descriptors-check.ts";
import { checkDirectories } from "./directories-check.ts";
import { resolveShared } from "./duplicates.ts";
import { checkInodes } from "./inodes-check.ts";
import { checkJournal, setRecover } from "./journal-check.ts";
import type { Problem } from "./problems.ts";
import { checkQuotas } from "./quota-check.ts";
import { rebuildDirectories } from "./rebuild-directory.ts";
import { rebuildMappings } from "./remap.ts";
import {
  checkMmp,
  checkOrphanFile,
  checkResizeInode,
  dropOrphanList,
  giveUpReserve,
  makeResizeInode,
} from "./special-files.ts";
import { checkSummaries } from "./summaries-check.ts";
import { locateSuperblock } from "./superblock-check.ts";
import { checkXattrCounts } from "./xattrs-check.ts";

export interface CheckOptions {
  /** Put right what is wrong. Default: only look. */
  readonly repair?: boolean;
  /**
   * "replay" (default): judge the file system as a mount would find it, with the journal replayed and orphans removed; without `repair`
   * in memory. "ignore": judge what is on the medium now, as `e2fsck -n` does.
   */
  readonly journal?: "replay" | "ignore";
  /** Clock for the times that a repair sets. Default: always 0. */
  readonly now?: () => Time;
  /** Findings to keep in words; the rest are only counted. Default 1000. */
  readonly maxProblems?: number;
  /** Called now and then with the pass and how far it is. */
  readonly onProgress?: (progress: { readonly pass: number; readonly done: number; readonly total: number }) => void;
  /** Stops the check at the next opportunity: the report says so, and a repair leaves the medium as consistent as it was. */
  readonly signal?: { readonly aborted: boolean };
}

export interface CheckReport {
  /** Of the file system as it is now: after a repair, whether the repair was complete. */
  readonly verdict: "clean" | "corrupt";
  /** As e2fsck exits: 0 clean, 1 all problems repaired, 4 problems are left, 8 nothing could be done, 32 stopped. */
  readonly exitStatus: 0 | 1 | 4 | 8 | 32;
  /** What was found, in order; over all rounds of a repair. At most `maxProblems`. */
  readonly problems: readonly Problem[];
  /** All findings, kept in words or not. */
  readonly problemCount: number;
  /** Why nothing could be done, with exit status 8. */
  readonly reason: string | undefined;
  /** A journal was replayed, or orphans of a crash were removed. */
  readonly recovered: boolean;
  /** Reserved ones included, as e2fsck counts. */
  readonly inodesInUse: number;
  readonly directories: number;
  readonly files: number;
  readonly blocksInUse: number;
}

/** Rounds of a repair; each either ends with nothing left to do or has changed something. */
const MAX_ROUNDS = 24;
/** Times that the resize inode is made anew in one repair. */
const MOST_RESIZE_INODES = 3;

/** Checks the file system that begins at the device's first byte. Never throws for what the medium holds. */
export function check(device: BlockDevice, options: CheckOptions = {}): CheckReport {
  const findings = new Findings(options.maxProblems ?? 1000);
  const run = new Run(device, options, findings);
  return run.execute();
}

type Outcome = {
  readonly state: "done" | "again" | "unusable" | "stopped";
  readonly ck?: Checker;
  readonly reason?: string;
};

class Run {
  #device: BlockDevice;
  readonly #options: CheckOptions;
  readonly #findings: Findings;
  readonly #repair: boolean;
  #recovered = false;
  #resizeInodes = 0;
  #replay: boolean;

  constructor(device: BlockDevice, options: CheckOptions, findings: Findings) {
    this.#device = device;
    this.#options = options;
    this.#findings = findings;
    this.#repair = options.repair === true && !device.readOnly;
    this.#replay = options.journal !== "ignore" || this.#repair;
  }

  execute(): CheckReport {
    if (this.#replay) {
      const clean = this.#tryMount();
      if (clean !== undefined) return clean;
    }
    let outcome: Outcome = { state: "again" };
    let wrote = false;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.#findings.startRound();
      outcome = this.#round();
      if (outcome.state === "unusable" || outcome.state === "stopped") break;
      const found = this.#findings.errors + this.#findings.advice > 0;
      if (outcome.state === "done" && (!this.#repair || !found)) break;
      if (outcome.ck?.stuck === true) break;
      wrote ||= this.#repair && found;
    }
    return this.#report(outcome, wrote);
  }

  /** After a crash: what a mount makes of it is usually clean, and then nothing needs to be repaired. */
  #tryMount(): CheckReport | undefined {
    const located = locateSuperblock(this.#device, new Findings(0), false);
    if (typeof located === "string") return undefined;
    const { sb } = located;
    const dirty =
      sb.hasIncompat(EXT4_FEATURE_INCOMPAT_RECOVER) ||
      sb.u32(S_LAST_ORPHAN) !== 0 ||
      sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
    if (!dirty) return undefined;
    const overlay = new OverlayDisk(this.#device);
    const now = this.#options.now;
    const volume = openVolume(overlay, now === undefined ? {} : { now });
    if (volume instanceof Ext4Error || volume.readOnly || closeVolume(volume) < 0) return this.#replayInMemory();
    const findings = new Findings(0);
    const { signal, onProgress } = this.#options;
    const trial = new Run(
      overlay,
      { ...(signal && { signal }), ...(onProgress && { onProgress }), journal: "ignore" },
      findings,
    );
    const report = trial.execute();
    if (report.verdict !== "clean") return this.#replayInMemory();
    if (this.#repair && overlay.merge() < 0) return undefined;
    return { ...report, recovered: true, exitStatus: this.#repair ? 1 : 0 };
  }

  #replayInMemory(): undefined {
    if (!this.#repair) this.#device = new OverlayDisk(this.#device);
    return undefined;
  }

  #round(): Outcome {
    const findings = this.#findings;
    const located = locateSuperblock(this.#device, findings, this.#repair);
    if (typeof located === "string") return { state: "unusable", reason: located };
    const { sb } = located;
    if (sb.hasIncompat(EXT4_FEATURE_INCOMPAT_JOURNAL_DEV))
      return { state: "unusable", reason: "this is an external journal" };
    const now = Math.max(0, Math.floor(this.#options.now?.().sec ?? 0));
    const ck = new Checker(this.#device, sb, located.g, findings, { repair: this.#repair, now });
    ck.superblockDirty = located.dirty;
    checkDescriptors(ck);
    reserveMetadata(ck);
    const writable = checkMmp(ck);
    if (!writable && this.#repair) return { state: "unusable", ck, reason: "multiple-mount protection: it is in use" };
    const journal = checkJournal(ck, this.#replay);
    if (journal === "elsewhere") return { state: "unusable", ck, reason: "its journal is on another device" };
    if (journal === "replayed") return this.#afterReplay(ck);
    if (this.#repair) beginRepair(ck);
    const resize = checkResizeInode(ck);
    checkOrphanFile(ck);
    dropOrphanList(ck);
    if (ck.again) return this.#endRound(ck);

    let stopped = false;
    const interrupted =
      (pass: number) =>
      (done: number, total: number): boolean => {
        this.#options.onProgress?.({ pass, done, total });
        stopped ||= this.#options.signal?.aborted === true;
        return stopped;
      };
    checkInodes(ck, interrupted(1));
    if (stopped) return { state: "stopped", ck };
    resolveShared(ck);
    replaceTables(ck);
    if (!ck.again) checkXattrCounts(ck);
    rebuildMappings(ck);
    if (resize) {
      // It was made, and is wrong again: its reserve lies where other things are.
      if (this.#resizeInodes++ < MOST_RESIZE_INODES) makeResizeInode(ck);
      else giveUpReserve(ck);
    }
    if (ck.again && this.#repair) return this.#endRound(ck);

    checkDirectories(ck, interrupted(2));
    if (stopped) return { state: "stopped", ck };
    rebuildDirectories(ck);
    this.#checkFeatures(ck);
    if (ck.again && this.#repair) return this.#endRound(ck);

    const rooted = checkConnectivity(ck);
    if ((ck.again && this.#repair) || !rooted) return this.#endRound(ck);
    checkLinkCounts(ck);
    if (ck.again && this.#repair) return this.#endRound(ck);
    checkSummaries(ck, interrupted(5));
    if (stopped) return { state: "stopped", ck };
    checkQuotas(ck);
    return this.#endRound(ck);
  }

  #checkFeatures(ck: Checker): void {
    if (ck.largeFiles && !ck.sb.hasRoCompat(EXT4_FEATURE_RO_COMPAT_LARGE_FILE) && ck.problem("large-file-feature")) {
      ck.sb.setRoCompat(EXT4_FEATURE_RO_COMPAT_LARGE_FILE, true);
      ck.superblockDirty = true;
    }
    if (ck.largeDirectories && !ck.hasLargeDir && ck.problem("large-dir-feature")) {
      ck.sb.setIncompat(EXT4_FEATURE_INCOMPAT_LARGEDIR, true);
      ck.superblockDirty = true;
    }
  }

  #afterReplay(ck: Checker): Outcome {
    this.#recovered = true;
    const located = locateSuperblock(this.#device, this.#findings, this.#repair);
    if (typeof located === "string") return { state: "unusable", reason: located };
    const after = new Checker(this.#device, located.sb, located.g, this.#findings, { repair: true, now: ck.now });
    setRecover(after, false);
    after.writeSuperblock();
    return { state: "again", ck: after };
  }

  #endRound(ck: Checker): Outcome {
    if (this.#repair) {
      const clean = this.#findings.errors + this.#findings.advice === 0;
      if (clean) endRepair(ck);
      ck.writeSummary();
      this.#device.flush();
    }
    return { state: ck.again && this.#repair ? "again" : "done", ck };
  }

  #report(outcome: Outcome, wrote: boolean): CheckReport {
    const { ck } = outcome;
    const findings = this.#findings;
    const clean = outcome.state === "done" && findings.errors === 0;
    const exitStatus =
      outcome.state === "unusable"
        ? 8
        : outcome.state === "stopped"
          ? 32
          : !clean
            ? 4
            : wrote || (this.#recovered && this.#repair)
              ? 1
              : 0;
    const counted = outcome.state === "done" ? ck : undefined;
    return {
      verdict: clean ? "clean" : "corrupt",
      exitStatus,
      problems: findings.problems,
      problemCount: findings.total,
      reason: outcome.reason,
      recovered: this.#recovered,
      inodesInUse: counted === undefined ? 0 : counted.g.inodesCount - counted.freeInodes,
      directories: ck?.counts.directories ?? 0,
      files: ck?.counts.files ?? 0,
      blocksInUse: counted === undefined ? 0 : counted.g.blocksCount - counted.freeClusters * counted.ratio,
    };
  }
}

/** From here to the end of the repair the volume says of itself that it is not clean. */
function beginRepair(ck: Checker): void {
  const state = ck.sb.u16(S_STATE);
  if ((state & EXT4_VALID_FS) !== 0 && ck.superblockDirty) ck.sb.setU16(S_STATE, state & ~EXT4_VALID_FS);
}

function endRepair(ck: Checker): void {
  const { sb } = ck;
  const state = (sb.u16(S_STATE) | EXT4_VALID_FS) & ~EXT4_ERROR_FS;
  if (sb.u16(S_STATE) === state && sb.u16(S_MNT_COUNT) === 0 && sb.u32(S_LASTCHECK) === ck.now) return;
  sb.setU16(S_STATE, state);
  sb.setU16(S_MNT_COUNT, 0);
  sb.setU32(S_LASTCHECK, ck.now >>> 0);
  ck.superblockDirty = true;
}
