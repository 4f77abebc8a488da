/// <reference types="node" />
/**
 * The damaged images of e2fsprogs' own tests. They are not ours to keep here: E2FSPROGS_TESTS names the `tests` directory of an unpacked
 * source; without it, apt-get fetches the source package on Debian into the user's cache; elsewhere there are none, and a line says why.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const CACHE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "starry", "e2fsprogs-tests");

/** Names of the images there are, or none. */
export function e2fsprogsImages(options: { readonly download: boolean }): { directory: string; names: string[] } {
  const directory = process.env["E2FSPROGS_TESTS"] ?? cached(options.download);
  if (directory === undefined) return { directory: "", names: [] };
  return { directory, names: readdirSync(directory).filter((name) => existsSync(join(directory, name, "image.gz"))) };
}

export function e2fsprogsImage(directory: string, name: string): Uint8Array {
  const content = gunzipSync(readFileSync(join(directory, name, "image.gz")));
  const bytes = new Uint8Array(Math.ceil(content.length / 512) * 512);
  bytes.set(content);
  return bytes;
}

function cached(download: boolean): string | undefined {
  const find = (): string | undefined => {
    if (!existsSync(CACHE)) return undefined;
    const source = readdirSync(CACHE).find((name) => existsSync(join(CACHE, name, "tests", "f_dup", "image.gz")));
    return source === undefined ? undefined : join(CACHE, source, "tests");
  };
  const found = find();
  if (found !== undefined || !download) return found;
  const failed = fetchSource();
  if (failed !== undefined) process.stderr.write(`e2fsprogs' test images are skipped: ${failed}\n`);
  return find();
}

/** Why the source package cannot be had, if it cannot. A list of sources of its own leaves the machine's alone. */
function fetchSource(): string | undefined {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  if (!/^ID=debian$/m.test(release)) return "this is not Debian";
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] ?? "stable";
  const mirror = debianMirror();
  if (mirror === undefined) return "apt has no Debian mirror";
  mkdirSync(join(CACHE, "lists", "partial"), { recursive: true });
  const list = join(CACHE, "sources.list");
  writeFileSync(list, `deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror} ${suite} main\n`);
  const options = [
    "-o",
    `Dir::Etc::sourcelist=${list}`,
    "-o",
    "Dir::Etc::sourceparts=-",
    "-o",
    `Dir::State::lists=${join(CACHE, "lists")}`,
  ];
  for (const words of [["update"], ["source", "--download-only", "e2fsprogs"]]) {
    const result = spawnSync("apt-get", [...options, ...words], { cwd: CACHE, encoding: "utf8", timeout: 120_000 });
    if (result.status !== 0) return `apt-get ${words[0]}: ${result.stderr.trim().split("\n").at(-1) ?? "failed"}`;
  }
  const archive = readdirSync(CACHE).find((name) => /^e2fsprogs_.*\.orig\.tar\.\w+$/.test(name));
  if (archive === undefined) return "the source package has no archive";
  // Elsewhere first: another process may look for the images while they are unpacked.
  const unpacked = mkdtempSync(join(CACHE, ".unpack-"));
  try {
    if (spawnSync("tar", ["-xf", archive, "-C", unpacked], { cwd: CACHE }).status !== 0)
      return "the archive cannot be unpacked";
    for (const name of readdirSync(unpacked))
      if (!existsSync(join(CACHE, name))) renameSync(join(unpacked, name), join(CACHE, name));
    return undefined;
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}

function debianMirror(): string | undefined {
  const files = ["/etc/apt/sources.list", ...listed("/etc/apt/sources.list.d")].filter((file) => existsSync(file));
  for (const file of files) {
    const found = /^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s*)?)(https?:\/\/\S+)/m.exec(readFileSync(file, "utf8"));
    if (found !== null) return found[1];
  }
  return undefined;
}

function listed(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : [];
}
