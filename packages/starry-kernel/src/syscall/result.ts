/** What a handler returns when it has set the registers itself (rt_sigreturn, execve) or the task is gone (exit). */
export const NO_RESULT = -100_000;
