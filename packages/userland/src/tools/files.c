/* mkdir, rmdir, ln, touch, chmod, chown, readlink, realpath, basename, dirname, mktemp,
 * truncate, fallocate: one or two system calls each. */
#include "../box.h"

static int make_parents(const char *path, int mode) {
  char *copy = strdup(path);
  int err = 0;
  for (char *p = copy + 1; *p; p++) {
    if (*p != '/' || p[1] == '/' || !p[1]) continue;
    *p = 0;
    long e = sys_mkdir(copy, 0777);
    struct stat st;
    if (e < 0 && !(sys_stat(copy, &st) == 0 && S_ISDIR(st.st_mode))) {
      err = (int)e;
      break;
    }
    *p = '/';
  }
  if (!err) {
    err = (int)sys_mkdir(copy, mode);
    struct stat st;
    if (err == -EEXIST && sys_stat(copy, &st) == 0 && S_ISDIR(st.st_mode)) err = 0;
  }
  free(copy);
  return err;
}

int mkdir_main(int argc, char **argv) {
  bool parents = false, verbose = false;
  const char *mode_text = NULL;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "pm:v", "parents=p,mode:=m,verbose=v")) >= 0) {
    if (opt == 'p') parents = true;
    else if (opt == 'm') mode_text = optarg;
    else if (opt == 'v') verbose = true;
    else return usage_error();
  }
  if (optind >= argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    long err = parents ? make_parents(argv[i], 0777) : sys_mkdir(argv[i], 0777);
    if (!err && mode_text) {
      int mode = parse_mode(mode_text, 0777, true);
      if (mode < 0) die("invalid mode '%s'", mode_text);
      err = sys_chmod(argv[i], mode);
    }
    if (err < 0) warn_errno(err, "cannot create directory '%s'", argv[i]), status = 1;
    else if (verbose) printf("mkdir: created directory '%s'\n", argv[i]);
  }
  return status;
}

int rmdir_main(int argc, char **argv) {
  bool parents = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "p", "parents=p")) >= 0) {
    if (opt != 'p') return usage_error();
    parents = true;
  }
  if (optind >= argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    char *path = strdup(argv[i]);
    for (;;) {
      long err = sys_rmdir(path);
      if (err < 0) {
        warn_errno(err, "failed to remove '%s'", path);
        status = 1;
        break;
      }
      char *slash = strrchr(path, '/');
      if (!parents || !slash || slash == path) break;
      *slash = 0;
    }
    free(path);
  }
  return status;
}

static int link_one(const char *target, const char *path, bool symbolic, bool force) {
  if (force) {
    struct stat a, b;
    bool same = !symbolic && sys_lstat(target, &a) == 0 && sys_lstat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
    if (!same) sys_unlink(path);
  }
  long err = symbolic ? sys_symlink(target, path) : sys_link(target, path);
  if (err < 0) {
    warn_errno(err, "failed to create %s link '%s'", symbolic ? "symbolic" : "hard", path);
    return 1;
  }
  return 0;
}

int ln_main(int argc, char **argv) {
  bool symbolic = false, force = false, no_deref = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "sfnTv", "symbolic=s,force=f,no-dereference=n,no-target-directory=T")) >= 0) {
    if (opt == 's') symbolic = true;
    else if (opt == 'f') force = true;
    else if (opt == 'n' || opt == 'T') no_deref = true;
    else if (opt != 'v') return usage_error();
  }
  int n = argc - optind;
  if (n < 1) return usage_error();
  if (n == 1) return link_one(argv[optind], base_name(argv[optind]), symbolic, force);
  struct stat st;
  const char *last = argv[argc - 1];
  bool dir = (no_deref ? sys_lstat(last, &st) : sys_stat(last, &st)) == 0 && S_ISDIR(st.st_mode);
  if (!dir && n > 2) die("target '%s' is not a directory", last);
  for (int i = optind; i < argc - 1; i++) {
    char *path = dir ? path_join(last, base_name(argv[i])) : strdup(last);
    status |= link_one(argv[i], path, symbolic, force);
    free(path);
  }
  return status;
}

bool parse_date(const char *text, long *seconds);

int touch_main(int argc, char **argv) {
  bool no_create = false, access = false, modify = false, deref = true;
  enum { UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe };
  struct timespec ts[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "camhr:d:t:", "no-create=c,reference:=r,date:=d,no-dereference=h")) >= 0) {
    struct stat st;
    if (opt == 'c') no_create = true;
    else if (opt == 'a') access = true;
    else if (opt == 'm') modify = true;
    else if (opt == 'h') deref = false;
    else if (opt == 'r') {
      long err = sys_stat(optarg, &st);
      if (err < 0) die_errno(err, "%s", optarg);
      ts[0] = st.st_atim;
      ts[1] = st.st_mtim;
    } else if (opt == 'd' || opt == 't') {
      long t;
      if (!parse_date(optarg, &t)) die("invalid date format '%s'", optarg);
      ts[0] = ts[1] = (struct timespec){t, 0};
    } else return usage_error();
  }
  if (optind >= argc) return usage_error();
  if (access && !modify) ts[1].tv_nsec = UTIME_OMIT;
  if (modify && !access) ts[0].tv_nsec = UTIME_OMIT;
  for (int i = optind; i < argc; i++) {
    long err = sys_utimens(argv[i], ts, deref ? 0 : AT_SYMLINK_NOFOLLOW);
    if (err == -ENOENT && !no_create) {
      err = sys_open(argv[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
      if (err >= 0) {
        sys_close((int)err);
        err = ts[0].tv_nsec == UTIME_NOW && ts[1].tv_nsec == UTIME_NOW ? 0 : sys_utimens(argv[i], ts, 0);
      }
    }
    if (err < 0 && !(err == -ENOENT && no_create)) warn_errno(err, "cannot touch '%s'", argv[i]), status = 1;
  }
  return status;
}

/* chmod and chown share the walk. */
typedef struct { bool recursive, links, quiet, verbose; const char *mode; int uid, gid; } Change;

static int change(const char *path, const Change *c) {
  struct stat st;
  int status = 0;
  long err = c->links ? sys_lstat(path, &st) : sys_stat(path, &st);
  if (err < 0) {
    if (!c->quiet) warn_errno(err, "cannot access '%s'", path);
    return 1;
  }
  if (c->mode) {
    int mode = parse_mode(c->mode, (int)st.st_mode, S_ISDIR(st.st_mode));
    if (mode < 0) die("invalid mode: '%s'", c->mode);
    err = sys_chmod(path, mode);
  } else {
    err = sys_chownat(path, c->uid, c->gid, c->links ? AT_SYMLINK_NOFOLLOW : 0);
  }
  if (err < 0) {
    if (!c->quiet) warn_errno(err, c->mode ? "changing permissions of '%s'" : "changing ownership of '%s'", path);
    status = 1;
  }
  struct stat self;
  if (!c->recursive || !S_ISDIR(st.st_mode) || (sys_lstat(path, &self) == 0 && S_ISLNK(self.st_mode))) return status;
  StrList names = {0};
  list_directory(path, &names);
  for (size_t i = 0; i < names.len; i++) {
    char *sub = path_join(path, names.items[i]);
    if (sys_lstat(sub, &self) == 0 && !(S_ISLNK(self.st_mode) && c->mode)) status |= change(sub, c);
    free(sub);
  }
  list_free(&names);
  return status;
}

int chmod_main(int argc, char **argv) {
  Change c = {0};
  int i = 1, status = 0;
  /* A mode such as -x looks like an option. */
  for (; i < argc && argv[i][0] == '-' && argv[i][1] && strchr("Rfvc-", argv[i][1]); i++) {
    if (!strcmp(argv[i], "--")) {
      i++;
      break;
    }
    if (strchr(argv[i], 'R')) c.recursive = true;
    if (strchr(argv[i], 'f')) c.quiet = true;
  }
  if (argc - i < 2) return usage_error();
  c.mode = argv[i++];
  if (parse_mode(c.mode, 0, false) < 0) die("invalid mode: '%s'", c.mode);
  for (; i < argc; i++) status |= change(argv[i], &c);
  return status;
}

static int change_owner(int argc, char **argv, bool group_only) {
  Change c = {.uid = -1, .gid = -1};
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "Rhfv", "recursive=R,no-dereference=h")) >= 0) {
    if (opt == 'R') c.recursive = true;
    else if (opt == 'h') c.links = true;
    else if (opt == 'f') c.quiet = true;
    else if (opt != 'v') return usage_error();
  }
  if (argc - optind < 2) return usage_error();
  char *user = argv[optind], *group = group_only ? user : strchr(user, ':');
  if (!group_only && group) *group++ = 0;
  if (!group_only && *user && (c.uid = user_id(user)) < 0) die("invalid user: '%s'", user);
  if (group && *group && (c.gid = group_id(group)) < 0) die("invalid group: '%s'", group);
  for (int i = optind + 1; i < argc; i++) status |= change(argv[i], &c);
  return status;
}
int chown_main(int argc, char **argv) { return change_owner(argc, argv, false); }
int chgrp_main(int argc, char **argv) { return change_owner(argc, argv, true); }

int readlink_main(int argc, char **argv) {
  bool canonical = false, must_exist = false, no_newline = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "fenm", "canonicalize=f,canonicalize-existing=e,no-newline=n")) >= 0) {
    if (opt == 'f' || opt == 'm') canonical = true;
    else if (opt == 'e') canonical = must_exist = true;
    else if (opt == 'n') no_newline = true;
    else return usage_error();
  }
  if (optind >= argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    char text[PATH_MAX];
    char *path = canonical ? real_path(argv[i], !must_exist) : NULL;
    if (!canonical) {
      long n = sys_readlink(argv[i], text, sizeof text - 1);
      if (n >= 0) text[n] = 0, path = strdup(text);
    }
    if (!path) {
      status = 1;
      continue;
    }
    fputs(path, stdout);
    if (!no_newline) putchar('\n');
    free(path);
  }
  return status;
}

int realpath_main(int argc, char **argv) {
  bool must_exist = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "eqms", "canonicalize-existing=e")) >= 0) {
    if (opt == 'e') must_exist = true;
    else if (opt == '?') return usage_error();
  }
  if (optind >= argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    char *path = real_path(argv[i], !must_exist);
    if (path) puts(path);
    else warn_errno(ENOENT, "%s", argv[i]), status = 1;
    free(path);
  }
  return status;
}

int basename_main(int argc, char **argv) {
  bool many = false;
  const char *suffix = NULL;
  int opt;
  while ((opt = getopt(argc, argv, "+as:", "multiple=a,suffix:=s")) >= 0) {
    if (opt == 'a') many = true;
    else if (opt == 's') many = true, suffix = optarg;
    else return usage_error();
  }
  if (optind >= argc) return usage_error();
  if (!many && argc - optind > 1) suffix = argv[optind + 1];
  for (int i = optind; i < (many ? argc : optind + 1); i++) {
    char *s = argv[i];
    size_t n = strlen(s);
    while (n > 1 && s[n - 1] == '/') s[--n] = 0;
    const char *slash = strrchr(s, '/');
    const char *base = slash && slash[1] ? slash + 1 : s;
    n = strlen(base);
    size_t k = suffix ? strlen(suffix) : 0;
    if (k && n > k && !strcmp(base + n - k, suffix)) n -= k;
    printf("%.*s\n", (int)n, base);
  }
  return 0;
}

int dirname_main(int argc, char **argv) {
  if (argc < 2) return usage_error();
  for (int i = 1; i < argc; i++) {
    char *s = argv[i];
    size_t n = strlen(s);
    while (n > 1 && s[n - 1] == '/') n--;
    while (n && s[n - 1] != '/') n--;
    while (n > 1 && s[n - 1] == '/') n--;
    if (n) printf("%.*s\n", (int)n, s);
    else puts(".");
  }
  return 0;
}

int mktemp_main(int argc, char **argv) {
  bool dir = false, quiet = false, dry = false, in_tmp = false;
  const char *where = NULL;
  int opt;
  while ((opt = getopt(argc, argv, "dqutp:", "directory=d,quiet=q,dry-run=u,tmpdir=t")) >= 0) {
    if (opt == 'd') dir = true;
    else if (opt == 'q') quiet = true;
    else if (opt == 'u') dry = true;
    else if (opt == 't') in_tmp = true, where = optarg;
    else if (opt == 'p') in_tmp = true, where = optarg;
    else return usage_error();
  }
  const char *name = optind < argc ? argv[optind] : "tmp.XXXXXXXXXX";
  if (optind >= argc) in_tmp = true;
  if (in_tmp && (!where || !*where)) where = getenv("TMPDIR");
  char *path = in_tmp ? path_join(where && *where ? where : "/tmp", name) : strdup(name);
  char *end = path + strlen(path), *x = strrchr(path, 'X');
  if (!x) die("too few X's in template '%s'", name);
  end = x + 1;
  while (x > path && x[-1] == 'X') x--;
  if (end - x < 3) die("too few X's in template '%s'", name);
  for (int tries = 0; tries < 100; tries++) {
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    unsigned char r[64] = {0};
    sys_getrandom(r, sizeof r);
    for (char *p = x; p < end; p++) *p = set[r[(p - x) % 64] % 62];
    long err = dry ? 0 : dir ? sys_mkdir(path, 0700) : sys_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (err >= 0) {
      puts(path);
      return 0;
    }
    if (err != -EEXIST) {
      if (!quiet) warn_errno(err, "failed to create '%s'", path);
      return 1;
    }
  }
  return 1;
}

int truncate_main(int argc, char **argv) {
  const char *size = NULL;
  bool no_create = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "s:c", "size:=s,no-create=c")) >= 0) {
    if (opt == 's') size = optarg;
    else if (opt == 'c') no_create = true;
    else return usage_error();
  }
  if (!size || optind >= argc) return usage_error();
  char sign = *size == '+' || *size == '-' ? *size++ : 0;
  long n = parse_size(size);
  if (n < 0) die("invalid number: '%s'", size);
  for (int i = optind; i < argc; i++) {
    long fd = sys_open(argv[i], O_WRONLY | (no_create ? 0 : O_CREAT), 0666);
    if (fd == -ENOENT && no_create) continue;
    struct stat st = {0};
    if (fd >= 0) sys_fstat((int)fd, &st);
    long want = sign == '+' ? st.st_size + n : sign == '-' ? (st.st_size > n ? st.st_size - n : 0) : n;
    long err = fd < 0 ? fd : sys_ftruncate((int)fd, want);
    if (fd >= 0) sys_close((int)fd);
    if (err < 0) warn_errno(err, "cannot truncate '%s'", argv[i]), status = 1;
  }
  return status;
}

int fallocate_main(int argc, char **argv) {
  long length = -1, offset = 0;
  int opt;
  while ((opt = getopt(argc, argv, "l:o:", "length:=l,offset:=o")) >= 0) {
    if (opt == 'l') length = parse_size(optarg);
    else if (opt == 'o') offset = parse_size(optarg);
    else return usage_error();
  }
  if (length < 0 || offset < 0 || optind >= argc) return usage_error();
  long fd = sys_open(argv[optind], O_WRONLY | O_CREAT, 0666);
  long err = fd < 0 ? fd : sys_fallocate((int)fd, 0, offset, length);
  if (err < 0) die_errno(err, "%s", argv[optind]);
  return 0;
}
