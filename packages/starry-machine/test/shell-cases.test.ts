/// <reference types="node" />
// userland's shell cases inside the whole machine: our shell on our kernel and ext4 against the host's shell and tools.
import { OverlayDisk } from "blockdev-disk";
import { hostShell, readCases } from "userland/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rootDisk } from "../scripts/root-disk.ts";
import { Machine } from "../src/machine.ts";

const ENV = { HOME: "/root", LC_ALL: "C", TZ: "UTC", TERM: "dumb", USER: "root", LOGNAME: "root", PATH: "/usr/bin" };

let machine: Machine;
beforeAll(async () => {
  machine = await Machine.create({
    memory: "128M",
    disks: [new OverlayDisk(rootDisk())],
    init: { path: "/bin/sleep", argv: ["sleep", "100000"] },
  });
});
afterAll(async () => {
  machine.stop();
  await machine.exited;
});

for (const [index, { file, name, script, shell, skipped }] of readCases().entries()) {
  test.skipIf(skipped !== undefined)(`${file}: ${name}`, async () => {
    const expected = hostShell(script, shell);
    const cwd = `/root/case${index}`; // on ext4, a fresh folder for each
    machine.fs.mkdir(cwd);
    const { exitCode, stdout } = await machine.exec(["/bin/sh", "-c", script], { cwd, env: ENV, timeout: 30_000 });
    // The host's output comes as bytes in latin1, the machine's as UTF-8 text.
    expect(stdout).toBe(Buffer.from(expected.stdout, "latin1").toString("utf8"));
    expect(exitCode).toBe(expected.status);
    machine.fs.rm(cwd, { recursive: true });
  });
}
