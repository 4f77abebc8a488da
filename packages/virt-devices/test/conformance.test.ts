import { expect, test } from "vitest";
import { DEVICE_REQUIREMENTS } from "./conformance.ts";

test.each(DEVICE_REQUIREMENTS.map((row) => [row.id, row.strength, row.requirement, row.check] as const))(
  "%s (%s): %s",
  (_id, _strength, _requirement, check) => check(),
);

test("every requirement has its own id", () => {
  expect(new Set(DEVICE_REQUIREMENTS.map((row) => row.id)).size).toBe(DEVICE_REQUIREMENTS.length);
});
