/* Strings and memory. The block operations move 8 bytes at a time when both ends are aligned. */
#include "libc.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  unsigned char *d = to;
  const unsigned char *s = from;
  if ((((uintptr_t)d ^ (uintptr_t)s) & 7) == 0) {
    for (; n && ((uintptr_t)d & 7); n--) *d++ = *s++;
    for (; n >= 8; n -= 8, d += 8, s += 8) *(uint64_t *)d = *(const uint64_t *)s;
  }
  while (n--) *d++ = *s++;
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  unsigned char *d = to;
  const unsigned char *s = from;
  if (d <= s || d >= s + n) return memcpy(to, from, n);
  while (n--) d[n] = s[n];
  return to;
}

void *memset(void *to, int c, size_t n) {
  unsigned char *d = to;
  uint64_t word = 0x0101010101010101ul * (unsigned char)c;
  for (; n && ((uintptr_t)d & 7); n--) *d++ = (unsigned char)c;
  for (; n >= 8; n -= 8, d += 8) *(uint64_t *)d = word;
  while (n--) *d++ = (unsigned char)c;
  return to;
}

int memcmp(const void *a, const void *b, size_t n) {
  const unsigned char *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

void *memchr(const void *s, int c, size_t n) {
  for (const unsigned char *p = s; n; n--, p++)
    if (*p == (unsigned char)c) return (void *)p;
  return NULL;
}

size_t strlen(const char *s) {
  const char *p = s;
  while (*p) p++;
  return (size_t)(p - s);
}
size_t strnlen(const char *s, size_t max) {
  size_t n = 0;
  while (n < max && s[n]) n++;
  return n;
}
char *stpcpy(char *to, const char *from) {
  while ((*to = *from++)) to++;
  return to;
}
char *strcpy(char *to, const char *from) {
  stpcpy(to, from);
  return to;
}
char *strcat(char *to, const char *from) {
  stpcpy(to + strlen(to), from);
  return to;
}
size_t strlcpy(char *to, const char *from, size_t size) {
  size_t n = strlen(from);
  if (size) {
    size_t m = n < size ? n : size - 1;
    memcpy(to, from, m);
    to[m] = 0;
  }
  return n;
}
int strcmp(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (unsigned char)*a - (unsigned char)*b;
}
int strncmp(const char *a, const char *b, size_t n) {
  for (; n; n--, a++, b++)
    if (*a != *b || !*a) return (unsigned char)*a - (unsigned char)*b;
  return 0;
}
int strncasecmp(const char *a, const char *b, size_t n) {
  for (; n; n--, a++, b++) {
    int x = tolower((unsigned char)*a), y = tolower((unsigned char)*b);
    if (x != y || !x) return x - y;
  }
  return 0;
}
int strcasecmp(const char *a, const char *b) { return strncasecmp(a, b, (size_t)-1); }
char *strchrnul(const char *s, int c) {
  while (*s && *s != (char)c) s++;
  return (char *)s;
}
char *strchr(const char *s, int c) {
  s = strchrnul(s, c);
  return *s == (char)c ? (char *)s : NULL;
}
char *strrchr(const char *s, int c) {
  const char *last = NULL;
  do
    if (*s == (char)c) last = s;
  while (*s++);
  return (char *)last;
}
char *strstr(const char *s, const char *what) {
  size_t n = strlen(what);
  for (; (s = strchrnul(s, *what)), *s || !n; s++)
    if (!strncmp(s, what, n)) return (char *)s;
  return NULL;
}
size_t strcspn(const char *s, const char *set) {
  size_t n = 0;
  while (s[n] && !strchr(set, s[n])) n++;
  return n;
}
size_t strspn(const char *s, const char *set) {
  size_t n = 0;
  while (s[n] && strchr(set, s[n])) n++;
  return n;
}
bool starts_with(const char *s, const char *prefix) { return !strncmp(s, prefix, strlen(prefix)); }

size_t display_width(const char *s) {
  size_t n = 0;
  for (; *s; s++)
    if (((unsigned char)*s & 0xc0) != 0x80) n++;
  return n;
}

const char *strerror(int err) {
  static const char *const text[] = {
      [0] = "Success",
      [EPERM] = "Operation not permitted",
      [ENOENT] = "No such file or directory",
      [ESRCH] = "No such process",
      [EINTR] = "Interrupted system call",
      [EIO] = "Input/output error",
      [ENXIO] = "No such device or address",
      [E2BIG] = "Argument list too long",
      [ENOEXEC] = "Exec format error",
      [EBADF] = "Bad file descriptor",
      [ECHILD] = "No child processes",
      [EAGAIN] = "Resource temporarily unavailable",
      [ENOMEM] = "Cannot allocate memory",
      [EACCES] = "Permission denied",
      [14] = "Bad address",
      [15] = "Block device required",
      [EBUSY] = "Device or resource busy",
      [EEXIST] = "File exists",
      [EXDEV] = "Invalid cross-device link",
      [ENODEV] = "No such device",
      [ENOTDIR] = "Not a directory",
      [EISDIR] = "Is a directory",
      [EINVAL] = "Invalid argument",
      [23] = "Too many open files in system",
      [24] = "Too many open files",
      [ENOTTY] = "Inappropriate ioctl for device",
      [26] = "Text file busy",
      [EFBIG] = "File too large",
      [ENOSPC] = "No space left on device",
      [ESPIPE] = "Illegal seek",
      [EROFS] = "Read-only file system",
      [EMLINK] = "Too many links",
      [EPIPE] = "Broken pipe",
      [33] = "Numerical argument out of domain",
      [ERANGE] = "Numerical result out of range",
      [ENAMETOOLONG] = "File name too long",
      [ENOSYS] = "Function not implemented",
      [ENOTEMPTY] = "Directory not empty",
      [ELOOP] = "Too many levels of symbolic links",
      [95] = "Operation not supported",
      [110] = "Connection timed out",
  };
  if (err >= 0 && err < (int)countof(text) && text[err]) return text[err];
  static char unknown[32];
  snprintf(unknown, sizeof unknown, "Unknown error %d", err);
  return unknown;
}
