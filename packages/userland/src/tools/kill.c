/* kill and killall. */
#include "../box.h"

int kill_main(int argc, char **argv) {
  int sig = SIGTERM, i = 1;
  if (i < argc && !strcmp(argv[i], "-l")) {
    if (++i < argc) {
      for (; i < argc; i++) {
        int n = signal_number(argv[i]);
        if (n > 128) n -= 128;
        if (isdigit(*argv[i]) && signal_name(n)) puts(signal_name(n));
        else if (n > 0) printf("%d\n", n);
      }
      return 0;
    }
    for (int n = 1; signal_name(n); n++) printf("%2d %-8s%s", n, signal_name(n), n % 8 ? "" : "\n");
    return putchar('\n'), 0;
  }
  if (i < argc && (!strcmp(argv[i], "-s") || !strcmp(argv[i], "-n")) && i + 1 < argc) {
    sig = signal_number(argv[i + 1]);
    i += 2;
  } else if (i < argc && argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--")) {
    sig = signal_number(argv[i++] + 1);
  }
  if (i < argc && !strcmp(argv[i], "--")) i++;
  if (sig < 0) {
    fprintf(stderr, "kill: bad signal\n");
    return 1;
  }
  if (i >= argc) {
    fprintf(stderr, "Usage: kill [-SIGNAL] PID...\n");
    return 2;
  }
  int status = 0;
  for (; i < argc; i++) {
    if (!strcmp(argv[i], "--")) continue;
    char *end;
    long pid = strtol(argv[i], &end, 10);
    long err = *end || end == argv[i] ? -EINVAL : sys_kill((int)pid, sig);
    if (err < 0) {
      fprintf(stderr, "kill: %s: %s\n", argv[i], strerror((int)-err));
      status = 1;
    }
  }
  return status;
}

int killall_main(int argc, char **argv) {
  int sig = SIGTERM, i = 1, status = 0;
  if (i < argc && argv[i][0] == '-') sig = signal_number(argv[i++] + 1);
  if (sig < 0 || i >= argc) return usage_error();
  StrList pids = {0};
  list_directory("/proc", &pids);
  for (; i < argc; i++) {
    bool found = false;
    for (size_t k = 0; k < pids.len; k++) {
      if (!isdigit(*pids.items[k]) || atoi(pids.items[k]) == (int)sys_getpid()) continue;
      char *path = asprintf("/proc/%s/comm", pids.items[k]), *comm = read_file(path, NULL);
      free(path);
      if (comm) {
        comm[strcspn(comm, "\n")] = 0;
        if (!strcmp(comm, argv[i]) && sys_kill(atoi(pids.items[k]), sig) == 0) found = true;
      }
      free(comm);
    }
    if (!found) {
      warn("%s: no process found", argv[i]);
      status = 1;
    }
  }
  return status;
}
