/**
 * Signal numbers, flags, codes and the layouts of the structures around them
 * (asm-generic/signal.h, asm-generic/siginfo.h, riscv asm/ucontext.h).
 */

// Signals
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGXCPU = 24;
export const SIGXFSZ = 25;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGWINCH = 28;
export const SIGIO = 29;
export const SIGPWR = 30;
export const SIGSYS = 31;

// Real-time signals are 32..64
export const SIGRTMIN = 32;
export const SIGRTMAX = 64;
export const NSIG = 64;

// Dispositions
export const SIG_DFL = 0;
export const SIG_IGN = 1;
export const SIG_ERR = -1;

// sigaction(2), sigprocmask(2), sigaltstack(2)
export const SIG_BLOCK = 0;
export const SA_NOCLDSTOP = 1;
export const SIG_UNBLOCK = 1;
export const SA_NOCLDWAIT = 2;
export const SIG_SETMASK = 2;
export const SA_SIGINFO = 4;
export const SA_UNSUPPORTED = 1024;
export const MINSIGSTKSZ = 2048;
export const SA_ONSTACK = 0x8000000;
export const SA_RESTART = 0x10000000;
export const SA_NODEFER = 0x40000000;
export const SA_NOMASK = 0x40000000;
export const SA_ONESHOT = 0x80000000;
export const SA_RESETHAND = 0x80000000;

// sigaltstack(2) ss_flags
export const SS_ONSTACK = 1;
export const SS_DISABLE = 2;
export const SS_AUTODISARM = 0x80000000;

// si_code
export const SI_USER = 0;
export const BUS_ADRALN = 1;
export const CLD_EXITED = 1;
export const FPE_INTDIV = 1;
export const ILL_ILLOPC = 1;
export const POLL_IN = 1;
export const SEGV_MAPERR = 1;
export const SYS_SECCOMP = 1;
export const TRAP_BRKPT = 1;
export const BUS_ADRERR = 2;
export const CLD_KILLED = 2;
export const FPE_INTOVF = 2;
export const ILL_ILLOPN = 2;
export const POLL_OUT = 2;
export const SEGV_ACCERR = 2;
export const TRAP_TRACE = 2;
export const BUS_OBJERR = 3;
export const CLD_DUMPED = 3;
export const FPE_FLTDIV = 3;
export const ILL_ILLADR = 3;
export const POLL_MSG = 3;
export const SEGV_BNDERR = 3;
export const TRAP_BRANCH = 3;
export const CLD_TRAPPED = 4;
export const FPE_FLTOVF = 4;
export const ILL_ILLTRP = 4;
export const POLL_ERR = 4;
export const SEGV_PKUERR = 4;
export const TRAP_HWBKPT = 4;
export const CLD_STOPPED = 5;
export const FPE_FLTUND = 5;
export const ILL_PRVOPC = 5;
export const POLL_PRI = 5;
export const SEGV_ACCADI = 5;
export const TRAP_UNK = 5;
export const CLD_CONTINUED = 6;
export const FPE_FLTRES = 6;
export const ILL_PRVREG = 6;
export const POLL_HUP = 6;
export const SEGV_ADIDERR = 6;
export const TRAP_PERF = 6;
export const FPE_FLTINV = 7;
export const ILL_COPROC = 7;
export const SEGV_ADIPERR = 7;
export const FPE_FLTSUB = 8;
export const ILL_BADSTK = 8;
export const SEGV_MTEAERR = 8;
export const ILL_BADIADDR = 9;
export const SEGV_MTESERR = 9;
export const FPE_FLTUNK = 14;
export const FPE_CONDTRAP = 15;
export const SI_KERNEL = 128;
export const SI_QUEUE = -1;
export const SI_TIMER = -2;
export const SI_MESGQ = -3;
export const SI_ASYNCIO = -4;
export const SI_SIGIO = -5;
export const SI_TKILL = -6;
export const SI_DETHREAD = -7;
export const SI_ASYNCNL = -60;

// sigevent
export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD = 2;
export const SIGEV_THREAD_ID = 4;

// signalfd4(2)
export const SFD_NONBLOCK = 2048;
export const SFD_CLOEXEC = 0x80000;

// signalfd4(2)

// struct siginfo_t
export const SIGINFO_SIGNO = 0;
export const SIGINFO_ERRNO = 4;
export const SIGINFO_CODE = 8;
export const SIGINFO_PID = 16;
export const SIGINFO_UID = 20;
export const SIGINFO_STATUS = 24;
export const SIGINFO_UTIME = 32;
export const SIGINFO_STIME = 40;
export const SIGINFO_ADDR = 16;
export const SIGINFO_VALUE = 24;
export const SIGINFO_TIMERID = 16;
export const SIGINFO_OVERRUN = 20;
export const SIGINFO_BAND = 16;
export const SIGINFO_FD = 24;
export const SIGINFO_CALL_ADDR = 16;
export const SIGINFO_SYSCALL = 24;
export const SIGINFO_ARCH = 28;
export const SIGINFO_SIZE = 128;

// struct sigaction as the kernel sees it (no sa_restorer on riscv)
export const SIGACTION_HANDLER = 0;
export const SIGACTION_FLAGS = 8;
export const SIGACTION_MASK = 16;
export const SIGACTION_SIZE = 24;

// stack_t
export const STACK_T_SP = 0;
export const STACK_T_FLAGS = 8;
export const STACK_T_SS_SIZE = 16;
export const STACK_T_SIZE = 24;

// struct ucontext and struct sigcontext: uc_mcontext holds pc, x1..x31, then f0..f31 and fcsr
export const UCONTEXT_FLAGS = 0;
export const UCONTEXT_LINK = 8;
export const UCONTEXT_STACK = 16;
export const UCONTEXT_SIGMASK = 40;
export const UCONTEXT_MCONTEXT = 176;
export const UCONTEXT_FPREGS = 432;
export const UCONTEXT_FCSR = 688;
export const UCONTEXT_SIZE = 960;
