/* Cost of the cheapest system call. Usage: syscall-bench [COUNT] */
#include "bench.h"

int main(int argc, char **argv) {
  long n = count_argument(argc, argv, 200000), start = now_ns();
  for (long i = 0; i < n; i++) sys_getppid();
  report("getppid", n, now_ns() - start);
  return 0;
}
