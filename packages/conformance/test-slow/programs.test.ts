/// <reference types="node" />
/** Many more of Debian's programs: compressors, build tools, languages, servers on the loopback, full-screen programs. */
import { describe, expect, test } from "vitest";
import { debianImage, WIDE_PACKAGES } from "../test/support/images.ts";
import { programTests } from "../test/support/program-tests.ts";
import { hasProgram } from "../test/support/starry.ts";
import { PROMPT, type Step, typeAt } from "../test/support/terminal.ts";
import { WIDE_CASES } from "./wide-cases.ts";

describe("Debian's programs", () => programTests(WIDE_PACKAGES, WIDE_CASES, "wide"));

describe.skipIf(!hasProgram("python3"))("full-screen and interactive programs", () => {
  const sessions: Readonly<Record<string, readonly Step[]>> = {
    vi: [
      ["send", "vi /tmp/f\r"],
      ["pause", 2],
      ["send", "ihello from vi\u001b:wq\r"],
      ["expect", PROMPT],
      ["send", "cat /tmp/f\r"],
      ["expect", "hello from vi\r"],
    ],
    nano: [
      ["send", "nano /tmp/g\r"],
      ["pause", 2],
      ["send", "hello from nano\u000f\r"],
      ["pause", 1],
      ["send", "\u0018"],
      ["expect", PROMPT],
      ["send", "cat /tmp/g\r"],
      ["expect", "hello from nano\r"],
    ],
    less: [
      ["send", "less /etc/passwd\r"],
      ["expect", "root:x:0:0"],
      ["send", "G"],
      ["pause", 1],
      ["send", "q"],
    ],
    top: [
      ["send", "top -d 0.5\r"],
      ["expect", "load average"],
      ["expect", "PID USER"],
      ["pause", 2],
      ["send", "q"],
    ],
    htop: [
      ["send", "htop\r"],
      ["expect", "Tasks"],
      ["pause", 2],
      ["send", "q"],
    ],
    tmux: [
      ["send", "tmux\r"],
      ["expect", "\\[0\\]"],
      ["send", "echo in$((1+1))tmux\r"],
      ["expect", "in2tmux"],
      ["pause", 1],
      ["send", "\u0002d"],
      ["expect", "detached"],
      ["send", "tmux ls\r"],
      ["expect", "1 windows"],
      ["send", "tmux kill-server\r"],
    ],
    screen: [
      ["send", "screen\r"],
      ["pause", 2],
      ["send", "\r"],
      ["pause", 1],
      ["send", "echo in$((1+1))screen\r"],
      ["expect", "in2screen"],
      ["send", "exit\r"],
      ["expect", "terminating"],
    ],
    python3: [
      ["send", "python3\r"],
      ["expect", ">>> "],
      ["send", "1+41\r"],
      ["expect", "42"],
      ["send", "\u0004"],
    ],
    sqlite3: [
      ["send", "sqlite3\r"],
      ["expect", "sqlite> "],
      ["send", "select 6*7;\r"],
      ["expect", "42"],
      ["send", "\u0004"],
    ],
    watch: [
      ["send", "watch -n 1 cat /proc/uptime\r"],
      ["expect", "Every 1"],
      ["pause", 2],
      ["send", "\u0003"],
    ],
  };
  for (const [name, steps] of Object.entries(sessions)) {
    test(name, async ({ skip }) => {
      const image = await debianImage(WIDE_PACKAGES);
      if ("missing" in image) return skip(image.missing);
      const all: Step[] = [["expect", PROMPT], ...steps, ["expect", PROMPT], ["send", "exit 7\r"]];
      const { failed, status, output } = await typeAt(
        ["run", "--image", image.path, "--", "bash", "--norc", "-i"],
        all,
      );
      expect(failed, output).toBeNull();
      expect(status).toBe(7);
    });
  }
});
