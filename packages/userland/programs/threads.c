/* Threads from raw clone and futex: a mutex under contention, and joins through CLEARTID.
 * Usage: threads [THREADS] */
#include "bench.h"

enum { CLONE_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x200000, MAX = 16, ROUNDS = 2000 };
/* VM FS FILES SIGHAND THREAD SYSVSEM CHILD_CLEARTID */
enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_PRIVATE = 128 };

static char stacks[MAX][8192] __attribute__((aligned(16)));
static int tids[MAX];
static int lock; /* 0 free, 1 held, 2 held with waiters */
static long counter;

static void futex_wait(int *at, int value, int flags) { syscall6(SYS_futex, (long)at, FUTEX_WAIT | flags, value, 0, 0, 0); }
static void futex_wake(int *at, int count, int flags) { syscall6(SYS_futex, (long)at, FUTEX_WAKE | flags, count, 0, 0, 0); }

static void acquire(void) {
  int seen = 0;
  if (__atomic_compare_exchange_n(&lock, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
  while (__atomic_exchange_n(&lock, 2, __ATOMIC_ACQUIRE) != 0) futex_wait(&lock, 2, FUTEX_PRIVATE);
}
static void release(void) {
  if (__atomic_exchange_n(&lock, 0, __ATOMIC_RELEASE) == 2) futex_wake(&lock, 1, FUTEX_PRIVATE);
}

__attribute__((used)) static _Noreturn void worker(long id) {
  (void)id;
  for (int i = 0; i < ROUNDS; i++) {
    acquire();
    long seen = counter;
    if (i % 64 == 0) syscall2(SYS_sched_yield, 0, 0); /* invites another thread in */
    counter = seen + 1;
    release();
  }
  for (;;) syscall2(SYS_exit, 0, 0);
}

/* The child returns from clone on a new stack, so it must not use this frame. */
long start_thread(long flags, void *stack, int *tid, long id);
__asm__("start_thread:\n"
        "  mv t0, a3\n"
        "  mv a4, a2\n"
        "  li a2, 0\n"
        "  li a3, 0\n"
        "  li a7, 220\n"
        "  ecall\n"
        "  bnez a0, 1f\n"
        "  mv a0, t0\n"
        "  call worker\n"
        "1: ret\n");

int main(int argc, char **argv) {
  int n = (int)count_argument(argc, argv, 4);
  if (n > MAX) n = MAX;
  long start = now_ns();
  for (int i = 0; i < n; i++) {
    tids[i] = 1; /* cleared and woken by the kernel when the thread has gone */
    long tid = start_thread(CLONE_FLAGS, stacks[i] + sizeof stacks[i], &tids[i], i);
    if (tid < 0) {
      fprintf(stderr, "threads: clone: %s\n", strerror((int)-tid));
      return 1;
    }
  }
  for (int i = 0; i < n; i++)
    while (__atomic_load_n(&tids[i], __ATOMIC_ACQUIRE)) futex_wait(&tids[i], 1, 0);
  bool ok = counter == (long)n * ROUNDS;
  printf("%d threads, counter %ld of %ld, %ld ms: %s\n", n, counter, (long)n * ROUNDS, (now_ns() - start) / 1000000, ok ? "OK" : "FAILED");
  return !ok;
}
