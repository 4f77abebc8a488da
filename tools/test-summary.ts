/** vitest reporter that counts tests for tools/run.mjs, which prints the counts as the very last line. */
import { writeFileSync } from "node:fs";
import type { Reporter } from "vitest/node";

export default class TestSummary implements Reporter {
  onTestRunEnd(modules: Parameters<NonNullable<Reporter["onTestRunEnd"]>>[0], errors: readonly unknown[]): void {
    const path = process.env["STARRY_TEST_SUMMARY"];
    if (path === undefined) return;
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      let failedInside = false;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") count.passed++;
        else if (state === "skipped") count.skipped++;
        else {
          count.failed++;
          failedInside = true;
        }
      }
      // A file that could not be loaded, or whose hook failed, has no failed test of its own.
      if (module.state() === "failed" && !failedInside) count.failed++;
    }
    writeFileSync(path, JSON.stringify(count));
  }
}
