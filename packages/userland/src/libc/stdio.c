/*
 * Buffered streams. stdout is line-buffered on a terminal and block-buffered elsewhere; stderr
 * is flushed after each call that writes to it.
 */
#include "libc.h"

enum { BUFFER = 8192 };
static char out_buf[BUFFER], in_buf[BUFFER], err_buf[512];
static FILE in_file = {.fd = 0, .buf = in_buf};
static FILE out_file = {.fd = 1, .buf = out_buf, .writing = true};
static FILE err_file = {.fd = 2, .buf = err_buf, .writing = true};
FILE *const stdin = &in_file, *const stdout = &out_file, *const stderr = &err_file;

int write_all(int fd, const void *p, size_t n) {
  const char *s = p;
  while (n) {
    long k = sys_write(fd, s, n);
    if (k == -EINTR) continue;
    if (k < 0) return (int)k;
    s += k;
    n -= (size_t)k;
  }
  return 0;
}

FILE *fdopen(int fd, const char *mode) {
  FILE *f = calloc(1, sizeof *f);
  f->fd = fd;
  f->writing = *mode != 'r';
  f->buf = malloc(BUFFER);
  return f;
}

FILE *fopen(const char *path, const char *mode, int *err) {
  int flags = *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (*mode == 'a' ? O_APPEND : O_TRUNC);
  long fd = sys_open(path, flags | O_CLOEXEC, 0666);
  if (err) *err = fd < 0 ? (int)fd : 0;
  return fd < 0 ? NULL : fdopen((int)fd, mode);
}

int fflush(FILE *f) {
  if (!f->writing || !f->len) return 0;
  int err = write_all(f->fd, f->buf, f->len);
  f->len = 0;
  if (err < 0) f->error = true;
  return err;
}

int fclose(FILE *f) {
  int err = fflush(f);
  if (f->fd > 2) sys_close(f->fd);
  if (f != stdin && f != stdout && f != stderr) {
    free(f->buf);
    free(f);
  }
  return err;
}

static bool fill(FILE *f) {
  if (f->eof) return false;
  if (f == stdin && stdout->line_buffered) fflush(stdout);
  long n;
  do n = sys_read(f->fd, f->buf, BUFFER);
  while (n == -EINTR);
  f->pos = 0;
  f->len = n > 0 ? (size_t)n : 0;
  if (n < 0) f->error = true;
  if (n <= 0) f->eof = true;
  return n > 0;
}

int fgetc(FILE *f) {
  if (f->pos >= f->len && !fill(f)) return EOF;
  return (unsigned char)f->buf[f->pos++];
}
void ungetc_last(FILE *f) {
  if (f->pos) f->pos--;
}

size_t fread(void *p, size_t n, FILE *f) {
  size_t done = 0;
  while (done < n) {
    if (f->pos >= f->len && !fill(f)) break;
    size_t k = f->len - f->pos;
    if (k > n - done) k = n - done;
    memcpy((char *)p + done, f->buf + f->pos, k);
    f->pos += k;
    done += k;
  }
  return done;
}

ssize_t getdelim(char **line, size_t *cap, int delim, FILE *f) {
  size_t len = 0;
  for (;;) {
    if (f->pos >= f->len && !fill(f)) break;
    char *from = f->buf + f->pos;
    char *hit = memchr(from, delim, f->len - f->pos);
    size_t n = hit ? (size_t)(hit - from) + 1 : f->len - f->pos;
    if (len + n + 1 > *cap) {
      *cap = (len + n + 1) * 2;
      *line = realloc(*line, *cap);
    }
    memcpy(*line + len, from, n);
    len += n;
    f->pos += n;
    if (hit) break;
  }
  if (!len) return -1;
  (*line)[len] = 0;
  return (ssize_t)len;
}
ssize_t getline(char **line, size_t *cap, FILE *f) { return getdelim(line, cap, '\n', f); }

size_t fwrite(const void *p, size_t n, FILE *f) {
  size_t cap = f == stderr ? sizeof err_buf : BUFFER;
  if (n > cap - f->len) {
    fflush(f);
    if (n >= cap) {
      if (write_all(f->fd, p, n) < 0) f->error = true;
      return n;
    }
  }
  memcpy(f->buf + f->len, p, n);
  f->len += n;
  if (f == stderr || (f->line_buffered && memchr(p, '\n', n))) fflush(f);
  return n;
}
int fputc(int c, FILE *f) {
  char ch = (char)c;
  fwrite(&ch, 1, f);
  return c;
}
int fputs(const char *s, FILE *f) { return (int)fwrite(s, strlen(s), f); }
int putchar(int c) { return fputc(c, stdout); }
int puts(const char *s) {
  fputs(s, stdout);
  return putchar('\n');
}

char *read_file(const char *path, size_t *size) {
  long fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return NULL;
  Buf b = {0};
  for (;;) {
    buf_reserve(&b, 4096);
    long n = sys_read((int)fd, b.data + b.len, b.cap - b.len - 1);
    if (n == -EINTR) continue;
    if (n <= 0) {
      sys_close((int)fd);
      if (n < 0) {
        buf_free(&b);
        return NULL;
      }
      break;
    }
    b.len += (size_t)n;
  }
  b.data[b.len] = 0;
  if (size) *size = b.len;
  return b.data;
}
