/* od, hexdump, xxd, strings, cmp: looking at bytes. */
#include "../box.h"

/* Reads all operands one after the other. */
typedef struct { char **paths; FILE *f; bool failed; } Input;
static size_t input_read(Input *in, void *to, size_t n) {
  size_t done = 0;
  while (done < n) {
    if (!in->f) {
      if (!*in->paths) break;
      in->f = open_operand(*in->paths++);
      if (!in->f) {
        in->failed = true;
        continue;
      }
    }
    size_t k = fread((char *)to + done, n - done, in->f);
    done += k;
    if (done < n) {
      close_operand(in->f);
      in->f = NULL;
    }
  }
  return done;
}
static char *dash_operand[] = {"-", NULL};

/* ---- od ---- */

typedef struct { char type; int size; } Format;
static int cell_width(Format f) {
  static const int hex[] = {0, 2, 4, 0, 8, 0, 0, 0, 16}, octal[] = {0, 3, 6, 0, 11, 0, 0, 0, 22}, decimal[] = {0, 4, 6, 0, 11, 0, 0, 0, 20}, plain[] = {0, 3, 5, 0, 10, 0, 0, 0, 20};
  if (f.type == 'c' || f.type == 'a') return 3;
  return (f.type == 'x' ? hex : f.type == 'o' ? octal : f.type == 'd' ? decimal : plain)[f.size];
}
static void od_cell(Format f, const uint8_t *p, int width) {
  uint64_t v = 0;
  for (int i = f.size - 1; i >= 0; i--) v = v << 8 | p[i];
  char text[24];
  if (f.type == 'c' || f.type == 'a') {
    static const char from[] = "\0\a\b\t\n\v\f\r", *const to[] = {"\\0", "\\a", "\\b", "\\t", "\\n", "\\v", "\\f", "\\r"};
    static const char *const names[] = {"nul", "soh", "stx", "etx", "eot", "enq", "ack", "bel", "bs", "ht", "nl", "vt", "ff", "cr", "so", "si", "dle", "dc1", "dc2", "dc3", "dc4", "nak", "syn", "etb", "can", "em", "sub", "esc", "fs", "gs", "rs", "us", "sp"};
    const char *hit = memchr(from, (int)v, 8);
    if (f.type == 'a') {
      v &= 127;
      if (v <= 32) strcpy(text, names[v]);
      else if (v == 127) strcpy(text, "del");
      else snprintf(text, sizeof text, "%c", (int)v);
    } else if (hit) strcpy(text, to[hit - from]);
    else if (isprint((int)v)) snprintf(text, sizeof text, "%c", (int)v);
    else snprintf(text, sizeof text, "%03lo", v);
  } else if (f.type == 'd') {
    int shift = 64 - f.size * 8;
    snprintf(text, sizeof text, "%ld", (long)(v << shift) >> shift);
  } else {
    snprintf(text, sizeof text, f.type == 'x' ? "%0*lx" : f.type == 'o' ? "%0*lo" : "%*lu", cell_width(f), v);
  }
  printf(" %*s", width, text);
}

static void od_address(char base, uint64_t at) {
  if (base == 'd') printf("%07lu", at);
  else if (base == 'x') printf("%06lx", at);
  else if (base == 'o') printf("%07lo", at);
}

int od_main(int argc, char **argv) {
  Format formats[8];
  int count = 0, opt;
  char base = 'o';
  long skip = 0, limit = LONG_MAX, width = 16;
  bool all = false;
  while ((opt = getopt(argc, argv, "A:t:N:j:w:vabcdosx", "address-radix:=A,format:=t,read-bytes:=N,skip-bytes:=j,width:=w,output-duplicates=v")) >= 0) {
    Format f = {0, 0};
    switch (opt) {
      case 'A': base = *optarg; break;
      case 'N': limit = parse_size(optarg); break;
      case 'j': skip = parse_size(optarg); break;
      case 'w': width = atoi(optarg); break;
      case 'v': all = true; break;
      case 'a': f = (Format){'a', 1}; break;
      case 'b': f = (Format){'o', 1}; break;
      case 'c': f = (Format){'c', 1}; break;
      case 'd': f = (Format){'u', 2}; break;
      case 'o': f = (Format){'o', 2}; break;
      case 's': f = (Format){'d', 2}; break;
      case 'x': f = (Format){'x', 2}; break;
      case 't':
        for (char *p = optarg; *p;) {
          if (!strchr("acdoux", *p) || count == (int)countof(formats)) die("invalid type string '%s'", optarg);
          Format g = {*p, *p == 'a' || *p == 'c' ? 1 : 4};
          p++;
          if (isdigit((unsigned char)*p)) g.size = (int)strtol(p, &p, 10);
          else if (*p == 'C') g.size = 1, p++;
          else if (*p == 'S') g.size = 2, p++;
          else if (*p == 'I') g.size = 4, p++;
          else if (*p == 'L') g.size = 8, p++;
          if (g.size != 1 && g.size != 2 && g.size != 4 && g.size != 8) die("invalid type string '%s'", optarg);
          formats[count++] = g;
        }
        break;
      default: return usage_error();
    }
    if (f.type && count < (int)countof(formats)) formats[count++] = f;
  }
  if (!count) formats[count++] = (Format){'o', 2};
  if (width < 1 || width > 256 || skip < 0 || limit < 0) return usage_error();
  /* Cells of different formats line up: each takes the widest room per byte. */
  int per_byte_block = 8, room = 0;
  for (int i = 0; i < count; i++) {
    int total = (cell_width(formats[i]) + 1) * (per_byte_block / formats[i].size);
    if (total > room) room = total;
  }
  Input in = {.paths = optind < argc ? argv + optind : dash_operand};
  uint8_t block[256 + 8], previous[256];
  uint64_t at = 0;
  for (long left = skip; left > 0;) {
    size_t n = input_read(&in, block, (size_t)(left < 256 ? left : 256));
    if (!n) die("cannot skip past end of combined input");
    left -= (long)n;
    at += n;
  }
  bool have_previous = false, starred = false;
  for (;;) {
    size_t want = (size_t)(limit < width ? limit : width), n = want ? input_read(&in, block, want) : 0;
    if (!n) break;
    limit -= (long)n;
    memset(block + n, 0, sizeof block - n);
    if (!all && have_previous && n == (size_t)width && !memcmp(previous, block, n)) {
      if (!starred) puts("*");
      starred = true;
    } else {
      starred = false;
      for (int i = 0; i < count; i++) {
        Format f = formats[i];
        if (i == 0) od_address(base, at);
        else printf("%*s", base == 'n' ? 0 : base == 'x' ? 6 : 7, "");
        int cell = room / (per_byte_block / f.size) - 1, done = 0;
        for (size_t k = 0; k < n; k += (size_t)f.size, done += cell + 1) od_cell(f, block + k, cell);
        putchar('\n');
      }
      memcpy(previous, block, (size_t)width);
      have_previous = n == (size_t)width;
    }
    at += n;
    if (n < want) break;
  }
  if (base != 'n') {
    od_address(base, at);
    putchar('\n');
  }
  return in.failed;
}

/* ---- hexdump, xxd ---- */

static void text_column(const uint8_t *p, size_t n) {
  for (size_t i = 0; i < n; i++) putchar(isprint(p[i]) ? p[i] : '.');
}

int hexdump_main(int argc, char **argv) {
  bool canonical = false, all = false;
  long limit = LONG_MAX, skip = 0;
  int opt;
  while ((opt = getopt(argc, argv, "Cn:s:vx", "canonical=C,length:=n,skip:=s")) >= 0) {
    if (opt == 'C') canonical = true;
    else if (opt == 'n') limit = parse_size(optarg);
    else if (opt == 's') skip = parse_size(optarg);
    else if (opt == 'v') all = true;
    else if (opt != 'x') return usage_error();
  }
  Input in = {.paths = optind < argc ? argv + optind : dash_operand};
  uint8_t block[16], previous[16];
  uint64_t at = (uint64_t)skip;
  bool have_previous = false, starred = false, any = false;
  for (; skip > 0; skip--)
    if (!input_read(&in, block, 1)) break;
  for (;;) {
    size_t want = limit < 16 ? (size_t)limit : 16, n = want ? input_read(&in, block, want) : 0;
    if (!n) break;
    any = true;
    limit -= (long)n;
    if (!all && have_previous && n == 16 && !memcmp(block, previous, 16)) {
      if (!starred) puts("*");
      starred = true;
    } else {
      starred = false;
      printf(canonical ? "%08lx" : "%07lx", at);
      for (size_t i = 0; i < 16; i += canonical ? 1 : 2) {
        if (canonical) printf(i < n ? "%s%02x" : "%s  ", i % 8 ? " " : "  ", block[i]);
        else if (i < n) printf(" %02x%02x", i + 1 < n ? block[i + 1] : 0, block[i]);
        else printf("     ");
      }
      if (canonical) {
        printf("  |");
        text_column(block, n);
        putchar('|');
      }
      putchar('\n');
      memcpy(previous, block, 16);
      have_previous = n == 16;
    }
    at += n;
  }
  if (any) printf(canonical ? "%08lx\n" : "%07lx\n", at);
  return in.failed;
}

static int hex_digit(int c) { return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1; }

/* Turns a dump back into bytes: after the first ':' of a line, or (plain) all of it. */
static int xxd_reverse(Input *in, bool plain) {
  char c;
  bool data = plain;
  int high = -1, spaces = 0;
  while (input_read(in, &c, 1) == 1) {
    int d = hex_digit((unsigned char)c);
    if (c == '\n') data = plain, high = -1, spaces = 0;
    else if (!data) data = c == ':';
    else if (spaces >= 2) continue; /* the text column */
    else if (d >= 0) {
      spaces = 0;
      if (high < 0) high = d;
      else putchar(high << 4 | d), high = -1;
    } else if (c == ' ' && !plain) spaces++;
  }
  return 0;
}

int xxd_main(int argc, char **argv) {
  bool plain = false, reverse = false, upper = false;
  long columns = 0, limit = LONG_MAX, skip = 0, group = 2;
  int opt;
  while ((opt = getopt(argc, argv, "pruc:l:s:g:", NULL)) >= 0) {
    if (opt == 'p') plain = true;
    else if (opt == 'r') reverse = true;
    else if (opt == 'u') upper = true;
    else if (opt == 'c') columns = atoi(optarg);
    else if (opt == 'l') limit = parse_size(optarg);
    else if (opt == 's') skip = parse_size(optarg);
    else if (opt == 'g') group = atoi(optarg);
    else return usage_error();
  }
  Input in = {.paths = optind < argc ? argv + optind : dash_operand};
  if (reverse) return xxd_reverse(&in, plain);
  if (columns < 1 || columns > 256) columns = plain ? 30 : 16;
  if (group < 1) group = columns;
  uint8_t block[256];
  uint64_t at = (uint64_t)skip;
  for (; skip > 0; skip--) input_read(&in, block, 1);
  for (;;) {
    size_t want = (size_t)(limit < columns ? limit : columns), n = want ? input_read(&in, block, want) : 0;
    if (!n) break;
    limit -= (long)n;
    if (!plain) printf("%08lx:", at);
    for (size_t i = 0; i < (size_t)columns; i++) {
      if (!plain && i % (size_t)group == 0) putchar(' ');
      if (i < n) printf(upper ? "%02X" : "%02x", block[i]);
      else if (!plain) printf("  ");
    }
    if (!plain) {
      printf("  ");
      text_column(block, n);
    }
    putchar('\n');
    at += n;
  }
  return in.failed;
}

/* ---- strings, cmp ---- */

int strings_main(int argc, char **argv) {
  long min = 4;
  char base = 0;
  int opt;
  while ((opt = getopt(argc, argv, "n:t:a", "bytes:=n,radix:=t,all=a")) >= 0) {
    if (opt == 'n') min = atoi(optarg);
    else if (opt == 't') base = *optarg;
    else if (opt == '?') return usage_error();
  }
  if (min < 1) min = 1;
  Input in = {.paths = optind < argc ? argv + optind : dash_operand};
  Buf run = {0};
  uint64_t at = 0;
  for (bool more = true; more;) {
    uint8_t c = 0;
    more = input_read(&in, &c, 1) == 1;
    if (more && (isprint(c) || c == '\t')) {
      buf_char(&run, c);
    } else {
      if ((long)run.len >= min) {
        if (base) printf(base == 'x' ? "%7lx " : base == 'o' ? "%7lo " : "%7lu ", at - run.len);
        puts(run.data);
      }
      run.len = 0;
    }
    at++;
  }
  return in.failed;
}

int cmp_main(int argc, char **argv) {
  bool list = false, silent = false;
  long limit = LONG_MAX;
  int opt;
  while ((opt = getopt(argc, argv, "lsn:b", "verbose=l,silent=s,quiet=s,bytes:=n")) >= 0) {
    if (opt == 'l') list = true;
    else if (opt == 's') silent = true;
    else if (opt == 'n') limit = parse_size(optarg);
    else if (opt == '?') return usage_error(), 2;
  }
  if (argc - optind < 1 || argc - optind > 2) return usage_error(), 2;
  const char *a = argv[optind], *b = argc - optind > 1 ? argv[optind + 1] : "-";
  FILE *f = open_operand(a), *g = f ? open_operand(b) : NULL;
  if (!f || !g) return 2;
  long line = 1;
  bool differ = false;
  /* Offsets are as wide as the shorter file's size. */
  struct stat sa = {0}, sb = {0};
  sys_fstat(f->fd, &sa);
  sys_fstat(g->fd, &sb);
  char digits[24];
  int width = snprintf(digits, sizeof digits, "%ld", sa.st_size < sb.st_size ? sa.st_size : sb.st_size);
  for (long i = 1; i <= limit; i++) {
    int x = fgetc(f), y = fgetc(g);
    if (x == EOF && y == EOF) break;
    if (x == EOF || y == EOF) {
      if (!silent) {
        const char *which = x == EOF ? a : b;
        if (i == 1) fprintf(stderr, "cmp: EOF on %s which is empty\n", which);
        else if (list) fprintf(stderr, "cmp: EOF on %s after byte %ld\n", which, i - 1);
        else fprintf(stderr, "cmp: EOF on %s after byte %ld, line %ld\n", which, i - 1, line);
      }
      return 1;
    }
    if (x != y) {
      differ = true;
      if (silent) return 1;
      if (!list) {
        printf("%s %s differ: char %ld, line %ld\n", a, b, i, line);
        return 1;
      }
      printf("%*ld %3o %3o\n", width, i, (unsigned)x, (unsigned)y);
    }
    if (x == '\n') line++;
  }
  return differ;
}
