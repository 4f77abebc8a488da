/** What the kernel calls itself: uname(2), /proc/version, /proc/sys/kernel. */

export const KERNEL_NAME = "Linux";
/** The Linux whose interface we follow. */
export const KERNEL_RELEASE = "6.12.0-starry";
export const KERNEL_VERSION = "#1 SMP PREEMPT_DYNAMIC";
export const MACHINE = "riscv64";
