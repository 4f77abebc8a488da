/* System V shared memory, semaphores, message queues; POSIX message queues */
#include "check.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void pause_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}

static void shared_memory(void) {
  int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
  CHECK("shmget", id >= 0);
  char *at = shmat(id, NULL, 0);
  CHECK("shmat", at != (char *)-1 && at[0] == 0 && at[9999] == 0);
  strcpy(at, "parent");
  int status = IN_CHILD(if (strcmp(at, "parent") != 0) _exit(1); strcpy(at + 5000, "child"));
  CHECK("shared over fork", status == 0 && strcmp(at + 5000, "child") == 0);
  char *again = shmat(id, NULL, SHM_RDONLY);
  struct shmid_ds ds;
  CHECK("a second attachment", strcmp(again, "parent") == 0 && shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 2 && ds.shm_segsz == 10000);
  CHECK("read only", ({ signal(SIGSEGV, SIG_DFL); int s = IN_CHILD(again[0] = 1); WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV; }));
  CHECK("shmdt", shmdt(again) == 0 && shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 1);
  CHECK("shmdt elsewhere", shmdt(at + 4096) == -1 && errno == EINVAL);
  CHECK("remove while attached", shmctl(id, IPC_RMID, NULL) == 0 && strcmp(at, "parent") == 0);
  CHECK("detach the last", shmdt(at) == 0 && shmat(id, NULL, 0) == (void *)-1 && errno == EINVAL);
  key_t key = 0x5151;
  id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
  CHECK("by key", shmget(key, 0, 0) == id && shmget(key, 4096, IPC_CREAT | IPC_EXCL) == -1 && errno == EEXIST);
  CHECK("too large for it", shmget(key, 8192, 0) == -1 && errno == EINVAL);
  shmctl(id, IPC_RMID, NULL);
  CHECK("gone", shmget(key, 0, 0) == -1 && errno == ENOENT);
}

union semun { int val; struct semid_ds *buf; unsigned short *array; };
static int op(int id, int index, int change, int flags) {
  struct sembuf b = {(unsigned short)index, (short)change, (short)flags};
  return semop(id, &b, 1);
}

static void semaphores(void) {
  int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
  CHECK("semget", id >= 0);
  unsigned short values[3] = {2, 0, 5}, got[3];
  union semun arg = {.array = values};
  CHECK("SETALL", semctl(id, 0, SETALL, arg) == 0);
  arg.array = got;
  CHECK("GETALL", semctl(id, 0, GETALL, arg) == 0 && got[0] == 2 && got[2] == 5);
  CHECK("take", op(id, 0, -2, 0) == 0 && semctl(id, 0, GETVAL) == 0);
  CHECK("none left", op(id, 0, -1, IPC_NOWAIT) == -1 && errno == EAGAIN);
  struct sembuf both[2] = {{2, -1, IPC_NOWAIT}, {0, -1, IPC_NOWAIT}};
  CHECK("all or nothing", semop(id, both, 2) == -1 && errno == EAGAIN && semctl(id, 2, GETVAL) == 5);
  CHECK("wait for zero", op(id, 0, 0, 0) == 0 && semctl(id, 0, GETPID) == getpid());
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(op(id, 1, -1, 0) == 0 ? 0 : 1);
  pause_ms(10);
  CHECK("somebody waits", semctl(id, 1, GETNCNT) == 1);
  op(id, 1, 1, 0);
  int status;
  waitpid(child, &status, 0);
  CHECK("and is let go", status == 0);
  struct timespec limit = {0, 20000000};
  struct sembuf take = {1, -1, 0};
  CHECK("semtimedop", semtimedop(id, &take, 1, &limit) == -1 && errno == EAGAIN);
  status = IN_CHILD(op(id, 2, -3, SEM_UNDO));
  CHECK("undone at exit", status == 0 && semctl(id, 2, GETVAL) == 5);
  fflush(stdout);
  child = fork();
  if (child == 0) _exit(op(id, 1, -1, 0) == -1 && errno == EIDRM ? 0 : 1);
  pause_ms(10);
  CHECK("semaphores removed", semctl(id, 0, IPC_RMID) == 0);
  waitpid(child, &status, 0);
  CHECK("sleepers hear of it", status == 0);
  CHECK("no more", semctl(id, 0, GETVAL) == -1 && errno == EINVAL);
}

struct message { long type; char text[100]; };

static void messages(void) {
  int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  struct message m;
  for (int i = 0; i < 3; i++) {
    m.type = 3 - i;
    sprintf(m.text, "m%d", i);
    msgsnd(id, &m, 3, 0);
  }
  CHECK("by type", msgrcv(id, &m, 100, 2, 0) == 3 && strcmp(m.text, "m1") == 0);
  CHECK("lowest up to", msgrcv(id, &m, 100, -5, 0) == 3 && m.type == 1);
  CHECK("too long", msgrcv(id, &m, 1, 0, 0) == -1 && errno == E2BIG);
  CHECK("cut off", msgrcv(id, &m, 1, 0, MSG_NOERROR) == 1);
  CHECK("none", msgrcv(id, &m, 100, 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
  static struct { long type; char text[8192]; } big = {1};
  CHECK("full", msgsnd(id, &big, 8192, 0) == 0 && msgsnd(id, &big, 8192, 0) == 0 && msgsnd(id, &big, 1, IPC_NOWAIT) == -1 && errno == EAGAIN);
  struct msqid_ds ds;
  CHECK("msgctl", msgctl(id, IPC_STAT, &ds) == 0 && ds.msg_qnum == 2 && ds.msg_qbytes == 16384 && ds.msg_lspid == getpid());
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(msgsnd(id, &big, 10, 0) == 0 ? 0 : 1);
  pause_ms(10);
  msgrcv(id, &big, 8192, 0, 0);
  int status;
  waitpid(child, &status, 0);
  CHECK("a sender waits for room", status == 0);
  CHECK("queue removed", msgctl(id, IPC_RMID, NULL) == 0);
}

static volatile int notified;
static void note(int signal, siginfo_t *info, void *context) { notified = info->si_code == SI_MESGQ ? info->si_value.sival_int : -1; }

static void posix_queues(void) {
  struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 50}, got;
  mq_unlink("/q");
  mqd_t q = mq_open("/q", O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attr);
  CHECK("mq_open", q >= 0);
  CHECK("mq_getattr", mq_getattr(q, &got) == 0 && got.mq_maxmsg == 3 && got.mq_msgsize == 50 && got.mq_flags == O_NONBLOCK);
  mq_send(q, "low", 3, 1);
  mq_send(q, "high", 4, 9);
  mq_send(q, "mid", 3, 5);
  CHECK("mq full", mq_send(q, "x", 1, 0) == -1 && errno == EAGAIN);
  char buf[50];
  unsigned priority;
  CHECK("by priority", mq_receive(q, buf, 50, &priority) == 4 && priority == 9 && mq_receive(q, buf, 50, &priority) == 3 && priority == 5);
  CHECK("buffer too small", mq_receive(q, buf, 10, NULL) == -1 && errno == EMSGSIZE);
  mq_receive(q, buf, 50, NULL);
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  CHECK("mq_notify", mq_notify(q, &event) == 0);
  mq_send(q, "wake", 4, 0);
  CHECK("notified", notified == 42);
  mq_receive(q, buf, 50, NULL);
  mqd_t blocking = mq_open("/q", O_RDONLY);
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_nsec += 20000000;
  if (limit.tv_nsec >= 1000000000) limit.tv_sec++, limit.tv_nsec -= 1000000000;
  CHECK("mq time limit", mq_timedreceive(blocking, buf, 50, NULL, &limit) == -1 && errno == ETIMEDOUT);
  CHECK("mq_unlink", mq_unlink("/q") == 0 && mq_open("/q", O_RDONLY) == -1 && errno == ENOENT);
}

int main(void) {
  shared_memory();
  semaphores();
  messages();
  posix_queues();
  return failures;
}
