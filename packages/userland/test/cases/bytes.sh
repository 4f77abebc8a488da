### checksums
printf 'hello world\n' >f; : >e; head -c 1000 /dev/zero >z; for t in md5sum sha1sum sha256sum sha512sum; do $t f e z; $t <f; done; cksum f e z; cksum <f; md5sum f e >l; md5sum -c l; echo x >>f; md5sum -c l 2>/dev/null; echo $?; seq 5000 | sha256sum; seq 100000 | md5sum; for n in 55 56 63 64 65 111 112 119 120 127 128; do head -c $n z | sha512sum; head -c $n z | sha256sum; done
### base64
echo hello | base64; printf 'a' | base64; printf 'ab' | base64; printf '' | base64; seq 100 | base64; seq 100 | base64 -w0; echo; seq 100 | base64 | base64 -d | md5sum; echo aGVsbG8= | base64 -d; echo; printf 'YWI=' | base64 --decode; head -c 300 /dev/zero | base64 -w 40 | tail -2; echo '!!' | base64 -d 2>/dev/null; echo $?
### od
printf 'hello\n\t\0world\377\200' >f; od f; od -c f; od -x f; od -b f; od -An -tx1 f; od -A x -t x1 f; od -A d -t u1 f; od -t d2 f; od -t x4 f; od -tx8 f; od -j3 -N4 -c f; od -t x1c f; head -c 100 /dev/zero | od; head -c 40 /dev/zero | od -v; od -An -c f; od -a f; od -w8 -tx1 f; printf '' | od; od -t o1 f; od -td4 f
### hexdump and xxd
printf 'hello\n\t\0world\377 and some more text here' >f; hexdump -C f 2>/dev/null || true; hexdump f 2>/dev/null || true; head -c 64 /dev/zero | hexdump -C
### strings
printf 'abc\0\001hello world\377xy\nlonger text\0ab' >f; strings f 2>/dev/null || true; strings -n 2 f; strings -t d f
### cmp
printf 'abc\ndef\n' >a; printf 'abc\ndxf\n' >b; printf 'abc\n' >c; cmp a a; echo $?; cmp a b; echo $?; cmp a c; echo $?; cmp -s a b; echo $?; cmp -l a b; cmp a nosuch 2>/dev/null; echo $?; cmp - a <a; echo $?
### diff normal
seq 10 >a; sed -e 3d -e 's/5/five/' -e '8a\
new' a >b; diff a b; echo $?; diff a a; echo $?; diff -q a b; diff -s a a; : >e; diff e a; diff a e; printf 'x' >n; printf 'x\n' >m; diff n m; diff m n; printf 'a\nb\nc\n' >p; printf 'a\nc\n' >q; diff p q; diff q p; diff a nosuch 2>/dev/null; echo $?; printf 'A  b\n' >r; printf 'a b\n' >s; diff -i r s; diff -iw r s; diff -b r s; diff -ib r s; echo $?
### diff unified
seq 30 >a; sed -e 3d -e 's/15/x/' -e '28a\
new' a >b; diff -u --label a --label b a b; diff -U1 --label a --label b a b; : >e; diff -u --label a --label e a e | head -3; printf 'x' >n; printf 'y\nx\n' >m; diff -u --label n --label m n m; seq 5 >p; seq 2 7 >q; diff -u -L p -L q p q
### diff directories
mkdir x y; echo 1 >x/a; echo 2 >y/a; echo s >x/s; echo s >y/s; echo o >x/only; mkdir x/d y/d; echo q >y/d/new; diff -r x y; echo $?; diff -rq x y; diff x y; diff x/a y
### diff of moved and repeated lines
printf 'a\nb\nc\na\nb\nb\na\n' >a; printf 'c\nb\na\nb\na\nc\n' >b; diff a b | grep -c '^[<>]'; seq 200 >c; seq 1 2 400 >d; diff c d | wc -l; seq 3000 >e; seq 3001 6000 >f; diff e f | grep -c '^<'
### tar round trip
mkdir -p t/s; echo one >t/a; seq 3000 >t/s/b; ln -s a t/l; ln t/a t/h; chmod 640 t/s/b; touch -d '2020-05-05 05:05' t/a; tar cf x.tar t; tar tf x.tar | sort; mkdir o; tar xf x.tar -C o; find o | sort; cat o/t/a; cmp t/s/b o/t/s/b; readlink o/t/l; stat -c '%a %Y %h' o/t/a; stat -c %a o/t/s/b; mkdir p; tar -C p -x -f x.tar t/s/b; find p; tar xOf x.tar t/s/b | tail -1; tar cf - t | tar tf - | wc -l; cd o; tar xf ../x.tar --strip-components=1; ls
### tar with gzip
mkdir d; seq 20000 >d/f; tar czf x.tgz d; test $(wc -c <x.tgz) -lt 60000 && echo small; tar tzf x.tgz; mkdir o; tar xzf x.tgz -C o; cmp d/f o/d/f && echo same; gzip -dc x.tgz | tar tf -
### tar long names
n=$(printf 'n%.0s' $(seq 90)); mkdir -p d/$n/$n; echo deep >d/$n/$n/f; tar cf x.tar d; rm -r d; tar xf x.tar; cat d/$n/$n/f; m=$(printf 'm%.0s' $(seq 150)); echo long >$m; tar cf y.tar $m; rm $m; tar xf y.tar; cat $m; tar tf y.tar | wc -c
### gzip
seq 5000 >f; cp f g; gzip f; ls; gzip -l f.gz >/dev/null 2>&1; gunzip f.gz; cmp f g && echo same; gzip -k f; zcat f.gz | cmp - g && echo same; gzip -c f | gzip -dc | cmp - g && echo same; : >e; gzip -c e | gzip -dc | wc -c; printf a | gzip | gunzip; echo; gzip -t f.gz; echo $?; cat f.gz f.gz | gzip -dc | wc -l; head -c 100000 /dev/zero | gzip -c | gzip -dc | md5sum; head -c 200 f.gz >t.gz; gzip -dc t.gz >/dev/null 2>&1; echo $?; gunzip f 2>/dev/null; echo $?
