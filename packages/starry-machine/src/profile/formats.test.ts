import { expect, test } from "vitest";
import { formatFolded, formatSpeedscope } from "./formats.ts";
import type { Profile } from "./profiler.ts";

// main calls work; work spends 3 µs of its own and 5 µs in write(2), in two samples.
const profile: Profile = {
  frames: [
    { name: "main", file: "/bin/a" },
    { name: "work;1", file: "/bin/a" },
    { name: "[k] write", file: "" },
  ],
  nodeFrames: [0, 1, 2],
  nodeParents: [-1, 0, 1],
  threads: [
    { name: "a (1)", nodes: [1, 2, 2], weights: [3000, 1000, 4000] },
    { name: "idle (2)", nodes: [], weights: [] },
  ],
};

test("folded stacks: one line per stack with microseconds, semicolons only between frames", () => {
  expect(formatFolded(profile)).toBe("a (1);main;work:1 3\na (1);main;work:1;[k] write 5\n");
});

test("speedscope: a sampled profile per thread that has samples, in order of time", () => {
  const json = JSON.parse(formatSpeedscope(profile, "test"));
  expect(json.shared.frames).toEqual([
    { name: "main", file: "/bin/a" },
    { name: "work;1", file: "/bin/a" },
    { name: "[k] write" },
  ]);
  expect(json.profiles).toEqual([
    {
      type: "sampled",
      name: "a (1)",
      unit: "nanoseconds",
      startValue: 0,
      endValue: 8000,
      samples: [
        [0, 1],
        [0, 1, 2],
        [0, 1, 2],
      ],
      weights: [3000, 1000, 4000],
    },
  ]);
});
