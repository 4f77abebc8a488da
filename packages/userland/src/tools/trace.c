/*
 * trace: switches kernel events on, prints what they record, and switches them off again.
 *
 *   trace -l                          lists the events
 *   trace -e sched_switch             until Ctrl-C
 *   trace -e raw_syscalls -n 20       twenty lines
 *   trace -e sched -- ls /            while a command runs
 *   trace -e sys_enter -f 'id == 64'  with a filter
 *
 * It writes to /sys/kernel/tracing as one would by hand; -v shows each step.
 */
#include "../box.h"

static const char *root = "/sys/kernel/tracing";
static bool verbose;
static volatile int stopped;
static void on_stop(int sig) {
  (void)sig;
  stopped = 1;
}

static long put(const char *path, const char *text) {
  if (verbose) fprintf(stderr, "# echo '%s' > %s\n", text, path);
  long fd = sys_open(path, O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  long n = sys_write((int)fd, text, strlen(text));
  sys_close((int)fd);
  return n < 0 ? n : 0;
}

/* Directories of the events that a name selects: an event, group/event, group:event or a group. */
static void select_events(const char *name, StrList *out) {
  char *wanted = strdup(name), *events = path_join(root, "events");
  for (char *c = wanted; *c; c++)
    if (*c == ':') *c = '/';
  StrList groups = {0};
  list_directory(events, &groups);
  for (size_t i = 0; i < groups.len; i++) {
    char *group = path_join(events, groups.items[i]);
    StrList names = {0};
    list_directory(group, &names);
    for (size_t k = 0; k < names.len; k++) {
      char *dir = path_join(group, names.items[k]), *full = asprintf("%s/%s", groups.items[i], names.items[k]);
      struct stat st;
      bool is_dir = sys_stat(dir, &st) == 0 && S_ISDIR(st.st_mode);
      if (is_dir && (fnmatch(wanted, full, 0) || fnmatch(wanted, names.items[k], 0) || fnmatch(wanted, groups.items[i], 0))) list_add(out, strdup(dir));
      free(dir);
      free(full);
    }
    list_free(&names);
    free(group);
  }
  list_free(&groups);
  free(events);
  free(wanted);
}

static void switch_all(const StrList *dirs, const char *file, const char *value) {
  for (size_t i = 0; i < dirs->len; i++) {
    char *path = path_join(dirs->items[i], file);
    long err = put(path, value);
    if (err < 0) warn_errno(err, "%s", path);
    free(path);
  }
}

int trace_main(int argc, char **argv) {
  StrList dirs = {0};
  const char *filter = NULL;
  bool list = false;
  long lines = LONG_MAX;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "+e:f:n:lv", "event:=e,filter:=f,list=l,lines:=n,verbose=v")) >= 0) {
    if (opt == 'e') {
      for (char *p = optarg; *p;) {
        char *one = strndup(p, strcspn(p, ","));
        size_t before = dirs.len;
        select_events(one, &dirs);
        if (dirs.len == before) die("no event matches '%s' (trace -l lists them)", one);
        p += strlen(one) + (p[strlen(one)] == ',');
        free(one);
      }
    } else if (opt == 'f') filter = optarg;
    else if (opt == 'n') lines = atoi(optarg);
    else if (opt == 'l') list = true;
    else if (opt == 'v') verbose = true;
    else return usage_error();
  }
  if (list) {
    select_events("*", &dirs);
    for (size_t i = 0; i < dirs.len; i++) puts(dirs.items[i] + strlen(root) + strlen("/events/"));
    if (!dirs.len) die("no events: is tracefs mounted at %s?", root);
    return 0;
  }
  if (!dirs.len) return usage_error();
  char *pipe_path = path_join(root, "trace_pipe"), *trace_path = path_join(root, "trace");
  long fd = sys_open(pipe_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) die_errno(fd, "%s", pipe_path);
  stopped = 0;
  set_signal(SIGINT, on_stop, 0);
  set_signal(SIGTERM, on_stop, 0);
  put(trace_path, "");
  if (filter) switch_all(&dirs, "filter", filter);
  switch_all(&dirs, "enable", "1");
  long pid = 0;
  bool running = optind < argc;
  if (running) {
    fflush(stdout);
    pid = sys_fork();
    if (pid == 0) {
      set_signal(SIGINT, SIG_DFL, 0);
      set_signal(SIGTERM, SIG_DFL, 0);
      int err = exec_program(argv + optind);
      warn_errno(err, "%s", argv[optind]);
      sys_exit_group(127);
    }
  }
  static char text[8192];
  while (!stopped && lines > 0) {
    int wait_status;
    if (running && sys_wait4((int)pid, &wait_status, WNOHANG, NULL) == pid) {
      status = exit_status(wait_status);
      running = false;
      switch_all(&dirs, "enable", "0");
    }
    long n = sys_read((int)fd, text, sizeof text);
    if (n <= 0) {
      if (n < 0 && n != -EAGAIN && n != -EINTR) die_errno(n, "%s", pipe_path);
      if (pid && !running) break; /* everything recorded has been shown */
      struct pollfd p = {.fd = (int)fd, .events = POLLIN};
      struct timespec t = {0, 100000000};
      sys_ppoll(&p, 1, &t);
      continue;
    }
    for (char *p = text, *end = text + n; p < end && lines > 0;) {
      char *newline = memchr(p, '\n', (size_t)(end - p));
      size_t k = newline ? (size_t)(newline - p) + 1 : (size_t)(end - p);
      fwrite(p, k, stdout);
      lines -= newline != NULL;
      p += k;
    }
    fflush(stdout);
  }
  switch_all(&dirs, "enable", "0");
  if (filter) switch_all(&dirs, "filter", "0");
  if (running) sys_kill((int)pid, SIGTERM);
  return status;
}
