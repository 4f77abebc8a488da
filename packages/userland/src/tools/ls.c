/* ls: columns and colours on a terminal, one name per line elsewhere. */
#include "../box.h"

static struct {
  bool all, almost_all, longer, one, recursive, human, self, inode, numeric, reverse, by_time, by_size, unsorted, classify, columns, slash, colour, full_time, no_group, no_owner, blocks, deref;
} o;

typedef struct { char *name; char *link; struct stat st; bool broken_link; } Entry;
typedef struct { Entry *items; size_t len, cap; } Entries;
static int ls_status;
static bool printed;

static void add_entry(Entries *list, const char *dir, char *name) {
  Entry e = {.name = name};
  char *path = dir ? path_join(dir, name) : strdup(name);
  long err = o.deref ? sys_stat(path, &e.st) : sys_lstat(path, &e.st);
  if (err < 0 && o.deref) err = sys_lstat(path, &e.st);
  if (err < 0) {
    warn_errno(err, "cannot access '%s'", path);
    ls_status = dir ? 1 : 2;
    free(path);
    return;
  }
  if (S_ISLNK(e.st.st_mode)) {
    struct stat target;
    char text[PATH_MAX];
    long n = sys_readlink(path, text, sizeof text - 1);
    if (n >= 0) {
      text[n] = 0;
      e.link = strdup(text);
    }
    e.broken_link = sys_stat(path, &target) < 0;
  }
  free(path);
  if (list->len == list->cap) {
    list->cap = list->cap ? list->cap * 2 : 32;
    list->items = realloc(list->items, list->cap * sizeof(Entry));
  }
  list->items[list->len++] = e;
}

static int compare(const void *x, const void *y) {
  const Entry *a = x, *b = y;
  int order = 0;
  if (o.by_time) {
    order = a->st.st_mtim.tv_sec != b->st.st_mtim.tv_sec ? (a->st.st_mtim.tv_sec < b->st.st_mtim.tv_sec ? 1 : -1)
            : a->st.st_mtim.tv_nsec < b->st.st_mtim.tv_nsec ? 1 : a->st.st_mtim.tv_nsec > b->st.st_mtim.tv_nsec ? -1 : 0;
  } else if (o.by_size) {
    order = a->st.st_size < b->st.st_size ? 1 : a->st.st_size > b->st.st_size ? -1 : 0;
  }
  if (!order) order = strcmp(a->name, b->name);
  return o.reverse ? -order : order;
}

static const char *colour_of(const Entry *e) {
  if (S_ISDIR(e->st.st_mode)) return e->st.st_mode & 01000 && e->st.st_mode & 2 ? "30;42" : "01;34";
  if (S_ISLNK(e->st.st_mode)) return e->broken_link ? "01;31" : "01;36";
  if (S_ISFIFO(e->st.st_mode)) return "33";
  if (S_ISSOCK(e->st.st_mode)) return "01;35";
  if (S_ISBLK(e->st.st_mode) || S_ISCHR(e->st.st_mode)) return "01;33";
  if (e->st.st_mode & 0111) return "01;32";
  return NULL;
}

static char suffix_of(const Entry *e) {
  if (S_ISDIR(e->st.st_mode)) return o.classify || o.slash ? '/' : 0;
  if (!o.classify) return 0;
  if (S_ISLNK(e->st.st_mode)) return o.longer ? 0 : '@';
  if (S_ISFIFO(e->st.st_mode)) return '|';
  if (S_ISSOCK(e->st.st_mode)) return '=';
  return S_ISREG(e->st.st_mode) && e->st.st_mode & 0111 ? '*' : 0;
}

static void print_name(const Entry *e) {
  const char *colour = o.colour ? colour_of(e) : NULL;
  if (colour) printf("\033[%sm%s\033[0m", colour, e->name);
  else fputs(e->name, stdout);
  char c = suffix_of(e);
  if (c) putchar(c);
}

static size_t name_width(const Entry *e) { return display_width(e->name) + (suffix_of(e) != 0); }

static void print_columns(const Entries *list) {
  size_t n = list->len, width = (size_t)terminal_width(1), rows = 1, cols = n, *widths = malloc((n + 1) * sizeof *widths);
  /* The fewest rows whose columns fit. */
  for (; rows <= n; rows++) {
    cols = (n + rows - 1) / rows;
    size_t total = 0;
    for (size_t c = 0; c < cols; c++) {
      widths[c] = 0;
      for (size_t i = c * rows; i < n && i < (c + 1) * rows; i++)
        if (name_width(&list->items[i]) > widths[c]) widths[c] = name_width(&list->items[i]);
      total += widths[c] + (c + 1 < cols ? 2 : 0);
    }
    if (total < width || rows == n) break;
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < cols && c * rows + r < n; c++) {
      const Entry *e = &list->items[c * rows + r];
      print_name(e);
      bool last = c + 1 == cols || (c + 1) * rows + r >= n;
      if (!last) printf("%*s", (int)(widths[c] + 2 - name_width(e)), "");
    }
    putchar('\n');
  }
  free(widths);
}

static void size_text(const Entry *e, char *out, size_t n) {
  unsigned major = (unsigned)(e->st.st_rdev >> 8 & 0xfff), minor = (unsigned)((e->st.st_rdev & 0xff) | (e->st.st_rdev >> 12 & 0xfff00));
  if (S_ISCHR(e->st.st_mode) || S_ISBLK(e->st.st_mode)) snprintf(out, n, "%u, %u", major, minor);
  else if (o.human) format_human(out, n, (uint64_t)e->st.st_size);
  else snprintf(out, n, "%ld", e->st.st_size);
}

static void print_long(const Entries *list) {
  int links = 1, user = 1, group = 1, size = 1, inode = 1;
  char text[64];
  struct timespec now = {0};
  sys_clock_gettime(CLOCK_REALTIME, &now);
  for (size_t i = 0; i < list->len; i++) {
    const Entry *e = &list->items[i];
    int n = snprintf(text, sizeof text, "%u", e->st.st_nlink);
    if (n > links) links = n;
    n = o.numeric ? snprintf(text, sizeof text, "%u", e->st.st_uid) : (int)strlen(user_name(e->st.st_uid));
    if (n > user) user = n;
    n = o.numeric ? snprintf(text, sizeof text, "%u", e->st.st_gid) : (int)strlen(group_name(e->st.st_gid));
    if (n > group) group = n;
    size_text(e, text, sizeof text);
    if ((int)strlen(text) > size) size = (int)strlen(text);
    n = snprintf(text, sizeof text, "%lu", e->st.st_ino);
    if (n > inode) inode = n;
  }
  for (size_t i = 0; i < list->len; i++) {
    const Entry *e = &list->items[i];
    char mode[11];
    format_mode((int)e->st.st_mode, mode);
    if (o.inode) printf("%*lu ", inode, e->st.st_ino);
    printf("%s %*u ", mode, links, e->st.st_nlink);
    if (!o.no_owner) {
      if (o.numeric) printf("%-*u ", user, e->st.st_uid);
      else printf("%-*s ", user, user_name(e->st.st_uid));
    }
    if (!o.no_group) {
      if (o.numeric) printf("%-*u ", group, e->st.st_gid);
      else printf("%-*s ", group, group_name(e->st.st_gid));
    }
    size_text(e, text, sizeof text);
    struct tm tm;
    char when[48];
    gmtime_r(e->st.st_mtim.tv_sec, &tm);
    bool recent = e->st.st_mtim.tv_sec > now.tv_sec - 15778476 && e->st.st_mtim.tv_sec <= now.tv_sec;
    strftime(when, sizeof when, o.full_time ? "%Y-%m-%d %H:%M:%S.%N %z" : recent ? "%b %e %H:%M" : "%b %e  %Y", &tm, e->st.st_mtim.tv_sec, e->st.st_mtim.tv_nsec);
    printf("%*s %s ", size, text, when);
    print_name(e);
    if (e->link) printf(" -> %s", e->link);
    putchar('\n');
  }
}

static void print_entries(Entries *list) {
  if (list->len && !o.unsorted) qsort(list->items, list->len, sizeof(Entry), compare);
  if (o.longer) {
    print_long(list);
  } else if (o.columns && !o.inode && list->len) {
    print_columns(list);
  } else {
    for (size_t i = 0; i < list->len; i++) {
      if (o.inode) printf("%lu ", list->items[i].st.st_ino);
      print_name(&list->items[i]);
      putchar('\n');
    }
  }
  if (list->len) printed = true;
}

static void list_dir(const char *path, bool header) {
  DIR *d = malloc(sizeof *d);
  int err = opendir(d, path);
  if (err) {
    warn_errno(err, "cannot open directory '%s'", path);
    ls_status = 2;
    free(d);
    return;
  }
  if (header) printf("%s%s:\n", printed ? "\n" : "", path);
  printed = true;
  Entries list = {0};
  for (struct dirent64 *e; (e = readdir(d));) {
    bool dot = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
    if (e->d_name[0] == '.' && !(o.all || (o.almost_all && !dot))) continue;
    add_entry(&list, path, strdup(e->d_name));
  }
  closedir(d);
  free(d);
  if (o.longer || o.blocks) {
    int64_t blocks = 0;
    for (size_t i = 0; i < list.len; i++) blocks += list.items[i].st.st_blocks;
    char text[16];
    format_human(text, sizeof text, (uint64_t)blocks * 512);
    if (o.human) printf("total %s\n", text);
    else printf("total %ld\n", (blocks + 1) / 2);
  }
  print_entries(&list);
  for (size_t i = 0; o.recursive && i < list.len; i++) {
    const Entry *e = &list.items[i];
    if (!S_ISDIR(e->st.st_mode) || !strcmp(e->name, ".") || !strcmp(e->name, "..")) continue;
    char *sub = path_join(path, e->name);
    list_dir(sub, true);
    free(sub);
  }
  for (size_t i = 0; i < list.len; i++) free(list.items[i].name), free(list.items[i].link);
  free(list.items);
}

int ls_main(int argc, char **argv) {
  int opt;
  bool tty = isatty(1);
  memset(&o, 0, sizeof o);
  ls_status = 0;
  printed = false;
  o.columns = o.colour = tty;
  while ((opt = getopt(argc, argv, "1AaCdFhilnrRStpUogsL", "all=a,almost-all=A,human-readable=h,recursive=R,reverse=r,full-time=T,color=k,directory=d,classify=F,inode=i,size=s,group-directories-first=z")) >= 0) {
    switch (opt) {
      case '1': o.columns = false; break;
      case 'a': o.all = true; break;
      case 'A': o.almost_all = true; break;
      case 'C': o.columns = true; break;
      case 'd': o.self = true; break;
      case 'F': o.classify = true; break;
      case 'g': o.longer = o.no_owner = true; break;
      case 'h': o.human = true; break;
      case 'i': o.inode = true; break;
      case 'k': o.colour = !optarg || !strcmp(optarg, "always") || (!strcmp(optarg, "auto") && tty); break;
      case 'l': o.longer = true; break;
      case 'L': o.deref = true; break;
      case 'n': o.longer = o.numeric = true; break;
      case 'o': o.longer = o.no_group = true; break;
      case 'p': o.slash = true; break;
      case 'r': o.reverse = true; break;
      case 'R': o.recursive = true; break;
      case 's': o.blocks = true; break;
      case 'S': o.by_size = true; break;
      case 't': o.by_time = true; break;
      case 'T': o.longer = o.full_time = true; break;
      case 'U': o.unsorted = true; break;
      case 'z': break;
      default: return usage_error(), 2;
    }
  }
  if (optind == argc && !o.self) {
    list_dir(".", o.recursive);
    return ls_status;
  }
  Entries files = {0}, dirs = {0};
  if (optind == argc) add_entry(&files, NULL, ".");
  for (int i = optind; i < argc; i++) {
    struct stat st;
    bool follow = !o.longer || argv[i][strlen(argv[i]) - 1] == '/';
    bool dir = !o.self && (follow ? sys_stat(argv[i], &st) : sys_lstat(argv[i], &st)) == 0 && S_ISDIR(st.st_mode);
    add_entry(dir ? &dirs : &files, NULL, argv[i]);
  }
  print_entries(&files);
  if (dirs.len) qsort(dirs.items, dirs.len, sizeof(Entry), compare);
  for (size_t i = 0; i < dirs.len; i++) list_dir(dirs.items[i].name, argc - optind > 1 || o.recursive);
  return ls_status;
}
