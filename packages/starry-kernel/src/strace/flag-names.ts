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

/** Computed on first use: a machine that is not traced pays nothing for these tables. */
function lazily<T>(compute: () => T): () => T {
  let value: T | undefined;
  return () => {
    value ??= compute();
    return value;
  };
}

const constants = lazily(() =>
  Object.entries(abi as Readonly<Record<string, unknown>>).flatMap(([name, value]) =>
    typeof value === "number" ? [[name, value] as const] : [],
  ),
);

/** Which names of a prefix are left out: a list of them, or a pattern. */
type Except = readonly string[] | RegExp;

const isExcepted = (name: string, except: Except): boolean =>
  except instanceof RegExp ? except.test(name) : except.includes(name);

/** Constants with a prefix, without the names in `except`; the first name of a value wins. */
function named(prefix: string, except: Except = []): Map<number, string> {
  const map = new Map<number, string>();
  for (const [name, value] of constants()) {
    if (!name.startsWith(prefix) || isExcepted(name, except)) continue;
    if (!map.has(value | 0)) map.set(value | 0, name);
  }
  return map;
}

function flags(prefix: string, except: Except, field = 0, fieldNames: readonly string[] = []): FlagSet {
  const values = new Map<number, string>();
  for (const [name, value] of constants()) if (fieldNames.includes(name)) values.set(value, name);
  const bits = [...named(prefix, except)]
    .filter(([value, name]) => value !== 0 && !fieldNames.includes(name))
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
const FLAG_SETS: Readonly<Record<string, () => FlagSet>> = {
  open_flags: () =>
    flags("O_", ["O_ACCMODE", "O_NDELAY", "O_LARGEFILE"], abi.O_ACCMODE, ["O_RDONLY", "O_WRONLY", "O_RDWR"]),
  at_flags: () => flags("AT_", /^AT_(?!SYMLINK|REMOVEDIR|EACCESS|EMPTY|NO_AUTO)/),
  prot: () => flags("PROT_", ["PROT_NONE", "PROT_SEM"]),
  mmap_flags: () =>
    flags("MAP_", ["MAP_FILE", "MAP_TYPE", "MAP_HUGE_SHIFT", "MAP_HUGE_MASK", "MAP_UNINITIALIZED"], abi.MAP_TYPE, [
      "MAP_SHARED",
      "MAP_PRIVATE",
      "MAP_SHARED_VALIDATE",
    ]),
  wait_options: () => flags("W", /^W(?!(NOHANG|UNTRACED|CONTINUED|EXITED|NOWAIT)$)/),
  clone_flags: () => flags("CLONE_", /^CLONE_ARGS/),
  access_mode: () => flags("", /^(?![RWX]_OK$)/),
  sa_flags: () => flags("SA_", ["SA_NOMASK", "SA_ONESHOT"]),
  poll_events: () => flags("POLL", /^POLL_/),
};

/** Argument types that are one value of a list. */
const VALUE_NAMES: Readonly<Record<string, () => ReadonlyMap<number, string>>> = {
  whence: () => named("SEEK_"),
  clockid: () => named("CLOCK_"),
  resource: () => named("RLIMIT_"),
  madvice: () => named("MADV_"),
  fcntl_cmd: () => named("F_", /^F_(RDLCK|WRLCK|UNLCK|EXLCK|SHLCK|OWNER|SEAL_|OK|LINUX)/),
  prctl_op: () => named("PR_", /^PR_(?![SG]ET_|CAPBSET|CAP_AMBIENT$|TASK|MCE_KILL$)/),
  epoll_op: () => named("EPOLL_CTL_"),
  ptrace_request: () => named("PTRACE_", /^PTRACE_(O_|EVENT_|SYSCALL_INFO)/),
  family: () => named("AF_"),
  sigmask_how: () => named("SIG_", /^SIG_(?!BLOCK$|UNBLOCK$|SETMASK$)/),
  socket_type: () => named("SOCK_", ["SOCK_NONBLOCK", "SOCK_CLOEXEC"]),
  ioctl: () =>
    new Map([
      ...named("TC"),
      ...named("TIOC"),
      ...named("FIO"),
      ...named("BLK"),
      ...named("FS_IOC"),
      ...named("EXT4_IOC"),
    ]),
};

const flagSets = new Map(Object.entries(FLAG_SETS).map(([type, compute]) => [type, lazily(compute)]));
const valueNames = new Map(Object.entries(VALUE_NAMES).map(([type, compute]) => [type, lazily(compute)]));

/** The flags an argument of this type is a union of; undefined for other types. */
export function flagSet(type: string): FlagSet | undefined {
  return flagSets.get(type)?.();
}

/** The names of the values of this argument type; undefined for types that are not a list. */
export function valueNamesOf(type: string): ReadonlyMap<number, string> | undefined {
  return valueNames.get(type)?.();
}

const FUTEX_COMMANDS =
  "WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET".split(" ");

export function futexOp(op: number): string {
  const command = op & ~(abi.FUTEX_PRIVATE_FLAG | abi.FUTEX_CLOCK_REALTIME);
  const name = `FUTEX_${FUTEX_COMMANDS[command] ?? command}`;
  return `${name}${(op & abi.FUTEX_PRIVATE_FLAG) !== 0 ? "_PRIVATE" : ""}${(op & abi.FUTEX_CLOCK_REALTIME) !== 0 ? "|FUTEX_CLOCK_REALTIME" : ""}`;
}

const signals = lazily(
  () =>
    new Map(
      [...named("SIG", /^SIG(_|EV_|INFO_|ACTION_|NALFD|RT|STKSZ|IOT$)/)].filter(([value]) => value >= 1 && value <= 31),
    ),
);

export function signalName(signal: number): string {
  return signals().get(signal) ?? (signal >= 32 && signal <= 64 ? `SIGRT_${signal - 32}` : `${signal}`);
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
