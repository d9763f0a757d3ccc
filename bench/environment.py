"""What the benchmark needs and where it is: the binary under test, a virtual environment with memray and the libraries
that the workloads use, the native programs. All of it outside the tree, in a cache directory.

Python 3.8 and later, standard library only.
"""
import io
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "heaptide-bench")
# A commit of github.com/daanx/mimalloc-bench.
MIMALLOC_BENCH = "ce5784f1cef3d48ddc931479e4899ffad5ab3943"
LIBRARIES = "memray numpy pandas django sqlalchemy sympy jinja2 mako lxml docutils pygments pyperformance".split()


class Environment:
    """Paths of the programs that are run."""

    def __init__(self, python):
        self.work = os.path.join(CACHE, "work")
        self.results = os.path.join(CACHE, "results")
        for directory in (self.work, self.results):
            os.makedirs(directory, exist_ok=True)
        self.heaptide = heaptide()
        self.python = virtual_environment(python)
        self.pairs = native("pairs")
        self.pressure = native("pressure", "-pthread")
        self.churn = native("churn", "-shared", "-fPIC")
        self.unwind = native("unwind")
        self.server = native("server", "-std=c++17", "-pthread", source="server.cpp")
        self.native_inputs = native_inputs()
        self.heaptrack = shutil.which("heaptrack")

    def mimalloc_bench(self):
        """A copy of that collection of programs, `$MIMALLOC_BENCH` or fetched; `None` if there is none. Never kept with the
        project: its programs have licences of their own."""
        given, folder = os.environ.get("MIMALLOC_BENCH"), os.path.join(CACHE, "mimalloc-bench-" + MIMALLOC_BENCH)
        if given:
            return given
        if not os.path.isdir(folder):
            url = f"https://github.com/daanx/mimalloc-bench/archive/{MIMALLOC_BENCH}.tar.gz"
            try:
                with urllib.request.urlopen(url, timeout=30) as answer:
                    archive = answer.read()
                with tarfile.open(fileobj=io.BytesIO(archive)) as file:
                    file.extractall(CACHE)
            except (OSError, tarfile.TarError) as error:
                print(f"{url}: {error}", file=sys.stderr)
                return None
        return folder

    def describe(self):
        """What was measured, for the stored results."""
        freeze = subprocess.run([self.python, "-m", "pip", "list", "--format=freeze"], stdout=subprocess.PIPE, text=True)
        with open("/proc/cpuinfo") as file:
            models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return {
            "heaptide": output([self.heaptide, "--version"]),
            "commit": output(["git", "-C", ROOT, "rev-parse", "HEAD"]),
            "python": output([self.python, "-VV"]),
            "heaptrack": output([self.heaptrack, "--version"]) if self.heaptrack else "",
            "libraries": freeze.stdout.splitlines(),
            "processor": models[0] if models else "",
            "processors": os.cpu_count(),
            "kernel": os.uname().release,
            "load": os.getloadavg(),
        }


def output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()


def heaptide():
    """`$HEAPTIDE`, or what cargo builds here."""
    if os.environ.get("HEAPTIDE"):
        return os.path.abspath(os.environ["HEAPTIDE"])
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    built = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release", "heaptide")
    # A copy, so that a build during the measurement does not change what is measured.
    return shutil.copy(built, os.path.join(CACHE, "heaptide"))


def virtual_environment(base):
    """The interpreter of an environment made from `base`; installs what is missing."""
    version = output([base, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
    if not version:
        sys.exit(f"{base}: no Python")
    directory = os.path.join(CACHE, "venv-" + version)
    python = os.path.join(directory, "bin", "python")
    done = os.path.join(directory, "libraries.txt")
    if not os.path.exists(done):
        print(f"making {directory}", file=sys.stderr)
        subprocess.run([base, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *LIBRARIES], check=True)
        with open(done, "w") as file:
            file.write("\n".join(LIBRARIES))
    return python


def native(name, *flags, source=None):
    """A C or C++ program or library of `native/`, built."""
    source, built = os.path.join(HERE, "native", source or name + ".c"), os.path.join(CACHE, name)
    if not os.path.exists(built) or os.path.getmtime(built) < os.path.getmtime(source):
        compiler = "c++" if source.endswith(".cpp") else "cc"
        subprocess.run([compiler, "-O2", "-g", *flags, "-o", built, source], check=True)
    return built


def native_inputs():
    """The folder with what the native programs work on, made if it is missing."""
    folder, script = os.path.join(CACHE, "native-inputs"), os.path.join(HERE, "native", "inputs.py")
    done = os.path.join(folder, "small.sql")
    if not os.path.exists(done) or os.path.getmtime(done) < os.path.getmtime(script):
        os.makedirs(folder, exist_ok=True)
        subprocess.run([sys.executable, script, folder], check=True)
    return folder
