#include "check.h"
#include <elf.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static volatile int variable = 11;
static const int constant = 22;

static void *thread_runs(void *arg) {
  return arg;
}

__attribute__((noinline)) static int breakpoint_here(int x) {
  __asm__ volatile("nop");
  return x + variable;
}

struct registers { unsigned long pc, x[31]; };

static long get_registers(pid_t pid, struct registers *r) {
  struct iovec v = {r, sizeof *r};
  return ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v);
}
static long set_registers(pid_t pid, struct registers *r) {
  struct iovec v = {r, sizeof *r};
  return ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v);
}
static bool stopped(pid_t pid, int signal, int event) {
  int status = 0;
  pid_t got = waitpid(pid, &status, __WALL);
  return got == pid && WIFSTOPPED(status) && status >> 8 == (signal | event << 8);
}

int main(void) {
  int status;
  pid_t pid;
  struct registers r;

  /* TRACEME, memory, breakpoints */
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(breakpoint_here(1));
  }
  CHECK("a tracee stops for its signals", stopped(pid, SIGSTOP, 0));
  siginfo_t info;
  CHECK("PTRACE_GETSIGINFO", ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_signo == SIGSTOP && info.si_pid == pid);
  CHECK("PTRACE_PEEKDATA", (int)ptrace(PTRACE_PEEKDATA, pid, &variable, 0) == 11);
  long word = ptrace(PTRACE_PEEKDATA, pid, &variable, 0);
  CHECK("PTRACE_POKEDATA", ptrace(PTRACE_POKEDATA, pid, &variable, (word & ~0xffffffffl) | 40) == 0 && (int)ptrace(PTRACE_PEEKDATA, pid, &variable, 0) == 40 && variable == 11);
  CHECK("read-only memory can be written", ({
    long c = ptrace(PTRACE_PEEKDATA, pid, &constant, 0);
    ptrace(PTRACE_POKEDATA, pid, &constant, c + 1) == 0 && ptrace(PTRACE_PEEKDATA, pid, &constant, 0) == c + 1;
  }) && constant == 22);
  CHECK("a bad address is EIO", ptrace(PTRACE_PEEKDATA, pid, 8, 0) == -1 && errno == EIO);
  long code = ptrace(PTRACE_PEEKTEXT, pid, breakpoint_here, 0);
  ptrace(PTRACE_POKETEXT, pid, breakpoint_here, (code & ~0xffffl) | 0x9002); /* c.ebreak */
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("a breakpoint is hit", stopped(pid, SIGTRAP, 0) && get_registers(pid, &r) == 0 && r.pc == (unsigned long)breakpoint_here && r.x[9] == 1);
  ptrace(PTRACE_POKETEXT, pid, breakpoint_here, code);
  r.x[9] = 2; /* a0 */
  CHECK("registers can be set", set_registers(pid, &r) == 0);
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("and the program goes on with them", waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42);

  /* System calls */
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(syscall(SYS_getppid) == 7777 ? 5 : 6);
  }
  CHECK("stopped again", stopped(pid, SIGSTOP, 0));
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT);
  bool entered = false, left = false, is_getppid = false;
  do {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    if (!stopped(pid, SIGTRAP | 0x80, 0)) break;
    get_registers(pid, &r);
    entered = true;
    is_getppid = r.x[16] == SYS_getppid;
    struct { uint8_t op, pad[3]; uint32_t arch; uint64_t pc, sp, nr, args[6]; } call;
    if (is_getppid) CHECK("PTRACE_GET_SYSCALL_INFO at the entry", ptrace((enum __ptrace_request)0x420e, pid, sizeof call, &call) == 80 && call.op == 1 && call.nr == SYS_getppid && call.arch == 0xc00000f3);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    left = stopped(pid, SIGTRAP | 0x80, 0);
  } while (!is_getppid);
  CHECK("entry and exit of a call", entered && left && is_getppid);
  get_registers(pid, &r);
  CHECK("the result is there", r.x[9] == (unsigned long)getpid());
  r.x[9] = 7777;
  set_registers(pid, &r);
  ptrace(PTRACE_CONT, pid, 0, 0);
  unsigned long message = 0;
  CHECK("an exit event", stopped(pid, SIGTRAP, PTRACE_EVENT_EXIT) && ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && message == 5 << 8);
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("the changed result was used", waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);

  /* Signals passed on, changed and dropped */
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    raise(SIGUSR1);
    raise(SIGUSR2);
    _exit(9);
  }
  stopped(pid, SIGSTOP, 0);
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("SIGUSR1 is seen", stopped(pid, SIGUSR1, 0));
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("and dropped", stopped(pid, SIGUSR2, 0));
  ptrace(PTRACE_CONT, pid, 0, SIGTERM);
  CHECK("SIGUSR2 becomes SIGTERM", waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

  /* fork, exec and clone events */
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    pid_t inner = fork();
    if (inner == 0) _exit(3);
    int s;
    waitpid(inner, &s, 0);
    pthread_t t;
    pthread_create(&t, NULL, thread_runs, NULL);
    pthread_join(t, NULL);
    execl("/does/not/exist", "x", NULL);
    _exit(WEXITSTATUS(s));
  }
  stopped(pid, SIGSTOP, 0);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE);
  ptrace(PTRACE_CONT, pid, 0, 0);
  CHECK("a fork event", stopped(pid, SIGTRAP, PTRACE_EVENT_FORK) && ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && message > 1);
  pid_t inner = (pid_t)message;
  CHECK("the child is traced and stops first", stopped(inner, SIGSTOP, 0));
  ptrace(PTRACE_CONT, inner, 0, 0);
  CHECK("its end is reported", waitpid(inner, &status, __WALL) == inner && WEXITSTATUS(status) == 3);
  ptrace(PTRACE_CONT, pid, 0, 0);
  bool done = false, cloned = false, thread_ended = false;
  while (!done) {
    pid_t who = waitpid(-1, &status, __WALL);
    if (who < 0) break;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (who == pid) done = true;
      else thread_ended = true;
      continue;
    }
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) cloned = true;
    int signal = WSTOPSIG(status);
    ptrace(PTRACE_CONT, who, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
  }
  CHECK("a thread is traced like a process", cloned && thread_ended);
  CHECK("the parent still learns of its child", done && WEXITSTATUS(status) == 3);

  /* Attach, seize, interrupt, detach */
  fflush(stdout);
  pid = fork();
  if (pid == 0) for (;;) pause();
  struct timespec nap = {0, 20000000};
  nanosleep(&nap, NULL);
  CHECK("PTRACE_ATTACH stops", ptrace(PTRACE_ATTACH, pid, 0, 0) == 0 && stopped(pid, SIGSTOP, 0));
  CHECK("twice is refused", ptrace(PTRACE_ATTACH, pid, 0, 0) == -1 && errno == EPERM);
  CHECK("inside pause", get_registers(pid, &r) == 0 && r.x[16] == SYS_ppoll);
  CHECK("PTRACE_DETACH", ptrace(PTRACE_DETACH, pid, 0, 0) == 0 && ptrace(PTRACE_CONT, pid, 0, 0) == -1 && errno == ESRCH);
  CHECK("PTRACE_SEIZE does not stop", ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) == 0 && waitpid(pid, &status, WNOHANG) == 0);
  CHECK("PTRACE_INTERRUPT does", ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && stopped(pid, SIGTRAP, PTRACE_EVENT_STOP));
  ptrace(PTRACE_CONT, pid, 0, 0);
  kill(pid, SIGKILL);
  CHECK("SIGKILL needs no leave", waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);

  char path[64];
  sprintf(path, "/proc/%d/mem", getpid());
  int fd = open(path, O_RDWR), value = 0;
  if (fd >= 0) {
    CHECK("/proc/PID/mem", pread(fd, &value, 4, (off_t)&variable) == 4 && value == 11 && pread(fd, &value, 4, 8) == -1 && errno == EIO);
    value = 33;
    CHECK("can be written, read-only pages too", pwrite(fd, &value, 4, (off_t)&constant) == 4 && *(volatile const int *)&constant == 33);
  }
  return failures;
}
