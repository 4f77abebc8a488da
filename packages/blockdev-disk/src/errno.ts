/**
 * The error numbers a block device can answer, as in Linux's asm-generic/errno-base.h. Kept here because this
 * package depends on nothing; a failure is returned as the negated number.
 */
export const EIO = 5;
export const EAGAIN = 11;
export const EINVAL = 22;
export const ENOSPC = 28;
export const EROFS = 30;
