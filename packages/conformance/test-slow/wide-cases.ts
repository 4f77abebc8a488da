// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the shell's ${}, not ours
/** Cases for the wide set of packages. Without `expect` the answer is qemu-riscv64's. */
import type { Case } from "../test/support/programs.ts";

const ALL_OK = /status 0\n$/;

export const WIDE_CASES: readonly Case[] = [
  // archives and compressors
  {
    name: "tar with four compressors, zip, cpio",
    script:
      "mkdir tt; for i in $(seq 30); do seq $i 500 >tt/$i; done; tar cf t.tar --sort=name --mtime=@0 tt; sha256sum <t.tar; for z in gzip bzip2 xz zstd; do $z -qkf t.tar; done; for e in gz bz2 xz zst; do mkdir o.$e; tar xf t.tar.$e -C o.$e && diff -r tt o.$e/tt && echo ok $e; done; zip -qr t.zip tt && unzip -qt t.zip | wc -l; find tt | cpio -o 2>/dev/null | cpio -t 2>/dev/null | wc -l",
    expect: /ok gz\nok bz2\nok xz\nok zst\n1\n31\nstatus 0\n$/,
  },
  {
    name: "compressors one by one",
    script:
      "seq 20000 >n; gzip -9nc n | sha256sum; bzip2 -c n | sha256sum; xz -c n | sha256sum; zstd -qc n | zstd -dqc | cmp - n && echo same",
  },
  // building
  {
    name: "make: dependencies, -j, -n",
    script:
      "printf 'all: a b\\n\\techo done\\na b:\\n\\t@echo making $@; touch $@\\nclean:;rm a b\\n' >Makefile; make; make -j3 all; make clean; make -n",
    expect:
      "making a\nmaking b\necho done\ndone\necho done\ndone\nrm a b\necho making a; touch a\necho making b; touch b\necho done\nstatus 0\n",
  },
  {
    name: "g++: exceptions, the standard library, threads",
    script:
      'printf \'#include <iostream>\\n#include <vector>\\n#include <algorithm>\\n#include <stdexcept>\\n#include <thread>\\nint main(){std::vector<int>v{3,1,2};std::sort(v.begin(),v.end());for(int i:v)std::cout<<i<<" ";try{throw std::runtime_error("ex");}catch(std::exception&e){std::cout<<e.what()<<std::endl;}std::thread t([]{std::cout<<"thread\\\\n";});t.join();}\' >q.cc; g++ -O2 q.cc -o q && ./q',
    expect: "1 2 3 ex\nthread\nstatus 0\n",
  },
  {
    name: "dpkg: list, build, install, remove",
    script:
      "dpkg --print-architecture; dpkg -l bash | tail -1 | cut -c1-10; dpkg -S /usr/bin/sort 2>&1; mkdir -p pk/DEBIAN; printf 'Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\nDescription: d\\n' >pk/DEBIAN/control; echo from the package >pk/xfile; chmod 755 . pk pk/DEBIAN; dpkg-deb -b pk x.deb >/dev/null; dpkg -i x.deb >/dev/null; cat /xfile; dpkg -r x >/dev/null; ls /xfile",
    expect:
      /^riscv64\nii {2}bash {2}\ncoreutils: \/usr\/bin\/sort\nfrom the package\n[^\n]*No such file or directory\nstatus 2\n$/,
  },
  // languages
  {
    name: "python: json, re, hashes, decimal, dates",
    script:
      'python3 -c \'import json,re,hashlib,zlib,datetime,decimal; print(json.dumps({"a":[1,2,{"b":None}]}), re.findall(r"\\d+","a1b22"), hashlib.sha3_256(b"x").hexdigest(), zlib.crc32(b"hello"), decimal.Decimal("1.1")+1, datetime.datetime.fromtimestamp(0,datetime.timezone.utc).isoformat())\'',
  },
  {
    name: "python: sqlite3",
    script:
      'python3 -c \'import sqlite3; c=sqlite3.connect("py.db"); c.execute("create table t(x)"); c.executemany("insert into t values(?)",[(i,) for i in range(1000)]); c.commit(); print(c.execute("select sum(x) from t").fetchone())\'',
  },
  {
    name: "python: multiprocessing",
    script:
      "python3 -c 'import multiprocessing as m; p=m.get_context(\"fork\").Pool(3); print(sum(p.map(abs,range(-50,50)))); p.close(); p.join()'",
    expect: "2500\nstatus 0\n",
  },
  {
    name: "python: asyncio with a subprocess",
    script:
      "cat >a.py <<X\nimport asyncio\nasync def f(i):\n    await asyncio.sleep(0.01*i)\n    return i*i\nasync def m():\n    print(await asyncio.gather(*[f(i) for i in range(5)]))\n    p = await asyncio.create_subprocess_exec('echo', 'sub', stdout=-1)\n    print(await p.communicate())\nasyncio.run(m())\nX\npython3 a.py",
    expect: "[0, 1, 4, 9, 16]\n(b'sub\\n', None)\nstatus 0\n",
  },
  {
    name: "python: mmap, locks, memfd, ctypes callbacks",
    script:
      'python3 -uc \'import os,mmap,fcntl,tempfile,ctypes; f=tempfile.TemporaryFile(); f.write(b"a"*8192); f.flush(); m=mmap.mmap(f.fileno(),8192); m[0:3]=b"xyz"; m.flush(); f.seek(0); print(f.read(4)); fcntl.flock(f,fcntl.LOCK_EX); fcntl.lockf(f,fcntl.LOCK_EX); print(os.memfd_create("x")>0); l=ctypes.CDLL(None); cb=ctypes.CFUNCTYPE(ctypes.c_int,ctypes.POINTER(ctypes.c_int),ctypes.POINTER(ctypes.c_int))(lambda a,b:a[0]-b[0]); a=(ctypes.c_int*5)(5,3,1,4,2); l.qsort(a,5,4,cb); print(list(a))\'',
  },
  {
    name: "python: a terminal of its own",
    script:
      'python3 -c \'import os,pty; pid,fd=pty.fork()\nif pid==0: os.execlp("sh","sh","-c","tty; stty size; echo done")\no=b""\ntry:\n while True:\n  d=os.read(fd,1000)\n  if not d: break\n  o+=d\nexcept OSError as e: print(e.errno)\nprint(o, os.waitpid(pid,0)[1])\'',
    expect: "5\nb'/dev/pts/0\\r\\n0 0\\r\\ndone\\r\\n' 0\nstatus 0\n",
  },
  {
    name: "python: an HTTP server and its client",
    script:
      'python3 -c \'import http.server,threading,urllib.request; H=http.server.SimpleHTTPRequestHandler; H.log_message=lambda *a: None; h=http.server.HTTPServer(("127.0.0.1",8000),H); threading.Thread(target=h.serve_forever,daemon=True).start(); r=urllib.request.urlopen("http://127.0.0.1:8000/data"); print(r.status,len(r.read())); h.shutdown()\'',
    expect: "200 70\nstatus 0\n",
  },
  {
    name: "perl: sockets",
    script:
      'perl -MIO::Socket::INET -e \'$|=1; $s=IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1",LocalPort=>5000) or die $!; if(!fork){$c=IO::Socket::INET->new("127.0.0.1:5000") or die $!; print $c "hello\\n"; print scalar <$c>; exit} $c=$s->accept; print scalar <$c>; print $c "bye\\n"; close $c; wait\'',
    expect: "hello\nbye\nstatus 0\n",
  },
  {
    name: "ruby",
    script:
      'ruby -e \'puts [3,1,2].sort.inspect, (1..10).sum, `echo sub`; Thread.new{puts "t"}.join; r,w=IO.pipe; fork{w.puts "child"}; Process.wait; puts r.gets; puts "%.3f" % Math.sqrt(2)\'',
    expect: "[1, 2, 3]\n55\nsub\nt\nchild\n1.414\nstatus 0\n",
  },
  {
    name: "node: timers, files, child processes, crypto",
    script:
      'node -e \'console.log(process.arch, [1,2,3].map(x=>x*x)); require("fs").promises.readFile("data","utf8").then(s=>{console.log(s.length); setTimeout(()=>{console.log("t"); require("child_process").exec("echo sub",(e,o)=>console.log(o.trim()))},30)}); console.log(require("crypto").createHash("sha1").update("a").digest("hex"))\'',
    expect: "riscv64 [ 1, 4, 9 ]\n86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\n70\nt\nsub\nstatus 0\n",
  },
  {
    name: "zsh, dash, mawk, m4, bc, jq, ed",
    script:
      "zsh -c 'a=(x y z); echo $a[2] ${(U)a}; for i in {1..3}; do print -n $i; done; echo'; dash -c 'i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done; trap \"echo bye\" EXIT'; mawk 'BEGIN{print substr(\"hello\",2,3)}'; echo 'define(x,42)x' | m4; echo '2^100; scale=20; 4*a(1)' | bc -l; echo '{\"a\":[1,{\"b\":2}]}' | jq -c '.a[1].b+1, keys'; printf 'a\\nhi\\n.\\n,p\\nq\\nq\\n' | ed -s",
  },
  {
    name: "diff, patch, cmp, file, tree, rsync",
    script:
      "printf 'a\\nb\\n' >d1; printf 'a\\nc\\n' >d2; diff -u d1 d2 | tail -4; diff -u d1 d2 | patch -s d1; cmp d1 d2 && echo patched; file /usr/bin/bash | cut -c1-40; mkdir -p x/y; touch x/y/z; tree x | tail -1; rsync -a x/ w/ && diff -r x w && echo synced",
    expect: /\+c\npatched\n\/usr\/bin\/bash: ELF 64-bit LSB pie execut\n[\s\S]*1 file\nsynced\nstatus 0\n$/,
  },
  {
    name: "openssl",
    script:
      "openssl dgst -sha256 data; openssl enc -aes-256-cbc -pbkdf2 -k pw -S 0102030405060708 -in data | sha256sum; openssl rand -hex 4 | wc -c; openssl genrsa 1024 2>/dev/null | head -1",
  },
  // system programs
  {
    name: "e2fsprogs on a file",
    script:
      "PATH=$PATH:/usr/sbin; truncate -s 8M i; mkfs.ext4 -q -F i && e2fsck -fn i >/dev/null 2>&1 && echo clean; debugfs -R 'stat /' i 2>/dev/null | grep -c Type",
    expect: "clean\n1\nstatus 0\n",
  },
  {
    name: "lsof, fuser, pstree, killall",
    script:
      "sleep 50 & lsof -p $! | grep -c cwd; fuser /usr/bin/sleep 2>/dev/null | wc -w; pstree -A | grep -c sleep; killall sleep; wait $!; echo $?",
    expect: "1\n1\n1\n143\nstatus 0\n",
  },
  {
    name: "mount, hexdump, column, cal",
    script:
      "mount | grep -c ' / type ext4'; mkdir m; mount -t tmpfs none m && touch m/x && ls m && umount m && ls m | wc -l; hexdump -C data | head -1; column -t data | head -1",
    expect: /^1\nx\n0\n00000000 {2}62 61 6e[\s\S]*banana {2}3[\s\S]*status 0/,
  },
  {
    name: "ip, ss, nc, socat, curl on the loopback",
    script:
      "ip -br addr show lo | tr -s ' ' | cut -d' ' -f1,3; (echo from nc | nc -l -N 127.0.0.1 9000 &); sleep 0.5; nc -d 127.0.0.1 9000; (socat TCP-LISTEN:9001,reuseaddr EXEC:'tr a-z A-Z' &); sleep 0.5; echo through socat | socat - TCP:127.0.0.1:9001; (python3 -m http.server 9002 >/dev/null 2>&1 & echo $! >pid); curl -s --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:9002/data | head -1; ss -tln 2>/dev/null | grep -c 9002; kill $(cat pid)",
    expect: "lo 127.0.0.1/8\nfrom nc\nTHROUGH SOCAT\nbanana 3 yellow\n1\nstatus 0\n",
  },
  {
    name: "redis",
    script:
      "redis-server --save '' --port 7000 >/dev/null 2>&1 & sleep 2; redis-cli -p 7000 set a 1; redis-cli -p 7000 incr a; redis-cli -p 7000 shutdown nosave; wait; echo over",
    expect: "OK\n2\nover\nstatus 0\n",
  },
  {
    name: "tmux and screen detached",
    script:
      "tmux new-session -d -s s 'echo in tmux >tm; sleep 2'; sleep 1; cat tm; tmux ls | cut -c1-12; screen -dmS x sh -c 'echo in screen >sc'; sleep 2; cat sc",
    expect: "in tmux\ns: 1 windows\nin screen\nstatus 0\n",
  },
  {
    name: "git over a shell script of a working day",
    script:
      "git init -q -b main r; cd r; git config user.name a; git config user.email a@b; for i in $(seq 12); do echo $i >>f; git add f; git commit -qm c$i; done; git checkout -qb topic HEAD~5; echo t >g; git add g; git commit -qm t; git rebase -q main 2>&1; git log --oneline | wc -l; git stash -q 2>&1; git bisect start HEAD HEAD~6 >/dev/null; git bisect run sh -c '[ $(wc -l <f) -lt 10 ]' 2>&1 | grep -c 'first bad'; git bisect reset >/dev/null 2>&1; git repack -qad; git fsck 2>&1 | wc -l; git worktree add -q ../w main; ls ../w; git grep -c 1 | head -1; git blame f | wc -l",
    expect: /^13\n2\n0\nf\nf:4\n12\nstatus 0\n$/,
  },
  {
    name: "curl reads a file, getent, hostname",
    script: "curl -s file://$PWD/data | head -1; getent passwd root; hostname; id; getent hosts localhost | wc -l",
    expect: ALL_OK,
  },
];
