/* sort, uniq, cut, tr, rev, tac, nl, paste, fold: line and column tools. */
#include "../box.h"

/* ---- sort ---- */

typedef struct { int from, from_char, to, to_char; bool numeric, reverse, fold, blanks, dictionary, human, own; } Key;
static Key keys[16];
static int key_count;
static Key whole; /* global ordering options */
static int separator;
static bool stable;

static bool key_option(Key *k, char c) {
  switch (c) {
    case 'n': case 'g': k->numeric = true; break;
    case 'h': k->human = k->numeric = true; break;
    case 'r': k->reverse = true; break;
    case 'f': k->fold = true; break;
    case 'b': k->blanks = true; break;
    case 'd': k->dictionary = true; break;
    default: return false;
  }
  k->own = true;
  return true;
}

/* -k F[.C][opts][,F[.C][opts]] */
static bool parse_key(const char *s) {
  if (key_count == (int)countof(keys)) return false;
  Key k = {0};
  char *end;
  k.from = (int)strtol(s, &end, 10);
  if (end == s || k.from < 1) return false;
  if (*end == '.') k.from_char = (int)strtol(end + 1, &end, 10);
  while (*end && key_option(&k, *end)) end++;
  if (*end == ',') {
    k.to = (int)strtol(end + 1, &end, 10);
    if (*end == '.') k.to_char = (int)strtol(end + 1, &end, 10);
    while (*end && key_option(&k, *end)) end++;
  }
  if (*end) return false;
  keys[key_count++] = k;
  return true;
}

/* Start of field n (1-based); beyond the last field, the end of the line. */
static const char *field_start(const char *s, int n) {
  while (--n > 0 && *s) {
    if (separator) {
      s = strchrnul(s, separator);
      if (*s) s++;
    } else {
      while (*s == ' ' || *s == '\t') s++;
      while (*s && *s != ' ' && *s != '\t') s++;
    }
  }
  return s;
}
static const char *field_end(const char *s, int n) {
  s = field_start(s, n);
  if (separator) return strchrnul(s, separator);
  while (*s == ' ' || *s == '\t') s++;
  while (*s && *s != ' ' && *s != '\t') s++;
  return s;
}

static void key_span(const char *line, const Key *k, const char **from, size_t *len) {
  const char *a = field_start(line, k->from), *z;
  if (k->blanks) while (*a == ' ' || *a == '\t') a++;
  for (int i = 1; i < k->from_char && *a; i++) a++;
  if (!k->to) {
    z = a + strlen(a);
  } else if (k->to_char) {
    z = field_start(line, k->to);
    if (k->blanks) while (*z == ' ' || *z == '\t') z++;
    for (int i = 0; i < k->to_char && *z; i++) z++;
  } else {
    z = field_end(line, k->to);
  }
  *from = a;
  *len = z > a ? (size_t)(z - a) : 0;
}

static int sign_of(double a, double b) { return a < b ? -1 : a > b; }

/* Numbers as digit strings, so that any length compares exactly. */
static int compare_numbers(const char *a, size_t an, const char *b, size_t bn, bool human) {
  char x[128], y[128];
  strlcpy(x, "", 1);
  snprintf(x, sizeof x, "%.*s", (int)an, a);
  snprintf(y, sizeof y, "%.*s", (int)bn, b);
  char *xe, *ye;
  char *xs = x + strspn(x, " \t"), *ys = y + strspn(y, " \t");
  xs[strspn(xs, "-0123456789.") + (human && xs[strspn(xs, "-0123456789.")] != 0)] = 0;
  ys[strspn(ys, "-0123456789.") + (human && ys[strspn(ys, "-0123456789.")] != 0)] = 0;
  double v = strtod(xs, &xe), w = strtod(ys, &ye);
  if (human) {
    static const char units[] = "KMGTPE";
    const char *u = *xe ? strchr(units, toupper(*xe)) : NULL, *t = *ye ? strchr(units, toupper(*ye)) : NULL;
    int rank = u ? (int)(u - units) + 1 : 0, other = t ? (int)(t - units) + 1 : 0;
    if (rank != other) return rank - other;
  }
  return sign_of(v, w);
}

static int compare_key(const char *a, const char *b, const Key *k) {
  const char *x = a, *y = b;
  size_t n = strlen(a), m = strlen(b);
  if (k->from) {
    key_span(a, k, &x, &n);
    key_span(b, k, &y, &m);
  } else if (k->blanks) {
    while (n && (*x == ' ' || *x == '\t')) x++, n--;
    while (m && (*y == ' ' || *y == '\t')) y++, m--;
  }
  int order = 0;
  if (k->numeric) {
    order = compare_numbers(x, n, y, m, k->human);
  } else {
    for (;;) {
      if (k->dictionary) {
        while (n && !isalnum((unsigned char)*x) && *x != ' ' && *x != '\t') x++, n--;
        while (m && !isalnum((unsigned char)*y) && *y != ' ' && *y != '\t') y++, m--;
      }
      if (!n || !m) {
        order = (n > 0) - (m > 0);
        break;
      }
      int c = (unsigned char)*x, d = (unsigned char)*y;
      if (k->fold) c = toupper(c), d = toupper(d);
      if (c != d) {
        order = c - d;
        break;
      }
      x++, y++, n--, m--;
    }
  }
  return k->reverse ? -order : order;
}

static int compare_keys(const char *a, const char *b) {
  for (int i = 0; i < key_count; i++) {
    int order = compare_key(a, b, &keys[i]);
    if (order) return order;
  }
  return key_count ? 0 : compare_key(a, b, &whole);
}
static int compare_lines(const void *x, const void *y) {
  const char *a = *(char *const *)x, *b = *(char *const *)y;
  int order = compare_keys(a, b);
  if (order || stable) return order;
  order = strcmp(a, b);
  return whole.reverse ? -order : order;
}

int sort_main(int argc, char **argv) {
  bool unique = false, check = false;
  const char *output = NULL;
  int opt, status = 0;
  key_count = separator = 0;
  whole = (Key){0};
  stable = false;
  while ((opt = getopt(argc, argv, "nrubfdghk:t:o:scmz", "numeric-sort=n,reverse=r,unique=u,key:=k,field-separator:=t,output:=o,stable=s,ignore-case=f,check=c,human-numeric-sort=h")) >= 0) {
    switch (opt) {
      case 'u': unique = true; break;
      case 'k':
        if (!parse_key(optarg)) die("invalid key '%s'", optarg);
        break;
      case 't': separator = !strcmp(optarg, "\\0") ? 0 : (unsigned char)*optarg; break;
      case 'o': output = optarg; break;
      case 's': stable = true; break;
      case 'c': check = true; break;
      case 'm': case 'z': break;
      default:
        if (!key_option(&whole, (char)opt)) return usage_error(), 2;
    }
  }
  if (unique) stable = true;
  for (int i = 0; i < key_count; i++)
    if (!keys[i].own) {
      Key k = whole;
      k.from = keys[i].from, k.from_char = keys[i].from_char, k.to = keys[i].to, k.to_char = keys[i].to_char;
      keys[i] = k;
    }
  StrList lines = {0};
  static char *dash[] = {"-", NULL};
  char *line = NULL;
  size_t cap = 0;
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 2;
    for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
      if (line[n - 1] == '\n') line[n - 1] = 0;
      list_add(&lines, strdup(line));
    }
    close_operand(f);
  }
  if (check) {
    for (size_t i = 1; i < lines.len; i++)
      if (compare_lines(&lines.items[i - 1], &lines.items[i]) > 0) {
        fprintf(stderr, "sort: disorder: %s\n", lines.items[i]);
        return 1;
      }
    return 0;
  }
  if (lines.len) qsort(lines.items, lines.len, sizeof(char *), compare_lines);
  if (output) {
    long fd = sys_open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) die_errno(fd, "%s", output);
    sys_dup3((int)fd, 1, 0);
  }
  for (size_t i = 0; i < lines.len; i++)
    if (!unique || !i || compare_keys(lines.items[i - 1], lines.items[i])) puts(lines.items[i]);
  return status;
}

/* ---- uniq ---- */

int uniq_main(int argc, char **argv) {
  bool count = false, repeated = false, single = false, fold = false;
  int skip_fields = 0, skip_chars = 0, width = -1, opt;
  while ((opt = getopt(argc, argv, "cduif:s:w:", "count=c,repeated=d,unique=u,ignore-case=i,skip-fields:=f,skip-chars:=s")) >= 0) {
    switch (opt) {
      case 'c': count = true; break;
      case 'd': repeated = true; break;
      case 'u': single = true; break;
      case 'i': fold = true; break;
      case 'f': skip_fields = atoi(optarg); break;
      case 's': skip_chars = atoi(optarg); break;
      case 'w': width = atoi(optarg); break;
      default: return usage_error();
    }
  }
  FILE *f = optind < argc ? open_operand(argv[optind]) : stdin;
  if (!f) return 1;
  if (optind + 1 < argc) {
    long fd = sys_open(argv[optind + 1], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) die_errno(fd, "%s", argv[optind + 1]);
    sys_dup3((int)fd, 1, 0);
  }
  char *line = NULL, *held = NULL;
  size_t cap = 0;
  long n = 0;
  for (;;) {
    ssize_t len = getline(&line, &cap, f);
    if (len > 0 && line[len - 1] == '\n') line[len - 1] = 0;
    bool same = false;
    if (len >= 0 && held) {
      const char *key[2] = {held, line};
      for (int i = 0; i < 2; i++) {
        for (int k = 0; k < skip_fields; k++) {
          key[i] += strspn(key[i], " \t");
          key[i] += strcspn(key[i], " \t");
        }
        key[i] += strnlen(key[i], (size_t)skip_chars);
      }
      size_t max = width < 0 ? (size_t)-1 : (size_t)width;
      same = fold ? !strncasecmp(key[0], key[1], max) : !strncmp(key[0], key[1], max);
    }
    if (same) {
      n++;
      continue;
    }
    if (held && (repeated ? n > 1 : single ? n == 1 : true)) {
      if (count) printf("%7ld ", n);
      puts(held);
    }
    if (len < 0) return 0;
    free(held);
    held = strdup(line);
    n = 1;
  }
}

/* ---- cut ---- */

typedef struct { long from, to; } Range;

static Range *parse_ranges(char *list, int *count) {
  Range *r = NULL;
  *count = 0;
  while (*list) {
    char *end = list;
    long from = 1, to = LONG_MAX;
    if (isdigit((unsigned char)*list)) from = to = strtol(list, &end, 10);
    if (*end == '-') {
      list = end + 1;
      to = LONG_MAX;
      end = list;
      if (isdigit((unsigned char)*list)) to = strtol(list, &end, 10);
    }
    if (from < 1 || to < from || (*end && *end != ',')) return NULL;
    r = realloc(r, (size_t)(*count + 1) * sizeof *r);
    r[(*count)++] = (Range){from, to};
    list = *end ? end + 1 : end;
  }
  return r;
}
static bool in_ranges(const Range *r, int n, long at) {
  for (int i = 0; i < n; i++)
    if (at >= r[i].from && at <= r[i].to) return true;
  return false;
}

int cut_main(int argc, char **argv) {
  char *list = NULL, mode = 0, delim = '\t';
  const char *out_delim = NULL;
  bool only_delimited = false, complement = false;
  int opt, n = 0;
  while ((opt = getopt(argc, argv, "b:c:f:d:sn", "bytes:=b,characters:=c,fields:=f,delimiter:=d,only-delimited=s,complement=C,output-delimiter:=o")) >= 0) {
    switch (opt) {
      case 'b': case 'c': case 'f': mode = (char)opt, list = optarg; break;
      case 'd': delim = *optarg; break;
      case 's': only_delimited = true; break;
      case 'C': complement = true; break;
      case 'o': out_delim = optarg; break;
      case 'n': break;
      default: return usage_error();
    }
  }
  if (!list) return usage_error();
  Range *ranges = parse_ranges(list, &n);
  if (!ranges) die("invalid list '%s'", list);
  char one[2] = {delim, 0}, *line = NULL;
  if (!out_delim) out_delim = mode == 'f' ? one : "";
  size_t cap = 0;
  int status = 0;
  static char *dash[] = {"-", NULL};
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) {
      status = 1;
      continue;
    }
    for (ssize_t len; (len = getline(&line, &cap, f)) >= 0;) {
      if (line[len - 1] == '\n') line[--len] = 0;
      bool any = false;
      if (mode != 'f') {
        for (ssize_t i = 0; i < len; i++)
          if (in_ranges(ranges, n, i + 1) != complement) {
            if (any && *out_delim && in_ranges(ranges, n, i) == complement) fputs(out_delim, stdout);
            putchar(line[i]);
            any = true;
          }
      } else if (!memchr(line, delim, (size_t)len)) {
        if (only_delimited) continue;
        fputs(line, stdout);
      } else {
        char *p = line;
        for (long field = 1; p; field++) {
          char *end = memchr(p, delim, (size_t)(line + len - p));
          if (in_ranges(ranges, n, field) != complement) {
            if (any) fputs(out_delim, stdout);
            fwrite(p, end ? (size_t)(end - p) : (size_t)(line + len - p), stdout);
            any = true;
          }
          p = end ? end + 1 : NULL;
        }
      }
      putchar('\n');
    }
    close_operand(f);
  }
  return status;
}

/* ---- tr ---- */

static const char *tr_escape(const char *p, int *c) {
  static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
  *c = (unsigned char)*p++;
  if (*c != '\\' || !*p) return p;
  const char *hit = strchr(from, *p);
  if (hit) return *c = to[hit - from], p + 1;
  if (*p >= '0' && *p <= '7') {
    *c = 0;
    for (int i = 0; i < 3 && *p >= '0' && *p <= '7'; i++) *c = *c * 8 + *p++ - '0';
    return p;
  }
  return *c = (unsigned char)*p, p + 1;
}

static bool in_class(const char *name, size_t n, int c) {
  static const struct { const char *name; bool (*is)(int); } classes[] = {
      {"alpha", isalpha}, {"digit", isdigit}, {"alnum", isalnum}, {"upper", isupper}, {"lower", islower}, {"space", isspace},
      {"print", isprint}, {"graph", isgraph}, {"punct", ispunct}, {"cntrl", iscntrl}, {"xdigit", isxdigit},
  };
  if (n == 5 && !strncmp(name, "blank", 5)) return c == ' ' || c == '\t';
  for (size_t i = 0; i < countof(classes); i++)
    if (strlen(classes[i].name) == n && !strncmp(classes[i].name, name, n)) return classes[i].is(c);
  die("invalid character class '%.*s'", (int)n, name);
}

/* Expands ranges, classes and [c*n]; fill is the length [c*] pads to. */
static int tr_set(const char *p, unsigned char out[512], int fill) {
  int n = 0;
  while (*p && n < 512) {
    const char *close;
    if (p[0] == '[' && p[1] == ':' && (close = strstr(p + 2, ":]"))) {
      for (int c = 0; c < 256 && n < 512; c++)
        if (in_class(p + 2, (size_t)(close - p - 2), c)) out[n++] = (unsigned char)c;
      p = close + 2;
      continue;
    }
    if (p[0] == '[' && p[1] && p[2] == '*' && (close = strchr(p + 3, ']'))) {
      long times = strtol(p + 3, NULL, p[3] == '0' ? 8 : 10);
      if (!times) times = fill - n;
      while (times-- > 0 && n < 512) out[n++] = (unsigned char)p[1];
      p = close + 1;
      continue;
    }
    int lo, hi;
    p = tr_escape(p, &lo);
    if (p[0] == '-' && p[1]) {
      p = tr_escape(p + 1, &hi);
      if (hi < lo) die("range-endpoints of '%c-%c' are in reverse collating sequence order", lo, hi);
      for (int c = lo; c <= hi && n < 512; c++) out[n++] = (unsigned char)c;
    } else {
      out[n++] = (unsigned char)lo;
    }
  }
  return n;
}

int tr_main(int argc, char **argv) {
  bool delete = false, squeeze = false, complement = false, truncate = false;
  int opt;
  while ((opt = getopt(argc, argv, "+dscCt", "delete=d,squeeze-repeats=s,complement=c,truncate-set1=t")) >= 0) {
    if (opt == 'd') delete = true;
    else if (opt == 's') squeeze = true;
    else if (opt == 'c' || opt == 'C') complement = true;
    else if (opt == 't') truncate = true;
    else return usage_error();
  }
  int sets = argc - optind;
  if (sets < 1 || sets > 2 || (sets == 1 && !delete && !squeeze)) return usage_error();
  unsigned char first[512], second[512], map[256];
  bool in_first[256] = {false}, squeezed[256] = {false};
  int n = tr_set(argv[optind], first, 0);
  if (complement) {
    bool has[256] = {false};
    for (int i = 0; i < n; i++) has[first[i]] = true;
    n = 0;
    for (int c = 0; c < 256; c++)
      if (!has[c]) first[n++] = (unsigned char)c;
  }
  int m = sets > 1 ? tr_set(argv[optind + 1], second, n) : 0;
  for (int i = 0; i < n; i++) in_first[first[i]] = true;
  for (int c = 0; c < 256; c++) map[c] = (unsigned char)c;
  if (!delete && m) {
    if (truncate && n > m) n = m;
    for (int i = 0; i < n; i++) map[first[i]] = second[i < m ? i : m - 1];
  }
  if (squeeze)
    for (int i = 0; i < (m ? m : n); i++) squeezed[m ? second[i] : first[i]] = true;
  int last = -1;
  for (int c; (c = fgetc(stdin)) != EOF;) {
    if (delete && in_first[c]) continue;
    c = map[c];
    if (squeeze && c == last && squeezed[c]) continue;
    putchar(c);
    last = c;
  }
  return 0;
}

/* ---- rev, tac, nl, paste, fold ---- */

static char *dash_operand[] = {"-", NULL};

int rev_main(int argc, char **argv) {
  char *line = NULL;
  size_t cap = 0;
  for (char **path = argc > 1 ? argv + 1 : dash_operand; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 1;
    for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
      bool newline = line[n - 1] == '\n';
      if (newline) n--;
      while (n > 0) { /* by UTF-8 character */
        ssize_t start = n - 1;
        while (start > 0 && ((unsigned char)line[start] & 0xc0) == 0x80) start--;
        fwrite(line + start, (size_t)(n - start), stdout);
        n = start;
      }
      if (newline) putchar('\n');
    }
    close_operand(f);
  }
  return 0;
}

int tac_main(int argc, char **argv) {
  char *line = NULL;
  size_t cap = 0;
  for (char **path = argc > 1 ? argv + 1 : dash_operand; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 1;
    StrList lines = {0};
    while (getline(&line, &cap, f) >= 0) list_add(&lines, strdup(line));
    for (size_t i = lines.len; i-- > 0;) fputs(lines.items[i], stdout);
    list_free(&lines);
    close_operand(f);
  }
  return 0;
}

int nl_main(int argc, char **argv) {
  char *line = NULL, style = 't';
  size_t cap = 0;
  long number = 1;
  int width = 6, opt;
  const char *sep = "\t";
  while ((opt = getopt(argc, argv, "b:w:s:v:", NULL)) >= 0) {
    if (opt == 'b') style = *optarg;
    else if (opt == 'w') width = atoi(optarg);
    else if (opt == 's') sep = optarg;
    else if (opt == 'v') number = atoi(optarg);
    else return usage_error();
  }
  for (char **path = optind < argc ? argv + optind : dash_operand; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 1;
    while (getline(&line, &cap, f) >= 0) {
      if (style == 'a' || (style == 't' && *line != '\n')) printf("%*ld%s%s", width, number++, sep, line);
      else printf("%*s%s", width + (int)strlen(sep), "", line);
    }
    close_operand(f);
  }
  return 0;
}

int paste_main(int argc, char **argv) {
  const char *delims = "\t";
  bool serial = false;
  int opt;
  while ((opt = getopt(argc, argv, "d:s", "delimiters:=d,serial=s")) >= 0) {
    if (opt == 'd') delims = optarg;
    else if (opt == 's') serial = true;
    else return usage_error();
  }
  char **paths = optind < argc ? argv + optind : dash_operand, *line = NULL;
  size_t cap = 0, n = 0, k = strlen(delims);
  while (paths[n]) n++;
  FILE **files = malloc(n * sizeof *files);
  for (size_t i = 0; i < n; i++)
    if (!(files[i] = open_operand(paths[i]))) return 1;
  for (size_t i = 0; serial && i < n; i++) {
    for (size_t count = 0; getline(&line, &cap, files[i]) >= 0; count++) {
      if (count && k) putchar(delims[(count - 1) % k]);
      line[strcspn(line, "\n")] = 0;
      fputs(line, stdout);
    }
    putchar('\n');
  }
  for (bool any = !serial; any;) {
    Buf row = {0};
    any = false;
    for (size_t i = 0; i < n; i++) {
      if (i && k) buf_char(&row, delims[(i - 1) % k]);
      if (getline(&line, &cap, files[i]) < 0) continue;
      any = true;
      line[strcspn(line, "\n")] = 0;
      buf_str(&row, line);
    }
    if (any) puts(row.data);
    buf_free(&row);
  }
  return 0;
}

int fold_main(int argc, char **argv) {
  size_t width = 80;
  bool spaces = false;
  int opt;
  while ((opt = getopt(argc, argv, "w:sb", "width:=w,spaces=s")) >= 0) {
    if (opt == 'w') width = (size_t)atoi(optarg);
    else if (opt == 's') spaces = true;
    else if (opt != 'b') return usage_error();
  }
  if (!width) die("invalid number of columns");
  char *line = NULL;
  size_t cap = 0;
  for (char **path = optind < argc ? argv + optind : dash_operand; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 1;
    for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
      char *p = line;
      size_t left = (size_t)n - (line[n - 1] == '\n');
      while (left > width) {
        size_t take = width;
        if (spaces) {
          while (take && p[take - 1] != ' ') take--;
          if (!take) take = width;
        }
        fwrite(p, take, stdout);
        putchar('\n');
        p += take;
        left -= take;
      }
      fwrite(p, left + (line[n - 1] == '\n'), stdout);
    }
    close_operand(f);
  }
  return 0;
}
