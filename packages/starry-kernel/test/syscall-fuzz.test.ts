import { expect, test } from "vitest";
import { fuzzSyscalls } from "./syscall-fuzz.ts";

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`arbitrary arguments never reach a host exception (seed ${seed})`, { timeout: 60_000 }, () => {
    let successes = 0;
    fuzzSyscalls(seed, 1500, (_nr, result) => {
      if (result >= 0) successes++;
    });
    expect(successes).toBeGreaterThan(100);
  });
}
