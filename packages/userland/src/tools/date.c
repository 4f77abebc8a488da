/* date, sleep, uptime, time, timeout: clocks. */
#include "../box.h"

static bool digits(const char *s, int n, int *value) {
  *value = 0;
  for (int i = 0; i < n; i++) {
    if (!isdigit((unsigned char)s[i])) return false;
    *value = *value * 10 + s[i] - '0';
  }
  return true;
}

/* @SECONDS, YYYY-MM-DD[ T]HH:MM[:SS][Z], HH:MM[:SS] today, now, touch's [CC]YYMMDDhhmm[.ss]. */
bool parse_date(const char *text, long *seconds) {
  struct timespec now;
  struct tm tm;
  char *end;
  sys_clock_gettime(CLOCK_REALTIME, &now);
  if (!strcmp(text, "now")) return *seconds = now.tv_sec, true;
  if (*text == '@') {
    *seconds = strtol(text + 1, &end, 10);
    return end != text + 1 && (!*end || *end == '.');
  }
  gmtime_r(now.tv_sec, &tm);
  tm.hour = tm.min = tm.sec = 0;
  if (!strcmp(text, "today")) return *seconds = now.tv_sec, true;
  if (!strcmp(text, "yesterday") || !strcmp(text, "tomorrow")) return *seconds = now.tv_sec + (*text == 't' ? 86400 : -86400), true;
  int year, month, day, v;
  size_t n = strspn(text, "0123456789");
  if ((n == 12 || n == 10 || n == 8) && (!text[n] || text[n] == '.')) {
    const char *p = text;
    if (n == 12) digits(p, 4, &year), tm.year = year - 1900, p += 4;
    if (n == 10) digits(p, 2, &year), tm.year = year < 69 ? year + 100 : year, p += 2;
    digits(p, 2, &month), tm.mon = month - 1;
    digits(p + 2, 2, &tm.mday);
    digits(p + 4, 2, &tm.hour);
    digits(p + 6, 2, &tm.min);
    if (text[n] == '.' && !digits(text + n + 1, 2, &tm.sec)) return false;
    return *seconds = timegm(&tm), true;
  }
  if (digits(text, 4, &year) && text[4] == '-' && digits(text + 5, 2, &month) && text[7] == '-' && digits(text + 8, 2, &day)) {
    tm.year = year - 1900;
    tm.mon = month - 1;
    tm.mday = day;
    text += 10;
    if (*text == 'T' || *text == ' ') text++;
  }
  if (digits(text, 2, &v) && text[2] == ':') {
    tm.hour = v;
    if (!digits(text + 3, 2, &tm.min)) return false;
    text += 5;
    if (*text == ':') {
      if (!digits(text + 1, 2, &tm.sec)) return false;
      text += 3;
      if (*text == '.') text += 1 + strspn(text + 1, "0123456789");
    }
  }
  if (!strcmp(text, "Z") || !strcmp(text, " UTC") || !strcmp(text, " +0000")) text = "";
  *seconds = timegm(&tm);
  return !*text && tm.mon >= 0 && tm.mon < 12 && tm.mday >= 1 && tm.mday <= 31 && tm.hour < 24 && tm.min < 60 && tm.sec < 61;
}

int date_main(int argc, char **argv) {
  const char *format = "%a %b %e %H:%M:%S %Z %Y", *set = NULL;
  struct timespec t;
  int opt;
  sys_clock_gettime(CLOCK_REALTIME, &t);
  while ((opt = getopt(argc, argv, "ud:s:RIr:", "utc=u,date:=d,set:=s,rfc-email=R,iso-8601=I,reference:=r")) >= 0) {
    struct stat st;
    switch (opt) {
      case 'u': break;
      case 'd':
        if (!parse_date(optarg, &t.tv_sec)) die("invalid date '%s'", optarg);
        t.tv_nsec = 0;
        break;
      case 's': set = optarg; break;
      case 'R': format = "%a, %d %b %Y %H:%M:%S %z"; break;
      case 'I': format = optarg && *optarg == 's' ? "%Y-%m-%dT%H:%M:%S+00:00" : "%F"; break;
      case 'r':
        if (sys_stat(optarg, &st) < 0) die_errno(ENOENT, "%s", optarg);
        t = st.st_mtim;
        break;
      default: return usage_error();
    }
  }
  if (set) {
    if (!parse_date(set, &t.tv_sec)) die("invalid date '%s'", set);
    t.tv_nsec = 0;
    long err = sys_clock_settime(CLOCK_REALTIME, &t);
    if (err < 0) die_errno(err, "cannot set date");
  }
  if (optind < argc && argv[optind][0] == '+') format = argv[optind] + 1;
  else if (optind < argc) die("invalid date '%s'", argv[optind]);
  struct tm tm;
  char text[512];
  gmtime_r(t.tv_sec, &tm);
  strftime(text, sizeof text, format, &tm, t.tv_sec, t.tv_nsec);
  puts(text);
  return 0;
}

int sleep_main(int argc, char **argv) {
  if (argc < 2) return usage_error();
  double total = 0;
  for (int i = 1; i < argc; i++) {
    double t = parse_duration(argv[i]);
    if (t < 0) die("invalid time interval '%s'", argv[i]);
    total += t;
  }
  struct timespec t = {(long)total, (long)((total - (double)(long)total) * 1e9)};
  while (sys_nanosleep(&t, &t) == -EINTR) {}
  return 0;
}

int uptime_main(int argc, char **argv) {
  (void)argc, (void)argv;
  struct sysinfo s = {0};
  struct timespec now;
  struct tm tm;
  sys_sysinfo(&s);
  sys_clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(now.tv_sec, &tm);
  long minutes = s.uptime / 60, days = minutes / 1440;
  printf(" %02d:%02d:%02d up ", tm.hour, tm.min, tm.sec);
  if (days) printf("%ld day%s, ", days, days > 1 ? "s" : "");
  if (minutes % 1440 >= 60) printf("%2ld:%02ld", minutes / 60 % 24, minutes % 60);
  else printf("%ld min", minutes % 60);
  printf(",  load average: %.2f, %.2f, %.2f\n", (double)s.loads[0] / 65536, (double)s.loads[1] / 65536, (double)s.loads[2] / 65536);
  return 0;
}

static double seconds_since(const struct timespec *start) {
  struct timespec now;
  sys_clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

int time_main(int argc, char **argv) {
  int i = argc > 1 && !strcmp(argv[1], "-p") ? 2 : 1;
  if (i >= argc) return usage_error();
  struct timespec start;
  sys_clock_gettime(CLOCK_MONOTONIC, &start);
  fflush(stdout);
  long pid = sys_fork();
  if (pid == 0) {
    int err = exec_program(argv + i);
    warn_errno(err, "%s", argv[i]);
    sys_exit_group(err == -ENOENT ? 127 : 126);
  }
  int status = 0;
  struct rusage ru = {0};
  while (sys_wait4((int)pid, &status, 0, &ru) == -EINTR) {}
  double real = seconds_since(&start), user = (double)ru.utime.sec + (double)ru.utime.usec / 1e6, sys = (double)ru.stime.sec + (double)ru.stime.usec / 1e6;
  if (i == 2) fprintf(stderr, "real %.2f\nuser %.2f\nsys %.2f\n", real, user, sys);
  else fprintf(stderr, "real\t%dm%.3fs\nuser\t%dm%.3fs\nsys\t%dm%.3fs\n", (int)real / 60, real - (int)real / 60 * 60, (int)user / 60, user - (int)user / 60 * 60, (int)sys / 60, sys - (int)sys / 60 * 60);
  return exit_status(status);
}

static volatile int alarms;
static void on_alarm(int sig) {
  (void)sig;
  alarms++;
}

int timeout_main(int argc, char **argv) {
  int sig = SIGTERM, opt;
  double kill_after = 0;
  while ((opt = getopt(argc, argv, "+s:k:", "signal:=s,kill-after:=k")) >= 0) {
    if (opt == 's') sig = signal_number(optarg);
    else if (opt == 'k') kill_after = parse_duration(optarg);
    else return 125;
  }
  if (argc - optind < 2 || sig < 0) return usage_error(), 125;
  double t = parse_duration(argv[optind]);
  if (t < 0) die("invalid time interval '%s'", argv[optind]);
  fflush(stdout);
  long pid = sys_fork();
  if (pid == 0) {
    int err = exec_program(argv + optind + 1);
    warn_errno(err, "%s", argv[optind + 1]);
    sys_exit_group(err == -ENOENT ? 127 : 126);
  }
  set_signal(SIGALRM, on_alarm, 0);
  alarms = 0;
  struct itimerval timer = {.value_sec = (long)t, .value_usec = (long)((t - (double)(long)t) * 1e6)};
  if (t > 0) sys_setitimer(0, &timer);
  int status = 0, seen = 0;
  while (sys_wait4((int)pid, &status, 0, NULL) == -EINTR) {
    if (alarms == seen) continue;
    sys_kill((int)pid, seen ? SIGKILL : sig);
    sys_kill((int)pid, SIGCONT);
    seen = alarms;
    timer = (struct itimerval){.value_sec = (long)kill_after, .value_usec = (long)((kill_after - (double)(long)kill_after) * 1e6)};
    if (kill_after > 0) sys_setitimer(0, &timer);
  }
  return seen ? (seen > 1 || sig == SIGKILL ? 137 : 124) : exit_status(status);
}
