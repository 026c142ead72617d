"""References for the programs of strings and maps; `expect.py` says how they are used."""

import bisect
import itertools
import json
import re
import string
import zlib
from collections import Counter, OrderedDict
from functools import cache

from values import LOW, M, Kind, horner, states, wrap


ALU = ("GGCCGGGCGCGGTGGCTCACGCCTGTAATCCCAGCACTTTGGGAGGCCGAGGCGGGCGGATCACCTGAGGTCAGGAGTTCGAGACCAGCCTGGCCAACATGGTGAAACC"
       "CCGTCTCTACTAAAAATACAAAAATTAGCCGGGCGTGGTGGCGCGCGCCTGTAATCCCAGCTACTCGGGAGGCTGAGGCAGGAGAATCGCTTGAACCCGGGAGGCGGAGG"
       "TTGCAGTGAGCCGAGATCGCGCCACTGCACTCCAGCCTGGGCGACAGAGCGAGACTCCGTCTCAAAAA")


UNCERTAIN = list(zip("acgtBDHKMNRSVWY", [0.27, 0.12, 0.12, 0.27] + [0.02] * 11))


HUMAN = [("a", 0.3029549426680), ("c", 0.1979883004921), ("g", 0.1975473066391), ("t", 0.3015094502008)]


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


def text_visits(n):
    """A queue of entries and a dict of those that are there; a key that is set again is another entry."""
    queue = [[k] for k in range(n)]
    there, seen = {entry[0]: entry for entry in queue}, []
    for entry in queue:
        k = entry[0]
        if there.get(k) is not entry:
            continue
        seen.append(k)
        if there.pop(k + 1, None) and (k + 1) % 3 == 0:
            there[k + 1] = [k + 1]
            queue.append(there[k + 1])
    return wrap(horner(seen, 31) ^ len(there))


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


REFERENCES = {
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
        "text_visits": text_visits,
        "rolling": lambda n: horner([k + len(f"number {k}") for k in range(n - 100, n)], 31),
        "visits_added": lambda n: horner(range(1, n), 31),  # each number is added by its half, so in order
        "visits_moved": lambda n: horner([k + v for v in range(4) for k in range(n)] + [n], 31),
        "runs_ahead": runs_ahead, "pairs": pairs, "refilled": lambda n: horner(range(n - 1, -1, -1), 31),
        "last_stays": lambda: -1234, "empty_stays": lambda: -1234,
        "any_key": lambda key: next((v for k, v in ANY_KEYS if (type(k), k) == (type(key), key)), None),
        "main": lambda: horner(range(200_000), 31)},
    "word_count": {
        "total": lambda n: n * len(word_list(TEXT)), "distinct": lambda n: len(set(word_list(TEXT))),
        "count": lambda word: word_list(TEXT).count(word and word.decode()), "nth": nth_word, "most": frequent_word,
        "words": word_table, "main": lambda: 400 * len(word_list(TEXT))},
    "lru_cache": {"hits": lambda *args: cached(*args)[0], "recent": lambda *args: cached(*args)[1],
                  "main": lambda: cached(1000, 200_000, 10_000)[0]},
    "json_tokenizer": {"tokens": lambda s: sum(json_counts(s)), "sum": json_sum, "deepest": json_depth,
                       "counts": lambda s: "".join(f"{k} " for k in json_counts(s)), "large": json_large,
                       "main": lambda: json_large(5000)},
}

# Why each trap is where its line says, as in `expect.py`.
TRAPS = {
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
}

# What `main` of a program prints.
PRINTED = {"fasta": fasta(25)}
