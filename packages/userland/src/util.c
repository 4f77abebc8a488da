/* Formats and small services shared by the tools (see box.h). */
#include "box.h"

/* chmod's language: octal, or [ugoa]*([-+=][rwxXst]*)+ separated by commas. */
int parse_mode(const char *text, int old, bool is_dir) {
  if (isdigit(*text)) {
    char *end;
    long m = strtol(text, &end, 8);
    return *end || m > 07777 ? -1 : (int)m;
  }
  int mask = (int)sys_umask(022);
  sys_umask(mask);
  int mode = old & 07777;
  do {
    int who = 0;
    for (;; text++) {
      if (*text == 'u') who |= 04700;
      else if (*text == 'g') who |= 02070;
      else if (*text == 'o') who |= 01007;
      else if (*text == 'a') who |= 07777;
      else break;
    }
    bool implied = !who;
    if (implied) who = 07777;
    if (!*text || !strchr("+-=", *text)) return -1;
    while (*text && strchr("+-=", *text)) {
      int op = *text++, bits = 0;
      if (*text == 'u' || *text == 'g' || *text == 'o') {
        int shift = *text == 'u' ? 6 : *text == 'g' ? 3 : 0;
        bits = (mode >> shift & 7) * 0111;
        text++;
      }
      for (; *text && strchr("rwxXst", *text); text++) {
        if (*text == 'r') bits |= 0444;
        if (*text == 'w') bits |= 0222;
        if (*text == 'x' || (*text == 'X' && (is_dir || (mode & 0111)))) bits |= 0111;
        if (*text == 's') bits |= 06000;
        if (*text == 't') bits |= 01000;
      }
      bits &= who;
      if (implied) bits &= ~mask;
      if (op == '+') mode |= bits;
      if (op == '-') mode &= ~bits;
      if (op == '=') mode = (mode & ~(who & (is_dir ? 0777 : 07777))) | bits;
    }
  } while (*text++ == ',');
  return text[-1] ? -1 : mode;
}

void format_mode(int mode, char out[11]) {
  static const char types[16] = "?pc?d?b?-?l?s???";
  out[0] = types[mode >> 12 & 15];
  for (int i = 0; i < 9; i++) out[1 + i] = mode >> (8 - i) & 1 ? "rwx"[i % 3] : '-';
  if (mode & 04000) out[3] = mode & 0100 ? 's' : 'S';
  if (mode & 02000) out[6] = mode & 0010 ? 's' : 'S';
  if (mode & 01000) out[9] = mode & 0001 ? 't' : 'T';
  out[10] = 0;
}

/* Scans a passwd or group file. By id when name is NULL, else by name; returns the id or -1. */
static int lookup(const char *file, const char *name, unsigned id, char *found, size_t size) {
  char *text = read_file(file, NULL);
  int result = -1;
  for (char *line = text, *next; line && *line && result < 0; line = next) {
    next = strchrnul(line, '\n');
    if (*next) *next++ = 0;
    char *colon = strchr(line, ':'), *second = colon ? strchr(colon + 1, ':') : NULL;
    if (!second) continue;
    *colon = 0;
    unsigned here = (unsigned)strtoul(second + 1, NULL, 10);
    if (name ? !strcmp(line, name) : here == id) {
      result = (int)here;
      if (found) strlcpy(found, line, size);
    }
  }
  free(text);
  return result;
}

/* The last answer is kept: listings ask for the same owner again and again. */
typedef struct { unsigned id; bool valid; char name[64]; } NameCache;
static const char *cached_name(NameCache *c, const char *file, unsigned id) {
  if (!c->valid || c->id != id) {
    c->valid = true;
    c->id = id;
    if (lookup(file, NULL, id, c->name, sizeof c->name) < 0) snprintf(c->name, sizeof c->name, "%u", id);
  }
  return c->name;
}
const char *user_name(unsigned id) {
  static NameCache cache;
  return cached_name(&cache, "/etc/passwd", id);
}
const char *group_name(unsigned id) {
  static NameCache cache;
  return cached_name(&cache, "/etc/group", id);
}
static int number_or_lookup(const char *file, const char *name) {
  int id = lookup(file, name, 0, NULL, 0);
  if (id >= 0) return id;
  char *end;
  long n = strtol(name, &end, 10);
  return *name && !*end ? (int)n : -1;
}
int user_id(const char *name) { return number_or_lookup("/etc/passwd", name); }
int group_id(const char *name) { return number_or_lookup("/etc/group", name); }

void format_human(char *out, size_t size, uint64_t bytes) {
  if (bytes < 1024) {
    snprintf(out, size, "%lu", bytes);
    return;
  }
  const char *unit = "KMGTPE";
  uint64_t scale = 1024;
  while (bytes > scale * 1024 - scale / 1024 && unit[1]) scale *= 1024, unit++;
  uint64_t tenths = bytes / scale * 10 + (bytes % scale * 10 + scale - 1) / scale;
  if (tenths >= 10240 && unit[1]) tenths = 10, unit++;
  if (tenths < 100) snprintf(out, size, "%lu.%lu%c", tenths / 10, tenths % 10, *unit);
  else snprintf(out, size, "%lu%c", (tenths + 9) / 10, *unit);
}

long parse_size(const char *text) {
  char *end;
  long n = strtol(text, &end, 10);
  if (end == text || n < 0) return -1;
  switch (*end) {
    case 0: return n;
    case 'b': n *= 512; break;
    case 'c': break;
    case 'k': case 'K': n <<= 10; break;
    case 'm': case 'M': n <<= 20; break;
    case 'g': case 'G': n <<= 30; break;
    case 't': case 'T': n <<= 40; break;
    default: return -1;
  }
  if (end[1] == 'B') return n / 1024 * 1000;
  if (end[1] == 'i' && end[2] == 'B') end += 2;
  return end[1] ? -1 : n;
}

double parse_duration(const char *text) {
  char *end;
  double t = strtod(text, &end);
  if (end == text || t < 0) return -1;
  if (*end == 'm') t *= 60;
  else if (*end == 'h') t *= 3600;
  else if (*end == 'd') t *= 86400;
  else if (*end != 's' && *end) return -1;
  return *end && end[1] ? -1 : t;
}

FILE *open_operand(const char *path) {
  if (!strcmp(path, "-")) return stdin;
  int err;
  FILE *f = fopen(path, "r", &err);
  struct stat st;
  if (f && sys_fstat(f->fd, &st) == 0 && S_ISDIR(st.st_mode)) {
    fclose(f);
    f = NULL;
    err = -EISDIR;
  }
  if (!f) warn_errno(err, "%s", path);
  return f;
}
void close_operand(FILE *f) {
  if (f != stdin) fclose(f);
}

int copy_fd(int from, int to) {
  static char block[65536];
  for (;;) {
    long n = sys_read(from, block, sizeof block);
    if (n == -EINTR) continue;
    if (n <= 0) return (int)n;
    int err = write_all(to, block, (size_t)n);
    if (err < 0) return err;
  }
}

bool ask(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  char *line = NULL;
  size_t cap = 0;
  bool yes = getline(&line, &cap, stdin) > 0 && tolower(*line) == 'y';
  free(line);
  return yes;
}
