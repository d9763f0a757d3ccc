#!/bin/sh
# Fuzzes every target: sh fuzz/run.sh [SECONDS a target, 60 if left out] [TARGET...]
# FUZZ_SEED=N makes a run that a new corpus makes again; without it, each run looks elsewhere.
# Installs cargo-fuzz if it is missing. docs/fuzzing.md says what the targets do and what to do with a find.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -gt 0 ] && shift
exec < /dev/null
cargo fuzz --version > /dev/null 2>&1 || cargo install cargo-fuzz --locked
# No nightly compiler: nothing but the counting of branches is asked of it, which stable does under this name.
export RUSTC_BOOTSTRAP=1
python3 seeds.py
# Once is enough to say that they build: they share all but a few lines. tests/run.sh looks for this.
cargo fuzz build --sanitizer none capture
: > built
for target in ${*:-capture blocks reader events replay names words objects}; do
    printf '\n== fuzzing %s for %s s\n' "$target" "$seconds"
    cargo fuzz build --sanitizer none "$target"
    # 64 KiB hold all that a capture can say; 512 MiB and 10 s are out of proportion to them. The memory is limited by
    # the system: libFuzzer would watch it in a thread of its own, where the alarm for the time may be delivered and
    # lost. That alarm's handler can hang in malloc as well, so there is an end to that too.
    # The rings of `words` are mapped: 16 MiB of each that is looked at, and the file behind them twice.
    most=524288
    [ "$target" != words ] || most=786432
    (
        ulimit -v $most
        timeout -k 10 $((seconds + 60)) cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" \
            -seed="${FUZZ_SEED:-0}" -max_len=65536 -rss_limit_mb=0 -timeout=10 -print_final_stats=1
    ) || {
        [ $? != 124 ] || echo "the run hung: an input takes longer than 10 s" >&2
        exit 1
    }
done
