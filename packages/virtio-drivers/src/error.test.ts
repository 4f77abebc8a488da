import { expect, test } from "vitest";
import * as errors from "./error.ts";

const codes = Object.entries(errors).filter(([name]) => name.startsWith("ERR_")) as [string, number][];

test("every error has a number of its own below the errnos, a description and an errno", () => {
  expect(new Set(codes.map(([, code]) => code)).size).toBe(codes.length);
  for (const [, code] of codes) {
    expect(code).toBeLessThan(-4095);
    expect(errors.isVirtioError(code)).toBe(true);
    expect(errors.describeVirtioError(code)).toMatch(/^\w+: .+/);
    expect(errors.toErrno(code)).toBeGreaterThanOrEqual(-4095);
    expect(errors.toErrno(code)).toBeLessThan(0);
  }
  expect(errors.describeVirtioError(errors.ERR_IO)).toBe("IoError: the device reported an I/O error");
  expect(errors.toErrno(errors.ERR_READ_ONLY)).toBe(-30);
});

test("results that are no errors pass through", () => {
  expect(errors.toErrno(7)).toBe(7);
  expect(errors.isVirtioError({})).toBe(false);
  expect(errors.unwrap({ a: 1 })).toEqual({ a: 1 });
  expect(() => errors.unwrap(errors.ERR_DMA)).toThrow("DmaError");
  expect(errors.describeVirtioError(-1)).toBe("error -1");
  expect(errors.toErrno(-1)).toBe(-5);
});
