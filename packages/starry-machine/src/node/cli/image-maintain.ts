/// <reference types="node" />
/**
 * `starry image check|resize|tune`: what e2fsck, resize2fs and tune2fs do, on an image in a host file.
 */
import { randomUUID } from "node:crypto";
import { statSync, truncateSync } from "node:fs";
import { parseArgs } from "node:util";
import { FileDisk } from "blockdev-disk/node";
import { check } from "ext4-fs/check";
import { resize } from "ext4-fs/resize";
import { tune, type TuneOptions } from "ext4-fs/tune";
import { hostTime, rootDevice } from "../image-file.ts";
import { CHECK_USAGE, RESIZE_USAGE, TUNE_USAGE } from "./image-usage.ts";
import { parseSizeOption, UsageError } from "./options.ts";

type Out = (text: string) => void;

/** Exits like e2fsck: 0 clean, 1 repaired, 4 problems are left, 8 nothing could be done. */
export function checkImage(words: readonly string[], out: Out): number {
  const { values, positionals } = read(words, CHECK_USAGE, {
    repair: { type: "boolean", short: "y" },
    "ignore-journal": { type: "boolean" },
  });
  const image = only(positionals, 1, CHECK_USAGE)[0];
  const repair = values["repair"] === true;
  using disk = new FileDisk(image, { readOnly: !repair });
  const journal = values["ignore-journal"] === true ? "ignore" : "replay";
  const report = check(rootDevice(disk), { repair, journal, now: hostTime });
  for (const { pass, message, severity, fixed } of report.problems)
    out(`pass ${pass}: ${message}${severity === "advice" ? " (harmless)" : ""}${fixed ? ": repaired" : ""}\n`);
  const hidden = report.problemCount - report.problems.length;
  if (hidden > 0) out(`and ${hidden} more\n`);
  if (report.reason !== undefined) out(`${image}: ${report.reason}\n`);
  if (report.recovered) out(`${image}: the journal was replayed${repair ? "" : " in memory"}\n`);
  const { inodesInUse, directories, blocksInUse } = report;
  if (report.exitStatus !== 8)
    out(
      `${image}: ${report.verdict}, ${inodesInUse} inodes in use, ${directories} directories, ${blocksInUse} blocks\n`,
    );
  return report.exitStatus;
}

/** Makes the file larger if SIZE says so, then the file system as large as its device. */
export function resizeImage(words: readonly string[], out: Out): number {
  const { positionals } = read(words, RESIZE_USAGE, {});
  const [image, size] = only(positionals, 2, RESIZE_USAGE);
  if (size !== undefined) {
    const byteLength = Math.floor(parseSizeOption(size) / 512) * 512;
    using disk = new FileDisk(image, { readOnly: true });
    if (rootDevice(disk) !== disk)
      throw new UsageError(`${image} has partitions: enlarge the partition first, then resize without SIZE`);
    if (byteLength < statSync(image).size)
      throw new UsageError(`${image} is larger than ${size}: shrinking is not possible`);
    truncateSync(image, byteLength);
  }
  using disk = new FileDisk(image);
  const { before, after, blockSize } = resize(rootDevice(disk), { now: hostTime });
  out(
    before === after
      ? `${image}: nothing to do, the file system has ${after} blocks of ${blockSize} bytes\n`
      : `${image}: grown from ${before} to ${after} blocks of ${blockSize} bytes\n`,
  );
  return 0;
}

/** Options are named as tune2fs names them. */
export function tuneImage(words: readonly string[], _out: Out): number {
  const text = { type: "string" } as const;
  const { values, positionals } = read(words, TUNE_USAGE, {
    label: { ...text, short: "L" },
    uuid: { ...text, short: "U" },
    features: { ...text, short: "O" },
    "reserved-percent": { ...text, short: "m" },
    "reserved-blocks": { ...text, short: "r" },
    "max-mount-count": { ...text, short: "c" },
    "mount-count": { ...text, short: "C" },
    interval: { ...text, short: "i" },
    errors: { ...text, short: "e" },
    "mount-options": { ...text, short: "o" },
  });
  const image = only(positionals, 1, TUNE_USAGE)[0];
  const word = (name: string): string | undefined => values[name] as string | undefined;
  const number = (name: string): number | undefined => {
    const value = word(name);
    if (value === undefined) return undefined;
    if (!/^-?\d+(\.\d+)?$/.test(value)) throw new UsageError(`--${name} expects a number, got ${value}`);
    return Number(value);
  };
  const uuid = word("uuid");
  const given: { [name in keyof TuneOptions]: TuneOptions[name] | undefined } = {
    label: word("label"),
    uuid: uuid === "random" ? randomUUID() : uuid,
    features: word("features")?.split(",").filter(Boolean),
    reservedPercent: number("reserved-percent"),
    reservedBlocks: number("reserved-blocks"),
    maxMountCount: number("max-mount-count"),
    mountCount: number("mount-count"),
    checkInterval: number("interval"),
    errors: word("errors") as TuneOptions["errors"],
    mountOptions: word("mount-options")?.split(",").filter(Boolean),
  };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as TuneOptions;
  if (Object.keys(options).length === 0) throw new UsageError(`usage: starry image ${TUNE_USAGE}`);
  using disk = new FileDisk(image);
  tune(rootDevice(disk), { ...options, now: hostTime });
  return 0;
}

type Flags = Readonly<Record<string, { readonly type: "string" | "boolean"; readonly short?: string }>>;

function read(words: readonly string[], usage: string, options: Flags) {
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\nusage: starry image ${usage}`);
  }
}

function only(words: readonly string[], most: number, usage: string): readonly string[] {
  if (words.length === 0 || words.length > most) throw new UsageError(`usage: starry image ${usage}`);
  return words;
}
