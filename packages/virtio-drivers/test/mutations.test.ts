/// <reference types="node" />
import { describe, expect, test } from "vitest";
import { PAIRS, runMutations } from "./mutations.ts";

describe.each(["driver", "device"] as const)("the %s lies", (liar) => {
  test.each(PAIRS.map((pair) => [pair.name, pair] as const))("%s: no exception, no hang", (_name, pair) => {
    let noticed = 0;
    for (let seed = 1; seed <= 3; seed++) {
      const { steps, faults } = runMutations(pair, liar, 400, seed * 7919, () => performance.now());
      expect(steps).toBeGreaterThan(20);
      noticed += faults;
    }
    expect(noticed).toBeGreaterThan(0);
  });
});
