/**
 * Clocks and timers (linux/time.h).
 */

// Clocks
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_SGI_CYCLE = 10;
export const CLOCK_TAI = 11;

// Timers
export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const TIMER_ABSTIME = 1;
export const ITIMER_PROF = 2;

// timerfd_create(2)
export const TFD_CLOEXEC = 0x80000;
export const TFD_NONBLOCK = 2048;
export const TFD_TIMER_ABSTIME = 1;
export const TFD_TIMER_CANCEL_ON_SET = 2;

// utimensat(2)
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;

// eventfd2(2)
export const EFD_SEMAPHORE = 1;
export const EFD_CLOEXEC = 0x80000;
export const EFD_NONBLOCK = 2048;

// struct timex
export const TIMEX_MODES = 0;
export const TIMEX_SIZE = 208;
