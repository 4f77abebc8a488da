/*
 * The price of the border between programs and the kernel: one figure per line, "name: nanoseconds ns".
 *
 *   border [SCALE [NAME]]     SCALE (default 1) multiplies the repetitions
 *
 * RUNNER in the environment is a program that runs this one (qemu-user, where execve cannot).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static long raw(long n) {
  register long a7 __asm__("a7") = n;
  register long a0 __asm__("a0") = 0;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
  return a0;
}

static void null_call(long n) { while (n-- > 0) raw(SYS_getppid); }
static void read_zero(long n) {
  char c;
  int fd = open("/dev/zero", O_RDONLY);
  while (n-- > 0) if (read(fd, &c, 1) != 1) exit(3);
  close(fd);
}
static void write_null(long n) {
  char c = 0;
  int fd = open("/dev/null", O_WRONLY);
  while (n-- > 0) if (write(fd, &c, 1) != 1) exit(3);
  close(fd);
}
static void clock_gettime_call(long n) {
  struct timespec t;
  while (n-- > 0) clock_gettime(CLOCK_MONOTONIC, &t);
}
static void realtime_call(long n) {
  struct timespec t;
  while (n-- > 0) clock_gettime(CLOCK_REALTIME, &t);
}
static void gettimeofday_call(long n) {
  struct timeval t;
  while (n-- > 0) gettimeofday(&t, 0);
}
static void clock_syscall(long n) {
  struct timespec t;
  while (n-- > 0) syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}
static void pipe_round_trip(long n) {
  int a[2], b[2];
  char c = 0;
  if (pipe(a) || pipe(b)) exit(3);
  pid_t child = fork();
  if (child == 0) {
    close(a[1]);
    while (read(a[0], &c, 1) == 1) if (write(b[1], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  close(a[0]);
  while (n-- > 0) if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) exit(3);
  close(a[1]); close(b[0]); close(b[1]);
  waitpid(child, 0, 0);
}
static void pipe_self(long n) {
  int a[2];
  char c = 0;
  if (pipe(a)) exit(3);
  while (n-- > 0) if (write(a[1], &c, 1) != 1 || read(a[0], &c, 1) != 1) exit(3);
  close(a[0]); close(a[1]);
}
static void fork_wait(long n) {
  while (n-- > 0) {
    pid_t p = fork();
    if (p == 0) _exit(0);
    if (waitpid(p, 0, 0) != p) exit(3);
  }
}
static char *self;
static void fork_exec_wait(long n) {
  while (n-- > 0) {
    pid_t p = fork();
    if (p == 0) {
      const char *runner = getenv("RUNNER");
      if (runner) execl(runner, runner, self, "exit", (char *)0);
      else execl(self, "border", "exit", (char *)0);
      _exit(9);
    }
    int s = 1;
    if (waitpid(p, &s, 0) != p || s != 0) exit(3);
  }
}
static void on_signal(int s) { (void)s; }
static void signal_delivery(long n) {
  struct sigaction sa = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &sa, 0);
  pid_t me = getpid();
  while (n-- > 0) kill(me, SIGUSR1);
}
static void mmap_touch(long n) {
  while (n-- > 0) {
    volatile char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[0] = 1; p[4096] = 1;
    munmap((void *)p, 8192);
  }
}
static void page_fault(long n) {
  while (n > 0) {
    char *p = mmap(0, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 256; i++) ((volatile char *)p)[i * 4096] = 1;
    munmap(p, 256 * 4096);
    n -= 256;
  }
}
static void open_close(long n) {
  while (n-- > 0) { int fd = open("/dev/null", O_RDONLY); if (fd < 0) exit(3); close(fd); }
}
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv = PTHREAD_COND_INITIALIZER;
static int turn; static long rounds;
static void *other(void *x) {
  for (long i = 0; i < rounds; i++) {
    pthread_mutex_lock(&m);
    while (turn != 1) pthread_cond_wait(&cv, &m);
    turn = 0; pthread_cond_signal(&cv);
    pthread_mutex_unlock(&m);
  }
  return x;
}
static void thread_switch(long n) {
  pthread_t t; rounds = n; turn = 0;
  pthread_create(&t, 0, other, 0);
  while (n-- > 0) {
    pthread_mutex_lock(&m);
    turn = 1; pthread_cond_signal(&cv);
    while (turn != 0) pthread_cond_wait(&cv, &m);
    pthread_mutex_unlock(&m);
  }
  pthread_join(t, 0);
}
static void *nothing(void *x) { return x; }
static void thread_create(long n) {
  while (n-- > 0) { pthread_t t; if (pthread_create(&t, 0, nothing, 0)) exit(3); pthread_join(t, 0); }
}

static const struct { const char *name; void (*run)(long); long count; } TABLE[] = {
  {"null system call", null_call, 1000000},
  {"read 1 byte of /dev/zero", read_zero, 300000},
  {"write 1 byte to /dev/null", write_null, 300000},
  {"clock_gettime", clock_gettime_call, 1000000},
  {"clock_gettime, CLOCK_REALTIME", realtime_call, 1000000},
  {"gettimeofday", gettimeofday_call, 1000000},
  {"clock_gettime as a system call", clock_syscall, 300000},
  {"pipe write + read in one process", pipe_self, 100000},
  {"pipe round trip between processes", pipe_round_trip, 40000},
  {"condition variable round trip between threads", thread_switch, 20000},
  {"open + close of /dev/null", open_close, 50000},
  {"signal to itself", signal_delivery, 50000},
  {"page fault, anonymous", page_fault, 102400},
  {"mmap + 2 faults + munmap", mmap_touch, 30000},
  {"pthread_create + join", thread_create, 3000},
  {"fork + wait", fork_wait, 1000},
  {"fork + exec + wait, static program", fork_exec_wait, 200},
};

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "exit") == 0) return 0;
  static char path[4096];
  ssize_t k = readlink("/proc/self/exe", path, sizeof path - 1);
  self = k > 0 ? path : argv[0];
  double scale = argc > 1 ? atof(argv[1]) : 1;
  for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
    if (argc > 2 && strcmp(TABLE[i].name, argv[2])) continue;
    long n = TABLE[i].count * scale;
    if (n < 10) n = 10;
    TABLE[i].run(n / 10 + 1);
    double t = now();
    TABLE[i].run(n);
    t = (now() - t) / n;
    printf("%s: %.1f ns\n", TABLE[i].name, t);
    fflush(stdout);
  }
  return 0;
}
