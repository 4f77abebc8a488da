import { expect, test } from "vitest";
import { DRIVER_REQUIREMENTS } from "./conformance.ts";

test.each(DRIVER_REQUIREMENTS.map((row) => [row.id, row.strength, row.requirement, row.check] as const))(
  "%s (%s): %s",
  (_id, _strength, _requirement, check) => check(),
);

test("every requirement has its own id", () => {
  expect(new Set(DRIVER_REQUIREMENTS.map((row) => row.id)).size).toBe(DRIVER_REQUIREMENTS.length);
});
