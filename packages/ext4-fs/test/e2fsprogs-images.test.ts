/// <reference types="node" />
/**
 * The damaged images of e2fsprogs' own test suite: none may make us throw or hang, read-only or writing.
 *
 * From E2FSPROGS_TESTS or the cache (e2fsprogs-source.ts); skipped where there are none.
 */
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { expect, test, vi } from "vitest";
import { Ext4Error, Ext4FileSystem } from "../src/index.ts";
import { e2fsprogsImage, e2fsprogsImages } from "./e2fsprogs-source.ts";
import { exercise } from "./exercise.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

const { directory, names } = e2fsprogsImages({ download: false });

test.skipIf(names.length === 0)(
  "e2fsprogs' damaged images give errors, never exceptions",
  () => {
    let mounted = 0;
    for (const name of names) {
      const base = MemoryDisk.over(e2fsprogsImage(directory, name));
      for (const readOnly of [true, false]) {
        const fs = Ext4FileSystem.mount(new OverlayDisk(base), { readOnly });
        if (fs instanceof Ext4Error) continue;
        mounted++;
        exercise(fs);
      }
    }
    expect(mounted).toBeGreaterThan(names.length / 2);
  },
  300_000,
);
