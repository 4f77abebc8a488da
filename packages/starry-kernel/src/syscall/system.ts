/**
 * The machine as a whole: uname, sysinfo, random numbers, log, reboot, and what riscv64 adds.
 */
import {
  CAP_SYS_ADMIN,
  CAP_SYS_BOOT,
  CAP_SYSLOG,
  decodeName,
  EFAULT,
  EINVAL,
  encodeName,
  ENOSYS,
  EPERM,
  LINUX_REBOOT_CMD_CAD_OFF,
  LINUX_REBOOT_CMD_CAD_ON,
  LINUX_REBOOT_CMD_HALT,
  LINUX_REBOOT_CMD_POWER_OFF,
  LINUX_REBOOT_CMD_RESTART,
  LINUX_REBOOT_CMD_RESTART2,
  LINUX_REBOOT_MAGIC1,
  LINUX_REBOOT_MAGIC2,
  LINUX_REBOOT_MAGIC2A,
  LINUX_REBOOT_MAGIC2B,
  LINUX_REBOOT_MAGIC2C,
  SYS_getrandom,
  SYS_membarrier,
  SYS_personality,
  SYS_reboot,
  SYS_riscv_flush_icache,
  SYS_riscv_hwprobe,
  SYS_rseq,
  SYS_setdomainname,
  SYS_sethostname,
  SYS_sysinfo,
  SYS_syslog,
  SYS_uname,
  SYSINFO_BUFFERRAM,
  SYSINFO_FREERAM,
  SYSINFO_LOADS,
  SYSINFO_MEM_UNIT,
  SYSINFO_PROCS,
  SYSINFO_SHAREDRAM,
  SYSINFO_SIZE,
  SYSINFO_TOTALRAM,
  SYSINFO_UPTIME,
  UTSNAME_DOMAINNAME,
  UTSNAME_MACHINE,
  UTSNAME_NODENAME,
  UTSNAME_RELEASE,
  UTSNAME_SIZE,
  UTSNAME_SYSNAME,
  UTSNAME_VERSION,
} from "linux-abi";
import { CACHE_BLOCK_BYTES, USER_EXTENSIONS } from "rv64-cpu/isa";
import { formatLogRecord } from "../kernel-log.ts";
import { USER_TOP } from "../mm/address-space.ts";
import { PAGE_SIZE } from "../mm/frame-allocator.ts";
import type { Task } from "../task/task.ts";
import { KERNEL_NAME, KERNEL_RELEASE, KERNEL_VERSION, MACHINE } from "../uname.ts";
import { type Wait, waitAndRetry } from "../wait.ts";
import { full, partial, row, type SyscallRow, stub } from "./row.ts";

/** __NEW_UTS_LEN */
const MAX_NAME = 64;

/** uname(2) */
function sys_uname(task: Task, address: number): number {
  const { kernel } = task;
  const bytes = new Uint8Array(UTSNAME_SIZE);
  const put = (at: number, text: string): void => bytes.set(encodeName(text).subarray(0, MAX_NAME), at);
  put(UTSNAME_SYSNAME, KERNEL_NAME);
  put(UTSNAME_NODENAME, kernel.hostName);
  put(UTSNAME_RELEASE, KERNEL_RELEASE);
  put(UTSNAME_VERSION, KERNEL_VERSION);
  put(UTSNAME_MACHINE, MACHINE);
  put(UTSNAME_DOMAINNAME, kernel.domainName);
  return task.memory.copyOut(address, bytes, 0, UTSNAME_SIZE);
}

/** A host or domain name from a program, or -errno. */
function readName(task: Task, address: number, length: number): string | number {
  if (!task.cred.hasCapability(CAP_SYS_ADMIN)) return -EPERM;
  if (length < 0 || length > MAX_NAME) return -EINVAL;
  const bytes = new Uint8Array(length);
  if (task.memory.copyIn(address, bytes, 0, length) !== 0) return -EFAULT;
  const nul = bytes.indexOf(0);
  return decodeName(nul < 0 ? bytes : bytes.subarray(0, nul));
}

/** sethostname(2) */
function sys_sethostname(task: Task, address: number, length: number): number {
  const name = readName(task, address, length);
  if (typeof name === "number") return name;
  task.kernel.hostName = name;
  return 0;
}

/** setdomainname(2) */
function sys_setdomainname(task: Task, address: number, length: number): number {
  const name = readName(task, address, length);
  if (typeof name === "number") return name;
  task.kernel.domainName = name;
  return 0;
}

/** Fixed-point shift of sysinfo's load averages. */
const SI_LOAD_SHIFT = 16;

/** sysinfo(2) */
function sys_sysinfo(task: Task, address: number): number {
  const { kernel, memory } = task;
  const { scratch: view, scratchBytes } = memory;
  scratchBytes.fill(0, 0, SYSINFO_SIZE);
  const put = (at: number, value: number): void => {
    view.setUint32(at, value % 4294967296, true);
    view.setUint32(at + 4, Math.floor(value / 4294967296), true);
  };
  put(SYSINFO_UPTIME, Math.floor(kernel.clock.monotonicNs() / 1e9));
  const load = kernel.scheduler.loadAverages();
  for (let i = 0; i < 3; i++) put(SYSINFO_LOADS + 8 * i, Math.round((load[i] as number) * 2 ** SI_LOAD_SHIFT));
  put(SYSINFO_TOTALRAM, kernel.frames.total * PAGE_SIZE);
  put(SYSINFO_FREERAM, kernel.frames.free * PAGE_SIZE);
  put(SYSINFO_SHAREDRAM, 0);
  put(SYSINFO_BUFFERRAM, 0);
  view.setUint16(SYSINFO_PROCS, Math.min(kernel.tasks.taskCount, 0xffff), true);
  view.setUint32(SYSINFO_MEM_UNIT, 1, true);
  return memory.store(address, SYSINFO_SIZE);
}

const GRND_NONBLOCK = 1;
const GRND_RANDOM = 2;
const GRND_INSECURE = 4;

/** getrandom(2): the platform's source never runs dry. */
function sys_getrandom(task: Task, address: number, length: number, flags: number): number {
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) !== 0) return -EINVAL;
  if ((flags & (GRND_RANDOM | GRND_INSECURE)) === (GRND_RANDOM | GRND_INSECURE)) return -EINVAL;
  const total = Math.min(length, 0x1ffffff);
  const chunk = new Uint8Array(Math.min(total, PAGE_SIZE));
  for (let done = 0; done < total; ) {
    const part = chunk.subarray(0, Math.min(chunk.length, total - done));
    task.kernel.platform.fillRandom(part);
    if (task.memory.copyOut(address + done, part, 0, part.length) !== 0) return done > 0 ? done : -EFAULT;
    done += part.length;
  }
  return total;
}

/** reboot(2) */
function sys_reboot(task: Task, magic1: number, magic2: number, command: number): number {
  const seconds = [LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B, LINUX_REBOOT_MAGIC2C];
  if (!task.cred.hasCapability(CAP_SYS_BOOT)) return -EPERM;
  if (magic1 !== LINUX_REBOOT_MAGIC1 || !seconds.includes(magic2)) return -EINVAL;
  const { kernel } = task;
  switch (command) {
    case LINUX_REBOOT_CMD_CAD_ON:
    case LINUX_REBOOT_CMD_CAD_OFF:
      return 0;
    case LINUX_REBOOT_CMD_POWER_OFF:
      kernel.halt("power-off", 0, "powered off");
      return 0;
    case LINUX_REBOOT_CMD_HALT:
      kernel.halt("halt", 0, "system halted");
      return 0;
    case LINUX_REBOOT_CMD_RESTART:
    case LINUX_REBOOT_CMD_RESTART2:
      kernel.halt("restart", 0, "restart requested");
      return 0;
    default:
      return -EINVAL;
  }
}

// syslog(2) actions
const SYSLOG_CLOSE = 0;
const SYSLOG_OPEN = 1;
const SYSLOG_READ = 2;
const SYSLOG_READ_ALL = 3;
const SYSLOG_READ_CLEAR = 4;
const SYSLOG_CLEAR = 5;
const SYSLOG_CONSOLE_OFF = 6;
const SYSLOG_CONSOLE_ON = 7;
const SYSLOG_CONSOLE_LEVEL = 8;
const SYSLOG_SIZE_UNREAD = 9;
const SYSLOG_SIZE_BUFFER = 10;
/** What SYSLOG_SIZE_BUFFER reports. */
const LOG_BYTES = 1 << 17;

function logText(task: Task, from: number): Uint8Array {
  const lines = task.kernel.messages.since(from).map((r) => `<${r.severity}>${formatLogRecord(r)}\n`);
  return encodeName(lines.join(""));
}

/** syslog(2) */
function sys_syslog(task: Task, action: number, address: number, length: number): number | Wait {
  const { messages } = task.kernel;
  const reading = action === SYSLOG_READ_ALL || action === SYSLOG_SIZE_BUFFER;
  if (!reading && !task.cred.hasCapability(CAP_SYSLOG)) return -EPERM;
  switch (action) {
    case SYSLOG_CLOSE:
    case SYSLOG_OPEN:
    case SYSLOG_CONSOLE_OFF:
    case SYSLOG_CONSOLE_ON:
      return 0;
    case SYSLOG_CONSOLE_LEVEL:
      return length < 1 || length > 8 ? -EINVAL : 0;
    case SYSLOG_READ:
      return readUnread(task, address, length);
    case SYSLOG_READ_ALL:
    case SYSLOG_READ_CLEAR: {
      if (address === 0 || length < 0) return -EINVAL;
      const text = logText(task, messages.cleared);
      const part = text.subarray(Math.max(0, text.length - length));
      if (task.memory.copyOut(address, part, 0, part.length) !== 0) return -EFAULT;
      if (action === SYSLOG_READ_CLEAR) messages.clear();
      return part.length;
    }
    case SYSLOG_CLEAR:
      messages.clear();
      return 0;
    case SYSLOG_SIZE_UNREAD:
      return logText(task, messages.unread).length;
    case SYSLOG_SIZE_BUFFER:
      return LOG_BYTES;
    default:
      return -EINVAL;
  }
}

/** SYSLOG_ACTION_READ: whole lines that nobody has read this way; waits for the first. */
function readUnread(task: Task, address: number, length: number): number | Wait {
  const { messages } = task.kernel;
  if (address === 0 || length < 0) return -EINVAL;
  if (messages.unread >= messages.next) {
    return waitAndRetry("syslog", messages.pollSet, 1, (self) => readUnread(self, address, length));
  }
  let done = 0;
  for (const record of messages.since(messages.unread)) {
    const line = encodeName(`<${record.severity}>${formatLogRecord(record)}\n`);
    if (done + line.length > length) break;
    if (task.memory.copyOut(address + done, line, 0, line.length) !== 0) return done > 0 ? done : -EFAULT;
    done += line.length;
    messages.unread = record.sequence + 1;
  }
  return done;
}

/** personality(2): only Linux's own, with its flags remembered. */
function sys_personality(task: Task, persona: number): number {
  const old = task.personality;
  if (persona !== 0xffffffff) task.personality = persona;
  return old;
}

// riscv_hwprobe(2) keys (Documentation/arch/riscv/hwprobe.rst)
const KEY_MVENDORID = 0;
const KEY_MARCHID = 1;
const KEY_MIMPID = 2;
const KEY_BASE_BEHAVIOR = 3;
const KEY_IMA_EXT_0 = 4;
const KEY_CPUPERF_0 = 5;
const KEY_ZICBOZ_BLOCK_SIZE = 6;
const KEY_HIGHEST_VIRT_ADDRESS = 7;
const KEY_TIME_CSR_FREQ = 8;
const KEY_MISALIGNED_SCALAR_PERF = 9;
const BASE_BEHAVIOR_IMA = 1;
/** Bits of IMA_EXT_0 by name of the extension (bit 0 says F and D). */
const IMA_EXT_0: Readonly<Record<string, number>> = {
  d: 0,
  c: 1,
  zba: 3,
  zbb: 4,
  zbs: 5,
  zicboz: 6,
  zicond: 35,
  zihintpause: 36,
};
const MISALIGNED_FAST = 3;

/** What does not depend on the platform. */
const HWPROBE: ReadonlyMap<number, number> = new Map([
  [KEY_MVENDORID, 0],
  [KEY_MARCHID, 0],
  [KEY_MIMPID, 0],
  [KEY_BASE_BEHAVIOR, BASE_BEHAVIOR_IMA],
  [KEY_IMA_EXT_0, USER_EXTENSIONS.reduce((bits, name) => bits + (name in IMA_EXT_0 ? 2 ** IMA_EXT_0[name] : 0), 0)],
  [KEY_CPUPERF_0, MISALIGNED_FAST],
  [KEY_HIGHEST_VIRT_ADDRESS, USER_TOP - 1],
  [KEY_ZICBOZ_BLOCK_SIZE, CACHE_BLOCK_BYTES],
  [KEY_MISALIGNED_SCALAR_PERF, MISALIGNED_FAST],
]);

/** WHICH_CPUS: bit masks ask for at least these bits, other keys for this value. */
function matches(key: number, value: number, asked: number): boolean {
  if (key !== KEY_BASE_BEHAVIOR && key !== KEY_IMA_EXT_0) return value === asked;
  return (BigInt(value) & BigInt(asked)) === BigInt(asked);
}

/** riscv_hwprobe(2): pairs (i64 key, u64 value); an unknown key becomes −1. */
function sys_riscv_hwprobe(
  task: Task,
  pairs: number,
  count: number,
  cpuBytes: number,
  cpus: number,
  flags: number,
): number {
  // Flag 1 (WHICH_CPUS) asks the other way round: which CPUs have these values.
  if ((flags & ~1) !== 0) return -EINVAL;
  const { memory } = task;
  if (flags === 0 && cpuBytes !== 0) {
    const first = memory.readU8(cpus);
    if (first < 0) return -EFAULT;
    if ((first & 1) === 0) return -EINVAL;
  }
  let all = true;
  for (let i = 0; i < count; i++) {
    const at = pairs + 16 * i;
    if (memory.load(at, 16) !== 0) return -EFAULT;
    const high = memory.scratch.getInt32(4, true);
    const key = high === 0 ? memory.scratch.getUint32(0, true) : -1;
    const asked = memory.scratch.getUint32(12, true) * 4294967296 + memory.scratch.getUint32(8, true);
    const value = key === KEY_TIME_CSR_FREQ ? task.kernel.platform.timebaseHz : HWPROBE.get(key);
    if (flags === 1) {
      if (value === undefined || !matches(key, value, asked)) all = false;
      continue;
    }
    if (value === undefined && memory.writeI64(at, -1) !== 0) return -EFAULT;
    if (memory.writeI64(at + 8, value ?? 0) !== 0) return -EFAULT;
  }
  if (flags === 1) {
    if (cpuBytes === 0 || memory.clear(cpus, cpuBytes) !== 0) return cpuBytes === 0 ? -EINVAL : -EFAULT;
    return memory.writeU8(cpus, all ? 1 : 0);
  }
  return 0;
}

/** riscv_flush_icache(2) */
function sys_riscv_flush_icache(task: Task, _start: number, _end: number, flags: number): number {
  if ((flags & ~1) !== 0) return -EINVAL;
  task.kernel.cpu.flushInstructions();
  return 0;
}

// membarrier(2): with one hart every barrier holds already.
const MEMBARRIER_QUERY = 0;
/** GLOBAL, GLOBAL_EXPEDITED, PRIVATE_EXPEDITED, PRIVATE_EXPEDITED_SYNC_CORE and their registrations. */
const MEMBARRIER_COMMANDS = 0x7f;

function sys_membarrier(_task: Task, command: number, flags: number): number {
  if (flags !== 0) return -EINVAL;
  if (command === MEMBARRIER_QUERY) return MEMBARRIER_COMMANDS;
  const isOne = (command & (command - 1)) === 0;
  return isOne && (command & ~MEMBARRIER_COMMANDS) === 0 ? 0 : -EINVAL;
}

export const SYSTEM_CALLS: readonly SyscallRow[] = [
  row(SYS_uname, "uname", "buf:utsname", full, sys_uname),
  row(SYS_sethostname, "sethostname", "name:ptr len:int", full, sys_sethostname),
  row(SYS_setdomainname, "setdomainname", "name:ptr len:int", full, sys_setdomainname),
  row(SYS_sysinfo, "sysinfo", "info:ptr", full, sys_sysinfo),
  row(SYS_getrandom, "getrandom", "buf:out_buf count:size flags:flags", full, sys_getrandom),
  row(SYS_reboot, "reboot", "magic1:uint magic2:uint cmd:uint arg:ptr", partial("no kexec, no suspend"), sys_reboot),
  row(SYS_syslog, "syslog", "type:int buf:ptr len:int", full, sys_syslog),
  row(
    SYS_personality,
    "personality",
    "persona:uint",
    partial("of the flags only ADDR_NO_RANDOMIZE has an effect"),
    sys_personality,
  ),
  row(
    SYS_riscv_hwprobe,
    "riscv_hwprobe",
    "pairs:ptr count:size cpusetsize:size cpus:ptr flags:uint",
    full,
    sys_riscv_hwprobe,
  ),
  row(SYS_riscv_flush_icache, "riscv_flush_icache", "start:ptr end:ptr flags:ulong", full, sys_riscv_flush_icache),
  row(SYS_membarrier, "membarrier", "cmd:int flags:uint cpu:int", full, sys_membarrier),
  stub(SYS_rseq, "rseq", "rseq:ptr len:uint flags:int sig:uint", -ENOSYS, "optional; the C libraries do without"),
];
