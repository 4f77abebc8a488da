/**
 * A static riscv64 Linux program on the bare hart: no MMU, no kernel, nine system calls. Two packages are enough.
 *
 *   node dist/run-elf.js FILE [ARGUMENT...]       e.g. ../../packages/userland/bin/hello one two
 *
 * RAM begins where the program is linked to, so its addresses are used as they are; what lies outside is a trap.
 */
import { readFileSync, readSync, writeSync } from "node:fs";
import * as abi from "linux-abi";
import { createGuestRam, explain, Hart, PAGE_SIZE, STOP_TRAP } from "rv64-cpu";
import { CAUSE_ECALL_U, X_NAMES } from "rv64-cpu/isa";

const [path, ...args] = process.argv.slice(2);
if (path === undefined) fail("usage: run-elf FILE [ARGUMENT...]");

// 1. The file's headers, and in them the segments to load.
const file = readFileSync(path);
const header = new DataView(file.buffer, file.byteOffset, file.length);
const u16 = (at: number) => header.getUint16(at, true);
const u64 = (at: number) => Number(header.getBigUint64(at, true));
if (file.length < abi.EHDR_SIZE || header.getUint32(0) !== 0x7f454c46) fail(`${path}: not an ELF file`);
if (u16(abi.EHDR_E_MACHINE) !== abi.EM_RISCV) fail(`${path}: not for RISC-V`);
if (u16(abi.EHDR_E_TYPE) !== abi.ET_EXEC) fail(`${path}: not linked to a fixed address (-static)`);
const [entry, phoff, phnum] = [u64(abi.EHDR_E_ENTRY), u64(abi.EHDR_E_PHOFF), u16(abi.EHDR_E_PHNUM)];
if (phoff + phnum * abi.PHDR_SIZE > file.length) fail(`${path}: truncated`);
const headers = Array.from({ length: phnum }, (_, n) => phoff + n * abi.PHDR_SIZE);
const segments = headers.filter((at) => header.getUint32(at + abi.PHDR_P_TYPE, true) === abi.PT_LOAD);
const vaddr = (at: number) => u64(at + abi.PHDR_P_VADDR);

// 2. Memory, from below: the program, its heap, mappings, 8 MiB of stack.
const pages = (byteLength: number) => Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
const base = Math.min(...segments.map(vaddr)) & -PAGE_SIZE;
const ram = createGuestRam({ base, size: 64 << 20 });
const top = base + ram.size;
for (const at of segments) {
  const bytes = file.subarray(u64(at + abi.PHDR_P_OFFSET)).subarray(0, u64(at + abi.PHDR_P_FILESZ));
  ram.bytes.set(bytes, vaddr(at) - base);
}
const heapStart = pages(Math.max(...segments.map((at) => vaddr(at) + u64(at + abi.PHDR_P_MEMSZ))));
let heapEnd = heapStart;
let mapped = top - (8 << 20); // mappings grow down towards the heap

// 3. The start block at sp: argc, argv, NULL, envp, NULL, auxiliary vector; strings and random bytes above it.
let free = top;
const place = (bytes: Uint8Array) => {
  free -= bytes.length;
  ram.bytes.set(bytes, free - base);
  return free;
};
const text = (value: string) => place(new TextEncoder().encode(`${value}\0`));
const random = place(crypto.getRandomValues(new Uint8Array(16)));
const argv = [path, ...args].map(text);
const hwcap = [..."IMAFDC"].reduce((bits, letter) => bits | (1 << (letter.charCodeAt(0) - 65)), 0);
// biome-ignore format: pairs
const auxv = [
  abi.AT_PHDR, base + phoff, abi.AT_PHENT, abi.PHDR_SIZE, abi.AT_PHNUM, phnum, abi.AT_ENTRY, entry,
  abi.AT_UID, 1000, abi.AT_EUID, 1000, abi.AT_GID, 1000, abi.AT_EGID, 1000, abi.AT_SECURE, 0,
  abi.AT_PAGESZ, PAGE_SIZE, abi.AT_CLKTCK, 100, abi.AT_HWCAP, hwcap, abi.AT_RANDOM, random, abi.AT_EXECFN, argv[0],
  abi.AT_NULL, 0,
];
const words = [argv.length, ...argv, 0, text("PATH=/usr/bin:/bin"), 0, ...auxv];
const sp = (free - words.length * 8) & -16;
words.forEach((word, n) => void ram.view.setBigUint64(sp - base + n * 8, BigInt(word), true));

// 4. System calls: what is not in here is ENOSYS. Addresses come from the program, so each is checked.
const hart = new Hart({ ram });
let exitStatus: number | undefined;
const memory = (address: number, length: number) =>
  address >= base && length <= top - address ? ram.bytes.subarray(address - base, address - base + length) : undefined;
const exit = (status: number) => (exitStatus = status & 0xff);
const calls: Record<number, (a0: number, a1: number, a2: number, a3: number) => number> = {
  [abi.SYS_write](fd, address, length) {
    if (fd !== 1 && fd !== 2) return -abi.EBADF;
    const bytes = memory(address, length);
    return bytes === undefined ? -abi.EFAULT : writeSync(fd, bytes);
  },
  [abi.SYS_read](fd, address, length) {
    if (fd !== 0) return -abi.EBADF;
    const bytes = memory(address, length);
    if (bytes === undefined) return -abi.EFAULT;
    hart.invalidateCode(address, length); // the host writes where code may have been
    return readSync(fd, bytes);
  },
  [abi.SYS_brk]: (end) => (end >= heapStart && end <= mapped ? (heapEnd = end) : heapEnd),
  [abi.SYS_mmap](_hint, length, _protection, flags) {
    if ((flags & (abi.MAP_ANONYMOUS | abi.MAP_FIXED)) !== abi.MAP_ANONYMOUS) return -abi.ENODEV;
    return pages(length) > mapped - heapEnd ? -abi.ENOMEM : (mapped -= pages(length));
  },
  [abi.SYS_munmap]: () => 0, // never used again, so always zero when handed out
  [abi.SYS_mprotect]: () => 0, // without an MMU everything may be read, written and executed
  [abi.SYS_clock_gettime](_clock, address) {
    const ms = performance.now();
    const time = [Math.floor(ms / 1000), Math.floor((ms % 1000) * 1e6)].map(BigInt);
    memory(address, 16)?.set(new Uint8Array(BigInt64Array.from(time).buffer));
    return 0;
  },
  [abi.SYS_exit]: exit,
  [abi.SYS_exit_group]: exit,
};

// 5. Run until it exits or does something it may not.
const [a0, a1, a2, a3, a7] = ["a0", "a1", "a2", "a3", "a7"].map((name) => X_NAMES.indexOf(name));
const register = (n: number) => hart.x[2 * n + 1] * 2 ** 32 + (hart.x[2 * n] >>> 0);
hart.x[2 * X_NAMES.indexOf("sp")] = sp;
hart.pc = entry;
while (exitStatus === undefined) {
  if (hart.run(100_000_000) !== STOP_TRAP) continue;
  if (hart.trapCause !== CAUSE_ECALL_U) fail(explain(hart), 128 + abi.SIGSEGV);
  const result = calls[register(a7)]?.(register(a0), register(a1), register(a2), register(a3)) ?? -abi.ENOSYS;
  hart.x[2 * a0] = result;
  hart.x[2 * a0 + 1] = Math.floor(result / 2 ** 32);
  hart.pc += 4;
}
process.exitCode = exitStatus;

function fail(message: string, status = 125): never {
  console.error(message);
  process.exit(status);
}
