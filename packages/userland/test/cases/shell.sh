### words and quotes
echo a  "b  c" 'd "e" $x' f\ g "\$h \\ \"q\"" 'it'"'"'s'
x='a  b'; echo $x "$x" '$x' "pre${x}post" ${x}z
echo "" '' a; set -- "" "x y" ''; echo $#
### line continuation
echo one \
  two; x=a\
b; echo $x "c\
d"
### assignments and export
a=1 b=2; echo $a$b; export c=3; sh -c 'echo [$a][$c]'; a=9 sh -c 'echo $a'; echo $a
d=x e=$d f="$d $e"; echo "$f"
### default values
unset u; e=; echo ${u-1} ${u:-2} ${e-3}. ${e:-4} ${u+5}. ${e+6} ${e:+7}.
echo ${u:=set} $u ${#u}; (: ${nope?message}) 2>/dev/null; echo $?
### prefixes and suffixes
p=/usr/local/lib/file.tar.gz; echo ${p##*/} ${p#*/} ${p%.*} ${p%%.*} ${p%/*} ${p#nomatch}
q='a*b'; echo "${q%'*'b}" "${q#a"*"}"
### nested defaults
unset a b; echo "${a:-${b:-deep}}" "${a:-"quoted  x"}" ${a:-x y}
### bash: substitution, slices, case
v=hello.world.txt; echo ${v/o/0} ${v//o/0} ${v/#hello/bye} ${v/%txt/md} ${v:2:3} ${v: -3} ${v:6} ${v^} ${v^^} ${v//./}
set -- a b c d; echo "${@:2:2}" "${*:3}"
### positional parameters
set -- one two "three four"; echo $# $1 "$3"; for i in "$@"; do echo "[$i]"; done; for i in $*; do echo "<$i>"; done
IFS=,; echo "$*"; shift 2; echo $# $1; set --; echo $#
### quoted empty at
f() { echo $#; }; set --; f "$@"; f "$@" x; f "" "$@"; f "a$@b"; set -- 1 2; f "a$@b"; f "$*"
### special parameters
false; echo $?; true; echo $?; (exit 7); echo $?; echo $#; set -- a b; echo $#
### command substitution
echo $(echo a; echo b) "$(printf 'x\ny\n\n')" `echo back $(echo tick)`; x=$(echo ")"); echo $x
echo "$(echo "nested $(echo "deep $(echo er)")")"; y=`echo \`echo in\``; echo $y
x=$(exit 3); echo $?; echo $(case a in a) echo matched;; esac)
### arithmetic
echo $((1+2*3)) $(((1+2)*3)) $((7/2)) $((-7/2)) $((7%3)) $((1<<10)) $((0x1f)) $((010)) $((5>3 && 2<1)) $((!0)) $((~5)) $((6&3|8^1))
a=5; echo $((a+1)) $((a==5?10:20)) $((a>=5)) $(( a * (a - 1) )) $((-a)) $(($a+1)); echo $((a=7)) $a $((a+=3)) $a
echo $((2147483647+1)) $((9223372036854775807)) $((1||0)) $((0||0))
### bash: increment operators
i=5; echo $((i++)) $i $((++i)) $((i--)) $((--i)) $((2**10)) $((2*3**2)) $((1,2)); echo $((i<<=2)) $((16#ff)) $((2#101))
### field splitting
IFS=:; x=a:b::c; for i in $x; do echo "[$i]"; done; x=':a:'; for i in $x; do echo "<$i>"; done
IFS=' :'; x='  a : b  c:'; for i in $x; do echo "{$i}"; done; IFS=; x='a b'; for i in $x; do echo "($i)"; done
### pathname expansion
mkdir d; touch d/a d/b d/.hid d/c1 d/c2 'd/x y'; echo d/*; echo d/c[12] d/c? d/[!a-b]* d/nomatch*; cd d; echo *; echo .h*; for f in *; do echo "<$f>"; done; echo "*" '*' \*; set -f; echo *
### pathname expansion in directories
mkdir -p a/x b/x c; touch a/x/1 b/x/2; echo */x/* */x */; x='*'; echo $x "$x"
### tilde
HOME=/h; echo ~ ~/x "~" a~ x=~; y=~/z:~/w; echo $y; echo ~nosuchuser/x
### here documents
x=5; cat <<A; cat <<'B'; cat <<-C
x is $x $(echo sub) \$x $((1+1)) "quoted" `echo bt`
A
x is $x $(echo no)
B
	tab gone
	C
### here document in a pipe and loop
cat <<E | tr a-z A-Z
hello
E
while read a b; do echo "$b-$a"; done <<E
1 one
2 two three
E
### bash: here string
cat <<< "a $((1+1))"; read x y <<< "p q r"; echo "$y"
### redirections
echo out >f; echo more >>f; cat <f; cat f 2>/dev/null >g; wc -l <g; { echo a; echo b >&2; } 2>err; cat err; echo x 1>&2 2>/dev/null; (echo s; echo t >&2) >both 2>&1; cat both
exec 3>h; echo to3 >&3; exec 3>&-; cat h; exec 4<h; read l <&4; echo "$l"; : >empty; wc -c <empty; echo no >/nonexistent/x || echo refused
### bash: both redirection
{ echo o; echo e >&2; } &>b; sort b; { echo o; echo e >&2; } &>>b; wc -l <b; (echo p; echo q >&2) |& sort
### noclobber
set -C; echo a >f; (echo b >f) 2>/dev/null || echo refused; cat f; echo c >|f; cat f
### pipes
echo hello | cat | tr h j | cat; seq 10 | head -3 | tail -1; false | true; echo $?; true | false; echo $?; ! true; echo $?; echo a | while read x; do echo "got $x"; done
### bash: pipefail
set -o pipefail; false | true; echo $?; (exit 3) | (exit 4) | true; echo $?
### and or
true && echo a || echo b; false && echo c || echo d; true || echo e; false || false || echo f; true && false; echo $?
### if
if true; then echo y; fi; if false; then echo n; elif true; then echo e; else echo x; fi; if false; then :; else echo z; fi; if false; then :; fi; echo $?
### loops
for i in 1 2 3; do echo $i; done; i=0; while [ $i -lt 3 ]; do echo w$i; i=$((i+1)); done; until [ $i -eq 0 ]; do i=$((i-1)); done; echo $i; for x; do echo never; done; for i in; do echo never; done; echo end
### break and continue
for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done
for i in 1 2; do for j in a b; do [ $j = b ] && continue 2; echo $i$j; done; done; for i in 1 2; do while :; do break 2; done; done; echo $i
### case
for w in apple banana x.c '*' 12 ''; do case $w in a*) echo A;; b?????|c) echo B;; *.c) echo C;; '*') echo star;; [0-9]*) echo num;; '') echo empty;; *) echo other;; esac; done
case abc in (a*) echo paren;; esac; case x in y) ;; esac; echo $?; p='a*'; case abc in "$p") echo no;; $p) echo yes;; esac
### bash: case fall through
case a in a) echo 1;& b) echo 2;; c) echo 3;; esac
### functions
f() { echo "f $1 $#"; return 4; }; f a b; echo $?; g() ( x=in; exit 5 ); x=out; g; echo $? $x; h() { local v=l; v2=g; echo $v; }; v=o; h; echo $v $v2
fact() { if [ $1 -le 1 ]; then echo 1; else echo $(( $1 * $(fact $(($1-1))) )); fi; }; fact 6
### local variables
f() { local a=1 b; b=2; g; echo f$a$b; }; g() { echo g$a$b; a=9; }; a=x b=y; f; echo $a$b
### function redirections
f() { cat; echo e >&2; } 2>/dev/null; echo in | f; g() { echo hi; } >out; g; cat out
### subshells and groups
x=1; (x=2; echo $x); echo $x; { x=3; echo $x; }; echo $x; (cd /; pwd); (exit 3) || echo $?; { echo a; echo b; } | cat -n
### eval and dot
x='echo $y'; y=5; eval $x; eval "z=3; echo \$z"; echo 'echo sourced; v=7; return 6; echo no' >s; . ./s; echo $? $v
### set -e
(set -e; false; echo no); echo $?; (set -e; false || true; if false; then :; fi; ! true; echo yes); echo $?; (set -e; f() { false; echo in; }; f && echo x; f; echo no); echo $?
### set -u
(set -u; echo $undefined; echo no) 2>/dev/null; echo $?; (set -u; echo ${undefined-ok} $#)
### set -x goes to standard error
(set -x; echo a b; x=1; for i in 1 2; do echo $i; done) 2>&1
### exit status of commands
/nonexistent/cmd 2>/dev/null; echo $?; nosuchcommand 2>/dev/null; echo $?; touch f; ./f 2>/dev/null; echo $?; sh -c 'kill -9 $$'; echo $?
### traps
trap 'echo bye' EXIT; trap 'echo usr' USR1; kill -USR1 $$; echo after; (trap 'echo sub' EXIT; exit 3); echo $?; trap - USR1; trap '' INT; kill -INT $$; echo alive; exit 2
### wait and background
sleep 0.05 & p=$!; wait $p; echo $?; (exit 9) & wait $!; echo $?; { sleep 0.02; echo late; } & echo first; wait; echo done
### read
printf 'a b c\nd\\\ne\n  lead trail  \nx:y:z\nlast' >f; { read p q; echo "$p|$q"; read r; echo "$r"; read s; echo "[$s]"; IFS=: read t u; echo "$t|$u"; read v; echo $? $v; read w; echo $?; } <f
printf 'raw\\n text\n' | { read -r x; printf '%s\n' "$x"; }
### getopts
set -- -a -b val -cfoo rest; while getopts ab:c: o; do echo "$o $OPTARG"; done; shift $((OPTIND-1)); echo $1; OPTIND=1; set -- -x; getopts :a o; echo "$o $OPTARG"; OPTIND=1; set -- -b; getopts :b: o; echo "$o $OPTARG"
### getopts groups
OPTIND=1; set -- -abfile -c x; while getopts ab:c o; do echo "$o:$OPTARG"; done
### cd and pwd
mkdir -p a/b; cd a/b; basename $(pwd); cd ..; basename $PWD; cd - >/dev/null; basename $PWD; cd /; pwd; cd /usr/bin/../lib; pwd; (cd /nonexistent) 2>/dev/null || echo refused; CDPATH=/usr; cd bin; pwd
### symbolic links and cd
mkdir real; ln -s real link; cd link; basename $PWD; basename $(pwd -P); cd ..; ls
### type and command
type cd | head -1; command -v echo; command -v nosuch; echo $?; f() { :; }; command -v f; command echo hi; echo() { command echo "my $1"; }; echo x
### alias
alias say='echo said'
say hello
alias e2='echo two '
e2 say
unalias say; alias say 2>/dev/null; echo $?
### umask and ulimit
umask 027; umask; touch f; ls -l f | cut -c1-10; umask u=rwx,g=rx,o=; umask; ulimit -n 64; ulimit -n
### printf
printf '%s-%d-%x-%o-%c|%5s|%-5s|%05d|%+d|%.2f\n' str 42 255 8 char ab cd 42 7 3.14159; printf '%s\n' a b c; printf '%d %s\n' 1 x 2 y; printf 'no newline'; printf '\n\t\\ \101\n'; printf '%b' 'a\tb\n'; printf '%%|%5.1f|%e|%g\n' 2.25 12345.678 0.0001
printf '%5d|%-8s|%3s\n' 1 a b; printf '%i\n' 0x10; printf "%s" ; printf '%*d|%.*s\n' 5 42 2 abcdef; printf '%d\n' "'A"
### echo
echo -n no newline; echo; echo a b  c; echo -e 2>/dev/null | wc -c >/dev/null; echo - -- -x
### test
t() { test "$@" && echo 0 || echo 1; }; t a = a; t a != a; t 1 -lt 2; t 2 -le 1; t -n x; t -z x; t ''; t x; t ! x; t -d /; t -f /; t -e /nonexistent; t a = a -a b = c; t a = b -o c = c; t '(' a = a ')'; t ! -f /; touch f; t -s f; t -r f; t -x f; t 5 -eq 05; t -5 -gt -6; ln -s f l; t -h l; t -L f; t = ; t = = =; t -f; t '!' ; t '' -o x
[ a = a ]; echo $?; [ 1 -eq x ] 2>/dev/null; echo $?; [ a 2>/dev/null; echo $?
### test file ages
touch -d '2020-01-01 00:00' old; touch new; [ new -nt old ]; echo $?; [ new -ot old ]; echo $?; [ old -ef old ]; echo $?
### unset and readonly
x=1; unset x; echo ${x-unset}; readonly r=5; (r=6) 2>/dev/null; echo $?; echo $r; f() { :; }; unset -f f; f 2>/dev/null; echo $?
### comments and separators
echo a # comment
# whole line
echo b;echo c
echo d#notcomment '#' "#"
if true # comment
then echo e; fi
### compound redirections
for i in 1 2; do echo $i; done >f; cat f; while read x; do echo "r$x"; done <f; if true; then echo t; fi >g; cat g; case a in a) echo c;; esac >h; cat h; { echo 1; echo 2; } >i; cat i; (echo s) >j; cat j
### long pipeline and status
seq 1000 | sort -n | sed 1d | head -n 500 | tail -n 1 | tr -d 0; yes | head -1; seq 100000 | head -1
### exec
(exec echo replaced; echo never); exec 3>&1 >f; echo infile; exec >&3; cat f; (exec nosuch) 2>/dev/null; echo $?; (exec </dev/null; cat; echo read)
### nested functions and quoting in loops
for w in "a b" 'c"d' e\'f; do printf '<%s>' "$w"; done; echo; n=0; for i in 1 2 3; do for j in 1 2 3; do n=$((n+i*j)); done; done; echo $n
### dollar in odd places
echo $ "$" a$ "$ x" $% '$' "\$"; echo "$(echo '$x')" ${x:-'$y'} "a"$x"b"
### exit in pipeline and subshell
(echo a; exit 1; echo b) | cat; echo $?; f() { return; }; false; f; echo $?; sh -c 'exit 300'; echo $?; sh -c 'f() { exit 4; }; f; echo no'; echo $?
### script from a file and standard input
echo 'echo $0 $1' >s; sh s arg; sh -s p q <<'E'
echo $1 $2
E
### script with a syntax error
sh -c 'echo a; if; echo b' 2>/dev/null; echo $?; sh -c 'echo "unterminated' 2>/dev/null; echo $?; sh -c 'for' 2>/dev/null; echo $?; sh -c 'echo a | | b' 2>/dev/null; echo $?
### shebang free script
printf 'echo script $1\n' >s; chmod +x s; ./s x; sh ./s y
### bash: brace expansion
echo {a,b,c} x{1,2}y {1..5} {a..e} {5..1} a{b,c{d,e}} {x} {} '{a,b}' "{a,b}" {1..10..3} pre{,post}
### bash: dollar single quotes
echo $'a\tb\n' $'it\'s' $'\x41\101'; x=$'line1\nline2'; echo "$x"
### large loop
i=0; s=0; while [ $i -lt 2000 ]; do s=$((s+i)); i=$((i+1)); done; echo $s
### long here document
x=$(seq 3000); wc -c <<E
$x
E
echo "$x" | tail -1
### bash: signals between processes
sleep 5 & p=$!; kill $p; wait $p; echo $?; sleep 5 & kill -KILL $!; wait $!; echo $?; kill -0 $$; echo $?; kill -l 9; kill -l TERM
### variables survive in loops without pipes
n=0; for i in a b c; do n=$((n+1)); done; echo $n; cat <<E >f
1
2
E
while read l; do last=$l; done <f; echo $last
