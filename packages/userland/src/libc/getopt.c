/* Option parsing in the GNU manner: short groups, long names, options after operands. */
#include "libc.h"

int optind = 1, optopt;
char *optarg;
static int group; /* position inside argv[optind] when in the middle of -abc */
static int operands; /* operands moved behind us so far: argv[optind-operands .. optind) */

void getopt_reset(void) {
  optind = 1;
  group = operands = 0;
  optarg = NULL;
}

static int fail(char **argv, const char *what, const char *name) {
  fprintf(stderr, "%s: %s -- '%s'\n", base_name(argv[0]), what, name);
  return '?';
}

/* Rotates argv[optind] in front of the operands seen so far, as it has been consumed. */
static void consume(char **argv, int count) {
  for (int i = 0; i < count; i++, optind++) {
    char *taken = argv[optind];
    for (int j = 0; j < operands; j++) argv[optind - j] = argv[optind - j - 1];
    argv[optind - operands] = taken;
  }
}

static int long_option(int argc, char **argv, const char *name, const char *longs) {
  size_t n = strcspn(name, "=");
  for (const char *p = longs; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : "") {
    size_t len = strcspn(p, "=:");
    if (len != n || strncmp(p, name, n)) continue;
    bool needs = p[len] == ':';
    int c = (unsigned char)p[len + 1 + needs];
    optarg = name[n] ? (char *)name + n + 1 : NULL;
    int used = 1;
    if (needs && !optarg) {
      if (optind + 1 >= argc) return consume(argv, 1), fail(argv, "option requires an argument", name);
      optarg = argv[optind + 1];
      used = 2;
    }
    consume(argv, used);
    return c;
  }
  consume(argv, 1);
  return fail(argv, "unrecognized option", name);
}

int getopt(int argc, char **argv, const char *shorts, const char *longs) {
  bool stop_early = *shorts == '+';
  if (stop_early) shorts++;
  if (!group) {
    for (;; optind++, operands++) {
      if (optind >= argc || (stop_early && (argv[optind][0] != '-' || !argv[optind][1]))) {
        optind -= operands;
        return -1;
      }
      if (argv[optind][0] == '-' && argv[optind][1]) break;
    }
    if (argv[optind][1] == '-') {
      if (argv[optind][2]) return long_option(argc, argv, argv[optind] + 2, longs);
      consume(argv, 1);
      optind -= operands;
      operands = 0;
      return -1;
    }
    group = 1;
  }
  char *arg = argv[optind];
  int c = optopt = (unsigned char)arg[group++];
  const char *hit = c == ':' ? NULL : strchr(shorts, c);
  bool end = !arg[group];
  if (hit && hit[1] == ':' && hit[2] == ':') { /* an argument only when attached */
    optarg = end ? NULL : arg + group;
    group = 0;
    consume(argv, 1);
    return c;
  }
  if (hit && hit[1] == ':') {
    optarg = end ? argv[optind + 1] : arg + group;
    group = 0;
    consume(argv, end && optarg ? 2 : 1);
    char name[2] = {(char)c, 0};
    return optarg ? c : fail(argv, "option requires an argument", name);
  }
  if (end) {
    group = 0;
    consume(argv, 1);
  }
  if (!hit) {
    char name[2] = {(char)c, 0};
    return fail(argv, "invalid option", name);
  }
  return c;
}
