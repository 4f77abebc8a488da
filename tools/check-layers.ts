/**
 * The layer rules of ARCHITECTURE.md, checked: who may import whom, what the packages' cores may not touch, and how
 * long a file may be. Sources are parsed, not searched, so a name in a comment or a string is no offence.
 *
 *   node tools/check-layers.ts      prints each offence as FILE:LINE; exit status 1 when there is one
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import ts from "typescript";

/** Package → what its sources may import from the workspace. `examples/*` and the private packages may import all. */
const LAYERS: Record<string, readonly string[]> = {
  "linux-abi": [],
  "rv64-cpu": [],
  "virtio-drivers": [],
  ktracepoint: [],
  "virt-devices": [],
  "vfs-inode": ["linux-abi"],
  "blockdev-disk": ["linux-abi"],
  "ext4-fs": ["vfs-inode", "blockdev-disk", "linux-abi"],
  "virt-machine": ["rv64-cpu", "virt-devices"],
  "starry-kernel": ["linux-abi", "vfs-inode", "blockdev-disk", "virtio-drivers", "ktracepoint", "rv64-cpu/isa"],
};
LAYERS["starry-machine"] = Object.keys(LAYERS);
/** Packages that are not published: whoever imports one bundles it, so a devDependency will do. */
const BUNDLED = new Set(["userland"]);
/** Where promises may appear: the edges, and the packages that meet the host's event loop. */
const ASYNC_ALLOWED = /\/src\/(promises|node|browser)\/|^packages\/(starry-machine|virt-machine)\//;
const HOST_ALLOWED = /\/src\/(node|browser)\//;
const CLOCKS =
  /^(Date\.now|Math\.random|performance\.now|console\.\w+|process\.(env|argv|exit|stdout|stderr|stdin|cwd|hrtime|nextTick))$/;
const TIMERS = new Set([
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "requestAnimationFrame",
  "fetch",
]);
const MAX_LINES = 900;
/** Hosts of package registries, and where this checkout lies: neither means anything on another machine. */
const UNPORTABLE = new RegExp(`\\b(registry|deb|security)\\.[a-z]+\\.(org|com)\\b|${escapeRegExp(process.cwd())}\\b`);

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
  encoding: "utf8",
}).split("\0");
const offences: string[] = [];

for (const file of files) {
  if (file === "" || !existsSync(file)) continue;
  const text = readFileSync(file, "utf8");
  if (text.includes("\0")) continue; // binary
  const lines = text.split("\n");
  const found = lines.findIndex((line) => UNPORTABLE.test(line));
  if (found >= 0) offend(file, found, "names a machine's own path or a registry's host");
  if (!/\.(ts|mjs|js)$/.test(file)) continue;
  if (lines.length > MAX_LINES + 1 && !/\.gen\./.test(file))
    offend(file, MAX_LINES, `${lines.length - 1} lines; the limit is ${MAX_LINES}`);
  if (/^packages\/[^/]+\/[^/]+\/.*\.ts$/.test(file)) checkSource(file, text);
}
for (const name of Object.keys(LAYERS)) {
  const allowed = new Set(LAYERS[name]!.map((entry) => entry.split("/")[0]));
  for (const dependency of Object.keys(manifest(name).dependencies ?? {})) {
    if (!allowed.has(dependency)) offend(`packages/${name}/package.json`, 0, `${name} may not depend on ${dependency}`);
  }
}
if (offences.length > 0) console.log(offences.join("\n"));
console.log(`${files.length - 1} files, ${offences.length} offences against the layers`);
process.exit(offences.length > 0 ? 1 : 0);

function checkSource(file: string, text: string): void {
  const owner = file.split("/")[1]!;
  const allowed = LAYERS[owner];
  const isCore = allowed !== undefined && file.startsWith(`packages/${owner}/src/`) && !file.endsWith(".test.ts");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const visit = (node: ts.Node): void => {
    const at = (message: string) => offend(file, source.getLineAndCharacterOfPosition(node.getStart()).line, message);
    const specifier = importedFrom(node);
    if (specifier !== undefined) checkImport(specifier, file, owner, isCore ? allowed : undefined, at);
    if (isCore && !HOST_ALLOWED.test(file)) {
      if (ts.isPropertyAccessExpression(node) && CLOCKS.test(node.getText()))
        at(`${node.getText()}: take it as an option`);
      if (ts.isCallExpression(node) && TIMERS.has(node.expression.getText()))
        at(`${node.expression.getText()}: take it as an option`);
      if (ts.isNewExpression(node) && node.getText() === "new Date()") at("new Date(): take the time as an option");
    }
    if (isCore && !ASYNC_ALLOWED.test(file)) {
      if (node.kind === ts.SyntaxKind.AsyncKeyword) at("async: only in ./promises, ./node, ./browser");
      if (
        (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || ts.isFunctionExpression(node)) &&
        node.asteriskToken &&
        !isIterator(node)
      )
        at("generator");
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** `*[Symbol.iterator]()` is how a cold collection is walked; other generators would hold a host stack. */
function isIterator(node: ts.FunctionDeclaration | ts.MethodDeclaration | ts.FunctionExpression): boolean {
  return node.name?.getText() === "[Symbol.iterator]";
}

function importedFrom(node: ts.Node): string | undefined {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier)
    return (node.moduleSpecifier as ts.StringLiteral).text;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return (node.argument.literal as ts.StringLiteral).text;
  if (!ts.isCallExpression(node) || node.expression.kind !== ts.SyntaxKind.ImportKeyword) return undefined;
  const [argument] = node.arguments;
  return argument && ts.isStringLiteral(argument) ? argument.text : undefined;
}

function checkImport(
  specifier: string,
  file: string,
  owner: string,
  allowed: readonly string[] | undefined,
  at: (message: string) => void,
): void {
  if (specifier.startsWith(".")) {
    const target = new URL(specifier, `file:///${file}`).pathname;
    if (!target.startsWith(`/packages/${owner}/`)) at(`imports ${specifier} across packages; use the package's name`);
    else if (!/\.(ts|js|mjs|json)$/.test(specifier)) at(`imports ${specifier} without its extension`);
    return;
  }
  const name = specifier.split("/")[0]!;
  if (name.startsWith("node:")) {
    if (allowed !== undefined && !HOST_ALLOWED.test(file)) at(`imports ${specifier}; only ./node may`);
  } else if (allowed !== undefined) {
    if (BUNDLED.has(name)) return;
    if (name !== owner && !allowed.includes(name) && !allowed.includes(specifier))
      at(`${owner} may not import ${specifier}`);
    else if (name !== owner && !manifest(owner).dependencies?.[name])
      at(`imports ${name}, which package.json does not declare`);
  } else if (name in LAYERS && name !== owner) {
    const { dependencies, devDependencies } = manifest(owner);
    if (!dependencies?.[name] && !devDependencies?.[name]) at(`imports ${name}, which package.json does not declare`);
  }
}

function manifest(name: string): { dependencies?: Record<string, string>; devDependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(`packages/${name}/package.json`, "utf8"));
}

function offend(file: string, line: number, message: string): void {
  offences.push(`${file}:${line + 1}: ${message}`);
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
