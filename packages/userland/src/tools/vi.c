/*
 * vi: a small visual editor. Motions h j k l w b e 0 ^ $ gg G f t H L, counts, operators d c y with
 * a motion or doubled, x X D C J r ~ p P u i I a A o O, / ? n N, : w q x e N %s s d r, ZZ.
 *
 * The text is an array of lines. A change saves the whole text first, for u (files here are small).
 */
#include "../box.h"

static StrList text; /* at least one line */
static size_t row, col, top;
static int rows, cols;
static bool modified, quit, insert_mode;
static char *path;
static char message[256];
static Buf yank; /* lines end in \n when linewise */
static bool yank_lines;
static Regex *pattern;
static bool search_forward = true;
static StrList undo_stack;
static struct termios cooked;

enum { UP = 1000, DOWN, LEFT, RIGHT, HOME, END, PAGE_UP, PAGE_DOWN, DELETE };

static char *line(void) { return text.items[row]; }
static size_t line_length(void) { return strlen(line()); }

/* ---- text ---- */

static char *join_text(void) {
  Buf b = {0};
  for (size_t i = 0; i < text.len; i++) buf_printf(&b, "%s\n", text.items[i]);
  return buf_take(&b);
}
static void insert_line(size_t at, char *s) {
  list_add(&text, NULL);
  memmove(text.items + at + 1, text.items + at, (text.len - 1 - at) * sizeof *text.items);
  text.items[at] = s;
}
static void remove_line(size_t at) {
  free(text.items[at]);
  memmove(text.items + at, text.items + at + 1, (text.len - at) * sizeof *text.items);
  if (!--text.len) list_add(&text, strdup(""));
}
static void set_text(const char *s) {
  list_free(&text);
  while (*s) {
    size_t n = strcspn(s, "\n");
    list_add(&text, strndup(s, n));
    s += n + (s[n] == '\n');
  }
  if (!text.len) list_add(&text, strdup(""));
}
static void save_undo(void) {
  if (undo_stack.len == 64) {
    free(undo_stack.items[0]);
    memmove(undo_stack.items, undo_stack.items + 1, undo_stack.len * sizeof *undo_stack.items);
    undo_stack.len--;
  }
  list_add(&undo_stack, join_text());
  modified = true;
}
static void undo(void) {
  if (!undo_stack.len) {
    strcpy(message, "Already at oldest change");
    return;
  }
  char *s = undo_stack.items[--undo_stack.len];
  set_text(s);
  free(s);
}
static void replace_line(char *s) {
  free(text.items[row]);
  text.items[row] = s;
}
static void insert_text(const char *s, size_t n) {
  char *old = line();
  replace_line(asprintf("%.*s%.*s%s", (int)col, old, (int)n, s, old + col));
  col += n;
}
static void split_line(void) {
  char *rest = strdup(line() + col);
  line()[col] = 0;
  insert_line(++row, rest);
  col = 0;
}
static void clamp(void) {
  if (row >= text.len) row = text.len - 1;
  size_t n = line_length();
  if (col > n) col = n;
  if (!insert_mode && col && col == n) col--;
  while (col && ((unsigned char)line()[col] & 0xc0) == 0x80) col--;
}

static bool load(const char *name) {
  size_t n;
  char *s = read_file(name, &n);
  set_text(s ? s : "");
  snprintf(message, sizeof message, s ? "\"%s\" %lu lines" : "\"%s\" [New File]", name, text.len);
  free(s);
  modified = false;
  row = col = top = 0;
  return true;
}
static bool save(const char *name) {
  if (!name || !*name) {
    strcpy(message, "No file name");
    return false;
  }
  int err;
  FILE *f = fopen(name, "w", &err);
  if (!f) {
    snprintf(message, sizeof message, "\"%s\" %s", name, strerror(-err));
    return false;
  }
  for (size_t i = 0; i < text.len; i++) fprintf(f, "%s\n", text.items[i]);
  err = fclose(f);
  if (err < 0) snprintf(message, sizeof message, "\"%s\" %s", name, strerror(-err));
  else snprintf(message, sizeof message, "\"%s\" %lu lines written", name, text.len), modified = false;
  return err == 0;
}

/* ---- screen ---- */

static size_t screen_column(const char *s, size_t at) {
  size_t x = 0;
  for (size_t i = 0; i < at && s[i]; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '\t') x += 8 - x % 8;
    else if (c < 32) x += 2;
    else x += (c & 0xc0) != 0x80;
  }
  return x;
}
/* One row of text, cut to the window and with tabs and control bytes made visible. */
static void render(Buf *out, const char *s, size_t shift) {
  size_t at = 0, edge = shift + (size_t)cols;
  for (; *s && at < edge; s++) {
    unsigned char c = (unsigned char)*s;
    size_t width = c == '\t' ? 8 - at % 8 : c < 32 ? 2 : (c & 0xc0) != 0x80;
    if (at >= shift) {
      if (c == '\t') buf_printf(out, "%*s", (int)(at + width > edge ? edge - at : width), "");
      else if (c < 32) buf_printf(out, "^%c", c ^ 64);
      else buf_char(out, c);
    }
    at += width;
  }
}

/* What each row of the screen shows, so that only changed rows are sent. */
static StrList shown;

static void put_row(size_t at, Buf *row_text) {
  while (shown.len <= at) list_add(&shown, strdup("\001")); /* differs from any row */
  if (strcmp(shown.items[at], row_text->data)) {
    printf("\033[%lu;1H%s\033[K", at + 1, row_text->data);
    free(shown.items[at]);
    shown.items[at] = strdup(row_text->data);
  }
  row_text->len = 0;
}

static void draw(void) {
  struct winsize w = {0};
  sys_ioctl(1, TIOCGWINSZ, &w);
  int height = w.rows > 2 ? w.rows : 24, width = w.cols > 2 ? w.cols : 80;
  if (height != rows || width != cols) list_free(&shown);
  rows = height;
  cols = width;
  if (row < top) top = row;
  if (row >= top + (size_t)rows - 1) top = row - (size_t)rows + 2;
  size_t x = screen_column(line(), col), shift = x >= (size_t)cols ? x - (size_t)cols + 8 : 0;
  Buf b = {0};
  for (size_t i = 0; i < (size_t)rows - 1; i++) {
    buf_str(&b, "");
    if (top + i < text.len) render(&b, text.items[top + i], shift);
    else buf_char(&b, '~');
    put_row(i, &b);
  }
  if (*message) buf_printf(&b, "%.*s", cols - 1, message);
  else buf_printf(&b, "%s%s%s  %lu,%lu", insert_mode ? "-- INSERT -- " : "", path ? path : "[No Name]", modified ? " [+]" : "", row + 1, x + 1);
  put_row((size_t)rows - 1, &b);
  buf_free(&b);
  printf("\033[%lu;%luH", row - top + 1, x - shift + 1);
  fflush(stdout);
}

static int read_key(void) {
  static int pushed = -1; /* a byte that came right after an Escape of its own */
  unsigned char c, seq[3] = {0};
  if (pushed >= 0) {
    c = (unsigned char)pushed;
    pushed = -1;
  } else if (sys_read(0, &c, 1) != 1) {
    quit = true;
    return 27;
  }
  if (c != 27) return c;
  struct pollfd p = {.fd = 0, .events = POLLIN};
  struct timespec t = {0, 50000000};
  if (sys_ppoll(&p, 1, &t) <= 0 || sys_read(0, seq, 1) != 1) return 27;
  if (seq[0] != '[' && seq[0] != 'O') {
    pushed = seq[0];
    return 27;
  }
  if (sys_read(0, seq + 1, 1) != 1) return 27;
  if (isdigit(seq[1])) sys_read(0, seq + 2, 1);
  static const struct { char c; int key; } keys[] = {{'A', UP}, {'B', DOWN}, {'C', RIGHT}, {'D', LEFT}, {'H', HOME}, {'F', END}, {'1', HOME}, {'4', END}, {'5', PAGE_UP}, {'6', PAGE_DOWN}, {'3', DELETE}};
  for (size_t i = 0; i < countof(keys); i++)
    if (keys[i].c == seq[1]) return keys[i].key;
  return 27;
}

/* A line typed at the bottom; NULL when given up. */
static char *prompt(char mark) {
  Buf b = {0};
  if (shown.len >= (size_t)rows) strlcpy(shown.items[rows - 1], "\001", 1 + strlen(shown.items[rows - 1])); /* typed over */
  buf_str(&b, "");
  for (;;) {
    printf("\033[%d;1H%c%s\033[K", rows, mark, b.data);
    fflush(stdout);
    int c = read_key();
    if (c == '\r' || c == '\n') return buf_take(&b);
    if (c == 27 || c == 3 || ((c == 127 || c == 8) && !b.len)) break;
    if (c == 127 || c == 8) b.data[--b.len] = 0;
    else if (c >= 32 && c < 256) buf_char(&b, c);
  }
  buf_free(&b);
  return NULL;
}

/* ---- motions ---- */

static int class_of(char c) { return isspace((unsigned char)c) || !c ? 0 : isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 128 ? 1 : 2; }

static void word_forward(void) {
  int c = class_of(line()[col]);
  while (line()[col] && class_of(line()[col]) == c) col++;
  for (;;) {
    while (line()[col] && class_of(line()[col]) == 0) col++;
    if (line()[col] || row + 1 >= text.len) return;
    row++;
    col = 0;
    if (!*line()) return;
  }
}
static void word_back(void) {
  while (col == 0 && row > 0) {
    row--;
    col = line_length();
    if (!col) return;
  }
  while (col && class_of(line()[col - 1]) == 0) col--;
  int c = col ? class_of(line()[col - 1]) : 0;
  while (col && class_of(line()[col - 1]) == c) col--;
}
static void word_end(void) {
  if (line()[col]) col++;
  while (class_of(line()[col]) == 0) {
    if (line()[col]) col++;
    else if (row + 1 < text.len) row++, col = 0;
    else return;
  }
  int c = class_of(line()[col]);
  while (line()[col + 1] && class_of(line()[col + 1]) == c) col++;
}

static bool search(bool forward) {
  RegMatch m[REG_GROUPS];
  if (!pattern) return false;
  for (size_t n = 0; n <= text.len; n++) {
    size_t r = forward ? (row + n) % text.len : (row + text.len - n % text.len) % text.len;
    const char *s = text.items[r];
    size_t len = strlen(s), from = 0, hit = (size_t)-1;
    while (from <= len && regex_search(pattern, s, len, from, m)) {
      size_t at = (size_t)m[0].start;
      bool ahead = forward ? (n || at > col) : (n || at < col);
      if (ahead) {
        hit = at;
        if (forward) break;
      }
      from = at + 1;
    }
    if (hit != (size_t)-1) {
      row = r;
      col = hit;
      return true;
    }
  }
  strcpy(message, "Pattern not found");
  return false;
}
static bool new_search(bool forward) {
  char *s = prompt(forward ? '/' : '?');
  if (!s) return false;
  if (*s) {
    const char *error = "";
    Regex *re = regex_compile(s, 0, &error);
    if (!re) snprintf(message, sizeof message, "%s", error);
    else regex_free(pattern), pattern = re;
  }
  free(s);
  search_forward = forward;
  return search(forward);
}

/* Moves by one motion key. *linewise: the operator takes whole lines; *inclusive: and the last byte. */
static bool motion(int key, long count, bool counted, bool *linewise, bool *inclusive) {
  *linewise = *inclusive = false;
  size_t first = strspn(line(), " \t");
  switch (key) {
    case 'h': case LEFT: case 127: case 8:
      while (count-- && col) {
        col--;
        while (col && ((unsigned char)line()[col] & 0xc0) == 0x80) col--;
      }
      return true;
    case 'l': case RIGHT: case ' ':
      while (count-- && line()[col]) {
        col++;
        while (((unsigned char)line()[col] & 0xc0) == 0x80) col++;
      }
      return true;
    case 'j': case DOWN: case '\r': case '+': row = row + (size_t)count < text.len ? row + (size_t)count : text.len - 1; return *linewise = true;
    case 'k': case UP: case '-': row = row > (size_t)count ? row - (size_t)count : 0; return *linewise = true;
    case '0': case HOME: col = 0; return true;
    case '^': col = first; return true;
    case '$': case END: col = line_length(); return true;
    case 'w': while (count--) word_forward(); return true;
    case 'b': while (count--) word_back(); return true;
    case 'e': while (count--) word_end(); return *inclusive = true;
    case 'G': row = counted ? (size_t)count - 1 : text.len - 1; clamp(); return *linewise = true;
    case 'g':
      if (read_key() != 'g') return false;
      row = counted ? (size_t)count - 1 : 0;
      clamp();
      return *linewise = true;
    case 'H': row = top; return *linewise = true;
    case 'L': row = top + (size_t)rows - 2 < text.len ? top + (size_t)rows - 2 : text.len - 1; return *linewise = true;
    case 'f': case 't': {
      int c = read_key();
      char *hit = line() + col;
      while (count-- && *hit && (hit = strchr(hit + 1, c)) == NULL) return false;
      if (!hit || !*hit) return false;
      col = (size_t)(hit - line()) - (key == 't');
      return *inclusive = true;
    }
    case '/': case '?': return new_search(key == '/');
    case 'n': return search(search_forward);
    case 'N': return search(!search_forward);
    default: return false;
  }
}

/* Takes [row0,col0 .. row1,col1) out of the text, or only copies it. */
static void take(size_t row0, size_t col0, size_t row1, size_t col1, bool linewise, bool remove) {
  yank.len = 0;
  buf_str(&yank, "");
  yank_lines = linewise;
  if (linewise) {
    for (size_t i = row0; i <= row1; i++) buf_printf(&yank, "%s\n", text.items[i]);
    for (size_t i = row0; remove && i <= row1; i++) remove_line(row0);
    return;
  }
  if (row0 == row1) {
    buf_add(&yank, text.items[row0] + col0, col1 - col0);
  } else {
    buf_printf(&yank, "%s\n", text.items[row0] + col0);
    for (size_t i = row0 + 1; i < row1; i++) buf_printf(&yank, "%s\n", text.items[i]);
    buf_add(&yank, text.items[row1], col1);
  }
  if (!remove) return;
  char *joined = asprintf("%.*s%s", (int)col0, text.items[row0], text.items[row1] + col1);
  for (size_t i = row0; i < row1; i++) remove_line(row0 + 1);
  free(text.items[row0]);
  text.items[row0] = joined;
}

static void operate(int op, long count) {
  size_t row0 = row, col0 = col;
  long more = 0;
  int key = read_key();
  while (isdigit(key) && (key != '0' || more)) more = more * 10 + key - '0', key = read_key();
  if (more) count *= more;
  bool linewise, inclusive;
  if (key == op) {
    linewise = true;
    inclusive = false;
    row = row + (size_t)count - 1 < text.len ? row + (size_t)count - 1 : text.len - 1;
  } else {
    if (op == 'c' && key == 'w' && class_of(line()[col])) key = 'e';
    if (!motion(key, count, more > 0, &linewise, &inclusive)) {
      row = row0, col = col0;
      return;
    }
    if (key == 'w' && row > row0) row = row0, col = strlen(text.items[row0]); /* dw stays on its line */
  }
  size_t row1 = row, col1 = col;
  if (row1 < row0 || (row1 == row0 && col1 < col0)) {
    size_t r = row0, c = col0;
    row0 = row1, col0 = col1, row1 = r, col1 = c;
  }
  if (inclusive && text.items[row1][col1]) col1++;
  if (op != 'y') save_undo();
  if (op == 'c' && linewise) {
    take(row0, 0, row1, 0, true, true);
    insert_line(row0 < text.len ? row0 : text.len, strdup(""));
    if (text.len == 2 && !*text.items[0] && !*text.items[1]) remove_line(1);
    row = row0 < text.len ? row0 : text.len - 1;
    col = 0;
  } else {
    take(row0, col0, row1, col1, linewise, op != 'y');
    row = row0 < text.len ? row0 : text.len - 1;
    if (linewise && op == 'd') col = strspn(line(), " \t");
    else if (!linewise) col = col0;
  }
  insert_mode = op == 'c';
}

static void put(bool after, long count) {
  if (!yank.data) return;
  save_undo();
  while (count--) {
    if (yank_lines) {
      size_t at = row + after;
      row = at;
      for (const char *s = yank.data; *s; at++) {
        size_t n = strcspn(s, "\n");
        insert_line(at, strndup(s, n));
        s += n + (s[n] == '\n');
      }
      col = strspn(line(), " \t");
      continue;
    }
    if (after && line()[col]) col++;
    for (const char *s = yank.data; *s;) {
      size_t n = strcspn(s, "\n");
      insert_text(s, n);
      s += n;
      if (*s == '\n') split_line(), s++;
    }
    if (col) col--;
  }
}

/* ---- : commands ---- */

static void substitute(size_t from, size_t to, const char *s) {
  char delim = *s++, *parts[2];
  for (int i = 0; i < 2; i++) {
    Buf b = {0};
    buf_str(&b, "");
    for (; *s && *s != delim; s++) {
      if (*s == '\\' && s[1] == delim) s++;
      else if (*s == '\\' && s[1]) buf_char(&b, *s++);
      buf_char(&b, *s);
    }
    if (*s) s++;
    parts[i] = buf_take(&b);
  }
  bool global = strchr(s, 'g'), icase = strchr(s, 'i');
  const char *error = "";
  Regex *re = regex_compile(parts[0], icase ? REG_ICASE : 0, &error);
  if (!re) {
    snprintf(message, sizeof message, "%s", error);
    return;
  }
  save_undo();
  size_t changes = 0;
  for (size_t i = from; i <= to; i++) {
    Buf out = {0};
    const char *t = text.items[i];
    size_t len = strlen(t), at = 0;
    RegMatch m[REG_GROUPS];
    bool hit = false;
    while (at <= len && regex_search(re, t, len, at, m)) {
      hit = true;
      changes++;
      buf_add(&out, t + at, (size_t)m[0].start - at);
      for (const char *r = parts[1]; *r; r++) {
        int g = *r == '&' ? 0 : *r == '\\' && isdigit((unsigned char)r[1]) ? *++r - '0' : -1;
        if (g >= 0) {
          if (m[g].start >= 0) buf_add(&out, t + m[g].start, (size_t)(m[g].end - m[g].start));
        } else {
          if (*r == '\\' && r[1]) r++;
          buf_char(&out, *r);
        }
      }
      at = (size_t)m[0].end;
      if (m[0].end == m[0].start) {
        if (t[at]) buf_char(&out, t[at]);
        at++;
      }
      if (!global) break;
    }
    if (!hit) continue;
    if (at < len) buf_str(&out, t + at);
    free(text.items[i]);
    text.items[i] = buf_take(&out);
    row = i;
  }
  regex_free(re);
  snprintf(message, sizeof message, "%lu substitutions", changes);
}

static size_t parse_line_number(const char **s) {
  size_t n = row;
  if (isdigit((unsigned char)**s)) n = (size_t)strtol(*s, (char **)s, 10) - 1;
  else if (**s == '$') n = text.len - 1, ++*s;
  else if (**s == '.') ++*s;
  return n >= text.len ? text.len - 1 : n;
}

static void command(const char *s) {
  size_t from = row, to = row;
  bool ranged = *s == '%' || *s == '$' || *s == '.' || isdigit((unsigned char)*s);
  if (*s == '%') {
    from = 0;
    to = text.len - 1;
    s++;
  } else if (ranged) {
    from = to = parse_line_number(&s);
    if (*s == ',') {
      s++;
      to = parse_line_number(&s);
    }
  }
  size_t n = 0;
  while (isalpha((unsigned char)s[n]) && !(s[0] == 's' && n == 1)) n++;
  bool force = s[n] == '!';
  const char *arg = s + n + force;
  while (*arg == ' ') arg++;
  char name[8];
  strlcpy(name, s, n + 1 < sizeof name ? n + 1 : sizeof name);
  if (!n) {
    if (ranged) row = to, col = 0;
  } else if (!strcmp(name, "w") || !strcmp(name, "wq") || !strcmp(name, "x")) {
    if (*arg && !path) path = strdup(arg);
    bool ok = !strcmp(name, "x") && !modified ? true : save(*arg ? arg : path);
    if (ok && strcmp(name, "w")) quit = true;
  } else if (!strcmp(name, "q") || !strcmp(name, "quit")) {
    if (modified && !force) strcpy(message, "No write since last change (:q! overrides)");
    else quit = true;
  } else if (!strcmp(name, "e")) {
    if (modified && !force) strcpy(message, "No write since last change (:e! overrides)");
    else if (*arg || path) {
      if (*arg) path = strdup(arg);
      load(path);
    }
  } else if (!strcmp(name, "d")) {
    save_undo();
    take(from, 0, to, 0, true, true);
    row = from;
  } else if (!strcmp(name, "r")) {
    char *s2 = read_file(arg, NULL);
    if (!s2) {
      snprintf(message, sizeof message, "\"%s\" cannot be read", arg);
    } else {
      save_undo();
      size_t at = row + 1;
      for (char *p = s2; *p; at++) {
        size_t k = strcspn(p, "\n");
        insert_line(at, strndup(p, k));
        p += k + (p[k] == '\n');
      }
      free(s2);
    }
  } else if (name[0] == 's' && n == 1) {
    substitute(from, to, s + 1);
  } else {
    snprintf(message, sizeof message, "Not an editor command: %s", s);
  }
}

/* ---- modes ---- */

static void insert_key(int key) {
  if (key == 27 || key == 3) {
    insert_mode = false;
    if (col) col--;
  } else if (key == '\r' || key == '\n') {
    size_t indent = strspn(line(), " \t");
    char *lead = strndup(line(), indent < col ? indent : col);
    split_line();
    insert_text(lead, strlen(lead));
    free(lead);
  } else if (key == 127 || key == 8) {
    if (col) {
      size_t end = col;
      do col--;
      while (col && ((unsigned char)line()[col] & 0xc0) == 0x80);
      char *s = line();
      memmove(s + col, s + end, strlen(s + end) + 1);
    } else if (row) {
      char *tail = strdup(line());
      remove_line(row--);
      col = line_length();
      replace_line(asprintf("%s%s", line(), tail));
      free(tail);
    }
  } else if (key == DELETE) {
    if (line()[col]) memmove(line() + col, line() + col + 1, strlen(line() + col));
  } else if (key >= UP) {
    bool linewise, inclusive;
    motion(key, 1, false, &linewise, &inclusive);
  } else if (key == '\t' || (key >= 32 && key < 256)) {
    char c = (char)key;
    insert_text(&c, 1);
  }
}

static void start_insert(void) {
  save_undo();
  insert_mode = true;
}

static void normal_key(int key) {
  long count = 0;
  while (isdigit(key) && (key != '0' || count)) count = count * 10 + key - '0', key = read_key();
  bool counted = count > 0, linewise, inclusive;
  if (!count) count = 1;
  long page = rows - 2;
  switch (key) {
    case 'i': start_insert(); break;
    case 'I': col = strspn(line(), " \t"); start_insert(); break;
    case 'a': if (line()[col]) col++; start_insert(); break;
    case 'A': col = line_length(); start_insert(); break;
    case 'o': case 'O':
      start_insert();
      insert_line(row + (key == 'o'), strdup(""));
      if (key == 'o') row++;
      col = 0;
      break;
    case 'd': case 'c': case 'y': operate(key, count); break;
    case 'x': case DELETE:
      if (!line()[col]) break;
      save_undo();
      take(row, col, row, col + (size_t)count < line_length() ? col + (size_t)count : line_length(), false, true);
      break;
    case 'X':
      if (!col) break;
      save_undo();
      take(row, col > (size_t)count ? col - (size_t)count : 0, row, col, false, true);
      col = col > (size_t)count ? col - (size_t)count : 0;
      break;
    case 'D': case 'C':
      save_undo();
      take(row, col, row, line_length(), false, true);
      insert_mode = key == 'C';
      break;
    case 'S': save_undo(); replace_line(strdup("")); col = 0; insert_mode = true; break;
    case 'Y': take(row, 0, row, 0, true, false); break;
    case 'p': case 'P': put(key == 'p', count); break;
    case 'u': undo(); break;
    case 'J':
      if (row + 1 >= text.len) break;
      save_undo();
      col = line_length();
      replace_line(asprintf("%s%s%s", line(), *line() ? " " : "", text.items[row + 1] + strspn(text.items[row + 1], " \t")));
      remove_line(row + 1);
      break;
    case 'r':
      key = read_key();
      if (!line()[col] || key < 32 || key > 255) break;
      save_undo();
      line()[col] = (char)key;
      break;
    case '~':
      if (!line()[col]) break;
      save_undo();
      line()[col] = (char)(isupper((unsigned char)line()[col]) ? tolower((unsigned char)line()[col]) : toupper((unsigned char)line()[col]));
      col++;
      break;
    case 6: case PAGE_DOWN: motion('j', page, true, &linewise, &inclusive); break;
    case 2: case PAGE_UP: motion('k', page, true, &linewise, &inclusive); break;
    case 4: motion('j', page / 2, true, &linewise, &inclusive); break;
    case 21: motion('k', page / 2, true, &linewise, &inclusive); break;
    case 12: list_free(&shown); break;
    case ':': {
      char *s = prompt(':');
      if (s) command(s);
      free(s);
      break;
    }
    case 'Z':
      if (read_key() == 'Z') command("x");
      break;
    default: motion(key, count, counted, &linewise, &inclusive);
  }
}

int vi_main(int argc, char **argv) {
  if (!isatty(0) || !isatty(1) || sys_ioctl(0, TCGETS, &cooked) < 0) die("needs a terminal");
  set_text("");
  if (argc > 1) {
    path = argv[1];
    load(path);
  }
  struct termios raw = cooked;
  raw.lflag &= ~(uint32_t)(ICANON | ECHO | ISIG | IEXTEN);
  raw.iflag &= ~(uint32_t)IXON;
  raw.cc[VMIN] = 1;
  raw.cc[VTIME] = 0;
  sys_ioctl(0, TCSETSW, &raw);
  printf("\033[?1049h\033[2J");
  while (!quit) {
    clamp();
    draw();
    int key = read_key();
    *message = 0;
    if (insert_mode) insert_key(key);
    else normal_key(key);
  }
  printf("\033[?1049l");
  fflush(stdout);
  sys_ioctl(0, TCSETSW, &cooked);
  return 0;
}
