/* Three parts of work of known proportions, deep in calls; then system calls; then a signal handler that works. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
static volatile unsigned sink;

static NOINLINE void burn(unsigned n) {
  while (n-- > 0) sink = sink * 31 + n;
}
static NOINLINE void heavy(void) { burn(3000000); sink++; }
static NOINLINE void light(void) { burn(1000000); sink++; }
static NOINLINE void work(int depth) {
  if (depth > 0) work(depth - 1);
  else for (int i = 0; i < 3; i++) { heavy(); light(); }
  sink++;
}
static NOINLINE void calls(int n) {
  int fd = open("/dev/null", O_WRONLY);
  while (n-- > 0) if (write(fd, "x", 1) != 1) abort();
  close(fd);
}
static void handler(int signal) {
  burn(2000000);
  sink += signal;
}
static NOINLINE void interrupted(void) {
  raise(SIGUSR1);
  sink++;
}

int main(int argc, char **argv) {
  signal(SIGUSR1, handler);
  work(3);
  interrupted();
  if (argc > 1) calls(atoi(argv[1]));
  return 0;
}
