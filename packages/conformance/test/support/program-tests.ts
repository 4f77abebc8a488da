/** One vitest test for each case; all of them run in one machine, booted once. */
import { beforeAll, expect, test } from "vitest";
import { debianImage, type Found } from "./images.ts";
import { type Case, runAll, runUnderQemu } from "./programs.ts";
import { hasProgram } from "./starry.ts";

export function programTests(packages: string, cases: readonly Case[], name: string): void {
  const hasQemu = hasProgram("qemu-riscv64");
  let image: Found = { missing: "" };
  let ours = new Map<string, string>();

  beforeAll(async () => {
    image = await debianImage(packages);
    if ("missing" in image) console.log(`skipped: ${image.missing}`);
    else ours = await runAll(image.path, cases, name);
  }, 2_500_000);

  for (const each of cases) {
    test(each.name, async ({ skip }) => {
      if ("missing" in image) return skip(image.missing);
      const got = ours.get(each.name);
      if (each.expect instanceof RegExp) expect(got).toMatch(each.expect);
      else if (each.expect !== undefined) expect(got).toBe(each.expect);
      else if (hasQemu) expect(got).toBe(await runUnderQemu(image.path, each));
      else return skip("no qemu-riscv64 to compare with");
    });
  }
}
