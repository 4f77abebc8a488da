/// <reference types="node" />
/** The `starry` command that benchmarks measure: the built one (bin/starry.cjs) when there is one, as users run it. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { STARRY } from "../test/support/starry.ts";

const BUILT = fileURLToPath(new URL("../../starry-machine/bin/starry.cjs", import.meta.url));
const isBuilt = existsSync(new URL("../../starry-machine/dist/node/cli.cjs", import.meta.url));

/** Arguments for `node` that make it the command; the command's own words follow. */
export const COMMAND: readonly string[] = isBuilt ? ["--no-warnings", BUILT] : STARRY;
if (!isBuilt) console.log("no build: measuring on the sources, whose start takes longer (pnpm build)");
