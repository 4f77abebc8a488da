/* For gdb.test.ts, whose expectations name lines of this file by what is on them. */
#include <signal.h>
#include <stdio.h>

volatile int counter;
double ratio = 0.5;
char message[] = "watch me";

static void on_usr1(int signo) { counter += 100 * (signo == SIGUSR1); }

int add(int a, int b) {
  int sum = a + b;
  return sum;
}

int main(int argc, char **argv) {
  (void)argv;
  signal(SIGUSR1, on_usr1);
  for (int i = 0; i < 3; i++) {
    counter = add(counter, i);
    ratio = ratio * 2;
  }
  raise(SIGUSR1);
  printf("%s %d %d\n", message, counter, argc);
  fflush(stdout);
  return 7;
}
