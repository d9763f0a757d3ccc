#!/bin/sh
# Runs test suites and servers of others, bare and traced, and compares outcome by outcome. About two hours on two cores.
#
#   sh tests/guests/run.sh [cpython|numpy|projects|servers]...      all four without an argument
#
# Uses a release build, which it makes. Installs what it needs: Debian packages with apt-get (as root or through sudo; what
# cannot be had is left out, and said), NumPy and gunicorn in virtual environments, and the sources of git, SQLite, Redis and
# PHP with `apt-get source`, all under ${XDG_CACHE_HOME:-~/.cache}/heaptide-tests. Interpreters are pyenv's, because
# they come with CPython's tests.
#
# Logs and outcomes are left in guests-results. Ends with 1 if anything differs or a capture is not whole; what is known to
# differ, and why, is in docs/guests.md.
set -u
cd "$(dirname "$0")/../.."
exec < /dev/null
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heaptide-tests
target=${CARGO_TARGET_DIR:-target}
results=$PWD/guests-results
sources=$cache/sources
heaptide=$target/release/heaptide
mkdir -p "$cache" "$sources" "$results"
failed=

say() { printf '\n== %s\n' "$*"; }

pythons() {
    for minor in 11 12 13; do
        found=
        for python in "$HOME"/.pyenv/versions/3.$minor.*/bin/python3; do
            [ -x "$python" ] && found=$python
        done
        if [ -n "$found" ]; then echo "$found"; else echo "no Python 3.$minor in pyenv: left out" >&2; fi
    done
}

install() {
    command -v apt-get > /dev/null || { echo "no apt-get: what is missing of $* is left out"; return 0; }
    missing=
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    # shellcheck disable=SC2086
    $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing \
        > "$cache/apt-guests.log" 2>&1 || echo "could not be installed (see $cache/apt-guests.log):$missing"
}

# A virtual environment with packages: its interpreter's path in $environment.
environment() {
    python=$1
    shift
    environment=$cache/guests-$("$python" -c 'import sys; print(*sys.version_info[:3], sep=".")')
    [ -x "$environment/bin/python" ] || "$python" -m venv "$environment" || return 1
    "$environment/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: "$@"
}

fetch() {
    [ -d "$sources/$1" ] && return 0
    # Lists of our own: the machine's stay as they are.
    lists=$sources/lists
    mkdir -p "$lists/partial"
    . /etc/os-release
    echo "deb-src http://deb.debian.org/debian $VERSION_CODENAME main" > "$sources/sources.list"
    apt="-o Dir::Etc::sourcelist=$sources/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists=$lists"
    # shellcheck disable=SC2086
    (cd "$sources" && apt-get $apt update -qq && apt-get $apt source --download-only "$2" && dpkg-source -x "$2"_*.dsc "$1") \
        > "$sources/$1.log" 2>&1 || echo "$1: its source could not be had (see $sources/$1.log)"
}

cpython() {
    # shellcheck disable=SC2046
    set -- $(pythons)
    [ $# -gt 0 ] || return 0
    python3 tests/guests/cpython.py --heaptide "$heaptide" --results "$results" "$@" || failed="$failed cpython"
    for option in --native --python-allocators; do
        python3 tests/guests/cpython.py --heaptide "$heaptide" --results "$results" --set deep --option="$option" "$@" ||
            failed="$failed cpython$option"
    done
}

numpy() {
    for python in $(pythons); do
        environment "$python" numpy pytest hypothesis || { echo "no NumPy for $python: left out"; continue; }
        python3 tests/guests/numpy_suite.py --heaptide "$heaptide" --results "$results" "$environment/bin/python" ||
            failed="$failed numpy"
        for option in --native --python-allocators; do
            python3 tests/guests/numpy_suite.py --heaptide "$heaptide" --results "$results" --set deep --option="$option" \
                "$environment/bin/python" || failed="$failed numpy$option"
        done
    done
}

projects() {
    install gcc make dpkg-dev zlib1g-dev tcl-dev tcl redis-server redis-tools php-cli
    fetch git git
    fetch sqlite3 sqlite3
    fetch redis redis
    fetch php "$(php -r 'echo "php", PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;' 2> /dev/null || echo php)"
    [ -x "$sources/git/t/helper/test-tool" ] || { [ -d "$sources/git" ] && make -s -C "$sources/git" -j2 CFLAGS=-O1 NO_GETTEXT=1 \
        NO_CURL=1 NO_TCLTK=1 NO_PYTHON=1 NO_EXPAT=1 > "$sources/git-make.log" 2>&1; }
    [ -x "$sources/sqlite3/testfixture" ] || { [ -d "$sources/sqlite3" ] && (cd "$sources/sqlite3" && ./configure --enable-fts5 &&
        make testfixture) > "$sources/sqlite3-make.log" 2>&1; }
    for program in redis-server redis-cli redis-benchmark redis-check-aof redis-check-rdb redis-sentinel; do
        [ -d "$sources/redis/src" ] && command -v $program > /dev/null && ln -sf "$(command -v $program)" "$sources/redis/src/$program"
    done
    python3 tests/guests/c_projects.py --heaptide "$heaptide" --sources "$sources" --results "$results" || failed="$failed projects"
}

servers() {
    install redis-server redis-tools nginx wrk curl memcached postgresql postgresql-contrib
    # The last one that pyenv has.
    for python in $(pythons); do :; done
    gunicorn=
    environment "${python:-/usr/bin/python3}" gunicorn && gunicorn=$environment/bin/python
    for option in "" --aggregate --native; do
        python3 tests/guests/servers.py --heaptide "$heaptide" --results "$results" ${gunicorn:+--gunicorn "$gunicorn"} \
            ${option:+--option="$option"} || failed="$failed servers$option"
    done
}

say "a release build"
cargo build --release -q || exit 1
for part in ${*:-cpython numpy projects servers}; do
    case $part in
        cpython | numpy | projects | servers) say "$part" && $part ;;
        *) echo "unknown: $part" && exit 2 ;;
    esac
done
[ -z "$failed" ] || { say "differences in:$failed"; exit 1; }
say "nothing differs"
