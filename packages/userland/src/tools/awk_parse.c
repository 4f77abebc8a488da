/* awk's lexer and parser: precedence as in POSIX, concatenation by juxtaposition. */
#include "awk.h"

Rule *awk_rules;
int awk_rule_count;

typedef enum { T_EOF = 256, T_NEWLINE, T_NUMBER, T_STRING, T_REGEX, T_NAME, T_FUNCALL, T_BUILTIN, T_KEYWORD, T_OP } Token;
typedef enum { K_BEGIN, K_END, K_FUNCTION, K_IF, K_ELSE, K_WHILE, K_FOR, K_DO, K_BREAK, K_CONTINUE, K_NEXT, K_EXIT, K_RETURN, K_DELETE, K_IN, K_GETLINE, K_PRINT, K_PRINTF } Keyword;
static const char *const keywords[] = {"BEGIN", "END", "function", "if", "else", "while", "for", "do", "break", "continue", "next", "exit", "return", "delete", "in", "getline", "print", "printf"};
static const char *const builtins[] = {"length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "sin", "cos", "atan2", "exp", "log", "sqrt", "int", "rand", "srand", "tolower", "toupper", "system", "close", "fflush"};
/* Longest first. */
static const char *const operators[] = {"**=", "**", "&&", "||", "==", "!=", "<=", ">=", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "!~", ">>"};

static const char *p;
static int line_number;
static Token tok;
static int key;        /* keyword, builtin, or operator code */
static double number;
static char *text;
static bool regex_ok;  /* a / here starts an expression, not a division */
static bool no_in, no_greater; /* inside for (..in..) heads and unparenthesised print lists */
static Function **functions;
static int function_count;
static Function *current;

#define OP2(a, b) ((a) | (b) << 8)

static _Noreturn void bad(const char *what) { die("syntax error at line %d: %s", line_number, what); }

static void lex_string(void) {
  Buf b = {0};
  buf_str(&b, "");
  for (p++; *p != '"'; p++) {
    if (!*p || *p == '\n') bad("unterminated string");
    if (*p != '\\') {
      buf_char(&b, *p);
      continue;
    }
    static const char from[] = "abfnrtv\\\"/", to[] = "\a\b\f\n\r\t\v\\\"/";
    const char *hit = *++p ? strchr(from, *p) : NULL;
    if (hit) {
      buf_char(&b, to[hit - from]);
    } else if (*p >= '0' && *p <= '7') {
      int v = 0;
      for (int i = 0; i < 3 && *p >= '0' && *p <= '7'; i++) v = v * 8 + *p++ - '0';
      buf_char(&b, v);
      p--;
    } else if (*p == '\n') {
      line_number++;
    } else {
      buf_char(&b, '\\');
      buf_char(&b, *p);
    }
  }
  p++;
  text = buf_take(&b);
}

static void lex_regex(void) {
  Buf b = {0};
  buf_str(&b, "");
  for (bool bracket = false; *p != '/' || bracket; p++) {
    if (!*p || *p == '\n') bad("unterminated regular expression");
    if (*p == '\\' && p[1]) {
      if (p[1] != '/') buf_char(&b, '\\');
      p++;
    } else if (*p == '[' && !bracket) {
      bracket = true;
      buf_char(&b, *p++);
      if (*p == '^') buf_char(&b, *p++);
      if (*p == ']') buf_char(&b, *p++);
      p--;
      continue;
    } else if (*p == ']') {
      bracket = false;
    }
    buf_char(&b, *p);
  }
  p++;
  text = buf_take(&b);
}

static void advance(void) {
  for (;;) {
    if (*p == ' ' || *p == '\t' || *p == '\r') p++;
    else if (*p == '\\' && p[1] == '\n') p += 2, line_number++;
    else if (*p == '#') p += strcspn(p, "\n");
    else break;
  }
  bool operand = false; /* whether a / behind this token divides */
  if (!*p) {
    tok = T_EOF;
  } else if (*p == '\n') {
    p++;
    line_number++;
    tok = T_NEWLINE;
  } else if (*p == '"') {
    lex_string();
    tok = T_STRING;
    operand = true;
  } else if (isdigit((unsigned char)*p) || (*p == '.' && isdigit((unsigned char)p[1]))) {
    char *end;
    number = p[0] == '0' && (p[1] | 32) == 'x' ? (double)strtol(p, &end, 16) : strtod(p, &end);
    p = end;
    tok = T_NUMBER;
    operand = true;
  } else if (isalpha((unsigned char)*p) || *p == '_') {
    size_t n = 1;
    while (isalnum((unsigned char)p[n]) || p[n] == '_') n++;
    text = strndup(p, n);
    p += n;
    tok = T_NAME;
    operand = true;
    if (!strcmp(text, "func")) text = strdup("function");
    for (size_t i = 0; i < countof(keywords); i++)
      if (!strcmp(keywords[i], text)) tok = T_KEYWORD, key = (int)i, operand = false;
    for (size_t i = 0; i < countof(builtins); i++)
      if (!strcmp(builtins[i], text)) tok = T_BUILTIN, key = (int)i;
    if (tok == T_NAME && *p == '(') tok = T_FUNCALL;
  } else if (*p == '/' && regex_ok) {
    p++;
    lex_regex();
    tok = T_REGEX;
    operand = true;
  } else {
    tok = T_OP;
    key = (unsigned char)*p;
    for (size_t i = 0; i < countof(operators); i++)
      if (starts_with(p, operators[i])) {
        key = OP2(operators[i][0], operators[i][1]);
        if (!strncmp(operators[i], "**", 2)) key = operators[i][2] ? OP2('^', '=') : '^';
        p += strlen(operators[i]) - 1;
        break;
      }
    p++;
    operand = key == ')' || key == ']' || key == '$' || key == OP2('+', '+') || key == OP2('-', '-');
  }
  regex_ok = !operand;
}

static bool is_op(int c) { return tok == T_OP && key == c; }
static bool is_key(Keyword k) { return tok == T_KEYWORD && key == (int)k; }
static bool take(int c) {
  if (!is_op(c)) return false;
  advance();
  return true;
}
static void expect(int c) {
  char what[16];
  snprintf(what, sizeof what, "%c expected", c);
  if (!take(c)) bad(what);
}
static void newlines(void) {
  while (tok == T_NEWLINE) advance();
}

static AwkNode *node(AwkType type, AwkNode *a, AwkNode *b) {
  AwkNode *n = calloc(1, sizeof *n);
  n->type = type;
  n->a = a;
  n->b = b;
  return n;
}

static AwkNode *parse_expr(void);
static AwkNode *parse_ternary(void);
static AwkNode *parse_concat(void);
static AwkNode *parse_block(void);

static AwkNode *name_node(char *name) {
  AwkNode *n = node(N_VAR, NULL, NULL);
  for (int i = 0; current && i < current->params; i++)
    if (!strcmp(current->names[i], name)) {
      n->type = N_LOCAL;
      n->local = i;
      return n;
    }
  n->var = awk_global(name);
  return n;
}

/* Comma-separated expressions up to the closing character. */
static AwkNode *parse_list(int close) {
  AwkNode *first = NULL, **tail = &first;
  bool outer_in = no_in, outer_greater = no_greater;
  no_in = no_greater = false;
  newlines();
  while (!is_op(close)) {
    *tail = parse_expr();
    tail = &(*tail)->next;
    newlines();
    if (!take(',')) break;
    newlines();
  }
  no_in = outer_in;
  no_greater = outer_greater;
  return first;
}

static AwkNode *index_node(AwkNode *array) {
  AwkNode *n = node(N_INDEX, array, parse_list(']'));
  expect(']');
  return n;
}

static Function *find_function(const char *name) {
  for (int i = 0; i < function_count; i++)
    if (!strcmp(functions[i]->name, name)) return functions[i];
  Function *f = calloc(1, sizeof *f);
  f->name = strdup(name);
  functions = realloc(functions, (size_t)(function_count + 1) * sizeof *functions);
  return functions[function_count++] = f;
}

static AwkNode *parse_lvalue(void) {
  if (is_op('$')) {
    advance();
    AwkNode *operand;
    if (is_op(OP2('+', '+')) || is_op(OP2('-', '-'))) {
      AwkType type = is_op(OP2('+', '+')) ? N_PREINC : N_PREDEC;
      advance();
      operand = node(type, parse_lvalue(), NULL);
    } else if (is_op('-')) {
      advance();
      operand = node(N_NEG, parse_lvalue(), NULL);
    } else if (tok == T_NUMBER) {
      operand = node(N_NUM, NULL, NULL);
      operand->num = number;
      advance();
    } else if (take('(')) {
      operand = parse_list(')');
      expect(')');
    } else {
      operand = parse_lvalue();
    }
    return node(N_FIELD, operand, NULL);
  }
  if (tok != T_NAME) bad("a variable or field expected");
  AwkNode *n = name_node(text);
  advance();
  if (take('[')) return index_node(n);
  return n;
}

static bool is_lvalue(const AwkNode *n) { return n->type == N_VAR || n->type == N_LOCAL || n->type == N_FIELD || n->type == N_INDEX; }

static AwkNode *parse_primary(void) {
  AwkNode *n;
  switch (tok) {
    case T_NUMBER:
      n = node(N_NUM, NULL, NULL);
      n->num = number;
      advance();
      return n;
    case T_STRING: case T_REGEX:
      n = node(tok == T_STRING ? N_STR : N_REGEX, NULL, NULL);
      n->str = text;
      if (tok == T_REGEX) n->re = awk_compile(text);
      advance();
      return n;
    case T_FUNCALL:
      n = node(N_CALL, NULL, NULL);
      n->function = find_function(text);
      advance();
      expect('(');
      n->a = parse_list(')');
      expect(')');
      return n;
    case T_BUILTIN:
      n = node(N_BUILTIN, NULL, NULL);
      n->op = key;
      advance();
      if (is_op('(')) {
        advance();
        n->a = parse_list(')');
        expect(')');
      }
      return n;
    case T_KEYWORD:
      if (key != K_GETLINE) bad("unexpected keyword");
      advance();
      n = node(N_GETLINE, NULL, NULL);
      n->op = 0;
      if (is_op('$') || tok == T_NAME) n->a = parse_lvalue();
      if (is_op('<')) {
        advance();
        n->op = '<';
        n->b = parse_primary();
      }
      return n;
    default: break;
  }
  if (take('(')) {
    AwkNode *list = parse_list(')');
    if (!list) bad("empty parentheses");
    expect(')');
    if (list->next || is_key(K_IN)) {
      if (!is_key(K_IN)) { /* (a, b) is only a print list or a subscript */
        n = node(N_GROUP, list, NULL);
        return n;
      }
      if (list->next) {
        advance();
        n = node(N_IN, list, name_node(text));
        advance();
        return n;
      }
    }
    return node(N_GROUP, list, NULL);
  }
  n = parse_lvalue();
  return n;
}

static AwkNode *parse_postfix(void) {
  if (is_op(OP2('+', '+')) || is_op(OP2('-', '-'))) {
    AwkType type = is_op(OP2('+', '+')) ? N_PREINC : N_PREDEC;
    advance();
    return node(type, parse_lvalue(), NULL);
  }
  AwkNode *n = parse_primary();
  if (is_lvalue(n) && (is_op(OP2('+', '+')) || is_op(OP2('-', '-')))) {
    n = node(is_op(OP2('+', '+')) ? N_POSTINC : N_POSTDEC, n, NULL);
    advance();
  }
  return n;
}
static AwkNode *parse_unary(void);
static AwkNode *parse_power(void) {
  AwkNode *n = parse_postfix();
  if (take('^')) n = node(N_POW, n, is_op('-') || is_op('+') || is_op('!') ? parse_unary() : parse_power());
  return n;
}
static AwkNode *parse_unary(void) {
  if (take('!')) return node(N_NOT, parse_unary(), NULL);
  if (take('-')) return node(N_NEG, parse_unary(), NULL);
  if (take('+')) return node(N_PLUS, parse_unary(), NULL);
  return parse_power();
}
static AwkNode *parse_product(void) {
  AwkNode *n = parse_unary();
  for (;;) {
    if (take('*')) n = node(N_MUL, n, parse_unary());
    else if (take('/')) n = node(N_DIV, n, parse_unary());
    else if (take('%')) n = node(N_MOD, n, parse_unary());
    else return n;
  }
}
static AwkNode *parse_sum(void) {
  AwkNode *n = parse_product();
  for (;;) {
    if (take('+')) n = node(N_ADD, n, parse_product());
    else if (take('-')) n = node(N_SUB, n, parse_product());
    else return n;
  }
}
static bool starts_operand(void) {
  if (tok == T_OP) return key == '$' || key == '!' || key == '(' || key == '-' || key == '+' || key == OP2('+', '+') || key == OP2('-', '-');
  return tok == T_NUMBER || tok == T_STRING || tok == T_REGEX || tok == T_NAME || tok == T_FUNCALL || tok == T_BUILTIN;
}
static AwkNode *parse_concat(void) {
  AwkNode *n = parse_sum();
  while (starts_operand() && !(tok == T_OP && key == '!')) n = node(N_CONCAT, n, parse_sum());
  return n;
}
static AwkNode *parse_compare(void) {
  AwkNode *n = parse_concat();
  for (;;) {
    if (is_op('|') && !no_greater) { /* command | getline */
      advance();
      if (!is_key(K_GETLINE)) bad("getline expected behind |");
      advance();
      AwkNode *g = node(N_GETLINE, NULL, n);
      g->op = '|';
      if (is_op('$') || tok == T_NAME) g->a = parse_lvalue();
      n = g;
      continue;
    }
    if (is_op('|') && no_greater) {
      const char *q = p + strspn(p, " \t");
      if (strncmp(q, "getline", 7)) return n;
      no_greater = false;
      continue;
    }
    bool compares = is_op('<') || is_op(OP2('<', '=')) || is_op(OP2('=', '=')) || is_op(OP2('!', '=')) || is_op(OP2('>', '=')) || (is_op('>') && !no_greater);
    if (!compares) return n;
    int op = key;
    advance();
    n = node(N_COMPARE, n, parse_concat());
    n->op = op;
  }
}
static AwkNode *parse_match(void) {
  AwkNode *n = parse_compare();
  while (is_op('~') || is_op(OP2('!', '~'))) {
    AwkType type = is_op('~') ? N_MATCH : N_NOMATCH;
    advance();
    n = node(type, n, parse_compare());
  }
  return n;
}
static AwkNode *parse_in(void) {
  AwkNode *n = parse_match();
  while (is_key(K_IN) && !no_in) {
    advance();
    if (tok != T_NAME) bad("array name expected");
    n = node(N_IN, n, name_node(text));
    advance();
  }
  return n;
}
static AwkNode *parse_and(void) {
  AwkNode *n = parse_in();
  while (take(OP2('&', '&'))) {
    newlines();
    n = node(N_AND, n, parse_in());
  }
  return n;
}
static AwkNode *parse_or(void) {
  AwkNode *n = parse_and();
  while (take(OP2('|', '|'))) {
    newlines();
    n = node(N_OR, n, parse_and());
  }
  return n;
}
static AwkNode *parse_ternary(void) {
  AwkNode *n = parse_or();
  if (!take('?')) return n;
  newlines();
  n = node(N_COND, n, parse_ternary());
  newlines();
  expect(':');
  newlines();
  n->c = parse_ternary();
  return n;
}
static AwkNode *parse_expr(void) {
  AwkNode *n = parse_ternary();
  static const int assigns[] = {OP2('+', '='), OP2('-', '='), OP2('*', '='), OP2('/', '='), OP2('%', '='), OP2('^', '=')};
  int op = is_op('=') ? '=' : 0;
  for (size_t i = 0; i < countof(assigns); i++)
    if (is_op(assigns[i])) op = assigns[i] & 255;
  if (!op) return n;
  if (!is_lvalue(n)) bad("assignment to something that is no variable");
  advance();
  newlines();
  n = node(N_ASSIGN, n, parse_expr());
  n->op = op;
  return n;
}

/* ---- statements ---- */

static void end_statement(void) {
  if (tok == T_NEWLINE || is_op(';')) {
    advance();
    newlines();
  } else if (!is_op('}') && tok != T_EOF) {
    bad("end of statement expected");
  }
}

static AwkNode *parse_print(void) {
  AwkNode *n = node(is_key(K_PRINT) ? N_PRINT : N_PRINTF, NULL, NULL), **tail = &n->a;
  advance();
  no_greater = true;
  while (tok != T_NEWLINE && tok != T_EOF && !is_op(';') && !is_op('}') && !is_op('>') && !is_op('|') && !is_op(OP2('>', '>'))) {
    *tail = parse_expr();
    no_greater = true;
    tail = &(*tail)->next;
    if (!take(',')) break;
    newlines();
  }
  no_greater = false;
  if (n->a && n->a->type == N_GROUP && !n->a->next) n->a = n->a->a; /* print (a, b) */
  if (is_op('>') || is_op('|') || is_op(OP2('>', '>'))) {
    n->op = key == OP2('>', '>') ? 'a' : key;
    advance();
    n->b = parse_concat();
  }
  return n;
}

static AwkNode *parse_simple(void) {
  if (is_key(K_PRINT) || is_key(K_PRINTF)) return parse_print();
  if (is_key(K_DELETE)) {
    advance();
    if (tok != T_NAME) bad("array name expected");
    AwkNode *n = node(N_DELETE, name_node(text), NULL);
    advance();
    if (take('[')) {
      n->b = parse_list(']');
      expect(']');
    }
    return n;
  }
  return node(N_EXPR, parse_expr(), NULL);
}

static AwkNode *parse_statement(void);
static AwkNode *parse_body(void) {
  newlines();
  if (is_op(';')) {
    advance();
    return node(N_BLOCK, NULL, NULL);
  }
  return parse_statement();
}

static AwkNode *parse_for(void) {
  advance();
  expect('(');
  AwkNode *start = NULL;
  if (!is_op(';')) {
    no_in = true;
    start = parse_simple();
    no_in = false;
    if (is_key(K_IN)) {
      if (start->type != N_EXPR || !is_lvalue(start->a)) bad("bad for");
      advance();
      AwkNode *n = node(N_FORIN, start->a, name_node(text));
      advance();
      expect(')');
      n->c = parse_body();
      return n;
    }
  }
  AwkNode *n = node(N_FOR, start, NULL);
  expect(';');
  newlines();
  if (!is_op(';')) n->b = parse_expr();
  expect(';');
  newlines();
  if (!is_op(')')) n->c = parse_simple();
  expect(')');
  n->d = parse_body();
  return n;
}

static AwkNode *parse_statement(void) {
  AwkNode *n;
  if (is_op('{')) {
    n = parse_block();
    newlines();
    return n;
  }
  if (tok == T_KEYWORD) switch (key) {
    case K_IF:
      advance();
      expect('(');
      n = node(N_IF, parse_expr(), NULL);
      expect(')');
      n->b = parse_body();
      newlines();
      while (is_op(';')) advance(), newlines();
      if (is_key(K_ELSE)) {
        advance();
        n->c = parse_body();
      }
      return n;
    case K_WHILE:
      advance();
      expect('(');
      n = node(N_WHILE, parse_expr(), NULL);
      expect(')');
      n->b = parse_body();
      return n;
    case K_DO:
      advance();
      n = node(N_DO, parse_body(), NULL);
      newlines();
      if (!is_key(K_WHILE)) bad("while expected");
      advance();
      expect('(');
      n->b = parse_expr();
      expect(')');
      end_statement();
      return n;
    case K_FOR: return parse_for();
    case K_BREAK: case K_CONTINUE: case K_NEXT:
      n = node(key == K_BREAK ? N_BREAK : key == K_NEXT ? N_NEXT : N_CONTINUE, NULL, NULL);
      advance();
      end_statement();
      return n;
    case K_EXIT: case K_RETURN:
      n = node(key == K_EXIT ? N_EXIT : N_RETURN, NULL, NULL);
      advance();
      if (tok != T_NEWLINE && !is_op(';') && !is_op('}') && tok != T_EOF) n->a = parse_expr();
      end_statement();
      return n;
    default: break;
  }
  if (is_op(';')) {
    advance();
    return node(N_BLOCK, NULL, NULL);
  }
  n = parse_simple();
  end_statement();
  return n;
}

static AwkNode *parse_block(void) {
  AwkNode *n = node(N_BLOCK, NULL, NULL), **tail = &n->a;
  expect('{');
  newlines();
  while (!is_op('}')) {
    if (tok == T_EOF) bad("} expected");
    *tail = parse_statement();
    tail = &(*tail)->next;
    newlines();
  }
  advance();
  return n;
}

static void parse_function(void) {
  advance();
  if (tok != T_NAME && tok != T_FUNCALL) bad("function name expected");
  Function *f = find_function(text);
  f->defined = true;
  advance();
  expect('(');
  while (tok == T_NAME) {
    f->names = realloc(f->names, (size_t)(f->params + 1) * sizeof *f->names);
    f->names[f->params++] = text;
    advance();
    newlines();
    if (!take(',')) break;
    newlines();
  }
  expect(')');
  newlines();
  current = f;
  f->body = parse_block();
  current = NULL;
}

void awk_parse(const char *source) {
  p = source;
  line_number = 1;
  regex_ok = true;
  advance();
  for (;;) {
    while (tok == T_NEWLINE || is_op(';')) advance();
    if (tok == T_EOF) break;
    if (is_key(K_FUNCTION)) {
      parse_function();
      continue;
    }
    Rule r = {.when = R_PATTERN};
    if (is_key(K_BEGIN) || is_key(K_END)) {
      r.when = is_key(K_BEGIN) ? R_BEGIN : R_END;
      advance();
      newlines();
      if (!is_op('{')) bad("{ expected");
    } else if (!is_op('{')) {
      r.pattern = parse_expr();
      if (take(',')) {
        newlines();
        r.end = parse_expr();
      }
    }
    if (is_op('{')) r.body = parse_block();
    awk_rules = realloc(awk_rules, (size_t)(awk_rule_count + 1) * sizeof *awk_rules);
    awk_rules[awk_rule_count++] = r;
  }
  for (int i = 0; i < function_count; i++)
    if (!functions[i]->defined) die("function %s is not defined", functions[i]->name);
}
