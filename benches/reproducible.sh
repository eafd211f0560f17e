#!/usr/bin/env bash
# Builds limn as it is handed on in two folders of other names and depths, from what is committed, and compares the bytes.
#
#   benches/reproducible.sh
#
# REPRODUCIBLE_IN   where the folders are made; a new one where nothing is said, which goes when all is well
set -euo pipefail
cd "$(dirname "$0")/.."
in=${REPRODUCIBLE_IN:-$(mktemp -d)}
# Somebody may commit while it builds.
commit=$(git rev-parse HEAD)
sums=()
for folder in one "a second one/further down"; do
  mkdir -p "$in/$folder"
  git archive "$commit" | tar -x -C "$in/$folder"
  sum=$(cd "$in/$folder" && env -u CARGO_TARGET_DIR benches/dist.sh | tail -n 1)
  echo "$folder: $sum"
  sums+=("$sum")
done
if [ "${sums[0]}" != "${sums[1]}" ]; then
  echo "the two differ; they are in $in"
  exit 1
fi
[ -n "${REPRODUCIBLE_IN:-}" ] || rm -rf "$in"
echo "the same bytes"
