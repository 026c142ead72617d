"""References for the programs of objects, closures, lists, boxes, strings and the heap's traps; see `expect.py`."""

import itertools
import math
import operator
import re

from values import HIGH, INF, LOW, NAN, Kind, Trap, bits, fold, from_bits, horner, states, text, wrap


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


def trapping(trap, *calls):
    return {call: trap for call in calls}


def in_own(trap, calls):
    """A trap in the first op of the function that is called."""
    return {call: f"{trap} in {call.split('(')[0]} at 0" for call in calls.splitlines() if call}


REFERENCES = {
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
        "kind": kind, "through_global": lambda c: c, "same_boxes": lambda x: 1100, "edges": lambda: 4 * 64,
        "boxed_sum": boxed_sum, "main": lambda: boxed_sum(1_000_000)},
    "strings": {
        **{name: only_op(name, op) for name, op in STRING_OPS.items()}, "from_i64": str,
        "from_f64": lambda x: text(float(x)), "floats_back": lambda n: n, "ints_back": lambda n: n,
        # Equal and the same, then whether n is 5 and whether it is 6.
        "inline_or_not": lambda n: 1100 + 10 * (n == 5) + (n == 6),
        "garbage": lambda n: 100 * len("kept for long and longer") + len("kept for long and longer1"),
        "main": lambda: 50_000},
    "fuel": {"nsieve": lambda n: int(n == 3), "curried": lambda *xs: 123, "add3": lambda *xs: 123,
             "counted": lambda n, step: -(-n // step) * step},
    "heap_traps": {
        **HEAP_TRAPS, "nulls": lambda which: 0, "accepts_null": lambda: 4, "hints": lambda n: 0,
        "filled": lambda n: n * (300 + 2 + (300 & 255)), "just_enough": lambda n: (n - 1) & 255,
        "out_of_memory_late": lambda _: 1000, "main": lambda: 9999 & 255},
}

# Why each trap is where its line says, as in `expect.py`.
TRAPS = {
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
    "fuel": {
        # Runs of nsieve(2): ops 0 to 4, then 15. Of nsieve(3): 0 to 4, 5 and 6, 7 to 9, 13 and 14, 15.
        "with fuel=5: nsieve(2)": "out_of_fuel in nsieve at 15", "with fuel=4: nsieve(2)": "out_of_fuel in nsieve at 0",
        "with fuel=12: nsieve(3)": "out_of_fuel in nsieve at 15",
        "with fuel=11: nsieve(3)": "out_of_fuel in nsieve at 13",
        # Runs: 3 ops of curried up to its call, 1 of rest2 up to its call, the 5 of add3, 1 of rest2, 1 of curried.
        **{f"with fuel={fuel}: curried(1, 2, 3)": f"out_of_fuel in {where}" for fuel, where in [
            (10, "curried at 3"), (9, "rest2 at 1"), (8, "add3 at 0"), (3, "rest2 at 0"), (2, "curried at 0")]},
        "add3(1, 2, 3)": "out_of_fuel in add3 at 0",
        # 2 a round of counted, and 1.
        "with fuel=10000: counted(5000, 1)": "out_of_fuel in counted at 2",
        **{f"with fuel={fuel}: counted(5000, {step})": "out_of_fuel in counted at 0" for fuel, step in [
            (9999, 1), (2048, 1), (9000, 0),
        ]},
    },
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
