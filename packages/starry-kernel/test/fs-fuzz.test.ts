/** Nothing that a program passes to a file system call makes the kernel throw, whatever the result. */
import { expect, test } from "vitest";
import { FS_CALLS } from "../src/syscall/fs/index.ts";
import { Caller } from "./caller.ts";
import { Guest } from "./guest.ts";
import { mountStandard } from "../src/fs/install.ts";

const CALLS = 40_000;
/** These would take the machine's own root or /proc away from the calls that follow. */
const LEFT_OUT = new Set(["chroot", "pivot_root", "umount2"]);

test("random file system calls return numbers", () => {
  const guest = new Guest({ memory: 64 << 20 });
  for (const path of ["/tmp", "/dev", "/proc", "/sys", "/tmp/d"]) guest.mkdir(path);
  guest.write("/tmp/f", "hello");
  guest.symlink("f", "/tmp/s");
  guest.symlink("loop", "/tmp/loop");
  mountStandard(guest.fs, ["/tmp"]);
  const caller = new Caller(guest);
  let state = 42;
  const random = (below: number): number => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  const paths = [
    "/tmp/f",
    "/tmp/d",
    "/tmp/d/x",
    "/tmp/s",
    "/tmp/loop",
    "/tmp/new",
    "/",
    "",
    ".",
    "..",
    "f/",
    "/proc/self/fd/3",
    "/proc/self/status",
    "/proc/self/maps",
    "/proc/1",
    "/sys/block",
    "/dev/null",
    "/dev/zero",
    "/dev/tty",
    "/none/none",
    "x".repeat(300),
    "/".repeat(5000),
    "\u{10ffff}",
  ].map((path) => caller.put(path));
  const buffers = [
    caller.room(4096),
    caller.room(65536),
    caller.put(new Uint8Array(64).fill(255)),
    0,
    8,
    2 ** 38,
    2 ** 63,
    0xfffff,
  ];
  const numbers = [
    0,
    1,
    2,
    3,
    7,
    16,
    64,
    255,
    4096,
    65536,
    -1,
    -100,
    0x7fffffff,
    -0x80000000,
    2 ** 40,
    2 ** 53,
    2 ** 63,
    -(2 ** 62),
  ];
  const wide = (type: string): number => {
    if (type === "path" || type === "str") return paths[random(paths.length)] as number;
    if (type === "fd") return random(10) - 1;
    if (type === "dirfd") return random(3) === 0 ? random(10) : -100;
    if (["ptr", "in_buf", "out_buf", "stat", "timespec", "int_ptr"].includes(type))
      return buffers[random(buffers.length)] as number;
    if (random(2) === 0) return random(1 << (1 + random(20)));
    return numbers[random(numbers.length)] as number;
  };
  // As the dispatcher converts registers.
  const converted = (type: string, value: number): number => {
    if (["uint", "mode", "uid", "gid", "dev", "ioctl"].includes(type)) return value >>> 0;
    if (["off", "long"].includes(type)) return value;
    if (["size", "ulong"].includes(type)) return value < 0 ? 2 ** 64 + value : value;
    if (["ptr", "in_buf", "out_buf", "stat", "timespec", "int_ptr", "path", "str"].includes(type)) return value;
    return value | 0;
  };
  const rows = FS_CALLS.filter((row) => !LEFT_OUT.has(row.name));
  for (let i = 0; i < CALLS; i++) {
    const row = rows[random(rows.length)] as (typeof rows)[number];
    const args = row.args.map(({ type }) => converted(type, wide(type)));
    let result: number;
    try {
      result = caller.call(row.name, ...args);
    } catch (error) {
      throw new Error(`${row.name}(${args.join(", ")}): ${(error as Error).stack}`);
    }
    if (caller.waiting !== null) {
      result = caller.interrupt();
      if (caller.waiting !== null) caller.waiting = null;
      else expect(result, row.name).toBeTypeOf("number");
    }
    if (!Number.isNaN(result) && !(Number.isInteger(result) && result >= -4096 - 515)) {
      throw new Error(`${row.name}(${args.join(", ")}) = ${result}`);
    }
    if (i % 50 === 0) for (let fd = 12; fd < 40; fd++) caller.close(fd);
  }
});
