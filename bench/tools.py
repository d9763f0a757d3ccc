"""The tools that are compared, and how a command is run under each of them in turn.

Python 3.8 and later, standard library only.
"""
import json
import os
import sys

from measure import measure

MEMRAY = ["{python}", "-m", "memray", "run", "-q", "-f", "-o", "{capture}"]
HEAPTIDE = ["{heaptide}", "run", "-q", "-f", "-o", "{capture}"]
# What stands before the command. memray takes the place of the interpreter, so its commands leave that out.
TOOLS = {
    "bare": [],
    "heaptide": [*HEAPTIDE, "--"],
    "memray": MEMRAY,
    "heaptide --python-allocators": [*HEAPTIDE, "--python-allocators", "--"],
    "memray --trace-python-allocators": [*MEMRAY, "--trace-python-allocators"],
    "heaptide --aggregate": [*HEAPTIDE, "--aggregate", "--"],
    "memray --aggregate": [*MEMRAY, "--aggregate"],
    "heaptide --native": [*HEAPTIDE, "--native", "--"],
    "memray --native": [*MEMRAY, "--native"],
    "heaptrack": ["{heaptrack}", "-o", "{capture}"],
}


def with_tool(environment, tool, command):
    """The command under a tool; `None` if the tool cannot run it or is not installed."""
    if tool == "heaptrack" and not environment.heaptrack:
        return None
    if tool.startswith("memray"):
        if command[0] != environment.python:
            return None
        command = command[1:]
    places = {"python": environment.python, "heaptide": environment.heaptide, "heaptrack": environment.heaptrack or "",
              "capture": capture_path(environment)}
    return [word.format(**places) for word in TOOLS[tool]] + command


def capture_path(environment):
    return os.path.join(environment.work, "capture")


def captures(environment):
    """heaptrack adds an ending of its own."""
    return [os.path.join(environment.work, name) for name in os.listdir(environment.work)
            if name.startswith("capture")]


def interleaved(environment, commands, rounds, **labels):
    """Runs each of `commands` (by tool) once a round, beginning with another one in each; yields the measurements."""
    log = os.path.join(environment.work, "log")
    program = os.path.basename(commands["bare"][0])
    measure(commands["bare"], environment.work, log)  # fills the page cache; not counted
    for number in range(rounds):
        order = list(commands)
        turn = number % len(order)
        for tool in order[turn:] + order[:turn]:
            for path in captures(environment):
                os.remove(path)
            os.sync()
            run = measure(commands[tool], environment.work, log, program)
            with open(log, errors="replace") as file:
                printed = file.read()
            run.update(labels, tool=tool, round=number, printed=printed[-200:],
                       capture_bytes=sum(map(os.path.getsize, captures(environment))))
            about = " ".join(labels.values())
            print(f"{about:14} {tool:34} {number}: {run['wall_s']:7.3f} s, processor {run['cpu_s']:7.3f} s, "
                  f"capture {run['capture_bytes'] / 1e6:8.2f} MB", file=sys.stderr)
            if run["status"] != 0:
                print(f"  exit status {run['status']}: {printed[-600:]}", file=sys.stderr)
            yield run


def printed_values(environment, args, tools, modes):
    """Programs that print the number that matters."""
    runs = []
    for mode, command in modes.items():
        commands = {tool: with_tool(environment, tool, command) for tool in tools if tool in args.tools}
        for run in interleaved(environment, commands, args.rounds, mode=mode):
            run["value"] = float(run["printed"].split()[0]) if run["status"] == 0 else 0.0
            runs.append(run)
    return runs


def read_stats(environment, capture):
    output = os.path.join(environment.work, "stats")
    log = os.path.join(environment.work, "stats.log")
    status = measure([environment.heaptide, "stats", "--json", "-f", "-o", output, capture], environment.work, log)
    if status["status"] != 0:
        with open(log, errors="replace") as file:
            sys.exit("stats failed: " + file.read())
    with open(output) as file:
        return json.load(file)
