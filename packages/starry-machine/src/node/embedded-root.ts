/// <reference types="node" />
/** The embedded root image as this package's build left it. */
import { readFileSync } from "node:fs";

/** Bytes for `embeddedRoot`. */
export function embeddedRootImage(): Uint8Array {
  return readFileSync(new URL(import.meta.resolve("starry-machine/root.img")));
}
