/* Arithmetic expansion: all of C's integer operators on 64-bit values, assignments included. */
#include "sh.h"

typedef struct {
  const char *p;
  bool skip;  /* inside an unevaluated operand: no assignment, no division error */
  const char *error;
  int depth;
} Arith;

static long comma(Arith *a);
static long assignment(Arith *a);

static void blanks(Arith *a) {
  while (isspace((unsigned char)*a->p)) a->p++;
}

static bool eval_text(const char *text, int depth, long *result, const char **error) {
  Arith a = {.p = text, .depth = depth};
  if (depth > 64) a.error = "expression recursion level exceeded";
  blanks(&a);
  *result = *a.p && !a.error ? comma(&a) : 0;
  blanks(&a);
  if (!a.error && *a.p) a.error = "syntax error in expression";
  *error = a.error;
  return !a.error;
}

static long variable(Arith *a, const char *name) {
  const char *value = var_get(name);
  if (!value || !*value) {
    if (!value && opt_u && !a->skip) a->error = "parameter not set";
    return 0;
  }
  char *end;
  long v = strtol(value, &end, 0);
  if (!*end) return v;
  if (!eval_text(value, a->depth + 1, &v, &a->error)) return 0;
  return v;
}

static long store(Arith *a, const char *name, long value) {
  char text[24];
  snprintf(text, sizeof text, "%ld", value);
  if (!a->skip && !var_set(name, text)) a->error = "read only variable";
  return value;
}

static bool take(Arith *a, const char *op) {
  blanks(a);
  if (!starts_with(a->p, op)) return false;
  a->p += strlen(op);
  return true;
}

static char *take_name(Arith *a) {
  size_t n = name_length(a->p);
  if (!n) return NULL;
  char *name = strndup(a->p, n);
  a->p += n;
  return name;
}

static long primary(Arith *a) {
  blanks(a);
  if (a->error) return 0;
  if (take(a, "(")) {
    long v = comma(a);
    if (!take(a, ")") && !a->error) a->error = "missing )";
    return v;
  }
  if (starts_with(a->p, "++") || starts_with(a->p, "--")) {
    int step = *a->p == '+' ? 1 : -1;
    const char *back = a->p;
    a->p += 2;
    blanks(a);
    char *name = take_name(a);
    if (name) {
      long v = store(a, name, variable(a, name) + step);
      free(name);
      return v;
    }
    a->p = back;
  }
  if (take(a, "+")) return primary(a);
  if (take(a, "-")) return -(unsigned long)primary(a);
  if (take(a, "!")) return !primary(a);
  if (take(a, "~")) return ~primary(a);
  if (isdigit((unsigned char)*a->p)) {
    char *end;
    long v = strtol(a->p, &end, 0);
    if (*end == '#' && v >= 2 && v <= 36) v = strtol(end + 1, &end, (int)v);
    if (isalnum((unsigned char)*end)) a->error = "bad number in expression";
    a->p = end;
    return v;
  }
  char *name = take_name(a);
  if (!name) {
    a->error = "syntax error in expression";
    return 0;
  }
  blanks(a);
  long v;
  if (starts_with(a->p, "++") || starts_with(a->p, "--")) {
    v = variable(a, name);
    store(a, name, v + (*a->p == '+' ? 1 : -1));
    a->p += 2;
  } else {
    v = variable(a, name);
  }
  free(name);
  return v;
}

typedef enum { A_OROR, A_ANDAND, A_OR, A_XOR, A_AND, A_EQ, A_NE, A_LE, A_GE, A_LT, A_GT, A_SHL, A_SHR, A_ADD, A_SUB, A_MUL, A_DIV, A_MOD, A_POW } Op;
static const struct { const char *text; Op op; int level; } ops[] = {
    {"||", A_OROR, 1}, {"&&", A_ANDAND, 2}, {"|", A_OR, 3}, {"^", A_XOR, 4}, {"&", A_AND, 5}, {"==", A_EQ, 6}, {"!=", A_NE, 6},
    {"<<", A_SHL, 8}, {">>", A_SHR, 8}, {"<=", A_LE, 7}, {">=", A_GE, 7}, {"<", A_LT, 7}, {">", A_GT, 7}, {"+", A_ADD, 9},
    {"-", A_SUB, 9}, {"**", A_POW, 11}, {"*", A_MUL, 10}, {"/", A_DIV, 10}, {"%", A_MOD, 10},
};

static long apply(Arith *a, Op op, long x, long y) {
  switch (op) {
    case A_OR: return x | y;
    case A_XOR: return x ^ y;
    case A_AND: return x & y;
    case A_EQ: return x == y;
    case A_NE: return x != y;
    case A_LE: return x <= y;
    case A_GE: return x >= y;
    case A_LT: return x < y;
    case A_GT: return x > y;
    case A_SHL: return (long)((unsigned long)x << (y & 63));
    case A_SHR: return x >> (y & 63);
    case A_ADD: return (long)((unsigned long)x + (unsigned long)y);
    case A_SUB: return (long)((unsigned long)x - (unsigned long)y);
    case A_MUL: return (long)((unsigned long)x * (unsigned long)y);
    case A_POW: {
      if (y < 0) {
        a->error = "negative exponent";
        return 0;
      }
      unsigned long result = 1, base = (unsigned long)x;
      for (; y; y >>= 1, base *= base)
        if (y & 1) result *= base;
      return (long)result;
    }
    default:
      if (y == 0) {
        if (!a->skip) a->error = "division by zero";
        return 0;
      }
      if (y == -1) return op == A_DIV ? (long)-(unsigned long)x : 0;
      return op == A_DIV ? x / y : x % y;
  }
}

/* Precedence climbing over the table above. */
static long binary(Arith *a, int level) {
  long x = primary(a);
  for (;;) {
    blanks(a);
    size_t i = 0;
    while (i < countof(ops) && !starts_with(a->p, ops[i].text)) i++;
    if (a->error || i == countof(ops) || ops[i].level < level) return x;
    size_t n = strlen(ops[i].text);
    if (a->p[n] == '=' && ops[i].op != A_OROR && ops[i].op != A_ANDAND && ops[i].level != 6 && ops[i].level != 7 && ops[i].op != A_POW) return x;
    a->p += n;
    if (ops[i].op == A_OROR || ops[i].op == A_ANDAND) {
      bool outer = a->skip, decided = ops[i].op == A_OROR ? x != 0 : x == 0;
      a->skip = outer || decided;
      long y = binary(a, ops[i].level + 1);
      a->skip = outer;
      x = decided ? ops[i].op == A_OROR : y != 0;
    } else {
      x = apply(a, ops[i].op, x, binary(a, ops[i].level + (ops[i].op != A_POW)));
    }
  }
}

static long conditional(Arith *a) {
  long x = binary(a, 1);
  if (!take(a, "?")) return x;
  bool outer = a->skip;
  a->skip = outer || !x;
  long yes = comma(a);
  if (!take(a, ":") && !a->error) a->error = "missing : in expression";
  a->skip = outer || x;
  long no = assignment(a);
  a->skip = outer;
  return x ? yes : no;
}

static long assignment(Arith *a) {
  blanks(a);
  const char *start = a->p;
  char *name = take_name(a);
  if (name) {
    blanks(a);
    static const char *const with[] = {"<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="};
    static const Op op[] = {A_SHL, A_SHR, A_ADD, A_SUB, A_MUL, A_DIV, A_MOD, A_AND, A_OR, A_XOR};
    long v;
    if (*a->p == '=' && a->p[1] != '=') {
      a->p++;
      v = store(a, name, assignment(a));
      free(name);
      return v;
    }
    for (size_t i = 0; i < countof(with); i++)
      if (take(a, with[i])) {
        long right = assignment(a);
        v = store(a, name, apply(a, op[i], variable(a, name), right));
        free(name);
        return v;
      }
    free(name);
    a->p = start;
  }
  return conditional(a);
}

static long comma(Arith *a) {
  long v = assignment(a);
  while (!a->error && take(a, ",")) v = assignment(a);
  return v;
}

bool arith(const char *expr, long *result) {
  const char *error;
  if (eval_text(expr, 0, result, &error)) return true;
  shell_error("arithmetic: %s: \"%s\"", error, expr);
  return false;
}
