/*
 * Our small C library: the familiar names for strings, memory, streams and numbers, and plain
 * -errno results for everything that enters the kernel (see syscall.h). Single-threaded,
 * C locale, UTF-8 passed through untouched.
 */
#pragma once
#include <stdarg.h>
#include "linux.h"
#include "syscall.h"

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define countof(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_MAX 4096
#define INT_MAX 0x7fffffff
#define LONG_MAX 0x7fffffffffffffffL
#define LONG_MIN (-LONG_MAX - 1)

/* string.c */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
char *strcpy(char *to, const char *from);
char *stpcpy(char *to, const char *from);
size_t strlcpy(char *to, const char *from, size_t size);
char *strcat(char *to, const char *from);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
int strcasecmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strchrnul(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *what);
size_t strspn(const char *s, const char *set);
size_t strcspn(const char *s, const char *set);
bool starts_with(const char *s, const char *prefix);
const char *strerror(int err);
static inline bool isdigit(int c) { return c >= '0' && c <= '9'; }
static inline bool isupper(int c) { return c >= 'A' && c <= 'Z'; }
static inline bool islower(int c) { return c >= 'a' && c <= 'z'; }
static inline bool isalpha(int c) { return isupper(c) || islower(c); }
static inline bool isalnum(int c) { return isalpha(c) || isdigit(c); }
static inline bool isspace(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static inline bool isprint(int c) { return c >= 32 && c < 127; }
static inline bool isgraph(int c) { return c > 32 && c < 127; }
static inline bool ispunct(int c) { return isgraph(c) && !isalnum(c); }
static inline bool iscntrl(int c) { return (c >= 0 && c < 32) || c == 127; }
static inline bool isxdigit(int c) { return isdigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static inline int toupper(int c) { return islower(c) ? c - 32 : c; }
static inline int tolower(int c) { return isupper(c) ? c + 32 : c; }
/* Columns a UTF-8 string takes on a terminal, counting every code point as one. */
size_t display_width(const char *s);

/* malloc.c: allocation failure ends the program with a message, so results are never NULL. */
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);
char *strdup(const char *s);
char *strndup(const char *s, size_t n);

/* buffer.c: growable byte string, always NUL-terminated once anything was added. */
typedef struct { char *data; size_t len, cap; } Buf;
void buf_reserve(Buf *b, size_t extra);
void buf_add(Buf *b, const void *p, size_t n);
void buf_str(Buf *b, const char *s);
void buf_char(Buf *b, int c);
void buf_printf(Buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *buf_take(Buf *b); /* the string ("" if empty); b is empty afterwards */
void buf_free(Buf *b);
/* Growable list of strings, NULL-terminated once anything was added. */
typedef struct { char **items; size_t len, cap; } StrList;
void list_add(StrList *l, char *s);
void list_free(StrList *l); /* the strings too */

/* stdlib.c */
extern char **environ;
char *getenv(const char *name);
void setenv(const char *name, const char *value);
void unsetenv(const char *name);
long strtol(const char *s, char **end, int base);
unsigned long strtoul(const char *s, char **end, int base);
double strtod(const char *s, char **end);
int atoi(const char *s);
void qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *));
_Noreturn void exit(int status);
_Noreturn void abort(void);

/* stdio.c */
typedef struct FILE {
  int fd;
  bool eof, error, line_buffered, writing;
  char *buf;
  size_t pos, len; /* reading: unread bytes are buf[pos..len); writing: pending are buf[0..len) */
} FILE;
#define EOF (-1)
extern FILE *const stdin, *const stdout, *const stderr;
/* mode: "r", "w", "a", "r+"; NULL with *err = -errno on failure when err is given. */
FILE *fopen(const char *path, const char *mode, int *err);
FILE *fdopen(int fd, const char *mode);
int fclose(FILE *f); /* 0 or -errno of the last flush */
int fflush(FILE *f);
int fgetc(FILE *f);
void ungetc_last(FILE *f);
size_t fread(void *p, size_t n, FILE *f);
size_t fwrite(const void *p, size_t n, FILE *f);
int fputc(int c, FILE *f);
int fputs(const char *s, FILE *f);
int putchar(int c);
int puts(const char *s);
/* Reads up to and including delim; returns the length or -1 at end of file. */
ssize_t getdelim(char **line, size_t *cap, int delim, FILE *f);
ssize_t getline(char **line, size_t *cap, FILE *f);
int write_all(int fd, const void *p, size_t n); /* 0 or -errno */
/* Whole file as a NUL-terminated buffer, or NULL; size may be NULL. */
char *read_file(const char *path, size_t *size);

/* printf.c */
int printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
int fprintf(FILE *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
int vfprintf(FILE *f, const char *fmt, va_list ap);
int snprintf(char *to, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
int vsnprintf(char *to, size_t size, const char *fmt, va_list ap);
char *asprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* getopt.c: options may follow operands unless the short list starts with '+'.
 * longs is "name=c,needs-arg:=c" mapping long options to short letters, or NULL. */
extern int optind, optopt;
extern char *optarg;
int getopt(int argc, char **argv, const char *shorts, const char *longs);
void getopt_reset(void);

/* time.c */
struct tm { int sec, min, hour, mday, mon, year, wday, yday; };
void gmtime_r(long t, struct tm *tm);
long timegm(const struct tm *tm);
size_t strftime(char *to, size_t size, const char *fmt, const struct tm *tm, long epoch, long nsec);
void msleep(long ms);

/* signal.c */
const char *signal_name(int sig);  /* "INT", or NULL */
int signal_number(const char *name); /* "INT", "SIGINT", "2", or -1 */
const char *signal_text(int sig);  /* "Interrupt" */
void set_signal(int sig, void (*handler)(int), unsigned long flags);

/* dirent.c */
typedef struct { int fd; size_t pos, len; char buf[4096] __attribute__((aligned(8))); } DIR;
int opendir(DIR *d, const char *path); /* 0 or -errno */
struct dirent64 *readdir(DIR *d);
void closedir(DIR *d);
/* Entry names without "." and "..", sorted by byte value; 0 or -errno. */
int list_directory(const char *path, StrList *out);

/* path.c */
char *path_join(const char *dir, const char *name);
const char *base_name(const char *path); /* pointer into path, after trailing component slash */
char *real_path(const char *path, bool allow_missing_last); /* malloc'd or NULL */
bool isatty(int fd);
int terminal_width(int fd);

/* fnmatch.c: shell patterns; backslash quotes. */
enum { FNM_PATHNAME = 1, FNM_PERIOD = 2, FNM_CASEFOLD = 4 };
bool fnmatch(const char *pattern, const char *s, int flags);

/* regex.c: POSIX basic and extended expressions, leftmost-longest, linear in the text. */
typedef struct Regex Regex;
enum { REG_EXTENDED = 1, REG_ICASE = 2 };
#define REG_GROUPS 10
typedef struct { ssize_t start, end; } RegMatch;
/* NULL and a message in *error when the expression is malformed. */
Regex *regex_compile(const char *pattern, int flags, const char **error);
/* Searches text[from..len); matches are offsets into text, -1 where a group took no part. */
bool regex_search(Regex *re, const char *text, size_t len, size_t from, RegMatch match[REG_GROUPS]);
int regex_groups(const Regex *re);
void regex_free(Regex *re);
