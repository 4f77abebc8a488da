/* less and more: a pager. Space/b pages, arrows and j/k lines, g/G ends, / ? n N search, q quits.
 * Output that is no terminal is copied. */
#include "../box.h"

static char **lines;
static size_t line_count;
static size_t top;
static int rows, cols, tty_fd;
static Regex *pattern;
static const char *title;

static void load(FILE *f) {
  char *line = NULL;
  size_t cap = 0, room = line_count;
  for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
    if (n && line[n - 1] == '\n') line[n - 1] = 0;
    if (line_count >= room) {
      room = room ? room * 2 : 256;
      lines = realloc(lines, room * sizeof *lines);
    }
    lines[line_count++] = strdup(line);
  }
  free(line);
}

static void measure(void) {
  struct winsize w = {0};
  sys_ioctl(1, TIOCGWINSZ, &w);
  rows = w.rows > 2 ? w.rows : 24;
  cols = w.cols > 2 ? w.cols : 80;
}

/* One line, cut at the window's edge; tabs expanded, control bytes shown as ^X, colours kept. */
static void show_line(const char *s) {
  int column = 0;
  RegMatch m[REG_GROUPS];
  size_t len = strlen(s), hit_start = len, hit_end = len;
  if (pattern && regex_search(pattern, s, len, 0, m)) hit_start = (size_t)m[0].start, hit_end = (size_t)m[0].end;
  for (size_t i = 0; i < len && column < cols; i++) {
    unsigned char c = (unsigned char)s[i];
    if (i == hit_start && hit_end > hit_start) fputs("\033[7m", stdout);
    if (i == hit_end) fputs("\033[27m", stdout);
    if (c == '\t') {
      do putchar(' '), column++;
      while (column % 8 && column < cols);
    } else if (c == 27 && s[i + 1] == '[') {
      size_t end = i + 2;
      while (s[end] && !isalpha((unsigned char)s[end])) end++;
      if (s[end] == 'm') fwrite(s + i, end + 1 - i, stdout);
      i = s[end] ? end : len;
    } else if (c < 32 || c == 127) {
      printf("^%c", c ^ 64);
      column += 2;
    } else {
      putchar(c);
      column += (c & 0xc0) != 0x80;
    }
  }
  fputs("\033[27m\033[0m\033[K\n", stdout);
}

static void draw(const char *message) {
  fputs("\033[H", stdout);
  for (int i = 0; i < rows - 1; i++) {
    if (top + (size_t)i < line_count) show_line(lines[top + (size_t)i]);
    else fputs("~\033[K\n", stdout);
  }
  bool end = top + (size_t)rows - 1 >= line_count;
  if (message) printf("\033[7m%s\033[0m\033[K", message);
  else if (end) printf("\033[7m(END)\033[0m\033[K");
  else printf("\033[7m%s %lu%%\033[0m\033[K", title, line_count ? (top + (size_t)rows - 1) * 100 / line_count : 100);
  fflush(stdout);
}

static void move_to(long to) {
  long last = (long)line_count - (rows - 1);
  if (to > last) to = last;
  top = to < 0 ? 0 : (size_t)to;
}

static bool find(bool forward, bool from_next) {
  RegMatch m[REG_GROUPS];
  long i = (long)top + (from_next ? (forward ? 1 : -1) : 0);
  for (; pattern && i >= 0 && i < (long)line_count; i += forward ? 1 : -1)
    if (regex_search(pattern, lines[i], strlen(lines[i]), 0, m)) {
      top = (size_t)i;
      return true;
    }
  return false;
}

static int read_key(void) {
  unsigned char c;
  if (sys_read(tty_fd, &c, 1) != 1) return 'q';
  if (c != 27) return c;
  unsigned char seq[3];
  struct pollfd p = {.fd = tty_fd, .events = POLLIN};
  struct timespec t = {0, 50000000};
  if (sys_ppoll(&p, 1, &t) <= 0 || sys_read(tty_fd, seq, 1) != 1 || sys_read(tty_fd, seq + 1, 1) != 1) return 27;
  if (isdigit(seq[1])) sys_read(tty_fd, seq + 2, 1);
  switch (seq[1]) {
    case 'A': return 'k';
    case 'B': return 'j';
    case 'H': case '1': return 'g';
    case 'F': case '4': return 'G';
    case '5': return 'b';
    case '6': return ' ';
    default: return 0;
  }
}

static void ask_pattern(char mark) {
  Buf text = {0};
  buf_str(&text, "");
  for (;;) {
    printf("\r%c%s\033[K", mark, text.data);
    fflush(stdout);
    int c = read_key();
    if (c == '\r' || c == '\n') break;
    if (c == 27 || c == 3) {
      buf_free(&text);
      return;
    }
    if ((c == 127 || c == 8) && text.len) text.data[--text.len] = 0;
    else if (c >= 32 && c != 127) buf_char(&text, c);
  }
  if (text.len) {
    const char *error;
    regex_free(pattern);
    pattern = regex_compile(text.data, REG_EXTENDED, &error);
  }
  buf_free(&text);
}

int less_main(int argc, char **argv) {
  int opt;
  while ((opt = getopt(argc, argv, "RSNFXiEe", "RAW-CONTROL-CHARS=R,quit-if-one-screen=F")) >= 0)
    if (opt == '?') return usage_error();
  static char *dash[] = {"-", NULL};
  if (optind >= argc && isatty(0)) return usage_error();
  if (!isatty(1)) {
    int status = 0;
    for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
      FILE *f = open_operand(*path);
      if (!f || copy_fd(f->fd, 1) < 0) status = 1;
    }
    return status;
  }
  title = optind < argc ? argv[optind] : "stdin";
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) return 1;
    load(f);
    close_operand(f);
  }
  measure();
  if (line_count < (size_t)rows) {
    for (size_t i = 0; i < line_count; i++) puts(lines[i]);
    return 0;
  }
  tty_fd = 0;
  if (!isatty(0)) tty_fd = (int)sys_open("/dev/tty", O_RDONLY, 0);
  struct termios cooked, raw;
  if (tty_fd < 0 || sys_ioctl(tty_fd, TCGETS, &cooked) < 0) die("no terminal to read keys from");
  raw = cooked;
  raw.lflag &= ~(uint32_t)(ICANON | ECHO | ISIG);
  raw.cc[VMIN] = 1;
  raw.cc[VTIME] = 0;
  sys_ioctl(tty_fd, TCSETSW, &raw);
  fputs("\033[?1049h", stdout);
  bool forward = true;
  const char *message = NULL;
  for (bool quit = false; !quit;) {
    measure();
    draw(message);
    message = NULL;
    int page = rows - 1;
    switch (read_key()) {
      case 'q': case 'Q': case 3: quit = true; break;
      case ' ': case 'f': case 6: move_to((long)top + page); break;
      case 'b': case 2: move_to((long)top - page); break;
      case 'd': case 4: move_to((long)top + page / 2); break;
      case 'u': case 21: move_to((long)top - page / 2); break;
      case 'j': case '\r': case '\n': case 'e': move_to((long)top + 1); break;
      case 'k': case 'y': move_to((long)top - 1); break;
      case 'g': case '<': top = 0; break;
      case 'G': case '>': move_to((long)line_count); break;
      case '/': case '?':
        forward = true;
        ask_pattern('/');
        if (!find(true, false)) message = "Pattern not found";
        break;
      case 'n': if (!find(forward, true)) message = "Pattern not found"; break;
      case 'N': if (!find(!forward, true)) message = "Pattern not found"; break;
      case 'h': message = "space b: page  j k: line  g G: ends  / n N: search  q: quit"; break;
    }
  }
  fputs("\033[?1049l", stdout);
  fflush(stdout);
  sys_ioctl(tty_fd, TCSETSW, &cooked);
  return 0;
}
int more_main(int argc, char **argv) { return less_main(argc, argv); }
