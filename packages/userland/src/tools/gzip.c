/* gzip, gunzip, zcat (RFC 1951, RFC 1952). Compression: hash chains and dynamic Huffman codes per
 * block; decompression: canonical codes by counts. */
#include "../box.h"

static uint32_t crc_table[256];
static uint32_t crc32_add(uint32_t crc, const uint8_t *p, size_t n) {
  if (!crc_table[1])
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
      crc_table[i] = c;
    }
  crc = ~crc;
  while (n--) crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 255];
  return ~crc;
}

static const uint16_t length_base[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t code_order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
static int distance_extra(int code) { return code < 4 ? 0 : code / 2 - 1; }

enum { WINDOW = 32768 };

/* ---- inflate ---- */

typedef struct { uint16_t count[16], symbol[288]; } Codes;
static FILE *in, *out;
static uint32_t bit_buffer;
static int bit_count;
static uint8_t window[WINDOW];
static size_t window_at;
static uint32_t crc;
static uint64_t total;

static _Noreturn void corrupt(void) { die("invalid compressed data"); }

static unsigned bits(int n) {
  while (bit_count < n) {
    int c = fgetc(in);
    if (c == EOF) die("unexpected end of file");
    bit_buffer |= (uint32_t)c << bit_count;
    bit_count += 8;
  }
  unsigned v = bit_buffer & ((1u << n) - 1);
  bit_buffer >>= n;
  bit_count -= n;
  return v;
}

static void make_codes(Codes *c, const uint8_t *lengths, int n) {
  uint16_t offset[16] = {0};
  memset(c->count, 0, sizeof c->count);
  for (int i = 0; i < n; i++) c->count[lengths[i]]++;
  c->count[0] = 0;
  int left = 1;
  for (int len = 1; len < 16; len++) {
    left = left * 2 - c->count[len];
    if (left < 0) corrupt();
    if (len < 15) offset[len + 1] = (uint16_t)(offset[len] + c->count[len]);
  }
  for (int i = 0; i < n; i++)
    if (lengths[i]) c->symbol[offset[lengths[i]]++] = (uint16_t)i;
}

static int decode(const Codes *c) {
  int code = 0, first = 0, index = 0;
  for (int len = 1; len < 16; len++) {
    code |= (int)bits(1);
    if (code - c->count[len] < first) return c->symbol[index + code - first];
    index += c->count[len];
    first = (first + c->count[len]) << 1;
    code <<= 1;
  }
  corrupt();
}

static void flush_window(void) {
  crc = crc32_add(crc, window, window_at);
  total += window_at;
  fwrite(window, window_at, out);
  window_at = 0;
}
static void put_byte(uint8_t c) {
  window[window_at++] = c;
  if (window_at == WINDOW) flush_window();
}

static void inflate_block(const Codes *literals, const Codes *distances) {
  for (;;) {
    int s = decode(literals);
    if (s < 256) {
      put_byte((uint8_t)s);
    } else if (s == 256) {
      return;
    } else {
      if (s > 285) corrupt();
      int length = length_base[s - 257] + (int)bits(length_extra[s - 257]), d = decode(distances);
      if (d > 29) corrupt();
      size_t distance = distance_base[d] + bits(distance_extra(d));
      if (distance > total + window_at) corrupt();
      while (length--) put_byte(window[(window_at + WINDOW - distance) % WINDOW]);
    }
  }
}

static void inflate(void) {
  for (bool last = false; !last;) {
    last = bits(1);
    Codes literals, distances;
    uint8_t lengths[320] = {0};
    switch (bits(2)) {
      case 0: {
        bit_buffer = 0;
        bit_count = 0;
        unsigned n = bits(16);
        if ((bits(16) ^ n) != 0xffff) corrupt();
        while (n--) put_byte((uint8_t)bits(8));
        break;
      }
      case 1:
        for (int i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
        make_codes(&literals, lengths, 288);
        memset(lengths, 5, 30);
        make_codes(&distances, lengths, 30);
        inflate_block(&literals, &distances);
        break;
      case 2: {
        int n = (int)bits(5) + 257, m = (int)bits(5) + 1, k = (int)bits(4) + 4;
        Codes codes;
        for (int i = 0; i < k; i++) lengths[code_order[i]] = (uint8_t)bits(3);
        make_codes(&codes, lengths, 19);
        memset(lengths, 0, sizeof lengths);
        for (int i = 0; i < n + m;) {
          int s = decode(&codes);
          if (s < 16) {
            lengths[i++] = (uint8_t)s;
            continue;
          }
          if (s == 16 && !i) corrupt();
          uint8_t value = s == 16 ? lengths[i - 1] : 0;
          int times = s == 16 ? 3 + (int)bits(2) : s == 17 ? 3 + (int)bits(3) : 11 + (int)bits(7);
          if (i + times > n + m) corrupt();
          while (times--) lengths[i++] = value;
        }
        make_codes(&literals, lengths, n);
        make_codes(&distances, lengths + n, m);
        inflate_block(&literals, &distances);
        break;
      }
      default: corrupt();
    }
  }
}

/* One gzip member; false at the end of the input. */
static bool gunzip_member(bool first) {
  int a = fgetc(in);
  if (a == EOF && !first) return false;
  if (a != 0x1f || fgetc(in) != 0x8b) {
    if (!first) return false; /* trailing garbage */
    die("not in gzip format");
  }
  if (fgetc(in) != 8) die("unknown method");
  int flags = fgetc(in);
  for (int i = 0; i < 6; i++) fgetc(in);
  if (flags & 4)
    for (int n = fgetc(in), m = fgetc(in), i = n | m << 8; i > 0; i--) fgetc(in);
  for (int bit = 8; bit <= 16; bit *= 2)
    if (flags & bit)
      for (int c; (c = fgetc(in)) != 0 && c != EOF;) {}
  if (flags & 2) fgetc(in), fgetc(in);
  bit_buffer = 0;
  bit_count = 0;
  window_at = 0;
  crc = 0;
  total = 0;
  inflate();
  flush_window();
  bit_buffer = 0;
  bit_count = 0;
  uint32_t want = bits(16);
  want |= bits(16) << 16;
  uint32_t size = bits(16);
  size |= bits(16) << 16;
  if (want != crc) die("invalid compressed data--crc error");
  if (size != (uint32_t)total) die("invalid compressed data--length error");
  return true;
}

/* ---- deflate ---- */

enum { CHUNK = 65536, HASH = 32768, MAX_CHAIN = 64 };
typedef struct { uint16_t length, distance; } Symbol; /* distance 0: a literal in length */

static void put_bits(unsigned v, int n) {
  bit_buffer |= v << bit_count;
  bit_count += n;
  for (; bit_count >= 8; bit_count -= 8, bit_buffer >>= 8) fputc((int)(bit_buffer & 255), out);
}

/* Code lengths from frequencies, at most `limit`: Huffman by repeated merging; when the tree is
 * too deep the frequencies are flattened and it is built again. */
static void make_lengths(const uint32_t *freq, int n, int limit, uint8_t *lengths) {
  uint32_t weight[2 * 288], scaled[288];
  int parent[2 * 288];
  for (int i = 0; i < n; i++) scaled[i] = freq[i];
  for (;;) {
    int nodes = n, live = 0, only = -1;
    for (int i = 0; i < n; i++) {
      weight[i] = scaled[i];
      live += scaled[i] > 0;
      if (scaled[i]) only = i;
    }
    memset(lengths, 0, (size_t)n);
    if (live <= 1) {
      lengths[only < 0 ? 0 : only] = 1;
      return;
    }
    for (; live > 1; live--) {
      int a = -1, b = -1;
      for (int i = 0; i < nodes; i++) {
        if (!weight[i]) continue;
        if (a < 0 || weight[i] < weight[a]) b = a, a = i;
        else if (b < 0 || weight[i] < weight[b]) b = i;
      }
      weight[nodes] = weight[a] + weight[b];
      weight[a] = weight[b] = 0;
      parent[a] = parent[b] = nodes++;
    }
    int deepest = 0;
    for (int i = 0; i < n; i++) {
      if (!scaled[i]) continue;
      int depth = 0;
      for (int k = i; k != nodes - 1; k = parent[k]) depth++;
      lengths[i] = (uint8_t)depth;
      if (depth > deepest) deepest = depth;
    }
    if (deepest <= limit) return;
    for (int i = 0; i < n; i++)
      if (scaled[i]) scaled[i] = scaled[i] / 4 + 1;
  }
}

static void assign_codes(const uint8_t *lengths, int n, uint16_t *codes) {
  uint16_t next[17] = {0}, count[17] = {0};
  for (int i = 0; i < n; i++) count[lengths[i]]++;
  count[0] = 0;
  for (int len = 1; len < 16; len++) next[len + 1] = (uint16_t)((next[len] + count[len]) << 1);
  for (int i = 0; i < n; i++) {
    if (!lengths[i]) continue;
    unsigned code = next[lengths[i]]++, reversed = 0;
    for (int k = 0; k < lengths[i]; k++) reversed |= (code >> k & 1) << (lengths[i] - 1 - k);
    codes[i] = (uint16_t)reversed;
  }
}
static int length_code(int length) {
  int c = 28;
  while (length < length_base[c]) c--;
  return c;
}
static int distance_code(int distance) {
  int c = 29;
  while (distance < distance_base[c]) c--;
  return c;
}

static void write_block(const Symbol *symbols, size_t n, bool last) {
  uint32_t lit_freq[286] = {0}, dist_freq[30] = {0}, code_freq[19] = {0};
  uint8_t lit_len[286], dist_len[30], code_len[19], all[316], packed[316], extra[316];
  uint16_t lit_code[286], dist_code[30], code_code[19];
  lit_freq[256] = 1;
  for (size_t i = 0; i < n; i++) {
    if (!symbols[i].distance) lit_freq[symbols[i].length]++;
    else lit_freq[257 + length_code(symbols[i].length)]++, dist_freq[distance_code(symbols[i].distance)]++;
  }
  make_lengths(lit_freq, 286, 15, lit_len);
  make_lengths(dist_freq, 30, 15, dist_len);
  assign_codes(lit_len, 286, lit_code);
  assign_codes(dist_len, 30, dist_code);
  memcpy(all, lit_len, 286);
  memcpy(all + 286, dist_len, 30);
  int count = 0;
  for (int i = 0; i < 316;) { /* run-length code of the lengths */
    int run = 1;
    while (i + run < 316 && all[i + run] == all[i]) run++;
    if (all[i] == 0 && run >= 3) {
      if (run > 138) run = 138;
      packed[count] = run >= 11 ? 18 : 17;
      extra[count++] = (uint8_t)(run - (run >= 11 ? 11 : 3));
    } else if (i && all[i] == all[i - 1] && run >= 3) {
      if (run > 6) run = 6;
      packed[count] = 16;
      extra[count++] = (uint8_t)(run - 3);
    } else {
      run = 1;
      packed[count] = all[i];
      extra[count++] = 0;
    }
    i += run;
  }
  for (int i = 0; i < count; i++) code_freq[packed[i]]++;
  make_lengths(code_freq, 19, 7, code_len);
  assign_codes(code_len, 19, code_code);
  put_bits(last, 1);
  put_bits(2, 2);
  put_bits(286 - 257, 5);
  put_bits(30 - 1, 5);
  put_bits(19 - 4, 4);
  for (int i = 0; i < 19; i++) put_bits(code_len[code_order[i]], 3);
  for (int i = 0; i < count; i++) {
    put_bits(code_code[packed[i]], code_len[packed[i]]);
    if (packed[i] >= 16) put_bits(extra[i], packed[i] == 16 ? 2 : packed[i] == 17 ? 3 : 7);
  }
  for (size_t i = 0; i < n; i++) {
    int v = symbols[i].length;
    if (!symbols[i].distance) {
      put_bits(lit_code[v], lit_len[v]);
      continue;
    }
    int c = length_code(v), d = distance_code(symbols[i].distance);
    put_bits(lit_code[257 + c], lit_len[257 + c]);
    put_bits((unsigned)(v - length_base[c]), length_extra[c]);
    put_bits(dist_code[d], dist_len[d]);
    put_bits((unsigned)(symbols[i].distance - distance_base[d]), distance_extra(d));
  }
  put_bits(lit_code[256], lit_len[256]);
}

static void deflate(void) {
  static uint8_t data[WINDOW + CHUNK + 8];
  static int head[HASH], previous[WINDOW + CHUNK];
  static Symbol symbols[CHUNK];
  size_t kept = 0; /* bytes of earlier text in front of the chunk */
  for (bool last = false; !last;) {
    size_t n = fread(data + kept, CHUNK, in), end = kept + n, count = 0;
    crc = crc32_add(crc, data + kept, n);
    total += n;
    int c = fgetc(in);
    last = c == EOF;
    if (!last) ungetc_last(in);
    for (int i = 0; i < HASH; i++) head[i] = -1;
    for (size_t i = 0; i < end;) {
      unsigned h = i + 3 <= end ? (data[i] << 10 ^ data[i + 1] << 5 ^ data[i + 2]) & (HASH - 1) : 0;
      int best = 0, from = 0, chain = MAX_CHAIN;
      if (i >= kept && i + 3 <= end)
        for (int at = head[h]; at >= 0 && i - (size_t)at <= WINDOW && chain--; at = previous[at]) {
          int len = 0, max = end - i < 258 ? (int)(end - i) : 258;
          while (len < max && data[(size_t)at + (size_t)len] == data[i + (size_t)len]) len++;
          if (len > best) best = len, from = at;
          if (best == max) break;
        }
      int step = best >= 3 ? best : 1;
      if (i >= kept) symbols[count++] = best >= 3 ? (Symbol){(uint16_t)best, (uint16_t)(i - (size_t)from)} : (Symbol){data[i], 0};
      for (; step--; i++) {
        if (i + 3 > end) continue;
        h = (data[i] << 10 ^ data[i + 1] << 5 ^ data[i + 2]) & (HASH - 1);
        previous[i] = head[h];
        head[h] = (int)i;
      }
    }
    write_block(symbols, count, last);
    size_t keep = end < WINDOW ? end : WINDOW;
    memmove(data, data + end - keep, keep);
    kept = keep;
  }
  if (bit_count) put_bits(0, 8 - bit_count);
}

static void compress_stream(void) {
  static const uint8_t header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
  crc = 0;
  total = 0;
  bit_buffer = 0;
  bit_count = 0;
  fwrite(header, sizeof header, out);
  deflate();
  for (int i = 0; i < 4; i++) fputc((int)(crc >> i * 8 & 255), out);
  for (int i = 0; i < 4; i++) fputc((int)(total >> i * 8 & 255), out);
}

/* ---- command line ---- */

static int gzip(int argc, char **argv, bool expand, bool to_stdout) {
  bool keep = false, force = false, test = false;
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "cdkftnNqv123456789", "stdout=c,to-stdout=c,decompress=d,keep=k,force=f,test=t,no-name=n,best=9,fast=1")) >= 0) {
    if (opt == 'c') to_stdout = true;
    else if (opt == 'd') expand = true;
    else if (opt == 'k') keep = true;
    else if (opt == 'f') force = true;
    else if (opt == 't') expand = test = true;
    else if (opt == '?') return usage_error();
  }
  static char *dash[] = {"-", NULL};
  for (char **path = optind < argc ? argv + optind : dash; *path; path++) {
    bool standard = !strcmp(*path, "-");
    char *source = *path, *target = NULL;
    size_t n = strlen(source);
    if (!standard && !to_stdout && !test) {
      bool suffixed = n > 3 && !strcmp(source + n - 3, ".gz"), tgz = n > 4 && !strcmp(source + n - 4, ".tgz");
      if (expand && !suffixed && !tgz) {
        warn("%s: unknown suffix -- ignored", source);
        status = 2;
        continue;
      }
      if (!expand && suffixed && !force) {
        warn("%s already has .gz suffix -- unchanged", source);
        status = 2;
        continue;
      }
      target = !expand ? asprintf("%s.gz", source) : tgz ? asprintf("%.*s.tar", (int)n - 4, source) : strndup(source, n - 3);
      if (!force && sys_access(target, F_OK) == 0) {
        warn("%s already exists", target);
        status = 2;
        continue;
      }
    }
    in = open_operand(source);
    if (!in) {
      status = 1;
      continue;
    }
    int err = 0;
    out = test ? fopen("/dev/null", "w", &err) : target ? fopen(target, "w", &err) : stdout;
    if (!out) die_errno(err, "%s", target ? target : "/dev/null");
    if (expand)
      for (bool first = true; gunzip_member(first); first = false) {}
    else compress_stream();
    close_operand(in);
    struct stat st;
    if (target) {
      err = fclose(out);
      if (err < 0) die_errno(err, "%s", target);
      if (sys_stat(source, &st) == 0) {
        struct timespec ts[2] = {st.st_atim, st.st_mtim};
        sys_chmod(target, (int)st.st_mode & 07777);
        sys_utimens(target, ts, 0);
      }
      if (!keep) sys_unlink(source);
      free(target);
    }
  }
  return status;
}
int gzip_main(int argc, char **argv) { return gzip(argc, argv, false, false); }
int gunzip_main(int argc, char **argv) { return gzip(argc, argv, true, false); }
int zcat_main(int argc, char **argv) { return gzip(argc, argv, true, true); }
