"""Prints at its end, for each class that KEEP has objects of, how many there are and their bytes by sys.getsizeof."""

import array
import atexit
import collections
import decimal
import fractions
import io
import random
import sys


class Plain:
    pass


class Slots:
    __slots__ = ("a", "b")


class Weak:
    __slots__ = ("__weakref__",)


class Both:
    __slots__ = ("__dict__", "a")


class List(list):
    pass


class Tuple(tuple):
    pass


class Dict(dict):
    pass


class Set(set):
    pass


class Int(int):
    pass


class Str(str):
    pass


class Bytes(bytes):
    pass


class Deque(collections.deque):
    pass


class Ordered(collections.OrderedDict):
    pass


class Array(array.array):
    pass


class Dice(random.Random):
    pass


class Own:
    """Its own answer is not asked for: what object says is counted."""

    def __sizeof__(self):
        return 12_345


class Grown(Plain):
    def __init__(self, n):
        for i in range(n):
            setattr(self, "attribute%d" % i, i)


KEEP = [Plain(), Slots(), Weak(), Both(), Own(), Int(2**70), Int(0), Int(-5), Bytes(b"12345"), Dice(1)]
KEEP += [List(range(n)) for n in range(20)] + [Tuple(range(n)) for n in range(5)]
KEEP += [Dict((i, i) for i in range(n)) for n in (0, 1, 5, 6, 100, 1_000)] + [Set(range(n)) for n in (0, 3, 300)]
KEEP += [Str(text) for text in ("", "ascii", "caf\u00e9", "\u20ac" * 10, "\U0001f600" * 3)]
KEEP += [Deque(range(500)), Ordered(a=1), Array("d", [1.0] * 50), Grown(0), Grown(3), Grown(50)]
KEEP += [decimal.Decimal("1.5"), fractions.Fraction(1, 3), bytearray(100), io.StringIO("text"), io.BytesIO(b"b" * 1_000)]
EXACT = {fractions.Fraction, bytearray, io.StringIO}


def tell():
    found = {}
    for kept in KEEP:
        kind = type(kept)
        if kind.__module__ == "__main__" or kind in EXACT:
            size = object.__sizeof__(kept) + sys.getsizeof(Plain()) - object.__sizeof__(Plain()) if kind is Own else sys.getsizeof(kept)
            found.setdefault(kind, []).append(size)
    for kind, sizes in found.items():
        print(kind.__name__, len(sizes), sum(sizes))


atexit.register(tell)
bytearray(5_000)
