/// <reference types="node" />
/**
 * Fetches Debian riscv64 packages by name, with their dependencies, into a private cache.
 *
 * apt-get does the work under a configuration of its own: it needs no root, touches nothing of the machine's own package
 * state, and verifies signatures with the machine's Debian keyring. The mirror is the machine's own first one unless
 * the caller names another.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface DownloadOptions {
  /** Debian release, e.g. "trixie". */
  readonly suite: string;
  /** Folder that keeps package lists and packages between runs. */
  readonly cacheDir: string;
  /** URI of a Debian mirror; default: from the machine's apt sources. */
  readonly mirror?: string;
  /** Told what is going on, a line at a time. */
  readonly log?: (line: string) => void;
}

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SOURCE_LISTS = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/**
 * Downloads `packages` and what they depend on; returns the paths of the .deb files.
 * Throws an Error with apt's own words when a package does not exist or the mirror cannot be reached.
 */
export function downloadDebs(packages: readonly string[], options: DownloadOptions): string[] {
  const folder = join(options.cacheDir, options.suite);
  const env = { ...process.env, APT_CONFIG: writeConfig(folder, options), LC_ALL: "C" };
  const log = options.log ?? (() => {});
  if (!hasFreshLists(folder)) {
    log(`reading the package lists of Debian ${options.suite} riscv64`);
    run(["update", "-qq"], env);
    writeFileSync(join(folder, "updated"), "");
  }
  const wanted = run(["--print-uris", "-y", "-qq", "install", ...packages], env)
    .split("\n")
    .map((line) => /^'([^']+)' (\S+) /.exec(line)?.[2])
    .filter((name) => name !== undefined);
  const archives = join(folder, "archives");
  const cached = readdirSync(archives).filter((name) => name.endsWith(".deb"));
  // What is in the cache already is not printed; simulate an installation for the whole list.
  const versions = installedBy(run(["-s", "-y", "-qq", "install", ...packages], env));
  log(`${versions.length} packages, ${wanted.length} to download`);
  if (wanted.length > 0) run(["-y", "-qq", "--download-only", "install", ...packages], env);
  const all = wanted.length > 0 ? readdirSync(archives).filter((name) => name.endsWith(".deb")) : cached;
  return versions.map(({ name, version }) => {
    const start = `${name}_${version.replaceAll(":", "%3a")}_`;
    const file = all.find((candidate) => candidate.startsWith(start));
    if (file === undefined) throw new Error(`apt did not download ${name} ${version}`);
    return join(archives, file);
  });
}

/** Names of the packages that the release marks Essential. */
export function essentialPackages(options: DownloadOptions): string[] {
  const folder = join(options.cacheDir, options.suite);
  const lists = join(folder, "lists");
  const file = existsSync(lists) ? readdirSync(lists).find((name) => name.endsWith("_Packages")) : undefined;
  if (file === undefined) return [];
  const names: string[] = [];
  for (const stanza of readFileSync(join(lists, file), "utf8").split("\n\n")) {
    if (/^Essential: yes$/m.test(stanza)) names.push(/^Package: (.+)$/m.exec(stanza)?.[1] as string);
  }
  return names;
}

/** Reads the lists so that `essentialPackages` can answer. */
export function updateLists(options: DownloadOptions): void {
  downloadDebs(["base-files"], options);
}

/** Lines "Inst NAME (VERSION ...". */
function installedBy(simulation: string): { name: string; version: string }[] {
  return [...simulation.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name, version]) => ({
    name: name.replace(/:.*/, ""),
    version,
  }));
}

function run(args: readonly string[], env: NodeJS.ProcessEnv): string {
  const result = spawnSync("apt-get", ["-o", "Acquire::GzipIndexes=false", ...args], {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (result.error) throw new Error(`Debian packages need the program apt-get: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`apt-get: ${result.stderr.trim()}`);
  return result.stdout;
}

/** Lists younger than a day are used as they are. */
function hasFreshLists(folder: string): boolean {
  const result = spawnSync("find", [join(folder, "updated"), "-mmin", "-1440"], { encoding: "utf8" });
  return result.status === 0 && result.stdout !== "";
}

function writeConfig(folder: string, options: DownloadOptions): string {
  for (const sub of ["lists/partial", "archives/partial"]) mkdirSync(join(folder, sub), { recursive: true });
  writeFileSync(join(folder, "status"), "");
  const mirror = options.mirror ?? machineMirror();
  writeFileSync(
    join(folder, "sources.list"),
    `deb [arch=riscv64 signed-by=${KEYRING}] ${mirror} ${options.suite} main\n`,
  );
  const settings: Record<string, string> = {
    "APT::Architecture": "riscv64",
    "APT::Architectures": "riscv64",
    "APT::Install-Recommends": "false",
    "APT::Sandbox::User": "",
    "Dir::State": folder,
    "Dir::State::Lists": join(folder, "lists"),
    "Dir::State::status": join(folder, "status"),
    "Dir::Cache": folder,
    "Dir::Cache::archives": join(folder, "archives"),
    "Dir::Etc::sourcelist": join(folder, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Debug::NoLocking": "true",
  };
  const config = join(folder, "apt.conf");
  writeFileSync(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join(""),
  );
  return config;
}

function machineMirror(): string {
  for (const list of SOURCE_LISTS) {
    if (!existsSync(list)) continue;
    const text = readFileSync(list, "utf8");
    const uri = /^URIs:\s*(\S+)/m.exec(text)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/m.exec(text)?.[1];
    if (uri !== undefined) return uri;
  }
  throw new Error("this machine has no Debian sources; name a mirror with --mirror");
}
