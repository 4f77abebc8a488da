/*
 * Regular expressions, POSIX basic and extended, with the GNU extras \+ \? \| \w \W \s \S \b
 * \B \< \> in both. A pattern is compiled to a small program; matching runs all its threads in
 * step over the text (Pike's method), so time is O(program x text) whatever the pattern.
 * The leftmost match wins, then the longest; groups follow the greedy thread of that length.
 * Only expressions with back-references fall back to backtracking, with a bound on its steps.
 */
#include "libc.h"

enum { CHAR, ANY, SET, SPLIT, JUMP, SAVE, BOL, EOL, WORD_START, WORD_END, WORD_EDGE, NOT_WORD_EDGE, BACKREF, MATCH };
/* SPLIT tries x before y. JUMP goes to x. SAVE and BACKREF use x; CHAR uses c; SET indexes sets. */
typedef struct { uint8_t op, c; int x, y; } Inst;
typedef uint64_t Set[4];

struct Regex {
  Inst *prog;
  int len, cap;
  Set *sets;
  int set_count;
  int groups;
  bool backrefs, icase, anchored;
  int first; /* the byte every match starts with, or -1 */
  /* parser state */
  const char *p, *error;
  bool extended;
  int depth; /* of groups while parsing, of recursion while backtracking */
  /* matcher scratch: two thread lists with their group positions */
  int *list[2], *seen;
  RegMatch *caps[2];
  int stamp;
  long steps;
};

static int emit(Regex *re, int op, int c, int x, int y) {
  if (re->len == re->cap) {
    re->cap = re->cap ? re->cap * 2 : 32;
    re->prog = realloc(re->prog, (size_t)re->cap * sizeof(Inst));
  }
  if (re->len > 20000) re->error = "Regular expression too big";
  re->prog[re->len] = (Inst){(uint8_t)op, (uint8_t)c, x, y};
  return re->len++;
}

static void set_add(Set s, int c) { s[c >> 6] |= 1ul << (c & 63); }
static bool set_has(const Set s, int c) { return s[c >> 6] >> (c & 63) & 1; }

static int new_set(Regex *re) {
  re->sets = realloc(re->sets, (size_t)(re->set_count + 1) * sizeof(Set));
  memset(re->sets[re->set_count], 0, sizeof(Set));
  return re->set_count++;
}

static bool is_word(int c) { return isalnum(c) || c == '_'; }
static void set_class(Set s, bool (*is)(int), bool negate) {
  for (int c = 0; c < 256; c++)
    if (is(c) != negate) set_add(s, c);
}

static void parse_bracket(Regex *re) {
  static const struct { const char *name; bool (*is)(int); } classes[] = {
      {"alpha", isalpha}, {"digit", isdigit}, {"alnum", isalnum}, {"upper", isupper}, {"lower", islower}, {"space", isspace},
      {"print", isprint}, {"graph", isgraph}, {"punct", ispunct}, {"cntrl", iscntrl}, {"xdigit", isxdigit},
  };
  const char *closing = strchr(re->p, ']');
  if (re->p[0] == ':' && closing && closing > re->p + 1 && closing[-1] == ':') {
    re->error = "character class syntax is [[:space:]], not [:space:]";
    return;
  }
  int index = new_set(re);
  Set *s = &re->sets[index];
  bool negate = *re->p == '^';
  if (negate) re->p++;
  for (const char *start = re->p; *re->p && (*re->p != ']' || re->p == start);) {
    if (re->p[0] == '[' && re->p[1] == ':') {
      const char *end = strstr(re->p, ":]"), *name = re->p + 2;
      size_t i = 0;
      while (end && i < countof(classes) && !(strlen(classes[i].name) == (size_t)(end - name) && starts_with(name, classes[i].name))) i++;
      if (!end || i == countof(classes)) {
        re->error = "Invalid character class name";
        return;
      }
      set_class(*s, classes[i].is, false);
      if (re->icase && (classes[i].is == isupper || classes[i].is == islower)) set_class(*s, isalpha, false);
      re->p = end + 2;
    } else {
      if ((re->p[0] == '[' && (re->p[1] == '.' || re->p[1] == '=')) && re->p[2] && re->p[3] == re->p[1] && re->p[4] == ']') {
        set_add(*s, (unsigned char)re->p[2]);
        re->p += 5;
        continue;
      }
      int lo = (unsigned char)*re->p++, hi = lo;
      if (re->p[0] == '-' && re->p[1] && re->p[1] != ']') {
        hi = (unsigned char)re->p[1];
        re->p += 2;
      }
      if (hi < lo) re->error = "Invalid range end";
      for (int c = lo; c <= hi; c++) set_add(*s, c);
    }
  }
  if (*re->p != ']') {
    re->error = "Unmatched [, [^, [:, [., or [=";
    return;
  }
  re->p++;
  if (re->icase)
    for (int c = 'a'; c <= 'z'; c++)
      if (set_has(*s, c) || set_has(*s, c - 32)) set_add(*s, c), set_add(*s, c - 32);
  if (negate) {
    for (int i = 0; i < 4; i++) (*s)[i] = ~(*s)[i];
  }
  emit(re, SET, 0, index, 0);
}

static void emit_class(Regex *re, bool (*is)(int), bool negate) {
  int index = new_set(re);
  set_class(re->sets[index], is, negate);
  emit(re, SET, 0, index, 0);
}

static void emit_char(Regex *re, int c) {
  if (re->icase && isalpha(c)) {
    int index = new_set(re);
    set_add(re->sets[index], tolower(c));
    set_add(re->sets[index], toupper(c));
    emit(re, SET, 0, index, 0);
  } else {
    emit(re, CHAR, c, 0, 0);
  }
}

/* Duplicates prog[from..to) at the end; jumps inside the piece are moved with it. */
static void copy_piece(Regex *re, int from, int to) {
  int shift = re->len - from;
  for (int i = from; i < to && !re->error; i++) {
    Inst in = re->prog[i];
    bool jumps = in.op == SPLIT || in.op == JUMP;
    emit(re, in.op, in.c, jumps ? in.x + shift : in.x, in.op == SPLIT ? in.y + shift : in.y);
  }
}

/* Opens a hole of one instruction at `at`, moving the piece that starts there. */
static void insert_split(Regex *re, int at) {
  emit(re, MATCH, 0, 0, 0);
  for (int i = re->len - 1; i > at; i--) {
    re->prog[i] = re->prog[i - 1];
    if (re->prog[i].op == SPLIT || re->prog[i].op == JUMP) re->prog[i].x++;
    if (re->prog[i].op == SPLIT) re->prog[i].y++;
  }
  re->prog[at] = (Inst){SPLIT, 0, at + 1, re->len};
}

static void make_star(Regex *re, int at) {
  insert_split(re, at);
  emit(re, JUMP, 0, at, 0);
  re->prog[at].y = re->len;
}

static void repeat(Regex *re, int at, int min, int max) {
  int end = re->len;
  if (max == 0) {
    re->len = at;
    return;
  }
  if (min == 0 && max < 0) return make_star(re, at);
  if (min == 0) {
    insert_split(re, at);
    end++;
    re->prog[at].y = end; /* refined below: skipping the first skips the rest */
    int first = at;
    for (int i = 1; i < max && !re->error; i++) {
      int piece = re->len;
      emit(re, SPLIT, 0, piece + 1, 0);
      copy_piece(re, first + 1, end);
    }
    /* each optional copy exits to the common end */
    int size = end - first;
    for (int i = 0; i < max && !re->error; i++) re->prog[first + i * size].y = re->len;
    return;
  }
  for (int i = 1; i < min && !re->error; i++) copy_piece(re, at, end);
  if (max < 0) {
    int last = re->len - (end - at);
    emit(re, SPLIT, 0, last, re->len + 1);
    return;
  }
  int size = end - at + 1, first = re->len;
  for (int i = min; i < max && !re->error; i++) {
    emit(re, SPLIT, 0, re->len + 1, 0);
    copy_piece(re, at, end);
  }
  for (int i = 0; i < max - min && !re->error; i++) re->prog[first + i * size].y = re->len;
}

static void parse_alternatives(Regex *re);

/* True when the parser stands at \X (basic) or X (extended). */
static bool at_op(Regex *re, char c) { return re->extended ? *re->p == c : re->p[0] == '\\' && re->p[1] == c; }
static void skip_op(Regex *re) { re->p += re->extended ? 1 : 2; }

static bool parse_bounds(Regex *re, int *min, int *max) {
  const char *q = re->p + (re->extended ? 1 : 2);
  char *end;
  *min = isdigit(*q) ? (int)strtol(q, &end, 10) : 0;
  bool any = isdigit(*q);
  if (any) q = end;
  *max = *min;
  if (*q == ',') {
    q++;
    *max = isdigit(*q) ? (int)strtol(q, &end, 10) : -1;
    if (isdigit(*q)) q = end;
    any = true;
  }
  bool closed = re->extended ? *q == '}' : q[0] == '\\' && q[1] == '}';
  if (!any || !closed) return false;
  if ((*max >= 0 && *max < *min) || *min > 1000 || *max > 1000) re->error = "Invalid content of \\{\\}";
  re->p = q + (re->extended ? 1 : 2);
  return true;
}

/* One atom; returns false at the end of the branch. `first` is true at the start of one. */
static bool parse_atom(Regex *re, bool first) {
  char c = *re->p;
  if (!c || at_op(re, '|') || (re->depth && at_op(re, ')'))) return false;
  if (at_op(re, '(')) {
    skip_op(re);
    int group = ++re->groups;
    if (group < REG_GROUPS) emit(re, SAVE, 0, group * 2, 0);
    re->depth++;
    parse_alternatives(re);
    re->depth--;
    if (!at_op(re, ')')) {
      if (!re->error) re->error = "Unmatched ( or \\(";
      return false;
    }
    skip_op(re);
    if (group < REG_GROUPS) emit(re, SAVE, 0, group * 2 + 1, 0);
    return true;
  }
  if (!re->extended && at_op(re, ')')) {
    re->error = "Unmatched ) or \\)";
    return false;
  }
  re->p++;
  if (c == '.') {
    emit(re, ANY, 0, 0, 0);
  } else if (c == '[') {
    parse_bracket(re);
  } else if (c == '^' && (re->extended || first)) {
    emit(re, BOL, 0, 0, 0);
  } else if (c == '$' && (re->extended || !*re->p || at_op(re, '|') || at_op(re, ')'))) {
    emit(re, EOL, 0, 0, 0);
  } else if (c == '\\') {
    c = *re->p;
    if (!c) {
      re->error = "Trailing backslash";
      return false;
    }
    re->p++;
    if (c >= '1' && c <= '9') {
      if (c - '0' > re->groups) re->error = "Invalid back reference";
      re->backrefs = true;
      emit(re, BACKREF, 0, c - '0', 0);
    } else if (c == 'w' || c == 'W') emit_class(re, is_word, c == 'W');
    else if (c == 's' || c == 'S') emit_class(re, isspace, c == 'S');
    else if (c == 'b') emit(re, WORD_EDGE, 0, 0, 0);
    else if (c == 'B') emit(re, NOT_WORD_EDGE, 0, 0, 0);
    else if (c == '<') emit(re, WORD_START, 0, 0, 0);
    else if (c == '>') emit(re, WORD_END, 0, 0, 0);
    else if (c == '`') emit(re, BOL, 0, 0, 0);
    else if (c == '\'') emit(re, EOL, 0, 0, 0);
    else if (c == 'n') emit_char(re, '\n');
    else if (c == 't') emit_char(re, '\t');
    else emit_char(re, (unsigned char)c);
  } else {
    emit_char(re, (unsigned char)c);
  }
  return !re->error;
}

static void parse_branch(Regex *re) {
  for (bool first = true; !re->error; first = false) {
    int at = re->len;
    char here = *re->p;
    /* A repetition with nothing before it is literal (basic) or matches empty (extended). */
    if (first && re->extended && (here == '*' || here == '+' || here == '?')) {
      re->p++;
      continue;
    }
    int none;
    if (first && re->extended && here == '{' && parse_bounds(re, &none, &none)) continue;
    bool anchor = here == '^' && (re->extended || first);
    if (!parse_atom(re, first)) return;
    if (anchor && !re->extended && *re->p == '*') {
      emit_char(re, '*');
      re->p++;
    }
    for (;;) {
      int min, max;
      if (*re->p == '*') re->p++, min = 0, max = -1;
      else if (at_op(re, '+')) skip_op(re), min = 1, max = -1;
      else if (at_op(re, '?')) skip_op(re), min = 0, max = 1;
      else if (at_op(re, '{')) {
        if (!parse_bounds(re, &min, &max)) {
          if (!re->extended && !re->error) re->error = "Invalid preceding regular expression";
          break;
        }
      } else break;
      if (!re->error) repeat(re, at, min, max);
    }
  }
}

static void parse_alternatives(Regex *re) {
  int start = re->len;
  parse_branch(re);
  if (re->error || !at_op(re, '|')) return;
  skip_op(re);
  insert_split(re, start);
  int jump = emit(re, JUMP, 0, 0, 0);
  re->prog[start].y = re->len;
  parse_alternatives(re);
  re->prog[jump].x = re->len;
}

Regex *regex_compile(const char *pattern, int flags, const char **error) {
  Regex *re = calloc(1, sizeof *re);
  re->p = pattern;
  re->extended = flags & REG_EXTENDED;
  re->icase = flags & REG_ICASE;
  parse_alternatives(re);
  if (!re->error && *re->p) re->error = "Unmatched ) or \\)";
  emit(re, MATCH, 0, 0, 0);
  if (re->error) {
    if (error) *error = re->error;
    regex_free(re);
    return NULL;
  }
  re->first = re->prog[0].op == CHAR ? re->prog[0].c : -1;
  re->anchored = re->prog[0].op == BOL;
  size_t n = (size_t)re->len;
  re->seen = calloc(n, sizeof *re->seen);
  for (int i = 0; i < 2; i++) {
    re->list[i] = malloc(n * sizeof(int));
    re->caps[i] = malloc(n * sizeof(RegMatch[REG_GROUPS]));
  }
  return re;
}

int regex_groups(const Regex *re) { return re->groups; }
void regex_free(Regex *re) {
  if (!re) return;
  for (int i = 0; i < 2; i++) free(re->list[i]), free(re->caps[i]);
  free(re->seen);
  free(re->prog);
  free(re->sets);
  free(re);
}

typedef struct { const char *text; size_t len; } Text;

static bool assertion(const Inst *in, const Text *t, size_t at) {
  bool before = at > 0 && is_word((unsigned char)t->text[at - 1]);
  bool after = at < t->len && is_word((unsigned char)t->text[at]);
  switch (in->op) {
    case BOL: return at == 0;
    case EOL: return at == t->len;
    case WORD_START: return !before && after;
    case WORD_END: return before && !after;
    case WORD_EDGE: return before != after;
    default: return before == after;
  }
}

static bool consumes(const Regex *re, const Inst *in, int c) {
  return in->op == CHAR ? in->c == c : in->op == ANY ? true : in->op == SET && set_has(re->sets[in->x], c);
}

typedef struct { int n; int *pc; RegMatch (*cap)[REG_GROUPS]; } Threads;

/* Adds the thread at pc and everything reachable without consuming; cap is restored on return. */
static void follow(Regex *re, Threads *to, const Text *t, size_t at, int pc, RegMatch *cap) {
  for (;;) {
    if (re->seen[pc] == re->stamp) return;
    re->seen[pc] = re->stamp;
    const Inst *in = &re->prog[pc];
    switch (in->op) {
      case JUMP: pc = in->x; continue;
      case SPLIT:
        follow(re, to, t, at, in->x, cap);
        pc = in->y;
        continue;
      case SAVE: {
        ssize_t *slot = in->x & 1 ? &cap[in->x / 2].end : &cap[in->x / 2].start, old = *slot;
        *slot = (ssize_t)at;
        follow(re, to, t, at, pc + 1, cap);
        *slot = old;
        return;
      }
      case BOL: case EOL: case WORD_START: case WORD_END: case WORD_EDGE: case NOT_WORD_EDGE:
        if (!assertion(in, t, at)) return;
        pc++;
        continue;
      default:
        memcpy(to->cap[to->n], cap, sizeof to->cap[0]);
        to->pc[to->n++] = pc;
        return;
    }
  }
}

/* Longest match by backtracking, for expressions with back-references. */
static void backtrack(Regex *re, const Text *t, size_t at, int pc, RegMatch *cap, RegMatch *best, bool *found) {
  for (;;) {
    if (++re->steps > 2000000 || re->depth > 16000) return;
    const Inst *in = &re->prog[pc];
    switch (in->op) {
      case JUMP: pc = in->x; continue;
      case SPLIT: {
        RegMatch copy[REG_GROUPS];
        memcpy(copy, cap, sizeof copy);
        re->depth++;
        backtrack(re, t, at, in->x, copy, best, found);
        re->depth--;
        pc = in->y;
        continue;
      }
      case SAVE:
        if (in->x & 1) cap[in->x / 2].end = (ssize_t)at;
        else cap[in->x / 2].start = (ssize_t)at;
        pc++;
        continue;
      case BACKREF: {
        RegMatch *g = &cap[in->x];
        size_t n = g->end < 0 ? 0 : (size_t)(g->end - g->start);
        if (g->end < 0 || n > t->len - at) return;
        if (re->icase ? strncasecmp(t->text + g->start, t->text + at, n) : memcmp(t->text + g->start, t->text + at, n)) return;
        at += n;
        pc++;
        continue;
      }
      case MATCH:
        if (!*found || (ssize_t)at > best[0].end) {
          *found = true;
          memcpy(best, cap, sizeof(RegMatch[REG_GROUPS]));
          best[0].end = (ssize_t)at;
        }
        return;
      case CHAR: case ANY: case SET:
        if (at >= t->len || !consumes(re, in, (unsigned char)t->text[at])) return;
        at++;
        pc++;
        continue;
      default:
        if (!assertion(in, t, at)) return;
        pc++;
        continue;
    }
  }
}

bool regex_search(Regex *re, const char *text, size_t len, size_t from, RegMatch match[REG_GROUPS]) {
  Text t = {text, len};
  bool found = false;
  RegMatch cap[REG_GROUPS];
  if (re->backrefs) {
    re->steps = 0;
    for (size_t at = from; at <= len && !found; at++) {
      for (int i = 0; i < REG_GROUPS; i++) cap[i] = (RegMatch){-1, -1};
      cap[0].start = (ssize_t)at;
      backtrack(re, &t, at, 0, cap, match, &found);
    }
    return found;
  }
  Threads now = {0, re->list[0], (void *)re->caps[0]}, next = {0, re->list[1], (void *)re->caps[1]};
  for (size_t at = from;; at++) {
    if (!found) {
      if (!now.n && re->first >= 0) {
        const char *hit = at < len ? memchr(text + at, re->first, len - at) : NULL;
        if (!hit) return false;
        at = (size_t)(hit - text);
      }
      /* New threads start here with the lowest priority; seen[] keeps the stamp of `now`. */
      for (int i = 0; i < REG_GROUPS; i++) cap[i] = (RegMatch){-1, -1};
      cap[0].start = (ssize_t)at;
      if (!now.n) re->stamp++;
      follow(re, &now, &t, at, 0, cap);
    }
    if (!now.n && (found || re->anchored)) return found;
    re->stamp++;
    next.n = 0;
    for (int i = 0; i < now.n; i++) {
      const Inst *in = &re->prog[now.pc[i]];
      RegMatch *c = now.cap[i];
      if (found && c[0].start > match[0].start) continue;
      if (in->op == MATCH) {
        if (!found || c[0].start < match[0].start || (ssize_t)at > match[0].end) {
          found = true;
          memcpy(match, c, sizeof cap);
          match[0].end = (ssize_t)at;
        }
      } else if (at < len && consumes(re, in, (unsigned char)text[at])) {
        follow(re, &next, &t, at + 1, now.pc[i] + 1, c);
      }
    }
    Threads swap = now;
    now = next;
    next = swap;
    if (at >= len) return found;
  }
}
