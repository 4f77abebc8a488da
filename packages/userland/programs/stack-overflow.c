/*
 * Recurses until the stack ends. Without arguments the process dies of SIGSEGV; with "handled"
 * a handler on an alternate stack reports it and exits with 42.
 */
#include "../src/libc/libc.h"

struct siginfo { int si_signo, si_errno, si_code, pad; void *si_addr; char rest[104]; };
static char alternate[16384] __attribute__((aligned(16)));

static void on_fault(int sig, struct siginfo *info, void *context) {
  (void)context;
  printf("stack overflow caught: signal %d, address on the stack: %s\n", sig, (uintptr_t)info->si_addr > 0x100000 ? "yes" : "no");
  exit(42);
}

static volatile bool endless = true;
__attribute__((noinline)) static long recurse(long depth) {
  volatile char frame[512];
  frame[0] = (char)depth;
  return endless ? recurse(depth + 1) + frame[0] : 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "handled")) {
    struct { void *sp; int flags; size_t size; } stack = {alternate, 0, sizeof alternate};
    syscall2(SYS_sigaltstack, (long)&stack, 0);
    set_signal(SIGSEGV, (void (*)(int))(void *)on_fault, SA_SIGINFO | SA_ONSTACK);
  }
  printf("recursing\n");
  fflush(stdout);
  return (int)recurse(0);
}
