/*
 * starrybox: one static program that is all of our tools. It acts as the applet whose name it
 * was called by (argv[0]), or as the one named by its first argument.
 */
#include "box.h"

const char *applet_name = "starrybox";

const Applet applets[] = {
#define APPLET(name, usage) {#name, name##_main, usage},
#include "applets.h"
#undef APPLET
    {"[", test_main, "EXPRESSION ]"},
};
const size_t applet_count = countof(applets);

const Applet *find_applet(const char *name) {
  for (size_t i = 0; i < applet_count; i++)
    if (!strcmp(applets[i].name, name)) return &applets[i];
  return NULL;
}

static const Applet *current;

_Noreturn void run_applet(const Applet *applet, int argc, char **argv) {
  current = applet;
  applet_name = applet->name;
  getopt_reset();
  stdout->line_buffered = isatty(1);
  if (argc == 2 && !strcmp(argv[1], "--help") && applet->main != test_main && applet->main != echo_main) {
    printf("Usage: %s %s\n", applet->name, applet->usage);
    exit(0);
  }
  exit(applet->main(argc, argv));
}

int usage_error(void) {
  fprintf(stderr, "Usage: %s %s\n", applet_name, current ? current->usage : "");
  return 1;
}

static void message(const char *fmt, va_list ap, const char *reason) {
  char text[1024];
  vsnprintf(text, sizeof text, fmt, ap);
  fflush(stdout);
  fprintf(stderr, "%s: %s%s%s\n", applet_name, text, reason ? ": " : "", reason ? reason : "");
}
void warn(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  message(fmt, ap, NULL);
  va_end(ap);
}
void warn_errno(long err, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  message(fmt, ap, strerror((int)(err < 0 ? -err : err)));
  va_end(ap);
}
_Noreturn void die(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  message(fmt, ap, NULL);
  exit(1);
}
_Noreturn void die_errno(long err, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  message(fmt, ap, strerror((int)(err < 0 ? -err : err)));
  exit(1);
}

/* What execve does to descriptors, for an applet that runs without one. */
static void close_on_exec(void) {
  for (int fd = 3, absent = 0; absent < 32; fd++) {
    long flags = sys_fcntl(fd, F_GETFD, 0);
    absent = flags < 0 ? absent + 1 : 0;
    if (flags > 0 && flags & FD_CLOEXEC) sys_close(fd);
  }
}

int exec_program(char **argv) {
  fflush(stdout);
  const char *name = argv[0];
  if (strchr(name, '/')) return (int)sys_execve(name, argv, environ);
  const char *path = getenv("PATH");
  if (!path) path = "/bin:/usr/bin:/sbin:/usr/sbin";
  int result = -ENOENT;
  while (*path) {
    size_t n = strcspn(path, ":");
    char file[PATH_MAX];
    if (n < sizeof file) {
      snprintf(file, sizeof file, "%.*s/%s", (int)n, n ? path : ".", name);
      int err = (int)sys_execve(file, argv, environ);
      if (err != -ENOENT && err != -ENOTDIR) result = err;
      if (err == -ENOEXEC) return err;
    }
    path += n + (path[n] == ':');
  }
  const Applet *applet = find_applet(name);
  if (applet) {
    int argc = 0;
    while (argv[argc]) argc++;
    close_on_exec();
    run_applet(applet, argc, argv);
  }
  return result;
}

int exit_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 128 + WSTOPSIG(status);
}

int spawn_wait(char **argv) {
  fflush(stdout);
  long pid = sys_fork();
  if (pid < 0) {
    warn_errno(pid, "fork");
    return 126;
  }
  if (pid == 0) {
    int err = exec_program(argv);
    warn_errno(err, "%s", argv[0]);
    sys_exit_group(err == -ENOENT ? 127 : 126);
  }
  int status;
  while (sys_wait4((int)pid, &status, 0, NULL) == -EINTR) {}
  return exit_status(status);
}

static int list_applets(void) {
  size_t column = 0;
  printf("starrybox: many small tools in one program. Usage: starrybox APPLET [ARGUMENT]...\n\n");
  for (size_t i = 0; i < applet_count; i++) {
    size_t n = strlen(applets[i].name) + 2;
    if (column + n > 78) putchar('\n'), column = 0;
    printf("%s%s", applets[i].name, i + 1 < applet_count ? ", " : "\n");
    column += n;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 1) return 127;
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash ? slash + 1 : argv[0];
  if (*name == '-') name++; /* a login shell is called as "-sh" */
  const Applet *applet = find_applet(name);
  if (!applet && argc > 1) {
    if (!strcmp(argv[1], "--list")) {
      for (size_t i = 0; i < applet_count; i++) puts(applets[i].name);
      return 0;
    }
    applet = find_applet(argv[1]);
    if (!applet) {
      fprintf(stderr, "starrybox: no applet called '%s'\n", argv[1]);
      return 127;
    }
    argc--;
    argv++;
  }
  if (!applet) return list_applets();
  run_applet(applet, argc, argv);
}
