"""The most resident memory of recorder, shim and reports, beside the bounds that docs/performance.md states.

Python 3.8 and later, standard library only. Part `memory` of run.py; alone it needs $HEAPTIDE and measures nothing else:

  HEAPTIDE=target/release/heaptide python3 bench/memory.py
"""
import json
import os
import subprocess
import sys
import tempfile

from environment import native
# What is recorded: options, arguments of native/bounds.c, live blocks at the peak.
CASES = {
    "100 million events": ([], ["live", "100000000", "1000"], 1_000),
    "5.3 million live blocks": ([], ["live", "5300000", "5300000"], 5_300_000),
    "10 million live blocks": ([], ["live", "20000000", "10000000"], 10_000_000),
    "1 million stacks of 45 frames": (["--native"], ["stacks", "1000000", "20"], 1),
}
REPORTS = ["summary", "leaks", "tree", "stats", "flamegraph", "flamegraph --quick", "diff"]


def peak(command, log):
    """Wait status and most resident bytes of a command, at least those of this process: the kernel counts them as well."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, process.returncode, usage = os.wait4(process.pid, 0)
    return process.returncode, usage.ru_maxrss * 1024


def measure_memory(heaptide, program, work):
    runs = []
    log, capture, report_file = (os.path.join(work, name) for name in ("log", "bounds.bin", "report"))
    for name, (options, arguments, live) in CASES.items():
        status, _ = peak([heaptide, "run", "-q", "-f", *options, "-o", capture, "--", program, *arguments], log)
        tracer = read_stats_of(heaptide, capture)["tracer"]
        runs.append({"case": name, "tool": "recorder", "status": status, "rss_bytes": tracer["collector_rss_bytes"],
                     "bound_bytes": (64 << 20) + 48 * live})
        runs.append({"case": name, "tool": "shim", "status": status, "rss_bytes": tracer["shim_bytes"], "bound_bytes": 0})
        for report in REPORTS:
            more = [capture] if report == "diff" else []
            status, resident = peak([heaptide, *report.split(), *more, "-f", "-o", report_file, capture], log)
            runs.append({"case": name, "tool": report, "status": status, "rss_bytes": resident, "bound_bytes": 1 << 30})
        for run in runs[-len(REPORTS) - 2:]:
            print(f"{name:32} {run['tool']:12} {run['rss_bytes'] / 2**20:8.1f} MiB of {run['bound_bytes'] / 2**20:8.1f}",
                  file=sys.stderr)
        os.remove(capture)
    return runs


def read_stats_of(heaptide, capture):
    return json.loads(subprocess.run([heaptide, "stats", "--json", capture], check=True, stdout=subprocess.PIPE).stdout)


def run_memory(environment, _):
    return measure_memory(environment.heaptide, native("bounds", "-O1", "-fno-optimize-sibling-calls"), environment.work)


def main():
    program = native("bounds", "-O1", "-fno-optimize-sibling-calls")
    with tempfile.TemporaryDirectory() as work:
        runs = measure_memory(os.path.abspath(os.environ["HEAPTIDE"]), program, work)
    over = [run for run in runs if run["status"] or run["bound_bytes"] and run["rss_bytes"] > run["bound_bytes"]]
    for run in over:
        print("over its bound, or failed:", run)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
