/*
 * Running the tree. A command ends with its status in last_status; E_TAIL says that nothing
 * follows in this process, so an external program may replace it without a fork.
 */
#include "sh.h"

Unwind unwinding;
int unwind_levels, loop_depth, function_depth, last_status, pending_traps, current_line;
static int tested;           /* inside a condition: set -e does not apply */
static int substitution_status; /* of the last $(...), for an assignment on its own */
static bool substituted;
volatile int got_signal[NSIG];

void shell_error(const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fflush(stdout);
  fprintf(stderr, "%s: %s\n", shell_name, text);
}

_Noreturn void shell_exit(int status) {
  char *trap = traps[0];
  last_status = status;
  if (trap && *trap) {
    traps[0] = NULL;
    unwinding = UNWIND_NONE;
    exec_string(trap, 0);
    if (unwinding == UNWIND_NONE) last_status = status;
  }
  exit(last_status);
}

void expansion_failed(void) {
  last_status = 2;
  if (!interactive) shell_exit(2);
  unwinding = UNWIND_ABORT;
}

void enter_subshell(void) {
  for (int sig = 0; sig < NSIG; sig++) {
    if (traps[sig] && *traps[sig]) {
      free(traps[sig]);
      traps[sig] = NULL;
      if (sig) set_signal(sig, SIG_DFL, 0);
    }
    got_signal[sig] = 0;
  }
  if (interactive) {
    static const int handled[] = {SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
    for (size_t i = 0; i < countof(handled); i++)
      if (!traps[handled[i]]) set_signal(handled[i], SIG_DFL, 0);
  }
  pending_traps = 0;
  interactive = monitor = false;
  opt_m = false;
  loop_depth = 0;
  jobs_forget();
}

void run_traps(void) {
  pending_traps = 0;
  int status = last_status;
  for (int sig = 1; sig < NSIG; sig++) {
    if (!got_signal[sig]) continue;
    got_signal[sig] = 0;
    if (traps[sig] && *traps[sig]) {
      char *text = strdup(traps[sig]);
      exec_string(text, 0);
      free(text);
      if (unwinding == UNWIND_NONE) last_status = status;
    } else if (sig == SIGINT && interactive) {
      unwinding = UNWIND_ABORT;
      last_status = 130;
    }
  }
}

/* ---- redirections ---- */

typedef struct { int fd, copy; } SavedFd; /* copy < 0: fd was closed */
typedef struct { SavedFd items[32]; int count; } SavedFds;

static bool save_fd(SavedFds *saved, int fd) {
  if (!saved) return true;
  for (int i = 0; i < saved->count; i++)
    if (saved->items[i].fd == fd) return true;
  if (saved->count == (int)countof(saved->items)) return false;
  saved->items[saved->count++] = (SavedFd){fd, (int)sys_fcntl(fd, F_DUPFD_CLOEXEC, 10)};
  return true;
}

static void restore_fds(SavedFds *saved) {
  fflush(stdout);
  while (saved->count) {
    SavedFd *s = &saved->items[--saved->count];
    if (s->copy >= 0) {
      sys_dup3(s->copy, s->fd, 0);
      sys_close(s->copy);
    } else {
      sys_close(s->fd);
    }
  }
}

static void move_fd(long from, int to) {
  if (from == to) {
    sys_fcntl(to, F_SETFD, 0);
    return;
  }
  sys_dup3((int)from, to, 0);
  sys_close((int)from);
}

/* A descriptor from which `text` can be read. Long texts are written by a child process. */
static int text_descriptor(const char *text) {
  int fds[2];
  long err = sys_pipe(fds, O_CLOEXEC);
  if (err < 0) return (int)err;
  size_t n = strlen(text);
  if (n <= 4096) {
    write_all(fds[1], text, n);
  } else {
    long pid = sys_fork();
    if (pid == 0) {
      sys_close(fds[0]);
      /* Twice forked, so that the shell has no child to wait for. */
      if (sys_fork() == 0) write_all(fds[1], text, n);
      sys_exit_group(0);
    }
    if (pid > 0) sys_wait4((int)pid, NULL, 0, NULL);
  }
  sys_close(fds[1]);
  return fds[0];
}

static bool redirect_failed(const char *what, long err) {
  shell_error("%s: %s", what, strerror((int)-err));
  return false;
}

static bool apply_one(Redir *r, SavedFds *saved) {
  if (r->kind == R_HEREDOC || r->kind == R_HERESTRING) {
    char *text = r->literal ? strdup(r->body) : expand_string(r->kind == R_HEREDOC ? r->body : r->word, r->kind == R_HEREDOC ? X_HEREDOC : X_NOSPLIT);
    if (!text) return false;
    if (r->kind == R_HERESTRING) {
      char *line = asprintf("%s\n", text);
      free(text);
      text = line;
    }
    int fd = text_descriptor(text);
    free(text);
    if (fd < 0) return redirect_failed("here-document", fd);
    save_fd(saved, r->fd);
    move_fd(fd, r->fd);
    return true;
  }
  char *target = expand_string(r->word, X_NOSPLIT);
  if (!target) return false;
  bool ok = true;
  if (r->kind == R_DUP) {
    char *end;
    long from = strtol(target, &end, 10);
    if (!strcmp(target, "-")) {
      save_fd(saved, r->fd);
      sys_close(r->fd);
    } else if (end == target || *end) {
      shell_error("%s: bad file descriptor", target);
      ok = false;
    } else if (sys_fcntl((int)from, F_GETFD, 0) < 0) {
      ok = redirect_failed(target, -EBADF);
    } else if (from != r->fd) {
      save_fd(saved, r->fd);
      sys_dup3((int)from, r->fd, 0);
    }
    free(target);
    return ok;
  }
  int flags = O_CLOEXEC;
  if (r->kind == R_IN) flags |= O_RDONLY;
  else if (r->kind == R_RDWR) flags |= O_RDWR | O_CREAT;
  else flags |= O_WRONLY | O_CREAT | (r->kind == R_APPEND || r->kind == R_BOTH_APPEND ? O_APPEND : O_TRUNC);
  struct stat st;
  if (opt_C && r->kind == R_OUT && sys_stat(target, &st) == 0 && S_ISREG(st.st_mode)) {
    ok = redirect_failed(target, -EEXIST);
  } else {
    long fd = sys_open(target, flags, 0666);
    if (fd < 0) {
      ok = redirect_failed(target, fd);
    } else {
      save_fd(saved, r->fd);
      move_fd(fd, r->fd);
      if (r->kind == R_BOTH || r->kind == R_BOTH_APPEND) {
        save_fd(saved, 2);
        sys_dup3(r->fd, 2, 0);
      }
    }
  }
  free(target);
  return ok;
}

static bool apply_redirs(Redir *r, SavedFds *saved) {
  if (r) fflush(stdout);
  for (; r; r = r->next)
    if (!apply_one(r, saved)) return false;
  return true;
}

/* ---- simple commands ---- */

static bool assign(const char *text) {
  size_t n = name_length(text);
  bool append = text[n] == '+';
  char *name = strndup(text, n), *value = expand_string(text + n + 1 + append, X_NOSPLIT | X_ASSIGN);
  bool ok = value != NULL;
  if (!ok) {
    expansion_failed();
  } else if (append) {
    const char *old = var_get(name);
    char *joined = asprintf("%s%s", old ? old : "", value);
    ok = var_set(name, joined);
    free(joined);
  } else {
    ok = var_set(name, value);
  }
  if (!ok && value && !interactive) shell_exit(2);
  free(name);
  free(value);
  return ok;
}

static void trace(StrList *args, Word *assignments) {
  char *prefix = expand_string(var_get("PS4") ? var_get("PS4") : "+ ", X_HEREDOC);
  Buf line = {0};
  buf_str(&line, prefix ? prefix : "+ ");
  for (Word *w = assignments; w; w = w->next) {
    size_t n = strcspn(w->text, "=") + 1;
    char *value = expand_string(w->text + n, X_NOSPLIT);
    buf_printf(&line, "%.*s%s%s", (int)n, w->text, value ? value : "", w->next || args->len ? " " : "");
    free(value);
  }
  for (size_t i = 0; i < args->len; i++) {
    const char *a = args->items[i];
    bool plain = *a && !a[strcspn(a, " \t\n'\"\\$`*?[]{}()|&;<>~#!")];
    char *quoted = plain ? NULL : quote_for_reuse(a);
    buf_printf(&line, "%s%s", quoted ? quoted : a, i + 1 < args->len ? " " : "");
    free(quoted);
  }
  fflush(stdout);
  fprintf(stderr, "%s\n", line.data);
  buf_free(&line);
  free(prefix);
}

char *find_in_path(const char *name) {
  if (strchr(name, '/')) return sys_access(name, X_OK) == 0 ? strdup(name) : NULL;
  for (const char *path = var_get("PATH"); path && *path;) {
    size_t n = strcspn(path, ":");
    char *file = asprintf("%.*s/%s", n ? (int)n : 1, n ? path : ".", name);
    struct stat st;
    if (sys_stat(file, &st) == 0 && S_ISREG(st.st_mode) && sys_access(file, X_OK) == 0) return file;
    free(file);
    path += n + (path[n] == ':');
  }
  return NULL;
}

/* Whether the first line holds a NUL, as bash asks: a program of another machine rather than a script. */
static bool is_binary(const char *path) {
  char start[128];
  int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  ssize_t n = sys_read(fd, start, sizeof start);
  sys_close(fd);
  for (ssize_t i = 0; i < n && start[i] != '\n'; i++)
    if (!start[i]) return true;
  return false;
}

/* Never returns. A text file without #! is run as a script by this very process. */
static _Noreturn void exec_external(char **argv) {
  environ = vars_environ();
  int err = exec_program(argv);
  if (err == -ENOEXEC) {
    char *path = find_in_path(argv[0]);
    if (path && !is_binary(path)) {
      int argc = 0;
      while (argv[argc]) argc++;
      shell_name = path;
      params_assign(argc - 1, argv + 1);
      exec_file(path);
      shell_exit(last_status);
    }
  }
  struct stat st;
  if (err == -EACCES && sys_stat(argv[0], &st) == 0 && S_ISDIR(st.st_mode) && strchr(argv[0], '/')) err = -EISDIR;
  if (err == -ENOENT && !strchr(argv[0], '/')) shell_error("%s: not found", argv[0]);
  else shell_error("%s: %s", argv[0], strerror(-err));
  fflush(stderr);
  sys_exit_group(err == -ENOENT ? 127 : 126);
}

static int call_function(Function *f, int argc, char **argv) {
  if (function_depth >= 1000) {
    shell_error("%s: functions nested too deeply", argv[0]);
    unwinding = UNWIND_ABORT;
    if (!interactive) shell_exit(2);
    return last_status = 2;
  }
  Params own = {.argc = argc - 1, .argv = argv + 1, .outer = params};
  int outer_loops = loop_depth;
  params = &own;
  loop_depth = 0;
  function_depth++;
  vars_push();
  last_status = exec_node(f->body, 0);
  vars_pop();
  function_depth--;
  loop_depth = outer_loops;
  params = own.outer;
  if (unwinding == UNWIND_RETURN) unwinding = UNWIND_NONE;
  return last_status;
}

int builtin_exec(int argc, char **argv) {
  if (argc < 2) return 0;
  fflush(stdout);
  exec_external(argv + 1);
}

static int exec_simple(Node *n, int flags) {
  StrList args = {0};
  substituted = false;
  if (!expand_words(n->words, &args)) {
    list_free(&args);
    expansion_failed();
    return last_status;
  }
  if (unwinding) {
    list_free(&args);
    return last_status;
  }
  if (opt_x && (args.len || n->assignments)) trace(&args, n->assignments);
  int status = 0;
  if (!args.len) {
    SavedFds saved = {.count = 0};
    if (!apply_redirs(n->redirs, &saved)) status = 1;
    restore_fds(&saved);
    for (Word *w = n->assignments; w && !status; w = w->next)
      if (!assign(w->text)) status = last_status ? last_status : 1;
    list_free(&args);
    return last_status = status ? status : substituted ? substitution_status : 0;
  }

  char **argv = args.items;
  int argc = (int)args.len;
  const Builtin *builtin = find_builtin(argv[0]);
  Function *function = builtin && builtin->special ? NULL : function_find(argv[0]);
  if (function) builtin = NULL;

  if (!builtin && !function) {
    bool replace = flags & E_TAIL && !traps[0];
    Job *job = replace ? NULL : job_new(1, n->text ? n->text : argv[0]);
    int pid = replace ? 0 : job_fork(job, false);
    if (pid == 0) {
      bool ok = apply_redirs(n->redirs, NULL);
      for (Word *w = n->assignments; w && ok; w = w->next) {
        char *name = strndup(w->text, name_length(w->text));
        ok = assign(w->text);
        var_declare(name)->exported = true;
        free(name);
      }
      if (!ok) sys_exit_group(1);
      exec_external(argv);
    }
    if (pid < 0) job_remove(job), status = 126;
    else status = job_wait(job);
    list_free(&args);
    return last_status = status;
  }

  SavedFds saved = {.count = 0};
  bool keep_fds = builtin && builtin->run == builtin_exec;
  bool keep_vars = builtin && builtin->special;
  if (!keep_vars && n->assignments) vars_push();
  bool scoped = !keep_vars && n->assignments;
  bool ok = apply_redirs(n->redirs, &saved);
  if (!ok && builtin && builtin->special && !interactive) shell_exit(2);
  for (Word *w = n->assignments; w && ok; w = w->next) {
    char *name = strndup(w->text, name_length(w->text));
    if (scoped) var_local(name);
    ok = assign(w->text);
    if (scoped) var_declare(name)->exported = true;
    free(name);
  }
  if (!ok) status = 1;
  else if (function) status = call_function(function, argc, argv);
  else {
    status = builtin->run(argc, argv);
    if (fflush(stdout) < 0 && status == 0) {
      shell_error("%s: write error", argv[0]);
      status = 1;
    }
  }
  if (keep_fds && ok)
    while (saved.count) sys_close(saved.items[--saved.count].copy);
  else restore_fds(&saved);
  if (scoped) vars_pop();
  list_free(&args);
  return last_status = status;
}

/* ---- compound commands ---- */

static _Noreturn void run_child(Node *n) {
  exec_node(n, E_TAIL);
  shell_exit(last_status);
}

static int exec_pipe(Node *n, bool background) {
  int count = 0;
  for (Node *m = n->first; m; m = m->next) count++;
  Job *job = job_new(count, n->text);
  int input = -1;
  for (Node *m = n->first; m; m = m->next) {
    int fds[2] = {-1, -1};
    if (m->next && sys_pipe(fds, O_CLOEXEC) < 0) {
      shell_error("cannot make a pipe");
      break;
    }
    int pid = job_fork(job, background);
    if (pid == 0) {
      if (input >= 0) move_fd(input, 0);
      if (fds[1] >= 0) {
        sys_close(fds[0]);
        move_fd(fds[1], 1);
      }
      if (background && m == n->first && !opt_m) {
        long null = sys_open("/dev/null", O_RDONLY, 0);
        if (null > 0) move_fd(null, 0);
      }
      run_child(m);
    }
    if (input >= 0) sys_close(input);
    if (fds[1] >= 0) sys_close(fds[1]);
    input = fds[0];
    if (pid < 0) break;
  }
  if (input >= 0) sys_close(input);
  if (!job->count) {
    job_remove(job);
    return 126;
  }
  if (background) {
    job_started_in_background(job);
    return 0;
  }
  return job_wait(job);
}

static int exec_background(Node *n) {
  if (n->first->type == N_PIPE) {
    n->first->text = n->text;
    return exec_pipe(n->first, true);
  }
  Job *job = job_new(1, n->text);
  bool controlled = monitor;
  int pid = job_fork(job, true);
  if (pid == 0) {
    if (!controlled) {
      long null = sys_open("/dev/null", O_RDONLY, 0);
      if (null > 0) move_fd(null, 0);
    }
    run_child(n->first);
  }
  if (pid < 0) {
    job_remove(job);
    return 126;
  }
  job_started_in_background(job);
  return 0;
}

static int exec_subshell(Node *n, int flags) {
  if (flags & E_TAIL && !traps[0]) {
    if (!apply_redirs(n->redirs, NULL)) return last_status = 1;
    return exec_node(n->first, E_TAIL);
  }
  Job *job = job_new(1, n->text);
  int pid = job_fork(job, false);
  if (pid == 0) {
    if (!apply_redirs(n->redirs, NULL)) sys_exit_group(1);
    run_child(n->first);
  }
  if (pid < 0) {
    job_remove(job);
    return 126;
  }
  return job_wait(job);
}

/* After a loop body: true when the loop must end. */
static bool leave_loop(void) {
  if (pending_traps) run_traps();
  if (unwinding == UNWIND_NONE) return false;
  if (unwinding == UNWIND_BREAK || unwinding == UNWIND_CONTINUE) {
    if (--unwind_levels > 0) return true;
    bool ends = unwinding == UNWIND_BREAK;
    unwinding = UNWIND_NONE;
    return ends;
  }
  return true;
}

static int exec_tested(Node *n) {
  tested++;
  int status = exec_node(n, 0);
  tested--;
  return status;
}

static int exec_loop(Node *n) {
  int status = 0;
  loop_depth++;
  for (;;) {
    int condition = exec_tested(n->first);
    if (unwinding) {
      if (leave_loop()) break;
      continue;
    }
    if ((condition == 0) != (n->type == N_WHILE)) break;
    status = exec_node(n->second, 0);
    if (leave_loop()) break;
  }
  loop_depth--;
  return status;
}

static int exec_for(Node *n) {
  StrList words = {0};
  if (!n->has_words) {
    for (int i = 0; i < params->argc; i++) list_add(&words, strdup(params->argv[i]));
  } else if (!expand_words(n->words, &words)) {
    expansion_failed();
    return last_status;
  }
  int status = 0;
  loop_depth++;
  for (size_t i = 0; i < words.len; i++) {
    if (!var_set(n->name, words.items[i])) {
      status = 2;
      break;
    }
    status = exec_node(n->second, 0);
    if (leave_loop()) break;
  }
  loop_depth--;
  list_free(&words);
  return status;
}

static int exec_case(Node *n, int flags) {
  char *word = expand_string(n->name, X_NOSPLIT);
  if (!word) {
    expansion_failed();
    return last_status;
  }
  int status = 0;
  bool hit = false;
  for (CaseItem *item = n->cases; item; item = item->next) {
    for (Word *w = item->patterns; w && !hit; w = w->next) {
      char *pattern = expand_string(w->text, X_PATTERN);
      if (!pattern) {
        free(word);
        expansion_failed();
        return last_status;
      }
      hit = fnmatch(pattern, word, 0);
      free(pattern);
    }
    if (!hit) continue;
    if (item->body) status = exec_node(item->body, item->fall_through ? 0 : flags);
    if (!item->fall_through || unwinding) break;
  }
  free(word);
  return status;
}

static int exec_kind(Node *n, int flags) {
  switch (n->type) {
    case N_SIMPLE: return exec_simple(n, flags);
    case N_PIPE: return exec_pipe(n, false);
    case N_BACKGROUND: return exec_background(n);
    case N_NOT: return !exec_tested(n->first);
    case N_SUBSHELL: return exec_subshell(n, flags);
    case N_BRACE: return exec_node(n->first, flags);
    case N_WHILE: case N_UNTIL: return exec_loop(n);
    case N_FOR: return exec_for(n);
    case N_CASE: return exec_case(n, flags);
    case N_FUNCTION:
      function_define(n->name, n->first);
      return 0;
    case N_AND: case N_OR: {
      int status = exec_tested(n->first);
      if (unwinding || (status == 0) != (n->type == N_AND)) return status;
      return exec_node(n->second, flags);
    }
    case N_IF: {
      int status = exec_tested(n->first);
      if (unwinding) return status;
      if (status == 0) return exec_node(n->second, flags);
      return n->third ? exec_node(n->third, flags) : 0;
    }
    case N_LIST: {
      int status = 0;
      for (Node *m = n->first; m && !unwinding; m = m->next) status = exec_node(m, m->next ? 0 : flags);
      return status;
    }
  }
  return 0;
}

int exec_node(Node *n, int flags) {
  if (!n) return last_status = 0;
  if (pending_traps) run_traps();
  if (unwinding) return last_status;
  if (opt_n && !interactive) return 0;
  if (n->type == N_SIMPLE) current_line = n->line;
  SavedFds saved = {.count = 0};
  bool redirected = n->redirs && n->type != N_SIMPLE && n->type != N_SUBSHELL;
  if (redirected) {
    if (!apply_redirs(n->redirs, &saved)) {
      restore_fds(&saved);
      last_status = 1;
      if (opt_e && !tested) shell_exit(1);
      return 1;
    }
    flags &= ~E_TAIL;
  }
  last_status = exec_kind(n, flags);
  if (redirected) restore_fds(&saved);
  bool counts = n->type == N_SIMPLE || n->type == N_PIPE || n->type == N_SUBSHELL;
  if (counts && last_status && opt_e && !tested && !unwinding) shell_exit(last_status);
  if (pending_traps) run_traps();
  return last_status;
}

/* ---- whole texts ---- */

static int exec_source(Source *src, int flags) {
  while (!unwinding) {
    Arena *arena;
    Node *node;
    ParseResult r = parse_command(src, &arena, &node);
    if (r == PARSE_OK && node) {
      bool last = flags & E_TAIL && !src->text.data[src->pos + strspn(src->text.data + src->pos, " \t\n")];
      if (opt_v) fprintf(stderr, "%s\n", node->text ? node->text : "");
      exec_node(node, last ? E_TAIL : 0);
    }
    arena_release(arena);
    if (r == PARSE_EOF) break;
    if (r == PARSE_ERROR) {
      last_status = 2;
      if (!interactive) shell_exit(2);
      break;
    }
  }
  return last_status;
}

int exec_string(const char *text, int flags) {
  Source src;
  source_string(&src, text);
  exec_source(&src, flags);
  buf_free(&src.text);
  return last_status;
}

int exec_file(const char *path) {
  size_t size;
  char *text = read_file(path, &size);
  if (!text) {
    shell_error("%s: cannot open", path);
    return last_status = 127;
  }
  Source src = {.line = 1, .fd = -1, .text = {.data = text, .len = size, .cap = size + 1}};
  exec_source(&src, 0);
  buf_free(&src.text);
  return last_status;
}

char *command_output(const char *text) {
  int fds[2];
  fflush(stdout);
  substituted = true;
  if (sys_pipe(fds, O_CLOEXEC) < 0) {
    shell_error("cannot make a pipe");
    return strdup("");
  }
  long pid = sys_fork();
  if (pid == 0) {
    enter_subshell();
    sys_close(fds[0]);
    move_fd(fds[1], 1);
    unwinding = UNWIND_NONE;
    exec_string(text, E_TAIL);
    shell_exit(last_status);
  }
  sys_close(fds[1]);
  Buf out = {0};
  for (;;) {
    buf_reserve(&out, 4096);
    long n = sys_read(fds[0], out.data + out.len, out.cap - out.len - 1);
    if (n == -EINTR) continue;
    if (n <= 0) break;
    out.len += (size_t)n;
  }
  sys_close(fds[0]);
  int status = 0;
  if (pid > 0)
    while (sys_wait4((int)pid, &status, 0, NULL) == -EINTR) {}
  last_status = substitution_status = pid < 0 ? 126 : exit_status(status);
  size_t kept = 0; /* NUL bytes cannot be in a variable */
  for (size_t i = 0; i < out.len; i++)
    if (out.data[i]) out.data[kept++] = out.data[i];
  while (kept && out.data[kept - 1] == '\n') kept--;
  out.data[kept] = 0;
  return out.data;
}
