// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the shell's ${}, not ours
/** What the packages of the issue's own example can do. Without `expect` the answer is qemu-riscv64's. */
import type { Case } from "./programs.ts";

export const BASIC_CASES: readonly Case[] = [
  // coreutils
  { name: "sort by key, numerically", script: "sort -k2n data; sort -r data | uniq -c" },
  {
    name: "cut, paste, tr, join",
    script: "cut -d' ' -f1,3 data; paste -s -d, data; tr a-z A-Z <data; sort data >s; join s s",
  },
  {
    name: "head, tail, tac, nl, wc, fold, expand",
    script: "head -n2 data; tail -n2 data; tac data; nl data; wc data; fold -w7 data; expand -t4 data",
  },
  { name: "od", script: "od -c data; od -A x -t x1z data; od -t d4 -N 16 data" },
  {
    name: "checksums",
    script:
      "md5sum data; sha1sum data; sha224sum data; sha256sum data; sha512sum data; b2sum data; cksum data; sum data",
  },
  {
    name: "base64 and base32 there and back",
    script: "base64 data; base32 data; base64 data | base64 -d | cmp - data && echo same",
  },
  {
    name: "shuf and factor",
    script: "seq 1 3 100 | shuf --random-source=data | sort -n | md5sum; factor 1234567890123 18446744073709551557",
  },
  {
    name: "expr, numfmt, printf, seq",
    script:
      "expr 6 '*' 7; numfmt --to=iec 1234567; printf '%05.2f %x %s %q\\n' 3.14159 255 hi 'a b'; seq -w 8 11; seq 0 .25 1",
  },
  {
    name: "date arithmetic",
    script:
      "date -u -d @1700000000 +%FT%T; date -d '2024-02-29 +1 year' +%F; TZ=America/New_York date -u -d 2024-06-01T12:00 +%s",
  },
  {
    name: "dd",
    script:
      "dd if=/dev/zero bs=1M count=8 2>/dev/null | sha256sum; dd if=data bs=1 skip=7 count=5 2>/dev/null; dd if=data conv=ucase 2>/dev/null",
  },
  {
    name: "sparse files",
    script:
      "truncate -s 1M s; stat -c '%s %f %F' s; printf x | dd of=s bs=1 seek=500000 conv=notrunc 2>/dev/null; sha1sum s; cp --sparse=always s t; cmp s t && echo same",
  },
  {
    name: "links",
    script:
      "mkdir -p t/a/b; touch t/a/b/c; ln -s a/b t/l; ln t/a/b/c t/h; stat -c '%N %h %F' t/* t/a/b/c; readlink t/l; cat t/l/none; [ t/h -ef t/l/c ] && echo same",
  },
  {
    name: "copies and removals",
    script: "mkdir -p a/b; cp data a/b; cp -a a c; mv c d; rm -r a; find d | sort; rmdir d; rm -rf d; ls",
  },
  {
    name: "permissions",
    script:
      "umask 027; touch f; mkdir d; stat -c '%A %a %n' f d; chmod u=rwx,g=s,o= f; stat -c %A f; chmod 4755 f; stat -c %A f; test -x f && echo x",
  },
  {
    name: "timestamps",
    script:
      "touch -d '2001-02-03 04:05:06.789' f; stat -c '%y' f; cp -p f g; stat -c %Y g; touch -r g h; [ f -nt data ] || echo older",
  },
  {
    name: "split, csplit, comm, tsort",
    script:
      "seq 100 >n; split -l 30 n p.; wc -l p.*; csplit -s n 50; wc -l xx*; comm -12 n p.aa | wc -l; printf 'a b\\nb c\\n' | tsort",
  },
  { name: "a fifo between two processes", script: "mkfifo f; (echo through >f &); cat f" },
  {
    name: "tee, xargs, env, timeout",
    script: "echo x | tee a b; cat a b; seq 5 | xargs -n2 echo; env -i A=1 env; timeout 0.2 sleep 5; echo $?",
  },
  {
    name: "errors have Linux's texts",
    script:
      "cat none; ls none; mkdir .; rmdir data; cd data; cat <none; mv none x; ln data data; : >/dev/full; echo x >/dev/full",
    expect: /No such file or directory[\s\S]*File exists[\s\S]*Not a directory[\s\S]*No space left on device/,
  },
  // findutils, grep, sed, gawk
  {
    name: "find",
    script:
      "mkdir -p x/y; touch x/a x/y/b.c; ln -s a x/l; find x | sort; find x -type f -name '*.c'; find . -size -2 -type f | sort; find x -exec echo {} + | wc -w; find x -type l -printf '%p %l\\n'; find x -delete; ls",
  },
  { name: "xargs -P", script: "seq 20 | xargs -P 4 -n 1 sh -c 'echo $0' | sort -n | md5sum" },
  {
    name: "grep",
    script:
      "grep -n red data; grep -c . data; grep -oE '[a-z]+' data | head -3; grep -vi B data; grep -w 1 data; grep -rl red .; grep -q zzz data; echo $?; grep -A1 apple data",
  },
  {
    name: "sed",
    script:
      "sed -n '2,3p;$s/e/E/gp' data; sed -i 's/red/RED/' data; cat data; sed -E 's/(.*) (.*) (.*)/\\3 \\2 \\1/;y/abc/xyz/' data; sed ':a;N;$!ba;s/\\n/;/g' data",
  },
  {
    name: "gawk",
    script:
      'gawk \'{s+=$2; a[$3]++} END{print s; n=asorti(a,b); for(i=1;i<=n;i++)print b[i],a[b[i]]; printf "%.6f %s\\n", sqrt(2), strftime("%F",0,1)}\' data; gawk \'BEGIN{while(("echo a b"|getline x)>0)print x; system("echo sys"); print toupper(substr("hello",2,3)), index("abc","c")}\'',
  },
  // bash
  {
    name: "bash arrays, arithmetic, expansions",
    script:
      "a=(x y z); echo ${a[1]} ${#a[@]} ${a[@]^^}; declare -A m=([k]=v); echo ${m[k]}; echo $((2**40 % 1000)) $((0x1f)) ${HOME:0:1} {1..5} {a..c}{1,2}; s=hello; echo ${s/l/L} ${s//l/L} ${s#he} ${s%lo} ${#s}; printf '%s\\n' *",
  },
  {
    name: "bash redirections and here documents",
    script:
      "cat <<X\nhere $((1+1))\nX\ncat <<<string; exec 5>f; echo to5 >&5; exec 5>&-; cat f; { echo out; echo err >&2; } 2>e | cat; cat e; cat < <(echo substituted); diff <(seq 3) <(seq 4) >/dev/null; echo $?",
  },
  {
    name: "bash traps, subshells, wait",
    script:
      "trap 'echo bye' EXIT; (exit 3); echo $?; sleep 0.1 & wait $!; echo $?; { sh -c 'kill -9 $$'; } 2>/dev/null; echo $?; trap 'echo usr1' USR1; kill -USR1 $$; set -o pipefail; false | true; echo $?; coproc cat; echo hi >&${COPROC[1]}; read -u ${COPROC[0]} l; echo $l",
  },
  {
    name: "bash functions and recursion",
    script:
      "f() { local n=$1; if [ $n -le 1 ]; then echo 1; else echo $((n * $(f $((n-1))))); fi; }; f 10; select x in a; do break; done </dev/null; type cd; getopts ab: o -b val; echo $o $OPTARG",
  },
  // perl, lua, python, sqlite
  {
    name: "perl",
    script:
      'perl -e \'my %h=(a=>1,b=>2); print join(",",map{"$_=$h{$_}"} sort keys %h),"\\n"; printf "%.10f\\n", atan2(1,1)*4; my $p=fork(); if(!$p){exit 7} wait; print $?>>8,"\\n"; print sprintf("%b",10),"\\n"; local $SIG{ALRM}=sub{print "alarm\\n"}; alarm 1; sleep 3\'',
  },
  {
    name: "lua",
    script:
      'lua5.4 -e \'print(_VERSION, 10//3, 2^53, string.format("%q", 1/3)); local t={} for i=1,10 do t[i]=i*i end print(table.concat(t,",")); print(pcall(error,"x")); local co=coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) print(co(),co(),co())\'',
  },
  {
    name: "sqlite",
    script:
      "sqlite3 x.db \"create table t(a integer primary key,b text); with recursive c(x) as (select 1 union all select x+1 from c where x<1000) insert into t select x, hex(x) from c; select count(*),sum(a),max(b) from t; create index i on t(b); pragma integrity_check; begin; delete from t where a>10; rollback; select count(*) from t; pragma journal_mode=wal; insert into t values(2000,'w'); vacuum; select count(*) from t;\"",
  },
  {
    name: "python numbers",
    script:
      'python3 -c \'import math; print(math.pi, math.sin(1e22), math.sqrt(2), 0.1+0.2, float("inf")-float("inf"), 1e308*10, 5e-324, round(2.5), int(1e20), math.gamma(5.5), 10**50//7)\'',
  },
  {
    name: "python threads",
    script:
      "python3 -c 'import threading; r=[]; l=threading.Lock(); ts=[threading.Thread(target=lambda i=i: (l.acquire(), r.append(i), l.release())) for i in range(30)]; [t.start() for t in ts]; [t.join() for t in ts]; print(sum(r))'",
  },
  {
    name: "python subprocesses",
    script:
      'python3 -c \'import subprocess; print(subprocess.run(["sh","-c","echo out; echo err >&2; exit 5"],capture_output=True)); p=subprocess.Popen(["cat"],stdin=-1,stdout=-1); print(len(p.communicate(b"x"*200000)[0]))\'',
  },
  {
    name: "python signals and timers",
    script:
      'python3 -c \'import signal,os,time; signal.signal(signal.SIGUSR1,lambda s,f:print("usr1",s)); os.kill(os.getpid(),signal.SIGUSR1); signal.signal(signal.SIGALRM,lambda s,f:print("alrm")); signal.setitimer(signal.ITIMER_REAL,0.05); time.sleep(0.2); print(signal.sigtimedwait([signal.SIGCHLD],0.01))\'',
  },
  {
    name: "python select, pipes, socketpair",
    script:
      'python3 -u -c \'import os,select,socket; r,w=os.pipe(); print(select.select([r],[],[],0.01)); os.write(w,b"1"); e=select.epoll(); e.register(r,select.EPOLLIN); print(len(e.poll(1))); a,b=socket.socketpair(); a.send(b"hi"); print(b.recv(9)); socket.send_fds(a,[b"f"],[1]); m,f,_,_=socket.recv_fds(b,10,1); os.write(f[0],b"through a passed descriptor\\n")\'',
    expect: /^\(\[\], \[\], \[\]\)\n1\nb'hi'\nthrough a passed descriptor\nstatus 0\n$/,
  },
  {
    name: "python TCP on the loopback",
    script:
      'python3 -c \'import socket,os; s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); p=os.fork()\nif p==0:\n c=s.accept()[0]; c.sendall(c.recv(100).upper()); os._exit(0)\nc=socket.create_connection(s.getsockname()); c.sendall(b"abc"); print(c.recv(10)); os.wait()\'',
    expect: "b'ABC'\nstatus 0\n",
  },
  // git, gcc
  {
    name: "git: commits, branches, merges, clones",
    script:
      "export GIT_AUTHOR_DATE=@1700000000 GIT_COMMITTER_DATE=@1700000000 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; git init -q -b main r; cd r; for i in 1 2 3; do echo $i >f$i; git add .; git commit -qm c$i; done; git checkout -qb br HEAD~1; echo x >>f1; git commit -qam br; git checkout -q main; git merge -q -m mg br; git log --oneline --graph | cat; git diff HEAD~1 --stat | cat; git gc -q; git fsck; git clone -q . ../r2; cd ../r2; git status -sb; git archive HEAD | sha256sum",
    expect: /^\* {3}[0-9a-f]+ mg\n[\s\S]*## main\.\.\.origin\/main\n[0-9a-f]{64} {2}-\nstatus 0\n$/,
  },
  {
    name: "gcc: threads, libm, static, assembler output",
    script:
      "printf '#include <stdio.h>\\n#include <math.h>\\n#include <pthread.h>\\nvoid*f(void*p){return (void*)((long)p*2);}\\nint main(){pthread_t t[8];long s=0;for(long i=0;i<8;i++)pthread_create(t+i,0,f,(void*)i);for(int i=0;i<8;i++){void*r;pthread_join(t[i],&r);s+=(long)r;}printf(\"%%ld %%.6f\\\\n\",s,sin(1));}' >p.c; gcc -O2 -Wall p.c -o p -lm && ./p; gcc -static -O2 p.c -o ps -lm && ./ps; gcc -S -O2 -o - p.c | grep -c main; readelf -h p | grep Machine; strip p && ./p",
    expect: /^56 0\.841471\n56 0\.841471\n[1-9]\d*\n {2}Machine: +RISC-V\n56 0\.841471\nstatus 0\n$/,
  },
  // what is about this machine
  {
    name: "ps, free, uptime, top, pgrep",
    script:
      "ps -o pid,comm -p 1; pgrep -x bash | head -1; free | head -2; uptime; top -bn1 | head -4; ps -eo pid,ppid,stat,args | head -2",
    expect: /PID COMMAND\n +1 bash\n1\n +total +used[\s\S]*\nMem: [\s\S]*load average[\s\S]*%Cpu[\s\S]*status 0/,
  },
  {
    name: "util-linux",
    script:
      "lscpu | grep Arch; findmnt -no FSTYPE /; df --output=target / | tail -1; getopt -o ab: -- -a -b x y; flock lock echo locked; setsid echo sid; nice -n 5 nice; taskset -p $$ | grep -c mask; prlimit -n --noheadings -o RESOURCE; namei -m data; script -qc 'echo in a pty' /dev/null",
    expect: /riscv64\next4\n\/\n -a -b 'x' -- 'y'\nlocked\nsid\n5\n1\nNOFILE\n[\s\S]*in a pty/,
  },
  {
    name: "/proc of oneself",
    script:
      "readlink /proc/self/exe; tr '\\0' ' ' </proc/$$/cmdline | cut -c1-8; grep -c heap /proc/self/maps; ls /proc/self/fd | head -3; cat /proc/sys/kernel/ostype; head -1 /proc/self/status",
    expect: /^\/usr\/bin\/readlink\nbash -c \n1\n0\n1\n2\nLinux\nName:\thead\n/,
  },
  {
    name: "busybox",
    script:
      'busybox sh -c \'for i in 1 2 3; do echo $i; done | busybox sort -r; busybox awk "BEGIN{print 6*7}"; echo abc | busybox sed s/b/B/; busybox seq 3 | busybox tac; busybox md5sum data; busybox printf "%x\\n" 255; busybox date -u -d @0 +%F; busybox dc -e "2 3 * p"; busybox tar c data | busybox tar t; busybox gzip -c data | busybox zcat | busybox cmp - data && echo same\'',
  },
];
