"""What an answer costs: the same questions asked of heaptide's and of memray's capture of the same program, and heaptide's own
of a capture of 100 million events. Part `answers` of run.py.

Python 3.8 and later, standard library only.
"""
import os
import sys

from measure import measure

# name: what is asked of heaptide, and of memray (None: it has no answer).
QUESTIONS = {
    "peak, as a page": ("flamegraph --quick", "flamegraph"),
    "every instant and leaks, as a page": ("flamegraph", "flamegraph --temporal"),
    "peak, as a table": ("summary --by line --limit 0", "table"),
    "figures": ("stats", "stats"),
    "live at the end": ("leaks --no-verdicts --limit 0 --all", "flamegraph --leaks"),
    "live at the end, judged": ("leaks", None),
    "temporary, 5 others between": ("flamegraph --temporary=5", "flamegraph --temporary-allocation-threshold=5"),
    "a window of time": ("flamegraph --from 40% --to 60%", "flamegraph --temporal"),
    "an instant: 25 %": ("summary --at 25%", None),
    "an instant: 50 %": ("summary --at 50%", None),
    "an instant: 99 %": ("summary --at 99%", None),
    "two instants compared": ("diff --from 30% --to 60%", None),
    "memory over time": ("flamegraph --byte-seconds", None),
    "the peak without each site": ("peak", None),
    "lifetimes": ("lifetimes", None),
}
EVENTS = 100_000_000


def run_answers(environment, args, scripts, read_stats):
    runs = []
    log, output = (os.path.join(environment.work, name) for name in ("log", "answer"))
    captures = {tool: os.path.join(environment.work, "kept-" + tool) for tool in ("heaptide", "memray")}
    programs = {name: [environment.python, *script] for name, script in scripts.items()}
    programs["pairs"] = [environment.pairs, str(EVENTS // 2)]
    for name, command in programs.items():
        options = [] if name == "pairs" else ["--python-allocators"]
        measure([environment.heaptide, "run", "-q", "-f", *options, "-o", captures["heaptide"], "--", *command],
                environment.work, log)
        events = read_stats(environment, captures["heaptide"])["events"]
        if name != "pairs":
            measure([environment.python, "-m", "memray", "run", "-q", "-f", "--trace-python-allocators", "-o",
                     captures["memray"], *command[1:]], environment.work, log)
        for number in range(args.rounds):
            for question, (ours, theirs) in QUESTIONS.items():
                if name == "pairs":
                    theirs = None
                for tool, asked in (("heaptide", ours), ("memray", theirs)):
                    if asked is None:
                        continue
                    asked = asked.split()
                    if tool == "heaptide":
                        line = [environment.heaptide, *asked, "-f", "-o", output, captures[tool]]
                    elif asked[0] == "stats":
                        line = [environment.python, "-m", "memray", "stats", captures[tool]]
                    else:
                        line = [environment.python, "-m", "memray", *asked, "-f", "-o", output, captures[tool]]
                    run = measure(line, environment.work, log)
                    run.update(workload=name, tool=tool, question=question, round=number, events=events,
                               capture_bytes=os.path.getsize(captures[tool]))
                    runs.append(run)
                    print(f"{name:12} {question:28} {tool:9} {number}: {run['wall_s']:7.3f} s, "
                          f"{run['rss_bytes'] / 1e6:.0f} MB, status {run['status']}", file=sys.stderr)
        for capture in captures.values():
            if os.path.exists(capture):
                os.remove(capture)
    return runs
