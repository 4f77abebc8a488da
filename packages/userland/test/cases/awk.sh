### awk fields
printf 'one two three\n4 5 6\n' >f; awk '{print $2}' f; awk '{print $1, $3}' f; awk '{print NF, NR, $NF}' f; awk -F: '{print $1}' /etc/passwd | head -1; awk '{$2="x"; print; print NF}' f; awk '{$5="y"; print; print NF}' f; awk '{NF=2; print}' f; awk '{print $(1+1)}' f; echo ' a  b ' | awk '{print "[" $1 "]" NF}'; echo a:b:c | awk 'BEGIN{FS=":";OFS="-"}{$1=$1;print}'; awk 'END{print NR}' f; echo 'a1b22c' | awk -F'[0-9]+' '{print $1 $2 $3 NF}'; echo 'a|b' | awk -F'|' '{print $2}'; printf 'a\tb c\n' | awk -F'\t' '{print $2}'
### awk patterns
seq 10 >f; awk '/5/' f; awk 'NR==3' f; awk 'NR==2,NR==4' f; awk '/3/,/5/{print "r" $0}' f; awk '$1>8' f; awk '$1%2==0 && $1<6' f; awk '!/1/' f; awk 'BEGIN{print "b"} END{print "e" NR}' f; awk '$0 ~ /^1/' f; awk '$1 !~ "1"' f | wc -l; awk 'NR>1{exit} {print}' f; awk 'BEGIN{exit 3} END{print "end"}'; echo $?
### awk arithmetic and strings
awk 'BEGIN{print 1+2*3, 7/2, 7%3, 2^10, -3, 1e3, 0.1+0.2, 1/3; print 1==1.0, "a"<"b", "10"<"9", 10<9; x="3x"; print x+1, +x, x*2; print 1 " " 2, "a" "b" "c"; print !0, !1, !"", !"a"; i=5; print i++, i, ++i, i--, --i; i+=2; i*=3; i-=1; i/=2; i%=7; i^=2; print i}'
awk 'BEGIN{print length("hello"), substr("hello",2,3), substr("hello",0), substr("hello",4,10) "|", index("hello","l"), toupper("abc"), tolower("ABC"); print sprintf("%05d|%-5s|%5.2f|%x|%c|%c|%%", 42, "ab", 3.14159, 255, 65, "hello"); printf "%s %d\n", "x", 3.9; printf("%s\n", "p")}'
### awk numbers as text
awk 'BEGIN{print 0.1, 1e6, 1e20, 123456789, 1234567.891, 3.0, -0.5; OFMT="%.2f"; print 3.14159; x = 3.14159 ""; print x; CONVFMT="%.1f"; y = 2.718 ""; print y; print 1e-5, 017, 100/3}'
### awk split, sub, gsub, match
awk 'BEGIN{n=split("a:b:c",a,":"); print n, a[1], a[3]; n=split("  x  y ",b); print n, b[1], b[2]; s="hello"; print gsub(/l/,"L",s), s; print sub(/e/,"[&]",s), s; t="aaa"; gsub(/a/,"\\&",t); print t; print match("foobar",/o+/), RSTART, RLENGTH; print match("x",/y/), RSTART, RLENGTH; u="abc"; gsub(//,"-",u); n=split("",c); print n; n=split("a1b2c",d,/[0-9]/); print n, d[2]}'
echo 'the cat sat' | awk '{gsub(/[aeiou]/,"*"); print; sub(/c/,"C",$2); print $2}'
### awk arrays
printf 'a 1\nb 2\na 3\n' | awk '{s[$1]+=$2} END{for(k in s) print k, s[k]}' | sort; awk 'BEGIN{a["x"]=1; print ("x" in a), ("y" in a); delete a["x"]; print ("x" in a); b[1,2]=3; print ((1,2) in b); for(k in b){split(k,p,SUBSEP); print p[1], p[2]}; for(i=0;i<500;i++) c[i]=i; n=0; for(k in c) n+=c[k]; print n; delete c; n=0; for(k in c) n++; print n}'
### awk control flow
awk 'BEGIN{for(i=1;i<=3;i++){if(i==2)continue; print i}; while(j<3) j++; print j; do {k++} while(k<2); print k; for(;;){if(++m>4)break}; print m; if(0) print "no"; else if (1) print "elif"; else print "no"; x = 1 ? "t" : "f"; print x; print 0 ? 1 : 0 ? 2 : 3}'
seq 5 | awk '{if($1==2)next; print} END{print "done"}'; awk 'BEGIN{i=0; while(1){i++; if(i>3) exit i}}'; echo $?
### awk functions
awk 'function fact(n){return n<=1?1:n*fact(n-1)} BEGIN{print fact(10)}'; awk 'function f(a,i){a[i]="set"; i=9} BEGIN{x=1; f(arr,x); print arr[1], x}'; awk 'function max(a,b){if(a>b)return a; return b} {print max($1,$2)}' <<E
3 7
9 2
E
awk 'function noret(){} BEGIN{x=noret(); print "[" x "]"}'; awk 'function g(s,  local){local=s "!"; return local} BEGIN{print g("a") g("b"), local "."}'
### awk input and output
printf '1\n2\n3\n4\n' >f; awk 'NR==1{getline; print "got " $0}' f; awk 'BEGIN{while((getline l < "f")>0) n++; print n; close("f"); getline < "f"; print}'; awk 'BEGIN{"echo cmd" | getline x; print x}'; awk '{print > ("out" $1%2)}' f; cat out0 out1; awk '{print $1 | "sort -r"}' f; awk 'BEGIN{print "a" >> "app"; print "b" >> "app"; close("app"); while((getline x < "app")>0) print x}'; awk 'BEGIN{printf "e\n" > "/dev/stderr"}' 2>&1; awk 'BEGIN{r=system("exit 3"); print r}'; awk 'BEGIN{print getline < "nosuch"}'
### awk variables and operands
echo x >f; awk -v a=5 'BEGIN{print a+1}'; awk '{print v, $0}' v=1 f v=2 f; awk 'BEGIN{print ARGC, ARGV[1], ARGV[2]}' p q; A=env awk 'BEGIN{print ENVIRON["A"]}'; awk '{print FILENAME, FNR, NR}' f f; echo 'BEGIN{print "from file"}' >p; awk -f p; awk -v s='a\tb' 'BEGIN{print s}'
### awk records
printf 'a b\nc\n\nd\ne f\n\n\ng\n' | awk 'BEGIN{RS=""}{print NR ": " $1 "," NF}'; printf 'a;b;c' | awk 'BEGIN{RS=";"}{print}'; printf 'x y\n' | awk 'BEGIN{OFS="-"; ORS="!\n"}{print $1,$2}'; printf 'no newline' | awk '{print}'; printf '\n\n' | awk '{print NF}'
### awk regular expressions
printf 'foo123\nbar\nfoo\n' | awk '/^foo[0-9]+$/{print "m" $0} /a|o$/{print "n" $0}'; echo a/b | awk '/a\/b/{print "slash"}'; awk 'BEGIN{r="^a.c$"; print ("abc" ~ r), ("abd" ~ r), "a.c" ~ /a\.c/; print "x" ~ "", "a+b" ~ /a\+b/; print "tab\there" ~ /\t/}'; echo 'a{2}' | awk '/[{]/{print "brace"}'
### awk mathematics
awk 'BEGIN{printf "%.6f %.6f %.6f %.6f %.6f %.6f\n", sin(1), cos(1), atan2(1,2), exp(1), log(10), sqrt(2); printf "%.4f %.4f %.4f\n", 2^0.5, exp(-3), atan2(-1,-1); print int(3.9), int(-3.9), int("12abc"); srand(1); x=rand(); print (x>=0 && x<1); print 2^-1, (-8)^3}'
### awk programs
printf 'ann 10\nbob 20\nann 5\n' | awk '{t[$1]+=$2; c[$1]++} END{for(n in t) printf "%s %d %.1f\n", n, t[n], t[n]/c[n]}' | sort; seq 20 | awk '{s+=$1; ss+=$1*$1} END{print s/NR, ss}'; printf 'x\ny\nx\n' | awk '!seen[$0]++'; seq 3 | awk '{a[NR]=$0} END{for(i=NR;i>0;i--) print a[i]}'; echo 'a b c' | awk '{for(i=NF;i>0;i--) printf "%s%s", $i, i>1?" ":"\n"}'; seq 100 | awk 'BEGIN{max=-1} $1>max{max=$1} END{print max}'; ls -d / | awk '{print length($0)}'; awk 'BEGIN { # comment
  x = 1
  if (x)
    print "multi"
  else
    print "line"
  y = x + 2; print y
  z = (x &&
       y); print z }' 2>/dev/null; echo 5 | awk '{ print ($1 > 3) ? "big" : "small" }'
### awk errors
awk 'BEGIN{' 2>/dev/null || echo failed; awk '{print}' nosuch 2>/dev/null || echo failed; awk 'BEGIN{f()}' 2>/dev/null || echo failed
