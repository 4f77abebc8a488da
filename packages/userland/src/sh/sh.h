/*
 * The shell: a POSIX sh with the common extensions (local, pipefail, ${v/a/b}, ${v:o:n}, {a,b},
 * <<<, &>, $'..', [[ is not among them).
 *
 *   text --parse.c--> Node tree --exec.c--> fork/exec, builtins
 *                       words stay source text until expand.c turns them into fields
 *
 * A control-flow builtin does not jump: it sets `unwinding`, and every loop and list hands the
 * request up until the construct it is meant for takes it.
 */
#pragma once
#include "../box.h"

/* ---- parse.c ---- */
typedef struct Arena Arena;
void *arena_alloc(Arena *a, size_t n);
char *arena_strndup(Arena *a, const char *s, size_t n);

typedef struct Word { struct Word *next; char *text; } Word;
typedef enum { R_IN, R_OUT, R_APPEND, R_RDWR, R_CLOBBER, R_DUP, R_HEREDOC, R_HERESTRING, R_BOTH, R_BOTH_APPEND } RedirKind;
typedef struct Redir {
  struct Redir *next;
  RedirKind kind;
  int fd;
  char *word; /* target, or here-document delimiter */
  char *body; /* here-document text */
  bool literal, strip_tabs;
} Redir;
typedef struct CaseItem { struct CaseItem *next; Word *patterns; struct Node *body; bool fall_through; } CaseItem;
typedef enum { N_SIMPLE, N_PIPE, N_AND, N_OR, N_LIST, N_BACKGROUND, N_NOT, N_SUBSHELL, N_BRACE, N_IF, N_WHILE, N_UNTIL, N_FOR, N_CASE, N_FUNCTION } NodeType;
typedef struct Node {
  NodeType type;
  int line;
  struct Node *next;                /* sibling in N_LIST and N_PIPE */
  struct Node *first, *second, *third; /* children; condition, body, else */
  Word *words, *assignments;
  bool has_words;                   /* `for x in` with an empty list differs from `for x` */
  Redir *redirs;
  CaseItem *cases;
  char *name;                       /* for variable, case word, function name */
  char *text;                       /* source, for job listings */
} Node;

typedef struct Source {
  Buf text;
  size_t pos;
  int line;
  bool (*refill)(struct Source *); /* appends a line; false at end of input. NULL: all there */
  bool eof, continuing;            /* continuing: a command is incomplete (prompt PS2) */
  bool substitution;               /* the text of a $(...): a ) may end it, errors are not reported */
  int fd;
} Source;
typedef enum { PARSE_OK, PARSE_EOF, PARSE_ERROR } ParseResult;
/* One complete command line. *node is NULL for an empty line. */
ParseResult parse_command(Source *src, Arena **arena, Node **node);
void arena_release(Arena *a); /* frees it unless a function was defined in it */
void source_string(Source *src, const char *text);
/* Skippers over source text, used by lexer and expander; NULL when the construct is not closed. */
const char *skip_single(const char *p);  /* behind the opening ' */
const char *skip_double(const char *p);  /* behind the opening " */
const char *skip_dollar(const char *p);  /* at $ */
const char *skip_backquote(const char *p);
const char *skip_braces(const char *p);  /* behind ${ */
const char *skip_word(const char *p);

/* ---- vars.c ---- */
typedef struct Var { struct Var *next; char *name, *value; bool exported, readonly; } Var;
Var *var_find(const char *name);
const char *var_get(const char *name); /* NULL when unset; special parameters excluded */
bool var_set(const char *name, const char *value); /* false and a message if read-only */
Var *var_declare(const char *name); /* exists afterwards, perhaps without value */
bool var_unset(const char *name);
void var_local(const char *name);
void vars_push(void); /* function scope */
void vars_pop(void);
void vars_init(char **envp);
char **vars_environ(void);
void vars_each(bool (*pick)(const Var *), void (*show)(const Var *));
bool is_name(const char *s, size_t n);
size_t name_length(const char *s);

typedef struct Function { struct Function *next; char *name; Node *body; } Function;
Function *function_find(const char *name);
void function_define(const char *name, Node *body);
bool function_unset(const char *name);

typedef struct Params { int argc; char **argv; struct Params *outer; } Params;
extern Params *params; /* $1.. = argv[0..argc) */
void params_assign(int argc, char **argv); /* copies */

/* ---- expand.c ---- */
enum { X_NOSPLIT = 1, X_ASSIGN = 2, X_PATTERN = 4, X_HEREDOC = 8 };
bool expand_words(Word *words, StrList *out); /* false after an expansion error */
char *expand_string(const char *raw, int flags); /* malloc'd; NULL after an error */
char *quote_for_reuse(const char *s);
void glob_path(const char *pattern, StrList *out);

/* ---- arith.c ---- */
bool arith(const char *expr, long *result);

/* ---- exec.c ---- */
enum { E_TAIL = 1, E_TESTED = 2 }; /* may replace this process; failure does not trip set -e */
typedef enum { UNWIND_NONE, UNWIND_BREAK, UNWIND_CONTINUE, UNWIND_RETURN, UNWIND_ABORT } Unwind;
extern Unwind unwinding;
extern int unwind_levels, loop_depth, function_depth;
extern int last_status, current_line;
int exec_node(Node *n, int flags);
int exec_string(const char *text, int flags);
int exec_file(const char *path);
char *command_output(const char *text);
void shell_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void expansion_failed(void); /* ends a script, returns an interactive shell to its prompt */
_Noreturn void shell_exit(int status);
char *find_in_path(const char *name);
void enter_subshell(void);
void run_traps(void);
extern int pending_traps;

/* ---- jobs.c ---- */
typedef struct Proc { int pid, status; bool done, stopped; } Proc;
typedef struct Job {
  struct Job *next;
  int id, pgid, count;
  Proc *procs;
  char *text;
  bool background, notify, waited;
  bool has_modes;
  struct termios modes;
} Job;
extern Job *jobs;
extern bool monitor; /* job control is on */
extern int shell_tty, shell_pgid, last_background_pid;
Job *job_new(int count, const char *text);
/* Forks a member. In the child returns 0 with group and signals set up. */
int job_fork(Job *j, bool background);
int job_wait(Job *j); /* foreground: until done or stopped; returns its status */
void job_started_in_background(Job *j);
Job *job_find(const char *spec); /* %1 %% %- %name or pid */
void job_remove(Job *j);
int job_status(const Job *j);
void jobs_poll(void);
void jobs_notify(void); /* tells about finished background jobs */
void jobs_enable(void);
void jobs_forget(void);
bool reap(bool block);

/* ---- builtins.c ---- */
typedef struct { const char *name; int (*run)(int argc, char **argv); bool special; } Builtin;
const Builtin *find_builtin(const char *name);
extern const Builtin builtins[];
extern const size_t builtin_count;
extern char *traps[NSIG]; /* [0] is EXIT; "" means ignored */
void catch_interrupts(void);
void builtins_init(void);
extern bool opt_e, opt_u, opt_x, opt_f, opt_n, opt_a, opt_C, opt_v, opt_pipefail, opt_m;
int set_option_letter(int letter, bool on);
const char *alias_get(const char *name);
int builtin_exec(int argc, char **argv);
int builtin_command(int argc, char **argv);

extern const char *shell_name; /* $0 */
extern bool interactive;
extern int shell_pid;
extern volatile int got_signal[NSIG];

/* ---- edit.c ---- */
/* A line without its newline; NULL at end of input, *interrupted after ^C. */
char *edit_line(const char *prompt, bool *interrupted);
void history_add(const char *line);
extern StrList history;
