"""Values of vm3 as Python has them, their text, and small helpers, for the references of `expect.py`.

An i64 is an int, an f64 a float, a bool a bool, null `None`, a string `str` or `bytes`; an object is a `Kind`.
"""

import math
import re
import struct
from typing import NamedTuple

M = (1 << 64) - 1
LOW, HIGH = -(1 << 63), (1 << 63) - 1
NAN, INF = math.nan, math.inf
CANONICAL_NAN = 0x7FF8000000000000
ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\\": "\\\\", '"': '\\"'}


class Kind(NamedTuple):
    """An object that a call gives: all that is seen of it is its kind, as `list`."""
    name: str


class Trap(Exception):
    """What a reference raises where the call traps; its text says which trap in which function at which op."""


def wrap(x):
    """x modulo 2^64, as a signed integer."""
    x &= M
    return x - (1 << 64) if x >> 63 else x


def rotl(x, n):
    x, n = x & M, n & 63
    return wrap(x << n | x >> (64 - n))


def bits(x):
    return wrap(CANONICAL_NAN if x != x else struct.unpack("<Q", struct.pack("<d", x))[0])


def from_bits(x):
    return struct.unpack("<d", struct.pack("<Q", x & M))[0]


def text(x):
    """A value as the text form writes it; an f64 as Rust's {:?} does."""
    if x is None:
        return "null"
    if isinstance(x, bool):
        return str(x).lower()
    if isinstance(x, Kind):
        return f"<{x.name}>"
    if isinstance(x, bytes):
        x = x.decode(errors="surrogateescape")
    if isinstance(x, str):
        return '"' + "".join(escaped(c) for c in x) + '"'
    if isinstance(x, float):
        return re.sub(r"e([+-])0*", lambda m: "e-" if m[1] == "-" else "e", repr(x)).replace(".0e", "e")
    return str(x)


def escaped(c):
    if c in ESCAPES:
        return ESCAPES[c]
    if c < " " or c == "\x7f" or "\udc80" <= c <= "\udcff":  # a surrogate stands for a byte that is no UTF-8
        return f"\\x{ord(c) & 255:02x}"
    return c


def unescaped(body):
    """The bytes that the inside of a string literal stands for."""
    names = {value[1]: key for key, value in ESCAPES.items()}
    out = bytearray()
    for piece in re.finditer(r"\\x(..)|\\u\{(.*?)\}|\\(.)|[^\\]+", body):
        if piece[1]:
            out.append(int(piece[1], 16))
        else:
            out += (chr(int(piece[2], 16)) if piece[2] else names[piece[3]] if piece[3] else piece[0]).encode()
    return bytes(out)


WORD = r'"(?:[^"\\]|\\.)*"|[^,\s"]+'


def literals(arguments):
    """The values of literals with commas between them; strings are bytes."""
    return [literal(word) for word in re.findall(WORD, arguments)]


def literal(word):
    if word.startswith('"'):
        return unescaped(word[1:-1])
    if word in ("true", "false"):
        return word == "true"
    if word == "null":
        return None
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    if word.startswith("0x"):
        return wrap(int(word, 16))
    return float(word)


def fold(terms):
    """The sum of floats from left to right, each step rounded (Python's `sum` may compensate)."""
    total = 0.0
    for term in terms:
        total += term
    return total


def states(seed=42):
    """The generator of the FASTA benchmark: numbers below 139968."""
    while True:
        seed = (seed * 3877 + 29573) % 139968
        yield seed


def horner(numbers, factor, start=0):
    for x in numbers:
        start = start * factor + x & M
    return wrap(start)
