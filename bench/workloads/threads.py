"""Threads that allocate at once. Arguments: what (`native`: C code that has given the interpreter lock away, from the
library given last; `python`: buffers and small objects), threads, library. Prints allocations per microsecond."""
import ctypes
import sys
import threading
import time

what, threads, library = sys.argv[1], int(sys.argv[2]), sys.argv[3]
COUNT = 1_600_000 if what == "native" else 800_000
each = COUNT // threads


def native():
    ctypes.CDLL(library).churn(ctypes.c_long(each), ctypes.c_uint(7))


def python():
    kept = None
    for size in range(each):
        kept = [kept and None, bytearray(600 + size % 400)]


workers = [threading.Thread(target=native if what == "native" else python) for _ in range(threads)]
began = time.perf_counter()
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(COUNT / (time.perf_counter() - began) / 1e6)
