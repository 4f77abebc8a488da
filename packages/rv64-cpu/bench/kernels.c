/* C kernels of the CPU benchmarks: `kernels NAME [SCALE]` prints a checksum. Static, no libm. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t intloop(int scale) {
  uint64_t x = 88172645463325252ull, sum = 0;
  for (long n = 0; n < 4000000L * scale; n++) {
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    sum += (x & 1) ? x * 3 : x >> 3;
  }
  return sum;
}
/* Calls: noinline keeps gcc from unrolling the recursion ten levels deep, as it does for fibtree. */
__attribute__((noinline)) static uint64_t fib_(int n) { return n < 2 ? (uint64_t)n : fib_(n - 1) + fib_(n - 2); }
static uint64_t fib(int scale) { uint64_t s = 0; for (int i = 0; i < scale; i++) s += fib_(29); return s; }
static uint64_t fibtree_(int n) { return n < 2 ? (uint64_t)n : fibtree_(n - 1) + fibtree_(n - 2); }
static uint64_t fibtree(int scale) { uint64_t s = 0; for (int i = 0; i < scale; i++) s += fibtree_(29); return s; }

static uint64_t sieve(int scale) {
  static uint8_t composite[1 << 20];
  uint64_t count = 0;
  for (int r = 0; r < scale; r++) {
    memset(composite, 0, sizeof composite);
    for (unsigned i = 2; i < sizeof composite; i++) {
      if (composite[i]) continue;
      count++;
      for (unsigned j = i * 2; j < sizeof composite; j += i) composite[j] = 1;
    }
  }
  return count;
}

static const uint32_t K[64] = {
  0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
  0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
  0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
  0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2};
#define ROR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
static uint64_t sha256(int scale) {
  static uint32_t block[16];
  uint32_t h[8] = {0x6a09e667,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19};
  for (int r = 0; r < 20000 * scale; r++) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = block[i] + r;
    for (int i = 16; i < 64; i++)
      w[i] = w[i-16] + (ROR(w[i-15],7)^ROR(w[i-15],18)^(w[i-15]>>3)) + w[i-7] + (ROR(w[i-2],17)^ROR(w[i-2],19)^(w[i-2]>>10));
    uint32_t a=h[0],b=h[1],c=h[2],d=h[3],e=h[4],f=h[5],g=h[6],k=h[7];
    for (int i = 0; i < 64; i++) {
      uint32_t t1 = k + (ROR(e,6)^ROR(e,11)^ROR(e,25)) + ((e&f)^(~e&g)) + K[i] + w[i];
      uint32_t t2 = (ROR(a,2)^ROR(a,13)^ROR(a,22)) + ((a&b)^(a&c)^(b&c));
      k=g; g=f; f=e; e=d+t1; d=c; c=b; b=a; a=t1+t2;
    }
    h[0]+=a;h[1]+=b;h[2]+=c;h[3]+=d;h[4]+=e;h[5]+=f;h[6]+=g;h[7]+=k;
  }
  return ((uint64_t)h[0] << 32) | h[7];
}

static int compare(const void *a, const void *b) { uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b; return (x > y) - (x < y); }
static uint64_t sort(int scale) {
  static uint32_t v[100000];
  uint64_t sum = 0;
  for (int r = 0; r < scale; r++) {
    uint32_t x = 12345 + r;
    for (int i = 0; i < 100000; i++) v[i] = x = x * 1664525 + 1013904223;
    qsort(v, 100000, 4, compare);
    for (int i = 0; i < 100000; i += 1000) sum = sum * 31 + v[i];
  }
  return sum;
}

/* A bytecode interpreter: indirect jumps. */
static uint64_t vm(int scale) {
  static const uint8_t program[] = {0, 1, 2, 3, 1, 4, 5, 0, 2, 6, 3, 1, 7};
  uint64_t acc = 1, t = 7;
  for (int r = 0; r < 300000 * scale; r++) {
    for (const uint8_t *pc = program;; ) {
      switch (*pc++) {
        case 0: acc += t; continue;
        case 1: t ^= acc; continue;
        case 2: acc = acc * 5 + 1; continue;
        case 3: t += 3; continue;
        case 4: acc ^= t >> 3; continue;
        case 5: t = (t << 1) | (t >> 63); continue;
        case 6: acc -= t; continue;
        case 7: break;
      }
      break;
    }
  }
  return acc ^ t;
}

static double body[5][7] = {{0,0,0,0,0,0,39.47},{4.84,-1.16,-.10,.6,2.8,-.02,.037},{8.34,4.12,-.4,-1.01,1.82,.008,.011},{12.89,-15.11,-.22,1.08,.86,-.01,.0017},{15.37,-25.9,.179,.97,.59,-.03,.002}};
static double sqrt_(double x) { double r; __asm__("fsqrt.d %0, %1" : "=f"(r) : "f"(x)); return r; }
static uint64_t nbody(int scale) {
  for (int r = 0; r < 20000 * scale; r++) {
    for (int i = 0; i < 5; i++) for (int j = i + 1; j < 5; j++) {
      double dx = body[i][0]-body[j][0], dy = body[i][1]-body[j][1], dz = body[i][2]-body[j][2];
      double d2 = dx*dx+dy*dy+dz*dz, mag = 0.01/(d2*sqrt_(d2));
      body[i][3] -= dx*body[j][6]*mag; body[i][4] -= dy*body[j][6]*mag; body[i][5] -= dz*body[j][6]*mag;
      body[j][3] += dx*body[i][6]*mag; body[j][4] += dy*body[i][6]*mag; body[j][5] += dz*body[i][6]*mag;
    }
    for (int i = 0; i < 5; i++) for (int k = 0; k < 3; k++) body[i][k] += 0.01*body[i][3+k];
  }
  uint64_t bits; memcpy(&bits, &body[0][0], 8); return bits;
}
static uint64_t matmul(int scale) {
  static double a[64][64], b[64][64], c[64][64];
  for (int i = 0; i < 64; i++) for (int j = 0; j < 64; j++) { a[i][j] = i + j * 0.5; b[i][j] = i - j * 0.25; c[i][j] = 0; }
  for (int r = 0; r < 10 * scale; r++)
    for (int i = 0; i < 64; i++) for (int j = 0; j < 64; j++) { double s = c[i][j] * 0.5; for (int k = 0; k < 64; k++) s += a[i][k] * b[k][j]; c[i][j] = s; }
  uint64_t bits; memcpy(&bits, &c[17][23], 8); return bits;
}
static uint64_t copy(int scale) {
  static uint8_t from[1 << 20], to[1 << 20];
  for (int i = 0; i < (1 << 20); i++) from[i] = i * 7;
  uint64_t sum = 0;
  for (int r = 0; r < 20 * scale; r++) { memcpy(to, from, sizeof to - r); memset(from, r, 1000); sum += to[r * 100]; }
  return sum;
}
static uint64_t chase(int scale) {
  static uint32_t next[1 << 18];
  uint32_t x = 1;
  for (int i = 0; i < (1 << 18); i++) next[i] = (i * 40503u + 12345u) & ((1 << 18) - 1);
  for (long i = 0; i < 1000000L * scale; i++) x = next[x] ^ (i & 1);
  return x;
}
static uint64_t strings(int scale) {
  static char text[4096];
  uint64_t sum = 0;
  for (int i = 0; i < 4095; i++) text[i] = 'a' + i % 23;
  for (int r = 0; r < 300 * scale; r++) {
    text[100 + r % 3000] ^= 1;
    sum += strlen(text) + (uint64_t)(strchr(text, 'x') - text) + (strcmp(text, text + 23) > 0);
    for (char *p = text; *p; p++) sum = sum * 31 + *p;
  }
  return sum;
}

/* Spectral norm of the matrix 1 / ((i + j) (i + j + 1) / 2 + i + 1). */
static double spectralA(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }
static void spectralMultiply(int n, const double *v, double *out, int transposed) {
  for (int i = 0; i < n; i++) {
    double s = 0;
    for (int j = 0; j < n; j++) s += (transposed ? spectralA(j, i) : spectralA(i, j)) * v[j];
    out[i] = s;
  }
}
static uint64_t spectral(int scale) {
  enum { N = 150 };
  static double u[N], v[N], t[N];
  for (int i = 0; i < N; i++) u[i] = 1;
  for (int r = 0; r < 20 * scale; r++) {
    spectralMultiply(N, u, t, 0); spectralMultiply(N, t, v, 1);
    spectralMultiply(N, v, t, 0); spectralMultiply(N, t, u, 1);
    double m = 0;
    for (int i = 0; i < N; i++) if (u[i] > m) m = u[i];
    for (int i = 0; i < N; i++) u[i] /= m;
  }
  uint64_t bits; memcpy(&bits, &u[N / 2], 8); return bits;
}

/* Gaussian elimination with partial pivoting, as in LINPACK (dgefa with daxpy, idamax, dscal). */
static void daxpy(int n, double a, const double *x, double *y) { for (int i = 0; i < n; i++) y[i] += a * x[i]; }
static uint64_t linpack(int scale) {
  enum { N = 100 };
  static double a[N][N], b[N];
  double sum = 0;
  for (int r = 0; r < 20 * scale; r++) {
    uint32_t x = 1325;
    for (int j = 0; j < N; j++) for (int i = 0; i < N; i++) { x = 3125 * x % 65536; a[j][i] = (x - 32768.0) / 16384.0; }
    for (int i = 0; i < N; i++) { b[i] = 0; for (int j = 0; j < N; j++) b[i] += a[j][i]; }
    for (int k = 0; k < N - 1; k++) {
      int p = k;
      for (int i = k + 1; i < N; i++) if (__builtin_fabs(a[k][i]) > __builtin_fabs(a[k][p])) p = i;
      double t = a[k][p]; a[k][p] = a[k][k]; a[k][k] = t;
      for (int i = k + 1; i < N; i++) a[k][i] *= -1 / t;
      for (int j = k + 1; j < N; j++) {
        double m = a[j][p]; a[j][p] = a[j][k]; a[j][k] = m;
        daxpy(N - k - 1, m, &a[k][k + 1], &a[j][k + 1]);
      }
      double m = b[p]; b[p] = b[k]; b[k] = m;
      daxpy(N - k - 1, m, &a[k][k + 1], b + k + 1);
    }
    for (int k = N - 1; k >= 0; k--) { b[k] /= a[k][k]; daxpy(k, -b[k], a[k], b); }
    sum += b[r % N];
  }
  uint64_t bits; memcpy(&bits, &sum, 8); return bits;
}

/* memcpy and memset of one size, from changing places; `volatile` keeps the calls. */
static void *(*volatile copyBytes)(void *, const void *, size_t) = memcpy;
static void *(*volatile setBytes)(void *, int, size_t) = memset;
static uint8_t area[1 << 22];
static uint64_t copies(size_t size, long count) {
  size_t mask = (sizeof area / 2 - 1) & ~(size - 1);
  for (size_t i = 0; i < sizeof area; i++) area[i] = i * 7;
  uint64_t sum = 0;
  for (long r = 0; r < count; r++) { copyBytes(area + sizeof area / 2 + ((r * 3 * size) & mask), area + ((r * size) & mask), size); sum += area[sizeof area / 2 + (r & 1023)]; }
  return sum;
}
static uint64_t sets(size_t size, long count) {
  size_t mask = (sizeof area - 1) & ~(size - 1);
  uint64_t sum = 0;
  for (long r = 0; r < count; r++) { setBytes(area + ((r * size) & mask), r, size); sum += area[r & 1023]; }
  return sum;
}
static uint64_t copy64(int scale) { return copies(64, 1000000L * scale); }
static uint64_t copy4k(int scale) { return copies(4096, 30000L * scale); }
static uint64_t copy1m(int scale) { return copies(1 << 20, 120L * scale); }
static uint64_t set64(int scale) { return sets(64, 1000000L * scale); }
static uint64_t set4k(int scale) { return sets(4096, 50000L * scale); }
static uint64_t set1m(int scale) { return sets(1 << 20, 200L * scale); }

/* STREAM: copy, scale, add, triad. */
static uint64_t stream(int scale) {
  enum { N = 1 << 18 };
  static double a[N], b[N], c[N];
  for (int i = 0; i < N; i++) { a[i] = 1 + i; b[i] = 2; c[i] = 0; }
  for (int r = 0; r < 4 * scale; r++) {
    for (int i = 0; i < N; i++) c[i] = a[i];
    for (int i = 0; i < N; i++) b[i] = 0.75 * c[i];
    for (int i = 0; i < N; i++) c[i] = a[i] + b[i];
    for (int i = 0; i < N; i++) a[i] = b[i] + 0.25 * c[i];
  }
  uint64_t bits; memcpy(&bits, &a[N / 3], 8); return bits;
}

/* Counters with amoadd, a lock with lr/sc, and fences. */
static uint64_t atomics(int scale) {
  static uint64_t counter, total;
  static uint32_t lock;
  for (long i = 0; i < 1000000L * scale; i++) {
    __atomic_fetch_add(&counter, i, __ATOMIC_SEQ_CST);
    uint32_t free = 0;
    while (!__atomic_compare_exchange_n(&lock, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) free = 0;
    total += counter;
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
  }
  return counter ^ total;
}

/* Calls through pointers, as of virtual methods. */
static uint64_t methodA(uint64_t x) { return x * 3 + 1; }
static uint64_t methodB(uint64_t x) { return x ^ (x >> 7); }
static uint64_t methodC(uint64_t x) { return x + 0x9e3779b97f4a7c15ull; }
static uint64_t methods(int scale) {
  static uint64_t (*volatile table[4])(uint64_t) = {methodA, methodB, methodC, methodB};
  uint64_t x = 1;
  for (long i = 0; i < 2000000L * scale; i++) x = table[i & 3](x);
  return x;
}

/*
 * The mix of small embedded programs, after what CoreMark says it measures (EEMBC, "Exploring CoreMark"): linked lists are
 * searched, sorted and reversed, small matrices multiplied, text taken apart by a state machine, and a CRC-16 taken of it all.
 */
struct item { struct item *next; int16_t key, index; };
static uint16_t crc16(uint16_t crc, uint16_t value) {
  for (int bit = 0; bit < 16; bit++) {
    int carry = (value ^ crc) & 1;
    value >>= 1; crc >>= 1;
    if (carry) crc ^= 0xa001;
  }
  return crc;
}
__attribute__((noinline)) static struct item *reversed(struct item *list) {
  struct item *done = NULL;
  while (list) { struct item *next = list->next; list->next = done; done = list; list = next; }
  return done;
}
__attribute__((noinline)) static struct item *found(struct item *list, int key, int index) {
  while (list && (index >= 0 ? list->index != index : (list->key & 0xff) != key)) list = list->next;
  return list;
}
typedef int (*order)(const struct item *, const struct item *);
static int byKey(const struct item *a, const struct item *b) { return a->key - b->key; }
static int byIndex(const struct item *a, const struct item *b) { return a->index - b->index; }
/* Bottom-up merge sort. */
__attribute__((noinline)) static struct item *sorted(struct item *list, order compareItems) {
  for (int width = 1;; width *= 2) {
    struct item *rest = list, *tail = NULL;
    int merges = 0;
    list = NULL;
    while (rest) {
      struct item *left = rest, *right = rest;
      int lefts = 0, rights = width;
      merges++;
      while (lefts < width && right) { lefts++; right = right->next; }
      while (lefts > 0 || (rights > 0 && right)) {
        struct item *least;
        if (lefts > 0 && (rights == 0 || !right || compareItems(left, right) <= 0)) { least = left; left = left->next; lefts--; }
        else { least = right; right = right->next; rights--; }
        if (tail) tail->next = least; else list = least;
        tail = least;
      }
      rest = right;
    }
    if (tail) tail->next = NULL;
    if (merges <= 1) return list;
  }
}
#define ORDER 13
__attribute__((noinline)) static uint16_t matrices(int16_t a[ORDER][ORDER], int16_t b[ORDER][ORDER], int16_t constant) {
  static int32_t product[ORDER][ORDER];
  int32_t sum = 0;
  for (int i = 0; i < ORDER; i++) for (int j = 0; j < ORDER; j++) a[i][j] += constant;
  for (int i = 0; i < ORDER; i++) for (int j = 0; j < ORDER; j++) {
    int32_t dot = 0, bits = 0;
    for (int k = 0; k < ORDER; k++) { int32_t p = (int32_t)a[i][k] * b[k][j]; dot += p; bits += ((p >> 2) & 0xf) * ((p >> 5) & 0x7f); }
    product[i][j] = dot; sum += dot ^ bits;
  }
  for (int i = 0; i < ORDER; i++) for (int j = 0; j < ORDER; j++) { a[i][j] -= constant; sum += product[i][j] > sum ? 10 : 1; }
  return crc16(sum, sum >> 16);
}
/* Numbers of a text, by kind: integer, with a point, with an exponent, invalid. */
__attribute__((noinline)) static uint16_t scanned(const char *text, uint16_t crc) {
  enum { START, SIGN, DIGITS, POINT, FRACTION, E, ESIGN, EXPONENT, WRONG, STATES } state = START;
  uint32_t ends[STATES] = {0};
  for (;; text++) {
    char c = *text;
    int digit = c >= '0' && c <= '9';
    if (c == ',' || c == 0) { ends[state]++; state = START; if (c == 0) break; continue; }
    switch (state) {
      case START: state = digit ? DIGITS : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : WRONG; break;
      case SIGN: state = digit ? DIGITS : c == '.' ? POINT : WRONG; break;
      case DIGITS: if (!digit) state = c == '.' ? POINT : c == 'e' ? E : WRONG; break;
      case POINT: case FRACTION: state = digit ? FRACTION : c == 'e' ? E : WRONG; break;
      case E: state = digit ? EXPONENT : c == '+' || c == '-' ? ESIGN : WRONG; break;
      case ESIGN: state = digit ? EXPONENT : WRONG; break;
      case EXPONENT: if (!digit) state = WRONG; break;
      default: break;
    }
  }
  for (int n = 0; n < STATES; n++) crc = crc16(crc, ends[n]);
  return crc;
}
static uint64_t mixed(int scale) {
  enum { ITEMS = 60 };
  static struct item items[ITEMS];
  static int16_t a[ORDER][ORDER], b[ORDER][ORDER];
  static char text[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,9,8.25";
  uint16_t crc = 0;
  for (int n = 0; n < ITEMS; n++) items[n] = (struct item){n + 1 < ITEMS ? &items[n + 1] : NULL, (n * 7919) & 0x7ff, n};
  for (int i = 0; i < ORDER; i++) for (int j = 0; j < ORDER; j++) { a[i][j] = i * 31 + j * 7; b[i][j] = (i ^ j) + 3; }
  struct item *list = items;
  for (int r = 0; r < 1200 * scale; r++) {
    for (int n = 0; n < 20; n++) {
      struct item *hit = found(list, (n * 11 + r) & 0xff, n & 1 ? n * 3 : -1);
      list = reversed(list);
      crc = crc16(crc, hit ? hit->key : n);
    }
    crc = crc16(crc, matrices(a, b, r & 0xff));
    char kept = text[r % 100];
    text[r % 100] = '0' + r % 10;
    for (int n = 0; n < 3; n++) crc = scanned(text, crc);
    text[r % 100] = kept;
    list = sorted(list, byKey);
    crc = crc16(crc, list->index);
    list = sorted(list, byIndex);
  }
  return crc;
}

static const struct { const char *name; uint64_t (*run)(int); } kernels[] = {
  {"intloop", intloop}, {"fib", fib}, {"fibtree", fibtree}, {"sieve", sieve}, {"sha256", sha256}, {"sort", sort}, {"vm", vm}, {"nbody", nbody}, {"matmul", matmul},
  {"copy", copy}, {"chase", chase}, {"strings", strings}, {"spectral", spectral}, {"linpack", linpack},
  {"copy64", copy64}, {"copy4k", copy4k}, {"copy1m", copy1m}, {"set64", set64}, {"set4k", set4k}, {"set1m", set1m},
  {"stream", stream}, {"atomics", atomics}, {"methods", methods},
  {"mixed", mixed}};

int main(int argc, char **argv) {
  int scale = argc > 2 ? atoi(argv[2]) : 1;
  for (unsigned n = 0; n < sizeof kernels / sizeof *kernels; n++)
    if (argc < 2 || strcmp(argv[1], kernels[n].name) == 0) printf("%s %016llx\n", kernels[n].name, (unsigned long long)kernels[n].run(scale));
  return 0;
}
