/**
 * Constants and structure layouts of the Linux user-space interface on riscv64.
 *
 * Structures are blocks of byte offsets (`STAT_ST_SIZE`), to be used with one DataView and a base: nothing is decoded
 * into objects here. All values are little-endian. Names are the kernel's own.
 *
 * @module
 */
export * from "./device.ts";
export * from "./elf.ts";
export * from "./errno.ts";
export * from "./fcntl.ts";
export * from "./ioctl.ts";
export * from "./mman.ts";
export * from "./mount.ts";
export * from "./names.ts";
export * from "./poll.ts";
export * from "./ptrace.ts";
export * from "./sched.ts";
export * from "./signal.ts";
export * from "./socket.ts";
export * from "./structs.ts";
export * from "./syscall-names.ts";
export * from "./syscall-numbers.ts";
export * from "./termios.ts";
export * from "./time.ts";
