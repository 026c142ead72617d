//! The programs of arrays, maps and objects in Rust, see [`super`].

#![allow(clippy::needless_range_loop, clippy::manual_memcpy, reason = "the loops are those of the programs")]

use super::{Kernel, Value, arg};
use std::collections::HashMap;

/// The kernels whose programs need a heap.
pub const HEAP_KERNELS: &[Kernel] = &[
    kernel!("nsieve", "nsieve", I64, nsieve(0), [1_000_000], [4_000_000]),
    kernel!("fannkuch", "fannkuch", I64, fannkuch(0), [9], [9]),
    kernel!("matrix_mul", "matrix_mul", F64, matrix_mul(0), [120], [200]),
    kernel!("n_body", "n_body", F64, n_body(0), [20_000], [500_000]),
    kernel!("spectral_norm_arr", "norm", F64, spectral_norm_arr(0), [150], [600]),
    kernel!("map_fill_sum", "imap_fill_sum", I64, imap_fill_sum(0), [200_000], [200_000]),
    kernel!("binary_trees", "binary_trees", I64, binary_trees(0), [12], [13]),
    kernel!("quicksort", "quicksort", I64, quicksort(0), [100_000], [400_000]),
    kernel!("life", "life", I64, life(0, 1), [128, 50], [256, 200]),
    kernel!("brainfuck", "brainfuck", I64, brainfuck(0), [1], [8]),
];

/// An array of that length, which a program may not make negative.
fn array<T: Clone + Default>(len: i64) -> Vec<T> {
    vec![T::default(); usize::try_from(len).expect("a length")]
}

pub fn nsieve(n: i64) -> i64 {
    let mut flags: Vec<u8> = array(n);
    flags.fill(1);
    let n = flags.len();
    let mut count = 0;
    let mut i = 2;
    while i < n {
        if flags[i] != 0 {
            count += 1;
            let mut j = i + i;
            while j < n {
                flags[j] = 0;
                j += i;
            }
        }
        i += 1;
    }
    count
}

fn count_flips(p: &mut [i64]) -> i64 {
    let mut flips = 0;
    let mut k = p[0];
    while k != 0 {
        let (mut lo, mut hi) = (0, k as usize);
        while lo < hi {
            let (x, y) = (p[lo], p[hi]);
            p[lo] = y;
            p[hi] = x;
            lo += 1;
            hi -= 1;
        }
        flips += 1;
        k = p[0];
    }
    flips
}

pub fn fannkuch(n: i64) -> i64 {
    let (mut p, mut q, mut count): (Vec<i64>, Vec<i64>, Vec<i64>) = (array(n), array(n), array(n));
    let n = p.len();
    for i in 0..n {
        p[i] = i as i64;
    }
    let (mut sum, mut most, mut sign) = (0i64, 0i64, 1i64);
    let mut r = n;
    loop {
        while r > 1 {
            count[r - 1] = r as i64;
            r -= 1;
        }
        for i in 0..n {
            q[i] = p[i];
        }
        let flips = count_flips(&mut q);
        most = most.max(flips);
        sum += flips * sign;
        sign = -sign;
        loop {
            if r >= n {
                return sum * 100 + most;
            }
            let first = p[0];
            for i in 0..r {
                p[i] = p[i + 1];
            }
            p[r] = first;
            count[r] -= 1;
            if count[r] > 0 {
                break;
            }
            r += 1;
        }
    }
}

fn matrix(n: usize, plus: f64) -> Vec<f64> {
    let mut m = vec![0.0; n * n];
    let scale = (n * n) as f64;
    let mut k = 0;
    for i in 0..n as i64 {
        for j in 0..n as i64 {
            m[k] = ((i - j) * (i + j)) as f64 / scale + plus;
            k += 1;
        }
    }
    m
}

pub fn matrix_mul(n: i64) -> f64 {
    let n = usize::try_from(n).unwrap_or(0);
    let (a, b) = (matrix(n, 0.0), matrix(n, 1.0));
    let mut c = vec![0.0; n * n];
    let mut ct = 0;
    let mut row = 0;
    while row < n * n {
        for j in 0..n {
            let mut sum = 0.0;
            let mut bt = j;
            for at in row..row + n {
                sum += a[at] * b[bt];
                bt += n;
            }
            c[ct] = sum;
            ct += 1;
        }
        row += n;
    }
    let mut sum = 0.0;
    for x in c {
        sum += x;
    }
    sum
}

/// The sun, Jupiter, Saturn, Uranus and Neptune: places, speeds a day, masses in suns.
const BODIES: [[f64; 7]; 5] = [
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    [
        4.841_431_442_464_721,
        -1.160_320_044_027_428_4,
        -1.036_220_444_711_231_1e-1,
        1.660_076_642_744_037e-3,
        7.699_011_184_197_404e-3,
        -6.904_600_169_720_63e-5,
        9.547_919_384_243_266e-4,
    ],
    [
        8.343_366_718_244_58,
        4.124_798_564_124_305,
        -4.035_234_171_143_214e-1,
        -2.767_425_107_264_119e-3,
        4.998_528_012_349_172e-3,
        2.304_172_975_737_639_3e-5,
        2.858_859_806_661_308e-4,
    ],
    [
        1.289_436_956_213_913_1e1,
        -1.511_115_140_169_863_1e1,
        -2.233_075_788_926_557_3e-1,
        2.964_601_375_647_616e-3,
        2.378_471_739_594_809_5e-3,
        -2.965_895_685_402_375_6e-5,
        4.366_244_043_351_563e-5,
    ],
    [
        1.537_969_711_485_091_6e1,
        -2.591_931_460_998_796_4e1,
        1.792_587_729_503_711_8e-1,
        2.680_677_724_903_893_2e-3,
        1.628_241_700_382_423e-3,
        -9.515_922_545_197_159e-5,
        5.151_389_020_466_114_5e-5,
    ],
];

/// An array for each place, speed and mass.
struct System {
    x: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
    vx: Vec<f64>,
    vy: Vec<f64>,
    vz: Vec<f64>,
    m: Vec<f64>,
}

fn system() -> System {
    const YEAR: f64 = 365.24;
    const SUN: f64 = 39.478_417_604_357_43;
    let column = |k: usize, unit: f64| BODIES.iter().map(|body| body[k] * unit).collect::<Vec<f64>>();
    let m = column(6, SUN);
    let speeds = |k: usize| {
        let mut v = column(k, YEAR);
        v[0] = -(v.iter().zip(&m).fold(0.0, |p, (v, m)| p + v * m) / m[0]);
        v
    };
    let (vx, vy, vz) = (speeds(3), speeds(4), speeds(5));
    System { x: column(0, 1.0), y: column(1, 1.0), z: column(2, 1.0), vx, vy, vz, m }
}

fn advance(steps: i64, dt: f64, s: &mut System) {
    let System { x, y, z, vx, vy, vz, m } = s;
    let n = x.len();
    let mut steps = steps;
    while steps > 0 {
        for i in 0..n {
            let (xi, yi, zi, mi) = (x[i], y[i], z[i], m[i]);
            let (mut ui, mut vi, mut wi) = (vx[i], vy[i], vz[i]);
            for j in i + 1..n {
                let (dx, dy, dz) = (xi - x[j], yi - y[j], zi - z[j]);
                let d2 = dx * dx + dy * dy + dz * dz;
                let mag = dt / (d2 * d2.sqrt());
                let (mj, mi) = (m[j] * mag, mi * mag);
                ui -= dx * mj;
                vi -= dy * mj;
                wi -= dz * mj;
                vx[j] += dx * mi;
                vy[j] += dy * mi;
                vz[j] += dz * mi;
            }
            vx[i] = ui;
            vy[i] = vi;
            vz[i] = wi;
            x[i] = xi + ui * dt;
            y[i] = yi + vi * dt;
            z[i] = zi + wi * dt;
        }
        steps -= 1;
    }
}

pub fn n_body(steps: i64) -> f64 {
    let mut s = system();
    advance(steps, 0.01, &mut s);
    let System { x, y, z, vx, vy, vz, m } = &s;
    let mut e = 0.0;
    for i in 0..m.len() {
        e += 0.5 * m[i] * (vx[i] * vx[i] + vy[i] * vy[i] + vz[i] * vz[i]);
        for j in i + 1..m.len() {
            let (dx, dy, dz) = (x[i] - x[j], y[i] - y[j], z[i] - z[j]);
            e -= m[i] * m[j] / (dx * dx + dy * dy + dz * dz).sqrt();
        }
    }
    e
}

fn times(x: &[f64], y: &mut [f64], transposed: bool) {
    let n = x.len();
    for i in 0..n {
        let mut sum = 0.0;
        for j in 0..n {
            let s = i + j;
            let t = ((s * (s + 1)) >> 1) + if transposed { j } else { i } + 1;
            sum += 1.0 / t as i64 as f64 * x[j];
        }
        y[i] = sum;
    }
}

pub fn spectral_norm_arr(n: i64) -> f64 {
    let (mut u, mut v, mut t): (Vec<f64>, Vec<f64>, Vec<f64>) = (array(n), array(n), array(n));
    u.fill(1.0);
    for _ in 0..10 {
        times(&u, &mut t, false);
        times(&t, &mut v, true);
        times(&v, &mut t, false);
        times(&t, &mut u, true);
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).fold(0.0, |sum, (x, y)| sum + x * y);
    (dot(&u, &v) / dot(&v, &v)).sqrt()
}

pub fn imap_fill_sum(n: i64) -> i64 {
    const SPREAD: i64 = 2_654_435_769;
    let mut m = HashMap::<i64, i64>::new();
    let mut i = 0i64;
    while i < n {
        m.insert(i.wrapping_mul(SPREAD), i);
        i += 1;
    }
    let mut sum = 0i64;
    i = 0;
    while i < n {
        let value = m.get(&i.wrapping_mul(SPREAD)).copied().unwrap_or(0);
        sum = sum.wrapping_mul(31).wrapping_add(value);
        i += 1;
    }
    sum
}

#[derive(Default)]
struct Node {
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

fn build(depth: i64) -> Box<Node> {
    let mut node = Box::<Node>::default();
    if depth > 0 {
        node.left = Some(build(depth - 1));
        node.right = Some(build(depth - 1));
    }
    node
}

fn nodes(tree: &Node) -> i64 {
    match (&tree.left, &tree.right) {
        (Some(left), Some(right)) => nodes(left) + nodes(right) + 1,
        _ => 1,
    }
}

pub fn binary_trees(n: i64) -> i64 {
    let mut sum = nodes(&build(n + 1));
    let kept = build(n);
    let mut depth = 4;
    while depth <= n {
        for _ in 0..1i64 << (n - depth + 4) {
            sum += nodes(&build(depth));
        }
        depth += 2;
    }
    sum + nodes(&kept)
}

fn sort(a: &mut [i64], mut lo: i64, mut hi: i64) {
    while lo < hi {
        let pivot = a[((lo + hi) >> 1) as usize];
        let (mut i, mut j) = (lo, hi);
        while i <= j {
            while a[i as usize] < pivot {
                i += 1;
            }
            while a[j as usize] > pivot {
                j -= 1;
            }
            if i > j {
                break;
            }
            a.swap(i as usize, j as usize);
            i += 1;
            j -= 1;
        }
        if j - lo < hi - i {
            sort(a, lo, j);
            lo = i;
        } else {
            sort(a, i, hi);
            hi = j;
        }
    }
}

pub fn quicksort(n: i64) -> i64 {
    let mut a = Vec::with_capacity(usize::try_from(n).unwrap_or(0));
    let mut x = 42i64;
    for _ in 0..n {
        x = x.wrapping_mul(super::MUL).wrapping_add(super::INC);
        a.push(x >> 16);
    }
    let last = a.len() as i64 - 1;
    sort(&mut a, 0, last);
    let mut sum = 0i64;
    for (i, x) in (1i64..).zip(a) {
        sum = sum.wrapping_add(x.wrapping_mul(i));
    }
    sum
}

/// Makes the border of a grid of w by w cells repeat the other side.
fn border(a: &mut [u8], w: usize) {
    let last = w - 2;
    for i in 0..w {
        a[i] = a[last * w + i];
        a[(last + 1) * w + i] = a[w + i];
    }
    let mut i = 0;
    while i < w * w {
        a[i] = a[i + last];
        a[i + last + 1] = a[i + 1];
        i += w;
    }
}

fn generation(a: &[u8], b: &mut [u8], w: usize) {
    for row in 1..w - 1 {
        let (mut up, mut at, mut down) = ((row - 1) * w, row * w, (row + 1) * w);
        let stop = at + w - 2;
        let mut left = a[up] + a[at] + a[down];
        up += 1;
        at += 1;
        down += 1;
        let mut centre = a[at];
        let mut middle = a[up] + centre + a[down];
        while at <= stop {
            up += 1;
            down += 1;
            let next = a[at + 1];
            let right = a[up] + next + a[down];
            let all = left + middle + right;
            b[at] = u8::from((all - centre) | centre == 3);
            left = middle;
            middle = right;
            centre = next;
            at += 1;
        }
    }
}

pub fn life(n: i64, generations: i64) -> i64 {
    let n = usize::try_from(n).unwrap_or(0);
    let w = n + 2;
    let (mut a, mut b) = (vec![0u8; w * w], vec![0u8; w * w]);
    let mut s = 42i64;
    for y in 1..=n {
        for x in 1..=n {
            s = (s * 3877 + 29573) % 139_968;
            a[y * w + x] = u8::from(s < 46_656);
        }
    }
    if n > 0 {
        for _ in 0..generations {
            border(&mut a, w);
            generation(&a, &mut b, w);
            std::mem::swap(&mut a, &mut b);
        }
    }
    let mut h = 0i64;
    for y in 1..=n {
        for x in 1..=n {
            h = h.wrapping_mul(3).wrapping_add(i64::from(a[y * w + x]));
        }
    }
    h
}

const POWER: &str =
    "+++++++++++++[>+++++++++++++[>+++++++++++++[>+++++++++++++[>+++++++++++++[>+<-]<-]<-]<-]<-]>>>>>.>,[.,]";

/// The ops of a program, with the jump target of each.
fn compile(program: &str) -> (Vec<u8>, Vec<i64>) {
    let (mut ops, mut targets, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for c in program.bytes() {
        let Some(op) = b"><+-.,[]".iter().position(|&other| other == c) else { continue };
        let mut target = 0;
        if c == b'[' {
            open.push(ops.len());
        } else if c == b']' {
            let other = open.pop().expect("an open bracket");
            targets[other] = targets.len() as i64;
            target = other as i64;
        }
        ops.push(op as u8);
        targets.push(target);
    }
    ops.push(8);
    (ops, targets)
}

fn interpret(ops: &[u8], targets: &[i64], input: &[u8], out: &mut Vec<u8>) {
    let mut tape = vec![0u8; 30_000];
    let (mut pc, mut head, mut from) = (0, 0, 0);
    loop {
        let op = ops[pc];
        pc += 1;
        match op {
            0 => head += 1,
            1 => head -= 1,
            2 => tape[head] = tape[head].wrapping_add(1),
            3 => tape[head] = tape[head].wrapping_sub(1),
            4 => out.push(tape[head]),
            5 => {
                tape[head] = input.get(from).copied().unwrap_or(0);
                from += 1;
            }
            6 => {
                if tape[head] == 0 {
                    pc = targets[pc - 1] as usize + 1;
                }
            }
            7 => {
                if tape[head] != 0 {
                    pc = targets[pc - 1] as usize + 1;
                }
            }
            _ => return,
        }
    }
}

pub fn brainfuck(n: i64) -> i64 {
    let (ops, targets) = compile(POWER);
    let mut out = Vec::new();
    let mut input = String::new();
    for _ in 0..n {
        interpret(&ops, &targets, input.as_bytes(), &mut out);
        input.push('+');
    }
    out.iter().map(|&byte| i64::from(byte)).sum()
}
