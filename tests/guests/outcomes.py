"""Outcomes of foreign tests, bare beside traced: what is the same, what differs, what only comes and goes.

A suite gives a function that runs something once and returns {test: outcome}. A test that differs between the first bare
and the first traced run is run again, bare and traced in turn. Then it is one of

  differs   no outcome of the traced runs was seen in a bare one: tracing changes it
  flaky     the outcomes of bare and traced runs overlap: it comes and goes by itself, or it is only likelier when traced

Both are printed, with every outcome. What is printed as flaky must be looked at too.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

AGAIN = 2

# A shell that starts us in the background has them ignored, and what we start would inherit that.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def run(command, log, limit, environment=None, directory=None):
    """Runs `command` with nothing at standard input and its output in the file `log`. Returns (status, seconds); the
    status is negative if it died by a signal, and None if it was still running after `limit` seconds: then its whole
    session is killed."""
    began = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, time.monotonic() - began


def traced(heaptide, capture, options, command):
    """The command that runs `command` under `heaptide`."""
    return [heaptide, "run", "-q", "-f", "-o", capture, *options, "--", *command]


def capture_faults(heaptide, capture, complete=True):
    """What is wrong with a capture, as a list of words: cannot be read, not closed, anything lost or inconsistent."""
    stats = subprocess.run([heaptide, "stats", "--json", "--no-source", "-n", "1", capture], capture_output=True, text=True)
    if stats.returncode != 0:
        return [f"cannot be read: {stats.stderr.strip()}"]
    report = json.loads(stats.stdout)
    faults = [f"{word} {report['tracer'][word]}" for word in ("lost", "inconsistent") if report["tracer"][word]]
    if complete and report["status"] is None:
        faults.append("not closed")
    return faults


def come_to(outcomes, way, status, seconds, heaptide, capture, work):
    """What one run has come to: its outcomes and its exit status, and the faults of its capture, which is removed together
    with the folder that it ran in."""
    outcomes["(exit)"] = "time-out" if status is None else str(status)
    faults = []
    if way == "traced":
        faults = capture_faults(heaptide, capture, complete=status is not None)
        if os.path.exists(capture):
            os.remove(capture)
    shutil.rmtree(work, ignore_errors=True)
    print(f"    {way} {seconds:6.1f} s", end="  ", flush=True)
    return outcomes, faults


def from_junit(path):
    """{test: outcome} of a JUnit file: ok, failure, error or skipped, in the order of the file. A test that is there
    several times has all its outcomes, joined by commas. Empty if there is no whole file."""
    outcomes = {}
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return outcomes
    for case in root.iter("testcase"):
        if case.get("name") is None:  # CPython's: a subtest of it has failed
            continue
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcome = "+".join(sorted(kinds)) or "ok"
        outcomes[name] = f"{outcomes[name]},{outcome}" if name in outcomes else outcome
    return outcomes


class Comparison:
    """Collects what differs, over all that is compared."""

    def __init__(self, title):
        self.title = title
        self.compared = 0
        self.units = 0
        self.differing = []
        self.flaky = []
        self.faulty = []

    def unit(self, name, run_once):
        """Compares one unit of a suite (a module, a file). `run_once` is called with the way ("bare" or "traced") and the
        number of the run, and returns ({test: outcome}, faults of the capture)."""
        bare, traced_runs = [], []
        faults = []

        def once(number):
            bare.append(run_once("bare", number)[0])
            outcomes, found = run_once("traced", number)
            traced_runs.append(outcomes)
            faults.extend(found)

        once(0)
        if bare[0] != traced_runs[0]:
            for number in range(1, AGAIN + 1):
                once(number)
        tests = list(dict.fromkeys(test for outcomes in (*bare, *traced_runs) for test in outcomes))
        self.units += 1
        self.compared += len(tests)
        for test in tests:
            without = [outcomes.get(test, "none") for outcomes in bare]
            within = [outcomes.get(test, "none") for outcomes in traced_runs]
            if without[0] == within[0] and len(set(without) | set(within)) == 1:
                continue
            row = (name, test, " ".join(without), " ".join(within))
            (self.flaky if set(without) & set(within) else self.differing).append(row)
        if faults:
            self.faulty.append((name, "; ".join(faults)))
        mark = "" if bare[0] == traced_runs[0] else "  differs at first"
        print(f"{self.title}  {name}: {len(tests)} outcomes{mark}{'  CAPTURE: ' + '; '.join(faults) if faults else ''}", flush=True)

    def finish(self):
        """Prints the tables. Returns whether nothing differs and every capture is whole."""
        print(f"\n{self.title}: {self.units} units, {self.compared} outcomes compared, "
              f"{len(self.differing)} differ, {len(self.flaky)} flaky, {len(self.faulty)} with a capture that is not whole")
        for word, rows in (("differs", self.differing), ("flaky", self.flaky)):
            for unit, test, without, within in rows:
                print(f"  {word}  {unit}  {test}\n      bare: {without}\n      traced: {within}")
        for unit, faults in self.faulty:
            print(f"  capture  {unit}  {faults}")
        sys.stdout.flush()
        return not self.differing and not self.faulty
