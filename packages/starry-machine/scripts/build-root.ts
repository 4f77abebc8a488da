/// <reference types="node" />
// Writes dist/root.img, the embedded root file system.
import { mkdirSync, writeFileSync } from "node:fs";
import { rootDisk } from "./root-disk.ts";

const target = new URL("../dist/root.img", import.meta.url);
mkdirSync(new URL(".", target), { recursive: true });
writeFileSync(target, rootDisk().save());
