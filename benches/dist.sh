#!/usr/bin/env bash
# The program as it is handed on: target/dist/limn. Where it is built, and when, leaves no trace in it, so that everybody
# with the same source, the same Rust and the same C compiler makes the same bytes (benches/reproducible.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
home=$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd)
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
# Of several that fit, the compiler takes the last.
flags=(--remap-path-prefix="$here=/limn" --remap-path-prefix="$target=/target" --remap-path-prefix="$home=/cargo")
# Files have spaces in their names; what stands between two flags does not.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
printf -v CFLAGS '%s %q %q' "${CFLAGS:-}" "-ffile-prefix-map=$target=/target" "-ffile-prefix-map=$home=/cargo"
export CARGO_ENCODED_RUSTFLAGS SOURCE_DATE_EPOCH CFLAGS CC_SHELL_ESCAPED_FLAGS=1 CARGO_INCREMENTAL=0
"${CARGO:-cargo}" build --locked --profile dist
cd "$target/dist"
sha256sum limn
