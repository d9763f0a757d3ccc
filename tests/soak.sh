#!/bin/sh
# The long form of what tests/places.rs does for seconds: records a service with a steady load for MINUTES (60) and checks
# that neither the recorder nor the recorded program grows. HEAPTIDE is the program to test, PYTHON the interpreter of the
# service, OPTIONS are added to `heaptide run` (for example --python-allocators, --native, --aggregate).
#
#   tests/soak.sh 20
#   OPTIONS=--native tests/soak.sh 60
#
# Growth is told from the third part of the time on: by then every table has the size that the load needs.
set -eu
minutes=${1:-60}
heaptide=${HEAPTIDE:-$(dirname "$0")/../target/release/heaptide}
exec "${PYTHON:-python3}" "$(dirname "$0")/soak.py" "$heaptide" "$minutes" ${OPTIONS:-}
