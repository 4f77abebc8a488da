/** What a handler returns when it has set the registers itself (rt_sigreturn, execve) or the task is gone (exit). */
export const NO_RESULT = -100_000;
/** The call is to be made again from the beginning, as if it had not been entered: a tracer looks at the task first. */
export const AGAIN = -100_001;
