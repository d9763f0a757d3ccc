"""Test suites of C projects, file by file, bare and traced, outcome by outcome.

    python3 tests/guests/c_projects.py --heaptide target/release/heaptide --sources /tmp/sources --results /tmp/guests

In the folder of the sources: `git` (built), `sqlite3` (with testfixture), `redis` (its tests run the installed redis-server),
`php` (its tests run the installed php). tests/guests/run.sh fetches and builds them. What is not there is left out.
"""

import argparse
import glob
import os
import re
import shutil
import sys

from outcomes import Comparison, come_to, run, traced

GIT = "t0001 t0005 t0060 t0061 t0063 t0090 t1006 t1050 t1400 t5000 t5300 t5510".split()
SQLITE = (
    "malloc5 malloc7 malloc8 malloc9 mallocH memsubsys1 mem5 mmap1 thread001 shared wal vacuum trans select1 join "
    "index pagesize backup zeroblob tempdb fts3aa json101 lookaside softheap1"
).split()
REDIS = "unit/type/string unit/type/hash unit/multi unit/dump unit/acl unit/querybuf".split()
# Debian's php has pcntl built in; with `-n` the extensions that are files of their own, which php loads past everything that is
# preloaded (RTLD_DEEPBIND), are left out: see docs/guests.md.
PHP = "Zend/tests/generators Zend/tests/fibers Zend/tests/closures ext/standard/tests/array ext/pcntl/tests".split()


def tap(text):
    """ok 3 - what # SKIP: by the number and the words, because words may come twice."""
    return {
        f"{number} {re.sub(r' *# .*', '', words)}": f"{outcome}{' skip' if '# skip' in words.lower() else ''}"
        for outcome, number, words in re.findall(r"^(ok|not ok) (\d+) (?:- )?(.*)$", text, re.M)
    }


def testfixture(text):
    outcomes = {name: "ok" for name in re.findall(r"^(\S+)\.\.\. Ok$", text, re.M)}
    outcomes.update({name: f"failed: {what[:100]}" for name, what in re.findall(r"^! (\S+) got: +(.*)$", text, re.M)})
    outcomes["errors"] = str(re.findall(r"^(\d+) errors out of (\d+) tests", text, re.M))
    return outcomes


def runtest(text):
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    outcomes = {}
    for outcome, words in re.findall(r"^\[(ok|err|exception|skip|ignore|TIMEOUT)\]: (.*?)(?: \(\d+ ms\))?$", text, re.M):
        outcomes[words] = f"{outcomes[words]},{outcome}" if words in outcomes else outcome
    return outcomes


def phpt(text):
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return {path: outcome for outcome, path in re.findall(r"^(PASS|FAIL|SKIP|WARN|LEAK|XFAIL|BORK) .*?\[([^\]]*\.phpt)\]", text, re.M)}


class Project:
    """How one file of a project's suite is run in a folder of its own, and what its output means."""

    def __init__(self, name, sources):
        self.name = name
        self.sources = os.path.join(os.path.abspath(sources), name)

    def is_there(self):
        marks = {
            "git": "t/helper/test-tool",
            "sqlite3": "testfixture",
            "redis": "src/redis-server",
            "php": "run-tests.php",
        }
        return os.path.exists(os.path.join(self.sources, marks[self.name]))

    def files(self):
        if self.name == "git":
            return [path for stem in GIT for path in sorted(glob.glob(f"{self.sources}/t/{stem}-*.sh"))]
        if self.name == "sqlite3":
            return [f"{self.sources}/test/{stem}.test" for stem in SQLITE if os.path.exists(f"{self.sources}/test/{stem}.test")]
        if self.name == "redis":
            return REDIS
        return [folder for pattern in PHP for folder in sorted(glob.glob(f"{self.sources}/{pattern}")) if os.path.isdir(folder)]

    def command(self, file, work):
        """(command, directory, environment added, what reads the output)"""
        if self.name == "git":
            return ["sh", file, f"--root={work}"], f"{self.sources}/t", {"TEST_OUTPUT_DIRECTORY": work}, tap
        if self.name == "sqlite3":
            return [f"{self.sources}/testfixture", file, "--verbose=1"], work, {}, testfixture
        if self.name == "redis":
            return ["tclsh", "tests/test_helper.tcl", "--clients", "1", "--single", file], self.sources, {}, runtest
        php = shutil.which("php")
        return [php, "-n", "run-tests.php", "-n", "-q", "--no-progress", "-j1", "-p", php, file], self.sources, {"NO_INTERACTION": "1"}, phpt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heaptide", default="target/release/heaptide", help="the binary [default: %(default)s]")
    parser.add_argument("--sources", required=True, help="folder with the projects' sources")
    parser.add_argument("--results", default="guests-results", help="folder for logs [default: %(default)s]")
    parser.add_argument("--limit", type=float, default=300, help="seconds that one file may take [default: %(default)s]")
    parser.add_argument("--option", action="append", default=[], help="passed to `heaptide run`, as --option=--native")
    parser.add_argument("projects", nargs="*", default=["git", "sqlite3", "redis", "php"], help="only these")
    options = parser.parse_args()
    heaptide = os.path.abspath(options.heaptide)
    good = True
    for name in options.projects:
        project = Project(name, options.sources)
        if not project.is_there():
            print(f"{name}: not there or not built, left out")
            continue

        def once(file, way, number):
            short = os.path.relpath(file, project.sources).replace("/", ".") if file.startswith("/") else file.replace("/", ".")
            folder = os.path.join(os.path.abspath(options.results), name + "".join(options.option), f"{way}-{number}")
            work, log, capture = (os.path.join(folder, short + end) for end in (".work", ".log", ".bin"))
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            command, directory, added, read = project.command(file, work)
            if way == "traced":
                command = traced(heaptide, capture, options.option, command)
            environment = {key: value for key, value in os.environ.items() if not key.startswith("HEAPTIDE")}
            status, seconds = run(command, log, options.limit, {**environment, **added}, directory)
            with open(log, errors="replace") as output:
                # Some tests have the folder in their names.
                outcomes = read(output.read().replace(work, "WORK"))
            return come_to(outcomes, way, status, seconds, heaptide, capture, work)

        comparison = Comparison(f"{name} {' '.join(options.option)}".strip())
        for file in project.files():
            comparison.unit(
                os.path.basename(file) if file.startswith("/") else file,
                lambda way, number, file=file: once(file, way, number),
            )
        good &= comparison.finish()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
