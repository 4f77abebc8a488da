/// <reference types="node" />
/** Debian root images, built once for each list of packages and kept in the user's cache. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { cacheDir, createImage } from "./cli/image-create.ts";

/** Path of an ext4 image with `packages` and what they need. Building it takes from half a minute on. */
export function debianImage(
  packages: readonly string[],
  log: (line: string) => void,
  options: { suite?: string | undefined; mirror?: string | undefined } = {},
): string {
  const { suite = "trixie", mirror } = options;
  const names = [...new Set(packages.filter(Boolean))].sort();
  const key = createHash("sha256")
    .update([suite, ...names].join("\n"))
    .digest("hex")
    .slice(0, 16);
  const folder = join(cacheDir(), "images");
  const image = join(folder, `${suite}-${key}.ext4`);
  if (!existsSync(image)) {
    mkdirSync(folder, { recursive: true });
    createImage(image, { debian: names, suite, mirror, log });
  }
  return image;
}
