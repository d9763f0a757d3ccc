"""A loop that allocates, under so many frames. Argument: frames. Prints nanoseconds for each of the two events (a block
comes, a block goes), loop included; take the bare run's away."""
import sys
import time

EVENTS = 400_000
sys.setrecursionlimit(5_000)


def leaf():
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(EVENTS // 2):
            bytearray(1000)
        best = min(best, time.perf_counter() - began)
    return best


def down(depth):
    return leaf() if depth <= 1 else down(depth - 1)


print(down(int(sys.argv[1])) / EVENTS * 1e9)
