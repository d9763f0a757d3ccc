"""Call-heavy pure Python: richards, deltablue, fib (or the one named as argument, for longer). Millions of calls, few
mallocs: what a tracer costs that only reads stacks at allocations."""
import os
import sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bm


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def richards(iterations):
    assert bm.load("richards").Richards().run(iterations)


def deltablue(times):
    module = bm.load("deltablue")
    for _ in range(times):
        module.delta_blue(100)


only = sys.argv[1] if len(sys.argv) > 1 else None
if only in (None, "richards"):
    richards(40 if only else 36)
if only in (None, "deltablue"):
    deltablue(440 if only else 220)
if only in (None, "fib"):
    assert fib(35 if only else 31) == (9227465 if only else 1346269)
