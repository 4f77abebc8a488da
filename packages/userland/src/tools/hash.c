/* md5sum, sha1sum, sha256sum, sha512sum (RFC 1321, FIPS 180-4), cksum (POSIX CRC), base64. */
#include "../box.h"

typedef enum { MD5, SHA1, SHA256, SHA512 } Algorithm;
typedef struct {
  Algorithm kind;
  union { uint32_t w[8]; uint64_t d[8]; } h;
  uint8_t block[128];
  size_t used, block_size;
  uint64_t total;
} Hash;

static uint32_t rol(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static uint64_t ror64(uint64_t x, int n) { return x >> n | x << (64 - n); }
static uint64_t big_endian(const uint8_t *p, int n) {
  uint64_t v = 0;
  while (n--) v = v << 8 | *p++;
  return v;
}

static const uint32_t md5_k[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static void md5_block(Hash *s, const uint8_t *p) {
  static const uint8_t shift[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
  uint32_t a = s->h.w[0], b = s->h.w[1], c = s->h.w[2], d = s->h.w[3], m[16];
  for (int i = 0; i < 16; i++) m[i] = (uint32_t)p[i * 4] | (uint32_t)p[i * 4 + 1] << 8 | (uint32_t)p[i * 4 + 2] << 16 | (uint32_t)p[i * 4 + 3] << 24;
  for (int i = 0; i < 64; i++) {
    uint32_t f;
    int g;
    if (i < 16) f = (b & c) | (~b & d), g = i;
    else if (i < 32) f = (d & b) | (~d & c), g = (5 * i + 1) & 15;
    else if (i < 48) f = b ^ c ^ d, g = (3 * i + 5) & 15;
    else f = c ^ (b | ~d), g = 7 * i & 15;
    uint32_t t = d;
    d = c;
    c = b;
    b += rol(a + f + md5_k[i] + m[g], shift[i / 16 * 4 + i % 4]);
    a = t;
  }
  s->h.w[0] += a, s->h.w[1] += b, s->h.w[2] += c, s->h.w[3] += d;
}

static void sha1_block(Hash *s, const uint8_t *p) {
  uint32_t w[80], a = s->h.w[0], b = s->h.w[1], c = s->h.w[2], d = s->h.w[3], e = s->h.w[4];
  for (int i = 0; i < 16; i++) w[i] = (uint32_t)big_endian(p + i * 4, 4);
  for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  for (int i = 0; i < 80; i++) {
    uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6, t = rol(a, 5) + f + e + k + w[i];
    e = d, d = c, c = rol(b, 30), b = a, a = t;
  }
  s->h.w[0] += a, s->h.w[1] += b, s->h.w[2] += c, s->h.w[3] += d, s->h.w[4] += e;
}

/* SHA-512's constants; SHA-256's are their upper halves (both are fractions of cube roots). */
static const uint64_t sha_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b,
    0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1,
    0x9bdc06a725c71235, 0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65, 0x2de92c6f592b0275,
    0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b, 0xa2bfe8a14cf10364, 0xa81a664bbc423001,
    0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8,
    0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec, 0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915,
    0xc67178f2e372532b, 0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c, 0x4cc5d4becb3e42b6,
    0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

static void sha256_block(Hash *s, const uint8_t *p) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) w[i] = (uint32_t)big_endian(p + i * 4, 4);
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] + (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
  }
  memcpy(v, s->h.w, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = v[7] + (ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + (uint32_t)(sha_k[i] >> 32) + w[i];
    uint32_t t2 = (ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) s->h.w[i] += v[i];
}

static void sha512_block(Hash *s, const uint8_t *p) {
  uint64_t w[80], v[8];
  for (int i = 0; i < 16; i++) w[i] = big_endian(p + i * 8, 8);
  for (int i = 16; i < 80; i++) {
    uint64_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (ror64(a, 1) ^ ror64(a, 8) ^ a >> 7) + w[i - 7] + (ror64(b, 19) ^ ror64(b, 61) ^ b >> 6);
  }
  memcpy(v, s->h.d, sizeof v);
  for (int i = 0; i < 80; i++) {
    uint64_t t1 = v[7] + (ror64(v[4], 14) ^ ror64(v[4], 18) ^ ror64(v[4], 41)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_k[i] + w[i];
    uint64_t t2 = (ror64(v[0], 28) ^ ror64(v[0], 34) ^ ror64(v[0], 39)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) s->h.d[i] += v[i];
}

static void hash_init(Hash *s, Algorithm kind) {
  static const uint32_t sha1_start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  static const uint32_t sha256_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static const uint64_t sha512_start[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  *s = (Hash){.kind = kind, .block_size = kind == SHA512 ? 128 : 64};
  if (kind == SHA512) memcpy(s->h.d, sha512_start, sizeof sha512_start);
  else if (kind == SHA256) memcpy(s->h.w, sha256_start, sizeof sha256_start);
  else memcpy(s->h.w, sha1_start, sizeof sha1_start);
}
static void hash_block(Hash *s, const uint8_t *p) {
  static void (*const run[])(Hash *, const uint8_t *) = {md5_block, sha1_block, sha256_block, sha512_block};
  run[s->kind](s, p);
}
static void hash_add(Hash *s, const uint8_t *p, size_t n) {
  s->total += n;
  while (n) {
    if (!s->used && n >= s->block_size) {
      hash_block(s, p);
      p += s->block_size, n -= s->block_size;
      continue;
    }
    size_t k = s->block_size - s->used < n ? s->block_size - s->used : n;
    memcpy(s->block + s->used, p, k);
    s->used += k, p += k, n -= k;
    if (s->used == s->block_size) hash_block(s, s->block), s->used = 0;
  }
}
static void hash_end(Hash *s, char hex[129]) {
  uint64_t bits = s->total * 8;
  size_t tail = s->kind == SHA512 ? 112 : 56;
  uint8_t one = 0x80, zero = 0, length[8];
  hash_add(s, &one, 1);
  while (s->used != tail) hash_add(s, &zero, 1);
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (s->kind == MD5 ? i * 8 : 56 - i * 8));
  if (s->kind == SHA512)
    for (int i = 0; i < 8; i++) hash_add(s, &zero, 1);
  hash_add(s, length, 8);
  static const int sizes[] = {16, 20, 32, 64};
  for (int i = 0; i < sizes[s->kind]; i++) {
    uint32_t byte = s->kind == SHA512 ? (uint32_t)(s->h.d[i / 8] >> (56 - i % 8 * 8)) : s->h.w[i / 4] >> (s->kind == MD5 ? i % 4 * 8 : 24 - i % 4 * 8);
    snprintf(hex + i * 2, 3, "%02x", byte & 255);
  }
}

static bool hash_path(const char *path, Algorithm kind, char hex[129]) {
  static uint8_t block[16384];
  FILE *f = open_operand(path);
  if (!f) return false;
  Hash s;
  hash_init(&s, kind);
  for (size_t n; (n = fread(block, sizeof block, f)) > 0;) hash_add(&s, block, n);
  close_operand(f);
  hash_end(&s, hex);
  return true;
}

static int check_list(const char *list, Algorithm kind, bool quiet) {
  FILE *f = open_operand(list);
  if (!f) return 1;
  char *line = NULL, hex[129];
  size_t cap = 0;
  int failures = 0;
  for (ssize_t n; (n = getline(&line, &cap, f)) >= 0;) {
    line[strcspn(line, "\n")] = 0;
    char *space = strchr(line, ' ');
    if (!space) continue;
    *space = 0;
    char *path = space + 2;
    bool ok = hash_path(path, kind, hex) && !strcasecmp(hex, line);
    if (!ok) failures++;
    if (!ok || !quiet) printf("%s: %s\n", path, ok ? "OK" : "FAILED");
  }
  close_operand(f);
  if (failures) warn("WARNING: %d computed checksum%s did NOT match", failures, failures > 1 ? "s" : "");
  return failures != 0;
}

static int sum(int argc, char **argv, Algorithm kind) {
  bool check = false, quiet = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "cbtq", "check=c,binary=b,text=t,quiet=q,status=q")) >= 0) {
    if (opt == 'c') check = true;
    else if (opt == 'q') quiet = true;
    else if (opt == '?') return usage_error();
  }
  static char *dash[] = {"-", NULL};
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    char hex[129];
    if (check) status |= check_list(*path, kind, quiet);
    else if (hash_path(*path, kind, hex)) printf("%s  %s\n", hex, *path);
    else status = 1;
  }
  return status;
}
int md5sum_main(int argc, char **argv) { return sum(argc, argv, MD5); }
int sha1sum_main(int argc, char **argv) { return sum(argc, argv, SHA1); }
int sha256sum_main(int argc, char **argv) { return sum(argc, argv, SHA256); }
int sha512sum_main(int argc, char **argv) { return sum(argc, argv, SHA512); }

int cksum_main(int argc, char **argv) {
  static char *dash[] = {"-", NULL};
  int status = 0;
  uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i << 24;
    for (int k = 0; k < 8; k++) c = c & 0x80000000 ? c << 1 ^ 0x04c11db7 : c << 1;
    table[i] = c;
  }
  for (char **path = argc > 1 ? argv + 1 : dash; *path; path++) {
    FILE *f = open_operand(*path);
    if (!f) {
      status = 1;
      continue;
    }
    uint32_t crc = 0;
    uint64_t n = 0;
    for (int c; (c = fgetc(f)) != EOF; n++) crc = crc << 8 ^ table[crc >> 24 ^ (uint32_t)c];
    for (uint64_t left = n; left; left >>= 8) crc = crc << 8 ^ table[crc >> 24 ^ (left & 255)];
    printf("%u %lu%s%s\n", ~crc, n, argc > 1 ? " " : "", argc > 1 ? *path : "");
    close_operand(f);
  }
  return status;
}

int base64_main(int argc, char **argv) {
  static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  bool decode = false, ignore = false;
  int width = 76, opt;
  while ((opt = getopt(argc, argv, "diw:", "decode=d,ignore-garbage=i,wrap:=w")) >= 0) {
    if (opt == 'd') decode = true;
    else if (opt == 'i') ignore = true;
    else if (opt == 'w') width = atoi(optarg);
    else return usage_error();
  }
  FILE *f = open_operand(optind < argc ? argv[optind] : "-");
  if (!f) return 1;
  if (decode) {
    uint32_t bits = 0;
    int held = 0; /* bits not yet written */
    for (int c; (c = fgetc(f)) != EOF;) {
      const char *hit = c ? strchr(set, c) : NULL;
      if (c == '=') break;
      if (!hit) {
        if (c == '\n' || ignore) continue;
        warn("invalid input");
        return 1;
      }
      bits = bits << 6 | (uint32_t)(hit - set);
      held += 6;
      if (held >= 8) putchar((int)(bits >> (held -= 8) & 255));
    }
    return 0;
  }
  uint8_t in[3];
  int column = 0;
  for (size_t n; (n = fread(in, 3, f)) > 0;) {
    uint32_t bits = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0u);
    for (size_t i = 0; i < 4; i++) {
      putchar(i > n ? '=' : set[bits >> (18 - i * 6) & 63]);
      if (width && ++column == width) putchar('\n'), column = 0;
    }
  }
  if (column) putchar('\n');
  return 0;
}
