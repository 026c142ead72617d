#!/usr/bin/env bash
# Builds the opstamp command and runs it with the arguments given:
#   bash tests/opstamp.sh run tests/programs/mandelbrot.vm3
set -u
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
need_build_tools || exit 2
manifest="$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml"
exec cargo run --release --quiet --manifest-path "$manifest" --package opstamp-platform --bin opstamp -- "$@"
