/*
 * The riscv64 Linux ABI as our programs see it: system call numbers (asm-generic/unistd.h),
 * flags and structure layouts. Only what the programs use; names are Linux's own.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  SYS_getcwd = 17, SYS_dup = 23, SYS_dup3 = 24, SYS_fcntl = 25, SYS_ioctl = 29, SYS_flock = 32,
  SYS_mknodat = 33, SYS_mkdirat = 34, SYS_unlinkat = 35, SYS_symlinkat = 36, SYS_linkat = 37,
  SYS_umount2 = 39, SYS_mount = 40, SYS_statfs = 43, SYS_fstatfs = 44, SYS_truncate = 45,
  SYS_ftruncate = 46, SYS_fallocate = 47, SYS_faccessat = 48, SYS_chdir = 49, SYS_fchdir = 50,
  SYS_chroot = 51, SYS_fchmod = 52, SYS_fchmodat = 53, SYS_fchownat = 54, SYS_fchown = 55,
  SYS_openat = 56, SYS_close = 57, SYS_pipe2 = 59, SYS_getdents64 = 61, SYS_lseek = 62,
  SYS_read = 63, SYS_write = 64, SYS_pread64 = 67, SYS_pwrite64 = 68, SYS_ppoll = 73,
  SYS_readlinkat = 78, SYS_newfstatat = 79, SYS_fstat = 80, SYS_sync = 81, SYS_fsync = 82,
  SYS_utimensat = 88, SYS_exit = 93, SYS_exit_group = 94, SYS_futex = 98, SYS_nanosleep = 101,
  SYS_setitimer = 103, SYS_clock_settime = 112, SYS_clock_gettime = 113,
  SYS_clock_nanosleep = 115, SYS_syslog = 116, SYS_sched_yield = 124, SYS_kill = 129,
  SYS_tgkill = 131, SYS_sigaltstack = 132, SYS_rt_sigsuspend = 133, SYS_rt_sigaction = 134,
  SYS_rt_sigprocmask = 135, SYS_rt_sigtimedwait = 137, SYS_setpriority = 140,
  SYS_getpriority = 141, SYS_reboot = 142, SYS_setgid = 144, SYS_setuid = 146, SYS_times = 153,
  SYS_setpgid = 154, SYS_getpgid = 155, SYS_getsid = 156, SYS_setsid = 157, SYS_getgroups = 158,
  SYS_uname = 160, SYS_sethostname = 161, SYS_getrusage = 165, SYS_umask = 166, SYS_getpid = 172,
  SYS_getppid = 173, SYS_getuid = 174, SYS_geteuid = 175, SYS_getgid = 176, SYS_getegid = 177,
  SYS_gettid = 178, SYS_sysinfo = 179, SYS_munmap = 215, SYS_mremap = 216, SYS_clone = 220,
  SYS_execve = 221, SYS_mmap = 222, SYS_wait4 = 260, SYS_prlimit64 = 261, SYS_renameat2 = 276,
  SYS_getrandom = 278,
};

enum {
  EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8,
  EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EBUSY = 16, EEXIST = 17,
  EXDEV = 18, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENOTTY = 25, EFBIG = 27,
  ENOSPC = 28, ESPIPE = 29, EROFS = 30, EMLINK = 31, EPIPE = 32, ERANGE = 34, ENAMETOOLONG = 36,
  ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40,
};

#define AT_FDCWD (-100)
enum { AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_SYMLINK_FOLLOW = 0x400 };
enum {
  O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_EXCL = 0200, O_NOCTTY = 0400,
  O_TRUNC = 01000, O_APPEND = 02000, O_NONBLOCK = 04000, O_DIRECTORY = 0200000,
  O_NOFOLLOW = 0400000, O_CLOEXEC = 02000000,
};
enum { F_DUPFD = 0, F_GETFD = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_DUPFD_CLOEXEC = 1030 };
enum { FD_CLOEXEC = 1 };
enum { SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2 };
enum { R_OK = 4, W_OK = 2, X_OK = 1, F_OK = 0 };
enum { RENAME_NOREPLACE = 1 };

enum {
  S_IFMT = 0170000, S_IFSOCK = 0140000, S_IFLNK = 0120000, S_IFREG = 0100000, S_IFBLK = 0060000,
  S_IFDIR = 0040000, S_IFCHR = 0020000, S_IFIFO = 0010000,
};
#define S_ISDIR(m) (((m) & S_IFMT) == S_IFDIR)
#define S_ISREG(m) (((m) & S_IFMT) == S_IFREG)
#define S_ISLNK(m) (((m) & S_IFMT) == S_IFLNK)
#define S_ISCHR(m) (((m) & S_IFMT) == S_IFCHR)
#define S_ISBLK(m) (((m) & S_IFMT) == S_IFBLK)
#define S_ISFIFO(m) (((m) & S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m) & S_IFMT) == S_IFSOCK)
enum { DT_UNKNOWN = 0, DT_DIR = 4, DT_REG = 8, DT_LNK = 10 };

typedef long ssize_t;
typedef int pid_t;

struct timespec { long tv_sec, tv_nsec; };
struct itimerval { long interval_sec, interval_usec, value_sec, value_usec; };
struct stat {
  uint64_t st_dev, st_ino;
  uint32_t st_mode, st_nlink, st_uid, st_gid;
  uint64_t st_rdev, pad1;
  int64_t st_size;
  int32_t st_blksize, pad2;
  int64_t st_blocks;
  struct timespec st_atim, st_mtim, st_ctim;
  uint32_t unused[2];
};
struct statfs {
  long f_type, f_bsize;
  uint64_t f_blocks, f_bfree, f_bavail, f_files, f_ffree;
  int f_fsid[2];
  long f_namelen, f_frsize, f_flags, f_spare[4];
};
struct dirent64 {
  uint64_t d_ino;
  int64_t d_off;
  uint16_t d_reclen;
  uint8_t d_type;
  char d_name[];
};
struct utsname { char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65]; };
struct sysinfo {
  long uptime;
  unsigned long loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, pad;
  unsigned long totalhigh, freehigh;
  uint32_t mem_unit;
};
struct rusage { struct { long sec, usec; } utime, stime; long rest[14]; };
struct rlimit { uint64_t cur, max; };
struct pollfd { int fd; short events, revents; };
enum { POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16 };

enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS_CPUTIME_ID = 2 };

enum {
  SIGHUP = 1, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
  SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP,
  SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR,
  SIGSYS, NSIG = 65,
};
enum { SIG_BLOCK = 0, SIG_UNBLOCK = 1, SIG_SETMASK = 2 };
#define SIG_DFL ((void (*)(int))0)
#define SIG_IGN ((void (*)(int))1)
#define SA_SIGINFO 0x4ul
#define SA_RESTART 0x10000000ul
#define SA_ONSTACK 0x08000000ul
/* The kernel's sigaction on riscv: no SA_RESTORER, the kernel supplies the return trampoline.
 * Linux ends the structure behind `mask`. qemu-user 7 believes in a restorer before the mask,
 * so a second copy stands where it looks; sys_sigaction fills it. */
struct sigaction { void (*handler)(int); unsigned long flags; uint64_t mask, mask_for_qemu; };

enum { WNOHANG = 1, WUNTRACED = 2, WCONTINUED = 8 };
#define WIFEXITED(s) (((s) & 0x7f) == 0)
#define WEXITSTATUS(s) (((s) >> 8) & 0xff)
#define WIFSTOPPED(s) (((s) & 0xff) == 0x7f)
#define WSTOPSIG(s) (((s) >> 8) & 0xff)
#define WIFCONTINUED(s) ((s) == 0xffff)
#define WIFSIGNALED(s) (((s) & 0x7f) != 0 && ((s) & 0x7f) != 0x7f)
#define WTERMSIG(s) ((s) & 0x7f)

/* struct termios of asm-generic/termbits.h */
struct termios { uint32_t iflag, oflag, cflag, lflag; uint8_t line, cc[19]; };
struct winsize { uint16_t rows, cols, xpixel, ypixel; };
enum {
  TCGETS = 0x5401, TCSETS = 0x5402, TCSETSW = 0x5403, TCSETSF = 0x5404, TIOCSCTTY = 0x540e,
  TIOCGPGRP = 0x540f, TIOCSPGRP = 0x5410, TIOCGWINSZ = 0x5413, TIOCSWINSZ = 0x5414,
};
enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE, VLNEXT, VEOL2 };
enum { /* iflag */ IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 8, INPCK = 16, ISTRIP = 32, INLCR = 64, IGNCR = 128, ICRNL = 256, IXON = 02000, IXANY = 04000, IXOFF = 010000, IMAXBEL = 020000, IUTF8 = 040000 };
enum { /* oflag */ OPOST = 1, ONLCR = 4, OCRNL = 8, ONOCR = 16, ONLRET = 32 };
enum { /* cflag */ CS8 = 060, CSTOPB = 0100, CREAD = 0200, PARENB = 0400, HUPCL = 02000, CLOCAL = 04000 };
enum { /* lflag */ ISIG = 1, ICANON = 2, ECHO = 010, ECHOE = 020, ECHOK = 040, ECHONL = 0100, NOFLSH = 0200, TOSTOP = 0400, ECHOCTL = 01000, ECHOKE = 04000, IEXTEN = 0100000 };

enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32 };
enum { MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_SYNCHRONOUS = 16, MS_REMOUNT = 32, MS_NOATIME = 1024, MS_BIND = 4096, MS_RELATIME = 1 << 21 };
enum { MNT_FORCE = 1, MNT_DETACH = 2 };
enum { LINUX_REBOOT_MAGIC1 = (int)0xfee1dead, LINUX_REBOOT_MAGIC2 = 672274793 };
enum { LINUX_REBOOT_CMD_RESTART = 0x01234567, LINUX_REBOOT_CMD_HALT = (int)0xcdef0123, LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc };
enum { PRIO_PROCESS = 0 };
enum { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 };
