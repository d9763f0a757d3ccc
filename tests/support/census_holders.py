"""Each class is held in another way: the text of each way is in tests/census.rs. One of each is added again and again."""

import sys
import time


class Thing:
    __slots__ = ("partner", "__weakref__")


def new(name):
    return type(name, (Thing,), {"__slots__": (), "__module__": "holders"})


Listed, Keyed, Numbered, Cycled, Enclosed, Chained, Slotted, Local, Registered, Tupled, Global = map(
    new,
    "Listed Keyed Numbered Cycled Enclosed Chained Slotted Local Registered Tupled Global".split(),
)

CACHE = {"orders": []}
BY_NAME = {}
BY_NUMBER = {}
TUPLES = []


class Node:
    pass


class Pair:
    __slots__ = ("left", "right")

    def __init__(self, left):
        self.left = left
        self.right = None


class Registry:
    entries = []


HEAD = Node()
HEAD.next = Node()
HEAD.next.values = []
PAIR = Pair([])


def remember():
    seen = []

    def add(thing):
        seen.append(thing)

    return add


ADD = remember()


def main(seconds):
    own = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        CACHE["orders"].append(Listed())
        BY_NAME["name %d" % len(BY_NAME)] = Keyed()
        BY_NUMBER[len(BY_NUMBER)] = Numbered()
        one, two = Cycled(), Cycled()
        one.partner, two.partner = two, one
        ADD(Enclosed())
        HEAD.next.values.append(Chained())
        PAIR.left.append(Slotted())
        own.append(Local())
        Registry.entries.append(Registered())
        TUPLES.append((0, Tupled()))
        globals()["G%d" % len(own)] = Global()
        one = two = None
        for _ in range(20):
            bytearray(5_000)
        time.sleep(0.002)


main(float(sys.argv[1]))
