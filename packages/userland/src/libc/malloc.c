/*
 * Memory allocation. Small blocks come from size classes with free lists, carved out of 64 KiB
 * anonymous mappings; a block over 16 KiB has its own mapping, returned to the kernel when freed
 * and grown with mremap. Every block is preceded by its capacity, and blocks are 16-aligned.
 */
#include "libc.h"

enum { HEADER = 16, CLASSES = 40, LARGE = 16384, CHUNK = 65536 };
typedef struct Free { struct Free *next; } Free;

static Free *free_list[CLASSES];
static char *chunk, *chunk_end;

/* Four classes per power of two above 64 keep waste under a quarter. */
static unsigned class_of(size_t n, size_t *capacity) {
  if (n <= 64) {
    unsigned k = n ? (unsigned)((n - 1) / 16) : 0;
    *capacity = (k + 1) * 16;
    return k;
  }
  unsigned k = 4;
  for (size_t base = 64;; base *= 2)
    for (size_t step = 1; step <= 4; step++, k++)
      if (n <= base + base / 4 * step) {
        *capacity = base + base / 4 * step;
        return k;
      }
}

static _Noreturn void out_of_memory(void) {
  static const char text[] = "out of memory\n";
  sys_write(2, text, sizeof text - 1);
  sys_exit_group(125);
}

static void *map(size_t n) {
  long p = sys_mmap_anon(n);
  if (p < 0 && p > -4096) out_of_memory();
  return (void *)p;
}

static inline size_t *header(void *p) { return (size_t *)((char *)p - HEADER); }
static inline size_t mapped_size(size_t n) { return (n + HEADER + 4095) & ~(size_t)4095; }

void *malloc(size_t n) {
  if (n > LARGE) {
    size_t total = mapped_size(n);
    if (total < n) out_of_memory();
    char *p = map(total);
    *(size_t *)p = total - HEADER;
    return p + HEADER;
  }
  size_t capacity;
  unsigned k = class_of(n, &capacity);
  if (free_list[k]) {
    Free *block = free_list[k];
    free_list[k] = block->next;
    return block;
  }
  if ((size_t)(chunk_end - chunk) < capacity + HEADER) {
    chunk = map(CHUNK);
    chunk_end = chunk + CHUNK;
  }
  char *p = chunk;
  chunk += capacity + HEADER;
  *(size_t *)p = capacity;
  return p + HEADER;
}

void free(void *p) {
  if (!p) return;
  size_t capacity = *header(p);
  if (capacity > LARGE) {
    sys_munmap(header(p), capacity + HEADER);
    return;
  }
  unsigned k = class_of(capacity, &capacity);
  Free *block = p;
  block->next = free_list[k];
  free_list[k] = block;
}

void *calloc(size_t n, size_t size) {
  size_t total = n * size;
  if (size && total / size != n) out_of_memory();
  void *p = malloc(total);
  if (total <= LARGE) memset(p, 0, total); /* a fresh mapping is zero already */
  return p;
}

void *realloc(void *p, size_t n) {
  if (!p) return malloc(n);
  size_t capacity = *header(p);
  if (n <= capacity && (n > LARGE || capacity <= LARGE)) return p;
  if (n > LARGE && capacity > LARGE) {
    size_t total = mapped_size(n);
    if (total < n) out_of_memory();
    long q = syscall4(SYS_mremap, (long)header(p), (long)(capacity + HEADER), (long)total, 1 /* MREMAP_MAYMOVE */);
    if (q < 0 && q > -4096) out_of_memory();
    *(size_t *)q = total - HEADER;
    return (char *)q + HEADER;
  }
  void *q = malloc(n);
  memcpy(q, p, n < capacity ? n : capacity);
  free(p);
  return q;
}

char *strndup(const char *s, size_t n) {
  n = strnlen(s, n);
  char *p = malloc(n + 1);
  memcpy(p, s, n);
  p[n] = 0;
  return p;
}
char *strdup(const char *s) { return strndup(s, strlen(s)); }
