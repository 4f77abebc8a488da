/* What a program sees of a file system: storage DIR FILES MIB. Prints "name: value unit", one line each.
 * The same source runs in the guest, and natively on fuse2fs and on the host's kernel. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char piece[1 << 20];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static void check(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}
static void rate(const char *name, double amount, double start, const char *unit) {
  printf("%s: %.1f %s\n", name, amount / (now() - start), unit);
  fflush(stdout);
}

int main(int argc, char **argv) {
  check(argc == 4 && chdir(argv[1]) == 0, "usage: storage DIR FILES MIB");
  int files = atoi(argv[2]), mib = atoi(argv[3]);
  char name[64];
  struct stat st;
  memset(piece, 7, sizeof piece);
  check(mkdir("many", 0755) == 0, "mkdir");

  double t = now();
  for (int i = 0; i < files; i++) {
    snprintf(name, sizeof name, "many/file-%d", i);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
    check(fd >= 0 && write(fd, piece, 4096) == 4096 && close(fd) == 0, "create");
  }
  rate("create + write 4 KiB + close", files, t, "files/s");
  t = now();
  sync();
  printf("sync after that: %.3f s\n", now() - t);

  t = now();
  for (int i = 0; i < files; i++) {
    snprintf(name, sizeof name, "many/file-%d", (int)((i * 7919L) % files));
    check(stat(name, &st) == 0, "stat");
  }
  rate("look up a path", files, t, "paths/s");

  t = now();
  for (int i = 0; i < files; i++) {
    snprintf(name, sizeof name, "many/file-%d", i);
    int fd = open(name, O_RDONLY);
    check(fd >= 0 && read(fd, piece, 4096) == 4096 && close(fd) == 0, "read");
  }
  rate("open + read 4 KiB + close", files, t, "files/s");

  t = now();
  DIR *d = opendir("many");
  int count = 0;
  while (readdir(d)) count++;
  closedir(d);
  check(count == files + 2, "readdir");
  rate("list", count, t, "names/s");

  t = now();
  for (int i = 0; i < files; i++) {
    snprintf(name, sizeof name, "many/file-%d", i);
    check(unlink(name) == 0, "unlink");
  }
  rate("unlink", files, t, "files/s");
  check(rmdir("many") == 0, "rmdir");

  t = now();
  int fd = open("large", O_CREAT | O_TRUNC | O_RDWR, 0644);
  for (int i = 0; i < mib; i++) check(write(fd, piece, sizeof piece) == sizeof piece, "write");
  check(fsync(fd) == 0, "fsync");
  rate("sequential write + fsync", mib, t, "MiB/s");
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  lseek(fd, 0, SEEK_SET);
  t = now();
  for (int i = 0; i < mib; i++) check(read(fd, piece, sizeof piece) == sizeof piece, "read");
  rate("sequential read after fadvise(DONTNEED)", mib, t, "MiB/s");
  lseek(fd, 0, SEEK_SET);
  t = now();
  for (int i = 0; i < mib; i++) check(read(fd, piece, sizeof piece) == sizeof piece, "read");
  rate("sequential read from the page cache", mib, t, "MiB/s");
  close(fd);
  check(unlink("large") == 0, "unlink");

  fd = open("log", O_CREAT | O_TRUNC | O_WRONLY, 0644);
  int calls = 200;
  t = now();
  for (int i = 0; i < calls; i++) check(write(fd, piece, 4096) == 4096 && fsync(fd) == 0, "fsync");
  rate("write 4 KiB + fsync", calls, t, "calls/s");
  close(fd);
  check(unlink("log") == 0, "unlink");
  return 0;
}
