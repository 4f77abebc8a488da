#include "check.h"
#include <pthread.h>
#include <linux/futex.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile int turns, readers;
static int word;

static long futex(int *at, int op, int v, void *t, int *at2, int v3) { return syscall(SYS_futex, at, op, v, t, at2, v3); }

static void *takes_turns(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&mutex);
    while (turns % 4 != me) pthread_cond_wait(&condition, &mutex);
    turns++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  pthread_barrier_wait(&barrier);
  return NULL;
}
static void *reads(void *arg) {
  (void)arg;
  for (int i = 0; i < 100; i++) {
    pthread_rwlock_rdlock(&rwlock);
    readers++;
    sched_yield();
    pthread_rwlock_unlock(&rwlock);
  }
  return NULL;
}
static void *waits_word(void *arg) {
  return (void *)futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, (int)(long)arg);
}
static void *dies_with_lock(void *arg) {
  pthread_mutex_lock(arg);
  return NULL;
}

int main(void) {
  pthread_t t[4];
  pthread_barrier_init(&barrier, NULL, 5);
  for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, takes_turns, (void *)i);
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK("mutexes, conditions and barriers", turns == 800);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, reads, NULL);
  for (int i = 0; i < 50; i++) {
    pthread_rwlock_wrlock(&rwlock);
    sched_yield();
    pthread_rwlock_unlock(&rwlock);
  }
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK("reader-writer locks", readers > 0);

  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_nsec += 20000000;
  if (deadline.tv_nsec >= 1000000000) {
    deadline.tv_nsec -= 1000000000;
    deadline.tv_sec++;
  }
  pthread_mutex_lock(&mutex);
  CHECK("a timed wait ends", pthread_cond_timedwait(&condition, &mutex, &deadline) == ETIMEDOUT);
  pthread_mutex_unlock(&mutex);
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  CHECK("a semaphore times out", sem_timedwait(&semaphore, &deadline) == -1 && errno == ETIMEDOUT);

  CHECK("a changed word is EAGAIN", futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
  struct timespec ms = {0, 5000000};
  CHECK("FUTEX_WAIT times out", futex(&word, FUTEX_WAIT, 0, &ms, NULL, 0) == -1 && errno == ETIMEDOUT);
  CHECK("an unaligned word is EINVAL", futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EINVAL);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, waits_word, NULL);
  struct timespec nap = {0, 20000000};
  nanosleep(&nap, NULL);
  static int other;
  CHECK("FUTEX_CMP_REQUEUE", futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2, &other, 0) == 3);
  CHECK("FUTEX_WAKE of the first", futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0) == 1);
  CHECK("FUTEX_WAKE of the moved", futex(&other, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0) == 2);
  for (int i = 0; i < 4; i++) {
    void *result;
    pthread_join(t[i], &result);
    if (result != NULL) failures++;
  }
  int a = 0, b = 5;
  CHECK("FUTEX_WAKE_OP", futex(&a, FUTEX_WAKE_OP, 1, (void *)1, &b, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)) == 0 && b == 8);

  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_t *robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_init(robust, &attributes);
  pthread_create(&t[0], NULL, dies_with_lock, robust);
  pthread_join(t[0], NULL);
  CHECK("a dead thread's lock is EOWNERDEAD", pthread_mutex_lock(robust) == EOWNERDEAD);
  pthread_mutex_consistent(robust);
  pthread_mutex_unlock(robust);
  int status = IN_CHILD(pthread_mutex_lock(robust));
  CHECK("a dead process's too", status == 0 && pthread_mutex_lock(robust) == EOWNERDEAD);
  pthread_mutex_consistent(robust);
  pthread_mutex_unlock(robust);

  sem_t *shared = (sem_t *)((char *)robust + 512);
  sem_init(shared, 1, 0);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    struct timespec t5 = {0, 5000000};
    nanosleep(&t5, NULL);
    sem_post(shared);
    _exit(0);
  }
  CHECK("a semaphore between processes", sem_wait(shared) == 0);
  waitpid(pid, &status, 0);
  /* futex_waitv (not in this C library) */
  struct { uint64_t value, address; uint32_t flags, reserved; } words[2] = {{0, (uint64_t)&word, 2 | 128, 0}, {0, (uint64_t)&other, 2 | 128, 0}};
  word = other = 0;
  struct timespec soon;
  clock_gettime(CLOCK_MONOTONIC, &soon);
  if (syscall(449, words, 2, 0, &soon, CLOCK_MONOTONIC) == -1 && errno == ETIMEDOUT) {
    pthread_create(&t[0], NULL, waits_word, NULL);
    nanosleep(&nap, NULL);
    word = 1;
    CHECK("futex_waitv looks at all words", syscall(449, words, 2, 0, NULL, 0) == -1 && errno == EAGAIN);
    CHECK("futex_wake wakes", futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) == 1);
    pthread_join(t[0], NULL);
  }
  return failures;
}
