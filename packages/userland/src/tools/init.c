/*
 * init: process 1. Mounts the kernel's file systems, starts a login shell on the console and
 * reaps whatever is orphaned. When the shell ends, so does init, with the shell's status: the
 * kernel powers the machine off and passes that status on.
 *
 *   init               interactive login shell
 *   init -c COMMANDS   `sh -c COMMANDS`, no banner
 *   init PROGRAM ARG.. that program
 */
#include "../box.h"

static const struct { const char *source, *target, *type; unsigned long flags; const char *data; } mounts[] = {
    {"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, ""},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666"},
    {"tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"},
    {"tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tracefs", "/sys/kernel/tracing", "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
};

/* A kernel may have mounted some of these itself; then they are left alone. */
static bool is_mounted(const char *target) {
  char *text = read_file("/proc/mounts", NULL);
  bool found = false;
  for (char *line = text; line && *line && !found; line = *strchrnul(line, '\n') ? strchrnul(line, '\n') + 1 : NULL) {
    char *at = strchr(line, ' ');
    size_t n = strlen(target);
    found = at && !strncmp(at + 1, target, n) && at[n + 1] == ' ';
  }
  free(text);
  return found;
}

static void mount_all(void) {
  for (size_t i = 0; i < countof(mounts); i++) {
    if (i && is_mounted(mounts[i].target)) continue;
    struct stat st;
    if (sys_stat(mounts[i].target, &st) < 0) sys_mkdir(mounts[i].target, 0755);
    sys_mount(mounts[i].source, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].data);
  }
}

/* Descriptors 0, 1, 2 on the console, unless the kernel gave us some. */
static void open_console(void) {
  struct stat st;
  if (sys_fstat(0, &st) == 0 && sys_fstat(1, &st) == 0 && sys_fstat(2, &st) == 0) return;
  long fd = sys_open("/dev/console", O_RDWR | O_NOCTTY, 0);
  if (fd < 0) fd = sys_open("/dev/null", O_RDWR, 0);
  for (int to = 0; to <= 2 && fd >= 0; to++)
    if (fd != to) sys_dup3((int)fd, to, 0);
  if (fd > 2) sys_close((int)fd);
}

static void set_hostname(void) {
  char *name = read_file("/etc/hostname", NULL);
  if (!name) return;
  name[strcspn(name, "\n")] = 0;
  if (*name) sys_sethostname(name, strlen(name));
  free(name);
}

static _Noreturn void child(char **argv, bool terminal) {
  sys_setsid();
  if (terminal) sys_ioctl(0, TIOCSCTTY, (void *)1);
  uint64_t none = 0;
  sys_sigprocmask(SIG_SETMASK, &none, NULL);
  int err = exec_program(argv);
  if (err == -ENOENT && (!strcmp(argv[0], "/bin/sh") || !strcmp(argv[0], "-sh"))) {
    int argc = 0;
    while (argv[argc]) argc++;
    run_applet(find_applet("sh"), argc, argv);
  }
  warn_errno(err, "%s", argv[0]);
  sys_exit_group(err == -ENOENT ? 127 : 126);
}

int init_main(int argc, char **argv) {
  bool first = sys_getpid() == 1;
  if (first) {
    mount_all();
    open_console();
    set_hostname();
    static const int ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGHUP};
    for (size_t i = 0; i < countof(ignored); i++) set_signal(ignored[i], SIG_IGN, 0);
  }
  if (!getenv("PATH")) setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  if (!getenv("HOME")) setenv("HOME", "/root");
  if (!getenv("USER")) setenv("USER", "root");
  if (!getenv("LOGNAME")) setenv("LOGNAME", "root");
  if (!getenv("SHELL")) setenv("SHELL", "/bin/sh");
  if (!getenv("TERM")) setenv("TERM", "xterm-256color");

  bool terminal = isatty(0);
  char *shell[] = {"/bin/sh", "-l", NULL};
  char **run = shell;
  if (argc > 2 && !strcmp(argv[1], "-c")) {
    char **command = calloc((size_t)argc + 2, sizeof *command);
    command[0] = "/bin/sh";
    for (int i = 1; i < argc; i++) command[i] = argv[i];
    run = command;
  } else if (argc > 1 && argv[1][0] != '-') {
    run = argv + 1;
  } else {
    const char *home = getenv("HOME");
    if (sys_chdir(home) < 0) sys_chdir("/");
    char *motd = read_file("/etc/motd", NULL);
    if (motd) fputs(motd, stdout);
    free(motd);
    fflush(stdout);
  }
  long pid = sys_fork();
  if (pid < 0) die_errno(pid, "fork");
  if (pid == 0) child(run, terminal);
  int status = 0;
  for (;;) {
    int s;
    long done = sys_wait4(-1, &s, 0, NULL);
    if (done == pid) {
      status = exit_status(s);
      break;
    }
    if (done < 0 && done != -EINTR) break;
  }
  if (first) {
    sys_kill(-1, SIGTERM);
    while (sys_wait4(-1, NULL, WNOHANG, NULL) > 0) {}
    sys_sync();
  }
  return status;
}

static int halt(int argc, char **argv, int command) {
  (void)argc, (void)argv;
  sys_sync();
  long err = sys_reboot(command);
  if (err < 0) die_errno(err, "cannot %s", applet_name);
  return 0;
}
int poweroff_main(int argc, char **argv) { return halt(argc, argv, LINUX_REBOOT_CMD_POWER_OFF); }
int halt_main(int argc, char **argv) { return halt(argc, argv, LINUX_REBOOT_CMD_HALT); }
int reboot_main(int argc, char **argv) { return halt(argc, argv, LINUX_REBOOT_CMD_RESTART); }
