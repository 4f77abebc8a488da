import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_UNIX,
  EADDRINUSE,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EISCONN,
  EMSGSIZE,
  ENETUNREACH,
  ENOENT,
  ENOTCONN,
  ENOTSOCK,
  EPERM,
  EPIPE,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SHUT_WR,
  SIGPIPE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  SO_ERROR,
  SO_PASSCRED,
  SO_PEERCRED,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDBUF,
} from "linux-abi";
import { beforeEach, describe, expect, test } from "vitest";
import { anonymousInode } from "../io/anonymous-inode.ts";
import { createPipe } from "../io/pipe.ts";
import { MESSAGE_CALLS } from "../syscall/net/messages.ts";
import { SOCKET_OPTION_CALLS } from "../syscall/net/options.ts";
import { SOCKET_CALLS } from "../syscall/net/socket.ts";
import type { Task } from "../task/task.ts";
import { type Call, MEMORY_BASE, TestKernel } from "../testing/test-kernel.ts";
import { installSockets } from "./install.ts";

const ADDR = MEMORY_BASE + 0x1000;
const LEN = MEMORY_BASE + 0x1100;
const FDS = MEMORY_BASE + 0x1200;
const MSG = MEMORY_BASE + 0x1300;
const IOV = MEMORY_BASE + 0x1400;
const CTL = MEMORY_BASE + 0x1500;
const OPT = MEMORY_BASE + 0x1700;
const BUF = MEMORY_BASE + 0x4000;
const ALL = [...SOCKET_CALLS, ...MESSAGE_CALLS, ...SOCKET_OPTION_CALLS];

let k: TestKernel;
let a: Task;
let b: Task;

beforeEach(() => {
  k = new TestKernel();
  // A file system with sockets only.
  const nodes = new Map<string, object>();
  (k.kernel as { fs: unknown }).fs = {
    addProcNet: () => {},
    bindSocket: (_task: Task, path: string) => {
      if (nodes.has(path)) return -17;
      const node = { path };
      nodes.set(path, node);
      return node;
    },
    findSocket: (_task: Task, path: string) => nodes.get(path) ?? -ENOENT,
    lookup: () => ({ unpin: () => {} }),
  };
  (k.kernel as { addSyscalls: unknown }).addSyscalls = () => {};
  installSockets(k.kernel);
  a = k.task();
  b = k.task();
});

const call = (task: Task, name: string, ...args: number[]): Call => k.call(task, ALL, name, ...args);
const value = (task: Task, name: string, ...args: number[]): number => call(task, name, ...args).result as number;
function pair(type: number): [number, number] {
  expect(value(a, "socketpair", AF_UNIX, type, 0, FDS)).toBe(0);
  return [k.memory(a).i32(FDS), k.memory(a).i32(FDS + 4)];
}
function send(task: Task, fd: number, text: string, flags = 0, addressBytes = 0): Call {
  const n = k.memory(task).setText(BUF, text);
  return call(task, "sendto", fd, BUF, n, flags, addressBytes === 0 ? 0 : ADDR, addressBytes);
}
function receive(task: Task, fd: number, n = 4096, flags = 0): Call {
  return call(task, "recvfrom", fd, BUF, n, flags, 0, 0);
}
function got(task: Task, done: Call): string | number | undefined {
  return typeof done.result === "number" && done.result > 0 ? k.memory(task).text(BUF, done.result) : done.result;
}
function unixAddress(task: Task, path: string): number {
  k.memory(task).writeU16(ADDR, AF_UNIX);
  return 2 + k.memory(task).setText(ADDR + 2, path);
}
function inetAddress(task: Task, ip: number, port: number): number {
  const memory = k.memory(task);
  memory.clear(ADDR, 16);
  memory.writeU16(ADDR, AF_INET);
  memory.view.setUint16(ADDR - MEMORY_BASE + 2, port, false);
  memory.view.setUint32(ADDR - MEMORY_BASE + 4, ip, false);
  return 16;
}
function inet6Address(task: Task, port: number, lastByte: number): number {
  const memory = k.memory(task);
  memory.clear(ADDR, 28);
  memory.writeU16(ADDR, AF_INET6);
  memory.view.setUint16(ADDR - MEMORY_BASE + 2, port, false);
  memory.writeU8(ADDR + 23, lastByte);
  return 28;
}
function setOption(task: Task, fd: number, level: number, name: number, given: number): number {
  k.memory(task).writeU32(OPT, given);
  return value(task, "setsockopt", fd, level, name, OPT, 4);
}
function getOption(task: Task, fd: number, level: number, name: number): number {
  k.memory(task).writeU32(LEN, 4);
  const error = value(task, "getsockopt", fd, level, name, OPT, LEN);
  return error < 0 ? error : k.memory(task).i32(OPT);
}
/** Prepares a msghdr with one buffer. */
function header(task: Task, n: number, controlBytes: number): void {
  const memory = k.memory(task);
  memory.clear(MSG, 56);
  memory.setU64(IOV, BigInt(BUF));
  memory.setU64(IOV + 8, BigInt(n));
  memory.setU64(MSG + 16, BigInt(IOV));
  memory.setU64(MSG + 24, 1n);
  if (controlBytes > 0) memory.setU64(MSG + 32, BigInt(CTL));
  memory.setU64(MSG + 40, BigInt(controlBytes));
}
function control(task: Task, type: number, words: readonly number[]): number {
  const memory = k.memory(task);
  memory.setU64(CTL, BigInt(16 + 4 * words.length));
  memory.writeU32(CTL + 8, SOL_SOCKET);
  memory.writeU32(CTL + 12, type);
  words.forEach((word, i) => void memory.writeU32(CTL + 16 + 4 * i, word));
  return 16 + 4 * words.length;
}
const poll = (task: Task, fd: number): number => task.files.get(fd)?.poll(task) ?? -1;
/** Gives `task` a descriptor for a file of another task. */
function share(from: Task, fd: number, to: Task): number {
  const file = from.files.get(fd);
  if (file === undefined) throw new Error("no file");
  return to.files.install(file.get(), false, 1024);
}

describe("AF_UNIX stream pairs", () => {
  test("carry bytes both ways, wake the reader, end when the other side closes", () => {
    const [x, y] = pair(SOCK_STREAM);
    const waiting = receive(a, y);
    expect(waiting.result).toBeUndefined();
    const other = share(a, x, b);
    expect(send(b, other, "hello").result).toBe(5);
    expect(got(a, waiting)).toBe("hello");
    b.files.close(b, other);
    a.files.close(a, x);
    expect(receive(a, y).result).toBe(0);
    expect(poll(a, y)).toBe(POLLIN | 64 | POLLHUP | POLLRDHUP | POLLOUT | 256 | 512);
  });

  test("writing to a closed peer gives EPIPE, and SIGPIPE unless MSG_NOSIGNAL", () => {
    const [x, y] = pair(SOCK_STREAM);
    a.files.close(a, y);
    expect(send(a, x, "x", MSG_NOSIGNAL).result).toBe(-EPIPE);
    expect(a.pending.has(SIGPIPE)).toBe(false);
    expect(send(a, x, "x").result).toBe(-EPIPE);
    expect(a.pending.has(SIGPIPE)).toBe(true);
  });

  test("a peer that closes with unread bytes resets the connection", () => {
    const [x, y] = pair(SOCK_STREAM);
    send(a, x, "unread");
    a.files.close(a, y);
    expect(receive(a, x).result).toBe(-ECONNRESET);
  });

  test("shutdown of one direction ends it and leaves the other", () => {
    const [x, y] = pair(SOCK_STREAM);
    send(a, x, "last");
    expect(value(a, "shutdown", x, SHUT_WR)).toBe(0);
    expect(got(a, receive(a, y))).toBe("last");
    expect(receive(a, y).result).toBe(0);
    expect(send(a, y, "back").result).toBe(4);
    expect(got(a, receive(a, x))).toBe("back");
    expect(poll(a, y) & (POLLRDHUP | POLLHUP)).toBe(POLLRDHUP);
  });

  test("a long send waits for the reader; SO_SNDBUF bounds what is in flight", () => {
    const [x, y] = pair(SOCK_STREAM);
    setOption(a, x, SOL_SOCKET, SO_SNDBUF, 8192);
    const other = share(a, y, b);
    const sending = call(a, "sendto", x, BUF, 40000, 0, 0, 0);
    expect(sending.result).toBeUndefined();
    let total = 0;
    for (let i = 0; i < 3; i++) total += receive(b, other, 16384).result as number;
    expect([total, sending.result]).toEqual([40000, 40000]);
  });

  test("MSG_PEEK leaves the bytes, MSG_WAITALL waits for all, MSG_DONTWAIT for none, SO_RCVTIMEO for a while", () => {
    const [x, y] = pair(SOCK_STREAM);
    expect(receive(a, y, 10, MSG_DONTWAIT).result).toBe(-EAGAIN);
    send(a, x, "abc");
    expect(got(a, receive(a, y, 2, MSG_PEEK))).toBe("ab");
    const other = share(a, x, b);
    const all = receive(a, y, 6, MSG_WAITALL);
    send(b, other, "de");
    expect(all.result).toBeUndefined();
    send(b, other, "fg");
    expect(got(a, all)).toBe("abcdef");
    receive(a, y);
    k.memory(a).setU64(OPT, 0n);
    k.memory(a).setU64(OPT + 8, 50_000n);
    expect(value(a, "setsockopt", y, SOL_SOCKET, SO_RCVTIMEO, OPT, 16)).toBe(0);
    const timed = receive(a, y);
    k.advance(49_000_000);
    expect(timed.result).toBeUndefined();
    k.advance(1_000_000);
    expect(timed.result).toBe(-EAGAIN);
  });

  test("descriptors travel with their bytes and arrive as new descriptors of the same file", () => {
    const [x, y] = pair(SOCK_STREAM);
    const [reader, writer] = createPipe(anonymousInode(a, 0o10600), 0);
    const fd = a.files.install(reader, false, 1024);
    send(a, x, "before");
    k.memory(a).setText(BUF, "with");
    header(a, 4, control(a, SCM_RIGHTS, [fd]));
    expect(value(a, "sendmsg", x, MSG, 0)).toBe(4);
    a.files.close(a, fd);
    send(a, x, "after");
    const other = share(a, y, b);
    header(b, 100, 64);
    expect(value(b, "recvmsg", other, MSG, 0)).toBe(10); // what came before it, and up to the end of its own bytes
    expect(k.memory(b).text(BUF, 10)).toBe("beforewith");
    expect(k.memory(b).u64(MSG + 40)).toBe(24n);
    expect([k.memory(b).u64(CTL), k.memory(b).i32(CTL + 12)]).toEqual([20n, SCM_RIGHTS]);
    expect(b.files.get(k.memory(b).i32(CTL + 16))).toBe(reader);
    expect(reader.count).toBe(1);
    writer.put();
  });

  test("descriptors nobody takes are closed: too little room, plain read, socket closed", () => {
    const [x, y] = pair(SOCK_STREAM);
    const [reader, writer] = createPipe(anonymousInode(a, 0o10600), 0);
    const fd = a.files.install(reader, false, 1024);
    for (const _ of [0, 1, 2]) {
      header(a, 1, control(a, SCM_RIGHTS, [fd]));
      expect(value(a, "sendmsg", x, MSG, 0)).toBe(1);
    }
    header(a, 1, 16);
    expect(value(a, "recvmsg", y, MSG, 0)).toBe(1);
    expect(k.memory(a).i32(MSG + 48)).toBe(MSG_CTRUNC);
    receive(a, y);
    expect(reader.count).toBe(2);
    a.files.close(a, y);
    expect(reader.count).toBe(1);
    writer.put();
  });

  test("credentials come with SO_PASSCRED, and cannot be forged without privilege", () => {
    const [x, y] = pair(SOCK_STREAM);
    setOption(a, y, SOL_SOCKET, SO_PASSCRED, 1);
    send(a, x, "hi");
    header(a, 10, 64);
    expect(value(a, "recvmsg", y, MSG, 0)).toBe(2);
    expect([k.memory(a).i32(CTL + 12), k.memory(a).i32(CTL + 16)]).toEqual([SCM_CREDENTIALS, a.process.pid]);
    const user = k.task({ uid: 1000 });
    const other = share(a, x, user);
    header(user, 1, control(user, SCM_CREDENTIALS, [user.process.pid, 0, 0]));
    expect(value(user, "sendmsg", other, MSG, 0)).toBe(-EPERM);
  });
});

describe("AF_UNIX names", () => {
  test("a server listens on a path, a client connects, both know each other", () => {
    const server = value(a, "socket", AF_UNIX, SOCK_STREAM, 0);
    expect(value(a, "bind", server, ADDR, unixAddress(a, "/run/s"))).toBe(0);
    expect(value(a, "listen", server, 5)).toBe(0);
    const accepting = call(a, "accept4", server, 0, 0, 0);
    const client = value(b, "socket", AF_UNIX, SOCK_STREAM, 0);
    expect(value(b, "connect", client, ADDR, unixAddress(b, "/run/s"))).toBe(0);
    expect(accepting.result).toBeGreaterThan(0);
    send(b, client, "req");
    expect(got(a, receive(a, accepting.result as number))).toBe("req");
    k.memory(b).writeU32(LEN, 12);
    expect(value(b, "getsockopt", client, SOL_SOCKET, SO_PEERCRED, OPT, LEN)).toBe(0);
    expect(k.memory(b).i32(OPT)).toBe(a.process.pid);
    k.memory(b).writeU32(LEN, 110);
    expect(value(b, "getpeername", client, ADDR, LEN)).toBe(0);
    expect([k.memory(b).i32(LEN), k.memory(b).text(ADDR + 2, 6)]).toEqual([9, "/run/s"]);
    expect(value(b, "connect", client, ADDR, unixAddress(b, "/run/s"))).toBe(-EISCONN);
  });

  test("names: taken, missing, nobody listening, abstract, chosen by the kernel", () => {
    const one = value(a, "socket", AF_UNIX, SOCK_STREAM, 0);
    const two = value(a, "socket", AF_UNIX, SOCK_STREAM, 0);
    expect(value(a, "connect", one, ADDR, unixAddress(a, "/none"))).toBe(-ENOENT);
    expect(value(a, "bind", one, ADDR, unixAddress(a, "/x"))).toBe(0);
    expect(value(a, "bind", two, ADDR, unixAddress(a, "/x"))).toBe(-EADDRINUSE);
    expect(value(a, "connect", two, ADDR, unixAddress(a, "/x"))).toBe(-ECONNREFUSED);
    expect(value(a, "bind", two, ADDR, unixAddress(a, "\0abs"))).toBe(0);
    expect(value(a, "listen", two, 1)).toBe(0);
    const client = value(b, "socket", AF_UNIX, SOCK_STREAM, 0);
    expect(value(b, "connect", client, ADDR, unixAddress(b, "\0abs"))).toBe(0);
    const auto = value(b, "socket", AF_UNIX, SOCK_DGRAM, 0);
    expect(value(b, "bind", auto, ADDR, 2)).toBe(0);
    k.memory(b).writeU32(LEN, 110);
    value(b, "getsockname", auto, ADDR, LEN);
    expect([k.memory(b).i32(LEN), k.memory(b).text(ADDR + 2, 6)]).toEqual([8, "\x0000000"]);
  });

  test("a full backlog makes a connect wait, or fail if it may not", () => {
    const server = value(a, "socket", AF_UNIX, SOCK_STREAM, 0);
    value(a, "bind", server, ADDR, unixAddress(a, "\0s"));
    value(a, "listen", server, 0);
    const connect = (flags: number): Call => {
      const fd = value(b, "socket", AF_UNIX, SOCK_STREAM | flags, 0);
      return call(b, "connect", fd, ADDR, unixAddress(b, "\0s"));
    };
    expect(connect(0).result).toBe(0);
    expect(connect(SOCK_NONBLOCK).result).toBe(-EAGAIN);
    const blocked = connect(0);
    expect(blocked.result).toBeUndefined();
    expect(value(a, "accept", server, 0, 0)).toBeGreaterThan(0);
    expect(blocked.result).toBe(0);
  });
});

describe("AF_UNIX messages", () => {
  test("datagrams keep their borders and name their sender", () => {
    const server = value(a, "socket", AF_UNIX, SOCK_DGRAM, 0);
    value(a, "bind", server, ADDR, unixAddress(a, "\0log"));
    const client = value(b, "socket", AF_UNIX, SOCK_DGRAM, 0);
    value(b, "bind", client, ADDR, unixAddress(b, "\0me"));
    const n = unixAddress(b, "\0log");
    send(b, client, "one", 0, n);
    send(b, client, "second", 0, n);
    k.memory(a).writeU32(LEN, 110);
    expect(value(a, "recvfrom", server, BUF, 100, 0, ADDR, LEN)).toBe(3);
    expect([k.memory(a).i32(LEN), k.memory(a).text(ADDR + 2, 3)]).toEqual([5, "\0me"]);
    expect(receive(a, server, 2, MSG_TRUNC).result).toBe(6);
    expect(receive(a, server, 2, MSG_DONTWAIT).result).toBe(-EAGAIN);
  });

  test("a full receiver makes the sender wait", () => {
    const server = value(a, "socket", AF_UNIX, SOCK_DGRAM, 0);
    value(a, "bind", server, ADDR, unixAddress(a, "\0q"));
    const client = value(b, "socket", AF_UNIX, SOCK_DGRAM, 0);
    value(b, "connect", client, ADDR, unixAddress(b, "\0q"));
    let sent = 0;
    while (send(b, client, "m", MSG_DONTWAIT).result === 1) sent++;
    expect(sent).toBe(11);
    expect(poll(b, client) & POLLOUT).toBe(0);
    const waiting = send(b, client, "m");
    expect(waiting.result).toBeUndefined();
    receive(a, server);
    expect(waiting.result).toBe(1);
    a.files.close(a, server);
    expect(send(b, client, "m").result).toBe(-ECONNREFUSED);
    expect(send(b, client, "m").result).toBe(-ENOTCONN);
  });

  test("seqpacket: connected, whole messages, end of file", () => {
    const [x, y] = pair(SOCK_SEQPACKET);
    send(a, x, "first");
    send(a, x, "2");
    header(a, 3, 0);
    expect(value(a, "recvmsg", y, MSG, 0)).toBe(3);
    expect(k.memory(a).i32(MSG + 48)).toBe(MSG_TRUNC);
    expect(got(a, receive(a, y))).toBe("2");
    expect(call(a, "sendto", x, BUF, 300000, 0, 0, 0).result).toBe(-EMSGSIZE);
    a.files.close(a, x);
    expect(receive(a, y).result).toBe(0);
  });

  test("sendmmsg and recvmmsg move several messages", () => {
    const [x, y] = pair(SOCK_DGRAM);
    const memory = k.memory(a);
    header(a, 2, 0);
    memory.ram.copyWithin(MSG + 64 - MEMORY_BASE, MSG - MEMORY_BASE, MSG + 56 - MEMORY_BASE);
    memory.setText(BUF, "ab");
    expect(value(a, "sendmmsg", x, MSG, 2, 0)).toBe(2);
    expect([memory.i32(MSG + 56), memory.i32(MSG + 120)]).toEqual([2, 2]);
    memory.writeU32(MSG + 56, 0);
    expect(value(a, "recvmmsg", y, MSG, 2, 0x10000, 0)).toBe(2);
    expect(memory.i32(MSG + 56)).toBe(2);
    expect(value(a, "recvmmsg", y, MSG, 2, MSG_DONTWAIT, 0)).toBe(-EAGAIN);
  });
});

describe("TCP on the loopback", () => {
  const LO = 0x7f000001;
  let server: number;
  function listen(port: number, backlog = 5): void {
    server = value(a, "socket", AF_INET, SOCK_STREAM, 0);
    setOption(a, server, SOL_SOCKET, SO_REUSEADDR, 1);
    expect(value(a, "bind", server, ADDR, inetAddress(a, 0, port))).toBe(0);
    expect(value(a, "listen", server, backlog)).toBe(0);
  }
  function connected(): [number, number] {
    listen(8080);
    const client = value(b, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 8080))).toBe(0);
    return [client, value(a, "accept", server, 0, 0)];
  }

  test("connect, accept, names, both directions, close", () => {
    const [client, end] = connected();
    send(b, client, "GET /");
    expect(got(a, receive(a, end))).toBe("GET /");
    k.memory(a).writeU32(LEN, 16);
    value(a, "getsockname", end, ADDR, LEN);
    expect(k.memory(a).view.getUint32(ADDR - MEMORY_BASE + 4, false)).toBe(LO);
    k.memory(a).writeU32(LEN, 16);
    value(a, "getpeername", end, ADDR, LEN);
    expect(k.memory(a).view.getUint16(ADDR - MEMORY_BASE + 2, false)).toBeGreaterThanOrEqual(32768);
    send(a, end, "200");
    a.files.close(a, end);
    expect(got(b, receive(b, client))).toBe("200");
    expect(receive(b, client).result).toBe(0);
    expect(send(b, client, "late").result).toBe(4); // the first write is lost, the next one fails
    expect(send(b, client, "later").result).toBe(-EPIPE);
  });

  test("nobody there: refused; another machine: unreachable", () => {
    const client = value(b, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 81))).toBe(-ECONNREFUSED);
    expect(value(b, "connect", client, ADDR, inetAddress(b, 0x08080808, 53))).toBe(-ENETUNREACH);
  });

  test("a non-blocking connect is in progress first and reports through SO_ERROR", () => {
    listen(8080);
    const client = value(b, "socket", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 8080))).toBe(-EINPROGRESS);
    expect(poll(b, client) & POLLOUT).toBe(POLLOUT);
    expect(getOption(b, client, SOL_SOCKET, SO_ERROR)).toBe(0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 8080))).toBe(0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 8080))).toBe(-EISCONN);
    const refused = value(b, "socket", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect(value(b, "connect", refused, ADDR, inetAddress(b, LO, 9))).toBe(-EINPROGRESS);
    expect(getOption(b, refused, SOL_SOCKET, SO_ERROR)).toBe(ECONNREFUSED);
    expect(getOption(b, refused, SOL_SOCKET, SO_ERROR)).toBe(0);
  });

  test("connections beyond the backlog wait for accept", () => {
    listen(8080, 0);
    const first = value(b, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(b, "connect", first, ADDR, inetAddress(b, LO, 8080))).toBe(0);
    const second = value(b, "socket", AF_INET, SOCK_STREAM, 0);
    const waiting = call(b, "connect", second, ADDR, inetAddress(b, LO, 8080));
    expect(waiting.result).toBeUndefined();
    expect(value(a, "accept", server, 0, 0)).toBeGreaterThan(0);
    expect(waiting.result).toBe(0);
    a.files.close(a, server);
    expect(receive(b, second).result).toBe(-ECONNRESET);
  });

  test("closing with unread bytes resets", () => {
    const [client, end] = connected();
    send(b, client, "ignored");
    a.files.close(a, end);
    expect(receive(b, client).result).toBe(-ECONNRESET);
    expect(receive(b, client).result).toBe(0);
  });

  test("ports: taken, shared with SO_REUSEADDR unless listening, privileged", () => {
    listen(8080);
    const other = value(a, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(a, "bind", other, ADDR, inetAddress(a, 0, 8080))).toBe(-EADDRINUSE);
    setOption(a, other, SOL_SOCKET, SO_REUSEADDR, 1);
    expect(value(a, "bind", other, ADDR, inetAddress(a, LO, 8080))).toBe(-EADDRINUSE);
    a.files.close(a, server);
    expect(value(a, "bind", other, ADDR, inetAddress(a, LO, 8080))).toBe(0);
    const user = k.task({ uid: 1000 });
    const low = value(user, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(user, "bind", low, ADDR, inetAddress(user, 0, 80))).toBe(-13);
  });

  test("an IPv6 listener hears IPv4 too, as mapped addresses", () => {
    server = value(a, "socket", AF_INET6, SOCK_STREAM, 0);
    expect(value(a, "bind", server, ADDR, inet6Address(a, 8080, 0))).toBe(0);
    value(a, "listen", server, 5);
    const six = value(b, "socket", AF_INET6, SOCK_STREAM, 0);
    expect(value(b, "connect", six, ADDR, inet6Address(b, 8080, 1))).toBe(0);
    const four = value(b, "socket", AF_INET, SOCK_STREAM, 0);
    expect(value(b, "connect", four, ADDR, inetAddress(b, LO, 8080))).toBe(0);
    value(a, "accept", server, 0, 0);
    k.memory(a).writeU32(LEN, 28);
    expect(value(a, "accept", server, ADDR, LEN)).toBeGreaterThan(0);
    expect([...k.memory(a).ram.slice(ADDR - MEMORY_BASE + 18, ADDR - MEMORY_BASE + 24)]).toEqual([
      255, 255, 127, 0, 0, 1,
    ]);
  });

  test("a large transfer goes through a full queue", () => {
    const [client, end] = connected();
    const sending = call(b, "sendto", client, BUF, 600_000, 0, 0, 0);
    expect(sending.result).toBeUndefined();
    let total = 0;
    while (total < 600_000) total += receive(a, end, 100_000).result as number;
    expect(sending.result).toBe(600_000);
  });
});

describe("UDP on the loopback", () => {
  const LO = 0x7f000001;
  test("datagrams find their socket and can be answered", () => {
    const server = value(a, "socket", AF_INET, SOCK_DGRAM, 0);
    value(a, "bind", server, ADDR, inetAddress(a, 0, 5353));
    const client = value(b, "socket", AF_INET, SOCK_DGRAM, 0);
    expect(send(b, client, "who", 0, inetAddress(b, LO, 5353)).result).toBe(3);
    k.memory(a).writeU32(LEN, 16);
    expect(value(a, "recvfrom", server, BUF, 100, 0, ADDR, LEN)).toBe(3);
    expect(send(a, server, "me", 0, 16).result).toBe(2);
    expect(got(b, receive(b, client))).toBe("me");
  });

  test("a connected sender learns that nobody is there, at its next call", () => {
    const client = value(b, "socket", AF_INET, SOCK_DGRAM, 0);
    expect(value(b, "connect", client, ADDR, inetAddress(b, LO, 99))).toBe(0);
    expect(send(b, client, "x").result).toBe(1);
    expect(send(b, client, "x").result).toBe(-ECONNREFUSED);
    expect(value(b, "connect", client, ADDR, inetAddress(b, 0x01010101, 99))).toBe(-ENETUNREACH);
  });

  test("a flood is dropped, not queued without end", () => {
    const server = value(a, "socket", AF_INET, SOCK_DGRAM, 0);
    value(a, "bind", server, ADDR, inetAddress(a, 0, 5353));
    const client = value(b, "socket", AF_INET, SOCK_DGRAM, 0);
    for (let i = 0; i < 2000; i++) send(b, client, "x".repeat(1000), 0, inetAddress(b, LO, 5353));
    let count = 0;
    while ((receive(a, server, 2000, MSG_DONTWAIT).result as number) > 0) count++;
    expect(count).toBeGreaterThan(50);
    expect(count).toBeLessThan(300);
  });
});

describe("netlink route", () => {
  function ask(type: number, flags: number, body: readonly number[] = [], protocol = 0): [number, Uint8Array][] {
    const fd = value(a, "socket", AF_NETLINK, SOCK_RAW, protocol);
    const memory = k.memory(a);
    const length = Math.max(32, 16 + body.length);
    memory.clear(BUF, 96);
    memory.writeU32(BUF, length);
    memory.writeU16(BUF + 4, type);
    memory.writeU16(BUF + 6, flags);
    memory.writeU32(BUF + 8, 77);
    for (const [i, byte] of body.entries()) memory.writeU8(BUF + 16 + i, byte);
    expect(value(a, "sendto", fd, BUF, length, 0, 0, 0)).toBe(length);
    const messages: [number, Uint8Array][] = [];
    for (;;) {
      const n = receive(a, fd, 8192, MSG_DONTWAIT).result as number;
      if (n < 0) break;
      const bytes = memory.ram.slice(BUF - MEMORY_BASE, BUF - MEMORY_BASE + n);
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < n; at += (view.getUint32(at, true) + 3) & ~3) {
        expect(view.getUint32(at + 8, true)).toBe(77);
        messages.push([view.getUint16(at + 4, true), bytes.slice(at, at + view.getUint32(at, true))]);
      }
    }
    return messages;
  }

  test("dumps the loopback's link, addresses and routes", () => {
    expect(ask(18, 0x301).map(([type]) => type)).toEqual([16, 3]);
    expect(ask(22, 0x301).map(([type]) => type)).toEqual([20, 20, 3]);
    expect(ask(26, 0x301).map(([type]) => type)).toEqual([24, 24, 24, 3]);
    const link = ask(18, 0x301)[0]?.[1] as Uint8Array;
    expect(new TextDecoder("latin1").decode(link)).toContain("lo\0");
  });

  test("tells the route to an address: here, or nowhere", () => {
    const question = (ip: readonly number[]) => [2, 32, ...new Array<number>(10).fill(0), 8, 0, 1, 0, ...ip];
    const [[type, route]] = ask(26, 0x1, question([127, 0, 0, 1])) as [[number, Uint8Array]];
    expect([type, route[16], route[17]]).toEqual([24, 2, 32]);
    const [[other, error]] = ask(26, 0x1, question([8, 8, 8, 8])) as [[number, Uint8Array]];
    expect([other, new DataView(error.buffer).getInt32(16, true)]).toEqual([2, -101]);
  });

  test("lists the routing rules", () => {
    expect(ask(34, 0x301, [2]).map(([type]) => type)).toEqual([32, 32, 32, 3]);
  });

  test("sock_diag lists TCP sockets by state, with addresses and inode", () => {
    const listener = value(a, "socket", 2, SOCK_STREAM, 0);
    expect(value(a, "bind", listener, ADDR, inetAddress(a, 0x7f000001, 4321))).toBe(0);
    expect(value(a, "listen", listener, 5)).toBe(0);
    const request = (states: number) => [2, 6, 0, 0, states & 255, (states >> 8) & 255, 0, 0, ...new Array(48).fill(0)];
    const listening = ask(20, 0x301, request(1 << 10), 4);
    expect(listening.map(([type]) => type)).toEqual([20, 3]);
    const view = new DataView((listening[0] as [number, Uint8Array])[1].buffer, 16);
    expect([view.getUint8(0), view.getUint8(1)]).toEqual([2, 10]);
    expect(view.getUint16(4, false)).toBe(4321);
    expect(view.getUint32(8, false)).toBe(0x7f000001);
    expect(view.getUint32(68, true)).toBe(a.files.get(listener)?.inode?.ino);
    expect(ask(20, 0x301, request(1 << 1), 4).map(([type]) => type)).toEqual([3]);
  });

  test("sock_diag lists AF_UNIX sockets with name and peer", () => {
    const server = value(a, "socket", 1, SOCK_STREAM, 0);
    expect(value(a, "bind", server, ADDR, unixAddress(a, "\0diag"))).toBe(0);
    expect(value(a, "listen", server, 1)).toBe(0);
    const messages = ask(20, 0x301, [1, 0, 0, 0, 255, 15, 0, 0, ...new Array(16).fill(0)], 4).map(([, bytes]) => bytes);
    const text = messages.map((bytes) => new TextDecoder("latin1").decode(bytes)).join("");
    expect(text).toContain("\0diag");
  });

  test("refuses changes and unknown protocols", () => {
    const [[type, bytes]] = ask(24, 0x1) as [[number, Uint8Array]];
    expect([type, new DataView(bytes.buffer).getInt32(16, true)]).toEqual([2, -95]);
    expect(value(a, "socket", AF_NETLINK, SOCK_RAW, 9)).toBe(-93);
    expect(value(a, "socket", 17, SOCK_RAW, 0)).toBe(-EAFNOSUPPORT);
    expect(value(a, "bind", 99, ADDR, 2)).toBe(-9);
    const [reader] = createPipe(anonymousInode(a, 0o10600), 0);
    expect(value(a, "listen", a.files.install(reader, false, 99), 1)).toBe(-ENOTSOCK);
  });
});
