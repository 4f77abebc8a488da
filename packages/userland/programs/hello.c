/* The smallest useful program: greets, and shows its arguments. */
#include "../src/libc/libc.h"

int main(int argc, char **argv) {
  printf("Hello from riscv64!\n");
  for (int i = 1; i < argc; i++) printf("argv[%d] = %s\n", i, argv[i]);
  return 0;
}
