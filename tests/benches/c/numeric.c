/* The programs that need no heap. */

#include "kernels.h"

#include <math.h>

static uint64_t fib_iter(int64_t n) {
    uint64_t a = 0, b = 1;
    while (n > 0) {
        uint64_t c = a + b;
        a = b;
        b = c;
        n--;
    }
    return a;
}

uint64_t kernel_fib_iter(args_t args) {
    return fib_iter(args[0]);
}

/* What is measured is calls. Left alone, gcc 12 inlines this function into itself many times over, and less than half of
 * the time is left; the figures of other engines are relative to code that calls. */
__attribute__((noinline)) static int64_t fib_rec(int64_t n) {
    return n < 2 ? n : fib_rec(n - 1) + fib_rec(n - 2);
}

uint64_t kernel_fib_rec(args_t args) {
    return fib_rec(args[0]);
}

static uint64_t fact(int64_t n) {
    return n < 2 ? 1 : fact(n - 1) * n;
}

uint64_t kernel_fact_rec(args_t args) {
    int64_t n = args[0];
    uint64_t s = 0;
    for (int64_t i = 0; i < n; i++)
        s = s * 31 + fact((i & 15) + 12);
    return s;
}

uint64_t kernel_sum_loop(args_t args) {
    int64_t n = args[0];
    uint64_t s = 0;
    for (int64_t i = 0; i < n; i++)
        s += i ^ s << 1;
    return s;
}

uint64_t kernel_mul_loop(args_t args) {
    int64_t n = args[0];
    uint64_t p = 1;
    for (int64_t i = 1; i <= n; i++)
        p = p * (i | 1) + i;
    return p;
}

static int64_t is_prime(int64_t i) {
    if (i < 2)
        return 0;
    if (i < 4)
        return 1;
    int64_t d = 2;
    do {
        if (i % d == 0)
            return 0;
        d++;
    } while (d * d <= i);
    return 1;
}

uint64_t kernel_prime_count(args_t args) {
    int64_t n = args[0], count = 0;
    for (int64_t i = 2; i <= n; i++)
        count += is_prime(i);
    return count;
}

static int64_t gcd_of(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

uint64_t kernel_gcd(args_t args) {
    int64_t n = args[0], s = 0;
    for (int64_t a = 1; a <= n; a++)
        for (int64_t b = 1; b <= n; b++)
            s += gcd_of(a, b);
    return s;
}

static int64_t chain(uint64_t x) {
    int64_t steps = 0;
    while ((int64_t)x > 1) {
        if (x & 1) {
            x = x * 3 + 1;
            steps++;
        }
        x = (int64_t)x >> 1;
        steps++;
    }
    return steps;
}

uint64_t kernel_collatz(args_t args) {
    int64_t n = args[0], best = 0, best_len = -1;
    if (n <= 1)
        return 0;
    for (int64_t i = 1; i < n; i++) {
        int64_t len = chain(i);
        if (len > best_len) {
            best = i;
            best_len = len;
        }
    }
    return best * 1000 + best_len;
}

static int64_t ackermann(int64_t m, int64_t n) {
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

uint64_t kernel_ackermann(args_t args) {
    return ackermann(args[0], args[1]);
}

static int64_t escape(double cx, double cy, int64_t max) {
    double x = 0, y = 0;
    int64_t i = 0;
    while (i < max) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 4.0)
            break;
        double xy = x * y;
        y = xy + xy + cy;
        x = xx - yy + cx;
        i++;
    }
    return i;
}

uint64_t kernel_mandelbrot(args_t args) {
    int64_t w = args[0], h = args[1], max = args[2], sum = 0;
    for (int64_t py = 0; py < h; py++) {
        double cy = py * 2.0 / h - 1.0;
        for (int64_t px = 0; px < w; px++) {
            double cx = px * 3.0 / w - 2.0;
            sum += escape(cx, cy, max);
        }
    }
    return sum;
}

static double matrix(int64_t i, int64_t j) {
    int64_t s = i + j;
    int64_t t = (s * (s + 1) >> 1) + i + 1;
    return 1.0 / t;
}

uint64_t kernel_spectral_norm(args_t args) {
    int64_t n = args[0];
    double sum = 0;
    if (n < 1)
        return bits(sum);
    for (int64_t i = 0; i < n; i++) {
        double row = 0;
        for (int64_t j = 0; j < n; j++)
            row += matrix(i, j);
        sum += row * row;
    }
    return bits(sqrt(sum / n));
}

uint64_t kernel_lcg(args_t args) {
    int64_t n = args[0];
    uint64_t x = args[1], s = 0;
    while (n > 0) {
        x = x * MUL + INC;
        s = (s ^ x >> 33) + x;
        n--;
    }
    return s;
}

static double leibniz(int64_t n) {
    double s = 0, sign = 1, d = 1;
    while (n > 0) {
        s += sign / d;
        sign = -sign;
        d += 2;
        n--;
    }
    return s * 4;
}

static double harmonic(int64_t n) {
    double s = 0;
    for (int64_t i = 1; i <= n; i++)
        s += 1.0 / i;
    return s;
}

uint64_t kernel_f64_series(args_t args) {
    int64_t n = args[0];
    return bits(leibniz(n) + harmonic(n));
}

uint64_t kernel_switch_machine(args_t args) {
    int64_t n = args[0], state = 0;
    uint64_t x = args[1], acc = 0;
    while (n > 0) {
        x = x * MUL + INC;
        int64_t v = x >> 60;
        switch (state) {
        case 0:
            acc += v;
            state = v & 3;
            break;
        case 1:
            acc ^= v << 5;
            state = (v >> 2) + 1;
            break;
        case 2:
            acc *= 3;
            state = v < 8 ? 0 : 5;
            break;
        case 3:
            acc = rotate_left(acc, 7);
            state = (v & 1) + 4;
            break;
        case 4:
            acc -= v;
            state = v % 6;
            break;
        case 5:
            acc = acc * 31 + v;
            state = (v == 7) + 2;
            break;
        }
        n--;
    }
    return acc * 8 + state;
}

static int64_t male(int64_t n);

static int64_t female(int64_t n) {
    return n <= 0 ? 1 : n - male(female(n - 1));
}

static int64_t male(int64_t n) {
    return n <= 0 ? 0 : n - female(male(n - 1));
}

uint64_t kernel_mutual_rec(args_t args) {
    return female(args[0]);
}

uint64_t kernel_tail_loop(args_t args) {
    int64_t n = args[0];
    uint64_t acc = args[1];
    while (n > 0) {
        acc = (acc ^ n) * 3;
        n--;
    }
    return acc;
}

uint64_t kernel_even_odd(args_t args) {
    int64_t n = args[0];
    uint64_t acc = args[1];
    for (;;) {
        if (n <= 0)
            return acc;
        acc = (acc ^ n) * 5;
        n--;
        if (n <= 0)
            return ~acc;
        acc = rotate_left(acc + n, 9);
        n--;
    }
}
