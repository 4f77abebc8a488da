/* awk's evaluator: expressions, statements, functions, rules. */
#include "awk.h"

typedef enum { GO, BREAK, CONTINUE, NEXT, EXIT, RETURN } Flow;

/* ---- function frames ---- */

typedef struct { Value value; Array *array; Var *owner; } Slot; /* owner: a global array passed by name */
static Slot *frame;
static Value returned;
static int call_depth;
int exit_value;

static Value eval(AwkNode *n);
static Flow run(AwkNode *n);

static Array *array_of(AwkNode *n) {
  if (n->type == N_VAR) {
    if (!n->var->array) n->var->array = calloc(1, sizeof(Array));
    return n->var->array;
  }
  if (n->type != N_LOCAL) die("an array is needed");
  Slot *s = &frame[n->local];
  if (!s->array) {
    s->array = calloc(1, sizeof(Array));
    if (s->owner && !s->owner->array) s->owner->array = s->array;
    else if (s->owner) s->array = s->owner->array;
  }
  return s->array;
}

static const char *subscript(AwkNode *list) {
  if (list && list->type == N_GROUP && !list->next) list = list->a;
  if (list && !list->next) return to_str(eval(list));
  Buf b = {0};
  buf_str(&b, "");
  for (AwkNode *n = list; n; n = n->next) {
    buf_str(&b, to_str(eval(n)));
    if (n->next) buf_str(&b, to_str(subsep->value));
  }
  const char *s = temp_copy(b.data, b.len);
  buf_free(&b);
  return s;
}

static Regex *regex_of(AwkNode *n) { return n->type == N_REGEX ? n->re : dynamic_regex(to_str(eval(n))); }

/* ---- expressions ---- */

static void assign(AwkNode *n, Value v) {
  switch (n->type) {
    case N_VAR:
      store(&n->var->value, v);
      if (n->var == nf) resize_fields((size_t)to_num(v));
      break;
    case N_LOCAL: store(&frame[n->local].value, v); break;
    case N_FIELD: {
      long i = (long)to_num(eval(n->a));
      set_field(i, v);
      break;
    }
    case N_GROUP: assign(n->a, v); break;
    default: {
      Array *a = array_of(n->a);
      store(array_get(a, subscript(n->b)), v);
    }
  }
}
static Value fetch(const Value *v) { return v->str ? (Value){v->num, temp_copy(v->str, strlen(v->str)), v->kind} : *v; }

static double arithmetic(int op, double x, double y) {
  switch (op) {
    case '+': return x + y;
    case '-': return x - y;
    case '*': return x * y;
    case '/':
      if (y == 0) die("division by zero");
      return x / y;
    case '%': {
      if (y == 0) die("division by zero in %%");
      double q = x / y;
      if (q > 9e18 || q < -9e18) return 0;
      return x - (double)(long)q * y;
    }
    default: return awk_pow(x, y);
  }
}

static bool compare(int op, Value a, Value b) {
  double order;
  if (a.kind != V_STR && b.kind != V_STR) {
    double x = to_num(a), y = to_num(b);
    order = x < y ? -1 : x > y;
  } else {
    order = strcmp(to_str(a), to_str(b));
  }
  switch (op) {
    case '<': return order < 0;
    case '>': return order > 0;
    case '<' | '=' << 8: return order <= 0;
    case '>' | '=' << 8: return order >= 0;
    case '=' | '=' << 8: return order == 0;
    default: return order != 0;
  }
}

static bool match_node(AwkNode *text, AwkNode *pattern) {
  RegMatch m[REG_GROUPS];
  const char *s = to_str(eval(text));
  return regex_search(regex_of(pattern), s, strlen(s), 0, m);
}

static const char *format(AwkNode *args) {
  if (!args) die("printf needs a format");
  const char *f = to_str(eval(args));
  Buf out = {0};
  buf_str(&out, "");
  for (args = args->next; *f; f++) {
    if (*f != '%') {
      buf_char(&out, *f);
      continue;
    }
    if (f[1] == '%') {
      buf_char(&out, *f++);
      continue;
    }
    char spec[64] = "%";
    size_t n = 1;
    for (f++; *f && strchr("-+ #0123456789.*lhj", *f) && n < 40; f++) {
      if (*f == '*') {
        n += (size_t)snprintf(spec + n, 12, "%d", args ? (int)to_num(eval(args)) : 0);
        if (args) args = args->next;
      } else if (*f != 'l' && *f != 'h' && *f != 'j') {
        spec[n++] = *f;
      }
    }
    if (!*f) break;
    Value v = args ? eval(args) : (Value){0};
    if (args) args = args->next;
    if (strchr("diouxX", *f)) {
      spec[n++] = 'l';
      spec[n++] = *f == 'i' ? 'd' : *f;
      spec[n] = 0;
      buf_printf(&out, spec, (long)to_num(v));
    } else if (strchr("eEfFgG", *f)) {
      spec[n++] = *f;
      spec[n] = 0;
      buf_printf(&out, spec, to_num(v));
    } else if (*f == 'c') {
      char one[2] = {v.kind == V_NUM ? (char)(int)v.num : *to_str(v), 0};
      strcpy(spec + n, "s");
      buf_printf(&out, spec, one);
    } else if (*f == 's') {
      strcpy(spec + n, "s");
      buf_printf(&out, spec, to_str(v));
    } else {
      die("bad conversion in format: %%%c", *f);
    }
  }
  const char *s = temp_copy(out.data, out.len);
  buf_free(&out);
  return s;
}

typedef struct { Array *a; long n; } SplitTo;
static void add_element(void *to, const char *s, size_t n) {
  SplitTo *t = to;
  char name[24];
  snprintf(name, sizeof name, "%ld", ++t->n);
  store(array_get(t->a, name), strnum(temp_copy(s, n)));
}

static double substitute(AwkNode *args, bool global) {
  const char *with = to_str(eval(args->next));
  AwkNode *target = args->next->next, whole = {.type = N_FIELD}, zero = {.type = N_NUM};
  whole.a = &zero;
  if (!target) target = &whole;
  const char *s = to_str(eval(target));
  Regex *re = regex_of(args);
  size_t len = strlen(s), at = 0, from = 0;
  ssize_t last_end = -1;
  long count = 0;
  Buf out = {0};
  RegMatch m[REG_GROUPS];
  while (from <= len && regex_search(re, s, len, from, m)) {
    if (m[0].start == m[0].end && m[0].start == last_end) {
      from = (size_t)m[0].start + 1;
      continue;
    }
    last_end = m[0].end;
    buf_add(&out, s + at, (size_t)m[0].start - at);
    for (const char *r = with; *r; r++) {
      if (*r == '\\' && (r[1] == '&' || r[1] == '\\')) buf_char(&out, *++r);
      else if (*r == '&') buf_add(&out, s + m[0].start, (size_t)(m[0].end - m[0].start));
      else buf_char(&out, *r);
    }
    at = (size_t)m[0].end;
    from = m[0].start == m[0].end ? at + 1 : at;
    count++;
    if (!global) break;
  }
  if (count) {
    buf_add(&out, s + at, len - at);
    assign(target, str(out.data));
  }
  buf_free(&out);
  return (double)count;
}

static uint64_t random_state = 1;
static double random_seed;

static Value call_builtin(AwkNode *n) {
  AwkNode *x = n->a, *y = x ? x->next : NULL, *z = y ? y->next : NULL;
  switch (n->op) {
    case B_LENGTH:
      if (x && (x->type == N_VAR || x->type == N_LOCAL) && (x->type == N_VAR ? x->var->array : frame[x->local].array)) return num((double)array_of(x)->count);
      return num((double)display_width(to_str(x ? eval(x) : get_field(0))));
    case B_SUBSTR: {
      if (!y) die("substr needs more arguments");
      const char *s = to_str(eval(x));
      double from = to_num(eval(y)), count = z ? to_num(eval(z)) : 1e9, len = (double)strlen(s);
      double start = (double)(long)(from < 0 ? from - 0.5 : from + 0.5), end = z ? (double)(long)(from + count + 0.5) : len + 1;
      if (start < 1) start = 1;
      if (end > len + 1) end = len + 1;
      return str(end > start ? temp_copy(s + (long)start - 1, (size_t)(end - start)) : "");
    }
    case B_INDEX: {
      const char *s = to_str(eval(x)), *hit = strstr(s, to_str(eval(y)));
      return num(hit ? (double)(hit - s) + 1 : 0);
    }
    case B_SPLIT: {
      if (!y) die("split needs more arguments");
      const char *s = to_str(eval(x)), *sep = z ? (z->type == N_REGEX ? z->str : to_str(eval(z))) : to_str(fs->value);
      SplitTo t = {array_of(y), 0};
      array_clear(t.a);
      cut(s, sep, add_element, &t);
      return num((double)t.n);
    }
    case B_SUB: case B_GSUB:
      if (!y) die("sub needs more arguments");
      return num(substitute(x, n->op == B_GSUB));
    case B_MATCH: {
      const char *s = to_str(eval(x));
      RegMatch m[REG_GROUPS];
      bool hit = regex_search(regex_of(y), s, strlen(s), 0, m);
      store(&rstart->value, num(hit ? (double)m[0].start + 1 : 0));
      store(&rlength->value, num(hit ? (double)(m[0].end - m[0].start) : -1));
      return rstart->value;
    }
    case B_SPRINTF: return str(format(x));
    case B_SIN: return num(awk_sin(to_num(eval(x))));
    case B_COS: return num(awk_cos(to_num(eval(x))));
    case B_ATAN2: {
      double a = to_num(eval(x));
      return num(awk_atan2(a, to_num(eval(y))));
    }
    case B_EXP: return num(awk_exp(to_num(eval(x))));
    case B_LOG: return num(awk_log(to_num(eval(x))));
    case B_SQRT: return num(__builtin_sqrt(to_num(eval(x))));
    case B_INT: {
      double v = to_num(eval(x));
      return num(v > -9e18 && v < 9e18 ? (double)(long)v : v);
    }
    case B_RAND:
      random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
      return num((double)(random_state >> 11) / 9007199254740992.0);
    case B_SRAND: {
      double old = random_seed;
      struct timespec now = {0};
      sys_clock_gettime(CLOCK_REALTIME, &now);
      random_seed = x ? to_num(eval(x)) : (double)now.tv_sec;
      random_state = (uint64_t)(long)random_seed * 2862933555777941757ul + 3037000493ul;
      return num(old);
    }
    case B_TOLOWER: case B_TOUPPER: {
      const char *s = to_str(eval(x));
      char *t = temp_copy(s, strlen(s));
      for (char *c = t; *c; c++) *c = (char)(n->op == B_TOLOWER ? tolower((unsigned char)*c) : toupper((unsigned char)*c));
      return str(t);
    }
    case B_SYSTEM: {
      char *shell[] = {"sh", "-c", (char *)to_str(eval(x)), NULL};
      return num(spawn_wait(shell));
    }
    case B_CLOSE: {
      const char *name = to_str(eval(x));
      int status = -1;
      for (size_t i = 0; i < countof(streams); i++)
        if (streams[i].name && !strcmp(streams[i].name, name)) status = close_stream(&streams[i]);
      return num(status);
    }
    default:
      fflush(stdout);
      for (size_t i = 0; i < countof(streams); i++)
        if (streams[i].name) fflush(streams[i].f);
      return num(0);
  }
}

static Value call(AwkNode *n) {
  Function *f = n->function;
  if (++call_depth > 1000) die("functions nested too deeply");
  Slot *slots = calloc((size_t)f->params + 1, sizeof *slots);
  int i = 0;
  for (AwkNode *arg = n->a; arg; arg = arg->next, i++) {
    if (i >= f->params) die("function %s called with too many arguments", f->name);
    if (arg->type == N_VAR && (arg->var->array || arg->var->value.kind == V_UNSET)) {
      slots[i].array = arg->var->array;
      slots[i].owner = arg->var;
    } else if (arg->type == N_LOCAL && (frame[arg->local].array || frame[arg->local].value.kind == V_UNSET)) {
      /* Unset so far: if the callee makes it an array, it is ours too. */
      slots[i].array = frame[arg->local].array ? frame[arg->local].array : (frame[arg->local].array = calloc(1, sizeof(Array)));
    } else {
      store(&slots[i].value, eval(arg));
    }
  }
  Slot *outer = frame;
  frame = slots;
  run(f->body);
  frame = outer;
  Value result = fetch(&returned);
  store(&returned, (Value){0});
  for (i = 0; i < f->params; i++) free((char *)slots[i].value.str);
  free(slots);
  call_depth--;
  return result;
}

static Value get_line(AwkNode *n) {
  char *line;
  if (n->op) {
    Stream *s = open_stream(to_str(eval(n->b)), n->op == '|' ? 'r' : '<');
    if (!s) return num(-1);
    line = read_record(s->f);
    if (line && n->op == '|') store(&nr->value, num(to_num(nr->value) + 1));
  } else {
    line = next_record();
  }
  if (!line) return num(0);
  if (n->a) assign(n->a, strnum(temp_copy(line, strlen(line))));
  else set_record(line);
  return num(1);
}

static Value eval(AwkNode *n) {
  switch (n->type) {
    case N_NUM: return num(n->num);
    case N_STR: return str(n->str);
    case N_REGEX: {
      RegMatch m[REG_GROUPS];
      const char *s = to_str(get_field(0));
      return num(regex_search(n->re, s, strlen(s), 0, m));
    }
    case N_VAR:
      if (n->var == nf) split_record();
      return fetch(&n->var->value);
    case N_LOCAL: return fetch(&frame[n->local].value);
    case N_FIELD: return get_field((long)to_num(eval(n->a)));
    case N_INDEX: {
      Array *a = array_of(n->a);
      return fetch(array_get(a, subscript(n->b)));
    }
    case N_GROUP: return eval(n->a);
    case N_ASSIGN: {
      Value v = eval(n->b);
      if (n->op != '=') v = num(arithmetic(n->op, to_num(eval(n->a)), to_num(v)));
      assign(n->a, v);
      return v;
    }
    case N_COND: return truth(eval(n->a)) ? eval(n->b) : eval(n->c);
    case N_OR: return num(truth(eval(n->a)) || truth(eval(n->b)));
    case N_AND: return num(truth(eval(n->a)) && truth(eval(n->b)));
    case N_IN: {
      const char *name = subscript(n->a);
      return num(*array_slot(array_of(n->b), name) != NULL);
    }
    case N_MATCH: return num(match_node(n->a, n->b));
    case N_NOMATCH: return num(!match_node(n->a, n->b));
    case N_COMPARE: {
      Value a = eval(n->a);
      return num(compare(n->op, a, eval(n->b)));
    }
    case N_CONCAT: {
      const char *a = to_str(eval(n->a)), *b = to_str(eval(n->b));
      size_t x = strlen(a), y = strlen(b);
      char *t = temp(x + y + 1);
      memcpy(t, a, x);
      memcpy(t + x, b, y + 1);
      return str(t);
    }
    case N_ADD: case N_SUB: case N_MUL: case N_DIV: case N_MOD: case N_POW: {
      double x = to_num(eval(n->a));
      return num(arithmetic("+-*/%^"[n->type - N_ADD], x, to_num(eval(n->b))));
    }
    case N_NOT: return num(!truth(eval(n->a)));
    case N_NEG: return num(-to_num(eval(n->a)));
    case N_PLUS: return num(to_num(eval(n->a)));
    case N_PREINC: case N_PREDEC: case N_POSTINC: case N_POSTDEC: {
      double old = to_num(eval(n->a)), fresh = old + (n->type == N_PREINC || n->type == N_POSTINC ? 1 : -1);
      assign(n->a, num(fresh));
      return num(n->type == N_PREINC || n->type == N_PREDEC ? fresh : old);
    }
    case N_CALL: return call(n);
    case N_BUILTIN: return call_builtin(n);
    case N_GETLINE: return get_line(n);
    default: die("internal: expression %d", n->type);
  }
}

/* ---- statements ---- */

static void print(AwkNode *n) {
  FILE *to = stdout;
  if (n->op) to = open_stream(to_str(eval(n->b)), n->op == 'a' ? 'a' : (char)n->op)->f;
  if (n->type == N_PRINTF) {
    fputs(format(n->a), to);
  } else {
    if (!n->a) fputs(to_str(get_field(0)), to);
    for (AwkNode *arg = n->a; arg; arg = arg->next) {
      Value v = eval(arg);
      fputs(v.kind == V_NUM ? number_text(v.num, to_str(ofmt->value)) : to_str(v), to);
      if (arg->next) fputs(to_str(ofs->value), to);
    }
    fputs(to_str(ors->value), to);
  }
  if (to->error) exit(2);
}

static Flow run_loop_body(AwkNode *body, bool *leave) {
  Flow f = run(body);
  *leave = f != GO && f != CONTINUE;
  return f == BREAK || f == CONTINUE ? GO : f;
}

static Flow run_one(AwkNode *n) {
  bool leave = false;
  Flow f = GO;
  switch (n->type) {
    case N_BLOCK:
      for (AwkNode *s = n->a; s && f == GO; s = s->next) f = run(s);
      return f;
    case N_EXPR: eval(n->a); return GO;
    case N_PRINT: case N_PRINTF: print(n); return GO;
    case N_IF:
      if (truth(eval(n->a))) return run(n->b);
      return n->c ? run(n->c) : GO;
    case N_WHILE:
      while (!leave && truth(eval(n->a))) f = run_loop_body(n->b, &leave);
      return f;
    case N_DO:
      do f = run_loop_body(n->a, &leave);
      while (!leave && truth(eval(n->b)));
      return f;
    case N_FOR:
      if (n->a) run(n->a);
      while (!leave && (!n->b || truth(eval(n->b)))) {
        f = run_loop_body(n->d, &leave);
        if (!leave && n->c) run(n->c);
      }
      return f;
    case N_FORIN: {
      /* The keys as they are now: the body may change the array. */
      Array *a = array_of(n->b);
      StrList keys = {0};
      for (size_t i = 0; i < a->size; i++)
        for (Element *e = a->buckets[i]; e; e = e->next) list_add(&keys, strdup(e->key));
      for (size_t i = 0; i < keys.len && !leave; i++) {
        if (!*array_slot(a, keys.items[i])) continue;
        assign(n->a, strnum(keys.items[i]));
        f = run_loop_body(n->c, &leave);
      }
      list_free(&keys);
      return f;
    }
    case N_NEXT: return NEXT;
    case N_EXIT:
      if (n->a) exit_value = (int)to_num(eval(n->a)) & 255;
      return EXIT;
    case N_RETURN:
      store(&returned, n->a ? eval(n->a) : (Value){0});
      return RETURN;
    case N_BREAK: return BREAK;
    case N_CONTINUE: return CONTINUE;
    default: {
      Array *a = array_of(n->a);
      if (n->b) array_remove(a, subscript(n->b));
      else array_clear(a);
      return GO;
    }
  }
}
static Flow pending; /* exit or next inside a function */

static Flow run(AwkNode *n) {
  if (pending != GO) return pending;
  Mark m = mark();
  Flow f = run_one(n);
  if (f == EXIT || f == NEXT) pending = f;
  release(m);
  return pending != GO ? pending : f;
}

static bool selected(Rule *r) {
  if (!r->pattern) return true;
  Mark m = mark();
  bool yes;
  if (!r->end) {
    yes = truth(eval(r->pattern));
  } else {
    yes = r->in_range || truth(eval(r->pattern));
    if (yes) r->in_range = !truth(eval(r->end));
  }
  release(m);
  return yes;
}

static Flow run_rules(int when) {
  for (int i = 0; i < awk_rule_count; i++) {
    Rule *r = &awk_rules[i];
    if ((int)r->when != when || (when == R_PATTERN && !selected(r))) continue;
    if (pending == GO) {
      if (r->body) run(r->body);
      else {
        AwkNode n = {.type = N_PRINT};
        run(&n);
      }
    }
    Flow f = pending;
    pending = GO;
    if (f == EXIT) return EXIT;
    if (f == NEXT) break;
  }
  return GO;
}

static Var *preset(const char *name, Value v) {
  Var *var = awk_global(name);
  store(&var->value, v);
  return var;
}

int awk_main(int argc, char **argv) {
  nf = preset("NF", num(0));
  nr = preset("NR", num(0));
  fnr = preset("FNR", num(0));
  fs = preset("FS", str(" "));
  ofs = preset("OFS", str(" "));
  ors = preset("ORS", str("\n"));
  rs = preset("RS", str("\n"));
  filename = preset("FILENAME", str(""));
  subsep = preset("SUBSEP", str("\034"));
  rstart = preset("RSTART", num(0));
  rlength = preset("RLENGTH", num(-1));
  convfmt = preset("CONVFMT", str("%.6g"));
  ofmt = preset("OFMT", str("%.6g"));
  environ_var = awk_global("ENVIRON");
  environ_var->array = calloc(1, sizeof(Array));
  for (char **e = environ; *e; e++) {
    char *eq = strchr(*e, '=');
    if (!eq) continue;
    char *name = strndup(*e, (size_t)(eq - *e));
    store(array_get(environ_var->array, name), strnum(eq + 1));
    free(name);
  }
  Buf program = {0};
  int opt;
  while ((opt = getopt(argc, argv, "+F:v:f:", NULL)) >= 0) {
    if (opt == 'F') {
      char *assignment = asprintf("FS=%s", strcmp(optarg, "t") ? optarg : "\\t");
      assign_operand(assignment);
      fs->value.kind = V_STR;
    } else if (opt == 'v') {
      if (!is_assignment(optarg)) die("-v needs NAME=VALUE");
      assign_operand(optarg);
    } else if (opt == 'f') {
      char *text = read_file(optarg, NULL);
      if (!text) die_errno(ENOENT, "%s", optarg);
      buf_printf(&program, "%s\n", text);
    } else {
      return usage_error(), 2;
    }
  }
  if (!program.len) {
    if (optind >= argc) return usage_error(), 2;
    buf_str(&program, argv[optind++]);
  }
  Array *args = awk_global("ARGV")->array = calloc(1, sizeof(Array));
  store(array_get(args, "0"), str("awk"));
  for (int i = optind; i < argc; i++) {
    char name[12];
    snprintf(name, sizeof name, "%d", i - optind + 1);
    store(array_get(args, name), strnum(argv[i]));
  }
  preset("ARGC", num(argc - optind + 1));
  awk_parse(program.data);
  operands = argv + optind;
  bool reads = false;
  for (int i = 0; i < awk_rule_count; i++) reads |= awk_rules[i].when != R_BEGIN;
  Flow f = run_rules(R_BEGIN);
  for (char *line; f == GO && reads && (line = next_record());) {
    set_record(line);
    f = run_rules(R_PATTERN);
  }
  run_rules(R_END);
  fflush(stdout);
  for (size_t i = 0; i < countof(streams); i++)
    if (streams[i].name) close_stream(&streams[i]);
  return exit_value;
}
