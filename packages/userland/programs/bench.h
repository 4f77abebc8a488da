/* Timing for the benchmark programs. */
#pragma once
#include "../src/libc/libc.h"

static inline long now_ns(void) {
  struct timespec t;
  sys_clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000 + t.tv_nsec;
}
/* Count from the first argument, or the default. */
static inline long count_argument(int argc, char **argv, long count) {
  long n = argc > 1 ? strtol(argv[1], NULL, 10) : count;
  return n > 0 ? n : count;
}
static inline void report(const char *what, long count, long ns) {
  printf("%s: %ld in %ld.%03ld ms, %ld ns each\n", what, count, ns / 1000000, ns / 1000 % 1000, ns / count);
}
