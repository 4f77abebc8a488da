/*
 * Line editing for the prompt: arrows, Home/End, Ctrl-A E B F K U W Y D L R T, history, and
 * completion of commands and file names with Tab. The terminal is raw only while a line is read.
 * A terminal without cursor control (TERM=dumb) gets plain line reading.
 */
#include "sh.h"

enum { HISTORY_MAX = 500 };
StrList history;
static char *killed; /* text of the last Ctrl-K/U/W, for Ctrl-Y */

typedef struct {
  Buf text;
  size_t cursor;       /* byte offset */
  const char *prompt;  /* its last line */
  size_t prompt_width;
  size_t rows;         /* rows below the first that the last drawing used */
  size_t cursor_row;
  int width;
} Line;

void history_add(const char *line) {
  if (history.len && !strcmp(history.items[history.len - 1], line)) return;
  if (history.len == HISTORY_MAX) {
    free(history.items[0]);
    memmove(history.items, history.items + 1, history.len * sizeof *history.items);
    history.len--;
  }
  list_add(&history, strdup(line));
}

/* Columns of a prompt, escape sequences not counted. */
static size_t prompt_columns(const char *s) {
  size_t n = 0;
  for (; *s; s++) {
    if (*s == 27 && s[1] == '[') {
      s += 2;
      while (*s && !isalpha((unsigned char)*s)) s++;
      if (!*s) break;
    } else if (((unsigned char)*s & 0xc0) != 0x80) {
      n++;
    }
  }
  return n;
}

static size_t columns(const char *s, size_t n) {
  size_t w = 0;
  for (size_t i = 0; i < n; i++) w += ((unsigned char)s[i] & 0xc0) != 0x80;
  return w;
}

static void draw(Line *l) {
  Buf out = {0};
  if (l->cursor_row) buf_printf(&out, "\033[%luA", l->cursor_row);
  buf_printf(&out, "\r\033[J%s", l->prompt);
  buf_add(&out, l->text.data, l->text.len);
  size_t width = (size_t)l->width, total = l->prompt_width + columns(l->text.data, l->text.len);
  size_t at = l->prompt_width + columns(l->text.data, l->cursor);
  if (total && total % width == 0) buf_str(&out, " \r"); /* forces the pending wrap */
  l->rows = total / width;
  l->cursor_row = at / width;
  if (l->rows > l->cursor_row) buf_printf(&out, "\033[%luA", l->rows - l->cursor_row);
  if (l->cursor != l->text.len) {
    buf_char(&out, '\r');
    if (at % width) buf_printf(&out, "\033[%luC", at % width);
  }
  write_all(1, out.data, out.len);
  buf_free(&out);
}

static void finish(Line *l, const char *text) {
  if (l->rows > l->cursor_row) {
    char down[16];
    snprintf(down, sizeof down, "\033[%luB", l->rows - l->cursor_row);
    write_all(1, down, strlen(down));
  }
  write_all(1, text, strlen(text));
  l->rows = l->cursor_row = 0;
}

static void set_text(Line *l, const char *s) {
  l->text.len = 0;
  buf_str(&l->text, s);
  l->cursor = l->text.len;
}
static void insert(Line *l, const char *s, size_t n) {
  buf_reserve(&l->text, n);
  memmove(l->text.data + l->cursor + n, l->text.data + l->cursor, l->text.len - l->cursor + 1);
  memcpy(l->text.data + l->cursor, s, n);
  l->text.len += n;
  l->cursor += n;
}
static void erase(Line *l, size_t from, size_t to, bool keep) {
  if (keep && to > from) {
    free(killed);
    killed = strndup(l->text.data + from, to - from);
  }
  memmove(l->text.data + from, l->text.data + to, l->text.len - to + 1);
  l->text.len -= to - from;
  l->cursor = from;
}
static size_t step_back(const Line *l, size_t at) {
  if (at) at--;
  while (at && ((unsigned char)l->text.data[at] & 0xc0) == 0x80) at--;
  return at;
}
static size_t step_on(const Line *l, size_t at) {
  if (at < l->text.len) at++;
  while (at < l->text.len && ((unsigned char)l->text.data[at] & 0xc0) == 0x80) at++;
  return at;
}
static size_t word_back(const Line *l, size_t at) {
  while (at && l->text.data[at - 1] == ' ') at--;
  while (at && l->text.data[at - 1] != ' ') at--;
  return at;
}
static size_t word_on(const Line *l, size_t at) {
  while (at < l->text.len && l->text.data[at] == ' ') at++;
  while (at < l->text.len && l->text.data[at] != ' ') at++;
  return at;
}

/* ---- completion ---- */

static void add_candidate(StrList *list, const char *name) {
  for (size_t i = 0; i < list->len; i++)
    if (!strcmp(list->items[i], name)) return;
  list_add(list, strdup(name));
}

static void candidates(const char *word, bool command, StrList *out) {
  size_t n = strlen(word);
  const char *slash = strrchr(word, '/');
  if (command && !slash) {
    for (size_t i = 0; i < builtin_count; i++)
      if (!strncmp(builtins[i].name, word, n)) add_candidate(out, builtins[i].name);
    for (const char *path = var_get("PATH"); path && *path;) {
      size_t len = strcspn(path, ":");
      char *dir = strndup(path, len);
      StrList names = {0};
      if (len) list_directory(dir, &names);
      for (size_t i = 0; i < names.len; i++)
        if (!strncmp(names.items[i], word, n)) add_candidate(out, names.items[i]);
      list_free(&names);
      free(dir);
      path += len + (path[len] == ':');
    }
    return;
  }
  char *head = slash ? strndup(word, (size_t)(slash - word) + 1) : strdup("");
  const char *tail = slash ? slash + 1 : word;
  char *expanded = *head == '~' ? expand_string(head, 0) : strdup(*head ? head : ".");
  StrList names = {0};
  if (expanded) list_directory(expanded, &names);
  for (size_t i = 0; i < names.len; i++) {
    if (strncmp(names.items[i], tail, strlen(tail)) || (names.items[i][0] == '.' && *tail != '.')) continue;
    char *full = asprintf("%s/%s", expanded, names.items[i]);
    struct stat st;
    bool dir = sys_stat(full, &st) == 0 && S_ISDIR(st.st_mode);
    list_add(out, asprintf("%s%s%s", head, names.items[i], dir ? "/" : ""));
    free(full);
  }
  list_free(&names);
  free(expanded);
  free(head);
}

static void show_candidates(Line *l, StrList *list) {
  size_t widest = 1, cols;
  for (size_t i = 0; i < list->len; i++)
    if (display_width(list->items[i]) > widest) widest = display_width(list->items[i]);
  cols = (size_t)l->width / (widest + 2);
  if (!cols) cols = 1;
  finish(l, "\n");
  for (size_t i = 0; i < list->len; i++) {
    const char *s = list->items[i], *slash = strrchr(s, '/');
    if (slash && slash[1]) s = slash + 1;
    bool last = i + 1 == list->len || (i + 1) % cols == 0;
    printf("%s%*s", s, last ? 0 : (int)(widest + 2 - display_width(s)), "");
    if (last) putchar('\n');
  }
  fflush(stdout);
}

static void complete(Line *l, bool again) {
  size_t start = l->cursor;
  while (start && !strchr(" \t|&;<>()='\"`", l->text.data[start - 1])) start--;
  size_t before = start;
  while (before && l->text.data[before - 1] == ' ') before--;
  bool command = !before || strchr("|&;(`", l->text.data[before - 1]);
  char *word = strndup(l->text.data + start, l->cursor - start);
  StrList list = {0};
  candidates(word, command, &list);
  if (list.len) {
    size_t common = strlen(list.items[0]);
    for (size_t i = 1; i < list.len; i++) {
      size_t k = 0;
      while (k < common && list.items[i][k] == list.items[0][k]) k++;
      common = k;
    }
    size_t have = strlen(word);
    if (common > have) insert(l, list.items[0] + have, common - have);
    if (list.len == 1 && list.items[0][common - 1] != '/') insert(l, " ", 1);
    else if (list.len > 1 && common <= have && again) show_candidates(l, &list);
  }
  list_free(&list);
  free(word);
}

/* ---- keys ---- */

enum { KEY_UP = 1000, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_DELETE, KEY_WORD_LEFT, KEY_WORD_RIGHT, KEY_NONE, KEY_EOF };

static int read_byte(void) {
  unsigned char c;
  for (;;) {
    long n = sys_read(0, &c, 1);
    if (n == 1) return c;
    if (n == -EINTR) {
      if (pending_traps) run_traps();
      if (unwinding) return 3;
      continue;
    }
    return KEY_EOF;
  }
}

static int read_key(void) {
  int c = read_byte();
  if (c != 27) return c;
  struct pollfd p = {.fd = 0, .events = POLLIN};
  struct timespec t = {0, 100000000};
  if (sys_ppoll(&p, 1, &t) <= 0) return KEY_NONE;
  c = read_byte();
  if (c == 'b') return KEY_WORD_LEFT;
  if (c == 'f') return KEY_WORD_RIGHT;
  if (c != '[' && c != 'O') return KEY_NONE;
  int number = 0, modifier = 0;
  for (c = read_byte(); isdigit(c) || c == ';'; c = read_byte()) {
    if (c == ';') modifier = 1;
    else if (!modifier) number = number * 10 + c - '0';
  }
  switch (c) {
    case 'A': return KEY_UP;
    case 'B': return KEY_DOWN;
    case 'C': return modifier ? KEY_WORD_RIGHT : KEY_RIGHT;
    case 'D': return modifier ? KEY_WORD_LEFT : KEY_LEFT;
    case 'H': return KEY_HOME;
    case 'F': return KEY_END;
    case '~': return number == 1 || number == 7 ? KEY_HOME : number == 4 || number == 8 ? KEY_END : number == 3 ? KEY_DELETE : KEY_NONE;
    default: return KEY_NONE;
  }
}

/* Ctrl-R: returns the key that ended the search. */
static int search_history(Line *l) {
  Buf what = {0};
  size_t at = history.len;
  const char *prompt = l->prompt;
  size_t width = l->prompt_width;
  int key;
  for (;;) {
    char *label = asprintf("(search) '%s': ", what.data ? what.data : "");
    l->prompt = label;
    l->prompt_width = display_width(label);
    draw(l);
    free(label);
    key = read_key();
    size_t from = at;
    if (key == 18) {
      from = at ? at : 0;
    } else if (key == 127 || key == 8) {
      if (what.len) what.data[--what.len] = 0;
      from = history.len;
    } else if (key >= 32 && key < 256) {
      buf_char(&what, key);
      from = at < history.len ? at + 1 : at;
    } else {
      break;
    }
    while (from-- > 0)
      if (what.len && strstr(history.items[from], what.data)) {
        at = from;
        set_text(l, history.items[at]);
        break;
      }
  }
  buf_free(&what);
  l->prompt = prompt;
  l->prompt_width = width;
  return key;
}

static void browse(Line *l, int step, size_t *at, char **draft) {
  if ((step < 0 && *at == 0) || (step > 0 && *at >= history.len)) return;
  if (*at == history.len) {
    free(*draft);
    *draft = strdup(l->text.data);
  }
  *at = (size_t)((long)*at + step);
  set_text(l, *at < history.len ? history.items[*at] : *draft ? *draft : "");
}

/* True when the line is complete; the result is in l->text unless *eof or *interrupted. */
static void edit(Line *l, bool *eof, bool *interrupted) {
  size_t at = history.len;
  char *draft = NULL;
  int key = 0;
  bool fresh = false; /* the screen shows the line already */
  for (;;) {
    if (!fresh) draw(l);
    fresh = false;
    int before = key;
    key = read_key();
    if (key == 18) key = search_history(l);
    switch (key) {
      case '\r': case '\n': goto done;
      case KEY_EOF: *eof = true; goto done;
      case 3: *interrupted = true; goto done;
      case 4:
        if (!l->text.len) {
          *eof = true;
          goto done;
        }
        erase(l, l->cursor, step_on(l, l->cursor), false);
        break;
      case KEY_DELETE: erase(l, l->cursor, step_on(l, l->cursor), false); break;
      case 127: case 8: erase(l, step_back(l, l->cursor), l->cursor, false); break;
      case '\t': complete(l, before == '\t'); break;
      case 1: case KEY_HOME: l->cursor = 0; break;
      case 5: case KEY_END: l->cursor = l->text.len; break;
      case 2: case KEY_LEFT: l->cursor = step_back(l, l->cursor); break;
      case 6: case KEY_RIGHT: l->cursor = step_on(l, l->cursor); break;
      case KEY_WORD_LEFT: l->cursor = word_back(l, l->cursor); break;
      case KEY_WORD_RIGHT: l->cursor = word_on(l, l->cursor); break;
      case 11: erase(l, l->cursor, l->text.len, true); break;
      case 21: erase(l, 0, l->cursor, true); break;
      case 23: erase(l, word_back(l, l->cursor), l->cursor, true); break;
      case 25:
        if (killed) insert(l, killed, strlen(killed));
        break;
      case 12:
        write_all(1, "\033[H\033[2J", 7);
        l->cursor_row = 0;
        break;
      case 16: case KEY_UP: browse(l, -1, &at, &draft); break;
      case 14: case KEY_DOWN: browse(l, 1, &at, &draft); break;
      default:
        if (key >= 32 && key < 256) {
          char c = (char)key;
          bool at_end = l->cursor == l->text.len, room = (l->prompt_width + columns(l->text.data, l->text.len) + 1) % (size_t)l->width;
          insert(l, &c, 1);
          fresh = at_end && room;
          if (fresh) write_all(1, &c, 1);
        }
    }
  }
done:
  free(draft);
  if (l->cursor != l->text.len) {
    l->cursor = l->text.len;
    draw(l);
  }
  finish(l, *interrupted ? "^C\n" : *eof ? "" : "\n");
}

static char *plain_line(const char *prompt, bool *interrupted) {
  Buf line = {0};
  fputs(prompt, stderr);
  for (;;) {
    int c = read_byte();
    if (unwinding) {
      *interrupted = true;
      fputs("\n", stderr);
      break;
    }
    if (c == KEY_EOF && !line.len) {
      buf_free(&line);
      return NULL;
    }
    if (c == '\n' || c == KEY_EOF) break;
    buf_char(&line, c);
  }
  return buf_take(&line);
}

char *edit_line(const char *prompt, bool *interrupted) {
  struct termios cooked, raw;
  const char *term = getenv("TERM");
  fflush(stdout);
  if ((term && !strcmp(term, "dumb")) || sys_ioctl(0, TCGETS, &cooked) < 0) return plain_line(prompt, interrupted);
  raw = cooked;
  raw.lflag &= ~(uint32_t)(ICANON | ECHO | ISIG | IEXTEN);
  raw.iflag &= ~(uint32_t)(IXON | INLCR); /* ICRNL stays: what is typed ahead outlives the mode */
  raw.cc[VMIN] = 1;
  raw.cc[VTIME] = 0;
  sys_ioctl(0, TCSETSW, &raw);
  const char *last_line = strrchr(prompt, '\n');
  if (last_line) write_all(1, prompt, (size_t)(last_line + 1 - prompt));
  Line l = {.prompt = last_line ? last_line + 1 : prompt, .width = terminal_width(1)};
  l.prompt_width = prompt_columns(l.prompt);
  buf_str(&l.text, "");
  bool eof = false;
  edit(&l, &eof, interrupted);
  sys_ioctl(0, TCSETSW, &cooked);
  if (eof) {
    buf_free(&l.text);
    return NULL;
  }
  return buf_take(&l.text);
}
