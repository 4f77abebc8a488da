/**
 * Names of flags and operations for strace, by argument type. Taken from linux-abi by prefix, so a constant that is added there
 * appears here.
 */
import * as abi from "linux-abi";

export interface FlagSet {
  /** Masks to be printed as a union, widest first. */
  readonly bits: readonly (readonly [string, number])[];
  /** Mask of a field that is one value among several (access mode, map type), printed first. */
  readonly field: number;
  readonly values: ReadonlyMap<number, string>;
}

const constants: readonly (readonly [string, number])[] = Object.entries(
  abi as Readonly<Record<string, unknown>>,
).flatMap(([name, value]) => (typeof value === "number" ? [[name, value] as const] : []));

/** Constants with a prefix, without the names in `except`; the first name of a value wins. */
function named(prefix: string, except: readonly string[] = []): Map<number, string> {
  const map = new Map<number, string>();
  for (const [name, value] of constants) {
    if (!name.startsWith(prefix) || except.includes(name)) continue;
    if (!map.has(value | 0)) map.set(value | 0, name);
  }
  return map;
}

function flags(prefix: string, except: readonly string[], field = 0, fieldNames: readonly string[] = []): FlagSet {
  const values = new Map<number, string>();
  for (const [name, value] of constants) if (fieldNames.includes(name)) values.set(value, name);
  const bits = [...named(prefix, [...except, ...fieldNames])]
    .filter(([value]) => value !== 0)
    .map(([value, name]) => [name, value] as const)
    .sort((a, b) => bitCount(b[1]) - bitCount(a[1]) || (a[1] >>> 0) - (b[1] >>> 0));
  return { bits, field, values };
}

function bitCount(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Argument types that are unions of flags. */
export const FLAG_SETS: Readonly<Record<string, FlagSet>> = {
  open_flags: flags("O_", ["O_ACCMODE", "O_NDELAY", "O_LARGEFILE"], abi.O_ACCMODE, ["O_RDONLY", "O_WRONLY", "O_RDWR"]),
  at_flags: flags(
    "AT_",
    constants
      .map(([name]) => name)
      .filter((n) => n.startsWith("AT_") && !/^AT_(SYMLINK|REMOVEDIR|EACCESS|EMPTY|NO_AUTO)/.test(n)),
  ),
  prot: flags("PROT_", ["PROT_NONE", "PROT_SEM"]),
  mmap_flags: flags(
    "MAP_",
    ["MAP_FILE", "MAP_TYPE", "MAP_HUGE_SHIFT", "MAP_HUGE_MASK", "MAP_UNINITIALIZED"],
    abi.MAP_TYPE,
    ["MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE"],
  ),
  wait_options: flags(
    "W",
    constants
      .map(([name]) => name)
      .filter((n) => n.startsWith("W") && !/^W(NOHANG|UNTRACED|CONTINUED|EXITED|NOWAIT)$/.test(n)),
  ),
  clone_flags: flags(
    "CLONE_",
    constants.map(([name]) => name).filter((n) => n.startsWith("CLONE_ARGS")),
  ),
  access_mode: flags(
    "",
    constants.map(([name]) => name).filter((n) => !/^[RWX]_OK$/.test(n)),
  ),
  sa_flags: flags("SA_", ["SA_NOMASK", "SA_ONESHOT"]),
  poll_events: flags(
    "POLL",
    constants.map(([name]) => name).filter((n) => n.startsWith("POLL_")),
  ),
};

/** Argument types that are one value of a list. */
export const VALUE_NAMES: Readonly<Record<string, ReadonlyMap<number, string>>> = {
  whence: named("SEEK_"),
  clockid: named("CLOCK_"),
  resource: named("RLIMIT_"),
  madvice: named("MADV_"),
  fcntl_cmd: fcntlCommands(),
  prctl_op: named(
    "PR_",
    constants.map(([name]) => name).filter((n) => !/^PR_([SG]ET_|CAPBSET|CAP_AMBIENT$|TASK|MCE_KILL$)/.test(n)),
  ),
  epoll_op: named("EPOLL_CTL_"),
  ptrace_request: named(
    "PTRACE_",
    constants.map(([name]) => name).filter((n) => /^PTRACE_(O_|EVENT_|SYSCALL_INFO)/.test(n)),
  ),
  family: named("AF_"),
  sigmask_how: new Map([
    [abi.SIG_BLOCK, "SIG_BLOCK"],
    [abi.SIG_UNBLOCK, "SIG_UNBLOCK"],
    [abi.SIG_SETMASK, "SIG_SETMASK"],
  ]),
  socket_type: named("SOCK_", ["SOCK_NONBLOCK", "SOCK_CLOEXEC"]),
  ioctl: new Map([...named("TC"), ...named("TIOC"), ...named("FIO"), ...named("BLK"), ...named("FS_IOC")]),
};

function fcntlCommands(): Map<number, string> {
  const skip = /^F_(RDLCK|WRLCK|UNLCK|EXLCK|SHLCK|OWNER|SEAL_|OK|LINUX)/;
  return named(
    "F_",
    constants.map(([name]) => name).filter((n) => skip.test(n)),
  );
}

const FUTEX_COMMANDS =
  "WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET".split(" ");

export function futexOp(op: number): string {
  const command = op & ~(abi.FUTEX_PRIVATE_FLAG | abi.FUTEX_CLOCK_REALTIME);
  const name = `FUTEX_${FUTEX_COMMANDS[command] ?? command}`;
  return `${name}${(op & abi.FUTEX_PRIVATE_FLAG) !== 0 ? "_PRIVATE" : ""}${(op & abi.FUTEX_CLOCK_REALTIME) !== 0 ? "|FUTEX_CLOCK_REALTIME" : ""}`;
}

const SIGNALS: ReadonlyMap<number, string> = new Map(
  [
    ...named(
      "SIG",
      constants
        .map(([name]) => name)
        .filter((n) => /^SIG(_|EV_|INFO_|ACTION_|NALFD|RT|STKSZ)/.test(n) || n === "SIGIOT"),
    ),
  ].filter(([value]) => value >= 1 && value <= 31),
);

export function signalName(signal: number): string {
  return SIGNALS.get(signal) ?? (signal >= 32 && signal <= 64 ? `SIGRT_${signal - 32}` : `${signal}`);
}

/** A union of flags, what is left over in hex. */
export function formatFlags(set: FlagSet, value: number): string {
  const parts: string[] = [];
  let rest = value | 0;
  if (set.field !== 0) {
    const field = rest & set.field;
    const name = set.values.get(field);
    if (name !== undefined) {
      parts.push(name);
      rest &= ~set.field;
    }
  }
  for (const [name, bits] of set.bits) {
    if ((rest & bits) !== (bits | 0)) continue;
    parts.push(name);
    rest &= ~bits;
  }
  if (rest !== 0) parts.push(`0x${(rest >>> 0).toString(16)}`);
  return parts.length === 0 ? "0" : parts.join("|");
}

/** S_IF* and permission bits as strace shows st_mode. */
export function formatMode(mode: number): string {
  const types: Readonly<Record<number, string>> = {
    [abi.S_IFREG]: "S_IFREG|",
    [abi.S_IFDIR]: "S_IFDIR|",
    [abi.S_IFLNK]: "S_IFLNK|",
    [abi.S_IFCHR]: "S_IFCHR|",
    [abi.S_IFBLK]: "S_IFBLK|",
    [abi.S_IFIFO]: "S_IFIFO|",
    [abi.S_IFSOCK]: "S_IFSOCK|",
  };
  const permissions = mode & 0o7777;
  return `${types[mode & abi.S_IFMT] ?? ""}0${permissions.toString(8)}`;
}
