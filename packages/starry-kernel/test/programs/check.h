/* Self-checking guest programs: every check prints "ok NAME" or "FAIL NAME"; the exit status is the number of failures. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

#define CHECK(name, condition)                                              \
  do {                                                                      \
    errno = 0;                                                              \
    if (condition) printf("ok %s\n", name);                                 \
    else {                                                                  \
      failures++;                                                           \
      printf("FAIL %s (line %d, errno %d)\n", name, __LINE__, errno);       \
    }                                                                       \
    fflush(stdout);                                                         \
  } while (0)

/* Runs its statements in a child; true if it exits with status 0. */
#define IN_CHILD(...)                                                       \
  ({                                                                        \
    fflush(stdout);                                                         \
    pid_t child_ = fork();                                                  \
    if (child_ == 0) {                                                      \
      __VA_ARGS__;                                                          \
      _exit(0);                                                             \
    }                                                                       \
    int status_ = -1;                                                       \
    waitpid(child_, &status_, 0);                                           \
    status_;                                                                \
  })
