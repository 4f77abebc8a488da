/* Growable byte strings and string lists. */
#include "libc.h"

void buf_reserve(Buf *b, size_t extra) {
  if (b->len + extra + 1 <= b->cap) return;
  size_t cap = b->cap ? b->cap * 2 : 64;
  while (cap < b->len + extra + 1) cap *= 2;
  b->data = realloc(b->data, cap);
  b->cap = cap;
}
void buf_add(Buf *b, const void *p, size_t n) {
  buf_reserve(b, n);
  memcpy(b->data + b->len, p, n);
  b->len += n;
  b->data[b->len] = 0;
}
void buf_str(Buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_char(Buf *b, int c) {
  char ch = (char)c;
  buf_add(b, &ch, 1);
}
void buf_printf(Buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  buf_reserve(b, (size_t)n);
  vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
  b->len += (size_t)n;
  va_end(again);
  va_end(ap);
}
char *buf_take(Buf *b) {
  char *s = b->data ? b->data : calloc(1, 1);
  *b = (Buf){0};
  return s;
}
void buf_free(Buf *b) {
  free(b->data);
  *b = (Buf){0};
}

void list_add(StrList *l, char *s) {
  if (l->len + 2 > l->cap) {
    l->cap = l->cap ? l->cap * 2 : 8;
    l->items = realloc(l->items, l->cap * sizeof *l->items);
  }
  l->items[l->len++] = s;
  l->items[l->len] = NULL;
}
void list_free(StrList *l) {
  for (size_t i = 0; i < l->len; i++) free(l->items[i]);
  free(l->items);
  *l = (StrList){0};
}
