/* Directory reading over getdents64. */
#include "libc.h"

int opendir(DIR *d, const char *path) {
  long fd = sys_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  d->fd = (int)fd;
  d->pos = d->len = 0;
  return fd < 0 ? (int)fd : 0;
}
struct dirent64 *readdir(DIR *d) {
  if (d->pos >= d->len) {
    long n = sys_getdents64(d->fd, d->buf, sizeof d->buf);
    if (n <= 0) return NULL;
    d->len = (size_t)n;
    d->pos = 0;
  }
  struct dirent64 *e = (struct dirent64 *)(d->buf + d->pos);
  d->pos += e->d_reclen;
  return e;
}
void closedir(DIR *d) { sys_close(d->fd); }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int list_directory(const char *path, StrList *out) {
  DIR *d = malloc(sizeof *d);
  int err = opendir(d, path);
  if (!err) {
    for (struct dirent64 *e; (e = readdir(d));)
      if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) list_add(out, strdup(e->d_name));
    closedir(d);
    if (out->len) qsort(out->items, out->len, sizeof *out->items, by_name);
  }
  free(d);
  return err;
}
