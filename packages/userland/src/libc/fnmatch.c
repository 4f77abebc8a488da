/*
 * Shell pattern matching. `*` is handled by remembering the last star and resuming one byte
 * further on a mismatch, so the cost is at most pattern x text.
 */
#include "libc.h"

static const struct { const char *name; bool (*is)(int); } classes[] = {
    {"alpha", isalpha}, {"digit", isdigit}, {"alnum", isalnum}, {"upper", isupper}, {"lower", islower},
    {"space", isspace}, {"print", isprint}, {"graph", isgraph}, {"punct", ispunct}, {"cntrl", iscntrl},
    {"xdigit", isxdigit},
};

/* p is just behind '['. Returns the end behind ']' or NULL when this is not a bracket expression. */
static const char *bracket(const char *p, int c, bool fold, bool *hit) {
  bool negate = *p == '!' || *p == '^', found = false;
  if (negate) p++;
  const char *start = p;
  if (fold) c = tolower(c);
  for (; *p && (*p != ']' || p == start);) {
    if (p[0] == '[' && p[1] == ':') {
      const char *end = strstr(p + 2, ":]");
      if (end) {
        for (size_t i = 0; i < countof(classes); i++)
          if (strlen(classes[i].name) == (size_t)(end - p - 2) && !strncmp(classes[i].name, p + 2, (size_t)(end - p - 2)))
            found |= classes[i].is(c) || (fold && classes[i].is(toupper(c)));
        p = end + 2;
        continue;
      }
    }
    if (*p == '\\' && p[1]) p++;
    int lo = (unsigned char)*p++, hi = lo;
    if (p[0] == '-' && p[1] && p[1] != ']') {
      p++;
      if (*p == '\\' && p[1]) p++;
      hi = (unsigned char)*p++;
    }
    if (fold) lo = tolower(lo), hi = tolower(hi);
    found |= c >= lo && c <= hi;
  }
  if (*p != ']') return NULL;
  *hit = found != negate;
  return p + 1;
}

bool fnmatch(const char *pattern, const char *s, int flags) {
  const char *p = pattern, *star = NULL, *resume = NULL, *text = s;
  bool fold = flags & FNM_CASEFOLD;
  for (;;) {
    bool ok = false;
    const char *next = p;
    bool hidden = *s == '.' && (flags & FNM_PERIOD) && (s == text || ((flags & FNM_PATHNAME) && s[-1] == '/'));
    if (*p == '*') {
      if (!hidden) {
        star = ++p;
        resume = s;
        continue;
      }
    } else if (!*s) {
      if (!*p) return true;
    } else if (*p == '?') {
      ok = !hidden && !(*s == '/' && (flags & FNM_PATHNAME));
      next = p + 1;
      if (ok && (unsigned char)*s >= 0xc0)
        while (((unsigned char)s[1] & 0xc0) == 0x80) s++;
    } else if (*p == '[' && (next = bracket(p + 1, (unsigned char)*s, fold, &ok))) {
      ok = ok && !hidden && !(*s == '/' && (flags & FNM_PATHNAME));
    } else {
      const char *q = *p == '\\' && p[1] ? p + 1 : p;
      ok = *q == *s || (fold && tolower((unsigned char)*q) == tolower((unsigned char)*s));
      ok = ok && *q;
      next = q + 1;
    }
    if (ok) {
      p = next;
      s++;
      continue;
    }
    if (!star || !*resume || (*resume == '/' && (flags & FNM_PATHNAME))) return false;
    p = star;
    s = ++resume;
  }
}
