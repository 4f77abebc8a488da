/// <reference types="node" />
/**
 * Typing at the machine on a real terminal: line editing and job control in our shell and in bash as process 1, and in
 * the slow tests full-screen programs. Needs python3 for the host's side of the pty.
 */
import { describe, expect, test } from "vitest";
import { BASIC_PACKAGES, debianImage } from "./support/images.ts";
import { hasProgram } from "./support/starry.ts";
import { PROMPT, type Step, typeAt } from "./support/terminal.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const CTRL_Z = "\u001a";

const SESSION: readonly Step[] = [
  ["expect", PROMPT],
  ["send", "stty size\r"],
  ["expect", "30 100"],
  ["expect", PROMPT],
  ["send", "sleep 100\r"],
  ["pause", 0.5],
  ["send", CTRL_C],
  ["expect", PROMPT],
  ["send", "echo st=$?\r"],
  ["expect", "st=130"],
  ["expect", PROMPT],
  ["send", "sleep 100\r"],
  ["pause", 0.5],
  ["send", CTRL_Z],
  ["expect", "(?i)stopped"],
  ["send", "jobs\r"],
  ["expect", "(?i)stopped.*sleep"],
  ["send", "bg\r"],
  ["expect", "&"],
  ["send", "jobs\r"],
  ["expect", "(?i)running"],
  ["send", "fg\r"],
  ["expect", "sleep 100"],
  ["pause", 0.5],
  ["send", CTRL_C],
  ["expect", PROMPT],
  ["size", [40, 120]],
  ["pause", 1], // the host tells of the new size by itself, after what is typed before that
  ["send", "stty size\r"],
  ["expect", "40 120"],
  ["expect", PROMPT],
  ["send", "echo twp\u007fo words\r"],
  ["expect", "[\\r\\n]two words"],
  ["expect", PROMPT],
  ["send", "cat\r"],
  ["pause", 0.5],
  ["send", "abc\r"],
  ["expect", "abc\\s+abc"],
  ["send", CTRL_D],
  ["expect", PROMPT],
  ["send", "exit 7\r"],
];

describe.skipIf(!hasProgram("python3"))("a terminal", () => {
  test("boot: our shell's prompt, window size, ^C, ^Z, bg, fg, erase, end of file, exit", async () => {
    const { failed, status, output } = await typeAt(["boot"], SESSION);
    expect(failed, output).toBeNull();
    expect(status).toBe(7);
  });

  test("Ctrl-A X leaves the machine", async () => {
    const { failed, output, status } = await typeAt(
      ["boot"],
      [
        ["expect", PROMPT],
        ["send", "\u0001x"],
      ],
    );
    expect(failed, output).toBeNull();
    expect(status).not.toBeNull();
  });

  test("bash as process 1 has job control too", async ({ skip }) => {
    const image = await debianImage(BASIC_PACKAGES);
    if ("missing" in image) return skip(image.missing);
    const words = ["run", "--image", image.path, "--", "bash", "--norc", "-i"];
    const { failed, status, output } = await typeAt(words, SESSION);
    expect(failed, output).toBeNull();
    expect(status).toBe(7);
  }, 1_000_000);
});
