/* find: the expression is parsed to a tree and run on each path; xargs; du. */
#include "../box.h"

typedef enum { F_AND, F_OR, F_NOT, F_TRUE, F_NAME, F_INAME, F_PATH, F_TYPE, F_SIZE, F_EMPTY, F_NEWER, F_PERM, F_MTIME, F_USER, F_LINKS, F_PRINT, F_PRINT0, F_EXEC, F_EXEC_MANY, F_DELETE, F_PRUNE, F_QUIT } Kind;
typedef struct Expr {
  Kind kind;
  struct Expr *left, *right;
  const char *text;
  long number;
  int compare; /* -1: less, 0: equal, 1: more */
  char unit;
  char **argv;
  int argc;
  StrList batch;
  struct timespec time;
} Expr;

static char **arg;
static bool has_action, depth_first, one_fs, follow_links;
static long min_depth, max_depth, now_seconds;
static int find_status;
static bool pruned, quit;
static Expr *batches[8];
static int batch_count;

static Expr *make(Kind kind, Expr *left, Expr *right) {
  Expr *e = calloc(1, sizeof *e);
  e->kind = kind;
  e->left = left;
  e->right = right;
  return e;
}
static Expr *parse_or(void);

static const char *operand(void) {
  if (!arg[1]) die("missing argument to '%s'", *arg);
  return *++arg;
}
static void number(Expr *e, const char *s) {
  e->compare = *s == '+' ? 1 : *s == '-' ? -1 : 0;
  if (*s == '+' || *s == '-') s++;
  char *end;
  e->number = strtol(s, &end, 10);
  e->unit = *end;
  if (end == s) die("invalid number '%s'", s);
}

static Expr *parse_primary(void) {
  const char *a = *arg;
  if (!a) die("expression expected");
  Expr *e;
  if (!strcmp(a, "!") || !strcmp(a, "-not")) {
    arg++;
    return make(F_NOT, parse_primary(), NULL);
  }
  if (!strcmp(a, "(")) {
    arg++;
    e = parse_or();
    if (!*arg || strcmp(*arg, ")")) die("missing )");
    arg++;
    return e;
  }
  static const struct { const char *name; Kind kind; } plain[] = {
      {"-print", F_PRINT}, {"-print0", F_PRINT0}, {"-delete", F_DELETE}, {"-prune", F_PRUNE}, {"-empty", F_EMPTY}, {"-true", F_TRUE}, {"-quit", F_QUIT},
  };
  for (size_t i = 0; i < countof(plain); i++)
    if (!strcmp(a, plain[i].name)) {
      arg++;
      if (plain[i].kind == F_DELETE) depth_first = true;
      if (plain[i].kind == F_PRINT || plain[i].kind == F_PRINT0 || plain[i].kind == F_DELETE || plain[i].kind == F_QUIT) has_action = plain[i].kind != F_QUIT || has_action;
      return make(plain[i].kind, NULL, NULL);
    }
  static const struct { const char *name; Kind kind; } texts[] = {{"-name", F_NAME}, {"-iname", F_INAME}, {"-path", F_PATH}, {"-wholename", F_PATH}, {"-type", F_TYPE}, {"-newer", F_NEWER}, {"-perm", F_PERM}, {"-user", F_USER}};
  for (size_t i = 0; i < countof(texts); i++)
    if (!strcmp(a, texts[i].name)) {
      e = make(texts[i].kind, NULL, NULL);
      e->text = operand();
      arg++;
      if (e->kind == F_NEWER) {
        struct stat st;
        if (sys_stat(e->text, &st) < 0) die_errno(ENOENT, "%s", e->text);
        e->time = st.st_mtim;
      }
      if (e->kind == F_USER && (e->number = user_id(e->text)) < 0) die("'%s' is not the name of a known user", e->text);
      if (e->kind == F_PERM) {
        e->compare = *e->text == '-' ? 1 : *e->text == '/' ? -1 : 0;
        e->number = parse_mode(e->text + (e->compare != 0), 0, false);
        if (e->number < 0) die("invalid mode '%s'", e->text);
      }
      return e;
    }
  static const struct { const char *name; Kind kind; } numbers[] = {{"-size", F_SIZE}, {"-mtime", F_MTIME}, {"-mmin", F_MTIME}, {"-links", F_LINKS}};
  for (size_t i = 0; i < countof(numbers); i++)
    if (!strcmp(a, numbers[i].name)) {
      e = make(numbers[i].kind, NULL, NULL);
      number(e, operand());
      if (e->kind == F_MTIME) e->unit = a[2] == 'm' ? 'm' : 'd';
      arg++;
      return e;
    }
  if (!strcmp(a, "-maxdepth") || !strcmp(a, "-mindepth")) {
    *(a[2] == 'a' ? &max_depth : &min_depth) = atoi(operand());
    arg++;
    return make(F_TRUE, NULL, NULL);
  }
  if (!strcmp(a, "-depth") || !strcmp(a, "-xdev") || !strcmp(a, "-mount")) {
    *(a[1] == 'd' ? &depth_first : &one_fs) = true;
    arg++;
    return make(F_TRUE, NULL, NULL);
  }
  if (!strcmp(a, "-exec") || !strcmp(a, "-ok")) {
    e = make(F_EXEC, NULL, NULL);
    has_action = true;
    e->argv = ++arg;
    while (*arg && strcmp(*arg, ";") && !(!strcmp(*arg, "+") && e->argc && !strcmp(arg[-1], "{}"))) arg++, e->argc++;
    if (!*arg || !e->argc) die("missing argument to '-exec'");
    if (!strcmp(*arg, "+")) {
      e->kind = F_EXEC_MANY;
      e->argc--;
      if (batch_count < (int)countof(batches)) batches[batch_count++] = e;
    }
    arg++;
    return e;
  }
  die("unknown predicate '%s'", a);
}
static bool ends_and(void) { return !*arg || !strcmp(*arg, ")") || !strcmp(*arg, "-o") || !strcmp(*arg, "-or"); }
static Expr *parse_and(void) {
  Expr *e = parse_primary();
  while (!ends_and()) {
    if (!strcmp(*arg, "-a") || !strcmp(*arg, "-and")) arg++;
    e = make(F_AND, e, parse_primary());
  }
  return e;
}
static Expr *parse_or(void) {
  Expr *e = parse_and();
  while (*arg && (!strcmp(*arg, "-o") || !strcmp(*arg, "-or"))) {
    arg++;
    e = make(F_OR, e, parse_and());
  }
  return e;
}

static bool compares(const Expr *e, long value) { return e->compare < 0 ? value < e->number : e->compare > 0 ? value > e->number : value == e->number; }

static char *replace_braces(const char *s, const char *path) {
  Buf b = {0};
  buf_str(&b, "");
  for (; *s; s++) {
    if (s[0] == '{' && s[1] == '}') buf_str(&b, path), s++;
    else buf_char(&b, *s);
  }
  return buf_take(&b);
}

static void run_batch(Expr *e) {
  if (!e->batch.len) return;
  char **argv = calloc((size_t)e->argc + e->batch.len + 1, sizeof *argv);
  memcpy(argv, e->argv, (size_t)e->argc * sizeof *argv);
  memcpy(argv + e->argc, e->batch.items, e->batch.len * sizeof *argv);
  if (spawn_wait(argv)) find_status = 1;
  free(argv);
  list_free(&e->batch);
}

static bool is_empty(const char *path, const struct stat *st) {
  if (S_ISREG(st->st_mode)) return st->st_size == 0;
  if (!S_ISDIR(st->st_mode)) return false;
  StrList names = {0};
  bool empty = list_directory(path, &names) == 0 && !names.len;
  list_free(&names);
  return empty;
}

static bool eval(Expr *e, const char *path, const struct stat *st) {
  switch (e->kind) {
    case F_AND: return eval(e->left, path, st) && eval(e->right, path, st);
    case F_OR: return eval(e->left, path, st) || eval(e->right, path, st);
    case F_NOT: return !eval(e->left, path, st);
    case F_TRUE: return true;
    case F_NAME: case F_INAME: {
      char *copy = strdup(path);
      size_t n = strlen(copy);
      while (n > 1 && copy[n - 1] == '/') copy[--n] = 0;
      bool hit = fnmatch(e->text, base_name(copy), e->kind == F_INAME ? FNM_CASEFOLD : 0);
      free(copy);
      return hit;
    }
    case F_PATH: return fnmatch(e->text, path, 0);
    case F_TYPE: {
      static const char types[] = "pcdbfls";
      static const uint32_t modes[] = {S_IFIFO, S_IFCHR, S_IFDIR, S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK};
      for (const char *t = e->text; *t; t++) {
        const char *hit = strchr(types, *t);
        if (hit && (st->st_mode & S_IFMT) == modes[hit - types]) return true;
      }
      return false;
    }
    case F_SIZE: {
      long unit = e->unit == 'c' ? 1 : e->unit == 'w' ? 2 : e->unit == 'k' ? 1024 : e->unit == 'M' ? 1 << 20 : e->unit == 'G' ? 1 << 30 : 512;
      return compares(e, (st->st_size + unit - 1) / unit);
    }
    case F_EMPTY: return is_empty(path, st);
    case F_NEWER: return st->st_mtim.tv_sec != e->time.tv_sec ? st->st_mtim.tv_sec > e->time.tv_sec : st->st_mtim.tv_nsec > e->time.tv_nsec;
    case F_PERM: {
      long bits = st->st_mode & 07777;
      return e->compare > 0 ? (bits & e->number) == e->number : e->compare < 0 ? !e->number || bits & e->number : bits == e->number;
    }
    case F_MTIME: {
      long unit = e->unit == 'm' ? 60 : 86400, age = now_seconds - st->st_mtim.tv_sec;
      return compares(e, age < 0 ? -1 : age / unit);
    }
    case F_USER: return st->st_uid == (uint32_t)e->number;
    case F_LINKS: return compares(e, st->st_nlink);
    case F_PRINT: puts(path); return true;
    case F_PRINT0:
      fputs(path, stdout);
      putchar(0);
      return true;
    case F_EXEC: {
      char **argv = calloc((size_t)e->argc + 1, sizeof *argv);
      for (int i = 0; i < e->argc; i++) argv[i] = replace_braces(e->argv[i], path);
      int status = spawn_wait(argv);
      for (int i = 0; i < e->argc; i++) free(argv[i]);
      free(argv);
      return status == 0;
    }
    case F_EXEC_MANY:
      list_add(&e->batch, strdup(path));
      if (e->batch.len >= 500) run_batch(e);
      return true;
    case F_DELETE: {
      if (!strcmp(path, ".")) return true;
      long err = S_ISDIR(st->st_mode) ? sys_rmdir(path) : sys_unlink(path);
      if (err < 0) warn_errno(err, "cannot delete '%s'", path), find_status = 1;
      return err == 0;
    }
    case F_PRUNE: return pruned = true;
    case F_QUIT: return quit = true;
  }
  return false;
}

static void walk(const char *path, Expr *e, long depth, uint64_t dev) {
  struct stat st;
  long err = follow_links ? sys_stat(path, &st) : sys_lstat(path, &st);
  if (err < 0 && follow_links) err = sys_lstat(path, &st);
  if (err < 0) {
    warn_errno(err, "'%s'", path);
    find_status = 1;
    return;
  }
  pruned = false;
  if (!depth_first && depth >= min_depth) eval(e, path, &st);
  if (S_ISDIR(st.st_mode) && !pruned && !quit && depth < max_depth && !(one_fs && depth && st.st_dev != dev)) {
    StrList names = {0};
    err = list_directory(path, &names);
    if (err < 0) warn_errno(err, "'%s'", path), find_status = 1;
    for (size_t i = 0; i < names.len && !quit; i++) {
      char *sub = path_join(path, names.items[i]);
      walk(sub, e, depth + 1, depth ? dev : st.st_dev);
      free(sub);
    }
    list_free(&names);
  }
  if (depth_first && depth >= min_depth && !quit) eval(e, path, &st);
}

int find_main(int argc, char **argv) {
  (void)argc;
  struct timespec now;
  sys_clock_gettime(CLOCK_REALTIME, &now);
  now_seconds = now.tv_sec;
  has_action = depth_first = one_fs = follow_links = quit = false;
  min_depth = find_status = batch_count = 0;
  max_depth = LONG_MAX;
  arg = argv + 1;
  for (; *arg && (!strcmp(*arg, "-L") || !strcmp(*arg, "-P") || !strcmp(*arg, "-H")); arg++) follow_links = (*arg)[1] == 'L';
  char **paths = arg;
  while (*arg && **arg != '-' && strcmp(*arg, "!") && strcmp(*arg, "(")) arg++;
  int count = (int)(arg - paths);
  Expr *e = *arg ? parse_or() : make(F_TRUE, NULL, NULL);
  if (*arg) die("unexpected '%s'", *arg);
  if (!has_action) e = make(F_AND, e, make(F_PRINT, NULL, NULL));
  if (!count) walk(".", e, 0, 0);
  for (int i = 0; i < count && !quit; i++) walk(paths[i], e, 0, 0);
  for (int i = 0; i < batch_count; i++) run_batch(batches[i]);
  return find_status;
}

/* ---- xargs ---- */

static int xargs_status;

static void run_items(char **command, int n, StrList *items, const char *replace, bool trace) {
  char **argv = calloc((size_t)n + items->len + 1, sizeof *argv);
  for (int i = 0; i < n; i++) {
    if (!replace) {
      argv[i] = command[i];
      continue;
    }
    Buf b = {0};
    buf_str(&b, "");
    size_t k = strlen(replace);
    for (const char *p = command[i]; *p;) {
      if (!strncmp(p, replace, k)) buf_str(&b, items->items[0]), p += k;
      else buf_char(&b, *p++);
    }
    argv[i] = buf_take(&b);
  }
  if (!replace && items->len) memcpy(argv + n, items->items, items->len * sizeof *argv);
  if (trace) {
    for (char **a = argv; *a; a++) fprintf(stderr, "%s%s", a == argv ? "" : " ", *a);
    fputs("\n", stderr);
  }
  int status = spawn_wait(argv);
  if (status >= 126) xargs_status = status;
  else if (status && xargs_status < 126) xargs_status = 123;
  free(argv);
  list_free(items);
}

int xargs_main(int argc, char **argv) {
  long max = LONG_MAX, lines = 0;
  const char *replace = NULL;
  bool zero = false, no_empty = false, trace = false;
  int delim = -1, opt;
  while ((opt = getopt(argc, argv, "+n:L:I:0rtd:P:x", "null=0,no-run-if-empty=r,max-args:=n,max-lines:=L,verbose=t,delimiter:=d,max-procs:=P")) >= 0) {
    switch (opt) {
      case 'n': max = atoi(optarg); break;
      case 'L': lines = atoi(optarg); break;
      case 'I': replace = optarg; break;
      case '0': zero = true; break;
      case 'r': no_empty = true; break;
      case 't': trace = true; break;
      case 'd': delim = *optarg == '\\' && optarg[1] == 'n' ? '\n' : *optarg == '\\' && optarg[1] == '0' ? 0 : (unsigned char)*optarg; break;
      case 'P': case 'x': break;
      default: return usage_error();
    }
  }
  if (zero) delim = 0;
  if (max < 1) die("value for -n must be positive");
  static char *echo[] = {"echo", NULL};
  char **command = optind < argc ? argv + optind : echo;
  int n = optind < argc ? argc - optind : 1;
  StrList items = {0};
  Buf item = {0};
  bool have = false, ran = false;
  char quote = 0;
  size_t bytes = 0;
  long line_items = 0, line_count = 0;
  xargs_status = 0;
  for (int c = 0; c != EOF;) {
    c = fgetc(stdin);
    bool ends = c == EOF;
    if (delim >= 0) {
      ends |= c == delim;
    } else if (quote) {
      if (c == quote) {
        quote = 0;
        continue;
      }
    } else if ((c == '"' || c == '\'')) {
      quote = (char)c;
      have = true;
      continue;
    } else if (c == '\\') {
      if ((c = fgetc(stdin)) == EOF) break;
      buf_char(&item, c);
      have = true;
      continue;
    } else {
      ends |= c == '\n' || (!replace && isspace(c));
    }
    if (!ends) {
      if (replace && !have && isspace(c) && delim < 0) continue; /* leading blanks */
      buf_char(&item, c);
      have = true;
      continue;
    }
    if (have || (delim >= 0 && c != EOF)) {
      bytes += item.len + 1;
      list_add(&items, buf_take(&item));
      have = false;
      line_items++;
    }
    if (c == '\n' && line_items) line_count++, line_items = 0;
    if (items.len && (replace || (long)items.len >= max || bytes > 100000 || (lines && line_count >= lines))) {
      run_items(command, n, &items, replace, trace);
      ran = true;
      bytes = 0;
      line_count = 0;
      if (xargs_status >= 124) return xargs_status;
    }
  }
  if (items.len || (!ran && !no_empty && !replace)) run_items(command, n, &items, replace, trace);
  return xargs_status;
}

/* ---- du ---- */

static struct { bool human, summary, all, apparent, bytes, megabytes; long depth; } du;
typedef struct { uint64_t dev, ino; } Seen;
static Seen *seen;
static size_t seen_count;

/* Files with several links count once. */
static bool counted_before(const struct stat *st) {
  if (S_ISDIR(st->st_mode) || st->st_nlink < 2) return false;
  for (size_t i = 0; i < seen_count; i++)
    if (seen[i].ino == st->st_ino && seen[i].dev == st->st_dev) return true;
  seen = realloc(seen, (seen_count + 1) * sizeof *seen);
  seen[seen_count++] = (Seen){st->st_dev, st->st_ino};
  return false;
}

static void du_print(uint64_t bytes, const char *path) {
  char text[24];
  if (du.human) format_human(text, sizeof text, bytes);
  else snprintf(text, sizeof text, "%lu", du.bytes ? bytes : du.megabytes ? (bytes + 1048575) >> 20 : (bytes + 1023) / 1024);
  printf("%s\t%s\n", text, path);
}

static uint64_t du_walk(const char *path, long depth, int *status) {
  struct stat st;
  long err = sys_lstat(path, &st);
  if (err < 0) {
    warn_errno(err, "cannot access '%s'", path);
    *status = 1;
    return 0;
  }
  if (counted_before(&st)) return 0;
  uint64_t total = du.apparent ? (uint64_t)st.st_size : (uint64_t)st.st_blocks * 512;
  bool dir = S_ISDIR(st.st_mode);
  if (dir) {
    StrList names = {0};
    err = list_directory(path, &names);
    if (err < 0) warn_errno(err, "cannot read directory '%s'", path), *status = 1;
    for (size_t i = 0; i < names.len; i++) {
      char *sub = path_join(path, names.items[i]);
      total += du_walk(sub, depth + 1, status);
      free(sub);
    }
    list_free(&names);
  }
  if ((dir || du.all || !depth) && depth <= du.depth) du_print(total, path);
  return total;
}

int du_main(int argc, char **argv) {
  int opt, status = 0;
  bool total = false;
  uint64_t sum = 0;
  memset(&du, 0, sizeof du);
  du.depth = LONG_MAX;
  seen_count = 0;
  while ((opt = getopt(argc, argv, "hsakbmcxd:", "human-readable=h,summarize=s,all=a,bytes=b,total=c,max-depth:=d,apparent-size=A")) >= 0) {
    switch (opt) {
      case 'h': du.human = true; break;
      case 's': du.depth = 0; break;
      case 'a': du.all = true; break;
      case 'b': du.bytes = du.apparent = true; break;
      case 'm': du.megabytes = true; break;
      case 'A': du.apparent = true; break;
      case 'c': total = true; break;
      case 'd': du.depth = atoi(optarg); break;
      case 'k': case 'x': break;
      default: return usage_error();
    }
  }
  if (optind == argc) sum = du_walk(".", 0, &status);
  for (int i = optind; i < argc; i++) sum += du_walk(argv[i], 0, &status);
  if (total) du_print(sum, "total");
  return status;
}
