/* The programs of `tests/programs` in C: the same algorithms with the same loops, for the benchmark to compare with.
 *
 * `kernel_NAME` takes the arguments that the program's own function takes, from memory that may change at any time, so
 * that the compiler can compute nothing in advance, and gives the result: an integer, or a double's bits. Integers that
 * may overflow are unsigned, because vm3's wrap. */

#include <stdint.h>
#include <string.h>

#define KERNELS(X)                                                                                                     \
    X(fib_iter) X(fib_rec) X(fact_rec) X(sum_loop) X(mul_loop) X(prime_count) X(gcd) X(collatz) X(ackermann)           \
    X(mandelbrot) X(spectral_norm) X(lcg) X(f64_series) X(switch_machine) X(mutual_rec) X(tail_loop) X(even_odd)       \
    X(nsieve) X(fannkuch) X(matrix_mul) X(n_body) X(spectral_norm_arr) X(map_fill_sum) X(binary_trees) X(quicksort)    \
    X(life) X(brainfuck)

typedef const volatile int64_t *args_t;

#define DECLARE(name) uint64_t kernel_##name(args_t args);
KERNELS(DECLARE)
#undef DECLARE

/* Knuth's linear congruential generator. */
#define MUL UINT64_C(6364136223846793005)
#define INC UINT64_C(1442695040888963407)

static inline uint64_t bits(double x) {
    uint64_t word;
    memcpy(&word, &x, sizeof word);
    return word;
}

static inline uint64_t rotate_left(uint64_t x, unsigned count) {
    return x << count | x >> (64 - count);
}
