#!/bin/sh
# Real programs under `HEAPTIDE_VERIFY=1 heaptide run --native`: the tracer unwinds every stack a second time, as a whole,
# and ends tracing at the first that differs. What a program prints and how it ends must be as without heaptide, and no
# stack may be cut but where code is made at run time.
#
#   sh tests/native_programs.sh [PROGRAM...]      with the binary in $HEAPTIDE, default target/debug/heaptide
#
# Programs that are not installed are left out, each with a line. $NUMPY_PYTHON names an interpreter with NumPy and, if
# there, pandas, polars, pyarrow (default: that of the benchmark's virtual environment, else python3). About three minutes.
set -u
cd "$(dirname "$0")/.."
exec < /dev/null
root=$PWD
heaptide=${HEAPTIDE:-${CARGO_TARGET_DIR:-target}/debug/heaptide}
case $heaptide in /*) ;; *) heaptide=$root/$heaptide ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work" || exit 1
failed=0
chosen=" $* "

fail() {
    echo "  FAILED: $*"
    failed=$((failed + 1))
}

# verify NAME CUTS COMMAND...: CUTS is `whole` or `cut`. Standard output and exit status are compared.
verify() {
    name=$1 cuts=$2
    shift 2
    [ "$chosen" = "  " ] || case $chosen in *" $name "*) ;; *) return 0 ;; esac
    command -v "$1" > /dev/null || { echo "$name: left out, no $1"; return 0; }
    "$@" > bare.out 2> bare.err
    bare=$?
    [ $bare = 0 ] || { echo "$name: left out, it fails without heaptide too: $(tail -n 1 bare.err)"; return 0; }
    rm -f run.bin
    HEAPTIDE_VERIFY=1 "$heaptide" run --native -f -o run.bin -- "$@" > traced.out 2> traced.err
    traced=$?
    judge "$name" "$cuts"
    [ "$traced" = "$bare" ] || fail "exit status $traced instead of $bare"
    cmp -s bare.out traced.out || fail "it printed something else"
}

# What is true of each capture.
judge() {
    "$heaptide" stats --json -f -o stats.json run.bin 2> /dev/null || { fail "$1: no capture: $(tail -n 2 traced.err)"; return; }
    "$heaptide" flamegraph --format folded -f -o folded run.bin 2> /dev/null
    stacks=$(wc -l < folded) missing=$(grep -c 'native stack cut' folded)
    python3 - "$1" "$stacks" "$missing" << 'END'
import json, sys
stats = json.load(open("stats.json"))
tracer = stats["tracer"]
print(f"{sys.argv[1]:10} {stats['events']:>11,} events, {sys.argv[2]} stacks in the report, {sys.argv[3]} cut; "
      + ", ".join(f"{key} {tracer[key]}" for key in ("lost", "inconsistent", "cut_stacks") if key in tracer))
END
    grep VERIFY traced.err && fail "a stack differs"
    [ "$2" = whole ] && [ "$missing" != 0 ] && { fail "stacks are cut"; grep -m 3 'native stack cut' folded | cut -c 1-300; }
    [ "$2" = cut ] && [ "$missing" = 0 ] && fail "no stack is cut: code made at run time was expected"
}

python3 "$root/bench/native/inputs.py" "$work"
python=${NUMPY_PYTHON:-}
for candidate in "${XDG_CACHE_HOME:-$HOME/.cache}"/heaptide-bench/venv-*/bin/python /usr/bin/python3; do
    [ -n "$python" ] || { "$candidate" -c 'import numpy' 2> /dev/null && python=$candidate; }
done
cat > arrays.py << 'END'
import numpy as np
a = np.random.default_rng(1).random((300, 300))
for _ in range(20):
    a = np.sort((a @ a.T + a.sum(axis=0)) % 1.0, axis=1)
print(round(float(np.linalg.norm(np.linalg.inv(a + np.eye(300)))), 3), np.unique((a * 9).astype(int)).tolist())
try:
    import pandas as pd
    f = pd.DataFrame({"k": np.arange(20_000) % 97, "v": np.arange(20_000) * 0.5, "s": [f"n{i % 50}" for i in range(20_000)]})
    print(f.groupby(["k", "s"]).v.agg(["sum", "mean"]).merge(f, on="k").head(3).to_csv())
    print(f.s.str.upper().value_counts().sort_index().head(3).to_string())
except ImportError:
    pass
END
export OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 PYTHONHASHSEED=0
if [ -n "$python" ]; then verify numpy whole "$python" arrays.py; else echo "numpy: left out, no interpreter has it"; fi
verify sqlite whole sqlite3 :memory: -init small.sql .exit
verify cc1 whole "$(gcc -print-prog-name=cc1 2> /dev/null || echo cc1)" -quiet -O2 big.c -o -
cat > standard.cpp << 'END'
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
int main() { std::map<std::string, int> m; std::regex r("a+b"); m["aab"] = std::regex_match("aab", r); std::cout << m["aab"] << "\n"; }
END
verify g++ whole g++ -O1 -S -o - standard.cpp
# With the linker, and what it links.
verify build whole sh -c 'g++ -O0 -o standard standard.cpp && ./standard'
git clone -q "$root" repository 2> /dev/null || git init -q repository
verify git whole git -C repository log --stat -n 40 --format=%s
verify git-gc whole sh -c 'cp -r repository again && git -C again -c gc.auto=0 -c pack.threads=2 repack -adfq && git -C again fsck --full; rm -rf again'
verify node cut node -e 'let a = []; for (let i = 0; i < 30000; i++) a.push({i, s: "x" + i}); console.log(JSON.stringify(a).length)'
verify perl whole perl -e 'my %h; $h{$_ % 999} .= "x$_" for 1..50000; print length(join ",", map { $h{$_} } sort keys %h), "\n"'
verify bash whole bash -c 'declare -A a; for i in {1..3000}; do a[$i]=$(( i * i )); done; echo "${#a[@]} $(ls / | wc -l)"'
verify sort whole sort --parallel=2 -S 4M bulk.sql

# A server: outcome is what its client was told; ended by a signal, as it is without heaptide.
redis() {
    [ "$chosen" = "  " ] || case $chosen in *" redis "*) ;; *) return 0 ;; esac
    command -v redis-server > /dev/null && command -v redis-benchmark > /dev/null || { echo "redis: left out, not installed"; return 0; }
    rm -f run.bin
    HEAPTIDE_VERIFY=1 "$heaptide" run --native -f -o run.bin -- redis-server --port 0 --unixsocket "$work/socket" --save '' > traced.out 2> traced.err &
    server=$!
    tries=0
    until redis-cli -s "$work/socket" ping > /dev/null 2>&1 || [ $tries = 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    redis-benchmark -s "$work/socket" -q -n 5000 -t set,get,lpush,hset,zadd,mset > client.out 2>&1 || fail "redis-benchmark: $(tail -n 1 client.out)"
    redis-cli -s "$work/socket" eval 'for i = 1, 1000 do redis.call("set", "verified:" .. i, string.rep("v", i)) end return #redis.call("keys", "verified:*")' 0 > count
    redis-cli -s "$work/socket" shutdown nosave > /dev/null 2>&1
    wait $server
    # Its own allocator is jemalloc, which may be in the program itself; what is seen is what it asks the C library for.
    judge redis whole
    [ "$(cat count)" = 1000 ] || fail "redis: a script counted $(cat count) keys instead of 1000"
}
redis
[ $failed = 0 ] && echo "all as expected" || { echo "$failed failures"; exit 1; }
