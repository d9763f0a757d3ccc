#!/usr/bin/env python3
"""Compares heaptide with its peers: the same workloads, interleaved with bare runs, medians, ratios.

  python3 bench/run.py                             everything: about two hours and a half
  python3 bench/run.py python -n 3 -w etl,imports  some workloads, three rounds
  python3 bench/run.py startup pairs depth threads pressure reports
  python3 bench/run.py native python-native unwind symbols     whole native stacks
  python3 bench/run.py answers                     questions asked of captures, beside memray
  python3 bench/run.py page                        the page in a browser, beside memray's: about six minutes
  python3 bench/run.py memory                      recorder, shim and reports at their bounds
  python3 bench/run.py --show FILE                 the tables of stored results

The first run makes a virtual environment with memray and the workloads' libraries. Results, as JSON, and everything
else lie in $XDG_CACHE_HOME/heaptide-bench (default ~/.cache/heaptide-bench). Environment: HEAPTIDE, a binary to measure
instead of the one that cargo builds here; MIMALLOC_BENCH, a copy of that collection of programs, of which two are
measured (else they are fetched). Needs an otherwise idle machine; close the browser.
"""
import argparse
import datetime
import json
import os
import sys

import answers
import memory
import native_parts
import page
import tables
from environment import HERE, Environment
from measure import become_subreaper, measure
from tools import TOOLS, capture_path, interleaved, printed_values, read_stats, with_tool

SCRIPTS = os.path.join(HERE, "workloads")
# name: script and its arguments
WORKLOADS = {
    "fib": ["calls.py", "fib"],
    "richards": ["calls.py", "richards"],
    "deltablue": ["calls.py", "deltablue"],
    **{name: [name + ".py"] for name in
       "calls json_docs etl imports templates threads_zlib churn_buffers deep_alloc libraries".split()},
}
SUSTAINED_PAIRS = 100_000_000
PRESSED_PAIRS = 20_000_000
PRESSING_THREADS = (1, 2, 4, 8)
REPORTED_PAIRS = 50_000_000
REPORTS = ["flamegraph", "flamegraph --quick", "flamegraph --format svg", "summary", "stats", "leaks", "tree"]


def run_python(environment, args):
    return run_workloads(environment, args, args.workloads, [tool for tool in TOOLS if "--native" not in tool])


def run_python_native(environment, args):
    """The same with whole native stacks."""
    workloads = [name for name in args.workloads if name not in tables.APART]
    return run_workloads(environment, args, workloads, ["bare", *(tool for tool in TOOLS if "--native" in tool)])


def run_workloads(environment, args, workloads, tools):
    runs = []
    for name in workloads:
        script, *arguments = WORKLOADS[name]
        command = [environment.python, os.path.join(SCRIPTS, script), *arguments]
        commands = {tool: with_tool(environment, tool, command) for tool in tools if tool in args.tools}
        commands = {tool: command for tool, command in commands.items() if command}
        runs += interleaved(environment, commands, args.rounds, workload=name)
    return runs


def run_startup(environment, args):
    tools = [tool for tool in ("bare", "heaptide", "memray", "heaptrack") if tool in args.tools]
    commands = {tool: with_tool(environment, tool, [environment.python, "-c", "pass"]) for tool in tools}
    commands = {tool: command for tool, command in commands.items() if command}
    return list(interleaved(environment, commands, 3 * args.rounds, workload="startup"))


def run_pairs(environment, args):
    """C loops: the hook alone, its instructions, and as many events as the collector can take."""
    runs = []
    modes = {"hook alone, ns": "--burst", "hook alone, instructions": "--instructions",
             f"sustained {SUSTAINED_PAIRS:,}, ns": str(SUSTAINED_PAIRS)}
    for mode, argument in modes.items():
        tools = ["bare", "heaptide", "heaptide --aggregate"] if argument.isdigit() else ["bare", "heaptide"]
        commands = {tool: with_tool(environment, tool, [environment.pairs, argument]) for tool in tools}
        for run in interleaved(environment, commands, args.rounds, mode=mode):
            run["value"] = float(run["printed"].split()[0]) if run["status"] == 0 else 0.0
            if run["tool"] != "bare":
                stats = read_stats(environment, capture_path(environment))
                tracer = stats["tracer"]
                run.update(mevents_per_second=(stats["events_per_second"] or 0) / 1e6, waited_s=tracer["waited_ns"] / 1e9,
                           collector_cpu_s=tracer["collector_cpu_ns"] / 1e9)
            runs.append(run)
    return runs


def run_depth(environment, args):
    """What an event costs under so many frames."""
    script = os.path.join(SCRIPTS, "depth.py")
    return printed_values(environment, args, ["bare", "heaptide", "memray"], {
        f"{depth} frames": [environment.python, script, str(depth)] for depth in (1, 20, 100, 500)})


def run_threads(environment, args):
    """How much threads get done together, native ones and Python's."""
    script = os.path.join(SCRIPTS, "threads.py")
    return printed_values(environment, args, ["bare", "heaptide", "memray"], {
        f"{what}, {threads} thread{'s' if threads > 1 else ''}":
            [environment.python, script, what, str(threads), environment.churn]
        for what in ("native", "python") for threads in (1, 4, 8)})


def run_pressure(environment, args):
    """More events than the collector takes: the threads wait for it, and nothing is lost."""
    runs = []
    for threads in PRESSING_THREADS:
        command = [environment.pressure, str(threads), str(PRESSED_PAIRS // threads)]
        tools = [tool for tool in ("bare", "heaptide", "heaptide --aggregate", "heaptide --native") if tool in args.tools]
        commands = {tool: with_tool(environment, tool, command) for tool in tools}
        for run in interleaved(environment, commands, args.rounds, mode=f"{threads} thread{'s' if threads > 1 else ''}"):
            if run["status"] == 0:
                elapsed, events = map(int, run["printed"].split()[:2])
                run.update(mevents_per_second=events / elapsed * 1e3)
                if run["tool"] != "bare":
                    stats = read_stats(environment, capture_path(environment))
                    tracer = stats["tracer"]
                    # The C library makes a few more, before and after.
                    missing = max(0, events - stats["events"])
                    run.update(lost=max(missing, tracer["lost"]), waits=tracer["waits"],
                               waited_share=tracer["waited_ns"] / (threads * elapsed))
            runs.append(run)
    return runs


def run_reports(environment, args):
    """What a report costs does not depend on the number of events: from a capture of 100 million, and from real ones."""
    runs = []
    recorded = {"pairs": [environment.pairs, str(REPORTED_PAIRS)]}
    for name in ("imports", "deep_alloc"):
        recorded[name] = [environment.python, os.path.join(SCRIPTS, *WORKLOADS[name])]
    log = os.path.join(environment.work, "log")
    output = os.path.join(environment.work, "report")
    for name, command in recorded.items():
        kept = os.path.join(environment.work, "kept")
        # Quiet, so that what is traced does not print into the tables.
        measure([environment.heaptide, "run", "-q", "-f", "-o", kept, "--", *command], environment.work, log)
        events = read_stats(environment, kept)["events"]
        for number in range(args.rounds):
            for report in REPORTS + [f"diff {kept}"]:
                run = measure([environment.heaptide, *report.split(), "-f", "-o", output, kept], environment.work, log)
                run.update(workload=name, tool=report.split(" /")[0], round=number, events=events,
                           capture_bytes=os.path.getsize(kept),
                           output_bytes=os.path.getsize(output) if run["status"] == 0 else 0)
                runs.append(run)
                print(f"{name:14} {run['tool']:34} {number}: {run['wall_s']:7.3f} s, {run['rss_bytes'] / 1e6:.0f} MB",
                      file=sys.stderr)
        os.remove(kept)
    return runs


def run_answers(environment, args):
    scripts = {name: [os.path.join(SCRIPTS, *WORKLOADS[name])] for name in ("json_docs", "imports")}
    return answers.run_answers(environment, args, scripts, read_stats)


PARTS = {"python": run_python, "startup": run_startup, "pairs": run_pairs, "depth": run_depth,
         "threads": run_threads, "pressure": run_pressure, "reports": run_reports, "native": native_parts.run_native,
         "python-native": run_python_native, "unwind": native_parts.run_unwind, "symbols": native_parts.run_symbols,
         "memory": memory.run_memory, "answers": run_answers, "page": page.run_page}


def choose(known):
    def parse(typed):
        for name in typed.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: none of {', '.join(known)}")
        return typed.split(",")
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("-n", "--rounds", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument("-w", "--workloads", type=choose(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("-t", "--tools", type=choose(TOOLS), default=list(TOOLS), help="separated by commas")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to test with (default: this one)")
    parser.add_argument("--show", metavar="FILE", help="measure nothing, print the tables of stored results")
    args = parser.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"{unknown[0]}: none of {', '.join(PARTS)}")
    if args.show:
        with open(args.show) as file:
            return tables.show(json.load(file))
    if "bare" not in args.tools:
        args.tools.insert(0, "bare")
    become_subreaper()
    environment = Environment(args.python)
    results = {"date": datetime.datetime.now().isoformat(timespec="seconds"), "arguments": sys.argv[1:],
               "environment": environment.describe()}
    path = os.path.join(environment.results, datetime.datetime.now().strftime("%Y%m%d-%H%M%S.json"))
    for part in args.parts or PARTS:
        results[part] = PARTS[part](environment, args)
        with open(path, "w") as file:
            json.dump(results, file, indent=1)
    tables.show(results)
    print(f"\nstored: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
