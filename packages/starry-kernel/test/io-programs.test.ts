/// <reference types="node" />
/**
 * C programs that check pipes, polling, sockets, terminals and System V IPC from the inside (test/programs/*.c). Their expectations were
 * confirmed on Linux. They need Debian's gcc-riscv64-linux-gnu; without it the tests are skipped.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { installIpc } from "../src/ipc/install.ts";
import { installSockets } from "../src/net/install.ts";
import { installTerminals } from "../src/tty/install.ts";
import { TestMachine } from "./test-machine.ts";

const COMPILER = "riscv64-linux-gnu-gcc";
const SOURCES = fileURLToPath(new URL("programs/", import.meta.url));
const hasCompiler = spawnSync(COMPILER, ["--version"]).status === 0;
const out = hasCompiler ? mkdtempSync(join(tmpdir(), "starry-io-")) : "";

function compile(name: string): Uint8Array {
  const target = join(out, name);
  execFileSync(COMPILER, ["-O1", "-w", "-static", "-pthread", "-o", target, join(SOURCES, `${name}.c`)]);
  return readFileSync(target);
}

for (const [name, checks] of [
  ["polling", 62],
  ["sockets", 56],
  ["ipc", 44],
  ["terminals", 37],
] as const) {
  test.skipIf(!hasCompiler)(`${name}: all checks of the program hold`, { timeout: 60_000 }, () => {
    const machine = new TestMachine();
    installTerminals(machine.kernel);
    installSockets(machine.kernel);
    installIpc(machine.kernel);
    machine.addFile("/bin/prog", compile(name), 0o755);
    const status = machine.run(["/bin/prog"]);
    const lines = machine.output.trimEnd().split("\n");
    expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([]);
    expect(status).toBe(0);
    expect(lines.length).toBeGreaterThanOrEqual(checks);
  });
}
