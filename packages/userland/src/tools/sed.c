/* sed: the POSIX commands, plus -E -i -s, addr,+N, first~step, 0,/re/, s///I w e-less flags,
 * and \n \t in patterns and replacements. */
#include "../box.h"

typedef struct { enum { A_NONE, A_LINE, A_LAST, A_REGEX, A_STEP, A_PLUS, A_ZERO } kind; long n, step; Regex *re; } Address;
typedef struct Command {
  Address from, to;
  bool negate, in_range;
  long range_end;
  char name;
  char *text;            /* a i c, label, file name, replacement, y's from */
  char *map;             /* y: 256 bytes */
  Regex *re;             /* s; NULL means the last one used */
  bool global, print, last_regex;
  int which;             /* s///N */
  int jump;              /* b t T, and } of { */
  FILE *out;             /* w, s///w */
} Command;

static Command *commands;
static int count;
static bool quiet, extended, in_place, separate, done;
static const char *suffix;
static int exit_code;

static const char *s; /* the script being parsed */
static Regex *last_regex;

static _Noreturn void bad(const char *what) { die("%s near '%.20s'", what, s); }

/* Text up to an unescaped delimiter; an escaped one loses its backslash. Brackets protect it. */
static char *delimited(char delim, bool regex) {
  Buf b = {0};
  buf_str(&b, "");
  for (bool bracket = false;; s++) {
    if (!*s) bad("unterminated expression");
    if (*s == delim && !bracket) break;
    if (*s == '\n' && regex) bad("newline in expression");
    if (regex && *s == '[' && !bracket) {
      bracket = true;
      buf_char(&b, *s++);
      if (*s == '^') buf_char(&b, *s++);
      if (*s == ']') buf_char(&b, *s++);
      s--;
      continue;
    }
    if (regex && bracket && *s == '[' && (s[1] == ':' || s[1] == '.' || s[1] == '=')) {
      char kind = s[1];
      buf_add(&b, s, 2);
      for (s += 2; *s && !(*s == kind && s[1] == ']'); s++) buf_char(&b, *s);
      if (*s) buf_add(&b, s, 2), s++;
      continue;
    }
    if (*s == ']') bracket = false;
    if (*s == '\\' && s[1] && !(bracket && s[1] != 'n' && s[1] != 't')) {
      if (s[1] == delim) {
        s++;
        /* A delimiter that is special in the expression becomes literal. */
        if (regex && strchr(".*[]^$+?(){}|", delim) && delim != ',') buf_char(&b, '\\');
      } else if (s[1] == 'n' && regex) {
        buf_char(&b, '\n');
        s++;
        continue;
      } else if (s[1] == 't' && regex) {
        buf_char(&b, '\t');
        s++;
        continue;
      } else {
        buf_char(&b, *s++);
      }
    }
    buf_char(&b, *s);
  }
  s++;
  return buf_take(&b);
}

static Regex *compile(const char *text, bool icase) {
  const char *error = "";
  Regex *re = regex_compile(text, (extended ? REG_EXTENDED : 0) | (icase ? REG_ICASE : 0), &error);
  if (!re) die("%s: '%s'", error, text);
  return re;
}

static void blanks(void) {
  while (*s == ' ' || *s == '\t') s++;
}
static long digits(void) {
  char *end;
  long n = strtol(s, &end, 10);
  s = end;
  return n;
}

static bool parse_address(Address *a, bool second) {
  if (isdigit((unsigned char)*s)) {
    a->kind = A_LINE;
    a->n = digits();
    if (*s == '~' && !second) {
      s++;
      a->kind = A_STEP;
      a->step = digits();
    } else if (!a->n && !second) {
      a->kind = A_ZERO;
    }
  } else if (*s == '$') {
    s++;
    a->kind = A_LAST;
  } else if (*s == '+' && second) {
    s++;
    a->kind = A_PLUS;
    a->n = digits();
  } else if (*s == '/' || (*s == '\\' && s[1])) {
    if (*s == '\\') s++;
    char delim = *s++;
    char *text = delimited(delim, true);
    bool icase = *s == 'I';
    if (icase) s++;
    a->kind = A_REGEX;
    a->re = *text ? compile(text, icase) : NULL;
  } else {
    return false;
  }
  return true;
}

/* a, i, c: text to the end of the line; a backslash continues it. */
static char *parse_text(void) {
  Buf b = {0};
  blanks();
  if (*s == '\\') {
    s++;
    blanks();
    if (*s == '\n') s++;
  }
  for (; *s && *s != '\n'; s++) {
    if (*s == '\\' && s[1]) s++;
    buf_char(&b, *s);
  }
  buf_char(&b, '\n');
  return buf_take(&b);
}
static char *parse_word(void) {
  blanks();
  size_t n = strcspn(s, "\n;}");
  while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
  char *word = strndup(s, n);
  s += n;
  return word;
}
static FILE *open_output(const char *path) {
  if (!strcmp(path, "/dev/stdout")) return stdout;
  if (!strcmp(path, "/dev/stderr")) return stderr;
  int err;
  FILE *f = fopen(path, "w", &err);
  if (!f) die_errno(err, "%s", path);
  return f;
}

static void parse_substitute(Command *c) {
  char delim = *s++;
  char *pattern = delimited(delim, true);
  c->text = delimited(delim, false);
  c->which = 1;
  bool icase = false;
  for (;; s++) {
    if (*s == 'g') c->global = true;
    else if (*s == 'p') c->print = true;
    else if (*s == 'I' || *s == 'i') icase = true;
    else if (isdigit((unsigned char)*s)) c->which = (int)digits(), s--;
    else if (*s == 'w') {
      s++;
      blanks();
      size_t n = strcspn(s, "\n");
      char *path = strndup(s, n);
      c->out = open_output(path);
      s += n;
      break;
    } else break;
  }
  c->re = *pattern ? compile(pattern, icase) : NULL;
}

static void parse_transliterate(Command *c) {
  char delim = *s++;
  char *from = delimited(delim, false), *to = delimited(delim, false);
  c->map = malloc(256);
  for (int i = 0; i < 256; i++) c->map[i] = (char)i;
  while (*from && *to) {
    char x = *from++, y = *to++;
    if (x == '\\' && *from) x = *from == 'n' ? '\n' : *from, from++;
    if (y == '\\' && *to) y = *to == 'n' ? '\n' : *to, to++;
    c->map[(unsigned char)x] = y;
  }
  if (*from || *to) die("strings for y command are different lengths");
}

static void parse_script(const char *text) {
  s = text;
  int open[32], depth = 0;
  for (;;) {
    while (isspace((unsigned char)*s) || *s == ';') s++;
    if (!*s) break;
    if (*s == '#') {
      s += strcspn(s, "\n");
      continue;
    }
    commands = realloc(commands, (size_t)(count + 1) * sizeof *commands);
    Command *c = &commands[count++];
    *c = (Command){0};
    if (parse_address(&c->from, false)) {
      blanks();
      if (*s == ',') {
        s++;
        blanks();
        if (!parse_address(&c->to, true)) bad("unexpected ,");
      }
    }
    blanks();
    while (*s == '!') c->negate = true, s++, blanks();
    c->name = *s ? *s++ : 0;
    switch (c->name) {
      case '{':
        if (depth == (int)countof(open)) bad("too many {");
        open[depth++] = count - 1;
        break;
      case '}':
        if (!depth) bad("unexpected }");
        commands[open[--depth]].jump = count - 1;
        break;
      case 'a': case 'i': case 'c': c->text = parse_text(); break;
      case ':': case 'b': case 't': case 'T':
        blanks();
        c->text = c->name == ':' ? strndup(s, strcspn(s, "\n; ")) : parse_word();
        if (c->name == ':') s += strlen(c->text);
        break;
      case 'r': case 'R': case 'w': {
        blanks();
        size_t n = strcspn(s, "\n");
        c->text = strndup(s, n);
        s += n;
        if (c->name == 'w') c->out = open_output(c->text);
        break;
      }
      case 's': parse_substitute(c); break;
      case 'y': parse_transliterate(c); break;
      case 'q': case 'Q': case 'l': blanks(); c->which = (int)digits(); break;
      case 'd': case 'D': case 'g': case 'G': case 'h': case 'H': case 'n': case 'N': case 'p': case 'P': case 'x': case '=': case 'z': break;
      default: s--; bad("unknown command");
    }
    blanks();
    if (*s && !strchr(";\n}#", *s) && !strchr("{}:", c->name)) bad("extra characters after command");
  }
  if (depth) bad("unmatched {");
}

static void resolve_labels(void) {
  for (int i = 0; i < count; i++) {
    Command *c = &commands[i];
    if (c->name != 'b' && c->name != 't' && c->name != 'T') continue;
    c->jump = count;
    if (!*c->text) continue;
    int k = 0;
    while (k < count && !(commands[k].name == ':' && !strcmp(commands[k].text, c->text))) k++;
    if (k == count) die("can't find label for jump to '%s'", c->text);
    c->jump = k;
  }
}

/* ---- execution ---- */

static char **paths;
static FILE *input;
static char *next_line;
static size_t next_cap;
static ssize_t next_len = -1;
static bool have_next, newline_at_end = true;
static long line_number;
static FILE *out_file;
static char *replaced_path, *temporary;
static Buf space, hold, appended;

static void finish_file(void) {
  if (!input) return;
  close_operand(input);
  input = NULL;
  if (!replaced_path) return;
  fclose(out_file);
  if (suffix) {
    char *backup = asprintf("%s%s", replaced_path, suffix);
    sys_rename(replaced_path, backup);
    free(backup);
  }
  long err = sys_rename(temporary, replaced_path);
  if (err < 0) die_errno(err, "%s", replaced_path);
  replaced_path = NULL;
  out_file = stdout;
}

static bool start_file(void) {
  while (*paths) {
    char *path = *paths++;
    input = open_operand(path);
    if (!input) {
      exit_code = 2;
      continue;
    }
    if (in_place) {
      struct stat st;
      int err;
      sys_stat(path, &st);
      temporary = asprintf("%s.sed%ld", path, sys_getpid());
      out_file = fopen(temporary, "w", &err);
      if (!out_file) die_errno(err, "%s", temporary);
      sys_chmod(temporary, (int)st.st_mode & 07777);
      replaced_path = path;
    }
    if (separate) line_number = 0;
    return true;
  }
  return false;
}

/* Reads ahead one line, so that $ can be recognised; across files unless they are separate. */
static bool fill_next(void) {
  while (!have_next) {
    if (!input && !start_file()) return false;
    next_len = getline(&next_line, &next_cap, input);
    if (next_len >= 0) {
      have_next = true;
    } else if (separate) {
      return false;
    } else {
      finish_file();
    }
  }
  return true;
}

static bool read_line(Buf *to) {
  if (!fill_next()) {
    if (!separate) return false;
    finish_file();
    if (!*paths || !fill_next()) return false;
  }
  have_next = false;
  newline_at_end = next_len > 0 && next_line[next_len - 1] == '\n';
  buf_add(to, next_line, (size_t)next_len - newline_at_end);
  line_number++;
  return true;
}
static bool is_last(void) { return !have_next && !fill_next(); }

static void print(const char *text, size_t n, bool newline) {
  fwrite(text, n, out_file);
  if (newline) fputc('\n', out_file);
}
static void flush_appended(void) {
  if (appended.len) fwrite(appended.data, appended.len, out_file);
  appended.len = 0;
}

static bool matches_regex(Regex *re) {
  RegMatch m[REG_GROUPS];
  if (re) last_regex = re;
  if (!last_regex) die("no previous regular expression");
  return regex_search(last_regex, space.data, space.len, 0, m);
}
static bool matches(const Address *a) {
  switch (a->kind) {
    case A_LINE: return line_number == a->n;
    case A_LAST: return is_last();
    case A_REGEX: return matches_regex(a->re);
    case A_STEP: return a->step > 0 ? line_number >= a->n && (line_number - a->n) % a->step == 0 : line_number == a->n;
    default: return false;
  }
}
static bool selected(Command *c) {
  if (c->from.kind == A_NONE) return !c->negate;
  bool hit;
  if (c->to.kind == A_NONE) {
    hit = matches(&c->from);
  } else if (c->in_range) {
    hit = true;
    if (c->to.kind == A_LINE || c->to.kind == A_PLUS) {
      if (line_number >= c->range_end) c->in_range = false;
      if (line_number > c->range_end) hit = false;
    } else if (matches(&c->to)) {
      c->in_range = false;
    }
  } else if ((hit = c->from.kind == A_ZERO ? line_number == 1 : matches(&c->from))) {
    c->range_end = c->to.kind == A_PLUS ? line_number + c->to.n : c->to.n;
    if (c->from.kind == A_ZERO) c->in_range = !matches(&c->to);
    else c->in_range = c->to.kind == A_LINE || c->to.kind == A_PLUS ? c->range_end > line_number : c->to.kind != A_LAST || !is_last();
  }
  return hit != c->negate;
}

static void add_cased(Buf *out, const char *p, size_t n, char *once, char mode) {
  for (size_t i = 0; i < n; i++) {
    int c = (unsigned char)p[i];
    if (*once) c = *once == 'u' ? toupper(c) : tolower(c), *once = 0;
    else if (mode == 'U') c = toupper(c);
    else if (mode == 'L') c = tolower(c);
    buf_char(out, c);
  }
}

static bool substitute(Command *c) {
  if (c->re) last_regex = c->re;
  if (!last_regex) die("no previous regular expression");
  Buf out = {0};
  RegMatch m[REG_GROUPS];
  size_t at = 0, copied = 0;
  ssize_t last_end = -1;
  int n = 0;
  bool changed = false;
  while (at <= space.len && regex_search(last_regex, space.data, space.len, at, m)) {
    size_t start = (size_t)m[0].start, end = (size_t)m[0].end;
    if (start == end && m[0].start == last_end) { /* empty, right behind the previous match */
      at = start + 1;
      continue;
    }
    last_end = m[0].end;
    n++;
    if (n >= c->which) {
      char once = 0, mode = 0;
      buf_add(&out, space.data + copied, start - copied);
      for (const char *r = c->text; *r; r++) {
        int group = -1;
        if (*r == '&') group = 0;
        else if (*r == '\\' && r[1]) {
          r++;
          if (isdigit((unsigned char)*r)) group = *r - '0';
          else if (*r == 'n') add_cased(&out, "\n", 1, &once, mode);
          else if (*r == 't') add_cased(&out, "\t", 1, &once, mode);
          else if (*r == 'U' || *r == 'L') mode = *r;
          else if (*r == 'u' || *r == 'l') once = *r;
          else if (*r == 'E') mode = 0;
          else add_cased(&out, r, 1, &once, mode);
        } else {
          add_cased(&out, r, 1, &once, mode);
        }
        if (group >= 0 && m[group].start >= 0) add_cased(&out, space.data + m[group].start, (size_t)(m[group].end - m[group].start), &once, mode);
      }
      copied = end;
      changed = true;
      if (!c->global) break;
    }
    at = start == end ? end + 1 : end;
  }
  if (!changed) {
    buf_free(&out);
    return false;
  }
  buf_add(&out, space.data + copied, space.len - copied);
  buf_free(&space);
  space = out;
  if (c->print) print(space.data, space.len, true);
  if (c->out) {
    fprintf(c->out, "%s\n", space.data);
    fflush(c->out);
  }
  return true;
}

static void list_line(int width) {
  int column = 0;
  if (!width) width = 70;
  for (size_t i = 0; i < space.len; i++) {
    static const char from[] = "\a\b\f\n\r\t\v\\", to[] = "abfnrtv\\";
    char piece[8];
    unsigned char c = (unsigned char)space.data[i];
    const char *hit = c ? strchr(from, c) : NULL;
    if (hit) snprintf(piece, sizeof piece, "\\%c", to[hit - from]);
    else if (isprint(c)) snprintf(piece, sizeof piece, "%c", c);
    else snprintf(piece, sizeof piece, "\\%03o", c);
    int n = (int)strlen(piece);
    if (width > 1 && column + n > width - 1) {
      print("\\", 1, true);
      column = 0;
    }
    print(piece, (size_t)n, false);
    column += n;
  }
  print("$", 1, true);
}

static void end_cycle(void) {
  if (!quiet) print(space.data ? space.data : "", space.len, newline_at_end || !is_last() || appended.len);
  flush_appended();
}

/* One pass of the script. Returns true to start the next cycle without reading a line (D). */
static bool cycle(void) {
  bool substituted = false;
  for (int pc = 0; pc < count; pc++) {
    Command *c = &commands[pc];
    if (c->name == '}' || c->name == ':') continue;
    if (!selected(c)) {
      if (c->name == '{') pc = c->jump;
      continue;
    }
    switch (c->name) {
      case '{': break;
      case 'a': buf_str(&appended, c->text); break;
      case 'i': fputs(c->text, out_file); break;
      case 'c':
        if (c->to.kind == A_NONE || c->negate || !c->in_range) fputs(c->text, out_file);
        flush_appended();
        return false;
      case 'b': pc = c->jump - (c->jump < count ? 0 : 1); break;
      case 't':
        if (substituted) pc = c->jump - (c->jump < count ? 0 : 1);
        substituted = false;
        break;
      case 'T':
        if (!substituted) pc = c->jump - (c->jump < count ? 0 : 1);
        substituted = false;
        break;
      case 'd': flush_appended(); return false;
      case 'D': {
        char *newline = memchr(space.data, '\n', space.len);
        flush_appended();
        if (!newline) return false;
        size_t n = (size_t)(newline + 1 - space.data);
        memmove(space.data, newline + 1, space.len - n + 1);
        space.len -= n;
        return true;
      }
      case 'g': space.len = 0; buf_add(&space, hold.data ? hold.data : "", hold.len); break;
      case 'G': buf_char(&space, '\n'); buf_add(&space, hold.data ? hold.data : "", hold.len); break;
      case 'h': hold.len = 0; buf_add(&hold, space.data, space.len); break;
      case 'H': buf_char(&hold, '\n'); buf_add(&hold, space.data, space.len); break;
      case 'x': {
        Buf t = space;
        space = hold;
        hold = t;
        buf_str(&space, "");
        break;
      }
      case 'n':
        if (is_last()) {
          end_cycle();
          done = true;
          return false;
        }
        if (!quiet) print(space.data, space.len, true);
        flush_appended();
        space.len = 0;
        read_line(&space);
        break;
      case 'N':
        if (is_last()) {
          end_cycle();
          done = true;
          return false;
        }
        flush_appended();
        buf_char(&space, '\n');
        read_line(&space);
        break;
      case 'l': list_line(c->which); break;
      case 'p': print(space.data, space.len, true); break;
      case 'P': print(space.data, strcspn(space.data, "\n"), true); break;
      case 'q':
        end_cycle();
        exit_code = c->which;
        done = true;
        return false;
      case 'Q':
        exit_code = c->which;
        done = true;
        return false;
      case 'r': {
        size_t n;
        char *text = read_file(c->text, &n);
        if (text) buf_add(&appended, text, n);
        free(text);
        break;
      }
      case 's':
        if (substitute(c)) substituted = true;
        break;
      case 'w':
        fprintf(c->out, "%s\n", space.data);
        fflush(c->out);
        break;
      case 'y':
        for (size_t i = 0; i < space.len; i++) space.data[i] = c->map[(unsigned char)space.data[i]];
        break;
      case 'z': space.len = 0; *space.data = 0; break;
      case '=': fprintf(out_file, "%ld\n", line_number); break;
    }
  }
  end_cycle();
  return false;
}

int sed_main(int argc, char **argv) {
  Buf script = {0};
  bool given = false;
  int opt;
  while ((opt = getopt(argc, argv, "nEre:f:i::sz", "quiet=n,silent=n,regexp-extended=E,expression:=e,file:=f,in-place=i,separate=s")) >= 0) {
    switch (opt) {
      case 'n': quiet = true; break;
      case 'E': case 'r': extended = true; break;
      case 'e':
        buf_printf(&script, "%s\n", optarg);
        given = true;
        break;
      case 'f': {
        char *text = read_file(optarg, NULL);
        if (!text) die_errno(ENOENT, "couldn't open file %s", optarg);
        buf_printf(&script, "%s\n", text);
        given = true;
        break;
      }
      case 'i':
        in_place = separate = true;
        suffix = optarg;
        break;
      case 's': separate = true; break;
      default: return usage_error();
    }
  }
  if (!given) {
    if (optind >= argc) return usage_error();
    buf_str(&script, argv[optind++]);
  }
  if (starts_with(script.data, "#n\n")) quiet = true;
  parse_script(script.data);
  resolve_labels();
  static char *dash[] = {"-", NULL};
  paths = optind < argc ? argv + optind : dash;
  out_file = stdout;
  buf_str(&space, "");
  bool keep = false;
  while (!done) {
    if (!keep) {
      space.len = 0;
      if (!read_line(&space)) break;
    }
    keep = cycle();
  }
  if (done && replaced_path) { /* q in place keeps the rest */
    if (have_next) fwrite(next_line, (size_t)next_len, out_file);
    for (ssize_t n; (n = getline(&next_line, &next_cap, input)) >= 0;) fwrite(next_line, (size_t)n, out_file);
  }
  finish_file();
  return exit_code;
}
