/* awk's values, variables and arrays, and the arena that temporary strings live in. */
#include "awk.h"

/* ---- temporary strings ---- */

struct Chunk { struct Chunk *older; size_t used, size; char data[]; };
typedef struct Chunk Chunk;
static Chunk *chunk;

char *temp(size_t n) {
  if (!chunk || chunk->size - chunk->used < n) {
    size_t size = n > 16000 ? n : 16000;
    Chunk *c = malloc(sizeof *c + size);
    *c = (Chunk){chunk, 0, size};
    chunk = c;
  }
  char *s = chunk->data + chunk->used;
  chunk->used += n;
  return s;
}
char *temp_copy(const char *s, size_t n) {
  char *t = temp(n + 1);
  memcpy(t, s, n);
  t[n] = 0;
  return t;
}
Mark mark(void) { return (Mark){chunk, chunk ? chunk->used : 0}; }
void release(Mark m) {
  while (chunk != m.chunk) {
    Chunk *older = chunk->older;
    free(chunk);
    chunk = older;
  }
  if (chunk) chunk->used = m.used;
}

/* ---- values ---- */

static Var **globals;
static int global_count;
Var *nf, *nr, *fnr, *fs, *ofs, *ors, *rs, *filename, *subsep, *rstart, *rlength, *convfmt, *ofmt, *environ_var;

Var *awk_global(const char *name) {
  for (int i = 0; i < global_count; i++)
    if (!strcmp(globals[i]->name, name)) return globals[i];
  Var *v = calloc(1, sizeof *v);
  v->name = strdup(name);
  globals = realloc(globals, (size_t)(global_count + 1) * sizeof *globals);
  return globals[global_count++] = v;
}

Value num(double n) { return (Value){n, NULL, V_NUM}; }
Value str(const char *s) { return (Value){0, s, V_STR}; }

/* Input that looks like a number compares as one. */
Value strnum(const char *s) {
  char *end;
  const char *q = s + strspn(s, " \t\n\r");
  if (isdigit((unsigned char)*q) || ((*q == '-' || *q == '+' || *q == '.') && q[1])) {
    double n = strtod(q, &end);
    if (end != q && !end[strspn(end, " \t\n\r")]) return (Value){n, s, V_STRNUM};
  }
  return str(s);
}
double to_num(Value v) { return v.kind == V_STR ? strtod(v.str, NULL) : v.kind == V_UNSET ? 0 : v.num; }

const char *number_text(double n, const char *format) {
  char text[400];
  if (n == (double)(long)n && n > -1e16 && n < 1e16) snprintf(text, sizeof text, "%ld", (long)n);
  else {
    Buf b = {0};
    buf_printf(&b, format, n);
    strlcpy(text, b.data, sizeof text);
    buf_free(&b);
  }
  return temp_copy(text, strlen(text));
}
const char *to_str(Value v) {
  if (v.kind == V_NUM) return number_text(v.num, convfmt->value.str ? convfmt->value.str : "%.6g");
  return v.kind == V_UNSET ? "" : v.str;
}
bool truth(Value v) { return v.kind == V_STR ? *v.str : v.kind == V_UNSET ? false : v.num != 0; }

/* Gives a variable its own copy of the string. */
void store(Value *to, Value v) {
  char *own = v.kind == V_STR || v.kind == V_STRNUM ? strdup(v.str) : NULL;
  free((char *)to->str);
  *to = v;
  to->str = own;
}

/* ---- arrays ---- */

static unsigned hash(const char *s) {
  unsigned h = 5381;
  while (*s) h = h * 33 ^ (unsigned char)*s++;
  return h;
}
Element **array_slot(Array *a, const char *name) {
  if (!a->size) {
    a->size = 64;
    a->buckets = calloc(a->size, sizeof *a->buckets);
  }
  Element **e = &a->buckets[hash(name) % a->size];
  while (*e && strcmp((*e)->key, name)) e = &(*e)->next;
  return e;
}
Value *array_get(Array *a, const char *name) {
  Element **e = array_slot(a, name);
  if (!*e) {
    if (++a->count > a->size * 2) { /* grow and look again */
      Array bigger = {calloc(a->size * 4, sizeof *a->buckets), a->size * 4, a->count};
      for (size_t i = 0; i < a->size; i++)
        for (Element *old = a->buckets[i], *next; old; old = next) {
          next = old->next;
          Element **to = &bigger.buckets[hash(old->key) % bigger.size];
          old->next = *to;
          *to = old;
        }
      free(a->buckets);
      *a = bigger;
      e = array_slot(a, name);
    }
    *e = calloc(1, sizeof **e);
    (*e)->key = strdup(name);
  }
  return &(*e)->value;
}
void array_remove(Array *a, const char *name) {
  Element **e = array_slot(a, name), *gone = *e;
  if (!gone) return;
  *e = gone->next;
  free((char *)gone->value.str);
  free(gone->key);
  free(gone);
  a->count--;
}
void array_clear(Array *a) {
  for (size_t i = 0; i < a->size; i++)
    while (a->buckets[i]) array_remove(a, a->buckets[i]->key);
}
