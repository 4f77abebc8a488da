/**
 * Layouts of the remaining structures that cross the system call border: byte offsets and sizes.
 */

// struct stat
export const STAT_ST_DEV = 0;
export const STAT_ST_INO = 8;
export const STAT_ST_MODE = 16;
export const STAT_ST_NLINK = 20;
export const STAT_ST_UID = 24;
export const STAT_ST_GID = 28;
export const STAT_ST_RDEV = 32;
export const STAT_ST_SIZE = 48;
export const STAT_ST_BLKSIZE = 56;
export const STAT_ST_BLOCKS = 64;
export const STAT_ST_ATIME = 72;
export const STAT_ST_ATIME_NSEC = 80;
export const STAT_ST_MTIME = 88;
export const STAT_ST_MTIME_NSEC = 96;
export const STAT_ST_CTIME = 104;
export const STAT_ST_CTIME_NSEC = 112;
export const STAT_SIZE = 128;

// struct statx
export const STATX_STX_MASK = 0;
export const STATX_STX_BLKSIZE = 4;
export const STATX_STX_ATTRIBUTES = 8;
export const STATX_STX_NLINK = 16;
export const STATX_STX_UID = 20;
export const STATX_STX_GID = 24;
export const STATX_STX_MODE = 28;
export const STATX_STX_INO = 32;
export const STATX_STX_SIZE = 40;
export const STATX_STX_BLOCKS = 48;
export const STATX_STX_ATTRIBUTES_MASK = 56;
export const STATX_STX_ATIME = 64;
export const STATX_STX_BTIME = 80;
export const STATX_STX_CTIME = 96;
export const STATX_STX_MTIME = 112;
export const STATX_STX_RDEV_MAJOR = 128;
export const STATX_STX_RDEV_MINOR = 132;
export const STATX_STX_DEV_MAJOR = 136;
export const STATX_STX_DEV_MINOR = 140;
export const STATX_STX_MNT_ID = 144;
export const STATX_STX_DIO_MEM_ALIGN = 152;
export const STATX_STX_DIO_OFFSET_ALIGN = 156;
export const STATX_STRUCT_SIZE = 256;

// struct statfs
export const STATFS_F_TYPE = 0;
export const STATFS_F_BSIZE = 8;
export const STATFS_F_BLOCKS = 16;
export const STATFS_F_BFREE = 24;
export const STATFS_F_BAVAIL = 32;
export const STATFS_F_FILES = 40;
export const STATFS_F_FFREE = 48;
export const STATFS_F_FSID = 56;
export const STATFS_F_NAMELEN = 64;
export const STATFS_F_FRSIZE = 72;
export const STATFS_F_FLAGS = 80;
export const STATFS_SIZE = 120;

// struct linux_dirent64: d_name is a NUL-terminated string; records are 8-byte aligned
export const DIRENT64_D_INO = 0;
export const DIRENT64_D_OFF = 8;
export const DIRENT64_D_RECLEN = 16;
export const DIRENT64_D_TYPE = 18;
export const DIRENT64_D_NAME = 19;

// struct timespec, timeval, itimerspec, itimerval
export const TIMESPEC_SEC = 0;
export const TIMESPEC_NSEC = 8;
export const TIMESPEC_SIZE = 16;
export const TIMEVAL_SEC = 0;
export const TIMEVAL_USEC = 8;
export const TIMEVAL_SIZE = 16;
export const ITIMERSPEC_INTERVAL = 0;
export const ITIMERSPEC_VALUE = 16;
export const ITIMERSPEC_SIZE = 32;

// struct flock
export const FLOCK_L_TYPE = 0;
export const FLOCK_L_WHENCE = 2;
export const FLOCK_L_START = 8;
export const FLOCK_L_LEN = 16;
export const FLOCK_L_PID = 24;
export const FLOCK_SIZE = 32;

// struct utsname
export const UTSNAME_SYSNAME = 0;
export const UTSNAME_NODENAME = 65;
export const UTSNAME_RELEASE = 130;
export const UTSNAME_VERSION = 195;
export const UTSNAME_MACHINE = 260;
export const UTSNAME_DOMAINNAME = 325;
export const UTSNAME_SIZE = 390;

// struct sysinfo
export const SYSINFO_UPTIME = 0;
export const SYSINFO_LOADS = 8;
export const SYSINFO_TOTALRAM = 32;
export const SYSINFO_FREERAM = 40;
export const SYSINFO_SHAREDRAM = 48;
export const SYSINFO_BUFFERRAM = 56;
export const SYSINFO_TOTALSWAP = 64;
export const SYSINFO_FREESWAP = 72;
export const SYSINFO_PROCS = 80;
export const SYSINFO_TOTALHIGH = 88;
export const SYSINFO_FREEHIGH = 96;
export const SYSINFO_MEM_UNIT = 104;
export const SYSINFO_SIZE = 112;

// struct tms
export const TMS_TMS_UTIME = 0;
export const TMS_TMS_STIME = 8;
export const TMS_TMS_CUTIME = 16;
export const TMS_TMS_CSTIME = 24;
export const TMS_SIZE = 32;

// struct inotify_event, struct signalfd_siginfo
export const INOTIFY_EVENT_WD = 0;
export const INOTIFY_EVENT_MASK = 4;
export const INOTIFY_EVENT_COOKIE = 8;
export const INOTIFY_EVENT_LEN = 12;
export const INOTIFY_EVENT_SIZE = 16;
export const SIGNALFD_SSI_SIGNO = 0;
export const SIGNALFD_SSI_ERRNO = 4;
export const SIGNALFD_SSI_CODE = 8;
export const SIGNALFD_SSI_PID = 12;
export const SIGNALFD_SSI_UID = 16;
export const SIGNALFD_SSI_FD = 20;
export const SIGNALFD_SSI_TID = 24;
export const SIGNALFD_SSI_BAND = 28;
export const SIGNALFD_SSI_OVERRUN = 32;
export const SIGNALFD_SSI_TRAPNO = 36;
export const SIGNALFD_SSI_STATUS = 40;
export const SIGNALFD_SSI_INT = 44;
export const SIGNALFD_SSI_PTR = 48;
export const SIGNALFD_SSI_UTIME = 56;
export const SIGNALFD_SSI_STIME = 64;
export const SIGNALFD_SSI_ADDR = 72;
export const SIGNALFD_SIZE = 128;
