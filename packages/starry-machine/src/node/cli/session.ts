/// <reference types="node" />
/**
 * What `run` and `boot` share: from parsed options to a machine whose console is the user's terminal, and its end.
 */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { type BlockDevice, OverlayDisk } from "blockdev-disk";
import { FileDisk } from "blockdev-disk/node";
import { type TraceArray, TRACE_FORMATS, type TraceFormat, traceFormatOf } from "ktracepoint";
import { attachStrace, type KernelTracing } from "starry-kernel";
import { GuestFiles } from "../../guest-files.ts";
import { HostInput, HostOutput } from "../../host-files.ts";
import { type Exit, type InitProgram, type LogLevel, Machine, type MachineOptions } from "../../machine.ts";
import { embeddedRoot } from "../../root-image.ts";
import { GdbServer } from "../gdb-server.ts";
import { embeddedRootImage } from "../embedded-root.ts";
import { HostFileSystem } from "../host-fs.ts";
import { hostTree } from "../host-tree.ts";
import { rootDevice } from "../image-file.ts";
import { openImage } from "../open-image.ts";
import { attachTerminal } from "../terminal.ts";
import { tuneEngine } from "./engine.ts";
import { type Parsed, parseSizeOption, UsageError } from "./options.ts";

export const EXIT_TIMEOUT = 124;

/** The least with which a shell starts, and what fits into one WebAssembly memory beside the hart's own state. */
const MIN_MEMORY = 4 * 2 ** 20;
const MAX_MEMORY = 3 * 2 ** 30;
/** Longest delay of a host timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** qemu's */
const GDB_PORT = "1234";

const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface SessionOptions {
  readonly parsed: Parsed;
  /** Called with the kernel mounted: which program is process 1, its descriptors aside. */
  readonly program: (files: GuestFiles) => Omit<InitProgram, "stdio">;
  /** All of 0, 1, 2 are the console even if the host's are no terminal (boot). */
  readonly alwaysConsole: boolean;
  /** Image to use when --image is not given. Default: the embedded root. */
  readonly image?: string;
}

/** Runs a machine to its end; returns the exit status. */
export async function runSession(options: SessionOptions): Promise<number> {
  const { parsed } = options;
  const text = (name: string): string | undefined => parsed.values.get(name) as string | undefined;
  const memorySize = memory(parsed);
  const timeout = timeoutMs(parsed);
  using root = openRoot(text("image") ?? options.image, parsed.values.has("persist"));
  const stdio = new Stdio(options.alwaysConsole);
  const traceFile = text("trace-out");
  const format = traceFile === undefined ? undefined : traceFormat(traceFile);
  const gdb = gdbAddress(parsed);
  const profileFile = text("profile");
  let trace: TraceArray | undefined;
  const jit = onOff("--jit", text("jit") ?? "on");
  if (jit) tuneEngine();
  const machine = await Machine.create({
    memory: memorySize,
    disks: [root.disk],
    commandLine: text("append") ?? "",
    ...(parsed.values.has("seed") ? { seed: integer("--seed", text("seed")) } : {}),
    ...(gdb === undefined ? {} : { debug: gdb.wait ? "wait" : "run" }),
    profile: profileFile !== undefined,
    jit,
    log: logger(text("log") ?? "error"),
    mounts: (parsed.lists.get("mount") ?? []).map(hostMount),
    init: (kernel, tracing) => {
      const files = new GuestFiles(kernel);
      for (const word of parsed.lists.get("copy-in") ?? []) {
        const [from, to] = pair("--copy-in", word);
        files.place(hostTree(from), to.endsWith("/") ? to + basename(from) : to);
      }
      trace = openTrace(tracing, parsed);
      const strace = text("strace");
      if (strace !== undefined)
        attachStrace(kernel, { write: (line) => process.stderr.write(`${line}\n`), filter: strace });
      return { ...options.program(files), stdio: stdio.files };
    },
  } satisfies MachineOptions);
  const debugged = gdb === undefined ? undefined : await openGdb(machine, gdb);
  const exit = await supervise(machine, stdio, timeout);
  await debugged?.close();
  if (trace !== undefined) {
    if (traceFile === undefined || format === undefined) process.stderr.write(trace.readText());
    else
      writeFileSync(
        traceFile,
        format.export(trace, { uname: "Linux starry riscv64", syscallName: (nr) => machine.tracing.syscallName(nr) }),
      );
  }
  if (profileFile !== undefined && machine.profiler !== null)
    writeFileSync(
      profileFile,
      profileFile.endsWith(".json") ? machine.profiler.speedscope() : machine.profiler.folded(),
    );
  if (parsed.values.has("stats")) process.stderr.write(`${JSON.stringify(statistics(machine))}\n`);
  const overlay = text("save-overlay");
  if (overlay !== undefined) root.saveTo(overlay);
  if (exit.reason === "oops") process.stderr.write(`starry: kernel bug: ${exit.message}\n`);
  return exit.reason === "timeout" ? EXIT_TIMEOUT : exit.status;
}

/** The environment of the first process: defaults, then --env. */
export function environment(parsed: Parsed, home: string): string[] {
  const env = new Map([
    ["PATH", DEFAULT_PATH],
    ["HOME", home],
    ["TERM", process.stdout.isTTY ? (process.env.TERM ?? "xterm-256color") : "dumb"],
    ["LANG", "C.UTF-8"],
  ]);
  for (const word of parsed.lists.get("env") ?? []) {
    const equals = word.indexOf("=");
    // As docker and env(1) have it: a bare name takes the host's value.
    if (equals < 0) env.set(word, process.env[word] ?? "");
    else env.set(word.slice(0, equals), word.slice(equals + 1));
  }
  return [...env].map(([name, value]) => `${name}=${value}`);
}

/** --user UID[:GID] */
export function user(parsed: Parsed): { uid: number; gid: number } {
  const [uid = "0", gid = uid] = ((parsed.values.get("user") as string | undefined) ?? "0:0").split(":");
  return { uid: integer("--user", uid), gid: integer("--user", gid) };
}

/** --cwd DIR, which must exist. */
export function workingDirectory(parsed: Parsed, files: GuestFiles, usual: string): string {
  const given = parsed.values.get("cwd") as string | undefined;
  if (given !== undefined && !files.isDirectory(given))
    throw new UsageError(`--cwd: the guest has no directory ${given}`);
  return given ?? usual;
}

/** --mem SIZE */
function memory(parsed: Parsed): number {
  const size = parseSizeOption((parsed.values.get("mem") as string | undefined) ?? "512M");
  if (size < MIN_MEMORY || size > MAX_MEMORY) throw new UsageError("--mem: the machine can have 4M to 3G of memory");
  return size;
}

/** --timeout SECONDS, in milliseconds. */
function timeoutMs(parsed: Parsed): number | undefined {
  const text = parsed.values.get("timeout") as string | undefined;
  if (text === undefined) return undefined;
  const ms = Number(text) * 1000;
  if (text.trim() === "" || !(ms >= 0)) throw new UsageError(`--timeout: "${text}" is not a number of seconds`);
  return Math.min(ms, MAX_TIMER_MS);
}

interface GdbAddress {
  readonly host: string;
  readonly port: number;
  readonly wait: boolean;
}

/** --gdb [HOST:]PORT, --gdb-wait */
function gdbAddress(parsed: Parsed): GdbAddress | undefined {
  const wait = parsed.values.has("gdb-wait");
  const text = (parsed.values.get("gdb") as string | undefined) ?? (wait ? GDB_PORT : undefined);
  if (text === undefined) return undefined;
  // qemu's -gdb tcp::1234 means the same
  const [, host = "", digits] = /^(?:tcp:)?(?:(.*):)?(\d+)$/.exec(text) ?? [];
  const port = Number(digits);
  if (!(port < 65536)) throw new UsageError(`--gdb: "${text}" is not [HOST:]PORT`);
  return { host: host || "127.0.0.1", port, wait };
}

async function openGdb(machine: Machine, { host, port, wait }: GdbAddress): Promise<GdbServer> {
  try {
    const server = await GdbServer.open(machine, port, host);
    process.stderr.write(
      `starry: ${wait ? "waiting for gdb" : "gdb may connect"}: target remote ${host}:${server.port}\n`,
    );
    return server;
  } catch (error) {
    machine.stop();
    await machine.exited;
    throw error;
  }
}

function integer(option: string, text: string | undefined): number {
  if (text === undefined || !/^\d+$/.test(text)) throw new UsageError(`${option}: "${text}" is not a number`);
  return Number(text);
}

function onOff(option: string, text: string): boolean {
  if (text !== "on" && text !== "off") throw new UsageError(`${option}: "${text}" is neither on nor off`);
  return text === "on";
}

/** "A:B" */
function pair(option: string, word: string): [string, string] {
  const colon = word.indexOf(":");
  if (colon <= 0 || colon === word.length - 1) throw new UsageError(`${option}: "${word}" is not HOST:GUEST`);
  return [word.slice(0, colon), word.slice(colon + 1)];
}

function hostMount(word: string): NonNullable<MachineOptions["mounts"]>[number] {
  const readOnly = word.endsWith(":ro");
  const [host, path] = pair("--mount", readOnly ? word.slice(0, -3) : word);
  return { fs: new HostFileSystem(host, { readOnly }), path, readOnly, source: host };
}

interface Root extends Disposable {
  readonly disk: BlockDevice;
  saveTo(path: string): void;
}

/** The root disk: an image file (through an overlay unless `persist`), or the embedded one. */
function openRoot(image: string | undefined, persist: boolean): Root {
  if (image === undefined) {
    if (persist) throw new UsageError("--persist needs --image FILE: the embedded root cannot be written");
    return withOverlay(embeddedRoot(embeddedRootImage()), () => {});
  }
  const opened = openImage(image, { readOnly: !persist });
  const close = (): void => opened[Symbol.dispose]();
  if (!persist) return withOverlay(rootDevice(opened.disk), close);
  return { disk: rootDevice(opened.disk), saveTo: (path) => copyDisk(opened.disk, path), [Symbol.dispose]: close };
}

function withOverlay(base: BlockDevice, dispose: () => void): Root {
  const disk = new OverlayDisk(base);
  return { disk, saveTo: (path) => copyDisk(disk, path), [Symbol.dispose]: dispose };
}

/** The whole disk as an image file; blocks of zeros stay holes. */
function copyDisk(disk: BlockDevice, path: string): void {
  using out = new FileDisk(path, { create: true, size: disk.size });
  const piece = new Uint8Array(1 << 20);
  for (let at = 0; at < disk.size; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, disk.size - at));
    const error = disk.readBlock(at / disk.blockSize, part);
    if (error < 0) throw new Error(`${path}: cannot read the disk`);
    if (part.some((byte) => byte !== 0) && out.writeBlock(at / out.blockSize, part) < 0)
      throw new Error(`${path}: cannot write`);
  }
}

/**
 * Descriptors 0, 1 and 2: the console where the host has a terminal, else pipes to the host's, so that output can be
 * redirected and told apart.
 */
class Stdio {
  readonly files: NonNullable<InitProgram["stdio"]>;
  readonly #input: HostInput | null;

  constructor(alwaysConsole: boolean) {
    this.#input = alwaysConsole || process.stdin.isTTY ? null : new HostInput();
    const output = (stream: NodeJS.WriteStream) =>
      alwaysConsole || stream.isTTY ? "console" : new HostOutput((bytes) => void stream.write(bytes));
    this.files = [this.#input ?? "console", output(process.stdout), output(process.stderr)];
  }

  /** Connects the host's streams; returns what disconnects them. */
  connect(machine: Machine): () => void {
    const writer = machine.console.writable.getWriter();
    const end = {
      input: (bytes: Uint8Array) => void writer.write(bytes),
      resize: (columns: number, rows: number) => machine.console.resize(columns, rows),
      leave: () => machine.stop(),
    };
    if (process.stdin.isTTY && this.#input === null) return attachTerminal(process.stdin, process.stdout, end);
    const input = this.#input;
    const onData = (chunk: Buffer): void => {
      if (input === null) return end.input(chunk);
      input.push(chunk);
      machine.wake();
    };
    const onEnd = (): void => {
      if (input === null) return end.input(Uint8Array.of(4)); // ^D ends a console's input
      input.end();
      machine.wake();
    };
    process.stdin.on("data", onData).on("end", onEnd).resume();
    return () => {
      process.stdin.off("data", onData).off("end", onEnd);
      process.stdin.pause();
      process.stdin.unref?.();
    };
  }
}

/** Streams in both directions until the machine ends or time runs out. */
async function supervise(machine: Machine, stdio: Stdio, timeout: number | undefined): Promise<Exit> {
  const disconnect = stdio.connect(machine);
  let timedOut = false;
  const timer =
    timeout === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          machine.stop();
        }, timeout);
  const keepAlive = setInterval(() => {}, 2 ** 30); // Node would end while the guest waits for nothing that Node knows
  const stop = (): void => machine.stop();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
  try {
    for await (const bytes of machine.console.readable) process.stdout.write(bytes);
    const exit = await machine.exited;
    return timedOut ? { ...exit, reason: "timeout" } : exit;
  } finally {
    clearTimeout(timer);
    clearInterval(keepAlive);
    disconnect();
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, stop);
  }
}

function logger(level: string): (level: LogLevel, text: string) => void {
  const least = LOG_LEVELS.indexOf(level as LogLevel);
  if (least < 0) throw new UsageError(`--log: "${level}" is none of ${LOG_LEVELS.join(", ")}`);
  return (each, text) => {
    if (LOG_LEVELS.indexOf(each) >= least) process.stderr.write(`[${each}] ${text}\n`);
  };
}

function openTrace(tracing: KernelTracing, parsed: Parsed): TraceArray | undefined {
  const events = parsed.values.get("trace") as string | undefined;
  if (events === undefined) return undefined;
  const filter = parsed.values.get("trace-filter") as string | undefined;
  const session = tracing.openSession({ events, ...(filter === undefined ? {} : { filter }) });
  if ("error" in session) throw new UsageError(session.error);
  return session;
}

/** The extension chooses the format. */
function traceFormat(file: string): TraceFormat {
  const format = traceFormatOf(file);
  if (format !== undefined) return format;
  const known = TRACE_FORMATS.flatMap(({ extensions }) => extensions).join(", ");
  throw new UsageError(`--trace-out: "${file}" ends in none of ${known}`);
}

function statistics(machine: Machine): Record<string, number> {
  return { ...machine.stats(), peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}
