/* Path names and terminals. */
#include "libc.h"

char *path_join(const char *dir, const char *name) {
  size_t n = strlen(dir);
  return asprintf(n && dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}
const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

/* Resolves component by component; `rest` holds what is still to be walked. */
char *real_path(const char *path, bool allow_missing_last) {
  char done[PATH_MAX] = "", link[PATH_MAX];
  char *rest = NULL;
  if (*path != '/') {
    char cwd[PATH_MAX];
    if (sys_getcwd(cwd, sizeof cwd) < 0) return NULL;
    rest = asprintf("%s/%s", cwd, path);
  } else {
    rest = strdup(path);
  }
  char *owned = rest;
  int links = 0;
  while (*rest) {
    while (*rest == '/') rest++;
    size_t n = strcspn(rest, "/");
    if (!n) break;
    char name[256];
    if (n >= sizeof name) goto fail;
    memcpy(name, rest, n);
    name[n] = 0;
    rest += n;
    if (!strcmp(name, ".")) continue;
    if (!strcmp(name, "..")) {
      char *slash = strrchr(done, '/');
      if (slash) *slash = 0;
      continue;
    }
    size_t len = strlen(done);
    if (len + n + 2 > sizeof done) goto fail;
    done[len] = '/';
    strcpy(done + len + 1, name);
    struct stat st;
    if (sys_lstat(done, &st) < 0) {
      if (allow_missing_last && !rest[strspn(rest, "/")]) break;
      goto fail;
    }
    if (!S_ISLNK(st.st_mode)) continue;
    long k = sys_readlink(done, link, sizeof link - 1);
    if (k < 0 || ++links > 40) goto fail;
    link[k] = 0;
    done[*link == '/' ? 0 : len] = 0;
    char *fresh = asprintf("%s/%s", link, rest);
    free(owned);
    owned = rest = fresh;
  }
  free(owned);
  return strdup(*done ? done : "/");
fail:
  free(owned);
  return NULL;
}

bool isatty(int fd) {
  struct termios t;
  return sys_ioctl(fd, TCGETS, &t) == 0;
}
int terminal_width(int fd) {
  struct winsize w = {0};
  if (sys_ioctl(fd, TIOCGWINSZ, &w) == 0 && w.cols) return w.cols;
  char *columns = getenv("COLUMNS");
  return columns && atoi(columns) > 0 ? atoi(columns) : 80;
}
