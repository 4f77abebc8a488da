/// <reference types="node" />
/**
 * Settings of V8 for a process of our own, which runs little else than compiled guest code. A library must not touch
 * them; without them everything works, only slower.
 */
import { setFlagsFromString } from "node:v8";

/** The last major version of Node whose V8 is known to have these settings; later ones may complain about them. */
const LAST_KNOWN = 24;
const FLAGS = [
  // Node 20 optimises a function after 1.8 million bytes of executed code, later ones after 13 million: for code that
  // costs more to optimise than it will ever execute, as much of a guest's does.
  "--wasm-tiering-budget=25000000",
  // Cold arms out of the way: memory loops are 1.3 to 1.8 times as fast.
  "--experimental-wasm-branch-hinting",
];
/** V8 optimises JavaScript in many short steps, too early for a program that lives a second: a tenth of all its work. */
const MAGLEV_SINCE = 22;
const MAGLEV_FLAGS = ["--invocation-count-for-maglev=2000", "--invocation-count-for-turbofan=60000"];

/** Call before the first module is compiled; calling it again changes nothing. */
export function tuneEngine(): void {
  const version = Number.parseInt(process.versions.node, 10);
  if (version > LAST_KNOWN) return;
  for (const flag of version >= MAGLEV_SINCE ? [...FLAGS, ...MAGLEV_FLAGS] : FLAGS) setFlagsFromString(flag);
}
