/* Variables (a hash table), the scopes of `local`, functions and positional parameters. */
#include "sh.h"

enum { BUCKETS = 64 };
static Var *table[BUCKETS];
static Function *functions;
Params *params;

/* What a function call must restore: the variable's old state. */
typedef struct Saved { struct Saved *next; char *name, *value; bool existed, exported, readonly; } Saved;
typedef struct Scope { struct Scope *outer; Saved *saved; } Scope;
static Scope *scope;

size_t name_length(const char *s) {
  if (!isalpha((unsigned char)*s) && *s != '_') return 0;
  size_t n = 1;
  while (isalnum((unsigned char)s[n]) || s[n] == '_') n++;
  return n;
}
bool is_name(const char *s, size_t n) { return n && name_length(s) == n; }

static Var **slot(const char *name) {
  unsigned h = 0;
  for (const char *p = name; *p; p++) h = h * 31 + (unsigned char)*p;
  Var **v = &table[h % BUCKETS];
  while (*v && strcmp((*v)->name, name)) v = &(*v)->next;
  return v;
}
Var *var_find(const char *name) { return *slot(name); }
const char *var_get(const char *name) {
  Var *v = var_find(name);
  return v ? v->value : NULL;
}
Var *var_declare(const char *name) {
  Var **v = slot(name);
  if (!*v) {
    *v = calloc(1, sizeof **v);
    (*v)->name = strdup(name);
  }
  return *v;
}
bool var_set(const char *name, const char *value) {
  Var *v = var_declare(name);
  if (v->readonly) {
    shell_error("%s: is read only", name);
    return false;
  }
  char *fresh = strdup(value); /* value may be the old one's text */
  free(v->value);
  v->value = fresh;
  if (opt_a) v->exported = true;
  if (!strcmp(name, "OPTIND")) getopt_reset();
  return true;
}
bool var_unset(const char *name) {
  Var **at = slot(name), *v = *at;
  if (!v) return true;
  if (v->readonly) {
    shell_error("%s: is read only", name);
    return false;
  }
  *at = v->next;
  free(v->name);
  free(v->value);
  free(v);
  return true;
}

void vars_push(void) {
  Scope *s = calloc(1, sizeof *s);
  s->outer = scope;
  scope = s;
}
void vars_pop(void) {
  Scope *s = scope;
  for (Saved *v = s->saved, *next; v; v = next) {
    next = v->next;
    if (v->existed) {
      Var *var = var_declare(v->name);
      free(var->value);
      var->value = v->value;
      var->exported = v->exported;
      var->readonly = v->readonly;
    } else {
      var_declare(v->name)->readonly = false;
      var_unset(v->name);
    }
    free(v->name);
    free(v);
  }
  scope = s->outer;
  free(s);
}
void var_local(const char *name) {
  if (!scope) return;
  for (Saved *v = scope->saved; v; v = v->next)
    if (!strcmp(v->name, name)) return;
  Saved *v = calloc(1, sizeof *v);
  Var *var = var_find(name);
  v->name = strdup(name);
  if (var) {
    v->existed = true;
    v->value = var->value ? strdup(var->value) : NULL;
    v->exported = var->exported;
    v->readonly = var->readonly;
  }
  v->next = scope->saved;
  scope->saved = v;
}

static int by_name(const void *a, const void *b) { return strcmp((*(Var *const *)a)->name, (*(Var *const *)b)->name); }

void vars_each(bool (*pick)(const Var *), void (*show)(const Var *)) {
  size_t n = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (Var *v = table[i]; v; v = v->next) n++;
  Var **all = malloc((n + 1) * sizeof *all);
  n = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (Var *v = table[i]; v; v = v->next)
      if (pick(v)) all[n++] = v;
  qsort(all, n, sizeof *all, by_name);
  for (size_t i = 0; i < n; i++) show(all[i]);
  free(all);
}

char **vars_environ(void) {
  static char **list;
  if (list)
    for (char **e = list; *e; e++) free(*e);
  size_t n = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (Var *v = table[i]; v; v = v->next) n += v->exported && v->value;
  list = realloc(list, (n + 1) * sizeof *list);
  n = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (Var *v = table[i]; v; v = v->next)
      if (v->exported && v->value) list[n++] = asprintf("%s=%s", v->name, v->value);
  list[n] = NULL;
  return list;
}

/* Also forgets everything of a shell that this process was forked from. */
void vars_init(char **envp) {
  memset(table, 0, sizeof table);
  functions = NULL;
  scope = NULL;
  for (char **e = envp; *e; e++) {
    size_t n = name_length(*e);
    if (!n || (*e)[n] != '=') continue;
    char *name = strndup(*e, n);
    Var *v = var_declare(name);
    v->value = strdup(*e + n + 1);
    v->exported = true;
    free(name);
  }
  char cwd[PATH_MAX];
  if (sys_getcwd(cwd, sizeof cwd) > 0) var_declare("PWD")->value = strdup(cwd);
  var_declare("IFS")->value = strdup(" \t\n");
  var_declare("OPTIND")->value = strdup("1");
  Var *ppid = var_declare("PPID");
  ppid->value = asprintf("%ld", sys_getppid());
  ppid->exported = false;
  if (!var_get("PATH")) var_declare("PATH")->value = strdup("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  if (!var_get("PS1")) var_declare("PS1")->value = strdup(sys_geteuid() ? "$ " : "# ");
  if (!var_get("PS2")) var_declare("PS2")->value = strdup("> ");
  if (!var_get("PS4")) var_declare("PS4")->value = strdup("+ ");
}

Function *function_find(const char *name) {
  Function *f = functions;
  while (f && strcmp(f->name, name)) f = f->next;
  return f;
}
/* Bodies are never freed: one may be running while it is replaced. */
void function_define(const char *name, Node *body) {
  Function *f = function_find(name);
  if (!f) {
    f = calloc(1, sizeof *f);
    f->name = strdup(name);
    f->next = functions;
    functions = f;
  }
  f->body = body;
}
bool function_unset(const char *name) {
  for (Function **f = &functions; *f; f = &(*f)->next)
    if (!strcmp((*f)->name, name)) {
      *f = (*f)->next;
      return true;
    }
  return false;
}

/* The old array is left alone: an expansion in progress may refer to it. */
void params_assign(int argc, char **argv) {
  char **copy = malloc(((size_t)argc + 1) * sizeof *copy);
  for (int i = 0; i < argc; i++) copy[i] = strdup(argv[i]);
  copy[argc] = NULL;
  params->argc = argc;
  params->argv = copy;
}
