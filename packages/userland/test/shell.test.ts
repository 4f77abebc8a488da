/** The shell's behaviour that has no counterpart to compare with, and robustness. */
import { expect, test } from "vitest";
import { guest, guestShell, inTemporary, missing } from "./guest.ts";

const guestTest = test.skipIf(missing !== undefined);

guestTest("a script on standard input shares it with its commands", () => {
  const script = 'echo one\nread line\nthis is data\necho "got $line"\nhead -n 1\ntail\nexit 5\n';
  const { stdout, status } = inTemporary((cwd) => guest("starrybox", ["sh"], { cwd, input: script }));
  expect(stdout).toMatch(/^one\ngot this is data\n/);
  expect(status).toBe(0);
});

guestTest("an unknown command is named on standard error and gives 127", () => {
  const { stderr, status } = guestShell("nosuchcommand");
  expect(stderr).toBe("sh: nosuchcommand: not found\n");
  expect(status).toBe(127);
});

guestTest("an error in the middle of a script ends it with 2", () => {
  const { stdout, status } = guestShell("echo a\necho b )\necho c");
  expect({ stdout, status }).toEqual({ stdout: "a\n", status: 2 });
});

guestTest("endless recursion ends in a message, not a crash", () => {
  const { stderr, status } = guestShell("f() { f; }; f");
  expect(stderr).toContain("nested too deeply");
  expect(status).toBe(2);
});

guestTest("init -c runs commands and exits with their status", () => {
  const { stdout, status } = guest("starrybox", ["init", "-c", "echo $0 $HOME; exit 3"]);
  expect(stdout).toContain("/root\n");
  expect(status).toBe(3);
});

guestTest("every applet explains itself", () => {
  const names = guest("starrybox", ["--list"]).stdout.trim().split("\n");
  expect(names.length).toBeGreaterThan(100);
  const silent = names.filter(
    (name) =>
      !["test", "[", "echo"].includes(name) &&
      !guest("starrybox", [name, "--help"]).stdout.startsWith(`Usage: ${name} `),
  );
  expect(silent).toEqual([]);
});

guestTest("a regular expression with back-references gives up instead of running for ever", () => {
  const { status } = guestShell(
    "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab | grep -qE '^(a*)*(a*)*\\1\\2c$'",
  );
  expect(status).toBe(1);
});
