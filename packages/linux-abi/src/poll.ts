/**
 * poll(2) and epoll(7) (asm-generic/poll.h, linux/eventpoll.h).
 */

// poll
export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;
export const POLLRDNORM = 64;
export const POLLRDBAND = 128;
export const POLLWRNORM = 256;
export const POLLWRBAND = 512;
export const POLLMSG = 1024;
export const POLLREMOVE = 0x1000;
export const POLLRDHUP = 0x2000;

// epoll
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLL_CLOEXEC = 0x80000;
export const EPOLL_URING_WAKE = 0x8000000;

// epoll events: the POLL* bits and these
export const EPOLLEXCLUSIVE = 0x10000000;
export const EPOLLWAKEUP = 0x20000000;
export const EPOLLONESHOT = 0x40000000;
export const EPOLLET = 0x80000000;

// struct epoll_event (not packed on riscv64)
export const EPOLL_EVENT_EVENTS = 0;
export const EPOLL_EVENT_DATA = 8;
export const EPOLL_EVENT_SIZE = 16;
export const POLLFD_FD = 0;
export const POLLFD_EVENTS = 4;
export const POLLFD_REVENTS = 6;
export const POLLFD_SIZE = 8;
