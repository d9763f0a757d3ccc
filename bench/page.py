"""The page beside memray's, of the same program: what each weighs, how long a reader waits, what it costs to make.
Part `page` of run.py.

Python 3.8 and later, standard library only. Needs node, npm and chromium; playwright-core comes with npm.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

from environment import HERE, ROOT
from measure import measure

STACKS = (1_000, 10_000, 100_000)
ROUNDS = 5
# No further round of one report, or of one page, begins after so long.
MAKING_SECONDS = 15
READING_SECONDS = 25
DRIVER = os.path.join(ROOT, "tests", "page")
# name: tool, what it is asked for, the driver's word for the page (None: it is not opened).
REPORTS = {
    "heaptide flamegraph": ("heaptide", "flamegraph", "heaptide"),
    "heaptide flamegraph --quick": ("heaptide", "flamegraph --quick", None),
    "memray flamegraph": ("memray", "flamegraph --no-web", "memray"),
    "memray flamegraph --temporal": ("memray", "flamegraph --temporal --no-web", "temporal"),
    "memray table": ("memray", "table --no-web", "table"),
}


def run_page(environment, args):
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    driven = bool(chromium and shutil.which("node")) and installed()
    if not driven:
        print("no chromium, node or playwright-core: pages are made but not opened", file=sys.stderr)
    reports = {name: report for name, report in REPORTS.items() if known(environment, report)}
    runs = []
    for stacks in STACKS:
        captures = record(environment, stacks)
        pages = {}
        for name, (tool, asked, kind) in reports.items():
            path = os.path.join(environment.work, re.sub(r"\W+", "-", name) + ".html")
            runs += make(environment, args, name, tool, asked, captures[tool], path, stacks)
            if kind and os.path.exists(path):
                pages[path] = (name, kind)
        if driven:
            runs += read(chromium, pages, stacks, min(args.rounds, ROUNDS))
        for path in [*captures.values(), *pages]:
            os.remove(path)
    return runs


def installed():
    """Whether the driver of the browser is there, after installing it if it is not."""
    return os.path.isdir(os.path.join(DRIVER, "node_modules", "playwright-core")) or bool(shutil.which("npm")) and \
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=DRIVER).returncode == 0


def known(environment, report):
    """An older binary may not have an option that is measured."""
    tool, asked, _ = report
    if tool != "heaptide":
        return True
    told = subprocess.run([environment.heaptide, asked.split()[0], "--help"], stdout=subprocess.PIPE, text=True).stdout
    return all(option in told for option in asked.split()[1:])


def record(environment, stacks):
    """The program under each tool; captures by tool."""
    script = [os.path.join(HERE, "workloads", "stacks.py"), str(stacks)]
    captures = {tool: os.path.join(environment.work, "stacks-" + tool) for tool in ("heaptide", "memray")}
    commands = {
        "heaptide": [environment.heaptide, "run", "-q", "-f", "-o", captures["heaptide"], "--", environment.python, *script],
        "memray": [environment.python, "-m", "memray", "run", "-q", "-f", "-o", captures["memray"], *script],
    }
    # Once without, so that the modules it writes are there and are older than both captures.
    commands = {"bare": [environment.python, *script], **commands}
    for tool, command in commands.items():
        log = os.path.join(environment.work, "log")
        run = measure(command, environment.work, log)
        print(f"{stacks:7,} stacks  recorded: {tool:24} {run['wall_s']:7.3f} s", file=sys.stderr)
        if run["status"] != 0:
            with open(log, errors="replace") as file:
                sys.exit(f"{' '.join(command)}: exit status {run['status']}: {file.read()[-600:]}")
    return captures


def make(environment, args, name, tool, asked, capture, path, stacks):
    """Writes one report some times; measurements with the size of what was written."""
    program = [environment.heaptide] if tool == "heaptide" else [environment.python, "-m", "memray"]
    command, until = [*program, *asked.split(), "-f", "-o", path, capture], time.monotonic() + MAKING_SECONDS
    runs = []
    while len(runs) < min(args.rounds, ROUNDS) and (not runs or time.monotonic() < until):
        run = measure(command, environment.work, os.path.join(environment.work, "log"))
        run.update(phase="made", stacks=stacks, tool=name, round=len(runs), capture_bytes=os.path.getsize(capture))
        if run["status"] == 0:
            run.update(sizes(path))
        runs.append(run)
        print(f"{stacks:7,} stacks  {name:34} {run['round']}: {run['wall_s']:7.3f} s, {run['rss_bytes'] / 1e6:.0f} MB, "
              f"status {run['status']}", file=sys.stderr)
    return runs


def sizes(path):
    """Bytes of a page, and of it without its data: the text of the element "data" of ours, two constants of memray's."""
    with open(path, "rb") as file:
        page = file.read()
    data = re.findall(rb'<script[^>]* id="data[^>]*>(.*?)</script>', page, re.DOTALL)
    data += re.findall(rb"^\s*const (?:packed_data|memory_records) = (.*);$", page, re.MULTILINE)
    return {"page_bytes": len(page), "without_data_bytes": len(page) - sum(map(len, data))}


def read(chromium, pages, stacks, rounds):
    """Opens the pages in a browser; one measurement for each time."""
    command = ["node", os.path.join(HERE, "page", "drive.mjs"), DRIVER, chromium, str(rounds), str(READING_SECONDS)]
    driver = subprocess.Popen(command + [f"{kind}={path}" for path, (_, kind) in pages.items()], stdout=subprocess.PIPE, text=True)
    runs = []
    for line in driver.stdout:
        run = json.loads(line)
        name, _ = pages[run["path"]]
        run.update(phase="read", stacks=stacks, tool=name, status=0 if run.get("opened") else 1)
        runs.append(run)
        waits = ", ".join(f"{what} {run[what]:.0f}" for what in ("painted", "opened", "zoom", "search", "instant", "window")
                          if run.get(what) is not None)
        print(f"{stacks:7,} stacks  {name:34} {run['round']}: ms: {waits}" + "".join(f"\n  {error}" for error in run["errors"]),
              file=sys.stderr)
    if driver.wait() != 0:
        print(f"the driver of the browser ended with {driver.returncode}", file=sys.stderr)
    return runs
