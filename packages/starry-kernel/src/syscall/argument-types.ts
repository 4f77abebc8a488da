/**
 * Types of system call arguments: how a register becomes a number, and how strace shows it.
 *
 * A type that is not listed here is a mistake in a row (checked when the table is built).
 */

/** How the register is read. */
export const WIDTH_I32 = 0;
export const WIDTH_U32 = 1;
export const WIDTH_I64 = 2;
export const WIDTH_U64 = 3;

/** Conversion by type name. Formatting lives in strace/. */
export const ARGUMENT_TYPES: Readonly<Record<string, number>> = {
  // Signed 32 bits
  fd: WIDTH_I32,
  dirfd: WIDTH_I32,
  int: WIDTH_I32,
  pid: WIDTH_I32,
  signal: WIDTH_I32,
  clockid: WIDTH_I32,
  whence: WIDTH_I32,
  resource: WIDTH_I32,
  // Bit sets in a 32-bit word; strace prints them by name
  flags: WIDTH_I32,
  open_flags: WIDTH_I32,
  at_flags: WIDTH_I32,
  prot: WIDTH_I32,
  mmap_flags: WIDTH_I32,
  madvice: WIDTH_I32,
  access_mode: WIDTH_I32,
  wait_options: WIDTH_I32,
  futex_op: WIDTH_I32,
  fcntl_cmd: WIDTH_I32,
  prctl_op: WIDTH_I32,
  epoll_op: WIDTH_I32,
  ptrace_request: WIDTH_I32,
  family: WIDTH_I32,
  socket_type: WIDTH_I32,
  msg_flags: WIDTH_I32,
  // Unsigned 32 bits
  uint: WIDTH_U32,
  mode: WIDTH_U32,
  uid: WIDTH_U32,
  gid: WIDTH_U32,
  dev: WIDTH_U32,
  ioctl: WIDTH_U32,
  // Signed 64 bits
  long: WIDTH_I64,
  off: WIDTH_I64,
  // Unsigned 64 bits
  ulong: WIDTH_U64,
  size: WIDTH_U64,
  clone_flags: WIDTH_U64,
  // Addresses
  ptr: WIDTH_U64,
  path: WIDTH_U64,
  str: WIDTH_U64,
  str_array: WIDTH_U64,
  in_buf: WIDTH_U64,
  out_buf: WIDTH_U64,
  iovec: WIDTH_U64,
  timespec: WIDTH_U64,
  timeval: WIDTH_U64,
  sigset: WIDTH_U64,
  sigaction: WIDTH_U64,
  stat: WIDTH_U64,
  pollfds: WIDTH_U64,
  fd_set: WIDTH_U64,
  epoll_event: WIDTH_U64,
  epoll_events: WIDTH_U64,
  itimerspec: WIDTH_U64,
  msghdr: WIDTH_U64,
  sockaddr: WIDTH_U64,
  int_ptr: WIDTH_U64,
  fd_pair: WIDTH_U64,
  rlimit: WIDTH_U64,
  utsname: WIDTH_U64,
  wstatus: WIDTH_U64,
  // Filled in by the call: printed when it returns
  out_timespec: WIDTH_U64,
  out_timeval: WIDTH_U64,
  out_sigset: WIDTH_U64,
  out_sigaction: WIDTH_U64,
  out_rlimit: WIDTH_U64,
  out_int: WIDTH_U64,
  sigmask_how: WIDTH_I32,
};
