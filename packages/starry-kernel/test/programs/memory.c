#include "check.h"

static sigjmp_buf escape;
static volatile sig_atomic_t fault_signal;
static volatile int fault_code;
static void *volatile fault_address;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  fault_signal = signal;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(escape, 1);
}

/* 0, or the signal that touching `p` raises. */
static int touch(volatile char *p, bool write) {
  fault_signal = 0;
  if (sigsetjmp(escape, 1) == 0) {
    if (write) *p = 1;
    else (void)*p;
  }
  return fault_signal;
}

static char *map(size_t n, int prot, int flags) {
  return mmap(NULL, n, prot, flags, -1, 0);
}

static int recurse(int depth) {
  volatile char frame[4000];
  frame[0] = (char)depth;
  return depth == 0 ? frame[0] : recurse(depth - 1) + frame[0];
}

int main(void) {
  const size_t P = 4096;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  static char alternate[65536];
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);

  char *a = map(8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  CHECK("anonymous memory is zero", a != MAP_FAILED && a[0] == 0 && a[8 * P - 1] == 0);
  memset(a, 7, 8 * P);
  CHECK("a hole can be cut out", munmap(a + 2 * P, P) == 0);
  CHECK("the hole faults", touch(a + 2 * P, false) == SIGSEGV && fault_code == SEGV_MAPERR && fault_address == a + 2 * P);
  CHECK("its neighbours live", a[2 * P - 1] == 7 && a[3 * P] == 7);
  CHECK("mprotect makes read-only", mprotect(a + 4 * P, P, PROT_READ) == 0);
  CHECK("a store to it faults", touch(a + 4 * P + 5, true) == SIGSEGV && fault_code == SEGV_ACCERR && fault_address == a + 4 * P + 5);
  CHECK("a load does not", touch(a + 4 * P, false) == 0);
  CHECK("PROT_NONE keeps contents", mprotect(a + 4 * P, P, PROT_NONE) == 0 && touch(a + 4 * P, false) == SIGSEGV &&
        mprotect(a + 4 * P, P, PROT_READ | PROT_WRITE) == 0 && a[4 * P] == 7);
  CHECK("and it is writable again", touch(a + 4 * P, true) == 0 && a[4 * P] == 1);
  CHECK("mprotect over a hole fails", mprotect(a, 8 * P, PROT_READ) == -1 && errno == ENOMEM);
  CHECK("MADV_DONTNEED zeroes", madvise(a + 5 * P, P, MADV_DONTNEED) == 0 && a[5 * P] == 0 && a[6 * P] == 7);

  char *fixed = mmap(a + 2 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK("MAP_FIXED fills the hole", fixed == a + 2 * P && *fixed == 0);
  CHECK("MAP_FIXED_NOREPLACE refuses", mmap(a, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0) == MAP_FAILED && errno == EEXIST);

  char *b = map(2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  b[0] = 'x';
  b[P] = 'y';
  char *c = mremap(b, 2 * P, 64 * P, MREMAP_MAYMOVE);
  CHECK("mremap grows", c != MAP_FAILED && c[0] == 'x' && c[P] == 'y' && c[63 * P] == 0);
  char *d = mremap(c, 64 * P, P, 0);
  CHECK("mremap shrinks in place", d == c && touch(c + P, false) == SIGSEGV);
  char *target = map(4 * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
  CHECK("mremap moves to a fixed place", mremap(d, P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target && target[0] == 'x' && touch(d, false) == SIGSEGV);

  /* Files */
  int fd = open("/tmp/memory.dat", O_RDWR | O_CREAT | O_TRUNC, 0600);
  char text[3 * 4096];
  memset(text, 'f', sizeof text);
  CHECK("a file is written", write(fd, text, 2 * P + 100) == (ssize_t)(2 * P + 100));
  char *shared = mmap(NULL, 4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *private = mmap(NULL, 3 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  CHECK("mappings show the file", shared[0] == 'f' && private[2 * P + 99] == 'f');
  CHECK("the rest of the last page is zero", shared[2 * P + 100] == 0 && private[3 * P - 1] == 0);
  CHECK("beyond the file is SIGBUS", touch(shared + 3 * P, false) == SIGBUS && fault_code == BUS_ADRERR);
  shared[10] = 'S';
  private[20] = 'P';
  char back[32];
  CHECK("a shared store reaches read(2)", pread(fd, back, 32, 0) == 32 && back[10] == 'S');
  CHECK("a private store does not", back[20] == 'f' && shared[20] == 'f');
  CHECK("write(2) reaches the shared mapping", pwrite(fd, "W", 1, 4096) == 1 && shared[4096] == 'W');
  CHECK("msync", msync(shared, 4 * P, MS_SYNC) == 0);
  CHECK("ftruncate cuts the mapping", ftruncate(fd, 100) == 0 && touch(shared + P, false) == SIGBUS);
  CHECK("and zeroes the tail", shared[100] == 0 && ftruncate(fd, 3 * P) == 0 && shared[2 * P] == 0);
  CHECK("a closed file stays mapped", close(fd) == 0 && shared[10] == 'S');
  CHECK("a read-only shared mapping of a read-only file", ({
    int ro = open("/tmp/memory.dat", O_RDONLY);
    char *m = mmap(NULL, P, PROT_READ, MAP_SHARED, ro, 0);
    bool refused = mprotect(m, P, PROT_READ | PROT_WRITE) == -1 && errno == EACCES;
    bool direct = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES;
    close(ro);
    m[10] == 'S' && refused && direct;
  }));
  unlink("/tmp/memory.dat");

  /* fork */
  char *cow = map(4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  char *both = map(P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
  cow[0] = 'p';
  both[0] = 'p';
  int status = IN_CHILD({
    if (cow[0] != 'p' || both[0] != 'p') _exit(1);
    cow[0] = 'c';
    cow[P] = 'c';
    both[0] = 'c';
  });
  CHECK("a child sees and changes its own copy", status == 0 && cow[0] == 'p' && cow[P] == 0);
  CHECK("shared memory is shared", both[0] == 'c');
  CHECK("the parent can still store", (cow[0] = 'q') == 'q');
  madvise(cow, P, MADV_DONTFORK);
  madvise(cow + P, P, 18 /* MADV_WIPEONFORK */);
  cow[P] = 'w';
  status = IN_CHILD({
    if (touch(cow, false) != SIGSEGV) _exit(1);
    if (cow[P] != 0) _exit(2);
  });
  CHECK("MADV_DONTFORK and MADV_WIPEONFORK", status == 0);

  /* break and stack */
  char *brk0 = sbrk(0);
  CHECK("sbrk grows", sbrk(3 * P) == brk0 && brk0[0] == 0 && (brk0[3 * P - 1] = 5) == 5);
  CHECK("sbrk shrinks", sbrk(-2 * (long)P) != (void *)-1 && touch((char *)(((uintptr_t)brk0 + 2 * P) & ~(P - 1)) + P, false) == SIGSEGV);
  CHECK("the stack grows", recurse(500) != 12345);
  struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
  status = IN_CHILD({
    setrlimit(RLIMIT_STACK, &limit);
    if (sigsetjmp(escape, 1) == 0) {
      recurse(100000);
      _exit(1);
    }
    if (fault_signal != SIGSEGV) _exit(2);
  });
  CHECK("a stack overflow is a SIGSEGV on the alternate stack", status == 0);

  /* limits and refusals */
  status = IN_CHILD({
    struct rlimit as = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
    setrlimit(RLIMIT_AS, &as);
    if (map(128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS) != MAP_FAILED) _exit(1);
  });
  CHECK("RLIMIT_AS", status == 0);
  CHECK("a large reservation is free", ({
    char *big = map(1ul << 36, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    bool ok = big != MAP_FAILED && mprotect(big + (1ul << 35), P, PROT_READ | PROT_WRITE) == 0 && (big[1ul << 35] = 3) == 3;
    munmap(big, 1ul << 36);
    ok;
  }));
  CHECK("unaligned offsets are refused", mmap(NULL, P, PROT_READ, MAP_PRIVATE, 0, 123) == MAP_FAILED && errno == EINVAL);
  CHECK("length 0 is refused", map(0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS) == MAP_FAILED && errno == EINVAL);
  CHECK("a null pointer to the kernel is EFAULT", write(1, (void *)8, 4) == -1 && errno == EFAULT);
  CHECK("a kernel address is EFAULT", write(1, (void *)0xffffffc000000000ul, 4) == -1 && errno == EFAULT);

  unsigned char vec[4];
  char *m = map(4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  m[P] = 1;
  CHECK("mincore", mincore(m, 4 * P, vec) == 0 && (vec[0] & 1) == 0 && (vec[1] & 1) == 1);
  CHECK("mlock", mlock(m, P) == 0 && munlock(m, P) == 0);

  /* code */
  uint32_t *code = (uint32_t *)map(P, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  code[0] = 0x02a00513; /* li a0, 42 */
  code[1] = 0x00008067; /* ret */
  __builtin___clear_cache((char *)code, (char *)(code + 2));
  CHECK("generated code runs", ((int (*)(void))code)() == 42);
  code[0] = 0x02b00513;
  __builtin___clear_cache((char *)code, (char *)(code + 2));
  CHECK("and can be changed", ((int (*)(void))code)() == 43);
  mprotect(code, P, PROT_READ);
  fault_signal = 0;
  if (sigsetjmp(escape, 1) == 0) ((int (*)(void))code)();
  CHECK("and is not executable without PROT_EXEC", fault_signal == SIGSEGV && fault_code == SEGV_ACCERR && fault_address == (void *)code);
  return failures;
}
