/**
 * How many MUST and MUST NOT sentences of the specification the checks of this package answer for. Counted in the sources of the
 * 1.4 draft, without the sections on legacy interfaces; for the network device those of the features that it offers, and those
 * that hold without any.
 */
import { BLOCK, CONSOLE_AND_ENTROPY, CORE, MMIO, type Requirement, SPLIT_RING } from "./conformance.ts";
import { CONSOLE_PORTS, MORE_CORE, NET } from "./conformance-devices.ts";
import { PACKED_RING } from "./conformance-packed.ts";

export const DEVICE_REQUIREMENTS: readonly Requirement[] = [
  ...MMIO,
  ...CORE,
  ...MORE_CORE,
  ...SPLIT_RING,
  ...PACKED_RING,
  ...BLOCK,
  ...CONSOLE_AND_ENTROPY,
  ...CONSOLE_PORTS,
  ...NET,
];

export interface Chapter {
  readonly name: string;
  /** Sections that begin with one of these belong to it. */
  readonly sections: readonly string[];
  /** MUST and MUST NOT sentences about devices. */
  readonly musts: number;
}

export const CHAPTERS: readonly Chapter[] = [
  { name: "virtio-mmio (4.2)", sections: ["4.2"], musts: 12 },
  { name: "core (2.1-2.6, 2.9, 3, 6)", sections: ["2.1", "2.2", "2.4", "2.5", "2.6", "2.9", "3", "6"], musts: 14 },
  { name: "split virtqueues (2.7)", sections: ["2.7"], musts: 13 },
  { name: "packed virtqueues (2.8)", sections: ["2.8"], musts: 6 },
  { name: "network (5.1), offered features", sections: ["5.1"], musts: 28 },
  { name: "block (5.2)", sections: ["5.2"], musts: 35 },
  { name: "console (5.3)", sections: ["5.3"], musts: 3 },
  { name: "entropy (5.4)", sections: ["5.4"], musts: 1 },
];

/** Rows that answer for another number of sentences than one: often one says in general what several say in detail. */
const SENTENCES: Readonly<Record<string, number>> = {
  "mmio-reset-ready": 0, // the same sentence as mmio-reset-isr
  "mmio-queue-reset": 3, // resets, 1 while it lasts (it never does), 0 afterwards
  "status-no-notify": 0, // the same sentence as status-no-consume
  "ring-event-batch": 0, // ring-event-notify, for several buffers
  "ring-used-len": 2, // length first, that many bytes
  "blk-no-zoned": 23, // ZONED is never offered
  "blk-read-only": 2, // IOERR, nothing written
  "blk-write-through-config": 0, // the three cases of one sentence
  "blk-flush": 0,
  "blk-lifetime": 2, // not offered, no reserved values
  "net-spread": 2, // completely, together
  "net-receive-header": 7, // flags, four types, NONE, RSC_INFO
  "net-num-buffers": 2, // 5.1.6.3.2 and 5.1.6.4.1
};

/** Rows whose sentences are met by not having the feature that they are about; their checks see that it is never offered. */
const BY_ABSENCE: ReadonlySet<string> = new Set(["blk-no-zoned", "blk-lifetime", "features-no-sr-iov"]);

/** MUST and MUST NOT sentences that the rows of `chapter` answer for; if wanted, only those met by not having a feature. */
export function countMusts(chapter: Chapter, onlyByAbsence = false): number {
  let count = 0;
  for (const { id, section, strength } of DEVICE_REQUIREMENTS) {
    const counts = strength.startsWith("MUST") || (id in SENTENCES && strength !== "layout");
    if (!counts || !chapter.sections.some((prefix) => isWithin(section, prefix))) continue;
    if (!onlyByAbsence || BY_ABSENCE.has(id)) count += SENTENCES[id] ?? 1;
  }
  return count;
}

function isWithin(section: string, prefix: string): boolean {
  return section === prefix || section.startsWith(`${prefix}.`);
}
