/* For gdb.test.ts: runs for ever; with an argument it sleeps first. */
#include <unistd.h>

volatile unsigned long spins;
volatile unsigned long quiet;

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) sleep(1000);
  while (quiet == 0) spins++;
  return 9;
}
