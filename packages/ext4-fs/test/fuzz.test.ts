/// <reference types="node" />
import { expect, test, vi } from "vitest";
import { fsckProblems, hasE2fsprogs, saveImage, Workspace } from "./e2fsprogs.ts";
import { fuzzOne } from "./fuzz.ts";
import { fuzzBases } from "./fuzz-bases.ts";

vi.setConfig({ testTimeout: 900_000 }); // a busy machine is no failure

test("damaged images: mount, check and repair come back with a value, and what was repaired is clean", () => {
  const bases = fuzzBases();
  const rounds = Math.ceil(300 / bases.length);
  const wrong: string[] = [];
  const work = new Workspace();
  for (let seed = 1; seed <= rounds; seed++) {
    for (const base of bases) {
      const outcome = fuzzOne(base, seed);
      if (outcome.repaired === "corrupt") wrong.push(`${base.name}, seed ${seed}: not repaired`);
      if (!hasE2fsprogs || outcome.repaired === undefined || seed % 4 !== 0) continue;
      saveImage(outcome.disk, work.file("image"));
      const said = fsckProblems(work.file("image"));
      if (said !== undefined) wrong.push(`${base.name}, seed ${seed}: ${said}`);
    }
  }
  work.remove();
  expect(wrong).toEqual([]);
});
