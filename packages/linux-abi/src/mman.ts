/**
 * Memory mapping flags (asm-generic/mman.h).
 */

// mmap(2), mprotect(2)
export const MAP_FILE = 0;
export const PROT_NONE = 0;
export const MAP_SHARED = 1;
export const PROT_READ = 1;
export const MAP_PRIVATE = 2;
export const PROT_WRITE = 2;
export const MAP_SHARED_VALIDATE = 3;
export const PROT_EXEC = 4;
export const PROT_SEM = 8;
export const MAP_TYPE = 15;
export const MAP_FIXED = 16;
export const MAP_HUGE_SHIFT = 26;
export const MAP_ANONYMOUS = 32;
export const MAP_HUGE_MASK = 63;
export const MAP_GROWSDOWN = 256;
export const MAP_DENYWRITE = 2048;
export const MAP_EXECUTABLE = 0x1000;
export const MAP_LOCKED = 0x2000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_NONBLOCK = 0x10000;
export const MAP_STACK = 0x20000;
export const MAP_HUGETLB = 0x40000;
export const MAP_SYNC = 0x80000;
export const MAP_FIXED_NOREPLACE = 0x100000;
export const PROT_GROWSDOWN = 0x1000000;
export const PROT_GROWSUP = 0x2000000;
export const MAP_UNINITIALIZED = 0x4000000;

// msync, mremap, madvise, mlock
export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MCL_CURRENT = 1;
export const MLOCK_ONFAULT = 1;
export const MREMAP_MAYMOVE = 1;
export const MS_ASYNC = 1;
export const MADV_SEQUENTIAL = 2;
export const MCL_FUTURE = 2;
export const MREMAP_FIXED = 2;
export const MS_INVALIDATE = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MCL_ONFAULT = 4;
export const MREMAP_DONTUNMAP = 4;
export const MS_SYNC = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_COLLAPSE = 25;
export const MADV_HWPOISON = 100;
export const MADV_SOFT_OFFLINE = 101;

// membarrier(2)
