/// <reference types="node" />
import { expect, test, vi } from "vitest";
import { hasE2fsprogs } from "./e2fsprogs.ts";
import { disagreements } from "./e2fsck-images.ts";
import { e2fsprogsImages } from "./e2fsprogs-source.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const { directory, names } = hasE2fsprogs ? e2fsprogsImages({ download: false }) : { directory: "", names: [] };
const some = names.filter((_, i) => i % 8 === 0);

test.skipIf(some.length === 0)(
  "every eighth of e2fsprogs' damaged images: e2fsck's verdict, and e2fsck finds nothing after our repair",
  () => expect(disagreements(directory, some)).toEqual([]),
  120_000,
);
