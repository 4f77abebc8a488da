#include "check.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <poll.h>

static volatile int shared_value;

static void *thread_adds(void *arg) {
  for (int i = 0; i < 1000; i++) __atomic_add_fetch(&shared_value, 1, __ATOMIC_RELAXED);
  return arg;
}

static void *thread_exits_process(void *arg) {
  (void)arg;
  exit(7);
}

static void *thread_execs(void *arg) {
  char *argv[] = {arg, "from-thread", NULL};
  execv("/proc/self/exe", argv);
  return NULL;
}

static void *thread_sleeps(void *arg) {
  for (;;) pause();
  return arg;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "report") == 0) {
    /* argv[2] = expected pid */
    return argc == 4 && strcmp(argv[3], "two words") == 0 && strcmp(getenv("MARK"), "yes") == 0 ? 33 : 1;
  }
  if (argc > 1 && strcmp(argv[1], "from-thread") == 0) return getpid() == gettid() ? 44 : 1;

  int status;
  pid_t pid;
  CHECK("exit status", WIFEXITED(IN_CHILD(_exit(5))) && WEXITSTATUS(IN_CHILD(_exit(5))) == 5);
  status = IN_CHILD(kill(getpid(), SIGKILL));
  CHECK("killed by a signal", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  status = IN_CHILD(abort());
  CHECK("abort", WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  CHECK("no children left", waitpid(-1, &status, 0) == -1 && errno == ECHILD);

  pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  CHECK("WNOHANG finds nothing", waitpid(pid, &status, WNOHANG) == 0);
  kill(pid, SIGSTOP);
  CHECK("WUNTRACED", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  kill(pid, SIGCONT);
  CHECK("WCONTINUED", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  kill(pid, SIGTERM);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CHECK("waitid WNOWAIT", waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
  CHECK("and again", waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);

  struct rusage usage;
  pid = fork();
  if (pid == 0) {
    for (volatile int i = 0; i < 3000000; i++) {
    }
    _exit(0);
  }
  CHECK("wait4 reports time", wait4(pid, &status, 0, &usage) == pid && usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec > 0);

  /* exec */
  setenv("MARK", "yes", 1);
  pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "name", "report", "x", "two words", NULL);
    _exit(99);
  }
  waitpid(pid, &status, 0);
  CHECK("execve passes arguments and environment", WEXITSTATUS(status) == 33);
  CHECK("execve of nothing", execl("/does/not/exist", "x", NULL) == -1 && errno == ENOENT);
  CHECK("execve of a directory", execl("/tmp", "x", NULL) == -1 && errno == EACCES);
  int fd = open("/tmp/junk", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (write(fd, "\177ELFjunk", 8) != 8) return 99;
  close(fd);
  CHECK("execve of a truncated ELF", execl("/tmp/junk", "x", NULL) == -1 && errno == ENOEXEC);
  fd = open("/tmp/script", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  dprintf(fd, "#! /proc/self/exe report\n");
  close(fd);
  fd = open("/tmp/loop", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  dprintf(fd, "#!/tmp/loop\n");
  close(fd);
  CHECK("a script that interprets itself", execl("/tmp/loop", "x", NULL) == -1 && errno == ELOOP);
  pid = vfork();
  if (pid == 0) {
    shared_value = 77;
    execl("/tmp/script", "ignored", "two words", NULL);
    _exit(98);
  }
  CHECK("vfork shares memory and waits", shared_value == 77);
  waitpid(pid, &status, 0);
  CHECK("a script runs its interpreter", WEXITSTATUS(status) == 33);

  /* groups and sessions */
  CHECK("getpgid", getpgid(0) == getpgrp() && getpgid(getpid()) == getpgrp());
  pid = fork();
  if (pid == 0) {
    if (setsid() != getpid() || getsid(0) != getpid() || getpgrp() != getpid()) _exit(1);
    if (setsid() != -1 || errno != EPERM) _exit(2);
    if (setpgid(0, 0) != -1 || errno != EPERM) _exit(3);
    _exit(0);
  }
  waitpid(pid, &status, 0);
  CHECK("setsid", status == 0);
  pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  CHECK("setpgid of a child", setpgid(pid, pid) == 0 && getpgid(pid) == pid);
  CHECK("kill of a group", kill(-pid, SIGTERM) == 0 && waitpid(-pid, &status, 0) == pid && WTERMSIG(status) == SIGTERM);

  /* reparenting */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int fds[2];
  if (pipe(fds) != 0) return 99;
  pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      while (getppid() != 1 && getppid() == *(volatile pid_t *)&pid) sched_yield();
      struct timespec ms = {0, 20000000};
      nanosleep(&ms, NULL);
      pid_t parent = getppid();
      if (write(fds[1], &parent, sizeof parent) != sizeof parent) _exit(1);
      _exit(9);
    }
    _exit(0);
  }
  waitpid(pid, &status, 0);
  pid_t parent = 0;
  CHECK("a grandchild is inherited by the subreaper", read(fds[0], &parent, sizeof parent) == sizeof parent && parent == getpid());
  CHECK("and can be waited for", waitpid(-1, &status, 0) > 0 && WEXITSTATUS(status) == 9);
  pid = fork();
  if (pid == 0) {
    pid_t inner = fork();
    if (inner == 0) {
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      if (write(fds[1], "r", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char c;
    if (read(fds[0], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  waitpid(pid, &status, 0);
  CHECK("PR_SET_PDEATHSIG", waitpid(-1, &status, 0) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);

  /* threads */
  shared_value = 0;
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, thread_adds, (void *)(long)i);
  long sum = 0;
  for (int i = 0; i < 8; i++) {
    void *result;
    pthread_join(threads[i], &result);
    sum += (long)result;
  }
  CHECK("threads share memory and join", shared_value == 8000 && sum == 28);
  status = IN_CHILD({
    pthread_t t;
    pthread_create(&t, NULL, thread_exits_process, NULL);
    for (;;) pause();
  });
  CHECK("exit in a thread ends the process", WIFEXITED(status) && WEXITSTATUS(status) == 7);
  status = IN_CHILD({
    pthread_t t;
    pthread_create(&t, NULL, thread_sleeps, NULL);
    pthread_create(&t, NULL, thread_execs, "again");
    for (;;) pause();
  });
  CHECK("execve in a thread keeps the pid", WEXITSTATUS(status) == 44);
  status = IN_CHILD({
    pthread_t t;
    pthread_create(&t, NULL, thread_exits_process, NULL);
    pthread_exit(NULL);
  });
  CHECK("the leader may end first", WEXITSTATUS(status) == 7);

  /* pidfd */
  pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd >= 0 || errno != ENOSYS) {
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    CHECK("a pidfd of a live process is not readable", pidfd >= 0 && poll(&p, 1, 0) == 0);
    CHECK("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) == 0);
    CHECK("a pidfd of a dead process is", poll(&p, 1, 2000) == 1 && p.revents == POLLIN);
    CHECK("waitid P_PIDFD", waitid(3, (id_t)pidfd, &info, WEXITED) == 0 && info.si_pid == pid);
  } else kill(pid, SIGKILL);

  signal(SIGCHLD, SIG_IGN);
  pid = fork();
  if (pid == 0) _exit(0);
  CHECK("ignored SIGCHLD leaves no zombie", waitpid(pid, &status, 0) == -1 && errno == ECHILD);
  signal(SIGCHLD, SIG_DFL);

  CHECK("comm", ({
    char name[17] = "";
    prctl(PR_SET_NAME, "a-name-that-is-too-long");
    prctl(PR_GET_NAME, name);
    strcmp(name, "a-name-that-is-") == 0;
  }));
  CHECK("unknown prctl", prctl(99999, 0, 0, 0, 0) == -1 && errno == EINVAL);
  CHECK("priority", setpriority(PRIO_PROCESS, 0, 5) == 0 && getpriority(PRIO_PROCESS, 0) == 5);
  CHECK("sched", sched_getscheduler(0) == SCHED_OTHER && sched_get_priority_max(SCHED_FIFO) == 99);
  cpu_set_t cpus;
  CHECK("affinity", sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) >= 1);
  return failures;
}
