/* test and [: conditions on files, strings and numbers; POSIX rules by operand count, then the
 * usual grammar of ! -a -o ( ). */
#include "../box.h"

static char **args;
static int count, at;
static bool failed;

static bool syntax(const char *what, const char *arg) {
  if (!failed) fprintf(stderr, "test: %s: %s\n", arg, what);
  failed = true;
  return false;
}

static long number(const char *s) {
  char *end;
  long v = strtol(s, &end, 10);
  while (isspace((unsigned char)*end)) end++;
  if (*end || end == s) syntax("integer expected", s);
  return v;
}

static bool is_unary(const char *s) { return s[0] == '-' && s[1] && !s[2] && strchr("bcdefghknprstuwxzLSOGtv", s[1]); }
static bool is_binary(const char *s) {
  static const char *const ops[] = {"=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"};
  for (size_t i = 0; i < countof(ops); i++)
    if (!strcmp(s, ops[i])) return true;
  return false;
}

static bool unary(char op, const char *arg) {
  struct stat st;
  switch (op) {
    case 'n': return *arg;
    case 'z': return !*arg;
    case 't': return isatty((int)number(arg));
    case 'r': return sys_access(arg, R_OK) == 0;
    case 'w': return sys_access(arg, W_OK) == 0;
    case 'x': return sys_access(arg, X_OK) == 0;
    case 'h': case 'L': return sys_lstat(arg, &st) == 0 && S_ISLNK(st.st_mode);
  }
  if (sys_stat(arg, &st) < 0) return false;
  switch (op) {
    case 'b': return S_ISBLK(st.st_mode);
    case 'c': return S_ISCHR(st.st_mode);
    case 'd': return S_ISDIR(st.st_mode);
    case 'f': return S_ISREG(st.st_mode);
    case 'p': return S_ISFIFO(st.st_mode);
    case 'S': return S_ISSOCK(st.st_mode);
    case 's': return st.st_size > 0;
    case 'u': return st.st_mode & 04000;
    case 'g': return st.st_mode & 02000;
    case 'k': return st.st_mode & 01000;
    case 'O': return st.st_uid == (uint32_t)sys_geteuid();
    case 'G': return st.st_gid == (uint32_t)sys_getegid();
    default: return true;
  }
}

static bool newer(const char *a, const char *b) {
  struct stat x, y;
  if (sys_stat(a, &x) < 0) return false;
  if (sys_stat(b, &y) < 0) return true;
  return x.st_mtim.tv_sec != y.st_mtim.tv_sec ? x.st_mtim.tv_sec > y.st_mtim.tv_sec : x.st_mtim.tv_nsec > y.st_mtim.tv_nsec;
}

static bool binary(const char *a, const char *op, const char *b) {
  if (!strcmp(op, "=") || !strcmp(op, "==")) return !strcmp(a, b);
  if (!strcmp(op, "!=")) return strcmp(a, b);
  if (!strcmp(op, "<")) return strcmp(a, b) < 0;
  if (!strcmp(op, ">")) return strcmp(a, b) > 0;
  if (!strcmp(op, "-nt")) return newer(a, b);
  if (!strcmp(op, "-ot")) return newer(b, a);
  if (!strcmp(op, "-ef")) {
    struct stat x, y;
    return sys_stat(a, &x) == 0 && sys_stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
  }
  long x = number(a), y = number(b);
  switch (op[1] << 8 | op[2]) {
    case 'e' << 8 | 'q': return x == y;
    case 'n' << 8 | 'e': return x != y;
    case 'l' << 8 | 't': return x < y;
    case 'l' << 8 | 'e': return x <= y;
    case 'g' << 8 | 't': return x > y;
    default: return x >= y;
  }
}

static bool or_expression(void);

static bool primary(void) {
  if (at >= count) return syntax("argument expected", "expression");
  int left = count - at;
  if (left >= 3 && is_binary(args[at + 1])) {
    at += 3;
    return binary(args[at - 3], args[at - 2], args[at - 1]);
  }
  if (!strcmp(args[at], "!") && left > 1) {
    at++;
    return !primary();
  }
  if (!strcmp(args[at], "(") && left > 1) {
    at++;
    bool v = or_expression();
    if (at >= count || strcmp(args[at], ")")) return syntax("missing )", "expression");
    at++;
    return v;
  }
  if (left >= 2 && is_unary(args[at])) {
    at += 2;
    return unary(args[at - 2][1], args[at - 1]);
  }
  return *args[at++];
}
static bool and_expression(void) {
  bool v = primary();
  while (at < count && !strcmp(args[at], "-a")) {
    at++;
    bool right = primary();
    v = v && right;
  }
  return v;
}
static bool or_expression(void) {
  bool v = and_expression();
  while (at < count && !strcmp(args[at], "-o")) {
    at++;
    bool right = and_expression();
    v = v || right;
  }
  return v;
}

int test_main(int argc, char **argv) {
  if (!strcmp(base_name(argv[0]), "[") && strcmp(argv[--argc], "]")) {
    fprintf(stderr, "[: missing ]\n");
    return 2;
  }
  args = argv + 1;
  count = argc - 1;
  at = 0;
  failed = false;
  bool negate = false;
  if (count == 0) return 1;
  if (count == 4 && !strcmp(args[0], "!")) negate = true, at = 1;
  else if (count == 3 && !strcmp(args[0], "!") && !is_binary(args[1])) negate = true, at = 1;
  else if (count == 2 && !strcmp(args[0], "!")) return *args[1] ? 1 : 0;
  else if (count == 1) return *args[0] ? 0 : 1;
  bool v = or_expression();
  if (at < count && !failed) syntax("unexpected operator", args[at]);
  return failed ? 2 : v != negate ? 0 : 1;
}
