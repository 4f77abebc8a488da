/* cat, tee, head, tail, wc. */
#include "../box.h"

int cat_main(int argc, char **argv) {
  bool number = false, nonblank = false, squeeze = false, ends = false, tabs = false, visible = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "nbsEvTAetu", "number=n,number-nonblank=b,squeeze-blank=s,show-ends=E,show-all=A")) >= 0) {
    switch (opt) {
      case 'n': number = true; break;
      case 'b': nonblank = true; break;
      case 's': squeeze = true; break;
      case 'E': ends = true; break;
      case 'T': tabs = true; break;
      case 'v': visible = true; break;
      case 'e': ends = visible = true; break;
      case 't': tabs = visible = true; break;
      case 'A': ends = tabs = visible = true; break;
      case 'u': break;
      default: return usage_error();
    }
  }
  bool plain = !(number || nonblank || squeeze || ends || tabs || visible);
  static char *dash[] = {"-", NULL};
  long line = 0;
  bool at_start = true, last_blank = false;
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) {
      status = 1;
      continue;
    }
    if (plain) {
      fflush(stdout);
      int err = copy_fd(f->fd, 1);
      if (err == -EPIPE) return 1;
      if (err < 0) warn_errno(err, "%s", *path), status = 1;
    } else {
      for (int c; (c = fgetc(f)) != EOF;) {
        if (at_start) {
          bool blank = c == '\n';
          if (squeeze && blank && last_blank) continue;
          last_blank = blank;
          if (nonblank ? !blank : number) printf("%6ld\t", ++line);
        }
        at_start = c == '\n';
        if (c == '\n') {
          if (ends) putchar('$');
        } else if (c == '\t' ? tabs : visible) {
          if (c >= 128) putchar('M'), putchar('-'), c &= 127;
          if (c < 32 || c == 127) putchar('^'), c ^= 64;
        }
        putchar(c);
      }
    }
    close_operand(f);
  }
  return status;
}

int tee_main(int argc, char **argv) {
  bool append = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "ai", "append=a")) >= 0) {
    if (opt == 'a') append = true;
    else if (opt == 'i') set_signal(SIGINT, SIG_IGN, 0);
    else return usage_error();
  }
  int n = 0, *fds = malloc((size_t)argc * sizeof *fds);
  for (int i = optind; i < argc; i++) {
    long fd = sys_open(argv[i], O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0) warn_errno(fd, "%s", argv[i]), status = 1;
    else fds[n++] = (int)fd;
  }
  static char block[16384];
  for (long k; (k = sys_read(0, block, sizeof block)) != 0;) {
    if (k == -EINTR) continue;
    if (k < 0) return 1;
    if (write_all(1, block, (size_t)k) < 0) status = 1;
    for (int i = 0; i < n; i++)
      if (write_all(fds[i], block, (size_t)k) < 0) status = 1;
  }
  return status;
}

/* head and tail share the -n/-c/-N options and the ==> name <== headers. */
typedef struct { bool bytes, from_start, all_but, follow, quiet, verbose; long count; } Span;

static bool parse_span(int argc, char **argv, Span *s, bool tail) {
  /* The old -N form. */
  if (argc > 1 && argv[1][0] == '-' && isdigit((unsigned char)argv[1][1])) {
    char *text = asprintf("-n%s", argv[1] + 1);
    argv[1] = text;
  }
  *s = (Span){.count = 10};
  int opt;
  while ((opt = getopt(argc, argv, "n:c:qvfFs:", "lines:=n,bytes:=c,quiet=q,verbose=v,follow=f")) >= 0) {
    if (opt == 'n' || opt == 'c') {
      s->bytes = opt == 'c';
      const char *t = optarg;
      if (tail && *t == '+') s->from_start = true, t++;
      else if (*t == '-') s->all_but = !tail, t++;
      s->count = parse_size(t);
      if (s->count < 0) die("invalid number: '%s'", optarg);
    } else if (opt == 'q') s->quiet = true;
    else if (opt == 'v') s->verbose = true;
    else if (opt == 'f' || opt == 'F') s->follow = true;
    else if (opt != 's') return false;
  }
  return true;
}

static void show_header(const char *path, bool first) {
  printf("%s==> %s <==\n", first ? "" : "\n", strcmp(path, "-") ? path : "standard input");
}

static void head(FILE *f, const Span *s) {
  if (!s->all_but) {
    long left = s->count;
    if (s->bytes) {
      char block[4096];
      for (size_t n; left > 0 && (n = fread(block, left < (long)sizeof block ? (size_t)left : sizeof block, f)); left -= (long)n)
        fwrite(block, n, stdout);
      return;
    }
    for (int c; left > 0 && (c = fgetc(f)) != EOF;) {
      putchar(c);
      if (c == '\n') left--;
    }
    return;
  }
  /* All but the last N: output lags behind by N units. */
  if (s->bytes) {
    char *ring = malloc((size_t)s->count + 1);
    for (long i = 0, c; (c = fgetc(f)) != EOF; i++) {
      if (i >= s->count) putchar(s->count ? ring[i % s->count] : (int)c);
      if (s->count) ring[i % s->count] = (char)c;
    }
    return;
  }
  char **ring = calloc((size_t)s->count + 1, sizeof *ring), *line = NULL;
  size_t cap = 0;
  for (long i = 0; getline(&line, &cap, f) >= 0; i++) {
    char **slot = &ring[s->count ? i % s->count : 0];
    if (!s->count) fputs(line, stdout);
    else {
      if (*slot) fputs(*slot, stdout);
      free(*slot);
      *slot = strdup(line);
    }
  }
}

int head_main(int argc, char **argv) {
  Span s;
  int status = 0;
  if (!parse_span(argc, argv, &s, false)) return usage_error();
  static char *dash[] = {"-", NULL};
  char **paths = optind < argc ? argv + optind : dash;
  for (char **path = paths; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) {
      status = 1;
      continue;
    }
    if ((paths[1] || s.verbose) && !s.quiet) show_header(*path, path == paths);
    head(f, &s);
    close_operand(f);
  }
  return status;
}

static void tail(FILE *f, const Span *s) {
  if (s->from_start) {
    long skip = s->count - 1;
    for (int c; skip > 0 && (c = fgetc(f)) != EOF;)
      if (s->bytes || c == '\n') skip--;
    for (int c; (c = fgetc(f)) != EOF;) putchar(c);
    return;
  }
  /* Keeps the end of the text, trimming the kept part when it has doubled. */
  Buf kept = {0};
  char block[4096];
  for (size_t n; (n = fread(block, sizeof block, f)) > 0;) {
    buf_add(&kept, block, n);
    if (s->bytes && kept.len > (size_t)s->count * 2 + 65536) {
      size_t drop = kept.len - (size_t)s->count;
      memmove(kept.data, kept.data + drop, (size_t)s->count);
      kept.len = (size_t)s->count;
    }
  }
  size_t start = kept.len;
  if (s->bytes) {
    start = kept.len > (size_t)s->count ? kept.len - (size_t)s->count : 0;
  } else if (s->count > 0) {
    long lines = 0;
    while (start > 0) {
      if (kept.data[start - 1] == '\n' && start != kept.len && ++lines == s->count) break;
      start--;
    }
  }
  if (kept.len > start) fwrite(kept.data + start, kept.len - start, stdout);
  buf_free(&kept);
}

int tail_main(int argc, char **argv) {
  Span s;
  int status = 0;
  if (!parse_span(argc, argv, &s, true)) return usage_error();
  static char *dash[] = {"-", NULL};
  char **paths = optind < argc ? argv + optind : dash;
  FILE *last = NULL;
  for (char **path = paths; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) {
      status = 1;
      continue;
    }
    if ((paths[1] || s.verbose) && !s.quiet) show_header(*path, path == paths);
    tail(f, &s);
    last = f;
  }
  while (s.follow && last) {
    fflush(stdout);
    msleep(250);
    struct stat st;
    long at = sys_lseek(last->fd, 0, SEEK_CUR);
    if (at >= 0 && sys_fstat(last->fd, &st) == 0 && st.st_size < at) sys_lseek(last->fd, 0, SEEK_SET);
    copy_fd(last->fd, 1);
  }
  return status;
}

typedef struct { long lines, words, bytes, chars, longest; } Counts;

int wc_main(int argc, char **argv) {
  bool l = false, w = false, c = false, m = false, longest = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "lwcmL", "lines=l,words=w,bytes=c,chars=m,max-line-length=L")) >= 0) {
    if (opt == 'l') l = true;
    else if (opt == 'w') w = true;
    else if (opt == 'c') c = true;
    else if (opt == 'm') m = true;
    else if (opt == 'L') longest = true;
    else return usage_error();
  }
  if (!(l || w || c || m || longest)) l = w = c = true;
  static char *dash[] = {"-", NULL};
  bool operands = optind < argc;
  char **paths = operands ? argv + optind : dash;
  int n = 0;
  while (paths[n]) n++;
  Counts *all = calloc((size_t)n + 1, sizeof *all), *total = &all[n];
  bool *ok = calloc((size_t)n + 1, 1);
  for (int i = 0; i < n; i++) {
    FILE *f = open_operand(paths[i]);
    if (!f) {
      status = 1;
      continue;
    }
    ok[i] = true;
    bool in_word = false;
    long width = 0;
    for (int ch; (ch = fgetc(f)) != EOF;) {
      all[i].bytes++;
      all[i].chars += (ch & 0xc0) != 0x80;
      if (ch == '\n') {
        all[i].lines++;
        width = 0;
      } else if ((ch & 0xc0) != 0x80) {
        width += ch == '\t' ? 8 - width % 8 : 1;
      }
      if (width > all[i].longest) all[i].longest = width;
      if (isspace(ch)) in_word = false;
      else if (!in_word) in_word = true, all[i].words++;
    }
    close_operand(f);
    total->lines += all[i].lines;
    total->words += all[i].words;
    total->bytes += all[i].bytes;
    total->chars += all[i].chars;
    if (all[i].longest > total->longest) total->longest = all[i].longest;
  }
  /* Columns are as wide as the sum of the file sizes, or 7 when some input is no file. */
  int width = 1;
  if (l + w + c + m + longest > 1 || n > 1) {
    int64_t size = 0;
    char text[24];
    for (int i = 0; i < n; i++) {
      struct stat st;
      long err = strcmp(paths[i], "-") ? sys_stat(paths[i], &st) : sys_fstat(0, &st);
      if (!err && S_ISREG(st.st_mode)) size += st.st_size;
      else if (!err) width = 7;
    }
    int need = snprintf(text, sizeof text, "%ld", size);
    if (need > width) width = need;
  }
  for (int i = 0; i < n + (n > 1); i++) {
    if (i < n && !ok[i]) continue;
    const char *gap = "";
    const struct { bool on; long value; } columns[] = {{l, all[i].lines}, {w, all[i].words}, {m, all[i].chars}, {c, all[i].bytes}, {longest, all[i].longest}};
    for (size_t k = 0; k < countof(columns); k++)
      if (columns[k].on) printf("%s%*ld", gap, width, columns[k].value), gap = " ";
    if (i == n) printf(" total\n");
    else printf("%s%s\n", operands ? " " : "", operands ? paths[i] : "");
  }
  return status;
}
