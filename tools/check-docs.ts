/**
 * Runs the documentation: every ```ts block of every README.md (and of docs/*.md) is type-checked and executed, each
 * as a program of its own, as if it lay beside the file that shows it.
 *
 *   node tools/check-docs.ts [FILE...]
 *
 * A block fenced as ```ts no-run is type-checked only (it needs a browser, a terminal or a file that is not here); one
 * fenced as ```typescript is a fragment for the reader and left alone. A line `// prints: TEXT` says what the program
 * writes next to its standard output; when a block has such lines, they must be all that it writes.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

interface Example {
  /** Where a reader finds it: FILE:LINE. */
  readonly at: string;
  readonly path: string;
  readonly runs: boolean;
  readonly expected: string;
}

const FENCE = /^```ts([^\S\n][^\n]*)?\n([\s\S]*?)^```/gm;
const root = process.cwd();
const listed = process.argv.slice(2);
const pages =
  listed.length > 0
    ? listed
    : git(
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*README.md",
        "docs/*.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
      );
const examples = pages.filter((page) => existsSync(page)).flatMap(extract);
const folders = [...new Set(examples.map((example) => dirname(example.path)))];
const problems: string[] = [];

try {
  typecheck();
  for (const example of examples) if (example.runs) execute(example);
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
for (const problem of problems) console.log(problem);
console.log(`${examples.length} examples in ${pages.length} pages, ${problems.length} problems`);
process.exit(problems.length > 0 ? 1 : 0);

/** Writes the page's blocks into `.docs/` beside it, where they see the modules that the page's package sees. */
function extract(page: string): Example[] {
  const text = readFileSync(page, "utf8");
  const folder = join(root, dirname(page), ".docs");
  return [...text.matchAll(FENCE)].map((match, index) => {
    const line = text.slice(0, match.index).split("\n").length;
    const path = join(folder, `${page.split("/").pop()!.replace(".md", "")}-${index + 1}.ts`);
    const code = match[2]!;
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, `${code}\nexport {};\n`);
    const expected = [...code.matchAll(/\/\/ prints: (.*)$/gm)].map((print) => print[1]).join("\n");
    return { at: `${page}:${line}`, path, runs: !/\bno-run\b/.test(match[1] ?? ""), expected };
  });
}

function typecheck(): void {
  if (examples.length === 0) return;
  const project = join(root, ".cache", "docs.tsconfig.json");
  mkdirSync(dirname(project), { recursive: true });
  const compilerOptions = {
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.Iterable"],
    isolatedDeclarations: false,
    declaration: false,
  };
  writeFileSync(
    project,
    JSON.stringify({
      extends: "../tsconfig.base.json",
      compilerOptions,
      files: examples.map((example) => example.path),
    }),
  );
  const result = spawnSync("tsc", ["-p", project, "--noEmit", "--pretty", "false"], { encoding: "utf8" });
  if (result.status === 0) return;
  // Name the page and its line rather than the extracted file's.
  const byPath = new Map(examples.map((example) => [example.path, example.at]));
  for (const line of result.stdout.split("\n").filter((text) => text !== "")) {
    const [, path, row, message] = /^(.*?)\((\d+),\d+\): (.*)$/.exec(line) ?? [];
    const at = path === undefined ? undefined : byPath.get(resolve(root, path));
    problems.push(
      at === undefined ? line : `${at.replace(/\d+$/, (first) => String(Number(first) + Number(row)))}: ${message}`,
    );
  }
}

function execute(example: Example): void {
  const folder = mkdtempSync(join(tmpdir(), "docs-"));
  const result = spawnSync(process.execPath, ["--no-warnings", "-C", "source", example.path], {
    cwd: folder,
    encoding: "utf8",
    timeout: 120_000,
  });
  rmSync(folder, { recursive: true, force: true });
  if (result.status !== 0)
    problems.push(`${example.at}: exit status ${result.status ?? result.signal}\n${result.stderr}`);
  else if (example.expected !== "" && result.stdout.trimEnd() !== example.expected) {
    problems.push(`${example.at}: it says that it prints\n${example.expected}\nbut it prints\n${result.stdout}`);
  }
}

function git(...args: string[]): string[] {
  return execFileSync("git", args, { encoding: "utf8" })
    .split("\n")
    .filter((file) => file !== "" && !file.includes("node_modules"));
}
