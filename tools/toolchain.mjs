/**
 * From a fresh clone to installed and built, on a machine that has only Node (any version from 18 on) and npm.
 *
 * The build tools need a newer Node than the packages do, so pnpm, and Node 24 where the machine's own is older, come
 * through `npm exec`, which keeps them in npm's own cache and out of every lockfile. Each step leaves a stamp of its
 * inputs under .cache/ and is skipped while they are unchanged: a warm start costs some file stats and starts nothing.
 * No dependencies, because this file runs before there are any.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, ".cache");
const isWindows = process.platform === "win32";
const TOOL_NODE = "24.21.0";
/** Exit status for what goes wrong before the program itself starts. */
export const OUR_ERROR = 125;

/** Whether the Node that runs this file can run the build tools itself. */
function nodeIsNewEnough() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major > 24 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18);
}

/** The environment in which `pnpm`, and a Node that the tools accept, are found first. */
export function toolEnvironment() {
  const pnpm = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).packageManager;
  const packages = nodeIsNewEnough() ? [pnpm] : [pnpm, `node@${TOOL_NODE}`];
  const key = packages.join(" ");
  const known = readJson("tools.json");
  let directory = known?.key === key && hasTools(known.directory, packages) ? known.directory : undefined;
  if (directory === undefined) {
    say(`fetching ${packages.join(" and ")}`);
    const found = spawnSync(
      "npm",
      [
        "exec",
        "--yes",
        "--loglevel=error",
        ...packages.map((name) => `--package=${name}`),
        "-c",
        "node -p process.env.PATH",
      ],
      { cwd: root, encoding: "utf8", shell: isWindows, stdio: ["ignore", "pipe", "inherit"] },
    );
    if (found.status !== 0) fail(`npm could not fetch ${packages.join(" and ")} (see above)`);
    directory = found.stdout
      .trim()
      .split(delimiter)
      .find((entry) => hasTools(entry, packages));
    if (directory === undefined) fail(`npm fetched ${key} but its programs are not on the PATH it gave`);
    writeJson("tools.json", { key, directory });
  }
  return {
    ...process.env,
    PATH: [directory, join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter),
    TURBO_TELEMETRY_DISABLED: "1",
    TURBO_NO_UPDATE_NOTIFIER: "1",
    DO_NOT_TRACK: "1",
  };
}

/** Installs the workspace unless the lockfile and every manifest are what was installed last. */
export function ensureInstalled(env) {
  const hash = createHash("sha256");
  for (const file of [...manifests(), "pnpm-lock.yaml", "pnpm-workspace.yaml"])
    hash.update(readFileSync(join(root, file)));
  // pnpm links a program only when its file exists.
  for (const folder of workspaceFolders()) hash.update(String(existsSync(join(root, folder, "bin"))));
  const stamp = hash.digest("hex");
  if (readJson("installed.json")?.stamp === stamp && existsSync(join(root, "node_modules", ".modules.yaml"))) return;
  say("installing dependencies");
  const install = ["install", "--frozen-lockfile", "--reporter=append-only"];
  if (!quietly("pnpm", install, { ...env, CI: "1" })) process.exit(OUR_ERROR);
  writeJson("installed.json", { stamp });
}

/**
 * Builds what the turbo `filters` name (everything when empty) unless no source changed since the last such build.
 * Returns whether it succeeded; what went wrong has been printed then.
 * @param {string} name names the stamp
 * @param {string[]} filters
 * @param {string} product a file that must exist for the build to count as done
 */
export function ensureBuilt(env, name, filters = [], product = "") {
  const stamp = sourceStamp();
  const isMade = () => product === "" || existsSync(join(root, product));
  if (isMade() && readJson(`built-${name}.json`)?.stamp === stamp) return true;
  say("building");
  const chosen = filters.map((filter) => `--filter=${filter}`);
  const turbo = ["exec", "turbo", "run", "build", "--continue", "--output-logs=errors-only", "--ui=stream", ...chosen];
  if (!quietly("pnpm", turbo, env)) return false;
  if (!isMade()) {
    process.stderr.write(`starry: the build made no ${product}\n`);
    return false;
  }
  writeJson(`built-${name}.json`, { stamp });
  return true;
}

/** Runs a program with the terminal attached and resolves to its exit status (128 + signal when killed). */
export async function attached(program, args, env) {
  const { spawn } = await import("node:child_process");
  const { constants } = await import("node:os");
  // The terminal sends ^C to both processes: the program decides, and this one outlives it.
  const ignore = () => {};
  process.on("SIGINT", ignore);
  process.on("SIGQUIT", ignore);
  return await new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env,
      stdio: "inherit",
      shell: isWindows && program !== process.execPath,
    });
    for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
    child.on("error", (error) => {
      console.error(`starry: ${program}: ${error.message}`);
      resolve(127);
    });
    child.on("exit", (status, signal) => resolve(status ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

/** Runs a step silently; shows all that it said if it failed. */
function quietly(program, args, env) {
  const options = { cwd: root, env, encoding: "utf8", shell: isWindows, maxBuffer: 1 << 28 };
  const result = spawnSync(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  if (result.status === 0) return true;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  process.stderr.write(
    `starry: ${program} ${args.join(" ")} failed${result.error ? `: ${result.error.message}` : ""}\n`,
  );
  return false;
}

function hasTools(directory, packages) {
  const suffix = isWindows ? ".cmd" : "";
  return packages.every((name) => existsSync(join(directory, name.split("@")[0] + suffix)));
}

function workspaceFolders() {
  return ["packages", "examples"].flatMap((group) =>
    existsSync(join(root, group))
      ? readdirSync(join(root, group))
          .map((name) => `${group}/${name}`)
          .filter((folder) => existsSync(join(root, folder, "package.json")))
          .sort()
      : [],
  );
}

const manifests = () => ["package.json", ...workspaceFolders().map((folder) => `${folder}/package.json`)];

/** A hash over path, size and modification time of everything a build reads. */
function sourceStamp() {
  const hash = createHash("sha256");
  const visit = (path) => {
    const status = statSync(join(root, path), { throwIfNoEntry: false });
    if (status === undefined) return;
    if (!status.isDirectory()) return void hash.update(`${path} ${status.size} ${status.mtimeMs}\n`);
    for (const name of readdirSync(join(root, path)).sort()) if (!SKIPPED.has(name)) visit(`${path}/${name}`);
  };
  for (const path of [
    "packages",
    "examples",
    "tools/tsup.ts",
    "tsconfig.base.json",
    "turbo.json",
    "package.json",
    "pnpm-lock.yaml",
  ])
    visit(path);
  return hash.digest("hex");
}

const SKIPPED = new Set([
  "node_modules",
  "dist",
  ".turbo",
  ".cache",
  ".docs",
  "coverage",
  "test",
  "test-slow",
  "bench",
  "README.md",
]);

function readJson(name) {
  try {
    return JSON.parse(readFileSync(join(cache, name), "utf8"));
  } catch {
    return undefined; // absent or cut off: the step runs again
  }
}

function writeJson(name, value) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, name), JSON.stringify(value));
}

/** Progress for people: on the terminal only, so that output which is read by a program stays clean. */
function say(text) {
  if (process.stderr.isTTY || process.env.CI) process.stderr.write(`starry: ${text} ...\n`);
}

function fail(text) {
  process.stderr.write(`starry: ${text}\n`);
  process.exit(OUR_ERROR);
}
