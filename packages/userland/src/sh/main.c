/* The sh applet: options, start-up files and the interactive loop. */
#include "sh.h"

const char *shell_name = "sh";
bool interactive;
int shell_pid;

/* Input that others may also read from (a pipe on stdin): one byte at a time, no read-ahead. */
static bool refill_bytes(Source *s) {
  char c;
  bool any = false;
  for (;;) {
    long n = sys_read(s->fd, &c, 1);
    if (n == -EINTR) {
      if (pending_traps && !any) run_traps();
      continue;
    }
    if (n <= 0) return any;
    any = true;
    buf_char(&s->text, c);
    if (c == '\n') return true;
  }
}

static char *prompt_text(bool continuing) {
  const char *raw = var_get(continuing ? "PS2" : "PS1");
  Buf out = {0};
  for (const char *p = raw ? raw : "$ "; *p; p++) {
    if (*p != '\\' || !p[1]) {
      buf_char(&out, *p);
      continue;
    }
    struct utsname u;
    const char *pwd = var_get("PWD"), *home = var_get("HOME");
    if (!pwd) pwd = "?";
    size_t home_len = home ? strlen(home) : 0;
    bool below = home_len > 1 && starts_with(pwd, home) && (!pwd[home_len] || pwd[home_len] == '/');
    switch (*++p) {
      case 'w':
        if (below) buf_char(&out, '~');
        buf_str(&out, below ? pwd + home_len : pwd);
        break;
      case 'W': buf_str(&out, below && !pwd[home_len] ? "~" : base_name(pwd)); break;
      case 'u': buf_str(&out, user_name((unsigned)sys_geteuid())); break;
      case 'h':
        sys_uname(&u);
        buf_add(&out, u.nodename, strcspn(u.nodename, "."));
        break;
      case '$': buf_char(&out, sys_geteuid() ? '$' : '#'); break;
      case '?': buf_printf(&out, "%d", last_status); break;
      case 'e': buf_char(&out, 27); break;
      case 'n': buf_char(&out, '\n'); break;
      case '[': case ']': break; /* editing measures prompts without escape sequences anyway */
      default: buf_char(&out, '\\'); buf_char(&out, *p); break;
    }
  }
  char *escaped = buf_take(&out), *text = expand_string(escaped, X_HEREDOC);
  free(escaped);
  return text ? text : strdup("$ ");
}

static bool refill_terminal(Source *s) {
  if (!s->continuing) jobs_notify();
  char *prompt = prompt_text(s->continuing);
  bool interrupted = false;
  char *line = edit_line(prompt, &interrupted);
  free(prompt);
  if (interrupted) {
    unwinding = UNWIND_ABORT;
    last_status = 130;
    free(line);
    return false;
  }
  if (!line) return false;
  if (*line) history_add(line);
  buf_str(&s->text, line);
  buf_char(&s->text, '\n');
  free(line);
  return true;
}

static _Noreturn void interactive_loop(void) {
  Source src = {.fd = 0, .line = 1, .refill = refill_terminal};
  bool warned = false;
  for (;;) {
    Arena *arena;
    Node *node;
    unwinding = UNWIND_NONE;
    loop_depth = 0;
    src.continuing = src.eof = false;
    ParseResult r = parse_command(&src, &arena, &node);
    if (unwinding == UNWIND_ABORT || r == PARSE_ERROR) {
      src.text.len = src.pos = 0;
      if (src.text.data) *src.text.data = 0;
    } else if (r == PARSE_EOF) {
      bool stopped = false;
      for (Job *j = jobs; j; j = j->next)
        for (int i = 0; i < j->count; i++) stopped |= j->procs[i].stopped;
      if (stopped && !warned) {
        warned = true;
        fputs("There are stopped jobs.\n", stderr);
        continue;
      }
      fputs("\n", stderr);
      for (Job *j = jobs; j; j = j->next)
        if (stopped && monitor) sys_kill(-j->pgid, SIGHUP), sys_kill(-j->pgid, SIGCONT);
      shell_exit(last_status);
    } else if (node) {
      exec_node(node, 0);
      warned = false;
    }
    if (pending_traps) run_traps();
    arena_release(arena);
    fflush(stdout);
  }
}

static void source_if_there(const char *path) {
  if (sys_access(path, R_OK) == 0) exec_file(path);
  unwinding = UNWIND_NONE;
}

/* Everything is set anew: this process may be the fork of another shell. */
static void reset(void) {
  static Params top;
  params = &top;
  builtins_init();
  jobs_forget();
  monitor = interactive = false;
  shell_tty = -1;
  unwinding = UNWIND_NONE;
  loop_depth = function_depth = last_status = pending_traps = last_background_pid = 0;
  memset((void *)got_signal, 0, sizeof got_signal);
  shell_pid = (int)sys_getpid();
  vars_init(environ);
}

int sh_main(int argc, char **argv) {
  bool login = argv[0][0] == '-', command = false, from_stdin = false, force_interactive = false;
  char *name = argv[0];
  reset();
  shell_name = *name == '-' ? name + 1 : name;
  int i = 1;
  for (; i < argc && (argv[i][0] == '-' || argv[i][0] == '+') && argv[i][1]; i++) {
    bool on = argv[i][0] == '-';
    if (!strcmp(argv[i], "--")) {
      i++;
      break;
    }
    if (!strcmp(argv[i], "--login")) {
      login = true;
      continue;
    }
    for (char *c = argv[i] + 1; *c; c++) {
      if (*c == 'c') command = true;
      else if (*c == 's') from_stdin = true;
      else if (*c == 'i') force_interactive = on;
      else if (*c == 'l') login = true;
      else if (*c == 'o' && argv[i + 1]) {
        char *set[] = {"set", on ? "-o" : "+o", argv[++i], NULL};
        if (find_builtin("set")->run(3, set)) return 2;
        break;
      } else if (set_option_letter(*c, on) < 0) {
        shell_error("%s: invalid option", argv[i]);
        return 2;
      }
    }
  }
  char *text = NULL, *file = NULL;
  if (command) {
    if (i >= argc) {
      shell_error("-c needs an argument");
      return 2;
    }
    text = argv[i++];
    if (i < argc) shell_name = argv[i++];
  } else if (i < argc && !from_stdin) {
    file = argv[i++];
    shell_name = file;
  }
  params_assign(argc - i, argv + i);
  interactive = force_interactive || (!text && !file && isatty(0) && isatty(2));
  if (interactive) {
    catch_interrupts();
    set_signal(SIGQUIT, SIG_IGN, 0);
    set_signal(SIGTERM, SIG_IGN, 0);
    jobs_enable();
  }
  if (login) {
    source_if_there("/etc/profile");
    const char *home = var_get("HOME");
    char *profile = home ? path_join(home, ".profile") : NULL;
    if (profile) source_if_there(profile);
    free(profile);
  }
  if (interactive && var_get("ENV")) source_if_there(var_get("ENV"));

  if (text) {
    exec_string(text, interactive ? 0 : E_TAIL);
  } else if (file) {
    if (sys_access(file, R_OK) < 0) {
      shell_error("%s: %s", file, strerror(ENOENT));
      return 127;
    }
    exec_file(file);
  } else if (interactive && isatty(0)) {
    interactive_loop();
  } else {
    Source src = {.fd = 0, .line = 1, .refill = refill_bytes};
    for (;;) {
      Arena *arena;
      Node *node;
      ParseResult r = parse_command(&src, &arena, &node);
      if (r == PARSE_OK && node) exec_node(node, 0);
      arena_release(arena);
      if (unwinding && !interactive) break;
      unwinding = UNWIND_NONE;
      if (r == PARSE_EOF) break;
      if (r == PARSE_ERROR) {
        last_status = 2;
        if (!interactive) break;
      }
    }
  }
  shell_exit(last_status);
}
