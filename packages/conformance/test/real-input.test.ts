/// <reference types="node" />
/**
 * What people will type first, typed: our own userland, a Go program from npm, Debian's bash, git, gcc and python, and
 * an image that survives both its own writes and the death of the host process.
 *
 * The Debian tests make their image with `starry image create` (kept in .cache); without apt-get they skip.
 */
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { BASIC_PACKAGES, debianImage, type Found, npmFile } from "./support/images.ts";
import { e2fsck, hasE2fsck, program, scratch, starry, startStarry } from "./support/starry.ts";

const folder = scratch("real-input");

describe("the embedded root", () => {
  test("boot -c runs commands, powers off, and shows a machine of its own", async () => {
    const commands = "uname -sm; mount; ls -l /; cat /proc/cpuinfo; echo $((6*7)) | cat";
    const run = await starry(["boot", "-c", commands]);
    expect(run.stdout).toContain("Linux riscv64");
    expect(run.stdout).toMatch(/^\/dev\/vda on \/ type ext4 \(rw/m);
    expect(run.stdout).toMatch(/^proc on \/proc type proc /m);
    expect(run.stdout).toMatch(/^drwxr-xr-x .* root +root .* .*etc/m);
    expect(run.stdout).toMatch(/^isa\t+: rv64imafdc/m);
    expect(run.stdout.trimEnd()).toMatch(/^42$/m);
    expect(run.status).toBe(0);
  });

  test("boot -c passes the exit status on", async () => {
    expect((await starry(["boot", "-c", "exit 42"])).status).toBe(42);
  });

  test("run passes the exit status on", async () => {
    expect(await starry(["run", "--", "/bin/sh", "-c", "exit 3"])).toMatchObject({ status: 3, stdout: "", stderr: "" });
  });

  test("a program that dies of its own fault gives 128 and the signal's number", async () => {
    const program = fileURLToPath(new URL("../../userland/bin/stack-overflow", import.meta.url));
    expect((await starry(["run", program])).status).toBe(128 + 11);
  });

  test("process 1 does not die of a signal that it sends itself; its child does", async () => {
    const script = "kill -TERM $$; sh -c 'kill -TERM $$'; echo $?";
    expect(await starry(["run", "--", "/bin/sh", "-c", script])).toMatchObject({ status: 0, stdout: "143\n" });
  });

  test("standard input, output and error are the host's, each by itself", async () => {
    const run = await starry(["run", "--", "/bin/sh", "-c", "tr a-z A-Z; echo oops >&2"], { stdin: "some text\n" });
    expect(run).toMatchObject({ status: 0, stdout: "SOME TEXT\n", stderr: "oops\n" });
  });

  test("/dev/stdin, /dev/stdout and /dev/stderr lead to them, and they are pipes", async () => {
    const script = "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr; test -p /proc/self/fd/1 && echo pipe";
    const run = await starry(["run", "--", "/bin/sh", "-c", script], { stdin: "in\n" });
    expect(run).toMatchObject({ status: 0, stdout: "in\nout\npipe\n", stderr: "err\n" });
  });

  test("a megabyte passes through both ways unharmed", async () => {
    const line = "0123456789abcdefghijklmnopqrstuvwxyz\n";
    const stdin = line.repeat(Math.ceil((1 << 20) / line.length));
    const run = await starry(["run", "--", "/bin/cat"], { stdin });
    expect(run.stdout.length).toBe(stdin.length);
    expect(run.stdout === stdin).toBe(true);
  });
});

test("esbuild of npm's riscv64 package runs by its host path", async ({ skip }) => {
  const found = await npmFile("@esbuild/linux-riscv64@0.28.2", "bin/esbuild");
  if ("missing" in found) return skip(report(found.missing));
  expect(await starry(["run", found.path, "--version"])).toMatchObject({ status: 0, stdout: "0.28.2\n" });
  const source = "const add = (first: number, second: number): number => first + second;\nconsole.log(add(1, 2));\n";
  const run = await starry(["run", found.path, "--loader=ts", "--minify-whitespace"], { stdin: source });
  expect(run.stderr).toBe("");
  expect(run.stdout).toBe("const add=(first,second)=>first+second;console.log(add(1,2));\n");
});

describe("Debian's programs on an image made by `starry image create`", () => {
  let image: Found = { missing: "" };
  beforeAll(async () => {
    image = await debianImage(BASIC_PACKAGES);
    if ("missing" in image) report(image.missing);
  }, 1_000_000);

  /** Runs on the image with a throw-away overlay. */
  const debian = (words: readonly string[], skip: (note: string) => never) => {
    if ("missing" in image) return skip(image.missing);
    return starry(["run", "--image", image.path, "--", ...words]);
  };

  test("the image is clean", async ({ skip }) => {
    if ("missing" in image) return skip(image.missing);
    if (!hasE2fsck) return skip(report("no e2fsck"));
    expect(await e2fsck(image.path)).toMatchObject({ status: 0 });
  });

  test("bash loops, pipelines and ps", async ({ skip }) => {
    const script = 'for i in 1 2 3; do echo $i; done | sort -r | tr "\\n" " "; ps aux | head -3';
    const { stdout, stderr, status } = await debian(["bash", "-c", script], skip);
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      /^3 2 1 USER +PID %CPU %MEM +VSZ +RSS TTY +STAT START +TIME COMMAND\nroot +1 .*bash -c for i/,
    );
    expect(status).toBe(0);
  });

  test("gcc -O2 compiles a program that runs", async ({ skip }) => {
    const script =
      'printf "#include <stdio.h>\\nint main(){puts(\\"hello\\");}" >/tmp/h.c && gcc -O2 /tmp/h.c -o /tmp/h && /tmp/h';
    expect(await debian(["bash", "-c", script], skip)).toMatchObject({ status: 0, stdout: "hello\n", stderr: "" });
  });

  test("python forks and waits", async ({ skip }) => {
    const script = "import os,sys; print(os.fork() and os.wait()[1], sys.platform)";
    const run = await debian(["python3", "-c", script], skip);
    expect(run).toMatchObject({ status: 0, stdout: "0 linux\n0 linux\n", stderr: "" });
  });

  test("git commits into an image with --persist; a later run and e2fsck see it", async ({ skip }) => {
    if ("missing" in image) return skip(image.missing);
    const own = await copyOf(image.path, "persist.ext4");
    const persistent = (script: string) => starry(["run", "--image", own, "--persist", "--", "bash", "-c", script]);
    const script =
      "mkdir -p /work && cd /work && git init -q . && echo hi >a && git add a && " +
      "git -c user.name=a -c user.email=a@b commit -qm x && git log --oneline | wc -l";
    expect(await persistent(script)).toMatchObject({ status: 0, stdout: "1\n" });
    if (hasE2fsck) {
      const { status, stderr } = await e2fsck(own);
      expect(status).toBe(0);
      expect(stderr).not.toContain("journal recovery"); // it was unmounted, nothing is left to replay
    }
    const later =
      "cd /work && echo more >>a && git -c user.name=a -c user.email=a@b commit -qam y && git fsck --strict && cat a";
    expect(await persistent(later)).toMatchObject({ status: 0, stdout: "hi\nmore\n" });
    if (hasE2fsck) expect(await e2fsck(own)).toMatchObject({ status: 0 });
    rmSync(own);
  });

  test("without --persist the image does not change", async ({ skip }) => {
    if ("missing" in image) return skip(image.missing);
    const before = (await program("sha256sum", [image.path])).stdout;
    await debian(["bash", "-c", "rm -rf /usr/share; echo x >/etc/passwd; sync"], skip);
    expect((await program("sha256sum", [image.path])).stdout).toBe(before);
  });
});

describe("the host process is killed while the guest writes", () => {
  const ROUNDS = 5;

  test(`${ROUNDS} times: nothing synced is lost, and the file system is clean after the replay`, async ({ skip }) => {
    if (!hasE2fsck) return skip(report("no e2fsck"));
    const image = join(folder, "killed.ext4");
    rmSync(image, { force: true });
    expect((await starry(["run", "--save-overlay", image, "--", "true"])).status).toBe(0);
    const synced: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const wait = Math.floor(Math.random() * 1200);
      const names = await writeUntilKilled(image, round, wait);
      const told = `round ${round}, killed ${wait} ms after the first file`;
      expect(names.length, told).toBeGreaterThan(0);
      synced.push(...names);

      // e2fsprogs replays our journal ...
      const copy = await copyOf(image, "replayed.ext4");
      await program("e2fsck", ["-E", "journal_only", "-p", copy], {
        env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
      });
      const checked = await e2fsck(copy);
      expect(checked.status, `${told}\n${checked.stdout}`).toBe(0);

      // ... and so do we, as part of mounting. Each file holds its own name 100 times.
      const verify =
        'for f in "$@"; do [ "$(sort -u "/data/$f")" = "$f" ] && [ $(wc -l <"/data/$f") = 100 ] || echo "$f"; done';
      const run = await starry(["run", "--image", image, "--persist", "--", "/bin/sh", "-c", verify, "sh", ...synced]);
      expect(run, told).toMatchObject({ status: 0, stdout: "", stderr: "" });
      const after = await e2fsck(image);
      expect(after.status, `${told}\n${after.stdout}`).toBe(0);
    }
    rmSync(image);
    rmSync(join(folder, "replayed.ext4"));
  });

  /** Writes and syncs files, removing and renaming others, until `wait` ms after the first; returns those synced. */
  function writeUntilKilled(image: string, round: number, wait: number): Promise<string[]> {
    const script = `
      mkdir -p /data /churn
      i=0
      while :; do
        i=$((i+1)); name=${round}.$i
        n=0; while [ $n -lt 100 ]; do echo $name; n=$((n+1)); done >/data/tmp
        mv /data/tmp /data/$name
        sync
        echo $name
        cp /bin/sh /churn/$((i%7)); rm -f /churn/$((i%3)); mkdir -p /churn/d$i; rmdir /churn/d$((i-2)) 2>/dev/null
      done`;
    return new Promise((resolve) => {
      const child = startStarry(["run", "--image", image, "--persist", "--", "/bin/sh", "-c", script]);
      let output = "";
      child.stdout!.on("data", (chunk: Buffer) => {
        if (output === "") setTimeout(() => child.kill("SIGKILL"), wait);
        output += chunk.toString();
      });
      // A name is complete when its line is.
      child.on("close", () => resolve(output.split("\n").slice(0, -1)));
    });
  }
});

/** A copy in the scratch folder, holes kept where `cp` can. */
async function copyOf(image: string, name: string): Promise<string> {
  const copy = join(folder, name);
  const done = await program("cp", ["--sparse=always", image, copy]);
  if (done.status !== 0) copyFileSync(image, copy);
  return copy;
}

/** Says on the console why a test is skipped, and returns it. */
function report(reason: string): string {
  console.log(`skipped: ${reason}`);
  return reason;
}
