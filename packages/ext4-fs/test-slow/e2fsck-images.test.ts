/// <reference types="node" />
import { expect, test } from "vitest";
import { disagreements } from "../test/e2fsck-images.ts";
import { hasE2fsprogs } from "../test/e2fsprogs.ts";
import { e2fsprogsImages } from "../test/e2fsprogs-source.ts";

const { directory, names } = hasE2fsprogs ? e2fsprogsImages({ download: true }) : { directory: "", names: [] };

test.skipIf(names.length === 0)(
  "e2fsprogs' damaged images: e2fsck's verdict, and e2fsck finds nothing after our repair",
  () => {
    expect(names.length).toBeGreaterThan(200);
    expect(disagreements(directory, names)).toEqual([]);
  },
);
