#include "check.h"
#include <pthread.h>
#include <sys/select.h>

static volatile int count, last, order[16], orders;
static volatile long value;
static volatile pid_t sender;

static void counts(int signal) {
  count++;
  last = signal;
}
static void records(int signal, siginfo_t *info, void *context) {
  (void)context;
  if (orders < 16) order[orders++] = signal * 1000 + info->si_value.sival_int;
  sender = info->si_pid;
}
static void install(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(signal, &action, NULL);
}
static void block(int how, int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(how, &set, NULL);
}
static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void clobbers_fp(int signal) {
  (void)signal;
  volatile double x = 1.0;
  for (int i = 0; i < 50; i++) x = x * 1.5 + 0.25;
  count++;
}
static volatile int saw_blocked;
static void looks_at_mask(int signal) {
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  saw_blocked = sigismember(&now, signal) * 2 + sigismember(&now, SIGUSR2);
}
static void *thread_target(void *arg) {
  sigset_t set;
  sigemptyset(&set);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
  *(volatile int *)arg = 1;
  while (count == 0) sched_yield();
  return NULL;
}

int main(void) {
  install(SIGUSR1, counts, 0);
  raise(SIGUSR1);
  CHECK("a handler runs", count == 1 && last == SIGUSR1);
  block(SIG_BLOCK, SIGUSR1);
  raise(SIGUSR1);
  raise(SIGUSR1);
  sigset_t pending;
  sigpending(&pending);
  CHECK("a blocked signal is pending once", count == 1 && sigismember(&pending, SIGUSR1));
  block(SIG_UNBLOCK, SIGUSR1);
  CHECK("and delivered once", count == 2);

  struct sigaction queued = {.sa_sigaction = records, .sa_flags = SA_SIGINFO};
  sigfillset(&queued.sa_mask);
  sigaction(SIGRTMIN + 1, &queued, NULL);
  sigaction(SIGRTMIN + 2, &queued, NULL);
  sigaction(SIGUSR2, &queued, NULL);
  sigset_t all, old;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &old);
  union sigval v = {.sival_int = 3};
  sigqueue(getpid(), SIGRTMIN + 2, v);
  v.sival_int = 1;
  sigqueue(getpid(), SIGRTMIN + 1, v);
  v.sival_int = 2;
  sigqueue(getpid(), SIGRTMIN + 1, v);
  v.sival_int = 9;
  sigqueue(getpid(), SIGUSR2, v);
  sigprocmask(SIG_SETMASK, &old, NULL);
  CHECK("all queued signals arrive", orders == 4 && sender == getpid());
  CHECK("low numbers first, equal ones in order",
        order[0] == SIGUSR2 * 1000 + 9 && order[1] == (SIGRTMIN + 1) * 1000 + 1 && order[2] == (SIGRTMIN + 1) * 1000 + 2 &&
            order[3] == (SIGRTMIN + 2) * 1000 + 3);

  install(SIGUSR1, counts, SA_RESETHAND);
  count = 0;
  raise(SIGUSR1);
  struct sigaction now;
  sigaction(SIGUSR1, NULL, &now);
  CHECK("SA_RESETHAND", count == 1 && now.sa_handler == SIG_DFL);

  struct sigaction masked = {.sa_handler = looks_at_mask};
  sigemptyset(&masked.sa_mask);
  sigaddset(&masked.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &masked, NULL);
  raise(SIGUSR1);
  CHECK("a handler runs with its mask", saw_blocked == 3);
  masked.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &masked, NULL);
  raise(SIGUSR1);
  CHECK("SA_NODEFER", saw_blocked == 1);

  /* interrupted calls */
  int fds[2];
  if (pipe(fds) != 0) return 99;
  install(SIGALRM, counts, 0);
  struct itimerval soon = {.it_value = {0, 30000}};
  char c;
  setitimer(ITIMER_REAL, &soon, NULL);
  CHECK("read is interrupted", read(fds[0], &c, 1) == -1 && errno == EINTR);
  install(SIGALRM, counts, SA_RESTART);
  pid_t pid = fork();
  if (pid == 0) {
    struct timespec t = {0, 100000000};
    nanosleep(&t, NULL);
    if (write(fds[1], "x", 1) != 1) _exit(1);
    _exit(0);
  }
  setitimer(ITIMER_REAL, &soon, NULL);
  count = 0;
  CHECK("SA_RESTART restarts read", read(fds[0], &c, 1) == 1 && c == 'x' && count == 1);
  waitpid(pid, NULL, 0);
  install(SIGALRM, counts, 0);
  struct timespec nap = {0, 500000000}, left = {0, 0};
  setitimer(ITIMER_REAL, &soon, NULL);
  CHECK("nanosleep tells the rest", nanosleep(&nap, &left) == -1 && errno == EINTR && left.tv_sec == 0 && left.tv_nsec > 300000000 && left.tv_nsec < 480000000);
  setitimer(ITIMER_REAL, &soon, NULL);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += 5;
  CHECK("an absolute sleep is interrupted", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR);

  sigset_t none;
  sigemptyset(&none);
  block(SIG_BLOCK, SIGALRM);
  count = 0;
  setitimer(ITIMER_REAL, &soon, NULL);
  CHECK("sigsuspend", sigsuspend(&none) == -1 && errno == EINTR && count == 1);
  sigprocmask(SIG_SETMASK, NULL, &old);
  CHECK("and the mask is back", sigismember(&old, SIGALRM));
  sigset_t alarm_set;
  sigemptyset(&alarm_set);
  sigaddset(&alarm_set, SIGALRM);
  siginfo_t info;
  struct timespec two = {2, 0}, zero = {0, 0};
  CHECK("sigtimedwait times out", sigtimedwait(&alarm_set, &info, &zero) == -1 && errno == EAGAIN);
  setitimer(ITIMER_REAL, &soon, NULL);
  count = 0;
  CHECK("sigtimedwait takes the signal", sigtimedwait(&alarm_set, &info, &two) == SIGALRM && count == 0 && info.si_code == SI_KERNEL);
  block(SIG_UNBLOCK, SIGALRM);
  sigset_t child_set;
  sigemptyset(&child_set);
  sigaddset(&child_set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_set, NULL);
  pid = fork();
  if (pid == 0) _exit(3);
  CHECK("sigwaitinfo of a signal that is ignored by default", sigtimedwait(&child_set, &info, &two) == SIGCHLD && info.si_pid == pid && info.si_status == 3);
  waitpid(pid, NULL, 0);
  sigprocmask(SIG_UNBLOCK, &child_set, NULL);

  /* a temporary mask does not end the wait by itself */
  struct timespec thirty = {0, 30000000};
  double waited = seconds();
  CHECK("pselect sleeps with a mask of its own", pselect(0, NULL, NULL, NULL, &thirty, &none) == 0 && seconds() - waited >= 0.03);
  sigset_t after;
  sigprocmask(SIG_SETMASK, NULL, &after);
  CHECK("and leaves the old one", !sigismember(&after, SIGALRM) && !sigismember(&after, SIGCHLD));
  setitimer(ITIMER_REAL, &soon, NULL);
  block(SIG_BLOCK, SIGALRM);
  count = 0;
  CHECK("a signal that it lets through ends it", pselect(0, NULL, NULL, NULL, &two, &none) == -1 && errno == EINTR && count == 1);
  block(SIG_UNBLOCK, SIGALRM);

  /* timers */
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
  event.sigev_value.sival_int = 55;
  orders = 0;
  CHECK("timer_create", timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec spec = {.it_value = {0, 20000000}, .it_interval = {0, 20000000}};
  timer_settime(timer, 0, &spec, NULL);
  double start = seconds();
  while (orders < 3 && seconds() - start < 5) {
    struct timespec t = {1, 0};
    nanosleep(&t, NULL);
  }
  CHECK("an interval timer repeats", orders >= 3 && order[0] == (SIGRTMIN + 1) * 1000 + 55 && seconds() - start < 2);
  CHECK("timer_gettime", timer_gettime(timer, &spec) == 0 && spec.it_interval.tv_nsec == 20000000);
  CHECK("timer_delete", timer_delete(timer) == 0);
  double before = seconds();
  struct timespec ten = {0, 10000000};
  nanosleep(&ten, NULL);
  CHECK("sleeping takes its time", seconds() - before >= 0.01);

  /* CPU time */
  install(SIGVTALRM, counts, 0);
  install(SIGPROF, counts, 0);
  install(SIGXCPU, counts, 0);
  struct itimerval cpu = {.it_value = {0, 5000}, .it_interval = {0, 5000}};
  count = 0;
  setitimer(ITIMER_VIRTUAL, &cpu, NULL);
  start = seconds();
  while (count < 3 && seconds() - start < 10) for (volatile int i = 0; i < 100000; i++) {}
  CHECK("ITIMER_VIRTUAL", count >= 3 && last == SIGVTALRM);
  memset(&cpu, 0, sizeof cpu);
  setitimer(ITIMER_VIRTUAL, &cpu, &cpu);
  CHECK("and what is left of it", cpu.it_interval.tv_usec == 5000 && cpu.it_value.tv_usec > 0 && cpu.it_value.tv_usec <= 5000);
  struct sigevent cpu_event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
  CHECK("a timer on the CPU clock", timer_create(CLOCK_PROCESS_CPUTIME_ID, &cpu_event, &timer) == 0);
  struct itimerspec once = {.it_value = {0, 5000000}};
  count = 0;
  timer_settime(timer, 0, &once, NULL);
  start = seconds();
  while (count < 1 && seconds() - start < 10) for (volatile int i = 0; i < 100000; i++) {}
  CHECK("expires", count == 1 && last == SIGPROF);
  timer_delete(timer);
  int limited = IN_CHILD({
    struct rlimit limit = {1, 2};
    setrlimit(RLIMIT_CPU, &limit);
    count = 0;
    while (count < 1) for (volatile int i = 0; i < 100000; i++) {}
    if (last != SIGXCPU) _exit(1);
    for (;;) {}
  });
  CHECK("RLIMIT_CPU", WIFSIGNALED(limited) && WTERMSIG(limited) == SIGKILL);

  /* floating point survives */
  install(SIGUSR1, clobbers_fp, 0);
  double x = 3.25, y = 0;
  count = 0;
  for (int i = 0; i < 100; i++) {
    y += x * 0.5;
    if (i == 50) raise(SIGUSR1);
  }
  CHECK("registers survive a handler", y == 162.5 && count == 1);

  /* threads */
  install(SIGUSR1, counts, 0);
  block(SIG_BLOCK, SIGUSR1);
  count = 0;
  volatile int ready = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, thread_target, (void *)&ready);
  while (!ready) sched_yield();
  kill(getpid(), SIGUSR1);
  pthread_join(thread, NULL);
  CHECK("a process signal goes to the thread that takes it", count == 1);

  CHECK("kill(0) probes", kill(getpid(), 0) == 0 && kill(99999, 0) == -1 && errno == ESRCH);
  CHECK("bad signals", kill(getpid(), 65) == -1 && errno == EINVAL);
  struct sigaction bad = {.sa_handler = counts};
  CHECK("SIGKILL cannot be caught", sigaction(SIGKILL, &bad, NULL) == -1 && errno == EINVAL);
  int status = IN_CHILD({
    signal(SIGPIPE, SIG_DFL);
    int p[2];
    if (pipe(p) != 0) _exit(1);
    close(p[0]);
    if (write(p[1], "x", 1) == 1) _exit(1);
  });
  CHECK("SIGPIPE kills", WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
  status = IN_CHILD({
    volatile uint32_t *p = (uint32_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *p = 0; /* not an instruction */
    ((void (*)(void))p)();
  });
  CHECK("SIGILL", WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
  status = IN_CHILD(__asm__ volatile("ebreak"));
  CHECK("SIGTRAP", WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP);
  return failures;
}
