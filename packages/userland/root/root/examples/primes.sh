#!/bin/sh
# The primes up to $1 (default 50), by trial division in the shell.
limit=${1:-50} n=2
while [ $n -le $limit ]; do
  d=2 prime=yes
  while [ $((d * d)) -le $n ]; do
    if [ $((n % d)) -eq 0 ]; then prime=no; break; fi
    d=$((d + 1))
  done
  if [ $prime = yes ]; then printf '%d ' $n; fi
  n=$((n + 1))
done
echo
