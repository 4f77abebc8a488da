/**
 * Flags of open(2), fcntl(2), the *at calls, file modes and directory entry types
 * (asm-generic/fcntl.h, linux/fcntl.h, linux/stat.h).
 */

// open(2)
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_ACCMODE = 3;
export const O_CREAT = 64;
export const O_EXCL = 128;
export const O_NOCTTY = 256;
export const O_TRUNC = 512;
export const O_APPEND = 1024;
export const O_NDELAY = 2048;
export const O_NONBLOCK = 2048;
export const O_DSYNC = 0x1000;
export const O_DIRECT = 0x4000;
export const O_LARGEFILE = 0x8000;
export const O_DIRECTORY = 0x10000;
export const O_NOFOLLOW = 0x20000;
export const O_NOATIME = 0x40000;
export const O_CLOEXEC = 0x80000;
export const O_SYNC = 0x101000;
export const O_PATH = 0x200000;
export const O_TMPFILE = 0x410000;

// *at calls
export const AT_STATX_SYNC_AS_STAT = 0;
export const AT_SYMLINK_NOFOLLOW = 256;
export const AT_EACCESS = 512;
export const AT_REMOVEDIR = 512;
export const AT_SYMLINK_FOLLOW = 1024;
export const AT_NO_AUTOMOUNT = 2048;
export const AT_EMPTY_PATH = 0x1000;
export const AT_STATX_FORCE_SYNC = 0x2000;
export const AT_STATX_DONT_SYNC = 0x4000;
export const AT_STATX_SYNC_TYPE = 0x6000;
export const AT_RECURSIVE = 0x8000;
export const AT_FDCWD = -100;

// fcntl(2)
export const F_DUPFD = 0;
export const F_OWNER_TID = 0;
export const F_RDLCK = 0;
export const FD_CLOEXEC = 1;
export const F_GETFD = 1;
export const F_OWNER_PID = 1;
export const F_SEAL_SEAL = 1;
export const F_WRLCK = 1;
export const F_OWNER_PGRP = 2;
export const F_SEAL_SHRINK = 2;
export const F_SETFD = 2;
export const F_UNLCK = 2;
export const F_GETFL = 3;
export const F_EXLCK = 4;
export const F_SEAL_GROW = 4;
export const F_SETFL = 4;
export const F_GETLK = 5;
export const F_SETLK = 6;
export const F_SETLKW = 7;
export const F_SEAL_WRITE = 8;
export const F_SETOWN = 8;
export const F_SHLCK = 8;
export const F_GETOWN = 9;
export const F_SETSIG = 10;
export const F_GETSIG = 11;
export const F_SETOWN_EX = 15;
export const F_GETOWN_EX = 16;
export const F_SEAL_FUTURE_WRITE = 16;
export const F_GETOWNER_UIDS = 17;
export const F_OFD_GETLK = 36;
export const F_OFD_SETLK = 37;
export const F_OFD_SETLKW = 38;
export const F_LINUX_SPECIFIC_BASE = 1024;
export const F_SETLEASE = 1024;
export const F_GETLEASE = 1025;
export const F_NOTIFY = 1026;
export const F_CANCELLK = 1029;
export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;
export const F_GETPIPE_SZ = 1032;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_GET_RW_HINT = 1035;
export const F_SET_RW_HINT = 1036;
export const F_GET_FILE_RW_HINT = 1037;
export const F_SET_FILE_RW_HINT = 1038;

// flock(2)
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const LOCK_MAND = 32;
export const LOCK_READ = 64;
export const LOCK_WRITE = 128;
export const LOCK_RW = 192;

// lseek(2)
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

// File type and permission bits of a mode
export const S_IXOTH = 1;
export const S_IWOTH = 2;
export const S_IROTH = 4;
export const S_IRWXO = 7;
export const S_IXGRP = 8;
export const S_IWGRP = 16;
export const S_IRGRP = 32;
export const S_IRWXG = 56;
export const S_IXUSR = 64;
export const S_IWUSR = 128;
export const S_IRUSR = 256;
export const S_IRWXU = 448;
export const S_ISVTX = 512;
export const S_ISGID = 1024;
export const S_ISUID = 2048;
export const S_IFIFO = 0x1000;
export const S_IFCHR = 0x2000;
export const S_IFDIR = 0x4000;
export const S_IFBLK = 0x6000;
export const S_IFREG = 0x8000;
export const S_IFLNK = 0xa000;
export const S_IFSOCK = 0xc000;
export const S_IFMT = 0xf000;

// Directory entry types (getdents64)
export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;
export const DT_WHT = 14;

// Directory entry types (getdents64)

// access(2)
export const F_OK = 0;
export const X_OK = 1;
export const W_OK = 2;
export const R_OK = 4;

// renameat2(2)
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

// fallocate(2)
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_NO_HIDE_STALE = 4;
export const FALLOC_FL_COLLAPSE_RANGE = 8;
export const FALLOC_FL_ZERO_RANGE = 16;
export const FALLOC_FL_INSERT_RANGE = 32;
export const FALLOC_FL_UNSHARE_RANGE = 64;

// setxattr(2)
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

// memfd_create(2)
export const MFD_CLOEXEC = 1;
export const MFD_ALLOW_SEALING = 2;
export const MFD_HUGETLB = 4;

// statx(2)
export const STATX_TYPE = 1;
export const STATX_MODE = 2;
export const STATX_ATTR_COMPRESSED = 4;
export const STATX_NLINK = 4;
export const STATX_UID = 8;
export const STATX_ATTR_IMMUTABLE = 16;
export const STATX_GID = 16;
export const STATX_ATIME = 32;
export const STATX_ATTR_APPEND = 32;
export const STATX_ATTR_NODUMP = 64;
export const STATX_MTIME = 64;
export const STATX_CTIME = 128;
export const STATX_INO = 256;
export const STATX_SIZE = 512;
export const STATX_BLOCKS = 1024;
export const STATX_BASIC_STATS = 2047;
export const STATX_ATTR_ENCRYPTED = 2048;
export const STATX_BTIME = 2048;
export const STATX_ALL = 4095;
export const STATX_ATTR_AUTOMOUNT = 0x1000;
export const STATX_MNT_ID = 0x1000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_DIOALIGN = 0x2000;
export const STATX_ATTR_VERITY = 0x100000;
export const STATX_ATTR_DAX = 0x200000;

// openat2(2)
export const RESOLVE_NO_XDEV = 1;
export const RESOLVE_NO_MAGICLINKS = 2;
export const RESOLVE_NO_SYMLINKS = 4;
export const RESOLVE_BENEATH = 8;
export const RESOLVE_IN_ROOT = 16;
export const RESOLVE_CACHED = 32;

// posix_fadvise(2)
export const POSIX_FADV_NORMAL = 0;
export const POSIX_FADV_RANDOM = 1;
export const POSIX_FADV_SEQUENTIAL = 2;
export const POSIX_FADV_WILLNEED = 3;
export const POSIX_FADV_DONTNEED = 4;
export const POSIX_FADV_NOREUSE = 5;

// splice(2)
export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;
export const SPLICE_F_MORE = 4;
export const SPLICE_F_GIFT = 8;

// close_range(2)
export const CLOSE_RANGE_UNSHARE = 2;
export const CLOSE_RANGE_CLOEXEC = 4;

// inotify(7)
export const IN_ACCESS = 1;
export const IN_MODIFY = 2;
export const IN_ATTRIB = 4;
export const IN_CLOSE_WRITE = 8;
export const IN_CLOSE_NOWRITE = 16;
export const IN_CLOSE = 24;
export const IN_OPEN = 32;
export const IN_MOVED_FROM = 64;
export const IN_MOVED_TO = 128;
export const IN_MOVE = 192;
export const IN_CREATE = 256;
export const IN_DELETE = 512;
export const IN_DELETE_SELF = 1024;
export const IN_MOVE_SELF = 2048;
export const IN_NONBLOCK = 2048;
export const IN_ALL_EVENTS = 4095;
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_CLOEXEC = 0x80000;
export const IN_ONLYDIR = 0x1000000;
export const IN_DONT_FOLLOW = 0x2000000;
export const IN_EXCL_UNLINK = 0x4000000;
export const IN_MASK_CREATE = 0x10000000;
export const IN_MASK_ADD = 0x20000000;
export const IN_ISDIR = 0x40000000;
export const IN_ONESHOT = 0x80000000;
