/* top: processes by processor use, every few seconds; -b for plain output, -n for a count. */
#include "../box.h"
#include "proc.h"

typedef struct { int pid; unsigned long ticks; } Before;

typedef struct { Proc p; unsigned long used; } Row;
static int by_use(const void *a, const void *b) {
  const Row *x = a, *y = b;
  if (x->used != y->used) return x->used < y->used ? 1 : -1;
  return x->p.ticks != y->p.ticks ? (x->p.ticks < y->p.ticks ? 1 : -1) : x->p.pid - y->p.pid;
}

/* User, system and idle ticks of all processors so far. */
static void cpu_ticks(unsigned long v[4]) {
  char *text = read_file("/proc/stat", NULL), *s = text ? strstr(text, "cpu ") : NULL;
  memset(v, 0, 4 * sizeof *v);
  if (s) {
    s += 4;
    for (int i = 0; i < 4; i++) v[i] = strtoul(s, &s, 10);
  }
  free(text);
}

static bool key_pressed(int ms, char *key) {
  struct pollfd p = {.fd = 0, .events = POLLIN};
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  return sys_ppoll(&p, 1, &t) > 0 && sys_read(0, key, 1) == 1;
}

int top_main(int argc, char **argv) {
  bool batch = false;
  long turns = -1;
  double delay = 3;
  int opt;
  while ((opt = getopt(argc, argv, "bn:d:", "batch=b")) >= 0) {
    if (opt == 'b') batch = true;
    else if (opt == 'n') turns = atoi(optarg);
    else if (opt == 'd') delay = parse_duration(optarg);
    else return usage_error();
  }
  struct termios cooked;
  bool tty = !batch && isatty(0) && isatty(1) && sys_ioctl(0, TCGETS, &cooked) == 0;
  if (tty) {
    struct termios raw = cooked;
    raw.lflag &= ~(uint32_t)(ICANON | ECHO);
    sys_ioctl(0, TCSETSW, &raw);
  }
  Before *before = NULL;
  size_t before_count = 0;
  unsigned long last_cpu[4] = {0}, cpu[4]; /* the first turn shows the time since the start */
  for (bool quit = false; turns && !quit; turns--) {
    size_t n;
    Proc *list = proc_list(&n);
    Row *rows = malloc((n + 1) * sizeof *rows);
    unsigned running = 0;
    for (size_t i = 0; i < n; i++) {
      rows[i] = (Row){list[i], list[i].ticks};
      for (size_t k = 0; k < before_count; k++)
        if (before[k].pid == list[i].pid) rows[i].used = list[i].ticks - before[k].ticks;
      running += list[i].state == 'R';
    }
    if (n) qsort(rows, n, sizeof *rows, by_use);
    cpu_ticks(cpu);
    unsigned long elapsed = 0;
    for (int i = 0; i < 4; i++) {
      if (cpu[i] < last_cpu[i]) cpu[i] = last_cpu[i]; /* idle time is estimated and may step back */
      elapsed += cpu[i] - last_cpu[i];
    }
    struct sysinfo s = {0};
    sys_sysinfo(&s);
    unsigned long unit = s.mem_unit ? s.mem_unit : 1, span = elapsed ? elapsed : 1;
    struct winsize w = {0};
    size_t shown = n;
    if (tty && sys_ioctl(1, TIOCGWINSZ, &w) == 0 && w.rows > 8 && n > (size_t)w.rows - 7) shown = (size_t)w.rows - 7;
    if (tty) printf("\033[H\033[2J");
    printf("top - up %ld:%02ld:%02ld, load average: %.2f, %.2f, %.2f\n", s.uptime / 3600, s.uptime / 60 % 60, s.uptime % 60, (double)s.loads[0] / 65536, (double)s.loads[1] / 65536, (double)s.loads[2] / 65536);
    printf("Tasks: %lu total, %u running\n", n, running);
    printf("%%Cpu: %5.1f us, %5.1f sy, %5.1f id\n", (double)(cpu[0] + cpu[1] - last_cpu[0] - last_cpu[1]) * 100 / (double)span, (double)(cpu[2] - last_cpu[2]) * 100 / (double)span, (double)(cpu[3] - last_cpu[3]) * 100 / (double)span);
    printf("KiB Mem: %lu total, %lu free, %lu used\n\n", s.totalram * unit / 1024, s.freeram * unit / 1024, (s.totalram - s.freeram) * unit / 1024);
    printf(tty ? "\033[7m  PID USER      NI    VIRT    RES S  %%CPU  TIME+ COMMAND\033[0m\n" : "  PID USER      NI    VIRT    RES S  %%CPU  TIME+ COMMAND\n");
    for (size_t i = 0; i < shown; i++) {
      const Proc *p = &rows[i].p;
      printf("%5d %-8s %3d %7lu %6lu %c %5.1f %3lu:%02lu %.40s\n", p->pid, user_name(p->uid), p->nice, p->vsize / 1024, p->rss / 1024, p->state, (double)rows[i].used * 100 / (double)span, p->ticks / 6000, p->ticks / 100 % 60, p->command);
    }
    fflush(stdout);
    free(before);
    before = malloc((n + 1) * sizeof *before);
    before_count = n;
    for (size_t i = 0; i < n; i++) before[i] = (Before){list[i].pid, list[i].ticks};
    memcpy(last_cpu, cpu, sizeof cpu);
    free(rows);
    free(list);
    if (turns == 1) break;
    char key = 0;
    if (!tty) msleep((long)(delay * 1000));
    else if (key_pressed((int)(delay * 1000), &key)) quit = key == 'q' || key == 3;
    if (!tty) putchar('\n');
  }
  if (tty) sys_ioctl(0, TCSETSW, &cooked);
  return 0;
}
