/*
 * Raw system calls. Every sys_* function returns what the kernel returns: a value >= 0 or
 * -errno; there is no errno variable. Calls whose arguments need no shaping are macros' worth
 * of one line each, so this header doubles as the list of calls our userland makes.
 */
#pragma once
#include "linux.h"

static inline long syscall6(long n, long a, long b, long c, long d, long e, long f) {
  register long a7 __asm__("a7") = n;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a3 __asm__("a3") = d;
  register long a4 __asm__("a4") = e;
  register long a5 __asm__("a5") = f;
  __asm__ volatile("ecall"
                   : "+r"(a0)
                   : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
                   : "memory");
  return a0;
}
static inline long syscall4(long n, long a, long b, long c, long d) {
  register long a7 __asm__("a7") = n;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a3 __asm__("a3") = d;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3) : "memory");
  return a0;
}
static inline long syscall2(long n, long a, long b) {
  register long a7 __asm__("a7") = n;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1) : "memory");
  return a0;
}

#define L(x) ((long)(x))
static inline long sys_openat(int dir, const char *p, int fl, int mode) { return syscall4(SYS_openat, dir, L(p), fl, mode); }
static inline long sys_open(const char *p, int fl, int mode) { return sys_openat(AT_FDCWD, p, fl, mode); }
static inline long sys_close(int fd) { return syscall2(SYS_close, fd, 0); }
static inline long sys_read(int fd, void *b, size_t n) { return syscall4(SYS_read, fd, L(b), L(n), 0); }
static inline long sys_write(int fd, const void *b, size_t n) { return syscall4(SYS_write, fd, L(b), L(n), 0); }
static inline long sys_lseek(int fd, long off, int whence) { return syscall4(SYS_lseek, fd, off, whence, 0); }
static inline long sys_dup(int fd) { return syscall2(SYS_dup, fd, 0); }
static inline long sys_dup3(int from, int to, int fl) { return syscall4(SYS_dup3, from, to, fl, 0); }
static inline long sys_fcntl(int fd, int cmd, long arg) { return syscall4(SYS_fcntl, fd, cmd, arg, 0); }
static inline long sys_ioctl(int fd, unsigned req, void *arg) { return syscall4(SYS_ioctl, fd, req, L(arg), 0); }
static inline long sys_pipe(int fds[2], int fl) { return syscall2(SYS_pipe2, L(fds), fl); }
static inline long sys_getdents64(int fd, void *b, size_t n) { return syscall4(SYS_getdents64, fd, L(b), L(n), 0); }
static inline long sys_stat(const char *p, struct stat *st) { return syscall4(SYS_newfstatat, AT_FDCWD, L(p), L(st), 0); }
static inline long sys_lstat(const char *p, struct stat *st) { return syscall4(SYS_newfstatat, AT_FDCWD, L(p), L(st), AT_SYMLINK_NOFOLLOW); }
static inline long sys_fstat(int fd, struct stat *st) { return syscall2(SYS_fstat, fd, L(st)); }
static inline long sys_access(const char *p, int mode) { return syscall4(SYS_faccessat, AT_FDCWD, L(p), mode, 0); }
static inline long sys_readlink(const char *p, char *b, size_t n) { return syscall4(SYS_readlinkat, AT_FDCWD, L(p), L(b), L(n)); }
static inline long sys_mkdir(const char *p, int mode) { return syscall4(SYS_mkdirat, AT_FDCWD, L(p), mode, 0); }
static inline long sys_mknod(const char *p, int mode, unsigned dev) { return syscall4(SYS_mknodat, AT_FDCWD, L(p), mode, dev); }
static inline long sys_unlink(const char *p) { return syscall4(SYS_unlinkat, AT_FDCWD, L(p), 0, 0); }
static inline long sys_rmdir(const char *p) { return syscall4(SYS_unlinkat, AT_FDCWD, L(p), AT_REMOVEDIR, 0); }
static inline long sys_symlink(const char *to, const char *p) { return syscall4(SYS_symlinkat, L(to), AT_FDCWD, L(p), 0); }
static inline long sys_link(const char *from, const char *to) { return syscall6(SYS_linkat, AT_FDCWD, L(from), AT_FDCWD, L(to), 0, 0); }
static inline long sys_rename(const char *from, const char *to) { return syscall6(SYS_renameat2, AT_FDCWD, L(from), AT_FDCWD, L(to), 0, 0); }
static inline long sys_chmod(const char *p, int mode) { return syscall4(SYS_fchmodat, AT_FDCWD, L(p), mode, 0); }
static inline long sys_fchmod(int fd, int mode) { return syscall2(SYS_fchmod, fd, mode); }
static inline long sys_chownat(const char *p, int uid, int gid, int fl) { return syscall6(SYS_fchownat, AT_FDCWD, L(p), uid, gid, fl, 0); }
static inline long sys_utimens(const char *p, const struct timespec ts[2], int fl) { return syscall4(SYS_utimensat, AT_FDCWD, L(p), L(ts), fl); }
static inline long sys_truncate(const char *p, long n) { return syscall2(SYS_truncate, L(p), n); }
static inline long sys_ftruncate(int fd, long n) { return syscall2(SYS_ftruncate, fd, n); }
static inline long sys_fallocate(int fd, int mode, long off, long n) { return syscall4(SYS_fallocate, fd, mode, off, n); }
static inline long sys_statfs(const char *p, struct statfs *s) { return syscall2(SYS_statfs, L(p), L(s)); }
static inline long sys_chdir(const char *p) { return syscall2(SYS_chdir, L(p), 0); }
static inline long sys_fchdir(int fd) { return syscall2(SYS_fchdir, fd, 0); }
static inline long sys_chroot(const char *p) { return syscall2(SYS_chroot, L(p), 0); }
static inline long sys_getcwd(char *b, size_t n) { return syscall2(SYS_getcwd, L(b), L(n)); }
static inline long sys_mount(const char *src, const char *at, const char *type, unsigned long fl, const char *data) { return syscall6(SYS_mount, L(src), L(at), L(type), L(fl), L(data), 0); }
static inline long sys_umount2(const char *p, int fl) { return syscall2(SYS_umount2, L(p), fl); }
static inline long sys_sync(void) { return syscall2(SYS_sync, 0, 0); }
static inline long sys_fsync(int fd) { return syscall2(SYS_fsync, fd, 0); }
static inline long sys_flock(int fd, int op) { return syscall2(SYS_flock, fd, op); }
static inline long sys_fork(void) { return syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0); }
static inline long sys_execve(const char *p, char *const argv[], char *const envp[]) { return syscall4(SYS_execve, L(p), L(argv), L(envp), 0); }
static inline long sys_wait4(int pid, int *st, int opt, struct rusage *ru) { return syscall4(SYS_wait4, pid, L(st), opt, L(ru)); }
static inline long sys_kill(int pid, int sig) { return syscall2(SYS_kill, pid, sig); }
static inline long sys_getpid(void) { return syscall2(SYS_getpid, 0, 0); }
static inline long sys_getppid(void) { return syscall2(SYS_getppid, 0, 0); }
static inline long sys_getuid(void) { return syscall2(SYS_getuid, 0, 0); }
static inline long sys_geteuid(void) { return syscall2(SYS_geteuid, 0, 0); }
static inline long sys_getgid(void) { return syscall2(SYS_getgid, 0, 0); }
static inline long sys_getegid(void) { return syscall2(SYS_getegid, 0, 0); }
static inline long sys_getgroups(int n, uint32_t *list) { return syscall2(SYS_getgroups, n, L(list)); }
static inline long sys_setpgid(int pid, int pgid) { return syscall2(SYS_setpgid, pid, pgid); }
static inline long sys_getpgid(int pid) { return syscall2(SYS_getpgid, pid, 0); }
static inline long sys_setsid(void) { return syscall2(SYS_setsid, 0, 0); }
static inline long sys_umask(int m) { return syscall2(SYS_umask, m, 0); }
static inline long sys_uname(struct utsname *u) { return syscall2(SYS_uname, L(u), 0); }
static inline long sys_sethostname(const char *s, size_t n) { return syscall2(SYS_sethostname, L(s), L(n)); }
static inline long sys_sysinfo(struct sysinfo *s) { return syscall2(SYS_sysinfo, L(s), 0); }
static inline long sys_syslog(int type, char *b, int n) { return syscall4(SYS_syslog, type, L(b), n, 0); }
static inline long sys_clock_gettime(int id, struct timespec *t) { return syscall2(SYS_clock_gettime, id, L(t)); }
static inline long sys_clock_settime(int id, const struct timespec *t) { return syscall2(SYS_clock_settime, id, L(t)); }
static inline long sys_nanosleep(const struct timespec *t, struct timespec *rem) { return syscall2(SYS_nanosleep, L(t), L(rem)); }
static inline long sys_setitimer(int which, const struct itimerval *v) { return syscall4(SYS_setitimer, which, L(v), 0, 0); }
static inline long sys_times(long t[4]) { return syscall2(SYS_times, L(t), 0); }
static inline long sys_prlimit(int res, const struct rlimit *set, struct rlimit *old) { return syscall4(SYS_prlimit64, 0, res, L(set), L(old)); }
static inline long sys_getpriority(int which, int who) { return syscall2(SYS_getpriority, which, who); }
static inline long sys_setpriority(int which, int who, int prio) { return syscall4(SYS_setpriority, which, who, prio, 0); }
static inline long sys_sigaction(int sig, struct sigaction *sa, struct sigaction *old) {
  if (sa) sa->mask_for_qemu = sa->mask;
  return syscall4(SYS_rt_sigaction, sig, L(sa), L(old), 8);
}
static inline long sys_sigprocmask(int how, const uint64_t *set, uint64_t *old) { return syscall4(SYS_rt_sigprocmask, how, L(set), L(old), 8); }
static inline long sys_sigsuspend(const uint64_t *set) { return syscall2(SYS_rt_sigsuspend, L(set), 8); }
static inline long sys_ppoll(struct pollfd *p, int n, const struct timespec *t) { return syscall6(SYS_ppoll, L(p), n, L(t), 0, 8, 0); }
static inline long sys_reboot(int cmd) { return syscall4(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, cmd, 0); }
static inline long sys_getrandom(void *b, size_t n) { return syscall4(SYS_getrandom, L(b), L(n), 0, 0); }
static inline long sys_mmap_anon(size_t n) { return syscall6(SYS_mmap, 0, L(n), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static inline long sys_munmap(void *p, size_t n) { return syscall2(SYS_munmap, L(p), L(n)); }
static inline _Noreturn void sys_exit_group(int status) {
  for (;;) syscall2(SYS_exit_group, status, 0);
}
#undef L
