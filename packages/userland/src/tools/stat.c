/* stat, expr, dd, flock, watch, comm. */
#include "../box.h"

/* ---- stat ---- */

static void time_text(char *out, size_t size, const struct timespec *t) {
  struct tm tm;
  gmtime_r(t->tv_sec, &tm);
  strftime(out, size, "%Y-%m-%d %H:%M:%S.%N %z", &tm, t->tv_sec, t->tv_nsec);
}

static const char *type_name(const struct stat *st) {
  switch (st->st_mode & S_IFMT) {
    case S_IFREG: return st->st_size ? "regular file" : "regular empty file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symbolic link";
    case S_IFCHR: return "character special file";
    case S_IFBLK: return "block special file";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    default: return "weird file";
  }
}
static unsigned dev_major(uint64_t d) { return (unsigned)(d >> 8 & 0xfff); }
static unsigned dev_minor(uint64_t d) { return (unsigned)((d & 0xff) | (d >> 12 & 0xfff00)); }

static void stat_format(const char *f, const char *path, const struct stat *st, bool escapes) {
  for (; *f; f++) {
    if (*f == '\\' && escapes && f[1]) {
      f++;
      putchar(*f == 'n' ? '\n' : *f == 't' ? '\t' : *f);
      continue;
    }
    if (*f != '%' || !f[1]) {
      putchar(*f);
      continue;
    }
    f++;
    char text[PATH_MAX + 64] = "", mode[11], flags[16];
    size_t n = 0;
    flags[n++] = '%';
    while (*f && strchr("-0123456789", *f) && n < 12) flags[n++] = *f++;
    strcpy(flags + n, "s");
    struct timespec t;
    switch (*f) {
      case 'a': snprintf(text, sizeof text, "%o", st->st_mode & 07777); break;
      case 'A': format_mode((int)st->st_mode, mode); strcpy(text, mode); break;
      case 'b': snprintf(text, sizeof text, "%ld", st->st_blocks); break;
      case 'B': strcpy(text, "512"); break;
      case 'd': snprintf(text, sizeof text, "%lu", st->st_dev); break;
      case 'f': snprintf(text, sizeof text, "%x", st->st_mode); break;
      case 'F': strcpy(text, type_name(st)); break;
      case 'g': snprintf(text, sizeof text, "%u", st->st_gid); break;
      case 'G': strlcpy(text, group_name(st->st_gid), sizeof text); break;
      case 'h': snprintf(text, sizeof text, "%u", st->st_nlink); break;
      case 'i': snprintf(text, sizeof text, "%lu", st->st_ino); break;
      case 'n': strlcpy(text, path, sizeof text); break;
      case 'N': {
        char link[PATH_MAX];
        long k = S_ISLNK(st->st_mode) ? sys_readlink(path, link, sizeof link - 1) : -1;
        if (k >= 0) link[k] = 0;
        snprintf(text, sizeof text, k >= 0 ? "'%s' -> '%s'" : "'%s'", path, link);
        break;
      }
      case 'o': snprintf(text, sizeof text, "%d", st->st_blksize); break;
      case 's': snprintf(text, sizeof text, "%ld", st->st_size); break;
      case 't': snprintf(text, sizeof text, "%x", dev_major(st->st_rdev)); break;
      case 'T': snprintf(text, sizeof text, "%x", dev_minor(st->st_rdev)); break;
      case 'u': snprintf(text, sizeof text, "%u", st->st_uid); break;
      case 'U': strlcpy(text, user_name(st->st_uid), sizeof text); break;
      case 'x': case 'y': case 'z':
        t = *f == 'x' ? st->st_atim : *f == 'y' ? st->st_mtim : st->st_ctim;
        time_text(text, sizeof text, &t);
        break;
      case 'X': case 'Y': case 'Z':
        t = *f == 'X' ? st->st_atim : *f == 'Y' ? st->st_mtim : st->st_ctim;
        snprintf(text, sizeof text, "%ld", t.tv_sec);
        break;
      case 'W': strcpy(text, "0"); break;
      case 'w': strcpy(text, "-"); break;
      case '%': strcpy(text, "%"); break;
      default: snprintf(text, sizeof text, "%%%c", *f); break;
    }
    Buf b = {0};
    buf_printf(&b, flags, text);
    fputs(b.data, stdout);
    buf_free(&b);
  }
}

static int stat_fs(const char *path) {
  struct statfs s;
  long err = sys_statfs(path, &s);
  if (err < 0) {
    warn_errno(err, "cannot read file system information for '%s'", path);
    return 1;
  }
  printf("  File: \"%s\"\n    Type: %lx  Namelen: %ld  Block size: %ld  Fundamental block size: %ld\n", path, s.f_type, s.f_namelen, s.f_bsize, s.f_frsize);
  printf("Blocks: Total: %lu  Free: %lu  Available: %lu\nInodes: Total: %lu  Free: %lu\n", s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree);
  return 0;
}

int stat_main(int argc, char **argv) {
  bool follow = false, fs = false, escapes = false;
  const char *format = NULL;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "Lfc:", "dereference=L,file-system=f,format:=c,printf:=p")) >= 0) {
    if (opt == 'L') follow = true;
    else if (opt == 'f') fs = true;
    else if (opt == 'c' || opt == 'p') format = optarg, escapes = opt == 'p';
    else return usage_error();
  }
  if (optind >= argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    struct stat st;
    if (fs) {
      status |= stat_fs(argv[i]);
      continue;
    }
    long err = follow ? sys_stat(argv[i], &st) : sys_lstat(argv[i], &st);
    if (err < 0) {
      warn_errno(err, "cannot statx '%s'", argv[i]);
      status = 1;
      continue;
    }
    if (format) {
      stat_format(format, argv[i], &st, escapes);
      if (!escapes) putchar('\n');
      continue;
    }
    char mode[11], times[3][48], link[PATH_MAX] = "";
    long k = S_ISLNK(st.st_mode) ? sys_readlink(argv[i], link, sizeof link - 1) : 0;
    if (k > 0) link[k] = 0;
    format_mode((int)st.st_mode, mode);
    time_text(times[0], sizeof times[0], &st.st_atim);
    time_text(times[1], sizeof times[1], &st.st_mtim);
    time_text(times[2], sizeof times[2], &st.st_ctim);
    printf("  File: %s%s%s\n  Size: %-10ld\tBlocks: %-10ld IO Block: %-6d %s\n", argv[i], *link ? " -> " : "", link, st.st_size, st.st_blocks, st.st_blksize, type_name(&st));
    printf("Device: %u,%u\tInode: %-11lu Links: %u", dev_major(st.st_dev), dev_minor(st.st_dev), st.st_ino, st.st_nlink);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) printf("     Device type: %u,%u", dev_major(st.st_rdev), dev_minor(st.st_rdev));
    printf("\nAccess: (%04o/%s)  Uid: (%5u/%8s)", st.st_mode & 07777, mode, st.st_uid, user_name(st.st_uid));
    printf("   Gid: (%5u/%8s)\nAccess: %s\nModify: %s\nChange: %s\n Birth: -\n", st.st_gid, group_name(st.st_gid), times[0], times[1], times[2]);
  }
  return status;
}

/* ---- expr ---- */

typedef struct { char *text; } Value;
static char **ex;

static bool is_number(const char *s, long *v) {
  char *end;
  *v = strtol(s, &end, 10);
  return *s && !*end && (isdigit((unsigned char)*s) || *s == '-');
}
static char *number_text(long v) { return asprintf("%ld", v); }
static long need_number(const char *s) {
  long v;
  if (!is_number(s, &v)) {
    warn("non-integer argument");
    exit(2);
  }
  return v;
}
static char *expr_or(void);

static char *expr_match(const char *s, const char *pattern) {
  const char *error = "";
  char *anchored = asprintf("^%s", pattern);
  Regex *re = regex_compile(*pattern == '^' ? pattern : anchored, 0, &error);
  if (!re) {
    warn("%s", error);
    exit(2);
  }
  RegMatch m[REG_GROUPS];
  bool hit = regex_search(re, s, strlen(s), 0, m);
  if (regex_groups(re)) return hit && m[1].start >= 0 ? strndup(s + m[1].start, (size_t)(m[1].end - m[1].start)) : strdup("");
  return number_text(hit ? m[0].end : 0);
}

static char *expr_primary(void) {
  char *a = *ex;
  if (!a) {
    warn("syntax error: missing argument");
    exit(2);
  }
  ex++;
  if (!strcmp(a, "(")) {
    char *v = expr_or();
    if (!*ex || strcmp(*ex, ")")) {
      warn("syntax error: expecting ')'");
      exit(2);
    }
    ex++;
    return v;
  }
  if (!strcmp(a, "+") && *ex) return *ex++;
  if (!strcmp(a, "length") && *ex) return number_text((long)strlen(expr_primary()));
  if (!strcmp(a, "match") && *ex) {
    char *s = expr_primary();
    return expr_match(s, expr_primary());
  }
  if (!strcmp(a, "index") && *ex) {
    char *s = expr_primary(), *set = expr_primary();
    size_t n = strcspn(s, set);
    return number_text(s[n] ? (long)n + 1 : 0);
  }
  if (!strcmp(a, "substr") && *ex) {
    char *s = expr_primary();
    long from = need_number(expr_primary()), n = need_number(expr_primary()), len = (long)strlen(s);
    if (from < 1 || from > len || n <= 0) return "";
    return strndup(s + from - 1, (size_t)n);
  }
  return a;
}
static char *expr_colon(void) {
  char *v = expr_primary();
  while (*ex && !strcmp(*ex, ":")) {
    ex++;
    v = expr_match(v, expr_primary());
  }
  return v;
}
static char *expr_product(void) {
  char *v = expr_colon();
  while (*ex && (!strcmp(*ex, "*") || !strcmp(*ex, "/") || !strcmp(*ex, "%"))) {
    char op = **ex++;
    long a = need_number(v), b = need_number(expr_colon());
    if (op != '*' && !b) {
      warn("division by zero");
      exit(2);
    }
    v = number_text(op == '*' ? a * b : op == '/' ? a / b : a % b);
  }
  return v;
}
static char *expr_sum(void) {
  char *v = expr_product();
  while (*ex && (!strcmp(*ex, "+") || !strcmp(*ex, "-"))) {
    char op = **ex++;
    long a = need_number(v), b = need_number(expr_product());
    v = number_text(op == '+' ? a + b : a - b);
  }
  return v;
}
static char *expr_compare(void) {
  static const char *const ops[] = {"<", "<=", "=", "==", "!=", ">=", ">"};
  char *v = expr_sum();
  for (;;) {
    size_t i = 0;
    while (i < countof(ops) && (!*ex || strcmp(*ex, ops[i]))) i++;
    if (i == countof(ops)) return v;
    ex++;
    char *w = expr_sum();
    long a, b;
    int order = is_number(v, &a) && is_number(w, &b) ? (a > b) - (a < b) : strcmp(v, w);
    bool yes = i == 0 ? order < 0 : i == 1 ? order <= 0 : i <= 3 ? order == 0 : i == 4 ? order != 0 : i == 5 ? order >= 0 : order > 0;
    v = number_text(yes);
  }
}
static bool expr_true(const char *v) {
  long n;
  return *v && !(is_number(v, &n) && !n);
}
static char *expr_and(void) {
  char *v = expr_compare();
  while (*ex && !strcmp(*ex, "&")) {
    ex++;
    char *w = expr_compare();
    v = expr_true(v) && expr_true(w) ? v : "0";
  }
  return v;
}
static char *expr_or(void) {
  char *v = expr_and();
  while (*ex && !strcmp(*ex, "|")) {
    ex++;
    char *w = expr_and();
    if (!expr_true(v)) v = expr_true(w) ? w : "0";
  }
  return v;
}

int expr_main(int argc, char **argv) {
  ex = argv + 1;
  if (argc < 2) return usage_error();
  char *v = expr_or();
  if (*ex) {
    warn("syntax error: unexpected argument '%s'", *ex);
    return 2;
  }
  puts(v);
  return !expr_true(v);
}

/* ---- dd ---- */

int dd_main(int argc, char **argv) {
  const char *in = NULL, *out = NULL;
  long bs = 512, ibs = 0, obs = 0, count = -1, skip = 0, seek = 0;
  bool no_trunc = false, sync_block = false, fsync_end = false, quiet = false, append = false;
  for (int i = 1; i < argc; i++) {
    char *v = strchr(argv[i], '=');
    if (!v) return usage_error();
    *v++ = 0;
    const char *name = argv[i];
    if (!strcmp(name, "if")) in = v;
    else if (!strcmp(name, "of")) out = v;
    else if (!strcmp(name, "bs")) bs = parse_size(v);
    else if (!strcmp(name, "ibs")) ibs = parse_size(v);
    else if (!strcmp(name, "obs")) obs = parse_size(v);
    else if (!strcmp(name, "count")) count = parse_size(v);
    else if (!strcmp(name, "skip") || !strcmp(name, "iseek")) skip = parse_size(v);
    else if (!strcmp(name, "seek") || !strcmp(name, "oseek")) seek = parse_size(v);
    else if (!strcmp(name, "conv")) no_trunc = strstr(v, "notrunc"), sync_block = starts_with(v, "sync") || strstr(v, ",sync"), fsync_end = strstr(v, "fsync") || strstr(v, "fdatasync");
    else if (!strcmp(name, "status")) quiet = !strcmp(v, "none");
    else if (!strcmp(name, "oflag")) append = strstr(v, "append");
    else if (strcmp(name, "iflag")) die("unrecognized operand '%s'", name);
  }
  if (ibs) bs = ibs;
  (void)obs; /* blocks are written as they are read */
  if (bs <= 0 || skip < 0 || seek < 0) die("invalid number");
  long fd = in ? sys_open(in, O_RDONLY, 0) : 0, to = out ? sys_open(out, O_WRONLY | O_CREAT | (append ? O_APPEND : 0) | (no_trunc || seek || append ? 0 : O_TRUNC), 0666) : 1;
  if (fd < 0) die_errno(fd, "failed to open '%s'", in);
  if (to < 0) die_errno(to, "failed to open '%s'", out);
  char *block = malloc((size_t)bs);
  if (skip && sys_lseek((int)fd, skip * bs, SEEK_CUR) < 0)
    for (long i = 0; i < skip; i++) sys_read((int)fd, block, (size_t)bs);
  if (seek) {
    if (!no_trunc && out) sys_ftruncate((int)to, seek * bs);
    sys_lseek((int)to, seek * bs, SEEK_SET);
  }
  struct timespec start, end;
  sys_clock_gettime(CLOCK_MONOTONIC, &start);
  long full = 0, partial = 0, total = 0, status = 0;
  while (count < 0 || full + partial < count) {
    long n = sys_read((int)fd, block, (size_t)bs);
    if (n == -EINTR) continue;
    if (n < 0) warn_errno(n, "error reading '%s'", in ? in : "standard input"), status = 1;
    if (n <= 0) break;
    *(n == bs ? &full : &partial) += 1;
    if (sync_block && n < bs) memset(block + n, 0, (size_t)(bs - n)), n = bs;
    int err = write_all((int)to, block, (size_t)n);
    if (err < 0) {
      warn_errno(err, "error writing '%s'", out ? out : "standard output");
      status = 1;
      break;
    }
    total += n;
  }
  if (fsync_end) sys_fsync((int)to);
  sys_clock_gettime(CLOCK_MONOTONIC, &end);
  if (!quiet) {
    double t = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    char rate[16];
    format_human(rate, sizeof rate, (uint64_t)((double)total / (t > 1e-9 ? t : 1e-9)));
    fprintf(stderr, "%ld+%ld records in\n%ld+%ld records out\n%ld bytes copied, %.4f s, %sB/s\n", full, partial, full, partial, total, t, rate);
  }
  return (int)status;
}

/* ---- flock, watch, comm ---- */

int flock_main(int argc, char **argv) {
  int op = LOCK_EX, opt;
  bool command = false;
  while ((opt = getopt(argc, argv, "+sxnuc", "shared=s,exclusive=x,nonblock=n,unlock=u,command=c")) >= 0) {
    if (opt == 's') op = (op & LOCK_NB) | LOCK_SH;
    else if (opt == 'x') op = (op & LOCK_NB) | LOCK_EX;
    else if (opt == 'n') op |= LOCK_NB;
    else if (opt == 'u') op = LOCK_UN;
    else if (opt == 'c') command = true;
    else return usage_error();
  }
  if (optind >= argc) return usage_error();
  char *end;
  long fd = strtol(argv[optind], &end, 10);
  bool number = !*end && optind + 1 == argc;
  if (!number) fd = sys_open(argv[optind], O_RDONLY | O_CREAT | O_NOCTTY, 0666);
  if (fd < 0) die_errno(fd, "%s", argv[optind]);
  long err;
  while ((err = sys_flock((int)fd, op)) == -EINTR) {}
  if (err == -EAGAIN) return 1;
  if (err < 0) die_errno(err, "%s", argv[optind]);
  if (number) return 0;
  char **rest = argv + optind + 1;
  if (*rest && !strcmp(*rest, "-c")) command = true, rest++;
  char *shell[] = {"/bin/sh", "-c", *rest, NULL};
  return spawn_wait(command ? shell : rest);
}

int watch_main(int argc, char **argv) {
  double interval = 2;
  bool title = true;
  long turns = -1;
  int opt;
  while ((opt = getopt(argc, argv, "+n:tc:", "interval:=n,no-title=t,count:=c")) >= 0) {
    if (opt == 'n') interval = parse_duration(optarg);
    else if (opt == 't') title = false;
    else if (opt == 'c') turns = atoi(optarg);
    else return usage_error();
  }
  if (optind >= argc || interval < 0) return usage_error();
  Buf line = {0};
  for (int i = optind; i < argc; i++) buf_printf(&line, "%s%s", i > optind ? " " : "", argv[i]);
  for (; turns; turns--) {
    printf("\033[H\033[2J");
    if (title) printf("Every %.1fs: %s\n\n", interval, line.data);
    char *shell[] = {"sh", "-c", line.data, NULL};
    spawn_wait(shell);
    if (turns != 1) msleep((long)(interval * 1000));
  }
  return 0;
}

int comm_main(int argc, char **argv) {
  bool show[4] = {false, true, true, true};
  int opt;
  while ((opt = getopt(argc, argv, "123", NULL)) >= 0) {
    if (opt == '?') return usage_error();
    show[opt - '0'] = false;
  }
  if (argc - optind != 2) return usage_error();
  FILE *f[2];
  char *line[2] = {NULL, NULL};
  size_t cap[2] = {0, 0};
  ssize_t n[2];
  for (int i = 0; i < 2; i++) {
    if (!(f[i] = open_operand(argv[optind + i]))) return 1;
    n[i] = getline(&line[i], &cap[i], f[i]);
  }
  while (n[0] >= 0 || n[1] >= 0) {
    int order = n[0] < 0 ? 1 : n[1] < 0 ? -1 : strcmp(line[0], line[1]);
    int column = order < 0 ? 1 : order > 0 ? 2 : 3;
    if (show[column]) {
      if (column > 1 && show[1]) putchar('\t');
      if (column > 2 && show[2]) putchar('\t');
      const char *text = line[column == 2];
      fputs(text, stdout);
      if (text[strlen(text) - 1] != '\n') putchar('\n');
    }
    if (order <= 0) n[0] = getline(&line[0], &cap[0], f[0]);
    if (order >= 0) n[1] = getline(&line[1], &cap[1], f[1]);
  }
  return 0;
}
