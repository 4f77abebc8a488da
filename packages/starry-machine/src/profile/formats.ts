/**
 * Profiles as files: folded stacks (Brendan Gregg's flamegraph.pl, inferno, speedscope) and speedscope's own JSON.
 */
import type { Profile } from "./profiler.ts";

/** Node indices from the outermost frame to `node`. */
function stackOf(profile: Profile, node: number): number[] {
  const out: number[] = [];
  for (let at = node; at >= 0; at = profile.nodeParents[at]) out.push(profile.nodeFrames[at]);
  return out.reverse();
}

/** One line per stack: `thread;outer;inner microseconds`, in alphabetical order. */
export function formatFolded(profile: Profile): string {
  const lines = new Map<string, number>();
  for (const thread of profile.threads) {
    const perNode = new Map<number, number>();
    for (const [n, node] of thread.nodes.entries()) perNode.set(node, (perNode.get(node) ?? 0) + thread.weights[n]);
    for (const [node, weight] of perNode) {
      const names = stackOf(profile, node).map((frame) => profile.frames[frame].name);
      const key = [thread.name, ...names].map((name) => name.replaceAll(";", ":")).join(";");
      lines.set(key, (lines.get(key) ?? 0) + weight);
    }
  }
  return [...lines]
    .map(([key, ns]) => [key, Math.round(ns / 1000)] as const)
    .filter(([, microseconds]) => microseconds > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, microseconds]) => `${key} ${microseconds}\n`)
    .join("");
}

/** https://www.speedscope.app/file-format-schema.json: one sampled profile per thread, in order of time. */
export function formatSpeedscope(profile: Profile, name: string): string {
  const profiles = profile.threads
    .filter((thread) => thread.nodes.length > 0)
    .map((thread) => ({
      type: "sampled",
      name: thread.name,
      unit: "nanoseconds",
      startValue: 0,
      endValue: thread.weights.reduce((sum, weight) => sum + weight, 0),
      samples: thread.nodes.map((node) => stackOf(profile, node)),
      weights: thread.weights,
    }));
  return `${JSON.stringify({
    $schema: "https://www.speedscope.app/file-format-schema.json",
    exporter: "starry",
    name,
    activeProfileIndex: 0,
    shared: { frames: profile.frames.map(({ name, file }) => (file === "" ? { name } : { name, file })) },
    profiles,
  })}\n`;
}
