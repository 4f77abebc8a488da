/*
 * The vDSO as programs use it: found through AT_SYSINFO_EHDR, its functions agree with the system calls, and the unwinder gets
 * from a signal handler back to the code that the signal hit.
 */
#define _GNU_SOURCE
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unwind.h>

static uintptr_t base;
static const Elf64_Sym *symbols;
static const char *strings;
static const Elf64_Half *versions;
static unsigned symbol_count;

static void parse(void) {
  const Elf64_Ehdr *ehdr = (void *)base;
  const Elf64_Phdr *phdr = (void *)(base + ehdr->e_phoff);
  const Elf64_Dyn *dyn = 0;
  for (int i = 0; i < ehdr->e_phnum; i++) if (phdr[i].p_type == PT_DYNAMIC) dyn = (void *)(base + phdr[i].p_vaddr);
  for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
    if (dyn->d_tag == DT_SYMTAB) symbols = (void *)(base + dyn->d_un.d_ptr);
    if (dyn->d_tag == DT_STRTAB) strings = (void *)(base + dyn->d_un.d_ptr);
    if (dyn->d_tag == DT_VERSYM) versions = (void *)(base + dyn->d_un.d_ptr);
    if (dyn->d_tag == DT_HASH) symbol_count = ((uint32_t *)(base + dyn->d_un.d_ptr))[1];
  }
}

static void *find(const char *name) {
  for (unsigned i = 1; i < symbol_count; i++)
    if (strcmp(strings + symbols[i].st_name, name) == 0 && versions[i] == 2) return (void *)(base + symbols[i].st_value);
  return 0;
}

static int64_t ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

static int frames, saw_interrupted, saw_main;
static void interrupted(void);
int main(void);
static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *unused) {
  (void)unused;
  int exact = 0; /* the frame that the signal hit: its pc is not a return address */
  uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
  void *function = _Unwind_FindEnclosingFunction((void *)(exact ? pc + 1 : pc)); /* looks at the byte before */
  if (function == (void *)interrupted) saw_interrupted = 1;
  if (function == (void *)main) saw_main = 1;
  frames++;
  return _URC_NO_REASON;
}
static void handler(int signal) {
  (void)signal;
  _Unwind_Backtrace(visit, 0);
}
static void __attribute__((noinline)) interrupted(void) {
  __asm__ volatile("ebreak");
  __asm__ volatile("" ::: "memory");
}
static void skip(int signal, siginfo_t *info, void *context) {
  (void)info;
  handler(signal);
  unsigned long *pc = &((ucontext_t *)context)->uc_mcontext.__gregs[REG_PC];
  *pc += *(uint16_t *)*pc == 0x9002 ? 2 : 4; /* c.ebreak or ebreak */
}

int main(void) {
  base = getauxval(AT_SYSINFO_EHDR);
  CHECK("AT_SYSINFO_EHDR names an ELF image", base && memcmp((void *)base, ELFMAG, SELFMAG) == 0);
  parse();
  CHECK("it has symbols with versions", symbols && strings && versions && symbol_count > 5);

  FILE *maps = fopen("/proc/self/maps", "r");
  char line[256];
  uintptr_t vdso = 0, vvar_end = 0;
  while (maps && fgets(line, sizeof line, maps)) {
    if (strstr(line, "[vdso]") && strstr(line, "r-xp")) sscanf(line, "%lx", &vdso);
    if (strstr(line, "[vvar]") && strstr(line, "r--p")) sscanf(line, "%*x-%lx", &vvar_end);
  }
  CHECK("/proc/self/maps shows [vdso] there, behind [vvar]", vdso == base && vvar_end == base);

  int (*gettime)(long, struct timespec *) = find("__vdso_clock_gettime");
  int (*getres)(long, struct timespec *) = find("__vdso_clock_getres");
  int (*timeofday)(struct timeval *, void *) = find("__vdso_gettimeofday");
  int (*cpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
  CHECK("the clock functions are there", gettime && getres && timeofday && cpu);
  CHECK("and the others", find("__vdso_rt_sigreturn") && find("__vdso_flush_icache") && find("__vdso_riscv_hwprobe"));

  const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
  int ordered = 1, close = 1, resolutions = 1;
  for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
    for (int round = 0; round < 50; round++) {
      struct timespec a, b, c;
      syscall(SYS_clock_gettime, clocks[i], &a);
      if (gettime(clocks[i], &b) != 0) ordered = 0;
      syscall(SYS_clock_gettime, clocks[i], &c);
      if (ns(a) > ns(b) || ns(b) > ns(c)) ordered = 0;
      if (ns(c) - ns(a) > 1000000000) close = 0;
    }
    struct timespec r, s;
    if (getres(clocks[i], &r) != 0 || syscall(SYS_clock_getres, clocks[i], &s) != 0 || ns(r) != ns(s)) resolutions = 0;
  }
  CHECK("its clocks go with the system call's", ordered && close);
  CHECK("resolutions too", resolutions && getres(CLOCK_REALTIME, 0) == 0);
  struct timespec before, after;
  gettime(CLOCK_MONOTONIC, &before);
  usleep(20000);
  gettime(CLOCK_MONOTONIC, &after);
  CHECK("a sleep shows on the clock", ns(after) - ns(before) >= 20000000);
  CHECK("CPU clocks work through it", gettime(CLOCK_PROCESS_CPUTIME_ID, &before) == 0 && ns(before) >= 0);
  CHECK("a bad clock is EINVAL", gettime(99, &before) == -22 && gettime(-100, &before) == -22);
  struct timeval tv;
  gettime(CLOCK_REALTIME, &before);
  CHECK("gettimeofday agrees", timeofday(&tv, 0) == 0 && tv.tv_usec < 1000000 && tv.tv_sec * 1000000ll + tv.tv_usec >= ns(before) / 1000);
  unsigned cpu_number = 9, node = 9;
  CHECK("getcpu", cpu(&cpu_number, &node, 0) == 0 && cpu_number == 0 && node == 0 && cpu(0, 0, 0) == 0);

  struct timespec set = {1000000000, 500};
  CHECK("clock_settime", clock_settime(CLOCK_REALTIME, &set) == 0);
  gettime(CLOCK_REALTIME, &after);
  CHECK("the vDSO follows", ns(after) >= ns(set) && ns(after) < ns(set) + 1000000000);

  struct sigaction sa = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &sa, 0);
  interrupted();
  CHECK("the unwinder passes the signal frame", frames > 2 && saw_interrupted && saw_main);
  CHECK("[vvar] cannot be written", read(open("/proc/self/maps", O_RDONLY), (void *)(base - 4096), 8) == -1 && errno == EFAULT);
  return failures;
}
