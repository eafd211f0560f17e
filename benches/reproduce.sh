#!/bin/sh
# Trains presets as far as their papers did and holds the figures against the published ones.
#
#   benches/reproduce.sh [NAME ...]      no name: all, in the order of the list below
#
# Training goes in pieces of under eight minutes, each of which saves and is gone on with by the next; so does a second
# call of this script. Runs lie in runs/reproduce/, figures as JSON lines in assets/results/reproduce/. What is measured
# before a run is complete is shown with the steps it had.
#
#   LIMN     the program, target/release/limn
#   DEVICE   as for `limn devices`; without it limn chooses
#   BUDGET   seconds of training for each preset, 14400; 0 only evaluates
#   PIECE    seconds of a piece, 420
#   IMAGES   how many test images count, for slow machines; all
#   RUNS, RESULTS   the two folders
set -eu
limn=${LIMN:-target/release/limn}
budget=${BUDGET:-14400}
piece=${PIECE:-420}
runs=${RUNS:-runs/reproduce}
results=${RESULTS:-assets/results/reproduce}

# name | arguments of `limn train` | the command that measures, DIR for the run | figure | published | what it is
list() {
  cat <<'LIST'
gated|pixelcnn-gated --data mnist --epochs 150|eval DIR|bits_per_dim|0.808|bits/dim, 8-bit MNIST
pixelcnn|pixelcnn --data mnist --epochs 457|eval DIR|nll|81.45|nats/image, MNIST
pixelrnn-diagonal|pixelrnn-diagonal --data mnist --set model.layers=1|eval DIR|nll|80.75|nats/image, MNIST, one layer
vae-iwae|vae-iwae --data mnist --set model.samples=1 --epochs 3280 --set train.lr_schedule=exponential --set train.lr_end=0.1 --set train.checkpoint_every=50000|eval DIR --metric log-p|nll|86.76|nats/image, MNIST, one draw
vae-iwae-50|vae-iwae --data mnist|eval DIR --metric log-p|nll|86.35|nats/image, MNIST, 50 draws
vae-static|vae-static --data mnist --steps 65000|eval DIR|elbo|-103.31|nats/image, MNIST made binary once
pixelcnn-cifar|pixelcnn-cifar --data cifar10|eval DIR|bits_per_dim|3.14|bits/dim, CIFAR-10
gan|gan --data mnist|eval DIR --metric parzen|parzen|225|nats/image, MNIST
probe|dcgan --data cifar10|probe DIR --data cifar10|probe_accuracy|0.828|of CIFAR-10; the paper's was trained on ImageNet
LIST
}

names=${*:-$(list | cut -d'|' -f1)}
for name in $names; do
  if ! list | cut -d'|' -f1 | grep -qx -- "$name"; then
    echo "there is no \"$name\" to reproduce; there are: $(list | cut -d'|' -f1 | tr '\n' ' ')" >&2
    exit 2
  fi
done
if [ ! -x "$limn" ]; then
  echo "there is no $limn: run 'make build', or set LIMN" >&2
  exit 1
fi
mkdir -p "$runs" "$results"

# Words of the list's columns are arguments each.
# shellcheck disable=SC2086
on_device() {
  "$limn" "$@" ${DEVICE:+--device "$DEVICE"}
}

# One piece of training: what limn said is in $said afterwards. An interrupt is how limn is asked to save and stop; in the
# foreground it comes once.
# shellcheck disable=SC2086
run_piece() {
  said=$runs/$name.said
  timeout --foreground --signal=INT --kill-after=60 "$1" "$limn" train $2 ${DEVICE:+--device "$DEVICE"} > "$said" 2> "$said.err" || true
  if grep -q 'is complete (' "$said.err" || grep -q '^trained ' "$said"; then
    state=complete
  elif grep -q '^stopped after' "$said"; then
    state=more
  else
    state=failed
    tail -n 3 "$said.err" >&2
  fi
}

# Trains in pieces until the run is complete or the budget is spent.
train() {
  left=$budget
  state=more
  while [ "$state" = more ] && [ "$left" -gt 0 ]; do
    length=$piece
    [ "$left" -ge "$length" ] || length=$left
    before=$(date +%s)
    if [ -e "$dir/checkpoint.safetensors" ]; then
      run_piece "$length" "--resume $dir"
    else
      # A run that was killed before its first checkpoint is begun again.
      rm -rf "$dir"
      run_piece "$length" "$arguments --out $dir"
    fi
    now=$(date +%s)
    left=$((left - (now - before) - 1))
    [ "$state" = failed ] || echo "$name: $(tail -n 1 "$dir/metrics.csv" | cut -d, -f1) steps, $((now - before)) s in this piece"
  done
}

table=$results/table.txt.tmp
printf '%-18s %10s %12s %12s  %s\n' name steps figure published what > "$table"
for name in $names; do
  row=$(list | grep "^$name|")
  arguments=$(printf %s "$row" | cut -d'|' -f2)
  measure=$(printf %s "$row" | cut -d'|' -f3)
  figure=$(printf %s "$row" | cut -d'|' -f4)
  dir=$runs/$name
  json=$results/$name.jsonl
  train
  value=-
  steps=-
  if [ -e "$dir/checkpoint.safetensors" ]; then
    steps=$(tail -n 1 "$dir/metrics.csv" | cut -d, -f1)
    images=
    case $measure in eval*) images=${IMAGES:+--images $IMAGES} ;; esac
    # shellcheck disable=SC2086
    if on_device $(printf %s "$measure" | sed "s|DIR|$dir|") $images --json > "$json.tmp"; then
      printf '{"name":"steps","value":%s,"unit":"steps","protocol":"limn train %s"}\n' "$steps" "$arguments" >> "$json.tmp"
      mv "$json.tmp" "$json"
      value=$(sed -n "s/.*\"name\":\"$figure\",\"value\":\([-0-9.e]*\).*/\1/p" "$json" | head -n 1)
    fi
  fi
  printf '%-18s %10s %12.10s %12s  %s\n' "$name" "$steps" "$value" "$(printf %s "$row" | cut -d'|' -f5)" \
    "$(printf %s "$row" | cut -d'|' -f6)" >> "$table"
done
mv "$table" "$results/table.txt"
cat "$results/table.txt"
