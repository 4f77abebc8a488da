/* id, whoami, uname, hostname, tty, env, printenv, which, true, false, clear, reset, sync,
 * nohup, nice, chroot, setsid, logname: the process and its surroundings. */
#include "../box.h"

int true_main(int argc, char **argv) { return (void)argc, (void)argv, 0; }
int false_main(int argc, char **argv) { return (void)argc, (void)argv, 1; }

int id_main(int argc, char **argv) {
  bool user = false, group = false, groups = false, name = false, real = false;
  int opt;
  while ((opt = getopt(argc, argv, "ugGnr", "user=u,group=g,groups=G,name=n,real=r")) >= 0) {
    if (opt == 'u') user = true;
    else if (opt == 'g') group = true;
    else if (opt == 'G') groups = true;
    else if (opt == 'n') name = true;
    else if (opt == 'r') real = true;
    else return usage_error();
  }
  unsigned uid = (unsigned)(real ? sys_getuid() : sys_geteuid()), gid = (unsigned)(real ? sys_getgid() : sys_getegid());
  uint32_t list[64];
  long n = sys_getgroups(64, list);
  if (user || group) {
    if (name) puts(user ? user_name(uid) : group_name(gid));
    else printf("%u\n", user ? uid : gid);
    return 0;
  }
  if (groups) {
    if (name) fputs(group_name(gid), stdout);
    else printf("%u", gid);
    for (long i = 0; i < n; i++) {
      if (list[i] == gid) continue;
      if (name) printf(" %s", group_name(list[i]));
      else printf(" %u", list[i]);
    }
    putchar('\n');
    return 0;
  }
  printf("uid=%u(%s) gid=%u(%s) groups=%u(%s)", uid, user_name(uid), gid, group_name(gid), gid, group_name(gid));
  for (long i = 0; i < n; i++)
    if (list[i] != gid) printf(",%u(%s)", list[i], group_name(list[i]));
  putchar('\n');
  return 0;
}

int whoami_main(int argc, char **argv) {
  (void)argc, (void)argv;
  puts(user_name((unsigned)sys_geteuid()));
  return 0;
}
int logname_main(int argc, char **argv) {
  (void)argc, (void)argv;
  const char *name = getenv("LOGNAME");
  puts(name ? name : user_name((unsigned)sys_getuid()));
  return 0;
}

int uname_main(int argc, char **argv) {
  struct utsname u;
  bool s = false, n = false, r = false, v = false, m = false, o = false;
  int opt;
  sys_uname(&u);
  while ((opt = getopt(argc, argv, "asnrvmpio", "all=a,kernel-name=s,nodename=n,kernel-release=r,kernel-version=v,machine=m,operating-system=o")) >= 0) {
    switch (opt) {
      case 'a': s = n = r = v = m = o = true; break;
      case 's': s = true; break;
      case 'n': n = true; break;
      case 'r': r = true; break;
      case 'v': v = true; break;
      case 'm': case 'p': case 'i': m = true; break;
      case 'o': o = true; break;
      default: return usage_error();
    }
  }
  if (!(s || n || r || v || m || o)) s = true;
  const struct { bool on; const char *text; } parts[] = {{s, u.sysname}, {n, u.nodename}, {r, u.release}, {v, u.version}, {m, u.machine}, {o, "GNU/Linux"}};
  const char *gap = "";
  for (size_t i = 0; i < countof(parts); i++)
    if (parts[i].on) printf("%s%s", gap, parts[i].text), gap = " ";
  putchar('\n');
  return 0;
}

int arch_main(int argc, char **argv) {
  (void)argc, (void)argv;
  struct utsname u;
  sys_uname(&u);
  puts(u.machine);
  return 0;
}

int hostname_main(int argc, char **argv) {
  struct utsname u;
  if (argc > 1 && argv[1][0] != '-') {
    long err = sys_sethostname(argv[1], strlen(argv[1]));
    if (err < 0) die_errno(err, "cannot set the name");
    return 0;
  }
  sys_uname(&u);
  puts(u.nodename);
  return 0;
}

int tty_main(int argc, char **argv) {
  bool silent = argc > 1 && !strcmp(argv[1], "-s");
  char path[PATH_MAX];
  long n = isatty(0) ? sys_readlink("/proc/self/fd/0", path, sizeof path - 1) : -1;
  if (n >= 0) path[n] = 0;
  if (!silent) puts(!isatty(0) ? "not a tty" : n >= 0 ? path : "/dev/tty");
  return !isatty(0);
}

int env_main(int argc, char **argv) {
  int opt;
  while ((opt = getopt(argc, argv, "+iu:C:", "ignore-environment=i,unset:=u,chdir:=C")) >= 0) {
    static char *none[] = {NULL};
    if (opt == 'i') environ = none;
    else if (opt == 'u') unsetenv(optarg);
    else if (opt == 'C') {
      long err = sys_chdir(optarg);
      if (err < 0) die_errno(err, "cannot change directory to '%s'", optarg);
    } else return 125;
  }
  if (optind < argc && !strcmp(argv[optind], "-")) environ = (char *[]){NULL}, optind++;
  int i = optind;
  for (char *eq; i < argc && (eq = strchr(argv[i], '=')); i++) {
    char *name = strndup(argv[i], (size_t)(eq - argv[i]));
    setenv(name, eq + 1);
    free(name);
  }
  if (i == argc) {
    for (char **e = environ; *e; e++) puts(*e);
    return 0;
  }
  int err = exec_program(argv + i);
  warn_errno(err, "'%s'", argv[i]);
  return err == -ENOENT ? 127 : 126;
}

int printenv_main(int argc, char **argv) {
  int status = 0;
  if (argc < 2)
    for (char **e = environ; *e; e++) puts(*e);
  for (int i = 1; i < argc; i++) {
    const char *v = getenv(argv[i]);
    if (v) puts(v);
    else status = 1;
  }
  return status;
}

int which_main(int argc, char **argv) {
  int status = 0;
  bool all = argc > 1 && !strcmp(argv[1], "-a");
  for (int i = 1 + all; i < argc; i++) {
    bool found = false;
    const char *path = strchr(argv[i], '/') ? NULL : getenv("PATH");
    if (!path && sys_access(argv[i], X_OK) == 0) puts(argv[i]), found = true;
    while (path && *path && (all || !found)) {
      size_t n = strcspn(path, ":");
      char *file = asprintf("%.*s/%s", n ? (int)n : 1, n ? path : ".", argv[i]);
      struct stat st;
      if (sys_stat(file, &st) == 0 && S_ISREG(st.st_mode) && sys_access(file, X_OK) == 0) puts(file), found = true;
      free(file);
      path += n + (path[n] == ':');
    }
    if (!found) status = 1;
  }
  return status;
}

int clear_main(int argc, char **argv) {
  (void)argc, (void)argv;
  fputs("\033[H\033[2J\033[3J", stdout);
  return 0;
}
int reset_main(int argc, char **argv) {
  (void)argc, (void)argv;
  fputs("\033c\033[?1049l\033[?25h", stdout);
  fflush(stdout);
  char *stty[] = {"stty", "sane", NULL};
  return stty_main(2, stty);
}

int sync_main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    long fd = sys_open(argv[i], O_RDONLY, 0), err = fd < 0 ? fd : sys_fsync((int)fd);
    if (err < 0) die_errno(err, "%s", argv[i]);
  }
  if (argc < 2) sys_sync();
  return 0;
}

static int run_rest(char **argv) {
  int err = exec_program(argv);
  warn_errno(err, "%s", argv[0]);
  return err == -ENOENT ? 127 : 126;
}

int nohup_main(int argc, char **argv) {
  if (argc < 2) return usage_error();
  set_signal(SIGHUP, SIG_IGN, 0);
  if (isatty(1)) {
    long fd = sys_open("nohup.out", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0) die_errno(fd, "nohup.out");
    warn("appending output to 'nohup.out'");
    sys_dup3((int)fd, 1, 0);
    sys_close((int)fd);
  }
  if (isatty(2)) sys_dup3(1, 2, 0);
  return run_rest(argv + 1);
}

int nice_main(int argc, char **argv) {
  int by = 10, opt;
  while ((opt = getopt(argc, argv, "+n:", "adjustment:=n")) >= 0) {
    if (opt != 'n') return 125;
    by = atoi(optarg);
  }
  /* The kernel reports priorities as 20 - nice. */
  int now = 20 - (int)sys_getpriority(PRIO_PROCESS, 0);
  if (optind >= argc) {
    printf("%d\n", now);
    return 0;
  }
  long err = sys_setpriority(PRIO_PROCESS, 0, now + by);
  if (err < 0) warn_errno(err, "cannot set niceness");
  return run_rest(argv + optind);
}

int setsid_main(int argc, char **argv) {
  if (argc < 2) return usage_error();
  if (sys_getpgid(0) == sys_getpid() && sys_fork() > 0) return 0;
  sys_setsid();
  return run_rest(argv + 1);
}

int chroot_main(int argc, char **argv) {
  if (argc < 2) return usage_error();
  long err = sys_chroot(argv[1]);
  if (err < 0) die_errno(err, "cannot change root directory to '%s'", argv[1]);
  sys_chdir("/");
  char *shell[] = {"/bin/sh", "-i", NULL};
  return run_rest(argc > 2 ? argv + 2 : shell);
}
