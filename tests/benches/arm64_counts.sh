#!/usr/bin/env bash
# Counts the instructions of programs on 64-bit Arm: machine code of opstamp beside C compiled for arm64 by gcc -O2, both in
# QEMU's user-mode emulation with a plug-in that counts (c/count_plugin.c).
#
#   bash tests/benches/arm64_counts.sh            all of the table below
#   bash tests/benches/arm64_counts.sh NAME...    only these programs
#
# Each runs with a small and with a large size, and the difference counts: start, compilation and output are the same in
# both. Results must be equal. Ends with status 1 if one differs, and prints whether the geometric mean of the field's eight
# kernels, the first eight lines, is at most 1.5. Needs what tests/arm64.sh needs.

# Program, its function, a small and a large size.
table="
fib_rec           fib           10        25
sum_loop          sum           1000      1000000
prime_count       primes        100       20000
mandelbrot        mandel        4,4,50    100,100,50
n_body            n_body        1         2000
nsieve            nsieve        100       400000
matrix_mul        matrix_mul    2         60
fannkuch          fannkuch      3         7
fib_iter          fib           10        1000000
fact_rec          repeat        10        20000
mul_loop          product       10        1000000
gcd               gcd_sum       10        200
collatz           longest       10        10000
ackermann         ack           2,3       2,200
spectral_norm     norm          2         500
lcg               lcg           10,42     1000000,42
f64_series        series        10        300000
switch_machine    machine       10,1      300000,1
mutual_rec        female        10        60
tail_loop         spin          10,0      1000000,0
even_odd          even_mix      10,1      1000000,1
spectral_norm_arr norm          2         60
map_fill_sum      imap_fill_sum 10        20000
binary_trees      binary_trees  4         8
quicksort         quicksort     10        20000
life              life          8,1       64,20
"

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
. tests/setup.sh
. tests/arm64.sh
need_build_tools || exit 2
arm64_tools || exit $?
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu || exit 77
need qemu-aarch64 qemu-user || exit 77

cargo build --quiet --release "${arm64_flags[@]}" --package opstamp-platform --bin opstamp || exit 1
out=$CARGO_TARGET_DIR/$ARM64_TARGET/release
here=tests/benches/c
gcc -O2 -shared -fPIC -o "$out/count.so" $here/count_plugin.c || exit 1
# Multiplication and addition are not contracted, as in vm3.
aarch64-linux-gnu-gcc -O2 -ffp-contract=off -static -o "$out/kernels" $here/numeric.c $here/heap.c $here/main.c -lm || exit 1

# counted COMMAND...: sets `result` to what the command prints and `count` to its instructions.
counted() {
    result=$(qemu-aarch64 -L /usr/aarch64-linux-gnu -plugin "$out/count.so" "$@" 2>"$out/count.txt") || {
        cat "$out/count.txt" >&2
        return 1
    }
    count=$(sed -n 's/^instructions: //p' "$out/count.txt")
    [ -n "$count" ]
}

# same HEX TEXT: whether the bits are those of the integer or f64 that the text says.
same() {
    case $2 in
    *.* | *e*) python3 -c 'import struct, sys; sys.exit(struct.pack(">d", float(sys.argv[2])).hex() != sys.argv[1])' "$1" "$2" ;;
    *) [ "$((16#$1))" = "$2" ] ;;
    esac
}

printf '%-18s %14s %14s %8s\n' "instructions" "C" "opstamp" "ratio"
ratios=""
status=0
while read -r name func small large; do
    [ -n "$name" ] || continue
    [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
    c=0 ours=0
    for size in "$small" "$large"; do
        args=${size//,/ }
        # shellcheck disable=SC2086
        counted "$out/kernels" "$name" $args || exit 1
        c=$((count - c)) wanted=$result
        # shellcheck disable=SC2086
        counted "$out/opstamp" run "tests/programs/$name.vm3" --func "$func" $args || exit 1
        ours=$((count - ours))
        if ! same "$wanted" "$result"; then
            echo "$name($size): C gives $wanted, opstamp $result"
            status=1
        fi
    done
    awk -v name="$name" -v c="$c" -v ours="$ours" 'BEGIN { printf "%-18s %14d %14d %8.3f\n", name, c, ours, ours / c }'
    ratios+=$(awk -v c="$c" -v ours="$ours" 'BEGIN { print ours / c }')$'\n'
done <<<"$table"
printf '%s' "$ratios" | awk '
    { all += log($1); if (NR <= 8) first += log($1) }
    END {
        printf "geometric mean of all %d: %.3f\n", NR, exp(all / NR)
        if (NR >= 8) printf "geometric mean of the first 8: %.3f; at most 1.5: %s\n", exp(first / 8), exp(first / 8) <= 1.5 ? "met" : "NOT MET"
    }'
exit $status
