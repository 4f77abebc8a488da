/* AF_UNIX, TCP and UDP on the loopback, netlink */
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}
static volatile int caught;
static void catch(int signal) { caught = signal; }
static bool gets(int fd, const char *text) {
  char buf[256];
  ssize_t n = recv(fd, buf, sizeof buf, 0);
  return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}
static struct sockaddr_un unix_name(const char *path, socklen_t *length) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strcpy(a.sun_path + (path[0] == '@'), path + (path[0] == '@'));
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  return a;
}
static struct sockaddr_in inet_name(uint32_t ip, int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(ip)};
}
static ssize_t send_fd(int socket, int fd, const char *text) {
  struct iovec iov = {(void *)text, strlen(text)};
  union { char buf[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } u = {0};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(socket, &m, 0);
}
static int receive_fd(int socket, char *text, size_t room, int *flags) {
  struct iovec iov = {text, room};
  union { char buf[128]; struct cmsghdr align; } u;
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
  ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
  if (n < 0) return -1;
  text[n] = 0;
  *flags = m.msg_flags;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_type != SCM_RIGHTS) return -2;
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

static void unix_sockets(void) {
  int s[2], flags;
  char buf[300] = {0};
  CHECK("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
  struct stat st;
  CHECK("fstat of a socket", fstat(s[0], &st) == 0 && S_ISSOCK(st.st_mode));
  CHECK("stream", send(s[0], "hello", 5, 0) == 5 && gets(s[1], "hello"));
  int p[2];
  pipe(p);
  send(s[0], "plain", 5, 0);
  CHECK("send a descriptor", send_fd(s[0], p[1], "fd") == 2);
  send(s[0], "after", 5, 0);
  int got = receive_fd(s[1], buf, 100, &flags);
  CHECK("receive a descriptor", got >= 0 && strcmp(buf, "plainfd") == 0 && (flags & MSG_CMSG_CLOEXEC) && (fcntl(got, F_GETFD) & FD_CLOEXEC));
  CHECK("bytes after it come later", gets(s[1], "after"));
  write(got, "via", 3);
  CHECK("it is the same pipe", read(p[0], buf, 10) == 3 && memcmp(buf, "via", 3) == 0);
  CHECK("peek", send(s[0], "abc", 3, 0) == 3 && recv(s[1], buf, 2, MSG_PEEK) == 2 && gets(s[1], "abc"));
  CHECK("dontwait", recv(s[1], buf, 2, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  int on = 1;
  setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send(s[0], "c", 1, 0);
  struct iovec iov = {buf, 10};
  union { char buf[128]; struct cmsghdr align; } u;
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof u.buf};
  recvmsg(s[1], &m, 0);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  struct ucred *cred = c ? (struct ucred *)CMSG_DATA(c) : NULL;
  CHECK("credentials", c && c->cmsg_type == SCM_CREDENTIALS && cred->pid == getpid() && cred->uid == getuid());
  struct timeval tv = {0, 30000};
  setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  CHECK("receive time limit", recv(s[1], buf, 1, 0) == -1 && errno == EAGAIN);
  CHECK("shutdown", shutdown(s[0], SHUT_WR) == 0 && recv(s[1], buf, 1, 0) == 0 && send(s[1], "back", 4, 0) == 4 && gets(s[0], "back"));
  struct pollfd fd = {s[1], POLLIN | POLLRDHUP, 0};
  CHECK("POLLRDHUP", poll(&fd, 1, 0) == 1 && fd.revents == (POLLIN | POLLRDHUP));
  signal(SIGPIPE, catch);
  CHECK("send after shutdown", send(s[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE && caught == 0);
  CHECK("write after shutdown", write(s[0], "x", 1) == -1 && errno == EPIPE && caught == SIGPIPE);
  close(s[0]);
  close(s[1]);

  unlink("/tmp/sock");
  socklen_t length;
  struct sockaddr_un name = unix_name("/tmp/sock", &length);
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK("bind", bind(server, (struct sockaddr *)&name, length) == 0 && stat("/tmp/sock", &st) == 0 && S_ISSOCK(st.st_mode));
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK("name taken", bind(other, (struct sockaddr *)&name, length) == -1 && errno == EADDRINUSE);
  CHECK("nobody listens", connect(other, (struct sockaddr *)&name, length) == -1 && errno == ECONNREFUSED);
  CHECK("listen", listen(server, 1) == 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&name, length) != 0) _exit(1);
    send(client, "request", 7, 0);
    char answer[10];
    _exit(recv(client, answer, 10, 0) == 6 ? 0 : 2);
  }
  int end = accept4(server, NULL, NULL, SOCK_CLOEXEC);
  CHECK("accept", end >= 0 && gets(end, "request"));
  struct ucred peer;
  length = sizeof peer;
  CHECK("SO_PEERCRED", getsockopt(end, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid == child);
  send(end, "answer", 6, 0);
  int status;
  waitpid(child, &status, 0);
  CHECK("client is content", status == 0);
  CHECK("opening a socket's node", open("/tmp/sock", O_RDWR) == -1 && errno == ENXIO);
  struct sockaddr_un asked;
  length = sizeof asked;
  CHECK("getsockname", getsockname(end, (struct sockaddr *)&asked, &length) == 0 && length == 12 && strcmp(asked.sun_path, "/tmp/sock") == 0);
  length = sizeof asked;
  CHECK("unnamed peer", getpeername(end, (struct sockaddr *)&asked, &length) == 0 && length == 2);

  int d = socket(AF_UNIX, SOCK_DGRAM, 0);
  name = unix_name("@log", &length);
  CHECK("abstract name", bind(d, (struct sockaddr *)&name, length) == 0);
  int q = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK("datagrams", sendto(q, "one", 3, 0, (struct sockaddr *)&name, length) == 3 && sendto(q, "two2", 4, 0, (struct sockaddr *)&name, length) == 4 && gets(d, "one"));
  CHECK("truncation", recv(d, buf, 2, MSG_TRUNC) == 4);
  CHECK("not connected", send(q, "x", 1, 0) == -1 && errno == ENOTCONN);
  close(d);
  CHECK("gone", sendto(q, "x", 1, 0, (struct sockaddr *)&name, length) == -1 && errno == ECONNREFUSED);
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
  send(s[0], "first", 5, 0);
  send(s[0], "second", 6, 0);
  CHECK("seqpacket", recv(s[1], buf, 3, 0) == 3 && gets(s[1], "second"));
}

static void tcp(void) {
  char buf[100];
  int on = 1, error;
  socklen_t length = sizeof error;
  int server = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in name = inet_name(INADDR_LOOPBACK, 0);
  CHECK("tcp bind", bind(server, (struct sockaddr *)&name, sizeof name) == 0);
  length = sizeof name;
  getsockname(server, (struct sockaddr *)&name, &length);
  int port = ntohs(name.sin_port);
  CHECK("a port is chosen", port >= 32768);
  int refused = socket(AF_INET, SOCK_STREAM, 0);
  CHECK("refused", connect(refused, (struct sockaddr *)&name, sizeof name) == -1 && errno == ECONNREFUSED);
  CHECK("tcp listen", listen(server, 5) == 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int c = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c, (struct sockaddr *)&name, sizeof name) != 0) _exit(1);
    if (send(c, "ping", 4, 0) != 4 || recv(c, buf, 10, 0) != 4) _exit(2);
    long total = 0;
    static char block[10000];
    for (int i = 0; i < 100; i++) total += send(c, block, sizeof block, 0);
    shutdown(c, SHUT_WR);
    if (total != 1000000 || recv(c, buf, 10, 0) != 0) _exit(3);
    _exit(0);
  }
  struct sockaddr_in from;
  length = sizeof from;
  int end = accept(server, (struct sockaddr *)&from, &length);
  CHECK("tcp accept", end >= 0 && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
  CHECK("tcp bytes", gets(end, "ping") && send(end, "pong", 4, 0) == 4);
  long total = 0;
  static char block[7777];
  for (ssize_t n; (n = recv(end, block, sizeof block, 0)) > 0;) total += n;
  CHECK("a megabyte", total == 1000000);
  close(end);
  int status;
  waitpid(child, &status, 0);
  CHECK("tcp client is content", status == 0);

  int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK("non-blocking connect", connect(c, (struct sockaddr *)&name, sizeof name) == -1 && errno == EINPROGRESS);
  struct pollfd fd = {c, POLLOUT, 0};
  CHECK("becomes writable", poll(&fd, 1, 1000) == 1 && fd.revents == POLLOUT);
  length = sizeof error;
  CHECK("without error", getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
  end = accept(server, NULL, NULL);
  setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  send(end, "unread", 6, 0);
  pause_ms(5);
  close(c);
  CHECK("reset", recv(end, buf, 10, 0) == -1 && errno == ECONNRESET);
  close(end);
  close(server);
  CHECK("refused again", connect(refused, (struct sockaddr *)&name, sizeof name) == -1 && errno == ECONNREFUSED);

  int six = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  CHECK("IPv6 bind", bind(six, (struct sockaddr *)&any, sizeof any) == 0 && listen(six, 1) == 0);
  c = socket(AF_INET, SOCK_STREAM, 0);
  CHECK("IPv4 reaches it", connect(c, (struct sockaddr *)&name, sizeof name) == 0);
  struct sockaddr_in6 from6;
  length = sizeof from6;
  end = accept(six, (struct sockaddr *)&from6, &length);
  CHECK("as a mapped address", IN6_IS_ADDR_V4MAPPED(&from6.sin6_addr));
}

static void udp(void) {
  char buf[100];
  int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in name = inet_name(INADDR_LOOPBACK, 0), from;
  socklen_t length = sizeof name;
  bind(a, (struct sockaddr *)&name, sizeof name);
  getsockname(a, (struct sockaddr *)&name, &length);
  CHECK("udp", sendto(b, "hi", 2, 0, (struct sockaddr *)&name, sizeof name) == 2);
  length = sizeof from;
  CHECK("udp receive", recvfrom(a, buf, 100, 0, (struct sockaddr *)&from, &length) == 2 && from.sin_port != 0);
  CHECK("udp answer", sendto(a, "yo", 2, 0, (struct sockaddr *)&from, sizeof from) == 2 && gets(b, "yo"));
  close(a);
  connect(b, (struct sockaddr *)&name, sizeof name);
  send(b, "x", 1, 0);
  CHECK("udp refused", recv(b, buf, 1, 0) == -1 && errno == ECONNREFUSED);
}

static void interfaces(void) {
  struct ifaddrs *list, *at;
  int found = 0;
  CHECK("getifaddrs", getifaddrs(&list) == 0);
  for (at = list; at; at = at->ifa_next)
    if (strcmp(at->ifa_name, "lo") == 0 && at->ifa_addr && at->ifa_addr->sa_family == AF_INET)
      found = ((struct sockaddr_in *)at->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK) && (at->ifa_flags & IFF_LOOPBACK);
  CHECK("lo has its address", found);
  CHECK("if_nametoindex", if_nametoindex("lo") == 1);
  CHECK("no such family", socket(30000, SOCK_STREAM, 0) == -1 && errno == EAFNOSUPPORT);
  CHECK("not a socket", listen(0, 1) == -1 && errno == ENOTSOCK);
}

int main(void) {
  unix_sockets();
  tcp();
  udp();
  interfaces();
  return failures;
}
