"""One run of one command: wall time, processor time, peak RSS of the process that matters, size of what it wrote.

Python 3.8 and later, standard library only. Linux: reads /proc.
"""
import ctypes
import os
import re
import resource
import signal
import subprocess
import threading
import time

LIMIT_SECONDS = 600
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Helpers that outlive a tool's own process are then ours, and their processor time is counted."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measure(command, directory, log, program="", variables=()):
    """Runs `command`; gives a dictionary of plain numbers.

    `program`: name (as in /proc/PID/status) of the traced process among the descendants, whose peak RSS is wanted;
    without it, that of the largest process. `variables`: pairs for its environment. Output goes to the file `log`.
    """
    environment = dict(os.environ, PYTHONHASHSEED="0", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                       PYTHONWARNINGS="ignore", PYTHONDONTWRITEBYTECODE="1", **dict(variables))
    polled, stop = [0], threading.Event()
    with open(log, "wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, start_new_session=True)
        limit = threading.Timer(LIMIT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        poller = threading.Thread(target=poll_peak_rss, args=(process.pid, program, polled, stop))
        if program:
            poller.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        usages = [usage] + usages_of_orphans()
        limit.cancel()
        stop.set()
    process.returncode = status >> 8 if status & 0xFF == 0 else 128 + (status & 0x7F)
    largest = max(usage.ru_maxrss for usage in usages)
    return {
        "status": process.returncode,
        "wall_s": wall,
        "cpu_s": sum(usage.ru_utime + usage.ru_stime for usage in usages),
        "rss_bytes": 1024 * (polled[0] or largest),
        # Not for what was polled: the kernel counts our own size before exec into ru_maxrss.
        "rss_floor_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def usages_of_orphans():
    usages = []
    while True:
        try:
            usages.append(os.wait4(-1, 0)[2])
        except ChildProcessError:
            return usages


def poll_peak_rss(root, program, peak_kib, stop):
    """Notes the highest VmHWM of descendants of `root` with this name."""
    delay = 0.001
    while not stop.wait(delay):
        delay = min(delay * 2, 0.05)
        todo = [root]
        while todo:
            pid = todo.pop()
            try:
                with open(f"/proc/{pid}/status") as file:
                    status = file.read()
                with open(f"/proc/{pid}/task/{pid}/children") as file:
                    todo += map(int, file.read().split())
            except OSError:
                continue
            highest = re.search(r"VmHWM:\s+(\d+)", status)
            if highest and re.match(r"Name:\t(.*)", status)[1] == program[:15]:
                peak_kib[0] = max(peak_kib[0], int(highest[1]))
