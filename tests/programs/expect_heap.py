"""References for the programs of arrays, strings, maps, objects and closures; `expect.py` says how they are used."""

import bisect
import heapq
import itertools
import json
import math
import operator
import re
import string
import zlib
from collections import Counter, OrderedDict
from functools import cache

from values import HIGH, INF, LOW, M, NAN, Kind, Trap, bits, from_bits, text, wrap

# Array kernels

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


def fold(terms):
    """The sum of floats from left to right, each step rounded (Python's `sum` may compensate)."""
    total = 0.0
    for term in terms:
        total += term
    return total


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


# Objects

def perfect(depth):
    """The nodes of a perfect tree; a negative depth gives a leaf."""
    return 2 ** (max(depth, 0) + 1) - 1


def trees(n):
    many = sum(perfect(d) << (n - d + 4) for d in range(4, n + 1, 2))
    return perfect(n + 1) + many + perfect(n)


# Strings and maps

ALU = ("GGCCGGGCGCGGTGGCTCACGCCTGTAATCCCAGCACTTTGGGAGGCCGAGGCGGGCGGATCACCTGAGGTCAGGAGTTCGAGACCAGCCTGGCCAACATGGTGAAACC"
       "CCGTCTCTACTAAAAATACAAAAATTAGCCGGGCGTGGTGGCGCGCGCCTGTAATCCCAGCTACTCGGGAGGCTGAGGCAGGAGAATCGCTTGAACCCGGGAGGCGGAGG"
       "TTGCAGTGAGCCGAGATCGCGCCACTGCACTCCAGCCTGGGCGACAGAGCGAGACTCCGTCTCAAAAA")
UNCERTAIN = list(zip("acgtBDHKMNRSVWY", [0.27, 0.12, 0.12, 0.27] + [0.02] * 11))
HUMAN = [("a", 0.3029549426680), ("c", 0.1979883004921), ("g", 0.1975473066391), ("t", 0.3015094502008)]


def states(seed=42):
    """The generator of the FASTA benchmark: numbers below 139968."""
    while True:
        seed = (seed * 3877 + 29573) % 139968
        yield seed


def drawn(n, source, numbers):
    sums = list(itertools.accumulate(p for _, p in source))
    places = (bisect.bisect_right(sums, next(numbers) / 139968.0) for _ in range(n))
    return "".join(source[min(k, len(source) - 1)][0] for k in places)


def lines(s):
    return "".join(s[k:k + 60] + "\n" for k in range(0, len(s), 60))


def repeated(n):
    return lines((ALU * (n // len(ALU) + 1))[:n])


def fasta(n):
    n, numbers = max(n, 0), states()
    return (">ONE Homo sapiens alu\n" + repeated(2 * n)
            + ">TWO IUB ambiguity codes\n" + lines(drawn(3 * n, UNCERTAIN, numbers))
            + ">THREE Homo sapiens frequency\n" + lines(drawn(5 * n, HUMAN, numbers)))


def adler(s):
    return zlib.adler32(s if isinstance(s, bytes) else s.encode())


def dna(n):
    return "".join("AAAAACCCGGGTTTTT"[x * 16 // 139968] for x in itertools.islice(states(), n))


@cache
def mers(n, k):
    s = dna(n)
    return Counter(s[i:i + k] for i in range(n - k + 1))


def most(n, k):
    """The most frequent slice, the first one of several."""
    return max(mers(n, k).items(), key=lambda item: item[1], default=("", 0))


def most_packed(n, k):
    s, count = most(n, k)
    return count * 4 ** k + int("0" + s.translate(str.maketrans("ACGT", "0123")), 4)


def nucleotides():
    s = 0
    for k in range(1, 11):
        # The generator goes on from one count to the next.
        bases = "".join("AAAAACCCGGGTTTTT"[x * 16 // 139968] for x in
                        itertools.islice(states(), 30_000 * (k - 1), 30_000 * k))
        s = s * 7 + len({bases[i:i + k] for i in range(len(bases) - k + 1)})
    return s * 1000 + most(30_000, 8)[1]


PAIRS = bytes.maketrans(b"ACGTUMRWSYKVHDBN", b"TGCAAKYWSRMBDHVN")


def other_strand(s):
    return s.upper().translate(PAIRS)[::-1]


def turned(n, times):
    s = bytes(b"ACGT"[x * 4 // 139968] for x in itertools.islice(states(), n))
    for _ in range(times):
        s = other_strand(s)
    return polynomial(s)


def polynomial(s):
    h = 0
    for c in s:
        h = h * 31 + c & M
    return wrap(h)


def joined(lo, hi):
    return ",".join(map(str, range(lo, hi)))


SPREAD = 2654435769


def walked(n, start=0):
    """The keys and values of n entries in order."""
    return horner([wrap(i * SPREAD) ^ i for i in range(n)], 31, start)


def fill_sum(n):
    return walked(n, sum(range(n)))


def horner(numbers, factor, start=0):
    for x in numbers:
        start = start * factor + x & M
    return wrap(start)


def absent(k):
    d = {7: 7}
    has, get = int(k in d), d.get(k, 0)
    gone = int(d.pop(k, None) is not None)
    return int(f"{has}{get}{gone}{int(k in d)}{len(d)}")


def deleted(n):
    d = {k: k for k in range(n) if k % 3} | {k: 1 for k in range(0, n, 9)}
    h = 0
    for k, v in d.items():
        h = (h * 7 + k) * 5 + v & M
    return wrap(h ^ len(d))


def runs_ahead(n):
    h = 0
    for k in range(n):
        h = h * 3 & M ^ k
    return wrap(h)


def pairs(n):
    alive, count = set(range(1, n + 1)), 0
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            if i in alive and j in alive:
                count += 1
                alive.discard(i + j)
    return count * 1000 + len(alive)


ANY_KEYS = [(1, "int"), (True, True), (False, 0), (None, 2.5), (b"one", "short"), (b"", "empty"),
            (b"a longer one", "a longer value"), (2 ** 47, -2 ** 47 - 1), (LOW, Kind("map"))]


# Sorting, searching and simulating

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


TEXT = (
    "The tide came in at night, and with the tide came the boats. They had been out since the morning before, farther"
    " than the boats of the harbour used to go, and nobody on the harbour wall had said so aloud: nobody says such a "
    "thing aloud.\n"
    "The first boat was the smallest. It carried a lantern at the bow; the second carried two, and the third, which "
    "was the oldest boat in the harbour and the slowest, carried none at all. 'It went out,' said the man at the "
    "tiller, 'when the wind went round. The wind goes round, and out goes the lantern. That's how it is with "
    "lanterns.'\n"
    "They counted the boats, and counted them again. There were seven, and there ought to have been seven, and so the"
    " harbour went to bed.\n")


def word_list(s):
    return re.findall("[a-z]+", s.lower())


def frequent_word(letters):
    counts = Counter(word for word in word_list(TEXT) if len(word) >= letters)
    return counts.most_common(1)[0][0] if counts else None


def word_table(s):
    counts = Counter(word_list(s.decode("latin-1")))
    return "".join(f"{word} {k} " for word, k in counts.items())


def nth_word(n):
    words = list(dict.fromkeys(word_list(TEXT)))
    return words[n] if n < len(words) else None


@cache
def cached(capacity, n, m):
    hits, entries = 0, OrderedDict()
    for s in itertools.islice(states(), n):
        key = s % (s % m + 1)
        if key in entries:
            hits += 1
            entries.move_to_end(key)
        else:
            if len(entries) == capacity:
                entries.popitem(last=False)
            entries[key] = None
    return hits, "".join(f"{key} " for key in reversed(entries))


JSON_TOKENS = [r"[\[\]]", "[{}]", "[,:]", r'"(?:[^"\\]|\\.)*"', r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", "true|false|null"]


def json_counts(s):
    kinds = re.finditer("|".join(f"({token})" for token in JSON_TOKENS), s.decode() if isinstance(s, bytes) else s)
    counts = Counter(match.lastindex for match in kinds)
    return [counts[k] for k in range(1, 7)]


def json_sum(s):
    def walk(value):
        if isinstance(value, (list, dict)):
            return sum(map(walk, value.values() if isinstance(value, dict) else value))
        return value if type(value) is int else 0
    return wrap(walk(json.loads(s, parse_float=lambda x: int(re.match(r"-?\d+", x)[0]))))


def json_depth(s):
    def walk(value):
        if isinstance(value, (list, dict)):
            return 1 + max(map(walk, value.values() if isinstance(value, dict) else value), default=0)
        return 0
    return walk(json.loads(s))


def json_large(n):
    records = [f'{{"id": {i}, "name": "record \\u00e9 \\"{i * i}\\"", "at": [-1.5, 2.25e1, {-i}.125], "ok": true, '
               '"none": null}' for i in range(n)]
    s = "[" + ",\n ".join(records) + "]"
    return sum(json_counts(s)) * len(s) + json_sum(s)


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


# Dynamic types and closures

class Circle:
    fields = ("name", "tag", "r", "area", "link")

    def __init__(self, size):
        self.name, self.tag, self.link, self.r = "circle", 0, "circle", size

    def area(self):
        return self.r * self.r * math.pi


class Square:
    fields = ("side", "area", "name", "tag")

    def __init__(self, size):
        self.name, self.tag, self.side = "square", 1, size

    def area(self):
        return self.side * self.side


class Rect:
    fields = ("area", "tag", "w", "h", "name", "unlike")

    def __init__(self, size):
        self.name, self.tag, self.w, self.h, self.unlike = "rect", 2, size, size * 0.5, None

    def area(self):
        return self.w * self.h


class Point:
    fields = ("x", "y", "name")

    def __init__(self, _):
        self.x, self.y, self.name = 0, 0, 3


CLASSES = [Circle, Square, Rect, Point]


def shapes_total(n):
    # The closure and the switch give the same area, one behind the other.
    areas = (CLASSES[k % 3](float(k)).area() for k in range(n))
    return fold(area for area in areas for _ in range(2))


def shape_field(which, field):
    return getattr(CLASSES[which](1.5), ["name", "tag", "r", "h", "unlike", "link"][field])


def is_number(x):
    return type(x) in (int, float)


def dynamic(on_ints, on_floats):
    """An op on two numbers: ints wrap, and an int beside a float becomes one."""
    def op(x, y):
        assert is_number(x) and is_number(y)
        return wrap(on_ints(x, y)) if type(x) is type(y) is int else on_floats(float(x), float(y))
    return op


def plus(x, y):
    return x + y if isinstance(x, bytes) else dynamic(operator.add, operator.add)(x, y)


def float_div(x, y):
    if y:
        return x / y
    return NAN if x == 0.0 or x != x else math.copysign(INF, x) * math.copysign(1.0, y)


def float_rem(x, y):
    return NAN if y == 0.0 or math.isinf(x) else math.fmod(x, y)


def toward_zero(x, y):
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


DYNAMIC = {
    "add": plus, "sub": dynamic(operator.sub, operator.sub), "mul": dynamic(operator.mul, operator.mul),
    "div": dynamic(toward_zero, float_div), "rem": dynamic(lambda x, y: x - y * toward_zero(x, y), float_rem),
    "neg": lambda x: wrap(-x) if type(x) is int else -x,
}


def compare(op):
    """Of numbers (an int beside a float as a float) and strings."""
    def result(x, y):
        if is_number(x) and type(x) is not type(y):
            x, y = float(x), float(y)
        return int(op(x, y))
    return result


def dynamic_eq(x, y):
    return compare(operator.eq)(x, y) if is_number(x) and is_number(y) else int(type(x) is type(y) and x == y)


def identical(x, y):
    """`cell.same` of what is no object: the same kind and the same value, a NaN being one."""
    return int(type(x) is type(y) and (bits(x) == bits(y) if type(x) is float else x == y))


def series(n):
    total = 0
    for i in range(n):
        total += i * i // 2
        total -= i % 3
        total += 0.5 if i % 2 else 0
    return total


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return wrap(a)


def banks(a, x, s):
    half = s.decode() + str(a * 7) + text(x * 2.0) + "/"
    return half * 2


def many(a):
    """Base 7 Horner over a, a+1, ..., then with the last seven reversed, the last one back at a, and as they were."""
    rising = [a + k for k in range(12)]
    first = horner(rising, 7)
    return wrap(first ^ horner(rising[:5] + rising[:4:-1], 7) ^ 3 * horner(rising[:11] + [a], 7) ^ 5 * first)


def counted():
    """Two counters from 10 and 20, in the order of the program."""
    def counter(n):
        def count(by):
            nonlocal n
            n += by
            return n
        return count
    f, g = counter(10), counter(20)
    f(1)
    x = g(1)
    f(1)
    x = f(x)
    return x * 100 + g(1)


# Lists, boxes and strings

def tree(depth):
    return [tree(depth - 1), tree(depth - 1), depth - 1] if depth > 0 else []


def flat(items):
    return [x for item in items for x in (flat(item) if isinstance(item, list) else [item])]


def spaced(items):
    return "".join(f"{x} " for x in items)


def with_item(index, x):
    items = [None, 12, "twelve", Kind("list")]
    items[index] = x
    return items[index]


def sorted_states(n):
    return sum(k * x for k, x in enumerate(sorted(itertools.islice(states(), n)), 1))


def float_bits(x):
    """The bits of a float, with one NaN."""
    return bits(from_bits(x))


def kind(c):
    return {type(None): 0, bool: 1, int: 2, float: 3, bytes: 4}[type(c)]


def boxed_sum(n):
    return wrap(6364136223846793005 * (n * (n + 1) // 2))


INT = rb"-?[0-9]+"
FLOAT = rb"-?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?|-?[0-9]+e[+-]?[0-9]+|-?inf|nan"


def only_op(name, op, null="null_reference"):
    """A reference for a function that starts with an op: null, an index and a value that are refused trap there."""
    def reference(*args):
        try:
            if None in args:
                raise Trap(f"{null} in {name} at 0")
            return op(*args)
        except IndexError:
            raise Trap(f"out_of_bounds in {name} at 0") from None
        except ValueError:
            raise Trap(f"type_mismatch in {name} at 0") from None
    return reference


def require(condition, error=ValueError):
    if not condition:
        raise error


def string_byte(s, i):
    require(0 <= i < len(s), IndexError)
    return s[i]


def string_slice(s, start, end):
    require(0 <= start <= end <= len(s), IndexError)
    return s[start:end]


def string_to_i64(s):
    require(re.fullmatch(INT, s) and LOW <= int(s) <= HIGH)
    return int(s)


def string_to_f64(s):
    if re.fullmatch(b"0x[0-9a-fA-F]{1,16}", s):
        return float(wrap(int(s, 16)))
    if not re.fullmatch(FLOAT, s):
        return float(string_to_i64(s))
    require("inf" in s.decode() or not math.isinf(float(s)))  # as a literal it would be an error
    return float(s)


def unboxed(kind):
    def op(c):
        require(type(c) is kind)
        return int(c) if kind is bool else c
    return op


STRING_OPS = {
    "len": len, "byte": string_byte, "slice": string_slice, "concat": operator.add,
    "eq": lambda s, t: int(s == t), "cmp": lambda s, t: (s > t) - (s < t), "to_i64": string_to_i64,
    "to_f64": string_to_f64}


# One trap a line

INDICES = [-1, 3, 2 ** 32, 2 ** 32 - 1, 2 ** 61, LOW, HIGH]
ARRAYS = {"i64": [0, 11, 22], "f64": [0.0, 1.0, 2.0], "u8": [0, 200, 400 & 255]}
HEAP_TRAPS = {}
for bank, items in ARRAYS.items():
    HEAP_TRAPS |= {
        f"get_{bank}": items.__getitem__, f"set_{bank}": lambda i, x, byte=bank == "u8": x & 255 if byte else x,
        f"pops_{bank}": lambda n: 3 - n, f"lengths_{bank}": lambda n: n}


def accesses(calls, op):
    """Traps of the op behind a const and a call, at which an index is out of bounds."""
    return {call: f"out_of_bounds in {call.split('(')[0]} at {op}" for call in calls}


def too_small():
    """Each loop but those of arrays that push and strings that double keeps what it makes, and then counts."""
    lengths = [2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 4, 2, 4, 2, 4, 4, 4, 4, 4, 4, 4]
    starts = itertools.accumulate(lengths, initial=21)  # 20 ops that prepare, and the switch
    return {f"too_small({k})": f"out_of_memory in too_small at {at}" for k, at in zip(range(len(lengths)), starts)}


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
    "fasta": {"adler": adler, "fasta": lambda n, _: adler(fasta(n)), "repeated": lambda n: adler(repeated(n)),
              "random_line": lambda n: drawn(n, HUMAN, states()), "main": lambda: adler(fasta(10_000))},
    "k_nucleotide": {"dna": dna, "distinct": lambda n, k: len(mers(n, k)), "most": most_packed,
                     "count": lambda n, s: mers(n, len(s))[s.decode()], "most_text": lambda n, k: most(n, k)[0],
                     "main": nucleotides},
    "reverse_complement": {"other_strand": other_strand, "reverse_complement": turned,
                           "main": lambda: turned(100_000, 5)},
    "string_build": {
        "join": joined, "appended": lambda n: string.ascii_lowercase[:n], "repeat": lambda s, n: s * n,
        "length": lambda s, n: len(s) * n, "reverse": lambda s: s[::-1], "find": bytes.find,
        "compare": lambda x, y: (x > y) - (x < y), "equal": lambda x, y: int(x == y), "built": lambda n: 111,
        "hash": polynomial,
        "main": lambda: polynomial(joined(0, 50_000).encode()) ^ joined(0, 50_000).find("49998,49999")},
    "map_fill_sum": {
        # Values are what was stored in order; `map_fill_sum` and its like go on with the walk from their sum.
        "imap_fill_sum": lambda n: horner(range(n), 31), "imap_walk": walked,
        "map_fill_sum": fill_sum, "text_fill_sum": fill_sum,
        # 2 kept its place and has 8, 4 is gone, 1 came back with 1, and 0 came last with 8.
        "imap_order": lambda: int("28" "33" "55" "11" "08"),
        "map_order": lambda: "the second=iii;one=the second;", "absent": absent, "deleted": deleted,
        "visits_evens": lambda n: sum(range(0, n, 2)) * 10_000 + len(range(0, n, 2)),
        "visits_added": lambda n: horner(range(1, n), 31),  # each number is added by its half, so in order
        "visits_moved": lambda n: horner([k + v for v in range(4) for k in range(n)] + [n], 31),
        "runs_ahead": runs_ahead, "pairs": pairs, "refilled": lambda n: horner(range(n - 1, -1, -1), 31),
        "last_stays": lambda: -1234, "empty_stays": lambda: -1234,
        "any_key": lambda key: next((v for k, v in ANY_KEYS if (type(k), k) == (type(key), key)), None),
        "main": lambda: horner(range(200_000), 31)},

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
    "word_count": {
        "total": lambda n: n * len(word_list(TEXT)), "distinct": lambda n: len(set(word_list(TEXT))),
        "count": lambda word: word_list(TEXT).count(word and word.decode()), "nth": nth_word, "most": frequent_word,
        "words": word_table, "main": lambda: 400 * len(word_list(TEXT))},
    "lru_cache": {"hits": lambda *args: cached(*args)[0], "recent": lambda *args: cached(*args)[1],
                  "main": lambda: cached(1000, 200_000, 10_000)[0]},
    "json_tokenizer": {"tokens": lambda s: sum(json_counts(s)), "sum": json_sum, "deepest": json_depth,
                       "counts": lambda s: "".join(f"{k} " for k in json_counts(s)), "large": json_large,
                       "main": lambda: json_large(5000)},
    "brainfuck": {"output": lambda *args: brainfuck(*args)[0], "final": lambda *args: brainfuck(*args)[1],
                  "brainfuck": powers, "main": lambda: powers(1)},
    "life": {"population": lambda n, count: len(life(n, count)), "life": life_hash, "evolve": evolve,
             "main": lambda: life_hash(128, 50)},

    "shapes": {
        "total": shapes_total, "kinds": lambda: "0 1 2 2 3 4 4 5 6 7 8 9 10 11 12 ", "field_of": shape_field,
        "one_site": lambda last: "circlesquarerect" * 3 + ("circle" if last else ""),
        "renamed": lambda _, name: name, "resized": lambda side: side * side, "tagged": lambda tag: tag,
        "held": lambda which: Kind("obj") if which == 0 else None, "cast_circle": lambda which: 0 if which == 0 else -1,
        # The length of "text", the kind of null, and that a cast gives the closure itself.
        "cast": lambda which: {0: 4, 1: 0, 5: 1}[which], "fresh": lambda: "00.0000",
        "main": lambda: shapes_total(100_000)},
    "dynamic": {
        **DYNAMIC, "eq": dynamic_eq, "lt": compare(operator.lt), "le": compare(operator.le), "same": identical,
        # Seven times: not the other one, but itself.
        "objects": lambda _: "01" * 7, "series": series, "main": lambda: series(300_000)},
    "closures": {
        "curried": lambda x, y, z: wrap(x * 100 + y * 10 + z), "counters": counted,
        "shared": lambda: 20 * 10 + 1,  # 5, 10, and 10 more; the counter holds what the last call gave
        "composed": lambda n, x: wrap((x + 1) * 2 ** n - 1), "banks": banks, "many": many,
        "factorial": math.factorial, "fib": fibonacci, "mapped": lambda n: 3.5 * (n * (n - 1) // 2) if n else 0,
        "table": lambda which, x: [2 * x + 1, 120 + x, 2 + x][which],
        "identity": lambda which: int(which < 2), "as_result": lambda: Kind("fn"),
        "by_signature": lambda which: 0 if which else 6, "tail_called": lambda n: 0,
        "kept_alive": lambda n: "the answer is 36" + text(0.5 * 0.5) + "!", "main": lambda: 3_000_000},

    "lists": {
        "summed": lambda depth: sum(flat(tree(depth))), "flat": lambda depth: spaced(flat(tree(depth))),
        "reversed": lambda n: spaced(range(n - 1, -1, -1)), "nested": lambda n: n, "nested_twice": lambda n: n,
        "dropped": lambda n: n + 1, "cycles": lambda n: n + 1, "wide": lambda n: sum(range(9, n + 9)),
        "mixed": lambda: int("0122344569"), "mixed_back": lambda: int("9654432210"),
        "pushed": lambda n: horner(range(n - 1, -1, -1), 3), "nulls": lambda n: n, "hint": lambda _: 1,
        "filled": lambda n: spaced([7] * n), "aliases": lambda: 22,
        # The same or not: itself, one alike, itself; then twice each of seven values, and two lists.
        "sameness": lambda: int("101" + "11" * 7 + "00"), "get": lambda i: [None, 12, "twelve", Kind("list")][i],
        "set": with_item, "popped": lambda n: [None, 12, "twelve", Kind("list")][3 - n],
        "after_pop": lambda i: [None, 12, "twelve"][i], "main": lambda: sorted_states(2000)},
    "boxes": {
        "int": int, "int_in_and_out": int, "float": float, "float_of_bits": float_bits, "kind_of_bits": lambda x: 3,
        "nan_in_list": from_bits, "nan_in_field": from_bits, "bool": bool, "bool_as_int": lambda x: int(x != 0),
        **{name: only_op(name, unboxed(of), "type_mismatch")
           for name, of in [("unbox_int", int), ("unbox_float", float), ("unbox_bool", bool)]},
        "kind": kind, "through_global": lambda c: c, "same_boxes": lambda x: 1100, "edges": lambda: 4 * 64, "boxed_sum": boxed_sum,
        "main": lambda: boxed_sum(1_000_000)},
    "strings": {
        **{name: only_op(name, op) for name, op in STRING_OPS.items()}, "from_i64": str,
        "from_f64": lambda x: text(float(x)), "floats_back": lambda n: n, "ints_back": lambda n: n,
        # Equal and the same, then whether n is 5 and whether it is 6.
        "inline_or_not": lambda n: 1100 + 10 * (n == 5) + (n == 6),
        "garbage": lambda n: 100 * len("kept for long and longer") + len("kept for long and longer1"),
        "main": lambda: 50_000},

    "heap_traps": {
        **HEAP_TRAPS, "nulls": lambda which: 0, "accepts_null": lambda: 4, "hints": lambda n: 0,
        "filled": lambda n: n * (300 + 2 + (300 & 255)), "just_enough": lambda n: (n - 1) & 255,
        "out_of_memory_late": lambda _: 1000, "main": lambda: 9999 & 255},
}


def trapping(trap, *calls):
    return {call: trap for call in calls}


def in_own(trap, calls):
    """A trap in the first op of the function that is called."""
    return {call: f"{trap} in {call.split('(')[0]} at 0" for call in calls.splitlines() if call}


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
    "reverse_complement": {
        'other_strand("AC-GT")': "user(404) in turn at 15",  # its comments number the ops
        'other_strand("ACGT\\xff")': "user(404) in turn at 15",
        "other_strand(null)": "null_reference in bytes at 0",  # the length of null
    },
    # 20 doublings, which are op 7; the one bit of 2^20 is added last of all.
    "string_build": {'length("x", 1048576)': "out_of_memory in repeat at 7"},
    "map_fill_sum": {
        "any_key(1.0)": "type_mismatch in any_key at 28",  # new, 8 entries of 3 ops, const, box and set, then get
        "any_key(nan)": "type_mismatch in any_key at 28",
        "bad_key(0)": "type_mismatch in bad_key at 4",  # its comments number the ops; an object
        "bad_key(1)": "type_mismatch in bad_key at 5",  # a float
        "bad_key(2)": "type_mismatch in bad_key at 6",
        "bad_key(3)": "type_mismatch in bad_key at 7",
        "bad_key(4)": "type_mismatch in bad_key at 8",  # a map
    },
    "heapsort": {"largest(10, 11)": "out_of_bounds in largest at 3"},  # its comments number the ops; the array is empty
    # No comparator is null; its comments number the ops.
    "sort_closures": {"sorted_text(12, 6)": "null_reference in sort at 11",
                      "sort_closures(1000, 6)": "null_reference in sort at 11"},
    "lru_cache": {
        "hits(0, 10, 10)": "null_reference in unlink at 0",  # an empty cache has no oldest entry
        "hits(1, 10, 0)": "division_by_zero in next at 6",  # its comments number the ops
    },
    "json_tokenizer": {  # the comments of each function number its ops
        'tokens("[1, ?]")': "user(1) in token at 28", 'tokens("tru")': "user(1) in word at 8",
        'tokens("nul\\xff")': "user(1) in word at 8", 'tokens("\\"open")': "user(2) in string at 33",
        'tokens("\\"open\\\\")': "user(2) in string at 33",  # the end instead of an escape
        'tokens("01")': "user(3) in number at 35", 'tokens("-")': "user(3) in digits at 8",
        'tokens("1.")': "user(3) in digits at 8", 'tokens("1.e5")': "user(3) in digits at 8",
        'tokens("1e")': "user(3) in digits at 8", 'tokens("[1e+]")': "user(3) in digits at 8",
        'tokens("\\"\\\\x41\\"")': "user(4) in string at 18", 'tokens("\\"\\\\u00g0\\"")': "user(4) in string at 18",
        'tokens("\\"a\\nb\\"")': "user(5) in string at 34", 'tokens("[1}")': "user(6) in pop_open at 7",
        'tokens("]")': "user(6) in pop_open at 7", 'tokens("[")': "user(6) in read at 12",
    },
    "brainfuck": {  # the comments of each function number its ops
        'output("[", "")': "user(1) in compile at 44", 'output("+[[-]", "")': "user(1) in compile at 44",
        'output("]", "")': "user(1) in compile at 44", 'output("[]]", "")': "user(1) in compile at 44",
        'output("<.", "")': "out_of_bounds in run at 19", 'output("<+", "")': "out_of_bounds in run at 11",
        'output("<[-]", "")': "out_of_bounds in run at 28",
        'output("+[>+]", "")': "out_of_bounds in run at 11",  # the tape ends behind 30000 bytes
    },
    "shapes": {  # the comments of each function number its ops
        "field_of(1, 2)": "type_mismatch in field_of at 7",  # a square has no r
        "field_of(1, 3)": "type_mismatch in field_of at 9",  # and no h
        "field_of(2, 2)": "type_mismatch in field_of at 7",
        "field_of(3, 1)": "type_mismatch in field_of at 5",  # a point has no tag
        "field_of(4, 0)": "null_reference in field_of at 3",
        "field_of(5, 0)": "type_mismatch in field_of at 3",  # an int
        "field_of(6, 0)": "type_mismatch in field_of at 3",  # a list
        "one_site(2)": "null_reference in one_site at 16", "one_site(3)": "type_mismatch in one_site at 16",
        "one_site(4)": "type_mismatch in one_site at 16",
        "renamed(0, 5)": "type_mismatch in renamed at 1",  # a string field takes no int
        'renamed(3, "dot")': "type_mismatch in renamed at 1",  # nor an i64 field a string
        # An f64 field takes floats only, an i64 field ints only.
        **trapping("type_mismatch in resized at 2", "resized(5)", 'resized("5.0")', "resized(null)"),
        **trapping("type_mismatch in tagged at 2", "tagged(7.0)", "tagged(true)", "tagged(null)"),
        **trapping("type_mismatch in held at 9", "held(2)", "held(3)"),  # a square and an int for a circle
        **trapping("type_mismatch in cast_circle at 7", "cast_circle(1)", "cast_circle(2)", "cast_circle(4)"),
        "cast(2)": "type_mismatch in cast at 14", "cast(3)": "type_mismatch in cast at 16",
        "cast(4)": "type_mismatch in cast at 18", "cast(6)": "type_mismatch in cast at 23",
    },
    "dynamic": {
        **in_own("type_mismatch", """
add("a", 1)
add(1, "a")
add(true, 1)
add(1, null)
add(null, null)
add("a", null)
add(true, false)
sub("a", "a")
sub(true, 1)
mul("ab", 2)
mul(null, 1)
div("a", "b")
div(null, 0)
div(0, null)
rem("a", 1)
rem(false, 1)
neg("a")
neg(true)
neg(null)
lt("1", 1)
le("1", 1)
lt(true, false)
le(true, false)
lt(null, null)
le(null, null)
lt(null, 1)
le(null, 1)
"""),
        **in_own("division_by_zero", "div(1, 0)\ndiv(0, 0)\nrem(1, 0)\nrem(-9223372036854775808, 0)"),  # of ints only
        # Three ops, then one for each number; any other number is the last.
        **{f"object_trap({k})": f"type_mismatch in object_trap at {k + 3}" for k in range(9)},
    },
    "closures": {
        # 4096 bytes hold no 400 frames; each closure calls the next one in this op, which its comment numbers.
        "composed(500, 5)": "stack_overflow in compose at 0", "fib(400)": "stack_overflow in fib_by at 5",
        # The comments number the ops; no such key, and null passes a cast.
        "table(3, 10)": "null_reference in table at 22",
        "by_signature(1)": "type_mismatch in by_signature at 8",  # another result
        "by_signature(2)": "type_mismatch in by_signature at 9",  # another parameter
        "call_null(0)": "null_reference in call_null at 1",  # switch, then the three calls
        "call_null(1)": "null_reference in call_null at 2", "call_null(2)": "null_reference in call_null at 3",
        "callee_traps(0)": "division_by_zero in divide at 1",  # nop, div
    },
    "lists": {
        "nulls(-1)": "out_of_bounds in nulls at 0",  # a negative length
        "nulls(9223372036854775807)": "out_of_memory in nulls at 0",
        # A call, then the access; 2^32 and 2^61 are not 0, though 8 * 2^61 wraps to it.
        **trapping("out_of_bounds in get at 1", "get(4)", "get(-1)", "get(4294967296)", "get(2305843009213693952)",
                   "get(-9223372036854775808)"),
        **trapping("out_of_bounds in set at 1", "set(4, 1)", "set(-1, null)"),
        "popped(4)": "out_of_bounds in popped at 5",  # its comments number the ops; the last pop
        "popped(5)": "out_of_bounds in popped at 2",  # the pop in the loop
        "after_pop(3)": "out_of_bounds in after_pop at 2",  # call, pop, get
    },
    # new, mov, switch, then an op for each.
    "boxes": {f"unbox_object({k})": f"type_mismatch in unbox_object at {k + 3}" for k in range(3)},
    "heap_traps": {
        # Four constants, the switch, then one op for each number.
        **{f"nulls({k})": f"null_reference in nulls at {k + 5}" for k in range(59)},
        **{call: trap for bank, x in [("i64", LOW), ("f64", -0.5), ("u8", 511)] for call, trap in [
            *accesses([f"get_{bank}({i})" for i in INDICES], 2).items(),
            *accesses([f"set_{bank}({i}, {x})" for i in INDICES], 2).items(),
            *accesses([f"pops_{bank}(4)"], 3).items(),  # const, call, branch, pop
            *accesses([f"lengths_{bank}(-1)", f"lengths_{bank}({LOW})"], 0).items(),
            *trapping(f"out_of_memory in lengths_{bank} at 0", f"lengths_{bank}({2 ** 61})",
                      f"lengths_{bank}({HIGH})").items()]},
        # The switch, then one op for each: ints are last in the switch and first in the listing.
        **{f"negative_literal({k})": f"out_of_bounds in negative_literal at {at}" for k, at in enumerate([2, 3, 4, 1])},
        **too_small(), "out_of_memory_late(1)": "out_of_memory in grow at 3",  # its comment numbers the op
    },
}

# What `main` of a program prints.
PRINTED = {"fasta": fasta(25)}
