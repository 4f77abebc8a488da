/* cp, mv, rm: tree operations. */
#include "../box.h"

typedef struct { bool recursive, preserve, force, interactive, no_clobber, verbose, no_deref, links, symlinks, update; } Copy;

static int copy_tree(const char *from, const char *to, const Copy *o);

static void keep_attributes(const char *to, const struct stat *st) {
  struct timespec ts[2] = {st->st_atim, st->st_mtim};
  sys_chownat(to, (int)st->st_uid, (int)st->st_gid, AT_SYMLINK_NOFOLLOW);
  if (!S_ISLNK(st->st_mode)) sys_chmod(to, (int)st->st_mode & 07777);
  sys_utimens(to, ts, AT_SYMLINK_NOFOLLOW);
}

static int copy_directory(const char *from, const char *to, const struct stat *st, const Copy *o) {
  int status = 0;
  long err = sys_mkdir(to, (int)(st->st_mode & 0777) | 0700);
  struct stat target;
  bool made = err == 0;
  if (err == -EEXIST && sys_stat(to, &target) == 0 && S_ISDIR(target.st_mode)) err = 0;
  if (err < 0) {
    warn_errno(err, "cannot create directory '%s'", to);
    return 1;
  }
  StrList names = {0};
  err = list_directory(from, &names);
  if (err < 0) warn_errno(err, "cannot open '%s'", from), status = 1;
  for (size_t i = 0; i < names.len; i++) {
    char *a = path_join(from, names.items[i]), *b = path_join(to, names.items[i]);
    status |= copy_tree(a, b, o);
    free(a);
    free(b);
  }
  list_free(&names);
  if (o->preserve) {
    keep_attributes(to, st);
  } else if (made && (st->st_mode & 0700) != 0700) {
    int mask = (int)sys_umask(0);
    sys_umask(mask);
    sys_chmod(to, (int)st->st_mode & 0777 & ~mask);
  }
  return status;
}

static int copy_regular(const char *from, const char *to, const struct stat *st, const Copy *o) {
  long in = sys_open(from, O_RDONLY | O_CLOEXEC, 0);
  if (in < 0) {
    warn_errno(in, "cannot open '%s'", from);
    return 1;
  }
  long out = sys_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (int)st->st_mode & 0777);
  if (out < 0 && o->force) {
    sys_unlink(to);
    out = sys_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (int)st->st_mode & 0777);
  }
  int err = out < 0 ? (int)out : copy_fd((int)in, (int)out);
  sys_close((int)in);
  if (out >= 0) sys_close((int)out);
  if (err < 0) {
    warn_errno(err, out < 0 ? "cannot create regular file '%s'" : "error writing '%s'", to);
    return 1;
  }
  if (o->preserve) keep_attributes(to, st);
  return 0;
}

static int copy_tree(const char *from, const char *to, const Copy *o) {
  struct stat st, target;
  long err = o->no_deref ? sys_lstat(from, &st) : sys_stat(from, &st);
  if (err < 0) {
    warn_errno(err, "cannot stat '%s'", from);
    return 1;
  }
  if (S_ISDIR(st.st_mode)) {
    if (!o->recursive) {
      warn("-r not specified; omitting directory '%s'", from);
      return 1;
    }
    char *a = real_path(from, false), *b = real_path(to, true);
    size_t n = a ? strlen(a) : 0;
    bool inside = a && b && starts_with(b, a) && (b[n] == '/' || !b[n]);
    free(a);
    free(b);
    if (inside) {
      warn("cannot copy a directory, '%s', into itself, '%s'", from, to);
      return 1;
    }
    return copy_directory(from, to, &st, o);
  }
  if (sys_lstat(to, &target) == 0) {
    if (target.st_ino == st.st_ino && target.st_dev == st.st_dev) {
      warn("'%s' and '%s' are the same file", from, to);
      return 1;
    }
    if (o->no_clobber) return 0;
    if (o->update && target.st_mtim.tv_sec >= st.st_mtim.tv_sec) return 0;
    if (o->interactive && !ask("cp: overwrite '%s'? ", to)) return 0;
    if (S_ISDIR(target.st_mode)) {
      warn("cannot overwrite directory '%s' with non-directory '%s'", to, from);
      return 1;
    }
    if (!S_ISREG(st.st_mode) || o->links || o->symlinks) sys_unlink(to);
  }
  if (o->verbose) printf("'%s' -> '%s'\n", from, to);
  if (o->links || o->symlinks) {
    err = o->links ? sys_link(from, to) : sys_symlink(from, to);
  } else if (S_ISLNK(st.st_mode)) {
    char text[PATH_MAX];
    long n = sys_readlink(from, text, sizeof text - 1);
    if (n >= 0) text[n] = 0;
    err = n < 0 ? n : sys_symlink(text, to);
    if (!err && o->preserve) keep_attributes(to, &st);
  } else if (S_ISREG(st.st_mode) || !o->recursive) {
    return copy_regular(from, to, &st, o);
  } else {
    err = sys_mknod(to, (int)st.st_mode, (unsigned)st.st_rdev);
    if (!err && o->preserve) keep_attributes(to, &st);
  }
  if (err < 0) {
    warn_errno(err, "cannot create '%s'", to);
    return 1;
  }
  return 0;
}

static bool is_directory(const char *path) {
  struct stat st;
  return sys_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* base_name without trailing slashes, malloc'd: "a/b/" gives "b". */
static char *last_component(const char *path) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  size_t start = n;
  while (start && path[start - 1] != '/') start--;
  return strndup(path + start, n - start);
}

/* Calls `one` for each source with its destination; shared by cp and mv. */
static int each_operand(int argc, char **argv, const char *directory, bool no_directory, const Copy *o, int (*one)(const char *, const char *, const Copy *)) {
  int status = 0, last = directory ? argc : argc - 1;
  if (last - optind < 1) return usage_error();
  const char *to = directory ? directory : argv[argc - 1];
  bool dir = !no_directory && is_directory(to);
  if (!dir && (directory || last - optind > 1)) die("target '%s' is not a directory", to);
  for (int i = optind; i < last; i++) {
    char *name = dir ? last_component(argv[i]) : NULL, *path = dir ? path_join(to, name) : strdup(to);
    status |= one(argv[i], path, o);
    free(name);
    free(path);
  }
  return status;
}

int cp_main(int argc, char **argv) {
  Copy o = {0};
  const char *directory = NULL;
  bool no_directory = false;
  int opt;
  while ((opt = getopt(argc, argv, "rRapfindvPLHt:Tlsu", "recursive=r,archive=a,preserve=p,force=f,interactive=i,no-clobber=n,verbose=v,target-directory:=t,no-target-directory=T,link=l,symbolic-link=s,update=u,no-dereference=P")) >= 0) {
    switch (opt) {
      case 'r': case 'R': o.recursive = o.no_deref = true; break;
      case 'a': o.recursive = o.preserve = o.no_deref = true; break;
      case 'p': o.preserve = true; break;
      case 'd': case 'P': o.no_deref = true; break;
      case 'L': o.no_deref = false; break;
      case 'H': break;
      case 'f': o.force = true; break;
      case 'i': o.interactive = true; break;
      case 'n': o.no_clobber = true; break;
      case 'v': o.verbose = true; break;
      case 't': directory = optarg; break;
      case 'T': no_directory = true; break;
      case 'l': o.links = true; break;
      case 's': o.symlinks = true; break;
      case 'u': o.update = true; break;
      default: return usage_error();
    }
  }
  return each_operand(argc, argv, directory, no_directory, &o, copy_tree);
}

typedef struct { bool recursive, force, interactive, verbose, directories; } Remove;

static int remove_tree(const char *path, const Remove *o) {
  struct stat st;
  long err = sys_lstat(path, &st);
  if (err < 0) {
    if (o->force && err == -ENOENT) return 0;
    warn_errno(err, "cannot remove '%s'", path);
    return 1;
  }
  if (o->interactive && !ask("rm: remove '%s'? ", path)) return 0;
  int status = 0;
  if (S_ISDIR(st.st_mode)) {
    if (!o->recursive && !o->directories) {
      warn("cannot remove '%s': Is a directory", path);
      return 1;
    }
    StrList names = {0};
    if (o->recursive) list_directory(path, &names);
    for (size_t i = 0; i < names.len; i++) {
      char *sub = path_join(path, names.items[i]);
      status |= remove_tree(sub, o);
      free(sub);
    }
    list_free(&names);
    if (status) return status;
    err = sys_rmdir(path);
  } else {
    err = sys_unlink(path);
  }
  if (err < 0) {
    warn_errno(err, "cannot remove '%s'", path);
    return 1;
  }
  if (o->verbose) printf("removed %s'%s'\n", S_ISDIR(st.st_mode) ? "directory " : "", path);
  return 0;
}

int rm_main(int argc, char **argv) {
  Remove o = {0};
  int opt, status = 0;
  while ((opt = getopt(argc, argv, "rRfivd", "recursive=r,force=f,interactive=i,verbose=v,dir=d")) >= 0) {
    if (opt == 'r' || opt == 'R') o.recursive = true;
    else if (opt == 'f') o.force = true, o.interactive = false;
    else if (opt == 'i') o.interactive = true;
    else if (opt == 'v') o.verbose = true;
    else if (opt == 'd') o.directories = true;
    else return usage_error();
  }
  if (optind >= argc && !o.force) return usage_error();
  for (int i = optind; i < argc; i++) {
    char *name = last_component(argv[i]);
    if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/") || !*name) {
      warn("refusing to remove '%s'", argv[i]);
      status = 1;
    } else {
      status |= remove_tree(argv[i], &o);
    }
    free(name);
  }
  return status;
}

int unlink_main(int argc, char **argv) {
  if (argc != 2) return usage_error();
  long err = sys_unlink(argv[1]);
  if (err < 0) die_errno(err, "cannot unlink '%s'", argv[1]);
  return 0;
}

static int move_one(const char *from, const char *to, const Copy *o) {
  struct stat st, target;
  long err = sys_lstat(from, &st);
  if (err < 0) {
    warn_errno(err, "cannot stat '%s'", from);
    return 1;
  }
  if (sys_lstat(to, &target) == 0) {
    if (o->no_clobber) return 0;
    if (o->update && target.st_mtim.tv_sec >= st.st_mtim.tv_sec) return 0;
    if (o->interactive && !ask("mv: overwrite '%s'? ", to)) return 0;
    if (target.st_ino == st.st_ino && target.st_dev == st.st_dev && !strcmp(from, to)) {
      warn("'%s' and '%s' are the same file", from, to);
      return 1;
    }
  }
  err = sys_rename(from, to);
  if (err == -EXDEV) {
    Copy across = {.recursive = true, .preserve = true, .no_deref = true, .force = true};
    Remove rm = {.recursive = true, .force = true};
    return copy_tree(from, to, &across) || remove_tree(from, &rm);
  }
  if (err == -EINVAL && S_ISDIR(st.st_mode)) {
    warn("cannot move '%s' to a subdirectory of itself, '%s'", from, to);
    return 1;
  }
  if (err < 0) {
    warn_errno(err, "cannot move '%s' to '%s'", from, to);
    return 1;
  }
  if (o->verbose) printf("renamed '%s' -> '%s'\n", from, to);
  return 0;
}

int mv_main(int argc, char **argv) {
  Copy o = {0};
  const char *directory = NULL;
  bool no_directory = false;
  int opt;
  while ((opt = getopt(argc, argv, "finvt:Tu", "force=f,interactive=i,no-clobber=n,verbose=v,target-directory:=t,no-target-directory=T,update=u")) >= 0) {
    switch (opt) {
      case 'f': o.interactive = o.no_clobber = false; break;
      case 'i': o.interactive = true; break;
      case 'n': o.no_clobber = true; break;
      case 'v': o.verbose = true; break;
      case 't': directory = optarg; break;
      case 'T': no_directory = true; break;
      case 'u': o.update = true; break;
      default: return usage_error();
    }
  }
  return each_operand(argc, argv, directory, no_directory, &o, move_one);
}
