### mkdir and rmdir
mkdir a; mkdir a 2>/dev/null; echo $?; mkdir -p a/b/c a/b; echo $?; mkdir -m 700 m; stat -c %a m; rmdir a 2>/dev/null; echo $?; rmdir -p a/b/c; ls; mkdir x/y 2>/dev/null; echo $?
### cp
echo 1 >f; chmod 640 f; cp f g; cat g; stat -c %a g; mkdir d; cp f g d; ls d; cp -r d e; ls e; cp d h 2>/dev/null; echo $?; ln -s f l; cp l copy; test -h copy; echo $?; cp -P l p; readlink p; cp -a l q; readlink q; cp nosuch x 2>/dev/null; echo $?; echo 2 >f; cp -n f g; cat g; cp -f f g; cat g; cp f f 2>/dev/null; echo $?; cp -v f v
### cp keeps trees
mkdir -p t/s; echo x >t/s/x; ln -s s/x t/l; ln t/s/x t/h; touch -d '2021-05-05 05:05' t/s/x; cp -a t u; find u | sort; readlink u/l; stat -c %Y u/s/x; cp -r t u; find u | sort; cp -r t t/s 2>/dev/null; echo $?
### mv
echo 1 >a; mv a b; ls; mkdir d; mv b d; ls d; mv d e; ls e; echo 2 >x; echo 3 >y; mv -n x y; cat y; mv x y; cat y; mv nosuch z 2>/dev/null; echo $?; mkdir p; mv p p/q 2>/dev/null; echo $?; mv y e p; find p | sort; mv -v p r
### rm
touch a b; rm a; ls; mkdir d; touch d/x; rm d 2>/dev/null; echo $?; rm -r d; rm -f nosuch; echo $?; rm nosuch 2>/dev/null; echo $?; mkdir -p p/q/r; touch p/q/r/s; ln -s / p/l; rm -rf p; ls; mkdir e; rm -d e; ls; rm -v b
### ln and readlink
echo x >f; ln f h; stat -c %h f; ln -s f s; readlink s; cat s; ln -s nowhere b; readlink b; readlink f; echo $?; ln f h 2>/dev/null; echo $?; ln -sf h s; readlink s; mkdir d; ln -s ../f d; readlink d/f; ln -s /tmp d/t; basename $(readlink -f s); readlink -f /usr/../usr/bin/.; readlink -e nosuch; echo $?; ln -sfn d dd; ln -sfn f dd; readlink dd
### realpath
mkdir -p a/b; ln -s b a/l; touch a/b/f; cd a; realpath l/f | sed "s|$(pwd -P)||"; realpath . | sed "s|$(pwd -P)|X|"; realpath nosuch >/dev/null; echo $?; realpath -e nosuch 2>/dev/null; echo $?; realpath /usr/./bin/..
### touch
touch a; test -f a; echo $?; touch -c b; test -f b; echo $?; touch -d '2020-02-03 04:05:06' a; stat -c %Y a; touch -t 202101020304.05 a; stat -c '%Y %X' a; touch -r a b; stat -c %Y b; touch -m -d @1000 b; stat -c '%Y %X' b; touch -a -d @2000 b; stat -c '%Y %X' b
### chmod
touch f; for m in 644 755 u+x go-r a=rw u=rwx,go=rx +x -w u+s g+s o+t g=u o=; do chmod $m f; stat -c '%a %A' f; done; mkdir d; touch d/x; chmod -R u=rwX,go=rX d; stat -c %a d d/x; chmod 999 f 2>/dev/null; echo $?; chmod 644 nosuch 2>/dev/null; echo $?; chmod a-x,u+w f; stat -c %a f
### stat formats
echo hello >f; chmod 644 f; ln -s f l; mkdir d; stat -c '%n %s %F %a %A %h' f l; stat -c '%n %F %a %A' d; stat -L -c %F l; touch e; stat -c %F e; stat -c '%N' f l; stat nosuch 2>/dev/null; echo $?; stat --printf '%s\t%n\n' f; stat -c '[%5s] [%-5s]' f
### ls
mkdir d; touch d/b d/a d/.h d/c; ln -s a d/l; mkdir d/sub; ls d; ls -a d; ls -A d; ls -1 d; ls -r d; ls -F d; ls -p d; ls -d d; ls -R d; ls d/a d/b; ls nosuch 2>/dev/null; echo $?; ls d nosuch 2>/dev/null; ls d/a d; cd d; ls
### ls long
echo 12345 >f; chmod 600 f; touch -d '2020-01-02 03:04' f; ln -s f l; mkdir d; touch -d '2019-12-31 23:59' d; ls -l f; ls -ld d | cut -c1-24; ls -l | tail -n +2 | awk '{print $1,$2,$3,$4,$NF}' 2>/dev/null >/dev/null; ls -l l | cut -c1-10; ls -ln f; ls -lh f; ls -log f; ls -lS | tail -n +2 | wc -l; ls --full-time f
### ls sorting
touch -d @100 a; touch -d @300 b; touch -d @200 c; ls -t; ls -tr; echo 1234 >x; echo 12 >y; ls -S x y; ls -rS x y a; touch A Z; ls
### find
mkdir -p d/e/f; touch d/a.c d/b.h d/e/c.c d/e/f/D.C; ln -s a.c d/l; find d | sort; find d -name '*.c' | sort; find d -iname '*.c' | sort; find d -type d | sort; find d -type l; find d -maxdepth 1 | sort; find d -mindepth 2 | sort; find d -name '*.c' -o -name '*.h' | sort; find d ! -type d | sort; find d -type f -name 'a*'; find d '(' -name a.c -o -name b.h ')' -type f | sort; find d -path '*e/*' | sort; cd d; find | sort; find . -name e -prune -o -print | sort
### find actions
mkdir d; echo 1 >d/a; echo 22 >d/b; : >d/c; find d -type f -exec cat {} ';' | sort; find d -type f -exec echo {} + | tr ' ' '\n' | sort; find d -empty; find d -type f -size 3c; find d -size -2 -type f | sort; find d -name a -delete; ls d; find d -type f -print0 | tr '\0' ' ' | wc -w; touch -d @5 d/old; find d -newer d/old -type f | sort; find d -perm 644 -type f | wc -l; find nosuch 2>/dev/null; echo $?; find d -type f -exec false ';' -print; find d -name b -exec test -f {} ';' -print; find d -mtime +1000
### du and df
mkdir d; dd if=/dev/zero of=d/f bs=1024 count=8 2>/dev/null; du -b d/f; du -sb d/f | cut -f1; df . | wc -l; df / | head -1 | cut -c1-10
### dd
seq 100 >f; dd if=f bs=10 count=2 2>/dev/null; echo; dd if=f bs=1 skip=5 count=4 2>/dev/null; echo; printf abcdef >g; printf XY | dd of=g bs=1 seek=2 conv=notrunc 2>/dev/null; cat g; echo; dd if=/dev/zero bs=1k count=3 2>/dev/null | wc -c; printf ab | dd bs=4 conv=sync 2>/dev/null | wc -c; dd if=f of=h bs=7 2>/dev/null; cmp f h; echo $?; echo in | dd 2>/dev/null
### truncate and fallocate
echo hello >f; truncate -s 3 f; cat f; echo; truncate -s 1K f; wc -c <f; truncate -s +5 f; wc -c <f; truncate -s -9 f; wc -c <f; truncate -s 0 new; wc -c <new; fallocate -l 4096 fa; wc -c <fa
### mktemp
f=$(mktemp -p .); test -f "$f"; echo $?; d=$(mktemp -d ./dXXXXXX); test -d $d; echo $?; stat -c %a $d $f; mktemp ./fooXX 2>/dev/null; echo $?
### env and nested tools
timeout 5 echo ok; timeout 0.1 sleep 5; echo $?; timeout 5 sh -c 'exit 3'; echo $?; nice echo nice; nohup echo hup 2>/dev/null; time -p true 2>/dev/null; echo $?; setsid echo sid | cat; flock lock echo locked; flock -n lock -c 'echo c'
### kill
sleep 10 & kill $!; wait $! 2>/dev/null; echo $?; kill -s TERM 999999 2>/dev/null; echo $?; kill -0 $$; echo $?; sleep 10 & kill -9 $!; wait $!; echo $?
### files with odd names
touch 'a b' '-x' 'q"q' "n
l"; ls | wc -l; rm -- -x; ls ./a*; rm 'a b'; for f in *; do printf '[%s]' "$f"; done; echo; find . -name 'q*' | sort; rm -f *; ls
### permissions
echo x >f; chmod 000 f; stat -c %a f; test -e f; echo $?; mkdir -m 711 d; stat -c %A d; umask 077; touch g; mkdir h; stat -c %a g h
### large file through the tools
seq 20000 >f; wc -l <f; sort -rn f | head -1; tail -n 1 f; grep -c 7 f; sed -n 15000p f; tr -d '\n' <f | wc -c; head -c 100000 f | tail -c 3; cp f g; cmp f g; echo $?; uniq f | wc -l; cut -c1 f | sort | uniq -c | sort -n | tail -1
### hard links and rename
echo 1 >a; ln a b; echo 2 >>a; cat b; rm a; cat b; stat -c %h b; mkdir -p x/y; mv b x/y/c; find x -type f; mv x z; find z -type f; rmdir z 2>/dev/null; echo $?
### bash: a program of another machine is not run as a script
printf '\177ELF\002\001\001\000\000\000' >p; chmod +x p; ./p 2>/dev/null; echo $?; printf 'echo text $1\n' >t; chmod +x t; ./t 7; yes | head -c 10001 | wc -c
