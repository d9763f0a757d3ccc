"""The parts of the benchmark that are about whole native stacks (`--native`): programs in C and C++, what unwinding costs
an event, what names cost a report.

Python 3.8 and later, standard library only.
"""
import os
import shutil
import subprocess
import sys

from environment import HERE, output
from measure import measure
from tools import capture_path, captures, interleaved, with_tool

PROGRAM_TOOLS = ["bare", "heaptide", "heaptide --native", "heaptrack"]
# The unwinder's: frames under the loop, and how many change from one event to the next.
DEPTHS = (1, 10, 30, 100)


def run_native(environment, args):
    """C and C++ programs with fixed work."""
    runs = []
    for name, command in programs(environment).items():
        commands = {tool: with_tool(environment, tool, command) for tool in PROGRAM_TOOLS if tool in args.tools}
        commands = {tool: command for tool, command in commands.items() if command}
        runs += interleaved(environment, commands, args.rounds, workload=name)
    return runs


def programs(environment):
    """Commands by name; a line for each that cannot be had."""
    inputs = environment.native_inputs
    found = {"server": [environment.server, "4", "6000000"]}
    sqlite, cc1 = shutil.which("sqlite3"), output(["gcc", "-print-prog-name=cc1"])
    if sqlite:
        found["sqlite"] = [sqlite, ":memory:", "-init", os.path.join(inputs, "bulk.sql"), ".exit"]
    if os.path.isabs(cc1):
        found["cc1"] = [cc1, "-quiet", "-O2", os.path.join(inputs, "big.c"), "-o", os.devnull]
    collection = environment.mimalloc_bench()
    if collection:
        # Flags and arguments are those of the collection's own build.
        cfrac = build(environment, "cfrac", collection, ["getopt.c", "ltop.c", "pfactor.c", "ptob.c"])
        espresso = build(environment, "espresso", collection)
        if cfrac:
            found["cfrac"] = [cfrac, "17545186520507317056371138836327483792789528"]
        if espresso:
            found["espresso"] = [espresso, os.path.join(collection, "bench", "espresso", "largest.espresso")]
    for name in ("sqlite", "cc1", "cfrac", "espresso"):
        if name not in found:
            print(f"native: {name} is left out, it is not to be had here", file=sys.stderr)
    return found


def build(environment, name, collection, unused=()):
    """A program of the collection, of all its sources but the `unused`; `None` if it cannot be built."""
    folder, built = os.path.join(collection, "bench", name), os.path.join(environment.work, "..", name)
    sources = [os.path.join(folder, file) for file in sorted(os.listdir(folder)) if file.endswith(".c") and file not in unused]
    command = ["cc", "-std=gnu89", "-O3", "-g", "-w", "-DNOMEMOPT=1", "-o", built, *sources, "-lm"]
    return os.path.realpath(built) if subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0 else None


def run_unwind(environment, args):
    """What an event costs under so many native frames that have not changed, and with three new ones over 30."""
    runs = []
    modes = {f"{depth} frames, none changes": [environment.unwind, str(depth), "same"] for depth in DEPTHS}
    modes["30 frames, three change"] = [environment.unwind, "30", "changing"]
    for mode, command in modes.items():
        tools = [tool for tool in PROGRAM_TOOLS if tool in args.tools and tool != "heaptrack"]
        commands = {tool: with_tool(environment, tool, command) for tool in tools}
        for run in interleaved(environment, commands, args.rounds, mode=mode):
            run["value"] = float(run["printed"].split()[0]) if run["status"] == 0 else 0.0
            runs.append(run)
    return runs


def run_symbols(environment, args):
    """Flame graphs with names from captures of a program that works with NumPy and pandas."""
    runs = []
    log, page = os.path.join(environment.work, "log"), os.path.join(environment.work, "report")
    cache = os.path.join(environment.work, "symbols")
    script = [environment.python, os.path.join(HERE, "workloads", "etl.py")]
    reports = {
        "heaptide --native": [environment.heaptide, "flamegraph", "-f", "-o", page],
        "memray --native": [environment.python, "-m", "memray", "flamegraph", "-f", "-o", page],
    }
    for tool, report in reports.items():
        if tool not in args.tools:
            continue
        for path in captures(environment):
            os.remove(path)
        recorded = measure(with_tool(environment, tool, script), environment.work, log)
        if recorded["status"] != 0:
            with open(log, errors="replace") as file:
                print(f"{tool}: exit status {recorded['status']}: {file.read()[-600:]}", file=sys.stderr)
            continue
        for number in range(args.rounds):
            # Nothing is known of any symbol the first time.
            shutil.rmtree(cache, ignore_errors=True)
            for time in ("first", "second"):
                if os.path.exists(page):
                    os.remove(page)
                run = measure([*report, capture_path(environment)], environment.work, log,
                              variables=[("XDG_CACHE_HOME", cache)])
                run.update(workload=time, tool=tool, round=number, capture_bytes=os.path.getsize(capture_path(environment)),
                           output_bytes=os.path.getsize(page) if run["status"] == 0 else 0)
                runs.append(run)
                print(f"symbols        {tool:34} {number}: {time} time {run['wall_s']:7.3f} s, "
                      f"{run['rss_bytes'] / 1e6:.0f} MB, exit status {run['status']}", file=sys.stderr)
    return runs
