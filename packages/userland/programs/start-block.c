/*
 * Checks what the kernel put at sp before the first instruction: argc, argv, NULL, envp, NULL,
 * auxv pairs, and that sp is 16-aligned. Stands alone, so that no library code runs first.
 * Prints the arguments, then OK; each broken promise is named and makes the exit status 1.
 */
typedef unsigned long u64;

__asm__(".globl _start\n"
        "_start:\n"
        ".option push\n"
        ".option norelax\n"
        "  la gp, __global_pointer$\n"
        ".option pop\n"
        "  mv a0, sp\n"
        "  call check_start\n"
        "  li a7, 94\n"
        "  ecall\n");

static void print(const char *s) {
  u64 n = 0;
  while (s[n]) n++;
  register u64 a7 __asm__("a7") = 64;
  register u64 a0 __asm__("a0") = 1;
  register const char *a1 __asm__("a1") = s;
  register u64 a2 __asm__("a2") = n;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
}

static int failures;
static void expect(int ok, const char *what) {
  if (ok) return;
  print("broken: ");
  print(what);
  print("\n");
  failures = 1;
}

static u64 find(const u64 *auxv, u64 type, int *present) {
  for (; auxv[0]; auxv += 2)
    if (auxv[0] == type) return *present = 1, auxv[1];
  return *present = 0, 0;
}

__attribute__((used)) static int check_start(const u64 *sp) {
  u64 argc = sp[0];
  char **argv = (char **)(sp + 1), **envp = argv + argc + 1;
  expect(((u64)sp & 15) == 0, "sp is 16-byte aligned");
  expect(argc >= 1 && argc < 4096, "argc is at sp");
  if (failures) return 1;
  for (u64 i = 0; i < argc; i++) {
    expect(argv[i] != 0, "argv has argc strings");
    if (failures) return 1;
    print(argv[i]);
    print(i + 1 < argc ? " " : "\n");
  }
  expect(argv[argc] == 0, "argv ends with NULL");
  const char *last = argv[argc - 1];
  for (char **e = envp; *e; e++) {
    int has_equals = 0;
    for (const char *c = *e; *c; c++) has_equals |= *c == '=';
    expect(has_equals, "environment entries are NAME=VALUE");
    last = *e;
  }
  char **end = envp;
  while (*end) end++;
  const u64 *auxv = (const u64 *)(end + 1);
  int there;
  expect(find(auxv, 6, &there) == 4096 && there, "AT_PAGESZ is 4096");
  u64 phdr = find(auxv, 3, &there);
  expect(there && phdr, "AT_PHDR points at the program headers");
  expect(find(auxv, 4, &there) == 56, "AT_PHENT is 56");
  u64 phnum = find(auxv, 5, &there);
  expect(there && phnum > 0 && phnum < 64, "AT_PHNUM counts them");
  extern char _start[];
  expect(find(auxv, 9, &there) == (u64)_start, "AT_ENTRY is the entry point");
  const unsigned char *random = (const unsigned char *)find(auxv, 25, &there);
  int varied = 0;
  for (int i = 1; there && i < 16; i++) varied |= random[i] != random[0];
  expect(there && varied, "AT_RANDOM points at 16 random bytes");
  u64 hwcap = find(auxv, 16, &there);
  expect(there && (hwcap & 0x112d) == 0x112d, "AT_HWCAP says IMAFDC");
  expect(find(auxv, 17, &there) == 100, "AT_CLKTCK is 100");
  find(auxv, 11, &there);
  expect(there, "AT_UID is there");
  const char *execfn = (const char *)find(auxv, 31, &there);
  expect(there && *execfn, "AT_EXECFN names the file");
  expect((u64)last > (u64)auxv, "strings lie above the vectors");
  print(failures ? "FAILED\n" : "OK\n");
  return failures;
}
