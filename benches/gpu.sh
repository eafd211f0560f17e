#!/bin/sh
# What a machine's GPU does with limn: every kernel against its twin, the device's ceilings, every kernel's
# time and every preset's step, as text and JSON lines in one folder.
#
#   benches/gpu.sh [FOLDER] [DEVICE]      FOLDER: assets/results; DEVICE: as for `limn devices`, 0
#
# LIMN names the program (target/release/limn); LIMN_QUICK=1 leaves the single kernels out.
set -eu
limn=${LIMN:-target/release/limn}
folder=${1:-assets/results}
device=${2:-0}

if [ ! -x "$limn" ]; then
  echo "there is no $limn: run 'make build', or set LIMN" >&2
  exit 1
fi
name=$("$limn" bench roof --device "$device" --json | sed 's/.*"device":"\([^"]*\)".*/\1/')
stem=$folder/$(date +%F)-$(printf %s "$name" | tr -cs 'A-Za-z0-9\n' - | tr 'A-Z' 'a-z' | sed 's/-*$//')
mkdir -p "$folder"
echo "$name: results in $stem-*"

"$limn" devices --json > "$stem-devices.jsonl"
status=0
"$limn" check --device "$device" > "$stem-check.txt" || status=$?
tail -n 1 "$stem-check.txt"
"$limn" bench roof --device "$device" --json | tee "$stem-roof.json"

: > "$stem-steps.jsonl"
for preset in vae vae-conv dcgan dcgan-28 dcgan-32 pixelcnn; do
  "$limn" bench step "$preset" --device "$device" --json | tee -a "$stem-steps.jsonl"
  "$limn" profile "$preset" --device "$device" > "$stem-profile-$preset.txt"
done
if [ -z "${LIMN_QUICK:-}" ]; then
  "$limn" bench --device "$device" --json > "$stem-kernels.jsonl"
fi
exit $status
