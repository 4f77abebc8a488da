/* Signal names and handlers. */
#include "libc.h"

static const struct { const char *name, *text; } table[] = {
    [SIGHUP] = {"HUP", "Hangup"}, [SIGINT] = {"INT", "Interrupt"}, [SIGQUIT] = {"QUIT", "Quit"},
    [SIGILL] = {"ILL", "Illegal instruction"}, [SIGTRAP] = {"TRAP", "Trace/breakpoint trap"},
    [SIGABRT] = {"ABRT", "Aborted"}, [SIGBUS] = {"BUS", "Bus error"},
    [SIGFPE] = {"FPE", "Floating point exception"}, [SIGKILL] = {"KILL", "Killed"},
    [SIGUSR1] = {"USR1", "User defined signal 1"}, [SIGSEGV] = {"SEGV", "Segmentation fault"},
    [SIGUSR2] = {"USR2", "User defined signal 2"}, [SIGPIPE] = {"PIPE", "Broken pipe"},
    [SIGALRM] = {"ALRM", "Alarm clock"}, [SIGTERM] = {"TERM", "Terminated"},
    [SIGSTKFLT] = {"STKFLT", "Stack fault"}, [SIGCHLD] = {"CHLD", "Child exited"},
    [SIGCONT] = {"CONT", "Continued"}, [SIGSTOP] = {"STOP", "Stopped (signal)"},
    [SIGTSTP] = {"TSTP", "Stopped"}, [SIGTTIN] = {"TTIN", "Stopped (tty input)"},
    [SIGTTOU] = {"TTOU", "Stopped (tty output)"}, [SIGURG] = {"URG", "Urgent I/O condition"},
    [SIGXCPU] = {"XCPU", "CPU time limit exceeded"}, [SIGXFSZ] = {"XFSZ", "File size limit exceeded"},
    [SIGVTALRM] = {"VTALRM", "Virtual timer expired"}, [SIGPROF] = {"PROF", "Profiling timer expired"},
    [SIGWINCH] = {"WINCH", "Window changed"}, [SIGIO] = {"IO", "I/O possible"},
    [SIGPWR] = {"PWR", "Power failure"}, [SIGSYS] = {"SYS", "Bad system call"},
};

const char *signal_name(int sig) { return sig > 0 && sig < (int)countof(table) ? table[sig].name : NULL; }
const char *signal_text(int sig) { return sig > 0 && sig < (int)countof(table) ? table[sig].text : "Unknown signal"; }
int signal_number(const char *name) {
  if (isdigit(*name)) {
    char *end;
    long n = strtol(name, &end, 10);
    return *end || n >= NSIG ? -1 : (int)n;
  }
  if (!strncasecmp(name, "SIG", 3)) name += 3;
  for (int i = 1; i < (int)countof(table); i++)
    if (!strcasecmp(name, table[i].name)) return i;
  return -1;
}
void set_signal(int sig, void (*handler)(int), unsigned long flags) {
  struct sigaction sa = {.handler = handler, .flags = flags};
  sys_sigaction(sig, &sa, NULL);
}
