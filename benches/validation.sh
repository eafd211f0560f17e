#!/usr/bin/env bash
# What limn asks a driver for, under a validation layer that follows what every shader reads and writes
# (kernels-tests/command_line/validation.rs), and every shader in SPIR-V by spirv-val (kernels-tests/kernels/spirv.rs), in a
# Debian of their own. Needs root; with LIMN_TRUST every family is tried, and every shader in four ways.
#
#   benches/validation.sh [FOLDER]      FOLDER: a place for that Debian, kept for the next time; target/debian
set -euo pipefail
cd "$(dirname "$0")/.."
for part in kernels:spirv:: command_line:validation::; do
  name=${part%%:*}
  test=$(cargo test --locked --release --test "$name" --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*'"$name"'-[^"]*\)".*/\1/p')
  benches/debian.sh "${1:-target/debian}" "$test" "${part#*:}" --nocapture
done
