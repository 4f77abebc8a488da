/*
 * Processes and jobs. Every foreground or background pipeline is a Job with one Proc per member;
 * all of the shell's children except those of $(...) are reaped here.
 *
 * With job control (`monitor`, interactive shells on a terminal) each job is a process group and
 * the foreground one owns the terminal, so ^C and ^Z reach it and not the shell.
 */
#include "sh.h"

Job *jobs;
bool monitor;
int shell_tty = -1, shell_pgid, last_background_pid;
static struct termios shell_modes;
static Job *current_job; /* %+ */

Job *job_new(int count, const char *text) {
  Job *j = calloc(1, sizeof *j);
  j->procs = calloc((size_t)count, sizeof *j->procs);
  j->text = strdup(text ? text : "");
  for (Job *other = jobs; other; other = other->next)
    if (other->id >= j->id) j->id = other->id + 1;
  if (!j->id) j->id = 1;
  j->next = jobs;
  jobs = j;
  return j;
}

void job_remove(Job *j) {
  for (Job **p = &jobs; *p; p = &(*p)->next)
    if (*p == j) {
      *p = j->next;
      break;
    }
  if (current_job == j) current_job = NULL;
  free(j->procs);
  free(j->text);
  free(j);
}

void jobs_forget(void) {
  while (jobs) job_remove(jobs);
}

static void give_terminal(int pgid) {
  if (shell_tty >= 0) sys_ioctl(shell_tty, TIOCSPGRP, &pgid);
}

int job_fork(Job *j, bool background) {
  fflush(stdout);
  /* Blocked until the child no longer ignores what the shell ignores, so that a kill right after
   * the fork is not lost. */
  uint64_t all = ~0ul, mask;
  if (interactive) sys_sigprocmask(SIG_SETMASK, &all, &mask);
  bool masked = interactive;
  long pid = sys_fork();
  if (pid != 0 && masked) sys_sigprocmask(SIG_SETMASK, &mask, NULL);
  if (pid < 0) {
    shell_error("fork: %s", strerror((int)-pid));
    return (int)pid;
  }
  if (pid == 0) {
    if (monitor) {
      int pgid = j->pgid ? j->pgid : (int)sys_getpid();
      sys_setpgid(0, pgid);
      if (!background) give_terminal(pgid);
    }
    bool controlled = monitor;
    enter_subshell();
    if (background && !controlled) {
      set_signal(SIGINT, SIG_IGN, 0);
      set_signal(SIGQUIT, SIG_IGN, 0);
    }
    if (masked) sys_sigprocmask(SIG_SETMASK, &mask, NULL);
    return 0;
  }
  if (!j->pgid) j->pgid = (int)pid;
  if (monitor) sys_setpgid((int)pid, j->pgid);
  j->procs[j->count++] = (Proc){.pid = (int)pid};
  j->background = background;
  return (int)pid;
}

static bool job_done(const Job *j) {
  for (int i = 0; i < j->count; i++)
    if (!j->procs[i].done) return false;
  return true;
}
static bool job_stopped(const Job *j) {
  bool stopped = false;
  for (int i = 0; i < j->count; i++) {
    if (j->procs[i].stopped) stopped = true;
    else if (!j->procs[i].done) return false;
  }
  return stopped;
}

int job_status(const Job *j) {
  int status = j->count ? exit_status(j->procs[j->count - 1].status) : 0;
  if (opt_pipefail)
    for (int i = j->count - 1; i >= 0; i--)
      if (exit_status(j->procs[i].status)) return exit_status(j->procs[i].status);
  return status;
}

static long reap_one(bool block) {
  int status;
  long pid = sys_wait4(-1, &status, (block ? 0 : WNOHANG) | (monitor ? WUNTRACED | WCONTINUED : 0), NULL);
  if (pid <= 0) return pid;
  for (Job *j = jobs; j; j = j->next)
    for (int i = 0; i < j->count; i++) {
      Proc *p = &j->procs[i];
      if (p->pid != pid || p->done) continue;
      if (WIFCONTINUED(status)) {
        p->stopped = false;
      } else {
        p->status = status;
        p->stopped = WIFSTOPPED(status);
        p->done = !p->stopped;
        j->notify = true;
      }
    }
  return pid;
}
/* False when there is no child left, or a signal interrupted the wait. */
bool reap(bool block) { return reap_one(block) > 0; }

void jobs_poll(void) {
  while (reap(false)) {}
}

static char job_mark(const Job *j) {
  if (j == current_job) return '+';
  return ' ';
}

static void describe(const Job *j, FILE *out) {
  char state[64] = "Running";
  const Proc *last = &j->procs[j->count - 1];
  if (job_done(j)) {
    if (WIFSIGNALED(last->status)) strlcpy(state, signal_text(WTERMSIG(last->status)), sizeof state);
    else if (WEXITSTATUS(last->status)) snprintf(state, sizeof state, "Done(%d)", WEXITSTATUS(last->status));
    else strlcpy(state, "Done", sizeof state);
  } else if (job_stopped(j)) {
    strlcpy(state, "Stopped", sizeof state);
  }
  fprintf(out, "[%d]%c  %-22s %s%s\n", j->id, job_mark(j), state, j->text, strcmp(state, "Running") || j->text[strlen(j->text) - (*j->text != 0)] == '&' ? "" : " &");
}

int job_wait(Job *j) {
  while (!job_done(j) && !job_stopped(j)) {
    long r = reap_one(true);
    if (r == -ECHILD) {
      for (int i = 0; i < j->count; i++) j->procs[i].done = true;
      break;
    }
  }
  if (monitor) {
    give_terminal(shell_pgid);
    if (job_stopped(j)) {
      j->has_modes = sys_ioctl(shell_tty, TCGETS, &j->modes) == 0;
      sys_ioctl(shell_tty, TCSETSW, &shell_modes);
    }
  }
  if (job_stopped(j)) {
    j->background = true;
    j->notify = false;
    current_job = j;
    fputs("\n", stderr);
    describe(j, stderr);
    return 128 + WSTOPSIG(j->procs[j->count - 1].status);
  }
  int status = job_status(j), last = j->procs[j->count - 1].status;
  if (WIFSIGNALED(last) && (interactive || function_depth >= 0)) {
    int sig = WTERMSIG(last);
    if (monitor && sig == SIGINT) fputs("\n", stderr), unwinding = UNWIND_ABORT;
    else if (sig != SIGINT && sig != SIGPIPE) fprintf(stderr, "%s%s\n", signal_text(sig), last & 0x80 ? " (core dumped)" : "");
    /* A full-screen program that died leaves the terminal as it was. */
    if (monitor) sys_ioctl(shell_tty, TCSETSW, &shell_modes);
  } else if (monitor) {
    sys_ioctl(shell_tty, TCGETS, &shell_modes);
  }
  job_remove(j);
  return status;
}

void job_started_in_background(Job *j) {
  last_background_pid = j->procs[j->count - 1].pid;
  current_job = j;
  if (interactive) fprintf(stderr, "[%d] %d\n", j->id, last_background_pid);
}

Job *job_find(const char *spec) {
  if (*spec != '%') {
    int pid = atoi(spec);
    for (Job *j = jobs; j; j = j->next)
      for (int i = 0; i < j->count; i++)
        if (j->procs[i].pid == pid) return j;
    return NULL;
  }
  spec++;
  if (!*spec || *spec == '%' || *spec == '+') {
    if (current_job) return current_job;
    for (Job *j = jobs; j; j = j->next)
      if (job_stopped(j)) return j;
    return jobs;
  }
  for (Job *j = jobs; j; j = j->next) {
    if (*spec == '-' && j != current_job) return j;
    if (isdigit(*spec) ? j->id == atoi(spec) : *spec == '?' ? strstr(j->text, spec + 1) != NULL : starts_with(j->text, spec)) return j;
  }
  return NULL;
}

void jobs_notify(void) {
  jobs_poll();
  for (Job *j = jobs, *next; j; j = next) {
    next = j->next;
    if (!j->notify || !j->background) continue;
    j->notify = false;
    if (interactive && (job_done(j) || job_stopped(j))) describe(j, stderr);
    if (job_done(j)) job_remove(j);
  }
}

void jobs_enable(void) {
  shell_tty = -1;
  for (int fd = 0; fd <= 2 && shell_tty < 0; fd++)
    if (isatty(fd)) shell_tty = (int)sys_fcntl(fd, F_DUPFD_CLOEXEC, 10);
  if (shell_tty < 0) return;
  /* A shell started in the background stops until it is brought to the front. */
  int owner = 0;
  shell_pgid = (int)sys_getpgid(0);
  for (int tries = 0; tries < 8 && sys_ioctl(shell_tty, TIOCGPGRP, &owner) == 0 && owner != shell_pgid; tries++) {
    if (owner <= 0) break;
    sys_kill(0, SIGTTIN);
  }
  set_signal(SIGTSTP, SIG_IGN, 0);
  set_signal(SIGTTIN, SIG_IGN, 0);
  set_signal(SIGTTOU, SIG_IGN, 0);
  int pid = (int)sys_getpid();
  if (shell_pgid != pid && sys_setpgid(0, pid) == 0) shell_pgid = pid;
  if (sys_ioctl(shell_tty, TIOCSPGRP, &shell_pgid) < 0) {
    shell_error("no job control: cannot own the terminal");
    sys_close(shell_tty);
    shell_tty = -1;
    return;
  }
  sys_ioctl(shell_tty, TCGETS, &shell_modes);
  monitor = opt_m = true;
}

/* ---- builtins: jobs fg bg wait ---- */

int builtin_jobs(int argc, char **argv) {
  bool pids = argc > 1 && !strcmp(argv[1], "-p"), both = argc > 1 && !strcmp(argv[1], "-l");
  jobs_poll();
  int top = 0;
  for (Job *j = jobs; j; j = j->next)
    if (j->id > top) top = j->id;
  for (int id = 1; id <= top; id++)
    for (Job *j = jobs, *next; j; j = next) {
      next = j->next;
      if (j->id != id) continue;
      if (pids) printf("%d\n", j->pgid);
      else {
        if (both) printf("%d ", j->pgid);
        describe(j, stdout);
      }
      j->notify = false;
      if (job_done(j)) job_remove(j);
    }
  return 0;
}

static int resume(int argc, char **argv, bool foreground) {
  Job *j = job_find(argc > 1 ? argv[1] : "%");
  if (!j || !monitor) {
    shell_error("%s: %s", argv[0], monitor ? "no such job" : "no job control");
    return 1;
  }
  current_job = j;
  for (int i = 0; i < j->count; i++) j->procs[i].stopped = false;
  j->notify = false;
  if (foreground) {
    fprintf(stderr, "%s\n", j->text);
    j->background = false;
    if (j->has_modes) sys_ioctl(shell_tty, TCSETSW, &j->modes);
    give_terminal(j->pgid);
  } else {
    j->background = true;
    fprintf(stderr, "[%d]+ %s &\n", j->id, j->text);
  }
  sys_kill(-j->pgid, SIGCONT);
  return foreground ? job_wait(j) : 0;
}
int builtin_fg(int argc, char **argv) { return resume(argc, argv, true); }
int builtin_bg(int argc, char **argv) { return resume(argc, argv, false); }

/* 128+n when a trapped signal ended the wait, -1 to go on. */
static int interrupted_wait(void) {
  for (int sig = 1; sig < NSIG; sig++)
    if (got_signal[sig] && (traps[sig] || sig == SIGINT)) return 128 + sig;
  return -1;
}

int builtin_wait(int argc, char **argv) {
  if (argc < 2) {
    for (;;) {
      Job *j = jobs;
      while (j && (job_done(j) || job_stopped(j))) j = j->next;
      if (!j) break;
      if (reap_one(true) == -EINTR && interrupted_wait() >= 0) return interrupted_wait();
    }
    for (Job *j = jobs, *next; j; j = next) {
      next = j->next;
      if (job_done(j)) job_remove(j);
    }
    return 0;
  }
  int status = 0;
  for (int i = 1; i < argc; i++) {
    Job *j = job_find(argv[i]);
    if (!j) {
      status = 127;
      continue;
    }
    while (!job_done(j) && !job_stopped(j))
      if (reap_one(true) == -EINTR && interrupted_wait() >= 0) return interrupted_wait();
    status = job_status(j);
    if (job_done(j)) job_remove(j);
  }
  return status;
}
