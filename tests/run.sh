#!/bin/sh
# Passes the tests, after installing what they need:
#
#   Debian packages     with apt-get, as root or through sudo; without, the tests that need them are skipped
#   memray              for each Python, in virtual environments under ${XDG_CACHE_HOME:-~/.cache}/heaptide-tests, to
#                       compare with; beside it greenlet, gevent and coverage, whose programs are traced
#   objgraph, Pympler   and guppy3, in such an environment of their own, to compare a census with
#   Python 3.14, 3.15   and debug builds, from Debian's next suite, under the same folder (tests/interpreters.sh)
#   polars, gprof2dot   in another, to read what is exported for them
#   playwright-core     with npm, in tests/page/node_modules, for the page in a browser; beside it typescript, for its types,
#                       and readers of exports: speedscope, pprof-format, Firefox Profiler's command line
#   cargo-fuzz          with cargo, to fuzz the reader of captures for a while
#
# Never asks anything. Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."
exec < /dev/null
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heaptide-tests
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$cache"

say() { printf '\n== %s\n' "$*"; }

install_packages() {
    command -v apt-get > /dev/null || return 0
    missing=
    # By command where the program may come from elsewhere, by package where only the package tells.
    for pair in cc:gcc g++:g++ python3:python3 musl-gcc:musl-tools chromium:chromium node:nodejs npm:npm \
        heaptrack_print:heaptrack valgrind:valgrind; do
        command -v "${pair%%:*}" > /dev/null || missing="$missing ${pair##*:}"
    done
    packages="python3-dev python3-dbg python3-venv libjemalloc2 libtcmalloc-minimal4 libjemalloc-dev libgoogle-perftools-dev"
    [ "$(dpkg --print-architecture)" = amd64 ] && packages="$packages gcc-multilib"
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo="sudo -n"
        $sudo true 2> /dev/null || {
            echo "not installed, and no right to:$missing; tests that need them are skipped"
            return 0
        }
    fi
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing > "$cache/apt.log" 2>&1 ||
        echo "some could not be installed (see $cache/apt.log); tests that need them are skipped"
}

# memray for each Python that is there, without what only its reports need: it is compared by its library. About 5 s each.
make_environment() {
    pip=$cache/venv/bin/python
    "$pip" -m pip --version > /dev/null 2>&1 || /usr/bin/env python3 -m venv --clear "$cache/venv" > "$cache/pip.log" 2>&1 ||
        { echo "no virtual environment could be made (see $cache/pip.log); the comparison with memray is skipped"; return 0; }
    HEAPTIDE_MEMRAY_PYTHON=
    for python in "$HOME"/.pyenv/versions/3.*/bin/python3 /usr/bin/python3; do
        version=$("$python" -c 'import sys; print(*sys.version_info[:3], sep=".")' 2> /dev/null) || continue
        case $version in 3.[89].* | 3.1[0-3].*) ;; *) continue ;; esac
        environment=$cache/memray-$version
        install="timeout 60 $pip -m pip --python $environment/bin/python install -q --no-deps --only-binary :all:"
        if ! "$environment/bin/python" -c 'import memray' 2> /dev/null; then
            say "installing memray for Python $version"
            { "$python" -m venv --clear --without-pip "$environment" && $install memray rich typing_extensions; } \
                > "$cache/pip.log" 2>&1 || {
                echo "memray could not be installed (see $cache/pip.log); it is not compared with on Python $version"
                continue
            }
        fi
        "$environment/bin/python" -c 'import greenlet, gevent, coverage' 2> /dev/null ||
            $install greenlet gevent zope.event zope.interface coverage > "$cache/pip.log" 2>&1 ||
            echo "greenlet, gevent, coverage could not be installed (see $cache/pip.log): not traced on Python $version"
        HEAPTIDE_MEMRAY_PYTHON=$HEAPTIDE_MEMRAY_PYTHON:$environment/bin/python
    done
    export HEAPTIDE_MEMRAY_PYTHON="${HEAPTIDE_MEMRAY_PYTHON#:}"
}

# objgraph, Pympler and guppy for one Python, whose counts are compared with those of a census.
make_peers() {
    environment=$cache/census-peers
    python=$(ls "$HOME"/.pyenv/versions/3.11.*/bin/python3 2> /dev/null | head -n 1)
    python=${python:-/usr/bin/python3}
    if ! "$environment/bin/python" -c 'import objgraph, pympler, guppy' 2> /dev/null; then
        say "installing objgraph, Pympler and guppy3"
        { "$python" -m venv --clear --without-pip "$environment" &&
            timeout 60 "$cache/venv/bin/python" -m pip --python "$environment/bin/python" install -q --only-binary :all: \
                objgraph Pympler guppy3; } > "$cache/pip.log" 2>&1 || {
            echo "they could not be installed (see $cache/pip.log); censuses are not compared with them"
            return 0
        }
    fi
    export HEAPTIDE_CENSUS_PYTHON="$environment/bin/python"
}

# Those who read what `heaptide export` writes.
make_readers() {
    environment=$cache/export-readers
    if ! "$environment/bin/python" -c 'import polars, gprof2dot' 2> /dev/null; then
        say "installing polars and gprof2dot"
        { /usr/bin/env python3 -m venv --clear --without-pip "$environment" &&
            timeout 120 "$cache/venv/bin/python" -m pip --python "$environment/bin/python" install -q --only-binary :all: \
                polars gprof2dot; } > "$cache/pip.log" 2>&1 ||
            echo "they could not be installed (see $cache/pip.log); what is exported for them is not read"
    fi
    export HEAPTIDE_EXPORTS_PYTHON="$environment/bin/python"
    command -v npm > /dev/null && (cd tests/page && npm ci --silent --no-audit --no-fund) ||
        echo "no npm, or its packages could not be installed: what they read is not tested"
}

test_page() {
    command -v node > /dev/null || { echo "no node: the page is not tested"; return 0; }
    # What changed, in the page as in the reports.
    mkdir -p "$cache/diff"
    for side in before after; do
        "$target/debug/heaptide" run -q -f -o "$cache/diff/$side.bin" -- python3 fixtures/programs/changes.py $side
    done
    "$target/debug/heaptide" diff --html -f -o "$cache/diff/diff.html" "$cache/diff/before.bin" "$cache/diff/after.bin"
    for by in stack line function file module package; do
        "$target/debug/heaptide" diff --json --limit 0 --by $by -f -o "$cache/diff/$by.json" "$cache/diff/before.bin" "$cache/diff/after.bin"
    done
    say "the page without a browser"
    (cd tests/page && DIFF="$cache/diff" node --test layout.test.js broken.test.js course.test.js time_shapes.test.js highest.test.js labels.test.js range.test.js asked.test.js leaks_part.test.js censuses.test.js prune.test.js functions.test.js rows.test.js records.test.js search.test.js tabs.test.js)
    if ! command -v chromium > /dev/null || ! [ -e tests/page/node_modules/playwright-core ]; then
        echo "no chromium or no playwright-core: the page is not tested in a browser"
        return 0
    fi
    say "the page in a browser"
    "$target/debug/heaptide" run -q -f -o "$cache/inventory.bin" -- python3 examples/inventory.py > /dev/null
    "$target/debug/heaptide" flamegraph -f -o "$cache/inventory.html" "$cache/inventory.bin"
    CHROMIUM=$(command -v chromium)
    export CHROMIUM
    (cd tests/page && PAGE="$cache/inventory.html" node --test types.test.js browser.test.js views.browser.test.js time.browser.test.js zoom.browser.test.js)
    "$target/debug/heaptide" flamegraph --from 40% --to 70% -f -o "$cache/window.html" "$cache/inventory.bin"
    (cd tests/page && WINDOW="$cache/window.html" node --test window.browser.test.js)
    say "damaged pages"
    (cd tests/page && PAGE="$cache/inventory.html" node --test broken.test.js damaged.test.js)
    say "leaks and types in a browser"
    "$target/debug/heaptide" run -q -f -o "$cache/leaks.bin" -- python3 fixtures/leaks/leak_dict.py
    "$target/debug/heaptide" leaks --html -f -o "$cache/leaks.html" "$cache/leaks.bin"
    "$target/debug/heaptide" run -q -f --census 100ms --python-allocators -o "$cache/types.bin" -- python3 fixtures/programs/census_growth.py 0.3
    "$target/debug/heaptide" flamegraph -f -o "$cache/types.html" "$cache/types.bin"
    "$target/debug/heaptide" flamegraph --from 30% --to 70% -f -o "$cache/types-window.html" "$cache/types.bin"
    (cd tests/page && LEAKS="$cache/leaks.html" TYPES="$cache/types.html" TYPES_WINDOW="$cache/types-window.html" DIFF="$cache/diff/diff.html" node --test tabs.browser.test.js)
    say "hostile names in a browser"
    "$target/debug/heaptide" run -q -f --census exit -o "$cache/hostile.bin" -- python3 fixtures/hostile/hostile_names.py '</script><script>alert(9)</script>' "$(printf 'txt.\342\200\256gpj')"
    "$target/debug/heaptide" flamegraph -f -o "$cache/hostile.html" "$cache/hostile.bin"
    "$target/debug/heaptide" diff --html -f -o "$cache/hostile-diff.html" "$cache/inventory.bin" "$cache/hostile.bin"
    (cd tests/page && PAGES="$cache/hostile.html:$cache/hostile-diff.html" node --test hostile.test.js)
    say "the page by the rules of accessibility"
    (cd tests/page && PAGES="$cache/inventory.html:$cache/window.html:$cache/leaks.html:$cache/types.html:$cache/diff/diff.html" node --test accessibility.test.js narrow.browser.test.js)
    say "a page of 100 000 stacks"
    heaptide=$(realpath "$target/debug/heaptide")
    stacks=$(realpath bench/workloads/stacks.py)
    (cd "$cache" && "$heaptide" run -q -f -o stacks.bin -- python3 "$stacks" 100000 > /dev/null &&
        "$heaptide" flamegraph -f -o stacks.html stacks.bin)
    (cd tests/page && PAGE="$cache/stacks.html" node --test scale.test.js)
}

# The two sides of a ring, in a model that tries out every interleaving.
test_interleavings() {
    say "all interleavings of the two sides of a ring"
    cargo test --quiet -p heaptide-format --no-default-features --features model --lib ring
}

fuzz() {
    # 56 s in all; an hour a target is for releases.
    # Looks at the same each time: what is new to find is for longer runs, not for a change that has nothing to do with it.
    say "fuzzing for 7 s a target"
    python3 fuzz/seeds.py
    rm -f fuzz/built
    FUZZ_SEED=1 sh fuzz/run.sh 7 && return 0
    # On a machine that is busy with something else an input may be slow: that is no find. A target that does not build is.
    [ -e fuzz/built ] || return 1
    find fuzz/artifacts -name 'crash-*' -o -name 'oom-*' 2> /dev/null | grep . && return 1
    echo "the fuzzer did not end well, but found nothing"
}

install_packages
# Says itself what could not be had.
sh tests/interpreters.sh || true
make_environment
make_peers
make_readers
say "cargo test --workspace"
cargo test --workspace "$@"
say "the documents"
python3 docs/check.py "$target/debug/heaptide"
test_page
test_interleavings
fuzz
say "all passed"
