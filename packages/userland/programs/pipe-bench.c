/* Pipe throughput between two processes, then the cost of a round trip. Usage: pipe-bench [MIB] */
#include "bench.h"

enum { BLOCK = 32768, TRIPS = 2000 };
static char block[BLOCK];

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "pipe-bench: %s failed\n", what);
  exit(1);
}

int main(int argc, char **argv) {
  long mib = count_argument(argc, argv, 16), blocks = mib * 1048576 / BLOCK, total = 0;
  int fds[2], back[2], status;
  if (sys_pipe(fds, 0) < 0 || sys_pipe(back, 0) < 0) fail("pipe");
  long start = now_ns(), pid = sys_fork();
  if (pid == 0) {
    for (long i = 0; i < blocks; i++)
      if (write_all(fds[1], block, BLOCK) < 0) sys_exit_group(1);
    char c;
    for (int i = 0; i < TRIPS; i++)
      if (sys_read(back[0], &c, 1) != 1 || sys_write(fds[1], &c, 1) != 1) sys_exit_group(1);
    sys_exit_group(0);
  }
  while (total < blocks * BLOCK) {
    size_t want = (size_t)(blocks * BLOCK - total);
    long n = sys_read(fds[0], block, want < BLOCK ? want : BLOCK);
    if (n <= 0) fail("read");
    total += n;
  }
  long ns = now_ns() - start;
  printf("pipe: %ld MiB in %ld ms, %ld MiB/s\n", mib, ns / 1000000, ns ? mib * 1000000000 / ns : 0);
  start = now_ns();
  for (int i = 0; i < TRIPS; i++) {
    char c = 'x';
    if (sys_write(back[1], &c, 1) != 1 || sys_read(fds[0], &c, 1) != 1 || c != 'x') fail("round trip");
  }
  report("pipe round trip", TRIPS, now_ns() - start);
  sys_wait4((int)pid, &status, 0, NULL);
  return status != 0;
}
