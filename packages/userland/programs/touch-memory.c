/* Demand paging: writes one word to every page of a fresh mapping, then checks them all.
 * Usage: touch-memory [MIB] */
#include "bench.h"

int main(int argc, char **argv) {
  long mib = count_argument(argc, argv, 16), pages = mib * 256;
  long at = sys_mmap_anon((size_t)mib << 20);
  if (at < 0 && at > -4096) {
    fprintf(stderr, "touch-memory: mmap of %ld MiB: %s\n", mib, strerror((int)-at));
    return 1;
  }
  long start = now_ns();
  for (long i = 0; i < pages; i++) *(long *)(at + i * 4096) = i;
  report("first touch", pages, now_ns() - start);
  start = now_ns();
  for (long i = 0; i < pages; i++)
    if (*(long *)(at + i * 4096) != i || *(long *)(at + i * 4096 + 8) != 0) {
      fprintf(stderr, "touch-memory: page %ld lost its contents\n", i);
      return 1;
    }
  report("second touch", pages, now_ns() - start);
  return sys_munmap((void *)at, (size_t)mib << 20) != 0;
}
