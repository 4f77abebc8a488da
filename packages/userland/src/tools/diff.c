/*
 * diff: Myers' shortest edit script over lines, after common head and tail are set aside.
 * Output normal or unified; directories recursively.
 */
#include "../box.h"

static struct { bool unified, brief, recursive, new_file, icase, blanks, all_blanks, ignore_blank_lines, same; long context; const char *labels[2]; int label_count; } o;

typedef struct { char *text; char **lines; size_t count; bool no_newline; } Text;

static Text load(const char *path) {
  Text t = {0};
  size_t n = 0;
  if (!strcmp(path, "-")) {
    Buf b = {0};
    char block[4096];
    for (size_t k; (k = fread(block, sizeof block, stdin)) > 0;) buf_add(&b, block, k);
    n = b.len;
    t.text = buf_take(&b);
  } else {
    t.text = read_file(path, &n);
  }
  if (!t.text) return t;
  size_t cap = 0;
  for (char *p = t.text; p < t.text + n;) {
    if (t.count == cap) {
      cap = cap ? cap * 2 : 64;
      t.lines = realloc(t.lines, cap * sizeof *t.lines);
    }
    t.lines[t.count++] = p;
    char *end = memchr(p, '\n', (size_t)(t.text + n - p));
    if (!end) {
      t.no_newline = true;
      break;
    }
    *end = 0;
    p = end + 1;
  }
  return t;
}

static bool same_line(const char *a, const char *b) {
  if (!o.icase && !o.blanks && !o.all_blanks) return !strcmp(a, b);
  for (;;) {
    if (o.all_blanks) {
      while (isspace((unsigned char)*a)) a++;
      while (isspace((unsigned char)*b)) b++;
    } else if (o.blanks && (isspace((unsigned char)*a) || !*a) && (isspace((unsigned char)*b) || !*b)) {
      bool had = *a && *b;
      while (isspace((unsigned char)*a)) a++;
      while (isspace((unsigned char)*b)) b++;
      if (!*a || !*b) return *a == *b;
      if (!had) return false;
    }
    int x = (unsigned char)*a, y = (unsigned char)*b;
    if (o.icase) x = tolower(x), y = tolower(y);
    if (x != y) return false;
    if (!x) return true;
    a++;
    b++;
  }
}

/* Lines a missing final newline makes different from one that has it. */
static bool same(const Text *a, size_t i, const Text *b, size_t j) {
  bool last_a = a->no_newline && i + 1 == a->count, last_b = b->no_newline && j + 1 == b->count;
  return last_a == last_b && same_line(a->lines[i], b->lines[j]);
}

/* Marks changed lines in del[] (of a) and ins[] (of b). */
static void compare(const Text *a, const Text *b, bool *del, bool *ins) {
  size_t head = 0, ae = a->count, be = b->count;
  while (head < ae && head < be && same(a, head, b, head)) head++;
  while (ae > head && be > head && same(a, ae - 1, b, be - 1)) ae--, be--;
  long n = (long)(ae - head), m = (long)(be - head), max = n + m;
  enum { LIMIT = 2000 }; /* keeps the trace below 32 MiB */
  if (max > LIMIT) max = LIMIT;
  long **trace = malloc((size_t)(max + 1) * sizeof *trace), *v = calloc((size_t)(2 * max + 3), sizeof *v), offset = max + 1, d;
  bool reached = false;
  for (d = 0; d <= max && !reached; d++) {
    trace[d] = malloc((size_t)(2 * d + 3) * sizeof **trace);
    memcpy(trace[d], v + offset - d - 1, (size_t)(2 * d + 3) * sizeof *v);
    for (long k = -d; k <= d; k += 2) {
      long x = k == -d || (k != d && v[offset + k - 1] < v[offset + k + 1]) ? v[offset + k + 1] : v[offset + k - 1] + 1, y = x - k;
      while (x < n && y < m && same(a, head + (size_t)x, b, head + (size_t)y)) x++, y++;
      v[offset + k] = x;
      if (x >= n && y >= m) {
        reached = true;
        break;
      }
    }
  }
  long rows = d;
  if (!reached) { /* too different: all of it */
    for (long i = 0; i < n; i++) del[head + (size_t)i] = true;
    for (long i = 0; i < m; i++) ins[head + (size_t)i] = true;
  } else {
    long x = n, y = m;
    for (d--; d > 0; d--) {
      long *row = trace[d] + d + 1, k = x - y; /* row[k] for k in -d-1..d+1 */
      long from = k == -d || (k != d && row[k - 1] < row[k + 1]) ? k + 1 : k - 1, px = row[from], py = px - from;
      if (from == k + 1) ins[head + (size_t)py] = true;
      else del[head + (size_t)px] = true;
      x = px;
      y = py;
    }
  }
  for (long i = 0; i < rows; i++) free(trace[i]);
  free(trace);
  free(v);
}

typedef struct { size_t a, a_count, b, b_count; } Hunk;

static Hunk *hunks_of(const Text *a, const Text *b, size_t *count) {
  bool *del = calloc(a->count + 1, 1), *ins = calloc(b->count + 1, 1);
  compare(a, b, del, ins);
  Hunk *list = NULL;
  *count = 0;
  for (size_t i = 0, j = 0; i < a->count || j < b->count;) {
    if (!del[i] && !ins[j]) {
      i++, j++;
      continue;
    }
    Hunk h = {.a = i, .b = j};
    while (i < a->count && del[i]) i++;
    while (j < b->count && ins[j]) j++;
    h.a_count = i - h.a;
    h.b_count = j - h.b;
    bool blank = o.ignore_blank_lines;
    for (size_t k = h.a; blank && k < i; k++) blank = !*a->lines[k];
    for (size_t k = h.b; blank && k < j; k++) blank = !*b->lines[k];
    if (blank) continue;
    list = realloc(list, (*count + 1) * sizeof *list);
    list[(*count)++] = h;
  }
  free(del);
  free(ins);
  return list;
}

static void show(const char *prefix, const Text *t, size_t i) {
  printf("%s%s\n", prefix, t->lines[i]);
  if (t->no_newline && i + 1 == t->count) puts("\\ No newline at end of file");
}

static void range(size_t start, size_t count) {
  if (count <= 1) printf("%lu", count ? start + 1 : start);
  else printf("%lu,%lu", start + 1, start + count);
}
static void print_normal(const Text *a, const Text *b, const Hunk *h, size_t n) {
  for (; n--; h++) {
    range(h->a, h->a_count);
    putchar(!h->a_count ? 'a' : !h->b_count ? 'd' : 'c');
    range(h->b, h->b_count);
    putchar('\n');
    for (size_t i = 0; i < h->a_count; i++) show("< ", a, h->a + i);
    if (h->a_count && h->b_count) puts("---");
    for (size_t i = 0; i < h->b_count; i++) show("> ", b, h->b + i);
  }
}

static void unified_range(size_t start, size_t count) {
  if (count == 1) printf("%lu", start + 1);
  else printf("%lu,%lu", count ? start + 1 : start, count);
}
static void print_unified(const Text *a, const Text *b, const Hunk *h, size_t n) {
  size_t context = (size_t)o.context;
  for (size_t i = 0; i < n;) {
    size_t last = i; /* hunks closer than twice the context share a block */
    while (last + 1 < n && h[last + 1].a - (h[last].a + h[last].a_count) <= 2 * context) last++;
    size_t lead = h[i].a < context ? h[i].a : context, a_end = h[last].a + h[last].a_count, trail = a->count - a_end < context ? a->count - a_end : context;
    size_t a_start = h[i].a - lead, b_start = h[i].b - lead;
    printf("@@ -");
    unified_range(a_start, a_end + trail - a_start);
    printf(" +");
    unified_range(b_start, h[last].b + h[last].b_count + trail - b_start);
    printf(" @@\n");
    size_t at = a_start;
    for (; i <= last; i++) {
      for (; at < h[i].a; at++) show(" ", a, at);
      for (size_t k = 0; k < h[i].a_count; k++) show("-", a, at++);
      for (size_t k = 0; k < h[i].b_count; k++) show("+", b, h[i].b + k);
    }
    for (; at < a_end + trail; at++) show(" ", a, at);
  }
}

static void header(const char *mark, const char *path, const char *label) {
  if (label) {
    printf("%s %s\n", mark, label);
    return;
  }
  struct stat st = {0};
  struct tm tm;
  char when[48];
  sys_stat(path, &st);
  gmtime_r(st.st_mtim.tv_sec, &tm);
  strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S.%N %z", &tm, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  printf("%s %s\t%s\n", mark, path, when);
}

static int diff_files(const char *pa, const char *pb, const char *command) {
  Text a = load(pa), b = load(pb);
  if ((!a.text && !(o.new_file && strcmp(pa, "-"))) || (!b.text && !o.new_file)) {
    warn_errno(ENOENT, "%s", a.text ? pb : pa);
    return 2;
  }
  size_t n;
  Hunk *h = hunks_of(&a, &b, &n);
  if (n) {
    if (o.brief) {
      printf("Files %s and %s differ\n", pa, pb);
    } else {
      if (command) puts(command);
      if (o.unified) {
        header("---", pa, o.labels[0]);
        header("+++", pb, o.labels[1]);
        print_unified(&a, &b, h, n);
      } else {
        print_normal(&a, &b, h, n);
      }
    }
  } else if (o.same) {
    printf("Files %s and %s are identical\n", pa, pb);
  }
  free(h);
  free(a.text), free(a.lines), free(b.text), free(b.lines);
  return n > 0;
}

static Buf options_text;

static int diff_dirs(const char *pa, const char *pb) {
  StrList la = {0}, lb = {0};
  int status = 0;
  list_directory(pa, &la);
  list_directory(pb, &lb);
  for (size_t i = 0, j = 0; i < la.len || j < lb.len;) {
    int order = i == la.len ? 1 : j == lb.len ? -1 : strcmp(la.items[i], lb.items[j]);
    const char *name = order <= 0 ? la.items[i] : lb.items[j];
    char *x = path_join(pa, name), *y = path_join(pb, name);
    struct stat sx, sy;
    bool dx = sys_stat(x, &sx) == 0 && S_ISDIR(sx.st_mode), dy = sys_stat(y, &sy) == 0 && S_ISDIR(sy.st_mode);
    if (order && !o.new_file) {
      printf("Only in %s: %s\n", order < 0 ? pa : pb, name);
      status |= 1;
    } else if (dx && dy) {
      if (o.recursive) status |= diff_dirs(x, y);
      else printf("Common subdirectories: %s and %s\n", x, y);
    } else if (dx != dy && !order) {
      printf("File %s is a %s while file %s is a %s\n", x, dx ? "directory" : "regular file", y, dy ? "directory" : "regular file");
      status |= 1;
    } else {
      char *command = asprintf("diff%s %s %s", options_text.data ? options_text.data : "", x, y);
      status |= diff_files(x, y, command);
      free(command);
    }
    free(x);
    free(y);
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  list_free(&la);
  list_free(&lb);
  return status;
}

int diff_main(int argc, char **argv) {
  int opt;
  memset(&o, 0, sizeof o);
  o.context = 3;
  for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) buf_printf(&options_text, " %s", argv[i]);
  while ((opt = getopt(argc, argv, "uU:qrNibwBsaL:", "unified=u,brief=q,recursive=r,new-file=N,ignore-case=i,ignore-space-change=b,ignore-all-space=w,ignore-blank-lines=B,report-identical-files=s,label:=L")) >= 0) {
    switch (opt) {
      case 'u': o.unified = true; break;
      case 'U': o.unified = true; o.context = atoi(optarg); break;
      case 'q': o.brief = true; break;
      case 'r': o.recursive = true; break;
      case 'N': o.new_file = true; break;
      case 'i': o.icase = true; break;
      case 'b': o.blanks = true; break;
      case 'w': o.all_blanks = true; break;
      case 'B': o.ignore_blank_lines = true; break;
      case 's': o.same = true; break;
      case 'L':
        if (o.label_count < 2) o.labels[o.label_count++] = optarg;
        break;
      case 'a': break;
      default: return usage_error(), 2;
    }
  }
  if (argc - optind != 2) return usage_error(), 2;
  const char *a = argv[optind], *b = argv[optind + 1];
  struct stat sa, sb;
  bool da = sys_stat(a, &sa) == 0 && S_ISDIR(sa.st_mode), db = sys_stat(b, &sb) == 0 && S_ISDIR(sb.st_mode);
  if (da && db) return diff_dirs(a, b);
  if (da) a = path_join(a, base_name(b));
  if (db) b = path_join(b, base_name(a));
  return diff_files(a, b, NULL);
}
