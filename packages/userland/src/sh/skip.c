/*
 * Finding the end of quoted constructs in shell source text. Both the lexer (where does this
 * word end?) and the expander (what is inside ${...}?) ask here, so that they always agree.
 * NULL means the text ends first: the lexer then reads another line and asks again.
 */
#include "sh.h"

const char *skip_single(const char *p) {
  p = strchr(p, '\'');
  return p ? p + 1 : NULL;
}

static const char *skip_ansi(const char *p) { /* behind $' */
  for (; *p != '\''; p++) {
    if (*p == '\\' && p[1]) p++;
    else if (!*p) return NULL;
  }
  return p + 1;
}

const char *skip_backquote(const char *p) { /* behind the opening ` */
  for (; *p != '`'; p++) {
    if (*p == '\\' && p[1]) p++;
    else if (!*p) return NULL;
  }
  return p + 1;
}

const char *skip_double(const char *p) {
  while (*p != '"') {
    if (!*p) return NULL;
    if (*p == '\\') {
      if (!p[1]) return NULL;
      p += 2;
    } else if (*p == '$') {
      p = skip_dollar(p);
    } else if (*p == '`') {
      p = skip_backquote(p + 1);
    } else {
      p++;
    }
    if (!p) return NULL;
  }
  return p + 1;
}

const char *skip_braces(const char *p) {
  while (*p != '}') {
    if (!*p) return NULL;
    if (*p == '\\') p = p[1] ? p + 2 : NULL;
    else if (*p == '\'') p = skip_single(p + 1);
    else if (*p == '"') p = skip_double(p + 1);
    else if (*p == '$') p = skip_dollar(p);
    else if (*p == '`') p = skip_backquote(p + 1);
    else p++;
    if (!p) return NULL;
  }
  return p + 1;
}

/* Behind "$((": to behind the matching "))", or NULL if the parentheses close otherwise. */
static const char *skip_arithmetic(const char *p, bool *closed) {
  int depth = 0;
  *closed = false;
  for (; *p; p++) {
    if (*p == '(') depth++;
    if (*p == ')') {
      if (!depth) {
        *closed = p[1] != 0;
        return p[1] == ')' ? p + 2 : NULL;
      }
      depth--;
    }
  }
  return NULL;
}

/* Behind "$(": parses commands up to the closing parenthesis, which is what ends it. */
static const char *skip_command(const char *p) {
  Source src = {.text = {.data = (char *)p, .len = strlen(p)}, .line = 1, .fd = -1, .substitution = true};
  for (;;) {
    Arena *arena;
    Node *node;
    ParseResult r = parse_command(&src, &arena, &node);
    arena_release(arena);
    const char *at = p + src.pos;
    if (r == PARSE_EOF) {
      return src.pos < src.text.len && *at == ')' ? at + 1 : NULL;
    }
    if (r == PARSE_ERROR) return NULL;
  }
}

const char *skip_dollar(const char *p) {
  p++;
  if (*p == '{') return skip_braces(p + 1);
  if (*p == '\'') return p; /* $'..' is handled where quotes are allowed */
  if (*p != '(') return p;
  if (p[1] == '(') {
    bool closed;
    const char *end = skip_arithmetic(p + 2, &closed);
    if (end) return end;
    if (!closed) return NULL;
  }
  return skip_command(p + 1);
}

const char *skip_word(const char *p) {
  while (*p && !strchr(" \t\n|&;<>()", *p)) {
    if (*p == '\\') p = p[1] ? p + 2 : NULL;
    else if (*p == '\'') p = skip_single(p + 1);
    else if (*p == '"') p = skip_double(p + 1);
    else if (*p == '$' && p[1] == '\'') p = skip_ansi(p + 2);
    else if (*p == '$') p = skip_dollar(p);
    else if (*p == '`') p = skip_backquote(p + 1);
    else p++;
    if (!p) return NULL;
  }
  return p;
}
