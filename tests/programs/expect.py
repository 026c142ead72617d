#!/usr/bin/env python3
"""Checks every `;!` line of the programs against values computed here, in Python alone.

Integers are Python's, wrapped to 64 bits; floats are Python's IEEE doubles; what Python's floats cannot do (fma) is
done with exact fractions and rounded once. Where a better method than the program's is known (closed forms, sieves,
memo tables) it is used, so that a mistake in the program is not repeated here. Fails on a wrong value, on an
expectation without a reference and on a reference that is never used.
"""

import datetime
import math
import pathlib
import re
import sys
from fractions import Fraction
from functools import cache

sys.dont_write_bytecode = True  # leave no cache folder among the programs
import expect_cells  # noqa: E402
import expect_kernels  # noqa: E402
import expect_text  # noqa: E402
import gen_big_60k  # noqa: E402
import gen_wide_frame  # noqa: E402
from values import CANONICAL_NAN, INF, M, NAN, Trap, bits, from_bits, literals, rotl, text, wrap  # noqa: E402

HERE = pathlib.Path(__file__).parent
sys.setrecursionlimit(10_000)


# Integer programs

def fib(n):
    def pair(k):
        if k == 0:
            return 0, 1
        a, b = pair(k // 2)
        c, d = a * (2 * b - a) & M, a * a + b * b & M
        return (d, c + d & M) if k & 1 else (c, d)
    return wrap(pair(n)[0]) if n > 0 else 0


def repeat(n):
    facts = [math.factorial(k) for k in range(12, 28)]
    s = 0
    for i in range(n):
        s = s * 31 + facts[i & 15] & M
    return wrap(s)


def sum_loop(n):
    s = 0
    for i in range(n):
        s = s + (i ^ s << 1) & M
    return wrap(s)


def product(n):
    p = 1
    for i in range(1, n + 1):
        p = p * (i | 1) + i & M
    return wrap(p)


def sieve(n):
    flags = bytearray([0, 0] + [1] * max(n - 1, 0))
    for d in range(2, math.isqrt(max(n, 0)) + 1):
        if flags[d]:
            flags[d * d::d] = bytes(len(flags[d * d::d]))
    return flags


def longest(n):
    lengths = {1: 0}
    for start in range(1, n):
        path, x = [], start
        while x not in lengths:
            path.append(x)
            x = 3 * x + 1 if x & 1 else x // 2
        for k, y in enumerate(reversed(path)):
            lengths[y] = lengths[x] + k + 1
    best = max(range(1, n), key=lambda x: lengths[x], default=0)
    return best * 1000 + lengths[best] if best else 0


def chain(x):
    return 0 if x <= 1 else 1 + chain(3 * x + 1 if x & 1 else x // 2)


def ack(m, n):
    return [n + 1, n + 2, 2 * n + 3, 2 ** (n + 3) - 3][m]


MUL, INC = 6364136223846793005, 1442695040888963407


def lcg(n, x):
    s = 0
    for _ in range(n):
        x = x * MUL + INC & M
        s = (s ^ x >> 33) + x & M
    return wrap(s)


def machine(n, x):
    state = acc = 0
    for _ in range(n):
        x = x * MUL + INC & M
        v = x >> 60
        if state == 0:
            acc, state = acc + v, v & 3
        elif state == 1:
            acc, state = acc ^ v << 5, (v >> 2) + 1
        elif state == 2:
            acc, state = acc * 3, 0 if v < 8 else 5
        elif state == 3:
            acc, state = acc << 7 | acc >> 57, 4 + (v & 1)
        elif state == 4:
            acc, state = acc - v, v % 6
        else:
            acc, state = acc * 31 + v, 3 if v == 7 else 2
        acc &= M
    return wrap(acc * 8 + state)


@cache
def hofstadter(n):
    """F and M up to n."""
    f, m = [1], [0]
    for k in range(1, n + 1):
        m.append(k - f[m[k - 1]])
        f.append(k - m[f[k - 1]])
    return f, m


def spin(n, acc):
    for k in range(n, 0, -1):
        acc = (acc ^ k) * 3 & M
    return wrap(acc)


def swap(n, a, x, b, y):
    if n % 2:
        a, b, x, y = b, a, y, x
    return float(a - b) + x / y


def mix_pair(n, acc, odd):
    for k in range(n, 0, -1):
        acc = rotl(acc + k, 9) if odd else (acc ^ k) * 5
        acc &= M
        odd = not odd
    return wrap(~acc if odd else acc)


# Float programs

def escape(cx, cy, most):
    x = y = 0.0
    for i in range(most):
        xx, yy = x * x, y * y
        if xx + yy > 4.0:
            return i
        xy = x * y
        x, y = xx - yy + cx, xy + xy + cy
    return max(most, 0)


def mandel(w, h, most):
    return sum(escape(px * 3.0 / w - 2.0, py * 2.0 / h - 1.0, most) for py in range(h) for px in range(w))


def matrix(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def norm(n):
    total = 0.0
    for i in range(n):
        row = 0.0
        for j in range(n):
            row += 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)
        total += row * row
    return math.sqrt(total / n)


def leibniz(n):
    s = 0.0
    for k in range(n):
        s += (-1.0 if k & 1 else 1.0) / (2 * k + 1)
    return s * 4.0


def harmonic(n):
    s = 0.0
    for k in range(1, n + 1):
        s += 1.0 / k
    return s


def exp(x, n):
    s, term = 0.0, 1.0
    for k in range(1, n + 1):
        s += term
        term = term * x / k
    return s


# IEEE 754 by its rules

def add(x, y):
    return x + y


def div(x, y):
    if y == 0.0:
        return NAN if x == 0.0 or x != x else math.copysign(INF, math.copysign(1, x) * math.copysign(1, y))
    return x / y


def order(x):
    """Orders f64 values that are no NaN, with -0 below +0."""
    return x, math.copysign(1, x)


def fmin(x, y):
    return NAN if x != x or y != y else min(x, y, key=order)


def fmax(x, y):
    return NAN if x != x or y != y else max(x, y, key=order)


def copysign(x, y):
    return math.copysign(x, abs(y) if y != y else y)


def rounded(function):
    """An f64 rounding from one on exact numbers that gives an int; the sign of zero is the operand's."""
    return lambda x: x if x != x or math.isinf(x) else math.copysign(float(function(Fraction(x))), x)


def fma(x, y, z):
    if any(math.isinf(v) or v != v for v in (x, y, z)):
        return x * y + z if math.isinf(x) or math.isinf(y) or x != x or y != y else z
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        product_sign = math.copysign(1, x) * math.copysign(1, y)
        zero = x == 0.0 or y == 0.0
        # An exact sum of opposite values is +0; a sum of two zeros keeps a common sign.
        return math.copysign(0.0, product_sign) if zero and product_sign == math.copysign(1, z) else 0.0
    return nearest_float(exact)


def nearest_float(q):
    """The f64 nearest to a fraction, ties to even, by hand."""
    sign, q = (-1.0 if q < 0 else 1.0), abs(q)
    e = q.numerator.bit_length() - q.denominator.bit_length()
    if Fraction(2) ** e > q:
        e -= 1
    unit = Fraction(2) ** (max(e, -1022) - 52)
    steps = round(q / unit)
    value = steps * unit
    if value >= Fraction(2) ** 1024:
        return sign * INF
    result = sign * math.ldexp(float(steps), max(e, -1022) - 52)
    return result if value else math.copysign(0.0, sign)


def to_i64(x):
    if x != x:
        return 0
    if math.isinf(x):
        return (1 << 63) - 1 if x > 0 else -(1 << 63)
    return max(-(1 << 63), min((1 << 63) - 1, math.trunc(x)))


def sqrt(x):
    return NAN if x < 0 else math.sqrt(x)


COMPARE = {
    "eq": lambda x, y: int(x == y), "ne": lambda x, y: int(x != y), "lt": lambda x, y: int(x < y),
    "le": lambda x, y: int(x <= y), "gt": lambda x, y: int(x > y), "ge": lambda x, y: int(x >= y),
}
LITERALS = [1.5, 6.0, 1e16, 1e-5, -0.0, 0.1, 123456789012345680.0, 9999999999999998.0, 0.0001, 0.00012345, 12345e-9,
            1e22, -sys.float_info.max, 5e-324]


# Wide signatures and register pressure

PATTERN = "ifiicffifciiffifficiiffifiicffifiiffcfif"
PLACES = [k for k, bank in enumerate(PATTERN) if bank == "i"]


def weigh(ints, floats, nulls):
    s = sum(((k + 1) ** 2 + PLACES[k]) * x for k, x in enumerate(ints))
    e = 0.0
    for k, y in enumerate(floats):
        e += y * (2 * k + 1)
    s = wrap(s) ^ bits(e)
    return wrap(s + sum(1000003 ** (k + 1) for k, null in enumerate(nulls) if null))


def setup(seed):
    return ([seed * (k + 3) + k for k in range(17)], [(seed + k) * 0.37 for k in range(18)],
            [k % 2 == 0 for k in range(5)])


def turn(values, n):
    n %= len(values)
    return values[n:] + values[:n]


def pairs_swapped(values):
    return [values[k ^ 1] if k ^ 1 < len(values) else values[k] for k in range(len(values))]


ORDER_I = [15, 13, 6, 0, 9, 7, 8, 5, 2, 16, 11, 12, 10, 4, 3, 1, 14]
ORDER_F = [12, 3, 16, 15, 7, 8, 11, 10, 4, 17, 5, 9, 2, 0, 13, 14, 6, 1]
REPEATS_I = [10, 10, 7, 4, 9, 5, 16, 9, 9, 14, 5, 6, 15, 13, 16, 2, 5]
REPEATS_F = [6, 0, 2, 14, 9, 3, 6, 7, 14, 14, 3, 15, 10, 14, 9, 17, 7, 2]


def permuted(seed):
    i, f, c = setup(seed)
    first = weigh([i[k] for k in ORDER_I], [f[k] for k in ORDER_F], c[::-1])
    second = weigh([i[k] for k in REPEATS_I], [f[k] for k in REPEATS_F], [c[1]] * 5)
    return wrap(first + second * 3)


def rotated(n, seed):
    return weigh(*(turn(v, n) for v in setup(seed)))


def params_main():
    s = 0
    for seed in range(20000):
        s = wrap(s + weigh(*setup(seed)))
        s = wrap(s ^ permuted(seed))
        s = rotl(s + rotated(40, seed), 1)
    return s


def mix(x, y):
    return wrap(x * 31 - to_i64(y))


def churned(n, seed):
    x = [wrap(seed * (k * k + 1) + k) for k in range(40)]
    y = [float(v) for v in x]
    for i in range(n):
        x.append(mix(x[0], y[0]))
        y.append(float(i))
        x = [rotl(x[k] + x[k + 1], k + 1) ^ i for k in range(40)]
        y = [y[k] * 0.5 + y[k + 1] * 0.25 for k in range(40)]
    return x, y


def churn(n, seed):
    x, y = churned(n, seed)
    m = 0
    for v in x + [bits(v) for v in y]:
        m = m * 3 + v & M
    return wrap(m)


def fsum(n, seed):
    t = 0.0
    for x, y in zip(*churned(n, seed)):
        t += y
        t += float(x & 255)
    return t


# Globals and tables

def days_in(year, month):
    following = datetime.date(year + month // 12, month % 12 + 1, 1)
    return (following - datetime.timedelta(days=1)).day


def globals_main():
    days = [days_in(2023, k) for k in range(1, 13)]
    s = 7
    for k in range(3_000_000):
        s = s * 3 + days[k % 12] & M
    return wrap(s)


# Printing

@cache
def printed():
    lines = ["hello", "", "a\tb;", "éé", -(1 << 63), -1, 5, 4, 3, 2, 1, 15]
    thirds = [k / 3.0 for k in range(1, 5)]
    lines += thirds + [((thirds[0] + thirds[1]) + thirds[2]) + thirds[3]]
    lines += [1e16, 9999999999999998.0, 0.0001, 0.00001, 5e-324, sys.float_info.max, INF, -INF, NAN, -0.0]
    return "".join((line if isinstance(line, str) else text(line)) + "\n" for line in lines)


def thirds(n):
    s = 0.0
    for k in range(1, n + 1):
        s += k / 3.0
    return s


def signed_div(x, y):
    q = abs(x) // abs(y)
    return wrap(q if (x < 0) == (y < 0) else -q)


def signed_rem(x, y):
    return wrap(int(math.copysign(1, x)) * (abs(x) % abs(y)))


@cache
def big():
    return gen_big_60k.build()


@cache
def wide_frame():
    return gen_wide_frame.build()


REFERENCES = {
    "fib_iter": {"fib": fib, "main": lambda: fib(20_000_000)},
    "fib_rec": {"fib": fib, "main": lambda: fib(32)},
    "fact_rec": {"fact": lambda n: wrap(math.factorial(n)), "repeat": repeat, "main": lambda: repeat(500_000)},
    "sum_loop": {"sum": sum_loop, "main": lambda: sum_loop(10_000_000)},
    "mul_loop": {"product": product, "main": lambda: product(10_000_000)},
    "prime_count": {"is_prime": lambda n: sieve(n)[n], "primes": lambda n: sum(sieve(n)),
                    "main": lambda: sum(sieve(200_000))},
    "gcd": {"gcd": lambda a, b: wrap(math.gcd(a, b)),
            "gcd_sum": lambda n: sum(math.gcd(a, b) for a in range(1, n + 1) for b in range(1, n + 1)),
            "main": lambda: sum(math.gcd(a, b) for a in range(1, 1001) for b in range(1, 1001))},
    "collatz": {"chain": chain, "longest": longest, "main": lambda: longest(100_000)},
    "ackermann": {"ack": ack, "main": lambda: ack(3, 9)},
    "mandelbrot": {"escape": escape, "mandel": mandel, "main": lambda: mandel(256, 256, 200)},
    "spectral_norm": {"a": matrix, "norm": norm, "main": lambda: norm(2000)},
    "lcg": {"next": lambda x: wrap(x * MUL + INC), "lcg": lcg, "main": lambda: lcg(10_000_000, 42)},
    "f64_series": {"leibniz": leibniz, "harmonic": harmonic, "exp": exp,
                   "series": lambda n: leibniz(n) + harmonic(n),
                   "main": lambda: leibniz(5_000_000) + harmonic(5_000_000)},
    "switch_machine": {"pick": lambda x: {0: 10, 1: 20, 2: 10, 3: 30}.get(x, -1), "machine": machine,
                       "main": lambda: machine(5_000_000, 1)},
    "mutual_rec": {"female": lambda n: hofstadter(n)[0][n], "male": lambda n: hofstadter(n)[1][n],
                   "main": lambda: hofstadter(MUTUAL_N)[0][MUTUAL_N]},
    "tail_loop": {"spin": spin, "swap": swap, "main": lambda: spin(10_000_000, 0)},
    "even_odd": {"even": lambda n: int(n % 2 == 0), "odd": lambda n: n % 2,
                 "even_mix": lambda n, acc: mix_pair(n, acc, False), "odd_mix": lambda n, acc: mix_pair(n, acc, True),
                 "main": lambda: mix_pair(10_000_000, 1, False)},
    "params_40": {
        "ints_first": lambda: weigh([1000 + 7 * k * k for k in range(17)], [k * k + 0.25 for k in range(18)],
                                    [False, True, True, True, False]),
        "spread": lambda seed: weigh(*setup(seed)), "permuted": permuted, "rotated": rotated,
        "reversed": lambda n, seed: weigh(*(v[::-1] if n % 2 else v for v in setup(seed))),
        "swap_pairs": lambda seed: weigh(*(pairs_swapped(v) for v in setup(seed))), "main": params_main},
    "many_regs": {"mix": mix, "churn": churn, "fsum": fsum, "main": lambda: churn(40_000, 7)},
    "big_60k": {"big": lambda n, seed, skip: big()[1](n, seed, skip),
                "main": lambda: big()[1](*gen_big_60k.MAIN, 0)},
    "wide_frame": {"wide": lambda n, seed: wide_frame()[1](n, seed)},
    "print_host": {"countdown": lambda n: n * (n + 1) // 2, "thirds": thirds, "main": lambda: printed().count("\n")},
    "globals_tables": {
        "reset": lambda: None, "get_hits": lambda: 7, "get_low": lambda: -(1 << 63), "get_zero": lambda: 0,
        "get_bits": lambda: wrap(0xFEDCBA9876543210), "get_ratio": lambda: 2.5, "get_nothing": lambda: 0.0,
        "get_huge": lambda: -INF, "get_tag": lambda: "abc", "get_int": lambda: -(1 << 47), "get_float": lambda: 1.0,
        "get_flag": lambda: True, "get_none": lambda: None, "get_no_text": lambda: None, "bump": lambda n: 7 + n,
        "bump_then_reset": lambda n: (7 + n) * 100 + 0, "swap_hits_low": lambda: wrap(-(1 << 63) - 7),
        "scale": lambda x: 2.5 * x, "stored_nan_bits": lambda: CANONICAL_NAN,
        "stored_minus_zero": lambda: -(1 << 63), "retag": lambda k: "12345" if k else None,
        "set_in_callee": lambda x: x, "is_null": lambda k: int(k == 1),
        "days_in": days_in, "day_of_year": lambda y, m, d: datetime.date(y, m, d).timetuple().tm_yday,
        "limits": lambda k: [-(1 << 63), (1 << 63) - 1, -1, 0, -(1 << 63) + 1][k], "only": lambda k: [42][k],
        "main": globals_main},
    "traps": {
        # fma(2, 2, 2) = 6
        "wide_ops": lambda k: 6, "user_if": lambda k: k, "outer": lambda y: 1000 // y + 1, "div": signed_div,
        "rem": signed_rem, "udiv": lambda x, y: wrap((x & M) // (y & M)), "urem": lambda x, y: wrap((x & M) % (y & M)),
        "div_k": lambda x: signed_div(x, 2), "div_k_minus_1": lambda x: wrap(-x), "rem_k": lambda x: signed_rem(x, -4),
        "rem_k_minus_1": lambda x: 0, "udiv_k": lambda x: wrap((x & M) // 10),
        "udiv_k_minus_1": lambda x: (x & M) // M, "urem_k": lambda x: (x & M) % 1000, "not_run": lambda k: 0,
        "same": lambda x: 1, "lookup": lambda k: [100, -200, (1 << 63) - 1][k],
        "deep": lambda n: n * (n + 1) // 2, "calls_wide": lambda: 11, "tails_wide": lambda: 11,
        "with_deopt": lambda x: 100 // x + x},
    "floats": {
        "add": add, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": div, "min": fmin, "max": fmax,
        "copysign": copysign, "floor": rounded(math.floor), "ceil": rounded(math.ceil), "trunc": rounded(math.trunc),
        "nearest": rounded(round), "sqrt": sqrt, "abs": abs, "neg": lambda x: -x, "fma": fma,
        "mul_add": lambda x, y, z: x * y + z, **COMPARE, **{f"br_{k}": f for k, f in COMPARE.items()},
        "select": lambda c, x, y: x if c else y, "to_i64": to_i64, "to_f64": float, "bits": bits,
        "from_bits": from_bits, "nan_bits": lambda x: bits(from_bits(x)), "invalid_bits": lambda x: bits(-(x - x)),
        "copysign_neg_nan": abs,
        "neg_nan_abs_bits": lambda x: bits(abs(-from_bits(x))),
        "literal": lambda k: LITERALS[k] if k < len(LITERALS) else -3.0},
}
MUTUAL_N = 115

# Why each trap is where its line says; the op index counts the lines of the function from 0. The limits stand before a
# call that is made with several.
TRAPS = {
    "traps": {
        "unreachable()": "unreachable in unreachable at 0",  # the only op
        "later()": "unreachable in later at 3",  # behind nop, const, add; labels and local lines do not count
        "wide_ops(1)": "unreachable in wide_ops at 8",  # its comments number the ops
        "user_0()": "user(0) in user_0 at 0",  # the only op
        "user_max()": "user(65535) in user_max at 1",  # behind a nop
        "user_if(1)": "user(1) in user_if at 6",  # its comments number the ops
        "user_if(2)": "user(200) in user_if at 4",
        "user_if(-1)": "user(999) in user_if at 5",
        "outer(0)": "division_by_zero in div at 0",  # the callee divides
        "outer_tail(0)": "division_by_zero in div at 0",
        "after_call(1)": "division_by_zero in after_call at 1",  # the caller divides, behind its call
        "div(1, 0)": "division_by_zero in div at 0",
        "div(0, 0)": "division_by_zero in div at 0",
        "rem(-9223372036854775808, 0)": "division_by_zero in rem at 1",  # behind one nop
        "udiv(1, 0)": "division_by_zero in udiv at 0",
        "urem(1, 0)": "division_by_zero in urem at 2",  # behind two nops
        "div_k0(3)": "division_by_zero in div_k0 at 0",
        "rem_k0(3)": "division_by_zero in rem_k0 at 1",  # behind a nop
        "udiv_k0(3)": "division_by_zero in udiv_k0 at 0",
        "urem_k0(0)": "division_by_zero in urem_k0 at 1",  # behind a nop
        "not_run(1)": "division_by_zero in not_run at 1",  # behind the branch that k = 0 takes
        "dead_result(0)": "division_by_zero in dead_result at 0",  # a division traps whether or not it is used
        "same(0)": "division_by_zero in same at 0",
        "loop_div(3)": "division_by_zero in loop_div at 2",  # const, sub, div
        "lookup(3)": "out_of_bounds in lookup at 0",  # the table has three entries
        "lookup(-1)": "out_of_bounds in lookup at 0",
        "lookup(4294967296)": "out_of_bounds in lookup at 0",  # 2^32 is not 0
        "lookup(-9223372036854775808)": "out_of_bounds in lookup at 0",
        "lookup(2305843009213693952)": "out_of_bounds in lookup at 0",  # 8 * 2^61 wraps to 0
        "lookup_twice(2)": "out_of_bounds in lookup_twice at 1",  # entry 2 is no index itself
        "lookup_twice(3)": "out_of_bounds in lookup_twice at 0",
        "dead_lookup(3)": "out_of_bounds in dead_lookup at 0",
        "deep(1000000)": "stack_overflow in deep at 2",  # branch, sub, call; 4096 bytes hold no million frames
        "deep(100000000)": "stack_overflow in deep at 2",  # nor does 1 MiB hold a hundred million
        "forever(1, 2.5)": "stack_overflow in forever at 3",  # const, fma, nop, call
        # 600 registers of 8 bytes do not fit 4096, which the caller finds.
        "calls_wide()": "stack_overflow in calls_wide at 1",
        "tails_wide()": "stack_overflow in tails_wide at 1",
        "wide()": "stack_overflow in wide at 0",  # called by the host
        "with_deopt(0)": "division_by_zero in with_deopt at 3",  # deopt, const, deopt, div
    },
    "globals_tables": {
        "days_in(2000, 0)": "out_of_bounds in days_in at 9",  # its comments number the ops; the index is -1
        "days_in(2000, 13)": "out_of_bounds in days_in at 9",  # the index is 12
        "only(1)": "out_of_bounds in only at 0",
    },
}


for part in (expect_kernels, expect_text, expect_cells):
    REFERENCES |= part.REFERENCES
    TRAPS |= part.TRAPS


CALL = r"[\w.$]+\((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*\)"
LINE = re.compile(f"(?P<call>{CALL})(?: = (?P<value>.+)| traps (?P<trap>.+))?")


def expectation(stem, call):
    """The result of a call such as `fib(20)`, as text."""
    name, arguments = call[:-1].split("(", 1)
    return text(REFERENCES[stem][name](*literals(arguments)))


def trap_of(stem, call):
    """The trap that the reference raises for a call, `None` if there is none."""
    try:
        expectation(stem, call)
    except Trap as trap:
        return str(trap)
    except Exception:  # a reference need not be defined where `TRAPS` is to say what happens
        return None


def check(path, errors):
    stem, seen, count, limits = path.stem, set(), 0, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.startswith(";!"):
            if limits:
                errors.append(f"{path.name}:{number}: `with` has no call on the next line")
            limits = ""
            continue
        body = line[2:].strip()
        where = f"{path.name}:{number}: {body}"
        if body.startswith("with "):
            limits = body
            if not re.fullmatch(r"with( (stack|heap|fuel)=\d+)+", body):
                errors.append(f"{where}: not a list of limits")
            continue
        given, limits = limits, ""
        count += 1
        line = LINE.fullmatch(body)
        if not line:
            errors.append(f"{where}: not a call with its outcome")
            continue
        call, stated = line["call"], line["value"]
        if line["trap"]:
            traps = TRAPS.get(stem, {})
            key = f"{given}: {call}" if f"{given}: {call}" in traps else call
            seen.update((key, call.split("(")[0]))
            trap = traps.get(key) or trap_of(stem, call)
            if trap != line["trap"]:
                errors.append(f"{where}: expected `{trap}`")
            continue
        name = call.split("(")[0]
        seen.add(name)
        if name not in REFERENCES.get(stem, {}):
            errors.append(f"{where}: no reference")
            continue
        value = expectation(stem, call)
        # `reset` has no result, so its lines state none.
        if stated != (None if (stem, name) == ("globals_tables", "reset") else value):
            errors.append(f"{where}: expected {value}")
    for name in {*REFERENCES.get(stem, {}), *TRAPS.get(stem, {})} - seen:
        errors.append(f"{path.name}: {name} is never called")
    return count


def main():
    errors, count = [], 0
    paths = sorted(HERE.glob("*.vm3"))
    for path in paths:
        count += check(path, errors)
    for stem in REFERENCES.keys() - {path.stem for path in paths}:
        errors.append(f"{stem}.vm3: missing")
    outputs = {"print_host": printed(), **expect_text.PRINTED}
    for path in paths:
        if path.stem in outputs and path.with_suffix(".stdout").read_text() != outputs[path.stem]:
            errors.append(f"{path.stem}.stdout: not what main prints")
    if (HERE / "big_60k.vm3").read_text() != gen_big_60k.render(*big()):
        errors.append("big_60k.vm3: not what gen_big_60k.py writes")
    if (HERE / "wide_frame.vm3").read_text() != gen_wide_frame.render(*wide_frame()):
        errors.append("wide_frame.vm3: not what gen_wide_frame.py writes")
    print(*errors, sep="\n", end="\n" if errors else "")
    print(f"{count} expectations in {len(paths)} files, {len(errors)} wrong")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
