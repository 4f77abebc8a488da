/*
 * What the applets share: the applet table, messages that start with the applet's name, running
 * other programs, and the formats (modes, users, sizes) that several tools print.
 */
#pragma once
#include "libc/libc.h"

typedef struct {
  const char *name;
  int (*main)(int argc, char **argv);
  const char *usage;
} Applet;
extern const Applet applets[];
extern const size_t applet_count;
const Applet *find_applet(const char *name);
/* Runs an applet in this process and exits with its status. */
_Noreturn void run_applet(const Applet *applet, int argc, char **argv);

extern const char *applet_name;
void warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Appends ": reason"; err may be an errno or its negation. */
void warn_errno(long err, const char *fmt, ...) PRINTF_LIKE(2, 3);
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
_Noreturn void die_errno(long err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Usage line of the running applet to stderr; returns 1, the exit status for misuse of most tools. */
int usage_error(void);

/* Replaces this process by argv[0], searched in PATH when it has no slash; an applet of that
 * name serves when PATH has none. Returns -errno if nothing could be run. */
int exec_program(char **argv);
/* Forks and waits; returns the exit status in the shell's sense (128+n when killed, 126/127). */
int spawn_wait(char **argv);
int exit_status(int wait_status);

int parse_mode(const char *text, int old, bool is_dir); /* -1 if malformed */
void format_mode(int mode, char out[11]);
const char *user_name(unsigned id);  /* name or number as text; valid until the next call */
const char *group_name(unsigned id);
int user_id(const char *name);  /* -1 if unknown */
int group_id(const char *name);
/* 1023, 1.5K, 12M: powers of 1024, rounded up as ls and df do. */
void format_human(char *out, size_t size, uint64_t bytes);
/* A number with a b, K, M, G suffix; -1 if malformed. */
long parse_size(const char *text);
double parse_duration(const char *text); /* seconds from 1.5, 2m, 1h, 1d; negative if malformed */
/* The stream for an operand, "-" being stdin; NULL after a message. */
FILE *open_operand(const char *path);
void close_operand(FILE *f);
int copy_fd(int from, int to); /* until end of file; 0 or -errno */
bool ask(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define APPLET(name, usage) int name##_main(int argc, char **argv);
#include "applets.h"
#undef APPLET
