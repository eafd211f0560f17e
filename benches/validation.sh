#!/usr/bin/env bash
# What limn asks a driver for, under a validation layer that follows what every shader reads and writes: the tests of
# kernels-tests/command_line/validation.rs in a Debian of their own, whose layer is newer than that of a stable one.
# Needs root, debootstrap (which it installs), and some 600 MB; with LIMN_TRUST every family is tried.
#
#   benches/validation.sh [FOLDER]      FOLDER: a place for that Debian, kept for the next time; target/validation
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(realpath -m "${1:-target/validation}")
command -v debootstrap >/dev/null || { apt-get install -y -qq debootstrap || { apt-get update -qq && apt-get install -y -qq debootstrap; }; } >/dev/null
if [ ! -e "$root/made" ]; then
  rm -rf "$root"
  debootstrap --variant=minbase --include=mesa-vulkan-drivers,libvulkan1,vulkan-validationlayers,gcc,libc6-dev trixie "$root" >"$root.log" 2>&1 ||
    { tail -5 "$root.log"; exit 1; }
  touch "$root/made"
fi
test=$(cargo test --locked --release --test command_line --no-run --message-format json |
  sed -n 's/.*"executable":"\([^"]*command_line-[^"]*\)".*/\1/p')
# The same folders at the same places; what is mounted is gone when this ends.
here=$PWD target=$(dirname "$(dirname "$(dirname "$test")")")
export root here target test
unshare --mount bash -euo pipefail -c '
  mount --bind /proc "$root/proc"
  mount --bind /dev "$root/dev"
  for folder in "$here" "$target"; do
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
  done
  exec env -u VK_LAYER_PATH NODEVICE_SELECT=1 TMPDIR=/tmp chroot "$root" "$test" validation:: --nocapture'
