/* Builtin commands that change the shell itself, and the table of all builtins. */
#include "sh.h"

char *traps[NSIG];
bool opt_e, opt_u, opt_x, opt_f, opt_n, opt_a, opt_C, opt_v, opt_pipefail, opt_m;

static const struct { char letter; const char *name; bool *value; } options[] = {
    {'a', "allexport", &opt_a}, {'e', "errexit", &opt_e}, {'f', "noglob", &opt_f}, {'m', "monitor", &opt_m}, {'n', "noexec", &opt_n},
    {'u', "nounset", &opt_u}, {'v', "verbose", &opt_v}, {'x', "xtrace", &opt_x}, {'C', "noclobber", &opt_C}, {0, "pipefail", &opt_pipefail},
};

int set_option_letter(int letter, bool on) {
  for (size_t i = 0; i < countof(options); i++)
    if (options[i].letter == letter && letter) {
      *options[i].value = on;
      return 0;
    }
  return -1;
}

/* Without a name: lists the options, as words or (for `set +o`) as commands. */
static int set_option_name(const char *name, bool on) {
  for (size_t i = 0; i < countof(options); i++) {
    if (!name && on) printf("%-15s %s\n", options[i].name, *options[i].value ? "on" : "off");
    else if (!name) printf("set %co %s\n", *options[i].value ? '-' : '+', options[i].name);
    else if (!strcmp(options[i].name, name)) {
      *options[i].value = on;
      return 0;
    }
  }
  if (!name) return 0;
  shell_error("set: %s: no such option", name);
  return 2;
}

static void show_assignment(const char *prefix, const Var *v) {
  char *quoted = v->value ? quote_for_reuse(v->value) : NULL;
  printf("%s%s%s%s\n", prefix, v->name, quoted ? "=" : "", quoted ? quoted : "");
  free(quoted);
}
static bool has_value(const Var *v) { return v->value; }
static bool is_exported(const Var *v) { return v->exported; }
static bool is_readonly(const Var *v) { return v->readonly; }
static void show_plain(const Var *v) { show_assignment("", v); }
static void show_export(const Var *v) { show_assignment("export ", v); }
static void show_readonly(const Var *v) { show_assignment("readonly ", v); }

static int builtin_set(int argc, char **argv) {
  if (argc == 1) {
    vars_each(has_value, show_plain);
    return 0;
  }
  int i = 1;
  bool operands = false;
  for (; i < argc && (argv[i][0] == '-' || argv[i][0] == '+') && argv[i][1]; i++) {
    bool on = argv[i][0] == '-';
    if (!strcmp(argv[i], "--")) {
      i++;
      operands = true;
      break;
    }
    for (char *c = argv[i] + 1; *c; c++) {
      if (*c == 'o') {
        int err = set_option_name(argv[i + 1], on);
        if (err) return err;
        if (argv[i + 1]) i++;
        break;
      }
      if (set_option_letter(*c, on) < 0) {
        shell_error("set: %c%c: invalid option", on ? '-' : '+', *c);
        return 2;
      }
    }
  }
  if (operands || i < argc) params_assign(argc - i, argv + i);
  return 0;
}

static int builtin_shift(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1;
  if (n < 0 || n > params->argc) {
    shell_error("shift: can't shift that many");
    return 1;
  }
  params->argv += n;
  params->argc -= n;
  return 0;
}

/* export, readonly, local: NAME or NAME=VALUE operands. */
typedef enum { EXPORT, READONLY, LOCAL } Attribute;
static int declare(int argc, char **argv, Attribute what) {
  int status = 0, i = 1;
  bool off = false, print = false;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    if (!strcmp(argv[i], "-n")) off = true;
    else if (!strcmp(argv[i], "-p")) print = true;
    else if (strcmp(argv[i], "--")) break;
  }
  if (what == LOCAL && !function_depth) {
    shell_error("local: not in a function");
    return 1;
  }
  if (i == argc && (print || argc == 1) && what != LOCAL) vars_each(what == EXPORT ? is_exported : is_readonly, what == EXPORT ? show_export : show_readonly);
  for (; i < argc; i++) {
    size_t n = name_length(argv[i]);
    if (!n || (argv[i][n] && argv[i][n] != '=')) {
      shell_error("%s: %s: bad variable name", argv[0], argv[i]);
      status = 2;
      continue;
    }
    char *name = strndup(argv[i], n);
    if (what == LOCAL) {
      var_local(name);
      if (!argv[i][n]) var_unset(name);
    }
    if (argv[i][n] && !var_set(name, argv[i] + n + 1)) status = 2;
    Var *v = what == LOCAL && !argv[i][n] ? NULL : var_declare(name);
    if (v && what == EXPORT) v->exported = !off;
    if (v && what == READONLY) v->readonly = true;
    free(name);
  }
  if (status && !interactive && what != LOCAL) shell_exit(status);
  return status;
}
static int builtin_export(int argc, char **argv) { return declare(argc, argv, EXPORT); }
static int builtin_readonly(int argc, char **argv) { return declare(argc, argv, READONLY); }
static int builtin_local(int argc, char **argv) { return declare(argc, argv, LOCAL); }

static int builtin_unset(int argc, char **argv) {
  int status = 0, i = 1;
  bool functions = false, variables = false;
  for (; i < argc && argv[i][0] == '-'; i++) {
    if (!strcmp(argv[i], "-f")) functions = true;
    if (!strcmp(argv[i], "-v")) variables = true;
  }
  for (; i < argc; i++) {
    if (!functions && var_find(argv[i])) {
      if (!var_unset(argv[i])) status = 1;
    } else if (!variables) {
      function_unset(argv[i]);
    }
  }
  return status;
}

static int builtin_exit(int argc, char **argv) { shell_exit(argc > 1 ? atoi(argv[1]) & 255 : last_status); }

static int builtin_return(int argc, char **argv) {
  unwinding = UNWIND_RETURN;
  return argc > 1 ? atoi(argv[1]) & 255 : last_status;
}

static int leave(int argc, char **argv, Unwind how) {
  int levels = argc > 1 ? atoi(argv[1]) : 1;
  if (levels < 1) {
    shell_error("%s: bad number", argv[0]);
    return 2;
  }
  if (!loop_depth) return 0;
  unwinding = how;
  unwind_levels = levels > loop_depth ? loop_depth : levels;
  return 0;
}
static int builtin_break(int argc, char **argv) { return leave(argc, argv, UNWIND_BREAK); }
static int builtin_continue(int argc, char **argv) { return leave(argc, argv, UNWIND_CONTINUE); }

static int builtin_eval(int argc, char **argv) {
  Buf text = {0};
  for (int i = 1; i < argc; i++) buf_printf(&text, "%s%s", i > 1 ? " " : "", argv[i]);
  char *s = buf_take(&text);
  last_status = 0;
  exec_string(s, 0);
  free(s);
  return last_status;
}

static int builtin_dot(int argc, char **argv) {
  if (argc < 2) {
    shell_error("%s: file name needed", argv[0]);
    return 2;
  }
  char *path = strchr(argv[1], '/') || sys_access(argv[1], R_OK) == 0 ? strdup(argv[1]) : find_in_path(argv[1]);
  if (!path || sys_access(path, R_OK) < 0) {
    shell_error("%s: not found", argv[1]);
    free(path);
    if (!interactive) shell_exit(2);
    return 1;
  }
  Params own = *params;
  bool with_args = argc > 2;
  if (with_args) {
    own = (Params){.argc = argc - 2, .argv = argv + 2, .outer = params};
    params = &own;
  }
  last_status = 0;
  exec_file(path);
  if (with_args) params = own.outer;
  if (unwinding == UNWIND_RETURN) unwinding = UNWIND_NONE;
  free(path);
  return last_status;
}

/* ---- directories ---- */

/* Removes "." and ".." from an absolute path by text alone, as `cd` does. */
static char *logical_path(const char *path) {
  Buf out = {0};
  buf_str(&out, "");
  for (const char *p = path; *p;) {
    while (*p == '/') p++;
    size_t n = strcspn(p, "/");
    if (n == 2 && !strncmp(p, "..", 2)) {
      char *slash = strrchr(out.data, '/');
      if (slash) out.len = (size_t)(slash - out.data), *slash = 0;
    } else if (n && !(n == 1 && *p == '.')) {
      buf_char(&out, '/');
      buf_add(&out, p, n);
    }
    p += n;
  }
  if (!out.len) buf_char(&out, '/');
  return buf_take(&out);
}

static int builtin_cd(int argc, char **argv) {
  bool physical = false, announce = false;
  int i = 1;
  for (; i < argc && (!strcmp(argv[i], "-P") || !strcmp(argv[i], "-L") || !strcmp(argv[i], "--")); i++) physical = argv[i][1] == 'P';
  const char *to = i < argc ? argv[i] : var_get("HOME");
  if (!to || !*to) {
    shell_error("cd: HOME not set");
    return 1;
  }
  if (!strcmp(to, "-")) {
    to = var_get("OLDPWD");
    announce = true;
    if (!to) {
      shell_error("cd: OLDPWD not set");
      return 1;
    }
  }
  char *target = NULL;
  const char *cdpath = var_get("CDPATH");
  if (cdpath && *to != '/' && !starts_with(to, "./") && !starts_with(to, "..")) {
    for (const char *p = cdpath; *p && !target;) {
      size_t n = strcspn(p, ":");
      struct stat st;
      target = asprintf("%.*s/%s", n ? (int)n : 1, n ? p : ".", to);
      if (sys_stat(target, &st) < 0 || !S_ISDIR(st.st_mode)) free(target), target = NULL;
      else announce = n > 0;
      p += n + (p[n] == ':');
    }
  }
  if (!target) target = strdup(to);
  const char *pwd = var_get("PWD");
  if (!physical && pwd && *pwd == '/') {
    char *joined = *target == '/' ? strdup(target) : path_join(pwd, target);
    char *logical = logical_path(joined);
    free(joined);
    free(target);
    target = logical;
  }
  long err = sys_chdir(target);
  if (err < 0) {
    shell_error("cd: %s: %s", to, strerror((int)-err));
    free(target);
    return 1;
  }
  char cwd[PATH_MAX];
  if ((physical || *target != '/') && sys_getcwd(cwd, sizeof cwd) > 0) {
    free(target);
    target = strdup(cwd);
  }
  if (pwd) var_set("OLDPWD", pwd);
  var_set("PWD", target);
  if (announce) puts(target);
  free(target);
  return 0;
}

static int builtin_pwd(int argc, char **argv) {
  char cwd[PATH_MAX];
  const char *pwd = var_get("PWD");
  struct stat a, b;
  bool logical = !(argc > 1 && !strcmp(argv[1], "-P"));
  if (logical && pwd && *pwd == '/' && sys_stat(pwd, &a) == 0 && sys_stat(".", &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev) {
    puts(pwd);
    return 0;
  }
  long err = sys_getcwd(cwd, sizeof cwd);
  if (err < 0) {
    shell_error("pwd: %s", strerror((int)-err));
    return 1;
  }
  puts(cwd);
  return 0;
}

/* ---- read ---- */

/* One line from descriptor 0, byte by byte: what follows belongs to the next command. */
static int builtin_read(int argc, char **argv) {
  bool raw = false, silent = false;
  long limit = -1, timeout_ms = -1;
  char delim = '\n';
  const char *prompt = NULL;
  int opt;
  getopt_reset();
  while ((opt = getopt(argc, argv, "+rsp:n:t:d:", NULL)) >= 0) {
    if (opt == 'r') raw = true;
    else if (opt == 's') silent = true;
    else if (opt == 'p') prompt = optarg;
    else if (opt == 'n') limit = atoi(optarg);
    else if (opt == 't') timeout_ms = (long)(strtod(optarg, NULL) * 1000);
    else if (opt == 'd') delim = *optarg;
    else return 2;
  }
  struct termios old;
  bool tty = isatty(0), changed = false;
  if (prompt && tty) {
    fputs(prompt, stderr);
    fflush(stderr);
  }
  if (tty && (silent || limit > 0) && sys_ioctl(0, TCGETS, &old) == 0) {
    struct termios t = old;
    if (silent) t.lflag &= ~(uint32_t)ECHO;
    if (limit > 0) t.lflag &= ~(uint32_t)ICANON, t.cc[VMIN] = 1, t.cc[VTIME] = 0;
    changed = sys_ioctl(0, TCSETSW, &t) == 0;
  }
  Buf line = {0}, quoted = {0}; /* quoted: 'q' for bytes that came after a backslash */
  int status = 1;
  for (bool escape = false; limit != 0;) {
    char c;
    if (timeout_ms >= 0) {
      struct pollfd pfd = {.fd = 0, .events = POLLIN};
      struct timespec t = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
      if (sys_ppoll(&pfd, 1, &t) == 0) {
        status = 142;
        break;
      }
    }
    long n = sys_read(0, &c, 1);
    if (n == -EINTR) {
      if (pending_traps) {
        status = 128 + SIGINT;
        break;
      }
      continue;
    }
    if (n <= 0) break;
    if (escape) {
      escape = false;
      if (c == '\n') continue;
      buf_char(&line, c);
      buf_char(&quoted, 'q');
    } else if (c == '\\' && !raw) {
      escape = true;
      continue;
    } else if (c == delim) {
      status = 0;
      break;
    } else if (c) {
      buf_char(&line, c);
      buf_char(&quoted, ' ');
    }
    if (limit > 0 && (long)line.len >= limit) {
      status = 0;
      break;
    }
  }
  if (changed) sys_ioctl(0, TCSETSW, &old);
  if (silent && tty) fputs("\n", stderr);
  const char *ifs = var_get("IFS");
  if (!ifs) ifs = " \t\n";
  size_t at = 0;
  char *text = buf_take(&line), *marks = buf_take(&quoted);
#define SEPARATES(i) (marks[i] != 'q' && text[i] && strchr(ifs, text[i]))
#define BLANK(i) (SEPARATES(i) && isspace((unsigned char)text[i]))
  size_t len = strlen(text);
  while (at < len && BLANK(at)) at++;
  if (optind >= argc) {
    if (!var_set("REPLY", text)) status = 2;
  }
  for (int i = optind; i < argc; i++) {
    size_t start = at, end;
    if (i == argc - 1) {
      end = len;
      while (end > start && BLANK(end - 1)) end--;
      /* One trailing separator is dropped when nothing else follows it. */
      size_t first = start;
      while (first < end && !SEPARATES(first)) first++;
      size_t rest = first;
      while (rest < end && BLANK(rest)) rest++;
      if (rest < end && SEPARATES(rest)) rest++;
      if (first < end && rest >= end) end = first;
    } else {
      while (at < len && !SEPARATES(at)) at++;
      end = at;
      while (at < len && BLANK(at)) at++;
      if (at < len && SEPARATES(at) && !BLANK(at)) {
        at++;
        while (at < len && BLANK(at)) at++;
      }
    }
    char *value = strndup(text + start, end - start);
    if (!is_name(argv[i], strlen(argv[i])) || !var_set(argv[i], value)) status = 2;
    free(value);
  }
  free(text);
  free(marks);
  return status;
}

/* ---- traps, getopts, umask, ulimit, times ---- */

static void on_signal(int sig) {
  got_signal[sig] = 1;
  pending_traps = 1;
}

static int builtin_trap(int argc, char **argv) {
  int i = 1;
  if (i < argc && !strcmp(argv[i], "--")) i++;
  if (i == argc || !strcmp(argv[i], "-p")) {
    for (int sig = 0; sig < NSIG; sig++) {
      if (!traps[sig]) continue;
      char *quoted = quote_for_reuse(traps[sig]);
      printf("trap -- %s %s\n", quoted, sig ? signal_name(sig) : "EXIT");
      free(quoted);
    }
    return 0;
  }
  /* `trap 2 15` and `trap INT` reset; otherwise the first operand is the action. */
  char *action = argv[i];
  bool reset = isdigit(*action) || argc - i == 1 || !strcmp(action, "-");
  if (!isdigit(*action) && argc - i > 1) i++;
  int status = 0;
  for (; i < argc; i++) {
    int sig = !strcmp(argv[i], "EXIT") ? 0 : signal_number(argv[i]);
    if (sig < 0) {
      shell_error("trap: %s: bad signal", argv[i]);
      status = 1;
      continue;
    }
    free(traps[sig]);
    traps[sig] = reset ? NULL : strdup(action);
    if (!sig || sig == SIGKILL || sig == SIGSTOP) continue;
    if (!reset) set_signal(sig, *action ? on_signal : SIG_IGN, 0);
    else if (interactive && sig == SIGINT) set_signal(sig, on_signal, 0);
    else if (!interactive || (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU && sig != SIGQUIT && sig != SIGTERM)) set_signal(sig, SIG_DFL, 0);
    else set_signal(sig, SIG_IGN, 0);
  }
  return status;
}
void catch_interrupts(void) { set_signal(SIGINT, on_signal, 0); }

static int builtin_getopts(int argc, char **argv) {
  static int within; /* position inside a group such as -abc */
  static int last_index;
  if (argc < 3) {
    shell_error("getopts: usage: getopts OPTSTRING NAME [ARG]...");
    return 2;
  }
  char **list = argc > 3 ? argv + 3 : params->argv;
  int count = argc > 3 ? argc - 3 : params->argc, index = var_get("OPTIND") ? atoi(var_get("OPTIND")) : 1;
  const char *spec = argv[1];
  bool quiet = *spec == ':';
  if (quiet) spec++;
  if (index != last_index) within = 0;
  var_unset("OPTARG");
  char found[2] = "?";
  int status = 0;
  char *arg = index >= 1 && index <= count ? list[index - 1] : NULL;
  if (!within && (!arg || arg[0] != '-' || !arg[1] || !strcmp(arg, "--"))) {
    if (arg && !strcmp(arg, "--")) index++;
    status = 1;
  } else {
    if (!within) within = 1;
    char c = arg[within++];
    const char *hit = c == ':' ? NULL : strchr(spec, c);
    char name[2] = {c, 0};
    bool end = !arg[within];
    if (!hit) {
      if (quiet) var_set("OPTARG", name);
      else shell_error("illegal option -%c", c);
    } else if (hit[1] == ':') {
      found[0] = c;
      if (!end) {
        var_set("OPTARG", arg + within);
      } else if (index < count) {
        var_set("OPTARG", list[index++]);
      } else {
        if (quiet) var_set("OPTARG", name);
        else shell_error("no argument for -%c", c);
        found[0] = quiet ? ':' : '?';
      }
      end = true;
    } else {
      found[0] = c;
    }
    if (end) {
      index++;
      within = 0;
    }
  }
  char text[12];
  snprintf(text, sizeof text, "%d", index);
  int keep = within;
  var_set("OPTIND", text);
  within = keep;
  last_index = index;
  var_set(argv[2], found);
  return status;
}

static int builtin_umask(int argc, char **argv) {
  int mask = (int)sys_umask(022);
  sys_umask(mask);
  if (argc == 1) {
    printf("%04o\n", mask);
  } else if (!strcmp(argv[1], "-S")) {
    char text[11];
    format_mode(~mask & 0777, text);
    Buf out = {0};
    for (int i = 0; i < 3; i++) {
      buf_printf(&out, "%s%c=", i ? "," : "", "ugo"[i]);
      for (int j = 1; j <= 3; j++)
        if (text[i * 3 + j] != '-') buf_char(&out, text[i * 3 + j]);
    }
    puts(out.data);
    buf_free(&out);
  } else {
    int mode = isdigit(*argv[1]) ? parse_mode(argv[1], 0, false) : parse_mode(argv[1], ~mask & 0777, false);
    if (mode < 0) {
      shell_error("umask: %s: bad mode", argv[1]);
      return 1;
    }
    sys_umask(isdigit(*argv[1]) ? mode : ~mode & 0777);
  }
  return 0;
}

static int builtin_ulimit(int argc, char **argv) {
  static const struct { char letter; int resource; int unit; const char *text; } limits[] = {
      {'t', 0, 1, "cpu time (seconds)"}, {'f', 1, 512, "file size (512-byte blocks)"}, {'d', 2, 1024, "data segment (KiB)"},
      {'s', 3, 1024, "stack size (KiB)"}, {'c', 4, 512, "core file size (512-byte blocks)"}, {'u', 6, 1, "processes"},
      {'n', 7, 1, "open files"}, {'l', 8, 1024, "locked memory (KiB)"}, {'v', 9, 1024, "address space (KiB)"},
  };
  bool all = false, hard = false, soft = false;
  char which = 'f';
  const char *value = NULL;
  for (int i = 1; i < argc; i++) {
    if (argv[i][0] != '-') value = argv[i];
    else
      for (char *c = argv[i] + 1; *c; c++) {
        if (*c == 'a') all = true;
        else if (*c == 'H') hard = true;
        else if (*c == 'S') soft = true;
        else which = *c;
      }
  }
  for (size_t i = 0; i < countof(limits); i++) {
    if (!all && limits[i].letter != which) continue;
    struct rlimit r;
    long err = sys_prlimit(limits[i].resource, NULL, &r);
    if (value && !err) {
      uint64_t v = !strcmp(value, "unlimited") ? ~0ul : strtoul(value, NULL, 10) * (uint64_t)limits[i].unit;
      if (!hard || soft) r.cur = v;
      if (!soft || hard) r.max = v;
      err = sys_prlimit(limits[i].resource, &r, NULL);
    }
    if (err < 0) {
      shell_error("ulimit: %s", strerror((int)-err));
      return 1;
    }
    if (value) return 0;
    if (all) printf("%-34s (-%c) ", limits[i].text, limits[i].letter);
    uint64_t v = hard ? r.max : r.cur;
    if (v == ~0ul) puts("unlimited");
    else printf("%lu\n", v / (uint64_t)limits[i].unit);
  }
  return 0;
}

static int builtin_times(int argc, char **argv) {
  (void)argc, (void)argv;
  long t[4] = {0};
  sys_times(t);
  for (int i = 0; i < 4; i++) printf("%ldm%ld.%02lds%c", t[i] / 6000, t[i] / 100 % 60, t[i] % 100, i & 1 ? '\n' : ' ');
  return 0;
}

/* ---- aliases ---- */

static struct Alias { struct Alias *next; char *name, *value; } *aliases;
const char *alias_get(const char *name) {
  for (struct Alias *a = aliases; a; a = a->next)
    if (!strcmp(a->name, name)) return a->value;
  return NULL;
}
static int builtin_unalias(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    for (struct Alias **a = &aliases; *a;) {
      if (!strcmp(argv[i], "-a") || !strcmp((*a)->name, argv[i])) *a = (*a)->next;
      else a = &(*a)->next;
    }
  return 0;
}
static int builtin_alias(int argc, char **argv) {
  int status = 0;
  for (int i = 1; i < argc; i++) {
    char *eq = strchr(argv[i], '=');
    if (!eq) {
      if (alias_get(argv[i])) printf("alias %s='%s'\n", argv[i], alias_get(argv[i]));
      else status = 1;
      continue;
    }
    char *name = strndup(argv[i], (size_t)(eq - argv[i]));
    builtin_unalias(2, (char *[]){"unalias", name, NULL});
    struct Alias *a = calloc(1, sizeof *a);
    *a = (struct Alias){aliases, name, strdup(eq + 1)};
    aliases = a;
  }
  if (argc == 1)
    for (struct Alias *a = aliases; a; a = a->next) printf("alias %s='%s'\n", a->name, a->value);
  return status;
}

/* ---- type, command, help, history ---- */

static bool is_reserved(const char *w) {
  static const char *const words[] = {"if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "{", "}", "!", "in", "function"};
  for (size_t i = 0; i < countof(words); i++)
    if (!strcmp(words[i], w)) return true;
  return false;
}

static bool describe(const char *name, bool verbose) {
  const Builtin *b = find_builtin(name);
  char *path = NULL;
  if (alias_get(name)) printf(verbose ? "%s is an alias for %s\n" : "alias %s='%s'\n", name, alias_get(name));
  else if (is_reserved(name)) printf("%s%s\n", name, verbose ? " is a shell keyword" : "");
  else if (function_find(name)) printf("%s%s\n", name, verbose ? " is a shell function" : "");
  else if (b) printf("%s%s\n", name, !verbose ? "" : b->special ? " is a special shell builtin" : " is a shell builtin");
  else if ((path = find_in_path(name))) printf("%s%s%s\n", verbose ? name : path, verbose ? " is " : "", verbose ? path : "");
  else if (find_applet(name)) printf("%s%s\n", name, verbose ? " is an applet of starrybox" : "");
  else {
    if (verbose) shell_error("%s: not found", name);
    return false;
  }
  free(path);
  return true;
}

static int builtin_type(int argc, char **argv) {
  int status = 0;
  for (int i = 1; i < argc; i++)
    if (!describe(argv[i], true)) status = 127;
  return status;
}

int builtin_command(int argc, char **argv) {
  int i = 1;
  bool ask_short = false, ask_long = false;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    if (!strcmp(argv[i], "-v")) ask_short = true;
    else if (!strcmp(argv[i], "-V")) ask_long = true;
    else if (!strcmp(argv[i], "--")) {
      i++;
      break;
    } else if (strcmp(argv[i], "-p")) break;
  }
  if (i >= argc) return 0;
  if (ask_short || ask_long) {
    int status = 0;
    for (; i < argc; i++)
      if (!describe(argv[i], ask_long)) status = 127;
    return status;
  }
  const Builtin *b = find_builtin(argv[i]);
  if (b) return b->run(argc - i, argv + i);
  Job *j = job_new(1, argv[i]);
  int pid = job_fork(j, false);
  if (pid == 0) builtin_exec(argc - i + 1, argv + i - 1);
  if (pid < 0) {
    job_remove(j);
    return 126;
  }
  return job_wait(j);
}

static int builtin_help(int argc, char **argv) {
  (void)argc, (void)argv;
  printf("Shell builtins:");
  for (size_t i = 0; i < builtin_count; i++) printf("%s%s", i % 12 ? " " : "\n  ", builtins[i].name);
  printf("\n\nPrograms are listed by `starrybox --list`; most explain themselves with --help.\n");
  printf("Editing: arrows, Ctrl-A Ctrl-E Ctrl-K Ctrl-U Ctrl-W Ctrl-Y, Ctrl-R searches history, Tab completes.\n");
  printf("Jobs: COMMAND &, Ctrl-Z stops, fg and bg resume, jobs lists, kill %%N ends.\n");
  return 0;
}

static int builtin_history(int argc, char **argv) {
  size_t from = 0;
  if (argc > 1 && isdigit(*argv[1]) && (size_t)atoi(argv[1]) < history.len) from = history.len - (size_t)atoi(argv[1]);
  for (size_t i = from; i < history.len; i++) printf("%5lu  %s\n", i + 1, history.items[i]);
  return 0;
}

static int builtin_let(int argc, char **argv) {
  long v = 0;
  for (int i = 1; i < argc; i++)
    if (!arith(argv[i], &v)) return 2;
  return v == 0;
}

static int builtin_true(int argc, char **argv) { return (void)argc, (void)argv, 0; }
static int builtin_false(int argc, char **argv) { return (void)argc, (void)argv, 1; }

/* kill knows jobs; everything else is the kill program's. "--" keeps -PGID from being an option. */
static int builtin_kill(int argc, char **argv) {
  char **args = malloc(((size_t)argc + 2) * sizeof *args);
  int n = 0, i = 0, status = 0;
  args[n++] = argv[i++];
  if (i < argc && *argv[i] == '-') {
    bool takes_next = !strcmp(argv[i], "-s") || !strcmp(argv[i], "-n");
    args[n++] = argv[i++];
    if (takes_next && i < argc) args[n++] = argv[i++];
  }
  for (bool marked = false; i < argc; i++) {
    Job *j = *argv[i] == '%' ? job_find(argv[i]) : NULL;
    if (*argv[i] == '%' && !j) {
      shell_error("kill: %s: no such job", argv[i]);
      status = 1;
      continue;
    }
    if (j && !marked) args[n++] = "--", marked = true;
    args[n++] = j ? asprintf("%d", monitor ? -j->pgid : j->procs[0].pid) : argv[i];
  }
  args[n] = NULL;
  if (!status) status = kill_main(n, args);
  free(args);
  return status;
}

int builtin_jobs(int argc, char **argv);
int builtin_fg(int argc, char **argv);
int builtin_bg(int argc, char **argv);
int builtin_wait(int argc, char **argv);

const Builtin builtins[] = {
    {".", builtin_dot, true}, {":", builtin_true, true}, {"[", test_main, false}, {"alias", builtin_alias, false}, {"bg", builtin_bg, false},
    {"break", builtin_break, true}, {"cd", builtin_cd, false}, {"command", builtin_command, false}, {"continue", builtin_continue, true},
    {"echo", echo_main, false}, {"eval", builtin_eval, true}, {"exec", builtin_exec, true}, {"exit", builtin_exit, true},
    {"export", builtin_export, true}, {"false", builtin_false, false}, {"fg", builtin_fg, false}, {"getopts", builtin_getopts, false},
    {"help", builtin_help, false}, {"history", builtin_history, false}, {"jobs", builtin_jobs, false}, {"kill", builtin_kill, false},
    {"let", builtin_let, false}, {"local", builtin_local, false}, {"printf", printf_main, false}, {"pwd", builtin_pwd, false},
    {"read", builtin_read, false}, {"readonly", builtin_readonly, true}, {"return", builtin_return, true}, {"set", builtin_set, true},
    {"shift", builtin_shift, true}, {"source", builtin_dot, true}, {"test", test_main, false}, {"times", builtin_times, true},
    {"trap", builtin_trap, true}, {"true", builtin_true, false}, {"type", builtin_type, false}, {"ulimit", builtin_ulimit, false},
    {"umask", builtin_umask, false}, {"unalias", builtin_unalias, false}, {"unset", builtin_unset, true}, {"wait", builtin_wait, false},
};
const size_t builtin_count = countof(builtins);

const Builtin *find_builtin(const char *name) {
  size_t lo = 0, hi = builtin_count;
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    int order = strcmp(name, builtins[mid].name);
    if (!order) return &builtins[mid];
    if (order < 0) hi = mid;
    else lo = mid + 1;
  }
  return NULL;
}

void builtins_init(void) {
  for (int sig = 0; sig < NSIG; sig++) traps[sig] = NULL;
  for (size_t i = 0; i < countof(options); i++) *options[i].value = false;
  aliases = NULL;
}
