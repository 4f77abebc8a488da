/*
 * Word expansion: tilde, parameters, command substitution, arithmetic, then field splitting,
 * pathname expansion and quote removal.
 *
 * The expanded text is kept with one mark per byte that remembers where the byte came from:
 * quoted bytes neither split nor glob, literal ones may glob, expanded ones may do both.
 */
#include "sh.h"

enum { QUOTED = 'q', LITERAL = 'l', EXPANDED = 'x', BREAK = 'b', PRESENT = 'e' };
/* BREAK separates the fields of "$@"; PRESENT makes "" a field although it has no bytes. */
typedef struct { Buf text, mark; bool failed, empty_at; } Exp;

static void add(Exp *e, const char *s, size_t n, int mark) {
  buf_add(&e->text, s, n);
  buf_reserve(&e->mark, n);
  memset(e->mark.data + e->mark.len, mark, n);
  e->mark.len += n;
}
static void add_str(Exp *e, const char *s, int mark) { add(e, s, strlen(s), mark); }

static const char *expand_dollar(const char *p, Exp *e, bool dq);
static void expand_raw(const char *p, const char *end, Exp *e, int flags);

static void fail(Exp *e) { e->failed = true; }

/* ---- parameters ---- */

static const char *special_value(const char *name, char num[24]) {
  long n;
  switch (*name) {
    case '?': n = last_status; break;
    case '$': n = shell_pid; break;
    case '#': n = params->argc; break;
    case '!':
      if (!last_background_pid) return NULL;
      n = last_background_pid;
      break;
    case '0': return shell_name;
    case '-': {
      char *o = num;
      if (opt_a) *o++ = 'a';
      if (opt_e) *o++ = 'e';
      if (opt_f) *o++ = 'f';
      if (interactive) *o++ = 'i';
      if (opt_m) *o++ = 'm';
      if (opt_u) *o++ = 'u';
      if (opt_x) *o++ = 'x';
      *o = 0;
      return num;
    }
    default:
      n = atoi(name);
      return n <= params->argc ? params->argv[n - 1] : NULL;
  }
  snprintf(num, 24, "%ld", n);
  return num;
}

static const char *param_value(const char *name, char num[24]) {
  if (name_length(name)) {
    if (!strcmp(name, "LINENO") || !strcmp(name, "RANDOM") || !strcmp(name, "SECONDS")) {
      if (*name == 'L') {
        snprintf(num, 24, "%d", current_line);
        return num;
      }
      static long start;
      struct timespec t;
      uint16_t r;
      sys_clock_gettime(CLOCK_MONOTONIC, &t);
      if (!start) start = t.tv_sec;
      if (*name == 'R') sys_getrandom(&r, sizeof r);
      snprintf(num, 24, "%ld", *name == 'R' ? (long)(r & 32767) : t.tv_sec - start);
      return num;
    }
    return var_get(name);
  }
  return special_value(name, num);
}

/* $@ and $*: all positional parameters from `from`. */
static void add_params(Exp *e, char which, bool dq, int from, int count) {
  const char *ifs = var_get("IFS");
  char sep[2] = {ifs ? *ifs : ' ', 0};
  for (int i = from; i < params->argc && i < from + count; i++) {
    if (i > from) {
      if (which == '*' && dq) add_str(e, sep, QUOTED);
      else add(e, " ", 1, BREAK);
    }
    if (dq && which == '@' && !*params->argv[i]) add(e, "", 1, PRESENT);
    add_str(e, params->argv[i], dq ? QUOTED : EXPANDED);
  }
}

static void add_value(Exp *e, const char *value, bool dq) {
  if (value) add_str(e, value, dq ? QUOTED : EXPANDED);
}

static void unset_error(Exp *e, const char *name) {
  if (!opt_u) return;
  shell_error("%s: parameter not set", name);
  fail(e);
}

/* Removes a matching prefix or suffix; the shortest, or the longest. */
static char *trim(const char *value, const char *pattern, bool suffix, bool longest) {
  size_t n = strlen(value);
  for (size_t k = 0; k <= n; k++) {
    size_t len = longest ? n - k : k; /* of the part to remove */
    char *part = suffix ? strdup(value + n - len) : strndup(value, len);
    bool hit = fnmatch(pattern, part, 0);
    free(part);
    if (hit) return suffix ? strndup(value, n - len) : strdup(value + len);
  }
  return strdup(value);
}

static char *substitute(const char *value, const char *pattern, const char *with, bool all, char anchor) {
  Buf out = {0};
  const char *p = value;
  size_t n = strlen(value);
  if (!*pattern) return strdup(value);
  for (bool done = false; !done && (*p || p == value);) {
    size_t left = n - (size_t)(p - value), hit = 0;
    bool found = false;
    if (anchor != '#' || p == value)
      for (size_t len = left; len > 0 && !found; len--) {
        if (anchor == '%' && len != left) break;
        char *part = strndup(p, len);
        found = fnmatch(pattern, part, 0);
        if (found) hit = len;
        free(part);
      }
    if (found) {
      buf_str(&out, with);
      p += hit;
      done = !all;
    } else {
      if (!*p) break;
      buf_char(&out, *p++);
    }
  }
  buf_str(&out, p);
  return buf_take(&out);
}

static char *change_case(const char *value, bool upper, bool all) {
  char *out = strdup(value);
  for (char *c = out; *c && (all || c == out); c++) *c = (char)(upper ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
  return out;
}

static char *expand_slice(const char *start, const char *end, int flags) {
  char *raw = strndup(start, (size_t)(end - start));
  char *s = expand_string(raw, flags);
  free(raw);
  return s;
}

/* Finds the unquoted `c` in a parameter's operand. */
static const char *find_operand_end(const char *p, const char *end, char c) {
  while (p && p < end && *p != c) {
    if (*p == '\\') p += 2;
    else if (*p == '\'') p = skip_single(p + 1);
    else if (*p == '"') p = skip_double(p + 1);
    else if (*p == '$') p = skip_dollar(p);
    else if (*p == '`') p = skip_backquote(p + 1);
    else p++;
  }
  return p && p < end ? p : NULL;
}

/* ${name:offset:length} */
static void add_substring(Exp *e, const char *name, const char *value, const char *p, const char *end, bool dq) {
  const char *colon = find_operand_end(p, end, ':');
  char *offset_text = expand_slice(p, colon ? colon : end, X_NOSPLIT), *length_text = colon ? expand_slice(colon + 1, end, X_NOSPLIT) : NULL;
  long offset = 0, length = LONG_MAX;
  if (!offset_text || !arith(offset_text, &offset) || (length_text && !arith(length_text, &length))) {
    fail(e);
  } else if (*name == '@' || *name == '*') {
    if (offset < 0) offset += params->argc + 1;
    long count = length < 0 ? 0 : length > params->argc ? params->argc : length;
    if (offset == 0) offset = 1;
    add_params(e, *name, dq, (int)offset - 1, (int)count);
  } else if (value) {
    long n = (long)strlen(value);
    if (offset < 0) offset = offset + n < 0 ? n : offset + n;
    if (offset > n) offset = n;
    if (length < 0) length = n - offset + length;
    if (length > n - offset) length = n - offset;
    if (length > 0) add(e, value + offset, (size_t)length, dq ? QUOTED : EXPANDED);
  }
  free(offset_text);
  free(length_text);
}

/* ${...}, p behind the brace, end at the closing one. */
static void expand_braced(const char *p, const char *end, Exp *e, bool dq) {
  bool length = *p == '#' && p + 1 < end && !strchr(":-=?+%#", p[1]);
  if (*p == '#' && p + 2 == end && p[1] == '#') length = true;
  if (length) p++;
  bool indirect = *p == '!' && p + 1 < end && name_length(p + 1);
  if (indirect) p++;
  size_t n = name_length(p);
  if (!n && isdigit((unsigned char)*p)) while (isdigit((unsigned char)p[n])) n++;
  if (!n && *p && strchr("@*#?-$!", *p)) n = 1;
  if (!n) {
    shell_error("${%.*s}: bad substitution", (int)(end - p), p);
    return fail(e);
  }
  char *name = strndup(p, n), num[24], *owned = NULL;
  p += n;
  if (indirect) {
    const char *target = var_get(name);
    free(name);
    name = strdup(target ? target : "");
  }
  bool all = *name == '@' || *name == '*';
  const char *value = all ? (params->argc ? "" : NULL) : param_value(name, num);
  if (value == num || (value && !all)) value = owned = strdup(value);
  if (length) {
    char count[24];
    if (!all && !value) unset_error(e, name);
    snprintf(count, sizeof count, "%ld", all ? (long)params->argc : value ? (long)display_width(value) : 0L);
    add_value(e, count, dq);
    goto out;
  }
  bool colon = *p == ':' && p + 1 < end && strchr("-=?+", p[1]);
  if (colon) p++;
  char op = p < end ? *p++ : 0;
  bool set = value && !(colon && !all && !*value);
  if (colon && all && params->argc == 1 && !*params->argv[0]) set = false;
  switch (op) {
    case 0:
      if (!value && !all) unset_error(e, name);
      if (all) add_params(e, *name, dq, 0, params->argc);
      else add_value(e, value, dq);
      break;
    case '-': case '+':
      if (op == '-' && set) {
        if (all) add_params(e, *name, dq, 0, params->argc);
        else add_value(e, value, dq);
      } else if (op == '-' || set) {
        expand_raw(p, end, e, dq ? X_HEREDOC | X_NOSPLIT : 0);
      }
      break;
    case '=':
      if (!set) {
        char *fresh = expand_slice(p, end, X_NOSPLIT);
        if (!fresh || !is_name(name, strlen(name)) || !var_set(name, fresh)) fail(e);
        else add_value(e, fresh, dq);
        free(fresh);
      } else {
        add_value(e, value, dq);
      }
      break;
    case '?':
      if (!set) {
        char *text = expand_slice(p, end, X_NOSPLIT);
        shell_error("%s: %s", name, text && *text ? text : "parameter not set or null");
        free(text);
        fail(e);
      } else if (all) {
        add_params(e, *name, dq, 0, params->argc);
      } else {
        add_value(e, value, dq);
      }
      break;
    case '#': case '%': {
      if (!value) {
        unset_error(e, name);
        break;
      }
      bool longest = p < end && *p == op;
      if (longest) p++;
      char *pattern = expand_slice(p, end, X_PATTERN), *result = pattern ? trim(value, pattern, op == '%', longest) : NULL;
      add_value(e, result, dq);
      free(pattern);
      free(result);
      break;
    }
    case '/': {
      if (!value) {
        unset_error(e, name);
        break;
      }
      bool every = p < end && *p == '/';
      char anchor = p < end && (*p == '#' || *p == '%') ? *p : 0;
      if (every || anchor) p++;
      const char *slash = find_operand_end(p, end, '/');
      char *pattern = expand_slice(p, slash ? slash : end, X_PATTERN), *with = slash ? expand_slice(slash + 1, end, X_NOSPLIT) : strdup("");
      char *result = pattern && with ? substitute(value, pattern, with, every, anchor) : NULL;
      add_value(e, result, dq);
      free(pattern);
      free(with);
      free(result);
      break;
    }
    case '^': case ',': {
      char *result = change_case(value ? value : "", op == '^', p < end && *p == op);
      add_value(e, result, dq);
      free(result);
      break;
    }
    case ':': add_substring(e, name, value, p, end, dq); break;
    default:
      shell_error("${%s%c...}: bad substitution", name, op);
      fail(e);
  }
out:
  free(owned);
  free(name);
}

/* ---- $, ` ---- */

static void add_output(Exp *e, const char *command, bool dq) {
  char *out = command_output(command);
  add_value(e, out, dq);
  free(out);
}

static const char *expand_backquote(const char *p, Exp *e, bool dq) { /* behind the ` */
  const char *end = skip_backquote(p);
  if (!end) end = p + strlen(p);
  Buf command = {0};
  for (; p < end - 1; p++) {
    if (*p == '\\' && (p[1] == '\\' || p[1] == '`' || p[1] == '$' || (dq && p[1] == '"'))) p++;
    buf_char(&command, *p);
  }
  char *text = buf_take(&command);
  add_output(e, text, dq);
  free(text);
  return end;
}

static const char *expand_dollar(const char *p, Exp *e, bool dq) { /* at $ */
  const char *start = p++;
  char num[24];
  if (*p == '{') {
    const char *end = skip_braces(p + 1);
    if (!end) {
      shell_error("%s: bad substitution", start);
      fail(e);
      return start + strlen(start);
    }
    expand_braced(p + 1, end - 1, e, dq);
    return end;
  }
  if (*p == '(') {
    const char *end = skip_dollar(start);
    if (!end) end = p + strlen(p);
    if (p[1] == '(' && end[-2] == ')') {
      char *expr = expand_slice(p + 2, end - 2, X_HEREDOC | X_NOSPLIT);
      long v;
      if (!expr || !arith(expr, &v)) {
        fail(e);
      } else {
        snprintf(num, sizeof num, "%ld", v);
        add_value(e, num, dq);
      }
      free(expr);
    } else {
      char *command = strndup(p + 1, (size_t)(end - p) - 2);
      add_output(e, command, dq);
      free(command);
    }
    return end;
  }
  size_t n = name_length(p);
  if (n) {
    char *name = strndup(p, n);
    const char *value = param_value(name, num);
    if (!value) unset_error(e, name);
    add_value(e, value, dq);
    free(name);
    return p + n;
  }
  if (*p == '@' || *p == '*') {
    add_params(e, *p, dq, 0, params->argc);
    return p + 1;
  }
  if (*p && (isdigit((unsigned char)*p) || strchr("#?-$!", *p))) {
    char name[2] = {*p, 0};
    const char *value = special_value(name, num);
    if (!value) unset_error(e, name);
    add_value(e, value, dq);
    return p + 1;
  }
  add(e, "$", 1, dq ? QUOTED : LITERAL);
  return p;
}

/* $'...': C escapes. p behind the quote. */
static const char *expand_ansi(const char *p, Exp *e) {
  static const char from[] = "abefnrtv\\'\"?", to[] = "\a\b\033\f\n\r\t\v\\'\"?";
  while (*p && *p != '\'') {
    char c = *p++;
    if (c == '\\' && *p) {
      const char *hit = strchr(from, *p);
      if (hit) {
        c = to[hit - from];
        p++;
      } else if (*p == 'x' || (*p >= '0' && *p <= '7')) {
        int base = *p == 'x' ? 16 : 8, v = 0;
        if (base == 16) p++;
        for (int i = 0; i < (base == 16 ? 2 : 3) && isxdigit((unsigned char)*p) && (base == 16 || *p < '8'); i++, p++)
          v = v * base + (isdigit((unsigned char)*p) ? *p - '0' : tolower(*p) - 'a' + 10);
        c = (char)v;
      }
    }
    add(e, &c, 1, QUOTED);
  }
  add(e, "", 1, PRESENT);
  return *p ? p + 1 : p;
}

static const char *expand_tilde(const char *p, Exp *e) { /* at ~ */
  size_t n = 1;
  while (p[n] && !strchr("/: \t\n", p[n])) {
    if (strchr("'\"\\$`", p[n])) return p;
    n++;
  }
  if (n == 1) {
    const char *home = var_get("HOME");
    if (!home) return p;
    add_str(e, home, QUOTED);
    return p + 1;
  }
  if (n == 2 && (p[1] == '+' || p[1] == '-')) {
    const char *dir = var_get(p[1] == '+' ? "PWD" : "OLDPWD");
    if (!dir) return p;
    add_str(e, dir, QUOTED);
    return p + 2;
  }
  char *text = read_file("/etc/passwd", NULL);
  const char *result = p;
  for (char *line = text; line && *line; line = *strchrnul(line, '\n') ? strchrnul(line, '\n') + 1 : NULL) {
    if (strncmp(line, p + 1, n - 1) || line[n - 1] != ':') continue;
    char *field = line;
    for (int i = 0; i < 5 && field; i++) field = strchr(field, ':') ? strchr(field, ':') + 1 : NULL;
    if (field) {
      add(e, field, strcspn(field, ":\n"), QUOTED);
      result = p + n;
    }
    break;
  }
  free(text);
  return result;
}

/* ---- the scan ---- */

/* X_HEREDOC: the text is as inside double quotes, a " being an ordinary byte. */
static void expand_raw(const char *p, const char *end, Exp *e, int flags) {
  bool dq = flags & X_HEREDOC;
  bool tilde_ok = !dq;
  while (p < end && !e->failed) {
    char c = *p;
    bool at_start = tilde_ok;
    tilde_ok = false;
    if (c == '\\') {
      if (p + 1 >= end) {
        add(e, p++, 1, QUOTED);
      } else if (p[1] == '\n') {
        p += 2;
        tilde_ok = at_start;
      } else if (!dq || strchr("$`\\", p[1]) || (p[1] == '"' && !(flags & X_NOSPLIT)) || p[1] == '}') {
        add(e, p + 1, 1, QUOTED);
        p += 2;
      } else {
        add(e, p++, 1, QUOTED);
      }
    } else if (c == '\'' && !dq) {
      const char *close = skip_single(p + 1);
      if (!close) close = end + 1;
      add(e, p + 1, (size_t)(close - p) - 2, QUOTED);
      add(e, "", 1, PRESENT);
      p = close;
    } else if (c == '"' && (!dq || flags & X_NOSPLIT)) {
      /* Inside "${v-...}" and arithmetic, inner quotes only group. */
      const char *close = skip_double(p + 1);
      if (!close) close = end + 1;
      size_t before = e->text.len;
      bool has_at = false;
      for (const char *q = p + 1; q < close - 1 && !e->failed;) {
        if (*q == '\\' && q[1] == '\n') {
          q += 2;
        } else if (*q == '\\' && strchr("$`\"\\", q[1])) {
          add(e, q + 1, 1, QUOTED);
          q += 2;
        } else if (*q == '$') {
          has_at |= q[1] == '@' || (q[1] == '{' && q[2] == '@');
          q = expand_dollar(q, e, true);
        } else if (*q == '`') {
          q = expand_backquote(q + 1, e, true);
        } else {
          size_t n = 1;
          while (q + n < close - 1 && !strchr("\\$`", q[n])) n++;
          add(e, q, n, QUOTED);
          q += n;
        }
      }
      if (!(has_at && e->text.len == before)) add(e, "", 1, PRESENT);
      p = close;
    } else if (c == '$') {
      if (p[1] == '\'' && !dq) p = expand_ansi(p + 2, e);
      else p = expand_dollar(p, e, dq);
    } else if (c == '`') {
      p = expand_backquote(p + 1, e, dq);
    } else if (c == '~' && at_start) {
      const char *q = expand_tilde(p, e);
      if (q == p) add(e, p++, 1, LITERAL);
      else p = q;
    } else {
      add(e, p++, 1, dq ? QUOTED : LITERAL);
      tilde_ok = (flags & X_ASSIGN) && (c == ':' || c == '=');
    }
  }
}

/* ---- fields ---- */

typedef struct { Buf text, pattern; bool magic, any; } Field;

/* Whether a pattern can match anything but itself: a [ counts only when a ] follows. */
static bool has_magic(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '\\') i++;
    else if (p[i] == '*' || p[i] == '?' || (p[i] == '[' && memchr(p + i + 1, ']', n - i - 1))) return true;
  }
  return false;
}

static void end_field(Field *f, StrList *out) {
  if (f->any) {
    size_t before = out->len;
    if (f->magic && !opt_f && has_magic(f->pattern.data, f->pattern.len)) glob_path(f->pattern.data, out);
    if (out->len == before) list_add(out, strdup(f->text.data ? f->text.data : ""));
  }
  f->text.len = f->pattern.len = 0;
  if (f->text.data) *f->text.data = 0;
  f->magic = f->any = false;
}

static void split_fields(const Exp *e, StrList *out) {
  const char *ifs = var_get("IFS");
  if (!ifs) ifs = " \t\n";
  Field f = {0};
  bool after_space = false;
  for (size_t i = 0; i < e->text.len; i++) {
    char c = e->text.data[i], m = e->mark.data[i];
    if (m == BREAK) {
      end_field(&f, out);
      after_space = false;
    } else if (m == PRESENT) {
      f.any = true;
    } else if (m == EXPANDED && c && strchr(ifs, c)) {
      if (c == ' ' || c == '\t' || c == '\n') {
        after_space |= f.any;
        end_field(&f, out);
      } else {
        if (!after_space || f.any) f.any = true, end_field(&f, out);
        after_space = false;
      }
    } else {
      if (m == QUOTED ? strchr("*?[]\\-!^", c) != NULL : c == '\\') buf_char(&f.pattern, '\\');
      buf_char(&f.pattern, c);
      buf_char(&f.text, c);
      f.magic |= m != QUOTED && (c == '*' || c == '?' || c == '[');
      f.any = true;
      after_space = false;
    }
  }
  end_field(&f, out);
  buf_free(&f.text);
  buf_free(&f.pattern);
}

static void exp_free(Exp *e) {
  buf_free(&e->text);
  buf_free(&e->mark);
}

static bool expand_one(const char *raw, StrList *out) {
  Exp e = {0};
  expand_raw(raw, raw + strlen(raw), &e, 0);
  if (!e.failed) split_fields(&e, out);
  exp_free(&e);
  return !e.failed;
}

/* ---- {a,b} and {1..9} ---- */

static bool expand_brace(const char *raw, StrList *out);

static bool brace_range(const char *head, size_t head_len, const char *body, const char *tail, StrList *out) {
  char *dots;
  long from = strtol(body, &dots, 10), to, step = 1;
  bool letters = false;
  if (dots == body && isalpha((unsigned char)*body) && starts_with(body + 1, "..") && isalpha((unsigned char)body[3]) && body[4] == '}') {
    letters = true;
    from = *body;
    to = body[3];
  } else {
    if (dots == body || !starts_with(dots, "..")) return false;
    char *end;
    to = strtol(dots + 2, &end, 10);
    if (end == dots + 2) return false;
    if (starts_with(end, "..")) step = strtol(end + 2, &end, 10);
    if (*end != '}') return false;
    if (step < 0) step = -step;
    if (!step) step = 1;
  }
  for (long v = from; from <= to ? v <= to : v >= to; v += from <= to ? step : -step) {
    char *word = letters ? asprintf("%.*s%c%s", (int)head_len, head, (int)v, tail) : asprintf("%.*s%ld%s", (int)head_len, head, v, tail);
    if (!expand_brace(word, out)) list_add(out, word);
    else free(word);
  }
  return true;
}

static const char *skip_unit(const char *p) {
  if (*p == '\\') return p[1] ? p + 2 : NULL;
  if (*p == '\'') return skip_single(p + 1);
  if (*p == '"') return skip_double(p + 1);
  if (*p == '$') return p[1] == '\'' ? skip_single(p + 2) : skip_dollar(p);
  if (*p == '`') return skip_backquote(p + 1);
  return p + 1;
}

/* Adds the alternatives of the first brace list in raw; false if there is none. */
static bool expand_brace(const char *raw, StrList *out) {
  for (const char *open = raw; open && *open; open = skip_unit(open)) {
    if (*open != '{') continue;
    int depth = 0;
    bool comma = false;
    const char *close = open + 1;
    for (; close && *close && !(*close == '}' && !depth); close = skip_unit(close)) {
      if (*close == '{') depth++;
      if (*close == '}') depth--;
      if (*close == ',' && !depth) comma = true;
    }
    if (!close || !*close) return false;
    size_t head = (size_t)(open - raw);
    if (!comma) {
      if (brace_range(raw, head, open + 1, close + 1, out)) return true;
      continue;
    }
    depth = 0;
    for (const char *from = open + 1, *p = from;; p = skip_unit(p)) {
      if (!depth && (*p == ',' || p == close)) {
        char *word = asprintf("%.*s%.*s%s", (int)head, raw, (int)(p - from), from, close + 1);
        if (!expand_brace(word, out)) list_add(out, word);
        else free(word);
        from = p + 1;
        if (p == close) return true;
      }
      if (*p == '{') depth++;
      if (*p == '}') depth--;
    }
  }
  return false;
}

bool expand_words(Word *words, StrList *out) {
  for (Word *w = words; w; w = w->next) {
    StrList alternatives = {0};
    bool ok = true;
    if (strchr(w->text, '{') && expand_brace(w->text, &alternatives))
      for (size_t i = 0; i < alternatives.len && ok; i++) ok = expand_one(alternatives.items[i], out);
    else ok = expand_one(w->text, out);
    list_free(&alternatives);
    if (!ok) return false;
  }
  return true;
}

char *expand_string(const char *raw, int flags) {
  Exp e = {0};
  if (!raw[strcspn(raw, "\\'\"$`~*?[]")]) return strdup(raw);
  expand_raw(raw, raw + strlen(raw), &e, flags);
  char *result = NULL;
  if (!e.failed) {
    Buf out = {0};
    for (size_t i = 0; i < e.text.len; i++) {
      char c = e.text.data[i], m = e.mark.data[i];
      if (m == PRESENT) continue;
      if ((flags & X_PATTERN) && m == QUOTED && strchr("*?[]\\-!^", c)) buf_char(&out, '\\');
      buf_char(&out, c);
    }
    result = buf_take(&out);
  }
  exp_free(&e);
  return result;
}

/* Text that the shell reads back as the same single word. */
char *quote_for_reuse(const char *s) {
  Buf out = {0};
  buf_char(&out, '\'');
  for (; *s; s++) {
    if (*s == '\'') buf_str(&out, "'\\''");
    else buf_char(&out, *s);
  }
  buf_char(&out, '\'');
  return buf_take(&out);
}

/* ---- pathname expansion ---- */

/* Extends `base` by the components of `pattern`. */
static void glob_from(const char *base, const char *pattern, StrList *out) {
  size_t slashes = strspn(pattern, "/"), n = strcspn(pattern + slashes, "/");
  const char *part = pattern + slashes, *rest = part + n;
  Buf path = {0};
  buf_str(&path, base);
  buf_add(&path, pattern, slashes);
  if (!n || !has_magic(part, n)) {
    for (size_t i = 0; i < n; i++) {
      if (part[i] == '\\' && i + 1 < n) i++;
      buf_char(&path, part[i]);
    }
    struct stat st;
    if (*rest) glob_from(path.data, rest, out);
    else if (sys_lstat(path.data, &st) == 0) list_add(out, strdup(path.data));
    buf_free(&path);
    return;
  }
  StrList names = {0};
  char *component = strndup(part, n);
  list_directory(path.len ? path.data : ".", &names);
  for (size_t i = 0; i < names.len; i++) {
    if (!fnmatch(component, names.items[i], FNM_PERIOD)) continue;
    char *full = asprintf("%s%s", path.data ? path.data : "", names.items[i]);
    struct stat st;
    if (!*rest) list_add(out, full);
    else {
      if (sys_stat(full, &st) == 0 && S_ISDIR(st.st_mode)) glob_from(full, rest, out);
      free(full);
    }
  }
  list_free(&names);
  free(component);
  buf_free(&path);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void glob_path(const char *pattern, StrList *out) {
  size_t before = out->len;
  glob_from("", pattern, out);
  if (out->len > before) qsort(out->items + before, out->len - before, sizeof(char *), by_bytes);
}
