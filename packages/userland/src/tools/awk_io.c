/* awk's records and fields, and the files and commands it reads and writes. */
#include "awk.h"

/* ---- records and fields ---- */

static char *record;
static bool fields_valid, record_valid = true;
static StrList fields; /* $1.. */

Regex *awk_compile(const char *text) {
  const char *error = "";
  Regex *re = regex_compile(text, REG_EXTENDED, &error);
  if (!re) die("%s: /%s/", error, text);
  return re;
}
/* Expressions that the program makes are kept, the oldest giving way. */
Regex *dynamic_regex(const char *text) {
  static struct { char *text; Regex *re; } cache[32];
  static unsigned next;
  for (unsigned i = 0; i < countof(cache); i++)
    if (cache[i].text && !strcmp(cache[i].text, text)) return cache[i].re;
  unsigned at = next++ % countof(cache);
  free(cache[at].text);
  regex_free(cache[at].re);
  cache[at].text = strdup(text);
  return cache[at].re = awk_compile(text);
}


/* Cuts text at the separator: " " means runs of blanks, one character itself, else an expression. */
void cut(const char *s, const char *sep, Piece add, void *to) {
  if (!strcmp(sep, " ")) {
    for (;;) {
      s += strspn(s, " \t\n");
      if (!*s) return;
      size_t n = strcspn(s, " \t\n");
      add(to, s, n);
      s += n;
    }
  }
  if (!*s) return;
  if (!*sep) {
    for (; *s; s++) add(to, s, 1);
    return;
  }
  if (!sep[1] && *sep != '\\') {
    for (;;) {
      size_t n = (size_t)(strchrnul(s, *sep) - s);
      add(to, s, n);
      if (!s[n]) return;
      s += n + 1;
    }
  }
  Regex *re = dynamic_regex(sep);
  RegMatch m[REG_GROUPS];
  size_t len = strlen(s), at = 0, from = 0;
  while (from <= len && regex_search(re, s, len, from, m)) {
    if (m[0].end == m[0].start) {
      from = (size_t)m[0].end + 1;
      continue;
    }
    add(to, s + at, (size_t)m[0].start - at);
    at = from = (size_t)m[0].end;
  }
  add(to, s + at, len - at);
}

static void add_field(void *to, const char *s, size_t n) {
  (void)to;
  list_add(&fields, strndup(s, n));
}
void split_record(void) {
  if (fields_valid) return;
  fields_valid = true;
  for (size_t i = 0; i < fields.len; i++) free(fields.items[i]);
  fields.len = 0;
  const char *sep = to_str(fs->value);
  if (rs->value.str && !*rs->value.str && !strcmp(sep, " ")) sep = " ";
  cut(record ? record : "", sep, add_field, NULL);
  store(&nf->value, num((double)fields.len));
}
void set_record(const char *s) {
  char *own = strdup(s);
  free(record);
  record = own;
  record_valid = true;
  fields_valid = false;
}
static void join_fields(void) {
  Buf b = {0};
  buf_str(&b, "");
  const char *sep = to_str(ofs->value);
  for (size_t i = 0; i < fields.len; i++) buf_printf(&b, "%s%s", i ? sep : "", fields.items[i]);
  free(record);
  record = buf_take(&b);
  record_valid = true;
}
void resize_fields(size_t n) {
  split_record();
  while (fields.len > n) free(fields.items[--fields.len]);
  while (fields.len < n) list_add(&fields, strdup(""));
  store(&nf->value, num((double)n));
  record_valid = false;
}
Value get_field(long i) {
  if (i < 0) die("access to negative field %ld", i);
  if (i == 0) {
    if (!record_valid) join_fields();
    const char *s = record ? record : "";
    return strnum(temp_copy(s, strlen(s)));
  }
  split_record();
  if ((size_t)i > fields.len) return (Value){0};
  const char *s = fields.items[i - 1];
  return strnum(temp_copy(s, strlen(s)));
}
void set_field(long i, Value v) {
  if (i < 0 || i > 100000) die("access to field %ld", i);
  if (i == 0) {
    set_record(to_str(v));
    return;
  }
  split_record();
  if ((size_t)i > fields.len) resize_fields((size_t)i);
  char *s = strdup(to_str(v));
  free(fields.items[i - 1]);
  fields.items[i - 1] = s;
  record_valid = false;
}

/* ---- streams ---- */

Stream streams[AWK_STREAMS];

Stream *open_stream(const char *name, char mode) {
  Stream *empty = NULL;
  for (size_t i = 0; i < countof(streams); i++) {
    if (!streams[i].name) empty = empty ? empty : &streams[i];
    else if (!strcmp(streams[i].name, name) && (streams[i].mode == mode || (mode != '<' && mode != 'r' && streams[i].mode != '<' && streams[i].mode != 'r'))) return &streams[i];
  }
  if (!empty) die("too many open files");
  *empty = (Stream){.mode = mode};
  int err;
  if (mode == '|' || mode == 'r') { /* to a command, from a command */
    int fds[2];
    fflush(stdout);
    if (sys_pipe(fds, O_CLOEXEC) < 0) die("cannot make a pipe");
    bool to = mode == '|';
    empty->pid = (int)sys_fork();
    if (empty->pid == 0) {
      sys_dup3(to ? fds[0] : fds[1], to ? 0 : 1, 0);
      char *shell[] = {"sh", "-c", (char *)name, NULL};
      sys_exit_group(exec_program(shell) < 0 ? 127 : 0);
    }
    sys_close(to ? fds[0] : fds[1]);
    empty->f = fdopen(to ? fds[1] : fds[0], to ? "w" : "r");
  } else if (!strcmp(name, "-") || !strcmp(name, "/dev/stdin") || !strcmp(name, "/dev/stdout")) {
    empty->f = mode == '<' ? stdin : stdout;
  } else if (!strcmp(name, "/dev/stderr")) {
    empty->f = stderr;
  } else {
    empty->f = fopen(name, mode == '<' ? "r" : mode == 'a' ? "a" : "w", &err);
    if (!empty->f) {
      if (mode == '<') return NULL;
      die_errno(err, "%s", name);
    }
  }
  empty->name = strdup(name);
  return empty;
}
int close_stream(Stream *s) {
  int status = s->f == stdout || s->f == stdin || s->f == stderr ? 0 : fclose(s->f);
  if (s->pid) {
    int w = 0;
    while (sys_wait4(s->pid, &w, 0, NULL) == -EINTR) {}
    status = exit_status(w);
  }
  free(s->name);
  s->name = NULL;
  return status;
}

/* A record, by RS: newline, another character, or "" for paragraphs. */
char *read_record(FILE *f) {
  static char *line;
  static size_t cap;
  const char *sep = to_str(rs->value);
  if (*sep) {
    ssize_t n = getdelim(&line, &cap, (unsigned char)*sep, f);
    if (n < 0) return NULL;
    if (line[n - 1] == *sep) line[--n] = 0;
    if (*sep != '\n' && n && f->eof && f->pos >= f->len && line[n - 1] == '\n') line[--n] = 0;
    return line;
  }
  Buf b = {0};
  buf_str(&b, "");
  for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
    if (*line == '\n') {
      if (b.len) break;
      continue;
    }
    buf_str(&b, line);
  }
  if (!b.len) return NULL;
  if (b.data[b.len - 1] == '\n') b.data[--b.len] = 0;
  free(line);
  cap = b.cap;
  return line = b.data;
}

char **operands;
static FILE *main_input;
static bool used_file;

void assign_operand(const char *s) {
  const char *eq = strchr(s, '=');
  char *name = strndup(s, (size_t)(eq - s));
  Buf b = {0};
  buf_str(&b, "");
  for (const char *q = eq + 1; *q; q++) {
    if (*q == '\\' && q[1]) {
      q++;
      buf_char(&b, *q == 'n' ? '\n' : *q == 't' ? '\t' : *q);
    } else buf_char(&b, *q);
  }
  Var *v = awk_global(name);
  store(&v->value, strnum(b.data));
  buf_free(&b);
  free(name);
}
bool is_assignment(const char *s) {
  size_t n = 0;
  if (!isalpha((unsigned char)*s) && *s != '_') return false;
  while (isalnum((unsigned char)s[n]) || s[n] == '_') n++;
  return s[n] == '=';
}
char *next_record(void) {
  for (;;) {
    if (!main_input) {
      while (*operands && is_assignment(*operands)) assign_operand(*operands++);
      if (!*operands && used_file) return NULL;
      const char *path = *operands ? *operands++ : "-";
      used_file = true;
      main_input = open_operand(path);
      if (!main_input) {
        exit_value = 2;
        continue;
      }
      store(&filename->value, str(strcmp(path, "-") ? path : ""));
      store(&fnr->value, num(0));
    }
    char *r = read_record(main_input);
    if (r) {
      store(&nr->value, num(to_num(nr->value) + 1));
      store(&fnr->value, num(to_num(fnr->value) + 1));
      return r;
    }
    close_operand(main_input);
    main_input = NULL;
  }
}
