/* Cost of fork, exit and wait. Usage: fork-bench [COUNT] */
#include "bench.h"

int main(int argc, char **argv) {
  long n = count_argument(argc, argv, 200), start = now_ns();
  for (long i = 0; i < n; i++) {
    long pid = sys_fork();
    if (pid == 0) sys_exit_group(7);
    int status;
    if (pid < 0 || sys_wait4((int)pid, &status, 0, NULL) != pid || WEXITSTATUS(status) != 7) {
      fprintf(stderr, "fork-bench: child %ld went wrong\n", i);
      return 1;
    }
  }
  report("fork+exit+wait", n, now_ns() - start);
  return 0;
}
