/**
 * One run for the whole workspace. The `source` condition makes a package that imports another one read its src/*.ts.
 * `vitest run` leaves out test-slow/ folders; `vitest run --mode slow` (pnpm test:slow) runs only those, and the power failures of
 * ext4-fs with ten times the moments.
 */
import { defineConfig } from "vitest/config";

const conditions = ["source", "module", "node", "import", "default"];
const roots = "{packages,examples}/*";

export default defineConfig(({ mode }) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include:
      mode === "slow"
        ? [`${roots}/test-slow/**/*.test.ts`, "packages/ext4-fs/test/crash.test.ts"]
        : mode === "bench"
          ? [`${roots}/bench/**/*.bench.ts`]
          : [`${roots}/{src,test,tests}/**/*.test.ts`, "examples/*/*.test.ts", "tools/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    env: mode === "slow" ? { EXT4_CRASH_POINTS: process.env.EXT4_CRASH_POINTS ?? "300" } : {},
    // Processes rather than threads: a test that takes its host down (huge memories, runaway wasm) takes only its own.
    pool: "forks",
    maxWorkers: 2,
    isolate: false,
    testTimeout: mode === "test" ? 60_000 : 900_000,
    hookTimeout: mode === "test" ? 120_000 : 900_000,
    reporters: ["default", "./tools/test-summary.ts"],
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["**/*.test.ts", "**/*.gen.ts"],
      reporter: ["text-summary", "json-summary"],
    },
  },
}));
