import { expect, test } from "vitest";
import { CHAPTERS, countMusts, DEVICE_REQUIREMENTS } from "./must-count.ts";

test.each(DEVICE_REQUIREMENTS.map((row) => [row.id, row.strength, row.requirement, row.check] as const))(
  "%s (%s): %s",
  (_id, _strength, _requirement, check) => check(),
);

test("every requirement has its own id", () => {
  expect(new Set(DEVICE_REQUIREMENTS.map((row) => row.id)).size).toBe(DEVICE_REQUIREMENTS.length);
});

test.each(CHAPTERS.map((chapter) => [chapter.name, chapter] as const))(
  "every MUST and MUST NOT of a device in %s has a check",
  (_name, chapter) => {
    expect(countMusts(chapter)).toBe(chapter.musts);
  },
);
