/// <reference types="node" />
/** At least EXT4_FUZZ_IMAGES (default 100,000) damaged images, from EXT4_FUZZ_SEED (default 10,000) on; every fiftieth repair goes to e2fsck. */
import { expect, test } from "vitest";
import { fsckProblems, hasE2fsprogs, saveImage, Workspace } from "../test/e2fsprogs.ts";
import { fuzzOne } from "../test/fuzz.ts";
import { fuzzBases } from "../test/fuzz-bases.ts";

const images = Number(process.env["EXT4_FUZZ_IMAGES"] ?? 100_000);
const firstSeed = Number(process.env["EXT4_FUZZ_SEED"] ?? 10_000);
/** CPU seconds for one image, all that is done with it; more is a hang. */
const MOST_SECONDS = 20;

test("damaged images by the thousand", { timeout: 4 * 3600_000 }, () => {
  const bases = fuzzBases();
  const wrong: string[] = [];
  const work = new Workspace();
  let done = 0;
  for (let seed = firstSeed; done < images && wrong.length < 20; seed++) {
    for (const base of bases) {
      const before = process.cpuUsage();
      const outcome = fuzzOne(base, seed);
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1e6 > MOST_SECONDS) wrong.push(`${base.name}, seed ${seed}: ${(user + system) / 1e6} s`);
      if (outcome.repaired === "corrupt") wrong.push(`${base.name}, seed ${seed}: not repaired`);
      if (done++ % 50 !== 0 || !hasE2fsprogs || outcome.repaired === undefined) continue;
      saveImage(outcome.disk, work.file("image"));
      const said = fsckProblems(work.file("image"));
      if (said !== undefined) wrong.push(`${base.name}, seed ${seed}: ${said}`);
    }
  }
  work.remove();
  process.stderr.write(`${done} damaged images\n`);
  expect(wrong).toEqual([]);
});
