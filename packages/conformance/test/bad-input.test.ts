/// <reference types="node" />
/**
 * What people get wrong, and worlds that run out: one clear line and the right exit status (125 ours, 126 not
 * executable, 127 not found, 124 time is up), or the right errno inside the guest. Never a stack trace.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { e2fsck, hasE2fsck, type Run, scratch, starry } from "./support/starry.ts";

const folder = scratch("bad-input");
const HELLO = fileURLToPath(new URL("../../userland/bin/hello", import.meta.url));
/** The embedded root as a small image of its own. */
const image = join(folder, "small.ext4");

beforeAll(async () => {
  const large = join(folder, "root.ext4");
  const files = join(folder, "files");
  for (const path of [large, image, files]) rmSync(path, { recursive: true, force: true });
  expect(await starry(["run", "--save-overlay", large, "--", "true"])).toMatchObject({ status: 0, stderr: "" });
  expect(await starry(["image", "export", large, files])).toMatchObject({ status: 0 });
  expect(await starry(["image", "create", image, "--from-dir", files, "--size", "24M"])).toMatchObject({ status: 0 });
});

/** Our own errors: nothing on stdout, exactly one line on stderr. */
function expectOneLine(run: Run, status: number, text: RegExp): void {
  expect(run.stderr).toMatch(/^starry: [^\n]*\n$/);
  expect(run.stderr).toMatch(text);
  expect(run.stdout).toBe("");
  expect(run.status).toBe(status);
}

describe("programs that cannot run", () => {
  const hello = readFileSync(HELLO);
  const x86 = Buffer.from(hello);
  x86.writeUInt16LE(62, 18); // e_machine = EM_X86_64
  const arm = Buffer.from(hello);
  arm.writeUInt16LE(183, 18);
  const cases: readonly (readonly [name: string, bytes: Uint8Array | string, status: number, text: RegExp])[] = [
    ["an ELF program cut within its header", hello.subarray(0, 40), 126, /truncated ELF/],
    ["an ELF program cut within its segments", hello.subarray(0, 500), 126, /truncated ELF/],
    ["an x86-64 program", x86, 126, /x86-64, not for riscv64/],
    ["an AArch64 program", arm, 126, /AArch64, not for riscv64/],
    [
      "a program whose interpreter is missing",
      withInterpreter("/lib/ld-none.so.1"),
      127,
      /interpreter \/lib\/ld-none\.so\.1/,
    ],
    ["a script whose interpreter is missing", "#!/no/such/interpreter\n", 127, /interpreter \/no\/such\/interpreter/],
    ["text without #!", "echo hello\n", 126, /neither an ELF program nor a script/],
    ["an empty file", "", 126, /is empty/],
  ];
  test.each(cases)("%s", async (name, bytes, status, text) => {
    const path = join(folder, name.replaceAll(" ", "-"));
    writeFileSync(path, bytes);
    chmodSync(path, 0o755);
    expectOneLine(await starry(["run", path]), status, text);
  });

  test("a program that is nowhere", async () => {
    expectOneLine(await starry(["run", "no-such-program"]), 127, /no-such-program: No such file/);
    expectOneLine(await starry(["run", "/no/such/program"]), 127, /\/no\/such\/program: No such file/);
  });

  test("a file without the right to execute, a directory", async () => {
    expectOneLine(await starry(["run", "/etc/passwd"]), 126, /\/etc\/passwd: Permission denied/);
    expectOneLine(await starry(["run", "/etc"]), 126, /\/etc: Permission denied/);
  });

  test("the guest's shell says the same of them", async () => {
    expect((await starry(["run", "--", "sh", "-c", "/none; echo $?; /etc; echo $?"])).stdout).toBe("127\n126\n");
  });
});

describe("images that are none", () => {
  const made = (name: string, size: number, bytes = Buffer.alloc(0)): string => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    truncateSync(path, size);
    return path;
  };
  const cases: readonly (readonly [string, () => string, RegExp])[] = [
    ["zeros", () => made("zeros", 10 << 20), /not an ext4 file system/],
    [
      "noise",
      () => made("noise", 1 << 20, Buffer.from(Array.from({ length: 8192 }, (_, i) => (i * 167 + 13) & 255))),
      /not an ext4/,
    ],
    ["an empty file", () => made("empty", 0), /too small/],
    ["a missing file", () => join(folder, "missing"), /no such file/],
    ["a directory", () => folder, /is a directory/],
    ["an image cut short", () => cutShort(), /more than the device/],
    [
      "an image with unknown incompatible features",
      () => withFeatures(0x60, 0x4000_0000),
      /unsupported features: FEATURE_I30/,
    ],
    [
      "an image whose superblock is damaged",
      () => patched(1024 + 0x18, Buffer.from([77, 0, 0, 0])),
      /superblock|checksum|block size/,
    ],
  ];
  test.each(cases)("%s", async (_name, path, text) => {
    expectOneLine(await starry(["run", "--image", path(), "--", "ls"]), 125, text);
  });

  const cutShort = (): string => {
    const path = patched(0, Buffer.alloc(0));
    truncateSync(path, 20 << 20);
    return path;
  };

  test("`image` commands refuse them too", async () => {
    expectOneLine(await starry(["image", "ls", made("zeros", 10 << 20)]), 125, /zeros: not an ext4 file system/);
    expectOneLine(await starry(["image", "info", join(folder, "missing")]), 125, /no such file/);
    expectOneLine(await starry(["image", "cat", `${image}:/no/such`]), 125, /\/no\/such: No such file/);
  });

  test("unknown read-only compatible features: it works, and nothing can be written", async () => {
    const path = withFeatures(0x64, 0x4000_0000);
    const before = readFileSync(path);
    const run = await starry([
      "run",
      "--image",
      path,
      "--persist",
      "--",
      "sh",
      "-c",
      "touch /x; mkdir /y; rm /etc/passwd; echo still works",
    ]);
    expect(run.stdout).toBe("still works\n");
    expect(run.stderr.match(/Read-only file system/g)).toHaveLength(3);
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

describe("the command line", () => {
  const cases: readonly (readonly [words: readonly string[], text: RegExp])[] = [
    [["bogus"], /unknown command bogus/],
    [["run"], /usage: starry run/],
    [["run", "--bogus"], /unknown option --bogus/],
    [["run", "--image"], /--image needs a value/],
    [["run", "--mem", "1X", "--", "ls"], /"1X" is not a size/],
    [["run", "--mem", "1K", "--", "ls"], /--mem: the machine can have 4M to 3G/],
    [["run", "--mem", "100G", "--", "ls"], /--mem: the machine can have 4M to 3G/],
    [["run", "--timeout", "soon", "--", "ls"], /--timeout: "soon"/],
    [["run", "--user", "nobody", "--", "ls"], /--user: "nobody" is not a number/],
    [["run", "--cwd", "/none", "--", "ls"], /--cwd: the guest has no directory \/none/],
    [["run", "--persist", "--", "ls"], /--persist needs --image/],
    [["run", "--mount", "/none/at/all:/mnt", "--", "ls"], /no such file/],
    [["run", "--copy-in", "/none/at/all:/x", "--", "ls"], /no such file/],
    [["run", "--jit", "maybe", "--", "ls"], /--jit: "maybe"/],
    [["run", "--log", "shout", "--", "ls"], /--log: "shout"/],
    [["run", "--trace", "no:such", "--", "ls"], /no trace event matches/],
    [["run", "--trace", "sched:*", "--trace-out", "x.bin", "--", "ls"], /--trace-out: "x\.bin"/],
    [["image", "bogus"], /unknown image command bogus/],
    [["image", "create"], /usage: starry image create/],
    [["image", "create", join(folder, "small.ext4"), "--size", "10K"], /256K at least/],
    [["image", "create", "/none/at/all/x.ext4"], /no such file/],
  ];
  test.each(cases)("starry %j", async (words, text) => {
    expectOneLine(await starry(words), 125, text);
  });

  test("--timeout ends the machine with status 124", async () => {
    const run = await starry(["run", "--timeout", "0.5", "--", "sh", "-c", "echo before; sleep 100; echo after"]);
    expect(run).toMatchObject({ status: 124, stdout: "before\n" });
  });
});

describe("too little of something", () => {
  test("a full disk is ENOSPC; what was there stays, and there is room again after a removal", async () => {
    const own = join(folder, "full.ext4");
    copyFileSync(image, own);
    const script = `
      echo keep >/root/keep; sync
      dd if=/dev/zero of=/root/big bs=1024k count=100 2>/dev/null; echo "dd $?"
      echo more >/root/more 2>/dev/null; [ -s /root/more ] || echo "no room"
      cat /root/keep
      rm /root/big; echo again >/root/again && cat /root/again`;
    const run = await starry(["run", "--image", own, "--persist", "--", "sh", "-c", script]);
    expect(run.stdout).toBe("dd 1\nno room\nkeep\nagain\n");
    if (hasE2fsck) expect(await e2fsck(own)).toMatchObject({ status: 0 });
    const later = await starry(["run", "--image", own, "--", "cat", "/root/keep", "/root/again"]);
    expect(later).toMatchObject({ status: 0, stdout: "keep\nagain\n" });
  });

  test("a root mounted read-only is EROFS", async () => {
    const script = "mount -o remount,ro / && touch /x; mkdir /y; rm /etc/passwd; mount | head -1";
    const run = await starry(["run", "--", "sh", "-c", script]);
    expect(run.stderr.match(/Read-only file system/g)).toHaveLength(3);
    expect(run.stdout).toMatch(/^\/dev\/vda on \/ type ext4 \(ro/);
  });

  test("--mem 16M boots, runs, and answers ENOMEM and ENOSPC", async () => {
    expect(await starry(["boot", "--mem", "16M", "-c", "echo fine"])).toMatchObject({ status: 0 });
    const script =
      "dd if=/dev/zero of=/dev/shm/x bs=1024k count=40 2>&1 | grep -c 'No space'; rm /dev/shm/x; echo fine";
    const run = await starry(["run", "--mem", "16M", "--", "sh", "-c", script]);
    expect(run).toMatchObject({ status: 0, stdout: "1\nfine\n" });
  });

  test("a program that takes all memory is killed, the machine lives on", async () => {
    const eater = fileURLToPath(new URL("../../userland/bin/touch-memory", import.meta.url));
    const words = [
      "--copy-in",
      `${eater}:/eater`,
      "--mem",
      "32M",
      "--",
      "sh",
      "-c",
      "/eater 1000; echo $?; echo alive",
    ];
    const run = await starry(["run", ...words]);
    expect(run.stdout).toMatch(/^(137|1)\nalive\n$/m);
    expect(run.stderr).not.toMatch(/RangeError|TypeError|\bat /);
  });
});

/** The hello program with a PT_INTERP in place of its first header that is no PT_LOAD. */
function withInterpreter(interpreter: string): Buffer {
  const elf = readFileSync(HELLO);
  const table = Number(elf.readBigUInt64LE(32));
  const name = Buffer.from(`${interpreter}\0`);
  const at = elf.length;
  for (let i = 0; i < elf.readUInt16LE(56); i++) {
    const header = table + i * 56;
    if (elf.readUInt32LE(header) === 1) continue;
    elf.writeUInt32LE(3, header);
    elf.writeBigUInt64LE(BigInt(at), header + 8);
    elf.writeBigUInt64LE(BigInt(name.length), header + 32);
    elf.writeBigUInt64LE(BigInt(name.length), header + 40);
    return Buffer.concat([elf, name]);
  }
  throw new Error("hello has PT_LOAD segments only");
}

function patched(offset: number, bytes: Buffer): string {
  const path = join(folder, "patched.ext4");
  copyFileSync(image, path);
  const fd = openSync(path, "r+");
  if (bytes.length > 0) writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
  return path;
}

/** Sets feature bits in the superblock's word at `offset`, checksum included, as a newer mke2fs would have. */
function withFeatures(offset: number, bits: number): string {
  const superblock = readFileSync(image).subarray(1024, 2048);
  superblock.writeUInt32LE((superblock.readUInt32LE(offset) | bits) >>> 0, offset);
  superblock.writeUInt32LE(crc32c(superblock.subarray(0, 1020)), 1020);
  return patched(1024, superblock);
}

/** ext4's form: starts with ~0 and is not inverted at the end. */
function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return crc >>> 0;
}
