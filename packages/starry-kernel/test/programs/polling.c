/* pipes, FIFOs, poll, select, epoll, eventfd, timerfd, signalfd */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static volatile int caught;
static void catch(int signal) { caught = signal; }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}
static bool reads(int fd, const char *text) {
  char buf[256];
  ssize_t n = read(fd, buf, sizeof buf);
  return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static void pipes(void) {
  int p[2];
  char buf[70000] = {0};
  CHECK("pipe2", pipe2(p, O_CLOEXEC) == 0 && (fcntl(p[0], F_GETFD) & FD_CLOEXEC));
  struct stat st;
  CHECK("fstat of a pipe", fstat(p[0], &st) == 0 && S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0600);
  CHECK("both ends are one inode", ({ struct stat other; fstat(p[1], &other); other.st_ino == st.st_ino; }));
  CHECK("a pipe cannot seek", lseek(p[0], 0, SEEK_CUR) == -1 && errno == ESPIPE);
  CHECK("default size", fcntl(p[1], F_GETPIPE_SZ) == 65536);
  CHECK("resize", fcntl(p[1], F_SETPIPE_SZ, 5000) == 8192 && fcntl(p[0], F_GETPIPE_SZ) == 8192);
  fcntl(p[1], F_SETFL, O_NONBLOCK);
  CHECK("fill", write(p[1], buf, sizeof buf) == 8192);
  CHECK("full", write(p[1], buf, 1) == -1 && errno == EAGAIN);
  int queued;
  CHECK("FIONREAD", ioctl(p[0], FIONREAD, &queued) == 0 && queued == 8192);
  CHECK("too small for its contents", fcntl(p[1], F_SETPIPE_SZ, 4096) == -1 && errno == EBUSY);
  CHECK("empty", read(p[0], buf, sizeof buf) == 8192);
  CHECK("no reading from the write end", read(p[1], buf, 1) == -1 && errno == EBADF);
  close(p[1]);
  CHECK("end of file", read(p[0], buf, 1) == 0);
  close(p[0]);

  pipe(p);
  close(p[0]);
  signal(SIGPIPE, catch);
  CHECK("EPIPE and SIGPIPE", write(p[1], "x", 1) == -1 && errno == EPIPE && caught == SIGPIPE);
  close(p[1]);

  int there[2], back[2];
  pipe(there);
  pipe(back);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 1000; i++) {
      int value;
      if (read(there[0], &value, sizeof value) != sizeof value) _exit(1);
      value++;
      if (write(back[1], &value, sizeof value) != sizeof value) _exit(2);
    }
    _exit(0);
  }
  int value = 0, status;
  for (int i = 0; i < 1000; i++) {
    write(there[1], &value, sizeof value);
    read(back[0], &value, sizeof value);
  }
  waitpid(child, &status, 0);
  CHECK("a thousand round trips", value == 1000 && status == 0);

  pipe2(p, O_DIRECT | O_NONBLOCK);
  write(p[1], "abc", 3);
  write(p[1], "de", 2);
  CHECK("packets", read(p[0], buf, 2) == 2 && read(p[0], buf, 100) == 2 && memcmp(buf, "de", 2) == 0);

  unlink("/tmp/fifo");
  CHECK("mkfifo", mkfifo("/tmp/fifo", 0600) == 0);
  CHECK("nobody reads", open("/tmp/fifo", O_WRONLY | O_NONBLOCK) == -1 && errno == ENXIO);
  fflush(stdout);
  child = fork();
  if (child == 0) {
    int w = open("/tmp/fifo", O_WRONLY);
    write(w, "through", 7);
    _exit(0);
  }
  int r = open("/tmp/fifo", O_RDONLY);
  CHECK("two opens meet", r >= 0 && reads(r, "through"));
  waitpid(child, &status, 0);
  CHECK("a FIFO ends", read(r, buf, 1) == 0);
  CHECK("fstat of a FIFO", fstat(r, &st) == 0 && S_ISFIFO(st.st_mode));
  close(r);
}

static void polls(void) {
  int p[2];
  pipe(p);
  struct pollfd fds[4] = {{p[0], POLLIN, 99}, {p[1], POLLOUT, 99}, {-1, POLLIN, 99}, {77, POLLIN, 99}};
  CHECK("poll", poll(fds, 4, 0) == 2 && fds[0].revents == 0 && fds[1].revents == POLLOUT && fds[2].revents == 0 && fds[3].revents == POLLNVAL);
  double start = now();
  CHECK("poll times out", poll(fds, 1, 30) == 0 && now() - start >= 0.029);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    pause_ms(20);
    write(p[1], "x", 1);
    _exit(0);
  }
  CHECK("poll wakes", poll(fds, 1, 5000) == 1 && fds[0].revents == POLLIN);
  waitpid(child, NULL, 0);
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  CHECK("select", select(p[1] + 1, &in, &out, NULL, NULL) == 2 && FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
  read(p[0], &child, 1);
  FD_ZERO(&in);
  FD_SET(p[0], &in);
  struct timeval tv = {0, 20000};
  CHECK("select times out", select(p[0] + 1, &in, NULL, NULL, &tv) == 0 && !FD_ISSET(p[0], &in) && tv.tv_usec == 0);
  FD_SET(50, &in);
  CHECK("select of a closed descriptor", select(51, &in, NULL, NULL, &tv) == -1 && errno == EBADF);
  FD_ZERO(&in);

  struct sigaction action = {.sa_handler = catch};
  sigaction(SIGALRM, &action, NULL);
  sigset_t blocked, none;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  struct itimerval timer = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  caught = 0;
  CHECK("ppoll with a mask is interrupted", ppoll(fds, 0, NULL, &none) == -1 && errno == EINTR && caught == SIGALRM);
  sigset_t after;
  sigprocmask(SIG_BLOCK, NULL, &after);
  CHECK("its mask is gone again", sigismember(&after, SIGALRM));
  raise(SIGALRM);
  caught = 0;
  struct timespec never = {5, 0};
  CHECK("pselect sees a pending signal", pselect(0, NULL, NULL, NULL, &never, &none) == -1 && errno == EINTR && caught == SIGALRM);
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  close(p[1]);
  CHECK("hang-up without being asked", poll(fds, 1, -1) == 1 && fds[0].revents == POLLHUP);
  close(p[0]);
}

static void epolls(void) {
  int e = epoll_create1(EPOLL_CLOEXEC);
  int p[2];
  pipe(p);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0}, out[4];
  CHECK("epoll_ctl", epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event) == 0);
  CHECK("twice", epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event) == -1 && errno == EEXIST);
  CHECK("itself", epoll_ctl(e, EPOLL_CTL_ADD, e, &event) == -1 && errno == EINVAL);
  int regular = open("/tmp/plain", O_CREAT | O_RDWR, 0600);
  CHECK("a regular file", epoll_ctl(e, EPOLL_CTL_ADD, regular, &event) == -1 && errno == EPERM);
  CHECK("nothing yet", epoll_wait(e, out, 4, 0) == 0);
  write(p[1], "x", 1);
  CHECK("level", epoll_wait(e, out, 4, -1) == 1 && out[0].events == EPOLLIN && out[0].data.u64 == 0x123456789abcdef0 && epoll_wait(e, out, 4, 0) == 1);
  event.events = EPOLLIN | EPOLLET;
  epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event);
  CHECK("edge", epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0);
  write(p[1], "y", 1);
  CHECK("the next edge", epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0);
  event.events = EPOLLIN | EPOLLONESHOT;
  epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event);
  CHECK("one shot", epoll_wait(e, out, 4, 0) == 1 && epoll_wait(e, out, 4, 0) == 0);
  int outer = epoll_create1(0);
  event.events = EPOLLIN;
  CHECK("nested", epoll_ctl(outer, EPOLL_CTL_ADD, e, &event) == 0 && epoll_wait(outer, out, 4, 0) == 0);
  epoll_ctl(e, EPOLL_CTL_MOD, p[0], &event);
  CHECK("nested readiness", epoll_wait(outer, out, 4, 1000) == 1);
  CHECK("no circles", epoll_ctl(e, EPOLL_CTL_ADD, outer, &event) == -1 && errno == ELOOP);
  struct pollfd fd = {outer, POLLIN, 0};
  CHECK("poll of an epoll", poll(&fd, 1, 0) == 1 && fd.revents == POLLIN);
  int copy = dup(p[0]);
  close(p[0]);
  CHECK("a duplicate keeps it", epoll_wait(e, out, 4, 0) == 1);
  close(copy);
  CHECK("the last close removes it", epoll_wait(e, out, 4, 0) == 0);
  double start = now();
  CHECK("epoll_wait times out", epoll_wait(e, out, 4, 25) == 0 && now() - start >= 0.024);
  close(p[1]);
  close(e);
  close(outer);
}

static void events(void) {
  uint64_t value = 5;
  int fd = eventfd(3, EFD_NONBLOCK);
  CHECK("eventfd adds", write(fd, &value, 8) == 8 && read(fd, &value, 8) == 8 && value == 8);
  CHECK("eventfd at zero", read(fd, &value, 8) == -1 && errno == EAGAIN);
  CHECK("eventfd wants eight bytes", read(fd, &value, 4) == -1 && errno == EINVAL);
  value = UINT64_MAX;
  CHECK("eventfd refuses the largest", write(fd, &value, 8) == -1 && errno == EINVAL);
  value = UINT64_MAX - 1;
  write(fd, &value, 8);
  value = 1;
  CHECK("eventfd full", write(fd, &value, 8) == -1 && errno == EAGAIN);
  int semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  CHECK("semaphore", read(semaphore, &value, 8) == 8 && value == 1 && read(semaphore, &value, 8) == 8 && read(semaphore, &value, 8) == -1);

  int t = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec spec = {{0, 10000000}, {0, 10000000}}, old;
  timerfd_settime(t, 0, &spec, NULL);
  CHECK("timerfd fires", read(t, &value, 8) == 8 && value >= 1);
  pause_ms(55);
  CHECK("timerfd counts", read(t, &value, 8) == 8 && value >= 4 && value <= 7);
  CHECK("timerfd_gettime", timerfd_gettime(t, &old) == 0 && old.it_interval.tv_nsec == 10000000 && old.it_value.tv_nsec <= 10000000);
  memset(&spec, 0, sizeof spec);
  timerfd_settime(t, 0, &spec, &old);
  fcntl(t, F_SETFL, O_NONBLOCK);
  CHECK("timerfd stopped", read(t, &value, 8) == -1 && errno == EAGAIN);
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  int w = timerfd_create(CLOCK_REALTIME, 0);
  spec.it_value = wall;
  spec.it_value.tv_sec -= 1;
  timerfd_settime(w, TFD_TIMER_ABSTIME, &spec, NULL);
  CHECK("a time that has passed", read(w, &value, 8) == 8 && value == 1);

  fcntl(w, F_SETFL, O_NONBLOCK);
  spec.it_value.tv_sec = wall.tv_sec + 1000;
  timerfd_settime(w, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL);
  struct pollfd on = {w, POLLIN, 0};
  CHECK("nothing before the clock is set", poll(&on, 1, 0) == 0);
  struct timespec later = {wall.tv_sec + 990, 0};
  clock_settime(CLOCK_REALTIME, &later);
  CHECK("TFD_TIMER_CANCEL_ON_SET wakes", poll(&on, 1, 0) == 1 && read(w, &value, 8) == -1 && errno == ECANCELED);
  CHECK("once", read(w, &value, 8) == -1 && errno == EAGAIN);
  timerfd_gettime(w, &old);
  CHECK("and its time moves with the clock", old.it_value.tv_sec >= 5 && old.it_value.tv_sec <= 10);
  later.tv_sec = wall.tv_sec + 1001;
  clock_settime(CLOCK_REALTIME, &later);
  CHECK("told again", read(w, &value, 8) == -1 && errno == ECANCELED);
  clock_settime(CLOCK_REALTIME, &wall);
  close(w);

  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int s = signalfd(-1, &set, SFD_NONBLOCK);
  struct signalfd_siginfo info[4];
  CHECK("signalfd empty", read(s, info, sizeof info) == -1 && errno == EAGAIN);
  kill(getpid(), SIGUSR1);
  union sigval payload = {.sival_int = 77};
  sigqueue(getpid(), SIGUSR2, payload);
  CHECK("signalfd reads", read(s, info, sizeof info) == 2 * sizeof info[0]);
  CHECK("signalfd fields", info[0].ssi_signo == SIGUSR1 && info[0].ssi_pid == (uint32_t)getpid() && info[1].ssi_int == 77 && info[1].ssi_code == SI_QUEUE);
  fflush(stdout);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    pause_ms(10);
    kill(parent, SIGUSR1);
    _exit(0);
  }
  struct pollfd fd2 = {s, POLLIN, 0};
  CHECK("signalfd wakes", poll(&fd2, 1, 5000) == 1 && fd2.revents == POLLIN);
  waitpid(child, NULL, 0);
}

int main(void) {
  pipes();
  polls();
  epolls();
  events();
  return failures;
}
