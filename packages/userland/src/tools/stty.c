/* stty: terminal settings. */
#include "../box.h"

typedef enum { IN, OUT, CONTROL, LOCAL } Word;
static const struct { const char *name; Word word; uint32_t bit; bool sane; } flags[] = {
    {"parenb", CONTROL, PARENB, false}, {"cstopb", CONTROL, CSTOPB, false}, {"cread", CONTROL, CREAD, true}, {"clocal", CONTROL, CLOCAL, true}, {"hupcl", CONTROL, HUPCL, true},
    {"ignbrk", IN, IGNBRK, false}, {"brkint", IN, BRKINT, true}, {"ignpar", IN, IGNPAR, false}, {"parmrk", IN, PARMRK, false}, {"inpck", IN, INPCK, false},
    {"istrip", IN, ISTRIP, false}, {"inlcr", IN, INLCR, false}, {"igncr", IN, IGNCR, false}, {"icrnl", IN, ICRNL, true}, {"ixon", IN, IXON, true},
    {"ixoff", IN, IXOFF, false}, {"ixany", IN, IXANY, false}, {"imaxbel", IN, IMAXBEL, true}, {"iutf8", IN, IUTF8, true},
    {"opost", OUT, OPOST, true}, {"ocrnl", OUT, OCRNL, false}, {"onlcr", OUT, ONLCR, true}, {"onocr", OUT, ONOCR, false}, {"onlret", OUT, ONLRET, false},
    {"isig", LOCAL, ISIG, true}, {"icanon", LOCAL, ICANON, true}, {"iexten", LOCAL, IEXTEN, true}, {"echo", LOCAL, ECHO, true}, {"echoe", LOCAL, ECHOE, true},
    {"echok", LOCAL, ECHOK, true}, {"echonl", LOCAL, ECHONL, false}, {"noflsh", LOCAL, NOFLSH, false}, {"tostop", LOCAL, TOSTOP, false}, {"echoctl", LOCAL, ECHOCTL, true}, {"echoke", LOCAL, ECHOKE, true},
};
static const struct { const char *name; int index; uint8_t sane; } chars[] = {
    {"intr", VINTR, 3}, {"quit", VQUIT, 28}, {"erase", VERASE, 127}, {"kill", VKILL, 21}, {"eof", VEOF, 4}, {"eol", VEOL, 0}, {"start", VSTART, 17},
    {"stop", VSTOP, 19}, {"susp", VSUSP, 26}, {"rprnt", VREPRINT, 18}, {"werase", VWERASE, 23}, {"lnext", VLNEXT, 22}, {"discard", VDISCARD, 15}, {"min", VMIN, 1}, {"time", VTIME, 0},
};

static uint32_t *word_of(struct termios *t, Word w) { return w == IN ? &t->iflag : w == OUT ? &t->oflag : w == CONTROL ? &t->cflag : &t->lflag; }

static void make_sane(struct termios *t) {
  for (size_t i = 0; i < countof(flags); i++) {
    uint32_t *w = word_of(t, flags[i].word);
    *w = flags[i].sane ? *w | flags[i].bit : *w & ~flags[i].bit;
  }
  for (size_t i = 0; i < countof(chars); i++) t->cc[chars[i].index] = chars[i].sane;
  t->cflag |= CS8;
}
static void make_raw(struct termios *t, bool on) {
  if (!on) return make_sane(t);
  t->iflag = 0;
  t->oflag &= ~(uint32_t)OPOST;
  t->lflag &= ~(uint32_t)(ISIG | ICANON | IEXTEN | ECHO);
  t->cc[VMIN] = 1;
  t->cc[VTIME] = 0;
}

static void show_char(uint8_t c) {
  if (!c) fputs("<undef>", stdout);
  else if (c == 127) fputs("^?", stdout);
  else if (c < 32) printf("^%c", c + 64);
  else putchar(c);
}

static void show(struct termios *t, bool all) {
  struct winsize w = {0};
  sys_ioctl(0, TIOCGWINSZ, &w);
  printf("speed %d baud;", 38400);
  if (all) printf(" rows %d; columns %d;", w.rows, w.cols);
  printf(" line = %d;\n", t->line);
  for (size_t i = 0; i < countof(chars); i++) {
    uint8_t c = t->cc[chars[i].index];
    if (!all && c == chars[i].sane) continue;
    if (chars[i].index == VMIN || chars[i].index == VTIME) {
      if (all || !(t->lflag & ICANON)) printf("%s = %d; ", chars[i].name, c);
      continue;
    }
    printf("%s = ", chars[i].name);
    show_char(c);
    fputs("; ", stdout);
  }
  putchar('\n');
  size_t column = 0;
  for (size_t i = 0; i < countof(flags); i++) {
    bool on = *word_of(t, flags[i].word) & flags[i].bit;
    if (!all && on == flags[i].sane) continue;
    if (column > 70) putchar('\n'), column = 0;
    column += (size_t)printf("%s%s ", on ? "" : "-", flags[i].name);
  }
  if (column) putchar('\n');
}

int stty_main(int argc, char **argv) {
  struct termios t;
  struct winsize w = {0};
  int i = 1, status = 0;
  if (i + 1 < argc && (!strcmp(argv[i], "-F") || !strcmp(argv[i], "--file"))) {
    long fd = sys_open(argv[i + 1], O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0) die_errno(fd, "%s", argv[i + 1]);
    sys_dup3((int)fd, 0, 0);
    i += 2;
  }
  long err = sys_ioctl(0, TCGETS, &t);
  if (err < 0) die_errno(err, "standard input");
  sys_ioctl(0, TIOCGWINSZ, &w);
  bool resized = false, changed = false;
  if (i == argc) show(&t, false);
  for (; i < argc; i++) {
    char *a = argv[i];
    bool on = *a != '-';
    const char *name = on ? a : a + 1;
    size_t k = 0;
    if (!strcmp(a, "-a") || !strcmp(a, "--all")) show(&t, true);
    else if (!strcmp(a, "size")) printf("%d %d\n", w.rows, w.cols);
    else if (!strcmp(a, "-g")) {
      printf("%x:%x:%x:%x", t.iflag, t.oflag, t.cflag, t.lflag);
      for (size_t c = 0; c < sizeof t.cc; c++) printf(":%x", t.cc[c]);
      putchar('\n');
    } else if (strchr(a, ':')) {
      char *p = a;
      uint32_t *words[] = {&t.iflag, &t.oflag, &t.cflag, &t.lflag};
      for (int c = 0; c < 4; c++, p += *p == ':') *words[c] = (uint32_t)strtoul(p, &p, 16);
      for (size_t c = 0; c < sizeof t.cc && *p; c++, p += *p == ':') t.cc[c] = (uint8_t)strtoul(p, &p, 16);
      changed = true;
    } else if (!strcmp(name, "sane")) make_sane(&t), changed = true;
    else if (!strcmp(name, "raw") || !strcmp(name, "cooked")) make_raw(&t, on == (*name == 'r')), changed = true;
    else if (!strcmp(name, "cbreak")) t.lflag = on ? t.lflag & ~(uint32_t)ICANON : t.lflag | ICANON, changed = true;
    else if ((!strcmp(a, "rows") || !strcmp(a, "cols") || !strcmp(a, "columns")) && i + 1 < argc) {
      *(*a == 'r' ? &w.rows : &w.cols) = (uint16_t)atoi(argv[++i]);
      resized = true;
    } else {
      for (k = 0; k < countof(flags) && strcmp(flags[k].name, name); k++) {}
      if (k < countof(flags)) {
        uint32_t *word = word_of(&t, flags[k].word);
        *word = on ? *word | flags[k].bit : *word & ~flags[k].bit;
        changed = true;
        continue;
      }
      for (k = 0; k < countof(chars) && strcmp(chars[k].name, a); k++) {}
      if (k == countof(chars) || i + 1 >= argc) {
        warn("invalid argument '%s'", a);
        status = 1;
        continue;
      }
      char *v = argv[++i];
      t.cc[chars[k].index] = (uint8_t)(!strcmp(v, "undef") || !strcmp(v, "^-") ? 0 : v[0] == '^' && v[1] ? (v[1] == '?' ? 127 : v[1] & 31) : isdigit(*v) && v[1] ? atoi(v) : chars[k].index == VMIN || chars[k].index == VTIME ? atoi(v) : *v);
      changed = true;
    }
  }
  if (changed && (err = sys_ioctl(0, TCSETSW, &t)) < 0) die_errno(err, "standard input");
  if (resized && (err = sys_ioctl(0, TIOCSWINSZ, &w)) < 0) die_errno(err, "standard input");
  return status;
}
