/**
 * How many MUST and MUST NOT sentences of the specification the checks of this package answer for. Counted in the sources of the
 * 1.4 draft, without the sections on legacy interfaces; for the network device those of the features that the driver accepts,
 * and those that hold without any.
 */
import { CORE, DEVICES, MMIO, type Requirement, SPLIT_RING } from "./conformance.ts";
import { CONSOLE, MORE_BLK, NET } from "./conformance-devices.ts";
import { MORE_CORE, MORE_MMIO, MORE_SPLIT_RING, PACKED_RING } from "./conformance-rings.ts";

export const DRIVER_REQUIREMENTS: readonly Requirement[] = [
  ...MMIO,
  ...MORE_MMIO,
  ...CORE,
  ...MORE_CORE,
  ...SPLIT_RING,
  ...MORE_SPLIT_RING,
  ...PACKED_RING,
  ...DEVICES,
  ...MORE_BLK,
  ...CONSOLE,
  ...NET,
];

export interface Chapter {
  readonly name: string;
  /** Sections that begin with one of these belong to it. */
  readonly sections: readonly string[];
  /** MUST and MUST NOT sentences about drivers. */
  readonly musts: number;
}

export const CHAPTERS: readonly Chapter[] = [
  { name: "virtio-mmio (4.2)", sections: ["4.2"], musts: 27 },
  { name: "core (2.1-2.6, 2.9, 3, 6)", sections: ["2.1", "2.2", "2.4", "2.5", "2.6", "2.9", "3", "6"], musts: 28 },
  { name: "split virtqueues (2.7)", sections: ["2.7"], musts: 21 },
  { name: "packed virtqueues (2.8)", sections: ["2.8"], musts: 16 },
  { name: "network (5.1), accepted features", sections: ["5.1"], musts: 23 },
  { name: "block (5.2)", sections: ["5.2"], musts: 24 },
  { name: "console (5.3)", sections: ["5.3"], musts: 5 },
  { name: "entropy (5.4)", sections: ["5.4"], musts: 2 },
];

/** Rows that answer for more than one sentence: often one that says in general what several say in detail. */
const SENTENCES: Readonly<Record<string, number>> = {
  "mmio-placeholder": 4, // ignore, no error, abort, no other register
  "mmio-start": 3, // magic and version, device id, then as in 3.1
  "mmio-queue-stop": 2, // write, read back
  "mmio-ack": 2, // acknowledge, no undefined bits
  "mmio-isr-read": 2, // read, acknowledge
  "init-sequence": 2, // 2.1.1 and 3.1.1
  "status-failed": 2, // 2.2.1 and 3.1.1
  "features-unknown": 4, // validate, ignore, do not accept, do not fail
  "features-platform": 4, // IOMMU, barriers, SR-IOV twice
  "queue-reset": 2, // verify, configure again
  "ring-barriers": 2,
  "packed-length": 3, // queue size, device's limit, of an indirect table too
  "packed-space": 2,
  "packed-barriers": 2,
  "blk-no-zoned": 11, // ZONED is never negotiated
  "blk-range-segments": 3, // discard, secure erase, write zeroes
  "blk-undefined": 2, // after a discard, after an error
  "console-open": 2,
  "net-mtu": 2, // buffers, frames
  "net-no-gso": 5, // four types, and NONE
  "net-flags": 2, // zero; neither DATA_VALID nor RSC_INFO
  "net-header": 3, // transmit, receive, num_buffers
  "net-header-trust": 4, // unknown flags, csum_start, hdr_len, checksum
  "net-control-features": 3,
};

/** Rows whose sentences are met by not having the feature that they are about; their checks see that it is never accepted. */
const BY_ABSENCE: ReadonlySet<string> = new Set(["blk-no-zoned", "features-platform"]);

/** MUST and MUST NOT sentences that the rows of `chapter` answer for; if wanted, only those met by not having a feature. */
export function countMusts(chapter: Chapter, onlyByAbsence = false): number {
  let count = 0;
  for (const { id, section, strength } of DRIVER_REQUIREMENTS) {
    if (!strength.startsWith("MUST") || !chapter.sections.some((prefix) => isWithin(section, prefix))) continue;
    if (!onlyByAbsence || BY_ABSENCE.has(id)) count += SENTENCES[id] ?? 1;
  }
  return count;
}

function isWithin(section: string, prefix: string): boolean {
  return section === prefix || section.startsWith(`${prefix}.`);
}
