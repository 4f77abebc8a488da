/* For gdb.test.ts: three threads that meet, an atomic loop of load-reserved and store-conditional, and a child. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t meeting;
static long total;

static void add_atomically(long n) {
  long old, failed;
  __asm__ volatile("1: lr.d %0, %2\n add %0, %0, %3\n sc.d %1, %0, %2\n bnez %1, 1b"
                   : "=&r"(old), "=&r"(failed), "+A"(total)
                   : "r"(n)
                   : "memory");
}

static void *worker(void *arg) {
  pthread_barrier_wait(&meeting);
  for (int i = 0; i < 100; i++) add_atomically((long)arg);
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  int status = 0;
  pthread_barrier_init(&meeting, NULL, 3);
  for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  pid_t child = fork();
  if (child == 0) {
    add_atomically(1);
    _exit(total % 256);
  }
  waitpid(child, &status, 0);
  printf("total %ld status %d\n", total, WEXITSTATUS(status));
  return 0;
}
