/* ps, pidof, free: reading /proc. */
#include "../box.h"
#include "proc.h"

static char *proc_file(int pid, const char *name, size_t *size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  return read_file(path, size);
}

bool proc_read(int pid, Proc *p) {
  memset(p, 0, sizeof *p);
  p->pid = pid;
  char *stat = proc_file(pid, "stat", NULL);
  char *open = stat ? strchr(stat, '(') : NULL, *close = stat ? strrchr(stat, ')') : NULL;
  if (!open || !close) {
    free(stat);
    return false;
  }
  *close = 0;
  strlcpy(p->comm, open + 1, sizeof p->comm);
  /* Fields from the third on, man 5 proc. */
  long f[40] = {0};
  char *s = close + 2;
  p->state = *s++;
  for (int i = 4; i < 40 && *s; i++) f[i] = strtol(s, &s, 10);
  p->ppid = (int)f[4];
  p->pgrp = (int)f[5];
  p->session = (int)f[6];
  p->tty = (unsigned)f[7];
  p->foreground = (int)f[8];
  p->ticks = (unsigned long)(f[14] + f[15]);
  p->nice = (int)f[19];
  p->threads = (int)f[20];
  p->start = (unsigned long)f[22];
  p->vsize = (unsigned long)f[23];
  p->rss = (unsigned long)f[24] * 4096;
  free(stat);
  char *status = proc_file(pid, "status", NULL), *uid = status ? strstr(status, "\nUid:") : NULL;
  if (uid) p->uid = (unsigned)strtoul(uid + 5, NULL, 10);
  free(status);
  size_t n = 0;
  char *cmd = proc_file(pid, "cmdline", &n);
  if (cmd && n) {
    for (size_t i = 0; i + 1 < n; i++)
      if (!cmd[i]) cmd[i] = ' ';
    strlcpy(p->command, cmd, sizeof p->command);
  } else {
    snprintf(p->command, sizeof p->command, "[%s]", p->comm);
  }
  free(cmd);
  return true;
}

static int by_pid(const void *a, const void *b) { return ((const Proc *)a)->pid - ((const Proc *)b)->pid; }

Proc *proc_list(size_t *count) {
  StrList names = {0};
  Proc *list = NULL;
  *count = 0;
  list_directory("/proc", &names);
  for (size_t i = 0; i < names.len; i++) {
    if (!isdigit(*names.items[i])) continue;
    list = realloc(list, (*count + 1) * sizeof *list);
    if (proc_read(atoi(names.items[i]), &list[*count])) ++*count;
  }
  list_free(&names);
  if (list) qsort(list, *count, sizeof *list, by_pid);
  return list;
}

void proc_tty(const Proc *p, char out[16]) {
  unsigned major = p->tty >> 8 & 0xfff, minor = (p->tty & 0xff) | (p->tty >> 12 & 0xfff00);
  if (!p->tty) strlcpy(out, "?", 16);
  else if (major == 136) snprintf(out, 16, "pts/%u", minor);
  else if (major == 4 && minor >= 64) snprintf(out, 16, "ttyS%u", minor - 64);
  else if (major == 4) snprintf(out, 16, "tty%u", minor);
  else if (major == 229) snprintf(out, 16, "hvc%u", minor);
  else if (major == 5 && minor == 1) strlcpy(out, "console", 16);
  else snprintf(out, 16, "%u:%u", major, minor);
}

unsigned long proc_total_memory(void) {
  struct sysinfo s = {0};
  sys_sysinfo(&s);
  return s.totalram * (s.mem_unit ? s.mem_unit : 1);
}

enum { HZ = 100 }; /* USER_HZ, what the kernel counts /proc times in */

int ps_main(int argc, char **argv) {
  bool all = false, user = false, full = false;
  const char *columns = NULL, *only = NULL;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    bool dash = *a == '-';
    if (dash) a++;
    if (*a == 'o' && !a[1] && i + 1 < argc) {
      columns = argv[++i];
      continue;
    }
    if (*a == 'p' && !a[1] && i + 1 < argc) {
      only = argv[++i];
      continue;
    }
    for (; *a; a++) {
      if (*a == 'a' || *a == 'x' || *a == 'e' || *a == 'A') all = true;
      else if (*a == 'u') user = true;
      else if (*a == 'f' || *a == 'l') full = true;
      else if (*a != 'w' && *a != 'h') return usage_error();
    }
  }
  size_t n;
  Proc *list = proc_list(&n), self;
  struct sysinfo s = {0};
  struct timespec now;
  sys_sysinfo(&s);
  sys_clock_gettime(CLOCK_REALTIME, &now);
  proc_read((int)sys_getpid(), &self);
  if (columns) {
    char *names = strdup(columns);
    for (char *c = names; *c; c++)
      if (*c == ',') *c = ' ';
    for (size_t i = 0; i <= n; i++) { /* row 0 is the header */
      const Proc *p = i ? &list[i - 1] : NULL;
      if (p && (only ? atoi(only) != p->pid : !all && p->tty != self.tty)) continue;
      for (char *c = names; *c;) {
        c += strspn(c, " ");
        size_t len = strcspn(c, " =");
        if (!len) break;
        char name[16], text[PATH_MAX];
        strlcpy(name, c, len + 1 < sizeof name ? len + 1 : sizeof name);
        c += strcspn(c, " ");
        bool last = !c[strspn(c, " ")];
        if (!p) {
          for (size_t k = 0; k <= strlen(name); k++) text[k] = (char)toupper(name[k]);
          if (!strcmp(name, "args") || !strcmp(name, "cmd")) strlcpy(text, "COMMAND", sizeof text);
        } else if (!strcmp(name, "pid")) snprintf(text, sizeof text, "%d", p->pid);
        else if (!strcmp(name, "ppid")) snprintf(text, sizeof text, "%d", p->ppid);
        else if (!strcmp(name, "pgid") || !strcmp(name, "pgrp")) snprintf(text, sizeof text, "%d", p->pgrp);
        else if (!strcmp(name, "sid")) snprintf(text, sizeof text, "%d", p->session);
        else if (!strcmp(name, "comm")) strlcpy(text, p->comm, sizeof text);
        else if (!strcmp(name, "args") || !strcmp(name, "cmd")) strlcpy(text, p->command, sizeof text);
        else if (!strcmp(name, "stat") || !strcmp(name, "s")) snprintf(text, sizeof text, "%c", p->state);
        else if (!strcmp(name, "user")) strlcpy(text, user_name(p->uid), sizeof text);
        else if (!strcmp(name, "rss")) snprintf(text, sizeof text, "%lu", p->rss / 1024);
        else if (!strcmp(name, "vsz")) snprintf(text, sizeof text, "%lu", p->vsize / 1024);
        else if (!strcmp(name, "nice") || !strcmp(name, "ni")) snprintf(text, sizeof text, "%d", p->nice);
        else if (!strcmp(name, "tty")) proc_tty(p, text);
        else die("unknown column '%s'", name);
        if (last) puts(text);
        else printf("%-*s ", !strcmp(name, "comm") || !strcmp(name, "user") ? 12 : 7, text);
      }
    }
    return 0;
  }
  if (user) printf("USER       PID %%CPU %%MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n");
  else if (full) printf("UID        PID  PPID TTY      S STIME     TIME CMD\n");
  else printf("  PID TTY      STAT   TIME COMMAND\n");
  for (size_t i = 0; i < n; i++) {
    const Proc *p = &list[i];
    if (only ? atoi(only) != p->pid : !all && p->tty != self.tty) continue;
    char tty[16], start[16], state[8];
    proc_tty(p, tty);
    snprintf(state, sizeof state, "%c%s%s%s%s", p->state, p->nice < 0 ? "<" : p->nice > 0 ? "N" : "", p->pid == p->session ? "s" : "", p->threads > 1 ? "l" : "", p->foreground == p->pgrp && p->tty ? "+" : "");
    long age = s.uptime - (long)(p->start / HZ);
    struct tm tm;
    gmtime_r(now.tv_sec - age, &tm);
    strftime(start, sizeof start, "%H:%M", &tm, 0, 0);
    unsigned long seconds = p->ticks / HZ;
    unsigned long cpu = age > 0 ? p->ticks * 1000 / HZ / (unsigned long)age : 0, total = proc_total_memory(), memory = total ? p->rss * 1000 / total : 0;
    if (user)
      printf("%-8s %5d %2lu.%lu %2lu.%lu %6lu %5lu %-8s %-4s %s %3lu:%02lu %s\n", user_name(p->uid), p->pid, cpu / 10, cpu % 10, memory / 10, memory % 10, p->vsize / 1024, p->rss / 1024, tty, state, start, seconds / 60, seconds % 60, p->command);
    else if (full) printf("%-8s %5d %5d %-8s %c %s %02lu:%02lu:%02lu %s\n", user_name(p->uid), p->pid, p->ppid, tty, p->state, start, seconds / 3600, seconds / 60 % 60, seconds % 60, p->command);
    else printf("%5d %-8s %-4s %3lu:%02lu %s\n", p->pid, tty, state, seconds / 60, seconds % 60, p->command);
  }
  return 0;
}

int pidof_main(int argc, char **argv) {
  size_t n;
  Proc *list = proc_list(&n);
  bool any = false;
  for (int i = 1; i < argc; i++)
    for (size_t k = n; k-- > 0;)
      if (!strcmp(list[k].comm, argv[i])) {
        printf("%s%d", any ? " " : "", list[k].pid);
        any = true;
      }
  if (any) putchar('\n');
  return !any;
}

static unsigned long meminfo(const char *text, const char *name) {
  const char *hit = text ? strstr(text, name) : NULL;
  return hit ? strtoul(hit + strlen(name) + 1, NULL, 10) : 0;
}

int free_main(int argc, char **argv) {
  int shift = 0, opt;
  bool human = false;
  while ((opt = getopt(argc, argv, "kmgbh", "human=h")) >= 0) {
    if (opt == 'm') shift = 10;
    else if (opt == 'g') shift = 20;
    else if (opt == 'b') shift = -10;
    else if (opt == 'h') human = true;
    else if (opt != 'k') return usage_error();
  }
  char *text = read_file("/proc/meminfo", NULL);
  unsigned long total = meminfo(text, "MemTotal"), unused = meminfo(text, "MemFree"), shared = meminfo(text, "Shmem");
  unsigned long cache = meminfo(text, "Buffers") + meminfo(text, "\nCached") + meminfo(text, "SReclaimable"), available = meminfo(text, "MemAvailable");
  unsigned long swap = meminfo(text, "SwapTotal"), swap_free = meminfo(text, "SwapFree");
  unsigned long used = total > unused + cache ? total - unused - cache : 0;
  const unsigned long values[] = {total, used, unused, shared, cache, available, swap, swap - swap_free, swap_free};
  printf("               total        used        free      shared  buff/cache   available\n");
  for (size_t i = 0; i < countof(values); i++) {
    char cell[24];
    if (human) format_human(cell, sizeof cell, values[i] << 10);
    else snprintf(cell, sizeof cell, "%lu", shift < 0 ? values[i] << 10 : values[i] >> shift);
    if (i == 0) printf("Mem:    ");
    if (i == 6) printf("\nSwap:   ");
    printf("%12s", cell);
  }
  putchar('\n');
  return 0;
}
