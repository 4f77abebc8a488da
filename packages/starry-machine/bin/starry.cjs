#!/usr/bin/env node
/**
 * Runs the bundled command, with V8's compiled code for it kept between runs: that halves the time to start.
 *
 * The code is kept in the user's cache folder under the name of V8's version and of the bundle's size and time of change,
 * unless NODE_DISABLE_COMPILE_CACHE is set.
 * It is written at the end of the first run, when V8 has compiled all that such a run needs, and again at the ends of longer
 * runs while these have more: the compiler of guest code, for one, that a short run never calls. It is only ever an
 * optimisation: no error with it becomes an error of the command.
 */
const { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { homedir } = require("node:os");
const { join } = require("node:path");
const { cachedDataVersionTag } = require("node:v8");
const { Script } = require("node:vm");

// First, since V8 takes compiled code only under the settings that it was kept under.
require("../dist/node/engine.cjs").tuneEngine();

const KEPT_MAX = 8; // builds of the command times versions of Node
const LONG_RUN = 1e6; // Microseconds of CPU.
// A file's last byte says how many long runs added to it.
const ADDITIONS_MAX = 8;
const WORTH_ADDING = 1.01; // Times as long as before: otherwise it has all that programs need.

const bundle = join(__dirname, "..", "dist", "node", "cli.cjs");
const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "starry", "compiled");
const { size, ctimeMs } = statSync(bundle);
const cache = join(folder, `${cachedDataVersionTag()}-${size}-${ctimeMs}`);

const isKept = !process.env.NODE_DISABLE_COMPILE_CACHE;
const kept = isKept ? attempt(() => readFileSync(cache)) : undefined;
const cachedData = kept?.subarray(0, -1);
// The bundle is ASCII, and V8 reads a Latin-1 string faster than one it has to decode.
const script = new Script(`(function (module, require) {${readFileSync(bundle, "latin1")}\n})`, {
  filename: bundle,
  cachedData,
});
const command = { exports: {} };
script.runInThisContext()(command, createRequire(bundle));
command.exports.main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
  if (isKept) attempt(keepCompiledCode);
});

function keepCompiledCode() {
  const isNew = cachedData === undefined || script.cachedDataRejected;
  const additions = isNew ? 0 : kept.at(-1);
  if (!isNew && (additions >= ADDITIONS_MAX || !isLongRun())) return;
  const code = script.createCachedData();
  const isWorth = isNew || code.length > cachedData.length * WORTH_ADDING;
  const now = isNew ? 0 : isWorth ? additions + 1 : ADDITIONS_MAX;
  // Not `recursive`: that never returns where a file system answers ENOENT to mkdir, as /proc does.
  for (const path of [join(folder, "..", ".."), join(folder, ".."), folder]) attempt(() => mkdirSync(path, 0o700));
  const others = readdirSync(folder);
  if (isNew && others.length >= KEPT_MAX) for (const name of others) rmSync(join(folder, name));
  writeFileSync(`${cache}.${process.pid}`, Buffer.concat([isWorth ? code : cachedData, Buffer.of(now)]), {
    mode: 0o600,
  });
  renameSync(`${cache}.${process.pid}`, cache);
}

function isLongRun() {
  const { user, system } = process.cpuUsage();
  return user + system >= LONG_RUN;
}

function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
