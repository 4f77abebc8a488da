#!/bin/sh
# Background work, wait and traps.
trap 'echo "interrupted"; exit 130' INT
for n in 3 1 2; do
  (sleep 0.$n; echo "job $n is done") &
done
echo "three jobs started"
wait
echo "all finished"
