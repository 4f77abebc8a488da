/*
 * Instructions per second of an integer loop with loads and stores: 16 instructions per turn,
 * counted by hand. Usage: mips [MILLIONS]
 */
#include "bench.h"

int main(int argc, char **argv) {
  long millions = count_argument(argc, argv, 100), turns = millions * 1000000 / 16;
  static long cells[64];
  long a = 1, b = 3, c, d, left = turns, start = now_ns();
  __asm__ volatile(
      "1:\n"
      "  add %0, %0, %1\n"
      "  slli %2, %0, 3\n"
      "  andi %2, %2, 504\n"
      "  add %2, %2, %5\n"
      "  ld %3, 0(%2)\n"
      "  xor %3, %3, %0\n"
      "  sd %3, 0(%2)\n"
      "  srli %3, %3, 7\n"
      "  add %1, %1, %3\n"
      "  sub %0, %0, %3\n"
      "  ori %1, %1, 1\n"
      "  sltu %3, %0, %1\n"
      "  add %0, %0, %3\n"
      "  andi %3, %0, 255\n"
      "  addi %4, %4, -1\n"
      "  bnez %4, 1b\n"
      : "+r"(a), "+r"(b), "=&r"(c), "=&r"(d), "+r"(left)
      : "r"(cells)
      : "memory");
  long ns = now_ns() - start;
  printf("loop: %ld instructions in %ld ms, %ld MIPS (%lx)\n", turns * 16, ns / 1000000, ns ? turns * 16 * 1000 / ns : 0, (unsigned long)a);
  return 0;
}
