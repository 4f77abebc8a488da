/** strace's -e trace=: names and classes of system calls. */
import type { SyscallRow } from "../syscall/row.ts";

const PROCESS = new Set(
  "clone clone3 execve execveat exit exit_group wait4 waitid kill tkill tgkill rt_sigqueueinfo pidfd_send_signal unshare".split(
    " ",
  ),
);
const MEMORY = new Set(
  "brk mmap munmap mprotect mremap madvise mincore mlock mlock2 munlock mlockall munlockall msync shmat shmdt".split(
    " ",
  ),
);
const SIGNAL = new Set(
  "kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigaltstack signalfd4 pidfd_send_signal".split(
    " ",
  ),
);
const NETWORK = new Set(
  "socket socketpair bind listen accept accept4 connect getsockname getpeername sendto recvfrom setsockopt getsockopt shutdown sendmsg recvmsg sendmmsg recvmmsg".split(
    " ",
  ),
);

function hasType(row: SyscallRow | undefined, ...types: readonly string[]): boolean {
  return row?.args.some((a) => types.includes(a.type)) ?? false;
}

const CLASSES: Readonly<Record<string, (row: SyscallRow | undefined, name: string) => boolean>> = {
  all: () => true,
  file: (row) => hasType(row, "path"),
  desc: (row) => hasType(row, "fd", "dirfd", "fd_pair"),
  process: (_row, name) => PROCESS.has(name),
  memory: (_row, name) => MEMORY.has(name),
  signal: (_row, name) => SIGNAL.has(name),
  network: (_row, name) => NETWORK.has(name),
  net: (_row, name) => NETWORK.has(name),
};

/** `text`: "openat,%process", "!futex", "trace=%file" or "" for everything. An unknown class matches nothing. */
export function parseFilter(text: string): (row: SyscallRow | undefined, name: string) => boolean {
  let list = text.startsWith("trace=") ? text.slice("trace=".length) : text;
  const negated = list.startsWith("!");
  if (negated) list = list.slice(1);
  const items = list.split(",").filter((item) => item !== "");
  if (items.length === 0) return () => !negated;
  return (row, name) => {
    const found = items.some((item) =>
      item.startsWith("%") ? (CLASSES[item.slice(1)]?.(row, name) ?? false) : item === name,
    );
    return found !== negated;
  };
}
