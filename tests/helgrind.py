#!/usr/bin/env python3
"""Races in the shim: runs a program with six threads under valgrind's helgrind, traced, by default and with --native.

    python3 tests/helgrind.py [path of heaptide]

Helgrind does not know what atomic operations order, so it reports those of different threads on one word. What must not be
reported is any other access: two threads at one plain variable. Needs valgrind and a C compiler; takes 20 seconds. States of
threads that have ended are used by others later; that is arranged through the collector, which helgrind cannot see, so the
six live all at once.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
heaptide = sys.argv[1] if sys.argv[1:] else str(ROOT / "target/release/heaptide")


def reported(directory, options):
    """The innermost frame of each access that helgrind finds in conflict."""
    log = directory / "helgrind.log"
    valgrind = ["valgrind", "--tool=helgrind", "-q", "--soname-synonyms=somalloc=nouserintercepts", f"--log-file={log}"]
    run = [heaptide, "run", *options, "-f", "-o", directory / "run.bin", "--", *valgrind, directory / "together"]
    done = subprocess.run(run, capture_output=True, text=True)
    events = int(re.search(r"([\d,]+) events", done.stderr)[1].replace(",", ""))
    # 3 calls 3 000 times and 2 more in each of 6 threads, and what the C library does.
    if done.returncode != 0 or events < 6 * 9_002:
        sys.exit(f"the program was not traced:\n{done.stderr}")
    return re.findall(r"(?:Possible data race|This conflicts with).*?at 0x[0-9A-F]+: ([^\n]*)", log.read_text(), re.S)


failed = False
with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    source = ROOT / "fixtures/programs/together.c"
    subprocess.run(["cc", "-g", "-O1", "-o", directory / "together", source, "-lpthread"], check=True)
    for options in [], ["--native"]:
        accesses = reported(directory, options)
        plain = sorted({access for access in accesses if "core/src/sync/atomic.rs" not in access})
        print(f"{' '.join(options) or 'default':<9}{len(accesses)} accesses by atomic operations, {len(plain)} others", *plain, sep="\n  ")
        failed |= bool(plain) or not accesses
sys.exit(failed)
