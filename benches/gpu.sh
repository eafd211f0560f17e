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
# Mixed precision is refused, in a sentence, where the device knows no f16.
mixed=1
"$limn" check --device "$device" --precision mixed > "$stem-check-mixed.txt" 2>&1 || mixed=$?
tail -n 1 "$stem-check-mixed.txt"
if [ "$mixed" = 1 ] && grep -q FAILED "$stem-check-mixed.txt"; then status=1; fi
"$limn" bench roof --device "$device" --json | tee "$stem-roof.json"

: > "$stem-steps.jsonl"
for preset in vae vae-conv dcgan dcgan-28 dcgan-32 pixelcnn; do
  "$limn" bench step "$preset" --device "$device" --json | tee -a "$stem-steps.jsonl"
  "$limn" profile "$preset" --device "$device" > "$stem-profile-$preset.txt"
done
# Beside PyTorch with TF32, and with amp (benches/peers.md).
if [ "$mixed" != 2 ]; then
  "$limn" bench step dcgan --batch 128 --device "$device" --json | tee -a "$stem-steps.jsonl"
  for preset in "dcgan --batch 128" dcgan-28 pixelcnn; do
    # The words are a preset and its flags.
    # shellcheck disable=SC2086
    "$limn" bench step $preset --device "$device" --precision mixed --json | tee -a "$stem-steps.jsonl"
  done
  "$limn" profile dcgan --batch 128 --device "$device" --precision mixed > "$stem-profile-dcgan-mixed.txt"
fi
if [ -z "${LIMN_QUICK:-}" ]; then
  "$limn" bench --device "$device" --json > "$stem-kernels.jsonl"
fi
exit $status
