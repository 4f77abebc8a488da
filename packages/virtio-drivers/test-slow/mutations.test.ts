/// <reference types="node" />
import { describe, test } from "vitest";
import { PAIRS, runMutations } from "../test/mutations.ts";

/** For every liar, over all pairs of driver and device. */
const MUTATIONS = 100_000;

describe.each(["driver", "device"] as const)(`the %s lies ${MUTATIONS} times`, (liar) => {
  test.each(PAIRS.map((pair) => [pair.name, pair] as const))("%s", (name, pair) => {
    let steps = 0;
    let faults = 0;
    const share = Math.ceil(MUTATIONS / PAIRS.length);
    for (let done = 0, seed = 1; done < share; done += 1000, seed++) {
      const result = runMutations(pair, liar, Math.min(1000, share - done), seed * 104_729, () => performance.now());
      steps += result.steps;
      faults += result.faults;
    }
    console.log(`${name}: ${share} mutations, ${steps} requests, ${faults} faults noticed`);
  });
});
