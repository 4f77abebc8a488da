/* Environment, numbers, sorting, leaving. */
#include "libc.h"

char *getenv(const char *name) {
  size_t n = strlen(name);
  for (char **e = environ; *e; e++)
    if (!strncmp(*e, name, n) && (*e)[n] == '=') return *e + n + 1;
  return NULL;
}

/* The environment is replaced by a fresh array on each change; the strings are shared. */
static void replace_env(const char *name, char *entry) {
  size_t n = strlen(name), len = 0, kept = 0;
  while (environ[len]) len++;
  char **fresh = malloc((len + 2) * sizeof *fresh);
  for (size_t i = 0; i < len; i++) {
    bool same = !strncmp(environ[i], name, n) && environ[i][n] == '=';
    if (!same) fresh[kept++] = environ[i];
    else if (entry) fresh[kept++] = entry, entry = NULL;
  }
  if (entry) fresh[kept++] = entry;
  fresh[kept] = NULL;
  environ = fresh;
}
void setenv(const char *name, const char *value) { replace_env(name, asprintf("%s=%s", name, value)); }
void unsetenv(const char *name) { replace_env(name, NULL); }

static int digit_value(int c) {
  if (isdigit(c)) return c - '0';
  if (isalpha(c)) return tolower(c) - 'a' + 10;
  return 99;
}

/* Common to strtol and strtoul: magnitude and sign, saturating at all ones. */
static unsigned long parse(const char *s, char **end, int base, bool *negative) {
  const char *start = s;
  while (isspace((unsigned char)*s)) s++;
  *negative = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 32) == 'x' && isxdigit((unsigned char)s[2])) {
    s += 2;
    base = 16;
  } else if (base == 0) {
    base = *s == '0' ? 8 : 10;
  }
  unsigned long value = 0;
  bool any = false, over = false;
  for (int d; (d = digit_value((unsigned char)*s)) < base; s++, any = true) {
    if (value > (~0ul - (unsigned long)d) / (unsigned long)base) over = true;
    value = value * (unsigned long)base + (unsigned long)d;
  }
  if (end) *end = (char *)(any ? s : start);
  return over ? ~0ul : value;
}
long strtol(const char *s, char **end, int base) {
  bool negative;
  unsigned long v = parse(s, end, base, &negative);
  if (negative) return v > (unsigned long)LONG_MAX ? LONG_MIN : -(long)v;
  return v > (unsigned long)LONG_MAX ? LONG_MAX : (long)v;
}
unsigned long strtoul(const char *s, char **end, int base) {
  bool negative;
  unsigned long v = parse(s, end, base, &negative);
  return negative ? -v : v;
}
int atoi(const char *s) { return (int)strtol(s, NULL, 10); }

/* Exact for up to 19 digits with a decimal exponent within ±22; within an ulp or two beyond. */
double strtod(const char *s, char **end) {
  const char *start = s;
  while (isspace((unsigned char)*s)) s++;
  bool negative = *s == '-';
  if (*s == '-' || *s == '+') s++;
  if (!strncasecmp(s, "inf", 3)) {
    if (end) *end = (char *)s + (strncasecmp(s, "infinity", 8) ? 3 : 8);
    return negative ? -__builtin_inf() : __builtin_inf();
  }
  if (!strncasecmp(s, "nan", 3)) {
    if (end) *end = (char *)s + 3;
    return __builtin_nan("");
  }
  uint64_t mantissa = 0;
  int exp10 = 0, digits = 0;
  bool any = false, point = false;
  for (;; s++) {
    if (*s == '.' && !point) {
      point = true;
      continue;
    }
    if (!isdigit((unsigned char)*s)) break;
    any = true;
    if (digits < 19) {
      mantissa = mantissa * 10 + (uint64_t)(*s - '0');
      if (mantissa) digits++;
      if (point) exp10--;
    } else if (!point) {
      exp10++;
    }
  }
  if (!any) {
    if (end) *end = (char *)start;
    return 0;
  }
  if ((*s | 32) == 'e') {
    char *after;
    long e = strtol(s + 1, &after, 10);
    if (after != s + 1 && !isspace((unsigned char)s[1])) {
      exp10 += e > 9999 ? 9999 : e < -9999 ? -9999 : (int)e;
      s = after;
    }
  }
  if (end) *end = (char *)s;
  double value = (double)mantissa, scale = 1, power = 10;
  for (unsigned n = (unsigned)(exp10 < 0 ? -exp10 : exp10); n; n >>= 1, power *= power)
    if (n & 1) scale *= power;
  value = mantissa == 0 ? 0 : exp10 < 0 ? value / scale : value * scale;
  return negative ? -value : value;
}

/* Merge sort: stable, n log n whatever the input. */
void qsort(void *base, size_t n, size_t size, int (*cmp)(const void *, const void *)) {
  if (n < 2) return;
  char *a = base;
  size_t half = n / 2;
  qsort(a, half, size, cmp);
  qsort(a + half * size, n - half, size, cmp);
  if (cmp(a + (half - 1) * size, a + half * size) <= 0) return;
  char *left = malloc(half * size), *out = a;
  memcpy(left, a, half * size);
  size_t i = 0, j = half;
  while (i < half) {
    bool take_left = j >= n || cmp(left + i * size, a + j * size) <= 0;
    memcpy(out, take_left ? left + i++ * size : a + j++ * size, size);
    out += size;
  }
  free(left);
}

_Noreturn void exit(int status) {
  int err = fflush(stdout);
  if (err < 0 && err != -EPIPE && status == 0) {
    fprintf(stderr, "write error: %s\n", strerror(-err));
    status = 1;
  }
  fflush(stderr);
  sys_exit_group(status);
}
_Noreturn void abort(void) {
  sys_kill((int)sys_getpid(), SIGABRT);
  sys_exit_group(127);
}
