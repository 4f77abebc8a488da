#!/bin/sh
# A first script: arguments, a loop, arithmetic, a pipe.
name=${1:-world}
echo "Hello, $name! This is $(uname -m), process $$."
for n in 1 2 3 4 5; do
  printf '%d squared is %d\n' "$n" $((n * n))
done | grep -v '^3'
