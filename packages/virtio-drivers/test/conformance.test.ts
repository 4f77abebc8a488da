import { expect, test } from "vitest";
import { CHAPTERS, countMusts, DRIVER_REQUIREMENTS } from "./must-count.ts";

test.each(DRIVER_REQUIREMENTS.map((row) => [row.id, row.strength, row.requirement, row.check] as const))(
  "%s (%s): %s",
  (_id, _strength, _requirement, check) => check(),
);

test("every requirement has its own id", () => {
  expect(new Set(DRIVER_REQUIREMENTS.map((row) => row.id)).size).toBe(DRIVER_REQUIREMENTS.length);
});

test.each(CHAPTERS.map((chapter) => [chapter.name, chapter] as const))(
  "every MUST and MUST NOT of a driver in %s has a check",
  (_name, chapter) => {
    expect(countMusts(chapter)).toBe(chapter.musts);
  },
);
