#!/usr/bin/env python3
"""Writes big_60k.vm3: one function of 60,000 ops, with its expectations.

`python3 gen_big_60k.py` rewrites the file beside this script. The ops are drawn from a seeded generator, and each comes
with a line of Python that says what it does; the expectations are what those lines compute, in Python's exact integers
and IEEE floats. Only one-word ops but for a few hundred are used, so the function stays below 65,536 words.
"""

import math
import pathlib
import random
import struct

OPS = 60_000
INTS = [f"x{k}" for k in range(14)]
FLOATS = [f"y{k}" for k in range(10)]
M = (1 << 64) - 1
CASES = [(0, 5, 0), (3, 5, 1), (1, 5, 0), (2, -1, 0), (10, 123456789, 0)]
MAIN = (200, 1)


def signed(x):
    return x - (1 << 64) if x >> 63 else x


def truncated(x, y):
    """Quotient and remainder of signed x by signed y, truncated, both as 64-bit patterns."""
    q = abs(x) // abs(y)
    if (x < 0) != (y < 0):
        q = -q
    return q & M, (x - q * y) & M


def rotl(x, n):
    return ((x << n) | (x >> (64 - n))) & M if n else x


def to_i64(y):
    if y != y:
        return 0
    return max(-(1 << 63), min((1 << 63) - 1, int(y))) & M if abs(y) != math.inf else (1 << 63) - (y > 0)


def bits(y):
    return struct.unpack("<Q", struct.pack("<d", y))[0] if y == y else 0x7FF8000000000000


def fmin(x, y):
    if x == y:
        return x if math.copysign(1, x) < 0 else y
    return min(x, y)


def fmax(x, y):
    if x == y:
        return y if math.copysign(1, x) < 0 else x
    return max(x, y)


ENV = dict(M=M, S=signed, T=truncated, R=rotl, I=to_i64, B=bits, fmin=fmin, fmax=fmax, math=math)


def int_op(r):
    """One op with an i64 destination: its text and its meaning; registers hold 64-bit patterns."""
    d, x, y = (r.choice(INTS) for _ in range(3))
    k = r.choice([1, 2, 3, 7, 10, 127, 128, 255, 1000, 32767, -1, -2, -5, -128, -129, -32768])
    n = r.randrange(64)
    f, g = r.choice(FLOATS), r.choice(FLOATS)
    big = r.getrandbits(64)
    cmp, sign = r.choice([("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")])
    u = k & M
    return r.choice([
        (f"i64.add {d}, {x}, {y}", f"{d} = ({x} + {y}) & M"),
        (f"i64.sub {d}, {x}, {y}", f"{d} = ({x} - {y}) & M"),
        (f"i64.mul {d}, {x}, {y}", f"{d} = ({x} * {y}) & M"),
        (f"i64.and {d}, {x}, {y}", f"{d} = {x} & {y}"),
        (f"i64.or {d}, {x}, {y}", f"{d} = {x} | {y}"),
        (f"i64.xor {d}, {x}, {y}", f"{d} = {x} ^ {y}"),
        (f"i64.add {d}, {x}, {k}", f"{d} = ({x} + {u}) & M"),
        (f"i64.sub {d}, {x}, {k}", f"{d} = ({x} - {u}) & M"),
        (f"i64.mul {d}, {x}, {k}", f"{d} = ({x} * {u}) & M"),
        (f"i64.xor {d}, {x}, {k}", f"{d} = {x} ^ {u}"),
        (f"i64.and {d}, {x}, {k}", f"{d} = {x} & {u}"),
        (f"i64.div {d}, {x}, {k}", f"{d} = T(S({x}), {k})[0]"),
        (f"i64.rem {d}, {x}, {k}", f"{d} = T(S({x}), {k})[1]"),
        (f"i64.udiv {d}, {x}, {k}", f"{d} = {x} // {u}"),
        (f"i64.urem {d}, {x}, {k}", f"{d} = {x} % {u}"),
        (f"i64.shl {d}, {x}, {n}", f"{d} = ({x} << {n}) & M"),
        (f"i64.shr {d}, {x}, {n}", f"{d} = (S({x}) >> {n}) & M"),
        (f"i64.ushr {d}, {x}, {n}", f"{d} = {x} >> {n}"),
        (f"i64.rotl {d}, {x}, {n}", f"{d} = R({x}, {n})"),
        (f"i64.shl {d}, {x}, {y}", f"{d} = ({x} << ({y} & 63)) & M"),
        (f"i64.shr {d}, {x}, {y}", f"{d} = (S({x}) >> ({y} & 63)) & M"),
        (f"i64.ushr {d}, {x}, {y}", f"{d} = {x} >> ({y} & 63)"),
        (f"i64.rotl {d}, {x}, {y}", f"{d} = R({x}, {y} & 63)"),
        (f"i64.min {d}, {x}, {y}", f"{d} = min(S({x}), S({y})) & M"),
        (f"i64.max {d}, {x}, {y}", f"{d} = max(S({x}), S({y})) & M"),
        (f"i64.neg {d}, {x}", f"{d} = -{x} & M"),
        (f"i64.not {d}, {x}", f"{d} = {x} ^ M"),
        (f"i64.clz {d}, {x}", f"{d} = 64 - {x}.bit_length()"),
        (f"i64.ctz {d}, {x}", f"{d} = ({x} & -{x}).bit_length() - 1 if {x} else 64"),
        (f"i64.popcnt {d}, {x}", f"{d} = {x}.bit_count()"),
        (f"i64.{cmp} {d}, {x}, {y}", f"{d} = int(S({x}) {sign} S({y}))"),
        (f"i64.{cmp} {d}, {x}, {k}", f"{d} = int(S({x}) {sign} {k})"),
        (f"i64.ult {d}, {x}, {y}", f"{d} = int({x} < {y})"),
        (f"i64.uge {d}, {x}, {k}", f"{d} = int({x} >= {u})"),
        (f"i64.const {d}, {signed(big)}", f"{d} = {big}"),
        (f"i64.const {d}, {k}", f"{d} = {u}"),
        (f"i64.mov {d}, {x}", f"{d} = {x}"),
        (f"f64.to_i64 {d}, {f}", f"{d} = I({f})"),
        (f"f64.bits {d}, {f}", f"{d} = B({f})"),
        (f"f64.{cmp} {d}, {f}, {g}", f"{d} = int({f} {sign} {g})"),
    ])


def float_op(r):
    """One op with an f64 destination. No op makes a NaN, and what may grow is cut down again by the min and max below."""
    d, x, y = (r.choice(FLOATS) for _ in range(3))
    i = r.choice(INTS)
    c = r.choice([0.5, -1.25, 3.0, 1e-3, 65536.5, -0.0])
    return r.choice([
        (f"f64.add {d}, {x}, {y}", f"{d} = {x} + {y}"),
        (f"f64.sub {d}, {x}, {y}", f"{d} = {x} - {y}"),
        (f"f64.min {d}, {x}, {y}", f"{d} = fmin({x}, {y})"),
        (f"f64.max {d}, {x}, {y}", f"{d} = fmax({x}, {y})"),
        (f"f64.copysign {d}, {x}, {y}", f"{d} = math.copysign({x}, {y})"),
        (f"f64.neg {d}, {x}", f"{d} = -{x}"),
        (f"f64.abs {d}, {x}", f"{d} = abs({x})"),
        (f"f64.mov {d}, {x}", f"{d} = {x}"),
        (f"f64.const {d}, {c}", f"{d} = {c}"),
        (f"i64.to_f64 {d}, {i}", f"{d} = float(S({i}))"),
        (f"i64.to_f64 {d}, {i}", f"{d} = float(S({i}))"),
    ])


def pieces(r):
    """Yields runs of (text lines, Python lines, number of ops) without end."""
    label = 0
    while True:
        kind = r.random()
        if kind < 0.04:
            # `seed` runs through everything as the accumulator; what it meets keeps the registers from settling.
            d, x = r.choice(INTS), r.choice(INTS)
            yield (["i64.mul seed, seed, 31", f"i64.add seed, seed, {x}", f"i64.add {d}, {d}, seed"],
                   [f"seed = (seed * 31 + {x}) & M", f"{d} = ({d} + seed) & M"], 3)
        elif kind < 0.62:
            text, py = int_op(r)
            yield [text], [py], 1
        elif kind < 0.86:
            text, py = float_op(r)
            yield [text], [py], 1
        elif kind < 0.88:
            x, y = r.choice(FLOATS), r.choice(FLOATS)
            d = r.choice(FLOATS)
            # The square of a root lies near its operand, so products stay finite.
            yield ([f"f64.abs {d}, {x}", f"f64.sqrt {d}, {d}", f"f64.mul {d}, {d}, {d}"],
                   [f"{d} = abs({x})", f"{d} = math.sqrt({d})", f"{d} = {d} * {d}"], 3)
        elif kind < 0.90:
            d, x, one = r.sample(FLOATS, 3)
            yield ([f"f64.const {one}, 1.5", f"f64.abs {d}, {x}", f"f64.max {d}, {d}, {one}", f"f64.div {d}, {one}, {d}"],
                   [f"{one} = 1.5", f"{d} = abs({x})", f"{d} = fmax({d}, {one})", f"{d} = {one} / {d}"], 4)
        elif kind < 0.91:
            d, x, y, z = (r.choice(INTS) for _ in range(4))
            yield [f"i64.select {d}, {z}, {x}, {y}"], [f"{d} = {x} if {z} else {y}"], 1
        elif kind < 0.92:
            d, c = r.choice(INTS), r.choice(INTS)
            x = r.choice(INTS)
            yield ([f"i64.or {c}, {c}, 1", f"i64.div {d}, {x}, {c}", f"i64.urem {x}, {x}, {c}"] if d != c else
                   [f"i64.or {c}, {c}, 1"],
                   [f"{c} = {c} | 1", f"{d} = T(S({x}), S({c}))[0]", f"{x} = {x} % ({c})"] if d != c else
                   [f"{c} = {c} | 1"], 3 if d != c else 1)
        else:
            label += 1
            x, y = r.choice(INTS), r.choice(INTS)
            k = r.choice([0, 1, -1, 100, -32768, 32767])
            f, g = r.choice(FLOATS), r.choice(FLOATS)
            cond, inverse = r.choice([
                (f"br.i64.lt {x}, {y}", f"S({x}) >= S({y})"), (f"br.i64.gt {x}, {k}", f"S({x}) <= {k}"),
                (f"br.i64.eq {x}, {k}", f"S({x}) != {k}"), (f"br.i64.uge {x}, {y}", f"{x} < {y}"),
                (f"br.i64.ult {x}, {k}", f"{x} >= {k & M}"), (f"br.f64.lt {f}, {g}", f"{f} >= {g}"),
                (f"br.f64.ne {f}, {g}", f"{f} == {g}"), ("jump", "False"),
            ])
            inner = [(int_op if r.random() < 0.7 else float_op)(r) for _ in range(r.randint(1, 5))]
            yield ([f"{cond}{',' if cond != 'jump' else ''} l{label}"] + [t for t, _ in inner] + [f"l{label}:"],
                   [f"if {inverse}:"] + [f"    {p}" for _, p in inner], 1 + len(inner))


def build():
    """The text of the function's body and the equivalent Python function."""
    r = random.Random(60_000)
    text, py = [], []
    head = []
    head_py = []
    for k, x in enumerate(INTS):
        head.append(f"i64.mul {x}, seed, {2 * k + 1}")
        head_py.append(f"{x} = seed * {2 * k + 1} & M")
    for k, y in enumerate(FLOATS):
        head.append(f"i64.to_f64 {y}, x{k}")
        head_py.append(f"{y} = float(S(x{k}))")
    tail = ["i64.sub n, n, 1", "br.i64.gt n, 0, again", "out:"]
    checksum, checksum_py = [], []
    for x in [*INTS[1:], "seed"]:
        checksum += ["i64.mul x0, x0, 31", f"i64.add x0, x0, {x}"]
        checksum_py += [f"x0 = (x0 * 31 + {x}) & M"]
    for y in FLOATS:
        checksum += [f"f64.bits x1, {y}", "i64.mul x0, x0, 31", "i64.add x0, x0, x1"]
        checksum_py += [f"x0 = (x0 * 31 + B({y})) & M"]
    checksum += ["ret x0"]
    # Two branches over the whole body, and the two ops that close the loop.
    left = OPS - len(head) - 2 - 2 - len(checksum)
    for lines, meaning, count in pieces(r):
        if count > left:
            lines, meaning, count = ["nop"], [], 1
        text += lines
        py += meaning
        left -= count
        if left == 0:
            break
    ops = head + ["br.i64.ne skip, 0, out", "br.i64.le n, 0, out", "again:"] + text + tail + checksum
    assert sum(not line.endswith(":") for line in ops) == OPS
    source = ["def big(n, seed, skip):", "    seed &= M"] + [f"    {p}" for p in head_py]
    source += ["    for _ in range(0 if skip else n):"] + [f"        {p}" for p in py]
    source += [f"    {p}" for p in checksum_py] + ["    return S(x0)"]
    env = dict(ENV)
    exec("\n".join(source), env)
    return ops, env["big"]


def render(ops, big):
    lines = [
        f"; A function of {OPS} ops: a loop around almost all of them, a branch forward over them, short branches among them.",
        "; Generated by gen_big_60k.py, which also computes the expected values, in Python; do not edit.",
        "",
    ]
    lines += [f";! big({n}, {seed}, {skip}) = {big(n, seed, skip)}" for n, seed, skip in CASES]
    lines += [f";! main() = {big(*MAIN, 0)}", "", "func big(n: i64, seed: i64, skip: i64) -> i64"]
    lines += ["  local " + ", ".join(f"{x}: i64" for x in half) for half in (INTS[:7], INTS[7:])]
    lines += ["  local " + ", ".join(f"{y}: f64" for y in FLOATS)]
    lines += [line if line.endswith(":") else f"  {line}" for line in ops]
    lines += ["end", "", "func main() -> i64", "  local n: i64, seed: i64, skip: i64, r: i64", f"  i64.const n, {MAIN[0]}",
              f"  i64.const seed, {MAIN[1]}", "  call r, big(n, seed, skip)", "  ret r", "end"]
    return "\n".join(lines) + "\n"


def main():
    path = pathlib.Path(__file__).with_name("big_60k.vm3")
    path.write_text(render(*build()))


if __name__ == "__main__":
    main()
