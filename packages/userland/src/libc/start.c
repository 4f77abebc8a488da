/*
 * Program entry. The kernel starts us with sp pointing at argc, then argv, NULL, envp, NULL, auxv.
 * gp must be loaded before any linker-relaxed access to small data.
 */
#include "libc.h"

char **environ;
int main(int argc, char **argv);

__asm__(".globl _start\n"
        "_start:\n"
        ".option push\n"
        ".option norelax\n"
        "  la gp, __global_pointer$\n"
        ".option pop\n"
        "  mv a0, sp\n"
        "  andi sp, sp, -16\n"
        "  li s0, 0\n"
        "  tail start_c\n");

__attribute__((used)) static _Noreturn void start_c(long *sp) {
  int argc = (int)sp[0];
  char **argv = (char **)(sp + 1);
  environ = argv + argc + 1;
  exit(main(argc, argv));
}
