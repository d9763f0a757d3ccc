"""Records a service under steady load for some minutes and watches the memory of both sides.

    soak.py HEAPTIDE MINUTES [OPTION OF `heaptide run` ...]

Exit code 0 if neither grew by more than 2 MiB between a third of the time and the end, and nothing was lost. The service
is this file itself (`soak.py --serve SECONDS`): four threads that answer requests, keep a cache of bounded size and start
a thread for each thousandth request.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

# Allocators and the kernel give and take this much without anything having grown.
SLACK = 2 << 20


def serve(seconds):
    cache = {}
    until = time.monotonic() + seconds

    def answer(number):
        body = json.dumps({"number": number, "items": [{"name": f"item {i}", "size": i} for i in range(number % 50)]})
        cache[number % 1000] = bytearray(2000 + number % 1000)
        return len(json.loads(body)["items"])

    def worker(offset):
        number = offset
        while time.monotonic() < until:
            answer(number)
            number += 4
            if number % 1000 < 4:
                thread = threading.Thread(target=answer, args=(number,))
                thread.start()
                thread.join()
            if number % 100 < 4:
                time.sleep(0.01)

    threads = [threading.Thread(target=worker, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def private(pid):
    """Bytes of a process that no other shares; the rings are shared."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) * 1024


def child(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def main(heaptide, minutes, *options):
    seconds = float(minutes) * 60
    with tempfile.TemporaryDirectory() as directory:
        capture = os.path.join(directory, "run.bin")
        command = [heaptide, "run", "-q", "-o", capture, *options, "--", sys.executable, __file__, "--serve", str(seconds)]
        recorder = subprocess.Popen(command)
        began = time.monotonic()
        seen = []
        while recorder.poll() is None:
            time.sleep(max(seconds / 60, 0.5))
            try:
                seen.append((time.monotonic() - began, private(recorder.pid), private(child(recorder.pid))))
            except (OSError, IndexError):
                break
            at, ours, theirs = seen[-1]
            print(f"{at:8.0f} s  recorder {ours / 2**20:7.1f} MiB  service {theirs / 2**20:7.1f} MiB", flush=True)
        assert recorder.wait() == 0, recorder.returncode
        stats = json.loads(subprocess.run([heaptide, "stats", "--json", capture], check=True, stdout=subprocess.PIPE).stdout)
        print(json.dumps({"capture_bytes": os.path.getsize(capture), **stats["tracer"]}))
    steady = [entry for entry in seen if seconds / 3 <= entry[0] < seconds]
    grown = [steady[-1][column] - steady[0][column] for column in (1, 2)]
    print(f"grown from a third of the time to the end: recorder {grown[0]} bytes, service {grown[1]} bytes")
    return 0 if max(grown) <= SLACK and stats["tracer"]["lost"] == 0 else 1


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(float(sys.argv[2]))
    else:
        sys.exit(main(*sys.argv[1:]))
