/* tar: create, extract and list ustar archives (POSIX.1-1988), GNU long names included; z runs
 * our gzip beside it. */
#include "../box.h"

enum { BLOCK = 512 };
typedef struct {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, linkname[100], magic[8], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
} Header;

static struct { bool verbose, gzip, keep_mode, to_stdout, no_owner; const char *strip_dir; int strip; } o;
static FILE *archive;
static int tar_status;
static char **wanted;
static int wanted_count;

typedef struct { uint64_t dev, ino; char *name; } Linked;
static Linked *linked;
static size_t linked_count;

static unsigned checksum(const Header *h) {
  const unsigned char *p = (const unsigned char *)h;
  unsigned sum = 0;
  for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : p[i];
  return sum;
}

static void write_header(const char *name, const struct stat *st, char type, const char *link, uint64_t size) {
  Header h;
  memset(&h, 0, sizeof h);
  size_t n = strlen(name);
  if (n > 100) {
    /* Split at a slash if both halves fit, else a GNU long name record goes first. */
    const char *cut = NULL;
    for (const char *s = name; (s = strchr(s, '/')); s++)
      if (s - name <= 155 && strlen(s + 1) <= 100 && s[1]) cut = s;
    if (cut) {
      memcpy(h.prefix, name, (size_t)(cut - name));
      memcpy(h.name, cut + 1, strlen(cut + 1));
    } else {
      struct stat none = {0};
      write_header("././@LongLink", &none, 'L', "", n + 1);
      fwrite(name, n + 1, archive);
      static const char zeros[BLOCK];
      fwrite(zeros, (BLOCK - (n + 1) % BLOCK) % BLOCK, archive);
      memcpy(h.name, name, 100);
    }
  } else {
    memcpy(h.name, name, n);
  }
  snprintf(h.mode, sizeof h.mode, "%07o", st->st_mode & 07777);
  snprintf(h.uid, sizeof h.uid, "%07o", st->st_uid & 07777777);
  snprintf(h.gid, sizeof h.gid, "%07o", st->st_gid & 07777777);
  snprintf(h.size, sizeof h.size, "%011lo", size);
  snprintf(h.mtime, sizeof h.mtime, "%011lo", st->st_mtim.tv_sec);
  h.type = type;
  memcpy(h.linkname, link, strnlen(link, sizeof h.linkname));
  memcpy(h.magic, "ustar\00000", 8);
  strlcpy(h.uname, user_name(st->st_uid), sizeof h.uname);
  strlcpy(h.gname, group_name(st->st_gid), sizeof h.gname);
  snprintf(h.devmajor, sizeof h.devmajor, "%07o", (unsigned)(st->st_rdev >> 8 & 0xfff));
  snprintf(h.devminor, sizeof h.devminor, "%07o", (unsigned)(st->st_rdev & 0xff));
  snprintf(h.checksum, sizeof h.checksum, "%06o", checksum(&h));
  h.checksum[7] = ' ';
  fwrite(&h, sizeof h, archive);
}

static void add(const char *path) {
  struct stat st;
  long err = sys_lstat(path, &st);
  if (err < 0) {
    warn_errno(err, "%s: cannot stat", path);
    tar_status = 2;
    return;
  }
  const char *name = path;
  while (*name == '/') name++;
  bool dir = S_ISDIR(st.st_mode);
  char *full = asprintf(dir && *name && name[strlen(name) - 1] != '/' ? "%s/" : "%s", *name ? name : "./");
  if (o.verbose) fprintf(o.to_stdout ? stderr : stdout, "%s\n", full);
  if (S_ISREG(st.st_mode) && st.st_nlink > 1) {
    for (size_t i = 0; i < linked_count; i++)
      if (linked[i].ino == st.st_ino && linked[i].dev == st.st_dev) {
        write_header(full, &st, '1', linked[i].name, 0);
        free(full);
        return;
      }
    linked = realloc(linked, (linked_count + 1) * sizeof *linked);
    linked[linked_count++] = (Linked){st.st_dev, st.st_ino, strdup(full)};
  }
  if (dir) {
    write_header(full, &st, '5', "", 0);
    StrList names = {0};
    list_directory(path, &names);
    for (size_t i = 0; i < names.len; i++) {
      char *sub = path_join(path, names.items[i]);
      add(sub);
      free(sub);
    }
    list_free(&names);
  } else if (S_ISLNK(st.st_mode)) {
    char link[PATH_MAX];
    long n = sys_readlink(path, link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    write_header(full, &st, '2', link, 0);
  } else if (S_ISREG(st.st_mode)) {
    FILE *f = open_operand(path);
    if (!f) {
      tar_status = 2;
    } else {
      write_header(full, &st, '0', "", (uint64_t)st.st_size);
      char block[BLOCK];
      for (int64_t left = st.st_size; left > 0; left -= BLOCK) {
        memset(block, 0, BLOCK);
        fread(block, left < BLOCK ? (size_t)left : BLOCK, f);
        fwrite(block, BLOCK, archive);
      }
      fclose(f);
    }
  } else if (!S_ISSOCK(st.st_mode)) {
    write_header(full, &st, S_ISCHR(st.st_mode) ? '3' : S_ISBLK(st.st_mode) ? '4' : '6', "", 0);
  }
  free(full);
}

static uint64_t number(const char *field, size_t n) {
  if (field[0] & 0x80) { /* base 256, for large files */
    uint64_t v = 0;
    for (size_t i = n > 8 ? n - 8 : 0; i < n; i++) v = v << 8 | (unsigned char)field[i];
    return v;
  }
  char text[16];
  strlcpy(text, "", sizeof text);
  snprintf(text, sizeof text, "%.*s", (int)n, field);
  return strtoul(text, NULL, 8);
}

static bool is_wanted(const char *name) {
  if (!wanted_count) return true;
  for (int i = 0; i < wanted_count; i++) {
    size_t n = strlen(wanted[i]);
    while (n && wanted[i][n - 1] == '/') n--;
    if (!strncmp(name, wanted[i], n) && (!name[n] || name[n] == '/')) return true;
    if (fnmatch(wanted[i], name, 0)) return true;
  }
  return false;
}

/* Where an entry goes: no leading slash, no way out through "..". NULL to skip it. */
static char *safe_name(char *name) {
  for (int i = 0; i < o.strip; i++) {
    char *slash = strchr(name, '/');
    if (!slash) return NULL;
    name = slash + 1;
  }
  while (*name == '/') name++;
  for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
    if (!strncmp(p, "..", 2) && (p[2] == '/' || !p[2])) {
      warn("%s: member name contains '..'", name);
      tar_status = 2;
      return NULL;
    }
  return *name ? name : NULL;
}

static void make_parents(const char *path) {
  char *copy = strdup(path);
  for (char *p = copy; (p = strchr(p, '/')); p++) {
    *p = 0;
    if (*copy) sys_mkdir(copy, 0777);
    *p = '/';
    if (!p[1]) break;
  }
  free(copy);
}

static void copy_out(uint64_t size, int fd) {
  char block[BLOCK];
  for (; size; size -= size < BLOCK ? size : BLOCK) {
    if (fread(block, BLOCK, archive) != BLOCK) die("unexpected end of archive");
    if (fd >= 0) {
      int err = write_all(fd, block, size < BLOCK ? (size_t)size : BLOCK);
      if (err < 0) die_errno(err, "write");
    }
  }
}

typedef struct { char *path; struct timespec time; int mode; } Late; /* directories take their attributes last */

static void extract(bool list) {
  char *long_name = NULL, *long_link = NULL;
  Late *late = NULL;
  size_t late_count = 0;
  for (;;) {
    Header h;
    size_t got = fread(&h, sizeof h, archive);
    if (!got || !h.name[0]) break;
    if (got != sizeof h) die("unexpected end of archive");
    if (number(h.checksum, 8) != checksum(&h)) die("this does not look like a tar archive");
    uint64_t size = number(h.size, 12);
    if (h.type == 'L' || h.type == 'K') {
      if (size > 65536) die("name too long");
      char *text = calloc(size + BLOCK, 1);
      fread(text, (size + BLOCK - 1) / BLOCK * BLOCK, archive);
      if (h.type == 'L') long_name = text;
      else long_link = text;
      continue;
    }
    if (h.type == 'x' || h.type == 'g') {
      copy_out(size, -1);
      continue;
    }
    char *name = long_name ? long_name : h.prefix[0] && !memcmp(h.magic, "ustar", 6) ? asprintf("%.155s/%.100s", h.prefix, h.name) : asprintf("%.100s", h.name);
    char *link = long_link ? long_link : asprintf("%.100s", h.linkname);
    long_name = long_link = NULL;
    bool regular = h.type == '0' || h.type == 0 || h.type == '7';
    if (!regular) size = h.type >= '1' && h.type <= '6' ? 0 : size;
    int mode = (int)number(h.mode, 8) & 07777;
    struct timespec ts[2] = {{(long)number(h.mtime, 12), 0}, {(long)number(h.mtime, 12), 0}};
    if (!is_wanted(name)) {
      copy_out(size, -1);
      continue;
    }
    if (list) {
      if (o.verbose) {
        char text[11], when[32];
        struct tm tm;
        static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFIFO};
        format_mode(mode | (int)(h.type >= '0' && h.type <= '6' ? types[h.type - '0'] : S_IFREG), text);
        if (h.type == '1') text[0] = 'h';
        gmtime_r(ts[0].tv_sec, &tm);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm, 0, 0);
        printf("%s %.32s/%.32s %9lu %s %s%s%s\n", text, h.uname, h.gname, size, when, name, h.type == '2' ? " -> " : h.type == '1' ? " link to " : "", h.type == '1' || h.type == '2' ? link : "");
      } else {
        puts(name);
      }
      copy_out(size, -1);
      continue;
    }
    char *path = safe_name(name);
    if (!path) {
      copy_out(size, -1);
      continue;
    }
    if (o.verbose) fprintf(o.to_stdout ? stderr : stdout, "%s\n", name);
    if (o.to_stdout) {
      fflush(stdout);
      copy_out(size, regular ? 1 : -1);
      continue;
    }
    make_parents(path);
    long err = 0;
    if (h.type == '5') {
      err = sys_mkdir(path, mode | 0700);
      struct stat st;
      if (err == -EEXIST && sys_stat(path, &st) == 0 && S_ISDIR(st.st_mode)) err = 0;
      late = realloc(late, (late_count + 1) * sizeof *late);
      late[late_count++] = (Late){strdup(path), ts[0], mode};
    } else {
      sys_unlink(path);
      if (h.type == '2') err = sys_symlink(link, path);
      else if (h.type == '1') err = safe_name(link) ? sys_link(safe_name(link), path) : -EINVAL;
      else if (h.type == '3' || h.type == '4' || h.type == '6') err = sys_mknod(path, mode | (int)(h.type == '3' ? S_IFCHR : h.type == '4' ? S_IFBLK : S_IFIFO), (unsigned)(number(h.devmajor, 8) << 8 | number(h.devminor, 8)));
      else {
        long fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode & 0777);
        copy_out(size, (int)fd);
        if (fd >= 0) sys_close((int)fd);
        err = fd < 0 ? fd : 0;
      }
      if (!err && h.type != '2' && h.type != '1') {
        if (o.keep_mode) sys_chmod(path, mode);
        sys_utimens(path, ts, 0);
      }
      if (!err && h.type == '2') sys_utimens(path, ts, AT_SYMLINK_NOFOLLOW);
      if (!err && !o.no_owner && sys_geteuid() == 0 && h.type != '1') {
        sys_chownat(path, (int)number(h.uid, 8), (int)number(h.gid, 8), AT_SYMLINK_NOFOLLOW);
        if (o.keep_mode && h.type != '2' && mode & 06000) sys_chmod(path, mode);
      }
    }
    if (err < 0) {
      warn_errno(err, "%s", path);
      tar_status = 2;
    }
  }
  while (late_count) {
    Late *d = &late[--late_count];
    struct timespec ts[2] = {d->time, d->time};
    sys_chmod(d->path, d->mode);
    sys_utimens(d->path, ts, 0);
  }
}

/* Puts gzip between us and the archive. */
static int filter(int fd, bool compress) {
  int fds[2];
  fflush(stdout);
  if (sys_pipe(fds, 0) < 0) die("cannot make a pipe");
  long pid = sys_fork();
  if (pid == 0) {
    sys_dup3(compress ? fds[0] : fd, 0, 0);
    sys_dup3(compress ? fd : fds[1], 1, 0);
    sys_close(fds[0]);
    sys_close(fds[1]);
    char *argv[] = {"gzip", compress ? "-c" : "-dc", NULL};
    run_applet(find_applet("gzip"), 2, argv);
  }
  sys_close(compress ? fds[0] : fds[1]);
  return compress ? fds[1] : fds[0];
}

int tar_main(int argc, char **argv) {
  char mode = 0;
  const char *file = "-", *dir = NULL;
  int opt;
  memset(&o, 0, sizeof o);
  o.keep_mode = sys_geteuid() == 0;
  if (argc > 1 && argv[1][0] != '-') argv[1] = asprintf("-%s", argv[1]); /* the old form: tar cf */
  while ((opt = getopt(argc, argv, "cxtvzf:C:pOhmk", "create=c,extract=x,get=x,list=t,verbose=v,gzip=z,file:=f,directory:=C,preserve-permissions=p,to-stdout=O,strip-components:=S,no-same-owner=N,owner:=I,group:=I,sort:=I,mtime:=I")) >= 0) {
    switch (opt) {
      case 'c': case 'x': case 't': mode = (char)opt; break;
      case 'v': o.verbose = true; break;
      case 'z': o.gzip = true; break;
      case 'f': file = optarg; break;
      case 'C': dir = optarg; break;
      case 'p': o.keep_mode = true; break;
      case 'O': o.to_stdout = true; break;
      case 'S': o.strip = atoi(optarg); break;
      case 'N': o.no_owner = true; break;
      case 'I': case 'h': case 'm': case 'k': break;
      default: return usage_error(), 2;
    }
  }
  if (!mode) {
    warn("one of -c, -x, -t is needed");
    return usage_error(), 2;
  }
  bool standard = !strcmp(file, "-");
  long fd = standard ? (mode == 'c') : sys_open(file, mode == 'c' ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0666);
  if (fd < 0) die_errno(fd, "%s: cannot open", file);
  if (mode == 'c' && standard) o.to_stdout = true;
  size_t len = strlen(file);
  if (mode != 'c' && !o.gzip && len > 3 && (!strcmp(file + len - 3, ".gz") || !strcmp(file + len - 4, ".tgz"))) o.gzip = true;
  if (o.gzip) fd = filter((int)fd, mode == 'c');
  archive = fdopen((int)fd, mode == 'c' ? "w" : "r");
  if (dir) {
    long err = sys_chdir(dir);
    if (err < 0) die_errno(err, "%s", dir);
  }
  wanted = argv + optind;
  wanted_count = argc - optind;
  if (mode == 'c') {
    if (!wanted_count) die("nothing to put into the archive");
    for (int i = 0; i < wanted_count; i++) add(wanted[i]);
    static const char zeros[BLOCK * 2];
    fwrite(zeros, sizeof zeros, archive);
  } else {
    extract(mode == 't');
  }
  int err = mode == 'c' ? fflush(archive) : 0;
  sys_close(archive->fd);
  if (err < 0) die_errno(err, "%s", file);
  if (o.gzip) {
    int status = 0;
    while (sys_wait4(-1, &status, 0, NULL) == -EINTR) {}
    if (exit_status(status) && mode == 'c') tar_status = 2;
  }
  return tar_status;
}
