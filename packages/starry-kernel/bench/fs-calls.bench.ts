/**
 * Costs of file system calls from the handler on, in ns per call: decoding the path in the program's memory, the VFS, copying the
 * result out. The trap and the dispatcher come on top.
 *
 * Run: node -C source --expose-gc packages/starry-kernel/bench/fs-calls.bench.ts
 * Reference (Node 24, 2026-11): openat + close 1.7 µs, newfstatat 1.1, fstat 0.25, pread of 4 KiB 0.35, lseek 0.01.
 */
/// <reference types="node" />
import { AT_FDCWD, O_RDWR } from "linux-abi";
import { Caller } from "../test/caller.ts";
import { Guest } from "../test/guest.ts";

const PATH = "/usr/lib/riscv64-linux-gnu/libc.so.6";
const guest = new Guest({ memory: 128 << 20 });
for (const path of ["/usr", "/usr/lib", "/usr/lib/riscv64-linux-gnu"]) guest.mkdir(path);
guest.write(PATH, new Uint8Array(1 << 20));
const caller = new Caller(guest);
const { task } = caller;
const path = caller.put(PATH);
const absent = caller.put("/usr/lib/riscv64-linux-gnu/none.so");
const buffer = caller.room(70_000);
const fd = caller.open(PATH, O_RDWR);

function measure(name: string, count: number, call: string, ...args: number[]): void {
  const row = guest.kernel.syscalls.rows.find((candidate) => candidate?.name === call);
  const close = guest.kernel.syscalls.rows.find((candidate) => candidate?.name === "close");
  if (row === undefined || close === undefined) throw new Error(`no call ${call}`);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  const run = (): void => {
    const result = row.handler(task, a, b, c, d, e, f);
    if (call === "openat" && typeof result === "number" && result >= 0) close.handler(task, result, 0, 0, 0, 0, 0);
  };
  for (let i = 0; i < count / 2; i++) run();
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed;
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) run();
  const ns = Number(process.hrtime.bigint() - start) / count;
  const bytes = (process.memoryUsage().heapUsed - heap) / count;
  console.log(`${name.padEnd(28)}${ns.toFixed(0).padStart(8)} ns${bytes.toFixed(1).padStart(8)} B/op`);
}

measure("openat + close", 200_000, "openat", AT_FDCWD, path, 0, 0);
measure("openat, absent", 200_000, "openat", AT_FDCWD, absent, 0, 0);
measure("newfstatat", 200_000, "newfstatat", AT_FDCWD, path, buffer, 0);
measure("fstat", 300_000, "fstat", fd, buffer);
measure("faccessat", 200_000, "faccessat", AT_FDCWD, path, 4);
measure("pread 1", 300_000, "pread64", fd, buffer, 1, 100);
measure("pread 4096", 300_000, "pread64", fd, buffer, 4096, 4096);
measure("pread 65536", 30_000, "pread64", fd, buffer, 65536, 4096);
measure("pwrite 1", 300_000, "pwrite64", fd, buffer, 1, 100);
measure("pwrite 4096", 300_000, "pwrite64", fd, buffer, 4096, 4096);
measure("lseek", 1_000_000, "lseek", fd, 100, 0);
measure("getcwd", 300_000, "getcwd", buffer, 4096);
