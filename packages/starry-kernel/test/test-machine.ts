/**
 * A whole machine for tests, without devices: the kernel on a real hart, a tmpfs root, and a console that remembers.
 *
 *     const m = new TestMachine();
 *     m.addFile("/bin/hello", elfBytes, 0o755);
 *     expect(m.run(["/bin/hello"])).toBe(0);      // exit status of process 1
 *     expect(m.output).toBe("hello\n");
 *
 * Time is virtual: one instruction takes 10 ns, and idling jumps to the next timer. Exported nowhere.
 */
import { encodeName, O_CREAT, O_RDWR, O_WRONLY, POLLOUT } from "linux-abi";
import { createGuestRam, Hart } from "rv64-cpu";
import { type FileSystem, ROOT_CREDENTIALS } from "vfs-inode";
import { installFileSystems, mountStandard } from "../src/fs/install.ts";
import { installIo } from "../src/io/install.ts";
import { OpenFile } from "../src/file.ts";
import type { IoBuffer } from "../src/io-buffer.ts";
import { Kernel } from "../src/kernel.ts";
import type { Platform } from "../src/platform.ts";
import type { Task } from "../src/task/task.ts";

const NS_PER_INSTRUCTION = 10;

/** Collects what programs write; reads are at the end at once. */
export class RecordingConsole extends OpenFile {
  text = "";

  constructor() {
    super(O_RDWR);
  }

  override read(): number {
    return 0;
  }

  override write(_task: Task, buffer: IoBuffer): number {
    const bytes = new Uint8Array(buffer.remaining);
    const count = buffer.take(bytes, 0, bytes.length);
    this.text += new TextDecoder("latin1").decode(bytes.subarray(0, count));
    return buffer.result(count);
  }

  override poll(): number {
    return POLLOUT;
  }
}

export interface TestMachineOptions {
  /** Bytes of RAM. Default 64 MiB. */
  readonly ramBytes?: number;
  /** Default: an empty tmpfs. */
  readonly root?: (kernel: Kernel) => FileSystem;
}

export class TestMachine {
  readonly kernel: Kernel;
  readonly hart: Hart;
  readonly terminal: RecordingConsole = new RecordingConsole();
  readonly log: string[] = [];
  #skippedNs = 0;
  #random = 1;

  constructor(options: TestMachineOptions = {}) {
    const ram = createGuestRam({ size: options.ramBytes ?? 64 * 2 ** 20 });
    const hart = new Hart({ ram, timeSource: () => Math.floor(this.#nowNs() / 100) });
    this.hart = hart;
    const platform: Platform = {
      ram,
      cpu: hart,
      mmio: () => {
        throw new RangeError("this machine has no devices");
      },
      irqPending: () => false,
      monotonicNs: () => this.#nowNs(),
      timebaseHz: 10_000_000,
      realtimeNs: () => 1_700_000_000e9 + this.#nowNs(),
      fillRandom: (buf) => {
        for (let i = 0; i < buf.length; i++) {
          this.#random = (Math.imul(this.#random, 1103515245) + 12345) | 0;
          buf[i] = this.#random >>> 16;
        }
      },
      log: (level, text) => void this.log.push(`${level}: ${text}`),
    };
    this.kernel = new Kernel({ platform });
    const fs = installFileSystems(this.kernel);
    installIo(this.kernel);
    fs.mountRoot(options.root?.(this.kernel) ?? fs.createTmpfs(), "none", 0);
    for (const directory of options.root === undefined ? ["/dev", "/proc", "/sys", "/tmp", "/run", "/bin"] : [])
      this.mkdir(directory);
    mountStandard(fs);
  }

  #nowNs(): number {
    return this.hart.instret * NS_PER_INSTRUCTION + this.#skippedNs;
  }

  /** What has been written to descriptors 1 and 2. */
  get output(): string {
    return this.terminal.text;
  }

  mkdir(path: string): void {
    const initial = this.kernel.fs.initialContext();
    const context = { root: initial.root, cwd: initial.cwd, umask: 0, credentials: ROOT_CREDENTIALS };
    this.kernel.fs.vfs.mkdir(context, null, path, 0o755);
    initial.put();
  }

  /** Puts a file into the root file system, making its directories. */
  addFile(path: string, content: Uint8Array | string, mode = 0o644): void {
    const { vfs } = this.kernel.fs;
    const initial = this.kernel.fs.initialContext();
    const context = { root: initial.root, cwd: initial.cwd, umask: 0, credentials: ROOT_CREDENTIALS };
    for (let slash = path.indexOf("/", 1); slash > 0; slash = path.indexOf("/", slash + 1)) {
      vfs.mkdir(context, null, path.slice(0, slash), 0o755);
    }
    const file = vfs.open(context, null, path, O_CREAT | O_WRONLY, mode);
    if (typeof file === "number") throw new Error(`cannot create ${path}: ${file}`);
    file.write(typeof content === "string" ? encodeName(content) : content);
    file.close();
    initial.put();
  }

  /** Starts `argv` as process 1 and runs until the machine halts; returns its exit status. Throws if it cannot start. */
  run(argv: readonly string[], envp: readonly string[] = ["PATH=/bin"], limit = 2_000_000_000): number {
    const { terminal } = this;
    const error = this.kernel.spawnInit({
      path: argv[0] as string,
      argv,
      envp,
      files: [terminal.get(), terminal.get(), terminal.get()],
    });
    if (error !== 0) throw new Error(`cannot start ${argv[0]}: ${error}`);
    return this.finish(limit);
  }

  /** Steps until the machine halts. Throws when nothing is left to do or the limit (instructions) is exceeded. */
  finish(limit = 2_000_000_000): number {
    const { kernel } = this;
    const end = this.hart.instret + limit;
    while (kernel.halted === null) {
      const idle = kernel.step(1_000_000);
      if (kernel.halted !== null) break;
      if (idle === 0) throw new Error(`deadlock: everybody waits. ${this.describe()}`);
      if (idle < 0) this.#skippedNs += -idle;
      if (this.hart.instret > end) throw new Error(`still running after ${limit} instructions. ${this.describe()}`);
    }
    return kernel.halted.status;
  }

  /** Who is doing what, for failure messages. */
  describe(): string {
    const tasks = [...this.kernel.tasks.tasks()].map(
      (t) => `${t.comm}[${t.tid}] state ${t.state} ${t.wait?.channel ?? ""}`,
    );
    return `${tasks.join("; ")}\n${this.output}\n${this.log.join("\n")}`;
  }
}
