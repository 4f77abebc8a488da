/* A process as /proc shows it; shared by ps, top and their relatives. */
#pragma once
typedef struct {
  int pid, ppid, pgrp, session, foreground, nice, threads;
  unsigned uid, tty;
  unsigned long ticks, start, vsize, rss; /* ticks of 1/100 s; bytes */
  char state, comm[32], command[512];
} Proc;
bool proc_read(int pid, Proc *p);
Proc *proc_list(size_t *count); /* sorted by pid, malloc'd */
void proc_tty(const Proc *p, char out[16]);
unsigned long proc_total_memory(void); /* bytes */
