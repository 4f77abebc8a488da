/** System calls on files through the kernel's table: what a program gets back. */
import { MemoryDisk } from "blockdev-disk";
import * as abi from "linux-abi";
import { Tmpfs } from "vfs-inode/tmpfs";
import { beforeEach, expect, test } from "vitest";
import { Caller } from "./caller.ts";
import { Guest } from "./guest.ts";

const { AT_FDCWD, O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } =
  abi;

let guest: Guest;
let root: Caller;
let joe: Caller;

beforeEach(() => {
  guest = new Guest({ memory: 32 << 20 });
  guest.mkdir("/tmp", 0o1777);
  root = new Caller(guest);
  joe = new Caller(guest, { uid: 1000 });
});

function stat(caller: Caller, path: string, flags = 0): DataView | number {
  const at = caller.room(128);
  const result = caller.call("newfstatat", AT_FDCWD, path, at, flags);
  return result < 0 ? result : caller.view(at, 128);
}
const modeOf = (view: DataView | number): number => (view as DataView).getUint32(abi.STAT_ST_MODE, true);

test("open, write, read and lseek on a new file", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR | O_EXCL, 0o640);
  expect(fd).toBe(0);
  expect(root.write(fd, "hello world")).toBe(11);
  expect(root.call("lseek", fd, 6, abi.SEEK_SET)).toBe(6);
  expect(root.read(fd)).toBe("world");
  expect(root.read(fd)).toBe("");
  expect(root.call("lseek", fd, -5, abi.SEEK_END)).toBe(6);
  expect(root.call("lseek", fd, -1, abi.SEEK_SET)).toBe(-abi.EINVAL);
  const view = stat(root, "/tmp/f") as DataView;
  expect(view.getUint32(abi.STAT_ST_MODE, true)).toBe(abi.S_IFREG | 0o640);
  expect(view.getUint32(abi.STAT_ST_SIZE, true)).toBe(11);
  expect(root.open("/tmp/f", O_CREAT | O_EXCL)).toBe(-abi.EEXIST);
  expect(root.close(fd)).toBe(0);
  expect(root.close(fd)).toBe(-abi.EBADF);
});

test("O_APPEND writes go to the end wherever the position is", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR | O_APPEND);
  root.write(fd, "abc");
  root.call("lseek", fd, 0, abi.SEEK_SET);
  root.write(fd, "def");
  root.call("lseek", fd, 0, abi.SEEK_SET);
  expect(root.read(fd)).toBe("abcdef");
});

test("bad addresses are EFAULT and bad descriptors EBADF", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  root.write(fd, "x");
  root.call("lseek", fd, 0, abi.SEEK_SET);
  expect(root.call("read", fd, 0x10, 1)).toBe(-abi.EFAULT);
  expect(root.call("openat", AT_FDCWD, 0x10, 0, 0)).toBe(-abi.EFAULT);
  expect(root.call("newfstatat", AT_FDCWD, "/tmp", 0x10, 0)).toBe(-abi.EFAULT);
  expect(root.call("fstat", 99, root.room(128))).toBe(-abi.EBADF);
  expect(root.call("openat", 99, "rel", 0, 0)).toBe(-abi.EBADF);
  expect(root.call("openat", fd, "rel", 0, 0)).toBe(-abi.ENOTDIR);
});

test("relative paths start at the descriptor, the empty path is the descriptor", () => {
  guest.mkdir("/tmp/d");
  guest.write("/tmp/d/f", "x");
  const dir = root.open("/tmp/d", O_RDONLY | O_DIRECTORY);
  expect(root.call("openat", dir, "f", O_RDONLY, 0)).toBe(1);
  const at = root.room(128);
  expect(root.call("newfstatat", dir, "", at, abi.AT_EMPTY_PATH)).toBe(0);
  expect(root.view(at, 128).getUint32(abi.STAT_ST_MODE, true) & abi.S_IFMT).toBe(abi.S_IFDIR);
  expect(root.call("newfstatat", dir, "", at, 0)).toBe(-abi.ENOENT);
  expect(root.call("unlinkat", dir, "f", 0)).toBe(0);
  expect(root.call("unlinkat", AT_FDCWD, "/tmp/d", abi.AT_REMOVEDIR)).toBe(0);
});

test("O_PATH descriptors do no I/O but name their file", () => {
  guest.write("/tmp/f", "x", 0o600);
  const fd = joe.open("/tmp/f", O_PATH);
  expect(fd).toBe(0);
  expect(joe.read(fd)).toBe(-abi.EBADF);
  expect(joe.call("fchmod", fd, 0o777)).toBe(-abi.EBADF);
  expect(joe.call("fstat", fd, joe.room(128))).toBe(0);
  expect(joe.call("fcntl", fd, abi.F_GETFL, 0) & O_PATH).toBe(O_PATH);
  guest.symlink("/tmp/f", "/tmp/link");
  const link = root.open("/tmp/link", O_PATH | O_NOFOLLOW);
  const at = root.room(64);
  expect(root.call("readlinkat", link, "", at, 64)).toBe(6);
  expect(root.text(at, 6)).toBe("/tmp/f");
});

test("openat2 confines paths and refuses unknown bits", () => {
  guest.mkdir("/tmp/d");
  guest.write("/tmp/d/f", "x");
  const dir = root.open("/tmp/d", O_PATH);
  const how = (flags: number, resolve: number, mode = 0): number => {
    const bytes = new Uint8Array(24);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, flags, true);
    view.setUint32(8, mode, true);
    view.setUint32(16, resolve, true);
    return root.put(bytes);
  };
  expect(root.call("openat2", dir, "f", how(0, abi.RESOLVE_BENEATH), 24)).toBe(1);
  expect(root.call("openat2", dir, "../d/f", how(0, abi.RESOLVE_BENEATH), 24)).toBe(-abi.EXDEV);
  expect(root.call("openat2", dir, "/f", how(0, abi.RESOLVE_IN_ROOT), 24)).toBe(2);
  expect(root.call("openat2", dir, "f", how(0, 0, 0o644), 24)).toBe(-abi.EINVAL);
  expect(root.call("openat2", dir, "f", how(0, 0x40000), 24)).toBe(-abi.EINVAL);
  expect(root.call("openat2", dir, "f", how(0, 0), 16)).toBe(-abi.EINVAL);
});

test("getdents64 lists everything in pieces, once, while entries vanish", () => {
  guest.mkdir("/tmp/d");
  for (let i = 0; i < 100; i++) guest.write(`/tmp/d/file-${i}`, "");
  const fd = root.open("/tmp/d", O_RDONLY | O_DIRECTORY);
  expect(root.call("getdents64", fd, root.room(16), 16)).toBe(-abi.EINVAL);
  const seen: string[] = [];
  for (;;) {
    const at = root.room(256);
    const n = root.call("getdents64", fd, at, 256);
    expect(n).toBeGreaterThanOrEqual(0);
    if (n === 0) break;
    const view = root.view(at, n);
    for (let p = 0; p < n; ) {
      const length = view.getUint16(p + abi.DIRENT64_D_RECLEN, true);
      const name = root.text(at + p + abi.DIRENT64_D_NAME, length - abi.DIRENT64_D_NAME).replace(/\0.*/s, "");
      seen.push(name);
      if (name.startsWith("file-")) root.call("unlinkat", fd, name, 0);
      p += length;
    }
  }
  expect(seen.length).toBe(102);
  expect(new Set(seen).size).toBe(102);
  expect(root.call("lseek", fd, 0, abi.SEEK_SET)).toBe(0);
  expect(root.call("getdents64", fd, root.room(256), 256)).toBe(48);
});

test("statx fills what it says it fills", () => {
  guest.write("/tmp/f", "12345");
  const at = root.room(256);
  expect(root.call("statx", AT_FDCWD, "/tmp/f", 0, abi.STATX_ALL, at)).toBe(0);
  const view = root.view(at, 256);
  expect(view.getUint32(abi.STATX_STX_MASK, true) & abi.STATX_ALL).toBe(abi.STATX_ALL);
  expect(view.getUint32(abi.STATX_STX_SIZE, true)).toBe(5);
  expect(view.getUint16(abi.STATX_STX_MODE, true)).toBe(abi.S_IFREG | 0o644);
  expect(view.getUint32(abi.STATX_STX_BTIME, true)).toBe(1_767_225_600);
  expect(root.call("statx", AT_FDCWD, "/", 0, abi.STATX_ALL, at)).toBe(0);
  expect(root.view(at, 256).getUint32(abi.STATX_STX_ATTRIBUTES, true)).toBe(abi.STATX_ATTR_MOUNT_ROOT);
  expect(root.call("statx", AT_FDCWD, "/tmp/f", 0x10000, abi.STATX_ALL, at)).toBe(-abi.EINVAL);
});

test("access judges by the real user, faccessat2 with AT_EACCESS by the effective one", () => {
  guest.write("/tmp/f", "x", 0o600);
  expect(root.call("faccessat", AT_FDCWD, "/tmp/f", 6)).toBe(0);
  expect(root.call("faccessat", AT_FDCWD, "/tmp/f", 1)).toBe(-abi.EACCES);
  expect(joe.call("faccessat", AT_FDCWD, "/tmp/f", 4)).toBe(-abi.EACCES);
  expect(joe.call("faccessat", AT_FDCWD, "/tmp/f", 0)).toBe(0);
  const suid = new Caller(guest, { uid: 1000 });
  suid.task.cred = suid.task.cred.with({
    euid: 0,
    fsuid: 0,
    effective: root.task.cred.effective,
    permitted: root.task.cred.permitted,
  });
  expect(suid.call("faccessat2", AT_FDCWD, "/tmp/f", 4, 0)).toBe(-abi.EACCES);
  expect(suid.call("faccessat2", AT_FDCWD, "/tmp/f", 4, abi.AT_EACCESS)).toBe(0);
});

test("owners change modes, nobody else does", () => {
  guest.write("/tmp/f", "x");
  expect(joe.call("fchmodat", AT_FDCWD, "/tmp/f", 0o777)).toBe(-abi.EPERM);
  expect(root.call("fchownat", AT_FDCWD, "/tmp/f", 1000, 0xffffffff, 0)).toBe(0);
  expect(joe.call("fchmodat", AT_FDCWD, "/tmp/f", 0o6755)).toBe(0);
  expect(modeOf(stat(joe, "/tmp/f")) & 0o7777).toBe(0o4755); // not in the file's group: no setgid
  expect(joe.call("fchownat", AT_FDCWD, "/tmp/f", 1001, 0xffffffff, 0)).toBe(-abi.EPERM);
  expect(root.call("fchownat", AT_FDCWD, "/tmp/f", 0, 0, 0)).toBe(0);
  expect(modeOf(stat(root, "/tmp/f")) & 0o7777).toBe(0o755);
});

test("utimensat sets, keeps and takes now", () => {
  guest.write("/tmp/f", "x");
  const times = new Uint8Array(32);
  const view = new DataView(times.buffer);
  view.setUint32(0, 111, true);
  view.setUint32(8, 222, true);
  view.setUint32(24, 0x3ffffffe, true); // UTIME_OMIT
  expect(root.call("utimensat", AT_FDCWD, "/tmp/f", root.put(times), 0)).toBe(0);
  const after = stat(root, "/tmp/f") as DataView;
  expect(after.getUint32(abi.STAT_ST_ATIME, true)).toBe(111);
  expect(after.getUint32(abi.STAT_ST_ATIME_NSEC, true)).toBe(222);
  expect(after.getUint32(abi.STAT_ST_MTIME, true)).toBe(1_767_225_600);
  view.setUint32(8, 1_000_000_000, true);
  expect(root.call("utimensat", AT_FDCWD, "/tmp/f", root.put(times), 0)).toBe(-abi.EINVAL);
  expect(joe.call("utimensat", AT_FDCWD, "/tmp/f", 0, 0)).toBe(-abi.EACCES);
});

test("truncate, ftruncate and fallocate", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  root.write(fd, "hello");
  expect(root.call("ftruncate", fd, 2)).toBe(0);
  expect(root.call("truncate", "/tmp/f", 4)).toBe(0);
  root.call("lseek", fd, 0, abi.SEEK_SET);
  expect(root.read(fd)).toBe("he\0\0");
  expect(root.call("ftruncate", fd, -1)).toBe(-abi.EINVAL);
  expect(root.call("truncate", "/tmp", 0)).toBe(-abi.EISDIR);
  expect(root.call("fallocate", fd, 0, 0, 10000)).toBe(0);
  expect((stat(root, "/tmp/f") as DataView).getUint32(abi.STAT_ST_SIZE, true)).toBe(10000);
  expect(root.call("fallocate", fd, abi.FALLOC_FL_PUNCH_HOLE, 0, 10)).toBe(-abi.EOPNOTSUPP);
  expect(root.call("lseek", fd, 0, abi.SEEK_HOLE)).toBe(10000);
  root.task.process.limits.soft[abi.RLIMIT_FSIZE] = 100;
  expect(root.call("ftruncate", fd, 20000)).toBe(-abi.EFBIG);
});

test("directories, links and renames by path", () => {
  expect(root.call("mkdirat", AT_FDCWD, "/tmp/d", 0o755)).toBe(0);
  expect(root.call("symlinkat", "d", AT_FDCWD, "/tmp/s")).toBe(0);
  guest.write("/tmp/f", "x");
  expect(root.call("linkat", AT_FDCWD, "/tmp/f", AT_FDCWD, "/tmp/s/g", 0)).toBe(0);
  expect(root.call("renameat2", AT_FDCWD, "/tmp/f", AT_FDCWD, "/tmp/d/g", abi.RENAME_NOREPLACE)).toBe(-abi.EEXIST);
  expect(root.call("renameat2", AT_FDCWD, "/tmp/f", AT_FDCWD, "/tmp/h", 0)).toBe(0);
  expect(root.call("unlinkat", AT_FDCWD, "/tmp/d", abi.AT_REMOVEDIR)).toBe(-abi.ENOTEMPTY);
  expect(root.call("unlinkat", AT_FDCWD, "/tmp/d", 0)).toBe(-abi.EISDIR);
  const at = root.room(10);
  expect(root.call("readlinkat", AT_FDCWD, "/tmp/s", at, 10)).toBe(1);
  expect(root.call("readlinkat", AT_FDCWD, "/tmp/h", at, 10)).toBe(-abi.EINVAL);
  expect(root.call("mknodat", AT_FDCWD, "/tmp/n", abi.S_IFCHR | 0o666, 0x103)).toBe(0);
  expect(joe.call("mknodat", AT_FDCWD, "/tmp/m", abi.S_IFCHR | 0o666, 0x103)).toBe(-abi.EPERM);
  expect(joe.call("mknodat", AT_FDCWD, "/tmp/p", abi.S_IFIFO | 0o666, 0)).toBe(0);
});

test("device nodes open their driver wherever they lie", () => {
  root.call("mknodat", AT_FDCWD, "/tmp/null", abi.S_IFCHR | 0o666, abi.makedev(1, 3));
  root.call("mknodat", AT_FDCWD, "/tmp/zero", abi.S_IFCHR | 0o666, abi.makedev(1, 5));
  root.call("mknodat", AT_FDCWD, "/tmp/nothing", abi.S_IFCHR | 0o666, abi.makedev(99, 5));
  const nul = root.open("/tmp/null", O_RDWR);
  expect(root.read(nul)).toBe("");
  expect(root.write(nul, "gone")).toBe(4);
  const zero = root.open("/tmp/zero", O_RDONLY);
  expect(root.read(zero, 3)).toBe("\0\0\0");
  expect(root.open("/tmp/nothing", O_RDONLY)).toBe(-abi.ENXIO);
  const at = root.room(128);
  root.call("fstat", nul, at);
  expect(root.view(at, 128).getUint32(abi.STAT_ST_RDEV, true)).toBe(abi.makedev(1, 3));
});

test("a FIFO joins two opens and waits for the other side", () => {
  root.call("mknodat", AT_FDCWD, "/tmp/p", abi.S_IFIFO | 0o666, 0);
  const reader = new Caller(guest);
  expect(reader.open("/tmp/p", O_RDONLY)).toBeNaN();
  const fd = root.open("/tmp/p", O_WRONLY);
  expect(fd).toBe(0);
  const readFd = reader.resume();
  expect(readFd).toBe(0);
  root.write(fd, "through");
  expect(reader.read(readFd)).toBe("through");
  expect(new Caller(guest).open("/tmp/p", O_WRONLY | abi.O_NONBLOCK)).toBe(0);
  reader.close(readFd);
  expect(new Caller(guest).open("/tmp/p", O_WRONLY | abi.O_NONBLOCK)).toBe(-abi.ENXIO);
});

test("getcwd, chdir, fchdir and chroot", () => {
  guest.mkdir("/tmp/jail");
  guest.mkdir("/tmp/jail/in");
  const at = root.room(64);
  expect(root.call("chdir", "/tmp/jail")).toBe(0);
  expect(root.call("getcwd", at, 64)).toBe(10);
  expect(root.text(at, 9)).toBe("/tmp/jail");
  expect(root.call("getcwd", at, 5)).toBe(-abi.ERANGE);
  const dir = root.open("in", O_RDONLY);
  expect(root.call("fchdir", dir)).toBe(0);
  expect(joe.call("chroot", "/tmp/jail")).toBe(-abi.EPERM);
  expect(root.call("chroot", "/tmp/jail")).toBe(0);
  expect(root.call("getcwd", at, 64)).toBe(4);
  expect(root.call("chdir", "/../..")).toBe(0);
  expect(root.call("getcwd", at, 64)).toBe(2);
});

test("mounts, bind mounts, read-only remounts and umount", () => {
  guest.mkdir("/mnt");
  guest.mkdir("/mnt2");
  expect(joe.call("mount", "none", "/mnt", "tmpfs", 0, 0)).toBe(-abi.EPERM);
  expect(root.call("mount", "none", "/mnt", "nosuchfs", 0, 0)).toBe(-abi.ENODEV);
  expect(root.call("mount", "mine", "/mnt", "tmpfs", abi.MS_NOSUID, "size=1m,mode=700")).toBe(0);
  const fd = root.open("/mnt/f", O_CREAT | O_RDWR);
  expect(root.call("mount", "/mnt", "/mnt2", 0, abi.MS_BIND, 0)).toBe(0);
  expect(root.call("mount", 0, "/mnt2", 0, abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY, 0)).toBe(0);
  expect(root.open("/mnt2/f", O_RDWR)).toBe(-abi.EROFS);
  expect(root.call("umount2", "/mnt", 0)).toBe(-abi.EBUSY);
  root.close(fd);
  expect(root.call("umount2", "/mnt2", 0)).toBe(0);
  expect(root.call("umount2", "/mnt", 0)).toBe(0);
  expect(root.call("umount2", "/mnt", 0)).toBe(-abi.EINVAL);
});

test("statfs tells type, size and mount flags", () => {
  guest.mkdir("/mnt");
  root.call("mount", "t", "/mnt", "tmpfs", abi.MS_NOEXEC | abi.MS_RDONLY, "size=64k");
  const at = root.room(120);
  expect(root.call("statfs", "/mnt", at)).toBe(0);
  const view = root.view(at, 120);
  expect(view.getUint32(abi.STATFS_F_TYPE, true)).toBe(abi.TMPFS_MAGIC);
  expect(view.getUint32(abi.STATFS_F_BLOCKS, true)).toBe(16);
  expect(view.getUint32(abi.STATFS_F_FLAGS, true)).toBe(abi.ST_VALID | abi.ST_RDONLY | abi.ST_NOEXEC | abi.ST_RELATIME);
});

test("extended attributes by path and descriptor", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  const value = root.put(Uint8Array.of(1, 2, 3));
  expect(root.call("setxattr", "/tmp/f", "user.a", value, 3, 0)).toBe(0);
  expect(root.call("fsetxattr", fd, "trusted.b", value, 1, abi.XATTR_CREATE)).toBe(0);
  const at = root.room(64);
  expect(root.call("fgetxattr", fd, "user.a", at, 64)).toBe(3);
  expect(root.call("getxattr", "/tmp/f", "user.a", at, 0)).toBe(3);
  expect(root.call("getxattr", "/tmp/f", "user.a", at, 2)).toBe(-abi.ERANGE);
  expect(root.call("getxattr", "/tmp/f", "user.none", at, 64)).toBe(-abi.ENODATA);
  expect(root.call("getxattr", "/tmp/f", "nonsense", at, 64)).toBe(-abi.EOPNOTSUPP);
  expect(root.text(at, root.call("listxattr", "/tmp/f", at, 64))).toBe("user.a\0trusted.b\0");
  expect(joe.text(at, 0) + joe.call("listxattr", "/tmp/f", joe.room(64), 64)).toBe("7");
  expect(root.call("removexattr", "/tmp/f", "user.a")).toBe(0);
  expect(root.call("removexattr", "/tmp/f", "user.a")).toBe(-abi.ENODATA);
});

test("fcntl duplicates, flags and owners", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  const copy = root.call("fcntl", fd, abi.F_DUPFD_CLOEXEC, 10);
  expect(copy).toBe(10);
  expect(root.call("fcntl", copy, abi.F_GETFD, 0)).toBe(abi.FD_CLOEXEC);
  expect(root.call("fcntl", copy, abi.F_SETFD, 0)).toBe(0);
  expect(root.call("fcntl", fd, abi.F_SETFL, abi.O_APPEND | abi.O_NONBLOCK | O_TRUNC)).toBe(0);
  expect(root.call("fcntl", copy, abi.F_GETFL, 0)).toBe(O_RDWR | abi.O_APPEND | abi.O_NONBLOCK | abi.O_LARGEFILE);
  root.write(fd, "abc");
  root.call("lseek", fd, 0, 0);
  root.write(copy, "d");
  expect((stat(root, "/tmp/f") as DataView).getUint32(abi.STAT_ST_SIZE, true)).toBe(4);
  expect(root.call("fcntl", fd, 9999, 0)).toBe(-abi.EINVAL);
  expect(root.call("fcntl", 77, abi.F_GETFD, 0)).toBe(-abi.EBADF);
  expect(root.call("fcntl", fd, abi.F_GETPIPE_SZ, 0)).toBe(-abi.EBADF);
});

function lock(caller: Caller, fd: number, command: number, type: number, start: number, length: number): number {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(abi.FLOCK_L_TYPE, type, true);
  view.setUint32(abi.FLOCK_L_START, start, true);
  view.setUint32(abi.FLOCK_L_LEN, length, true);
  return caller.call("fcntl", fd, command, caller.put(bytes));
}

test("record locks conflict between processes, split, wait and go with close", () => {
  const a = root.open("/tmp/f", O_CREAT | O_RDWR);
  const other = new Caller(guest);
  const b = other.open("/tmp/f", O_RDWR);
  expect(lock(root, a, abi.F_SETLK, abi.F_WRLCK, 0, 100)).toBe(0);
  expect(lock(other, b, abi.F_SETLK, abi.F_RDLCK, 50, 10)).toBe(-abi.EAGAIN);
  expect(lock(other, b, abi.F_SETLK, abi.F_RDLCK, 100, 10)).toBe(0);
  expect(lock(root, a, abi.F_SETLK, abi.F_UNLCK, 40, 20)).toBe(0);
  expect(lock(other, b, abi.F_SETLK, abi.F_WRLCK, 45, 5)).toBe(0);
  expect(lock(other, b, abi.F_SETLKW, abi.F_WRLCK, 0, 5)).toBeNaN();
  expect(lock(root, a, abi.F_SETLKW, abi.F_WRLCK, 45, 5)).toBe(-abi.EDEADLK);
  const second = root.call("fcntl", a, abi.F_DUPFD, 0);
  root.close(second); // closing any descriptor of the file drops the process's locks
  expect(other.resume()).toBe(0);
  expect(lock(root, a, abi.F_SETLK, abi.F_RDLCK, 2, 1)).toBe(-abi.EAGAIN);
});

test("F_GETLK says who holds the lock; OFD locks belong to the open file", () => {
  const a = root.open("/tmp/f", O_CREAT | O_RDWR);
  const b = root.open("/tmp/f", O_RDWR);
  expect(lock(root, a, abi.F_OFD_SETLK, abi.F_WRLCK, 10, 5)).toBe(0);
  expect(lock(root, b, abi.F_OFD_SETLK, abi.F_WRLCK, 10, 5)).toBe(-abi.EAGAIN);
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setInt16(abi.FLOCK_L_TYPE, abi.F_RDLCK, true);
  const at = root.put(bytes);
  expect(root.call("fcntl", b, abi.F_GETLK, at)).toBe(0);
  const view = root.view(at, 32);
  expect([
    view.getInt16(abi.FLOCK_L_TYPE, true),
    view.getUint32(abi.FLOCK_L_START, true),
    view.getUint32(abi.FLOCK_L_LEN, true),
    view.getInt32(abi.FLOCK_L_PID, true),
  ]).toEqual([abi.F_WRLCK, 10, 5, -1]);
  root.close(a);
  expect(lock(root, b, abi.F_OFD_SETLK, abi.F_WRLCK, 10, 5)).toBe(0);
});

test("flock locks belong to the open file and wait unless told not to", () => {
  const a = root.open("/tmp/f", O_CREAT | O_RDWR);
  const b = root.open("/tmp/f", O_RDONLY);
  expect(root.call("flock", a, abi.LOCK_EX)).toBe(0);
  expect(root.call("flock", b, abi.LOCK_SH | abi.LOCK_NB)).toBe(-abi.EWOULDBLOCK);
  expect(root.call("flock", b, abi.LOCK_SH)).toBeNaN();
  const waiting = root.waiting;
  expect(root.call("flock", a, abi.LOCK_UN)).toBe(0);
  root.waiting = waiting;
  expect(root.resume()).toBe(0);
  expect(root.call("flock", a, abi.LOCK_SH | abi.LOCK_NB)).toBe(0);
  expect(root.call("flock", a, 99)).toBe(-abi.EINVAL);
});

test("memfd files are shared, sealed and named in /proc", () => {
  const fd = root.call("memfd_create", "note", abi.MFD_ALLOW_SEALING);
  expect(root.write(fd, "abc")).toBe(3);
  expect(root.call("fcntl", fd, abi.F_ADD_SEALS, abi.F_SEAL_WRITE)).toBe(0);
  expect(root.call("lseek", fd, 0, 0)).toBe(0);
  expect(root.write(fd, "x")).toBe(-abi.EPERM);
  expect(root.read(fd)).toBe("abc");
  expect(root.call("fcntl", fd, abi.F_GET_SEALS, 0)).toBe(abi.F_SEAL_WRITE);
  const plain = root.call("memfd_create", "other", 0);
  expect(root.call("fcntl", plain, abi.F_ADD_SEALS, abi.F_SEAL_WRITE)).toBe(-abi.EPERM);
  expect(guest.fs.pathText(root.task, root.task.files.peek(fd) as never)).toBe("/memfd:note (deleted)");
  const before = guest.fs.storagePages;
  root.close(fd);
  expect(guest.fs.storagePages).toBe(before - 1);
});

test("sendfile, copy_file_range and splice move bytes and offsets", () => {
  guest.write("/tmp/in", "0123456789".repeat(10000));
  const source = root.open("/tmp/in", O_RDONLY);
  const target = root.open("/tmp/out", O_CREAT | O_RDWR);
  const offset = root.put(new Uint8Array(8));
  expect(root.call("copy_file_range", source, offset, target, 0, 99999, 0)).toBe(99999);
  expect(root.view(offset, 8).getUint32(0, true)).toBe(99999);
  expect(root.call("lseek", source, 0, abi.SEEK_CUR)).toBe(0);
  expect(root.call("sendfile", target, source, 0, 10)).toBe(10);
  expect(guest.read("/tmp/out").length).toBe(100009);
  const ends = root.room(8);
  expect(root.call("pipe2", ends, 0)).toBe(0);
  const [readEnd, writeEnd] = [root.view(ends, 8).getInt32(0, true), root.view(ends, 8).getInt32(4, true)];
  expect(root.call("splice", source, 0, writeEnd, 0, 7, 0)).toBe(7);
  expect(root.call("splice", readEnd, 0, target, 0, 100, 0)).toBe(7);
  expect(root.call("splice", readEnd, 0, target, 0, 100, abi.SPLICE_F_NONBLOCK)).toBe(-abi.EAGAIN);
  expect(root.call("splice", source, 0, target, 0, 7, 0)).toBe(-abi.EINVAL);
  expect(guest.read("/tmp/out").slice(-7)).toBe("0123456");
});

test("tee copies without consuming, vmsplice moves memory into a pipe", () => {
  const pair = (): [number, number] => {
    const ends = root.room(8);
    root.call("pipe2", ends, 0);
    return [root.view(ends, 8).getInt32(0, true), root.view(ends, 8).getInt32(4, true)];
  };
  const [inRead, inWrite] = pair();
  const [outRead, outWrite] = pair();
  expect(root.call("tee", inRead, outWrite, 100, abi.SPLICE_F_NONBLOCK)).toBe(-abi.EAGAIN);
  const text = root.put("words");
  const iov = new Uint8Array(16);
  new DataView(iov.buffer).setUint32(0, text, true);
  iov[8] = 5;
  expect(root.call("vmsplice", inWrite, root.put(iov), 1, 0)).toBe(5);
  expect(root.call("tee", inRead, outWrite, 3, 0)).toBe(3);
  expect(root.read(outRead)).toBe("wor");
  expect(root.read(inRead)).toBe("words");
  expect(root.call("tee", inRead, inWrite, 3, 0)).toBe(-abi.EINVAL);
  expect(root.call("tee", inRead, outWrite, 3, 0)).toBeNaN();
  const waiting = root.waiting;
  root.write(inWrite, "late");
  root.waiting = waiting;
  expect(root.resume()).toBe(3);
});

test("inotify reports what happens in a directory and to a file", () => {
  guest.mkdir("/tmp/d");
  const fd = root.call("inotify_init1", abi.IN_NONBLOCK);
  const wd = root.call(
    "inotify_add_watch",
    fd,
    "/tmp/d",
    abi.IN_CREATE | abi.IN_MODIFY | abi.IN_MOVE | abi.IN_DELETE | abi.IN_DELETE_SELF,
  );
  expect(wd).toBe(1);
  expect(root.read(fd)).toBe(-abi.EAGAIN);
  const file = root.open("/tmp/d/f", O_CREAT | O_RDWR);
  root.write(file, "x");
  root.call("renameat2", AT_FDCWD, "/tmp/d/f", AT_FDCWD, "/tmp/d/g", 0);
  root.call("unlinkat", AT_FDCWD, "/tmp/d/g", 0);
  root.close(file);
  root.call("unlinkat", AT_FDCWD, "/tmp/d", abi.AT_REMOVEDIR);
  const at = root.room(1024);
  const n = root.call("read", fd, at, 1024);
  const view = root.view(at, n);
  const events: [number, string][] = [];
  for (let p = 0; p < n; p += 16 + view.getUint32(p + 12, true)) {
    const name = root.text(at + p + 16, view.getUint32(p + 12, true)).replace(/\0.*/s, "");
    events.push([view.getUint32(p + 4, true), name]);
  }
  expect(events).toEqual([
    [abi.IN_CREATE, "f"],
    [abi.IN_MODIFY, "f"],
    [abi.IN_MOVED_FROM, "f"],
    [abi.IN_MOVED_TO, "g"],
    [abi.IN_DELETE, "g"],
    [abi.IN_DELETE_SELF, ""],
    [abi.IN_IGNORED, ""],
  ]);
  expect(root.call("inotify_rm_watch", fd, 1)).toBe(-abi.EINVAL);
  root.close(fd);
  expect(guest.fs.vfs.notify).toBeNull();
});

test("ioctl's common requests work on any descriptor", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  root.write(fd, "12345");
  root.call("lseek", fd, 2, 0);
  const at = root.room(8);
  expect(root.call("ioctl", fd, abi.FIONREAD, at)).toBe(0);
  expect(root.view(at, 4).getInt32(0, true)).toBe(3);
  expect(root.call("ioctl", fd, abi.FIOCLEX, 0)).toBe(0);
  expect(root.call("fcntl", fd, abi.F_GETFD, 0)).toBe(1);
  expect(root.call("ioctl", fd, abi.TCGETS, at)).toBe(-abi.ENOTTY);
  expect(root.call("ioctl", 55, abi.FIONREAD, at)).toBe(-abi.EBADF);
});

test("a mounted disk is not given to one alone, and its file system grows by ioctl", () => {
  const sizes: number[] = [];
  class GrowingFs extends Tmpfs {
    resize(blocks: number): number {
      sizes.push(blocks);
      return blocks > 9000 ? -abi.EINVAL : 0;
    }
  }
  const rdev = abi.makedev(254, 0);
  guest.kernel.blockDevices.set("vda", { name: "vda", rdev, device: new MemoryDisk(1 << 20) });
  guest.kernel.fileSystemTypes.set("growing", {
    name: "growing",
    requiresDevice: true,
    mount: (_kernel, device) => new GrowingFs({ deviceNumber: device?.rdev ?? 0 }),
  });
  guest.mkdir("/mnt");
  root.call("mknodat", AT_FDCWD, "/tmp/vda", abi.S_IFBLK | 0o666, rdev);
  const alone = root.open("/tmp/vda", O_RDONLY | O_EXCL);
  expect(alone).toBeGreaterThanOrEqual(0);
  root.close(alone);
  expect(root.call("mount", "/tmp/vda", "/mnt", "growing", 0, 0)).toBe(0);
  expect(root.open("/tmp/vda", O_RDONLY | O_EXCL)).toBe(-abi.EBUSY);
  expect(root.open("/tmp/vda", O_RDONLY)).toBeGreaterThanOrEqual(0);

  const blocks = root.put(new Uint8Array(new BigUint64Array([8192n]).buffer));
  const many = root.put(new Uint8Array(new BigUint64Array([1n << 60n]).buffer));
  const fd = root.open("/mnt", O_RDONLY | O_DIRECTORY);
  expect(root.call("ioctl", fd, abi.EXT4_IOC_RESIZE_FS, blocks)).toBe(0);
  expect(sizes).toEqual([8192]);
  expect(root.call("ioctl", fd, abi.EXT4_IOC_RESIZE_FS, many)).toBe(-abi.EINVAL);
  expect(root.call("ioctl", fd, abi.EXT4_IOC_RESIZE_FS, 0x10)).toBe(-abi.EFAULT);
  expect(joe.call("ioctl", joe.open("/mnt", O_RDONLY), abi.EXT4_IOC_RESIZE_FS, blocks)).toBe(-abi.EPERM);
  expect(root.call("ioctl", root.open("/tmp", O_RDONLY), abi.EXT4_IOC_RESIZE_FS, blocks)).toBe(-abi.ENOTTY);
  root.call("mount", "none", "/mnt", "none", abi.MS_REMOUNT | abi.MS_RDONLY, 0);
  expect(root.call("ioctl", fd, abi.EXT4_IOC_RESIZE_FS, blocks)).toBe(-abi.EROFS);
  expect(sizes).toEqual([8192]);
});

test("umask applies and is returned", () => {
  expect(root.call("umask", 0o077)).toBe(0o022);
  root.close(root.open("/tmp/f", O_CREAT | O_WRONLY, 0o666));
  expect(modeOf(stat(root, "/tmp/f")) & 0o777).toBe(0o600);
  expect(root.call("umask", 0o022)).toBe(0o077);
});

test("fsync, fadvise64, sync_file_range and readahead accept files and refuse pipes", () => {
  const fd = root.open("/tmp/f", O_CREAT | O_RDWR);
  for (const [name, ...args] of [
    ["fsync"],
    ["fdatasync"],
    ["syncfs"],
    ["fadvise64", 0, 0, 4],
    ["sync_file_range", 0, 0, 7],
    ["readahead", 0, 100],
  ] as [string, ...number[]][]) {
    expect(root.call(name, fd, ...args), name).toBe(0);
  }
  const ends = root.room(8);
  root.call("pipe2", ends, 0);
  const pipe = root.view(ends, 8).getInt32(0, true);
  expect(root.call("fadvise64", pipe, 0, 0, 0)).toBe(-abi.ESPIPE);
  expect(root.call("fsync", pipe)).toBe(-abi.EINVAL);
  expect(root.call("lseek", pipe, 0, 0)).toBe(-abi.ESPIPE);
});

test("no file handles are given out", () => {
  expect(root.call("name_to_handle_at", AT_FDCWD, "/tmp", root.room(16), root.room(8), 0)).toBe(-abi.EOPNOTSUPP);
});
