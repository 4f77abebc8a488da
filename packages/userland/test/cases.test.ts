/** Every case of test/cases gives the same output and exit status with our tools as with the host's. */
import { expect, test } from "vitest";
import { guestShell, hostShell, readCases } from "./guest.ts";

for (const { file, name, shell, script, skipped } of readCases()) {
  test.skipIf(skipped !== undefined)(`${file}: ${name}`, () => {
    const ours = guestShell(script);
    const theirs = hostShell(script, shell);
    expect({ stdout: ours.stdout, status: ours.status }, `stderr of ours:\n${ours.stderr}`).toEqual({
      stdout: theirs.stdout,
      status: theirs.status,
    });
  });
}
