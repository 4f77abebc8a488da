/// <reference types="node" />
/**
 * isomorphic-git, a user of the facade that none of us wrote: repositories made and cloned inside an ext4 volume, checked by the
 * real git after they have been copied out, and the volume by e2fsck.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileDisk } from "blockdev-disk/node";
import { mkfs } from "ext4-fs";
import { type Ext4Promises, mount } from "ext4-fs/promises";
import git, { type GitHttpRequest, type GitHttpResponse } from "isomorphic-git";
import { afterAll, describe, expect, test } from "vitest";

const directory = mkdtempSync(join(tmpdir(), "ext4-git-"));
afterAll(() => rmSync(directory, { recursive: true }));

const hasGit = spawnSync("git", ["--version"]).status === 0;
if (!hasGit) console.log("skipped: isomorphic-git against git (git is not installed)");
const hasE2fsck = spawnSync("e2fsck", ["-V"]).error === undefined;
if (!hasE2fsck) console.log("skipped: e2fsck of the volume that isomorphic-git worked on (not installed)");

const author = { name: "A. Nonymous", email: "a@example.org", timestamp: 1_700_000_000, timezoneOffset: 0 };
const ENV = {
  ...process.env,
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_AUTHOR_NAME: author.name,
  GIT_AUTHOR_EMAIL: author.email,
  GIT_COMMITTER_NAME: author.name,
  GIT_COMMITTER_EMAIL: author.email,
};

function realGit(cwd: string, args: readonly string[], input?: Uint8Array): Buffer {
  const result = spawnSync("git", ["-c", "safe.directory=*", ...args], {
    cwd,
    env: ENV,
    ...(input === undefined ? {} : { input }),
  });
  if (result.status !== 0) throw new Error(`git ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}
const gitText = (cwd: string, ...args: string[]): string => realGit(cwd, args).toString();

/** A server without a network: git's own upload-pack answers. */
const http = {
  async request({ url, method, body }: GitHttpRequest): Promise<GitHttpResponse> {
    const repository = join(directory, "origin");
    let answer: Buffer;
    if (method === "GET") {
      const refs = realGit(directory, ["upload-pack", "--stateless-rpc", "--advertise-refs", repository]);
      answer = Buffer.concat([Buffer.from("001e# service=git-upload-pack\n0000"), refs]);
    } else {
      const parts: Uint8Array[] = [];
      for await (const part of body ?? []) parts.push(part);
      answer = realGit(directory, ["upload-pack", "--stateless-rpc", repository], Buffer.concat(parts));
    }
    const service = method === "GET" ? "advertisement" : "result";
    return {
      url,
      method: method ?? "GET",
      headers: { "content-type": `application/x-git-upload-pack-${service}` },
      body: (async function* () {
        yield new Uint8Array(answer);
      })(),
      statusCode: 200,
      statusMessage: "OK",
    };
  },
};

/** Copies a tree out of the volume. */
async function exportTree(fs: Ext4Promises, from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  for (const entry of await fs.readdir(from, { withFileTypes: true, recursive: true })) {
    const path = `${entry.parentPath}/${entry.name}`;
    const target = join(to, path.slice(from.length));
    if (entry.isDirectory()) mkdirSync(target, { recursive: true });
    else if (entry.isSymbolicLink()) symlinkSync(await fs.readlink(path), target);
    else {
      writeFileSync(target, await fs.readFile(path));
      chmodSync(target, (await fs.stat(path)).mode & 0o777);
    }
  }
}

describe.skipIf(!hasGit)("isomorphic-git in an ext4 volume", () => {
  const image = join(directory, "disk.img");
  let clock = 1_700_000_000;

  async function inVolume(use: (fs: Ext4Promises) => Promise<void>): Promise<void> {
    const disk = new FileDisk(image, { create: true, size: 64 << 20 });
    if (clock === 1_700_000_000)
      mkfs(disk, { uuid: "0d15ea5e-0000-4000-8000-000000000006", assumeStoragePrezeroed: true });
    {
      await using fs = await mount(disk, { now: () => ({ sec: clock++, nsec: 0 }) });
      await use(fs);
    }
    disk.close();
    if (hasE2fsck) expect(spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" }).stdout).toMatch(/files \(/);
    if (hasE2fsck) expect(spawnSync("e2fsck", ["-fn", image]).status).toBe(0);
  }

  test("init, add, commit, branch, checkout, status: git finds nothing wrong", async () => {
    await inVolume(async (fs) => {
      const repo = { fs: { promises: fs }, dir: "/repo" };
      await fs.mkdir("/repo");
      await git.init({ ...repo, defaultBranch: "main" });
      for (let i = 0; i < 60; i++) {
        await fs.mkdir(`/repo/d${i % 6}`, { recursive: true });
        await fs.writeFile(`/repo/d${i % 6}/f${i}`, `line ${i}\n`.repeat(i * 20));
      }
      await fs.symlink("d1/f1", "/repo/link");
      await fs.writeFile("/repo/run.sh", "#!/bin/sh\n", { mode: 0o755 });
      await git.add({ ...repo, filepath: "." });
      const first = await git.commit({ ...repo, message: "first", author });
      await git.branch({ ...repo, ref: "side", checkout: true });
      await fs.rm("/repo/d0", { recursive: true });
      await fs.writeFile("/repo/d1/f1", "changed\n");
      for (const [path, , worktree] of await git.statusMatrix(repo)) {
        if (worktree === 0) await git.remove({ ...repo, filepath: path });
        else await git.add({ ...repo, filepath: path });
      }
      await git.commit({ ...repo, message: "second", author });
      expect((await git.log(repo)).map((entry) => entry.commit.message.trim())).toEqual(["second", "first"]);
      await git.checkout({ ...repo, ref: "main" });
      expect(await fs.readFile("/repo/d1/f1", "utf8")).toContain("line 1\n");
      expect(
        (await git.statusMatrix(repo)).filter(([, head, work, stage]) => head !== 1 || work !== 1 || stage !== 1),
      ).toEqual([]);
      await exportTree(fs, "/repo", join(directory, "out"));
      expect(gitText(join(directory, "out"), "rev-parse", "HEAD").trim()).toBe(first);
    });
    const out = join(directory, "out");
    expect(gitText(out, "fsck", "--full", "--strict")).not.toMatch(/error|missing|corrupt/);
    expect(gitText(out, "status", "--porcelain")).toBe("");
    expect(gitText(out, "log", "--format=%s", "side")).toBe("second\nfirst\n");
    expect(gitText(out, "ls-files", "-s", "run.sh", "link")).toMatch(/^120000 .*link\n100755 .*run.sh\n$/);
  });

  test("a clone of a pack that git made is what git has", async () => {
    const origin = join(directory, "origin");
    mkdirSync(origin);
    gitText(origin, "init", "-q", "-b", "main");
    for (let commit = 0; commit < 5; commit++) {
      for (let i = 0; i < 40; i++) writeFileSync(join(origin, `f${i}`), `${commit} ${i}\n`.repeat(200));
      gitText(origin, "add", ".");
      gitText(origin, "commit", "-q", "-m", `commit ${commit}`);
    }
    gitText(origin, "gc", "-q");
    await inVolume(async (fs) => {
      await git.clone({ fs: { promises: fs }, http, dir: "/clone", url: "http://localhost/origin" });
      expect((await git.log({ fs: { promises: fs }, dir: "/clone" })).length).toBe(5);
      expect(await fs.readdir("/repo")).toContain("run.sh"); // of the first test: the volume was mounted again
      await exportTree(fs, "/clone", join(directory, "cloned"));
    });
    const cloned = join(directory, "cloned");
    expect(gitText(cloned, "fsck", "--full", "--strict")).not.toMatch(/error|missing|corrupt/);
    expect(gitText(cloned, "status", "--porcelain")).toBe("");
    expect(gitText(cloned, "rev-parse", "HEAD")).toBe(gitText(origin, "rev-parse", "HEAD"));
  });
});
