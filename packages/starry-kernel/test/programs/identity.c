#include "check.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/auxv.h>
#include <linux/capability.h>

static long capget_effective(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  return syscall(SYS_capget, &header, data) == 0 ? (long)(data[0].effective | (uint64_t)data[1].effective << 32) : -1;
}

int main(void) {
  uid_t r, e, s;
  CHECK("root has all capabilities", getuid() != 0 || capget_effective() == 0x1ffffffffffl);
  int status = IN_CHILD({
    gid_t groups[3] = {30, 10, 20};
    if (setgroups(3, groups) != 0) _exit(1);
    gid_t back[8];
    if (getgroups(8, back) != 3 || back[0] + back[1] + back[2] != 60) _exit(2);
    if (setresgid(100, 100, 100) != 0 || setresuid(1000, 1000, 1000) != 0) _exit(3);
    if (getresuid(&r, &e, &s) != 0 || r != 1000 || e != 1000 || s != 1000) _exit(4);
    if (capget_effective() != 0) _exit(5);
    if (setuid(0) != -1 || errno != EPERM) _exit(6);
    if (setresuid(-1, 1000, -1) != 0) _exit(7);
    if (kill(getppid(), 0) != -1 || errno != EPERM) _exit(8);
    if (sethostname("x", 1) != -1 || errno != EPERM) _exit(9);
    if (setpriority(PRIO_PROCESS, 0, -5) != -1 || errno != EACCES) _exit(10);
  });
  CHECK("dropping privileges", getuid() != 0 || status == 0);
  status = IN_CHILD({
    if (setresuid(-1, 1000, 0) != 0) _exit(1);
    if (capget_effective() != 0) _exit(2);
    if (seteuid(0) != 0) _exit(3);
    if (capget_effective() != 0x1ffffffffffl) _exit(4);
    prctl(PR_SET_KEEPCAPS, 1);
    if (setuid(1000) != 0) _exit(5);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0 || data[0].effective != 0 || data[0].permitted == 0) _exit(6);
  });
  CHECK("effective ids and kept capabilities", getuid() != 0 || status == 0);

  struct rlimit limit;
  CHECK("RLIMIT_STACK", getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur == 8 << 20);
  status = IN_CHILD({
    struct rlimit files = {5, 5};
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) _exit(1);
    int fd;
    while ((fd = dup(0)) >= 0) if (fd >= 5) _exit(2);
    if (errno != EMFILE) _exit(3);
    files.rlim_cur = 6;
    if (setrlimit(RLIMIT_NOFILE, &files) != -1 || errno != EINVAL) _exit(4);
  });
  CHECK("RLIMIT_NOFILE", status == 0);

  struct utsname name;
  CHECK("uname", uname(&name) == 0 && strcmp(name.sysname, "Linux") == 0 && strcmp(name.machine, "riscv64") == 0);
  struct sysinfo info;
  CHECK("sysinfo", sysinfo(&info) == 0 && info.totalram > 0 && info.freeram <= info.totalram && info.procs >= 1);
  unsigned char random1[32], random2[32];
  CHECK("getrandom", getrandom(random1, 32, 0) == 32 && getrandom(random2, 32, 0) == 32 && memcmp(random1, random2, 32) != 0);
  CHECK("auxv", getauxval(AT_PAGESZ) == 4096 && getauxval(AT_RANDOM) != 0 && getauxval(AT_EXECFN) != 0 && getauxval(AT_CLKTCK) == 100 && getauxval(AT_SECURE) == 0);
  CHECK("HWCAP is IMAFDC", (getauxval(AT_HWCAP) & 0x112d) == 0x112d);
  struct timespec resolution, t1, t2;
  CHECK("clocks", clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && clock_gettime(CLOCK_REALTIME, &t1) == 0 && t1.tv_sec > 1600000000);
  clock_gettime(CLOCK_MONOTONIC, &t1);
  for (volatile int i = 0; i < 200000; i++) {
  }
  clock_gettime(CLOCK_MONOTONIC, &t2);
  CHECK("time moves on", t2.tv_sec > t1.tv_sec || t2.tv_nsec > t1.tv_nsec);
  CHECK("CPU clocks", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1) == 0 && t1.tv_sec + t1.tv_nsec > 0 && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t2) == 0);
  struct tms tms;
  CHECK("times", times(&tms) != (clock_t)-1);
  CHECK("unknown clock", clock_gettime(77, &t1) == -1 && errno == EINVAL);
  CHECK("an unknown system call", syscall(499) == -1 && errno == ENOSYS);
  return failures;
}
