"""References for the programs of arrays and trees; `expect.py` says how they are used."""

import heapq
import itertools
import math
import re
from collections import Counter
from functools import cache

from values import M, NAN, fold, horner, states, wrap


def primes_below(n):
    flags = bytearray([0, 0] + [1] * max(n - 2, 0))
    for d in range(2, math.isqrt(max(n, 0)) + 1):
        if flags[d]:
            flags[d * d::d] = bytes(len(flags[d * d::d]))
    return sum(flags[:max(n, 0)])


def pancakes(*p):
    flips = 0
    while p[0]:
        p = p[p[0]::-1] + p[p[0] + 1:]
        flips += 1
    return flips


def rotations(p, k):
    """The permutations that fannkuch makes of p by its first k + 1 elements, in its order."""
    if k < 1:
        yield p
        return
    for _ in range(k + 1):
        yield from rotations(p, k - 1)
        p = p[1:k + 1] + p[:1] + p[k + 1:]


def fannkuch(n):
    flips = [pancakes(*p) for p in rotations(tuple(range(n)), n - 1)]
    return 100 * (sum(flips[::2]) - sum(flips[1::2])) + max(flips)


@cache
def product(n):
    a = [[(i - j) * (i + j) / float(n * n) for j in range(n)] for i in range(n)]
    columns = list(zip(*[[x + 1.0 for x in row] for row in a]))
    return [[fold(x * y for x, y in zip(row, column)) for column in columns] for row in a]


PLANETS = """
4.84143144246472090e+00 -1.16032004402742839e+00 -1.03622044471123109e-01 1.66007664274403694e-03
7.69901118419740425e-03 -6.90460016972063023e-05 9.54791938424326609e-04
8.34336671824457987e+00 4.12479856412430479e+00 -4.03523417114321381e-01 -2.76742510726411899e-03
4.99852801234917238e-03 2.30417297573763929e-05 2.85885980666130812e-04
1.28943695621391310e+01 -1.51111514016986312e+01 -2.23307578892655734e-01 2.96460137564761618e-03
2.37847173959480950e-03 -2.96589568540237556e-05 4.36624404335156298e-05
1.53796971148509165e+01 -2.59193146099879641e+01 1.79258772950371181e-01 2.68067772490389322e-03
1.62824170038242295e-03 -9.51592254519715870e-05 5.15138902046611451e-05
"""


@cache
def system(steps):
    """Positions, speeds and masses behind some steps."""
    numbers = [0.0] * 6 + [1.0] + [float(word) for word in PLANETS.split()]
    bodies = [numbers[k:k + 7] for k in range(0, 35, 7)]
    at = [b[:3] for b in bodies]
    speed = [[v * 365.24 for v in b[3:6]] for b in bodies]
    mass = [b[6] * (4 * math.pi * math.pi) for b in bodies]
    speed[0] = [-(fold(v[k] * m for v, m in zip(speed, mass)) / mass[0]) for k in range(3)]
    dt = 0.01
    for _ in range(steps):
        for i in range(5):
            for j in range(i + 1, 5):
                d = [p - q for p, q in zip(at[i], at[j])]
                d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
                mag = dt / (d2 * math.sqrt(d2))
                speed[i] = [v - x * (mass[j] * mag) for v, x in zip(speed[i], d)]
                speed[j] = [v + x * (mass[i] * mag) for v, x in zip(speed[j], d)]
        at = [[x + v * dt for x, v in zip(p, s)] for p, s in zip(at, speed)]
    return at, speed, mass


def energy(steps):
    at, speed, mass = system(steps)
    e = 0.0
    for i in range(5):
        e += 0.5 * mass[i] * (speed[i][0] * speed[i][0] + speed[i][1] * speed[i][1] + speed[i][2] * speed[i][2])
        for j in range(i + 1, 5):
            d = [p - q for p, q in zip(at[i], at[j])]
            e -= mass[i] * mass[j] / math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    return e


def momentum(steps):
    _, speed, mass = system(steps)
    return fold(v[0] * m for v, m in zip(speed, mass))


def spectral(n):
    rows = [[1.0 / ((i + j) * (i + j + 1) // 2 + i + 1) for j in range(n)] for i in range(n)]
    columns = list(zip(*rows))

    def step(x):
        for m in (rows, columns):
            x = [fold(a * b for a, b in zip(row, x)) for row in m]
        return x
    u = [1.0] * n
    for _ in range(10):
        v = step(u)
        u = step(v)
    vv = fold(x * x for x in v)
    return math.sqrt(fold(x * y for x, y in zip(u, v)) / vv) if vv else NAN


def perfect(depth):
    """The nodes of a perfect tree; a negative depth gives a leaf."""
    return 2 ** (max(depth, 0) + 1) - 1


def trees(n):
    many = sum(perfect(d) << (n - d + 4) for d in range(4, n + 1, 2))
    return perfect(n + 1) + many + perfect(n)


def random(n):
    x, out = 42, []
    for _ in range(n):
        x = x * 6364136223846793005 + 1442695040888963407 & M
        out.append(wrap(x) >> 16)
    return out


def weighted(numbers):
    return wrap(sum(k * x for k, x in enumerate(sorted(numbers), 1)))


def floats(n):
    return fold(x / 2.0 ** 47 * k for k, x in enumerate(sorted(random(n)), 1))


KEYS = [{}, {"reverse": True}, {"key": lambda x: x % 10}, {"key": lambda x: x * 7 % 100},
        {"key": lambda x: x % 10, "reverse": True}, {"key": lambda x: (x % 10, -x)}]


def by_closures(n, which):
    return sorted((x % 100 for x in itertools.islice(states(), n)), **KEYS[which])


def brainfuck(program, text_in=b""):
    """Output and the last byte under the head."""
    source, depth = ["p, t, out, k = 0, [0] * 30000, bytearray(), 0"], 0
    for run in re.finditer(r"(.)\1*", re.sub(r"[^][<>+.,-]", "", program.decode())):
        n, c = len(run[0]), run[1]
        if c in "[]":
            for _ in range(n):
                source += [" " * depth + "while t[p]:"] if c == "[" else [" " * depth + "pass"]
                depth += 1 if c == "[" else -1
            continue
        step = {">": f"p += {n}", "<": f"p -= {n}", "+": f"t[p] = t[p] + {n} & 255", "-": f"t[p] = t[p] - {n} & 255",
                ".": f"out += bytes([t[p]]) * {n}", ",": f"k += {n}; t[p] = given[k - 1] if k <= len(given) else 0"}[c]
        source.append(" " * depth + step)
    names = {"given": text_in}
    exec("\n".join(source), names)
    return bytes(names["out"]), names["t"][names["p"]]


def powers(n):
    """13^5 is written by each of n runs, and then the run's input, which is one + longer each time."""
    return n * (13 ** 5 % 256) + 43 * sum(range(n))


def generations(cells, n, count):
    for _ in range(count):
        around = Counter(((x + dx) % n, (y + dy) % n) for x, y in cells for dx in (-1, 0, 1) for dy in (-1, 0, 1)
                         if (dx, dy) != (0, 0))
        cells = {cell for cell, k in around.items() if k == 3 or k == 2 and cell in cells}
    return cells


@cache
def life(n, count):
    if n < 1:
        return set()
    cells = {(k % n, k // n) for k, x in enumerate(itertools.islice(states(), n * n)) if x < 139968 // 3}
    return generations(cells, n, count)


def life_hash(n, count):
    cells = life(n, count)
    return horner([int((x, y) in cells) for y in range(n) for x in range(n)], 3)


def evolve(s, count):
    rows = s.decode().split()
    n = len(rows)
    cells = generations({(x, y) for y in range(n) for x in range(n) if rows[y][x] == "#"}, n, count)
    return "".join("".join(".#"[(x, y) in cells] for x in range(n)) + "\n" for y in range(n))


REFERENCES = {
    "nsieve": {"nsieve": primes_below, "main": lambda: primes_below(1_000_000)},
    "fannkuch": {"flips": pancakes, "fannkuch": fannkuch, "main": lambda: fannkuch(9)},
    "matrix_mul": {"matrix_mul": lambda n: fold(x for row in product(n) for x in row),
                   "element": lambda n, i, j: product(n)[i][j],
                   "main": lambda: fold(x for row in product(120) for x in row)},
    "n_body": {"n_body": energy, "momentum": momentum, "main": lambda: energy(20_000)},
    "spectral_norm_arr": {"norm": spectral, "main": lambda: spectral(150)},
    "binary_trees": {"count": perfect, "binary_trees": trees, "chain": lambda n: n, "dropped_chain": lambda n: n,
                     "main": lambda: trees(12)},
    "quicksort": {
        "quicksort": lambda n: weighted(random(n)), "sorted3": lambda *xs: " ".join(map(str, sorted(xs))),
        "sort_few": lambda n, m: weighted((x & M) % m for x in random(n)), "sort_rising": lambda n: weighted(range(n)),
        "sort_falling": lambda n: weighted(range(n)), "main": lambda: weighted(random(100_000))},
    "heapsort": {"heapsort": lambda n: weighted(random(n)), "floats": floats,
                 "largest": lambda n, k: wrap(sum(heapq.nlargest(k, random(n)))),
                 "main": lambda: weighted(random(100_000))},
    "sort_closures": {"sorted_text": lambda n, which: " ".join(map(str, by_closures(n, which))),
                      "sort_closures": lambda n, which: horner(by_closures(n, which), 31),
                      "main": lambda: horner([horner(by_closures(10_000, which), 31) for which in range(6)], 31)},
    "brainfuck": {"output": lambda *args: brainfuck(*args)[0], "final": lambda *args: brainfuck(*args)[1],
                  "brainfuck": powers, "main": lambda: powers(1)},
    "life": {"population": lambda n, count: len(life(n, count)), "life": life_hash, "evolve": evolve,
             "main": lambda: life_hash(128, 50)},
}

# Why each trap is where its line says, as in `expect.py`.
TRAPS = {
    "nsieve": {
        "nsieve(-1)": "out_of_bounds in nsieve at 0",  # a negative length, at the first op
        "nsieve(-9223372036854775808)": "out_of_bounds in nsieve at 0",
        "nsieve(9223372036854775807)": "out_of_memory in nsieve at 0",  # more than any heap
        "nsieve(1000000)": "out_of_memory in nsieve at 0",  # a million bytes do not fit 65536
    },
    "fannkuch": {
        "fannkuch(0)": "out_of_bounds in fannkuch at 3",  # three new_len, then the first set of an empty array
        "fannkuch(-3)": "out_of_bounds in fannkuch at 0",  # a negative length
    },
    "matrix_mul": {
        "element(10, 10, 0)": "out_of_bounds in element at 3",  # its comments number the ops; 100 of 100
        "element(10, 0, -1)": "out_of_bounds in element at 3",
        "matrix_mul(3037000500)": "out_of_bounds in make at 1",  # mul, new_len: the square wraps to a negative length
    },
    "spectral_norm_arr": {"norm(-5)": "out_of_bounds in norm at 0"},  # a negative length
    "binary_trees": {"count(12)": "out_of_memory in build at 0"},  # 8191 nodes of two cells do not fit 65536 bytes
    "heapsort": {"largest(10, 11)": "out_of_bounds in largest at 3"},  # its comments number the ops; the array is empty
    # No comparator is null; its comments number the ops.
    "sort_closures": {"sorted_text(12, 6)": "null_reference in sort at 11",
                      "sort_closures(1000, 6)": "null_reference in sort at 11"},
    "brainfuck": {  # the comments of each function number its ops
        'output("[", "")': "user(1) in compile at 44", 'output("+[[-]", "")': "user(1) in compile at 44",
        'output("]", "")': "user(1) in compile at 44", 'output("[]]", "")': "user(1) in compile at 44",
        'output("<.", "")': "out_of_bounds in run at 19", 'output("<+", "")': "out_of_bounds in run at 11",
        'output("<[-]", "")': "out_of_bounds in run at 28",
        'output("+[>+]", "")': "out_of_bounds in run at 11",  # the tape ends behind 30000 bytes
    },
}
