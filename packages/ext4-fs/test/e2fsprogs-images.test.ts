/// <reference types="node" />
/**
 * The damaged images of e2fsprogs' own test suite: none may make us throw or hang, read-only or writing.
 *
 * E2FSPROGS_TESTS names the `tests` directory of an unpacked e2fsprogs source (`apt-get source e2fsprogs`); skipped without it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { MemoryDisk, OverlayDisk } from "blockdev-disk";
import { expect, test } from "vitest";
import { Ext4Error, Ext4FileSystem } from "../src/index.ts";
import { exercise } from "./exercise.ts";

const directory = process.env["E2FSPROGS_TESTS"];
const names =
  directory === undefined ? [] : readdirSync(directory).filter((name) => existsSync(`${directory}/${name}/image.gz`));

test.skipIf(names.length === 0)(
  "e2fsprogs' damaged images give errors, never exceptions",
  () => {
    let mounted = 0;
    for (const name of names) {
      const bytes = new Uint8Array(gunzipSync(readFileSync(`${directory}/${name}/image.gz`)));
      const base = MemoryDisk.over(bytes.subarray(0, Math.max(512, bytes.length - (bytes.length % 512))));
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
