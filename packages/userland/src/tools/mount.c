/* mount, umount, mountpoint, dmesg, df. */
#include "../box.h"

static const struct { const char *name; unsigned long flag; bool clear; } options[] = {
    {"ro", MS_RDONLY, false}, {"rw", MS_RDONLY, true}, {"nosuid", MS_NOSUID, false}, {"suid", MS_NOSUID, true}, {"nodev", MS_NODEV, false},
    {"dev", MS_NODEV, true}, {"noexec", MS_NOEXEC, false}, {"exec", MS_NOEXEC, true}, {"sync", MS_SYNCHRONOUS, false}, {"remount", MS_REMOUNT, false},
    {"noatime", MS_NOATIME, false}, {"relatime", MS_RELATIME, false}, {"bind", MS_BIND, false}, {"defaults", 0, false},
};

int mount_main(int argc, char **argv) {
  const char *type = NULL;
  unsigned long flags = 0;
  Buf data = {0};
  int opt;
  while ((opt = getopt(argc, argv, "t:o:rwan", "types:=t,options:=o,read-only=r,bind=B")) >= 0) {
    if (opt == 't') type = optarg;
    else if (opt == 'r') flags |= MS_RDONLY;
    else if (opt == 'B') flags |= MS_BIND;
    else if (opt == 'o') {
      for (char *p = optarg; *p;) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < countof(options) && !(strlen(options[i].name) == n && !strncmp(options[i].name, p, n))) i++;
        if (i == countof(options)) buf_printf(&data, "%s%.*s", data.len ? "," : "", (int)n, p);
        else if (options[i].clear) flags &= ~options[i].flag;
        else flags |= options[i].flag;
        p += n + (p[n] == ',');
      }
    } else if (opt == '?') return usage_error();
  }
  if (optind == argc) {
    char *text = read_file("/proc/mounts", NULL);
    if (!text) die_errno(ENOENT, "/proc/mounts");
    for (char *line = text, *next; *line; line = next) {
      next = strchrnul(line, '\n');
      if (*next) *next++ = 0;
      char *f[4] = {line};
      for (int i = 1; i < 4; i++) {
        f[i] = strchrnul(f[i - 1], ' ');
        if (*f[i]) *f[i]++ = 0;
      }
      f[3][strcspn(f[3], " ")] = 0;
      if (!type || !strcmp(type, f[2])) printf("%s on %s type %s (%s)\n", f[0], f[1], f[2], f[3]);
    }
    return 0;
  }
  const char *source = argv[optind], *target = optind + 1 < argc ? argv[optind + 1] : NULL;
  if (!target && flags & MS_REMOUNT) target = source, source = "none";
  if (!target) return usage_error();
  long err = -ENODEV;
  if (type || flags & (MS_BIND | MS_REMOUNT)) {
    err = sys_mount(source, target, type ? type : "", flags, data.data ? data.data : "");
  } else {
    /* No type given: every block file system the kernel knows. */
    char *known = read_file("/proc/filesystems", NULL);
    for (char *line = known; line && *line && err < 0; line = *strchrnul(line, '\n') ? strchrnul(line, '\n') + 1 : NULL) {
      if (*line != '\t') continue;
      char *name = strndup(line + 1, strcspn(line + 1, "\n"));
      err = sys_mount(source, target, name, flags, data.data ? data.data : "");
      free(name);
      if (err != -EINVAL && err != -ENODEV) break;
    }
  }
  if (err < 0) die_errno(err, "%s on %s", source, target);
  return 0;
}

int umount_main(int argc, char **argv) {
  int flags = 0, opt, status = 0;
  while ((opt = getopt(argc, argv, "lfr", "lazy=l,force=f")) >= 0) {
    if (opt == 'l') flags |= MNT_DETACH;
    else if (opt == 'f') flags |= MNT_FORCE;
    else if (opt == '?') return usage_error();
  }
  if (optind == argc) return usage_error();
  for (int i = optind; i < argc; i++) {
    long err = sys_umount2(argv[i], flags);
    if (err < 0) warn_errno(err, "%s", argv[i]), status = 32;
  }
  return status;
}

int mountpoint_main(int argc, char **argv) {
  bool quiet = argc > 2 && !strcmp(argv[1], "-q");
  if (argc < 2) return usage_error();
  const char *path = argv[argc - 1];
  struct stat here, parent;
  char *up = path_join(path, "..");
  bool yes = sys_stat(path, &here) == 0 && sys_stat(up, &parent) == 0 && (here.st_dev != parent.st_dev || here.st_ino == parent.st_ino);
  if (!quiet) printf("%s is %sa mountpoint\n", path, yes ? "" : "not ");
  return yes ? 0 : 32;
}

int dmesg_main(int argc, char **argv) {
  bool clear = false, raw = false;
  int opt;
  while ((opt = getopt(argc, argv, "crTwn:", NULL)) >= 0) {
    if (opt == 'c') clear = true;
    else if (opt == 'r') raw = true;
    else if (opt == '?') return usage_error();
  }
  enum { READ_ALL = 3, READ_CLEAR = 4, SIZE = 10 };
  long size = sys_syslog(SIZE, NULL, 0);
  if (size <= 0) size = 65536;
  char *text = malloc((size_t)size + 1);
  long n = sys_syslog(clear ? READ_CLEAR : READ_ALL, text, (int)size);
  if (n < 0) die_errno(n, "read kernel buffer failed");
  text[n] = 0;
  for (char *line = text; *line;) {
    char *next = strchrnul(line, '\n');
    if (!raw && *line == '<') { /* the priority: <6> */
      char *end = strchr(line, '>');
      if (end && end < next) line = end + 1;
    }
    printf("%.*s\n", (int)(next - line), line);
    line = *next ? next + 1 : next;
  }
  return 0;
}

static bool df_human, df_inodes;

static void cell(uint64_t bytes, int width) {
  char text[24];
  if (df_human) format_human(text, sizeof text, bytes);
  else snprintf(text, sizeof text, "%lu", bytes / 1024);
  printf(" %*s", width, text);
}

static void df_line(const char *device, const char *path, const char *type) {
  struct statfs s;
  if (sys_statfs(path, &s) < 0) return;
  uint64_t unit = (uint64_t)(s.f_frsize ? s.f_frsize : s.f_bsize), used = (s.f_blocks - s.f_bfree), visible = used + s.f_bavail;
  printf("%-20s", device);
  if (type) printf(" %-8s", type);
  if (df_inodes) {
    uint64_t in_use = s.f_files - s.f_ffree;
    printf(" %9lu %9lu %9lu", s.f_files, in_use, s.f_ffree);
    visible = s.f_files;
    used = in_use;
  } else {
    cell(s.f_blocks * unit, 9);
    cell(used * unit, 9);
    cell(s.f_bavail * unit, 9);
  }
  if (visible) printf(" %3lu%%", (used * 100 + visible - 1) / visible);
  else printf("    -");
  printf(" %s\n", path);
}

int df_main(int argc, char **argv) {
  bool all = false, types = false;
  int opt, status = 0;
  df_human = df_inodes = false;
  while ((opt = getopt(argc, argv, "hakiTP", "human-readable=h,all=a,inodes=i,print-type=T")) >= 0) {
    if (opt == 'h') df_human = true;
    else if (opt == 'a') all = true;
    else if (opt == 'i') df_inodes = true;
    else if (opt == 'T') types = true;
    else if (opt == '?') return usage_error();
  }
  printf("%-20s%s%10s%10s%10s %s Mounted on\n", "Filesystem", types ? " Type    " : "", df_inodes ? "Inodes" : df_human ? "Size" : "1K-blocks", df_inodes ? "IUsed" : "Used", df_inodes ? "IFree" : df_human ? "Avail" : "Available", "Use%");
  char *text = read_file("/proc/mounts", NULL);
  if (!text) die_errno(ENOENT, "/proc/mounts");
  for (char *line = text, *next; *line; line = next) {
    next = strchrnul(line, '\n');
    if (*next) *next++ = 0;
    char *at = strchrnul(line, ' ');
    if (*at) *at++ = 0;
    char *type = strchrnul(at, ' ');
    if (*type) *type++ = 0;
    type[strcspn(type, " ")] = 0;
    struct statfs s;
    struct stat st, wanted;
    if (optind < argc) {
      bool hit = false;
      for (int i = optind; i < argc; i++)
        hit |= sys_stat(argv[i], &wanted) == 0 && sys_stat(at, &st) == 0 && wanted.st_dev == st.st_dev;
      if (!hit) continue;
    } else if (!all && (sys_statfs(at, &s) < 0 || !s.f_blocks)) {
      continue;
    }
    df_line(line, at, types ? type : NULL);
  }
  for (int i = optind; i < argc; i++) {
    struct stat st;
    long err = sys_stat(argv[i], &st);
    if (err < 0) warn_errno(err, "%s", argv[i]), status = 1;
  }
  return status;
}
