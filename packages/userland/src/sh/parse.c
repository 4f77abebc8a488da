/*
 * Lexer and recursive-descent parser: source text in, Node tree out. Trees live in an arena that
 * is dropped after the command ran, unless it defined a function. Words keep their quoting; the
 * expander interprets them each time they are used.
 */
#include "sh.h"

struct Arena {
  struct Chunk { struct Chunk *next; size_t used, size; char data[]; } *chunks;
  bool keep;
};

void *arena_alloc(Arena *a, size_t n) {
  n = (n + 7) & ~(size_t)7;
  struct Chunk *c = a->chunks;
  if (!c || c->size - c->used < n) {
    size_t size = n > 2000 ? n : 2000;
    c = malloc(sizeof *c + size);
    c->next = a->chunks;
    c->used = 0;
    c->size = size;
    a->chunks = c;
  }
  void *p = c->data + c->used;
  c->used += n;
  return memset(p, 0, n);
}
char *arena_strndup(Arena *a, const char *s, size_t n) {
  char *p = arena_alloc(a, n + 1);
  memcpy(p, s, n);
  return p;
}
void arena_release(Arena *a) {
  if (!a || a->keep) return;
  for (struct Chunk *c = a->chunks, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  free(a);
}

void source_string(Source *src, const char *text) {
  *src = (Source){.line = 1, .fd = -1};
  buf_str(&src->text, text);
}

typedef enum {
  T_EOF, T_NEWLINE, T_WORD, T_IO_NUMBER, T_AND, T_OR, T_SEMI, T_DSEMI, T_SEMI_AND, T_AMP, T_PIPE, T_PIPE_AMP,
  T_LPAREN, T_RPAREN, T_REDIR, T_ERROR,
} Token;

typedef struct {
  Source *src;
  Arena *arena;
  Token tok;
  char *text;       /* of a word or number */
  size_t start;     /* of the token in the source */
  size_t last_end;  /* end of the token before it */
  RedirKind redir;
  int redir_fd;     /* default descriptor of a redirection operator */
  bool strip_tabs, substitution;
  Redir *pending[16]; /* here-documents whose bodies follow the next newline */
  int pending_count;
  size_t alias_end;  /* words before this position come from an alias */
  bool alias_blank;  /* the alias ended in a blank: the word behind it may be one too */
  bool error;
} Parser;


static bool refill(Parser *p) {
  Source *s = p->src;
  if (!s->refill || s->eof) return false;
  if (!s->refill(s)) s->eof = true;
  return !s->eof;
}

static Node *new_node(Parser *p, NodeType type) {
  Node *n = arena_alloc(p->arena, sizeof *n);
  n->type = type;
  n->line = p->src->line;
  return n;
}

static void *syntax_error(Parser *p, const char *what) {
  if (!p->error && !p->substitution) {
    if (what) shell_error("syntax error: %s", what);
    else if (p->tok == T_EOF) shell_error("syntax error: unexpected end of file");
    else if (p->tok == T_NEWLINE) shell_error("syntax error: unexpected newline");
    else shell_error("syntax error: unexpected \"%.*s\"", (int)(p->src->pos - p->start), p->src->text.data + p->start);
  }
  p->error = true;
  return NULL;
}

/* ---- here-documents ---- */

static char *unquote_delimiter(Parser *p, const char *raw, bool *quoted) {
  char *out = arena_alloc(p->arena, strlen(raw) + 1), *o = out;
  *quoted = false;
  for (char q = 0; *raw; raw++) {
    if (q ? *raw == q : *raw == '\'' || *raw == '"') {
      q = q ? 0 : *raw;
      *quoted = true;
    } else if (*raw == '\\' && q != '\'' && raw[1]) {
      *o++ = *++raw;
      *quoted = true;
    } else {
      *o++ = *raw;
    }
  }
  return out;
}

static void read_heredocs(Parser *p) {
  for (int i = 0; i < p->pending_count; i++) {
    Redir *r = p->pending[i];
    char *delimiter = unquote_delimiter(p, r->word, &r->literal);
    Buf body = {0};
    for (;;) {
      while (!memchr(p->src->text.data + p->src->pos, '\n', p->src->text.len - p->src->pos) && refill(p)) {}
      const char *line = p->src->text.data + p->src->pos;
      size_t n = strcspn(line, "\n");
      if (!n && !*line) break;
      p->src->pos += n + (line[n] == '\n');
      p->src->line++;
      if (r->strip_tabs)
        while (*line == '\t') line++, n--;
      if (strlen(delimiter) == n && !strncmp(line, delimiter, n)) break;
      buf_add(&body, line, n);
      /* A quoted newline joins lines, so the delimiter is not looked for after it. */
      buf_char(&body, '\n');
    }
    r->body = arena_strndup(p->arena, body.data ? body.data : "", body.len);
    buf_free(&body);
  }
  p->pending_count = 0;
}

/* ---- lexer ---- */

static const struct { const char *text; Token tok; RedirKind redir; int fd; bool strip; } operators[] = {
    {"<<<", T_REDIR, R_HERESTRING, 0, false}, {"<<-", T_REDIR, R_HEREDOC, 0, true}, {"&>>", T_REDIR, R_BOTH_APPEND, 1, false},
    {"<<", T_REDIR, R_HEREDOC, 0, false}, {">>", T_REDIR, R_APPEND, 1, false}, {"<&", T_REDIR, R_DUP, 0, false},
    {">&", T_REDIR, R_DUP, 1, false}, {"<>", T_REDIR, R_RDWR, 0, false}, {">|", T_REDIR, R_CLOBBER, 1, false},
    {"&>", T_REDIR, R_BOTH, 1, false}, {"&&", T_AND, 0, 0, false}, {"||", T_OR, 0, 0, false}, {";;", T_DSEMI, 0, 0, false},
    {";&", T_SEMI_AND, 0, 0, false}, {"|&", T_PIPE_AMP, 0, 0, false}, {"<", T_REDIR, R_IN, 0, false}, {">", T_REDIR, R_OUT, 1, false},
    {"&", T_AMP, 0, 0, false}, {"|", T_PIPE, 0, 0, false}, {";", T_SEMI, 0, 0, false}, {"(", T_LPAREN, 0, 0, false},
    {")", T_RPAREN, 0, 0, false},
};

static Token next_token(Parser *p) {
  Source *s = p->src;
  p->last_end = s->pos;
  p->text = NULL;
  if (!s->text.data) buf_str(&s->text, "");
  for (;;) { /* blanks, line continuations, comments */
    const char *c = s->text.data + s->pos;
    if (!*c) {
      if (s->pos < s->text.len) s->pos++; /* a NUL byte is no character of ours */
      else if (!refill(p)) return p->start = s->pos, p->tok = T_EOF;
    } else if (*c == ' ' || *c == '\t' || *c == '\r') {
      s->pos++;
    } else if (*c == '\\' && c[1] == '\n') {
      s->pos += 2;
      s->line++;
    } else if (*c == '\\' && !c[1] && refill(p)) {
      continue;
    } else if (*c == '#') {
      s->pos += strcspn(c, "\n");
    } else {
      break;
    }
  }
  p->start = s->pos;
  const char *c = s->text.data + s->pos;
  if (*c == '\n') {
    s->pos++;
    s->line++;
    p->tok = T_NEWLINE;
    if (p->pending_count) read_heredocs(p);
    return p->tok;
  }
  for (size_t i = 0; i < countof(operators); i++) {
    if (!starts_with(c, operators[i].text)) continue;
    s->pos += strlen(operators[i].text);
    p->redir = operators[i].redir;
    p->redir_fd = operators[i].fd;
    p->strip_tabs = operators[i].strip;
    return p->tok = operators[i].tok;
  }
  const char *end;
  while (!(end = skip_word(s->text.data + s->pos)) || !*end) {
    if (!refill(p)) break;
  }
  if (!end) {
    syntax_error(p, "unterminated quoted string");
    return p->tok = T_ERROR;
  }
  c = s->text.data + s->pos;
  size_t n = (size_t)(end - c);
  for (size_t i = 0; i < n; i++) s->line += c[i] == '\n';
  p->text = arena_strndup(p->arena, c, n);
  s->pos += n;
  bool digits = n > 0 && n < 4;
  for (size_t i = 0; i < n; i++) digits = digits && isdigit(c[i]);
  return p->tok = digits && (*end == '<' || *end == '>') ? T_IO_NUMBER : T_WORD;
}

/* ---- grammar ---- */

static Node *parse_list(Parser *p);
static Node *parse_and_or(Parser *p);

static bool at_word(Parser *p, const char *word) { return p->tok == T_WORD && !strcmp(p->text, word); }
static void skip_newlines(Parser *p) {
  while (p->tok == T_NEWLINE) next_token(p);
}
static bool expect(Parser *p, const char *word) {
  if (p->error) return false;
  if (!at_word(p, word)) {
    syntax_error(p, NULL);
    return false;
  }
  next_token(p);
  return true;
}

/* Reserved words that end a list: it belongs to the construct around it. */
static bool at_list_end(Parser *p) {
  static const char *const words[] = {"then", "else", "elif", "fi", "do", "done", "esac", "}"};
  if (p->tok == T_EOF || p->tok == T_RPAREN || p->tok == T_DSEMI || p->tok == T_SEMI_AND || p->tok == T_ERROR) return true;
  if (p->tok != T_WORD) return false;
  for (size_t i = 0; i < countof(words); i++)
    if (!strcmp(p->text, words[i])) return true;
  return false;
}

/* Puts an alias' text in place of the word just read. */
static bool expand_alias(Parser *p) {
  if (p->tok != T_WORD || p->start < p->alias_end || p->substitution) return false;
  const char *value = alias_get(p->text);
  if (!value) return false;
  Source *s = p->src;
  Buf fresh = {0};
  buf_add(&fresh, s->text.data, p->start);
  buf_str(&fresh, value);
  buf_char(&fresh, ' ');
  p->alias_end = fresh.len;
  size_t n = strlen(value);
  p->alias_blank = n && (value[n - 1] == ' ' || value[n - 1] == '\t');
  buf_add(&fresh, s->text.data + s->pos, s->text.len - s->pos);
  buf_free(&s->text);
  s->text = fresh;
  s->pos = p->start;
  next_token(p);
  return true;
}

static bool parse_redirect(Parser *p, Redir ***tail) {
  int fd = -1;
  if (p->tok == T_IO_NUMBER) {
    fd = atoi(p->text);
    next_token(p);
  }
  if (p->tok != T_REDIR) return false;
  Redir *r = arena_alloc(p->arena, sizeof *r);
  r->kind = p->redir;
  r->fd = fd >= 0 ? fd : p->redir_fd;
  r->strip_tabs = p->strip_tabs;
  if (next_token(p) != T_WORD && p->tok != T_IO_NUMBER) {
    syntax_error(p, NULL);
    return false;
  }
  r->word = p->text;
  if (r->kind == R_DUP && r->fd == 1 && fd < 0 && !isdigit(*r->word) && *r->word != '-' && *r->word != '$') r->kind = R_BOTH;
  if (r->kind == R_HEREDOC) {
    if (p->pending_count == (int)countof(p->pending)) syntax_error(p, "too many here-documents");
    else p->pending[p->pending_count++] = r;
  }
  **tail = r;
  *tail = &r->next;
  next_token(p);
  return true;
}

static bool is_assignment(const char *w) {
  size_t n = name_length(w);
  return n && (w[n] == '=' || (w[n] == '+' && w[n + 1] == '='));
}

static Word *new_word(Parser *p) {
  Word *w = arena_alloc(p->arena, sizeof *w);
  w->text = p->text;
  return w;
}

static Node *parse_function_body(Parser *p, char *name);

static Node *parse_simple(Parser *p) {
  Node *n = new_node(p, N_SIMPLE);
  Redir **rtail = &n->redirs;
  Word **wtail = &n->words, **atail = &n->assignments;
  while (!p->error) {
    if (p->tok == T_REDIR || p->tok == T_IO_NUMBER) {
      parse_redirect(p, &rtail);
    } else if (p->tok == T_WORD) {
      if (!n->words && !n->redirs && !n->assignments) while (expand_alias(p)) {}
      if (p->alias_blank && p->start >= p->alias_end) {
        p->alias_blank = false;
        expand_alias(p);
      }
      if (p->tok != T_WORD) continue;
      Word *w = new_word(p);
      bool assign = !n->words && is_assignment(p->text);
      *(assign ? atail : wtail) = w;
      if (assign) atail = &w->next;
      else wtail = &w->next;
      next_token(p);
      if (p->tok == T_LPAREN && !assign && n->words == w && !n->assignments && !n->redirs) return parse_function_body(p, w->text);
    } else {
      break;
    }
  }
  if (!n->words && !n->assignments && !n->redirs) return syntax_error(p, NULL);
  return n;
}

static Node *parse_command_node(Parser *p);

static Node *parse_function_body(Parser *p, char *name) {
  if (p->tok == T_LPAREN) {
    if (next_token(p) != T_RPAREN) return syntax_error(p, NULL);
    next_token(p);
  }
  if (name[strcspn(name, "'\"\\$`=")]) return syntax_error(p, "bad function name");
  skip_newlines(p);
  Node *n = new_node(p, N_FUNCTION);
  n->name = name;
  n->first = parse_command_node(p);
  p->arena->keep = true;
  return n;
}

/* do LIST done */
static Node *parse_do(Parser *p) {
  skip_newlines(p);
  if (!expect(p, "do")) return NULL;
  Node *body = parse_list(p);
  expect(p, "done");
  return body;
}

static Node *parse_if(Parser *p) {
  Node *n = new_node(p, N_IF);
  n->first = parse_list(p);
  expect(p, "then");
  n->second = parse_list(p);
  if (at_word(p, "elif")) {
    next_token(p);
    n->third = parse_if(p);
    return n;
  }
  if (at_word(p, "else")) {
    next_token(p);
    n->third = parse_list(p);
  }
  expect(p, "fi");
  return n;
}

static Node *parse_for(Parser *p) {
  Node *n = new_node(p, N_FOR);
  if (p->tok != T_WORD || !is_name(p->text, strlen(p->text))) return syntax_error(p, "bad for loop variable");
  n->name = p->text;
  next_token(p);
  skip_newlines(p);
  if (at_word(p, "in")) {
    n->has_words = true;
    Word **tail = &n->words;
    while (next_token(p) == T_WORD) {
      *tail = new_word(p);
      tail = &(*tail)->next;
    }
    if (p->tok != T_SEMI && p->tok != T_NEWLINE) return syntax_error(p, NULL);
    next_token(p);
  } else if (p->tok == T_SEMI) {
    next_token(p);
  }
  n->second = parse_do(p);
  return n;
}

static Node *parse_case(Parser *p) {
  Node *n = new_node(p, N_CASE);
  if (p->tok != T_WORD) return syntax_error(p, NULL);
  n->name = p->text;
  next_token(p);
  skip_newlines(p);
  if (!expect(p, "in")) return NULL;
  skip_newlines(p);
  CaseItem **tail = &n->cases;
  while (!p->error && !at_word(p, "esac")) {
    CaseItem *item = arena_alloc(p->arena, sizeof *item);
    if (p->tok == T_LPAREN) next_token(p);
    for (Word **w = &item->patterns;;) {
      if (p->tok != T_WORD && p->tok != T_IO_NUMBER) return syntax_error(p, NULL);
      *w = new_word(p);
      w = &(*w)->next;
      if (next_token(p) != T_PIPE) break;
      next_token(p);
    }
    if (p->tok != T_RPAREN) return syntax_error(p, NULL);
    next_token(p);
    skip_newlines(p);
    if (!at_list_end(p)) item->body = parse_list(p);
    *tail = item;
    tail = &item->next;
    if (p->tok == T_DSEMI || p->tok == T_SEMI_AND) {
      item->fall_through = p->tok == T_SEMI_AND;
      next_token(p);
      skip_newlines(p);
    } else {
      break;
    }
  }
  expect(p, "esac");
  return n;
}

/* A compound command when one starts here, else NULL without an error. */
static Node *parse_compound(Parser *p) {
  Node *n = NULL;
  if (p->tok == T_LPAREN) {
    n = new_node(p, N_SUBSHELL);
    next_token(p);
    n->first = parse_list(p);
    if (p->tok != T_RPAREN) return syntax_error(p, NULL);
    next_token(p);
    return n;
  }
  if (p->tok != T_WORD) return NULL;
  static const char *const starters[] = {"{", "if", "while", "until", "for", "case", "function"};
  size_t which = 0;
  while (which < countof(starters) && strcmp(p->text, starters[which])) which++;
  if (which == countof(starters)) return NULL;
  next_token(p);
  switch (which) {
    case 0:
      n = new_node(p, N_BRACE);
      n->first = parse_list(p);
      expect(p, "}");
      break;
    case 1: n = parse_if(p); break;
    case 2:
    case 3:
      n = new_node(p, which == 2 ? N_WHILE : N_UNTIL);
      n->first = parse_list(p);
      n->second = parse_do(p);
      break;
    case 4: n = parse_for(p); break;
    case 5: n = parse_case(p); break;
    default: {
      char *name = p->text;
      if (p->tok != T_WORD) return syntax_error(p, NULL);
      next_token(p);
      n = parse_function_body(p, name);
    }
  }
  return n;
}

static Node *parse_command_node(Parser *p) {
  if (p->tok == T_WORD) while (expand_alias(p)) {}
  Node *n = parse_compound(p);
  if (p->error) return NULL;
  if (!n) return parse_simple(p);
  if (n->type == N_FUNCTION) return n;
  for (Redir **tail = &n->redirs; !p->error && (p->tok == T_REDIR || p->tok == T_IO_NUMBER);) parse_redirect(p, &tail);
  return n;
}

static Node *parse_pipeline(Parser *p) {
  size_t start = p->start;
  bool negate = false;
  while (at_word(p, "!")) {
    negate = !negate;
    next_token(p);
  }
  Node *n = parse_command_node(p);
  if (p->tok == T_PIPE || p->tok == T_PIPE_AMP) {
    Node *pipe = new_node(p, N_PIPE), **tail = &pipe->first;
    for (;;) {
      if (p->error) return NULL;
      *tail = n;
      tail = &n->next;
      if (p->tok != T_PIPE && p->tok != T_PIPE_AMP) break;
      if (p->tok == T_PIPE_AMP) {
        Redir *r = arena_alloc(p->arena, sizeof *r);
        r->kind = R_DUP;
        r->fd = 2;
        r->word = arena_strndup(p->arena, "1", 1);
        Redir **end = &n->redirs;
        while (*end) end = &(*end)->next;
        *end = r;
      }
      next_token(p);
      skip_newlines(p);
      n = parse_command_node(p);
    }
    n = pipe;
  }
  if (p->error) return NULL;
  size_t end = p->last_end;
  if (end > start && !n->text) n->text = arena_strndup(p->arena, p->src->text.data + start, end - start);
  if (negate) {
    Node *not = new_node(p, N_NOT);
    not->first = n;
    n = not;
  }
  return n;
}

static Node *parse_and_or(Parser *p) {
  Node *n = parse_pipeline(p);
  while (!p->error && (p->tok == T_AND || p->tok == T_OR)) {
    Node *both = new_node(p, p->tok == T_AND ? N_AND : N_OR);
    next_token(p);
    skip_newlines(p);
    both->first = n;
    both->second = parse_pipeline(p);
    n = both;
  }
  return n;
}

/* Commands up to a token that belongs to the construct around them; at least one. With
 * `one_line`, up to and including a newline (the unit that is executed at a time). */
static Node *parse_commands(Parser *p, bool one_line) {
  Node *list = new_node(p, N_LIST), **tail = &list->first;
  if (!one_line) skip_newlines(p);
  while (!p->error && !at_list_end(p)) {
    if (one_line && p->tok == T_NEWLINE) break;
    size_t start = p->start;
    Node *n = parse_and_or(p);
    if (p->error) return NULL;
    if (p->tok == T_AMP) {
      Node *bg = new_node(p, N_BACKGROUND);
      bg->first = n;
      bg->text = arena_strndup(p->arena, p->src->text.data + start, p->last_end - start);
      n = bg;
    }
    *tail = n;
    tail = &n->next;
    if (p->tok == T_AMP || p->tok == T_SEMI) next_token(p);
    else if (p->tok != T_NEWLINE) break;
    if (!one_line) skip_newlines(p);
  }
  if (p->error) return NULL;
  if (!list->first && !one_line) return syntax_error(p, NULL);
  return list->first && !list->first->next ? list->first : list;
}
static Node *parse_list(Parser *p) { return p->error ? NULL : parse_commands(p, false); }

ParseResult parse_command(Source *src, Arena **arena, Node **node) {
  Parser p = {.src = src, .arena = calloc(1, sizeof(Arena)), .substitution = src->substitution};
  *arena = p.arena;
  *node = NULL;
  /* Input that has been executed is dropped, so that the buffer does not grow. */
  if (src->refill && src->pos) {
    memmove(src->text.data, src->text.data + src->pos, src->text.len - src->pos + 1);
    src->text.len -= src->pos;
    src->pos = 0;
  }
  next_token(&p);
  if (p.tok == T_EOF) return PARSE_EOF;
  if (p.tok == T_NEWLINE) return PARSE_OK;
  bool outer = src->continuing;
  if (src->refill) src->continuing = true;
  Node *n = parse_commands(&p, true);
  src->continuing = outer;
  if (p.error) return PARSE_ERROR;
  bool closing = p.tok == T_RPAREN && src->substitution;
  if (closing) src->pos = p.start;
  if (p.tok != T_NEWLINE && p.tok != T_EOF && !closing) {
    syntax_error(&p, NULL);
    return PARSE_ERROR;
  }
  if (p.pending_count) read_heredocs(&p);
  if (closing && n && n->type == N_LIST && !n->first) return PARSE_EOF;
  *node = n && n->type == N_LIST && !n->first ? NULL : n;
  return PARSE_OK;
}
