/** The tree of the root image is consistent with itself and with the files it names. */
/// <reference types="node" />
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { rootTree } from "../src/root-tree.ts";
import { packageRoot } from "./guest.ts";

test("every source exists, every parent comes first, no path comes twice", () => {
  const seen = new Set(["/"]);
  for (const entry of rootTree) {
    expect(seen.has(dirname(entry.path)), `parent of ${entry.path}`).toBe(true);
    expect(seen.has(entry.path), entry.path).toBe(false);
    seen.add(entry.path);
    if (entry.type === "file") expect(existsSync(join(packageRoot, entry.source)), entry.source).toBe(true);
  }
});

test("the shell, init and the usual tools are there", () => {
  const paths = new Set(rootTree.map((entry) => entry.path));
  for (const path of [
    "/usr/bin/sh",
    "/usr/bin/ls",
    "/usr/bin/[",
    "/usr/sbin/init",
    "/etc/passwd",
    "/proc",
    "/dev",
    "/tmp",
  ])
    expect(paths.has(path), path).toBe(true);
});
