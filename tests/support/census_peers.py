"""Prints as JSON, at its end, what objgraph, Pympler and guppy count of each type: objects, and bytes of those that tell.

Only types that these libraries make no objects of while they count, and that are as many for all of them. They see less
than a census where they do: objgraph has what the cyclic collector knows, Pympler that and what those refer to directly."""

import array
import atexit
import collections
import json
import sys

import guppy
import objgraph
from pympler import muppy, summary


class Order:
    def __init__(self, number):
        self.number = number
        self.lines = Lines([number] * 3)


class Lines(list):
    pass


class Slotted:
    __slots__ = ("next", "__weakref__")


class Named(str):
    pass


class Blob(bytes):
    pass


class Counted(int):
    pass


class Index(dict):
    pass


class Queue(collections.deque):
    pass


class Frozen(frozenset):
    pass


ORDERS = [Order(number) for number in range(1_000)]
SLOTTED = [Slotted() for _ in range(321)]
NAMES = [Named("name %d" % n) for n in range(123)]
BLOBS = [Blob(b"b" * n) for n in range(77)]
COUNTED = [Counted(n) for n in range(55)]
INDEX = Index((n, Index()) for n in range(40))
QUEUES = [Queue(range(n)) for n in range(30)]
FROZEN = [Frozen(range(n)) for n in range(20)]
ARRAYS = [array.array("d", [0.5] * n) for n in range(17)]
WANTED = {"Order", "Lines", "Slotted", "Named", "Blob", "Counted", "Index", "Queue", "Frozen"}


def tell():
    types = {}

    def says(peer, name, count, size):
        types.setdefault(name, {})[peer] = [count, size]

    for name, count in objgraph.typestats(shortnames=False).items():
        module, _, short = name.rpartition(".")
        if short in WANTED and module == "__main__":
            says("objgraph", name, count, None)
    for name, count, size in summary.summarize(muppy.get_objects()):
        short = name.rpartition(".")[2].rstrip("'>")
        if short in WANTED and "__main__" in name:
            says("pympler", "__main__." + short, count, size)
    for row in guppy.hpy().heap().bytype.stat.get_rows():
        module, _, short = row.name.rpartition(".")
        if module == "__main__" and short in WANTED:
            says("guppy", row.name, row.count, row.size)
    print(json.dumps({"types": types, "python": sys.version}))


atexit.register(tell)
