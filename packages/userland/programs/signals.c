/* Signal delivery, masks, restart, siginfo, alternate stack, timers: one line per check. */
#include "../src/libc/libc.h"

struct siginfo { int si_signo, si_errno, si_code, pad; int pid; unsigned uid; char rest[104]; };
static volatile int hits, last, depth, deepest, sender;
static volatile uintptr_t handler_sp;
static int failures;
static char alternate[16384] __attribute__((aligned(16)));

static void check(const char *what, bool ok) {
  printf("%s: %s\n", what, ok ? "ok" : "FAILED");
  failures += !ok;
}
static void count(int sig) {
  hits++;
  last = sig;
  handler_sp = (uintptr_t)__builtin_frame_address(0);
}
static void nested(int sig) {
  if (++depth > deepest) deepest = depth;
  if (sig == SIGUSR1) sys_kill((int)sys_getpid(), SIGUSR2);
  depth--;
}
static void with_info(int sig, struct siginfo *info, void *context) {
  (void)context;
  hits++;
  last = sig;
  sender = info->pid;
}
static uint64_t bit(int sig) { return 1ul << (sig - 1); }

int main(void) {
  int self = (int)sys_getpid();
  set_signal(SIGUSR1, count, 0);
  sys_kill(self, SIGUSR1);
  check("a handler runs before kill returns", hits == 1 && last == SIGUSR1);

  uint64_t mask = bit(SIGUSR1), old, pending = 0;
  sys_sigprocmask(SIG_BLOCK, &mask, &old);
  sys_kill(self, SIGUSR1);
  sys_kill(self, SIGUSR1);
  syscall2(136 /* rt_sigpending */, (long)&pending, 8);
  check("a blocked signal stays pending", hits == 1 && pending == bit(SIGUSR1));
  sys_sigprocmask(SIG_SETMASK, &old, NULL);
  check("and is delivered once when unblocked", hits == 2);

  set_signal(SIGUSR1, nested, 0);
  set_signal(SIGUSR2, nested, 0);
  sys_kill(self, SIGUSR1);
  check("handlers nest", deepest == 2 && depth == 0);

  struct sigaction masked = {.handler = nested, .mask = bit(SIGUSR2)};
  deepest = 0;
  sys_sigaction(SIGUSR1, &masked, NULL);
  sys_kill(self, SIGUSR1);
  check("sa_mask holds others back", deepest == 1);

  set_signal(SIGUSR1, (void (*)(int))(void *)with_info, SA_SIGINFO);
  hits = 0;
  sys_kill(self, SIGUSR1);
  check("siginfo names the sender", hits == 1 && sender == self);

  struct { void *sp; int flags; size_t size; } stack = {alternate, 0, sizeof alternate};
  syscall2(SYS_sigaltstack, (long)&stack, 0);
  set_signal(SIGUSR1, count, SA_ONSTACK);
  sys_kill(self, SIGUSR1);
  check("an alternate stack is used", handler_sp > (uintptr_t)alternate && handler_sp <= (uintptr_t)alternate + sizeof alternate);

  set_signal(SIGALRM, count, 0);
  hits = 0;
  struct itimerval timer = {.value_usec = 20000};
  sys_setitimer(0, &timer);
  struct timespec t = {5, 0}, rest = {0, 0};
  long err = sys_nanosleep(&t, &rest);
  check("a timer interrupts a sleep", err == -EINTR && hits == 1 && rest.tv_sec >= 3);

  int fds[2];
  char c = 0;
  sys_pipe(fds, 0);
  set_signal(SIGALRM, count, SA_RESTART);
  long pid = sys_fork();
  if (pid == 0) {
    msleep(80);
    sys_write(fds[1], "x", 1);
    sys_exit_group(0);
  }
  sys_setitimer(0, &timer);
  hits = 0;
  long n = sys_read(fds[0], &c, 1);
  check("SA_RESTART resumes a read", n == 1 && c == 'x' && hits == 1);
  int status = 0;
  sys_wait4((int)pid, &status, 0, NULL);

  pid = sys_fork();
  if (pid == 0) {
    sys_kill((int)sys_getpid(), SIGSTOP);
    sys_exit_group(5);
  }
  sys_wait4((int)pid, &status, WUNTRACED, NULL);
  bool stopped = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
  sys_kill((int)pid, SIGCONT);
  sys_wait4((int)pid, &status, 0, NULL);
  check("a child stops and continues", stopped && WIFEXITED(status) && WEXITSTATUS(status) == 5);

  pid = sys_fork();
  if (pid == 0) {
    __asm__ volatile("sd zero, 8(zero)" ::: "memory");
    sys_exit_group(0);
  }
  sys_wait4((int)pid, &status, 0, NULL);
  check("a wild write ends in SIGSEGV", WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  printf("%s\n", failures ? "FAILED" : "OK");
  return failures != 0;
}
