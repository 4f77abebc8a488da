/**
 * Packs every publishable package as it would be published and proves that the tarball works on its own: publint and
 * are-the-types-wrong find nothing; it holds what it should; installed alone in an empty folder (its workspace
 * dependencies from their tarballs, the network off) every entry point imports on Node 20, and every program starts.
 *
 *   node tools/check-pack.mjs [NODE [PACKAGE...]]   NODE: the Node that imports them (default: the one that runs this)
 *
 * Needs `dist/`: build first.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./toolchain.mjs";

const [node = process.execPath, ...only] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "check-pack-"));
const problems = [];
let checks = 0;

/** @type {Map<string, {manifest: any, tarball: string}>} */
const packages = new Map();
for (const name of readdirSync(join(root, "packages"))) {
  const folder = join(root, "packages", name);
  if (!existsSync(join(folder, "package.json"))) continue;
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (manifest.private) continue;
  const packed = run("pnpm", ["pack", "--json", "--pack-destination", work], folder);
  const tarball = join(work, `${manifest.name}-${manifest.version}.tgz`);
  if (!existsSync(tarball)) problems.push(`${manifest.name}: pnpm pack failed\n${packed.output}`);
  else packages.set(manifest.name, { manifest, tarball });
}

for (const [name, { manifest, tarball }] of packages) {
  if (only.length > 0 && !only.includes(name)) continue;
  expect(name, "publint", run("pnpm", ["exec", "publint", "run", "--strict", tarball], root));
  const assets = Object.keys(manifest.publishConfig?.exports ?? manifest.exports).filter(isAsset);
  const attw = ["exec", "attw", tarball, "--profile", "esm-only", "--format", "ascii"];
  if (assets.length > 0) attw.push("--exclude-entrypoints", ...assets.map((subpath) => subpath.slice(2)));
  expect(name, "attw", run("pnpm", attw, root));
  checkContents(name, manifest, tarball);
  checkAlone(name, manifest, tarball);
}
rmSync(work, { recursive: true, force: true });
if (problems.length > 0) console.log(problems.join("\n\n"));
console.log(
  `${packages.size} packages packed on ${spawnSync(node, ["-v"], { encoding: "utf8" }).stdout.trim()}, ${checks} checks, ${problems.length} problems`,
);
process.exit(problems.length > 0 ? 1 : 0);

function checkContents(name, manifest, tarball) {
  const files = run("tar", ["-tzf", tarball], root)
    .output.split("\n")
    .filter((line) => line !== "");
  const has = (path) => files.includes(`package/${path.replace(/^\.\//, "")}`);
  for (const path of ["LICENSE", "README.md", ...Object.values(manifest.bin ?? {})]) {
    if (!has(path)) problems.push(`${name}: the tarball has no ${path}`);
  }
  for (const target of Object.values(manifest.publishConfig?.exports ?? {}).flatMap((entry) =>
    typeof entry === "string" ? [entry] : Object.values(entry),
  )) {
    if (!target.includes("*") && !has(target))
      problems.push(`${name}: the tarball has no ${target}, which its exports name`);
  }
  const stray = files.filter((file) => /\.test\.|\/bench\/|test-slow|\.turbo|\.tsbuildinfo/.test(file));
  if (stray.length > 0) problems.push(`${name}: the tarball has ${stray.slice(0, 3).join(", ")}`);
  checks += 2;
}

/** An entry point that is data, such as a disk image: found by import.meta.resolve, not imported. */
function isAsset(subpath) {
  return /\.(?!json$)[a-z]+$/.test(subpath.slice(1));
}

/** Installs the package in an empty folder and imports it from there. */
function checkAlone(name, manifest, tarball) {
  const home = join(work, `alone-${name}`);
  mkdirSync(home);
  const needed = closure(name);
  const overrides = Object.fromEntries(
    needed.map((dependency) => [dependency, `file:${packages.get(dependency).tarball}`]),
  );
  writeFileSync(
    join(home, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies: { [name]: `file:${tarball}` }, overrides }),
  );
  // npm beside the Node that is tested; it may not be on the PATH of the build tools.
  const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` };
  const installed = run(
    "npm",
    ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
    home,
    env,
  );
  if (!expect(name, "install alone", installed)) return;
  const present = readdirSync(join(home, "node_modules")).filter((entry) => !entry.startsWith("."));
  const foreign = present.filter((entry) => entry !== name && !needed.includes(entry));
  if (foreign.length > 0) problems.push(`${name}: also installs ${foreign.join(", ")}`);
  for (const subpath of Object.keys(manifest.publishConfig?.exports ?? manifest.exports)) {
    if (subpath.endsWith(".json") || subpath.includes("*") || isAsset(subpath)) continue;
    const specifier = name + subpath.slice(1);
    expect(
      name,
      `import ${specifier}`,
      run(node, ["--input-type=module", "-e", `await import(${JSON.stringify(specifier)})`], home),
    );
  }
  for (const program of Object.keys(manifest.bin ?? {})) {
    expect(name, `${program} --version`, run(node, [join(home, "node_modules", ".bin", program), "--version"], home));
  }
}

/** Every workspace package that `name` needs, directly or not. */
function closure(name, seen = new Set()) {
  for (const dependency of Object.keys(packages.get(name)?.manifest.dependencies ?? {})) {
    if (!packages.has(dependency))
      problems.push(`${name}: depends on ${dependency}, which is not a public package of the workspace`);
    else if (!seen.has(dependency)) closure(dependency, seen.add(dependency));
  }
  return [...seen];
}

function expect(name, what, { status, output }) {
  checks++;
  if (status !== 0) problems.push(`${name}: ${what} failed\n${output.trim()}`);
  return status === 0;
}

function run(program, args, cwd, env = process.env) {
  const result = spawnSync(program, args, {
    cwd,
    env: { ...env, NO_COLOR: "1" },
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: 300_000,
  });
  return {
    status: result.status,
    output: `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`,
  };
}
