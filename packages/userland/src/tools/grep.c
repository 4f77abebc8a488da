/* grep, egrep, fgrep. */
#include "../box.h"

static struct {
  bool icase, invert, number, count, recursive, fixed, extended, quiet, list, list_without, only, word, line, no_name, with_name, no_errors, colour;
  long max, before, after;
} o;
typedef struct { Regex *re; char *text; size_t len; } Pattern;
static Pattern *patterns;
static int pattern_count, grep_status;

static void add_patterns(char *text) {
  for (char *line = text; line;) {
    char *next = strchr(line, '\n');
    if (next) *next++ = 0;
    Pattern p = {.text = line, .len = strlen(line)};
    if (!o.fixed || o.icase) {
      const char *error;
      Buf quoted = {0};
      for (char *c = line; o.fixed && *c; c++) { /* -F -i: every special byte quoted */
        if (strchr("\\.[]*^$", *c)) buf_char(&quoted, '\\');
        buf_char(&quoted, *c);
      }
      p.re = regex_compile(o.fixed ? (quoted.data ? quoted.data : "") : line, (o.extended ? REG_EXTENDED : 0) | (o.icase ? REG_ICASE : 0), &error);
      if (!p.re) {
        warn("%s", error);
        exit(2);
      }
      buf_free(&quoted);
    }
    patterns = realloc(patterns, (size_t)(pattern_count + 1) * sizeof *patterns);
    patterns[pattern_count++] = p;
    line = next;
  }
}

static bool word_char(int c) { return isalnum(c) || c == '_'; }

static bool find(const Pattern *p, const char *text, size_t len, size_t from, RegMatch *m) {
  if (p->re) {
    RegMatch all[REG_GROUPS];
    if (!regex_search(p->re, text, len, from, all)) return false;
    *m = all[0];
    return true;
  }
  if (p->len > len - from) return false;
  for (size_t i = from; i + p->len <= len; i++) {
    if (p->len && !(text[i] == *p->text)) {
      const char *hit = memchr(text + i, *p->text, len - i);
      if (!hit) return false;
      i = (size_t)(hit - text);
      if (i + p->len > len) return false;
    }
    if (!memcmp(text + i, p->text, p->len)) {
      *m = (RegMatch){(ssize_t)i, (ssize_t)(i + p->len)};
      return true;
    }
  }
  return false;
}

/* The first match at or after `from` that satisfies -w and -x; the longest at that place. */
static bool search(const char *text, size_t len, size_t from, RegMatch *best) {
  bool found = false;
  for (int i = 0; i < pattern_count; i++) {
    RegMatch m;
    for (size_t at = from; find(&patterns[i], text, len, at, &m);) {
      bool ok = true;
      if (o.line) ok = m.start == 0 && m.end == (ssize_t)len;
      if (ok && o.word)
        ok = !(m.start > 0 && word_char((unsigned char)text[m.start - 1])) && !((size_t)m.end < len && word_char((unsigned char)text[m.end]));
      if (ok) {
        if (!found || m.start < best->start || (m.start == best->start && m.end > best->end)) *best = m;
        found = true;
        break;
      }
      at = (size_t)m.start + 1;
      if (at > len || o.line) break;
    }
  }
  return found;
}

static void prefix(const char *name, long number, char sep) {
  if (name) printf(o.colour ? "\033[35m%s\033[36m%c\033[0m" : "%s%c", name, sep);
  if (o.number) printf(o.colour ? "\033[32m%ld\033[36m%c\033[0m" : "%ld%c", number, sep);
}

static void show_line(const char *name, long number, const char *text, size_t len, bool context) {
  RegMatch m;
  if (o.only && !context) {
    for (size_t at = 0; at <= len && search(text, len, at, &m); at = (size_t)m.end + (m.end == m.start)) {
      if (m.end == m.start) continue;
      prefix(name, number, ':');
      printf(o.colour ? "\033[01;31m%.*s\033[0m\n" : "%.*s\n", (int)(m.end - m.start), text + m.start);
    }
    return;
  }
  prefix(name, number, context ? '-' : ':');
  size_t at = 0;
  if (o.colour && !o.invert && !context)
    while (at < len && search(text, len, at, &m) && m.end > m.start) {
      fwrite(text + at, (size_t)m.start - at, stdout);
      printf("\033[01;31m%.*s\033[0m", (int)(m.end - m.start), text + m.start);
      at = (size_t)m.end;
    }
  fwrite(text + at, len - at, stdout);
  putchar('\n');
}

static void grep_stream(FILE *f, const char *name) {
  const char *shown = o.with_name ? name : NULL;
  char *line = NULL, **ring = o.before ? calloc((size_t)o.before, sizeof *ring) : NULL;
  size_t cap = 0;
  long number = 0, hits = 0, last_shown = 0, trailing = 0;
  bool binary = false;
  for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
    number++;
    if (n && line[n - 1] == '\n') n--;
    if (!binary && memchr(line, 0, (size_t)n)) binary = true;
    RegMatch m;
    if (search(line, (size_t)n, 0, &m) != o.invert) {
      hits++;
      grep_status = grep_status == 2 ? 2 : 0;
      if (o.quiet) exit(0);
      if (o.list || o.list_without) break;
      if (!o.count && binary) {
        printf("grep: %s: binary file matches\n", name);
        break;
      }
      if (!o.count) {
        long from = number - o.before > last_shown ? number - o.before : last_shown + 1;
        if (from < 1) from = 1;
        if ((o.before || o.after) && last_shown && from > last_shown + 1) puts("--");
        for (long k = from; k < number; k++) show_line(shown, k, ring[k % o.before], strlen(ring[k % o.before]), true);
        show_line(shown, number, line, (size_t)n, false);
        last_shown = number;
        trailing = o.after;
      }
      if (o.max && hits >= o.max) break;
    } else if (trailing > 0 && !o.count) {
      trailing--;
      show_line(shown, number, line, (size_t)n, true);
      last_shown = number;
    }
    if (ring) {
      free(ring[number % o.before]);
      ring[number % o.before] = strndup(line, (size_t)n);
    }
  }
  if (o.count) {
    prefix(shown, 0, ':');
    printf("%ld\n", hits);
  }
  if (o.list ? hits > 0 : o.list_without && !hits) puts(name);
  free(line);
}

static void grep_path(const char *path, bool top) {
  struct stat st;
  bool standard = !strcmp(path, "-") && top;
  long err = standard ? 0 : sys_stat(path, &st);
  if (!err && !standard && S_ISDIR(st.st_mode)) {
    if (!o.recursive) {
      if (!o.no_errors) warn("%s: Is a directory", path);
      return;
    }
    StrList names = {0};
    list_directory(path, &names);
    for (size_t i = 0; i < names.len; i++) {
      char *sub = !strcmp(path, ".") && !top ? strdup(names.items[i]) : path_join(path, names.items[i]);
      struct stat self;
      if (sys_lstat(sub, &self) == 0 && !S_ISLNK(self.st_mode)) grep_path(sub, false);
      free(sub);
    }
    list_free(&names);
    return;
  }
  int open_err = (int)err;
  FILE *f = err ? NULL : standard ? stdin : fopen(path, "r", &open_err);
  if (!f) {
    if (!o.no_errors) warn_errno(open_err, "%s", path);
    grep_status = 2;
    return;
  }
  grep_stream(f, standard ? "(standard input)" : path);
  close_operand(f);
}

static int grep(int argc, char **argv) {
  Buf text = {0};
  bool given = false;
  int opt;
  while ((opt = getopt(argc, argv, "ivncrRFEGqslLowxhHae:f:m:A:B:C:", "ignore-case=i,invert-match=v,line-number=n,count=c,recursive=r,fixed-strings=F,extended-regexp=E,quiet=q,silent=q,files-with-matches=l,only-matching=o,word-regexp=w,line-regexp=x,no-filename=h,with-filename=H,regexp:=e,file:=f,max-count:=m,color=k,colour=k,after-context:=A,before-context:=B,context:=C,no-messages=s,text=a")) >= 0) {
    switch (opt) {
      case 'i': o.icase = true; break;
      case 'v': o.invert = true; break;
      case 'n': o.number = true; break;
      case 'c': o.count = true; break;
      case 'r': case 'R': o.recursive = true; break;
      case 'F': o.fixed = true; break;
      case 'E': o.extended = true; break;
      case 'G': o.extended = o.fixed = false; break;
      case 'q': o.quiet = true; break;
      case 's': o.no_errors = true; break;
      case 'l': o.list = true; break;
      case 'L': o.list_without = true; break;
      case 'o': o.only = true; break;
      case 'w': o.word = true; break;
      case 'x': o.line = true; break;
      case 'h': o.no_name = true; break;
      case 'H': o.with_name = true; break;
      case 'a': break;
      case 'm': o.max = atoi(optarg); break;
      case 'A': o.after = atoi(optarg); break;
      case 'B': o.before = atoi(optarg); break;
      case 'C': o.before = o.after = atoi(optarg); break;
      case 'k': o.colour = optarg ? !strcmp(optarg, "always") || (!strcmp(optarg, "auto") && isatty(1)) : isatty(1); break;
      case 'e':
        buf_printf(&text, "%s%s", given ? "\n" : "", optarg);
        given = true;
        break;
      case 'f': {
        size_t n;
        char *file = read_file(optarg, &n);
        if (!file) die_errno(ENOENT, "%s", optarg);
        if (n && file[n - 1] == '\n') file[n - 1] = 0;
        buf_printf(&text, "%s%s", given ? "\n" : "", file);
        given = true;
        break;
      }
      default: return usage_error(), 2;
    }
  }
  if (!given) {
    if (optind >= argc) return usage_error(), 2;
    buf_str(&text, argv[optind++]);
  }
  buf_str(&text, "");
  add_patterns(text.data);
  int n = argc - optind;
  if (!o.with_name) o.with_name = (n > 1 || o.recursive) && !o.no_name;
  if (!n) grep_path(o.recursive ? "." : "-", !o.recursive);
  for (int i = optind; i < argc; i++) grep_path(argv[i], true);
  return grep_status;
}

static void reset(void) {
  memset(&o, 0, sizeof o);
  patterns = NULL;
  pattern_count = 0;
  grep_status = 1;
}
int grep_main(int argc, char **argv) {
  reset();
  return grep(argc, argv);
}
int egrep_main(int argc, char **argv) {
  reset();
  o.extended = true;
  return grep(argc, argv);
}
int fgrep_main(int argc, char **argv) {
  reset();
  o.fixed = true;
  return grep(argc, argv);
}
