/* ptys, line editing, job control, window sizes */
#include "check.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile int caught;
static void catch(int signal) { caught = signal; }
static void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}
/* What the screen shows within a short time. */
static const char *screen(int master) {
  static char buf[1000];
  size_t n = 0;
  struct pollfd fd = {master, POLLIN, 0};
  while (poll(&fd, 1, 30) == 1 && (fd.revents & POLLIN)) {
    ssize_t got = read(master, buf + n, sizeof buf - 1 - n);
    if (got <= 0) break;
    n += (size_t)got;
  }
  buf[n] = 0;
  return buf;
}
static bool shows(int master, const char *text) { return strcmp(screen(master), text) == 0; }
static void type(int master, const char *text) {
  write(master, text, strlen(text));
  pause_ms(5);
}
static bool line_is(int slave, const char *text) {
  char buf[200];
  ssize_t n = read(slave, buf, sizeof buf);
  return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static void editing(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  CHECK("posix_openpt", master >= 0);
  CHECK("locked", open(ptsname(master), O_RDWR | O_NOCTTY) == -1 && errno == EIO);
  CHECK("unlockpt", grantpt(master) == 0 && unlockpt(master) == 0);
  char name[50];
  int number;
  ioctl(master, TIOCGPTN, &number);
  sprintf(name, "/dev/pts/%d", number);
  CHECK("ptsname", strcmp(ptsname(master), name) == 0);
  int slave = open(name, O_RDWR | O_NOCTTY);
  CHECK("slave", slave >= 0 && isatty(slave) && isatty(master));
  CHECK("ttyname", ttyname(slave) && strcmp(ttyname(slave), name) == 0);
  struct stat st;
  CHECK("fstat of a slave", fstat(slave, &st) == 0 && S_ISCHR(st.st_mode) && (st.st_rdev >> 8) == 136);

  type(master, "ab\177c\r");
  CHECK("a line", line_is(slave, "ac\n") && shows(master, "ab\b \bc\r\n"));
  type(master, "one two\027x\n");
  CHECK("word erase", line_is(slave, "one x\n"));
  screen(master);
  type(master, "end\004");
  CHECK("end of file in a line", line_is(slave, "end"));
  type(master, "\004");
  CHECK("end of file", line_is(slave, ""));
  screen(master);
  write(slave, "x\ty\n", 4);
  CHECK("output processing", shows(master, "x\ty\r\n"));
  type(master, "\023");
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  CHECK("stopped", write(slave, "s", 1) == -1 && errno == EAGAIN);
  type(master, "\021");
  CHECK("started", write(slave, "s", 1) == 1 && shows(master, "s"));

  struct termios t, back;
  CHECK("tcgetattr", tcgetattr(slave, &t) == 0 && (t.c_lflag & ICANON) && t.c_cc[VINTR] == 3 && cfgetospeed(&t) == B38400);
  cfmakeraw(&t);
  t.c_cc[VMIN] = 2;
  CHECK("tcsetattr", tcsetattr(slave, TCSAFLUSH, &t) == 0 && tcgetattr(master, &back) == 0 && back.c_lflag == t.c_lflag && back.c_cc[VMIN] == 2);
  type(master, "q");
  struct pollfd fd = {slave, POLLIN, 0};
  CHECK("fewer than MIN", poll(&fd, 1, 10) == 0);
  type(master, "r");
  CHECK("MIN", poll(&fd, 1, 100) == 1 && line_is(slave, "qr"));
  CHECK("no echo", shows(master, ""));
  fcntl(slave, F_SETFL, O_RDWR);
  t.c_cc[VMIN] = 0;
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  CHECK("TIME", line_is(slave, ""));
  struct winsize size = {40, 132, 0, 0}, got;
  CHECK("window size", ioctl(master, TIOCSWINSZ, &size) == 0 && ioctl(slave, TIOCGWINSZ, &got) == 0 && got.ws_col == 132);
  int waiting;
  type(master, "123");
  CHECK("FIONREAD", ioctl(slave, FIONREAD, &waiting) == 0 && waiting == 3);
  CHECK("tcflush", tcflush(slave, TCIFLUSH) == 0 && ioctl(slave, FIONREAD, &waiting) == 0 && waiting == 0);
  write(slave, "bye", 3);
  close(slave);
  char buf[10];
  CHECK("the master gets the rest", read(master, buf, 10) == 3);
  CHECK("and then EIO", read(master, buf, 10) == -1 && errno == EIO);
  close(master);
  CHECK("the node is gone", access(name, F_OK) == -1);
}

/* A session on a pty of its own. */
static void jobs(void) {
  int master;
  fflush(stdout);
  int report[2];
  pipe(report);
  pid_t leader = forkpty(&master, NULL, NULL, NULL);
  if (leader == 0) {
    failures = 0;
    dup2(report[1], 1);
    setvbuf(stdout, NULL, _IONBF, 0);
    int tty = open("/dev/tty", O_RDWR);
    CHECK("/dev/tty", tty >= 0 && isatty(tty));
    CHECK("the leader's group is in front", tcgetpgrp(0) == getpid());
    struct sigaction action = {.sa_handler = catch};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    write(0, "ready", 5);
    char buf[20];
    CHECK("^C interrupts a read", read(0, buf, sizeof buf) == -1 && errno == EINTR && caught == SIGINT);
    write(0, "size", 4);
    while (caught != SIGWINCH) pause_ms(5);
    CHECK("SIGWINCH", true);
    /* A job in the background that reads is stopped; in the foreground it may. */
    pid_t job = fork();
    if (job == 0) {
      setpgid(0, 0);
      signal(SIGINT, SIG_DFL);
      char c;
      _exit(read(0, &c, 1) == 1 ? 7 : 8);
    }
    setpgid(job, job);
    int status;
    CHECK("a background reader stops", waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
    signal(SIGTTOU, SIG_IGN);
    CHECK("tcsetpgrp", tcsetpgrp(0, job) == 0 && tcgetpgrp(0) == job);
    kill(-job, SIGCONT);
    write(0, "go", 2);
    CHECK("continued in front it reads", waitpid(job, &status, WUNTRACED) == job && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    tcsetpgrp(0, getpid());
    signal(SIGTTOU, SIG_DFL);
    job = fork();
    if (job == 0) {
      setpgid(0, 0);
      for (;;) pause();
    }
    setpgid(job, job);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, job);
    signal(SIGTTOU, SIG_DFL);
    write(0, "susp", 4);
    CHECK("^Z stops the foreground", waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    write(0, "quit", 4);
    CHECK("^\\ quits it", ({ kill(-job, SIGCONT); waitpid(job, &status, 0) == job && WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT; }));
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, getpid());
    _exit(failures);
  }
  close(report[1]);
  const char *answers[][2] = {{"ready", "\003"}, {"go", "k\n"}, {"susp", "\032"}, {"quit", "\034"}};
  char seen[4000] = {0};
  size_t length = 0;
  bool answered[4] = {0}, resized = false;
  struct pollfd fds[2] = {{master, POLLIN, 0}, {report[0], POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, 5000) <= 0) break;
    if (fds[1].revents & POLLIN) {
      char buf[500];
      ssize_t n = read(report[0], buf, sizeof buf);
      fwrite(buf, 1, (size_t)n, stdout);
    } else if (fds[1].revents & POLLHUP) break;
    if (fds[0].revents & POLLIN) {
      ssize_t n = read(master, seen + length, sizeof seen - 1 - length);
      if (n > 0) length += (size_t)n;
      seen[length] = 0;
    }
    for (int i = 0; i < 4; i++)
      if (!answered[i] && strstr(seen, answers[i][0])) {
        answered[i] = true;
        pause_ms(20);
        write(master, answers[i][1], strlen(answers[i][1]));
      }
    if (!resized && strstr(seen, "size")) {
      struct winsize size = {50, 50, 0, 0};
      ioctl(master, TIOCSWINSZ, &size);
      resized = true;
    }
  }
  int status;
  waitpid(leader, &status, 0);
  CHECK("the session ended well", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  fflush(stdout);
  leader = forkpty(&master, NULL, NULL, NULL);
  if (leader == 0)
    for (;;) pause();
  pause_ms(20);
  close(master);
  CHECK("closing the master hangs up", waitpid(leader, &status, 0) == leader && WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}

int main(void) {
  editing();
  jobs();
  return failures;
}
