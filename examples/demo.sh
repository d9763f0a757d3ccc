#!/bin/sh
# Builds heaptide, records examples/inventory.py with it and leaves a flame graph to open.
# Needs Rust (with the linker that comes with a C compiler) and Python 3.8 or later.
set -eu
cd "$(dirname "$0")/.."
cargo build --release
heaptide=${CARGO_TARGET_DIR:-target}/release/heaptide
out=target/demo
mkdir -p "$out"
"$heaptide" run -f -o "$out/inventory.bin" -- python3 examples/inventory.py
echo
"$heaptide" leaks --limit 3 "$out/inventory.bin"
echo
"$heaptide" flamegraph -f -o "$out/inventory.html" "$out/inventory.bin"
echo "Open $PWD/$out/inventory.html in a browser."
