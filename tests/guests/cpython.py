"""CPython's own tests, module by module, bare and traced, outcome by outcome.

    python3 tests/guests/cpython.py --heaptide target/release/heaptide --results /tmp/guests ~/.pyenv/versions/3.12.1/bin/python3

Needs an interpreter that has its package `test` (Debian's is libpython3-testsuite; pyenv's have it). Each module is run by
`python -m test -v` in a process of its own. Logs and JUnit files stay in the folder of the results.
"""

import argparse
import os
import shutil
import subprocess
import sys

from outcomes import Comparison, come_to, from_junit, run, traced

# By what they touch. A name that a version has not is left out there.
AREAS = {
    "memory": "test_gc test_weakref test_tracemalloc test_mmap test_buffer test_memoryview test_memoryio test_array "
    "test_bytes test_finalization test_resource test_bigmem test_bigaddrspace test_dict test_list test_deque "
    "test_ordered_dict test_set test_long test_free_threading",
    "interpreter": "test_sys test_capi test_embed test_code test_frame test_generators test_coroutines test_asyncgen "
    "test_descr test_types test_exceptions test_traceback test_call test_interpreters test__xxsubinterpreters "
    "test_type_cache test_opcache test_atexit test_audit test_cmd_line test_site test_sysconfig test_stable_abi_ctypes "
    "test_raise test_context test_dis test_getpath test_stack_overflow",
    "tools": "test_faulthandler test_sys_setprofile test_sys_settrace test_monitoring test_perf_trampoline test_bdb "
    "test_cprofile test_trace test_dtrace test_support test_regrtest test_dynamic",
    "threads": "test_thread test_threading test_threading_local test_threadsignals test_threadedtempfile test_queue "
    "test_sched test_contextlib_async test_concurrent_futures.test_thread_pool test_concurrent_futures.test_shutdown",
    "processes": "test_subprocess test_fork1 test_posix test_os test_popen test_wait3 test_wait4 test_pty test_openpty "
    "test_multiprocessing_main_handling test_mp_fork_processes test_mp_fork_threads test_mp_spawn_processes "
    "test_mp_forkserver_processes test_script_helper test_concurrent_futures.test_process_pool",
    "signals": "test_signal test_eintr test_file_eintr test_select test_selectors test_poll test_epoll test_time",
    "imports": "test_import test_importlib test_runpy test_pkgutil test_zipimport test_frozen test_py_compile test_imp",
    "native": "test_ctypes test_struct test_ssl test_sqlite3 test_zlib test_bz2 test_lzma test_hashlib test_decimal "
    "test_pyexpat test_xml_etree_c test_pickle test_json test_readline test_curses test_dbm_gnu",
    "network": "test_socketserver test_asyncore test_httpservers test_ftplib "
    "test.test_asyncio.test_base_events test.test_asyncio.test_events test.test_asyncio.test_subprocess "
    "test.test_asyncio.test_tasks test.test_asyncio.test_unix_events test.test_asyncio.test_streams "
    "test.test_asyncio.test_futures test.test_asyncio.test_eager_task_factory test.test_asyncio.test_runners "
    "test.test_asyncio.test_sslproto",
    "files": "test_io test_fileio test_largefile test_shutil test_tempfile test_fcntl",
}

# Quick ones, each of another area. For a run of a minute.
SHORT = (
    "test_gc test_weakref test_mmap test_thread test_threading_local test_fork1 test_posix test_popen test_atexit "
    "test_frame test_importlib test_struct test_queue test_poll test_context test_wait3"
)

# For a second look with options that do more.
DEEP = (
    "test_gc test_weakref test_tracemalloc test_mmap test_threading test_signal test_subprocess test_fork1 test_posix "
    "test_ctypes test_capi test_faulthandler test_generators test_coroutines test_exceptions test_traceback test_import "
    "test_sys test_embed test_pickle test_io test_threadsignals test_sys_settrace test_call"
)

# Modules of test_multiprocessing that no installation has by itself before 3.13.
DRIVER = """import unittest
from test import _test_multiprocessing
_test_multiprocessing.install_tests_in_module_dict(globals(), {method!r}{only})
if __name__ == "__main__":
    unittest.main()
"""


def has_only_type(python):
    """Whether the shared tests of multiprocessing can be divided by kind."""
    ask = "import inspect; from test import _test_multiprocessing as m; print(inspect.signature(m.install_tests_in_module_dict))"
    return "only_type" in subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout


def write_drivers(python, folder):
    os.makedirs(folder, exist_ok=True)
    divided = has_only_type(python)
    for method in ("fork", "spawn", "forkserver"):
        for kind in ("processes", "threads"):
            only = f", only_type={kind!r}" if divided else ""
            with open(f"{folder}/test_mp_{method}_{kind}.py", "w") as file:
                file.write(DRIVER.format(method=method, only=only))


def modules_there(python, names):
    """Those of `names` that the interpreter's package `test` has, or that we make."""
    ask = (
        "import importlib.util, sys\n"
        "for name in sys.argv[1:]:\n"
        "    whole = name if name.startswith('test.') else 'test.' + name\n"
        "    try:\n"
        "        found = importlib.util.find_spec(whole)\n"
        "    except ImportError:\n"
        "        found = None\n"
        "    if found or name.startswith('test_mp_'): print(name)\n"
    )
    return subprocess.run([python, "-c", ask, *names], capture_output=True, text=True, check=True).stdout.split()


# Tests that are left out, by the end of the module's name. This one lets 3 threads sleep for 5 minutes each unless it empties
# their queue before they look into it, and then waits for them; from 3.13 on it waits a second. See docs/guests.md.
LEFT_OUT = {"_threads": ["*WithThreadsTestPool.test_terminate"]}

# Modules of which only some tests are run, by the method in the name: each process is an interpreter that starts anew.
ONLY = {
    method: ["*TestQueue*", "*TestConnection*", "*TestSharedMemory*", "*TestStartMethod*", "*TestPoolWorkerLifetime*", "*TestValue*"]
    for method in ("spawn", "forkserver")
}


class Suite:
    def __init__(self, python, heaptide, options, results, limit):
        self.python, self.heaptide, self.options, self.limit = python, heaptide, options, limit
        self.version = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:3], sep='.')"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self.results = os.path.join(os.path.abspath(results), " ".join([self.version, *options]).replace(" ", ""))
        self.drivers = os.path.join(self.results, "drivers")
        write_drivers(python, self.drivers)
        # Nothing of ours that could change the tests' outcomes, and a home that is the same for both.
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HEAPTIDE"))}
        self.environment["TERM"] = "linux"

    def once(self, module, way, number):
        folder = os.path.join(self.results, f"{way}-{number}")
        os.makedirs(folder, exist_ok=True)
        report, log, capture = (os.path.join(folder, f"{module}.{end}") for end in ("xml", "log", "bin"))
        work = os.path.join(folder, "work")
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        command = [self.python, "-m", "test", "-v", "--junit-xml", report, "--tempdir", work]
        if module.startswith("test_mp_"):
            command += ["--testdir", self.drivers]
            for test in LEFT_OUT.get(module[-len("_threads") :], []):
                command += ["--ignore", test]
            for test in ONLY.get(module.split("_")[2], []):
                command += ["--match", test]
        command.append(module)
        if way == "traced":
            command = traced(self.heaptide, capture, self.options, command)
        status, seconds = run(command, log, self.limit, self.environment, work)
        return come_to(from_junit(report), way, status, seconds, self.heaptide, capture, work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heaptide", default="target/release/heaptide", help="the binary [default: %(default)s]")
    parser.add_argument("--results", default="guests-results", help="folder for logs [default: %(default)s]")
    parser.add_argument("--limit", type=float, default=120, help="seconds that one module may take [default: %(default)s]")
    parser.add_argument("--option", action="append", default=[], help="passed to `heaptide run`, as --option=--native")
    parser.add_argument("--set", choices=("all", "deep", "short"), default="all", help="which modules [default: %(default)s]")
    parser.add_argument("--modules", help="these modules instead, separated by spaces")
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    options = parser.parse_args()
    names = {"all": " ".join(AREAS.values()), "deep": DEEP, "short": SHORT}[options.set]
    names = (options.modules or names).split()
    good = True
    for python in options.pythons:
        if subprocess.run([python, "-c", "import test.libregrtest"], capture_output=True).returncode != 0:
            print(f"{python}: has no package `test` (Debian: libpython3-testsuite), left out")
            continue
        suite = Suite(python, os.path.abspath(options.heaptide), options.option, options.results, options.limit)
        comparison = Comparison(f"CPython {suite.version} {' '.join(options.option)}".strip())
        for module in modules_there(python, names):
            comparison.unit(module, lambda way, number, module=module: suite.once(module, way, number))
        good &= comparison.finish()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
