"""NumPy's own tests, file by file with pytest, bare and traced, outcome by outcome.

    python3 tests/guests/numpy_suite.py --heaptide target/release/heaptide --results /tmp/guests ENVIRONMENT/bin/python ...

Each Python must have numpy, pytest and hypothesis (tests/guests/run.sh makes such environments).
"""

import argparse
import os
import subprocess
import sys

from outcomes import Comparison, come_to, from_junit, run, traced

FILES = (
    "_core/tests/test_multiarray.py _core/tests/test_mem_policy.py _core/tests/test_mem_overlap.py _core/tests/test_umath.py "
    "_core/tests/test_ufunc.py _core/tests/test_nditer.py _core/tests/test_dtype.py _core/tests/test_indexing.py "
    "_core/tests/test_numeric.py _core/tests/test_records.py _core/tests/test_regression.py _core/tests/test_shape_base.py "
    "_core/tests/test_array_coercion.py _core/tests/test_overrides.py _core/tests/test_stringdtype.py _core/tests/test_strings.py "
    "_core/tests/test_multithreading.py _core/tests/test_item_selection.py _core/tests/test_function_base.py "
    "_core/tests/test_scalarmath.py _core/tests/test_arrayprint.py _core/tests/test_longdouble.py _core/tests/test_hashtable.py "
    "lib/tests linalg/tests fft/tests random/tests ma/tests polynomial/tests matrixlib/tests tests"
).split()
SHORT = "_core/tests/test_mem_policy.py _core/tests/test_multithreading.py _core/tests/test_dtype.py linalg/tests".split()
DEEP = (
    "_core/tests/test_multiarray.py _core/tests/test_mem_policy.py _core/tests/test_multithreading.py _core/tests/test_ufunc.py "
    "_core/tests/test_indexing.py _core/tests/test_stringdtype.py lib/tests linalg/tests fft/tests"
).split()

ASK = "import numpy, os, sys; print(numpy.__version__, '%d.%d.%d' % sys.version_info[:3], os.path.dirname(numpy.__file__))"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heaptide", default="target/release/heaptide", help="the binary [default: %(default)s]")
    parser.add_argument("--results", default="guests-results", help="folder for logs [default: %(default)s]")
    parser.add_argument("--limit", type=float, default=400, help="seconds that one file may take [default: %(default)s]")
    parser.add_argument("--option", action="append", default=[], help="passed to `heaptide run`, as --option=--native")
    parser.add_argument("--set", choices=("all", "deep", "short"), default="all", help="which files [default: %(default)s]")
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    options = parser.parse_args()
    heaptide = os.path.abspath(options.heaptide)
    good = True
    for python in map(os.path.abspath, options.pythons):
        asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True, cwd="/")
        numpy_version, version, package = asked.stdout.split()
        results = os.path.join(os.path.abspath(options.results), f"numpy-{version}{''.join(options.option)}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HEAPTIDE"))}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"

        def once(name, way, number):
            folder = os.path.join(results, f"{way}-{number}")
            work = os.path.join(folder, "work")
            os.makedirs(work, exist_ok=True)
            report, log, capture = (os.path.join(folder, f"{name.replace('/', '.')}.{end}") for end in ("xml", "log", "bin"))
            command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junitxml={report}",
                       f"--basetemp={work}/base", os.path.join(package, name)]
            if way == "traced":
                command = traced(heaptide, capture, options.option, command)
            status, seconds = run(command, log, options.limit, environment, work)
            return come_to(from_junit(report), way, status, seconds, heaptide, capture, work)

        comparison = Comparison(f"NumPy {numpy_version} on {version} {' '.join(options.option)}".strip())
        names = {"all": FILES, "deep": DEEP, "short": SHORT}[options.set]
        for name in names:
            if os.path.exists(os.path.join(package, name)):
                comparison.unit(name, lambda way, number, name=name: once(name, way, number))
        good &= comparison.finish()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
