/**
 * Runs programs on the kernel with a real hart and a root in tmpfs, without a board: for tests of what programs see.
 *
 *     const guest = new Guest();
 *     guest.addTree();                                       // our own userland
 *     guest.run(["/bin/sh", "-c", "echo hi"]).stdout;        // "hi\n"
 */
/// <reference types="node" />
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Hart, createGuestRam } from "rv64-cpu";
import { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, POLLOUT } from "linux-abi";
import { LOOKUP_FOLLOW, ROOT_CREDENTIALS, type FileSystem, type FsContext } from "vfs-inode";
import { OpenFile } from "../src/file.ts";
import { installFileSystems, mountStandard } from "../src/fs/install.ts";
import type { FileSystems } from "../src/fs/file-systems.ts";
import { installIo } from "../src/io/install.ts";
import type { IoBuffer } from "../src/io-buffer.ts";
import { Kernel } from "../src/kernel.ts";
import type { Task } from "../src/task/task.ts";
import { rootTree } from "userland";

const USERLAND = fileURLToPath(new URL("../../userland/", import.meta.url));

/** Standard output of a guest: collects bytes. */
class Capture extends OpenFile {
  readonly chunks: Uint8Array[] = [];

  constructor() {
    super(O_WRONLY);
  }

  override write(_task: Task, buffer: IoBuffer): number {
    const bytes = new Uint8Array(buffer.remaining);
    const n = buffer.take(bytes, 0, bytes.length);
    this.chunks.push(bytes.subarray(0, n));
    return buffer.result(n);
  }

  override poll(): number {
    return POLLOUT;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("utf8");
  }
}

/** Standard input: fixed bytes, then the end. */
class Input extends OpenFile {
  #bytes: Uint8Array;

  constructor(text: string) {
    super(O_RDONLY);
    this.#bytes = new TextEncoder().encode(text);
  }

  override read(_task: Task, buffer: IoBuffer): number {
    const n = buffer.put(this.#bytes, 0, Math.min(this.#bytes.length, buffer.remaining));
    this.#bytes = this.#bytes.subarray(n);
    return n;
  }

  override poll(): number {
    return POLLIN;
  }
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

export interface GuestOptions {
  /** Bytes of RAM. Default 128 MiB. */
  readonly memory?: number;
  /** The root; default an empty tmpfs. */
  readonly root?: (fs: FileSystems) => FileSystem;
  /** Print the kernel's log. */
  readonly verbose?: boolean;
}

export class Guest {
  readonly kernel: Kernel;
  readonly fs: FileSystems;
  readonly context: FsContext;
  #now = 1;
  #seed = 1;

  constructor(options: GuestOptions = {}) {
    const ram = createGuestRam({ size: options.memory ?? 128 << 20 });
    const hart = new Hart({ ram });
    this.kernel = new Kernel({
      platform: {
        ram: { base: ram.base, size: ram.size, bytes: ram.bytes, view: ram.view },
        cpu: hart,
        mmio: () => {
          throw new Error("no devices");
        },
        irqPending: () => false,
        monotonicNs: () => Math.floor(hart.instret * 10) + this.#now,
        realtimeNs: () => 1_767_225_600e9 + hart.instret * 10,
        fillRandom: (buf) => {
          for (let i = 0; i < buf.length; i++) buf[i] = (this.#seed = (this.#seed * 16807) % 2147483647) & 255;
        },
        log: (level, text) => {
          if (options.verbose === true || level === "error") console.log(`[${level}] ${text}`);
        },
      },
    });
    this.fs = installFileSystems(this.kernel, { commandLine: "root=test" });
    installIo(this.kernel);
    const rootFs = options.root?.(this.fs) ?? this.fs.createTmpfs({ mode: 0o755 });
    const root = this.fs.mountRoot(rootFs, "rootfs", 0).rootPath;
    this.context = { root, cwd: root, umask: 0, credentials: ROOT_CREDENTIALS };
  }

  /** Our own userland at its places. */
  addTree(): this {
    for (const entry of rootTree) {
      if (entry.type === "directory") this.mkdir(entry.path, entry.mode);
      else if (entry.type === "symlink") this.symlink(entry.target, entry.path);
      else this.write(entry.path, readFileSync(`${USERLAND}${entry.source}`), entry.mode);
    }
    mountStandard(this.fs);
    return this;
  }

  mkdir(path: string, mode = 0o755): void {
    this.fs.vfs.mkdir(this.context, null, path, mode);
  }

  symlink(target: string, path: string): void {
    this.fs.vfs.symlink(this.context, target, null, path);
  }

  write(path: string, bytes: Uint8Array | string, mode = 0o644): void {
    const file = this.fs.vfs.open(this.context, null, path, O_CREAT | O_RDWR, mode);
    if (typeof file === "number") throw new Error(`${path}: ${file}`);
    const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    const n = file.write(data);
    if (n !== data.length) throw new Error(`${path}: wrote ${n} of ${data.length}`);
    file.close();
  }

  read(path: string): string {
    const file = this.fs.vfs.open(this.context, null, path, O_RDONLY, 0);
    if (typeof file === "number") throw new Error(`${path}: ${file}`);
    const buf = new Uint8Array(1 << 20);
    const n = file.read(buf);
    file.close();
    return new TextDecoder().decode(buf.subarray(0, n));
  }

  exists(path: string): boolean {
    return typeof this.fs.vfs.lookup(this.context, null, path, LOOKUP_FOLLOW) === "object";
  }

  /** Runs one program as process 1 until it ends. */
  run(
    argv: readonly string[],
    options: { input?: string; env?: readonly string[]; cwd?: string; limit?: number } = {},
  ): Outcome {
    const out = new Capture();
    const err = new Capture();
    const error = this.kernel.spawnInit({
      path: argv[0] as string,
      argv,
      envp: options.env ?? ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root", "LC_ALL=C"],
      files: [new Input(options.input ?? ""), out, err],
      cwd: options.cwd ?? "/",
    });
    if (error !== 0) return { stdout: "", stderr: `cannot start: ${error}`, status: 127 };
    let steps = 0;
    while (this.kernel.halted === null) {
      const state = this.kernel.step(1_000_000);
      if (state < 0) this.#now += -state; // nothing to do: time passes
      if (state === 0 && this.kernel.halted === null)
        return { stdout: out.text, stderr: `${err.text}[the machine waits for ever]`, status: 124 };
      if (++steps > (options.limit ?? 20_000))
        return { stdout: out.text, stderr: `${err.text}[too long]`, status: 124 };
    }
    if (this.kernel.halted?.reason === "oops") throw new Error(this.kernel.halted.message);
    return { stdout: out.text, stderr: err.text, status: this.kernel.halted.status };
  }
}

/** A machine with our userland; one per program run. */
export function newGuest(options: GuestOptions = {}): Guest {
  return new Guest(options).addTree();
}
