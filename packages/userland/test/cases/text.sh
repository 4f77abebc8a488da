### cat
printf 'a\n\n\nb\tc\n\001\377x' >f; cat f f; cat -n f; cat -b f; cat -s f; cat -A f; cat -E <f; cat - <f; cat nosuch 2>/dev/null; echo $?
### head and tail
seq 20 >f; head f; head -3 f; head -n -17 f; head -c 5 f; echo; tail f; tail -2 f; tail -n +18 f; tail -c 4 f; tail -c +48 f; seq 3 >g; head -1 f g; tail -q -n1 f g; printf 'no newline' | tail -n 1; head -n 0 f; tail -n 0 f
### wc
printf 'one two\nthree\n\n four' >f; wc f; wc -l f; wc -w <f; wc -c f; wc <f; seq 100 >g; wc f g; wc -L f; printf '' | wc -l; wc -lw f
### sort
printf 'b\na\nC\n10\n9\n2\n\nB\n' >f; sort f; sort -r f; sort -n f; sort -nr f; sort -f f; sort -u f; printf '3\n1\n3\n2\n' | sort -un
### sort by keys
printf 'bob 30 x\nal 4 y\ncy 30 a\nal 12 b\n' >f; sort -k2n f; sort -k2,2nr -k1,1 f; sort -k1,1 -k2,2n f; sort -k3 f; printf 'a:3:x\nb:1:y\na:2:z\n' | sort -t: -k2n; printf 'a:3:x\nb:1:y\na:2:z\n' | sort -t : -k1,1 -k2,2r; sort -s -k1,1 f; printf 'x10\nx9\n' | sort -k1.2n
### sort more
printf '1.5\n1.25\n-3\n0\n-2.5\n' | sort -n; printf '1K\n2M\n500\n3G\n' | sort -h; printf '  b\n a\n' | sort -b; printf 'a\nb\n' | sort -c; echo $?; printf 'b\na\n' | sort -c 2>/dev/null; echo $?; printf 'b\na\n' >f; sort -o f f; cat f; sort -m f f
### uniq
printf 'a\na\nb\nc\nc\nc\na\n' >f; uniq f; uniq -c f; uniq -d f; uniq -u f; printf 'A\na\nb\n' | uniq -i; printf '1 a\n2 a\n3 b\n' | uniq -f1; printf 'xa\nya\nyb\n' | uniq -s1; sort f | uniq -c | sort -rn
### cut
printf 'a:b:c:d\n1:2:3\nplain\n' >f; cut -d: -f1 f; cut -d: -f2- f; cut -d: -f-2 f; cut -d: -f1,3 f; cut -s -d: -f2 f; cut -c1-3 f; cut -c2 f; cut -b3- f; cut -c1,3-4 f; cut -d: -f1,3 --output-delimiter=/ f; printf 'a\tb\tc\n' | cut -f2; cut -d: --complement -f2 f
### tr
echo 'Hello World' | tr a-z A-Z; echo hello | tr -d l; echo aabbcc | tr -s a-c; echo 'a  b   c' | tr -s ' '; echo hello | tr el ip; echo abc123 | tr -cd 0-9; echo; echo 'a b' | tr ' ' '\n'; echo abc | tr '[:lower:]' '[:upper:]'; echo 'x1y2' | tr -c 'a-z\n' '*'; echo abcdef | tr a-f 'x-z'; echo hello | tr -s l L; echo 'tab	x' | tr '\t' ' '; echo abc | tr '[a-c]' '[A-C]'; echo aab | tr a '[b*]'; echo abc | tr -d '\141'
### grep
printf 'apple\nbanana\nCherry\napple pie\n\nthe end.\n' >f; grep apple f; grep -v a f; grep -i cherry f; grep -n an f; grep -c a f; grep -x apple f; grep -w pie f; grep '^a.*e$' f; grep -q zzz f; echo $?; grep zzz f; echo $?; grep . f | wc -l; grep -e apple -e end f; grep -F . f; grep 'e\.$' f
### grep files
mkdir d; echo needle one >d/a; echo nothing >d/b; echo two needle >d/c; cp -r d e; grep needle d/*; grep -l needle d/*; grep -L needle d/*; grep -h needle d/*; grep -r needle d | sort; grep -rc needle d | sort; grep -H needle d/a; grep -n needle d/a d/c; grep x nosuch 2>/dev/null; echo $?; grep -s x nosuch; echo $?; grep -m1 n d/a d/b
### grep only matching
echo 'foo123bar45' | grep -o '[0-9]*'; echo 'foo123bar45' | grep -oE '[0-9]+|bar'; echo aaa | grep -o a; echo 'a.b.c' | grep -oF .; echo 'key=value' | grep -oE '[a-z]+=' ; printf 'ab\ncab\n' | grep -on ab
### grep extended expressions
t() { echo "$1" | grep -E "$2" >/dev/null && echo y || echo n; }; t abc 'a|x'; t abc '^(a|b)c?'; t aaa '^a{3}$'; t aaaa '^a{2,3}$'; t ab '^a+b*$'; t '' '^$'; t 'a+b' 'a\+b'; t color 'colou?r'; t xyzxyz '^(xyz){2}$'; t abab '^(ab)\1$'; t 12-34 '^[0-9]{2}-[0-9]{2}$'; t 'a]b' '[]]'; t 'a-b' 'a[-x]b'; t 'a^b' 'a[x^]b'; t abc 'a(b|c)*$'; t foo '(f)(o)\2'; t ab 'a()b'; t a '(|a)'; t x '[[:alpha:]]'; t ' ' '^[[:space:]]$'
### grep basic expressions
t() { echo "$1" | grep "$2" >/dev/null && echo y || echo n; }; t 'a*b' 'a\*b'; t '*a' '*a'; t aab 'a\{2\}b'; t abab '\(ab\)\1'; t 'a|b' 'a|b'; t ab 'a\|x'; t aab 'a\+b'; t b 'a\?b'; t 'a+b' 'a+b'; t 'x(y' 'x(y'; t 'a$b' 'a$b'; t 'a^b' 'a^b'; t word '\<word\>'; t sword '\<word'; t 'a b' 'a\sb'; t a_b '^\w*$'; t 'foo bar' '\bbar\b'; t foobar '\Bbar'
### grep context
seq 20 | grep -A1 -B1 '5$'; seq 10 | grep -C2 5; seq 30 | grep -A1 '1$'
### grep patterns from a file
printf 'a\nc\n' >p; printf 'apple\nbee\ncat\n' | grep -f p; printf 'x\ny\n' | grep -vf p; printf 'a.c\nabc\n' | grep -F 'a.c
zzz'; printf 'ab\nb\n' | grep -E 'a|^b'
### grep is not exponential
awk 'BEGIN{for(i=0;i<28;i++)printf "a";print ""}' >/dev/null 2>&1; printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n' | grep -cE '^(a|a)*b$'; printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\n' | grep -cE '(a*)*b'; printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n' | grep -cE '^(a?){29}a{29}$'
### leftmost longest
echo xabcabcdx | grep -oE 'abc|abcd'; echo foobarbaz | grep -oE 'foo|foobar|foobarbaz'; echo aXbXc | sed -E 's/a|aXb/<&>/'
### sed substitute
echo hello world | sed 's/o/0/'; echo hello world | sed 's/o/0/g'; echo aaa | sed 's/a/b/2'; echo aaaa | sed 's/a/b/3g'; echo 'a/b' | sed 's|/|-|'; echo abc | sed 's/b/[&]/'; echo abc | sed 's/\(a\)\(b\)/\2\1/'; echo abc | sed -E 's/(a)(b)/\2\1/'; echo Hello | sed 's/hello/X/I'; echo abc | sed 's/x*/-/g'; echo baaac | sed 's/a*/x/g'; echo 'a b' | sed 's/ /\n/'; echo 'a&b' | sed 's/&/\&\&/'; echo path | sed 's,p,\,,'; echo hello | sed 's/l*$/X/'; echo abc | sed 's/$/!/;s/^/>/'
### sed case conversion
echo 'hello world' | sed 's/\w*/\u&/'; echo hello | sed 's/.*/\U&/'; echo HELLO | sed 's/\(.\)\(.*\)/\1\L\2/'; echo 'ab cd' | sed -E 's/(\w+) (\w+)/\U\1\E \2/'
### sed addresses
seq 10 >f; sed -n 3p f; sed -n '3,5p' f; sed -n '$p' f; sed 2,9d f; sed '/5/,$d' f; sed -n '/3/,/5/p' f; sed -n '2~3p' f; sed -n '4,+2p' f; sed '3!d' f; sed -n '2,4!p' f; sed -n '/^[25]$/p' f; sed -n '0,/1/p' f; sed -n '5,2p' f; sed -n '\,7,p' f; sed -n '8,/1/p' f
### sed commands
seq 3 | sed '2a\
added'; seq 3 | sed '2i before'; seq 3 | sed '2c changed'; seq 3 | sed 2q; seq 3 | sed -n '2{p;p}'; seq 3 | sed =; echo abc | sed y/abc/xyz/; seq 3 | sed '1!G;h;$!d'; seq 4 | sed 'N;s/\n/-/'; seq 3 | sed -n 'H;${x;s/\n/,/g;p}'; seq 3 | sed '1d;n;d'; printf 'a\tb\\\n' | sed -n l; seq 5 | sed '2,4c range'; seq 2 | sed p; seq 3 | sed '$!N;P;D'
### sed branches
echo aaa | sed ':a;s/a/b/;ta'; seq 3 | sed ':x;N;$!bx;s/\n/ /g'; echo 1234567 | sed -e :a -e 's/\(.*[0-9]\)\([0-9]\{3\}\)/\1,\2/;ta'; printf 'x\ny\n' | sed '/x/b;s/y/z/'; echo ab | sed 's/a/1/;T;s/b/2/'
### sed files
printf 'one\ntwo\n' >f; cp f g; sed -i s/o/0/ f g; cat f g; sed -i.bak s/two/2/ f; cat f f.bak; sed -n '$=' f g; sed -s -n '$p' f g; sed -f /dev/stdin f <<'E'
s/n/N/
# comment
2d
E
sed 'w out' f >/dev/null; cat out; echo x | sed 'r f'; printf 'no newline' | sed s/no/a/; sed s/a/b/ nosuch 2>/dev/null; echo $?; sed -e s/0/o/ -e s/n/m/ f; echo a | sed -n '/a/{
s/a/b/
p
}'
### sed errors
echo a | sed 's/a' 2>/dev/null; echo $?; echo a | sed 'k' 2>/dev/null; echo $?; echo a | sed 's/\(a/b/' 2>/dev/null; echo $?; sed 2>/dev/null; echo $?; echo a | sed 'q5'; echo $?
### seq
seq 3; seq 2 4; seq 1 2 7; seq 5 -2 1; seq -w 8 11; seq -s, 3; seq 0.5 0.5 2; seq 3 1; seq -2 0; seq -f '%03g' 2; seq 1 .25 2; seq x 2>/dev/null; echo $?
### rev, tac, nl, paste, fold, comm
printf 'abc\ndef\n' >f; rev f; tac f; nl f; printf 'a\n\nb\n' | nl; printf 'a\n\nb\n' | nl -ba -w3 -s:; paste f f; paste -d, f f; paste -s f; paste -sd+ f; seq 3 | paste - -; echo abcdefghij | fold -w4; echo 'the quick brown fox' | fold -s -w10; seq 1 4 >a; seq 3 6 >b; comm a b; comm -12 a b; comm -3 a b
### tee
echo x | tee f g; cat f g; echo y | tee -a f >/dev/null; cat f
### xargs
seq 5 | xargs; seq 5 | xargs -n2; printf 'a b\nc\n' | xargs -n1 echo x; printf '"a b" c\\ d\n' | xargs -n1; printf 'a\0b c\0' | xargs -0 -n1; seq 3 | xargs -I{} echo '<{}>'; printf '' | xargs echo none; printf '' | xargs -r echo none; seq 2 | xargs false; echo $?; seq 1 | xargs nosuchcmd 2>/dev/null; echo $?; printf '1\n2 3\n' | xargs -L1 echo l; printf 'a,b' | xargs -d, -n1
### printf tool through env
env printf '%s|%5.2f|%x\n' a 3.14159 255; env echo -n x; env echo; env true; echo $?; env A=1 sh -c 'echo $A'; env -i B=2 env; env -u HOME sh -c 'echo ${HOME-unset}'; env nosuchcmd 2>/dev/null; echo $?
### expr
expr 1 + 2; expr 3 '*' 4; expr 7 / 2; expr 7 % 3; expr 2 - 5; expr abc : 'a\(.\)c'; expr abc : 'a.'; expr length hello; expr substr hello 2 3; expr index hello l; expr 1 '<' 2; expr b '>' a; expr 1 = 1; expr 0; echo $?; expr '' '|' x; expr 1 '&' 0; echo $?; expr '(' 1 + 2 ')' '*' 3; expr 1 + x 2>/dev/null; echo $?; expr a = b; echo $?
### basename and dirname
basename /a/b/c; basename /a/b.txt .txt; basename a/; basename /; basename -a x/y z/w; basename -s .c f.c; dirname /a/b/c; dirname a; dirname /a; dirname a/b/; dirname / .
### date
date -u -d @0; date -u -d @1000000000 '+%Y-%m-%d %H:%M:%S %a %b %e %j %u %s %y %I %p %%'; date -u -d '2024-02-29 12:34:56' +%s; date -ud @1700000000 +%F_%T_%U_%V_%G; date -u -R -d @86400; date -u -d 2020-01-01 +'%A %B %-d %k %l'; date -d nonsense 2>/dev/null; echo $?
### id and names
id -u; id -un; whoami; id -g; true; echo $?; false; echo $?; uname -s; printenv HOME; printenv NOSUCH; echo $?; test $(hostname) = $(uname -n); echo $?; tty </dev/null; echo $?
