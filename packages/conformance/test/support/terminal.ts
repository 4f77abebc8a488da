/// <reference types="node" />
/** The starry command on a pty; terminal.py beside this file drives it. */
import { fileURLToPath } from "node:url";
import { program, STARRY } from "./starry.ts";

/** ["expect", PYTHON REGEX] waits for output after what was matched before; the others act. */
export type Step =
  | readonly ["expect", string]
  | readonly ["send", string]
  | readonly ["pause", number]
  | readonly ["size", readonly [rows: number, columns: number]];

export interface Session {
  /** The expectation that was not met, or null. */
  readonly failed: Step | null;
  /** Exit status; null when the program had to be killed. */
  readonly status: number | null;
  readonly output: string;
}

/** End of a shell's prompt. */
export const PROMPT = "[#$] $";

/** Runs `starry WORDS` on a terminal of 30 rows and 100 columns. */
export async function typeAt(words: readonly string[], steps: readonly Step[]): Promise<Session> {
  const driver = fileURLToPath(new URL("terminal.py", import.meta.url));
  const run = await program("python3", [driver, "30", "100", "40", process.execPath, ...STARRY, ...words], {
    stdin: JSON.stringify(steps),
    timeout: 300_000,
    env: { TERM: "xterm" },
  });
  if (run.stdout === "") throw new Error(run.stderr);
  return JSON.parse(run.stdout) as Session;
}
