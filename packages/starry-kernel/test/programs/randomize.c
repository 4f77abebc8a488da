/* Address space layout randomisation: differs from program to program, and can be switched off. */
#include "check.h"
#include <sys/personality.h>

struct layout {
  uintptr_t stack, heap, mapping;
};

static struct layout here(void) {
  struct layout l;
  l.stack = (uintptr_t)__builtin_frame_address(0);
  l.heap = (uintptr_t)sbrk(0);
  l.mapping = (uintptr_t)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return l;
}

/* The layout that this program has when it is started anew. */
static struct layout started(unsigned long persona) {
  int fds[2];
  struct layout l = {0};
  pipe(fds);
  if (fork() == 0) {
    personality(persona);
    dup2(fds[1], 9);
    execl("/proc/self/exe", "prog", "layout", (char *)0);
    _exit(1);
  }
  read(fds[0], &l, sizeof l);
  close(fds[0]);
  close(fds[1]);
  wait(0);
  return l;
}

static void set(const char *level) {
  int fd = open("/proc/sys/kernel/randomize_va_space", O_WRONLY);
  write(fd, level, 1);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    struct layout l = here();
    return write(9, &l, sizeof l) != sizeof l;
  }
  struct layout a = started(0), b = started(0);
  CHECK("the stack moves", a.stack != b.stack);
  CHECK("the heap moves", a.heap != b.heap);
  CHECK("mappings move", a.mapping != b.mapping);
  CHECK("all of it is there", a.stack && a.heap && a.mapping && b.stack && b.heap && b.mapping);
  a = started(ADDR_NO_RANDOMIZE), b = started(ADDR_NO_RANDOMIZE);
  CHECK("ADDR_NO_RANDOMIZE holds still", memcmp(&a, &b, sizeof a) == 0);
  set("1");
  a = started(0), b = started(0);
  CHECK("randomize_va_space = 1 leaves the heap behind the program", a.heap == b.heap && a.stack != b.stack);
  set("0");
  a = started(0), b = started(0);
  CHECK("randomize_va_space = 0 switches it off", memcmp(&a, &b, sizeof a) == 0);
  errno = 0;
  int fd = open("/proc/sys/kernel/randomize_va_space", O_WRONLY);
  CHECK("other values are EINVAL", write(fd, "7", 1) == -1 && errno == EINVAL);
  return failures;
}
