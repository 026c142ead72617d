//! The numeric programs of `tests/programs` in Rust: the same algorithms with the same loops, as rustc compiles them, for
//! the benchmark to compare with.
//!
//! Each function takes the size that the program's own function takes. A harness must pass sizes through
//! `core::ptr::read_volatile`, so that none is known at compile time. Integers wrap as vm3's do. The two programs of tail
//! calls are loops here, because Rust does not promise tail calls.

/// A kernel's result, in the bank that the program returns it in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    I64(i64),
    F64(f64),
}

/// One kernel and the program that it mirrors.
pub struct Kernel {
    /// The stem of the program's file in `tests/programs`.
    pub file: &'static str,
    /// The function in that file that computes the same.
    pub function: &'static str,
    /// The arguments with which the program's `main` calls that function; its result is the expectation of `main`.
    pub main: &'static [i64],
    /// The arguments for a benchmark: some 10 to 200 ms of native code.
    pub bench: &'static [i64],
    /// Runs the kernel. A missing argument counts as 0.
    pub run: fn(&[i64]) -> Value,
}

fn arg(args: &[i64], index: usize) -> i64 {
    args.get(index).copied().unwrap_or(0)
}

macro_rules! kernel {
    ($file:literal, $function:literal, $bank:ident, $name:ident($($index:literal),*), $main:expr, $bench:expr) => {
        Kernel {
            file: $file,
            function: $function,
            main: &$main,
            bench: &$bench,
            run: |args| Value::$bank($name($(arg(args, $index)),*)),
        }
    };
}

#[path = "heap_kernels.rs"]
mod heap;

#[allow(unused_imports, reason = "not all who use this file need all kernels")]
pub use heap::HEAP_KERNELS;

/// Every kernel that needs no heap.
pub const KERNELS: &[Kernel] = &[
    kernel!("fib_iter", "fib", I64, fib_iter(0), [20_000_000], [150_000_000]),
    kernel!("fib_rec", "fib", I64, fib_rec(0), [32], [32]),
    kernel!("fact_rec", "repeat", I64, fact_rec(0), [500_000], [4_000_000]),
    kernel!("sum_loop", "sum", I64, sum_loop(0), [10_000_000], [100_000_000]),
    kernel!("mul_loop", "product", I64, mul_loop(0), [10_000_000], [30_000_000]),
    kernel!("prime_count", "primes", I64, prime_count(0), [200_000], [200_000]),
    kernel!("gcd", "gcd_sum", I64, gcd(0), [1_000], [1_200]),
    kernel!("collatz", "longest", I64, collatz(0), [100_000], [300_000]),
    kernel!("ackermann", "ack", I64, ackermann(0, 1), [3, 9], [3, 9]),
    kernel!("mandelbrot", "mandel", I64, mandelbrot(0, 1, 2), [256, 256, 200], [400, 400, 50]),
    kernel!("spectral_norm", "norm", F64, spectral_norm(0), [2_000], [5_000]),
    kernel!("lcg", "lcg", I64, lcg(0, 1), [10_000_000, 42], [30_000_000, 42]),
    kernel!("f64_series", "series", F64, f64_series(0), [5_000_000], [10_000_000]),
    kernel!("switch_machine", "machine", I64, switch_machine(0, 1), [5_000_000, 1], [5_000_000, 1]),
    kernel!("mutual_rec", "female", I64, mutual_rec(0), [115], [125]),
    kernel!("tail_loop", "spin", I64, tail_loop(0, 1), [10_000_000, 0], [50_000_000, 0]),
    kernel!("even_odd", "even_mix", I64, even_odd(0, 1), [10_000_000, 1], [30_000_000, 1]),
];

pub fn fib_iter(mut n: i64) -> i64 {
    let (mut a, mut b) = (0i64, 1i64);
    while n > 0 {
        (a, b) = (b, a.wrapping_add(b));
        n -= 1;
    }
    a
}

pub fn fib_rec(n: i64) -> i64 {
    if n < 2 { n } else { fib_rec(n - 1).wrapping_add(fib_rec(n - 2)) }
}

fn fact(n: i64) -> i64 {
    if n < 2 { 1 } else { fact(n - 1).wrapping_mul(n) }
}

pub fn fact_rec(n: i64) -> i64 {
    let mut s = 0i64;
    let mut i = 0;
    while i < n {
        s = s.wrapping_mul(31).wrapping_add(fact((i & 15) + 12));
        i += 1;
    }
    s
}

pub fn sum_loop(n: i64) -> i64 {
    let mut s = 0i64;
    let mut i = 0i64;
    while i < n {
        s = s.wrapping_add(i ^ (s << 1));
        i += 1;
    }
    s
}

pub fn mul_loop(n: i64) -> i64 {
    let mut p = 1i64;
    let mut i = 1i64;
    while i <= n {
        p = p.wrapping_mul(i | 1).wrapping_add(i);
        i = i.wrapping_add(1);
    }
    p
}

fn is_prime(i: i64) -> bool {
    if i < 2 {
        return false;
    }
    if i < 4 {
        return true;
    }
    let mut d = 2i64;
    loop {
        if i.wrapping_rem(d) == 0 {
            return false;
        }
        d += 1;
        if d.wrapping_mul(d) > i {
            return true;
        }
    }
}

pub fn prime_count(n: i64) -> i64 {
    let mut count = 0;
    let mut i = 2;
    while i <= n {
        count += i64::from(is_prime(i));
        i += 1;
    }
    count
}

fn gcd_of(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a.wrapping_rem(b));
    }
    a.wrapping_abs()
}

pub fn gcd(n: i64) -> i64 {
    let mut s = 0i64;
    let mut a = 1;
    while a <= n {
        let mut b = 1;
        while b <= n {
            s = s.wrapping_add(gcd_of(a, b));
            b += 1;
        }
        a += 1;
    }
    s
}

fn chain(mut x: i64) -> i64 {
    let mut steps = 0;
    while x > 1 {
        if x & 1 != 0 {
            x = x.wrapping_mul(3).wrapping_add(1);
            steps += 1;
        }
        x >>= 1;
        steps += 1;
    }
    steps
}

pub fn collatz(n: i64) -> i64 {
    let (mut best, mut best_len) = (0i64, -1);
    let mut i = 1;
    if i >= n {
        return 0;
    }
    while i < n {
        let len = chain(i);
        if len > best_len {
            (best, best_len) = (i, len);
        }
        i += 1;
    }
    best.wrapping_mul(1000).wrapping_add(best_len)
}

pub fn ackermann(m: i64, n: i64) -> i64 {
    if m == 0 {
        n + 1
    } else if n == 0 {
        ackermann(m - 1, 1)
    } else {
        ackermann(m - 1, ackermann(m, n - 1))
    }
}

fn escape(cx: f64, cy: f64, max: i64) -> i64 {
    let (mut x, mut y) = (0.0, 0.0);
    let mut i = 0;
    while i < max {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            break;
        }
        let xy = x * y;
        y = xy + xy + cy;
        x = xx - yy + cx;
        i += 1;
    }
    i
}

pub fn mandelbrot(w: i64, h: i64, max: i64) -> i64 {
    let mut sum = 0i64;
    let mut py = 0;
    while py < h {
        let cy = py as f64 * 2.0 / h as f64 - 1.0;
        let mut px = 0;
        while px < w {
            let cx = px as f64 * 3.0 / w as f64 - 2.0;
            sum = sum.wrapping_add(escape(cx, cy, max));
            px += 1;
        }
        py += 1;
    }
    sum
}

fn matrix(i: i64, j: i64) -> f64 {
    let s = i.wrapping_add(j);
    let t = (s.wrapping_mul(s.wrapping_add(1)) >> 1).wrapping_add(i).wrapping_add(1);
    1.0 / t as f64
}

pub fn spectral_norm(n: i64) -> f64 {
    let mut sum = 0.0;
    if n < 1 {
        return sum;
    }
    let mut i = 0;
    while i < n {
        let mut row = 0.0;
        let mut j = 0;
        while j < n {
            row += matrix(i, j);
            j += 1;
        }
        sum += row * row;
        i += 1;
    }
    (sum / n as f64).sqrt()
}

const MUL: i64 = 6_364_136_223_846_793_005;
const INC: i64 = 1_442_695_040_888_963_407;

pub fn lcg(mut n: i64, mut x: i64) -> i64 {
    let mut s = 0i64;
    while n > 0 {
        x = x.wrapping_mul(MUL).wrapping_add(INC);
        s = (s ^ (x as u64 >> 33) as i64).wrapping_add(x);
        n -= 1;
    }
    s
}

fn leibniz(mut n: i64) -> f64 {
    let (mut s, mut sign, mut d) = (0.0, 1.0, 1.0);
    while n > 0 {
        s += sign / d;
        sign = -sign;
        d += 2.0;
        n -= 1;
    }
    s * 4.0
}

fn harmonic(n: i64) -> f64 {
    let mut s = 0.0;
    let mut i = 1i64;
    while i <= n {
        s += 1.0 / i as f64;
        i += 1;
    }
    s
}

pub fn f64_series(n: i64) -> f64 {
    leibniz(n) + harmonic(n)
}

pub fn switch_machine(mut n: i64, mut x: i64) -> i64 {
    let (mut state, mut acc) = (0i64, 0i64);
    while n > 0 {
        x = x.wrapping_mul(MUL).wrapping_add(INC);
        let v = (x as u64 >> 60) as i64;
        match state {
            0 => {
                acc = acc.wrapping_add(v);
                state = v & 3;
            }
            1 => {
                acc ^= v << 5;
                state = (v >> 2) + 1;
            }
            2 => {
                acc = acc.wrapping_mul(3);
                state = if v < 8 { 0 } else { 5 };
            }
            3 => {
                acc = acc.rotate_left(7);
                state = (v & 1) + 4;
            }
            4 => {
                acc = acc.wrapping_sub(v);
                state = v % 6;
            }
            5 => {
                acc = acc.wrapping_mul(31).wrapping_add(v);
                state = i64::from(v == 7) + 2;
            }
            _ => unreachable!("the states are 0 to 5"),
        }
        n -= 1;
    }
    acc.wrapping_mul(8).wrapping_add(state)
}

pub fn mutual_rec(n: i64) -> i64 {
    if n <= 0 { 1 } else { n - male(mutual_rec(n - 1)) }
}

fn male(n: i64) -> i64 {
    if n <= 0 { 0 } else { n - mutual_rec(male(n - 1)) }
}

pub fn tail_loop(mut n: i64, mut acc: i64) -> i64 {
    while n > 0 {
        acc = (acc ^ n).wrapping_mul(3);
        n -= 1;
    }
    acc
}

pub fn even_odd(mut n: i64, mut acc: i64) -> i64 {
    loop {
        if n <= 0 {
            return acc;
        }
        acc = (acc ^ n).wrapping_mul(5);
        n -= 1;
        if n <= 0 {
            return !acc;
        }
        acc = acc.wrapping_add(n).rotate_left(9);
        n -= 1;
    }
}
