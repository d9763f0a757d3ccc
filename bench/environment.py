"""What the benchmark needs and where it is: the binary under test, a virtual environment with memray and the libraries
that the workloads use, the native programs. All of it outside the tree, in a cache directory.

Python 3.8 and later, standard library only.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "heaptide-bench")
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
        self.churn = native("churn", "-shared", "-fPIC")
        self.heaptrack = shutil.which("heaptrack")

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


def native(name, *flags):
    """A C program or library of `native/`, built."""
    source, built = os.path.join(HERE, "native", name + ".c"), os.path.join(CACHE, name)
    if not os.path.exists(built) or os.path.getmtime(built) < os.path.getmtime(source):
        subprocess.run(["cc", "-O2", "-g", *flags, "-o", built, source], check=True)
    return built
