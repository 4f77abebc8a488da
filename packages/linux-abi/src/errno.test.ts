import { expect, test } from "vitest";
import { ENOENT, errnoMessage, errnoName } from "./errno.ts";

test("an error number is named and explained, negated or not", () => {
  expect(errnoName(-ENOENT)).toBe("ENOENT");
  expect(errnoMessage(ENOENT)).toBe("No such file or directory");
  expect(errnoName(999)).toBe("errno 999");
});
