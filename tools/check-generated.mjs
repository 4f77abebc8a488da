/**
 * Generated files (`*.gen.*`) are committed; this runs every generator again and compares.
 *
 *   node tools/check-generated.mjs           exit status 1 when a committed file is not what its generator makes
 *   node tools/check-generated.mjs --write   keep the new files
 *
 * A package that generates something has a script `gen` in its package.json that rewrites its `*.gen.*` files, and the part of
 * its README.md that is marked as generated.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./toolchain.mjs";

const keep = process.argv.includes("--write");
const list = spawnSync("git", ["ls-files", "*.gen.*"], { cwd: root, encoding: "utf8" });
const marked = spawnSync("git", ["grep", "-l", "<!-- generated: ", "--", "packages/*/README.md"], {
  cwd: root,
  encoding: "utf8",
});
const files = `${list.stdout}${marked.stdout}`
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)));
const before = new Map(files.map((file) => [file, readFileSync(join(root, file))]));
const owners = new Set(files.map((file) => file.split("/").slice(0, 2).join("/")));
let failed = 0;

for (const folder of readdirSync(join(root, "packages")).map((name) => `packages/${name}`)) {
  const manifest = join(root, folder, "package.json");
  if (!existsSync(manifest)) continue;
  const { scripts = {} } = JSON.parse(readFileSync(manifest, "utf8"));
  if (scripts.gen === undefined) {
    if (owners.has(folder)) report(`${folder} has generated files but no script "gen"`);
    continue;
  }
  const result = spawnSync("pnpm", ["run", "gen"], { cwd: join(root, folder), encoding: "utf8" });
  if (result.status !== 0) report(`${folder}: gen failed\n${result.stdout}${result.stderr}`);
}
for (const [file, bytes] of before) {
  if (readFileSync(join(root, file)).equals(bytes)) continue;
  if (keep) console.log(`rewritten: ${file}`);
  else {
    writeFileSync(join(root, file), bytes);
    report(`${file} is not what its generator makes: run "pnpm gen"`);
  }
}
console.log(`${files.length} generated files, ${failed} problems`);
process.exit(failed > 0 ? 1 : 0);

function report(text) {
  failed++;
  console.log(text);
}
